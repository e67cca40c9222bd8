"""The arithmetic of fitting a night into its window: how long a load has to last, and how much shorter all parts get.

Nothing here knows plans or phases' names; see planner. Pure.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from baseline_metrics.units import DURATION_S_MAX

SAMPLES_NEEDED = 30
"""Operations that a phase or an anchor has to make. Thirty is where the mean of a skewed response time begins to have a
usable interval, and where no failure at all bounds the failure rate near 10 % with 95 % confidence (rule of three, 3/n):
just enough to tell the catalogue's mildest criterion (80 % success) from a broken target."""

STEP_TOLERANCE = 1e-9
"""Of a step: what two floats that mean the same duration may differ by."""

DURATION_STEP_S = 0.1
"""Planned durations are whole tenths of seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """How connections start one after another: a share of the load's duration, up to a limit."""

    share: float
    longest_s: float

    def of(self, duration_s: float) -> float:
        """Seconds of ramp in a load of this duration."""
        return min(duration_s * self.share, self.longest_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of the night, or several equal ones. wanted_s and floor_s are of one."""

    count: int
    wanted_s: float
    floor_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The durations of one of each part, in order. factor: what the wanted durations were multiplied by (before floors)."""

    durations_s: tuple[float, ...]
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DoesNotFit:
    """Even the floors are too long together."""

    needed_s: float
    available_s: float


class Counted(Protocol):
    """A load that can say how many operations it makes."""

    def operations(self, *, ramp_s: float, duration_s: float) -> int:
        """Intended starts, at least, of the whole load, ramp included."""
        ...

    def shortest_s(self, operations: int) -> float:
        """A duration, seconds, in which it surely makes fewer operations; 0 if there is none."""
        ...


def duration_for(load: Counted, ramp: Ramp, *, operations: int, longest_s: float = DURATION_S_MAX) -> float:
    """The shortest duration, in steps of 0.1 s, in which the load makes so many operations; infinity if none up to longest_s does."""

    def enough(steps: int) -> bool:
        duration_s = steps * DURATION_STEP_S
        return load.operations(ramp_s=ramp.of(duration_s), duration_s=duration_s) >= operations

    steps_max = math.ceil(longest_s / DURATION_STEP_S)
    steps_low = min(math.floor(load.shortest_s(operations) / DURATION_STEP_S), steps_max)
    steps_high = min(steps_low + max(1, steps_low // 8), steps_max)
    while not enough(steps_high):
        if steps_high >= steps_max:
            return math.inf
        steps_low, steps_high = steps_high, min(2 * steps_high, steps_max)
    while steps_high - steps_low > 1:
        middle = (steps_low + steps_high) // 2
        if enough(middle):
            steps_high = middle
        else:
            steps_low = middle
    return round(steps_high * DURATION_STEP_S, 1)


def fit(parts: tuple[Part, ...], *, available_s: float) -> Fitted | DoesNotFit:
    """Shrink all parts by one factor until they fit, none below its floor; what floors take, the others give up.

    Parts are never stretched above what is wanted, or above their floor where that is more.
    """
    needed_s = sum(part.count * part.floor_s for part in parts)
    if needed_s > available_s:
        return DoesNotFit(needed_s=needed_s, available_s=available_s)
    factor = _factor(parts, available_s)
    durations_s = tuple(max(part.floor_s, _stepped_down(part.wanted_s * factor)) for part in parts)
    return Fitted(durations_s=durations_s, factor=factor)


def _factor(parts: tuple[Part, ...], available_s: float) -> float:
    """The largest factor up to 1 at which all fits. The total is piecewise linear in it: solve from floor to floor."""
    if sum(part.count * max(part.floor_s, part.wanted_s) for part in parts) <= available_s:
        return 1.0
    free = [part for part in parts if part.wanted_s > 0]
    free.sort(key=lambda part: part.floor_s / part.wanted_s)
    fixed_s = sum(part.count * part.floor_s for part in parts if part.wanted_s <= 0)
    while free:
        factor = (available_s - fixed_s) / sum(part.count * part.wanted_s for part in free)
        highest = free[-1]
        if highest.floor_s <= highest.wanted_s * factor:
            return min(factor, 1.0)
        fixed_s += highest.count * highest.floor_s
        free.pop()
    return 0.0


def _stepped_down(duration_s: float) -> float:
    return math.floor(duration_s / DURATION_STEP_S + STEP_TOLERANCE) * DURATION_STEP_S
