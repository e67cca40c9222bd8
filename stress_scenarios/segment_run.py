"""What the order service needs of a segment's load, whichever engine makes it. Pure; worker processes use it."""

from collections.abc import Callable
from typing import Protocol

from stress_scenarios.load_plan import LoadOrder
from stress_scenarios.messages import Drained, WindowReport


class SegmentRun(Protocol):
    """One order's load: made when the order comes, run once."""

    @property
    def order(self) -> LoadOrder:
        """What was ordered."""
        ...

    async def run(self, start_mono_s: float) -> Drained:
        """Make the load until its time is over or it is released, then drain."""
        ...

    def release(self) -> None:
        """Start nothing more; what is in flight drains. Also ends a hold."""
        ...

    def adjust(self, *, operations_per_s: float, connections: int) -> None:
        """Make this load instead from now on, as messages.Adjust says. Called only while it runs; may come again and again."""
        ...

    def hold(self) -> None:
        """Freeze the load's clock: start nothing, and move the end away. Called only while it runs; again: no effect."""
        ...

    def resume(self) -> None:
        """Let the load's clock run again where it stood. Without a hold: no effect."""
        ...

    def never_started(self) -> Drained:
        """The report of a load that was released before it was told to go."""
        ...

    def turn(self, now_mono_s: float, *, lag_s: float) -> None:
        """Look at the permitted share, and report windows that are over. Called at least every 10 ms."""
        ...

    def operations_due(self) -> int:
        """Intended starts so far."""
        ...


class MakeRun(Protocol):
    """Makes the load of an order, on the worker's engine and page."""

    def __call__(
        self, *, order: LoadOrder, next_sequence: Callable[[], int], send: Callable[[WindowReport], None]
    ) -> SegmentRun:
        """The load, not yet started. The engine was prepared for the order before."""
        ...
