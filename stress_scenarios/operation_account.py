"""Counts the operations of one session in Python: each exactly once, also when code fails, forgets or cancels them.

An answer that passed is settled when the loop turns next: until then the scenario may still find fault with it. Runs in
worker processes.
"""

import asyncio
from enum import Enum, auto

from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import AnswerJudgement, Failed, Passed
from stress_scenarios.session_program import Starts

PASSED = Passed()

_GIVEN_UP = Failed(error=ErrorClass.SCENARIO, message="the scenario's own code cancelled the request")


class _State(Enum):
    NOTHING = auto()  # no operation is open
    IN_FLIGHT = auto()
    ANSWERED = auto()  # and passed, unless the scenario says otherwise at once


class OperationAccount:
    """One session's operations, one after another."""

    def __init__(self, starts: Starts, first_operation: int) -> None:
        self.operation = first_operation
        """The last one, or the order's first: where an error of the scenario's own is counted."""
        self.has_begun = False
        """Whether the session has started any operation."""
        self._starts = starts
        self._state = _State.NOTHING
        self._bytes_received = 0
        self._faults: list[Exception] = []

    def begin(self, operation: int) -> None:
        """An operation is sent now."""
        self.settle()
        self.operation = operation
        self.has_begun = True
        self._state = _State.IN_FLIGHT
        self._starts.started(operation)

    def answered(self) -> float:
        """The answer is here. Returns the service time, seconds."""
        return self._starts.answered()

    def end(self, judgement: AnswerJudgement, bytes_received: int) -> None:
        """The operation that began has ended."""
        assert self._state is _State.IN_FLIGHT, self._state
        self._bytes_received = bytes_received
        if isinstance(judgement, Failed):
            self._settle_as(judgement)
        else:
            self._state = _State.ANSWERED
            asyncio.get_running_loop().call_soon(self._settle_in_callback)

    def settle(self) -> None:
        """What is open has ended: an answer has passed, what was cancelled under us has failed. Raises our own faults."""
        if self._faults:
            raise self._faults.pop()
        match self._state:
            case _State.NOTHING:
                pass
            case _State.IN_FLIGHT:
                self._settle_as(_GIVEN_UP)
            case _State.ANSWERED:
                self._settle_as(PASSED)

    def abandon(self) -> None:
        """The load run cancels the session: what is in flight stays so, and is counted as abandoned."""
        if self._state is _State.IN_FLIGHT:
            self._state = _State.NOTHING
        self.settle()

    def fail_open(self, failed: Failed) -> bool:
        """Let the operation that is open fail with this; False when none is."""
        if self._state is _State.NOTHING:
            return False
        self._settle_as(failed)
        return True

    def fail_answered(self, failed: Failed) -> bool:
        """Let the answer that has just come fail with this; False when it was settled already, or none has come."""
        return self._state is _State.ANSWERED and self.fail_open(failed)

    def _settle_in_callback(self) -> None:
        """Called as soon as the loop turns; another operation may be in flight by then."""
        try:
            if self._state is _State.ANSWERED:
                self._settle_as(PASSED)
        except Exception as error:  # noqa: BLE001 - in a callback it would only be logged; settle raises it
            self._faults.append(error)

    def _settle_as(self, judgement: AnswerJudgement) -> None:
        received, self._bytes_received = self._bytes_received, 0
        self._state = _State.NOTHING
        self._starts.ended(self.operation, judgement, received)
