"""The machine by hand: a person pauses and lets load come back, in every state, and the window's end does not move."""

import math
from collections.abc import Callable

import pytest

from campaign import night as numbers
from campaign.events import (
    AskReturn,
    ContinueLoad,
    EndLoad,
    HoldLoad,
    LoadRefused,
    PrepareLoad,
    ReleaseLoad,
    StartLoad,
    WorkerLost,
    WriteRecord,
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
    to_cooling,
    to_held,
    to_holding,
    to_ramping,
    to_standing_by,
)
from tests.support.orders import DRAIN_S, night_order, phase_order

RUNNING = (*ordered(LOADED), State.ANCHOR, State.SEARCHING)


@pytest.mark.parametrize("state", RUNNING)
def test_a_pause_freezes_the_clock_of_a_load(state: State) -> None:
    """The load is held, nothing happens meanwhile, and afterwards its end has moved by exactly as long."""
    walk = IN_STATE[state]()
    end = walk.night.load_end_mono_s
    assert walk.pause() == (HoldLoad(),)
    assert walk.is_in(State.HELD)
    assert walk.wait(200.0) == ()
    assert walk.resume() == (ContinueLoad(),)
    assert walk.night.state is state
    assert walk.night.load_end_mono_s == pytest.approx(end + 200.0)
    assert walk.night.deadline_mono_s == pytest.approx(end + 200.0 + DRAIN_S + numbers.LOAD_SLACK_S)
    assert walk.broken == []


def test_a_pause_in_the_ramp_goes_on_ramping() -> None:
    """The ramp's end moves as well: what was 2 s into the ramp of 5 s still has 3 s of it."""
    walk = to_ramping()
    walk.wait_until(walk.night.start_mono_s + 2.0)
    walk.pause()
    walk.wait(30.0)
    walk.resume()
    assert walk.is_in(State.RAMPING)
    assert walk.night.timer_mono_s == pytest.approx(walk.at + 3.0)


def test_a_paused_phase_is_recorded_with_how_long_it_was_held() -> None:
    """Two pauses sum up, and the phase is COMPLETED: its load had its whole time."""
    walk = to_holding()
    for seconds in (20.0, 30.0):
        walk.pause()
        walk.wait(seconds)
        walk.resume()
    walk.rest()
    walk.zero()
    walk.scored()
    (record,) = (command for command in walk.commands if isinstance(command, WriteRecord))
    assert record.outcome is Outcome.COMPLETED
    assert record.held_s == pytest.approx(50.0)
    assert walk.broken == []


def test_the_next_phase_does_not_inherit_a_pause() -> None:
    """Each record has its own load's pauses."""
    walk = to_held()
    walk.wait(20.0)
    walk.resume()
    walk.rest()
    walk.zero()
    walk.scored()
    walk.rest()
    walk.anchor()
    walk.phase()
    held = [command.held_s for command in walk.commands if isinstance(command, WriteRecord)]
    assert held == [pytest.approx(20.0), 0.0]


def test_workers_that_end_a_little_early_after_a_pause_have_not_crashed() -> None:
    """They froze when the word reached them, so the machine takes the load for over a lag before its own clock says so."""
    walk = to_held()
    walk.wait(20.0)
    walk.resume()
    assert walk.night.timer_mono_s == pytest.approx(walk.night.load_end_mono_s - numbers.HELD_LAG_S_MAX)
    walk.rest()
    assert walk.is_in(State.RELEASING)
    assert not any(isinstance(command, ReleaseLoad) for command in walk.commands), "they end by their own clocks"


@pytest.mark.parametrize("rung", [Rung.EASE, Rung.PAUSE])
def test_the_guardians_moves_are_kept_while_load_is_held(rung: Rung) -> None:
    """A person's word does not return what the guardian has taken: the load goes on as far as the rung permits."""
    walk = to_held()
    assert walk.moved(rung) == ()
    assert walk.is_in(State.HELD)
    walk.resume()
    assert walk.night.state is (State.EASED if rung is Rung.EASE else State.PAUSED)
    walk.clear()
    assert walk.is_in(State.HOLDING)
    assert walk.broken == []


def test_the_guardians_clear_does_not_return_load_that_a_person_holds() -> None:
    """Our key is turned as ever, and the load stays held."""
    walk = to_held()
    walk.moved(Rung.EASE)
    assert walk.clear() == (AskReturn(),)
    assert walk.is_in(State.HELD)


@pytest.mark.parametrize("make", [to_held, to_standing_by])
def test_the_guardian_stops_a_held_load(make: Callable[..., Walk]) -> None:
    """STOP_PHASE ends it, held or standing by, as SAFETY_STOP; the pause stays in force."""
    walk = make()
    assert names(walk.moved(Rung.STOP_PHASE)) == ("EndLoad",)
    walk.zero()
    assert walk.outcomes == ((0, Outcome.SAFETY_STOP),)
    walk.clear()
    walk.rest()
    assert walk.is_in(State.COOLING)
    assert walk.broken == []


