"""The machine by hand: a good night, what health decides, and what happens when time runs out."""

import dataclasses

import pytest

from baseline_metrics.health import KnownScore, UnknownScore
from campaign import night as numbers
from campaign.events import (
    Command,
    Conclude,
    Criteria,
    Drill,
    DrillMissed,
    Event,
    Leave,
    LoadKind,
    LoadReady,
    MeasureIdle,
    PreparationFailed,
    Prepare,
    PrepareLoad,
    ReportFailed,
    ReportWritten,
    ScoreLoad,
    StartLoad,
    WorkerLost,
    WriteAnchor,
    WritePartialReport,
    WriteRecord,
)
from campaign.machine import advance
from campaign.night import Ending, LoadStep, State
from monitoring_logs.records import EndCause, NightOrder, Outcome
from tests.support.machine_walk import (
    START_MONO_S,
    Walk,
    cause_of,
    names,
    to_arming,
    to_concluding,
    to_cooling,
    to_holding,
)
from tests.support.orders import night_order, phase_order

UNKNOWN = UnknownScore(reason="no reading")
SICK = KnownScore(value=40.0)


# A good night ---------------------------------------------------------------------------------------------------------


def rounded(command: Command) -> Command:
    """The same command without what adding up floats leaves behind."""
    if isinstance(command, StartLoad):
        return StartLoad(start_mono_s=round(command.start_mono_s, 6))
    return command


def test_a_good_night_of_two_phases_takes_exactly_these_steps() -> None:
    """Preparation, drill, idle baseline, then anchor and phase twice, a last anchor, and the report; nothing else."""
    walk = Walk()
    walk.to_anchor()
    walk.anchor()
    walk.phase()
    walk.rest()
    walk.anchor()
    walk.phase()
    walk.rest()
    walk.anchor()
    walk.report()

    phase = (State.ANCHOR, State.ARMING, State.RAMPING, State.HOLDING, State.RELEASING, State.COOLING)
    opening = (State.PREPARING, State.DRILLING, State.BASELINING)
    assert tuple(walk.states) == (*opening, *phase, *phase, State.ANCHOR, State.CONCLUDING, State.DONE)
    lead = numbers.START_LEAD_S
    assert tuple(rounded(command) for command in walk.commands) == (
        Prepare(),
        Drill(),
        MeasureIdle(),
        PrepareLoad(kind=LoadKind.ANCHOR, phase=0, ramp_s=1.0, hold_s=9.0),
        StartLoad(start_mono_s=1010.0 + lead),
        ScoreLoad(kind=LoadKind.ANCHOR, phase=0),
        WriteAnchor(phase=0, complete=True, reason="looked at"),
        PrepareLoad(kind=LoadKind.PHASE, phase=0, ramp_s=5.0, hold_s=50.0),
        StartLoad(start_mono_s=1020.0 + 2 * lead),
        ScoreLoad(kind=LoadKind.PHASE, phase=0),
        WriteRecord(phase=0, outcome=Outcome.COMPLETED, reason="looked at"),
        WritePartialReport(),
        PrepareLoad(kind=LoadKind.ANCHOR, phase=1, ramp_s=1.0, hold_s=9.0),
        StartLoad(start_mono_s=1085.0 + 3 * lead),
        ScoreLoad(kind=LoadKind.ANCHOR, phase=1),
        WriteAnchor(phase=1, complete=True, reason="looked at"),
        PrepareLoad(kind=LoadKind.PHASE, phase=1, ramp_s=5.0, hold_s=50.0),
        StartLoad(start_mono_s=1095.0 + 4 * lead),
        ScoreLoad(kind=LoadKind.PHASE, phase=1),
        WriteRecord(phase=1, outcome=Outcome.COMPLETED, reason="looked at"),
        WritePartialReport(),
        PrepareLoad(kind=LoadKind.ANCHOR, phase=-1, ramp_s=1.0, hold_s=9.0),
        StartLoad(start_mono_s=1150.0 + 5 * lead),
        ScoreLoad(kind=LoadKind.ANCHOR, phase=-1),
        WriteAnchor(phase=-1, complete=True, reason="looked at"),
        Conclude(cause=EndCause.FINISHED, detail="the plan was worked through"),
        Leave(),
    )
    assert walk.finish() == []


def test_the_break_includes_the_next_anchor() -> None:
    """A break of 20 s with an anchor of 10 s inside leaves 10 s of rest; after the last phase there is none."""
    walk = to_cooling()
    assert walk.night.timer_mono_s == pytest.approx(walk.at + 10.0)
    walk.rest()
    walk.anchor()
    walk.phase()
    assert walk.night.timer_mono_s == walk.at


