"""What the planner makes of load models, searches and feeders, and which it refuses with the arithmetic."""

from pathlib import Path

import pytest

from campaign.plan_file import LoadedPlan
from campaign.planned_night import NotCompressed, NoteKind, PlannedNight, PlanRefused, TimelineKind
from campaign.planner import fit_night
from monitoring_logs.load_orders import NO_SEARCH, SearchOrder
from monitoring_logs.records import GateKind, Judged, NotJudged, PhaseOrder
from stress_scenarios.load_plan import (
    Arrivals,
    ConstantRate,
    Curve,
    Paced,
    RampRate,
    RateShape,
    SineRate,
    SpikeRate,
    StepRate,
    Thinking,
    Unpaced,
)
from tests.campaign.test_plan_inputs import read
from tests.support.plans import TARGET, loaded

NOW_UTC_S = 1_800_000_000.0


def fitted(
    found: LoadedPlan,
    *,
    compress_to_s: float | NotCompressed = NotCompressed(),  # noqa: B008 - a frozen record without content
    scale: float = 1.0,
    cores: int = 4,
) -> PlannedNight | PlanRefused:
    """The planner's answer."""
    return fit_night(
        found.plan,
        inputs=found.inputs,
        now_utc_s=NOW_UTC_S,
        host_cpu_count=cores,
        run_id="run",
        compress_to_s=compress_to_s,
        scale=scale,
    )


def night(
    text: str,
    *,
    compress_to_s: float | NotCompressed = NotCompressed(),  # noqa: B008 - a frozen record without content
    scale: float = 1.0,
    cores: int = 4,
) -> PlannedNight:
    """The planner's answer to a plan's text, which is a night."""
    answer = fitted(loaded(text), compress_to_s=compress_to_s, scale=scale, cores=cores)
    assert isinstance(answer, PlannedNight), answer
    return answer


def refused(text: str, *, cores: int = 4, scale: float = 1.0) -> tuple[str, ...]:
    """The planner's answer to a plan's text, which is a refusal."""
    answer = fitted(loaded(text), cores=cores, scale=scale)
    assert isinstance(answer, PlanRefused), answer
    return answer.reasons


def one_phase(rest: str = "", *, duration: str = "10min", connections: int = 10, before: str = "") -> str:
    """A plan of one phase."""
    return (
        f"{TARGET}{before}ramp: {{percent: 0}}\nphases:\n  - {{name: one, duration: {duration}, "
        f"connections: {connections}, operations: 5, level: low{rest}}}\n"
    )


def only_phase(planned: PlannedNight) -> PhaseOrder:
    """The one phase's order."""
    (phase,) = planned.order.phases
    return phase


def search_of(phase: PhaseOrder) -> SearchOrder:
    """The phase's search, which it has."""
    assert isinstance(phase.search, SearchOrder)
    return phase.search


def texts(planned: PlannedNight, kind: NoteKind) -> list[str]:
    """The notes of one kind."""
    return [note.text for note in planned.notes if note.kind is kind]


# Load models ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrivals", "expected", "mean_per_s"),
    [
        ("{rate: 20}", 12_000, 20.0),
        ("{ramp: {from: 0, to: 20}}", 6_000, 10.0),
        ("{ramp: {from: 0, to: 20, over: 5min}}", 9_000, 15.0),
        ("{step: {from: 10, by: 10, to: 20, every: 5min}}", 9_000, 15.0),
        ("{spike: {base: 10, peak: 70, at: 5min, lasts: 1min}}", 9_600, 16.0),
        ("{sine: {mean: 10, amplitude: 10, period: 1min}}", 6_000, 10.0),
        ("{sawtooth: {from: 20, to: 0, period: 2min}}", 6_000, 10.0),
        ("{rate: 20, spacing: poisson}", 12_000, 20.0),
    ],
)
def test_arrivals_are_counted_by_their_integral(arrivals: str, expected: int, mean_per_s: float) -> None:
    """Ten minutes of each shape, without a ramp of the order's own; connections are only the most at once."""
    phase = only_phase(night(one_phase(f", arrivals: {arrivals}")))

    assert phase.operations_expected == pytest.approx(expected, abs=1)
    assert phase.operations_per_s * phase.connections == pytest.approx(mean_per_s, rel=1e-4)
    assert isinstance(phase.pace, Arrivals)
    assert (phase.pace.part, phase.pace.parts) == (0, 1)


