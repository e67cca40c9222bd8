"""How a plan says how much load is made: levels, arrivals, searches; and what it may not say."""

import pytest

from campaign.plan import Plan
from campaign.plan_file import PlanSources, resolve_plan_text
from campaign.plan_problems import PlanError
from campaign.plan_text import resolved_yaml
from stress_scenarios.load_plan import (
    ConstantRate,
    Curve,
    Paced,
    RampRate,
    RateShape,
    ReplayRate,
    SawtoothRate,
    SineRate,
    Spacing,
    SpikeRate,
    StepRate,
    Thinking,
    Unpaced,
)
from tests.support.plans import MIDDLE_HOST, TARGET, loaded, plan

PHASE = "phases:\n  - {name: one, duration: 10min, connections: 30, operations: 5, level: low"


def only_problem(text: str) -> str:
    """The one line that a person would read."""
    with pytest.raises(PlanError) as caught:
        loaded(text)
    lines = [str(problem) for problem in caught.value.problems]
    assert len(lines) == 1, lines
    return lines[0]


def with_phase(rest: str) -> Plan:
    """A plan of one phase with further keys."""
    return plan(TARGET + PHASE + rest + "}\n")


@pytest.mark.parametrize(
    ("level", "model"),
    [
        ("{pace: 2}", Paced(operations_per_s=2.0)),
        ("{pace: unpaced}", Unpaced()),
        ("{think: 1s}", Thinking(seconds_min=1.0, seconds_max=1.0)),
        ("{think: {min: 1s, max: 3s}}", Thinking(seconds_min=1.0, seconds_max=3.0)),
    ],
)
def test_a_level_paces_its_connections_or_lets_them_think(level: str, model: Paced | Unpaced | Thinking) -> None:
    """A think time takes the place of the catalogue's pace, and the criteria stay."""
    read = plan(TARGET + f"levels: {{low: {level}}}\n").levels["low"]

    assert read.model == model
    assert read.success_percent_min == 95.0


def test_pace_and_think_replace_each_other_across_sources() -> None:
    """The plan's pace takes the user file's think time away, level by level."""
    found = loaded(TARGET + "levels: {low: {think: 1s}, high: {pace: 9}}\n")

    assert found.plan.levels["low"].model == Thinking(seconds_min=1.0, seconds_max=1.0)
    assert found.plan.levels["high"].model == Paced(operations_per_s=9.0)
    assert found.plan.levels["moderate"].model == Paced(operations_per_s=2.0)
    assert found.origins.origin_of(("levels", "low", "think")) == "plan.yaml:2"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("levels: {low: {pace: 1, think: 1s}}", "plan.yaml:2:25 levels.low.think: stands beside pace: write one of"),
        ("levels: {low: {pace: 0}}", "plan.yaml:2:16 levels.low.pace: 0 is not above 0 and at most 1000; write 2"),
        ("levels: {low: {pace: 1001}}", "levels.low.pace: 1001 is not above 0 and at most 1000"),
        ("levels: {low: {pace: fast}}", 'levels.low.pace: "fast" is neither a number of operations per second nor'),
        ("levels: {low: {pace: true}}", "levels.low.pace: True is neither a number"),
        ("levels: {low: {think: 0s}}", 'levels.low.think: "0s" is not a duration longer than zero'),
        ("levels: {low: {think: 5}}", 'levels.low.think: 5 has no unit; write "5s"'),
        ("levels: {low: {think: {min: 2s, max: 1s}}}", "levels.low.think.max: is shorter than min"),
        ("levels: {low: {think: {min: 2s}}}", 'levels.low.think.max: is missing; write max: "3s"'),
        ("levels: {new: {success: 90, response: 1s}}", "levels.new.pace: is missing; write pace: 2, or think: 1s"),
        ("ramp: {curve: steep}", "plan.yaml:2:8 ramp.curve: \"steep\" is not one of 'linear'"),
    ],
)
def test_a_level_that_cannot_be_is_refused(line: str, expected: str) -> None:
    """At its place, with what to write."""
    assert expected in only_problem(TARGET + line + "\n")


