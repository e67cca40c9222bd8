"""What a phase's order says about its load model, its memory load, and the search that may follow it.

Intent, fixed before the night; part of records.PhaseOrder. Pure.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSearch:
    """The phase searches nothing."""


NO_SEARCH = NoSearch()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOrder:
    """After the phase's own load: an arrival rate that doubles from start_per_s until something gives way, then a bisection.

    lasts_s: of the whole search. step_s: of one rate. connections: at most at once. A step passes when at least
    success_percent_min of its operations succeed, its mean response time is at most response_s_mean_max, its p99 at most
    response_s_p99_max (0: no such limit), and at least achieved_percent_min of its arrivals were started.
    """

    lasts_s: float
    step_s: float
    start_per_s: float
    per_s_max: float
    connections: int
    success_percent_min: float
    response_s_mean_max: float
    response_s_p99_max: float
    achieved_percent_min: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PacedByRate:
    """Each connection at operations_per_s of its order: the only model until schema version 1."""


PACED_BY_RATE = PacedByRate()


@dataclass(frozen=True, slots=True, kw_only=True)
class NoMemoryLoad:
    """The phase holds no memory."""


NO_MEMORY_LOAD = NoMemoryLoad()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLoad:
    """Beside the phase's requests: memory that rises to size_bytes at rise_bytes_per_s and is held to the phase's end."""

    size_bytes: int
    rise_bytes_per_s: float

    @property
    def rise_s(self) -> float:
        """How long the rise takes."""
        return self.size_bytes / self.rise_bytes_per_s

    def byte_s(self, lasts_s: float) -> float:
        """What a load of this length holds, integrated over its time."""
        risen_s = min(self.rise_s, lasts_s)
        return self.rise_bytes_per_s * risen_s * risen_s / 2.0 + self.size_bytes * (lasts_s - risen_s)
