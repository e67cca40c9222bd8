"""Histograms: bounded error, exact merging, an encoding that is refused when it is not one."""

import base64
import math
import random
import zlib

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.samples import Gap, Reading, Sample
from stress_scenarios.histogram import BUCKETS, VALUE_US_MAX, Histogram, HistogramError, bucket_of

QUANTILES = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
ERROR_MAX = 0.008

durations_us = st.integers(min_value=0, max_value=VALUE_US_MAX - 1)
many_durations = st.lists(durations_us, min_size=1, max_size=200)


def of(values: list[int]) -> Histogram:
    """Record these values."""
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def seconds(reading: Reading) -> float:
    """The value of a reading that must be known."""
    assert isinstance(reading, Sample)
    return reading.value


@given(many_durations, st.sampled_from(QUANTILES))
def test_quantiles_are_within_the_promised_error_of_the_exact_ones(values: list[int], q: float) -> None:
    """A quantile lies within 0.8 % of the value of its rank among the sorted values."""
    exact_us = sorted(values)[max(1, math.ceil(q * len(values) - 1e-9)) - 1]
    assert seconds(of(values).quantile(q)) * 1e6 == pytest.approx(exact_us, rel=ERROR_MAX, abs=1e-6)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_quantiles_agree_with_hdrhistogram(seed: int) -> None:
    """On lognormal latencies the quantiles are those of HdrHistogram with three digits, within both errors."""
    chance = random.Random(seed)
    oracle = HdrHistogram(1, VALUE_US_MAX, 3)
    mine = Histogram()
    for _ in range(20_000):
        value_us = max(1, int(chance.lognormvariate(9.0, 1.5)))
        oracle.record_value(value_us)
        mine.record(value_us)
    for q in (0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0):
        expected_us = oracle.get_value_at_percentile(q * 100)
        assert seconds(mine.quantile(q)) * 1e6 == pytest.approx(expected_us, rel=ERROR_MAX + 0.001), (seed, q)


@given(st.lists(durations_us, max_size=100), st.lists(durations_us, max_size=100))
def test_merging_is_the_same_as_recording_everything_in_one(first: list[int], second: list[int]) -> None:
    """Merging two histograms equals one histogram of the concatenation, exact figures included."""
    merged = of(first)
    merged.merge(of(second))
    assert merged == of(first + second)


@given(st.lists(durations_us, max_size=20), many_durations)
def test_values_that_were_counted_elsewhere_are_added_exactly(first: list[int], second: list[int]) -> None:
    """Counts by bucket with exact figures are as good as the values themselves."""
    counts = [0] * BUCKETS
    for value_us in second:
        counts[bucket_of(value_us)] += 1
    added = of(first)
    added.add_counts(0, counts, sum_us=sum(second), min_us=min(second), max_us=max(second))
    assert added == of(first + second)


@given(st.lists(st.integers(min_value=0, max_value=2 * VALUE_US_MAX), max_size=200))
def test_encoding_loses_nothing(values: list[int]) -> None:
    """Decoding an encoded histogram gives an equal one."""
    histogram = of(values)
    assert Histogram.decode(histogram.encode()) == histogram


@given(many_durations)
def test_mean_least_and_greatest_are_exact(values: list[int]) -> None:
    """Mean, min and max are those of the values, not of their buckets, also after a round trip."""
    histogram = Histogram.decode(of(values).encode())
    assert seconds(histogram.mean_s) == pytest.approx(sum(values) / len(values) / 1e6, rel=1e-12)
    assert seconds(histogram.min_s) == min(values) / 1e6
    assert seconds(histogram.max_s) == max(values) / 1e6


@given(st.integers(min_value=0, max_value=VALUE_US_MAX - 1))
def test_every_value_has_a_bucket_of_at_most_its_promised_width(value_us: int) -> None:
    """A value between two far ones is read back within half a bucket: 0.4 %."""
    histogram = of([0, value_us, VALUE_US_MAX - 1])
    assert seconds(histogram.quantile(0.5)) * 1e6 == pytest.approx(value_us, rel=0.004, abs=1e-6)