@pytest.mark.parametrize("make", [to_held, to_standing_by])
def test_a_worker_that_is_lost_while_load_is_held_ends_it(make: Callable[..., Walk]) -> None:
    """The record says how, and for how long the load had been held until then."""
    walk = make()
    walk.wait(7.0)
    assert names(walk.feed(WorkerLost(at_mono_s=walk.at, outcome=Outcome.OOM_KILLED, detail="signal 9"))) == (
        "EndLoad",
    )
    walk.zero()
    (record,) = (command for command in walk.commands if isinstance(command, WriteRecord))
    assert record.outcome is Outcome.OOM_KILLED
    assert record.held_s == pytest.approx(7.0 if make is to_held else 0.0)
    assert walk.broken == []


def test_load_that_ends_while_it_is_held_has_crashed() -> None:
    """Nobody makes load any more, and its time is not over."""
    walk = to_held()
    assert names(walk.zero()) == ("EndLoad",)
    walk.zero()
    assert walk.outcomes == ((0, Outcome.WORKER_CRASHED),)


# Without load ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ordered(LIVE - LOADED - {State.HELD, State.ANCHOR, State.RELEASING, State.SEARCHING}))
def test_a_pause_without_load_is_noted_and_nothing_follows(state: State) -> None:
    """The state goes on; said twice it is the same, and taken back it is as before."""
    walk = IN_STATE[state]()
    assert walk.pause() == ()
    assert walk.pause() == ()
    assert walk.night.state is state
    assert walk.night.held
    assert walk.resume() == ()
    assert not walk.night.held
    assert walk.broken == []


@pytest.mark.parametrize("state", ordered(frozenset(State) - LIVE))
def test_a_pause_of_a_night_that_ends_changes_nothing(state: State) -> None:
    """There is no load left to hold."""
    walk = IN_STATE[state]()
    before = walk.night
    assert walk.pause() == ()
    assert walk.resume() == ()
    assert walk.night == before


def test_no_load_is_prepared_while_a_person_has_paused() -> None:
    """The rest goes on beyond its time, until the person says so; then the next anchor begins at once."""
    walk = to_cooling()
    walk.pause()
    walk.rest()
    assert walk.wait(300.0) == ()
    assert walk.is_in(State.COOLING)
    walk.resume()
    walk.wait(0.0)
    assert walk.is_in(State.ANCHOR)
    assert walk.broken == []


def test_workers_that_are_ready_wait_for_the_person() -> None:
    """They stand by, prepared and watched; the load starts when the person says so, and not before."""
    walk = to_standing_by()
    assert walk.is_in(State.HELD)
    assert walk.night.load is LoadStep.READY
    walk.wait(100.0)
    commands = walk.resume()
    assert names(commands) == ("StartLoad",)
    assert walk.is_in(State.RAMPING)
    walk.rest()
    walk.rest()
    walk.zero()
    walk.scored()
    assert walk.outcomes == ((0, Outcome.COMPLETED),)
    assert walk.broken == []


def test_an_anchor_waits_for_the_person_as_well() -> None:
    """A pause while its workers come up, taken back: ANCHOR again, running."""
    walk = Walk().to_anchor()
    walk.pause()
    walk.ready()
    assert walk.is_in(State.HELD)
    walk.wait(50.0)
    assert names(walk.resume()) == ("StartLoad",)
    assert walk.is_in(State.ANCHOR)
    assert walk.broken == []


@pytest.mark.parametrize("rung", [Rung.EASE, Rung.PAUSE])
def test_standing_workers_are_sent_away_when_the_guardian_is_not_clear(rung: Rung) -> None:
    """A person's word is one key; load that was never started does not start below CLEAR."""
    walk = to_standing_by()
    walk.moved(rung)
    assert names(walk.resume()) == ("EndLoad",)
    walk.zero()
    assert walk.outcomes == ((0, Outcome.SAFETY_STOP),)
    assert not any(isinstance(command, StartLoad) for command in walk.commands[-3:])
    assert walk.broken == []


def test_standing_workers_that_fall_over_are_our_fault() -> None:
    """A refusal that comes late ends the load before it began."""
    walk = to_standing_by()
    assert names(walk.feed(LoadRefused(at_mono_s=walk.at, detail="fell over"))) == ("EndLoad",)
    walk.zero()
    assert walk.outcomes == ((0, Outcome.RUNNER_FAULT),)


# Bounds ---------------------------------------------------------------------------------------------------------------

LONG = night_order(window_s=20_000.0)


