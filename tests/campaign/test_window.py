"""Nights on which the clock is changed, in zones that change it in different ways."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from campaign.plan import WindowHours, WindowUntil
from campaign.window import clock_changes, local_time, next_clock_time, night_window


def at(text: str, zone: str, *, fold: int = 0) -> float:
    """The instant of a local time."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize(
    ("zone", "start", "hours"),
    [
        ("Europe/Berlin", "2026-11-20T22:00", 9.0),
        ("Europe/Berlin", "2026-03-28T22:00", 8.0),  # forward at 02:00
        ("Europe/Berlin", "2026-10-24T22:00", 10.0),  # back at 03:00
        ("America/New_York", "2026-03-07T22:00", 8.0),
        ("America/New_York", "2026-10-31T22:00", 10.0),
        ("Australia/Lord_Howe", "2026-04-04T22:00", 9.5),  # half an hour
        ("Australia/Lord_Howe", "2026-10-03T22:00", 8.5),
        ("Asia/Kathmandu", "2026-03-28T22:00", 9.0),  # no changes, an offset of 5:45
    ],
)
def test_until_seven_ends_at_seven(zone: str, start: str, hours: float) -> None:
    """The length of the night follows from the clock, and never the other way round."""
    window = night_window(WindowUntil(clock="07:00"), zone=zone, now_utc_s=at(start, zone))

    assert f"{local_time(window.end_utc_s, zone):%H:%M:%S}" == "07:00:00"
    assert window.length_s == hours * 3600


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("month", [3, 4, 10, 11])
def test_hours_are_real_hours(zone: str, month: int) -> None:
    """Eight hours are eight hours of a stopwatch, on every night of the year."""
    for day in range(1, 31):
        start = at(f"2026-{month:02d}-{day:02d}T22:00", zone)
        assert night_window(WindowHours(hours=8), zone=zone, now_utc_s=start).length_s == 8 * 3600


def test_the_next_day_when_the_time_has_passed_or_is_now() -> None:
    """At 07:00 sharp, until 07:00 means tomorrow."""
    zone = "Europe/Berlin"

    assert next_clock_time("07:00", zone=zone, after_utc_s=at("2026-11-20T06:59:59", zone)) == at(
        "2026-11-20T07:00", zone
    )
    assert next_clock_time("07:00", zone=zone, after_utc_s=at("2026-11-20T07:00", zone)) == at("2026-11-21T07:00", zone)
    assert next_clock_time("07:00", zone=zone, after_utc_s=at("2026-11-20T07:01", zone)) == at("2026-11-21T07:00", zone)


def test_a_time_that_the_clock_jumps_over_counts_at_the_jump() -> None:
    """02:30 does not exist in Berlin on 2026-03-29: the clock goes from 02:00 to 03:00."""
    zone = "Europe/Berlin"

    assert next_clock_time("02:30", zone=zone, after_utc_s=at("2026-03-28T22:00", zone)) == at("2026-03-29T03:00", zone)


def test_a_time_in_lord_howes_half_hour_gap_counts_at_the_jump() -> None:
    """The clock goes from 02:00 to 02:30 on 2026-10-04."""
    zone = "Australia/Lord_Howe"

    assert next_clock_time("02:15", zone=zone, after_utc_s=at("2026-10-03T22:00", zone)) == at("2026-10-04T02:30", zone)


def test_a_time_that_the_clock_shows_twice_counts_the_first_time() -> None:
    """Unless the first time has passed."""
    zone = "Europe/Berlin"
    first, second = at("2026-10-25T02:30", zone), at("2026-10-25T02:30", zone, fold=1)

    assert second - first == 3600
    assert next_clock_time("02:30", zone=zone, after_utc_s=at("2026-10-24T22:00", zone)) == first
    assert next_clock_time("02:30", zone=zone, after_utc_s=first) == second


@pytest.mark.parametrize(
    ("zone", "start", "at_local", "forward_s"),
    [
        ("Europe/Berlin", "2026-03-28T22:00", "2026-03-29T03:00", 3600),
        ("America/New_York", "2026-03-07T22:00", "2026-03-08T03:00", 3600),
        ("Australia/Lord_Howe", "2026-10-03T22:00", "2026-10-04T02:30", 1800),
    ],
)
def test_clock_changes_are_found_to_the_second(zone: str, start: str, at_local: str, forward_s: float) -> None:
    """Each with its size and direction; other nights have none."""
    begin = at(start, zone)

    assert [(change.at_utc_s, change.forward_s) for change in clock_changes(zone, begin, begin + 9 * 3600)] == [
        (at(at_local, zone), forward_s)
    ]
    assert clock_changes(zone, begin - 86400, begin - 86400 + 9 * 3600) == ()


def test_the_clock_going_back_is_a_negative_change() -> None:
    """Berlin, 2026-10-25, at 03:00 summer time."""
    begin = at("2026-10-24T22:00", "Europe/Berlin")
    (change,) = clock_changes("Europe/Berlin", begin, begin + 9 * 3600)

    assert change.forward_s == -3600
    assert change.at_utc_s == at("2026-10-25T02:00", "Europe/Berlin", fold=1)
