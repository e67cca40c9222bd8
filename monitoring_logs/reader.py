"""Reads a whole run again: journal, database, spill file, guardian's journal, merged into records.

For what was decided the journal wins, the database comes second. Nothing here raises on bad files: what cannot be read
is missing, and ``problems`` says why, so that a report can be written of every night that left a trace. A reader is a
snapshot: small files are read at most once, make a new one to look again. Reporter, status and CLI use it.
"""

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from baseline_metrics.codec import CodecError, from_json_value
from baseline_metrics.samples import HostSample
from monitoring_logs import schema
from monitoring_logs.journal import JournalEntry, JournalKind
from monitoring_logs.memory_records import MemorySecond
from monitoring_logs.numbering import LifeMissing, Producer, RecordHole, RecordNumber, holes_in
from monitoring_logs.recorder_facts import RecorderFacts
from monitoring_logs.records import (
    AnchorRecord,
    BaselineRecord,
    CampaignEnd,
    DrillFact,
    ErrorGroup,
    EventRecord,
    GuardianEvent,
    HostFacts,
    LoadMinute,
    LoadSecond,
    Meta,
    NightOrder,
    PhaseRecord,
    SegmentRecord,
)
from monitoring_logs.rows import (
    DRILL_KEY_PREFIX,
    END_KEY,
    HOST_KEY,
    ORDER_KEY,
    RECORDER_KEY_PREFIX,
    EverySensor,
    Record,
    natural_key,
    with_sensors,
)
from monitoring_logs.run_files import files_of
from monitoring_logs.run_sources import Problems, RunSources
from monitoring_logs.search_records import SearchRecord, SearchStep
from safety_monitoring.messages import LoadEnded

R = TypeVar("R", bound=Record)

META_BYTES_MAX = 4 << 20
"""meta.json with 64 phases and their gates takes about 150 KiB."""

