"""Durations, sizes and times of day as people write and read them.

A bare number has no unit and 22:30 is a time of day, so neither is taken for a duration: every refusal says what to
write instead. Pure; every process may use it.
"""

import math
import re
from datetime import time

DURATION_S_MAX = 31 * 86_400.0
"""A month. No plan is longer, and whatever is longer is a slip of the unit."""

BYTES_MAX = 1 << 60
"""1 EiB, beyond any host: whatever is larger is a slip of the unit."""

_DURATION_HINT = 'write "30min", "90s" or "1h30min"'
_BYTES_HINT = 'write "1GiB", "500 MB" or "64KiB"'
_CLOCK_HINT = 'write a time of day as "07:00"'

_DURATION_UNITS_S = {"d": 86_400.0, "h": 3_600.0, "min": 60.0, "s": 1.0, "ms": 0.001}
_DURATION_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)", re.ASCII)

_BYTE_UNITS = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
_BYTES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})", re.ASCII)


class UnitError(ValueError):
    """A text that is not a quantity with a unit. The message says what to write."""


def parse_duration_s(text: str) -> float:
    """Seconds of a duration such as "30min", "1h 30min" or "500ms". Raises UnitError.

    Units d, h, min, s, ms, each at most once, larger ones first. Zero, negative, bare numbers and clock times are refused.
    """
    written = text.strip().lower()
    position, total_s, previous_unit_s = 0, 0.0, math.inf
    while position < len(written):
        part = _DURATION_PART.match(written, position)
        if part is None:
            raise UnitError(f'"{text}" is not a duration: {_DURATION_HINT}')
        unit_s = _DURATION_UNITS_S.get(part[2])
        if unit_s is None:
            raise UnitError(f'"{text}" has the unknown unit "{part[2]}" (d, h, min, s, ms): {_DURATION_HINT}')
        if unit_s >= previous_unit_s:
            raise UnitError(f'"{text}" names its units twice or in the wrong order: {_DURATION_HINT}')
        total_s += float(part[1]) * unit_s
        previous_unit_s = unit_s
        position = part.end()
    if total_s <= 0:
        raise UnitError(f'"{text}" is not a duration longer than zero: {_DURATION_HINT}')
    if total_s > DURATION_S_MAX:
        raise UnitError(f'"{text}" is longer than {format_duration(DURATION_S_MAX)}: {_DURATION_HINT}')
    return total_s


def format_duration(seconds: float) -> str:
    """A duration as people read it: "4.2 ms", "0.25 s", "90 s", "2 min 30 s", "1 h 05 min", "14 h"."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds == 0:
        return "0 s"
    if seconds < 0.00995:
        return f"{_significant(seconds * 1000.0)} ms"
    if seconds < 99.95:
        return f"{_significant(seconds)} s"
    whole_s = round(seconds)
    if whole_s < 120:
        return f"{whole_s} s"
    if whole_s < 3_600:
        minutes, rest_s = divmod(whole_s, 60)
        return f"{minutes} min {rest_s} s" if rest_s else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60.0), 60)
    return f"{hours} h {minutes:02d} min" if minutes else f"{hours} h"


def parse_bytes(text: str) -> int:
    """Bytes of a size such as "1GiB" (binary) or "500 MB" (decimal). Raises UnitError; zero is refused."""
    found = _BYTES.fullmatch(text.lower())
    if found is None:
        raise UnitError(f'"{text}" is not a size: {_BYTES_HINT}')
    unit = _BYTE_UNITS.get(found[2])
    if unit is None:
        raise UnitError(f'"{text}" has the unknown unit "{found[2]}" (B, kB, MB, GB, KiB, MiB, GiB): {_BYTES_HINT}')
    size = float(found[1]) * unit
    if not 1 <= size <= BYTES_MAX:
        raise UnitError(f'"{text}" is not between 1 B and {format_bytes(BYTES_MAX)}: {_BYTES_HINT}')
    return round(size)


def format_bytes(count: float) -> str:
    """A size as people read it, binary: "512 B", "64 KiB", "1.5 GiB"."""
    if count < 0:
        return "-" + format_bytes(-count)
    if round(count) < 1024:
        return f"{round(count)} B"
    size = count / 1024.0
    for unit in ("KiB", "MiB", "GiB"):
        if size < 1023.5:
            return f"{_significant(size)} {unit}"
        size /= 1024.0
    return f"{_significant(size)} TiB"


def parse_clock_time(text: str) -> time:
    """A local time of day such as "07:00", without zone. Raises UnitError."""
    found = _CLOCK.fullmatch(text.strip())
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise UnitError(f'"{text}" is not a time of day: {_CLOCK_HINT}')
    return time(hour=int(found[1]), minute=int(found[2]))  # a time of day: its zone is the plan's


def format_percent(percent: float) -> str:
    """A percentage 0..100 with one decimal: "12.5 %"."""
    return f"{percent:.1f} %"


def format_rate(per_s: float) -> str:
    """A rate in events per second: "12.5/s"."""
    return f"{_significant(per_s)}/s"


def _significant(value: float) -> str:
    """Three significant digits, never in exponent notation, without trailing zeros."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    text = f"{value:.{max(digits, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
