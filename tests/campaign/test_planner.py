"""What the planner makes of a plan for one night."""

import dataclasses
import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from baseline_metrics.codec import from_json_value, to_json_value
from campaign.fitting import SAMPLES_NEEDED
from campaign.full_night import night_request
from campaign.plan import Plan
from campaign.plan_inputs import NO_INPUTS
from campaign.planned_night import (
    NotCompressed,
    NoteKind,
    PlannedNight,
    PlanRefused,
    TimelineKind,
)
from campaign.planner import fit_night
from campaign.starter_plan import DEMO_PLAN
from monitoring_logs.load_orders import SearchOrder
from monitoring_logs.records import GateKind, NightOrder, NotJudged, PhaseOrder
from results_summary.gates import gates_sha256
from tests.support.plans import TARGET, loaded, plan

START_UTC_S = datetime(2026, 11, 20, 22, 0, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


def fitted(
    night_plan: Plan,
    *,
    compress_to_s: float | NotCompressed = NotCompressed(),  # noqa: B008 - a frozen record without content
    scale: float = 1.0,
    now_utc_s: float = START_UTC_S,
    host_cpu_count: int = 4,
) -> PlannedNight | PlanRefused:
    """The planner's answer."""
    return fit_night(
        night_plan,
        now_utc_s=now_utc_s,
        host_cpu_count=host_cpu_count,
        run_id="run",
        compress_to_s=compress_to_s,
        scale=scale,
    )


def night(
    night_plan: Plan,
    *,
    compress_to_s: float | NotCompressed = NotCompressed(),  # noqa: B008 - a frozen record without content
    scale: float = 1.0,
    now_utc_s: float = START_UTC_S,
    host_cpu_count: int = 4,
) -> PlannedNight:
    """The planner's answer, which is a night."""
    answer = fitted(
        night_plan, compress_to_s=compress_to_s, scale=scale, now_utc_s=now_utc_s, host_cpu_count=host_cpu_count
    )
    assert isinstance(answer, PlannedNight), answer
    return answer


def refused(night_plan: Plan, *, compress_to_s: float | NotCompressed = NotCompressed()) -> tuple[str, ...]:  # noqa: B008
    """The planner's answer, which is a refusal."""
    answer = fitted(night_plan, compress_to_s=compress_to_s)
    assert isinstance(answer, PlanRefused), answer
    return answer.reasons


def texts(planned: PlannedNight, kind: NoteKind) -> list[str]:
    """The notes of one kind."""
    return [note.text for note in planned.notes if note.kind is kind]


def whole_s(phase: PhaseOrder) -> float:
    """How long a phase lasts, its search included."""
    search_s = phase.search.lasts_s if isinstance(phase.search, SearchOrder) else 0.0
    return phase.ramp_s + phase.hold_s + search_s


def assert_sound(planned: PlannedNight, night_plan: Plan) -> None:
    """What holds for every night."""
    order = planned.order
    running = [phase for phase in order.phases if not phase.cut]
    assert running
    assert planned.length_s <= order.window_s + 1e-6
    assert order.window_end_utc_s == pytest.approx(order.planned_start_utc_s + order.window_s)
    end_s = 0.0
    for segment in planned.segments:
        assert segment.start_offset_s == pytest.approx(end_s, abs=0.01)
        assert segment.duration_s > 0
        end_s += segment.duration_s
    kinds = [segment.kind for segment in planned.segments]
    assert kinds.count(TimelineKind.ANCHOR) == len(running) + 1
    assert kinds.count(TimelineKind.PHASE) == len(running)
    searching = [phase for phase in running if isinstance(phase.search, SearchOrder)]
    assert kinds.count(TimelineKind.SEARCH) == len(searching)
    assert kinds.count(TimelineKind.HANDOVER) == 2 * len(running) + len(searching) + 1
    assert kinds[-2 if TimelineKind.RESERVE in kinds else -1] is TimelineKind.CONCLUDE
    for phase, written in zip(order.phases, night_plan.phases, strict=True):
        assert phase.name == written.name
        if phase.cut:
            assert phase.operations_expected == 0
            assert any(phase.name in text for text in texts(planned, NoteKind.CUT))
        else:
            assert phase.operations_expected >= SAMPLES_NEEDED
            assert whole_s(phase) <= written.duration_s + 0.1
            if not order.rehearsal:
                assert whole_s(phase) >= written.duration_s_min - 1e-6
    assert order.gates_sha256 == gates_sha256(order.gates)
    assert {gate.phase for gate in order.gates} == {-1, *(phase.index for phase in running)}


def test_the_default_night_has_eight_scaled_phases_in_eight_hours() -> None:
    """14 h of phases are scaled; the order of the night is baseline, anchors, phases, rests, report."""
    night_plan = plan()
    planned = night(night_plan)

    assert_sound(planned, night_plan)
    assert planned.length_s == pytest.approx(8 * 3600, abs=10)
    assert not any(phase.cut for phase in planned.order.phases)
    assert re.fullmatch(
        r"8 phases of 14 h scaled to 6 h \d+ min \(4\d %\), to end within 8 h", texts(planned, NoteKind.SCALED)[0]
    )
    kinds = [segment.kind for segment in planned.segments if segment.kind is not TimelineKind.HANDOVER]
    assert kinds[:6] == [
        TimelineKind.PREPARE,
        TimelineKind.IDLE,
        TimelineKind.ANCHOR,
        TimelineKind.PHASE,
        TimelineKind.REST,
        TimelineKind.ANCHOR,
    ]
    assert kinds[-4:] == [TimelineKind.PHASE, TimelineKind.ANCHOR, TimelineKind.CONCLUDE, TimelineKind.RESERVE]
    assert planned.order.break_s == 300.0
    assert planned.order.cooldown_s == 1800.0
    assert planned.order.baseline_idle_s == 600.0


def test_ramps_are_a_tenth_up_to_a_minute() -> None:
    """And belong to the duration."""
    planned = night(
        plan(
            TARGET + "phases:\n"
            "  - {name: short, duration: 5min, connections: 2, operations: 5, level: low}\n"
            "  - {name: ten, duration: 10min, connections: 2, operations: 5, level: low}\n"
            "  - {name: long, duration: 1h, connections: 2, operations: 5, level: low}\n"
        )
    )

    assert [(phase.ramp_s, phase.hold_s) for phase in planned.order.phases] == [(30, 270), (60, 540), (60, 3540)]


def test_phases_that_fit_are_neither_scaled_nor_stretched() -> None:
    """The night ends early then."""
    text = TARGET + "phases:\n  - {name: one, duration: 1h, connections: 2, operations: 5, level: low}\n"
    planned = night(plan(text))

    assert planned.order.phases[0].ramp_s + planned.order.phases[0].hold_s == 3600
    assert texts(planned, NoteKind.SCALED) == []
    assert planned.length_s < 2 * 3600


@pytest.mark.parametrize(
    ("hours", "cut"),
    [
        ("4", []),
        ("3.5", ["moderate_load_1"]),
        ("3", ["moderate_load_1", "light_load", "high_load_1"]),
        ("2", ["moderate_load_1", "light_load", "high_load_1", "moderate_load_2", "high_load_2"]),
        (
            "1.5",
            [
                "moderate_load_1",
                "light_load",
                "high_load_1",
                "moderate_load_2",
                "high_load_2",
                "warmup",
                "endurance_test",
            ],
        ),
    ],
)
def test_short_windows_cut_the_lowest_priorities_and_say_so(hours: str, cut: list[str]) -> None:
    """The ends of the staircase stay longest, the highest load longest of all."""
    found = loaded(flags={"hours": hours})
    planned = night(found.plan)

    assert_sound(planned, found.plan)
    assert {phase.name for phase in planned.order.phases if phase.cut} == set(cut)
    assert len(texts(planned, NoteKind.CUT)) == len(cut)
    for text in texts(planned, NoteKind.CUT):
        assert re.search(r"\d phases at their minimum need .*, the window has .*; its priority \d+ is the lowest", text)


def test_of_equal_priorities_the_later_phase_is_cut() -> None:
    """A shorter night would not have reached it either."""
    phases = "".join(
        f"  - {{name: p{index}, duration: 1h, duration_min: 50min, connections: 2, operations: 5, level: low}}\n"
        for index in range(3)
    )
    planned = night(plan(TARGET + "window: {hours: 3}\nphases:\n" + phases))

    assert [bool(phase.cut) for phase in planned.order.phases] == [False, False, True]


def test_a_window_without_room_for_one_phase_is_refused_with_the_sum() -> None:
    """Each part of the sum is named, and what to do."""
    (reason,) = refused(loaded(flags={"hours": "1"}).plan)

    assert reason == (
        "the window of 1 h has no room for a single phase: start, stop drill and report 20.2 s + idle baseline 10 min + "
        "2 anchors of 2 min + cool-down in reserve 30 min + at least 25 min of stress_test = 1 h 09 min; write a longer "
        "window, shorter parts in the plan, or rehearse a whole night with --hours 8 --compress 1h"
    )


def test_a_phase_that_could_never_be_decided_is_refused() -> None:
    """Twenty operations decide nothing, whatever the window."""
    text = TARGET + "phases:\n  - {name: one, duration: 10s, connections: 2, operations: 5, level: low}\n"
    (reason,) = refused(plan(text))

    assert reason == (
        "one: 2 connections x 1/s x 10 s = 20 operations, 30 are needed; write a duration of at least 14.8 s, more "
        "connections or a faster level"
    )


@pytest.mark.parametrize(("until", "hours"), [("07:00", 9), ("06:30", 8.5), ("21:59", 23 + 59 / 60)])
def test_what_has_to_end_by_a_time_ends_by_it(until: str, hours: float) -> None:
    """The window is the time until then, and the night fits into it."""
    found = loaded(flags={"until": until})
    planned = night(found.plan)

    assert_sound(planned, found.plan)
    assert planned.order.window_s == pytest.approx(hours * 3600)


@pytest.mark.parametrize(
    ("zone", "evening", "hours", "forward"),
    [
        ("Europe/Berlin", "2026-03-28T22:00", 8.0, "forward by 1 h"),
        ("Europe/Berlin", "2026-10-24T22:00", 10.0, "back by 1 h"),
        ("America/New_York", "2026-10-31T22:00", 10.0, "back by 1 h"),
        ("Australia/Lord_Howe", "2026-10-03T22:00", 8.5, "forward by 30 min"),
    ],
)
def test_nights_on_which_the_clock_changes_end_in_time_and_say_so(
    zone: str, evening: str, hours: float, forward: str
) -> None:
    """The real length counts."""
    found = loaded(flags={"until": "07:00"}, zone=zone)
    planned = night(found.plan, now_utc_s=datetime.fromisoformat(evening).replace(tzinfo=ZoneInfo(zone)).timestamp())

    assert_sound(planned, found.plan)
    assert planned.order.window_s == hours * 3600
    (text,) = texts(planned, NoteKind.CLOCK)
    assert forward in text


def test_ten_minutes_are_enough_for_the_default_phases_and_one_target() -> None:
    """The compressed default night decides all error and latency gates; drift is not judged."""
    night_plan = plan()
    planned = night(night_plan, compress_to_s=600.0)

    assert_sound(planned, night_plan)
    assert planned.order.rehearsal
    assert planned.order.compressed_to_s == 600.0
    assert planned.order.window_s == 600.0
    assert planned.order.anchor.operations_expected >= SAMPLES_NEEDED
    assert all(forecast.enough for forecast in planned.forecasts if forecast.gates != "drift")
    (drift,) = [gate for gate in planned.order.gates if gate.kind is GateKind.NO_ANCHOR_DRIFT]
    assert drift.judged == NotJudged(reason="a rehearsal of 10 min is too short for a drift to show")
    (text,) = texts(planned, NoteKind.SAMPLES)
    assert text.endswith("each anchor 14.8 s, warmup 14.8 s")
    assert "REHEARSAL" in texts(planned, NoteKind.REHEARSAL)[0]


@pytest.mark.parametrize("seconds", [300.0, 600.0, 1800.0, 3600.0, 4 * 3600.0])
@pytest.mark.parametrize("hours", ["6", "8", "12"])
def test_compressed_nights_keep_pace_and_criteria(hours: str, seconds: float) -> None:
    """Only durations differ from the night at its planned length."""
    found = loaded(flags={"hours": hours})
    planned, full = night(found.plan, compress_to_s=seconds), night(found.plan)

    assert_sound(planned, found.plan)
    for short, long in zip(planned.order.phases, full.order.phases, strict=True):
        assert (
            dataclasses.replace(
                short,
                ramp_s=long.ramp_s,
                hold_s=long.hold_s,
                operations_expected=long.operations_expected,
                search=long.search,
            )
            == long
        )
    assert planned.order.host_sample_period_s == full.order.host_sample_period_s
    assert planned.order.anchor.operations_per_s == full.order.anchor.operations_per_s


def test_too_short_a_rehearsal_is_refused_with_the_arithmetic_and_the_ways_out() -> None:
    """Every load that would make too few operations is named; both ways out work."""
    night_plan = plan()
    reasons = refused(night_plan, compress_to_s=120.0)

    assert reasons[0].startswith("the anchor load: 2 connections x 1/s x ")
    assert reasons[1].startswith("phase warmup: 2 connections x 1/s x ")
    assert all(re.search(r"= \d+ operations, 30 are needed$", reason) for reason in reasons[:-1])
    found = re.search(r"use --compress (\d+)min or --scale (\d+)$", reasons[-1])
    assert found is not None
    assert_sound(night(night_plan, compress_to_s=60.0 * int(found[1])), night_plan)
    assert_sound(night(night_plan, compress_to_s=120.0, scale=int(found[2])), night_plan)
    assert isinstance(fitted(night_plan, compress_to_s=120.0, scale=int(found[2]) - 1), PlanRefused)


def test_compressing_to_more_than_the_night_is_refused() -> None:
    """It would be no compression."""
    (reason,) = refused(plan(), compress_to_s=9 * 3600.0)

    assert reason == "--compress 9 h is not shorter than the night itself, 8 h; leave it out, or write less"


@pytest.mark.parametrize("seconds", [0.001, 1.0, 30.0])
def test_absurdly_short_rehearsals_are_refused(seconds: float) -> None:
    """Without dividing by what is not there."""
    assert "is too short" in refused(plan(), compress_to_s=seconds)[-1]


def test_the_demo_makes_a_hundred_operations_in_each_phase_and_anchor_within_two_minutes() -> None:
    """Eight phases, nine anchors, 120 s, and less than 250 operations a second."""
    night_plan = plan(DEMO_PLAN)
    planned = night(night_plan, compress_to_s=120.0, host_cpu_count=2)

    assert_sound(planned, night_plan)
    assert len([phase for phase in planned.order.phases if not phase.cut]) == 8
    assert min(phase.operations_expected for phase in planned.order.phases) >= 100
    assert planned.order.anchor.operations_expected >= 100
    assert max(phase.connections * phase.operations_per_s for phase in planned.order.phases) < 250
    assert planned.length_s <= 120 * 0.95 + 1e-6
    assert planned.workers == 1


def test_a_cooldown_below_a_second_is_none() -> None:
    """It would cool nothing."""
    text = DEMO_PLAN.replace("cooldown: 1min", "cooldown: 10s")

    assert night(plan(text), compress_to_s=120.0).order.cooldown_s == 0.0
    assert night(plan(DEMO_PLAN), compress_to_s=120.0).order.cooldown_s >= 1.0


@pytest.mark.parametrize(("scale", "connections"), [(1.0, 3), (0.5, 2), (0.01, 1), (1.5, 5), (4.0, 12)])
def test_scale_multiplies_connections_rounded_up(scale: float, connections: int) -> None:
    """The anchor's, too."""
    text = TARGET + "phases:\n  - {name: one, duration: 1h, connections: 3, operations: 5, level: low}\n"
    planned = night(plan(text), scale=scale)

    assert planned.order.phases[0].connections == connections
    assert planned.order.anchor.connections == connections


@pytest.mark.parametrize("scale", [0.0, -1.0, 1000.1, float("nan")])
def test_a_scale_that_means_nothing_is_refused(scale: float) -> None:
    """Zero, negative, absurd, not a number."""
    answer = fitted(plan(), scale=scale)

    assert isinstance(answer, PlanRefused)
    assert "--scale" in answer.reasons[0]


@pytest.mark.parametrize(
    ("connections", "cores", "workers"), [(250, 4, 1), (251, 4, 2), (1000, 4, 4), (1001, 4, 4), (1001, 2, 2)]
)
def test_load_processes_follow_from_the_highest_rate(connections: int, cores: int, workers: int) -> None:
    """One per 250 operations per second of httpx, at most one per core."""
    text = TARGET + f"phases:\n  - {{name: one, duration: 1h, connections: {connections}, operations: 5, level: low}}\n"
    planned = night(plan(text + "engine: httpx\nanchor: {connections: 5}\n"), host_cpu_count=cores)

    assert planned.workers == workers


@pytest.mark.parametrize(
    ("engine", "workers", "connections"),
    [("httpx", 1, 800), ("httpx", 2, 1600), ("wire", 1, 30_000), ("wire", 2, 60_000)],
)
def test_a_rate_beyond_the_generator_is_refused_with_the_arithmetic(
    engine: str, workers: int, connections: int
) -> None:
    """At the limit the plan runs; one operation a second more, and the night would measure only the generator."""
    pace = max(1, connections // 10_000)

    def answer(extra: int) -> PlannedNight | PlanRefused:
        return fitted(
            plan(
                TARGET + f"engine: {engine}\nworkers: {workers}\nlevels: {{low: {{pace: {pace}}}}}\nphases:\n"
                f"  - {{name: one, duration: 1h, connections: {connections // pace + extra}, operations: 5, level: low}}\n"
                "anchor: {connections: 5, pace: 1}\n"
            )
        )

    assert isinstance(answer(0), PlannedNight)
    over = answer(1)
    assert isinstance(over, PlanRefused)
    (reason,) = over.reasons
    assert f"one asks for {connections + pace:,} operations/s" in reason
    assert f"x {connections / workers:,.0f}/s = {connections:,}/s; write a lower rate or" in reason


def test_an_anchor_with_too_few_operations_leaves_drift_unjudged() -> None:
    """At full length the plan's anchor is the plan's choice; its consequence is said."""
    planned = night(plan(TARGET + "anchor: {duration: 10s}\n"))

    (drift,) = [gate for gate in planned.order.gates if gate.kind is GateKind.NO_ANCHOR_DRIFT]
    assert drift.judged == NotJudged(reason="an anchor makes 20 operations, 30 are needed")
    assert [forecast.subject for forecast in planned.forecasts if not forecast.enough] == ["each anchor", "9 anchors"]


def test_analysis_windows_are_a_thirtieth_of_the_shortest_phase() -> None:
    """At least a second, at most a minute."""
    assert night(plan(), compress_to_s=600.0).order.window_length_s == 1.0
    assert night(plan()).order.window_length_s == 28.0
    text = TARGET + "phases:\n  - {name: one, duration: 2h, connections: 3, operations: 5, level: low}\n"
    assert night(plan(text)).order.window_length_s == 60.0


def test_the_order_survives_being_stored() -> None:
    """It is what the journal and meta.json hold."""
    order = night(plan()).order

    assert from_json_value(NightOrder, to_json_value(order)) == order


def test_a_plan_of_the_largest_size_is_fitted_in_reasonable_time() -> None:
    """64 phases of 5,000 connections: the arithmetic must not hold the command line up."""
    phases = "".join(
        f"  - {{name: p{index}, duration: 10min, connections: 5000, operations: 5, level: low}}\n"
        for index in range(64)
    )
    request = night_request(plan(TARGET + "phases:\n" + phases), NO_INPUTS, 1.0)

    assert {candidate.sample_s for candidate in request.candidates} == {0.1}
