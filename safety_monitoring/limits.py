"""What the guardian enforces: numbers, durations and the rungs of its ladder.

Percentages are absolute; a phase's multiplier may move them, never past the ceiling. Supervisor and guardian use it.
"""

from dataclasses import dataclass
from enum import Enum

CEILING_PERCENT = 95.0
"""No multiplier moves a limit past this. CPU alone may go beyond, in phases that the user allowed explicitly."""


class Resource(Enum):
    """What a limit watches."""

    MEMORY = "memory"
    CPU = "cpu"
    DISK = "disk"  # the fullest of the file systems we write to
    OWN_CPU = "own_cpu"  # our process tree
    OWN_MEMORY = "own_memory"


class Rung(Enum):
    """The ladder, from nothing to the end. Higher rungs include the lower ones' effect."""

    CLEAR = 0
    EASE = 1
    PAUSE = 2
    STOP_PHASE = 3
    STOP_CAMPAIGN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One resource's limit: both the percentage and the absolute reserve count, whichever is hit first.

    percent_max: used share, 0..100. free_bytes_min: absolute reserve that must stay free (0 for CPU).
    hold_s: the violation must last this long before each rung. clear_margin_percent and clear_hold_s: hysteresis; the
    reading must stay this far inside the limit for this long before load may return.
    """

    resource: Resource
    percent_max: float
    free_bytes_min: int
    hold_s: float
    clear_margin_percent: float
    clear_hold_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """All limits of one phase, at most one per resource. unknown_s_max: a resource unread for this long is a violation."""

    limits: tuple[Limit, ...]
    unknown_s_max: float


HOLD_S = {
    Resource.MEMORY: 2.0,
    Resource.CPU: 10.0,
    Resource.DISK: 5.0,
    Resource.OWN_CPU: 10.0,
    Resource.OWN_MEMORY: 2.0,
}
"""Memory can be gone in seconds; a CPU that is full for less than ten seconds is a burst; disks fill slowly."""

CLEAR_MARGIN_PERCENT = 5.0
"""Wider than the ripple of an idle host's readings, so that load does not return into the same limit."""

CLEAR_HOLD_S = 10.0
"""Long enough for what the load left behind (caches, closing connections) to show."""

UNKNOWN_S_MAX = 30.0
"""A sensor may miss a few readings; half a minute without eyes is too long for load."""

CPU_UNLIMITED_PERCENT = 100.0


class LimitsError(ValueError):
    """Limits that cannot be enforced. The message names the setting and what it may be."""


def default_limits(
    *,
    memory_percent: float = 80.0,
    cpu_percent: float = 85.0,
    disk_percent: float = 90.0,
    own_percent: float = 80.0,
    memory_reserve_bytes: int,
    disk_reserve_bytes: int,
    multiplier: float = 1.0,
    allow_critical: bool = False,
) -> Limits:
    """The limits of one phase.

    The multiplier moves memory and CPU of the host, never past CEILING_PERCENT; disk and our own tree stay where they
    are. With allow_critical the CPU limit may go up to 100 %, which means not limited: it is then left out.
    Raises LimitsError.
    """
    asked = {"memory": memory_percent, "cpu": cpu_percent, "disk": disk_percent, "own": own_percent}
    for name, percent in asked.items():
        if not 0.0 < percent <= CPU_UNLIMITED_PERCENT:
            raise LimitsError(f"the {name} limit is {percent:g} %: write a percentage above 0 and up to 100")
    if not 0.0 < multiplier < float("inf"):
        raise LimitsError(f"the threshold multiplier is {multiplier:g}: write a number above 0")
    if memory_reserve_bytes < 0 or disk_reserve_bytes < 0:
        raise LimitsError("a reserve is a number of bytes, 0 or more")
    memory = _limit(Resource.MEMORY, min(memory_percent * multiplier, CEILING_PERCENT), memory_reserve_bytes)
    disk = _limit(Resource.DISK, min(disk_percent, CEILING_PERCENT), disk_reserve_bytes)
    own = tuple(_limit(resource, min(own_percent, CEILING_PERCENT), 0) for resource in _OWN)
    return Limits(
        limits=(memory, *_cpu_limit(cpu_percent * multiplier, allow_critical=allow_critical), disk, *own),
        unknown_s_max=UNKNOWN_S_MAX,
    )


_OWN = (Resource.OWN_CPU, Resource.OWN_MEMORY)


def _cpu_limit(percent: float, *, allow_critical: bool) -> tuple[Limit, ...]:
    if allow_critical and percent >= CPU_UNLIMITED_PERCENT:
        return ()
    return (_limit(Resource.CPU, percent if allow_critical else min(percent, CEILING_PERCENT), 0),)


def _limit(resource: Resource, percent_max: float, free_bytes_min: int) -> Limit:
    return Limit(
        resource=resource,
        percent_max=percent_max,
        free_bytes_min=free_bytes_min,
        hold_s=HOLD_S[resource],
        clear_margin_percent=CLEAR_MARGIN_PERCENT,
        clear_hold_s=CLEAR_HOLD_S,
    )
