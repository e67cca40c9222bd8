"""One segment's declared load in one worker, without a coroutine per operation: what load_run does, at wire speed.

It takes the same order, obeys the same page and makes the same reports as LoadRun, for the wire engine alone. Here are
clock, permission, windows and figures; who starts what is the crowd's business, of which there is one for closed and one
for open loads. Everything waits behind one alarm. Runs in the asyncio loop of a worker process.
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import assert_never

from baseline_metrics.load_page import LoadPage
from stress_scenarios.arrival_replay import replayed_times
from stress_scenarios.arrivals import ArrivalTimes
from stress_scenarios.due_counts import DueByTarget, due_count
from stress_scenarios.engines.engine import Answer
from stress_scenarios.engines.wire_alarm import Alarm
from stress_scenarios.engines.wire_closed_crowd import ClosedCrowd
from stress_scenarios.engines.wire_connection import NEVER_US, now_us
from stress_scenarios.engines.wire_crowd import Crowd
from stress_scenarios.engines.wire_engine import WireEngine
from stress_scenarios.engines.wire_open_crowd import OpenCrowd
from stress_scenarios.engines.wire_steps import linked_steps
from stress_scenarios.engines.wire_tally import DenseHistogram, OperationTally
from stress_scenarios.engines.wire_windows import InFlight, WireWindows
from stress_scenarios.generator_gauges import NOT_READ, GeneratorGauges, GeneratorReading, other_ends_here
from stress_scenarios.lease_watch import load_is_permitted
from stress_scenarios.load_clock import LoadClock
from stress_scenarios.load_plan import Arrivals, LoadOrder, Paced, Thinking, Unpaced
from stress_scenarios.messages import Drained, WindowReport
from stress_scenarios.pacing import load_s
from stress_scenarios.scenario import AnswerJudgement, Failed
from stress_scenarios.window_counters import WINDOW_S, LoadGauges

LOOK_US = 4000
"""How often permission and window are looked at while answers come in: below the 10 ms that a worker may take."""

_US_PER_S = 1_000_000


class WireLoadRun:
    """The load of one order. Make it when the order comes, after the engine was prepared; run it once.

    Virtual users read look_us, flowing and is_over, clock and changed_us, and count in flights and lags. flowing: the next
    operation may start as soon as the last ended. changed_us: when load time last changed its speed.
    Raises arrival_replay.ReplayError and rate_lines.RateError for arrivals that cannot be made.
    """

    def __init__(
        self,
        *,
        worker: int,
        order: LoadOrder,
        engine: WireEngine,
        page: LoadPage,
        next_sequence: Callable[[], int],
        send: Callable[[WindowReport], None],
    ) -> None:
        self.order = order
        self.circuit = engine.circuit
        self.look_us = self.last_end_us = self.changed_us = now_us()
        self.flowing = self.is_over = False
        self.lags = DenseHistogram()
        self._over_us = self._first_start_us = self._end_us = self._start_us = NEVER_US
        self._worker = worker
        self._engine = engine
        self._page = page
        self._next_sequence = next_sequence
        self._send = send
        self._replayed = replayed_times(order)
        self._due = due_count(order, replayed=self._replayed)
        self._tallies = tuple(OperationTally(index, page) for index in range(len(order.operations)))
        self._started_before = sum(tally.started for tally in self._tallies)
        self._succeeded_before = sum(tally.succeeded for tally in self._tallies)
        self._failed_before = sum(tally.failed for tally in self._tallies)
        self._dropped = 0
        self._unpaced = isinstance(order.pace, Unpaced)
        self._changed = asyncio.Event()
        self._faults: list[BaseException] = []
        self._begun = False
        self._before = self._gauges(NOT_READ)
        self._opened_before = engine.connections.opened
        self._redirects_before = engine.connections.redirects

    async def run(self, start_mono_s: float) -> Drained:
        """Make the load until its time is over or it is released, then drain. Times are CLOCK_MONOTONIC."""
        self._alarm = Alarm(self._wake)
        self._generator = GeneratorGauges()
        try:
            self._begin(start_mono_s)
            while not (self.is_over or self._faults):
                await self._wait()
            await self._drain()
            await self._crowd.disconnected()
            if self._faults:
                raise self._faults[0]
            self._turn_windows(now_us(), self._windows.finish_with)
            return self._drained()
        finally:
            self._generator.close()
            self._alarm.close()

    def release(self) -> None:
        """Start what has come due until now and was permitted, and nothing more; what is in flight drains."""
        if self.is_over:
            return
        if self._begun:
            self._over_us = now_us()
            if not self._faults:
                self.look(self._over_us)
                self._crowd.start_last(min(self._over_us, self._end_us))
        self.is_over = True
        self.flowing = False
        if self._begun:
            self._crowd.stop(self._over_us)
            self._changed.set()

    def adjust(self, *, operations_per_s: float, connections: int) -> None:
        """Make this load instead from now on, as messages.Adjust says."""
        if not self._begun or self.is_over:
            return
        at_us = now_us()
        if not isinstance(self._due, DueByTarget):
            run_s = self.clock.run_s(at_us / _US_PER_S)
            self._due.adjust(run_s, operations_per_s=operations_per_s, connections=connections)
        self._crowd.adjust(at_us, operations_per_s=operations_per_s, connections=connections)
        self.look(at_us)
        self.wake_by(at_us)

    def hold(self) -> None:
        """Freeze the load's clock: start nothing, and move the end away."""
        at_us = now_us()
        if self._begun and not self.is_over and self.clock.hold(at_us / _US_PER_S):
            self._note_share(at_us)
            self.look(at_us)

    def resume(self) -> None:
        """Let the load's clock run again where it stood."""
        at_us = now_us()
        if self._begun and not self.is_over and self.clock.resume(at_us / _US_PER_S):
            self._note_share(at_us)
            self.look(at_us)

    def never_started(self) -> Drained:
        """The report of a load that was released before it was told to go."""
        return self._drained()

    def turn(self, now_mono_s: float, *, lag_s: float) -> None:  # noqa: ARG002 - a loop's own time may be stale
        """Look at the permitted share, and report windows that are over. Called at least every 10 ms."""
        if not self._begun:
            return
        at_us = now_us()
        if at_us >= self._start_us:
            self._windows.note_lag(lag_s)
        self.look(at_us)

    def operations_due(self) -> int:
        """Intended starts so far, eased or not; they end when the load is released."""
        if isinstance(self._due, DueByTarget):
            return self._started()
        at_us = min(now_us(), self._over_us)
        return self._due.due_by(self.clock.run_s(at_us / _US_PER_S)) if at_us >= self._start_us else 0

    # Called by virtual users and their crowd ------------------------------------------------------------------------

    def look(self, at_us: int) -> None:
        """Look at the permitted share, and report windows that are over. Starts nothing itself."""
        share = self._page.share if self.is_permitted() else 0.0
        if not self.is_over:
            if self.clock.permit(at_us / _US_PER_S, share):
                self._note_share(at_us)
            self._crowd.look(at_us)
        self.flowing = self._unpaced and self.clock.time.share == 1.0 and not self.is_over and self._crowd.steady
        self.look_us = at_us + LOOK_US
        if at_us >= self._start_us:
            if self._windows.is_over(at_us / _US_PER_S):
                self._turn_windows(at_us, self._windows.turn_with)
            self.look_us = min(self.look_us, max(at_us + 1, self._windows.end_us))

    def is_permitted(self) -> bool:
        """Whether load may be made at this instant."""
        return load_is_permitted(self._page)

    def wake_by(self, at_us: int) -> None:
        """Let the crowd start what is due at this instant, if not earlier."""
        if at_us < self._alarm.at_us:
            self._alarm.set(at_us)

    def note_start(self, at_us: int, *, lag_us: int) -> None:
        """An operation starts that had to wait; lag_us: for us, not for an earlier answer."""
        self._first_start_us = min(self._first_start_us, at_us)
        self.lags.record(max(0, lag_us))
        self.flights.change(at_us, 1)

    def note_ended(
        self, tally: OperationTally, outcome: AnswerJudgement | Answer, *, started_us: int, late_us: int, received: int
    ) -> int:
        """An operation has ended, late_us after its intended start plus the time since its actual one. Returns the time.

        received: bytes; they are counted with the operation's others, also of a failure.
        """
        at_us = now_us()
        if at_us >= self.look_us:
            self.look(at_us)
        service_us = at_us - started_us
        if isinstance(outcome, Failed):
            tally.count_failed(bytes_received=received)
            self._windows.record(
                tally.operation,
                outcome,
                response_s=(service_us + late_us) / _US_PER_S,
                service_s=service_us / _US_PER_S,
                bytes_received=0,
            )
        else:
            tally.count_succeeded(service_us=service_us, late_us=late_us, bytes_received=received)
        self.last_end_us = at_us
        return at_us

    def note_dropped(self, operations: int) -> None:
        """Arrivals were given up."""
        self._dropped += operations
        self._page.count_dropped(operations)

    def note_left(self) -> None:
        """Somebody has disconnected for good, after the load's end."""
        if not self._crowd.busy:
            self._changed.set()

    def note_fault(self, error: BaseException) -> None:
        """Our own bug: the load ends with it."""
        self._faults.append(error)
        self.release()
        self._changed.set()

    # ----------------------------------------------------------------------------------------------------------------

    def _begin(self, start_mono_s: float) -> None:
        self.clock = LoadClock(start_mono_s=start_mono_s, lasts_s=load_s(self.order))
        self._start_us = self.last_end_us = self.changed_us = round(start_mono_s * _US_PER_S)
        self.flights = InFlight(self._start_us)
        self._windows = WireWindows(
            worker=self._worker,
            segment=self.order.segment,
            start_mono_s=start_mono_s,
            cpu_s=time.process_time(),
            next_sequence=self._next_sequence,
            send=self._send,
            before=self._before,
        )
        self._engine.connections.begin_peak()
        self._crowd = self._new_crowd()
        self._begun = True
        if self.is_over:
            self._over_us = self._start_us
            return
        at_us = now_us()
        self._note_end()
        self._crowd.begin(at_us)
        self.look(at_us)
        self.wake_by(at_us)

    def _new_crowd(self) -> Crowd:
        order = self.order
        steps = linked_steps(order, self._engine.requests, self._tallies)
        match order.pace:
            case Arrivals() as pace:
                times = ArrivalTimes.of_order(order, pace, self._replayed)
                return OpenCrowd(self, steps, times, start_within_s=pace.start_within_s)
            case Paced() | Unpaced() | Thinking():
                return ClosedCrowd(self, steps)
            case _:
                assert_never(order.pace)

    def _wake(self) -> None:
        """The alarm rang: let the crowd start what is due, and end the load when its time is over."""
        if self.is_over:
            return
        try:
            next_us = self._crowd.start_due(now_us())
            if self._end_us <= now_us():
                self.release()
            else:
                self.wake_by(min(next_us, self._end_us))
        except Exception as error:  # noqa: BLE001 - an exception in a callback would only be logged
            self.note_fault(error)

    def _note_share(self, at_us: int) -> None:
        self.changed_us = max(self.changed_us, at_us)
        self._note_end()
        self._crowd.note_share(at_us)
        self.wake_by(at_us)

    def _note_end(self) -> None:
        end_s = self.clock.end_mono_s
        self._end_us = NEVER_US if end_s == math.inf else math.ceil(end_s * _US_PER_S)

    async def _wait(self, timeout_s: float | None = None) -> None:
        """Until something changed, or for so long."""
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _drain(self) -> None:
        until_s = time.monotonic() + max(0.0, self.order.drain_s)
        while self._crowd.busy and (left_s := until_s - time.monotonic()) > 0 and not self._faults:
            await self._wait(left_s)
        self._crowd.leave(now_us())

    # Figures --------------------------------------------------------------------------------------------------------

    def _started(self) -> int:
        return sum(tally.started for tally in self._tallies) - self._started_before

    def _turn_windows(
        self,
        at_us: int,
        turn: Callable[[tuple[OperationTally, ...], DenseHistogram, InFlight, float, LoadGauges], None],
    ) -> None:
        self._note_fast_starts()
        now_s = at_us / _US_PER_S
        other_ends = other_ends_here(self.order.target, self._engine.connections.open)
        gauges = self._gauges(self._generator.read(now_s, other_ends=other_ends))
        turn(self._tallies, self.lags, self.flights, now_s, gauges)

    def _note_fast_starts(self) -> None:
        """Count what the fast path leaves out: its starts are never late, and its requests always the same bytes."""
        for tally, request in zip(self._tallies, self._engine.requests, strict=True):
            starts = tally.unnoted_since_last()
            self.lags.record_zeros(starts)
            self._engine.connections.bytes_sent += starts * len(request.payload)

    def _gauges(self, generator: GeneratorReading) -> LoadGauges:
        connections = self._engine.connections
        return LoadGauges(
            operations_due=self.operations_due(),
            operations_started=self._started(),
            operations_dropped=self._dropped,
            connections_open=connections.open,
            cpu_s=time.process_time(),
            bytes_sent=connections.bytes_sent,
            messages_sent=connections.messages_sent,
            messages_received=connections.messages_received,
            reconnects=connections.reconnects,
            generator=generator,
        )

    def _drained(self) -> Drained:
        connections, before = self._engine.connections, self._before
        started = self._started()
        succeeded = sum(tally.succeeded for tally in self._tallies) - self._succeeded_before
        failed = sum(tally.failed for tally in self._tallies) - self._failed_before
        return Drained(
            worker=self._worker,
            segment=self.order.segment,
            operations_requested=started if isinstance(self._due, DueByTarget) else self._due.requested,
            operations_started=started,
            operations_succeeded=succeeded,
            operations_failed=failed,
            operations_abandoned=started - succeeded - failed,
            connections_peak=connections.peak if started else 0,
            connections_opened=connections.opened - self._opened_before,
            first_start_mono_s=min(self._first_start_us, self.last_end_us) / _US_PER_S,
            last_end_mono_s=self.last_end_us / _US_PER_S,
            operations_dropped=self._dropped,
            bytes_sent=connections.bytes_sent - before.bytes_sent,
            messages_sent=connections.messages_sent - before.messages_sent,
            messages_received=connections.messages_received - before.messages_received,
            reconnects=connections.reconnects - before.reconnects,
            redirects=connections.redirects - self._redirects_before,
        )


assert LOOK_US < WINDOW_S * _US_PER_S
