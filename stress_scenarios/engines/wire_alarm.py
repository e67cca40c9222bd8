"""Wakes an asyncio loop at an instant, to some ten microseconds.

uvloop's own timers count whole milliseconds, which would be the greatest error of a paced load's latencies. The kernel's
timer descriptor is as exact as its scheduler. Python's os module knows it from 3.13 on; until then it is called through
ctypes. One alarm serves all virtual users of a worker. Runs in worker processes.
"""

import asyncio
import ctypes
import os
import time
from collections.abc import Callable

NEVER_US = 1 << 62

_AT_ABSOLUTE_TIME = 1
_CLOEXEC_NONBLOCK = os.O_CLOEXEC | os.O_NONBLOCK
_US_PER_S = 1_000_000


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Alarm:
    """Calls a function once at or soon after the instant that was set last. Close it, or its descriptor stays."""

    def __init__(self, ring: Callable[[], None]) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._settime = library.timerfd_settime
        self._descriptor = int(library.timerfd_create(time.CLOCK_MONOTONIC, _CLOEXEC_NONBLOCK))
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._ring = ring
        self._setting = _Itimerspec()
        self._setting_pointer = ctypes.byref(self._setting)
        self.at_us = NEVER_US
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._rang)

    def set(self, at_us: int) -> None:
        """Ring at this instant of CLOCK_MONOTONIC, microseconds, and not when it was set before; NEVER_US for not at all."""
        self.at_us = at_us
        value = self._setting.value
        # A time of zero would switch the timer off, and one that has passed rings at once.
        value.seconds, microseconds = divmod(at_us, _US_PER_S) if at_us < NEVER_US else (0, 0)
        value.nanoseconds = microseconds * 1000
        if self._settime(self._descriptor, _AT_ABSOLUTE_TIME, self._setting_pointer, None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def close(self) -> None:
        """Ring no more."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _rang(self) -> None:
        self.set(NEVER_US)  # which also takes the ring back, so that the descriptor need not be read
        self._ring()
