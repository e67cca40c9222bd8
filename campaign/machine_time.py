"""What the machine does when time itself has moved: the host slept, or the wall clock was set.

A load that the host slept through was interrupted by nobody's fault, and what it measured is worth nothing: it ends, its
phase says INVALID_GENERATOR (unknown, never a pass), and the night goes on with what still fits. The window's end on the
wall can only come nearer on the monotonic clock: a clock that was set back does not make a night longer. Pure.
"""

import dataclasses

from campaign import machine_blocks as blocks
from campaign import machine_pauses as pauses
from campaign.events import ClockSet, Event, HostSlept
from campaign.machine_blocks import Step
from campaign.night import ARMING_S_MAX, LoadStep, Night, State
from monitoring_logs.records import Outcome


def end_interrupted_load(night: Night, event: Event) -> Step:
    """What the load measured before and after the sleep are not one measurement."""
    assert isinstance(event, HostSlept)
    return blocks.abort(_with_end(night, event), event, Outcome.INVALID_GENERATOR, event.detail)


def fit_into_window(night: Night, event: Event) -> Step:
    """A load that would outlast the window's new end is cut to what ends within it; one that has not begun does not begin."""
    assert isinstance(event, ClockSet)
    nearer = _with_end(night, event)
    if nearer.end_by_mono_s == night.end_by_mono_s:
        return night, ()
    if night.state is State.HELD or night.load not in (LoadStep.PREPARING, LoadStep.RUNNING):
        return note_end(night, event)
    begins = night.load is LoadStep.PREPARING
    started = dataclasses.replace(nearer, start_mono_s=event.at_mono_s + ARMING_S_MAX) if begins else nearer
    fitted = pauses.fitted(started, event, why=event.detail)
    if fitted is started:
        return nearer, ()
    if isinstance(fitted, Night) and not begins:
        return pauses.run(fitted, event), ()
    reason = fitted if isinstance(fitted, str) else f"{event.detail}; the window ends before it could"
    return blocks.abort(nearer, event, Outcome.INVALID_GENERATOR, reason)


def note_end(night: Night, event: Event) -> Step:
    """No load runs: what comes next is fitted into what is left."""
    after = _with_end(night, event)
    if night.state is State.HELD:
        deadline = max(event.at_mono_s, min(night.deadline_mono_s, after.end_by_mono_s))
        return dataclasses.replace(after, deadline_mono_s=deadline), ()
    return blocks.waiting_anew(after, event), ()


def _with_end(night: Night, event: Event) -> Night:
    assert isinstance(event, HostSlept | ClockSet)
    return dataclasses.replace(night, end_by_mono_s=min(night.end_by_mono_s, event.end_by_mono_s))
