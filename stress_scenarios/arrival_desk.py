"""Hands arrivals to virtual users: to one that is idle, else to a new one, else they wait, and are dropped when they waited too long.

Arrivals never wait for answers of earlier ones: only for one of the connections that the order allows at most. Runs in
the asyncio loop of a worker process.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

from stress_scenarios.arrivals import ArrivalTimes
from stress_scenarios.load_clock import LoadClock

WAITING_MAX = 100_000
"""Arrivals that wait at most: 8 MB; more could only be served by a target that recovers within start_within_s, all at once."""

GIVEN_AT_ONCE_MAX = 1000
"""Arrivals given out before the caller lets the loop do something else: some 10 ms. A rate beyond this machine must not keep
it from looking at the permitted share, at its orders and at its sockets."""

EASED_LATE_S_MAX = 0.01
"""While eased, an arrival that our own loop is this late with is stepped over: a stall of ours must not end in a burst."""


class TakesArrivals(Protocol):
    """A virtual user without anything to do."""

    def give(self, due_mono_s: float) -> None:
        """An arrival is yours; its intended start."""
        ...


class ArrivalDesk:
    """The arrivals of one load. new_user: makes a user for an arrival, or says that there may be no more."""

    def __init__(
        self,
        times: ArrivalTimes,
        clock: LoadClock,
        *,
        start_within_s: float,
        new_user: Callable[[float], bool],
        note_dropped: Callable[[int], None],
    ) -> None:
        self._times = times
        self._clock = clock
        self._start_within_s = start_within_s
        self._new_user = new_user
        self._note_dropped = note_dropped
        self._share = clock.time.share
        self._is_over = False
        self._waiting: deque[float] = deque()
        self._idle: list[TakesArrivals] = []

    def next_mono_s(self) -> float:
        """The next intended start, in the past when we are late with it; infinity when there is none, or load is paused."""
        if self._times.next_s == math.inf or self._clock.time.share == 0.0:
            return math.inf
        return self._clock.time.mono_s(self._times.next_s)

    def take_due(self, now_mono_s: float) -> None:
        """Give out the arrivals whose intended start has come, GIVEN_AT_ONCE_MAX at most: let the loop run before you go on."""
        time = self._clock.time
        if time.share < 1.0:
            self._times.skip_to(time.load_s(now_mono_s - EASED_LATE_S_MAX))
        elif self.next_mono_s() < now_mono_s - self._start_within_s:
            # Our loop stood still, or the rate is beyond this machine: dropped without looking at each of them.
            self._note_dropped(self._times.skip_to(time.load_s(now_mono_s - self._start_within_s)))
        for _ in range(GIVEN_AT_ONCE_MAX):
            due_mono_s = self.next_mono_s()
            if due_mono_s > now_mono_s:
                break
            self._times.advance()
            self._give_out(due_mono_s, now_mono_s)

    def look(self, now_mono_s: float) -> None:
        """Drop what has waited too long. Call it at least every 10 ms."""
        waiting = self._waiting
        dropped = 0
        while waiting and self.is_too_late(waiting[0], now_mono_s):
            waiting.popleft()
            dropped += 1
        if dropped:
            self._note_dropped(dropped)

    def is_too_late(self, due_mono_s: float, now_mono_s: float) -> bool:
        """Whether an arrival may not be started any more."""
        return now_mono_s > due_mono_s + self._start_within_s

    def next_waiting(self, now_mono_s: float) -> list[float]:
        """The intended start of the arrival that has waited longest and may still be started: one or none."""
        self.look(now_mono_s)
        return [self._waiting.popleft()] if self._waiting else []

    def note_idle(self, user: TakesArrivals) -> None:
        """This user waits for an arrival. The one that became idle last gets the next: its connection is the freshest."""
        self._idle.append(user)

    def forget(self, user: TakesArrivals) -> None:
        """This user does not wait any more, if it did: it is given nothing until it says again that it is idle."""
        if user in self._idle:
            self._idle.remove(user)

    def take_back(self, due_mono_s: float, now_mono_s: float) -> None:
        """A user that was given this arrival could not start it: it is another's, before all that wait."""
        if self._is_over or self.is_too_late(due_mono_s, now_mono_s):
            self._note_dropped(1)
        elif self._idle:
            self._idle.pop().give(due_mono_s)
        elif not self._new_user(due_mono_s):
            self._waiting.appendleft(due_mono_s)

    def forget_idle(self) -> None:
        """All users look again for themselves, and say so when they are idle."""
        self._idle.clear()

    def note_share(self) -> None:
        """Load time runs differently now: what is late is given up, and what waits is dropped. Easing must not end in a burst."""
        self._give_up_due(self._clock.changed_mono_s)  # what came since then belongs to the new share
        self._share = self._clock.time.share
        self._drop_waiting()

    def set_rate(self, now_mono_s: float, per_s: float) -> None:
        """From now on a constant rate."""
        self.take_due(now_mono_s)
        self._give_up_due(now_mono_s)  # what a rate beyond this machine has left over
        self._times.set_rate(self._clock.time.load_s(now_mono_s), per_s)

    def close(self, now_mono_s: float) -> None:
        """The load is over: what was due and could not be started is dropped."""
        self._is_over = True
        self._give_up_due(now_mono_s)
        self._drop_waiting()
        self._idle.clear()

    def _give_out(self, due_mono_s: float, now_mono_s: float) -> None:
        if self.is_too_late(due_mono_s, now_mono_s):
            self._note_dropped(1)
        elif self._idle:
            self._idle.pop().give(due_mono_s)
        elif not self._new_user(due_mono_s):
            self._waiting.append(due_mono_s)
            if len(self._waiting) > WAITING_MAX:
                self._waiting.popleft()
                self._note_dropped(1)

    def _give_up_due(self, now_mono_s: float) -> None:
        """Step over what is due and was not given out: dropped at full load, never asked for at an eased one."""
        missed = self._times.skip_to(self._clock.time.load_s(now_mono_s))
        if missed and self._share == 1.0:
            self._note_dropped(missed)

    def _drop_waiting(self) -> None:
        if self._waiting:
            self._note_dropped(len(self._waiting))
            self._waiting.clear()
