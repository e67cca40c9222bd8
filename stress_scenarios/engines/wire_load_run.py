"""One segment's declared load in one worker, without a coroutine per operation: what load_run does, at wire speed.

It takes the same order, obeys the same page and makes the same reports as LoadRun, for the wire engine alone. Virtual
users wait in one queue, by their next intended start, behind one alarm. Runs in the asyncio loop of a worker process.
"""

import asyncio
import heapq
import time
from collections.abc import Callable

from baseline_metrics.load_page import LoadPage
from stress_scenarios.engines.wire_alarm import NEVER_US, Alarm
from stress_scenarios.engines.wire_connection import now_us
from stress_scenarios.engines.wire_engine import WireEngine
from stress_scenarios.engines.wire_tally import OperationTally
from stress_scenarios.engines.wire_user import Step, WireUser
from stress_scenarios.engines.wire_windows import WireWindows
from stress_scenarios.lease_watch import load_is_permitted
from stress_scenarios.load_plan import LoadOrder, Paced, Unpaced
from stress_scenarios.messages import Drained, WindowReport
from stress_scenarios.pacing import (
    EasedTime,
    RequestedByTarget,
    RequestedCount,
    connection_grid,
    connection_schedule,
    operations_requested,
)
from stress_scenarios.scenario import Failed, choice_cycle, cycle_offset
from stress_scenarios.window_counters import WINDOW_S, LoadGauges

LOOK_US = 4000
"""How often permission and window are looked at while answers come in: below the 10 ms that a worker may take."""

_US_PER_S = 1_000_000