@pytest.mark.parametrize(
    ("arrivals", "shape"),
    [
        ("{rate: 200}", ConstantRate(per_s=200.0)),
        (
            "{ramp: {from: 10, to: 200, over: 5min, curve: exponential}}",
            RampRate(from_per_s=10.0, to_per_s=200.0, over_s=300.0, curve=Curve.EXPONENTIAL),
        ),
        ("{ramp: {from: 0, to: 20}}", RampRate(from_per_s=0.0, to_per_s=20.0, over_s=0.0, curve=Curve.LINEAR)),
        (
            "{step: {from: 10, by: 5, to: 40, every: 1min}}",
            StepRate(from_per_s=10.0, by_per_s=5.0, to_per_s=40.0, every_s=60.0),
        ),
        (
            "{spike: {base: 10, peak: 90, at: 2min, lasts: 30s, every: 4min}}",
            SpikeRate(base_per_s=10.0, peak_per_s=90.0, at_s=120.0, lasts_s=30.0, every_s=240.0),
        ),
        (
            "{spike: {base: 10, peak: 90, at: 2min, lasts: 30s}}",
            SpikeRate(base_per_s=10.0, peak_per_s=90.0, at_s=120.0, lasts_s=30.0, every_s=0.0),
        ),
        (
            "{sine: {mean: 50, amplitude: 50, period: 1min}}",
            SineRate(mean_per_s=50.0, amplitude_per_s=50.0, period_s=60.0),
        ),
        (
            "{sawtooth: {from: 80, to: 0, period: 1min}}",
            SawtoothRate(from_per_s=80.0, to_per_s=0.0, period_s=60.0),
        ),
    ],
)
def test_arrivals_have_one_of_seven_shapes(arrivals: str, shape: RateShape) -> None:
    """As the load processes know them; the replay's file has tests of its own."""
    part = with_phase(f", arrivals: {arrivals}").phases[0].arrivals

    assert part is not None
    assert part.shape() == shape
    assert (part.even_or_not, part.start_within_s) == (Spacing.EVEN, 1.0)


def test_arrivals_may_be_independent_of_each_other_and_wait_longer() -> None:
    """Poisson spacing, and an own patience."""
    part = with_phase(", arrivals: {rate: 5, spacing: poisson, start_within: 250ms}").phases[0].arrivals

    assert part is not None
    assert (part.even_or_not, part.start_within_s) == (Spacing.POISSON, 0.25)


@pytest.mark.parametrize(
    ("arrivals", "expected"),
    [
        ("{}", "phases.0.arrivals.rate: is missing; write one of rate, ramp, step, spike, sine, sawtooth, replay"),
        ("{rate: 5, replay: a.csv}", "phases.0.arrivals.replay: stands beside rate: write one of the two"),
        ("{rate: 0}", "phases.0.arrivals.rate: 0 is not above 0; write 200"),
        ("{rate: 1000001}", "phases.0.arrivals.rate: 1000001 is more than 1000000; write 200"),
        ("{ramp: {from: 5, to: 5}}", "phases.0.arrivals.ramp.to: is the same as from: write `rate`"),
        ("{ramp: {from: -1, to: 5}}", "phases.0.arrivals.ramp.from: -1 is less than 0; write 10"),
        ("{step: {from: 5, by: 1, to: 5, every: 1s}}", "phases.0.arrivals.step.to: is not above from"),
        ("{spike: {base: 5, peak: 5, at: 1s, lasts: 1s}}", "phases.0.arrivals.spike.peak: is not above base"),
        (
            "{spike: {base: 5, peak: 6, at: 1s, lasts: 2s, every: 2s}}",
            "phases.0.arrivals.spike.every: is not longer than a spike lasts",
        ),
        ("{sine: {mean: 5, amplitude: 5.1, period: 1s}}", "phases.0.arrivals.sine.amplitude: is larger than mean"),
        ("{sawtooth: {from: 5, to: 5, period: 1s}}", "phases.0.arrivals.sawtooth.to: is the same as from"),
        ("{rate: 5, spacing: random}", "phases.0.arrivals.spacing: \"random\" is not one of 'even' or 'poisson'"),
        ("{rate: 5, start_within: 0s}", 'phases.0.arrivals.start_within: "0s" is not a duration longer than zero'),
        ("{rate: 5, peak: 6}", "phases.0.arrivals.peak: is not a key of a plan"),
    ],
)
def test_arrivals_that_cannot_be_are_refused(arrivals: str, expected: str) -> None:
    """At the key that is wrong."""
    assert expected in only_problem(TARGET + PHASE + f", arrivals: {arrivals}}}\n")


def test_a_spike_begins_before_its_phase_ends() -> None:
    """One that never comes is a slip."""
    text = TARGET + PHASE + ", arrivals: {spike: {base: 5, peak: 6, at: AT, lasts: 1s}}}\n"

    assert plan(text.replace("AT", "9min59s")).phases[0].arrivals is not None
    for at in ("10min", "20min"):
        assert "phases.0.arrivals.spike.at: is not before the phase's end" in only_problem(text.replace("AT", at))


@pytest.mark.parametrize(
    ("shape", "fits", "problem"),
    [
        ("{step: {from: 5, by: 5, to: 20, every: T}}", "9min59s", "step.every: is as long as the phase"),
        ("{ramp: {from: 5, to: 20, over: T}}", "10min", "ramp.over: is longer than the phase"),
    ],
)
def test_a_shape_ends_within_its_phase(shape: str, fits: str, problem: str) -> None:
    """A second step, or a ramp's end, that never comes is a slip; the longest that fits is one step, or the whole phase."""
    text = TARGET + PHASE + f", arrivals: {shape}}}\n"

    assert plan(text.replace("T}", f"{fits}}}")).phases[0].arrivals is not None
    beyond = "10min" if fits == "9min59s" else "10min1s"
    assert f"phases.0.arrivals.{problem}" in only_problem(text.replace("T}", f"{beyond}}}"))


