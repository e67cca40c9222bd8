"""When a night ends, as an instant: from a length in hours, or from a local time of day, across clock changes.

Local times are turned into UTC before any arithmetic. A time of day that the clock shows twice counts the first time; one
that it jumps over counts at the jump, so that nothing ends later than what was written. Pure; the planner uses it.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from baseline_metrics.units import parse_clock_time
from baseline_metrics.zones import zone_named
from campaign.plan import WindowHours, WindowUntil

LOOK_STEP_S = 900.0
"""Offsets change on quarter hours at most; between two looks there is at most one change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChange:
    """The local clock is set forward (positive) or back at this instant."""

    at_utc_s: float
    forward_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSuchDay:
    """The zone's calendar skips this date: Samoa had no 30 December 2011."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The time that the night may take, with the clock changes inside it."""

    start_utc_s: float
    end_utc_s: float
    changes: tuple[ClockChange, ...]

    @property
    def length_s(self) -> float:
        """Real seconds, whatever the clock on the wall does."""
        return self.end_utc_s - self.start_utc_s


def night_window(length: WindowHours | WindowUntil, *, zone: str, now_utc_s: float) -> Window:
    """The window that begins now."""
    match length:
        case WindowHours(hours=hours):
            end_utc_s = now_utc_s + hours * 3600.0
        case WindowUntil(clock=clock):
            end_utc_s = next_clock_time(clock, zone=zone, after_utc_s=now_utc_s)
    return Window(start_utc_s=now_utc_s, end_utc_s=end_utc_s, changes=clock_changes(zone, now_utc_s, end_utc_s))


def next_clock_time(clock: str, *, zone: str, after_utc_s: float) -> float:
    """The first instant after ``after_utc_s`` at which the local clock shows this time, or has just jumped over it."""
    wanted = parse_clock_time(clock)
    today = local_time(after_utc_s, zone).date()
    candidates: list[float] = []
    for days in range(-1, 4):
        instant = instant_on(today + timedelta(days=days), wanted, zone=zone)
        if isinstance(instant, float):
            candidates.extend((instant, _shown_again(instant, zone)))
    return min(candidate for candidate in candidates if candidate > after_utc_s)


def instant_on(day: date, wanted: time, *, zone: str) -> float | NoSuchDay:
    """The one instant of a time of day on a date: its first showing, or the end of the gap that it lies in.

    One date never has two, so that what is to happen once a day happens once.
    """
    local = datetime.combine(day, wanted, tzinfo=zone_named(zone))
    instant = _shown_or_jumped_over(local, zone)
    if day not in (local_time(instant, zone).date(), local_time(instant - 1.0, zone).date()):
        return NoSuchDay()
    return instant


def clock_changes(zone: str, start_utc_s: float, end_utc_s: float) -> tuple[ClockChange, ...]:
    """Every change of the zone's offset within the time given, exact to the second."""
    changes: list[ClockChange] = []
    at_s = start_utc_s
    while at_s < end_utc_s:
        next_s = min(at_s + LOOK_STEP_S, end_utc_s)
        forward_s = _offset_s(next_s, zone) - _offset_s(at_s, zone)
        if forward_s != 0:
            changes.append(ClockChange(at_utc_s=_change_between(zone, at_s, next_s), forward_s=forward_s))
        at_s = next_s
    return tuple(changes)


def local_time(utc_s: float, zone: str) -> datetime:
    """The local date and time at an instant, with its zone."""
    return datetime.fromtimestamp(utc_s, tz=UTC).astimezone(zone_named(zone))


def _shown_or_jumped_over(local: datetime, zone: str) -> float:
    utc_s = local.timestamp()
    if local_time(utc_s, zone).replace(tzinfo=None, fold=0) == local.replace(tzinfo=None, fold=0):
        return utc_s
    # The clock never shows it: both readings of the time lie around the jump, which is the instant wanted.
    other_s = local.replace(fold=1 - local.fold).timestamp()
    return _change_between(zone, min(utc_s, other_s) - 1.0, max(utc_s, other_s) + 1.0)


def _shown_again(instant: float, zone: str) -> float:
    """When the clock shows the same time of the same day a second time; the instant itself when it does not."""
    local = local_time(instant, zone)
    return max(instant, local.replace(fold=1).timestamp())


def _offset_s(utc_s: float, zone: str) -> float:
    offset = local_time(utc_s, zone).utcoffset()
    assert offset is not None, "a ZoneInfo always knows its offset"
    return offset.total_seconds()


def _change_between(zone: str, low_s: float, high_s: float) -> float:
    """The first whole second with the later offset, by halving."""
    before = _offset_s(low_s, zone)
    low, high = int(low_s), int(high_s) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_s(float(middle), zone) == before:
            low = middle
        else:
            high = middle
    return float(high)
