"""How a scripted virtual user and the load run talk: the user's program asks for starts, and reports what became of them.

The load run decides when something may start and counts it; a program decides what is sent. So a scripted session has the
same pace, permission and accounting as a plain one. Pure; worker processes use it.
"""

from dataclasses import dataclass
from typing import Protocol

from stress_scenarios.scenario import AnswerJudgement


class LoadOver(Exception):  # noqa: N818 - the load's end is no error
    """The load is over, or this connection is not wanted any more: nothing more may be started. The session ends with it."""


class Starts(Protocol):
    """What the load run gives to one virtual user. Between started and ended there is exactly one operation in flight."""

    async def next(self) -> float:
        """Wait for the next intended start that is due and permitted; returns it (CLOCK_MONOTONIC). Raises LoadOver."""
        ...

    def started(self, operation: int) -> None:
        """An operation is being sent now: call it after next, immediately before sending."""
        ...

    def start_now(self, operation: int) -> bool:
        """What next and started do, when a start is due and permitted at this instant; else False, and nothing is done.

        For an operation that is ready to be sent: it costs no waiting and no second look at the clock.
        """
        ...

    def answered(self) -> float:
        """The answer is here, and its latencies end now; ended says soon what it is worth. Returns the service time, seconds.

        For programs that take their time to judge: reading a large document is no slowness of the target's.
        """
        ...

    def ended(self, operation: int, judgement: AnswerJudgement, bytes_received: int) -> None:
        """The operation that was started has ended: when it was answered, or now if that was not said.

        Its latencies count from its intended and its actual start.
        """
        ...

    async def think(self, seconds: float) -> None:
        """Pause. Raises LoadOver when the load ends meanwhile."""
        ...


class UserProgram(Protocol):
    """One virtual user: one session after another, each with variables and a connection of its own."""

    async def run_session(self, starts: Starts) -> None:
        """One session, from its first start to its last operation. Lets LoadOver through, after closing its connection.

        Every session asks for at least one start; the load run calls again as soon as one has ended. Any other exception
        is our bug and ends the load. Cancelled in the middle, it closes its connection and leaves its operation abandoned.
        """
        ...


class MakeProgram(Protocol):
    """Makes the program of each connection of this worker, 0..connections-1 (more after an Adjust)."""

    def __call__(self, connection: int) -> UserProgram:
        """The virtual user of that connection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscripted:
    """Virtual users repeat the order's operations; no program is needed."""


UNSCRIPTED = Unscripted()