@pytest.mark.parametrize(
    ("arrivals", "shape"),
    [
        (
            "{ramp: {from: 0, to: 20, over: 5min}}",
            RampRate(from_per_s=0, to_per_s=20, over_s=30, curve=Curve.LINEAR),
        ),
        ("{step: {from: 5, by: 5, to: 20, every: 100s}}", StepRate(from_per_s=5, by_per_s=5, to_per_s=20, every_s=10)),
        (
            "{spike: {base: 5, peak: 9, at: 5min, lasts: 1min, every: 2min}}",
            SpikeRate(base_per_s=5, peak_per_s=9, at_s=30, lasts_s=6, every_s=12),
        ),
        (
            "{sine: {mean: 9, amplitude: 5, period: 1min}}",
            SineRate(mean_per_s=9, amplitude_per_s=5, period_s=6),
        ),
        ("{rate: 9}", ConstantRate(per_s=9)),
    ],
)
def test_a_shapes_times_are_scaled_with_its_phase(arrivals: str, shape: RateShape) -> None:
    """A tenth of the duration has the same picture: a spike in the middle stays in the middle."""
    text = one_phase(f", arrivals: {arrivals}") + "cooldown: none\nbaseline: {idle: 1min}\nanchor: {duration: 1min}\n"
    for compress_to_s in (80.0, 85.0, 90.0, 95.0, 100.0):
        phase = only_phase(night(text, compress_to_s=compress_to_s))
        assert isinstance(phase.pace, Arrivals)
        factor = (phase.ramp_s + phase.hold_s) / 600.0
        for name in ("over_s", "every_s", "at_s", "lasts_s", "period_s"):
            if hasattr(shape, name):
                assert getattr(phase.pace.shape, name) == pytest.approx(getattr(shape, name) * 10 * factor)
        assert 0 < factor < 0.2


def test_a_replay_is_counted_as_far_as_it_reaches(tmp_path: Path) -> None:
    """Its times are never scaled: what lies behind the phase's end is not requested."""
    text = one_phase(", arrivals: {replay: t.csv}", duration="1min")
    found = read(tmp_path, text, t_csv="".join(f"{index / 2}\n" for index in range(200)))
    answer = fitted(found)

    assert isinstance(answer, PlannedNight)
    assert only_phase(answer).operations_expected == 120
    short = fitted(read(tmp_path, text, t_csv="1\n2\n"))
    assert isinstance(short, PlanRefused)
    assert short.reasons == (
        "one: a replay x 60 s = 2 operations, 30 are needed; write a longer duration or more arrivals",
    )


def test_arrivals_that_could_not_be_followed_are_refused() -> None:
    """A wave each microsecond, under a ramp, has no rate to speak of."""
    text = one_phase(", arrivals: {sine: {mean: 9, amplitude: 5, period: 0.000001s}}").replace(
        "percent: 0", "percent: 10"
    )
    (reason,) = refused(text)

    assert reason.startswith("one: the rate changes too often within the ramp")


@pytest.mark.parametrize(
    ("level", "pace", "expected", "per_s"),
    [
        ("{pace: unpaced}", Unpaced(), 3_000, 3 * 30_000.0 / 10),
        ("{think: {min: 1s, max: 5s}}", Thinking(seconds_min=1.0, seconds_max=5.0), 1_200, 1 / 3),
    ],
)
def test_where_the_target_sets_the_pace_nothing_is_requested(
    level: str, pace: Unpaced | Thinking, expected: int, per_s: float
) -> None:
    """Expected is what passes at least at the criterion of 2 s; whether enough was achieved is not judged."""
    planned = night(one_phase(before=f"levels: {{low: {level}}}\n"))
    phase = only_phase(planned)

    assert phase.pace == pace
    assert phase.operations_expected == expected
    assert phase.operations_per_s == pytest.approx(per_s)
    judged = {gate.kind: gate.judged for gate in planned.order.gates if gate.phase == 0}
    assert isinstance(judged[GateKind.PHASE_ACHIEVED], NotJudged)
    assert judged[GateKind.PHASE_SUCCESS] == Judged()
    assert "how many operations it makes, the target decides" in texts(planned, NoteKind.GENERATOR)[0]
    assert planned.forecasts[0].gates == "success, response"


