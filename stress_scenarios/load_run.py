"""One segment's load in one worker: its virtual users, from the start that Go names until everything has drained.

In a closed model each connection is one virtual user for the whole time, at its own pace; in an open one users are made
for arrivals, as many as are needed and at most as many as the order has connections. Counting, permission and windows are
the same for all, whatever engine or program is behind them. Runs in the asyncio loop of a worker process.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import assert_never

from baseline_metrics.load_page import LoadPage
from stress_scenarios.arrival_replay import replayed_times
from stress_scenarios.arrivals import ArrivalTimes
from stress_scenarios.due_counts import DueByTarget, due_count
from stress_scenarios.engines.engine import Engine
from stress_scenarios.engines.wire_tally import BUCKET_OF_US, TABLE_US, DenseHistogram, OperationTally
from stress_scenarios.engines.wire_windows import InFlight, WireWindows
from stress_scenarios.generator_gauges import NOT_READ, GeneratorGauges, GeneratorReading, other_ends_here
from stress_scenarios.lease_watch import load_is_permitted
from stress_scenarios.load_clock import LoadClock
from stress_scenarios.load_plan import Arrivals, LoadOrder, Paced, Thinking, Unpaced
from stress_scenarios.messages import Drained, WindowReport
from stress_scenarios.pacing import load_s
from stress_scenarios.scenario import AnswerJudgement, Passed
from stress_scenarios.session_program import UNSCRIPTED, LoadOver, MakeProgram, Unscripted, UserProgram
from stress_scenarios.sleepers import ExactTimer, MakeTimer, Sleepers
from stress_scenarios.user_pools import ClosedPool, OpenPool, UserPool
from stress_scenarios.virtual_user import LOOK_AGAIN_S, AnyUser, PlainPrograms
from stress_scenarios.window_counters import LoadGauges

CANCEL_S_MAX = 2.0
"""How long abandoned operations may take to let go of their connections; closing has a limit of 1 s of its own."""

LOOK_S = 0.004
"""How long a permission that was seen is taken to stand, while operations are many: below the 10 ms that a worker has."""

_US_PER_S = 1_000_000


class LoadRun:
    """The load of one order. Make it when the order comes, in the loop; run it once. Virtual users read clock and sleepers.

    make_program: of scripted orders. make_timer: LoopTimer where the loop's time is virtual.
    Raises arrival_replay.ReplayError and rate_lines.RateError for arrivals that cannot be made.
    """

    def __init__(
        self,
        *,
        worker: int,
        order: LoadOrder,
        engine: Engine,
        page: LoadPage,
        next_sequence: Callable[[], int],
        send: Callable[[WindowReport], None],
        make_program: MakeProgram | Unscripted = UNSCRIPTED,
        make_timer: MakeTimer = ExactTimer,
    ) -> None:
        self.order = order
        self._worker = worker
        self._engine = engine
        self._page = page
        self._next_sequence = next_sequence
        self._send = send
        self._tallies = tuple(OperationTally(index, page) for index in range(len(order.operations)))
        self._lags = DenseHistogram()
        self._punctual = 0  # starts without any lag since the last window
        self._make_program = PlainPrograms(order, engine) if isinstance(make_program, Unscripted) else make_program
        self._make_timer = make_timer
        self._replayed: Sequence[float] = replayed_times(order)
        self._due = due_count(order, replayed=self._replayed)
        self._begun = self._is_over = False
        self.wanted = order.connections
        self._permitted_until_s = -math.inf
        self._tasks: set[asyncio.Task[None]] = set()
        self._faults: list[BaseException] = []
        self._started = self._succeeded = self._failed = self._dropped = 0
        self._over_mono_s = self._first_start_mono_s = math.inf
        self._last_end_mono_s = asyncio.get_running_loop().time()
        self._before = self._gauges(NOT_READ)
        self._opened_before = engine.connections.opened
        self._redirects_before = engine.connections.redirects

    async def run(self, start_mono_s: float) -> Drained:
        """Make the load until its time is over or it is released, then drain. Times are CLOCK_MONOTONIC."""
        self._begin(start_mono_s)
        try:
            await self._conduct()
            await self._drain()
            if self._faults:
                raise self._faults[0]
            self._report(self._windows.finish_with, self.now_s())
            return self._drained()
        finally:
            self._generator.close()
            self.sleepers.close()

    def release(self) -> None:
        """Start what has come due until now and was permitted, and nothing more; what is in flight drains."""
        if self._is_over:
            return
        if self._begun:
            self._over_mono_s = over_s = self.now_s()
            if not self._faults:
                self.turn(over_s, lag_s=0.0)
                if self.is_permitted(over_s):
                    self._pool.take_due(min(over_s, self.clock.end_mono_s))
        self._is_over = True
        self.wanted = 0
        if self._begun:
            self._pool.close(self._over_mono_s)
            self._wake_all()

    def adjust(self, *, operations_per_s: float, connections: int) -> None:
        """Make this load instead from now on, as messages.Adjust says."""
        if not self._begun or self._is_over:
            return
        now_s = self.now_s()
        if not isinstance(self._due, DueByTarget):
            self._due.adjust(self.clock.run_s(now_s), operations_per_s=operations_per_s, connections=connections)
        self.wanted = connections
        self._pool.adjust(now_s, operations_per_s=operations_per_s, connections=connections)
        self._wake_all()

    def hold(self) -> None:
        """Freeze the load's clock: start nothing, and move the end away."""
        if self._begun and not self._is_over and self.clock.hold(self.now_s()):
            self._note_share()

    def resume(self) -> None:
        """Let the load's clock run again where it stood."""
        if self._begun and not self._is_over and self.clock.resume(self.now_s()):
            self._note_share()

    def never_started(self) -> Drained:
        """The report of a load that was released before it was told to go."""
        return self._drained()

    def turn(self, now_mono_s: float, *, lag_s: float) -> None:  # noqa: ARG002 - a loop's own time may be stale
        """Look at the permitted share, and report windows that are over. Called at least every 10 ms."""
        if not self._begun:
            return
        now_s = self.now_s()
        self._permitted_until_s = -math.inf
        share = self._page.share if self.is_permitted(now_s) else 0.0
        if not self._is_over:
            if self.clock.permit(now_s, share):
                self._note_share()
            self._pool.look(now_s)
        if now_s >= self._start_mono_s:
            self._windows.note_lag(lag_s)
            if now_s >= self._window_end_s:
                self._turn_windows(now_s)

    def operations_due(self) -> int:
        """Intended starts so far, eased or not; they end when the load is released."""
        if isinstance(self._due, DueByTarget):
            return self._started
        return self._due.due_by(self.clock.run_s(min(self.now_s(), self._over_mono_s))) if self._begun else 0

    # Called by virtual users ----------------------------------------------------------------------------------------

    def is_permitted(self, now_mono_s: float) -> bool:
        """Whether load may be made at this instant. The page is looked at again after LOOK_S."""
        if now_mono_s < self._permitted_until_s:
            return True
        if not load_is_permitted(self._page):
            return False
        self._permitted_until_s = now_mono_s + LOOK_S
        return True

    def note_started(self, operation: int, started_mono_s: float, *, lag_s: float) -> None:
        """An operation starts."""
        if started_mono_s >= self._window_end_s:
            self._turn_windows(started_mono_s)
        if not self._started:
            self._first_start_mono_s = started_mono_s
        self._started += 1
        tally = self._tallies[operation]  # what follows is count_started, record and change, written out
        tally.noted += 1
        tally.started = started = tally.started + 1
        tally.words[tally.word_started] = started
        if lag_s > 0.0:
            self._lags.record(int(lag_s * _US_PER_S + 0.5))
        else:
            self._punctual += 1
        flights = self._flights
        at_us = int(started_mono_s * _US_PER_S)
        flights.area_us += flights.count * (at_us - flights.since_us)
        flights.since_us = at_us
        flights.count += 1

    def note_ended(
        self,
        operation: int,
        judgement: AnswerJudgement,
        ended_mono_s: float,
        *,
        late_s: float,
        service_s: float,
        bytes_received: int,
    ) -> None:
        """An operation has ended."""
        if ended_mono_s >= self._window_end_s:
            self._turn_windows(ended_mono_s)
        self._last_end_mono_s = ended_mono_s
        tally = self._tallies[operation]
        if isinstance(judgement, Passed):
            self._succeeded += 1
            service_us = int(service_s * _US_PER_S + 0.5)
            late_us = int(late_s * _US_PER_S + 0.5) if late_s > 0.0 else 0
            if late_us or service_us >= TABLE_US:
                tally.count_succeeded(service_us=service_us, late_us=late_us, bytes_received=bytes_received)
            else:  # count_succeeded, written out for nearly all
                words, first = tally.words, tally.word_started
                tally.succeeded = succeeded = tally.succeeded + 1
                words[first + 1] = succeeded
                tally.received = received = tally.received + bytes_received
                words[first + 3] = received
                prompt = tally.prompt
                prompt.counts[BUCKET_OF_US[service_us]] += 1
                prompt.sum_us += service_us
                if service_us < prompt.min_us:  # noqa: PLR1730 - as in record
                    prompt.min_us = service_us
                if service_us > prompt.max_us:  # noqa: PLR1730 - as in record
                    prompt.max_us = service_us
        else:
            self._failed += 1
            tally.count_failed(bytes_received=bytes_received)
            self._windows.record(
                operation, judgement, response_s=late_s + service_s, service_s=service_s, bytes_received=0
            )
        flights = self._flights
        at_us = int(ended_mono_s * _US_PER_S)
        flights.area_us += flights.count * (at_us - flights.since_us)
        flights.since_us = at_us
        flights.count -= 1

    def note_dropped(self, operations: int) -> None:
        """Arrivals were given up."""
        self._dropped += operations
        self._page.count_dropped(operations)

    # ----------------------------------------------------------------------------------------------------------------

    def _begin(self, start_mono_s: float) -> None:
        self.sleepers = Sleepers(self._make_timer)
        self.now_s = self.sleepers.now_s
        self.clock = LoadClock(start_mono_s=start_mono_s, lasts_s=load_s(self.order))
        self._start_mono_s = self._last_end_mono_s = start_mono_s
        self._generator = GeneratorGauges()
        self._engine.connections.begin_peak()
        self._windows = WireWindows(
            worker=self._worker,
            segment=self.order.segment,
            start_mono_s=start_mono_s,
            cpu_s=time.process_time(),
            next_sequence=self._next_sequence,
            send=self._send,
            before=self._before,
        )
        self._window_end_s = self._windows.end_mono_s
        self._flights = InFlight(int(start_mono_s * _US_PER_S))
        self._pool = self._new_pool()
        self._begun = True
        if self._is_over:
            self._over_mono_s = start_mono_s
            return
        self.turn(self.now_s(), lag_s=0.0)
        self._pool.begin()

    def _new_pool(self) -> UserPool:
        order = self.order
        match order.pace:
            case Arrivals() as pace:
                times = ArrivalTimes.of_order(order, pace, self._replayed)
                return OpenPool(order, self, self._spawn, times=times, start_within_s=pace.start_within_s)
            case Paced() | Unpaced() | Thinking():
                return ClosedPool(order, self, self._spawn)
            case _:
                assert_never(order.pace)

    def _spawn(self, user: AnyUser) -> None:
        task = asyncio.create_task(self._live(user, self._make_program(user.connection)))
        self._tasks.add(task)
        task.add_done_callback(self._note_end_of_user)

    async def _live(self, user: AnyUser, program: UserProgram) -> None:
        try:
            while True:
                asked_before = user.asked
                await program.run_session(user)
                assert user.asked > asked_before, "a session asked for no start, so it would be repeated without end"
        except LoadOver:
            return
        finally:
            self._pool.left(user)

    async def _conduct(self) -> None:
        """Give out arrivals as they come, until the load is over."""
        while not self._is_over:
            now_s = self.now_s()
            next_s = self._pool.next_mono_s()
            end_s = self.clock.end_mono_s
            if end_s <= now_s:
                self.release()
            elif next_s > now_s:
                await self.sleepers.until(min(next_s, end_s))
            elif self.is_permitted(now_s):
                self._pool.take_due(now_s)
                if self._pool.next_mono_s() <= self.now_s():
                    await asyncio.sleep(0)  # more is due already: a rate beyond this machine must not starve the loop
            else:
                await self.sleepers.until(now_s + LOOK_AGAIN_S)

    async def _drain(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(0.0, self.order.drain_s))
        pending = tuple(self._tasks)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=CANCEL_S_MAX)

    def _note_end_of_user(self, task: "asyncio.Task[None]") -> None:
        """An exception is our bug and ends the load."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._faults.append(error)
            self.release()

    def _note_share(self) -> None:
        self._pool.note_share(self.now_s())
        self._wake_all()

    def _wake_all(self) -> None:
        self.sleepers.wake_all()
        self._pool.wake()

    # Figures --------------------------------------------------------------------------------------------------------

    def _turn_windows(self, now_mono_s: float) -> None:
        """The current window is over."""
        self._report(self._windows.turn_with, now_mono_s)
        self._window_end_s = self._windows.end_mono_s

    def _report(self, report: Callable[..., None], now_mono_s: float) -> None:
        other_ends = other_ends_here(self.order.target, self._engine.connections.open)
        gauges = self._gauges(self._generator.read(now_mono_s, other_ends=other_ends))
        self._lags.record_zeros(self._punctual)
        self._punctual = 0
        report(self._tallies, self._lags, self._flights, now_mono_s, gauges)

    def _gauges(self, generator: GeneratorReading) -> LoadGauges:
        connections = self._engine.connections
        return LoadGauges(
            operations_due=self.operations_due(),
            operations_started=self._started,
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
        return Drained(
            worker=self._worker,
            segment=self.order.segment,
            operations_requested=self._started if isinstance(self._due, DueByTarget) else self._due.requested,
            operations_started=self._started,
            operations_succeeded=self._succeeded,
            operations_failed=self._failed,
            operations_abandoned=self._started - self._succeeded - self._failed,
            connections_peak=connections.peak if self._started else 0,
            connections_opened=connections.opened - self._opened_before,
            first_start_mono_s=min(self._first_start_mono_s, self._last_end_mono_s),
            last_end_mono_s=self._last_end_mono_s,
            operations_dropped=self._dropped,
            bytes_sent=connections.bytes_sent - before.bytes_sent,
            messages_sent=connections.messages_sent - before.messages_sent,
            messages_received=connections.messages_received - before.messages_received,
            reconnects=connections.reconnects - before.reconnects,
            redirects=connections.redirects - self._redirects_before,
        )
