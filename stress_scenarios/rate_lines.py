"""The rate of an open model as straight pieces, its integral over time, and the integral's inverse.

Straight pieces make both exact: the integral of one is a quadratic, and its inverse the root of it. Constant, ramped
linearly, stepped, spiked and sawtooth rates are such pieces; a sine and the other curves are cut into enough of them that
the integral is right to 0.01 %. Pure; workers draw their arrivals from it, the planner counts with it.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import assert_never

from stress_scenarios.load_plan import (
    ConstantRate,
    Curve,
    RampRate,
    RateShape,
    ReplayRate,
    SawtoothRate,
    SineRate,
    SpikeRate,
    StepRate,
)
from stress_scenarios.ramp_curves import reached

SINE_PIECES = 256
"""Of one wave: the integral is off by at most 2 * (2 pi / 256)^2 / 12, which is 0.01 % of amplitude times period / 2 pi."""

CURVE_PIECES = 512
"""Of a curved ramp, closer together at its foot, where square root and logarithm bend most: off by less than 0.004 %."""

PIECES_MAX = 200_000
"""Of one order: 20 MB and a second to make. Only a wave a thousand times shorter than its ramp, or steps without end, have more."""


class RateError(ValueError):
    """A rate that cannot be followed. The message says what to change."""


@dataclass(frozen=True, slots=True)
class Piece:
    """From one rate to another, per second, evenly within lasts_s."""

    lasts_s: float
    from_per_s: float
    to_per_s: float

    @property
    def count(self) -> float:
        """The integral over the piece."""
        return self.lasts_s * (self.from_per_s + self.to_per_s) / 2.0

    def per_s(self, s: float) -> float:
        """The rate so many seconds after its start."""
        return self.from_per_s + (self.to_per_s - self.from_per_s) * (s / self.lasts_s)

    def count_until(self, s: float) -> float:
        """The integral over its first seconds."""
        return s * (self.from_per_s + self.per_s(s)) / 2.0

    def when(self, count: float) -> float:
        """After how many seconds the integral is this, which it reaches within the piece.

        The root of slope/2 s^2 + from s - count, written so that it neither cancels nor divides by a slope of 0.
        """
        slope = (self.to_per_s - self.from_per_s) / self.lasts_s
        divisor = self.from_per_s + math.sqrt(max(0.0, self.from_per_s * self.from_per_s + 2.0 * slope * count))
        return min(self.lasts_s, 2.0 * count / divisor) if divisor > 0.0 else 0.0


class _Stretch:
    """Pieces one after another, with the time and the count at which each begins."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = tuple(piece for piece in pieces if piece.lasts_s > 0.0)
        self.starts_s = list(accumulate((piece.lasts_s for piece in self.pieces), initial=0.0))
        self.counts = list(accumulate((piece.count for piece in self.pieces), initial=0.0))
        self.lasts_s = self.starts_s[-1]
        self.count = self.counts[-1]

    def count_until(self, s: float) -> float:
        """The integral over its first seconds."""
        if s >= self.lasts_s:
            return self.count
        place = bisect_right(self.starts_s, s) - 1
        return self.counts[place] + self.pieces[place].count_until(s - self.starts_s[place])

    def when(self, count: float) -> float:
        """When the integral is first this, which it reaches."""
        place = bisect_left(self.counts, count) - 1
        if place < 0:
            return 0.0
        if place >= len(self.pieces):
            return self.lasts_s
        return self.starts_s[place] + self.pieces[place].when(count - self.counts[place])


