"""The machine by hand: what the guardian and people do to a night, in every state."""

from collections.abc import Callable

import pytest

from baseline_metrics.health import UnknownScore
from campaign import night as numbers
from campaign.events import (
    AskReturn,
    EmergencyStopped,
    EndLoad,
    Event,
    GuardianLost,
    GuardianMoved,
    Latch,
    ReleaseLoad,
    RunnerFault,
    StartLoad,
    StopRequested,
    WorkerLost,
    WriteAnchor,
)
from campaign.night import LIVE, LOADED, TERMINAL, LoadStep, State
from monitoring_logs.records import EndCause, Outcome
from safety_monitoring.limits import Rung
from tests.support.machine_walk import (
    IN_STATE,
    Walk,
    cause_of,
    names,
    ordered,
    to_arming,
    to_concluding,
    to_cooling,
    to_holding,
    to_ramping,
    to_stopping,
)
from tests.support.orders import night_order, phase_order

# The guardian ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rung", "state"), [(Rung.EASE, State.EASED), (Rung.PAUSE, State.PAUSED)])
def test_a_phase_that_the_guardian_eased_goes_on_and_is_recorded_as_eased(rung: Rung, state: State) -> None:
    """Its time goes on, nothing is commanded, load returns on two keys, and the record says EASED."""
    walk = to_holding()
    assert walk.moved(rung) == ()
    assert walk.night.state is state
    timer = walk.night.timer_mono_s
    walk.wait(10.0)
    assert walk.clear() == (AskReturn(),)
    assert walk.is_in(State.HOLDING)
    assert walk.night.timer_mono_s == timer
    walk.wait_until(timer)
    walk.zero()
    walk.scored()
    assert walk.outcomes == ((0, Outcome.EASED),)
    assert walk.broken == []


@pytest.mark.parametrize("rung", [Rung.EASE, Rung.PAUSE])
def test_load_that_never_returns_ends_with_its_time(rung: Rung) -> None:
    """A phase may end while it is eased or paused."""
    walk = to_holding()
    walk.moved(rung)
    walk.rest()
    assert walk.is_in(State.RELEASING)


def test_load_that_returns_during_the_ramp_goes_on_ramping() -> None:
    """Eased in the ramp and cleared in the ramp: RAMPING again, and HOLDING when the ramp is over."""
    walk = to_ramping()
    walk.wait(1.0)
    walk.moved(Rung.EASE)
    walk.wait(1.0)
    walk.clear()
    assert walk.is_in(State.RAMPING)
    walk.rest()
    assert walk.is_in(State.HOLDING)


def test_load_that_returns_after_the_ramp_is_holding() -> None:
    """Eased in the ramp and cleared after its end: HOLDING, and the phase ends at its planned time."""
    walk = to_ramping()
    walk.moved(Rung.PAUSE)
    walk.wait(20.0)
    walk.clear()
    assert walk.is_in(State.HOLDING)
    assert walk.night.timer_mono_s == pytest.approx(walk.night.load_end_mono_s)


@pytest.mark.parametrize("state", [State.ARMING, *ordered(LOADED), State.RELEASING])
def test_the_guardian_stops_a_phase_wherever_it_stands(state: State) -> None:
    """The load is ended at once, the record says SAFETY_STOP, a cool-down follows, and the night goes on when clear."""
    walk = IN_STATE[state]()
    assert names(walk.moved(Rung.STOP_PHASE)) == ("EndLoad",)
    assert walk.is_in(State.RELEASING)
    walk.zero()
    assert walk.outcomes == ((0, Outcome.SAFETY_STOP),)
    assert walk.is_in(State.COOLING)
    walk.rest()
    assert walk.is_in(State.COOLING), "the ladder is not clear yet"
    walk.clear()
    walk.wait(0.0)
    assert walk.is_in(State.ANCHOR)
    assert walk.broken == []