def test_a_paced_phase_is_judged_in_everything() -> None:
    """The pace says what is requested."""
    planned = night(one_phase())

    assert only_phase(planned).pace == Paced(operations_per_s=1.0)
    assert all(gate.judged == Judged() for gate in planned.order.gates if gate.phase == 0)


def test_the_ramps_curve_reaches_the_order_and_the_count() -> None:
    """A conservative ramp starts its connections later, so that it makes fewer operations."""
    text = one_phase().replace("ramp: {percent: 0}", "ramp: {percent: 50, max: 1h, curve: CURVE}")
    linear, late = (only_phase(night(text.replace("CURVE", curve))) for curve in ("linear", "conservative"))

    assert (linear.ramp_curve, late.ramp_curve) == (Curve.LINEAR, Curve.CONSERVATIVE)
    assert late.operations_expected < linear.operations_expected


# Searches -------------------------------------------------------------------------------------------------------------


def test_a_search_takes_its_share_and_says_what_it_tries() -> None:
    """Half of ten minutes: sixteen steps, from a quarter of the phase's rate to what the load processes reach."""
    planned = night(one_phase(", search: true", connections=100))
    phase = only_phase(planned)

    assert (phase.ramp_s + phase.hold_s, phase.scaled_from_s) == (300.0, 600.0)
    assert phase.search == SearchOrder(
        lasts_s=300.0,
        step_s=18.8,
        start_per_s=25.0,
        per_s_max=30_000.0,
        connections=500,
        success_percent_min=95.0,
        response_s_mean_max=2.0,
        response_s_p99_max=0.0,
        achieved_percent_min=98.0,
    )
    (segment,) = [segment for segment in planned.segments if segment.kind is TimelineKind.SEARCH]
    assert (segment.label, segment.duration_s) == ("one", 300.0)


def test_a_search_keeps_what_the_plan_says() -> None:
    """Share, step, start, highest rate and connections; the p99 objective is a criterion, too."""
    rest = ", search: {share: 20%, step: 10s, start: 7, max: 900, connections: 40}"
    search = search_of(only_phase(night(one_phase(rest) + "success: {response_p99: 1s, achieved: 99}\n", scale=2.0)))

    assert (search.lasts_s, search.step_s, search.start_per_s, search.per_s_max) == (120.0, 10.0, 7.0, 900.0)
    assert search.connections == 80  # --scale multiplies all connections
    assert (search.response_s_p99_max, search.achieved_percent_min) == (1.0, 99.0)


@pytest.mark.parametrize(
    ("rest", "start_per_s", "connections"),
    [
        (", search: true", 2.5, 500),
        (", search: {max: 4}", 2.0, 10),  # at least the phase's own connections
        (", search: {max: 100}", 2.5, 200),  # 100/s x 2 s at the criterion
        (", arrivals: {rate: 2}, search: true", 1.0, 500),
        (", arrivals: {rate: 80}, search: true", 20.0, 500),
    ],
)
def test_a_search_starts_low_and_has_connections_for_its_highest_rate(
    rest: str, start_per_s: float, connections: int
) -> None:
    """A quarter of the phase's own rate, at least 1/s; Little's law, within bounds."""
    search = search_of(only_phase(night(one_phase(rest))))

    assert (search.start_per_s, search.connections) == (start_per_s, connections)


@pytest.mark.parametrize(("step", "made_s"), [("60s", 60.0), ("61s", 60.0)])
def test_a_step_longer_than_a_fifth_of_its_search_is_shortened_and_that_is_said(step: str, made_s: float) -> None:
    """Five minutes of search hold five steps of a minute; what is written beyond that is a note of the plan."""
    planned = night(one_phase(f", search: {{share: 50%, step: {step}}}", duration="10min", connections=50))
    assert search_of(only_phase(planned)).step_s == made_s
    notes = [note.text for note in planned.notes if note.kind is NoteKind.SEARCH]
    shortened = "one searches in steps of 60 s instead of 61 s: 5 min have to hold 5"
    assert notes == ([] if step == "60s" else [shortened])


@pytest.mark.parametrize(("duration", "step_s"), [("30s", 2.0), ("64s", 2.0), ("128s", 4.0), ("2h", 120.0)])
def test_steps_are_a_sixteenth_within_bounds(duration: str, step_s: float) -> None:
    """From 2 s to 2 min."""
    search = search_of(only_phase(night(one_phase(", search: true", duration=duration, connections=50))))

    assert search.step_s == step_s


