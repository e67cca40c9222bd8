"""Five curves of a ramp and their inverses."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stress_scenarios.load_plan import Curve
from stress_scenarios.ramp_curves import reached, when_reached


@pytest.mark.parametrize(
    ("curve", "half"),
    [
        (Curve.LINEAR, 0.5),
        (Curve.EXPONENTIAL, (math.exp(1.5) - 1) / (math.exp(3) - 1)),
        (Curve.LOGARITHMIC, math.log10(5.5)),
        (Curve.CONSERVATIVE, 0.25),
        (Curve.AGGRESSIVE, math.sqrt(0.5)),
    ],
)
def test_each_curve_goes_its_own_way_from_nothing_to_all(curve: Curve, half: float) -> None:
    """At the start 0, at the end 1, at half time what its formula says; before and after it stays at the ends."""
    assert reached(curve, 0.5) == pytest.approx(half)
    assert [reached(curve, p) for p in (-1.0, 0.0)] == [0.0, 0.0]
    assert [reached(curve, p) for p in (1.0, 2.0)] == pytest.approx([1.0, 1.0], abs=1e-15)


@given(curve=st.sampled_from(Curve), p=st.floats(min_value=0.0, max_value=1.0))
def test_the_inverse_undoes_the_curve(curve: Curve, p: float) -> None:
    """When the share of p is reached is p again."""
    assert when_reached(curve, reached(curve, p)) == pytest.approx(p, abs=1e-9)


@given(
    curve=st.sampled_from(Curve),
    one=st.floats(min_value=-0.5, max_value=1.5),
    other=st.floats(min_value=-0.5, max_value=1.5),
)
def test_a_ramp_never_falls(curve: Curve, one: float, other: float) -> None:
    """Later is at least as much, and more of the share comes no earlier; both stay within 0 and 1."""
    low, high = sorted((one, other))
    for function in (reached, when_reached):
        assert 0.0 <= function(curve, low) <= function(curve, high) <= 1.0 + 1e-15