def test_an_anchor_that_the_guardian_stopped_is_tried_once_more_after_a_cool_down() -> None:
    """The host was the cause: one more try; a second stop skips the phase, because its health stays unknown."""
    walk = IN_STATE[State.ANCHOR]()
    for attempt in (1, 2):
        assert names(walk.moved(Rung.STOP_PHASE)) == ("EndLoad",)
        walk.zero()
        assert walk.is_in(State.COOLING)
        assert walk.night.timer_mono_s == pytest.approx(walk.at + walk.order.cooldown_s)
        if attempt == 1:
            assert walk.outcomes == ()
            walk.clear()
            walk.rest()
            walk.ready()
    assert walk.outcomes == ((0, Outcome.SKIPPED),)
    assert sum(isinstance(command, WriteAnchor) for command in walk.commands) == 2
    assert walk.broken == []


def test_an_eased_anchor_gives_no_health() -> None:
    """What was measured under a lowered share says nothing: the anchor is incomplete and one more follows."""
    walk = IN_STATE[State.ANCHOR]()
    walk.moved(Rung.EASE)
    walk.clear()
    walk.wait_until(walk.night.timer_mono_s)
    walk.zero()
    walk.baseline(2)
    commands = walk.scored()
    assert commands[0] == WriteAnchor(phase=0, complete=False, reason="the guardian eased it")
    assert isinstance(walk.night.score, UnknownScore)
    assert walk.is_in(State.ANCHOR)
    assert walk.broken == []


def test_a_last_anchor_that_was_cut_off_ends_the_night_as_finished() -> None:
    """Nothing follows the last anchor: its record says that it is incomplete, and the plan was worked through."""
    walk = to_cooling(night_order(phase_order(0)))
    walk.rest()
    walk.ready()
    walk.feed(WorkerLost(at_mono_s=walk.at, outcome=Outcome.OOM_KILLED, detail="signal 9"))
    walk.zero()
    assert cause_of(walk.night) is EndCause.FINISHED
    assert walk.commands[-2] == WriteAnchor(phase=-1, complete=False, reason="signal 9")


@pytest.mark.parametrize("rung", [Rung.EASE, Rung.PAUSE, Rung.STOP_PHASE])
def test_workers_that_are_ready_while_the_guardian_is_not_clear_are_sent_away(rung: Rung) -> None:
    """No load starts below CLEAR, though everything else is in place."""
    walk = Walk().to_idle()
    walk.wait_until(walk.night.timer_mono_s)
    walk.moved(Rung.EASE)
    assert names(walk.ready()) == ("EndLoad",)
    walk = to_arming()
    walk.moved(rung)
    if rung is not Rung.STOP_PHASE:
        assert names(walk.ready()) == ("EndLoad",)
    assert not any(isinstance(command, StartLoad) for command in walk.commands[-2:])
    assert walk.broken == []


def test_the_host_has_to_be_clear_before_the_next_load() -> None:
    """Rest alone is not enough: while the ladder is not clear the night waits, and goes on as soon as it is."""
    walk = to_cooling()
    walk.moved(Rung.EASE)
    walk.rest()
    walk.wait(60.0)
    assert walk.is_in(State.COOLING)
    walk.clear()
    walk.wait(0.0)
    assert walk.is_in(State.ANCHOR)


@pytest.mark.parametrize("state", ordered(LIVE))
def test_our_key_is_turned_whenever_the_guardians_is(state: State) -> None:
    """While the night goes on, each GuardianClear is answered with our key, and nothing else."""
    walk = IN_STATE[state]()
    before = walk.night
    assert walk.feed(GuardianMoved(at_mono_s=walk.at, rung=Rung.CLEAR, why="clear")) == ()
    walk.night = before
    assert walk.clear() == (AskReturn(),)


@pytest.mark.parametrize("make", [to_stopping, to_concluding])
def test_after_a_stop_our_key_stays_out(make: Callable[[], Walk]) -> None:
    """No load is asked to return once the night ends."""
    walk = make()
    assert walk.clear() == ()
    assert walk.broken == []


# Stops ----------------------------------------------------------------------------------------------------------------


