"""Carries out a supervisor's orders in one memory worker, one segment after another, in a plain loop.

No event loop and no engine: what makes the load must stay able to give it back while the host has nothing left. The loop
looks at the page every 5 ms, far within the 20 ms in which a share of 0 has to show. An order that does not fit the
state is our fault and ends the worker. Runs in the main thread of memory workers; ``accept`` is called from the thread
that reads orders.
"""

import math
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from baseline_metrics.load_page import LoadPage
from stress_scenarios.hold_time import BACKSTOP_MARGIN_S, HOLD_S_MAX, HoldTime
from stress_scenarios.loads.memory import HeldMemory
from stress_scenarios.loads.memory_load import MemoryLoad
from stress_scenarios.loads.memory_order import SIZE_BYTES_MIN, MemoryOrder
from stress_scenarios.messages import (
    Adjust,
    Continue,
    Go,
    Held,
    Hold,
    Leave,
    Order,
    Prepare,
    Prepared,
    PrepareMemory,
    Release,
    Report,
)
from stress_scenarios.process_start import arm_backstop, disarm_backstop

ORDERS_WAITING_MAX = 64
"""A segment takes four orders; this many wait only if the loop stands still for minutes."""

TURN_S = 0.005
"""Between two looks; two hundred turns a second cost about 1 % of a core."""

IDLE_TURN_S = 0.02
"""Between two loads the heart beats, and orders are taken, no faster than the guardian looks."""

_NS_PER_S = 1_000_000_000


class MemoryOrderError(Exception):
    """An order that cannot be carried out, or does not fit the worker's state. The worker ends with exit code 70."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Nothing prepared. last_segment: whose Release may still be on its way, -1 before the first segment."""

    last_segment: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A load is prepared and waits for Go."""

    load: MemoryLoad


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A load is being made."""

    load: MemoryLoad
    hold_time: HoldTime


class MemoryService:
    """One worker's orders, from the first to Leave."""

    def __init__(
        self,
        *,
        worker: int,
        page: LoadPage,
        memory: HeldMemory,
        resident_bytes: Callable[[], int],
        send: Callable[[Report], None],
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._worker = worker
        self._page = page
        self._memory = memory
        self._resident_bytes = resident_bytes
        self._send = send
        self._now_s = now_s
        self._sleep = sleep
        self._orders: queue.Queue[Order | Exception] = queue.Queue(maxsize=ORDERS_WAITING_MAX)
        self._state: Idle | Ready | Running = Idle(last_segment=-1)
        self._sequence = 0
        self._left = False

    def accept(self, order: Order | Exception) -> None:
        """Take an order, or what ends the worker, from any thread. Never waits."""
        try:
            self._orders.put_nowait(order)
        except queue.Full:
            self._left = True  # nobody carries orders out; without them nothing may be held either

    def serve(self) -> None:
        """Work until Leave. Raises MemoryOrderError for what cannot be carried out, and what ``accept`` was handed."""
        while not self._left:
            self.turn()
            self._sleep(TURN_S if isinstance(self._state, Running) else IDLE_TURN_S)

    def turn(self) -> None:
        """Orders that have come, the load, the heartbeat."""
        while not self._left:
            try:
                order = self._orders.get_nowait()
            except queue.Empty:
                break
            if isinstance(order, Exception):
                raise order
            self._carry_out(order)
        if isinstance(self._state, Running):
            self._turn_load(self._state)
        self._page.want_load(wanted=isinstance(self._state, Running) and not self._state.hold_time.stands)
        self._page.beat(
            heartbeat_mono_ns=int(self._now_s() * _NS_PER_S), connections_open=0, connections_opened=0, operations_due=0
        )

    # Orders ---------------------------------------------------------------------------------------------------------

    def _carry_out(self, order: Order) -> None:
        match order:
            case PrepareMemory(order=asked):
                self._prepare(asked)
            case Go(segment=segment, start_mono_s=start_mono_s):
                self._go(segment, start_mono_s)
            case Hold() | Continue():
                self._change(order)
            case Release(segment=segment):
                self._release(segment)
            case Leave():
                self._left = True
            case Prepare() | Adjust():
                raise MemoryOrderError(f"{type(order).__name__} is asked of a worker that makes no requests")
            case _:
                assert_never(order)

    def _prepare(self, order: MemoryOrder) -> None:
        if isinstance(self._state, Running):
            raise MemoryOrderError(f"segment {order.segment} is prepared while {self._state.load.order.segment} runs")
        _check(order)
        load = MemoryLoad(
            order,
            worker=self._worker,
            page=self._page,
            memory=self._memory,
            resident_bytes=self._resident_bytes,
            next_sequence=self._next_sequence,
            send=self._send,
            now_s=self._now_s,
        )
        self._state = Ready(load=load)
        self._send(Prepared(worker=self._worker, segment=order.segment))

    def _go(self, segment: int, start_mono_s: float) -> None:
        if not isinstance(self._state, Ready) or self._state.load.order.segment != segment:
            raise MemoryOrderError(f"Go for segment {segment}, which is not prepared")
        load, now_s = self._state.load, self._now_s()
        ends_s = max(now_s, start_mono_s) + load.order.lasts_s + BACKSTOP_MARGIN_S
        arm_backstop(ends_s - now_s)
        load.begin(start_mono_s)
        hold_time = HoldTime(ends_s, arm=arm_backstop, hold_s_max=HOLD_S_MAX)
        self._state = Running(load=load, hold_time=hold_time)

    def _change(self, order: Hold | Continue) -> None:
        match self._state:
            case Running(load=load, hold_time=hold_time) if load.order.segment == order.segment:
                if isinstance(order, Hold):
                    load.hold()
                    hold_time.hold(self._now_s())
                    self._send(Held(worker=self._worker, segment=order.segment))
                else:
                    load.resume()
                    hold_time.resume(self._now_s())
            case Idle(last_segment=last) if last == order.segment:
                pass  # its time was over before; the report is already on its way
            case _:
                raise MemoryOrderError(f"{type(order).__name__} of segment {order.segment}, which does not run")

    def _release(self, segment: int) -> None:
        match self._state:
            case Running(load=load) | Ready(load=load) if load.order.segment == segment:
                load.release()
                self._end(load)
            case Idle(last_segment=last) if last == segment:
                pass  # its time was over before the Release arrived
            case _:
                raise MemoryOrderError(f"Release of segment {segment}, which is not this worker's")

    # ----------------------------------------------------------------------------------------------------------------

    def _turn_load(self, running: Running) -> None:
        load = running.load
        load.turn()
        if running.hold_time.is_over(self._now_s()):
            load.release()
        if load.over:
            self._end(load)

    def _end(self, load: MemoryLoad) -> None:
        disarm_backstop()
        self._state = Idle(last_segment=load.order.segment)
        self._send(load.drained())

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence


def _check(order: MemoryOrder) -> None:
    """Refuse an order that has no meaning. The planner never makes one, so this is about our own bugs."""
    problems = []
    if order.size_bytes < SIZE_BYTES_MIN:
        problems.append(f"{order.size_bytes} bytes")
    if not 0.0 < order.rise_bytes_per_s < math.inf:
        problems.append(f"a rise of {order.rise_bytes_per_s} bytes per second")
    if not 0.0 < order.lasts_s < math.inf:
        problems.append(f"a time of {order.lasts_s} s")
    if problems:
        raise MemoryOrderError(f"segment {order.segment} asks for the impossible: {'; '.join(problems)}")
