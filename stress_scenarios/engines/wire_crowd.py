"""What a load run at wire speed needs of its virtual users, whatever the load's model. Runs in worker processes.

Instants are CLOCK_MONOTONIC, whole microseconds.
"""

from typing import Protocol


class Crowd(Protocol):
    """All virtual users of one load."""

    @property
    def busy(self) -> bool:
        """Whether anybody is still there."""
        ...

    @property
    def steady(self) -> bool:
        """Whether nobody has to leave, so that users may go on without asking."""
        ...

    def begin(self, at_us: int) -> None:
        """The load's clock is set; its start may lie ahead."""
        ...

    def start_due(self, at_us: int) -> int:
        """Start whatever is due by now. Returns the next instant to be called at; NEVER_US for none."""
        ...

    def start_last(self, at_us: int) -> None:
        """The load is over at this instant. Start what had come due by then and would else count as dropped."""
        ...

    def look(self, at_us: int) -> None:
        """Called at least every 10 ms. Starts nothing."""
        ...

    def note_share(self, at_us: int) -> None:
        """Load time runs differently from now on. Starts nothing."""
        ...

    def adjust(self, at_us: int, *, operations_per_s: float, connections: int) -> None:
        """Make this load instead."""
        ...

    def stop(self, at_us: int) -> None:
        """The load is over: whoever has nothing in flight leaves, the others when they have ended."""
        ...

    def leave(self, at_us: int) -> None:
        """Whoever is still there leaves; what is in flight is abandoned."""
        ...

    async def disconnected(self) -> None:
        """Wait until the sockets of those who left after the load's end are gone."""
        ...
