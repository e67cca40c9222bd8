"""Health scores, 0..100 or unknown, always with their parts.

A score steers the night; it never decides the verdict. Unknown is a value of its own: no part is re-weighted away.
The supervisor computes scores, the machine and the report read them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownScore:
    """A score, 0..100, higher is healthier."""

    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownScore:
    """No score, and which reading is missing."""

    reason: str


Score = KnownScore | UnknownScore


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPart:
    """One part of a score. weight: its share of the whole, percent. detail: the readings behind it, in words."""

    name: str
    score: Score
    weight: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A score at one instant, with its parts. at_mono_s: when its last reading was taken."""

    score: Score
    parts: tuple[HealthPart, ...]
    at_mono_s: float