def test_an_empty_histogram_has_gaps_and_encodes_to_nothing() -> None:
    """Without values there is no quantile, no mean, no extreme, and no text."""
    empty = Histogram()
    assert empty.encode() == ""
    assert Histogram.decode("") == empty
    assert empty.count == 0
    for reading in (empty.quantile(0.5), empty.mean_s, empty.min_s, empty.max_s):
        assert isinstance(reading, Gap)


@pytest.mark.parametrize(
    ("value_us", "over"), [(VALUE_US_MAX - 1, 0), (VALUE_US_MAX, 1), (VALUE_US_MAX + 1, 1), (10**15, 1)]
)
def test_values_of_an_hour_and_more_are_counted_in_the_overflow(value_us: int, over: int) -> None:
    """One hour is the first value that is clamped; clamped values are counted and keep their exact maximum."""
    histogram = of([5, value_us])
    assert histogram.overflow_count == over
    assert histogram.count == 2
    assert seconds(histogram.max_s) == value_us / 1e6
    assert Histogram.decode(histogram.encode()) == histogram


def test_a_negative_duration_is_refused() -> None:
    """Zero is a duration, less is a bug of the caller."""
    histogram = Histogram()
    histogram.record(0)
    with pytest.raises(HistogramError, match="no duration"):
        histogram.record(-1)
    assert histogram.count == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -0.001])
def test_seconds_that_are_no_duration_are_refused(bad: float) -> None:
    """NaN, infinities and negative seconds are refused, never rounded to something."""
    with pytest.raises(HistogramError):
        Histogram().record_s(bad)


def test_seconds_are_rounded_to_the_microsecond() -> None:
    """record_s counts the nearest microsecond."""
    histogram = Histogram()
    histogram.record_s(0.000_001_6)
    assert seconds(histogram.max_s) == 0.000_002


def test_values_above_a_threshold_are_counted() -> None:
    """count_above_s counts whole buckets above the threshold's own."""
    histogram = of([100, 200, 300])
    assert [histogram.count_above_s(s) for s in (0.0, 0.0001, 0.0002, 0.0003)] == [3, 2, 1, 0]


@pytest.mark.parametrize(
    "text", ["x", "eJw=", "not base64 at all!", "ü", base64.b64encode(zlib.compress(b"\x02")).decode()]
)
def test_a_text_that_is_no_histogram_is_refused(text: str) -> None:
    """Garbage, cut text and other formats raise the room's own error."""
    with pytest.raises(HistogramError):
        Histogram.decode(text)


@given(many_durations, st.data())
def test_a_damaged_text_is_refused_or_a_histogram(values: list[int], data: st.DataObject) -> None:
    """Flipping any byte of the payload gives a HistogramError or a consistent histogram, never another exception."""
    payload = bytearray(zlib.decompress(base64.b64decode(of(values).encode())))
    position = data.draw(st.integers(min_value=0, max_value=len(payload) - 1))
    payload[position] ^= data.draw(st.integers(min_value=1, max_value=255))
    text = base64.b64encode(zlib.compress(bytes(payload))).decode()
    try:
        decoded = Histogram.decode(text)
    except HistogramError:
        return
    assert Histogram.decode(decoded.encode()) == decoded


def test_a_text_that_would_inflate_without_end_is_refused() -> None:
    """A compressed bomb is stopped at the size of the fullest histogram."""
    bomb = base64.b64encode(zlib.compress(b"\x01" * 50_000_000)).decode()
    with pytest.raises(HistogramError):
        Histogram.decode(bomb)


def test_a_text_followed_by_something_is_refused() -> None:
    """Nothing may hide behind a histogram."""
    text = base64.b64encode(base64.b64decode(of([1]).encode()) + b"more").decode()
    with pytest.raises(HistogramError, match="followed"):
        Histogram.decode(text)
