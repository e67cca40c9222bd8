"""The integral of every shape's rate, and its inverse."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stress_scenarios.load_plan import (
    ConstantRate,
    Curve,
    RampRate,
    RateShape,
    SawtoothRate,
    SineRate,
    SpikeRate,
    StepRate,
)
from stress_scenarios.rate_lines import PlannedLine, RateError, shape_line, shape_problems

LOAD_S = 60.0

SHAPES: tuple[RateShape, ...] = (
    ConstantRate(per_s=10.0),
    RampRate(from_per_s=5.0, to_per_s=50.0, over_s=20.0, curve=Curve.LINEAR),
    RampRate(from_per_s=50.0, to_per_s=0.0, over_s=0.0, curve=Curve.EXPONENTIAL),
    RampRate(from_per_s=0.0, to_per_s=80.0, over_s=30.0, curve=Curve.AGGRESSIVE),
    RampRate(from_per_s=0.0, to_per_s=80.0, over_s=30.0, curve=Curve.LOGARITHMIC),
    RampRate(from_per_s=1.0, to_per_s=80.0, over_s=90.0, curve=Curve.CONSERVATIVE),
    StepRate(from_per_s=10.0, by_per_s=15.0, to_per_s=50.0, every_s=7.0),
    SpikeRate(base_per_s=5.0, peak_per_s=100.0, at_s=10.0, lasts_s=2.0, every_s=0.0),
    SpikeRate(base_per_s=5.0, peak_per_s=100.0, at_s=3.0, lasts_s=2.0, every_s=11.0),
    SpikeRate(base_per_s=5.0, peak_per_s=40.0, at_s=0.0, lasts_s=9.0, every_s=3.0),
    SineRate(mean_per_s=30.0, amplitude_per_s=20.0, period_s=13.0),
    SineRate(mean_per_s=10.0, amplitude_per_s=30.0, period_s=13.0),
    SawtoothRate(from_per_s=2.0, to_per_s=40.0, period_s=9.0),
)


def rate_of(shape: RateShape, s: float) -> float:
    """The rate by the definitions of load_plan."""
    match shape:
        case ConstantRate(per_s=per_s):
            return per_s
        case RampRate(from_per_s=low, to_per_s=high, over_s=over_s, curve=curve):
            p = min(1.0, s / (over_s or LOAD_S))
            share = {
                Curve.LINEAR: p,
                Curve.EXPONENTIAL: (math.exp(3 * p) - 1) / (math.exp(3) - 1),
                Curve.LOGARITHMIC: math.log10(1 + 9 * p),
                Curve.CONSERVATIVE: p * p,
                Curve.AGGRESSIVE: math.sqrt(p),
            }[curve]
            return low + (high - low) * share
        case StepRate():
            return min(shape.to_per_s, shape.from_per_s + shape.by_per_s * (s // shape.every_s))
        case SpikeRate():
            since_s = s - shape.at_s
            if since_s >= 0 and shape.every_s:
                since_s %= shape.every_s
            return shape.peak_per_s if 0 <= since_s < shape.lasts_s else shape.base_per_s
        case SineRate():
            return max(0.0, shape.mean_per_s + shape.amplitude_per_s * math.sin(2 * math.pi * s / shape.period_s))
        case SawtoothRate(from_per_s=low, to_per_s=high, period_s=period_s):
            return low + (high - low) * (s % period_s) / period_s
        case _:
            raise AssertionError(shape)


def summed(shape: RateShape, until_s: float, *, ramp_s: float = 0.0) -> float:
    """The integral by brute force: the middle of 20,000 slices."""
    slices = 20_000
    width_s = until_s / slices
    total = 0.0
    for place in range(slices):
        s = (place + 0.5) * width_s
        total += rate_of(shape, s) * min(1.0, s / ramp_s if ramp_s else 1.0)
    return total * width_s


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
def test_the_integral_is_that_of_the_rate(shape: RateShape) -> None:
    """Within a ten-thousandth, at instants inside and at the ends of pieces."""
    line = shape_line(shape, load_s=LOAD_S)
    for until_s in (7.7, 60.0):
        assert line.count(until_s) == pytest.approx(summed(shape, until_s), rel=3e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
def test_the_orders_ramp_multiplies_the_shape(shape: RateShape) -> None:
    """Within the ramp the rate rises from 0 along the curve; after it the shape is as it would have been."""
    line = PlannedLine(shape, ramp_s=20.0, curve=Curve.LINEAR, load_s=LOAD_S)
    assert line.count(0.0) == 0.0
    assert line.count(20.0) == pytest.approx(summed(shape, 20.0, ramp_s=20.0), rel=3e-4)
    plain = shape_line(shape, load_s=LOAD_S)
    assert line.count(50.0) - line.count(20.0) == pytest.approx(plain.count(50.0) - plain.count(20.0))


@given(
    shape=st.sampled_from(SHAPES),
    ramp_s=st.sampled_from((0.0, 17.0)),
    curve=st.sampled_from(Curve),
    s=st.floats(min_value=0.0, max_value=LOAD_S),
)
def test_the_inverse_finds_the_instant_of_a_count(shape: RateShape, ramp_s: float, curve: Curve, s: float) -> None:
    """The count at the instant of a count is that count, also where the rate is 0 for a while."""
    line = PlannedLine(shape, ramp_s=ramp_s, curve=curve, load_s=LOAD_S)
    count = line.count(s)
    assert line.count(line.when(count)) == pytest.approx(count, abs=1e-6)
    assert line.when(count - 1e-6) <= s + 1e-9


def test_constant_linear_stepped_spiked_and_sawtooth_rates_are_exact() -> None:
    """No approximation where none is needed."""
    found = [
        shape_line(shape, load_s=LOAD_S).count(18.0)
        for shape in (SHAPES[0], SHAPES[1], SHAPES[6], SHAPES[8], SHAPES[12])
    ]
    assert found == pytest.approx(
        [180.0, 5 * 18 + 0.5 * (45 / 20) * 18**2, 70 + 175 + 160, 13 * 5 + 4 * 100 + 5, 378.0], rel=1e-12
    )


def test_a_rate_of_nothing_has_no_instant_for_anything() -> None:
    """The first operation never comes."""
    assert shape_line(ConstantRate(per_s=0.0), load_s=10.0).when(0.5) == math.inf


def test_a_rate_that_changes_too_often_within_its_ramp_is_refused() -> None:
    """A wave of a millisecond under a ramp of an hour would be a thousand million pieces."""
    with pytest.raises(RateError, match="make the ramp shorter"):
        PlannedLine(
            SineRate(mean_per_s=1.0, amplitude_per_s=1.0, period_s=0.001),
            ramp_s=3600.0,
            curve=Curve.LINEAR,
            load_s=7200.0,
        )
    with pytest.raises(RateError, match="steps within the load"):
        shape_line(StepRate(from_per_s=0.0, by_per_s=1e-6, to_per_s=10.0, every_s=0.001), load_s=10_000.0)


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        (ConstantRate(per_s=-1.0), "rate is -1"),
        (ConstantRate(per_s=math.nan), "rate is nan"),
        (RampRate(from_per_s=1.0, to_per_s=math.inf, over_s=1.0, curve=Curve.LINEAR), "to is inf"),
        (StepRate(from_per_s=1.0, by_per_s=0.0, to_per_s=2.0, every_s=1.0), "by is 0"),
        (StepRate(from_per_s=3.0, by_per_s=1.0, to_per_s=2.0, every_s=1.0), "less than from"),
        (SpikeRate(base_per_s=1.0, peak_per_s=2.0, at_s=1.0, lasts_s=0.0, every_s=0.0), "lasts is 0"),
        (SineRate(mean_per_s=1.0, amplitude_per_s=1.0, period_s=0.0), "period is 0"),
        (SawtoothRate(from_per_s=1.0, to_per_s=1.0, period_s=-1.0), "period is -1"),
    ],
)
def test_an_impossible_shape_says_what_is_wrong(shape: RateShape, complaint: str) -> None:
    """In words that a plan's error can repeat; it cannot be made into a rate."""
    assert complaint in "; ".join(shape_problems(shape))
    with pytest.raises(RateError, match=complaint):
        shape_line(shape, load_s=10.0)
