"""Whether a row of the machine's table may be taken: pure questions to the night and the event.

Each guard is data in the table; a test takes one out at a time and sees the invariants break.
"""

from collections.abc import Callable

from campaign import night as numbers
from campaign.events import (
    Event,
    GuardianMoved,
)
from campaign.night import LoadStep, Night, NotEnding
from safety_monitoring.limits import Rung

Guard = Callable[[Night, Event], bool]


def always(_night: Night, _event: Event) -> bool:
    """No question is asked."""
    return True


def timer_due(night: Night, event: Event) -> bool:
    """The state's planned time is over."""
    return event.at_mono_s >= night.timer_mono_s


def deadline_due(night: Night, event: Event) -> bool:
    """The state should have been left by now."""
    return event.at_mono_s >= night.deadline_mono_s


def cooled_and_clear(night: Night, event: Event) -> bool:
    """The planned rest is over, the guardian's ladder is clear, and no person has paused."""
    return timer_due(night, event) and night.rung is Rung.CLEAR and not night.held


def held_late(night: Night, event: Event) -> bool:
    """A person has paused, and the time for that is over."""
    return night.held and deadline_due(night, event)


def _may_begin(night: Night) -> bool:
    """Nothing stands against load: drilled, not ending, not latched, the guardian's ladder clear."""
    return night.drilled and isinstance(night.end, NotEnding) and not night.latched and night.rung is Rung.CLEAR


def may_load(night: Night, _event: Event) -> bool:
    """Whether load may start: nothing stands against it, no person has paused, workers just prepared."""
    return _may_begin(night) and not night.held and night.load is LoadStep.PREPARING


def may_load_after_pause(night: Night, _event: Event) -> bool:
    """Whether load that a person held back may start now: nothing stands against it, and its workers still stand by."""
    return _may_begin(night) and night.load is LoadStep.READY


def held_before_start(night: Night, _event: Event) -> bool:
    """The workers are just prepared, and a person has paused."""
    return night.held and night.load is LoadStep.PREPARING


def standing_by(night: Night, _event: Event) -> bool:
    """The workers are ready, and wait for the person who has paused."""
    return night.load is LoadStep.READY


def running(night: Night, _event: Event) -> bool:
    """The load is being made."""
    return night.load is LoadStep.RUNNING


def over_before_hold(night: Night, _event: Event) -> bool:
    """The load's time was over, but for what a word takes to reach the workers, when a person paused it."""
    left_s = night.load_end_mono_s - night.held_since_mono_s
    return night.load is LoadStep.RUNNING and left_s <= numbers.HELD_LAG_S_MAX


def draining(night: Night, _event: Event) -> bool:
    """The load has ended and drains."""
    return night.load is LoadStep.DRAINING


def ending(night: Night, _event: Event) -> bool:
    """The load is being taken away."""
    return night.load is LoadStep.ENDING


def scoring(night: Night, _event: Event) -> bool:
    """The ended load is being looked at."""
    return night.load is LoadStep.SCORING


def preparing(night: Night, _event: Event) -> bool:
    """The workers come up."""
    return night.load is LoadStep.PREPARING


def run_over(night: Night, event: Event) -> bool:
    """The load is being made, and its time is over."""
    return night.load is LoadStep.RUNNING and event.at_mono_s >= night.timer_mono_s


def moved_to(*rungs: Rung) -> Guard:
    """The guardian has moved to one of these rungs."""

    def guard(_night: Night, event: Event) -> bool:
        assert isinstance(event, GuardianMoved)
        return event.rung in rungs

    return guard


def moved_while_making(*rungs: Rung) -> Guard:
    """The guardian has moved to one of these rungs, and there is load, or about to be."""

    def guard(night: Night, event: Event) -> bool:
        assert isinstance(event, GuardianMoved)
        return event.rung in rungs and night.load in (LoadStep.PREPARING, LoadStep.RUNNING, LoadStep.DRAINING)

    return guard


def active(night: Night, _event: Event) -> bool:
    """There is load, or about to be, or not yet proven gone."""
    return night.load in (LoadStep.PREPARING, LoadStep.READY, LoadStep.RUNNING, LoadStep.DRAINING, LoadStep.ENDING)


def late_while_ending(night: Night, event: Event) -> bool:
    """The load should have been proven zero by now."""
    return night.load is LoadStep.ENDING and event.at_mono_s >= night.deadline_mono_s


def making(night: Night, _event: Event) -> bool:
    """There is load, or about to be."""
    return night.load in (LoadStep.PREPARING, LoadStep.RUNNING, LoadStep.DRAINING)
