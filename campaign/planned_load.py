"""A load as the planner sees it, before it has a duration: how many operations it makes in a time, and how fast it can get.

It counts as the load processes do. Where the target sets the pace nothing is requested, and what is counted is what the
load makes at least while the target keeps its criterion. Pure; the planner uses it.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from baseline_metrics.units import format_duration
from stress_scenarios.arrivals import ArrivalCount, mean_per_s, peak_per_s
from stress_scenarios.load_plan import (
    Arrivals,
    ConstantRate,
    Curve,
    Paced,
    RampRate,
    RateShape,
    ReplayRate,
    SawtoothRate,
    SineRate,
    Spacing,
    SpikeRate,
    StepRate,
    Thinking,
    Unpaced,
)
from stress_scenarios.pacing import Grid
from stress_scenarios.ramp_curves import when_reached

SURE_S = 0.1
"""A step of planned durations: what rounding may make of a bound."""

MEAN_S_MIN = 1e-3
"""Below a millisecond of hold a mean rate means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLoad:
    """Connections with their load model.

    pace: as written; an open model's times mean a load of written_s seconds, and are scaled with it. replayed: the times
    of a replay. response_s_mean_max: the criterion. think_s: mean pause after an operation that the scenario itself makes.
    """

    connections: int
    pace: Paced | Unpaced | Thinking | Arrivals
    curve: Curve
    written_s: float
    response_s_mean_max: float
    replayed: Sequence[float] = ()

    def operations(self, *, ramp_s: float, duration_s: float) -> int:
        """Intended starts of the whole load of this duration, ramp included.

        As many as stress_scenarios.pacing.operations_requested gives for the order; with Poisson spacing as many as evenly
        spaced. Where the target sets the pace: what is made at least if the mean response time keeps its criterion.
        """
        match self.pace:
            case Paced(operations_per_s=per_s):
                starts = (ramp_s * when_reached(self.curve, i / self.connections) for i in range(self.connections))
                return sum(Grid.until(duration_s, first_s=start_s, operations_per_s=per_s).count for start_s in starts)
            case Unpaced() | Thinking():
                return math.floor(self.connections * (duration_s - ramp_s) / self._cycle_s_max)
            case Arrivals() as arrivals:
                return ArrivalCount(
                    dataclasses.replace(
                        arrivals, shape=self.shape_in(arrivals.shape, duration_s), spacing=Spacing.EVEN
                    ),
                    ramp_s=ramp_s,
                    ramp_curve=self.curve,
                    load_s=duration_s,
                    seed=0,
                    replayed=self.replayed,
                ).requested
            case _:
                assert_never(self.pace)

    def shortest_s(self, operations: int) -> float:
        """A duration in which it surely makes fewer operations: rounding adds less than one for each connection."""
        match self.pace:
            case Paced(operations_per_s=per_s):
                return max(0.0, (operations - self.connections) / (self.connections * per_s) - SURE_S)
            case Unpaced() | Thinking():
                return max(0.0, operations * self._cycle_s_max / self.connections - SURE_S)
            case Arrivals(shape=ReplayRate()):
                return 0.0
            case Arrivals(shape=shape):
                return max(0.0, (operations - 1) / peak_per_s(shape) - SURE_S)
            case _:
                assert_never(self.pace)

    @property
    def _cycle_s_max(self) -> float:
        """Seconds from one start of a connection to its next one, at most, while the criterion holds."""
        think_s = (self.pace.seconds_min + self.pace.seconds_max) / 2.0 if isinstance(self.pace, Thinking) else 0.0
        return self.response_s_mean_max + think_s

    @property
    def requested(self) -> bool:
        """Whether the plan says how many operations it asks for."""
        return isinstance(self.pace, Paced | Arrivals)

    def pace_in(self, duration_s: float) -> Paced | Unpaced | Thinking | Arrivals:
        """The load model for a load of this duration."""
        if isinstance(self.pace, Arrivals):
            return dataclasses.replace(self.pace, shape=self.shape_in(self.pace.shape, duration_s))
        return self.pace

    def shape_in(self, shape: RateShape, duration_s: float) -> RateShape:
        """The same shape, its times scaled from the written duration to this one."""
        return _scaled(shape, duration_s / self.written_s)

    def peak_per_s(self, *, engine_per_s: float) -> float:
        """The highest rate that it may ask for over all connections; engine_per_s: what all load processes can make."""
        match self.pace:
            case Paced(operations_per_s=per_s):
                return self.connections * per_s
            case Thinking(seconds_min=low, seconds_max=high):
                return self.connections * 2.0 / (low + high)
            case Unpaced():
                return engine_per_s
            case Arrivals(shape=shape):
                return peak_per_s(shape, replayed=self.replayed)
            case _:
                assert_never(self.pace)

    def mean_per_s(self, *, ramp_s: float, duration_s: float, engine_per_s: float) -> float:
        """What it asks for during its hold over all connections; where the target sets the pace: what an instant answer gives."""
        if isinstance(self.pace, Arrivals) and duration_s - ramp_s >= MEAN_S_MIN:
            shape = self.shape_in(self.pace.shape, duration_s)
            return mean_per_s(shape, from_s=ramp_s, until_s=duration_s, load_s=duration_s, replayed=self.replayed)
        return self.peak_per_s(engine_per_s=engine_per_s)

    def sure_per_s(self, *, ramp_s: float, duration_s: float) -> float:
        """The rate that it makes at least while the target keeps its criterion."""
        if self.requested:
            return self.mean_per_s(ramp_s=ramp_s, duration_s=duration_s, engine_per_s=0.0)
        return self.connections / self._cycle_s_max

    def words(self) -> str:
        """What it asks for, in words: ``5 connections x 2/s``."""
        match self.pace:
            case Paced(operations_per_s=per_s):
                return f"{self.connections} connections x {per_s:g}/s"
            case Unpaced() | Thinking():
                return f"{self.connections} connections x 1 each {format_duration(self._cycle_s_max)}"
            case Arrivals(shape=shape):
                return shape_words(shape)
            case _:
                assert_never(self.pace)


