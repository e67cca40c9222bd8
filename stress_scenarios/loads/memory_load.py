"""One segment's memory load: a closed loop on bytes, turned every few milliseconds.

It holds what the order, the permitted share and the rise allow at this instant, and not a page more: down at once, up at
the rate that the guardian was told. Every turn writes the page, so that the account is exact after a kill. Memory that
the kernel refuses is asked for again, now and then, and never by force: the load's gate tells of it. Runs in memory
workers.
"""

import time
from collections.abc import Callable

from baseline_metrics.load_page import LoadPage, MemoryCounts
from stress_scenarios.lease_watch import load_is_permitted
from stress_scenarios.loads.memory import HeldMemory, MemoryRefusedError
from stress_scenarios.loads.memory_account import MemoryAccount, achieved_bytes
from stress_scenarios.loads.memory_order import MemoryOrder
from stress_scenarios.loads.memory_rise import MemoryRise
from stress_scenarios.messages import MemoryDrained, MemoryWindow

GROW_S_MAX = 0.01
"""Of one turn: the permission is looked at, and the heart beats, at least this often, however slowly pages come."""

REFUSED_PAUSE_S = 1.0
"""After the kernel has refused memory: it is asked again once a second, not two hundred times."""

WINDOW_S = 1.0


class MemoryLoad:
    """One order's load, run once. Times are CLOCK_MONOTONIC, seconds; now_s and resident_bytes are what a test replaces."""

    def __init__(
        self,
        order: MemoryOrder,
        *,
        worker: int,
        page: LoadPage,
        memory: HeldMemory,
        resident_bytes: Callable[[], int],
        next_sequence: Callable[[], int],
        send: Callable[[MemoryWindow], None],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.order = order
        self._worker = worker
        self._page = page
        self._memory = memory
        self._resident_bytes = resident_bytes
        self._next_sequence = next_sequence
        self._send = send
        self._now_s = now_s
        self._rise = MemoryRise(size_bytes=order.size_bytes, rise_bytes_per_s=order.rise_bytes_per_s)
        self._account = MemoryAccount()
        self._resident_before = resident_bytes()
        self._begun = self._over = self._held_by_person = False
        self._start = self._looked = self._window_began = 0.0
        self._run_s = 0.0  # of the order's time, which stands still while a person holds the load
        self._rising_since_run_s = 0.0
        self._ask_again = 0.0
        self._refused = ""
        self._release_s = 0.0

    @property
    def over(self) -> bool:
        """Whether its time is over or it was released; then everything is given back."""
        return self._over

    def begin(self, start_mono_s: float) -> None:
        """It is to start at this instant."""
        self._begun = True
        self._start = self._looked = self._window_began = start_mono_s
        self._publish()

    def turn(self) -> None:
        """Hold what may be held now, and report a second that is over. Called every few milliseconds."""
        now = self._now_s()
        if not self._begun or self._over or now < self._start:
            return
        passed_s = max(0.0, now - self._looked)
        self._looked = now
        if not self._held_by_person:
            self._run_s += passed_s
        if self._run_s >= self.order.lasts_s:
            self.release()
            return
        share = self._share()
        allowed = 0
        if not self._held_by_person:
            allowed = self._rise.look(passed_s, share=share, held_bytes=self._memory.held_bytes)
        self._move(allowed, share=share, now=now)
        self._note(0.0 if self._held_by_person else passed_s)
        if now - self._window_began >= WINDOW_S:
            self._tell(self._page.memory, share=share, now=now)

    def hold(self) -> None:
        """A person pauses: everything is released, and the order's time stands still."""
        self.turn()
        if not self._over and not self._held_by_person:
            self._held_by_person = True
            self._give_back()
            self._note(0.0)

    def resume(self) -> None:
        """The order's time goes on where it stood, and memory rises anew, at its rate."""
        if self._over or not self._held_by_person:
            return
        self._looked = max(self._start, self._now_s())
        self._held_by_person = False
        self._rising_since_run_s = self._run_s
        self._rise = MemoryRise(size_bytes=self.order.size_bytes, rise_bytes_per_s=self.order.rise_bytes_per_s)
        self._note(0.0)

    def release(self) -> None:
        """Give everything back now; nothing is taken any more."""
        if self._over:
            return
        self._over = True
        stood = self._page.memory  # what the last second is told with: how it stood, and not that it is gone
        self._give_back()
        self._account.note(0.0, due_bytes=0, achieved_bytes=0)
        self._publish()
        now = self._now_s()
        if self._begun and now > self._window_began:
            self._tell(stood, share=self._share(), now=now)

    def drained(self) -> MemoryDrained:
        """The report of the load that is over."""
        assert self._over, "the load still holds memory"
        counts = self._account.counts(held_bytes=0, resident_bytes=0)
        return MemoryDrained(
            worker=self._worker,
            segment=self.order.segment,
            peak_bytes=counts.peak_bytes,
            asked_byte_s=counts.asked_byte_s,
            achieved_byte_s=counts.achieved_byte_s,
            release_s=self._release_s,
            resident_bytes_left=max(0, self._resident_bytes() - self._resident_before),
            refused=self._refused,
        )

    # ----------------------------------------------------------------------------------------------------------------

    def _share(self) -> float:
        return self._page.share if load_is_permitted(self._page) else 0.0

    def _move(self, allowed: int, *, share: float, now: float) -> None:
        if allowed < self._memory.held_bytes:
            self._memory.shrink(allowed)
            return
        if allowed == self._memory.held_bytes or now < self._ask_again:
            return

        def may_go_on() -> bool:
            return self._share() >= share and self._now_s() - now < GROW_S_MAX

        try:
            self._memory.grow(allowed, may_go_on=may_go_on)
        except MemoryRefusedError as error:
            self._refused = str(error)
            self._ask_again = now + REFUSED_PAUSE_S

    def _give_back(self) -> None:
        began = self._now_s()
        if self._memory.held_bytes:
            self._memory.shrink(0)
            self._release_s = self._now_s() - began

    def _note(self, passed_s: float) -> None:
        resident = self._resident_bytes() - self._resident_before
        self._account.note(
            passed_s,
            due_bytes=0 if self._held_by_person else self._rise.due_bytes(self._run_s - self._rising_since_run_s),
            achieved_bytes=achieved_bytes(held_bytes=self._memory.held_bytes, resident_bytes=resident),
        )
        self._publish()

    def _publish(self) -> None:
        self._page.count_memory(
            self._account.counts(held_bytes=self._memory.held_bytes, resident_bytes=self._resident_bytes())
        )

    def _tell(self, counts: MemoryCounts, *, share: float, now: float) -> None:
        self._send(
            MemoryWindow(
                worker=self._worker,
                sequence=self._next_sequence(),
                segment=self.order.segment,
                start_mono_s=self._window_began,
                end_mono_s=now,
                share=share,
                due_bytes=counts.due_bytes,
                held_bytes=counts.held_bytes,
                resident_bytes=counts.resident_bytes,
                achieved_bytes=counts.achieved_bytes,
            )
        )
        whole = int((now - self._start) / WINDOW_S) * WINDOW_S
        self._window_began = max(self._window_began, self._start + whole)
