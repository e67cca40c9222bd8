"""One segment's load in one worker: its virtual users, from the start that Go names until everything has drained.

A closed model: each connection is one virtual user who connects, performs its operations at the pace, disconnects and
begins again for the whole time. A session stays connected until its user's next operation is due, so that as many
connections are open as were asked for. Runs in the asyncio loop of a worker process; every engine is driven by it.
"""

import asyncio
import math
import time
from collections.abc import Callable

from baseline_metrics.load_page import LoadPage
from stress_scenarios.engines.engine import Engine, Session
from stress_scenarios.lease_watch import load_is_permitted
from stress_scenarios.load_plan import LoadOrder, Paced, Unpaced
from stress_scenarios.messages import Drained, WindowReport
from stress_scenarios.pacing import (
    EasedTime,
    RequestedByTarget,
    RequestedCount,
    Schedule,
    connection_grid,
    connection_schedule,
    operations_requested,
)
from stress_scenarios.scenario import Passed, choice_cycle, cycle_offset
from stress_scenarios.window_counters import LoadGauges, WindowCounters

CANCEL_S_MAX = 2.0
"""How long abandoned operations may take to let go of their connections; closing has a limit of 1 s of its own."""

_LOOK_AGAIN_S = 0.001
"""A start that is due but not permitted looks again this soon; within 10 ms the changed share puts it off for good."""