@pytest.mark.parametrize(("share", "state"), [(0.999, State.BASELINING), (1.0, State.ANCHOR), (1.001, State.ANCHOR)])
def test_the_idle_host_is_measured_for_its_declared_time(share: float, state: State) -> None:
    """The first anchor's workers come up when the idle time is over, not before."""
    walk = Walk().to_idle()
    walk.wait(10.0 * share)
    assert walk.night.state is state


def test_phases_that_the_planner_cut_say_so_in_their_record() -> None:
    """A cut phase never runs, and its record gives the planner's reason."""
    walk = to_cooling(night_order(phase_order(0), phase_order(1, cut="cut for time")))
    walk.rest()
    assert walk.night.phase == -1
    walk.anchor()
    assert walk.outcomes == ((0, Outcome.COMPLETED), (1, Outcome.NOT_REACHED))
    assert walk.reasons()[-1] == "cut for time"


@pytest.mark.parametrize(
    ("criteria", "outcome"),
    [
        (Criteria.MET, Outcome.COMPLETED),
        (Criteria.NOT_MET, Outcome.FAILED),
        (Criteria.UNKNOWN, Outcome.COMPLETED),
    ],
)
def test_a_phase_that_ran_is_recorded_by_its_criteria(criteria: Criteria, outcome: Outcome) -> None:
    """Missed criteria fail the phase; unknown ones leave the judgement to the morning."""
    walk = to_arming()
    walk.phase(criteria)
    assert walk.outcomes == ((0, outcome),)
    assert walk.broken == []


# Health ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "state"), [(69.9, State.ANCHOR), (70.0, State.ARMING), (70.1, State.ARMING)])
def test_a_phase_needs_its_required_health(value: float, state: State) -> None:
    """Just below the required health the phase does not begin; at it, it does."""
    walk = Walk().to_anchor()
    walk.anchor(KnownScore(value=value))
    assert walk.night.state is state


def test_too_low_a_health_gets_one_more_anchor_and_then_skips_the_phase() -> None:
    """The second anchor decides: SKIPPED, with both the requirement and the score in the reason, then a cool-down."""
    walk = Walk().to_anchor()
    walk.anchor(SICK)
    assert walk.is_in(State.ANCHOR)
    assert walk.night.load is LoadStep.PREPARING
    commands = walk.anchor(SICK)
    assert names(commands) == ("WriteAnchor", "WriteRecord", "WritePartialReport")
    assert walk.outcomes == ((0, Outcome.SKIPPED),)
    assert "required health 70" in walk.reasons()[0]
    assert "40.0" in walk.reasons()[0]
    assert walk.night.timer_mono_s == pytest.approx(walk.at + walk.order.cooldown_s)


def test_one_more_anchor_may_rescue_the_phase() -> None:
    """When the second anchor is healthy, the phase begins."""
    walk = Walk().to_anchor()
    walk.anchor(SICK)
    walk.anchor()
    assert walk.is_in(State.ARMING)
    assert walk.broken == []


def test_unknown_health_never_lets_a_phase_begin() -> None:
    """No score is treated as too low a score, whatever the phase requires."""
    walk = Walk(night_order(phase_order(0, required_health=0.0))).to_anchor()
    walk.anchor(UNKNOWN)
    walk.anchor(UNKNOWN)
    assert State.ARMING not in walk.states
    assert walk.outcomes == ((0, Outcome.SKIPPED),)
    assert "unknown" in walk.reasons()[0]


@pytest.mark.parametrize("allowed", [1, 2])
def test_the_baselines_band_bounds_how_many_phases_run(allowed: int) -> None:
    """Phases beyond the band are NOT_REACHED, with the band in the reason."""
    walk = Walk().to_anchor()
    walk.run_load()
    walk.baseline(allowed)
    walk.scored()
    while walk.night.state is not State.CONCLUDING:
        if walk.night.state is State.ARMING:
            walk.phase()
        elif walk.night.state is State.COOLING:
            walk.rest()
        else:
            walk.anchor()
    ran = [index for index, outcome in walk.outcomes if outcome is Outcome.COMPLETED]
    assert len(ran) == allowed
    assert len(walk.outcomes) == 2
    if allowed == 1:
        assert "allows 1 phases" in walk.reasons()[-1]
    assert walk.broken == []


def test_a_band_counts_only_phases_that_are_not_cut() -> None:
    """A cut phase does not use up the band."""
    walk = Walk(night_order(phase_order(0, cut="cut for time"), phase_order(1), phase_order(2))).to_anchor()
    walk.run_load()
    walk.baseline(1)
    walk.scored()
    walk.phase()
    walk.rest()
    walk.anchor()
    assert sorted(walk.outcomes) == [(0, Outcome.NOT_REACHED), (1, Outcome.COMPLETED), (2, Outcome.NOT_REACHED)]


