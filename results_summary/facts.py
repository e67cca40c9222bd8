"""What the record says about one night, gathered into one frozen value, so that everything after it is pure.

Missing parts are Absent with a reason and never an empty default that could be mistaken for good news.
Pure; the reporter fills it (see loading), checks and view read it.
"""

from dataclasses import dataclass

from baseline_metrics.samples import Reading
from monitoring_logs.numbering import LifeMissing, RecordHole
from monitoring_logs.recorder_facts import RecorderFacts
from monitoring_logs.records import (
    AnchorRecord,
    BaselineRecord,
    CampaignEnd,
    DrillFact,
    ErrorGroup,
    EventRecord,
    GuardianEvent,
    LoadMinute,
    LoadSecond,
    Meta,
    PhaseRecord,
    SegmentRecord,
)
from monitoring_logs.search_records import SearchRecord, SearchStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """This part of the record is not there, or cannot be read, and why."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPoint:
    """The host at one instant, reduced to what the timeline draws: percent of CPU and memory used."""

    at_mono_s: float
    cpu_percent: Reading
    memory_percent: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAlive:
    """The newest moment that anything recorded."""

    at_mono_s: float
    at_utc_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFacts:
    """One measured stretch of the night with its windows, in their order."""

    record: SegmentRecord
    seconds: tuple[LoadSecond, ...]
    minutes: tuple[LoadMinute, ...]
    errors: tuple[ErrorGroup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFacts:
    """One search: the rates that were tried, in order, and its end. phase: index of the phase that it follows, or -1."""

    segment: int
    phase: int
    steps: tuple[SearchStep, ...]
    record: SearchRecord | Absent


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The whole record. problems: what the reader could not read, in words. partial: the night still goes on.

    searches: those that were begun, in order; none by default, as most nights have none. recorder: one of each life that
    closed. holes: records that were numbered and are nowhere.
    """

    run_id: str
    partial: bool
    meta: Meta | Absent
    baseline: BaselineRecord | Absent
    phases: tuple[PhaseRecord, ...]
    anchors: tuple[AnchorRecord, ...]
    segments: tuple[SegmentFacts, ...]
    host: tuple[HostPoint, ...]
    guardian: tuple[GuardianEvent, ...]
    events: tuple[EventRecord, ...]
    drills: tuple[DrillFact, ...]
    end: CampaignEnd | Absent
    last_alive: LastAlive | Absent
    problems: tuple[str, ...]
    searches: tuple[SearchFacts, ...] = ()
    recorder: tuple[RecorderFacts, ...] = ()
    holes: tuple[RecordHole | LifeMissing, ...] = ()

    def phase(self, index: int) -> PhaseRecord | Absent:
        """The one record of a phase."""
        for record in self.phases:
            if record.index == index:
                return record
        return Absent(reason="no record of this phase")

    def segment(self, segment: int) -> SegmentFacts | Absent:
        """The measurements of a segment; -1 stands for a phase without load."""
        for facts in self.segments:
            if facts.record.segment == segment:
                return facts
        return Absent(reason="no load was made" if segment < 0 else f"no measurements of segment {segment}")
