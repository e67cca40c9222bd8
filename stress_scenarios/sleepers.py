"""Coroutines that wait for an instant, all behind one timer, until it comes or something changes.

One timer can be as exact as the kernel's on every event loop; a loop's own timers count milliseconds. Runs in worker
processes; the loop's own timers serve where time is virtual.
"""

import asyncio
import heapq
import math
import time
from collections.abc import Callable
from typing import Protocol

from stress_scenarios.engines.wire_alarm import NEVER_US, Alarm

_US_PER_S = 1_000_000


class Timer(Protocol):
    """Calls one function at the instant that was set last. now_s: CLOCK_MONOTONIC, seconds, as exact as there is."""

    @property
    def now_s(self) -> Callable[[], float]:
        """The clock itself, so that reading it costs one call."""
        ...

    def set(self, mono_s: float) -> None:
        """Ring at or soon after this instant, and not when it was set before; infinity: not at all."""
        ...

    def close(self) -> None:
        """Ring no more."""
        ...


class MakeTimer(Protocol):
    """Makes a timer in a running loop."""

    def __call__(self, ring: Callable[[], None]) -> Timer:
        """A timer that calls this."""
        ...


class ExactTimer:
    """The kernel's timer: exact to some ten microseconds, on any loop that runs in real time."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._alarm = Alarm(ring)
        self.now_s = time.monotonic

    def set(self, mono_s: float) -> None:
        """Ring then."""
        self._alarm.set(math.ceil(mono_s * _US_PER_S) if mono_s < math.inf else NEVER_US)

    def close(self) -> None:
        """Ring no more."""
        self._alarm.close()


class LoopTimer:
    """The loop's own timer and clock."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._handles: list[asyncio.TimerHandle] = []  # at most one
        self.now_s = self._loop.time

    def set(self, mono_s: float) -> None:
        """Ring then."""
        self.close()
        if mono_s < math.inf:
            self._handles.append(self._loop.call_at(mono_s, self._ring))

    def close(self) -> None:
        """Ring no more."""
        while self._handles:
            self._handles.pop().cancel()


class Sleepers:
    """Whoever waits. Close it, or its timer stays. now_s: the time that sleepers wait by."""

    def __init__(self, make_timer: MakeTimer) -> None:
        self._timer = make_timer(self._ring)
        self.now_s = self._timer.now_s
        self._rings_s = math.inf
        self._queue: list[tuple[float, int, asyncio.Future[None]]] = []
        self._asleep: set[asyncio.Future[None]] = set()
        self._number = 0

    async def until(self, mono_s: float) -> None:
        """Wait for an instant (infinity: none), or until everybody is woken."""
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asleep.add(sleeper)
        if mono_s < math.inf:
            self._number += 1
            heapq.heappush(self._queue, (mono_s, self._number, sleeper))
            self._set()
        try:
            await sleeper
        finally:
            self._asleep.discard(sleeper)

    def wake_all(self) -> None:
        """Let everybody look again."""
        self._queue.clear()
        for sleeper in self._asleep:
            _wake(sleeper)

    def close(self) -> None:
        """Wake nobody any more."""
        self._timer.close()

    def _ring(self) -> None:
        self._rings_s = math.inf
        now_s = self.now_s()
        while self._queue and self._queue[0][0] <= now_s:
            _wake(heapq.heappop(self._queue)[2])
        self._set()

    def _set(self) -> None:
        while self._queue and self._queue[0][2].done():
            heapq.heappop(self._queue)  # cancelled meanwhile
        if self._queue and self._queue[0][0] < self._rings_s:
            self._rings_s = self._queue[0][0]
            self._timer.set(self._rings_s)


def _wake(sleeper: "asyncio.Future[None]") -> None:
    if not sleeper.done():
        sleeper.set_result(None)
