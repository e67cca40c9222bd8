"""The virtual users of one load: all there from the start in a closed model, made for arrivals in an open one.

Both can be changed while they run: users beyond the number that is wanted leave after the operation that they are at, new
ones join. Runs in the asyncio loop of a worker process.
"""

import math
from collections.abc import Callable
from typing import Protocol

from stress_scenarios.arrival_desk import ArrivalDesk
from stress_scenarios.arrivals import ArrivalTimes
from stress_scenarios.load_plan import LoadOrder
from stress_scenarios.pacing import (
    PacedSchedule,
    Schedule,
    connection_schedule,
    joining_place,
    joining_schedule,
    load_s,
)
from stress_scenarios.virtual_user import AnyUser, ClosedUser, OpenUser, UserRun


class UserPool(Protocol):
    """The users of a load, whatever its model. connections: how many are wanted at most."""

    connections: int

    def begin(self) -> None:
        """The load begins, at the start that its clock names."""
        ...

    def next_mono_s(self) -> float:
        """When take_due wants to be called next; infinity when nothing is known to come."""
        ...

    def take_due(self, now_mono_s: float) -> None:
        """Something is due, and permitted."""
        ...

    def look(self, now_mono_s: float) -> None:
        """Called at least every 10 ms."""
        ...

    def note_share(self, now_mono_s: float) -> None:
        """Load time runs differently now."""
        ...

    def adjust(self, now_mono_s: float, *, operations_per_s: float, connections: int) -> None:
        """Make this load instead."""
        ...

    def wake(self) -> None:
        """Users look again whether they are wanted."""
        ...

    def left(self, user: AnyUser) -> None:
        """A user has left."""
        ...

    def close(self, now_mono_s: float) -> None:
        """The load is over: start nothing more."""
        ...


class ClosedPool:
    """One user for each connection, from the start on."""

    def __init__(self, order: LoadOrder, run: UserRun, spawn: Callable[[AnyUser], None]) -> None:
        self.connections = order.connections
        self._order = order
        self._run = run
        self._spawn = spawn
        self._users: dict[int, ClosedUser] = {}

    def begin(self) -> None:
        """Make all users; each waits for its own start."""
        for connection in range(self.connections):
            self._add(connection, connection_schedule(self._order, connection, self._run.clock.time))

    def next_mono_s(self) -> float:
        """Users wait for themselves."""
        return math.inf

    def take_due(self, now_mono_s: float) -> None:
        """Users start by themselves."""

    def look(self, now_mono_s: float) -> None:
        """There is nothing to look at."""

    def note_share(self, now_mono_s: float) -> None:
        """Schedules see it themselves."""

    def adjust(self, now_mono_s: float, *, operations_per_s: float, connections: int) -> None:
        """Another pace for those who stay; those who join spread over an interval. Raises nothing: rates were checked."""
        before, self.connections = self.connections, connections
        for connection, user in self._users.items():
            if connection < connections and isinstance(user.schedule, PacedSchedule):
                user.schedule.adjust(
                    now_mono_s, operations_per_s=operations_per_s, end_s=load_s(self._order), in_flight=user.in_flight
                )
        for connection in range(before, connections):
            schedule = joining_schedule(
                self._order,
                connection,
                self._run.clock.time,
                now_mono_s=now_mono_s,
                operations_per_s=operations_per_s,
                place=joining_place(connection - before, connections - before),
            )
            if connection in self._users:  # it was to leave, and is wanted again before it could
                user = self._users[connection]
                user.schedule = schedule
                if user.in_flight and isinstance(schedule, PacedSchedule):
                    schedule.note_in_flight()
            else:
                self._add(connection, schedule)

    def wake(self) -> None:
        """They wait with the sleepers, and are woken there."""

    def left(self, user: AnyUser) -> None:
        """Forget a user."""
        del self._users[user.connection]

    def close(self, now_mono_s: float) -> None:
        """Users see it themselves."""

    def _add(self, connection: int, schedule: Schedule) -> None:
        user = ClosedUser(self._run, connection, schedule)
        self._users[connection] = user
        self._spawn(user)


class OpenPool:
    """A user for each operation in flight, who stays for later ones."""

    def __init__(
        self,
        order: LoadOrder,
        run: UserRun,
        spawn: Callable[[AnyUser], None],
        *,
        times: ArrivalTimes,
        start_within_s: float,
    ) -> None:
        self.connections = order.connections
        self._run = run
        self._spawn = spawn
        self._users: dict[int, OpenUser] = {}
        self._free_from = 0
        self._desk = ArrivalDesk(
            times,
            run.clock,
            start_within_s=start_within_s,
            new_user=self._new_user,
            note_dropped=run.note_dropped,
        )

    def begin(self) -> None:
        """Nobody is needed before the first arrival."""

    def next_mono_s(self) -> float:
        """The next arrival."""
        return self._desk.next_mono_s()

    def take_due(self, now_mono_s: float) -> None:
        """Give out what has arrived."""
        self._desk.take_due(now_mono_s)

    def look(self, now_mono_s: float) -> None:
        """Drop what has waited too long."""
        self._desk.look(now_mono_s)

    def note_share(self, now_mono_s: float) -> None:  # noqa: ARG002 - the clock knows when
        """No burst afterwards."""
        self._desk.note_share()

    def adjust(self, now_mono_s: float, *, operations_per_s: float, connections: int) -> None:
        """Another rate; another number of users takes effect with the next arrivals and the next ends."""
        self.connections = connections
        self._free_from = 0
        self._desk.set_rate(now_mono_s, operations_per_s)

    def wake(self) -> None:
        """Those who are idle look again."""
        self._desk.forget_idle()
        for user in self._users.values():
            user.wake()

    def left(self, user: AnyUser) -> None:
        """Forget a user; its place may be taken again."""
        del self._users[user.connection]
        self._free_from = min(self._free_from, user.connection)

    def close(self, now_mono_s: float) -> None:
        """Drop what waits."""
        self._desk.close(now_mono_s)

    def _new_user(self, due_mono_s: float) -> bool:
        while self._free_from < self.connections and self._free_from in self._users:
            self._free_from += 1
        if self._free_from >= self.connections:
            return False
        user = OpenUser(self._run, self._free_from, self._desk, due_mono_s=due_mono_s)
        self._users[user.connection] = user
        self._spawn(user)
        return True
