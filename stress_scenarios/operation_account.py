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


_NOTHING, _IN_FLIGHT, _ANSWERED = _State  # by name: to ask the class for a member takes 0.07 us, ten times a request


class Settlements:
    """Accounts of one worker whose answers are settled when the loop turns next: with one callback for all of them."""

    def __init__(self) -> None:
        self._call_soon = asyncio.get_running_loop().call_soon
        self._accounts: list[OperationAccount] = []
        """At most as many as there are sessions: each has one answer at a time."""

    def add(self, account: "OperationAccount") -> None:
        """This account has an answer."""
        if not self._accounts:
            self._call_soon(self._settle)
        self._accounts.append(account)

    def _settle(self) -> None:
        accounts, self._accounts = self._accounts, []
        for account in accounts:
            account.settle_in_callback()


class OperationAccount:
    """One session's operations, one after another."""

    def __init__(self, starts: Starts, settlements: Settlements, first_operation: int) -> None:
        self.operation = first_operation
        """The last one, or the order's first: where an error of the scenario's own is counted."""
        self.has_begun = False
        """Whether the session has started any operation."""
        self._starts = starts
        self._settlements = settlements
        self._state = _NOTHING
        self._bytes_received = 0
        self._faults: list[Exception] = []

    def begin_now(self, operation: int) -> bool:
        """What was open has ended. Whether the next start is due now, and the operation is sent with it."""
        self.settle()
        if not self._starts.start_now(operation):
            return False
        self.operation = operation
        self.has_begun = True
        self._state = _IN_FLIGHT
        return True

    def begin(self, operation: int) -> None:
        """An operation is sent now, whose start was waited for."""
        self.settle()
        self.operation = operation
        self.has_begun = True
        self._state = _IN_FLIGHT
        self._starts.started(operation)

    def answered(self) -> float:
        """The answer is here. Returns the service time, seconds."""
        return self._starts.answered()

    def fail(self, failed: Failed, bytes_received: int) -> None:
        """The operation that began has failed."""
        assert self._state is _IN_FLIGHT, self._state
        self._bytes_received = bytes_received
        self._settle_as(failed)

    def pass_unless_told(self, bytes_received: int) -> None:
        """The operation that began has passed, unless the scenario says otherwise at once."""
        assert self._state is _IN_FLIGHT, self._state
        self._bytes_received = bytes_received
        self._state = _ANSWERED
        self._settlements.add(self)

    def settle(self) -> None:
        """What is open has ended: an answer has passed, what was cancelled under us has failed. Raises our own faults."""
        if self._faults:
            raise self._faults.pop()
        if self._state is _IN_FLIGHT:
            self._settle_as(_GIVEN_UP)
        elif self._state is _ANSWERED:
            self._settle_as(PASSED)

    def abandon(self) -> None:
        """The load run cancels the session: what is in flight stays so, and is counted as abandoned."""
        if self._state is _IN_FLIGHT:
            self._state = _NOTHING
        self.settle()

    def fail_open(self, failed: Failed) -> bool:
        """Let the operation that is open fail with this; False when none is."""
        if self._state is _NOTHING:
            return False
        self._settle_as(failed)
        return True

    def fail_answered(self, failed: Failed) -> bool:
        """Let the answer that has just come fail with this; False when it was settled already, or none has come."""
        return self._state is _ANSWERED and self.fail_open(failed)

    def settle_in_callback(self) -> None:
        """Called as soon as the loop turns; another operation may be in flight by then."""
        try:
            if self._state is _ANSWERED:
                self._settle_as(PASSED)
        except Exception as error:  # noqa: BLE001 - in a callback it would only be logged; settle raises it
            self._faults.append(error)

    def _settle_as(self, judgement: AnswerJudgement) -> None:
        received, self._bytes_received = self._bytes_received, 0
        self._state = _NOTHING
        self._starts.ended(self.operation, judgement, received)
