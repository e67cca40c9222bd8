"""How much of a phase's asked memory was held: at its peak, and over its time.

Both are needed: a load that was reached and lost again has its peak, one that crept up late has not its time. Pure; the
gate, the report and the supervisor's criteria share it.
"""

from dataclasses import dataclass

from baseline_metrics.samples import Gap, Sample
from baseline_metrics.units import format_bytes, format_duration
from monitoring_logs.load_orders import MemoryLoad
from monitoring_logs.memory_records import MemoryFacts

HELD_PERCENT_MIN = 95.0
"""Of what was asked: room for one stall of the host during the rise, and for the kernel's rounding, and for no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldShare:
    """Percent of what was asked, 0..100, and the sentence about it."""

    peak_percent: float
    time_percent: float
    words: str

    @property
    def percent(self) -> float:
        """The lower of the two, which decides."""
        return min(self.peak_percent, self.time_percent)


def memory_note(facts: MemoryFacts) -> str:
    """What became of a memory load, in a few words."""
    words = f"memory: at most {format_bytes(facts.peak_bytes)} of {format_bytes(facts.size_bytes)} held"
    if facts.asked_byte_s > 0:
        words += f", {min(100.0, 100.0 * facts.achieved_byte_s / facts.asked_byte_s):.1f} % over its time"
    match facts.release_s:
        case Sample(value=seconds):
            words += f", released in {format_duration(seconds)}" if seconds > 0 else ""
        case Gap(detail=detail):
            words += f"; {detail}"
    return f"{words}; {facts.refused}" if facts.refused else words


def held_share(order: MemoryLoad, facts: MemoryFacts, *, lasts_s: float, ran_whole: bool) -> HeldShare:
    """Held of asked. lasts_s: how long the plan wants the load to be; ran_whole: whether it ended at its own time.

    A load that was cut short is measured against the plan; one that ran whole against what was asked of it on the way,
    which is less where a person had paused it, as memory then rises anew.
    """
    planned = order.byte_s(lasts_s)
    asked = facts.asked_byte_s if ran_whole and facts.asked_byte_s > 0 else max(facts.asked_byte_s, planned)
    peak_percent = min(100.0, 100.0 * facts.peak_bytes / order.size_bytes)
    time_percent = min(100.0, 100.0 * facts.achieved_byte_s / asked) if asked > 0 else 0.0
    words = (
        f"at most {format_bytes(facts.peak_bytes)} of {format_bytes(order.size_bytes)} were held, "
        f"{time_percent:.1f} % of the asked memory over time"
    )
    if facts.refused:
        words += f"; {facts.refused}"
    return HeldShare(peak_percent=peak_percent, time_percent=time_percent, words=words)
