"""A connection of an open load, driven by callbacks: it takes arrivals, one at a time, and is idle between them.

Runs in worker processes.
"""

import time
from typing import TYPE_CHECKING

from stress_scenarios.engines.engine import Answer
from stress_scenarios.engines.wire_connection import WireConnection
from stress_scenarios.engines.wire_cookies import CookieBox
from stress_scenarios.engines.wire_request import NO_REQUEST
from stress_scenarios.engines.wire_steps import Step
from stress_scenarios.engines.wire_tally import BUCKET_OF_US, TABLE_US
from stress_scenarios.scenario import AnswerJudgement

if TYPE_CHECKING:
    from stress_scenarios.engines.wire_load_run import WireLoadRun
    from stress_scenarios.engines.wire_open_crowd import OpenCrowd

_clock_ns = time.monotonic_ns


class Lane:
    """One connection at a time, for one session after another."""

    __slots__ = ("_connection", "_cookies", "_crowd", "_left_in_session", "_run", "_step", "late_us", "started_us")

    def __init__(self, run: "WireLoadRun", crowd: "OpenCrowd", step: Step) -> None:
        self.started_us = 0
        self.late_us = 0
        self._run = run
        self._crowd = crowd
        self._step = step
        self._cookies: CookieBox | None = None
        self._left_in_session = run.order.operations_per_session
        self._connection = WireConnection(run.circuit, self)

    # Called by the crowd --------------------------------------------------------------------------------------------

    def start(self, step: Step, *, due_us: int, at_us: int) -> None:
        """Send an arrival's request."""
        connection = self._connection
        if not self._left_in_session:
            connection.close()
            self._cookies = None
            self._left_in_session = self._run.order.operations_per_session
            connection = self._connection = WireConnection(self._run.circuit, self)
        elif not connection.alive:
            connection = self._connection = connection.replacement()
        self._left_in_session -= 1
        self._step = step
        tally = step.tally  # count_started, written out
        tally.noted += 1
        tally.started = started = tally.started + 1
        tally.words[tally.word_started] = started
        self.started_us = at_us
        self.late_us = at_us - due_us
        request = step.request
        connection.send(request, request.payload if self._cookies is None else self._cookies.payload(request))

    def leave(self, at_us: int) -> None:
        """Disconnect, orderly when nothing is in flight; what is in flight is abandoned."""
        if self._connection.request is not NO_REQUEST:
            self._run.flights.change(at_us, -1)
        self._connection.close()

    async def disconnected(self) -> None:
        """Wait until the last connection's socket is gone."""
        await self._connection.closed()

    # Called by the connection ---------------------------------------------------------------------------------------

    def answered(self, bytes_received: int) -> None:
        """The expected answer arrived."""
        at_us = _clock_ns() // 1000
        run = self._run
        if at_us >= run.look_us:
            run.look(at_us)
        tally = self._step.tally
        late_us = self.late_us
        service_us = at_us - self.started_us
        response_us = service_us + late_us
        if not late_us or response_us >= TABLE_US:
            tally.count_succeeded(service_us=service_us, late_us=late_us, bytes_received=bytes_received)
        else:  # count_succeeded, written out
            words = tally.words
            tally.received = received = tally.received + bytes_received
            words[tally.word_received] = received
            tally.succeeded = succeeded = tally.succeeded + 1
            words[tally.word_succeeded] = succeeded
            times = tally.late_service
            times.counts[BUCKET_OF_US[service_us]] += 1
            times.sum_us += service_us
            if service_us > times.max_us:  # noqa: PLR1730 - max() and a store take 87 ns, this takes 6
                times.max_us = service_us
            if service_us < times.min_us:  # noqa: PLR1730 - as above
                times.min_us = service_us
            times = tally.late_response
            times.counts[BUCKET_OF_US[response_us]] += 1
            times.sum_us += response_us
            if response_us > times.max_us:  # noqa: PLR1730 - as above
                times.max_us = response_us
            if response_us < times.min_us:  # noqa: PLR1730 - as above
                times.min_us = response_us
        run.last_end_us = at_us
        self._connection.rest()
        self._crowd.note_free(self, at_us)

    def ended(self, outcome: AnswerJudgement | Answer, bytes_received: int, cookies: list[str]) -> None:
        """The request in flight has ended otherwise: with a failure, or with more to do than to count."""
        at_us = self._run.note_ended(
            self._step.tally, outcome, started_us=self.started_us, late_us=self.late_us, received=bytes_received
        )
        if cookies:
            if self._cookies is None:
                self._cookies = CookieBox()
            self._cookies.take(self._step.request, cookies)
        self._crowd.note_free(self, at_us)

    def broken(self, error: Exception) -> None:
        """Our own code raised: the load ends with it."""
        self._run.note_fault(error)
