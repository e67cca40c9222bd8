"""The virtual users of a closed load: one for each connection, waiting in one queue by their next intended start.

Runs in worker processes.
"""

import asyncio
import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stress_scenarios.engines.wire_connection import NEVER_US, now_us
from stress_scenarios.engines.wire_steps import Step
from stress_scenarios.engines.wire_user import WireUser
from stress_scenarios.pacing import (
    PacedSchedule,
    Schedule,
    connection_schedule,
    joining_place,
    joining_schedule,
    load_s,
)
from stress_scenarios.scenario import cycle_offset

if TYPE_CHECKING:
    from stress_scenarios.engines.wire_load_run import WireLoadRun

_US_PER_S = 1_000_000


class ClosedCrowd:
    """Users by their number. connections: how many are wanted; users read it, and leave when their number is not below."""

    def __init__(self, run: "WireLoadRun", steps: Sequence[Step]) -> None:
        self.connections = run.order.connections
        self._run = run
        self._steps = steps
        self._users: dict[int, WireUser] = {}
        self._departed: list[WireUser] = []
        self._queue: list[tuple[int, int, WireUser]] = []

    @property
    def busy(self) -> bool:
        """Whether anybody is still there."""
        return bool(self._users)

    @property
    def steady(self) -> bool:
        """Whether nobody has to leave."""
        return len(self._users) <= self.connections

    def begin(self, at_us: int) -> None:
        """Make all users; each waits for its own start."""
        order = self._run.order
        for number in range(self.connections):
            user = self._new_user(number, connection_schedule(order, number, self._run.clock.time))
            self._queue.append((user.due_us(at_us), number, user))
        heapq.heapify(self._queue)

    def start_due(self, at_us: int) -> int:
        """Start everybody who is due, and say when the next one is."""
        run = self._run
        queue = self._queue
        while queue and queue[0][0] <= at_us:
            if at_us >= run.look_us:
                run.look(at_us)
                queue = self._queue  # a changed share gave it another order
                at_us = now_us()
                continue
            _, _, user = heapq.heappop(queue)
            user.wait_or_start(at_us)
            queue = self._queue
            at_us = now_us()
        return queue[0][0] if queue else NEVER_US

    def start_last(self, at_us: int) -> None:
        """Nobody is owed a start: who waits for an answer misses one as well."""

    def look(self, at_us: int) -> None:
        """Nothing to look at."""

    def note_share(self, at_us: int) -> None:
        """Ask every waiting user anew when it is due."""
        self._queue = [(user.due_us(at_us), user.number, user) for _, _, user in self._queue]
        heapq.heapify(self._queue)

    def adjust(self, at_us: int, *, operations_per_s: float, connections: int) -> None:
        """Another pace for those who stay; those who join spread over an interval, those too many leave."""
        order, now_s = self._run.order, at_us / _US_PER_S
        before, self.connections = self.connections, connections
        for number, user in tuple(self._users.items()):
            if number < connections and isinstance(user.schedule, PacedSchedule):
                user.schedule.adjust(
                    now_s, operations_per_s=operations_per_s, end_s=load_s(order), in_flight=user.in_flight
                )
        for number in range(before, connections):
            schedule = joining_schedule(
                order,
                number,
                self._run.clock.time,
                now_mono_s=now_s,
                operations_per_s=operations_per_s,
                place=joining_place(number - before, connections - before),
            )
            if number in self._users:  # it was to leave, and is wanted again before it could
                user = self._users[number]
                user.schedule = schedule
                if user.in_flight and isinstance(schedule, PacedSchedule):
                    schedule.note_in_flight()
            else:
                user = self._new_user(number, schedule)
                self._queue.append((NEVER_US, number, user))
        unwanted = [user for _, number, user in self._queue if number >= connections]
        self._queue = [entry for entry in self._queue if entry[1] < connections]
        self.note_share(at_us)
        for user in unwanted:
            user.leave(at_us)

    def stop(self, at_us: int) -> None:
        """Whoever waits leaves."""
        waiting, self._queue = self._queue, []
        for _, _, user in waiting:
            user.leave(at_us)

    def leave(self, at_us: int) -> None:
        """Whoever is still there leaves."""
        for user in tuple(self._users.values()):
            user.leave(at_us)

    async def disconnected(self) -> None:
        """Wait until the sockets are gone."""
        await asyncio.gather(*(user.disconnected() for user in self._departed))

    # Called by users ------------------------------------------------------------------------------------------------

    def wait(self, user: WireUser, due_us: int) -> None:
        """Let a user start at this instant; NEVER_US: when the share changes."""
        heapq.heappush(self._queue, (due_us, user.number, user))
        self._run.wake_by(due_us)

    def note_left(self, user: WireUser) -> None:
        """A user has disconnected for good."""
        del self._users[user.number]
        if self._run.is_over:
            self._departed.append(user)
            self._run.note_left()

    # ----------------------------------------------------------------------------------------------------------------

    def _new_user(self, number: int, schedule: Schedule) -> WireUser:
        place = cycle_offset(self._run.order, number, len(self._steps))
        user = self._users[number] = WireUser(
            self._run, self, number=number, schedule=schedule, step=self._steps[place]
        )
        return user
