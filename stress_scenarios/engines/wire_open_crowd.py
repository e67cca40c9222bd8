"""The connections of an open load and the arrivals that they take: an idle one, else a new one, else the arrival waits.

Arrivals never wait for answers, only for one of the connections that the order allows at most; one that waits too long is
dropped, and counted. Neither queue nor timer holds what is still to come: one instant is known, the next arrival's. Runs
in worker processes.
"""

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stress_scenarios.arrival_desk import EASED_LATE_S_MAX, WAITING_MAX
from stress_scenarios.arrivals import ArrivalTimes
from stress_scenarios.engines.wire_connection import NEVER_US, now_us
from stress_scenarios.engines.wire_lane import Lane
from stress_scenarios.engines.wire_steps import Step

if TYPE_CHECKING:
    from stress_scenarios.engines.wire_load_run import WireLoadRun

WAKE_US_MIN = 50
"""Arrivals closer together than this are started together, up to so much late: waking takes 5 us, and a schedule lag of a
twentieth of a millisecond is not worth a third of a core. Connections that become free look for arrivals without it."""

GIVEN_AT_ONCE_MAX = 1000
"""Arrivals handed out before the loop looks at its sockets again: 5 ms. A rate beyond this machine must not keep it from
anything else."""

_US_PER_S = 1_000_000