@pytest.mark.parametrize(("duration", "searches"), [("19.9s", False), ("20s", True), ("20.1s", True)])
def test_a_search_needs_five_steps_and_else_the_phase_keeps_its_time(duration: str, searches: bool) -> None:  # noqa: FBT001 - a table's column
    """Ten seconds; the note has the arithmetic."""
    planned = night(one_phase(", search: true", duration=duration, connections=50))
    phase = only_phase(planned)

    assert isinstance(phase.search, SearchOrder) is searches
    if not searches:
        assert phase.search == NO_SEARCH
        assert phase.ramp_s + phase.hold_s == pytest.approx(19.9)
        assert texts(planned, NoteKind.SEARCH) == [
            "one does not search: 50 % of 19.9 s are 9.9 s, at least 5 steps of 2 s are needed; its own load takes all"
        ]
        assert not [segment for segment in planned.segments if segment.kind is TimelineKind.SEARCH]


def test_a_search_that_leaves_its_phase_undecided_does_not_run() -> None:
    """Thirty operations come first."""
    planned = night(one_phase(", search: true", duration="40s", connections=1))

    assert only_phase(planned).search == NO_SEARCH
    (text,) = texts(planned, NoteKind.SEARCH)
    assert "beside it 20 s are left, 1 connections x 1/s x 20 s = 20 operations, 30 are needed" in text


def test_a_compressed_search_keeps_its_share_and_at_least_two_seconds_a_step() -> None:
    """Steps are planned durations; what is too short for five of them does not search."""
    text = one_phase(", search: {share: 50%, step: 60s}", duration="1h", connections=50)
    planned = night(text, compress_to_s=120.0)
    search = search_of(only_phase(planned))

    assert search.lasts_s == pytest.approx((only_phase(planned).hold_s + only_phase(planned).ramp_s), abs=0.1)
    assert search.step_s == 2.0
    assert search_of(only_phase(night(text))).step_s == 60.0


def test_the_default_nights_stress_test_spends_its_second_half_searching() -> None:
    """And the night is no longer for it."""
    planned = night(TARGET)
    stress = planned.order.phases[6]
    search = search_of(stress)

    assert stress.ramp_s + stress.hold_s == pytest.approx(search.lasts_s, abs=0.2)
    assert (search.start_per_s, search.per_s_max, search.connections) == (30.0, 30_000.0, 500)
    assert [phase.name for phase in planned.order.phases if phase.search != NO_SEARCH] == ["stress_test"]
    assert planned.length_s == pytest.approx(8 * 3600, abs=10)


# The generator --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rest", "before", "cores", "workers"),
    [
        (", arrivals: {rate: 9000}", "", 4, 1),
        (", arrivals: {rate: 11000}", "", 4, 2),
        (", arrivals: {sine: {mean: 9000, amplitude: 2000, period: 1min}}", "", 4, 2),
        (", search: {max: 35000}", "", 4, 4),
        (", search: true", "", 4, 1),
        ("", "levels: {low: {pace: unpaced}}\n", 4, 3),
        ("", "levels: {low: {pace: unpaced}}\n", 1, 1),
        (", arrivals: {rate: 90}", "levels: {low: {pace: unpaced}}\n", 4, 1),
        ("", "levels: {low: {think: 1ms}}\n", 4, 4),  # 100,000/s if the target answers at once
        ("", "levels: {low: {think: 1ms}}\n", 2, 2),
        ("", "levels: {low: {pace: unpaced}}\nworkers: 2\n", 4, 2),
    ],
)
def test_load_processes_follow_from_the_peak_rate(rest: str, before: str, cores: int, workers: int) -> None:
    """Of every model; without a pace, all cores but one."""
    planned = night(
        one_phase(rest, before=before, connections=100) + "anchor: {connections: 5, pace: 1}\n", cores=cores
    )

    assert planned.workers == workers


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (
            ", arrivals: {rate: 60001}",
            "one asks for 60,001 operations/s; 2 load processes on 2 cores with the engine wire reach",
        ),
        (", search: {max: 60001}", "the search of one asks for 60,001 operations/s"),
        (", arrivals: {spike: {base: 1, peak: 60001, at: 1s, lasts: 1s}}", "one asks for 60,001 operations/s"),
    ],
)
def test_rates_beyond_the_machine_are_refused(rest: str, expected: str) -> None:
    """Of every model, and of a search; at the limit they run, but for what the guardian's limits would not bear for long."""
    anchor = "anchor: {connections: 5, pace: 1}\n"
    (reason,) = refused(one_phase(rest) + anchor, cores=2)

    assert expected in reason
    assert "about 2 x 30,000/s = 60,000/s; write a lower rate" in reason
    lasting = "rate" in rest
    assert night(one_phase(rest.replace("60001", "47000" if lasting else "60000")) + anchor, cores=2).workers == 2


