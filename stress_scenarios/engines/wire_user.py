"""A virtual user of a closed load, driven by callbacks: the end of one operation is the start of the next.

There is no coroutine, future or timer per operation; what happens in ``answered`` is all that Python does for one.
It accounts for everything that a load run accounts for. Runs in worker processes.
"""

import time
from typing import TYPE_CHECKING

from stress_scenarios.engines.engine import Answer
from stress_scenarios.engines.wire_connection import NEVER_US, WireConnection
from stress_scenarios.engines.wire_cookies import CookieBox
from stress_scenarios.engines.wire_request import NO_REQUEST
from stress_scenarios.engines.wire_steps import Step
from stress_scenarios.engines.wire_tally import BUCKET_OF_US, TABLE_US
from stress_scenarios.pacing import Schedule
from stress_scenarios.scenario import AnswerJudgement

if TYPE_CHECKING:
    from stress_scenarios.engines.wire_closed_crowd import ClosedCrowd
    from stress_scenarios.engines.wire_load_run import WireLoadRun

_US_PER_S = 1_000_000
_clock_ns = time.monotonic_ns

_LOOK_AGAIN_US = 1000
"""A start that is due but not permitted looks again this soon; within milliseconds the changed share puts it off."""


class WireUser:
    """One connection of the order, from its first operation until the load is over or the connection is not wanted any more."""

    __slots__ = (
        "_connection",
        "_cookies",
        "_crowd",
        "_free_us",
        "_left_in_session",
        "_run",
        "_step",
        "late_us",
        "number",
        "schedule",
        "started_us",
    )

    def __init__(
        self, run: "WireLoadRun", crowd: "ClosedCrowd", *, number: int, schedule: Schedule, step: Step
    ) -> None:
        self.number = number
        self.schedule = schedule
        self.started_us = 0
        self.late_us = 0
        self._run = run
        self._crowd = crowd
        self._step = step
        self._cookies: CookieBox | None = None
        self._left_in_session = run.order.operations_per_session
        self._connection = WireConnection(run.circuit, self)
        self._free_us = 0

    # Called by the connection ---------------------------------------------------------------------------------------

    def answered(self, bytes_received: int) -> None:
        """The expected answer arrived: count it and, if nothing speaks against it, send the next request at once."""
        at_us = _clock_ns() // 1000
        run = self._run
        if at_us >= run.look_us:
            run.look(at_us)
        step = self._step
        tally = step.tally
        service_us = at_us - self.started_us
        if self.late_us or service_us >= TABLE_US:
            tally.count_succeeded(service_us=service_us, late_us=self.late_us, bytes_received=bytes_received)
        else:  # count_succeeded, written out
            words = tally.words
            tally.received = received = tally.received + bytes_received
            words[tally.word_received] = received
            tally.succeeded = succeeded = tally.succeeded + 1
            words[tally.word_succeeded] = succeeded
            prompt = tally.prompt
            prompt.counts[BUCKET_OF_US[service_us]] += 1
            prompt.sum_us += service_us
            if service_us > prompt.max_us:  # noqa: PLR1730 - max() and a store take 87 ns, this takes 6
                prompt.max_us = service_us
            if service_us < prompt.min_us:  # noqa: PLR1730 - as above
                prompt.min_us = service_us
        run.last_end_us = at_us
        left = self._left_in_session - 1
        connection = self._connection
        if (
            run.flowing and left and self._cookies is None
        ):  # start, written out: never late, and one in flight as before
            self._left_in_session = left
            self._step = step = step.following
            tally = step.tally
            tally.started = started = tally.started + 1
            tally.words[tally.word_started] = started
            self.started_us = at_us
            self.late_us = 0
            connection.request = connection.expecting = request = step.request
            connection.write(request.payload)
        else:
            connection.rest()
            self._go_on(at_us)

    def ended(self, outcome: AnswerJudgement | Answer, bytes_received: int, cookies: list[str]) -> None:
        """The request in flight has ended otherwise: with a failure, or with more to do than to count."""
        at_us = self._run.note_ended(
            self._step.tally, outcome, started_us=self.started_us, late_us=self.late_us, received=bytes_received
        )
        if cookies:
            if self._cookies is None:
                self._cookies = CookieBox()
            self._cookies.take(self._step.request, cookies)
        self._go_on(at_us)

    def broken(self, error: Exception) -> None:
        """Our own code raised: the load ends with it."""
        self._run.note_fault(error)

    # Called by the crowd --------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> bool:
        """Whether an operation was started whose end is still to come."""
        return self._connection.request is not NO_REQUEST

    def wait_or_start(self, at_us: int) -> None:
        """Start the next operation if it is due and permitted; else wait until then. Leaves when it is not wanted any more."""
        run = self._run
        if run.is_over or self.number >= self._crowd.connections:
            self.leave(at_us)
            return
        due_us = self.due_us(at_us)
        if due_us > at_us:
            self._crowd.wait(self, due_us)
        elif run.is_permitted():
            self._start(due_us, at_us)
        else:
            self._crowd.wait(self, at_us + _LOOK_AGAIN_US)

    def due_us(self, at_us: int) -> int:
        """The next intended start; NEVER_US while paused, or when none is left."""
        due_s = self.schedule.next_start_mono_s(at_us / _US_PER_S)
        return NEVER_US if due_s == float("inf") else round(due_s * _US_PER_S)

    def leave(self, at_us: int) -> None:
        """Disconnect, orderly when nothing is in flight; what is in flight is abandoned."""
        if self.in_flight:
            self._run.flights.change(at_us, -1)
        self._connection.close()
        self._crowd.note_left(self)

    async def disconnected(self) -> None:
        """Wait until the last connection's socket is gone."""
        await self._connection.closed()

    # ----------------------------------------------------------------------------------------------------------------

    def _go_on(self, at_us: int) -> None:
        self._run.flights.change(at_us, -1)
        self._free_us = at_us
        self.schedule.note_operation(started_mono_s=self.started_us / _US_PER_S, ended_mono_s=at_us / _US_PER_S)
        self._left_in_session -= 1
        self._step = self._step.following
        self.wait_or_start(at_us)

    def _start(self, due_us: int, at_us: int) -> None:
        run = self._run
        connection = self._connection
        if not self._left_in_session:
            connection.close()
            self._cookies = None
            self._left_in_session = run.order.operations_per_session
            connection = self._connection = WireConnection(run.circuit, self)
        elif not connection.alive:
            connection = self._connection = connection.replacement()
        request = self._step.request
        run.note_start(at_us, lag_us=at_us - max(due_us, self._free_us, run.changed_us))
        self._step.tally.count_started()
        self.started_us = at_us
        self.late_us = at_us - due_us
        connection.send(request, request.payload if self._cookies is None else self._cookies.payload(request))
