"""How numbers, times and states of a running campaign read: the same words in every view.

Unknown stays unknown, an old value carries its age, and text from outside cannot move the cursor. Pure; the viewer and
the ``status`` command use it.
"""

from datetime import UTC, datetime, tzinfo
from typing import assert_never
from zoneinfo import ZoneInfoNotFoundError

from baseline_metrics.health import KnownScore, Score, UnknownScore
from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from baseline_metrics.units import format_bytes
from baseline_metrics.zones import zone_named
from campaign.memory_watch import MemoryNow, NothingHeld
from campaign.night import State
from campaign.status import NotPaused, Paused, Status

STALE_S = 5.0
"""The document is replaced twice a second; ten missed replacements mean that the writer hangs or is gone."""

TEXT_CHARS_MAX = 300
"""Longer texts from outside are cut: a line is for reading."""

UNKNOWN = "unknown"

STATE_WORDS = {
    State.PREPARING.value: "getting ready",
    State.DRILLING.value: "rehearsing every way to stop",
    State.BASELINING.value: "measuring the idle host",
    State.ANCHOR.value: "anchor load",
    State.ARMING.value: "workers getting ready",
    State.RAMPING.value: "ramping up",
    State.HOLDING.value: "holding the load",
    State.EASED.value: "load eased by the guardian",
    State.PAUSED.value: "load paused by the guardian",
    State.HELD.value: "load held, paused by a person",
    State.SEARCHING.value: "searching the highest rate",
    State.RELEASING.value: "letting the load drain",
    State.COOLING.value: "cooling down",
    State.STOPPING.value: "stopping",
    State.CONCLUDING.value: "writing the report",
    State.DONE.value: "done",
    State.STOPPED.value: "stopped",
}

IN_PHASE = frozenset(
    state.value for state in (State.ARMING, State.RAMPING, State.HOLDING, State.EASED, State.PAUSED, State.RELEASING)
)
"""States in which the current phase itself is being worked on, not the anchor before it."""


def pause_text(status: Status) -> str:
    """Since when a person has paused; "" when nobody has."""
    match status.pause:
        case Paused(since_utc_s=since_utc_s):
            return f"paused by a person since {clock_time(since_utc_s, status.zone)}, go on with `resume-load`"
        case NotPaused():
            return ""
    assert_never(status.pause)


def printable(text: str) -> str:
    """One line without control, bidirectional and surrogate characters, at most TEXT_CHARS_MAX long."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean if len(clean) <= TEXT_CHARS_MAX else clean[: TEXT_CHARS_MAX - 3] + "..."


def zone_of(name: str) -> tzinfo:
    """The plan's zone; UTC when this machine does not know it."""
    try:
        return zone_named(name)
    except ZoneInfoNotFoundError:
        return UTC


def iso_time(utc_s: float, zone: str) -> str:
    """ISO 8601 in that zone, seconds, with the offset."""
    return datetime.fromtimestamp(utc_s, zone_of(zone)).isoformat(timespec="seconds")


def clock_time(utc_s: float, zone: str) -> str:
    """Hours, minutes and seconds of the day in that zone."""
    return f"{datetime.fromtimestamp(utc_s, zone_of(zone)):%H:%M:%S}"


def end_time(utc_s: float, zone: str) -> str:
    """Hours and minutes with the zone's abbreviation."""
    return f"{datetime.fromtimestamp(utc_s, zone_of(zone)):%H:%M %Z}"


def age_s(status: Status, *, now_mono_s: float) -> float:
    """How old the document is, seconds; never negative."""
    return max(0.0, now_mono_s - status.at_mono_s)


def night_left_s(status: Status, *, now_mono_s: float) -> float:
    """Planned seconds until the night's end."""
    return max(0.0, status.night_planned_s - status.night_elapsed_s - age_s(status, now_mono_s=now_mono_s))


def phase_name(status: Status) -> str:
    """The current phase's name; "" when there is none (idle baseline, last anchor)."""
    return status.phases[status.phase].name if 0 <= status.phase < len(status.phases) else ""


def memory_text(memory: NothingHeld | MemoryNow) -> str:
    """Such as "200 MiB of 400 MiB of memory held"; "" for a phase that holds none."""
    match memory:
        case MemoryNow(achieved_bytes=achieved, size_bytes=size):
            return f"{format_bytes(achieved)} of {format_bytes(size)} of memory held"
        case NothingHeld():
            return ""
    assert_never(memory)


def score_text(score: Score) -> str:
    """Whole points, or the word unknown."""
    match score:
        case KnownScore(value=value):
            return f"{value:.0f}"
        case UnknownScore():
            return UNKNOWN
    assert_never(score)


def reading_text(reading: Reading, *, decimals: int, factor: float = 1.0, unit: str = "") -> str:
    """The value times factor with its unit, or the word unknown."""
    match reading:
        case Sample(value=value):
            return f"{value * factor:.{decimals}f}{unit}"
        case Gap():
            return UNKNOWN
    assert_never(reading)


def senses_text(status: Status) -> str:
    """What the guardian's slower senses say, and which of them this host lacks; empty before it has spoken."""
    known = [
        f"{one.name} {one.reading.value:.3g} {one.unit}" for one in status.senses if isinstance(one.reading, Sample)
    ]
    lacking = [
        one.name
        for one in status.senses
        if isinstance(one.reading, Gap) and one.reading.reason is not GapReason.FIRST_READING
    ]
    return ", ".join(known) + (f"; not available: {', '.join(lacking)}" if lacking else "")


def short_duration(seconds: float) -> str:
    """A duration that keeps its width while it counts down: "6h12m", "12m05s", "9s"."""
    whole_s = max(0, round(seconds))
    hours, rest_s = divmod(whole_s, 3600)
    minutes, rest_s = divmod(rest_s, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest_s:02d}s" if minutes else f"{rest_s}s"
