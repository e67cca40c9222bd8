"""The machine by hand: lost workers, answers out of turn, events that it does not know, and every deadline."""

import math
from collections.abc import Callable

import pytest

from baseline_metrics.health import KnownScore
from campaign import night as numbers
from campaign.events import (
    Criteria,
    DrillMissed,
    DrillPassed,
    EndLoad,
    Event,
    GuardianLost,
    GuardianMoved,
    LoadReady,
    LoadRefused,
    LoadScored,
    LoadZero,
    PreparationDone,
    PreparationFailed,
    ReportFailed,
    ReportWritten,
    RunnerFault,
    Started,
    StopRequested,
    WorkerLost,
)
from campaign.machine import TABLE, advance
from campaign.night import LIVE, LOADED, TERMINAL, Ending, LoadStep, State
from monitoring_logs.records import EndCause, Outcome
from safety_monitoring.limits import Rung
from tests.support.machine_walk import (
    IN_STATE,
    VALID,
    Walk,
    cause_of,
    names,
    ordered,
    to_arming,
    to_concluding,
    to_cooling,
    to_holding,
    to_releasing,
    to_stopping,
)
from tests.support.orders import DRAIN_S

SICK = KnownScore(value=40.0)


# Workers and answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [Outcome.WORKER_CRASHED, Outcome.WORKER_HUNG, Outcome.OOM_KILLED])
@pytest.mark.parametrize("state", [State.ARMING, *ordered(LOADED), State.RELEASING])
def test_a_lost_worker_ends_its_phase_with_its_own_outcome(state: State, outcome: Outcome) -> None:
    """The others are sent away, the record names how the worker was lost, and the night goes on after a cool-down."""
    walk = IN_STATE[state]()
    commands = walk.feed(WorkerLost(at_mono_s=walk.at, outcome=outcome, detail="worker 2"))
    assert commands == (EndLoad(reason="worker 2"),)
    walk.zero()
    assert walk.outcomes == ((0, outcome),)
    assert walk.is_in(State.COOLING)


def test_a_lost_worker_during_an_anchor_skips_the_phase() -> None:
    """Without an anchor there is no health; the reason says what happened."""
    walk = IN_STATE[State.ANCHOR]()
    walk.feed(WorkerLost(at_mono_s=walk.at, outcome=Outcome.WORKER_CRASHED, detail="worker 1 ended"))
    walk.zero()
    assert walk.outcomes == ((0, Outcome.SKIPPED),)
    assert "worker 1 ended" in walk.reasons()[0]


MAKING = frozenset({State.ARMING, State.RELEASING, State.ANCHOR, State.HELD, State.SEARCHING})


@pytest.mark.parametrize("state", ordered(frozenset(State) - LOADED - MAKING))
def test_a_lost_worker_without_load_changes_nothing(state: State) -> None:
    """Workers may be gone between loads; the next load brings up what is missing."""
    walk = IN_STATE[state]()
    before = walk.night
    assert walk.feed(WorkerLost(at_mono_s=walk.at, outcome=Outcome.WORKER_CRASHED, detail="idle")) == ()
    assert walk.night == before


@pytest.mark.parametrize("make", [lambda: Walk().to_anchor(), to_arming])
def test_a_refused_load_is_our_fault_and_the_night_goes_on(make: Callable[[], Walk]) -> None:
    """The workers are sent away; the phase is recorded as RUNNER_FAULT or, without its anchor, as SKIPPED."""
    walk = make()
    outcome = Outcome.SKIPPED if walk.night.state is State.ANCHOR else Outcome.RUNNER_FAULT
    assert names(walk.feed(LoadRefused(at_mono_s=walk.at, detail="no guardian"))) == ("EndLoad",)
    walk.zero()
    assert walk.outcomes == ((0, outcome),)
    assert "no guardian" in walk.reasons()[0]


@pytest.mark.parametrize("state", ordered(LOADED))
def test_load_that_ends_before_its_time_is_not_completed(state: State) -> None:
    """Nobody makes load any more and the time is not over: the phase is not what was asked for."""
    walk = IN_STATE[state]()
    assert names(walk.zero()) == ("EndLoad",)
    walk.zero()
    assert walk.outcomes == ((0, Outcome.WORKER_CRASHED),)


@pytest.mark.parametrize("event", [LoadReady, LoadRefused])
def test_answers_that_come_while_the_load_is_taken_away_change_nothing(
    event: type[LoadReady] | type[LoadRefused],
) -> None:
    """A LoadReady or LoadRefused that was already on its way is known, and nothing follows."""
    for walk in (Walk().to_anchor(), to_arming()):
        walk.moved(Rung.STOP_PHASE)
        before = walk.night
        late = LoadReady(at_mono_s=walk.at) if event is LoadReady else LoadRefused(at_mono_s=walk.at, detail="late")
        assert walk.feed(late) == ()
        assert walk.night == before
        assert walk.broken == []


