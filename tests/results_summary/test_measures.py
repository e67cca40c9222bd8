"""Adding windows up, and what is missing from them."""

import math
from dataclasses import replace

import pytest

from baseline_metrics.samples import Gap, Sample
from results_summary.measures import (
    coverage_percent,
    measure,
    quantile_bounds_s,
    response_figures,
    windows_expected,
)
from stress_scenarios.histogram import Histogram
from tests.support.night import Night, Phase, make_facts, without


def test_both_ledgers_of_a_whole_segment_agree() -> None:
    """Seconds and minutes hold the same completions, exactly."""
    facts = make_facts(Night(phases=(Phase(hold_s=70.0, success_share=0.9),)))
    measured = measure(facts.segments[1])
    assert measured.seconds.succeeded == measured.minutes.succeeded > 500
    assert measured.seconds.failed == measured.minutes.failed > 0
    assert measured.seconds.response_s_sum == pytest.approx(measured.minutes.response_s_sum, rel=1e-12)


def test_a_broken_histogram_makes_its_window_missing() -> None:
    """A window that cannot be read is not counted, and counted as unreadable."""
    facts = make_facts(Night(phases=(Phase(),)))
    segment = facts.segments[1]
    broken = replace(segment.seconds[3], response_succeeded="!!!")
    lying = replace(segment.seconds[4], succeeded=segment.seconds[4].succeeded + 1)
    measured = measure(replace(segment, seconds=(*segment.seconds[:3], broken, lying, *segment.seconds[5:])))
    assert measured.seconds.unreadable == 2
    assert measured.seconds.windows == len(segment.seconds) - 2
    assert measured.fuller is measured.minutes


def test_coverage_counts_expected_windows_only() -> None:
    """Windows after the planned end do not make up for missing ones."""
    facts = make_facts(Night(phases=(Phase(ramp_s=2.0, hold_s=18.0),)))
    assert windows_expected(ramp_s=2.0, hold_s=18.0) == 20
    assert coverage_percent(facts.segments[1], ramp_s=2.0, hold_s=18.0) == Sample(value=100.0)
    some = without(facts, segment=1, second=lambda row: row.second < 5)
    assert coverage_percent(some.segments[1], ramp_s=2.0, hold_s=18.0) == Sample(value=75.0)
    assert isinstance(coverage_percent(facts.segments[1], ramp_s=0.0, hold_s=0.0), Gap)


def test_a_tail_needs_its_samples() -> None:
    """p95 from 59 values on, p99 from 299 on; below, a gap and no number."""
    for count, p95, p99 in ((58, False, False), (59, True, False), (298, True, False), (299, True, True)):
        histogram = Histogram()
        for _ in range(count):
            histogram.record_s(0.01)
        figures = response_figures(histogram)
        assert isinstance(figures.p95_s, Sample) is p95
        assert isinstance(figures.p99_s, Sample) is p99


def test_quantile_bounds_open_with_missing_values() -> None:
    """With one missing value the p99 of a hundred may be anything above; with none it is exact."""
    histogram = Histogram()
    for milliseconds in range(1, 101):
        histogram.record_s(milliseconds / 1000)
    low, high = quantile_bounds_s(histogram, 0.99, missing=0)
    assert low == high == pytest.approx(0.099, rel=0.01)
    low, high = quantile_bounds_s(histogram, 0.99, missing=3)
    assert low == pytest.approx(0.099, rel=0.02)
    assert high == math.inf
    assert quantile_bounds_s(Histogram(), 0.99, missing=5) == (0.0, math.inf)
