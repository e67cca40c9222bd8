"""What pressure (PSI) makes of the limits: it can only tighten them, and it is no limit of its own.

A load test fills the CPU on purpose, and a single task that waits for a disk on an idle host counts as full pressure, so
pressure alone says nothing. But where tasks wait for memory for seconds, less of it may be used than the plan allows. It lags
by two seconds and more; what is fast is watched by itself. Pure; the guardian judges by what comes out.
"""

from dataclasses import dataclass, replace

from baseline_metrics.samples import Gap, Reading
from safety_monitoring.limits import Limit, Limits, Resource

CPU_SOME_PERCENT = 95.0
"""Nearly always some task waits for a core: the CPU's limit comes down. A busy host that copes has 20 to 80."""

MEMORY_FULL_PERCENT = 10.0
"""A tenth of all time in which nobody works because memory has to be found. systemd-oomd kills at 60."""

IO_FULL_PERCENT = 80.0
"""What was written is still in memory, and will need its room on the disk: twice the reserve is kept."""

CPU_LESS_PERCENT = 5.0
MEMORY_LESS_PERCENT = 10.0
RESERVE_FACTOR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressures:
    """Percent of the last ten seconds in which some task waited for a CPU, and in which all waited for memory, or for IO."""

    cpu_some: Reading
    memory_full: Reading
    io_full: Reading


def tightened(limits: Limits, pressures: Pressures) -> Limits:
    """The limits as they hold under this pressure. Unknown pressure changes nothing, and none loosens anything."""
    changed = tuple(_tightened(limit, pressures) for limit in limits.limits)
    return limits if changed == limits.limits else replace(limits, limits=changed)


def _tightened(limit: Limit, pressures: Pressures) -> Limit:
    match limit.resource:
        case Resource.CPU if _is_past(pressures.cpu_some, CPU_SOME_PERCENT):
            return _lowered(limit, CPU_LESS_PERCENT, "the CPU")
        case Resource.MEMORY if _is_past(pressures.memory_full, MEMORY_FULL_PERCENT):
            return _lowered(limit, MEMORY_LESS_PERCENT, "memory")
        case Resource.DISK if _is_past(pressures.io_full, IO_FULL_PERCENT):
            why = "twice the plan's reserve, for pressure on IO"
            return replace(limit, free_min=limit.free_min * RESERVE_FACTOR, why=why)
        case _:
            return limit


def _lowered(limit: Limit, less_percent: float, what: str) -> Limit:
    """By so much, but not below half of what the plan allows."""
    percent = max(limit.percent_max - less_percent, limit.percent_max / 2.0)
    why = f"{limit.percent_max - percent:g} less than the plan's, for pressure on {what}"
    return replace(limit, percent_max=percent, why=why)


def _is_past(pressure: Reading, percent: float) -> bool:
    return not isinstance(pressure, Gap) and pressure.value >= percent
