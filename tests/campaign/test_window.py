"""Nights on which the clock is changed, in zones that change it in different ways."""

import itertools
from datetime import date, datetime, time, timedelta

import pytest

from baseline_metrics.zones import zone_named
from campaign.plan import WindowHours, WindowUntil
from campaign.window import NoSuchDay, clock_changes, instant_on, local_time, next_clock_time, night_window


def at(text: str, zone: str, *, fold: int = 0) -> float:
    """The instant of a local time."""
    return datetime.fromisoformat(text).replace(tzinfo=zone_named(zone), fold=fold).timestamp()


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


HALF_PAST_TWO = time(hour=2, minute=30)

NIGHTS_OF_CHANGE = [
    # zone, date, first instant of 02:30 in UTC: the end of the gap, or the first showing
    ("Europe/Berlin", "2026-03-29", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-10-25", "2026-10-25T00:30"),
    ("America/New_York", "2026-03-08", "2026-03-08T07:00"),
    ("America/New_York", "2026-11-01", "2026-11-01T07:30"),  # back at 02:00: 02:30 is shown once
    ("Australia/Lord_Howe", "2026-10-04", "2026-10-03T15:30"),  # 02:00 becomes 02:30: shown, just so
    ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T16:00"),  # 02:00 becomes 01:30
    ("Africa/Casablanca", "2026-02-15", "2026-02-15T01:30"),  # Ramadan: back at 03:00
    ("Africa/Casablanca", "2026-03-22", "2026-03-22T02:00"),  # and forward at 02:00
    ("Pacific/Apia", "2011-12-29", "2011-12-29T12:30"),
    ("Pacific/Apia", "2011-12-31", "2011-12-30T12:30"),
    ("Pacific/Apia", "2026-10-24", "2026-10-23T13:30"),  # no changes any more
]


@pytest.mark.parametrize(("zone", "day", "utc"), NIGHTS_OF_CHANGE)
def test_half_past_two_is_one_instant_on_every_date(zone: str, day: str, utc: str) -> None:
    """The first valid instant after a gap, the first showing of a repeated hour."""
    instant = instant_on(date.fromisoformat(day), HALF_PAST_TWO, zone=zone)

    assert instant == datetime.fromisoformat(utc + "+00:00").timestamp()


def test_a_date_that_the_calendar_skips_has_no_instant() -> None:
    """Samoa went from 29 to 31 December 2011; a night until seven ends on the 31st, nine hours after it began."""
    zone = "Pacific/Apia"

    assert instant_on(date(2011, 12, 30), HALF_PAST_TWO, zone=zone) == NoSuchDay()
    window = night_window(WindowUntil(clock="07:00"), zone=zone, now_utc_s=at("2011-12-29T22:00", zone))
    assert f"{local_time(window.end_utc_s, zone):%Y-%m-%d %H:%M}" == "2011-12-31 07:00"
    assert window.length_s == 9 * 3600


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia"]
)
@pytest.mark.parametrize("wanted", [HALF_PAST_TWO, time(hour=2), time(hour=1, minute=45), time(hour=0)])
def test_once_a_day_is_once_a_day(zone: str, wanted: time) -> None:
    """Through a whole year of dates the instants rise, one each, none more than a day and a change apart."""
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(365)]
    instants = [instant_on(day, wanted, zone=zone) for day in days]
    apart = []
    for one, following in itertools.pairwise(instants):
        assert isinstance(one, float)
        assert isinstance(following, float)
        apart.append(following - one)

    assert min(apart) >= 23 * 3600
    assert max(apart) <= 25 * 3600


@pytest.mark.parametrize(("zone", "day", "utc"), NIGHTS_OF_CHANGE)
def test_a_night_until_half_past_two_ends_at_that_instant(zone: str, day: str, utc: str) -> None:
    """Asked in the evening before, whose date may be another than the one before."""
    end = datetime.fromisoformat(utc + "+00:00").timestamp()

    assert f"{local_time(end, zone):%Y-%m-%d}" == day
    assert next_clock_time("02:30", zone=zone, after_utc_s=end - 5 * 3600) == end
