"""Time as an argument: the only place where a process asks what time it is.

Durations, leases and deadlines use CLOCK_MONOTONIC; UTC is for people and for absolute starts. Everything that waits
takes a Clock, so that tests and simulated nights run on a fake one without sleeping. Every process uses this module.
"""

import time
from typing import Protocol

BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """Where time comes from."""

    def mono_s(self) -> float:
        """Seconds of CLOCK_MONOTONIC, comparable between the processes of one boot."""
        ...

    def boot_s(self) -> float:
        """Seconds of CLOCK_BOOTTIME: as mono_s, but it goes on while the machine is suspended."""
        ...

    def utc_s(self) -> float:
        """Seconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; never used by a safety path that has something better to wait on."""
        ...


class SystemClock:
    """The machine's clocks."""

    def mono_s(self) -> float:
        """Seconds of CLOCK_MONOTONIC."""
        return time.monotonic()

    def boot_s(self) -> float:
        """Seconds of CLOCK_BOOTTIME; where there is none a suspended machine cannot be told from one that was stopped."""
        return time.clock_gettime(BOOT_CLOCK)

    def utc_s(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Sleep for real."""
        time.sleep(seconds)


class FakeClock:
    """A clock that moves only when told to, or when somebody sleeps on it."""

    def __init__(self, *, mono_s: float = 1000.0, utc_s: float = 1_700_000_000.0) -> None:
        self._mono_s = mono_s
        self._boot_s = mono_s
        self._utc_s = utc_s

    def mono_s(self) -> float:
        """Seconds since an arbitrary origin."""
        return self._mono_s

    def boot_s(self) -> float:
        """As mono_s, with every suspend in it."""
        return self._boot_s

    def utc_s(self) -> float:
        """Seconds since the epoch."""
        return self._utc_s

    def sleep(self, seconds: float) -> None:
        """Advance by that long at once."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move all clocks forward."""
        assert seconds >= 0, "time does not run backwards"
        self._mono_s += seconds
        self._boot_s += seconds
        self._utc_s += seconds

    def suspend(self, seconds: float) -> None:
        """The machine sleeps for that long: the monotonic clock stands still."""
        assert seconds >= 0, "time does not run backwards"
        self._boot_s += seconds
        self._utc_s += seconds

    def set_wall(self, seconds: float) -> None:
        """Somebody sets the wall clock forward by that much, or back."""
        self._utc_s += seconds
