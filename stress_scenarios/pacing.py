"""When operations are meant to start: a fixed grid per connection, stretched while the permitted share is below 1.

A load that waits for slow answers before it plans the next operation hides the slowness (coordinated omission). So each
connection has a grid of intended starts, response times count from it, and a late connection catches up, one operation
after another. While load is eased the grid is stretched instead and lateness is forgotten: easing must never end in a
burst. Pure: time comes in as an argument. The worker's load runs on it, the planner counts with it.
"""

import math
from dataclasses import dataclass

from stress_scenarios.load_plan import LoadOrder, Paced, Unpaced

_GRID_TOLERANCE = 1e-9
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
        return min(self.count, math.floor((elapsed_s - self.first_s) / self.interval_s + _GRID_TOLERANCE) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedCount:
    """The plan says how many operations it asks for."""

    operations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedByTarget:
    """An unpaced load asks for as many as the target answers: there is no number beforehand."""


def connection_start_s(order: LoadOrder, connection: int) -> float:
    """When this worker's connection (0..connections-1) starts, seconds after the load's start.

    Connections of all workers start one after another, evenly over the ramp.
    """
    return order.ramp_s * (order.connection_offset + connection) / order.connections_total


def connection_grid(order: LoadOrder, pace: Paced, connection: int) -> Grid:
    """The intended starts of one connection of this worker; the load's end itself is no start any more."""
    first_s = connection_start_s(order, connection)
    load_s = order.ramp_s + order.hold_s - first_s
    count = max(0, math.ceil(load_s * pace.operations_per_s - _GRID_TOLERANCE))
    return Grid(first_s=first_s, interval_s=1.0 / pace.operations_per_s, count=count)


def operations_requested(order: LoadOrder) -> RequestedCount | RequestedByTarget:
    """How many intended starts the order has, over all of this worker's connections."""
    match order.pace:
        case Unpaced():
            return RequestedByTarget()
        case Paced() as pace:
            grids = (connection_grid(order, pace, connection) for connection in range(order.connections))
            return RequestedCount(operations=sum(grid.count for grid in grids))


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
        pause_s = (self._ended_mono_s - self._started_mono_s) * (1.0 / share - 1.0)
        return max(now_mono_s, self._ended_mono_s + pause_s)

    def note_operation(self, *, started_mono_s: float, ended_mono_s: float) -> None:
        """An operation has ended."""
        self._started_mono_s = started_mono_s
        self._ended_mono_s = ended_mono_s


Schedule = PacedSchedule | UnpacedSchedule


def connection_schedule(order: LoadOrder, connection: int, time: EasedTime) -> Schedule:
    """The schedule of one connection of this worker."""
    match order.pace:
        case Paced() as pace:
            return PacedSchedule(connection_grid(order, pace, connection), time)
        case Unpaced():
            return UnpacedSchedule(connection_start_s(order, connection), time)