def test_a_script_has_a_lower_reach() -> None:
    """Each operation is a coroutine's turn."""
    before = "scenario: [{name: a, path: /, checks: [{within: 1s}]}]\n"
    (reason,) = refused(one_phase(", arrivals: {rate: 25000}", before=before) + "anchor: {pace: 1}\n", cores=1)

    assert "with the engine wire and a script reach about" in reason


def test_connections_beyond_the_machine_are_refused_when_they_are_scaled() -> None:
    """A plan of 20,000 may not become one of more."""
    text = one_phase(connections=10_000) + "anchor: {connections: 1}\nlevels: {low: {pace: 0.1}}\n"

    assert only_phase(night(text, scale=2.0)).connections == 20_000
    assert refused(text, scale=2.0001)[0].startswith("one has 20,001 connections with --scale, at most 20,000")


@pytest.mark.parametrize(("think", "accepted"), [("900ms", True), ("1s", False), ("{min: 500ms, max: 1500ms}", False)])
def test_a_pace_that_the_scenarios_own_pauses_make_impossible_is_refused(think: str, accepted: bool) -> None:  # noqa: FBT001 - a table's column
    """One operation a second, and a second's pause after each."""
    text = one_phase(before=f"scenario: [{{name: a, path: /, think: {think}}}]\n")
    if accepted:
        assert night(text)
    else:
        (reason,) = refused(text)
        assert "one each 1 s, but the scenario thinks for 1 s after each on average" in reason


# Feeders --------------------------------------------------------------------------------------------------------------

FED = (
    "feeders: {users: {file: users.csv, order: unique}}\nscenario:\n"
    "  - {name: a, path: '/${users.name}'}\n  - {name: b, stage: setup, path: /}\n"
)


@pytest.mark.parametrize(("rows", "accepted"), [(999, False), (1000, True), (1001, True)])
def test_a_unique_feeder_needs_a_row_for_each_session(tmp_path: Path, rows: int, accepted: bool) -> None:  # noqa: FBT001 - a table's column
    """6,000 operations in sessions of five and a login: a thousand sessions."""
    content = "name\n" + "".join(f"user{index}\n" for index in range(rows))
    answer = fitted(read(tmp_path, one_phase(before=FED), users_csv=content))

    if accepted:
        assert isinstance(answer, PlannedNight)
        assert texts(answer, NoteKind.FEEDER) == []
    else:
        assert isinstance(answer, PlanRefused)
        (reason,) = answer.reasons
        assert reason == (
            "one begins about 1000 sessions (6000 operations in 10 min / 6 of a session, at least one a connection), and "
            "the unique feeder users has 999 rows; write more rows, more operations per session, or order: sequential"
        )


def test_what_nobody_can_know_of_a_unique_feeder_is_said(tmp_path: Path) -> None:
    """A search begins as many sessions as the target carries, code as many as it likes."""
    content = "name\n" + "".join(f"user{index}\n" for index in range(1000))
    searching = fitted(read(tmp_path, one_phase(", search: true", before=FED), users_csv=content))
    coded = TARGET + "feeders: {users: {file: users.csv, order: unique}}\ncode: {file: flow.py:go, operations: [a]}\n"
    running = fitted(read(tmp_path, coded, users_csv=content, flow_py="async def go(session): ...\n"))

    assert isinstance(searching, PlannedNight)
    assert isinstance(running, PlannedNight)
    assert texts(searching, NoteKind.FEEDER) == [
        "users has 1000 rows: the search of one may need more, and then fail for want of a row"
    ]
    assert "how many sessions the code of a begins, nobody knows" in texts(running, NoteKind.FEEDER)[0]
