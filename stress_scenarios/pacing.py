"""When operations are meant to start: a fixed grid per connection, stretched while the permitted share is below 1.

A load that waits for slow answers before it plans the next operation hides the slowness (coordinated omission). So each
connection has a grid of intended starts, response times count from it, and a late connection catches up, one operation
after another. While load is eased the grid is stretched instead and lateness is forgotten: easing must never end in a
burst. Pure: time comes in as an argument. The worker's load runs on it, the planner counts with it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from stress_scenarios.arrivals import ArrivalCount
from stress_scenarios.load_plan import Arrivals, LoadOrder, Paced, ReplayRate, Thinking, Unpaced
from stress_scenarios.ramp_curves import when_reached

GRID_TOLERANCE = 1e-9
"""Of an interval: two floats that mean the same instant must not make one operation more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The intended starts of one connection, seconds after the load's start: first_s, first_s + interval_s, ... , count of them."""

    first_s: float
    interval_s: float
    count: int

    def due_by(self, elapsed_s: float) -> int:
        """How many intended starts lie at or before this instant."""
        if elapsed_s < self.first_s:
            return 0
        return min(self.count, math.floor((elapsed_s - self.first_s) / self.interval_s + GRID_TOLERANCE) + 1)

    @classmethod
    def until(cls, end_s: float, *, first_s: float, operations_per_s: float) -> "Grid":
        """The grid of a pace from first_s until an end that is no start any more."""
        count = max(0, math.ceil((end_s - first_s) * operations_per_s - GRID_TOLERANCE))
        return cls(first_s=first_s, interval_s=1.0 / operations_per_s, count=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedCount:
    """The plan says how many operations it asks for."""

    operations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedByTarget:
    """A load whose pace the target sets asks for as many as it answers: there is no number beforehand."""


def load_s(order: LoadOrder) -> float:
    """How long an order's load lasts, ramp included."""
    return order.ramp_s + order.hold_s


def connection_start_s(order: LoadOrder, connection: int) -> float:
    """When this worker's connection (0..connections-1) starts, seconds after the load's start.

    Connections of all workers start one after another, as the ramp's curve reaches their share; linear: evenly.
    """
    share = (order.connection_offset + connection) / order.connections_total
    return order.ramp_s * when_reached(order.ramp_curve, share)


def connection_grid(order: LoadOrder, pace: Paced, connection: int) -> Grid:
    """The intended starts of one connection of this worker; the load's end itself is no start any more."""
    return Grid.until(
        load_s(order), first_s=connection_start_s(order, connection), operations_per_s=pace.operations_per_s
    )


def operations_requested(order: LoadOrder, *, replayed: Sequence[float] = ()) -> RequestedCount | RequestedByTarget:
    """How many intended starts the order has for this worker. replayed: the times of a replay, which must be there for one.

    Raises rate_lines.RateError for arrivals at an impossible rate.
    """
    match order.pace:
        case Unpaced() | Thinking():
            return RequestedByTarget()
        case Paced() as pace:
            grids = (connection_grid(order, pace, connection) for connection in range(order.connections))
            return RequestedCount(operations=sum(grid.count for grid in grids))
        case Arrivals() as pace:
            return RequestedCount(operations=arrival_count(order, pace, replayed).requested)
        case _:
            assert_never(order.pace)


def arrival_count(order: LoadOrder, pace: Arrivals, replayed: Sequence[float]) -> ArrivalCount:
    """The count of an open model's arrivals at this worker."""
    assert replayed or not isinstance(pace.shape, ReplayRate), "a replay without its times"
    return ArrivalCount(
        pace,
        ramp_s=order.ramp_s,
        ramp_curve=order.ramp_curve,
        load_s=load_s(order),
        seed=order.seed,
        replayed=replayed,
    )


class EasedTime:
    """Load time: seconds of permitted load since the start. It runs at the permitted share of real time, and stands still at 0.

    ``changes`` rises with every change of the share, so that a schedule notices one between two looks.
    """

    def __init__(self, *, start_mono_s: float, share: float = 1.0) -> None:
        self._real_s = start_mono_s
        self._load_s = 0.0
        self.share = share
        self.changes = 0

    def set_share(self, *, now_mono_s: float, share: float) -> bool:
        """From now on time runs at this share, 0..1. True when that is a change."""
        if share == self.share:
            return False
        self._load_s = self.load_s(now_mono_s)
        self._real_s = max(now_mono_s, self._real_s)
        self.share = share
        self.changes += 1
        return True

    def load_s(self, now_mono_s: float) -> float:
        """Load time at a real instant; 0 before the start."""
        return self._load_s + max(0.0, now_mono_s - self._real_s) * self.share

    def mono_s(self, load_s: float) -> float:
        """The real instant of a load time, if the share stays as it is; infinity while time stands still."""
        ahead_s = load_s - self._load_s
        if self.share == 0.0:
            return self._real_s if ahead_s <= 0 else math.inf
        return self._real_s + ahead_s / self.share


class PacedSchedule:
    """The way of one connection along its grid."""

    def __init__(self, grid: Grid, time: EasedTime) -> None:
        self._grid = grid
        self._time = time
        self._next = 0
        self._changes_seen = time.changes

    def next_start_mono_s(self, now_mono_s: float) -> float:
        """When the next operation is meant to start: in the past when late, infinity when paused or when none is left."""
        if self._time.changes != self._changes_seen or self._time.share < 1.0:
            self._changes_seen = self._time.changes
            self._forget_lateness(now_mono_s)
        if self._next >= self._grid.count or self._time.share == 0.0:
            return math.inf
        return self._time.mono_s(self._grid.first_s + self._next * self._grid.interval_s)

    def note_operation(self, *, started_mono_s: float, ended_mono_s: float) -> None:
        """An operation has ended; the next intended start is the next on the grid, however long it took."""
        assert ended_mono_s >= started_mono_s
        self._next += 1

    def note_in_flight(self) -> None:
        """An operation of before this schedule is in flight: its end, which will be noted, takes no intended start away."""
        self._next -= 1

    def adjust(self, now_mono_s: float, *, operations_per_s: float, end_s: float, in_flight: bool) -> None:
        """From now on another pace, until end_s (load time). The connection keeps its place: the part of its interval that is left.

        What it is late by is forgotten, as after easing: a change of pace must not end in a burst either. An operation
        in flight has had its intended start: the new pace begins with the one after it.
        """
        if in_flight:
            self._next += 1
        self._forget_lateness(now_mono_s)
        next_s = self._grid.first_s + self._next * self._grid.interval_s
        first_s = rebased_start_s(
            self._time.load_s(now_mono_s),
            next_s,
            interval_s=self._grid.interval_s,
            new_interval_s=1.0 / operations_per_s,
        )
        self._grid = Grid.until(end_s, first_s=first_s, operations_per_s=operations_per_s)
        self._next = 0
        if in_flight:
            self.note_in_flight()

    def _forget_lateness(self, now_mono_s: float) -> None:
        """Step over all but the latest intended start that has passed, and over that one too if it is nearly as late.

        A start is still made up to half an interval late (the loop never wakes exactly in time); the connection keeps
        its place on the grid, so that connections do not fall into step when load returns.
        """
        behind = (self._time.load_s(now_mono_s) - self._grid.first_s) / self._grid.interval_s - self._next
        if behind > 0.5:
            self._next += math.ceil(behind - 0.5)


class UnpacedSchedule:
    """As fast as the target answers: the next start is now. While eased, operations keep a distance to their predecessors.

    Share s means working for a share s of the time: after an operation that took d seconds, a pause of d * (1/s - 1).
    """

    def __init__(self, first_s: float, time: EasedTime) -> None:
        self._first_s = first_s
        self._time = time
        self._started_mono_s = -math.inf
        self._ended_mono_s = -math.inf

    def next_start_mono_s(self, now_mono_s: float) -> float:
        """When the next operation may start; infinity while paused."""
        share = self._time.share
        if share == 0.0:
            return math.inf
        if self._ended_mono_s == -math.inf:
            return self._time.mono_s(self._first_s)
        free_s = self._ended_mono_s
        if share < 1.0:
            free_s += (free_s - self._started_mono_s) * (1.0 / share - 1.0)
        return now_mono_s if now_mono_s > free_s else free_s  # noqa: FURB136 - max() takes five times as long

    def note_operation(self, *, started_mono_s: float, ended_mono_s: float) -> None:
        """An operation has ended."""
        self._started_mono_s = started_mono_s
        self._ended_mono_s = ended_mono_s


class ThinkingSchedule:
    """The next operation a think time after the last one ended. While eased, thinking takes longer, and rest is added as above.

    Think times step through their range by the golden ratio, from another place for each connection: any few of them
    have nearly the mean, and the same load has the same ones again.
    """

    def __init__(self, first_s: float, time: EasedTime, *, pace: Thinking, place: float) -> None:
        self._next_s = first_s
        self._time = time
        self._pace = pace
        self._place = place % 1.0
        self._took_s = 0.0

    def next_start_mono_s(self, now_mono_s: float) -> float:  # noqa: ARG002 - every schedule is asked with the time
        """When the next operation is meant to start: in the past when late, infinity while paused."""
        share = self._time.share
        if share == 0.0:
            return math.inf
        return self._time.mono_s(self._next_s) + self._took_s * (1.0 / share - 1.0)

    def note_operation(self, *, started_mono_s: float, ended_mono_s: float) -> None:
        """An operation has ended; the think time begins."""
        self._took_s = ended_mono_s - started_mono_s
        self._place = (self._place + GOLDEN) % 1.0
        think_s = self._pace.seconds_min + self._place * (self._pace.seconds_max - self._pace.seconds_min)
        self._next_s = self._time.load_s(ended_mono_s) + think_s


Schedule = PacedSchedule | UnpacedSchedule | ThinkingSchedule


def connection_schedule(order: LoadOrder, connection: int, time: EasedTime) -> Schedule:
    """The schedule of one connection of this worker, in a closed model."""
    first_s = connection_start_s(order, connection)
    match order.pace:
        case Paced() as pace:
            return PacedSchedule(connection_grid(order, pace, connection), time)
        case Unpaced():
            return UnpacedSchedule(first_s, time)
        case Thinking() as pace:
            return ThinkingSchedule(first_s, time, pace=pace, place=_think_place(order, connection))
        case Arrivals():
            raise AssertionError("arrivals belong to no connection")
        case _:
            assert_never(order.pace)


def joining_schedule(
    order: LoadOrder, connection: int, time: EasedTime, *, now_mono_s: float, operations_per_s: float, place: float
) -> Schedule:
    """The schedule of a connection that joins a running load. place: 0..1, where in an interval it begins (joining_place)."""
    now_s = time.load_s(now_mono_s)
    match order.pace:
        case Paced():
            first_s = now_s + place / operations_per_s
            return PacedSchedule(Grid.until(load_s(order), first_s=first_s, operations_per_s=operations_per_s), time)
        case Unpaced():
            return UnpacedSchedule(now_s, time)
        case Thinking() as pace:
            first_s = now_s + place * pace.seconds_max
            return ThinkingSchedule(first_s, time, pace=pace, place=_think_place(order, connection))
        case Arrivals():
            raise AssertionError("arrivals belong to no connection")
        case _:
            assert_never(order.pace)


def joining_place(number: int, joining: int) -> float:
    """Where in an interval the number-th (0, 1, ...) of so many joining connections begins: spread evenly."""
    return (number + 0.5) / joining


def rebased_start_s(now_s: float, next_s: float, *, interval_s: float, new_interval_s: float) -> float:
    """Where a connection's next start moves when its interval changes: the same part of the interval is left.

    So does the part that an owed one is late by; only the first start of a connection that has not begun stays.
    """
    left = (next_s - now_s) / interval_s
    return now_s + left * new_interval_s if left <= 1.0 else next_s


GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
"""Steps of this size fill the range from 0 to 1 more evenly than any other's, however many there are."""


def _think_place(order: LoadOrder, connection: int) -> float:
    return (order.seed + order.connection_offset + connection) * math.sqrt(2.0) % 1.0
