"""When a night ends, as an instant: from a length in hours, or from a local time of day, across clock changes.

Local times are turned into UTC before any arithmetic. A time of day that the clock shows twice counts the first time; one
that it jumps over counts at the jump, so that nothing ends later than what was written. Pure; the planner uses it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from baseline_metrics.units import parse_clock_time
from campaign.plan import WindowHours, WindowUntil

LOOK_STEP_S = 900.0
"""Offsets change on quarter hours at most; between two looks there is at most one change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChange:
    """The local clock is set forward (positive) or back at this instant."""

    at_utc_s: float
    forward_s: float


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
    for days in range(-1, 3):
        day = today + timedelta(days=days)
        for fold in (0, 1):
            local = datetime.combine(day, wanted, tzinfo=ZoneInfo(zone)).replace(fold=fold)
            candidates.append(_shown_or_jumped_over(local, zone))
    return min(candidate for candidate in candidates if candidate > after_utc_s)


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
    return datetime.fromtimestamp(utc_s, tz=UTC).astimezone(ZoneInfo(zone))


def _shown_or_jumped_over(local: datetime, zone: str) -> float:
    utc_s = local.timestamp()
    if local_time(utc_s, zone).replace(tzinfo=None, fold=0) == local.replace(tzinfo=None, fold=0):
        return utc_s
    # The clock never shows it: both readings of the time lie around the jump, which is the instant wanted.
    other_s = local.replace(fold=1 - local.fold).timestamp()
    return _change_between(zone, min(utc_s, other_s) - 1.0, max(utc_s, other_s) + 1.0)


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
