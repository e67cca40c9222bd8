"""Ends a worker whose scenario code keeps more and more memory, before the kernel ends something that is missed.

Worker processes use it.
"""

import os
import time

RSS_BYTES_MAX = 2 << 30
"""Of one worker, 2 GiB: 10,000 connections of ours need an eighth of it, and two such workers still fit a small machine."""

_LOOK_S = 0.5
"""Reading the figure takes 10 microseconds; nothing leaks gigabytes in half a second without blocking."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class MemoryLimitError(Exception):
    """The worker uses too much memory, and ends with this."""


class MemoryLimit:
    """One worker's limit."""

    def __init__(self, rss_bytes_max: int = RSS_BYTES_MAX) -> None:
        self._rss_bytes_max = rss_bytes_max
        self._look_again_mono_s = 0.0

    def look(self) -> None:
        """Raises MemoryLimitError. Looks every half second, however often it is called."""
        now_s = time.monotonic()
        if now_s < self._look_again_mono_s:
            return
        self._look_again_mono_s = now_s + _LOOK_S
        used = _rss_bytes()
        if used > self._rss_bytes_max:
            raise MemoryLimitError(
                f"the worker uses {used >> 20:,} MiB of memory, at most {self._rss_bytes_max >> 20:,} MiB are allowed: "
                "the scenario's code keeps what it should let go"
            )


def _rss_bytes() -> int:
    with open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: PTH123 - unbuffered
        return int(file.read(256).split()[1]) * _PAGE_BYTES
