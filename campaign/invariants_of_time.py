"""What must hold when the host slept or its clock was set, checked from outside the machine: nothing outlasts the window.

A part of the watcher in invariants. Pure.
"""

from collections.abc import Iterator

from campaign.events import ClockSet, Command, EndLoad, HostSlept
from campaign.night import LIVE, LoadStep, Night, State

_SLACK_S = 0.001
"""Sums of seconds in floating point."""

_MADE = (LoadStep.PREPARING, LoadStep.READY, LoadStep.RUNNING, LoadStep.DRAINING)


def broken_by_moved_time(
    before: Night, event: HostSlept | ClockSet, after: Night, commands: tuple[Command, ...]
) -> Iterator[tuple[int, str]]:
    """What one step of the machine broke: the invariant's number and the detail."""
    if after.end_by_mono_s > min(before.end_by_mono_s, event.end_by_mono_s) and before.state in LIVE:
        yield 9, "time moved, and the window did not come to its end with it"
    slept, made = isinstance(event, HostSlept), before.load in _MADE
    ended = any(isinstance(command, EndLoad) for command in commands)
    if slept and made and before.state in LIVE and not ended:
        yield 9, "the host slept, and the load that it interrupted goes on"
    runs = before.load is LoadStep.RUNNING and before.state is not State.HELD
    nearer = event.end_by_mono_s < before.end_by_mono_s
    begins = before.load is LoadStep.PREPARING and before.state in LIVE
    if commands and not (slept and made) and not (nearer and (runs or begins)):
        yield 9, f"time moved in {before.state.value} {before.load.value} and led to {commands}"
    goes_on = after.load is LoadStep.RUNNING and after.state is not State.HELD
    if goes_on and after.load_end_mono_s > after.end_by_mono_s + _SLACK_S:
        yield 5, "a load goes on beyond the window that time has moved"