class RateLine:
    """A rate over time: pieces that happen once, then pieces that come again and again."""

    def __init__(self, *, once: Sequence[Piece], again: Sequence[Piece]) -> None:
        self._once = _Stretch(once)
        self._again = _Stretch(again)
        assert self._again.lasts_s > 0.0, "a rate has no end"

    def count(self, s: float) -> float:
        """The integral from 0 until s, seconds: how many operations the rate has made until then."""
        if s <= self._once.lasts_s:
            return self._once.count_until(max(0.0, s))
        times, rest_s = divmod(s - self._once.lasts_s, self._again.lasts_s)
        return self._once.count + times * self._again.count + self._again.count_until(rest_s)

    def when(self, count: float) -> float:
        """When the integral first is this; infinity when it never is."""
        if count <= self._once.count:
            return self._once.when(count)
        left = count - self._once.count
        if self._again.count <= 0.0:
            return math.inf
        times = max(0.0, math.ceil(left / self._again.count) - 1.0)
        rest = left - times * self._again.count
        return self._once.lasts_s + times * self._again.lasts_s + self._again.when(rest)

    def pieces_until(self, s: float) -> list[Piece]:
        """The pieces of its first seconds, the last one cut. Raises RateError when they are too many."""
        pieces: list[Piece] = []
        left_s = s
        waiting = list(reversed(self._once.pieces))
        while left_s > 0.0:
            if not waiting:
                waiting = list(reversed(self._again.pieces))
            piece = waiting.pop()
            if piece.lasts_s > left_s:
                piece = Piece(left_s, piece.from_per_s, piece.per_s(left_s))
            pieces.append(piece)
            left_s -= piece.lasts_s
            if len(pieces) > PIECES_MAX:
                raise RateError(
                    "the rate changes too often within the ramp; make the ramp shorter or the period longer"
                )
        return pieces


class PlannedLine:
    """The rate of an order: its shape, multiplied by the ramp's curve within the ramp."""

    def __init__(self, shape: RateShape, *, ramp_s: float, curve: Curve, load_s: float) -> None:
        self._shape = shape_line(shape, load_s=load_s)
        self._ramp = _Stretch(_ramped(self._shape, ramp_s=ramp_s, curve=curve))
        self._ramp_s = ramp_s
        self._unramped = self._shape.count(ramp_s)

    def count(self, s: float) -> float:
        """The integral from 0 until s, seconds."""
        if s <= self._ramp_s:
            return self._ramp.count_until(max(0.0, s))
        return self._ramp.count + self._shape.count(s) - self._unramped

    def when(self, count: float) -> float:
        """When the integral first is this; infinity when it never is."""
        if count <= self._ramp.count:
            return self._ramp.when(count)
        return max(self._ramp_s, self._shape.when(count - self._ramp.count + self._unramped))


def shape_line(shape: RateShape, *, load_s: float) -> RateLine:
    """The rate of a shape, without the order's ramp. load_s: what "within the whole load" means. Raises RateError."""
    problems = shape_problems(shape)
    if problems:
        raise RateError("; ".join(problems))
    assert load_s > 0, load_s
    match shape:
        case ConstantRate(per_s=per_s):
            return RateLine(once=(), again=(Piece(load_s, per_s, per_s),))
        case RampRate(to_per_s=to):
            over_s = shape.over_s or load_s
            return RateLine(once=_curved(shape, over_s), again=(Piece(load_s, to, to),))
        case StepRate():
            return _steps(shape, load_s)
        case SpikeRate(base_per_s=base, at_s=at_s):
            lasts_s = min(shape.lasts_s, shape.every_s) if shape.every_s else shape.lasts_s
            spike = Piece(lasts_s, shape.peak_per_s, shape.peak_per_s)
            before = Piece(at_s, base, base)
            if not shape.every_s:
                return RateLine(once=(before, spike), again=(Piece(load_s, base, base),))
            return RateLine(once=(before,), again=(spike, Piece(shape.every_s - lasts_s, base, base)))
        case SineRate():
            return RateLine(once=(), again=_wave(shape))
        case SawtoothRate(from_per_s=low, to_per_s=high, period_s=period_s):
            return RateLine(once=(), again=(Piece(period_s, low, high),))
        case ReplayRate():
            raise AssertionError("a replay has times and no rate")
        case _:
            assert_never(shape)