def test_a_replay_has_no_spacing_of_its_own() -> None:
    """Its times are given."""
    text = TARGET + PHASE + ", arrivals: {replay: a.csv, spacing: even}}\nanchor: {pace: 1}\n"

    assert "phases.0.arrivals.spacing: has no effect on a replay" in only_problem(text)


@pytest.mark.parametrize(
    ("arrivals", "connections", "pace"),
    [
        ("{rate: 10}", 10, 1.0),
        ("{rate: 90}", 30, 3.0),  # no more connections than the phase has
        ("{rate: 0.5}", 1, 0.5),
        ("{rate: 30000}", 30, 1000.0),
        ("{rate: 30030}", 30, 1000.0),  # an anchor is a load that a plan may write, whatever the phase's rate is
        ("{rate: 0.001}", 1, 0.001),
        ("{rate: 0.0001}", 1, 0.001),
        ("{ramp: {from: 0, to: 40}}", 20, 1.0),
    ],
)
def test_the_anchor_of_arrivals_makes_their_mean_rate(arrivals: str, connections: int, pace: float) -> None:
    """With about one operation a second on each connection: the phase's own are only the most at once."""
    anchor = with_phase(f", arrivals: {arrivals}").anchor

    assert (anchor.connections, anchor.operations_per_s) == (connections, pace)


@pytest.mark.parametrize("level", ["{pace: unpaced}", "{think: 5s}"])
def test_the_anchor_of_a_level_without_a_pace_has_the_lightest(level: str) -> None:
    """An anchor is fixed, whatever the target does."""
    assert plan(TARGET + f"levels: {{low: {level}}}\n").anchor.operations_per_s == 1.0


def test_only_the_default_stress_test_searches() -> None:
    """The answer to "how much" is part of every night that nobody has planned himself."""
    phases = plan().phases

    assert [phase.name for phase in phases if phase.search is not None] == ["stress_test"]
    assert {phase.own_share for phase in phases} == {1.0, 0.5}
    assert with_phase("").phases[0].search is None
    assert with_phase(", search: false").phases[0].search is None


@pytest.mark.parametrize("share", ['"25%"', "25%", "25", "25.0", '"25 %"'])
def test_a_searchs_share_is_written_in_percent(share: str) -> None:
    """With or without the sign."""
    phase = with_phase(f", search: {{share: {share}}}").phases[0]

    assert phase.search is not None
    assert phase.search.share_percent == 25.0
    assert phase.own_share == 0.75


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("{share: 9%}", 'phases.0.search.share: "9%" is not within 10 and 90 %; write 50%'),
        ("{share: 91}", "phases.0.search.share: 91 is not within 10 and 90 %"),
        ("{share: half}", 'phases.0.search.share: "half" is not a share; write "50%"'),
        ("{share: true}", "phases.0.search.share: True is not a share"),
        ("{step: 1s}", 'phases.0.search.step: "1s" is less than 2 s; write "60s"'),
        ("{start: 10, max: 10}", "phases.0.search.max: is not above start"),
        ("{connections: 20001}", "phases.0.search.connections: 20001 is more than 20000; write 200"),
        ("yes", 'phases.0.search: "yes" is not a mapping'),
    ],
)
def test_a_search_that_cannot_be_is_refused(search: str, expected: str) -> None:
    """At the key that is wrong."""
    assert expected in only_problem(TARGET + PHASE + f", search: {search}}}\n")


@pytest.mark.parametrize(("connections", "accepted"), [(20_000, True), (20_001, False)])
def test_a_phase_has_up_to_20000_connections(connections: int, accepted: bool) -> None:  # noqa: FBT001 - a table's column
    """One more is refused."""
    text = TARGET + PHASE.replace("connections: 30", f"connections: {connections}") + "}\n"
    if accepted:
        assert plan(text).phases[0].connections == connections
    else:
        with pytest.raises(PlanError, match="20001 is more than 20000"):
            plan(text)


def test_a_resolved_plan_keeps_levels_arrivals_and_searches() -> None:
    """What is stored with a run can be run again."""
    found = loaded(
        TARGET
        + "levels: {low: {think: {min: 1s, max: 2s}}, high: {pace: unpaced}}\n"
        + PHASE
        + ", search: {share: 30%}}\n"
        "  - {name: two, duration: 1h, connections: 3, operations: 5, level: high, search: true, arrivals: {step: {from: 1, "
        "by: 2, to: 9, every: 90s}, spacing: poisson}}\nramp: {curve: aggressive}\n"
    )
    written = resolved_yaml(found.plan, found.origins)

    again = resolve_plan_text(written, name="again.yaml", sources=PlanSources(), host=MIDDLE_HOST, zone="UTC")
    assert again.plan == found.plan
    assert again.plan.ramp.form is Curve.AGGRESSIVE


def test_a_replay_is_a_file_and_its_hash() -> None:
    """The shape as the load processes get it."""
    part = plan(TARGET + PHASE + ", arrivals: {rate: 5}}\n").phases[0].arrivals
    assert part is not None

    replay = part.model_copy(update={"rate": None, "replay": "/times.csv"})
    assert replay.shape(sha256="abc") == ReplayRate(path="/times.csv", sha256="abc")
