"""When operations of an open model are meant to start: arrivals that come whether or not earlier ones were answered.

Times are load time, seconds of permitted load since the start, so that easing stretches them like everything else. Each
worker makes its own part without asking anybody. Evenly spaced, arrival k comes when the rate's integral N(t) passes
k + 1/2, so that the number of any stretch is its integral, rounded, and a ramp from 0 begins with no arrival at its very
foot. Poisson arrivals are a unit process whose time is the integral. Pure; workers start on it, the planner counts with
it. A replay's times are read by arrival_replay.
"""

import math
import random
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Protocol, assert_never

from stress_scenarios.load_plan import (
    Arrivals,
    ConstantRate,
    Curve,
    LoadOrder,
    RampRate,
    RateShape,
    ReplayRate,
    SawtoothRate,
    SineRate,
    Spacing,
    SpikeRate,
    StepRate,
)
from stress_scenarios.rate_lines import PlannedLine, shape_line

BLOCK_ARRIVALS = 512
"""Poisson arrivals are drawn in blocks of this mean: how many lie before an instant needs the blocks' numbers and the
places of one block, also in a load of hundreds of millions. Drawing one takes 0.1 ms."""

_TOLERANCE = 1e-6
"""Of an arrival: two floats that mean the same instant must not make one arrival more."""

_BLOCK_DEVIATIONS = 12
"""How far from its mean a block's number is looked for, in standard deviations: beyond lies less than one in 10^30."""


class _Line(Protocol):
    """Counted time: how much has been asked of this part until an instant, and the instant of a count."""

    def count(self, s: float) -> float: ...

    def when(self, count: float) -> float: ...


class _Places(Protocol):
    """Where on the counted line this part's arrivals lie, in rising order."""

    def nth(self, number: int) -> float: ...

    def at_or_below(self, count: float) -> int: ...

    def below(self, count: float) -> int: ...


class ArrivalCount:
    """How many arrivals of this part are due, by any clock of the caller's: in closed form, without walking along them.

    replayed: all of a replay's times. load_s: ramp and hold; nothing arrives at its end or later.
    """

    def __init__(
        self,
        arrivals: Arrivals,
        *,
        ramp_s: float,
        ramp_curve: Curve,
        load_s: float,
        seed: int,
        replayed: Sequence[float] = (),
    ) -> None:
        assert 0 <= arrivals.part < arrivals.parts, arrivals
        self._part = arrivals.part
        self._parts = arrivals.parts
        self._load_s = load_s
        if isinstance(arrivals.shape, ReplayRate):
            self._line: _Line = _Clock()
            self._places: _Places = _GivenPlaces(replayed[arrivals.part :: arrivals.parts])
        else:
            self._line = _PartLine(
                _planned_line(arrivals.shape, ramp_s=ramp_s, curve=ramp_curve, load_s=load_s), arrivals.parts
            )
            self._places = self._spaced(arrivals.spacing, seed)
        self.requested = self._places.below(self._line.count(load_s))

    def due_by(self, s: float) -> int:
        """How many lie at or before this instant."""
        return min(self.requested, self._places.at_or_below(self._line.count(s)))

    def when(self, number: int) -> float:
        """When arrival number (0, 1, ...) of this part comes; infinity when the load ends before."""
        return self._line.when(self._places.nth(number)) if number < self.requested else math.inf

    def set_rate(self, s: float, per_s: float) -> None:
        """From this instant on this part's rate is constant. What came before it stays counted."""
        if isinstance(self._places, _GivenPlaces):
            line = _ConstantLine(since_s=s, count=float(self.due_by(s)), per_s=per_s)
            self._places = _EvenPlaces(self._part, self._parts)
        else:
            line = _ConstantLine(since_s=s, count=self._line.count(s), per_s=per_s)
        self._line = line
        self.requested = self._places.below(line.count(self._load_s))

    def _spaced(self, spacing: Spacing, seed: int) -> _Places:
        match spacing:
            case Spacing.EVEN:
                return _EvenPlaces(self._part, self._parts)
            case Spacing.POISSON:
                return _PoissonPlaces(f"{seed}/{self._part}/{self._parts}")
            case _:
                assert_never(spacing)


