"""What becomes of a night when the host sleeps in it, or its clock is set."""

import dataclasses
from collections.abc import Callable

import pytest

from campaign.events import ClockSet, EndLoad, HostSlept, LoadKind, ReleaseLoad, ResumeRequested
from campaign.machine import advance
from campaign.machine_blocks import tail_s
from campaign.night import ARMING_S_MAX, Ending, State
from monitoring_logs.records import EndCause, Outcome
from tests.support.machine_walk import (
    Walk,
    ordered,
    to_arming,
    to_concluding,
    to_cooling,
    to_held,
    to_holding,
    to_ramping,
    to_releasing,
    to_searching,
    to_standing_by,
    to_stopping,
)

SLEPT = "the host was suspended for 3 h: nothing is known of that time"


def sleep(walk: Walk, *, left_s: float | None = None) -> HostSlept:
    """The host slept; by the wall that much is left of the window, or all of it."""
    end_by = walk.end_by if left_s is None else walk.at + left_s
    return HostSlept(at_mono_s=walk.at, end_by_mono_s=end_by, detail=SLEPT)


def step(walk: Walk, *, left_s: float) -> ClockSet:
    """The clock was set forward; by the wall that much is left of the window."""
    return ClockSet(at_mono_s=walk.at, end_by_mono_s=walk.at + left_s, detail="the clock was set")


@pytest.mark.parametrize("place", [to_arming, to_ramping, to_holding, to_releasing, to_held, to_standing_by])
def test_a_phase_that_the_host_slept_through_is_invalid_and_the_night_goes_on(place: Callable[[], Walk]) -> None:
    """Its load ends at once, its record says why, and the next phase runs: unknown is never a pass, nor a failure."""
    walk = place()
    commands = walk.feed(sleep(walk))
    assert commands == (EndLoad(reason=SLEPT),)
    walk.zero()
    assert walk.is_in(State.COOLING)
    assert walk.outcomes == ((0, Outcome.INVALID_GENERATOR),)
    assert walk.reasons() == (SLEPT,)
    assert walk.night.failures == 0
    walk.feed(ResumeRequested(at_mono_s=walk.at))
    walk.wait(walk.order.cooldown_s + 1.0)
    assert walk.is_in(State.ANCHOR)
    assert walk.broken == []


def test_an_anchor_that_the_host_slept_through_is_made_once_more() -> None:
    """It measured nothing, by nobody's fault; the second time its phase is skipped."""
    walk = Walk().to_anchor()
    walk.ready()
    for tries in range(2):
        walk.feed(sleep(walk))
        walk.zero()
        assert walk.outcomes == (() if tries == 0 else ((0, Outcome.SKIPPED),))
        walk.wait(walk.order.cooldown_s + 1.0)
        assert walk.is_in(State.ANCHOR)
        if tries == 0:
            walk.ready()


def test_a_search_that_the_host_slept_through_is_incomplete() -> None:
    """Its phase keeps its record."""
    walk = to_searching()
    before = walk.outcomes
    walk.feed(sleep(walk))
    walk.zero()
    assert walk.is_in(State.COOLING)
    assert walk.outcomes == before
    assert walk.broken == []


def test_after_a_sleep_to_the_mornings_end_the_night_concludes() -> None:
    """What is left of the window fits nothing: every phase gets its record, and the report is written."""
    walk = to_holding()
    walk.feed(sleep(walk, left_s=5.0))
    walk.zero()
    walk.wait(walk.order.cooldown_s + 1.0)
    assert walk.is_in(State.CONCLUDING)
    assert walk.night.end == Ending(cause=EndCause.FINISHED, detail="the plan was worked through")
    assert walk.outcomes[0] == (0, Outcome.INVALID_GENERATOR)
    assert {outcome for _, outcome in walk.outcomes[1:]} == {Outcome.NOT_REACHED}


@pytest.mark.parametrize("place", [to_cooling, to_holding, to_concluding, to_stopping])
def test_the_windows_end_only_comes_nearer(place: Callable[[], Walk]) -> None:
    """A clock that was set back does not make the night longer; one that was set forward makes it shorter."""
    walk = place()
    end = walk.night.end_by_mono_s
    walk.feed(step(walk, left_s=end - walk.at + 3600.0))
    assert walk.night.end_by_mono_s == end
    walk.feed(step(walk, left_s=end - walk.at - 1.0))
    assert walk.night.end_by_mono_s == end - 1.0
    assert walk.broken == []


def test_a_running_phase_is_cut_to_what_the_wall_leaves_of_the_night() -> None:
    """Down to half of its hold; it is released by us, ends within the window, and its record stands."""
    walk = to_holding()
    planned_end = walk.night.load_end_mono_s
    cut_s = 0.4 * walk.night.hold_s
    left_s = planned_end + tail_s(walk.night) - cut_s - walk.at
    assert walk.feed(step(walk, left_s=left_s)) == ()
    assert walk.is_in(State.HOLDING)
    assert walk.night.load_end_mono_s == pytest.approx(planned_end - cut_s)
    assert walk.wait_until(walk.night.timer_mono_s) == (ReleaseLoad(),)
    walk.zero()
    walk.scored()
    assert walk.outcomes == ((0, Outcome.COMPLETED),)
    assert walk.broken == []


def test_a_running_phase_of_which_too_little_would_be_left_ends_now() -> None:
    """Less than half of its hold says nothing."""
    walk = to_holding()
    (command,) = walk.feed(step(walk, left_s=10.0))
    assert isinstance(command, EndLoad)
    walk.zero()
    assert walk.outcomes == ((0, Outcome.INVALID_GENERATOR),)
    assert "too short" in walk.reasons()[0]
    assert walk.broken == []


def test_a_phase_that_has_not_begun_and_does_not_fit_any_more_does_not_begin() -> None:
    """Its workers are sent away; a clock that was set back, or forward by little, changes nothing."""
    walk = to_arming()
    assert walk.feed(step(walk, left_s=walk.end_by - walk.at + 10.0)) == ()
    (command,) = walk.feed(step(walk, left_s=ARMING_S_MAX))
    assert isinstance(command, EndLoad)
    assert walk.broken == []


def test_a_pause_of_a_person_ends_with_the_window_that_the_wall_leaves() -> None:
    """Without load nothing is ended, and the deadline comes nearer."""
    walk = to_held()
    assert walk.feed(step(walk, left_s=100.0)) == ()
    assert walk.is_in(State.HELD)
    assert walk.night.deadline_mono_s == walk.at + 100.0
    walk.wait(100.0)
    assert not walk.is_in(State.HELD)


def test_every_state_knows_that_time_moves() -> None:
    """Nowhere is it a fault of ours."""
    for state in ordered(State):
        walk = Walk()
        kind = {State.ANCHOR: LoadKind.ANCHOR, State.SEARCHING: LoadKind.SEARCH}.get(state, LoadKind.PHASE)
        walk.night = dataclasses.replace(walk.night, state=state, phase=0, load_kind=kind)
        before = walk.night
        for event in (step(walk, left_s=3600.0), sleep(walk)):
            after, _ = advance(before, event)
            assert not isinstance(after.end, Ending)
