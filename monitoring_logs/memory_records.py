"""Facts of a phase's memory load, as they are stored: asked against held, second by second and in all.

The supervisor makes these records from the worker's page and its windows; no judgement lives here.
"""

from dataclasses import dataclass

from baseline_metrics.samples import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class NoMemoryHeld:
    """The phase made no memory load."""


NO_MEMORY_HELD = NoMemoryHeld()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFacts:
    """Asked against achieved, of one segment's memory load; from the worker's page, which is exact even after a kill.

    peak_bytes: the most that was held and resident. *_byte_s: integrals over the load's time, up to the point where it
    ended. release_s: of the last release, a Gap when the process was ended instead. refused: the kernel's words when it gave
    less than was asked, else "".
    """

    size_bytes: int
    rise_bytes_per_s: float
    peak_bytes: int
    asked_byte_s: float
    achieved_byte_s: float
    release_s: Reading
    refused: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySecond:
    """A memory load at the end of one second of one segment.

    share: permitted, 0..1. due_bytes: asked for, whatever was permitted. held_bytes: touched; achieved_bytes: what of it is
    resident; resident_bytes: of the whole process.
    """

    segment: int
    second: int
    at_mono_s: float
    at_utc_s: float
    share: float
    due_bytes: int
    held_bytes: int
    resident_bytes: int
    achieved_bytes: int