class ArrivalTimes:
    """This part's arrivals one after another, in load time. next_s: the next one's intended start; infinity after the last."""

    def __init__(
        self,
        arrivals: Arrivals,
        *,
        ramp_s: float,
        ramp_curve: Curve,
        load_s: float,
        seed: int,
        replayed: Sequence[float] = (),
    ) -> None:
        self._count = ArrivalCount(
            arrivals, ramp_s=ramp_s, ramp_curve=ramp_curve, load_s=load_s, seed=seed, replayed=replayed
        )
        self._number = 0
        self.next_s = self._count.when(0)

    @classmethod
    def of_order(cls, order: LoadOrder, arrivals: Arrivals, replayed: Sequence[float]) -> "ArrivalTimes":
        """Those of an order whose pace they are; its whole load, ramp included. replayed: the times of a replay."""
        return cls(
            arrivals,
            ramp_s=order.ramp_s,
            ramp_curve=order.ramp_curve,
            load_s=order.ramp_s + order.hold_s,
            seed=order.seed,
            replayed=replayed,
        )

    @property
    def requested(self) -> int:
        """How many this part has in all, as the rate stands now."""
        return self._count.requested

    def advance(self) -> None:
        """The next one was taken."""
        self._number += 1
        self.next_s = self._count.when(self._number)

    def due_by(self, load_s: float) -> int:
        """How many lie at or before this instant, taken or not."""
        return self._count.due_by(load_s)

    def skip_to(self, load_s: float) -> int:
        """Step over what lies before this instant and was not taken; returns how many that were. After easing: no burst."""
        number = self._count.due_by(load_s)
        skipped = max(0, number - self._number)
        if skipped:
            self._number = number
            self.next_s = self._count.when(number)
        return skipped

    def set_rate(self, load_s: float, per_s: float) -> None:
        """From this instant on this part's rate is constant. Take what is due before: what is not counts from here on."""
        self._count.set_rate(load_s, per_s)
        self.next_s = self._count.when(self._number)


def planned_arrivals(
    shape: RateShape, *, ramp_s: float, curve: Curve, load_s: float, replayed: Sequence[float] = ()
) -> float:
    """How many arrivals an order asks for, over all workers; with Poisson spacing, on average. Raises RateError."""
    if isinstance(shape, ReplayRate):
        return float(bisect_left(replayed, load_s))
    return _planned_line(shape, ramp_s=ramp_s, curve=curve, load_s=load_s).count(load_s)


def mean_per_s(
    shape: RateShape, *, from_s: float, until_s: float, load_s: float, replayed: Sequence[float] = ()
) -> float:
    """The mean rate between two instants of the load (its hold, say), without the order's ramp. Raises RateError."""
    assert until_s > from_s, (from_s, until_s)
    if isinstance(shape, ReplayRate):
        return (bisect_left(replayed, until_s) - bisect_left(replayed, from_s)) / (until_s - from_s)
    line = shape_line(shape, load_s=load_s)
    return (line.count(until_s) - line.count(from_s)) / (until_s - from_s)


def peak_per_s(shape: RateShape, *, replayed: Sequence[float] = ()) -> float:
    """The highest rate that a shape may reach; of a replay, the most arrivals within any second."""
    match shape:
        case ConstantRate(per_s=per_s):
            return per_s
        case RampRate(from_per_s=low, to_per_s=high) | SawtoothRate(from_per_s=low, to_per_s=high):
            return max(low, high)
        case StepRate(to_per_s=high):
            return high
        case SpikeRate(base_per_s=base, peak_per_s=peak):
            return max(base, peak)
        case SineRate(mean_per_s=mean, amplitude_per_s=amplitude):
            return mean + amplitude
        case ReplayRate():
            return float(_most_within_a_second(replayed))
        case _:
            assert_never(shape)


def _most_within_a_second(times_s: Sequence[float]) -> int:
    most = first = 0
    for last, at_s in enumerate(times_s):
        while times_s[first] <= at_s - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


# Lines --------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)  # a load's count and its times, and the planner's questions about a phase, share one
def _planned_line(shape: RateShape, *, ramp_s: float, curve: Curve, load_s: float) -> PlannedLine:
    """The line of an order; it does not change once it is made. At its longest it takes a second to make."""
    return PlannedLine(shape, ramp_s=ramp_s, curve=curve, load_s=load_s)


class _PartLine:
    """The share of one worker in a planned rate."""

    def __init__(self, line: PlannedLine, parts: int) -> None:
        self._line = line
        self._parts = parts

    def count(self, s: float) -> float:
        return self._line.count(s) / self._parts

    def when(self, count: float) -> float:
        return self._line.when(count * self._parts)