def scaled(connections: int, scale: float) -> int:
    """So many times the connections, rounded up, at least one."""
    return max(1, math.ceil(connections * scale - 1e-9))


def shape_words(shape: RateShape) -> str:
    """A rate over time, in a few words."""
    match shape:
        case ConstantRate(per_s=per_s):
            return f"{per_s:g}/s"
        case RampRate(from_per_s=low, to_per_s=high):
            return f"{low:g}/s to {high:g}/s"
        case StepRate(from_per_s=low, to_per_s=high):
            return f"{low:g}/s to {high:g}/s in steps"
        case SpikeRate(base_per_s=low, peak_per_s=high):
            return f"{low:g}/s, spikes of {high:g}/s"
        case SineRate(mean_per_s=mean, amplitude_per_s=amplitude):
            return f"{mean:g}/s +- {amplitude:g}/s"
        case SawtoothRate(from_per_s=low, to_per_s=high):
            return f"{low:g}/s to {high:g}/s, again and again"
        case ReplayRate():
            return "a replay"
        case _:
            assert_never(shape)


def _scaled(shape: RateShape, factor: float) -> RateShape:
    match shape:
        case ConstantRate() | ReplayRate():
            return shape
        case RampRate():
            return dataclasses.replace(shape, over_s=shape.over_s * factor)
        case StepRate():
            return dataclasses.replace(shape, every_s=shape.every_s * factor)
        case SpikeRate():
            return dataclasses.replace(
                shape, at_s=shape.at_s * factor, lasts_s=shape.lasts_s * factor, every_s=shape.every_s * factor
            )
        case SineRate() | SawtoothRate():
            return dataclasses.replace(shape, period_s=shape.period_s * factor)
        case _:
            assert_never(shape)
