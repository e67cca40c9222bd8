"""What became of a memory load: byte-seconds held of those asked for, the highest level, the kernel's word for it.

A level alone would hide a load that was reached and lost again; an integral over time does not. What was touched counts
only as far as it is resident: memory that was swapped out strains the disk. Pure; memory workers use it.
"""

from baseline_metrics.load_page import MemoryCounts

RESIDENT_SLACK_BYTES = 2 << 20
"""The kernel counts a process's pages in batches per CPU, and the interpreter's own memory moves a little: so much less
than touched still counts as all of it."""


def achieved_bytes(*, held_bytes: int, resident_bytes: int) -> int:
    """What counts as held. resident_bytes: what the process's resident set has grown by since before the load."""
    if held_bytes - resident_bytes <= RESIDENT_SLACK_BYTES:
        return held_bytes
    return max(0, resident_bytes)


class MemoryAccount:
    """The account of one load. Between two looks both levels are taken to have moved evenly."""

    def __init__(self) -> None:
        self._asked_byte_s = 0.0
        self._achieved_byte_s = 0.0
        self._peak = 0
        self._due = 0
        self._achieved = 0

    def note(self, passed_s: float, *, due_bytes: int, achieved_bytes: int) -> None:
        """Levels now; passed_s: of the load's clock since the last note, 0 while it stands still."""
        self._asked_byte_s += passed_s * (self._due + due_bytes) / 2.0
        self._achieved_byte_s += passed_s * (min(self._achieved, self._due) + min(achieved_bytes, due_bytes)) / 2.0
        self._due, self._achieved = due_bytes, achieved_bytes
        self._peak = max(self._peak, achieved_bytes)

    def counts(self, *, held_bytes: int, resident_bytes: int) -> MemoryCounts:
        """Everything so far, as the page keeps it."""
        return MemoryCounts(
            due_bytes=self._due,
            held_bytes=held_bytes,
            resident_bytes=resident_bytes,
            achieved_bytes=self._achieved,
            peak_bytes=self._peak,
            asked_byte_s=self._asked_byte_s,
            achieved_byte_s=self._achieved_byte_s,
        )
