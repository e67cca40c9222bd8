"""What a phase asked for, in words that are true of its load model.

A paced load is so many connections at a rate; one whose pace the target sets has no rate to name; an open model is a rate
of arrivals, and its connections are only how many there may be at once. Pure; the tables and documents use it.
"""

from pathlib import PurePosixPath
from typing import assert_never

from baseline_metrics.units import format_bytes, format_duration
from monitoring_logs.load_orders import MemoryLoad, NoMemoryLoad, PacedByRate
from monitoring_logs.records import PhaseOrder
from results_summary import wording
from results_summary.cleaning import NAME_CHARACTERS_MAX, clean
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


def asked_words(order: PhaseOrder) -> str:
    """Connections and rate: "50 connections, 100/s", or "200 arrivals/s over at most 50 connections"; and the memory."""
    connections = wording.plural(order.connections, "connection")
    match order.pace:
        case PacedByRate():
            words = f"{connections}, {wording.rate(order.connections * order.operations_per_s)}"
        case Paced(operations_per_s=per_s):
            words = f"{connections}, {wording.rate(order.connections * per_s)}"
        case Unpaced():
            words = f"{connections}, as fast as answers come"
        case Thinking(seconds_min=least_s, seconds_max=most_s):
            words = f"{connections}, {_pause(least_s, most_s)} after each answer"
        case Arrivals(shape=shape, spacing=spacing):
            at_random = ", at random" if spacing is Spacing.POISSON else ""
            words = f"{shape_words(shape)}{at_random}, over at most {connections}"
        case _:
            assert_never(order.pace)
    if order.ramp_curve is not Curve.LINEAR:
        words = f"{words}, {order.ramp_curve.value} ramp"
    match order.memory:
        case MemoryLoad(size_bytes=size_bytes, rise_bytes_per_s=per_s):
            return f"{words}; {format_bytes(size_bytes)} of memory, rising by {format_bytes(per_s)}/s"
        case NoMemoryLoad():
            return words
    assert_never(order.memory)


def shape_words(shape: RateShape) -> str:
    """A rate of arrivals over time."""
    match shape:
        case ConstantRate(per_s=per_s):
            return f"{_number(per_s)} arrivals/s"
        case RampRate(from_per_s=start, to_per_s=end, over_s=over_s):
            over = f" within {format_duration(over_s)}" if over_s > 0 else ""
            return f"{_number(start)} to {_number(end)} arrivals/s{over}"
        case StepRate(from_per_s=start, to_per_s=end, by_per_s=by, every_s=every_s):
            steps = f"in steps of {_number(by)} each {format_duration(every_s)}"
            return f"{_number(start)} to {_number(end)} arrivals/s {steps}"
        case SpikeRate(base_per_s=base, peak_per_s=peak, lasts_s=lasts_s):
            return f"{_number(base)} arrivals/s, spikes of {_number(peak)}/s for {format_duration(lasts_s)}"
        case SineRate(mean_per_s=mean, amplitude_per_s=amplitude, period_s=period_s):
            waves = f"in waves of {format_duration(period_s)}"
            return f"{_number(max(0.0, mean - amplitude))} to {_number(mean + amplitude)} arrivals/s {waves}"
        case SawtoothRate(from_per_s=start, to_per_s=end, period_s=period_s):
            return f"{_number(start)} to {_number(end)} arrivals/s again each {format_duration(period_s)}"
        case ReplayRate(path=path):
            return f"arrivals as in {clean(PurePosixPath(path).name, characters_max=NAME_CHARACTERS_MAX)}"
    assert_never(shape)


def is_open(order: PhaseOrder) -> bool:
    """Whether arrivals are asked for, so that fewer connections than allowed are no shortfall."""
    return isinstance(order.pace, Arrivals)


def model_of(order: PhaseOrder) -> str:
    """The load model in one word, for documents."""
    match order.pace:
        case PacedByRate() | Paced():
            return "paced"
        case Unpaced():
            return "unpaced"
        case Thinking():
            return "thinking"
        case Arrivals():
            return "arrivals"
    assert_never(order.pace)


def _pause(least_s: float, most_s: float) -> str:
    if least_s == most_s:
        return f"a pause of {format_duration(least_s)}"
    return f"a pause of {format_duration(least_s)} to {format_duration(most_s)}"


def _number(per_s: float) -> str:
    return wording.rate(per_s).removesuffix("/s")