@pytest.mark.parametrize("score", [SICK, UNKNOWN])
def test_a_night_whose_baseline_allows_nothing_is_refused(score: KnownScore | UnknownScore) -> None:
    """One more anchor, then the end: HEALTH_REFUSED, no phase ran, and the night is DONE."""
    walk = Walk().to_anchor()
    for _ in range(2):
        walk.run_load()
        walk.baseline(0, score)
        walk.scored(score)
    assert cause_of(walk.night) is EndCause.HEALTH_REFUSED
    assert {outcome for _, outcome in walk.outcomes} == {Outcome.NOT_REACHED}
    walk.report()
    assert walk.is_in(State.DONE)
    assert walk.finish() == []


def test_an_unknown_baseline_allows_nothing_whatever_it_says() -> None:
    """A baseline without a score allows no phase, even if a number comes with it."""
    walk = Walk().to_anchor()
    walk.run_load()
    walk.baseline(8, UNKNOWN)
    assert walk.night.phases_allowed == 0


@pytest.mark.parametrize(("failures", "state"), [(2, State.ANCHOR), (3, State.CONCLUDING)])
def test_consecutive_failures_halt_the_night(failures: int, state: State) -> None:
    """Just below the limit the night goes on, at it the night ends with FAILURES."""
    walk = Walk(night_order(*(phase_order(index) for index in range(6)))).to_anchor()
    walk.anchor()
    for number in range(failures):
        walk.phase(Criteria.NOT_MET)
        walk.rest()
        if number < failures - 1:
            walk.anchor()
    assert walk.night.state is state
    if state is State.CONCLUDING:
        assert cause_of(walk.night) is EndCause.FAILURES
        assert len(walk.outcomes) == 6


def test_a_phase_that_passes_ends_a_row_of_failures() -> None:
    """Failures count only one after another."""
    walk = to_arming(night_order(*(phase_order(index) for index in range(3)), consecutive_failures_max=2))
    for criteria in (Criteria.NOT_MET, Criteria.MET, Criteria.NOT_MET):
        walk.phase(criteria)
        walk.rest()
        walk.anchor()
    assert cause_of(walk.night) is EndCause.FINISHED


def test_a_failure_earns_a_cool_down() -> None:
    """After a failed phase the rest is the cool-down instead of the break."""
    walk = to_arming()
    walk.phase(Criteria.NOT_MET)
    assert walk.night.timer_mono_s == pytest.approx(walk.at + walk.order.cooldown_s)


# Time that runs out ---------------------------------------------------------------------------------------------------
TAIL_S = 2 * numbers.DRAIN_S_EXPECTED + numbers.ARMING_S_EXPECTED + 10.0
"""What has to fit behind a phase of the test's order: two drains, and the last anchor of 10 s."""


def late_arming(hold_left_s: float) -> Walk:
    """The first anchor is scored when just this much hold still fits into the window."""
    walk = Walk().to_anchor()
    walk.run_load()
    walk.baseline(2)
    walk.at = walk.end_by - TAIL_S - 5.0 - hold_left_s - numbers.ARMING_S_EXPECTED
    walk.scored()
    return walk


@pytest.mark.parametrize(("hold_left_s", "held_s"), [(60.0, 50.0), (50.0, 50.0), (49.0, 49.0), (25.0, 25.0)])
def test_a_late_phase_holds_as_long_as_still_fits(hold_left_s: float, held_s: float) -> None:
    """Down to half of its planned hold a late phase runs, shortened to what ends within the window."""
    walk = late_arming(hold_left_s)
    assert walk.is_in(State.ARMING)
    assert walk.night.hold_s == pytest.approx(held_s)
    prepare = walk.commands[-1]
    assert isinstance(prepare, PrepareLoad)
    assert prepare.hold_s == walk.night.hold_s


def test_a_phase_that_would_hold_less_than_half_is_not_reached() -> None:
    """Just below half of the planned hold there is no phase any more, and its record says why."""
    walk = late_arming(50.0 * numbers.HOLD_SHARE_MIN - 0.001)
    assert walk.is_in(State.COOLING)
    assert walk.outcomes == ((0, Outcome.NOT_REACHED),)
    assert "too short" in walk.reasons()[0]


def test_a_shortened_phase_says_so_in_its_record() -> None:
    """The reason names the hold that was achieved and the one that was planned."""
    walk = late_arming(30.0)
    walk.phase()
    assert walk.reasons()[0].startswith("held 30.0 s of 50.0 s, the night was late")