class WireLoadRun:
    """The load of one order. Make it when the order comes, after the engine was prepared; run it once.

    Virtual users read look_us, flowing and is_over. flowing: the next operation may start as soon as the last ended.
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
        self.look_us = self.last_end_us = self._start_us = now_us()
        self.flowing = False
        self.is_over = False
        self._over_us = self._first_start_us = NEVER_US
        self._worker = worker
        self._engine = engine
        self._page = page
        self._next_sequence = next_sequence
        self._send = send
        self._tallies = tuple(OperationTally(index, page) for index in range(len(order.operations)))
        self._started_before = sum(tally.started for tally in self._tallies)
        self._succeeded_before = sum(tally.succeeded for tally in self._tallies)
        self._failed_before = sum(tally.failed for tally in self._tallies)
        self._grids = (
            tuple(connection_grid(order, order.pace, connection) for connection in range(order.connections))
            if isinstance(order.pace, Paced)
            else ()
        )
        self._unpaced = isinstance(order.pace, Unpaced)
        self._queue: list[tuple[int, int, WireUser]] = []
        self._users: set[WireUser] = set()
        self._changed = asyncio.Event()
        self._faults: list[BaseException] = []
        self._time = EasedTime(start_mono_s=self._start_us / _US_PER_S)
        self._windows = self._new_windows()
        self._alarm: Alarm | None = None

    async def run(self, start_mono_s: float) -> Drained:
        """Make the load until its time is over or it is released, then drain. Times are CLOCK_MONOTONIC."""
        self._begin(start_mono_s)
        connections = self._engine.connections
        connections.begin_peak()
        opened_before = connections.opened
        loop = asyncio.get_running_loop()
        end_s = start_mono_s + self.order.ramp_s + self.order.hold_s
        end = loop.call_later(max(0.0, end_s - time.monotonic()), self.release)
        self._alarm = Alarm(self._wake)
        try:
            users = self._new_users()
            for user in users:
                user.wait_or_start(now_us())
            while not (self.is_over or self._faults):
                await self._wait()
            await self._drain()
            await asyncio.gather(*(user.disconnected() for user in users))
        finally:
            end.cancel()
            self._alarm.close()
        if self._faults:
            raise self._faults[0]
        self._windows.finish_with(self._tallies, time.monotonic(), self._gauges())
        return self._drained(opened=connections.opened - opened_before)

    def release(self) -> None:
        """Start nothing more; what is in flight drains."""
        if self.is_over:
            return
        self._over_us = now_us()
        self.is_over = True
        self.flowing = False
        waiting, self._queue = self._queue, []
        for _, _, user in waiting:
            user.leave()
        self._changed.set()

    def never_started(self) -> Drained:
        """The report of a load that was released before it was told to go."""
        return self._drained(opened=0)

    def turn(self, now_mono_s: float, *, lag_s: float) -> None:  # noqa: ARG002 - a loop's own time may be stale
        """Look at the permitted share, and report windows that are over. Called at least every 10 ms."""
        at_us = now_us()
        if at_us >= self._start_us:
            self._windows.note_lag(lag_s)
        self.look(at_us)

    def operations_due(self) -> int:
        """Intended starts so far, eased or not; they end when the load is released."""
        if self._unpaced:
            return self._started()
        elapsed_s = (min(now_us(), self._over_us) - self._start_us) / _US_PER_S
        return sum(grid.due_by(elapsed_s) for grid in self._grids)

    # Called by virtual users ----------------------------------------------------------------------------------------

    def look(self, at_us: int) -> None:
        """Look at the permitted share, and report windows that are over. Starts nothing itself."""
        share = self._page.share if self.is_permitted() else 0.0
        now_s = at_us / _US_PER_S
        if self._time.set_share(now_mono_s=now_s, share=share):
            self._reorder(at_us)
        self.flowing = self._unpaced and share == 1.0 and not self.is_over
        self.look_us = at_us + LOOK_US
        if at_us >= self._start_us:
            if self._windows.is_over(now_s):
                self._windows.turn_with(self._tallies, now_s, self._gauges())
            self.look_us = min(self.look_us, max(at_us + 1, self._windows.end_us))

    def is_permitted(self) -> bool:
        """Whether load may be made at this instant."""
        return load_is_permitted(self._page)

    def wait(self, user: WireUser, due_us: int) -> None:
        """Let a user start at this instant; NEVER_US: when the share changes."""
        user.waits_for_us = due_us
        heapq.heappush(self._queue, (due_us, user.number, user))
        if self._alarm is not None and due_us < self._alarm.at_us:
            self._alarm.set(due_us)

    def note_start(self, at_us: int) -> None:
        """An operation starts."""
        self._first_start_us = min(self._first_start_us, at_us)

    def note_failure(self, operation: int, failed: Failed, *, response_us: int) -> None:
        """An operation failed; its bytes are counted with the operation's others."""
        self._windows.record(
            operation,
            failed,
            response_s=response_us / _US_PER_S,
            service_s=0.0,
            bytes_received=0,
        )

    def note_left(self, user: WireUser) -> None:
        """A user has disconnected for good."""
        self._users.discard(user)
        if not self._users:
            self._changed.set()

    def note_fault(self, error: BaseException) -> None:
        """Our own bug: the load ends with it."""
        self._faults.append(error)
        self.release()
        self._changed.set()

    # ----------------------------------------------------------------------------------------------------------------

    def _begin(self, start_mono_s: float) -> None:
        self._start_us = self.last_end_us = round(start_mono_s * _US_PER_S)
        self._time = EasedTime(start_mono_s=start_mono_s)
        self._windows = self._new_windows()
        self.look(now_us())

    def _new_users(self) -> tuple[WireUser, ...]:
        order = self.order
        cycle = choice_cycle(tuple(operation.weight for operation in order.operations))
        ring = tuple(Step(self._engine.requests[operation], self._tallies[operation]) for operation in cycle)
        for place, step in enumerate(ring):
            step.following = ring[(place + 1) % len(ring)]
        users = tuple(
            WireUser(
                self,
                number=connection,
                schedule=connection_schedule(order, connection, self._time),
                step=ring[cycle_offset(order, connection, len(ring))],
            )
            for connection in range(order.connections)
        )
        self._users.update(users)
        return users

    def _wake(self) -> None:
        """The alarm rang: start whoever is due."""
        try:
            queue = self._queue
            at_us = now_us()
            while queue and queue[0][0] <= at_us:
                if at_us >= self.look_us:
                    self.look(at_us)
                    queue = self._queue  # a changed share gave it another order
                    at_us = now_us()
                    continue
                _, _, user = heapq.heappop(queue)
                user.wait_or_start(at_us)
                queue = self._queue
                at_us = now_us()
            if queue and self._alarm is not None and queue[0][0] < self._alarm.at_us:
                self._alarm.set(queue[0][0])
        except Exception as error:  # noqa: BLE001 - an exception in a callback would only be logged
            self.note_fault(error)

    def _reorder(self, at_us: int) -> None:
        """The share has changed: ask every waiting user anew when it is due."""
        self._queue = [(user.due_us(at_us), user.number, user) for _, _, user in self._queue]
        heapq.heapify(self._queue)
        if self._queue and self._alarm is not None:
            self._alarm.set(self._queue[0][0])

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
        while self._users and (left_s := until_s - time.monotonic()) > 0 and not self._faults:
            await self._wait(left_s)
        for user in tuple(self._users):
            user.leave()

    # Figures --------------------------------------------------------------------------------------------------------

    def _started(self) -> int:
        return sum(tally.started for tally in self._tallies) - self._started_before

    def _new_windows(self) -> WireWindows:
        return WireWindows(
            worker=self._worker,
            segment=self.order.segment,
            start_mono_s=self._start_us / _US_PER_S,
            cpu_s=time.process_time(),
            next_sequence=self._next_sequence,
            send=self._send,
        )

    def _gauges(self) -> LoadGauges:
        return LoadGauges(
            operations_due=self.operations_due(),
            operations_started=self._started(),
            connections_open=self._engine.connections.open,
            cpu_s=time.process_time(),
        )

    def _drained(self, *, opened: int) -> Drained:
        started = self._started()
        succeeded = sum(tally.succeeded for tally in self._tallies) - self._succeeded_before
        failed = sum(tally.failed for tally in self._tallies) - self._failed_before
        match operations_requested(self.order):
            case RequestedCount(operations=requested):
                pass
            case RequestedByTarget():
                requested = started  # an unpaced load asks for what it gets
        return Drained(
            worker=self._worker,
            segment=self.order.segment,
            operations_requested=requested,
            operations_started=started,
            operations_succeeded=succeeded,
            operations_failed=failed,
            operations_abandoned=started - succeeded - failed,
            connections_peak=self._engine.connections.peak if started else 0,
            connections_opened=opened,
            first_start_mono_s=min(self._first_start_us, self.last_end_us) / _US_PER_S,
            last_end_mono_s=self.last_end_us / _US_PER_S,
        )


assert LOOK_US < WINDOW_S * _US_PER_S