class _ConstantLine:
    """A constant rate since an instant that had a count already."""

    def __init__(self, *, since_s: float, count: float, per_s: float) -> None:
        self._since_s = since_s
        self._count = count
        self._per_s = per_s

    def count(self, s: float) -> float:
        return self._count + max(0.0, s - self._since_s) * self._per_s

    def when(self, count: float) -> float:
        if count <= self._count:
            return self._since_s
        return self._since_s + (count - self._count) / self._per_s if self._per_s > 0.0 else math.inf


class _Clock:
    """Counts are seconds: for arrivals whose times are given."""

    def count(self, s: float) -> float:
        return s

    def when(self, count: float) -> float:
        return count


# Places -------------------------------------------------------------------------------------------------------------


class _EvenPlaces:
    """Of all arrivals k + 1/2, those whose number leaves this part as remainder, counted in this part's own numbers."""

    def __init__(self, part: int, parts: int) -> None:
        self._first = (part + 0.5) / parts

    def nth(self, number: int) -> float:
        return self._first + number

    def at_or_below(self, count: float) -> int:
        return max(0, math.floor(count - self._first + _TOLERANCE) + 1)

    def below(self, count: float) -> int:
        return max(0, math.ceil(count - self._first - _TOLERANCE))


class _GivenPlaces:
    """Times that are known."""

    def __init__(self, times_s: Sequence[float]) -> None:
        self._times_s = times_s

    def nth(self, number: int) -> float:
        return self._times_s[number]

    def at_or_below(self, count: float) -> int:
        return bisect_right(self._times_s, count)

    def below(self, count: float) -> int:
        return bisect_left(self._times_s, count)


class _PoissonPlaces:
    """A Poisson process of one a unit, drawn block by block: first how many a block has, then where they lie.

    Given their number, the arrivals of a Poisson process lie independently and evenly; so a block is sorted even draws.
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._numbers = random.Random(seed)  # noqa: S311 - load, no secret
        self._before = array("q", (0,))  # arrivals before block i
        self._drawn: dict[int, list[float]] = {}

    def nth(self, number: int) -> float:
        while self._before[-1] <= number:
            self._draw_number()
        block = bisect_right(self._before, number) - 1
        return block * BLOCK_ARRIVALS + self._block(block)[number - self._before[block]]

    def at_or_below(self, count: float) -> int:
        block, rest = self._block_of(count)
        return self._before[block] + bisect_right(self._block(block), rest)

    def below(self, count: float) -> int:
        block, rest = self._block_of(count)
        return self._before[block] + bisect_left(self._block(block), rest)

    def _block_of(self, count: float) -> tuple[int, float]:
        block, rest = divmod(count, BLOCK_ARRIVALS)
        while len(self._before) < block + 2:
            self._draw_number()
        return int(block), rest

    def _draw_number(self) -> None:
        chosen = bisect_left(_BLOCK_CHANCES, self._numbers.random())
        self._before.append(self._before[-1] + _BLOCK_LEAST + min(chosen, len(_BLOCK_CHANCES) - 1))

    def _block(self, block: int) -> list[float]:
        places = self._drawn.get(block)
        if places is None:
            drawn = random.Random(f"{self._seed}/{block}")  # noqa: S311 - load, no secret
            number = self._before[block + 1] - self._before[block]
            places = sorted(drawn.random() * BLOCK_ARRIVALS for _ in range(number))
            while len(self._drawn) > 1:  # the block that is being walked, and the one that is being counted
                del self._drawn[next(iter(self._drawn))]
            self._drawn[block] = places
        return places


_BLOCK_LEAST = BLOCK_ARRIVALS - _BLOCK_DEVIATIONS * math.isqrt(BLOCK_ARRIVALS)
_BLOCK_CHANCES = tuple(
    accumulate(
        math.exp(number * math.log(BLOCK_ARRIVALS) - BLOCK_ARRIVALS - math.lgamma(number + 1))
        for number in range(_BLOCK_LEAST, BLOCK_ARRIVALS + _BLOCK_DEVIATIONS * math.isqrt(BLOCK_ARRIVALS))
    )
)
"""The Poisson distribution of a block's number, summed up from _BLOCK_LEAST on."""
