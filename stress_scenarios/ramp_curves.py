"""How a ramp rises: five curves from 0 to 1 and their inverses.

The three middle ones and their forms come from the earlier systems, whose users know them. Pure; workers, the planner and
open models use them.
"""

import math
from typing import assert_never

from stress_scenarios.load_plan import Curve

_EXPONENT = 3.0
_EXPONENTIAL_SPAN = math.expm1(_EXPONENT)


def reached(curve: Curve, p: float) -> float:
    """The share (0..1) that a ramp has reached after p (0..1, beyond it clamped) of its time."""
    p = _clamped(p)
    match curve:
        case Curve.LINEAR:
            return p
        case Curve.EXPONENTIAL:
            return math.expm1(_EXPONENT * p) / _EXPONENTIAL_SPAN
        case Curve.LOGARITHMIC:
            return math.log10(1.0 + 9.0 * p)
        case Curve.CONSERVATIVE:
            return p * p
        case Curve.AGGRESSIVE:
            return math.sqrt(p)
        case _:
            assert_never(curve)


def when_reached(curve: Curve, share: float) -> float:
    """After which part (0..1) of its time a ramp has reached this share (0..1, beyond it clamped): the inverse of reached."""
    share = _clamped(share)
    match curve:
        case Curve.LINEAR:
            return share
        case Curve.EXPONENTIAL:
            return math.log1p(share * _EXPONENTIAL_SPAN) / _EXPONENT
        case Curve.LOGARITHMIC:
            return (math.pow(10.0, share) - 1.0) / 9.0
        case Curve.CONSERVATIVE:
            return math.sqrt(share)
        case Curve.AGGRESSIVE:
            return share * share
        case _:
            assert_never(curve)


def _clamped(value: float) -> float:
    return min(1.0, max(0.0, value))