class LoadRun:
    """The load of one order. Make it when the order comes; run it once."""

    def __init__(
        self,
        *,
        worker: int,
        order: LoadOrder,
        engine: Engine,
        page: LoadPage,
        next_sequence: Callable[[], int],
        send: Callable[[WindowReport], None],
    ) -> None:
        self.order = order
        self._worker = worker
        self._engine = engine
        self._page = page
        self._next_sequence = next_sequence
        self._send = send
        self._cycle = choice_cycle(tuple(operation.weight for operation in order.operations))
        self._grids = (
            tuple(connection_grid(order, order.pace, connection) for connection in range(order.connections))
            if isinstance(order.pace, Paced)
            else ()
        )
        self._now_s = asyncio.get_running_loop().time  # CLOCK_MONOTONIC, as everywhere
        self._over = asyncio.Event()
        self._waiters: set[asyncio.Future[None]] = set()
        self._faults: list[BaseException] = []
        self._started = self._succeeded = self._failed = 0
        self._start_mono_s = self._last_end_mono_s = self._now_s()
        self._over_mono_s = self._first_start_mono_s = math.inf
        self._time = EasedTime(start_mono_s=self._start_mono_s)
        self._windows = self._new_windows()

    async def run(self, start_mono_s: float) -> Drained:
        """Make the load until its time is over or it is released, then drain. The loop's time is CLOCK_MONOTONIC."""
        self._start_mono_s = self._last_end_mono_s = start_mono_s
        self._time = EasedTime(start_mono_s=start_mono_s)
        self._windows = self._new_windows()
        self.turn(self._now_s(), lag_s=0.0)
        self._engine.connections.begin_peak()
        opened_before = self._engine.connections.opened
        loop = asyncio.get_running_loop()
        end = loop.call_at(start_mono_s + self.order.ramp_s + self.order.hold_s, self.release)
        users = [asyncio.create_task(self._user(connection)) for connection in range(self.order.connections)]
        for user in users:
            user.add_done_callback(self._note_end_of_user)
        try:
            await self._over.wait()
            await self._drain(users)
        finally:
            end.cancel()
        if self._faults:
            raise self._faults[0]
        self._windows.finish(self._now_s(), self._gauges())
        return self._drained(opened=self._engine.connections.opened - opened_before)

    def release(self) -> None:
        """Start nothing more; what is in flight drains."""
        if not self._over.is_set():
            self._over_mono_s = self._now_s()
            self._over.set()
            self._wake_all()

    def never_started(self) -> Drained:
        """The report of a load that was released before it was told to go."""
        return self._drained(opened=0)

    def turn(self, now_mono_s: float, *, lag_s: float) -> None:
        """Look at the permitted share, and report windows that are over. Called at least every 10 ms."""
        share = self._page.share if load_is_permitted(self._page) else 0.0
        if self._time.set_share(now_mono_s=now_mono_s, share=share):
            self._wake_all()
        if now_mono_s >= self._start_mono_s:
            self._windows.note_lag(lag_s)
            if self._windows.is_over(now_mono_s):
                self._windows.turn(now_mono_s, self._gauges())

    def operations_due(self) -> int:
        """Intended starts so far, eased or not; they end when the load is released."""
        match self.order.pace:
            case Unpaced():
                return self._started
            case Paced():
                elapsed_s = min(self._now_s(), self._over_mono_s) - self._start_mono_s
                return sum(grid.due_by(elapsed_s) for grid in self._grids)

    # Virtual users --------------------------------------------------------------------------------------------------

    async def _user(self, connection: int) -> None:
        schedule = connection_schedule(self.order, connection, self._time)
        position = cycle_offset(self.order, connection, len(self._cycle))
        session = self._engine.session()
        performed = 0
        try:
            while (due_mono_s := await self._next_start_mono_s(schedule)) < math.inf:
                if performed == self.order.operations_per_session:
                    await session.close()
                    session = self._engine.session()
                    performed = 0
                    continue  # closing took time: look again whether load is permitted
                await self._perform(session, self._cycle[position], due_mono_s, schedule)
                performed += 1
                position = (position + 1) % len(self._cycle)
        finally:
            await session.close()

    async def _next_start_mono_s(self, schedule: Schedule) -> float:
        """Wait until an operation is due and permitted; its intended start, or infinity when the load is over."""
        while not self._over.is_set():
            now_s = self._now_s()
            due_s = schedule.next_start_mono_s(now_s)
            if due_s > now_s:
                await self._sleep_until(due_s)
            elif load_is_permitted(self._page):
                return due_s
            else:
                await self._sleep_until(now_s + _LOOK_AGAIN_S)
        return math.inf

    async def _perform(self, session: Session, operation: int, due_mono_s: float, schedule: Schedule) -> None:
        self._page.count_started(operation)
        self._started += 1
        started_s = self._now_s()
        self._first_start_mono_s = min(self._first_start_mono_s, started_s)
        exchange = await session.perform(operation)
        ended_s = self._now_s()
        self._last_end_mono_s = ended_s
        schedule.note_operation(started_mono_s=started_s, ended_mono_s=ended_s)
        if isinstance(exchange.judgement, Passed):
            self._succeeded += 1
            self._page.count_succeeded(operation, bytes_received=exchange.bytes_received)
        else:
            self._failed += 1
            self._page.count_failed(operation, bytes_received=exchange.bytes_received)
        if self._windows.is_over(ended_s):
            self._windows.turn(ended_s, self._gauges())
        self._windows.record(
            operation,
            exchange.judgement,
            response_s=ended_s - due_mono_s,
            service_s=ended_s - started_s,
            bytes_received=exchange.bytes_received,
        )

    # Waiting --------------------------------------------------------------------------------------------------------

    async def _sleep_until(self, mono_s: float) -> None:
        """Wait for an instant (infinity: none), for a change of the share, or for the end."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        timer = loop.call_at(mono_s, _wake, waiter) if mono_s < math.inf else None
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if timer is not None:
                timer.cancel()

    def _wake_all(self) -> None:
        for waiter in self._waiters:
            _wake(waiter)

    def _note_end_of_user(self, user: "asyncio.Task[None]") -> None:
        """A user ends by itself only when the load is over; an exception is our bug and ends the load."""
        if not user.cancelled() and (error := user.exception()) is not None:
            self._faults.append(error)
            self.release()

    async def _drain(self, users: "list[asyncio.Task[None]]") -> None:
        _, pending = await asyncio.wait(users, timeout=max(0.0, self.order.drain_s))
        for user in pending:
            user.cancel()
        if pending:
            await asyncio.wait(pending, timeout=CANCEL_S_MAX)

    # Figures --------------------------------------------------------------------------------------------------------

    def _new_windows(self) -> WindowCounters:
        return WindowCounters(
            worker=self._worker,
            segment=self.order.segment,
            start_mono_s=self._start_mono_s,
            cpu_s=time.process_time(),
            next_sequence=self._next_sequence,
            send=self._send,
        )

    def _gauges(self) -> LoadGauges:
        return LoadGauges(
            operations_due=self.operations_due(),
            operations_started=self._started,
            connections_open=self._engine.connections.open,
            cpu_s=time.process_time(),
        )

    def _drained(self, *, opened: int) -> Drained:
        match operations_requested(self.order):
            case RequestedCount(operations=requested):
                pass
            case RequestedByTarget():
                requested = self._started  # an unpaced load asks for what it gets
        return Drained(
            worker=self._worker,
            segment=self.order.segment,
            operations_requested=requested,
            operations_started=self._started,
            operations_succeeded=self._succeeded,
            operations_failed=self._failed,
            operations_abandoned=self._started - self._succeeded - self._failed,
            connections_peak=self._engine.connections.peak if self._started else 0,
            connections_opened=opened,
            first_start_mono_s=min(self._first_start_mono_s, self._last_end_mono_s),
            last_end_mono_s=self._last_end_mono_s,
        )


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
