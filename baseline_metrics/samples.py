"""Readings: a value that was measured, or a gap that says why not.

Unknown is a value of its own in this system. A missing sensor is never 0 and never None: it is a Gap with a reason,
so that no average, score or limit can mistake silence for health.
Every process uses these types.
"""

from dataclasses import dataclass
from enum import Enum


class GapReason(Enum):
    """Why a sensor gave nothing."""

    ABSENT = "absent"  # this machine does not have it
    DENIED = "denied"  # it exists, we may not read it
    FAILED = "failed"  # reading raised an error
    FIRST_READING = "first_reading"  # a rate needs two readings
    MALFORMED = "malformed"  # it answered something that is not a finite number


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A finite number in the unit that the sensor's name ends with."""

    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """No number, and why."""

    reason: GapReason
    detail: str = ""


Reading = Sample | Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedReading:
    """One sensor's reading. Names end with their unit, then a qualifier: ``memory_percent``, ``disk_free_bytes:/var``."""

    sensor: str
    reading: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSample:
    """All sensors at one instant.

    at_mono_s: CLOCK_MONOTONIC, seconds. at_utc_s: seconds since the epoch, for people only.
    """

    at_mono_s: float
    at_utc_s: float
    readings: tuple[NamedReading, ...]

    def reading(self, sensor: str) -> Reading:
        """The reading of one sensor; a sensor that is not in the sample is a gap (ABSENT)."""
        for named in self.readings:
            if named.sensor == sensor:
                return named.reading
        return Gap(reason=GapReason.ABSENT, detail=f"no sensor named {sensor} in this sample")