@pytest.mark.parametrize("make", [to_held, to_standing_by])
@pytest.mark.parametrize("beyond_s", [-0.001, 0.0, 0.001])
def test_a_load_is_held_for_an_hour_at_most(make: Callable[..., Walk], beyond_s: float) -> None:
    """Just below nothing happens; at it the phase ends as OPERATOR_STOP, which is no failure, and says why."""
    walk = make(LONG)
    commands = walk.wait(numbers.HELD_S_MAX + beyond_s)
    if beyond_s < 0:
        assert commands == ()
        assert walk.is_in(State.HELD)
        return
    assert names(commands) == ("EndLoad",)
    walk.zero()
    assert walk.outcomes == ((0, Outcome.OPERATOR_STOP),)
    assert "paused it for 1 h" in walk.reasons()[0]
    assert walk.night.failures == 0
    assert walk.broken == []


def test_several_pauses_of_a_load_share_the_hour() -> None:
    """40 min, and then 20 min are left: a load in many pieces is as little one measurement."""
    walk = to_held(LONG)
    walk.wait(2400.0)
    walk.resume()
    walk.wait(1.0)
    walk.pause()
    walk.wait(1199.9)
    assert walk.is_in(State.HELD)
    assert names(walk.wait(0.1)) == ("EndLoad",)
    assert walk.broken == []


def test_after_an_hour_no_load_comes_back_by_itself() -> None:
    """The phase has ended, the pause has not: the night waits for the person, and goes on with the next phase."""
    walk = to_held(LONG)
    walk.wait(numbers.HELD_S_MAX)
    walk.zero()
    walk.rest()
    walk.wait(7200.0)
    assert walk.is_in(State.COOLING)
    walk.resume()
    walk.wait(0.0)
    assert walk.is_in(State.ANCHOR)
    assert walk.night.phase == 1
    assert walk.broken == []


@pytest.mark.parametrize("state", [State.BASELINING, State.COOLING])
@pytest.mark.parametrize("early_s", [0.001, 0.0, -0.001])
def test_a_pause_that_is_never_taken_back_ends_the_night_with_its_window(state: State, early_s: float) -> None:
    """Until then it waits; then it is a person who has ended the night, and every phase has its record."""
    walk = IN_STATE[state]()
    walk.pause()
    walk.wait_until(walk.end_by - early_s)
    if early_s > 0:
        assert walk.night.state is state
        return
    assert cause_of(walk.night) is EndCause.OPERATOR_STOP
    assert len(walk.outcomes) == 2
    walk.report()
    assert walk.is_in(State.STOPPED)
    assert walk.finish() == []


def test_a_pause_noted_before_the_rest_bounds_the_rest_too() -> None:
    """Paused while the load drains: the rest that follows may last to the window's end, not for half an hour only."""
    walk = IN_STATE[State.RELEASING]()
    walk.pause()
    walk.zero()
    walk.scored()
    assert walk.is_in(State.COOLING)
    assert walk.night.deadline_mono_s == walk.end_by
    walk.resume()
    assert walk.night.deadline_mono_s == pytest.approx(walk.night.timer_mono_s + numbers.COOLING_BLOCKED_S_MAX)


def held_in_the_last_phase(left_s: float) -> Walk:
    """One phase of 55 s, paused 20 s into its hold of 50 s, and taken back when so much of the window is left."""
    walk = to_holding(night_order(phase_order(0)))
    walk.wait(20.0)
    walk.pause()
    walk.wait_until(walk.end_by - left_s)
    return walk


TAIL_S = 2 * numbers.DRAIN_S_EXPECTED + numbers.ARMING_S_EXPECTED + 10.0


@pytest.mark.parametrize(("left_s", "hold_s"), [(40.0, 50.0), (30.0, 50.0), (29.0, 49.0), (6.0, 26.0), (5.0, 25.0)])
def test_what_does_not_fit_after_a_pause_is_cut_off(left_s: float, hold_s: float) -> None:
    """30 s of the hold were left. The window's end holds: less is left, down to half of the planned hold, and it is said."""
    walk = held_in_the_last_phase(left_s + TAIL_S)
    assert names(walk.resume()) == ("ContinueLoad",)
    assert walk.night.hold_s == pytest.approx(hold_s)
    commands = walk.rest()
    assert names(commands) == (() if hold_s == pytest.approx(50.0) else ("ReleaseLoad",)), "their own end is too late"
    walk.zero()
    walk.scored()
    assert walk.outcomes == ((0, Outcome.COMPLETED),)
    assert ("the night was late" in walk.reasons()[0]) is (hold_s < 49.9)
    assert walk.broken == []


