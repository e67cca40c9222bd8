"""The machine by hand: a person pauses at a load's very end, when its workers have ended by their own clocks, or drain."""

from collections.abc import Callable

import pytest

from campaign.events import HoldLoad, ReleaseLoad, WriteRecord, WriteSearch
from campaign.night import LoadStep, State
from monitoring_logs.records import Outcome
from tests.support.machine_walk import IN_STATE, Walk, names, ordered, to_held, to_holding


@pytest.mark.parametrize("make", [to_holding, to_held])
def test_a_pause_that_comes_too_late_for_a_load_leaves_it_complete(make: Callable[..., Walk]) -> None:
    """Its workers had ended by their own clocks when the word reached them: that is no crash, and the phase was not held."""
    walk = make()
    walk.resume()
    walk.wait_until(walk.night.load_over_mono_s - 0.01)
    held_s = walk.night.held_s
    assert walk.pause() == (HoldLoad(),)
    assert names(walk.zero()) == ("ScoreLoad",)
    assert walk.is_in(State.RELEASING)
    walk.scored()
    (record,) = (command for command in walk.commands if isinstance(command, WriteRecord))
    assert record.outcome is Outcome.COMPLETED
    assert record.held_s == pytest.approx(held_s)
    walk.rest()
    assert walk.is_in(State.COOLING), "the pause stays in force"
    assert walk.broken == []


def test_a_pause_that_comes_too_late_for_an_anchor_leaves_it_complete() -> None:
    """As for a phase, in its own state."""
    walk = IN_STATE[State.ANCHOR]()
    walk.wait_until(walk.night.load_end_mono_s - 0.01)
    walk.pause()
    assert names(walk.zero()) == ("ScoreLoad",)
    assert walk.is_in(State.ANCHOR)
    assert walk.broken == []


def test_a_pause_that_comes_too_late_for_a_search_leaves_its_record() -> None:
    """Complete, with what it found."""
    walk = IN_STATE[State.SEARCHING]()
    walk.wait_until(walk.night.load_end_mono_s - 0.01)
    walk.pause()
    (record,) = walk.zero()
    assert isinstance(record, WriteSearch)
    assert record.complete
    assert walk.is_in(State.COOLING)
    assert walk.broken == []


@pytest.mark.parametrize(("left_s", "outcome"), [(1.0, None), (1.001, Outcome.WORKER_CRASHED)])
def test_a_load_that_ends_while_held_has_crashed_if_its_time_was_not_over(
    left_s: float, outcome: Outcome | None
) -> None:
    """What a word takes to reach the workers is the bound."""
    walk = to_holding()
    walk.wait_until(walk.night.load_end_mono_s - left_s)
    walk.pause()
    walk.zero()
    if outcome is not None:
        walk.zero()
        assert walk.outcomes == ((0, outcome),)
    else:
        assert walk.night.load is LoadStep.SCORING


@pytest.mark.parametrize("state", ordered({State.ANCHOR, State.RELEASING, State.SEARCHING}))
def test_a_pause_while_a_load_drains_lets_nothing_new_start(state: State) -> None:
    """Workers that were paused before end later than the machine's clock says: they are told to start nothing more."""
    walk = IN_STATE[state]()
    if state is not State.RELEASING:
        walk.rest()
    assert walk.night.load is LoadStep.DRAINING
    assert walk.pause() == (ReleaseLoad(),)
    assert walk.night.state is state
    assert walk.night.held
    assert walk.resume() == ()
    assert walk.broken == []
