"""A virtual user as the load run sees it: when it may start its next operation, and what became of the last one.

A closed user follows a schedule of its own; an open one takes arrivals. What a user sends is its program's business.
Runs in the asyncio loop of a worker process.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from stress_scenarios.arrival_desk import ArrivalDesk
from stress_scenarios.engines.engine import Engine
from stress_scenarios.load_clock import LoadClock
from stress_scenarios.load_plan import LoadOrder
from stress_scenarios.pacing import Schedule
from stress_scenarios.scenario import AnswerJudgement, choice_cycle, cycle_offset
from stress_scenarios.session_program import LoadOver, Starts
from stress_scenarios.sleepers import Sleepers

LOOK_AGAIN_S = 0.001
"""A start that is due but not permitted looks again this soon; within 10 ms the changed share puts it off for good."""


class UserRun(Protocol):
    """What a user needs of the load that it is part of."""

    @property
    def clock(self) -> LoadClock:
        """The load's clocks."""
        ...

    @property
    def sleepers(self) -> Sleepers:
        """Where users wait."""
        ...

    @property
    def now_s(self) -> Callable[[], float]:
        """CLOCK_MONOTONIC, seconds."""
        ...

    @property
    def wanted(self) -> int:
        """Connections below this number may still start something; 0 when the load is over."""
        ...

    def is_permitted(self, now_mono_s: float) -> bool:
        """Whether load may be made at this instant."""
        ...

    def note_started(self, operation: int, started_mono_s: float, *, lag_s: float) -> None:
        """An operation starts; so late by our own fault."""
        ...

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
        """An operation has ended, late_s after its intended start plus service_s."""
        ...

    def note_dropped(self, operations: int) -> None:
        """Arrivals were given up."""
        ...


class VirtualUser:
    """What closed and open users share: counting operations, and thinking."""

    __slots__ = (
        "_asking",
        "_due_s",
        "_ended_s",
        "_free_s",
        "_is_answered",
        "_run",
        "_started_s",
        "asked",
        "connection",
        "in_flight",
    )

    def __init__(self, run: UserRun, connection: int) -> None:
        self.connection = connection
        self.in_flight = False
        self.asked = 0
        self._run = run
        self._asking = False
        self._due_s = self._started_s = self._ended_s = 0.0
        self._free_s = -math.inf
        self._is_answered = False

    def started(self, operation: int) -> None:
        """See session_program.Starts."""
        run = self._run
        self._asking = self._is_answered = False
        self.in_flight = True
        self._started_s = now_s = run.now_s()
        run.note_started(operation, now_s, lag_s=now_s - max(self._due_s, self._free_s, run.clock.changed_mono_s))

    def answered(self) -> float:
        """See session_program.Starts."""
        self._is_answered = True
        self._ended_s = ended_s = self._run.now_s()
        return ended_s - self._started_s

    def ended(self, operation: int, judgement: AnswerJudgement, bytes_received: int) -> None:
        """See session_program.Starts."""
        self.in_flight = False
        if not self._is_answered:
            self._ended_s = self._run.now_s()
        ended_s, started_s = self._ended_s, self._started_s
        self._run.note_ended(
            operation,
            judgement,
            ended_s,
            late_s=started_s - self._due_s,
            service_s=ended_s - started_s,
            bytes_received=bytes_received,
        )

    async def think(self, seconds: float) -> None:
        """See session_program.Starts. Thinking runs in load time: it takes longer while eased, and no end while paused."""
        run = self._run
        until_s = run.clock.time.load_s(run.now_s()) + max(0.0, seconds)
        while self.connection < run.wanted:
            wakes_s = run.clock.time.mono_s(until_s)
            if wakes_s <= run.now_s():
                return
            await run.sleepers.until(wakes_s)
        raise LoadOver

    def _start_asked(self, operation: int, due_s: float, now_s: float) -> None:
        """What is due, and is asked for only now, starts at once."""
        run = self._run
        lag_s = 0.0
        if self._asking:  # it was asked for before
            self._asking = False
            lag_s = now_s - max(due_s, self._free_s, run.clock.changed_mono_s)
        self.asked += 1
        self._is_answered = False
        self.in_flight = True
        self._due_s = due_s
        self._started_s = now_s
        run.note_started(operation, now_s, lag_s=lag_s)

    def _ask(self) -> float:
        """The connection is free from the first time on that its program asks for a start. Returns the time."""
        self.asked += 1
        now_s = self._run.now_s()
        if not self._asking:
            self._asking = True
            self._free_s = now_s
        return now_s


