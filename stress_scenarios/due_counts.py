"""How many operations a whole worker should have started by now: over all its connections, without walking along them.

The page says it 28 times a second and every window once, at 10,000 connections as at one. Times are run time: seconds of
the load's clock since its start, which stands still while a person holds the load, and does not while the guardian eases
it: what easing prevented stays due. Pure; the load runs of workers use it.
"""

import math
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from stress_scenarios.arrivals import ArrivalCount
from stress_scenarios.load_plan import Arrivals, LoadOrder, Paced, Thinking, Unpaced
from stress_scenarios.pacing import (
    GRID_TOLERANCE,
    arrival_count,
    connection_start_s,
    joining_place,
    load_s,
    rebased_start_s,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueByTarget:
    """The target sets the pace: what was started was due, and nothing else."""


class PacedDue:
    """Starts of connections that share one interval.

    Connection i starts at f_i, f_i + I, ... Of those that have begun, floor((t - f_i) / I) + 1 are due at t. With
    f_i / I = q_i + p_i (whole and part) and t / I = q + p, that is q - q_i + 1, or one less where p_i > p. So the sum
    needs how many have begun, the sum of their q_i, and their p_i in order.
    """

    def __init__(self, order: LoadOrder, pace: Paced) -> None:
        self._end_s = load_s(order)
        self._before = 0
        self._until_s = 0.0
        self._begin(
            [connection_start_s(order, connection) for connection in range(order.connections)],
            1.0 / pace.operations_per_s,
        )

    def due_by(self, run_s: float) -> int:
        """Intended starts at or before this instant, of which none may lie before one that was asked for earlier."""
        run_s = self._until_s = min(max(run_s, self._until_s), self._end_s)
        while self._begun < len(self._queue) and self._queue[self._begun] <= run_s:
            whole, part = self._place(self._queue[self._begun])
            insort(self._parts, part)
            self._wholes += whole
            self._begun += 1
        whole, part = self._place(run_s + GRID_TOLERANCE * self._interval_s)
        later = self._begun - bisect_right(self._parts, part)
        return min(self.requested, self._before + self._begun * (whole + 1) - self._wholes - later)

    def adjust(self, run_s: float, *, operations_per_s: float, connections: int) -> None:
        """From now on so many connections at this pace; what was due before stays due."""
        self._before = self.due_by(run_s)
        interval_s = 1.0 / operations_per_s
        kept = [
            rebased_start_s(run_s, self._next_s(first_s, run_s), interval_s=self._interval_s, new_interval_s=interval_s)
            for first_s in self._firsts[:connections]
        ]
        joining = connections - len(kept)
        kept += [run_s + interval_s * joining_place(number, joining) for number in range(joining)]
        self._begin(kept, interval_s)

    def _begin(self, firsts_s: list[float], interval_s: float) -> None:
        """Count from these first starts on."""
        self._firsts = firsts_s
        self._queue = sorted(firsts_s)
        self._interval_s = interval_s
        self._begun = self._wholes = 0
        self._parts: list[float] = []
        self.requested = self._before + sum(
            max(0, math.ceil((self._end_s - first_s) / interval_s - GRID_TOLERANCE)) for first_s in firsts_s
        )

    def _place(self, s: float) -> tuple[int, float]:
        whole, part = divmod(s / self._interval_s, 1.0)
        return int(whole), part

    def _next_s(self, first_s: float, run_s: float) -> float:
        """The first start of a grid after an instant."""
        if first_s > run_s:
            return first_s
        return first_s + (math.floor((run_s - first_s) / self._interval_s + GRID_TOLERANCE) + 1) * self._interval_s


class ArrivalsDue:
    """Arrivals at this worker."""

    def __init__(self, count: ArrivalCount) -> None:
        self._count = count

    @property
    def requested(self) -> int:
        """How many there are in all, as the rate stands."""
        return self._count.requested

    def due_by(self, run_s: float) -> int:
        """Arrivals at or before this instant."""
        return self._count.due_by(run_s)

    def adjust(self, run_s: float, *, operations_per_s: float, connections: int) -> None:  # noqa: ARG002 - as PacedDue
        """From now on this rate, whatever the connections."""
        self._count.set_rate(run_s, operations_per_s)


DueCount = PacedDue | ArrivalsDue | DueByTarget


def due_count(order: LoadOrder, *, replayed: Sequence[float] = ()) -> DueCount:
    """The count of an order. replayed: the times of a replay. Raises rate_lines.RateError."""
    match order.pace:
        case Paced() as pace:
            return PacedDue(order, pace)
        case Arrivals() as pace:
            return ArrivalsDue(arrival_count(order, pace, replayed))
        case Unpaced() | Thinking():
            return DueByTarget()
        case _:
            assert_never(order.pace)