SAME_MOVE_S_MAX = 2.0
"""The guardian's and the supervisor's record of one ladder move may differ by the time a message took on a busy host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """This part of the record is not there, or cannot be read, and why."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """A moment on both clocks."""

    at_mono_s: float
    at_utc_s: float


class RunReader:
    """The record of one run directory. Methods never raise on bad data, see ``problems``."""

    def __init__(self, run_dir: str | os.PathLike[str]) -> None:
        self._files = files_of(os.fspath(run_dir))
        self._problems = Problems()
        self._sources = RunSources(self._files, self._problems)

    def close(self) -> None:
        """Let go of the database."""
        self._sources.close()

    def problems(self) -> tuple[str, ...]:
        """What could not be read so far, in words, each once."""
        return self._problems.texts()

    # What was decided -------------------------------------------------------------------------------------------------

    def meta(self) -> Meta | Missing:
        """meta.json."""
        path = self._files.meta
        try:
            with Path(path).open("rb") as file:
                content = file.read(META_BYTES_MAX + 1)
            if len(content) > META_BYTES_MAX:
                return self._missing(f"{path} has more than {META_BYTES_MAX} bytes")
            value = json.loads(content)
            version = value.get("schema_version") if isinstance(value, dict) else None
            if version not in schema.VERSIONS_READ:
                known = " and ".join(str(one) for one in schema.VERSIONS_READ)
                return self._missing(f"{path} has schema version {version}, this program reads {known}")
            return from_json_value(Meta, value)
        except OSError as error:
            return self._missing(f"{path} cannot be read: {error.strerror}")
        except (CodecError, ValueError, RecursionError) as error:
            return self._missing(f"{path} is not a run's meta.json: {error}")

    def order(self) -> NightOrder | Missing:
        """What was decided before the night: from the journal, else the database, else meta.json."""
        for entry in self.journal():
            if entry.kind is JournalKind.ORDER:
                for order in self._sources.decoded(NightOrder, (entry,)):
                    return order
        for order in (*self._sources.run_facts(NightOrder, ORDER_KEY), *self._sources.spilled(NightOrder)):
            return order
        meta = self.meta()
        return meta if isinstance(meta, Missing) else meta.order

    def host(self) -> HostFacts | Missing:
        """Who ran: from the journal, else the database, else meta.json."""
        for host in self._facts(HostFacts, self._sources.run_facts(HostFacts, HOST_KEY)):
            return host
        meta = self.meta()
        return meta if isinstance(meta, Missing) else meta.host

    def journal(self) -> tuple[JournalEntry, ...]:
        """All entries of journal and fallback by sequence."""
        return self._sources.journal

    # Facts: the journal wins, the database is second, the spill file third ---------------------------------------------

    def phase_records(self) -> tuple[PhaseRecord, ...]:
        """One record per phase, by index."""
        records = self._facts(PhaseRecord, self._sources.bodies(PhaseRecord, schema.PHASE_RECORDS))
        return tuple(sorted(records, key=lambda record: record.index))

    def anchor_records(self) -> tuple[AnchorRecord, ...]:
        """Every run of the anchor load, by segment."""
        records = self._facts(AnchorRecord, self._sources.bodies(AnchorRecord, schema.ANCHOR_RECORDS))
        return tuple(sorted(records, key=lambda record: record.segment))

    def baseline(self) -> BaselineRecord | Missing:
        """The baseline that the night went by: the last one, as a first anchor that was no good is made once more."""
        records = self._facts(BaselineRecord, self._sources.bodies(BaselineRecord, schema.BASELINE_RECORDS))
        if not records:
            return Missing(reason="no baseline was recorded")
        return max(records, key=lambda record: record.anchor_segment)

    def segments(self) -> tuple[SegmentRecord, ...]:
        """Every measured stretch of the night, by number."""
        records = self._facts(SegmentRecord, self._sources.columnar(SegmentRecord, schema.SEGMENTS))
        return tuple(sorted(records, key=lambda record: record.segment))

    def search_steps(self, segment: int) -> tuple[SearchStep, ...]:
        """Every rate that the search of one segment tried, in order."""
        steps = self._facts(SearchStep, self._sources.bodies(SearchStep, schema.SEARCH_STEPS, segment=segment))
        return tuple(sorted((one for one in steps if one.segment == segment), key=lambda record: record.step))

    def search_records(self) -> tuple[SearchRecord, ...]:
        """One record per search that was begun, by phase."""
        records = self._facts(SearchRecord, self._sources.bodies(SearchRecord, schema.SEARCH_RECORDS))
        return tuple(sorted(records, key=lambda record: record.phase))

    def drill_facts(self) -> tuple[DrillFact, ...]:
        """Every rehearsed stop, in the order of the night."""
        return tuple(self._facts(DrillFact, self._sources.run_facts(DrillFact, DRILL_KEY_PREFIX)))

    def end(self) -> CampaignEnd | Missing:
        """The last fact of the night; missing when the supervisor died."""
        for record in self._facts(CampaignEnd, self._sources.run_facts(CampaignEnd, END_KEY)):
            return record
        return Missing(reason="the campaign's end was not recorded")

    def recorder_facts(self) -> tuple[RecorderFacts, ...]:
        """What each life of the recorder said of itself at its end, by life; a life that was killed said nothing."""
        stored = self._sources.run_facts(RecorderFacts, RECORDER_KEY_PREFIX)
        records = _merged(stored, self._sources.spilled(RecorderFacts))
        return tuple(sorted(records, key=lambda record: record.life))

    def record_holes(self) -> tuple[RecordHole | LifeMissing, ...]:
        """Records that were numbered and are nowhere; none for a record of version 1, which numbered nothing.

        While a recorder is at work, or after its death, what it had not acknowledged yet is no hole: nobody knows of it.
        """
        ends = [
            RecordNumber(life=facts.life, producer=Producer.SUPERVISOR, sequence=facts.records_put)
            for facts in self.recorder_facts()
        ]
        return holes_in(self._sources.number_ranges(), ends=ends, lives=self._sources.lives())

    # Measurements: the database, and what it did not take --------------------------------------------------------------

    def load_seconds(self, segment: int) -> tuple[LoadSecond, ...]:
        """Seconds of one segment, in order."""
        stored = self._sources.columnar(LoadSecond, schema.LOAD_SECONDS, segment=segment)
        spilled = [record for record in self._sources.spilled(LoadSecond) if record.segment == segment]
        return tuple(sorted(_merged(stored, spilled), key=lambda record: record.second))

    def load_minutes(self, segment: int) -> tuple[LoadMinute, ...]:
        """Minutes of one segment per operation, in order."""
        stored = self._sources.columnar(LoadMinute, schema.LOAD_MINUTES, segment=segment)
        spilled = [record for record in self._sources.spilled(LoadMinute) if record.segment == segment]
        return tuple(sorted(_merged(stored, spilled), key=lambda record: (record.minute, record.operation)))

    def memory_seconds(self, segment: int) -> tuple[MemorySecond, ...]:
        """Seconds of the memory load of one segment, in order; ask for segments of phases that have one."""
        stored = self._sources.columnar(MemorySecond, schema.MEMORY_SECONDS, segment=segment)
        spilled = [record for record in self._sources.spilled(MemorySecond) if record.segment == segment]
        return tuple(sorted(_merged(stored, spilled), key=lambda record: record.second))

    def error_groups(self, segment: int) -> tuple[ErrorGroup, ...]:
        """Failures of one segment per minute, operation and kind."""
        stored = self._sources.columnar(ErrorGroup, schema.ERROR_GROUPS, segment=segment)
        spilled = [record for record in self._sources.spilled(ErrorGroup) if record.segment == segment]
        return tuple(
            sorted(_merged(stored, spilled), key=lambda record: (record.minute, record.operation, record.error.value))
        )

    def host_samples(self, from_mono_s: float = -math.inf, to_mono_s: float = math.inf) -> tuple[HostSample, ...]:
        """Host samples of from <= at_mono_s < to with all sensors: about 10 KiB each, so mind the span."""
        return self._host_samples(from_mono_s, to_mono_s, EverySensor())

    def host_samples_of(
        self, sensors: Iterable[str], from_mono_s: float = -math.inf, to_mono_s: float = math.inf
    ) -> tuple[HostSample, ...]:
        """The same with these sensors only, which makes a whole night small enough to hold."""
        return self._host_samples(from_mono_s, to_mono_s, frozenset(sensors))

    def events(self) -> tuple[EventRecord, ...]:
        """What happened, in order of time."""
        records = _merged(self._sources.columnar(EventRecord, schema.EVENTS), self._sources.spilled(EventRecord))
        return tuple(sorted(records, key=lambda record: record.at_mono_s))

    def guardian_events(self) -> tuple[GuardianEvent, ...]:
        """Every move of the ladder: what the guardian itself wrote, and what only the supervisor wrote."""
        moves = list(self._sources.guardian.moves)
        told = _merged(
            self._sources.columnar(GuardianEvent, schema.GUARDIAN_EVENTS), self._sources.spilled(GuardianEvent)
        )
        moves.extend(
            event for event in told if not any(_same_move(event, move) for move in self._sources.guardian.moves)
        )
        return tuple(sorted(moves, key=lambda move: move.at_mono_s))

    def load_ends(self) -> tuple[LoadEnded, ...]:
        """Each time the guardian took all load away, as it wrote it: how a night ended whose supervisor died."""
        return self._sources.guardian.load_ends

    def last_instant(self) -> Instant | Missing:
        """The newest moment that anything recorded: when a night without an end was last alive."""
        instants = [Instant(at_mono_s=entry.at_mono_s, at_utc_s=entry.at_utc_s) for entry in self.journal()]
        timed: list[EventRecord | GuardianEvent | HostSample | LoadSecond] = [
            *self.events(),
            *self._sources.guardian.moves,
            *self._sources.spilled(HostSample),
            *self._sources.spilled(LoadSecond),
        ]
        instants.extend(Instant(at_mono_s=record.at_mono_s, at_utc_s=record.at_utc_s) for record in timed)
        instants.extend(
            Instant(at_mono_s=row["at_mono_s"], at_utc_s=row["at_utc_s"]) for row in self._sources.last_host_rows()
        )
        if not instants:
            return Missing(reason="nothing was recorded")
        return max(instants, key=lambda instant: instant.at_utc_s)

    def _facts(self, record_type: type[R], stored: Iterable[R]) -> list[R]:
        facts = (entry for entry in self.journal() if entry.kind is JournalKind.FACT)
        journalled = self._sources.decoded(record_type, (one for one in facts if one.name == record_type.__name__))
        return _unique([*journalled, *stored, *self._sources.spilled(record_type)])

    def _host_samples(
        self, from_mono_s: float, to_mono_s: float, sensors: frozenset[str] | EverySensor
    ) -> tuple[HostSample, ...]:
        stored = self._sources.host_samples(from_mono_s, to_mono_s, sensors)
        spilled = [
            with_sensors(sample, sensors)
            for sample in self._sources.spilled(HostSample)
            if from_mono_s <= sample.at_mono_s < to_mono_s
        ]
        return tuple(sorted(_merged(stored, spilled), key=lambda sample: sample.at_mono_s))

    def _missing(self, reason: str) -> Missing:
        self._problems.add(reason)
        return Missing(reason=reason)


def _merged(stored: list[R], spilled: list[R]) -> list[R]:
    """What the database has, which is free of repetitions, and what it does not have."""
    return _unique([*stored, *spilled]) if spilled else stored


def _unique(records: Iterable[R]) -> list[R]:
    """Without repetitions; the first of each natural key wins."""
    unique: dict[tuple[object, ...], R] = {}
    for record in records:
        unique.setdefault(natural_key(record), record)
    return list(unique.values())


def _same_move(one: GuardianEvent, other: GuardianEvent) -> bool:
    return (
        one.rung is other.rung
        and one.share == other.share
        and one.why == other.why
        and abs(one.at_mono_s - other.at_mono_s) <= SAME_MOVE_S_MAX
    )