def stop_events(at: float) -> tuple[tuple[Event, EndCause], ...]:
    """Everything that ends a night from outside, with the cause that it gives."""
    return (
        (StopRequested(at_mono_s=at, detail="SIGTERM"), EndCause.OPERATOR_STOP),
        (EmergencyStopped(at_mono_s=at, detail="STOP file"), EndCause.EMERGENCY_STOP),
        (GuardianLost(at_mono_s=at, detail="pipe closed"), EndCause.GUARDIAN_LOST),
        (RunnerFault(at_mono_s=at, detail="disk full"), EndCause.RUNNER_FAULT),
        (GuardianMoved(at_mono_s=at, rung=Rung.STOP_CAMPAIGN, why="memory 96 %"), EndCause.GUARDIAN_STOP),
    )


OUTCOME_OF_CAUSE = {
    EndCause.OPERATOR_STOP: Outcome.OPERATOR_STOP,
    EndCause.EMERGENCY_STOP: Outcome.OPERATOR_STOP,
    EndCause.GUARDIAN_LOST: Outcome.GUARDIAN_LOST,
    EndCause.RUNNER_FAULT: Outcome.RUNNER_FAULT,
    EndCause.GUARDIAN_STOP: Outcome.SAFETY_STOP,
}

IN_A_PHASE = (*LOADED, State.HELD, State.ARMING, State.RELEASING)


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("state", ordered(LIVE))
def test_every_live_state_can_be_stopped(state: State, number: int) -> None:
    """Each stop takes the load away in the same step, gives every phase its record, and the night ends as STOPPED."""
    walk = IN_STATE[state]()
    event, cause = stop_events(walk.at)[number]
    loaded = walk.night.load in (LoadStep.PREPARING, LoadStep.RUNNING, LoadStep.DRAINING)
    commands = walk.feed(event)
    if loaded:
        assert walk.is_in(State.STOPPING)
        wanted = ReleaseLoad if isinstance(event, StopRequested) else EndLoad
        assert sum(isinstance(command, wanted) for command in commands) == 1
        walk.zero()
    assert walk.is_in(State.CONCLUDING)
    walk.report()
    assert walk.is_in(State.STOPPED)
    assert cause_of(walk.night) is cause
    records = dict(walk.outcomes)
    assert len(walk.outcomes) == len(records) == 2
    if state in IN_A_PHASE:
        assert records[0] is OUTCOME_OF_CAUSE[cause]
    latches = [command for command in walk.commands if isinstance(command, Latch)]
    assert len(latches) == (1 if cause is EndCause.EMERGENCY_STOP else 0)
    assert walk.finish() == []


@pytest.mark.parametrize("state", ordered(State))
def test_an_emergency_stop_latches_in_every_state(state: State) -> None:
    """Even after the end: what a person stops at once stays stopped."""
    walk = IN_STATE[state]()
    commands = walk.emergency()
    assert Latch(detail="STOP file") in commands
    assert walk.night.latched
    if state in {State.CONCLUDING, *TERMINAL}:
        assert walk.night.state is state


def test_an_emergency_stop_during_an_orderly_one_ends_what_drains_and_gives_its_cause() -> None:
    """The second Ctrl-C: load off now, latched, and the night's cause is the emergency stop."""
    walk = to_stopping()
    assert names(walk.emergency()) == ("Latch", "EndLoad")
    walk.zero()
    assert cause_of(walk.night) is EndCause.EMERGENCY_STOP
    assert walk.broken == []


def test_an_emergency_stop_while_the_report_is_written_keeps_the_nights_cause() -> None:
    """The night had ended before; the latch is set all the same."""
    walk = to_concluding()
    walk.emergency()
    assert cause_of(walk.night) is EndCause.OPERATOR_STOP


@pytest.mark.parametrize(("waited_s", "ends"), [(-0.001, False), (0.0, True), (0.001, True)])
def test_an_orderly_stop_ends_what_has_not_drained_in_time(waited_s: float, ends: bool) -> None:  # noqa: FBT001 - a row
    """What is in flight may drain for ORDERLY_RELEASE_S, then the load is taken away, once."""
    walk = to_stopping()
    commands = walk.wait_until(walk.at + numbers.ORDERLY_RELEASE_S + waited_s)
    assert names(commands) == (("EndLoad",) if ends else ())
    if ends:
        assert walk.wait(0.1) == ()
    assert walk.broken == []


