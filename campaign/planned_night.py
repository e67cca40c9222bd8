"""What the planner answers: the night as it will run with its reasons, or a refusal with the arithmetic. Pure."""

from dataclasses import dataclass
from enum import Enum

from campaign.window import Window
from monitoring_logs.records import NightOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCompressed:
    """The night has its planned length."""


class TimelineKind(Enum):
    """What a stretch of the night is for."""

    PREPARE = "prepare"  # processes start, every stop is rehearsed
    IDLE = "idle"
    HANDOVER = "handover"  # workers arm before a load, operations in flight drain after it
    ANCHOR = "anchor"
    PHASE = "phase"
    SEARCH = "search"  # the last part of a phase
    REST = "rest"  # what is left of a break after its anchor
    RESERVE = "reserve"  # one cool-down, for a phase that fails
    CONCLUDE = "conclude"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineSegment:
    """A stretch of the planned night; seconds from its start."""

    kind: TimelineKind
    label: str
    start_offset_s: float
    duration_s: float


class NoteKind(Enum):
    """What a note is about."""

    WINDOW = "window"
    CLOCK = "clock"  # the local clock changes during the night
    SCALED = "scaled"
    CUT = "cut"
    SEARCH = "search"  # a search that does not run
    SAMPLES = "samples"  # a part was kept longer, so that it makes enough operations
    REHEARSAL = "rehearsal"
    GENERATOR = "generator"
    FEEDER = "feeder"  # a feeder whose rows may not last


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that the planner did, or that a person should know beforehand, and why."""

    kind: NoteKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateForecast:
    """Whether a group of gates will have enough samples. subject: a phase's name, or what the gate is about."""

    subject: str
    gates: str
    samples_expected: int
    samples_needed: int
    enough: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNight:
    """The night as it will run."""

    order: NightOrder
    window: Window
    segments: tuple[TimelineSegment, ...]
    notes: tuple[Note, ...]
    forecasts: tuple[GateForecast, ...]
    workers: int

    @property
    def length_s(self) -> float:
        """From the start until the report stands, the reserved cool-down included."""
        return sum(segment.duration_s for segment in self.segments)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRefused:
    """The plan does not make a night in this window. Each reason carries its arithmetic and what to do."""

    reasons: tuple[str, ...]