def test_phases_that_do_not_fit_any_more_are_not_reached_and_the_last_anchor_still_runs() -> None:
    """With too little left for any phase but enough for an anchor, the night ends with its last anchor."""
    walk = to_cooling()
    walk.wait_until(walk.end_by - 20.0)
    assert walk.outcomes == ((0, Outcome.COMPLETED), (1, Outcome.NOT_REACHED))
    assert walk.is_in(State.ANCHOR)
    assert walk.night.phase == -1


@pytest.mark.parametrize(
    ("left_s", "state"), [(11.001, State.ANCHOR), (11.0, State.ANCHOR), (10.999, State.CONCLUDING)]
)
def test_the_last_anchor_runs_only_if_it_still_fits(left_s: float, state: State) -> None:
    """An anchor of 10 s and its arming have to end within the window; else the night ends without it."""
    walk = to_cooling()
    walk.wait_until(walk.end_by - left_s)
    assert walk.night.state is state


# The beginning and the end --------------------------------------------------------------------------------------------


def test_a_night_that_could_not_be_prepared_makes_no_load_and_reports_why() -> None:
    """RUNNER_FAULT with the detail, all phases NOT_REACHED."""
    walk = Walk()
    walk.start()
    walk.feed(PreparationFailed(at_mono_s=walk.at, detail="the guardian did not start"))
    assert walk.commands[-1] == Conclude(cause=EndCause.RUNNER_FAULT, detail="the guardian did not start")
    walk.report()
    assert walk.is_in(State.STOPPED)
    assert walk.finish() == []


def test_a_missed_drill_makes_no_load() -> None:
    """A stop that does not work is the end of the night."""
    walk = Walk().to_drill()
    walk.feed(DrillMissed(at_mono_s=walk.at, detail="stop file took 3 s"))
    assert walk.commands[-1] == Conclude(cause=EndCause.DRILL_MISSED, detail="stop file took 3 s")
    assert not any(isinstance(command, PrepareLoad) for command in walk.commands)
    assert walk.broken == []


def test_load_never_starts_without_a_passed_drill() -> None:
    """Even a night that stands before its first load by mistake starts none."""
    walk = Walk().to_anchor()
    night = dataclasses.replace(walk.night, drilled=False)
    _, commands = advance(night, LoadReady(at_mono_s=walk.at))
    assert names(commands) == ("EndLoad",)


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize(
    ("cause", "state"),
    [
        (EndCause.FINISHED, State.DONE),
        (EndCause.FAILURES, State.DONE),
        (EndCause.HEALTH_REFUSED, State.DONE),
        (EndCause.OPERATOR_STOP, State.STOPPED),
        (EndCause.EMERGENCY_STOP, State.STOPPED),
        (EndCause.GUARDIAN_STOP, State.STOPPED),
        (EndCause.DRILL_MISSED, State.STOPPED),
        (EndCause.GUARDIAN_LOST, State.STOPPED),
        (EndCause.RUNNER_FAULT, State.STOPPED),
    ],
)
def test_the_last_state_tells_whether_the_night_was_worked_through(
    cause: EndCause,
    state: State,
    written: bool,  # noqa: FBT001 - a row
) -> None:
    """DONE for nights that ended by themselves, STOPPED for all others, with the report or without it."""
    walk = to_concluding()
    night = dataclasses.replace(walk.night, end=Ending(cause=cause, detail="test"))
    event: Event = ReportWritten(at_mono_s=walk.at) if written else ReportFailed(at_mono_s=walk.at, detail="disk full")
    after, commands = advance(night, event)
    assert after.state is state
    assert commands == (Leave(),)


@pytest.mark.parametrize("count", [1, 2, 64])
def test_a_night_of_any_length_gives_each_phase_exactly_one_record(count: int) -> None:
    """One, two or sixty-four phases, some cut: one record each, in the end."""
    phases = (phase_order(index, cut="cut for time" if index % 5 == 4 else "") for index in range(count))
    walk = Walk(night_order(*phases, window_s=100_000.0)).to_anchor()
    while walk.night.state is not State.CONCLUDING:
        if walk.night.state is State.ARMING:
            walk.phase()
        elif walk.night.state is State.COOLING:
            walk.rest()
        else:
            walk.anchor()
    walk.report()
    assert sorted(index for index, _ in walk.outcomes) == list(range(count))
    assert walk.finish() == []


def order_of_one() -> NightOrder:
    """A night of one phase."""
    return night_order(phase_order(0))


def test_the_machine_is_pure() -> None:
    """The same night and event give the same result, and the night that was given is not changed."""
    walk = to_holding(order_of_one())
    night = walk.night
    event = WorkerLost(at_mono_s=walk.at, outcome=Outcome.WORKER_CRASHED, detail="worker 1")
    first, second = advance(night, event), advance(night, event)
    assert first == second
    assert night == walk.night
    assert walk.at > START_MONO_S
