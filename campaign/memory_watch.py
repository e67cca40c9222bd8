"""The memory load of the current segment, as its worker's page and words tell it: now, second by second, and in all.

Nothing here decides. Runs in the supervisor's main thread; the crew uses it.
"""

from dataclasses import dataclass

from baseline_metrics.load_page import LoadPage, MemoryCounts
from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from monitoring_logs.memory_records import NO_MEMORY_HELD, MemoryFacts, MemorySecond, NoMemoryHeld
from stress_scenarios.loads.memory_order import MemoryOrder
from stress_scenarios.messages import MemoryDrained, MemoryWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingHeld:
    """No memory load is being made."""


NOTHING_HELD = NothingHeld()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNow:
    """For screens: size_bytes is what the phase asks for in the end, due_bytes what it asks for now."""

    size_bytes: int
    due_bytes: int
    achieved_bytes: int


class MemoryWatch:
    """One segment's memory load."""

    def __init__(self, order: MemoryOrder, *, start_mono_s: float, utc_offset_s: float) -> None:
        self._order = order
        self._start = start_mono_s
        self._utc_offset_s = utc_offset_s
        self._newest = -1
        self._counts: MemoryCounts | None = None
        self._release_s: Reading = Gap(reason=GapReason.ABSENT, detail="the process was ended with its memory")
        self._refused = ""

    def second(self, window: MemoryWindow) -> tuple[MemorySecond, ...]:
        """The second to store; none for one that was told before."""
        second = max(0, round(window.start_mono_s - self._start))
        if window.segment != self._order.segment or second <= self._newest:
            return ()
        self._newest = second
        return (
            MemorySecond(
                segment=window.segment,
                second=second,
                at_mono_s=window.start_mono_s,
                at_utc_s=window.start_mono_s + self._utc_offset_s,
                share=window.share,
                due_bytes=window.due_bytes,
                held_bytes=window.held_bytes,
                resident_bytes=window.resident_bytes,
                achieved_bytes=window.achieved_bytes,
            ),
        )

    def now(self, page: LoadPage) -> MemoryNow:
        """How it stands."""
        counts = page.memory
        return MemoryNow(
            size_bytes=self._order.size_bytes, due_bytes=counts.due_bytes, achieved_bytes=counts.achieved_bytes
        )

    def end(self, page: LoadPage, drained: MemoryDrained | None) -> None:
        """The load is zero: its page says the last word. Again: no effect."""
        if self._counts is not None:
            return
        self._counts = page.memory
        if drained is not None:
            self._release_s = Sample(value=drained.release_s)
            self._refused = drained.refused

    def facts(self) -> MemoryFacts | NoMemoryHeld:
        """Asked against achieved, once the load is zero."""
        counts = self._counts
        if counts is None:
            return NO_MEMORY_HELD
        return MemoryFacts(
            size_bytes=self._order.size_bytes,
            rise_bytes_per_s=self._order.rise_bytes_per_s,
            peak_bytes=counts.peak_bytes,
            asked_byte_s=counts.asked_byte_s,
            achieved_byte_s=counts.achieved_byte_s,
            release_s=self._release_s,
            refused=self._refused,
        )