class ClosedUser(VirtualUser):
    """Starts when its schedule says so, one operation after another."""

    __slots__ = ("schedule",)

    def __init__(self, run: UserRun, connection: int, schedule: Schedule) -> None:
        super().__init__(run, connection)
        self.schedule = schedule

    async def next(self) -> float:
        """See session_program.Starts."""
        now_s = self._ask()
        run = self._run
        while self.connection < run.wanted:
            due_s = self.schedule.next_start_mono_s(now_s)
            if due_s > now_s:
                await run.sleepers.until(due_s)
            elif run.is_permitted(now_s):
                self._due_s = due_s
                return due_s
            else:
                await run.sleepers.until(now_s + LOOK_AGAIN_S)
            now_s = run.now_s()
        raise LoadOver

    def start_now(self, operation: int) -> bool:
        """See session_program.Starts."""
        run = self._run
        if self.connection >= run.wanted:
            return False
        now_s = run.now_s()
        due_s = self.schedule.next_start_mono_s(now_s)
        if due_s > now_s or not run.is_permitted(now_s):
            return False
        self._start_asked(operation, due_s, now_s)
        return True

    def ended(self, operation: int, judgement: AnswerJudgement, bytes_received: int) -> None:
        """See session_program.Starts."""
        VirtualUser.ended(self, operation, judgement, bytes_received)
        self.schedule.note_operation(started_mono_s=self._started_s, ended_mono_s=self._ended_s)


class OpenUser(VirtualUser):
    """Starts when an arrival is given to it. Made for one, if it was one."""

    __slots__ = ("_desk", "_sleeper", "_taken")

    def __init__(self, run: UserRun, connection: int, desk: ArrivalDesk, *, due_mono_s: float) -> None:
        super().__init__(run, connection)
        self._asking = True  # for an arrival that found no idle connection a new one was free at once
        self._desk = desk
        self._taken = [due_mono_s]  # at most one
        self._sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def next(self) -> float:
        """See session_program.Starts. The arrival stays this user's until it is started; cancelled, it is handed on."""
        try:
            return await self._next()
        except asyncio.CancelledError:
            self._hand_on()
            raise

    async def _next(self) -> float:
        now_s = self._ask()
        run = self._run
        while True:
            wanted = self.connection < run.wanted
            if wanted and not self._taken:
                self._taken = self._desk.next_waiting(now_s)
            if self._taken and self._desk.is_too_late(self._taken[0], now_s):
                self._give_up()
            elif self._taken and run.is_permitted(now_s):
                self._due_s = self._taken[0]  # also when nobody is wanted any more: it came due before
                return self._due_s
            elif not wanted:
                self._give_up()
                raise LoadOver
            elif self._taken:
                await run.sleepers.until(now_s + LOOK_AGAIN_S)
            else:
                await self._idle()
            now_s = run.now_s()

    def started(self, operation: int) -> None:
        """See session_program.Starts."""
        self._taken.clear()
        VirtualUser.started(self, operation)

    def start_now(self, operation: int) -> bool:
        """See session_program.Starts."""
        run = self._run
        if not self._taken or self.connection >= run.wanted:
            return False
        now_s = run.now_s()
        if self._desk.is_too_late(self._taken[0], now_s) or not run.is_permitted(now_s):
            return False
        self._start_asked(operation, self._taken.pop(), now_s)
        return True

    def give(self, due_mono_s: float) -> None:
        """An arrival is yours."""
        assert not self._taken, "a user has one arrival at a time"
        self._taken.append(due_mono_s)
        self.wake()

    def wake(self) -> None:
        """Look again."""
        if not self._sleeper.done():
            self._sleeper.set_result(None)

    async def _idle(self) -> None:
        self._desk.note_idle(self)
        self._sleeper = asyncio.get_running_loop().create_future()
        await self._sleeper

    def _hand_on(self) -> None:
        """Who asked does not wait any more, and may be busy with something else: arrivals are for others until it asks again."""
        self._desk.forget(self)
        if self._taken:
            self._desk.take_back(self._taken.pop(), self._run.now_s())

    def _give_up(self) -> None:
        if self._taken:
            self._taken.clear()
            self._run.note_dropped(1)


AnyUser = ClosedUser | OpenUser


class PlainProgram:
    """Repeats the order's operations in their mix, each session on a connection of its own."""

    def __init__(self, engine: Engine, cycle: tuple[int, ...], *, position: int, operations: int) -> None:
        self._engine = engine
        self._cycle = cycle
        self._position = position
        self._operations = operations

    async def run_session(self, starts: Starts) -> None:
        """See session_program.UserProgram. A session stays connected until its user's next operation is due."""
        session = self._engine.session()
        try:
            for _ in range(self._operations):
                operation = self._cycle[self._position]
                if not starts.start_now(operation):
                    await starts.next()
                    starts.started(operation)
                exchange = await session.perform(operation)
                starts.ended(operation, exchange.judgement, exchange.bytes_received)
                self._position = (self._position + 1) % len(self._cycle)
            await starts.next()
        finally:
            await session.close()


class PlainPrograms:
    """Makes the programs of an order without a script, which share the cycle of its mix. Raises ScenarioError for its weights."""

    def __init__(self, order: LoadOrder, engine: Engine) -> None:
        self._order = order
        self._engine = engine
        self._cycle = choice_cycle(tuple(operation.weight for operation in order.operations))

    def __call__(self, connection: int) -> PlainProgram:
        """See session_program.MakeProgram."""
        return PlainProgram(
            self._engine,
            self._cycle,
            position=cycle_offset(self._order, connection, len(self._cycle)),
            operations=self._order.operations_per_session,
        )
