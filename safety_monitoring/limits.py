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