LATE: tuple[Event, ...] = (
    LoadReady(at_mono_s=1030.0),
    LoadRefused(at_mono_s=1030.0, detail="late"),
    LoadZero(at_mono_s=1030.0),
    LoadScored(at_mono_s=1030.0, score=SICK, criteria=Criteria.MET, generator=VALID, detail="late"),
    StopRequested(at_mono_s=1030.0, detail="late"),
    GuardianLost(at_mono_s=1030.0, detail="late"),
    RunnerFault(at_mono_s=1030.0, detail="late"),
    GuardianMoved(at_mono_s=1030.0, rung=Rung.CLEAR, why="late"),
    WorkerLost(at_mono_s=1030.0, outcome=Outcome.WORKER_CRASHED, detail="late"),
)


@pytest.mark.parametrize("event", LATE, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("state", [State.CONCLUDING, State.DONE, State.STOPPED])
def test_late_messages_after_the_end_change_nothing(state: State, event: Event) -> None:
    """Once the end is stored, only the report and the clock matter."""
    walk = IN_STATE[state]()
    before = walk.night
    after, commands = advance(before, event)
    assert commands == ()
    assert after == before


@pytest.mark.parametrize("event", LATE[:2], ids=lambda event: type(event).__name__)
def test_late_answers_while_stopping_start_nothing(event: Event) -> None:
    """A load that becomes ready during a stop stays where it is."""
    walk = to_stopping()
    assert walk.feed(event) == ()
    assert walk.is_in(State.STOPPING)


# What the table does not know -----------------------------------------------------------------------------------------
EVERY_EVENT: tuple[Event, ...] = (
    *LATE,
    Started(at_mono_s=1030.0, end_by_mono_s=2000.0),
    PreparationDone(at_mono_s=1030.0),
    PreparationFailed(at_mono_s=1030.0, detail="late"),
    DrillPassed(at_mono_s=1030.0),
    DrillMissed(at_mono_s=1030.0, detail="late"),
    ReportWritten(at_mono_s=1030.0),
    ReportFailed(at_mono_s=1030.0, detail="late"),
)


@pytest.mark.parametrize("state", ordered(LIVE))
def test_an_event_that_the_table_does_not_know_is_our_fault(state: State) -> None:
    """It names event and state, takes the load away, and ends the night as RUNNER_FAULT."""
    unknown = [event for event in EVERY_EVENT if (state, type(event)) not in TABLE]
    assert unknown
    for event in unknown:
        walk = IN_STATE[state]()
        walk.feed(event)
        assert cause_of(walk.night) is EndCause.RUNNER_FAULT
        assert isinstance(walk.night.end, Ending)
        assert walk.night.end.detail == f"{type(event).__name__} is not known in {state.value}"
        if walk.night.state is State.STOPPING:
            walk.zero()
        walk.report()
        assert walk.finish() == []


@pytest.mark.parametrize(
    ("make", "step"),
    [(to_cooling, LoadStep.NONE), (to_releasing, LoadStep.DRAINING), (IN_STATE[State.ANCHOR], LoadStep.RUNNING)],
)
def test_an_answer_that_nobody_waits_for_is_our_fault(make: Callable[[], Walk], step: LoadStep) -> None:
    """A score for a load that is not being scored ends the night; it is never taken for the next one's."""
    walk = make()
    assert walk.night.load is step
    walk.scored()
    assert cause_of(walk.night) is EndCause.RUNNER_FAULT
    assert walk.broken == []


# Deadlines ------------------------------------------------------------------------------------------------------------


def scoring(make: Callable[[], Walk]) -> Walk:
    """A load that has drained and is being looked at."""
    walk = make()
    walk.wait_until(walk.night.timer_mono_s)
    walk.zero()
    return walk


def ending(make: Callable[[], Walk]) -> Walk:
    """A load that is being taken away."""
    walk = make()
    walk.moved(Rung.STOP_PHASE)
    return walk


def draining_anchor() -> Walk:
    """An anchor whose time is over."""
    walk = IN_STATE[State.ANCHOR]()
    walk.wait_until(walk.night.timer_mono_s)
    return walk


def blocked(make: Callable[[], Walk]) -> Walk:
    """A rest in which the host does not get clear."""
    walk = make()
    walk.moved(Rung.EASE)
    return walk


def stopping_at_once() -> Walk:
    """An emergency stop under load."""
    walk = to_holding()
    walk.emergency()
    return walk


RUN_SLACK_S = DRAIN_S + numbers.LOAD_SLACK_S

DEADLINES = [
    ("preparing", IN_STATE[State.PREPARING], numbers.PREPARING_S_MAX, State.CONCLUDING),
    ("drilling", IN_STATE[State.DRILLING], numbers.DRILLING_S_MAX, State.CONCLUDING),
    (
        "baselining, blocked",
        lambda: blocked(IN_STATE[State.BASELINING]),
        10.0 + numbers.COOLING_BLOCKED_S_MAX,
        State.CONCLUDING,
    ),
    ("anchor preparing", lambda: Walk().to_anchor(), numbers.ARMING_S_MAX, State.ANCHOR),
    ("anchor draining", draining_anchor, RUN_SLACK_S, State.ANCHOR),
    ("anchor scoring", lambda: scoring(IN_STATE[State.ANCHOR]), numbers.SCORING_S_MAX, State.ANCHOR),
    ("anchor ending", lambda: ending(IN_STATE[State.ANCHOR]), numbers.ENDING_S_MAX, State.STOPPING),
    ("arming", to_arming, numbers.ARMING_S_MAX, State.RELEASING),
    ("releasing, draining", to_releasing, RUN_SLACK_S, State.RELEASING),
    ("releasing, scoring", lambda: scoring(to_holding), numbers.SCORING_S_MAX, State.RELEASING),
    ("releasing, ending", lambda: ending(to_holding), numbers.ENDING_S_MAX, State.STOPPING),
    ("cooling, blocked", lambda: blocked(to_cooling), 10.0 + numbers.COOLING_BLOCKED_S_MAX, State.CONCLUDING),
    ("stopping at once", stopping_at_once, numbers.STOPPING_S_MAX, State.CONCLUDING),
    ("concluding", to_concluding, numbers.CONCLUDING_S_MAX, State.STOPPED),
]


@pytest.mark.parametrize(
    ("make", "after_s", "state"), [row[1:] for row in DEADLINES], ids=[str(row[0]) for row in DEADLINES]
)
@pytest.mark.parametrize("beyond_s", [-0.001, 0.0, 0.001, 1000.0])
def test_every_state_has_its_deadline(make: Callable[[], Walk], after_s: float, state: State, beyond_s: float) -> None:
    """Just below it nothing happens; at and after it the state or the load is left, and the invariants hold."""
    walk = make()
    before = walk.night
    assert before.deadline_mono_s == pytest.approx(walk.at + after_s)
    commands = walk.wait_until(before.deadline_mono_s + beyond_s)
    if beyond_s < 0:
        assert walk.night == before
        assert commands == ()
    else:
        assert walk.night.state is state
        assert (walk.night.state, walk.night.load) != (before.state, before.load)
        assert commands
    assert walk.broken == []


@pytest.mark.parametrize("state", ordered(LOADED))
def test_load_ends_by_the_clock_and_a_deadline_stands_behind_it(state: State) -> None:
    """A loaded state is left when its time is over, whatever was missed; its deadline lies a drain and a slack later."""
    walk = IN_STATE[state]()
    assert walk.night.deadline_mono_s == pytest.approx(walk.night.load_end_mono_s + RUN_SLACK_S)
    late = walk.night.deadline_mono_s + 1.0
    while walk.night.state in LOADED:
        walk.wait_until(late)
    assert walk.is_in(State.RELEASING)


@pytest.mark.parametrize("state", ordered(frozenset(State) - TERMINAL))
def test_no_state_but_the_last_waits_for_ever(state: State) -> None:
    """Every state that a night can be in has a finite deadline, and ticks alone lead to the end."""
    walk = IN_STATE[state]()
    assert math.isfinite(walk.night.deadline_mono_s)
    for _ in range(200):
        if walk.night.state in TERMINAL:
            break
        walk.wait_until(min(walk.night.timer_mono_s, walk.night.deadline_mono_s))
        if walk.night.timer_mono_s <= walk.at < walk.night.deadline_mono_s:
            walk.wait_until(walk.night.deadline_mono_s)
    assert walk.night.state in TERMINAL
    assert walk.finish() == []


def test_load_that_cannot_be_proven_zero_is_killed_once_more_and_the_report_says_so() -> None:
    """The end's detail names it, and the last command before the record is another EndLoad."""
    walk = stopping_at_once()
    commands = walk.wait(numbers.STOPPING_S_MAX)
    assert names(commands) == ("EndLoad", "WriteRecord", "WriteRecord", "Conclude")
    assert isinstance(walk.night.end, Ending)
    assert "could not be proven zero within 10 s" in walk.night.end.detail
    assert walk.broken == []
