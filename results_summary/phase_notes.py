"""What else is to be said about a phase's load, beside its row: pauses, drops, reconnections, messages, the two latencies.

Pure; view_tables and viewing use it.
"""

from collections.abc import Iterator
from typing import assert_never

from baseline_metrics.units import format_bytes, format_duration
from monitoring_logs.memory_records import MemoryFacts, NoMemoryHeld
from monitoring_logs.records import PhaseOrder, PhaseRecord
from results_summary import wording
from results_summary.assessment import Assessment
from results_summary.cleaning import NAME_CHARACTERS_MAX, clean
from results_summary.facts import Absent
from results_summary.latencies import Parted, latencies
from results_summary.measures import SegmentMeasure
from results_summary.memory_held import memory_note
from results_summary.phase_checks import phase_flow


def phase_notes(record: PhaseRecord) -> tuple[str, ...]:
    """Only what happened; each a few words."""
    load = record.load
    notes = []
    if isinstance(record.memory, MemoryFacts):
        notes.append(clean(memory_note(record.memory)))
    if record.held_s > 0:
        notes.append(f"paused by a person for {format_duration(record.held_s)}")
    if load.operations_dropped:
        notes.append(f"{wording.count(load.operations_dropped)} arrivals dropped")
    if load.reconnects:
        notes.append(f"{wording.plural(load.reconnects, 'reconnection')}")
    if load.redirects:
        notes.append(f"{wording.plural(load.redirects, 'redirect')}")
    if load.messages_sent or load.messages_received:
        sent, received = wording.count(load.messages_sent), wording.count(load.messages_received)
        notes.append(f"WebSocket: {sent} messages sent, {received} received")
    return tuple(notes)


def memory_words(record: PhaseRecord) -> str:
    """Held of asked memory at most, "" for a phase that holds none."""
    match record.memory:
        case MemoryFacts(peak_bytes=peak, size_bytes=size):
            return f"{format_bytes(peak)} of {format_bytes(size)}"
        case NoMemoryHeld():
            return ""
    assert_never(record.memory)


def service_words(measure: SegmentMeasure) -> str:
    """p99 from the actual start where it parts from the p99 that users felt, else ""."""
    found = latencies(measure)
    return wording.seconds(found.service_s_p99) if isinstance(found, Parted) else ""


def latency_sentences(assessment: Assessment) -> tuple[str, ...]:
    """One for each phase in which the two latencies part."""
    return tuple(
        f"{name}: {found.words}."
        for name, found in ((_name(order), latencies(measure)) for order, _, measure in _measured(assessment))
        if isinstance(found, Parted)
    )


def contradiction_sentences(assessment: Assessment) -> tuple[str, ...]:
    """One for each phase in which the instrument contradicts itself."""
    sentences = []
    for order, record, measure in _measured(assessment):
        check = phase_flow(order, record, measure)
        if check.contradictions:
            effect = "few seconds are touched" if check.trusted else "its response times decide nothing"
            sentences.append(f"{_name(order)}: {check.words}; {effect}.")
    return tuple(sentences)


def _measured(assessment: Assessment) -> Iterator[tuple[PhaseOrder, PhaseRecord, SegmentMeasure]]:
    meta = assessment.facts.meta
    for order in () if isinstance(meta, Absent) else meta.order.phases:
        record = assessment.facts.phase(order.index)
        if not isinstance(record, Absent) and record.segment in assessment.measures:
            yield order, record, assessment.measures[record.segment]


def _name(order: PhaseOrder) -> str:
    return clean(order.name, characters_max=NAME_CHARACTERS_MAX) or "-"