class OpenCrowd:
    """All connections of the load. next_us: the next arrival's intended start; NEVER_US while paused, or after the last."""

    def __init__(
        self, run: "WireLoadRun", steps: Sequence[Step], times: ArrivalTimes, *, start_within_s: float
    ) -> None:
        order = run.order
        self.connections = order.connections
        self.next_us = NEVER_US
        self._run = run
        self._step = steps[(order.seed + order.connection_offset) % len(steps)]
        self._times = times
        self._within_us = round(start_within_s * _US_PER_S)
        self._lanes: set[Lane] = set()
        self._departed: list[Lane] = []
        self._idle: list[Lane] = []
        self._waiting: deque[int] = deque()
        self._flows = False
        self._share = run.clock.time.share
        self._us_at_0 = self._us_per_s = 0.0

    @property
    def busy(self) -> bool:
        """Whether anything is in flight."""
        return bool(self._lanes)

    @property
    def steady(self) -> bool:
        """Whether nobody has to leave: they see it themselves when they become idle."""
        return True

    def begin(self, at_us: int) -> None:
        """Nobody is needed before the first arrival."""
        self._follow_clock(at_us)

    def start_due(self, at_us: int) -> int:
        """Start every arrival whose time has come, as far as connections go, and say when the next one comes."""
        if self.next_us <= at_us:
            self._step_over_what_is_too_late(at_us)
            given = 0
            while self.next_us <= at_us and given < GIVEN_AT_ONCE_MAX:
                if at_us >= self._run.look_us:
                    self._run.look(at_us)
                    continue
                self._give_out(at_us)
                given += 1
                at_us = now_us()
        return max(self.next_us, at_us + WAKE_US_MIN)

    def start_last(self, at_us: int) -> None:
        """The load is over at this instant: what came due before it is started, as far as connections and one turn go."""
        if self.next_us > at_us:
            return
        self._step_over_what_is_too_late(at_us)
        given = 0
        while self.next_us <= at_us and given < GIVEN_AT_ONCE_MAX:
            self._give_out(now_us())
            given += 1

    def look(self, at_us: int) -> None:
        """Drop what has waited too long."""
        waiting = self._waiting
        oldest_us = at_us - self._within_us
        dropped = 0
        while waiting and waiting[0] < oldest_us:
            waiting.popleft()
            dropped += 1
        if dropped:
            self._run.note_dropped(dropped)

    def note_share(self, at_us: int) -> None:
        """What is late is given up, and what waits is dropped: easing must not end in a burst."""
        time = self._run.clock.time
        self._give_up_due(time.load_s(at_us / _US_PER_S))
        self._share = time.share
        self._drop_waiting()
        self._follow_clock(at_us)

    def adjust(self, at_us: int, *, operations_per_s: float, connections: int) -> None:
        """Another rate from now on. Too many connections leave: idle ones at once, others when they become idle."""
        self.connections = connections
        self.start_due(at_us)
        at_s = self._run.clock.time.load_s(at_us / _US_PER_S)
        self._give_up_due(at_s)  # what a rate beyond this machine has left over
        self._times.set_rate(at_s, operations_per_s)
        self._note_next()
        surplus = max(0, len(self._lanes) - connections)
        unwanted, self._idle = self._idle[:surplus], self._idle[surplus:]
        for lane in unwanted:
            self._dismiss(lane, at_us)

    def stop(self, at_us: int) -> None:
        """What was due and could not be started is dropped; idle connections are closed."""
        self.next_us = NEVER_US
        clock = self._run.clock
        self._give_up_due(clock.time.load_s(min(at_us / _US_PER_S, clock.end_mono_s)))
        self._drop_waiting()
        idle, self._idle = self._idle, []
        for lane in idle:
            self._dismiss(lane, at_us)

    def leave(self, at_us: int) -> None:
        """Whoever is still there leaves."""
        for lane in tuple(self._lanes):
            self._dismiss(lane, at_us)

    async def disconnected(self) -> None:
        """Wait until the sockets are gone."""
        await asyncio.gather(*(lane.disconnected() for lane in self._departed))

    # Called by lanes ------------------------------------------------------------------------------------------------

    def note_free(self, lane: Lane, at_us: int) -> None:
        """An operation has ended: its connection takes what waits or is due, or is idle."""
        run = self._run
        if run.is_over or len(self._lanes) > self.connections:
            run.flights.change(at_us, -1)
            self._dismiss(lane, at_us)
            return
        if self._waiting:
            self.look(at_us)
        if self._waiting:
            due_us = self._waiting.popleft()
        elif self.next_us <= at_us and run.clock.time.share == 1.0:
            due_us = self.next_us
            self._times.advance()
            self._note_next()
        else:
            flights = run.flights  # change, written out
            flights.area_us += flights.count * (at_us - flights.since_us)
            flights.since_us = at_us
            flights.count -= 1
            self._idle.append(lane)
            return
        run.lags.record(0)  # the connection became free just now
        step, self._step = self._step, self._step.following
        lane.start(step, due_us=due_us, at_us=at_us)

    # ----------------------------------------------------------------------------------------------------------------

    def _give_out(self, at_us: int) -> None:
        """Give the next arrival to a connection, or let it wait."""
        due_us = self.next_us
        self._times.advance()
        self._note_next()
        lag_us = at_us - max(due_us, self._run.changed_us)
        if at_us - due_us > self._within_us:
            self._run.note_dropped(1)
            return
        if self._idle:
            lane = self._idle.pop()  # the one that became idle last: the freshest
        elif len(self._lanes) < self.connections:
            lane = Lane(self._run, self, self._step)
            self._lanes.add(lane)
        else:
            self._waiting.append(due_us)
            if len(self._waiting) > WAITING_MAX:
                self._waiting.popleft()
                self._run.note_dropped(1)
            return
        self._run.note_start(at_us, lag_us=lag_us)
        step, self._step = self._step, self._step.following
        lane.start(step, due_us=due_us, at_us=at_us)

    def _step_over_what_is_too_late(self, at_us: int) -> None:
        """When our own loop stood still, or the rate is beyond this machine: without looking at each arrival."""
        time = self._run.clock.time
        if time.share < 1.0:  # a stall of ours must not end in a burst, and what easing prevented was not dropped
            self._times.skip_to(time.load_s(at_us / _US_PER_S - EASED_LATE_S_MAX))
            self._note_next()
        elif self.next_us < at_us - self._within_us:
            missed = self._times.skip_to(time.load_s((at_us - self._within_us) / _US_PER_S))
            self._run.note_dropped(missed)
            self._note_next()

    def _note_next(self) -> None:
        next_s = self._times.next_s
        is_coming = self._flows and next_s < math.inf
        self.next_us = round(self._us_at_0 + self._us_per_s * next_s) if is_coming else NEVER_US

    def _follow_clock(self, at_us: int) -> None:
        """Load time and real time are a straight line, until the share changes again."""
        time = self._run.clock.time
        self._flows = time.share > 0.0
        self._us_per_s = _US_PER_S / time.share if self._flows else 0.0
        load_s = time.load_s(at_us / _US_PER_S)
        self._us_at_0 = time.mono_s(load_s) * _US_PER_S - self._us_per_s * load_s
        self._note_next()

    def _dismiss(self, lane: Lane, at_us: int) -> None:
        lane.leave(at_us)
        self._lanes.discard(lane)
        if self._run.is_over:
            self._departed.append(lane)
            self._run.note_left()

    def _give_up_due(self, load_s: float) -> None:
        """Step over what is due and was not started: dropped at full load, never asked for at an eased one."""
        missed = self._times.skip_to(load_s)
        if missed and self._share == 1.0:
            self._run.note_dropped(missed)

    def _drop_waiting(self) -> None:
        if self._waiting:
            self._run.note_dropped(len(self._waiting))
            self._waiting.clear()
