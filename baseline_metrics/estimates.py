"""What a handful of numbers can tell, and how surely: means, spreads, intervals, the samples that a claim needs.

Kept apart from the places that measure and the places that judge, so that each formula stands once with its source.
Pure (standard library); supervisor and reporter use it.
"""

import math
import statistics
from collections.abc import Callable, Sequence

from baseline_metrics.samples import Gap, GapReason, Reading, Sample

Z_95 = 1.96
"""Two-sided 95 % quantile of the normal distribution."""


class EstimateError(ValueError):
    """A question without an answer, such as a quantile outside 0..1."""


def wilson_interval(*, successes: int, total: int, z: float = Z_95) -> tuple[float, float]:
    """Interval (low, high), shares 0..1, of the true success share behind ``successes`` of ``total``.

    E. B. Wilson, JASA 22 (1927), the score interval: sound for small counts and shares near 0 and 1, where the textbook
    interval is not. Without a single trial nothing is known: (0, 1). Raises EstimateError for impossible counts.
    """
    if not 0 <= successes <= total:
        raise EstimateError(f"{successes} successes of {total}: counts must be 0 <= successes <= total")
    if total == 0:
        return 0.0, 1.0
    share = successes / total
    denominator = 1.0 + z * z / total
    centre = (share + z * z / (2 * total)) / denominator
    half_width = z * math.sqrt(share * (1.0 - share) / total + z * z / (4.0 * total * total)) / denominator
    low = 0.0 if successes == 0 else max(0.0, centre - half_width)
    high = 1.0 if successes == total else min(1.0, centre + half_width)
    return low, high


def mean(values: Sequence[float]) -> Reading:
    """Arithmetic mean in the values' unit; a gap without values."""
    return _estimate(values, count_min=1, estimate=statistics.fmean)


def median(values: Sequence[float]) -> Reading:
    """Median in the values' unit; a gap without values."""
    return _estimate(values, count_min=1, estimate=statistics.median)


def coefficient_of_variation(values: Sequence[float]) -> Reading:
    """Sample standard deviation (n - 1) over the absolute mean, as a share: 0.1 is 10 %.

    A gap below two values, and for a mean of 0, where a relative spread has no meaning. Only for quantities on a ratio
    scale (degrees Celsius are not).
    """
    middle = mean(values)
    match middle:
        case Gap():
            return middle
        case Sample(value=0.0):
            return Gap(reason=GapReason.ABSENT, detail="the mean is 0: no relative spread")
        case Sample(value=centre):
            return _estimate(values, count_min=2, estimate=lambda given: statistics.stdev(given) / abs(centre))


def percentile_rank_interval(*, total: int, quantile: float, z: float = Z_95) -> tuple[int, int]:
    """Ranks (low, high), 1..total, of the ordered values between which the true quantile lies.

    Order-statistic interval n*p -+ z*sqrt(n*p*(1-p)), David and Nagaraja, Order Statistics, 7.1. It takes the values as
    independent. Ask ``samples_needed`` first: with fewer values the upper rank is clamped and bounds nothing.
    Raises EstimateError.
    """
    _check_quantile(quantile)
    if total < 1:
        raise EstimateError(f"no rank among {total} values")
    centre = total * quantile
    half_width = z * math.sqrt(total * quantile * (1.0 - quantile))
    return max(1, math.floor(centre - half_width)), min(total, math.ceil(centre + half_width))


def samples_needed(*, quantile: float, confidence: float = 0.95) -> int:
    """Fewest independent values whose largest one bounds the quantile from above with this confidence.

    1 - q^n >= confidence (S. S. Wilks, Ann. Math. Stat. 12, 1941): p95 59, p99 299, p99.9 2995. Below it a percentile is
    not estimable. Raises EstimateError.
    """
    _check_quantile(quantile)
    _check_quantile(confidence)
    needed = math.ceil(math.log(1.0 - confidence) / math.log(quantile))
    # The logarithms may miss a whole number by one rounding error in either direction.
    if needed > 1 and 1.0 - quantile ** (needed - 1) >= confidence:
        return needed - 1
    return needed


def zero_error_upper_bound(total: int) -> float:
    """95 % upper bound, a share 0..1, of the true error share after no error in ``total`` trials: 3/n, "rule of three".

    Hanley and Lippman-Hand, JAMA 249 (1983). Nothing tried, nothing bounded: 1. Raises EstimateError for negative counts.
    """
    if total < 0:
        raise EstimateError(f"{total} trials: a count is not negative")
    return 1.0 if total <= 3 else 3.0 / total


def _estimate(values: Sequence[float], *, count_min: int, estimate: Callable[[Sequence[float]], float]) -> Sample | Gap:
    if len(values) < count_min:
        detail = f"{len(values)} values, at least {count_min} needed" if values else "no values"
        return Gap(reason=GapReason.ABSENT, detail=detail)
    if not all(math.isfinite(value) for value in values):
        return Gap(reason=GapReason.MALFORMED, detail="a value is not a finite number")
    try:
        result = float(estimate(values))
    except OverflowError:
        return Gap(reason=GapReason.MALFORMED, detail="the values are too large to compute with")
    if not math.isfinite(result):
        return Gap(reason=GapReason.MALFORMED, detail="the values are too large to compute with")
    return Sample(value=result)


def _check_quantile(quantile: float) -> None:
    if not 0.0 < quantile < 1.0:
        raise EstimateError(f"{quantile} is not a share between 0 and 1")
