"""The fast path's counting against the histogram that it ends up in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.load_page import LoadPage
from stress_scenarios.engines.wire_tally import TABLE_US, DenseHistogram, OperationTally
from stress_scenarios.engines.wire_windows import InFlight
from stress_scenarios.histogram import VALUE_US_MAX, Histogram

DURATIONS = st.lists(
    st.one_of(
        st.integers(0, 300),
        st.integers(TABLE_US - 2, TABLE_US + 2),
        st.integers(0, VALUE_US_MAX + 2),
    ),
    max_size=50,
)


def recorded(values: list[int]) -> Histogram:
    """The same durations, one by one."""
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(windows=st.lists(DURATIONS, max_size=4))
def test_a_dense_histogram_is_the_histogram(windows: list[list[int]]) -> None:
    """Every window's text is the same as if each duration had been recorded in a Histogram, and the next begins empty."""
    dense = DenseHistogram()
    for values in windows:
        for value in values:
            dense.record(value)
        emptied = Histogram()
        dense.empty_into(emptied)
        assert emptied.encode() == recorded(values).encode()
        dense.record_zeros(2)
        dense.record_zeros(0)
        dense.empty_into(emptied)
        assert emptied.encode() == recorded([*values, 0, 0]).encode()
        assert not any(dense.counts)


def test_a_duration_below_zero_is_our_own_bug() -> None:
    """No operation ends before it starts."""
    with pytest.raises(AssertionError):
        DenseHistogram().record(-1)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LoadPage]:
    """A fresh page."""
    page = LoadPage(str(tmp_path / "page"), create=True)
    yield page
    page.close()


def test_a_tally_goes_on_where_the_page_stands(page: LoadPage) -> None:
    """The page counts over the worker's life; what is reported begins with the tally."""
    for _ in range(2):
        tally = OperationTally(3, page)
        tally.count_started()
        tally.count_succeeded(service_us=10, late_us=0, bytes_received=100)
        tally.count_started()
        tally.count_failed(bytes_received=7)
        assert (tally.succeeded_since_last(), tally.received_since_last()) == (1, 107)
        assert (tally.succeeded_since_last(), tally.received_since_last()) == (0, 0)
    counts = page.operation(3)
    assert (counts.started, counts.succeeded, counts.failed, counts.bytes_received) == (4, 2, 2, 214)


def test_starts_that_nobody_noted_are_told_once(page: LoadPage) -> None:
    """The fast path raises one number for a start; what it leaves out is asked for at each window's end."""
    tally = OperationTally(0, page)
    for expected in (3, 0, 2):
        tally.count_started()
        tally.started += expected
        assert tally.unnoted_since_last() == expected
    assert tally.unnoted_since_last() == 0


def test_response_time_counts_from_the_intended_start(page: LoadPage) -> None:
    """A start that was late by 5 us makes the response, not the service, that much longer."""
    tally = OperationTally(0, page)
    tally.count_succeeded(service_us=10, late_us=0, bytes_received=0)
    tally.count_succeeded(service_us=20, late_us=5, bytes_received=0)
    response, service = Histogram(), Histogram()
    tally.empty_into(response=response, service=service)
    assert response == recorded([10, 25])
    assert service == recorded([10, 20])


@given(changes=st.lists(st.tuples(st.integers(0, 1000), st.sampled_from([1, -1])), max_size=30), cut=st.integers(1, 5))
def test_the_integral_of_flights_is_the_sum_of_their_times(changes: list[tuple[int, int]], cut: int) -> None:
    """Wherever windows cut it: what flies counts for as long as it flies."""
    flights = InFlight(1_000_000)
    at_us, flying, expected, told = 1_000_000, 0, 0, 0
    for number, (passed_us, by) in enumerate(changes):
        expected += flying * passed_us
        at_us += passed_us
        flights.change(at_us, by)
        flying += by
        if number % cut == 0:
            told += flights.area_until(at_us)
    assert told + flights.area_until(at_us + 7) == expected + 7 * flying
    assert flights.area_until(at_us + 7) == 0
