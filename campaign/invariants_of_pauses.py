"""What must hold of a person's pause, checked from outside the machine: no load until the person says so.

A part of the watcher in invariants, with its own account of when a load's clock stood still. Pure.
"""

import math
from collections.abc import Iterator

from campaign.events import Command, ContinueLoad, Event, GuardianMoved, HoldLoad, PrepareLoad, ResumeRequested, Tick
from campaign.night import HELD_LAG_S_MAX, WAITING, Ending, LoadStep, Night, State
from monitoring_logs.records import EndCause
from safety_monitoring.limits import Rung

_STAYS_HELD = frozenset({Rung.CLEAR, Rung.EASE, Rung.PAUSE})


class PauseWatch:
    """Follows the pauses of one night. paused: a person wants no load. held_s: of the current load, so far."""

    def __init__(self) -> None:
        self.paused = False
        self.held_at = math.inf
        self.held_s = 0.0

    def thaw(self, at_mono_s: float) -> None:
        """The load's clock runs again, or the load is taken away."""
        self.held_s += max(0.0, at_mono_s - self.held_at)
        self.held_at = math.inf

    def came_too_late(self, full_load_at_mono_s: float) -> bool:
        """The load is zero: whether its time was over, but for a word's way, when it was paused; then it was not held."""
        late = math.isfinite(self.held_at) and full_load_at_mono_s - self.held_at <= HELD_LAG_S_MAX
        if late:
            self.held_at = math.inf
        return late

    def check(
        self, before: Night, event: Event, after: Night, commands: tuple[Command, ...]
    ) -> Iterator[tuple[int, str]]:
        """What one step of the machine broke: the invariant's number and the detail."""
        held = after.state is State.HELD
        if self.paused and after.load is LoadStep.RUNNING and not held:
            yield 3, f"load runs in {after.state.value} though a person has paused"
        if held and not self.paused:
            yield 9, f"load is held after {type(event).__name__}, and no person has paused"
        begins = held and after.load is LoadStep.RUNNING and before.state is not State.HELD
        if begins is not any(isinstance(command, HoldLoad) for command in commands):
            yield 3, "load is said to be held and nobody was told, or the other way round"
        goes_on = before.state is State.HELD and before.load is after.load is LoadStep.RUNNING and not held
        if goes_on is not any(isinstance(command, ContinueLoad) for command in commands):
            yield 9, "load is said to go on and nobody was told, or the other way round"
        if isinstance(event, Tick) and before.state in WAITING:
            yield from self._waiting(after, commands)
        if isinstance(event, ResumeRequested) and before.state is State.HELD and held:
            yield 9, "the person lets load come, and it stays held"
        if isinstance(event, GuardianMoved) and before.state is State.HELD and (event.rung in _STAYS_HELD) is not held:
            yield 9, f"{event.rung.name} led from HELD to {after.state.value}"

    def _waiting(self, after: Night, commands: tuple[Command, ...]) -> Iterator[tuple[int, str]]:
        if self.paused and any(isinstance(command, PrepareLoad) for command in commands):
            yield 3, "the next load is prepared though a person has paused"
        by_person = isinstance(after.end, Ending) and after.end.cause is EndCause.OPERATOR_STOP
        if by_person and not self.paused:
            yield 9, "a person is said to have ended the night, and did not"
