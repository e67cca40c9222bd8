"""What memory load is asked of a worker: the order, complete and frozen, as it travels over the pipe.

Supervisor and worker use it.
"""

from dataclasses import dataclass

SIZE_BYTES_MIN = 1 << 20
"""Below a mebibyte the kernel's own count of a process's memory is too coarse to show a load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOrder:
    """One segment's memory load.

    From the start that Go names on, touched memory rises to size_bytes, by at most rise_bytes_per_s; all of it is released
    lasts_s after the start. A permitted share below 1 lowers what may be held to that share of size_bytes, at once.
    """

    segment: int
    size_bytes: int
    rise_bytes_per_s: float
    lasts_s: float

    @property
    def rise_s(self) -> float:
        """How long the rise takes where nothing is in its way."""
        return self.size_bytes / self.rise_bytes_per_s