def shape_problems(shape: RateShape) -> tuple[str, ...]:
    """What is impossible about a shape, in words; a plan with such a shape is refused."""
    match shape:
        case ConstantRate(per_s=per_s):
            return _at_least_0(rate=per_s)
        case RampRate():
            return _at_least_0(**{"from": shape.from_per_s, "to": shape.to_per_s, "over": shape.over_s})
        case StepRate():
            problems = _at_least_0(**{"from": shape.from_per_s, "to": shape.to_per_s})
            problems += _above_0(by=shape.by_per_s, every=shape.every_s)
            if not problems and shape.to_per_s < shape.from_per_s:
                problems += (f"to is {shape.to_per_s:g}, which is less than from",)
            return problems
        case SpikeRate():
            return _at_least_0(base=shape.base_per_s, peak=shape.peak_per_s, at=shape.at_s, every=shape.every_s) + (
                _above_0(lasts=shape.lasts_s)
            )
        case SineRate():
            return _at_least_0(mean=shape.mean_per_s, amplitude=shape.amplitude_per_s) + _above_0(period=shape.period_s)
        case SawtoothRate():
            return _at_least_0(**{"from": shape.from_per_s, "to": shape.to_per_s}) + _above_0(period=shape.period_s)
        case ReplayRate():
            return ()
        case _:
            assert_never(shape)


def _at_least_0(**values: float) -> tuple[str, ...]:
    return tuple(
        f"{name} is {value:g}, which is no number of at least 0"
        for name, value in values.items()
        if not (math.isfinite(value) and value >= 0.0)
    )


def _above_0(**values: float) -> tuple[str, ...]:
    return tuple(
        f"{name} is {value:g}, which is no number above 0"
        for name, value in values.items()
        if not (math.isfinite(value) and value > 0.0)
    )


def _curved(shape: RampRate, over_s: float) -> list[Piece]:
    if shape.curve is Curve.LINEAR:
        return [Piece(over_s, shape.from_per_s, shape.to_per_s)]
    rise = shape.to_per_s - shape.from_per_s
    return [
        Piece(
            (q - p) * over_s,
            shape.from_per_s + rise * reached(shape.curve, p),
            shape.from_per_s + rise * reached(shape.curve, q),
        )
        for p, q in pairwise(_knots())
    ]


def _knots() -> list[float]:
    return [(place / CURVE_PIECES) ** 2 for place in range(CURVE_PIECES + 1)]


def _steps(shape: StepRate, load_s: float) -> RateLine:
    steps = math.ceil((shape.to_per_s - shape.from_per_s) / shape.by_per_s - 1e-9)
    steps = min(steps, math.ceil(load_s / shape.every_s))  # later ones are never reached
    if steps > PIECES_MAX:
        raise RateError(f"{steps} steps within the load; make them larger or less frequent")
    rates = [shape.from_per_s + step * shape.by_per_s for step in range(steps)]
    last = min(shape.to_per_s, shape.from_per_s + steps * shape.by_per_s)
    return RateLine(
        once=[Piece(shape.every_s, rate, rate) for rate in rates],
        again=(Piece(load_s, last, last),),
    )


def _wave(shape: SineRate) -> list[Piece]:
    """One wave, cut also where it meets 0."""
    turns = {place / SINE_PIECES for place in range(SINE_PIECES + 1)}
    if shape.amplitude_per_s > shape.mean_per_s:
        dip = math.asin(shape.mean_per_s / shape.amplitude_per_s) / (2.0 * math.pi)
        turns |= {0.5 + dip, 1.0 - dip}

    def rate(turn: float) -> float:
        return max(0.0, shape.mean_per_s + shape.amplitude_per_s * math.sin(2.0 * math.pi * turn))

    return [Piece((later - turn) * shape.period_s, rate(turn), rate(later)) for turn, later in pairwise(sorted(turns))]


def _ramped(line: RateLine, *, ramp_s: float, curve: Curve) -> list[Piece]:
    """The pieces of a line within the ramp, each cut at the ramp's knots and multiplied by its curve there."""
    if ramp_s <= 0.0:
        return []
    knots_s = [knot * ramp_s for knot in _knots()]
    pieces: list[Piece] = []
    began_s = 0.0
    for piece in line.pieces_until(ramp_s):
        ended_s = min(ramp_s, began_s + piece.lasts_s)
        inside = knots_s[bisect_right(knots_s, began_s) : bisect_left(knots_s, ended_s)]
        for from_s, to_s in pairwise((began_s, *inside, ended_s)):
            low = piece.per_s(from_s - began_s) * reached(curve, from_s / ramp_s)
            high = piece.per_s(min(piece.lasts_s, to_s - began_s)) * reached(curve, to_s / ramp_s)
            pieces.append(Piece(to_s - from_s, low, high))
        began_s = ended_s
    return pieces
