"""Reads a run directory into Facts. The only place of this room that reads the record.

The reader never raises on bad data; what is missing becomes Absent, and its problems go into the report. Of the host's
samples only what the timeline draws is read, so that a long night stays small. Process: reporter (and the command line).
"""

from dataclasses import replace
from pathlib import Path

from baseline_metrics.samples import HostSample
from monitoring_logs.reader import Instant, Missing, RunReader
from monitoring_logs.records import (
    SCHEMA_VERSION,
    BaselineRecord,
    CampaignEnd,
    Meta,
    NightOrder,
    SegmentKind,
    SegmentRecord,
)
from monitoring_logs.search_records import search_name
from results_summary.facts import Absent, Facts, HostPoint, LastAlive, SearchFacts, SegmentFacts

CPU, MEMORY = "cpu_percent", "memory_percent"

ENDS_NAMED_MAX = 1
"""The guardian's last word is enough to say how a night without an end ended."""


def load_facts(run_dir: Path, *, partial: bool) -> Facts:
    """The whole record of a run directory. Never raises on bad data."""
    reader = RunReader(run_dir)
    try:
        return _read(reader, run_dir, partial=partial)
    finally:
        reader.close()


def _read(reader: RunReader, run_dir: Path, *, partial: bool) -> Facts:
    meta = _meta(reader)
    segments = tuple(
        SegmentFacts(
            record=segment,
            seconds=reader.load_seconds(segment.segment),
            minutes=reader.load_minutes(segment.segment),
            errors=reader.error_groups(segment.segment),
        )
        for segment in reader.segments()
    )
    baseline = reader.baseline()
    alive = reader.last_instant()
    facts = Facts(
        run_id=meta.order.run_id if isinstance(meta, Meta) else run_dir.resolve().name,
        partial=partial,
        meta=meta,
        baseline=baseline if isinstance(baseline, BaselineRecord) else Absent(reason=baseline.reason),
        phases=reader.phase_records(),
        anchors=reader.anchor_records(),
        segments=segments,
        host=tuple(_host_point(sample) for sample in reader.host_samples_of((CPU, MEMORY))),
        guardian=reader.guardian_events(),
        events=reader.events(),
        drills=reader.drill_facts(),
        end=_end(reader),
        last_alive=LastAlive(at_mono_s=alive.at_mono_s, at_utc_s=alive.at_utc_s)
        if isinstance(alive, Instant)
        else Absent(reason=alive.reason),
        problems=(),
        recorder=reader.recorder_facts(),
        holes=reader.record_holes(),
        searches=_searches(reader, tuple(item.record for item in segments), meta),
    )
    return _with_problems(facts, reader, run_dir)


def _with_problems(facts: Facts, reader: RunReader, run_dir: Path) -> Facts:
    """Paths in problems are told from the run directory, so that a moved run gives the same report."""
    places = {f"{run_dir}/", f"{run_dir.resolve()}/"}
    told = []
    for problem in reader.problems():
        words = problem
        for place in sorted(places, key=len, reverse=True):
            words = words.replace(place, "")
        told.append(words)
    return replace(facts, problems=tuple(told))


def _meta(reader: RunReader) -> Meta | Absent:
    """meta.json; when it is lost, the order and the host that the journal also holds."""
    meta = reader.meta()
    if isinstance(meta, Meta):
        return meta
    order, host = reader.order(), reader.host()
    if isinstance(order, NightOrder) and not isinstance(host, Missing):
        return Meta(schema_version=SCHEMA_VERSION, order=order, host=host, protections=())
    return Absent(reason=meta.reason)


def _searches(reader: RunReader, segments: tuple[SegmentRecord, ...], meta: Meta | Absent) -> tuple[SearchFacts, ...]:
    """Those that have a record, and those that a crash cut off: they have a segment of their own, named by their phase."""
    records = {record.segment: record for record in reader.search_records()}
    names = {item.segment: item.name for item in segments if item.kind is SegmentKind.SEARCH}
    orders = () if isinstance(meta, Absent) else meta.order.phases
    found = []
    for segment in sorted({*records, *names}):
        record = records.get(segment)
        named = next((order.index for order in orders if search_name(order.name) == names.get(segment, "")), -1)
        found.append(
            SearchFacts(
                segment=segment,
                phase=named if record is None else record.phase,
                steps=reader.search_steps(segment),
                record=Absent(reason="the search's end is not in the record") if record is None else record,
            )
        )
    return tuple(found)


def _end(reader: RunReader) -> CampaignEnd | Absent:
    end = reader.end()
    if isinstance(end, CampaignEnd):
        return end
    reason = end.reason
    for last in reader.load_ends()[-ENDS_NAMED_MAX:]:
        reason += f"; the guardian's last word: all load taken away ({last.cause.value}) {last.detail}".rstrip()
    return Absent(reason=reason)


def _host_point(sample: HostSample) -> HostPoint:
    return HostPoint(at_mono_s=sample.at_mono_s, cpu_percent=sample.reading(CPU), memory_percent=sample.reading(MEMORY))