def test_an_orderly_stop_in_good_time_ends_nothing_by_force() -> None:
    """When everything has drained, no EndLoad was needed."""
    walk = to_stopping()
    walk.wait(1.0)
    walk.zero()
    assert not any(isinstance(command, EndLoad) for command in walk.commands)


@pytest.mark.parametrize("rung", [Rung.STOP_PHASE, Rung.STOP_CAMPAIGN])
def test_a_guardian_that_stops_during_an_orderly_stop_ends_what_drains(rung: Rung) -> None:
    """It has ended the workers; we end them by our own hand as well, and the cause stays the person's."""
    walk = to_stopping()
    assert names(walk.moved(rung)) == ("EndLoad",)
    assert walk.moved(rung) == ()
    walk.zero()
    assert cause_of(walk.night) is EndCause.OPERATOR_STOP
    assert walk.broken == []


@pytest.mark.parametrize("kind", [GuardianLost, RunnerFault])
def test_a_fault_during_an_orderly_stop_ends_what_drains(kind: type[GuardianLost] | type[RunnerFault]) -> None:
    """Nobody waits for draining when something is wrong; the cause stays the person's."""
    walk = to_stopping()
    assert names(walk.feed(kind(at_mono_s=walk.at, detail="gone"))) == ("EndLoad",)
    walk.zero()
    assert cause_of(walk.night) is EndCause.OPERATOR_STOP


def test_a_second_orderly_stop_changes_nothing() -> None:
    """stop, stop: the first one goes on."""
    walk = to_stopping()
    before = walk.night
    assert walk.stop() == ()
    assert walk.night == before


def test_a_stop_before_any_load_leaves_no_phase_without_its_record() -> None:
    """Both phases are NOT_REACHED, and the reason names the stop."""
    walk = Walk().to_drill()
    walk.stop()
    assert walk.outcomes == ((0, Outcome.NOT_REACHED), (1, Outcome.NOT_REACHED))
    assert all("SIGTERM" in reason for reason in walk.reasons())


def test_a_stop_during_an_anchor_writes_the_anchor_and_blames_no_phase() -> None:
    """The anchor is incomplete, and no phase had begun."""
    walk = IN_STATE[State.ANCHOR]()
    walk.stop()
    walk.zero()
    assert WriteAnchor(phase=0, complete=False, reason="SIGTERM") in walk.commands
    assert {outcome for _, outcome in walk.outcomes} == {Outcome.NOT_REACHED}
    assert sum(isinstance(command, WriteAnchor) for command in walk.commands) == 1


def test_a_stop_while_an_anchor_is_scored_writes_it_as_incomplete() -> None:
    """Its load is zero, so the night concludes at once, with the anchor's record."""
    walk = Walk().to_anchor()
    walk.run_load()
    commands = walk.stop()
    assert names(commands) == ("WriteAnchor", "WriteRecord", "WriteRecord", "Conclude")


def test_a_stop_of_a_phase_that_is_being_cut_off_keeps_why_it_was_cut_off() -> None:
    """The phase's record says what ended it first: here a lost worker, not the person who stopped the night later."""
    walk = to_holding()
    walk.feed(WorkerLost(at_mono_s=walk.at, outcome=Outcome.OOM_KILLED, detail="killed by the kernel"))
    walk.stop()
    walk.zero()
    assert dict(walk.outcomes)[0] is Outcome.OOM_KILLED
    assert cause_of(walk.night) is EndCause.OPERATOR_STOP


def test_one_more_anchor_waits_until_the_guardian_is_clear() -> None:
    """An anchor that was eased and is still eased when it is scored is repeated after the guardian's clear."""
    walk = IN_STATE[State.ANCHOR]()
    walk.moved(Rung.EASE)
    walk.wait_until(walk.night.timer_mono_s)
    walk.zero()
    walk.scored()
    assert walk.is_in(State.COOLING)
    assert walk.outcomes == ()
    walk.rest()
    assert walk.is_in(State.COOLING)
    walk.clear()
    walk.wait(0.0)
    assert walk.is_in(State.ANCHOR)
    assert walk.night.retried
    assert walk.broken == []
