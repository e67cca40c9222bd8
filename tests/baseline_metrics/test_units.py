"""Durations, sizes and times of day, read and written."""

from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.units import (
    BYTES_MAX,
    DURATION_S_MAX,
    UnitError,
    format_bytes,
    format_duration,
    format_percent,
    format_rate,
    parse_bytes,
    parse_clock_time,
    parse_duration_s,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30min", 1800.0),
        ("2 min", 120.0),
        ("90s", 90.0),
        ("1h30min", 5400.0),
        ("1h 30min", 5400.0),
        ("1 h 05 min", 3900.0),
        ("500ms", 0.5),
        ("8h", 28800.0),
        ("1.5h", 5400.0),
        ("1d", 86400.0),
        (" 30MIN ", 1800.0),
        ("31d", DURATION_S_MAX),
        ("1ms", 0.001),
    ],
)
def test_durations_with_units_are_read(text: str, seconds: float) -> None:
    """A number with its unit, or several from large to small, is a duration in seconds."""
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "30",
        "22:30",
        "0s",
        "0h0min",
        "-5s",
        "5 m",
        "5 fortnights",
        "30min1h",
        "1h1h",
        "1h30",
        "s",
        "1e3s",
        "1,5h",
        "nan s",
        "inf",
        "\u0663\u0660min",
        "32d",
        "9" * 400 + "h",
    ],
)
def test_what_is_not_a_duration_is_refused_with_what_to_write(text: str) -> None:
    """Bare numbers, clock times, zero, negative, unknown units and absurd lengths are refused, each with an example."""
    with pytest.raises(UnitError, match='write "30min", "90s" or "1h30min"'):
        parse_duration_s(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0042, "4.2 ms"),
        (0.00994, "9.94 ms"),
        (0.25, "0.25 s"),
        (7.5, "7.5 s"),
        (12.34, "12.3 s"),
        (90, "90 s"),
        (99.96, "100 s"),
        (119.4, "119 s"),
        (119.6, "2 min"),
        (120, "2 min"),
        (150, "2 min 30 s"),
        (3599.6, "1 h"),
        (3900, "1 h 05 min"),
        (50400, "14 h"),
        (-90, "-90 s"),
    ],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    """Each length is shown in the units in which people think of it."""
    assert format_duration(seconds) == text


@given(st.floats(min_value=0.001, max_value=DURATION_S_MAX - 60))
def test_a_written_duration_reads_back_as_nearly_the_same(seconds: float) -> None:
    """Formatting loses at most its own rounding: half a minute above an hour, else one percent."""
    again = parse_duration_s(format_duration(seconds))

    assert again == pytest.approx(seconds, rel=0.01, abs=0.0)


@pytest.mark.parametrize(
    ("text", "count"),
    [("1GiB", 1 << 30), ("500 MB", 500_000_000), ("64KiB", 65536), ("1.5 kib", 1536), ("1B", 1), ("2TB", 2 * 10**12)],
)
def test_sizes_with_units_are_read(text: str, count: int) -> None:
    """Binary and decimal units are told apart."""
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "1024", "0B", "-1GiB", "5 blocks", "1 GiB 2 MiB", "9999999TiB", "0.4B"])
def test_what_is_not_a_size_is_refused_with_what_to_write(text: str) -> None:
    """Bare numbers, zero, unknown units and absurd sizes are refused, each with an example."""
    with pytest.raises(UnitError, match='write "1GiB", "500 MB" or "64KiB"'):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1023.6, "1 KiB"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1 << 20, "1 MiB"),
        ((1 << 20) - 1, "1 MiB"),
        (3 << 29, "1.5 GiB"),
        (5 << 40, "5 TiB"),
        (-2048, "-2 KiB"),
    ],
)
def test_sizes_are_written_for_people(count: float, text: str) -> None:
    """Sizes are shown in binary units with three significant digits."""
    assert format_bytes(count) == text


@given(st.integers(min_value=1, max_value=BYTES_MAX // 2))
def test_a_written_size_reads_back_as_nearly_the_same(count: int) -> None:
    """Formatting a size loses at most one percent."""
    assert parse_bytes(format_bytes(count)) == pytest.approx(count, rel=0.01)


def test_clock_times_are_read() -> None:
    """Hours and minutes of a day, with or without a leading zero, are a time of day."""
    assert parse_clock_time("07:00") == time(7, 0)
    assert parse_clock_time("7:05") == time(7, 5)
    assert parse_clock_time("23:59") == time(23, 59)


@pytest.mark.parametrize("text", ["", "7", "24:00", "12:60", "07:00:00", "7am", "-1:00", "7:5"])
def test_what_is_not_a_clock_time_is_refused_with_what_to_write(text: str) -> None:
    """A time of day that no clock shows is refused with an example."""
    with pytest.raises(UnitError, match='write a time of day as "07:00"'):
        parse_clock_time(text)


def test_percentages_and_rates_are_written_with_their_unit() -> None:
    """A percentage has one decimal; a rate has three significant digits and no exponent."""
    assert format_percent(12.345) == "12.3 %"
    assert format_rate(0.0) == "0/s"
    assert format_rate(12.345) == "12.3/s"
    assert format_rate(1234.5) == "1234/s"