def test_a_pause_that_leaves_too_little_ends_the_phase() -> None:
    """Just below half of the planned hold: OPERATOR_STOP, and the last anchor still runs."""
    walk = held_in_the_last_phase(4.999 + TAIL_S)
    assert names(walk.resume()) == ("EndLoad",)
    walk.zero()
    assert walk.outcomes == ((0, Outcome.OPERATOR_STOP),)
    assert "too short" in walk.reasons()[0]
    walk.rest()
    assert walk.is_in(State.ANCHOR)
    assert walk.broken == []


def test_a_load_that_was_never_started_is_cut_to_the_window_too() -> None:
    """Workers know their planned time only; so we release them."""
    walk = to_standing_by(night_order(phase_order(0)))
    walk.wait_until(walk.end_by - TAIL_S - 5.0 - 30.0 - numbers.START_LEAD_S)
    assert names(walk.resume()) == ("StartLoad",)
    assert walk.night.hold_s == pytest.approx(30.0)
    walk.rest()
    assert names(walk.rest()) == ("ReleaseLoad",)
    assert walk.broken == []


def test_standing_workers_are_sent_away_when_too_little_of_the_window_is_left() -> None:
    """No StartLoad for less than half of the hold."""
    walk = to_standing_by(night_order(phase_order(0)))
    walk.wait_until(walk.end_by - TAIL_S - 5.0 - 24.9 - numbers.START_LEAD_S)
    assert names(walk.resume()) == ("EndLoad",)
    walk.zero()
    assert walk.outcomes == ((0, Outcome.OPERATOR_STOP),)
    assert walk.broken == []


def test_a_held_load_ends_with_the_window() -> None:
    """The window's end does not wait for anybody: what is held then ends, and the night with it."""
    walk = to_held()
    commands = walk.wait_until(walk.end_by)
    assert commands == (EndLoad(reason="a person had paused it when the window ended"),)
    walk.zero()
    walk.rest()
    walk.wait_until(walk.night.deadline_mono_s)
    assert cause_of(walk.night) is EndCause.OPERATOR_STOP
    assert walk.broken == []


def test_a_pause_after_the_last_phase_does_not_turn_a_finished_night_into_a_stopped_one() -> None:
    """Every phase has its record: at the window's end the last anchor is given up, and the plan was worked through."""
    walk = to_cooling(night_order(phase_order(0)))
    walk.pause()
    walk.wait_until(walk.end_by)
    assert cause_of(walk.night) is EndCause.FINISHED
    assert walk.broken == []


def test_an_anchor_that_was_held_for_too_long_is_tried_once_more() -> None:
    """A person was the cause, not the phase: its health is measured again before it is judged."""
    walk = Walk(LONG).to_anchor()
    walk.ready()
    walk.wait(numbers.START_LEAD_S)
    walk.pause()
    walk.wait(numbers.HELD_S_MAX)
    walk.zero()
    assert walk.outcomes == ()
    walk.resume()
    walk.rest()
    assert walk.is_in(State.ANCHOR)
    walk.anchor()
    assert walk.is_in(State.ARMING)
    assert walk.broken == []


# Stops ----------------------------------------------------------------------------------------------------------------


def test_a_stop_of_a_held_load_releases_it_and_keeps_the_account() -> None:
    """The record of the phase says for how long it had been held."""
    walk = to_held()
    walk.wait(12.0)
    assert names(walk.stop()) == ("ReleaseLoad",)
    walk.wait(1.0)
    walk.zero()
    record = next(command for command in walk.commands if isinstance(command, WriteRecord))
    assert record.outcome is Outcome.OPERATOR_STOP
    assert record.held_s == pytest.approx(12.0)
    assert walk.broken == []


def test_a_pause_survives_everything_but_the_persons_word() -> None:
    """From a noted pause on, no load starts or goes on whatever else happens, for the whole night."""
    walk = to_arming(LONG)
    walk.pause()
    walk.ready()
    for _ in range(200):
        if walk.night.state in TERMINAL:
            break
        walk.wait_until(min(walk.night.timer_mono_s, walk.night.deadline_mono_s))
        if walk.night.load in (LoadStep.ENDING, LoadStep.DRAINING):
            walk.zero()
        if walk.night.timer_mono_s <= walk.at < walk.night.deadline_mono_s < math.inf:
            walk.wait_until(walk.night.deadline_mono_s)
    first = next(index for index, state in enumerate(walk.states) if state is State.HELD)
    assert set(walk.states[first:]) <= {State.HELD, State.RELEASING, State.COOLING, State.CONCLUDING, State.STOPPED}
    prepared = [command for command in walk.commands if isinstance(command, PrepareLoad)]
    started = [command for command in walk.commands if isinstance(command, StartLoad)]
    assert len(prepared) == 2
    assert len(started) == 1
    assert walk.finish() == []
