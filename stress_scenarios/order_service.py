"""Carries out a supervisor's orders in one worker, one segment after another.

Prepare, Go, Release and what changes a running load come as messages; permission to make load comes from the page alone. Counters in the page
accumulate over the worker's life (whoever reads them takes differences), reports count within their segment. An order
that does not fit the state is our fault and ends the worker: guessing would falsify the record. Runs in the asyncio
loop of a worker process.
"""

import asyncio
import gc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from baseline_metrics.load_page import OPERATIONS_MAX, LoadPage
from baseline_metrics.redaction import RedactionError, register_secrets
from stress_scenarios.arrival_replay import ReplayError
from stress_scenarios.engines.engine import Engine, EngineError
from stress_scenarios.hold_time import BACKSTOP_MARGIN_S, HOLD_S_MAX, HoldTime
from stress_scenarios.load_plan import Arrivals, LoadOrder, Paced, Thinking, Unpaced
from stress_scenarios.loop_pulse import PULSE_S, LoopPulse
from stress_scenarios.messages import (
    Adjust,
    Continue,
    Drained,
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
from stress_scenarios.rate_lines import RateError, shape_problems
from stress_scenarios.scenario import ScenarioError, ready_requests
from stress_scenarios.segment_run import MakeRun, SegmentRun

ORDERS_WAITING_MAX = 64
"""Orders are carried out as they come; a supervisor that adjusts ten times a second has 64 on their way only if our loop
stands still for seconds."""

CONNECTIONS_MAX = 65_535
"""Of one worker: one address has no more ports."""

_HEARTBEAT_TURNS = 6
"""The page is written every sixth turn, about every 36 ms: at least every 50 ms also when turns are a little late."""

assert _HEARTBEAT_TURNS * PULSE_S < 0.05


class OrderError(Exception):
    """An order that cannot be carried out, or does not fit the worker's state. The worker ends with exit code 70."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Nothing prepared. last_segment: whose Release may still be on its way, -1 before the first segment."""

    last_segment: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A load is prepared and waits for Go."""

    run: SegmentRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A load is being made."""

    run: SegmentRun
    task: "asyncio.Task[Drained]"


State = Idle | Ready | Running


class OrderService:
    """One worker's orders, from the first to Leave."""

    def __init__(
        self, *, worker: int, engine: Engine, make_run: MakeRun, page: LoadPage, send: Callable[[Report], None]
    ) -> None:
        self._worker = worker
        self._make_run = make_run
        self._engine = engine
        self._page = page
        self._send = send
        self._state: State = Idle(last_segment=-1)
        self._hold_time = HoldTime(math.inf, arm=arm_backstop, hold_s_max=HOLD_S_MAX)
        self._orders: asyncio.Queue[Order] = asyncio.Queue()
        self._left = asyncio.Event()
        self._sequence = 0
        self._due_before = 0
        self._turns = 0
        self._faults: list[BaseException] = []

    def accept(self, order: Order) -> None:
        """Take an order, in the loop's thread."""
        if self._orders.qsize() >= ORDERS_WAITING_MAX:
            self.fail(OrderError(f"more than {ORDERS_WAITING_MAX} orders wait"))
        else:
            self._orders.put_nowait(order)

    def fail(self, error: BaseException) -> None:
        """End the service with this error."""
        self._faults.append(error)
        self._left.set()

    async def serve(self) -> None:
        """Work until Leave. Raises OrderError for what cannot be carried out, and whatever was thrown by our own bugs."""
        pulse = LoopPulse(self._turn)
        worker = asyncio.create_task(self._carry_out_all())
        try:
            await self._left.wait()
        finally:
            pulse.stop()
            worker.cancel()
        if self._faults:
            raise self._faults[0]

    # Orders ---------------------------------------------------------------------------------------------------------

    async def _carry_out_all(self) -> None:
        try:
            while not self._left.is_set():
                self._carry_out(await self._orders.get())
                await asyncio.sleep(0)  # so that a load begins before what comes after its Go
        except Exception as error:  # noqa: BLE001 - handed on by serve, which ends the process with it
            self.fail(error)

    def _carry_out(self, order: Order) -> None:
        match order:
            case Prepare(order=load):
                self._prepare(load)
            case PrepareMemory():
                raise OrderError("a memory load is asked of a worker that makes requests")
            case Go(segment=segment, start_mono_s=start_mono_s):
                self._go(segment, start_mono_s)
            case Adjust() | Hold() | Continue():
                self._change(order)
            case Release(segment=segment):
                self._release(segment)
            case Leave():
                self._left.set()
            case _:
                assert_never(order)

    def _prepare(self, load: LoadOrder) -> None:
        if isinstance(self._state, Running):
            raise OrderError(f"Prepare of segment {load.segment} while segment {self._state.run.order.segment} runs")
        _check(load)
        try:
            for headers in (load.target.headers, *(operation.headers for operation in load.operations)):
                for header in headers:
                    register_secrets(header.secrets)
            requests = ready_requests(load)
            self._engine.prepare(target=load.target, requests=requests, response_bytes_max=load.response_bytes_max)
            run = self._make_run(order=load, next_sequence=self._next_sequence, send=self._send)
        except (EngineError, RateError, RedactionError, ReplayError, ScenarioError) as error:
            raise OrderError(f"segment {load.segment} cannot be prepared: {error}") from error
        self._state = Ready(run=run)
        gc.unfreeze()  # the last load's cycles among what was frozen for it
        gc.collect()
        gc.freeze()  # what was set up stays: collections during the load look only at what the load makes
        self._send(Prepared(worker=self._worker, segment=load.segment))

    def _go(self, segment: int, start_mono_s: float) -> None:
        if not isinstance(self._state, Ready) or self._state.run.order.segment != segment:
            raise OrderError(f"Go for segment {segment}, which is not prepared")
        run = self._state.run
        load = run.order
        now_s = asyncio.get_running_loop().time()
        ends_s = max(now_s, start_mono_s) + load.ramp_s + load.hold_s + load.drain_s + BACKSTOP_MARGIN_S
        arm_backstop(ends_s - now_s)
        self._hold_time = HoldTime(ends_s, arm=arm_backstop, hold_s_max=HOLD_S_MAX)
        task = asyncio.create_task(run.run(start_mono_s))
        task.add_done_callback(self._note_drained)
        self._state = Running(run=run, task=task)

    def _change(self, order: Adjust | Hold | Continue) -> None:
        match self._state:
            case Running(run=run) if run.order.segment == order.segment:
                self._change_run(run, order)
            case Idle(last_segment=last) if last == order.segment:
                pass  # its time was over before; Drained is already on its way
            case _:
                raise OrderError(f"{type(order).__name__} of segment {order.segment}, which does not run")

    def _change_run(self, run: SegmentRun, order: Adjust | Hold | Continue) -> None:
        now_s = asyncio.get_running_loop().time()
        match order:
            case Adjust(operations_per_s=per_s, connections=connections):
                _check_change(run.order, order)
                run.adjust(operations_per_s=per_s, connections=connections)
            case Hold():
                run.hold()
                self._hold_time.hold(now_s)
                self._send(Held(worker=self._worker, segment=order.segment))
            case Continue():
                run.resume()
                self._hold_time.resume(now_s)
            case _:
                assert_never(order)

    def _release(self, segment: int) -> None:
        match self._state:
            case Running(run=run) if run.order.segment == segment:
                run.release()
            case Ready(run=run) if run.order.segment == segment:
                self._state = Idle(last_segment=segment)
                self._send(run.never_started())
            case Idle(last_segment=last) if last == segment:
                pass  # its time was over before the Release arrived; Drained is already on its way
            case _:
                raise OrderError(f"Release of segment {segment}, which is not this worker's")

    def _note_drained(self, task: "asyncio.Task[Drained]") -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.fail(error)
            return
        drained = task.result()
        disarm_backstop()
        assert isinstance(self._state, Running)
        self._due_before += self._state.run.operations_due()
        self._state = Idle(last_segment=drained.segment)
        self._beat(asyncio.get_running_loop().time())
        self._say(drained)

    # The loop's beat ------------------------------------------------------------------------------------------------

    def _turn(self, now_mono_s: float, lag_s: float) -> None:
        try:
            if isinstance(self._state, Running):
                self._state.run.turn(now_mono_s, lag_s=lag_s)
                if self._hold_time.is_over(now_mono_s):
                    self._state.run.release()
        except Exception as error:  # noqa: BLE001 - an exception in a callback would only be logged
            self.fail(error)
        self._turns += 1
        if self._turns % _HEARTBEAT_TURNS == 0:
            self._beat(now_mono_s)

    def _beat(self, now_mono_s: float) -> None:
        due = self._due_before
        if isinstance(self._state, Running):
            due += self._state.run.operations_due()
        self._page.want_load(wanted=isinstance(self._state, Running) and not self._hold_time.stands)
        self._page.beat(
            heartbeat_mono_ns=int(now_mono_s * 1e9),
            connections_open=self._engine.connections.open,
            connections_opened=self._engine.connections.opened,
            operations_due=due,
        )

    def _say(self, report: Report) -> None:
        try:
            self._send(report)
        except Exception as error:  # noqa: BLE001 - see _turn
            self.fail(error)

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence


def _check(load: LoadOrder) -> None:
    """Refuse an order that has no meaning. The planner never makes one, so this is about our own bugs."""
    problems = []
    if not 1 <= len(load.operations) <= OPERATIONS_MAX:
        problems.append(f"{len(load.operations)} operations, 1 to {OPERATIONS_MAX} are possible")
    if not (1 <= load.connections <= CONNECTIONS_MAX):
        problems.append(f"{load.connections} connections, 1 to {CONNECTIONS_MAX} are possible")
    if load.connections_total < load.connection_offset + load.connections:
        problems.append(f"connections {load.connection_offset} + {load.connections} of {load.connections_total}")
    if load.operations_per_session < 1:
        problems.append(f"{load.operations_per_session} operations per session")
    if min(load.ramp_s, load.hold_s, load.drain_s) < 0 or load.ramp_s + load.hold_s <= 0:
        problems.append(f"a ramp of {load.ramp_s} s, a hold of {load.hold_s} s, a drain of {load.drain_s} s")
    problems += _pace_problems(load)
    if problems:
        raise OrderError(f"segment {load.segment} asks for the impossible: {'; '.join(problems)}")


def _pace_problems(load: LoadOrder) -> list[str]:
    match load.pace:
        case Paced(operations_per_s=per_s):
            return [] if _is_rate(per_s) and per_s > 0 else [f"{per_s} operations per second"]
        case Unpaced():
            return []
        case Thinking(seconds_min=least, seconds_max=most):
            return [] if 0.0 <= least <= most < math.inf else [f"think times from {least} s to {most} s"]
        case Arrivals(shape=shape, part=part, parts=parts, start_within_s=within_s):
            problems = list(shape_problems(shape))
            if not 0 <= part < parts:
                problems.append(f"part {part} of {parts}")
            if not 0.0 < within_s < math.inf:
                problems.append(f"arrivals that must start within {within_s} s")
            return problems
        case _:
            assert_never(load.pace)


def _check_change(load: LoadOrder, order: Adjust) -> None:
    """Refuse a change that has no meaning, see _check."""
    least = "above 0" if isinstance(load.pace, Paced) else "at least 0"
    per_s = order.operations_per_s
    if not _is_rate(per_s) or (isinstance(load.pace, Paced) and per_s == 0.0):
        raise OrderError(f"Adjust of segment {order.segment} to {per_s} operations per second, which must be {least}")
    if not 0 <= order.connections <= CONNECTIONS_MAX:
        raise OrderError(f"Adjust of segment {order.segment} to {order.connections} connections")


def _is_rate(per_s: float) -> bool:
    return math.isfinite(per_s) and per_s >= 0.0
