"""What the guardian enforces: numbers, durations and the rungs of its ladder.

Percentages are absolute; a phase's multiplier may move them, never past the ceiling. Supervisor and guardian use it.
"""

from dataclasses import dataclass, replace
from enum import Enum

CEILING_PERCENT = 95.0
"""No multiplier moves a limit past this. CPU alone may go beyond, in phases that the user allowed explicitly."""


LEVEL_UNLIMITED = 1e300
"""No level is watched."""


class Resource(Enum):
    """What a limit watches."""

    MEMORY = "memory"
    CPU = "cpu"
    DISK = "disk"  # the fullest of the file systems we write to
    OWN_CPU = "own_cpu"  # our process tree
    OWN_MEMORY = "own_memory"
    INODES = "inodes"  # of the same file systems, where they are counted
    OPEN_FILES = "open_files"  # of guardian and supervisor
    TEMPERATURE = "temperature"  # the hottest sensor
    LOAD = "load"  # the load average
    SWAP = "swap"
    BATTERY = "battery"


class Rung(Enum):
    """The ladder, from nothing to the end. Higher rungs include the lower ones' effect."""

    CLEAR = 0
    EASE = 1
    PAUSE = 2
    STOP_PHASE = 3
    STOP_CAMPAIGN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One resource's limit: percentage, absolute reserve and level count, whichever is hit first.

    percent_max: used share, 0..100. free_min: what must stay free, in the resource's unit (bytes, inodes, descriptors; 0 for
    none). level_max: what may not be passed, in the resource's unit (degrees Celsius, tasks a core, bytes of growth).
    optional: a host may lack it, so that unknown violates nothing; it is shown as not available.
    why: how the numbers come about where they are not the plan's own. hold_s: the violation must last this long before each rung. clear_margin_percent and clear_hold_s: hysteresis; the
    reading must stay this far inside the limit for this long before load may return.
    """

    resource: Resource
    percent_max: float
    free_min: int
    hold_s: float
    clear_margin_percent: float
    clear_hold_s: float
    level_max: float = LEVEL_UNLIMITED
    optional: bool = False
    why: str = ""

    @property
    def rung_s(self) -> float:
        """How long each rung gets to work before the next: what cools, drains or averages slowly gets longer."""
        return max(self.hold_s, RUNG_S.get(self.resource, 0.0))


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
    Resource.INODES: 5.0,
    Resource.OPEN_FILES: 5.0,
    Resource.TEMPERATURE: 6.0,
    Resource.LOAD: 30.0,
    Resource.SWAP: 5.0,
    Resource.BATTERY: 30.0,
}
"""Memory can be gone in seconds; a CPU that is full for less than ten seconds is a burst; disks fill slowly. A processor's
sensor jumps by ten degrees within a second, so several readings decide; a load average has waited for a minute itself."""

RUNG_S = {Resource.TEMPERATURE: 60.0, Resource.LOAD: 60.0, Resource.SWAP: 60.0, Resource.BATTERY: 60.0}
"""A pause shows in these only after about a minute; going on to a stop after seconds would end every phase."""

TEMPERATURE_CRITICAL_PERCENT = 95.0
"""Of the temperature that a sensor itself calls critical, where the kernel switches the machine off."""

INODES_PERCENT, INODES_FREE_MIN = 90.0, 1000
"""A night makes about a hundred files; a thousand are kept for everybody."""

OPEN_FILES_PERCENT, OPEN_FILES_FREE_MIN = 80.0, 32
"""To stop and to report takes about ten descriptors."""

LOAD_PER_CORE_MAX = 16.0
"""A saturated host has one or two; sixteen tasks a core that run or wait for a disk are a host that is stuck."""

SWAP_GROWTH_BYTES_MAX = 256 << 20
"""Within a minute. A share of the swap says little: a small one is full at once, and nobody suffers."""

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
    temperature_celsius: float = 95.0,
    battery_percent_min: float = 20.0,
    multiplier: float = 1.0,
    allow_critical: bool = False,
) -> Limits:
    """The limits of one phase.

    The multiplier moves memory and CPU of the host, never past CEILING_PERCENT; everything else stays where it is. With allow_critical the CPU limit may go up to 100 %, which means not limited: it is then left out.
    Raises LimitsError.
    """
    asked = {"memory": memory_percent, "cpu": cpu_percent, "disk": disk_percent, "own": own_percent}
    for name, percent in asked.items():
        if not 0.0 < percent <= CPU_UNLIMITED_PERCENT:
            raise LimitsError(f"the {name} limit is {percent:g} %: write a percentage above 0 and up to 100")
    if not 0.0 < multiplier < float("inf"):
        raise LimitsError(f"the threshold multiplier is {multiplier:g}: write a number above 0")
    if not 0.0 < temperature_celsius < LEVEL_UNLIMITED:
        raise LimitsError(f"the temperature limit is {temperature_celsius:g}: write degrees Celsius above 0")
    if not 0.0 <= battery_percent_min < CPU_UNLIMITED_PERCENT:
        raise LimitsError(f"the battery limit is {battery_percent_min:g} %: write a percentage from 0 and below 100")
    if memory_reserve_bytes < 0 or disk_reserve_bytes < 0:
        raise LimitsError("a reserve is a number of bytes, 0 or more")
    memory = _limit(Resource.MEMORY, min(memory_percent * multiplier, CEILING_PERCENT), memory_reserve_bytes)
    disk = _limit(Resource.DISK, min(disk_percent, CEILING_PERCENT), disk_reserve_bytes)
    own = tuple(_limit(resource, min(own_percent, CEILING_PERCENT), 0) for resource in _OWN)
    return Limits(
        limits=(
            memory,
            *_cpu_limit(cpu_percent * multiplier, allow_critical=allow_critical),
            disk,
            *own,
            *_senses(temperature_celsius, battery_percent_min),
        ),
        unknown_s_max=UNKNOWN_S_MAX,
    )


_OWN = (Resource.OWN_CPU, Resource.OWN_MEMORY)


def _senses(temperature_celsius: float, battery_percent_min: float) -> tuple[Limit, ...]:
    """What not every host can be asked for."""
    none = CPU_UNLIMITED_PERCENT
    return (
        _optional(Resource.INODES, INODES_PERCENT, INODES_FREE_MIN, LEVEL_UNLIMITED),
        _optional(Resource.OPEN_FILES, OPEN_FILES_PERCENT, OPEN_FILES_FREE_MIN, LEVEL_UNLIMITED),
        _optional(Resource.TEMPERATURE, TEMPERATURE_CRITICAL_PERCENT, 0, temperature_celsius),
        _optional(Resource.LOAD, none, 0, LOAD_PER_CORE_MAX),
        _optional(Resource.SWAP, none, 0, float(SWAP_GROWTH_BYTES_MAX)),
        _optional(Resource.BATTERY, none - battery_percent_min, 0, LEVEL_UNLIMITED),
    )


def _optional(resource: Resource, percent_max: float, free_min: int, level_max: float) -> Limit:
    return replace(_limit(resource, percent_max, free_min), level_max=level_max, optional=True)


def _cpu_limit(percent: float, *, allow_critical: bool) -> tuple[Limit, ...]:
    if allow_critical and percent >= CPU_UNLIMITED_PERCENT:
        return ()
    return (_limit(Resource.CPU, percent if allow_critical else min(percent, CEILING_PERCENT), 0),)


def _limit(resource: Resource, percent_max: float, free_min: int) -> Limit:
    return Limit(
        resource=resource,
        percent_max=percent_max,
        free_min=free_min,
        hold_s=HOLD_S[resource],
        clear_margin_percent=CLEAR_MARGIN_PERCENT,
        clear_hold_s=CLEAR_HOLD_S,
    )
