"""What a handful of numbers can tell."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.estimates import (
    EstimateError,
    coefficient_of_variation,
    mean,
    median,
    percentile_rank_interval,
    samples_needed,
    wilson_interval,
    zero_error_upper_bound,
)
from baseline_metrics.samples import Gap, GapReason, Sample


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),  # Newcombe, Statistics in Medicine 17 (1998), table I
        (15, 148, 0.0624, 0.1605),  # the same table
    ],
)
def test_wilson_interval_matches_published_values(successes: int, total: int, low: float, high: float) -> None:
    """The score interval gives the figures that are in print."""
    assert wilson_interval(successes=successes, total=total) == pytest.approx((low, high), abs=5e-5)


def test_wilson_interval_of_nothing_is_everything() -> None:
    """Without a trial the share may be anything."""
    assert wilson_interval(successes=0, total=0) == (0.0, 1.0)


@given(st.integers(0, 10_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_interval_holds_the_observed_share(counts: tuple[int, int]) -> None:
    """The interval lies within 0..1 and contains what was seen."""
    successes, total = counts
    low, high = wilson_interval(successes=successes, total=total)

    assert 0.0 <= low <= high <= 1.0
    assert total == 0 or low <= successes / total <= high


@pytest.mark.parametrize(("successes", "total"), [(-1, 5), (6, 5), (0, -1)])
def test_impossible_counts_are_refused(successes: int, total: int) -> None:
    """More successes than trials, or negative counts, are an error and no interval."""
    with pytest.raises(EstimateError):
        wilson_interval(successes=successes, total=total)


def test_mean_and_median_of_nothing_are_gaps() -> None:
    """No values, no number: never 0."""
    assert mean(()) == Gap(reason=GapReason.ABSENT, detail="no values")
    assert median(()) == Gap(reason=GapReason.ABSENT, detail="no values")


def test_mean_and_median_of_values_are_samples() -> None:
    """One value is enough for a mean and a median."""
    assert mean((3.0,)) == Sample(value=3.0)
    assert mean((1.0, 2.0, 6.0)) == Sample(value=3.0)
    assert median((1.0, 2.0, 6.0)) == Sample(value=2.0)


@pytest.mark.parametrize("values", [(math.nan, 1.0), (math.inf, 1.0), (1.7e308, 1.7e308, 1.7e308, -1e308)])
def test_values_that_cannot_be_computed_with_are_malformed(values: tuple[float, ...]) -> None:
    """NaN, infinity and overflow give a gap and never a number that looks valid."""
    for reading in (mean(values), coefficient_of_variation(values)):
        assert isinstance(reading, Gap)
        assert reading.reason is GapReason.MALFORMED


def test_coefficient_of_variation_is_deviation_over_mean() -> None:
    """8, 10 and 12 deviate by 2 from 10: a fifth. The sign of the mean does not matter."""
    assert coefficient_of_variation((8.0, 10.0, 12.0)) == Sample(value=0.2)
    assert coefficient_of_variation((-8.0, -10.0, -12.0)) == Sample(value=0.2)


@pytest.mark.parametrize("values", [(), (1.0,), (-1.0, 1.0), (0.0, 0.0)])
def test_coefficient_of_variation_needs_two_values_and_a_mean(values: tuple[float, ...]) -> None:
    """Below two values, or around 0, a relative spread has no meaning."""
    assert isinstance(coefficient_of_variation(values), Gap)


@pytest.mark.parametrize(("quantile", "needed"), [(0.5, 5), (0.95, 59), (0.99, 299), (0.999, 2995), (0.9999, 29956)])
def test_samples_needed_matches_the_known_counts(quantile: float, needed: int) -> None:
    """p95 needs 59 values, p99 299, p99.9 2995."""
    assert samples_needed(quantile=quantile) == needed


@given(st.floats(0.01, 0.9999), st.floats(0.5, 0.999))
def test_samples_needed_is_the_smallest_sufficient_count(quantile: float, confidence: float) -> None:
    """With that many values the largest bounds the quantile; with one fewer it does not."""
    needed = samples_needed(quantile=quantile, confidence=confidence)

    assert 1.0 - quantile**needed >= confidence - 1e-9
    assert needed == 1 or 1.0 - quantile ** (needed - 1) < confidence + 1e-9


@pytest.mark.parametrize("quantile", [0.0, 1.0, -0.1, 1.1, math.nan])
def test_quantiles_outside_zero_to_one_are_refused(quantile: float) -> None:
    """There is no largest quantile of an unbounded population."""
    with pytest.raises(EstimateError):
        samples_needed(quantile=quantile)
    with pytest.raises(EstimateError):
        percentile_rank_interval(total=100, quantile=quantile)


def test_rank_interval_matches_the_formula() -> None:
    """The p99 of 6000 values lies between ranks 5924 and 5956, that is between the .987 and the .993 quantile."""
    assert percentile_rank_interval(total=6000, quantile=0.99) == (5924, 5956)


def test_rank_interval_stays_within_the_values() -> None:
    """Few values clamp the ranks; no values have none."""
    assert percentile_rank_interval(total=10, quantile=0.99) == (9, 10)
    assert percentile_rank_interval(total=1, quantile=0.5) == (1, 1)
    with pytest.raises(EstimateError):
        percentile_rank_interval(total=0, quantile=0.5)


def test_rank_interval_covers_the_true_quantile_nineteen_times_in_twenty() -> None:
    """Of 400 seeded samples of 500 uniform values, about 95 % of the intervals contain the true p90."""
    seed = 20260101
    print(f"seed {seed}")
    source = random.Random(seed)
    low, high = percentile_rank_interval(total=500, quantile=0.9)
    covered = 0
    for _ in range(400):
        ordered = sorted(source.random() for _ in range(500))
        covered += ordered[low - 1] <= 0.9 <= ordered[high - 1]

    assert 0.92 <= covered / 400 <= 1.0


def test_no_error_in_n_trials_bounds_the_error_share() -> None:
    """The rule of three, never above 1, and no claim without trials."""
    assert zero_error_upper_bound(0) == 1.0
    assert zero_error_upper_bound(3) == 1.0
    assert zero_error_upper_bound(4) == 0.75
    assert zero_error_upper_bound(300) == pytest.approx(0.01)
    with pytest.raises(EstimateError):
        zero_error_upper_bound(-1)
