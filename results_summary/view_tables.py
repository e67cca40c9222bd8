"""The tables of the report, row by row, from an assessment.

Everything that came from outside passes through ``clean`` here. Pure; viewing puts the tables on the page.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import assert_never
from zoneinfo import ZoneInfo

from baseline_metrics.health import KnownScore, UnknownScore
from baseline_metrics.samples import Gap, Sample
from baseline_metrics.units import format_duration
from monitoring_logs.records import AnchorRecord, GateSpec, PhaseOrder, QuietState, SegmentKind
from results_summary import wording
from results_summary.assessment import Assessment
from results_summary.cleaning import NAME_CHARACTERS_MAX, clean
from results_summary.facts import Absent, SegmentFacts
from results_summary.findings import GateResult, Interval, NoInterval, State
from results_summary.load_words import asked_words
from results_summary.measures import coverage_percent, response_figures
from results_summary.phase_notes import memory_words, phase_notes, service_words
from results_summary.view import (
    AnchorRow,
    Badge,
    DrillRow,
    ErrorRow,
    GateRow,
    MoveRow,
    NamedValue,
    PartRow,
    PhaseRow,
    ProtectionRow,
    QuietRow,
    Tone,
)
from safety_monitoring.limits import Rung
from stress_scenarios.histogram import Histogram

ERROR_ROWS_MAX = 50
"""Different errors shown; a report with every one of them has grown to gigabytes elsewhere."""

MOVE_ROWS_MAX = 100
"""Moves of the guardian shown; the first ones say why, the count says how often."""

DASH = "-"

_NOTHING = Histogram()


def state_badge(state: State) -> Badge:
    """The word of an answer in its colour."""
    match state:
        case State.PASS:
            return Badge(word="PASS", tone=Tone.GOOD)
        case State.FAIL:
            return Badge(word="FAIL", tone=Tone.BAD)
        case State.UNKNOWN:
            return Badge(word="UNKNOWN", tone=Tone.OPEN)
        case State.NOT_JUDGED:
            return Badge(word="NOT JUDGED", tone=Tone.PLAIN)
    assert_never(state)


def gate_rows(assessment: Assessment) -> tuple[GateRow, ...]:
    """Every gate, in the order in which they were fixed."""
    return tuple(_gate_row(result, assessment) for result in assessment.results)


def phase_rows(assessment: Assessment) -> tuple[PhaseRow, ...]:
    """Every phase of the plan, cut ones as well."""
    meta = assessment.facts.meta
    return () if isinstance(meta, Absent) else tuple(_phase_row(order, assessment) for order in meta.order.phases)


def anchor_rows(assessment: Assessment, zone: ZoneInfo) -> tuple[AnchorRow, ...]:
    """Every run of the anchor load; the change is against the first that has a mean."""
    means = [_anchor_mean(anchor, assessment) for anchor in assessment.facts.anchors]
    first = next((mean.value for mean in means if isinstance(mean, Sample)), 0.0)
    rows = []
    for anchor, mean in zip(assessment.facts.anchors, means, strict=True):
        change = DASH
        if isinstance(mean, Sample) and first > 0:
            change = f"{100.0 * (mean.value / first - 1.0):+.1f} %"
        rows.append(_anchor_row(anchor, assessment, zone, change))
    return tuple(rows)


def error_rows(assessment: Assessment) -> tuple[ErrorRow, ...]:
    """The most frequent failures of the whole night, most frequent first."""
    facts = assessment.facts
    operations = () if isinstance(facts.meta, Absent) else facts.meta.order.operations
    counts: dict[tuple[str, int, str, str], int] = {}
    for segment in facts.segments:
        for group in segment.errors:
            key = (_where(segment), group.operation, group.error.value, clean(group.message))
            counts[key] = counts.get(key, 0) + group.count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:ERROR_ROWS_MAX]
    return tuple(
        ErrorRow(
            count=wording.count(number),
            where=where,
            operation=_operation_name(operations, operation),
            kind=kind,
            message=message or DASH,
        )
        for (where, operation, kind, message), number in ordered
    )


def move_rows(assessment: Assessment, zone: ZoneInfo) -> tuple[MoveRow, ...]:
    """The guardian's first moves."""
    return tuple(
        MoveRow(
            at=local_time(move.at_utc_s, zone),
            rung=_rung_badge(move.rung),
            share=f"{100 * move.share:.0f} %",
            why=clean(move.why) or DASH,
        )
        for move in assessment.facts.guardian[:MOVE_ROWS_MAX]
    )


def drill_rows(assessment: Assessment) -> tuple[DrillRow, ...]:
    """The rehearsed stop paths."""
    return tuple(
        DrillRow(
            path=drill.path.value.replace("_", " "),
            took=wording.seconds(drill.seconds),
            allowed=wording.seconds(drill.seconds_max),
            state=state_badge(State.PASS if drill.passed else State.FAIL),
            detail=clean(drill.detail) or DASH,
        )
        for drill in assessment.facts.drills
    )


_QUIET = {
    QuietState.CLEAN: Badge(word="clean", tone=Tone.GOOD),
    QuietState.LEFT: Badge(word="left", tone=Tone.BAD),
    QuietState.UNKNOWN: Badge(word="unknown", tone=Tone.OPEN),
}


def quiet_rows(assessment: Assessment) -> tuple[QuietRow, ...]:
    """What was looked for after the end, each with its answer."""
    return tuple(
        QuietRow(name=clean(check.name), state=_QUIET[check.state], detail=clean(check.detail))
        for check in assessment.end.quiet.certificate
    )


def protection_rows(assessment: Assessment) -> tuple[ProtectionRow, ...]:
    """What protected this night, and what this host does not allow."""
    meta = assessment.facts.meta
    if isinstance(meta, Absent):
        return ()
    return tuple(
        ProtectionRow(
            name=clean(protection.name),
            state=Badge(word="works", tone=Tone.GOOD) if protection.works else Badge(word="missing", tone=Tone.WARN),
            detail=clean(protection.detail) or DASH,
        )
        for protection in meta.protections
    )


def baseline_part_rows(assessment: Assessment) -> tuple[PartRow, ...]:
    """The parts of the baseline's health, unknown ones with their reason."""
    baseline = assessment.facts.baseline
    if isinstance(baseline, Absent):
        return ()
    rows = []
    for part in baseline.health.parts:
        match part.score:
            case KnownScore():
                detail = part.detail
            case UnknownScore(reason=reason):
                detail = f"{part.detail}; {reason}" if part.detail else reason
        rows.append(
            PartRow(
                name=clean(part.name),
                score=wording.score(part.score),
                weight=f"{part.weight:g} %",
                detail=clean(detail),
            )
        )
    return tuple(rows)


def baseline_facts(assessment: Assessment) -> tuple[NamedValue, ...]:
    """Means and noise of the idle host, and what no sensor could tell."""
    baseline = assessment.facts.baseline
    if isinstance(baseline, Absent):
        return (NamedValue(name="baseline", value=clean(baseline.reason)),)
    rows = [
        NamedValue(name="anchor response, mean", value=wording.reading_seconds(baseline.response_s_mean)),
        NamedValue(name="anchor success", value=wording.reading_percent(baseline.success_percent)),
        NamedValue(name="phases allowed by health", value=str(baseline.phases_allowed)),
    ]
    for sensor, mean in sorted(baseline.host_means.items()):
        noise = baseline.noise_cv.get(sensor)
        spread = "" if noise is None else f", varies by {100 * noise:.0f} %"
        rows.append(NamedValue(name=clean(sensor), value=f"{mean:{',.0f' if abs(mean) >= 10_000 else ',.4g'}}{spread}"))
    rows.extend(
        NamedValue(name=clean(sensor), value=f"unknown: {clean(reason)}")
        for sensor, reason in sorted(baseline.gaps.items())
    )
    return tuple(rows)


def local_time(at_utc_s: float, zone: ZoneInfo) -> str:
    """Time of day in the plan's zone, to the second."""
    return f"{datetime.fromtimestamp(at_utc_s, UTC).astimezone(zone):%H:%M:%S}"


def _gate_row(result: GateResult, assessment: Assessment) -> GateRow:
    match result.interval:
        case Interval(low=low, high=high):
            interval = f"{wording.in_unit(low, result.unit)} to {wording.in_unit(high, result.unit)}"
        case NoInterval():
            interval = DASH
    return GateRow(
        where=_gate_where(result.spec, assessment),
        rule=clean(result.spec.rule),
        observed=wording.reading_in_unit(result.observed, result.unit),
        interval=interval,
        state=state_badge(result.state),
        detail=clean(result.detail) or DASH,
    )


def _gate_where(spec: GateSpec, assessment: Assessment) -> str:
    if spec.phase < 0:
        return "campaign"
    name = next((phase.name for phase in assessment.phases if phase.index == spec.phase), "")
    return f"{spec.phase + 1} {clean(name, characters_max=NAME_CHARACTERS_MAX)}".strip()


def _name(order: PhaseOrder) -> str:
    return clean(order.name, characters_max=NAME_CHARACTERS_MAX) or DASH


def _phase_row(order: PhaseOrder, assessment: Assessment) -> PhaseRow:
    record = assessment.facts.phase(order.index)
    state = next((phase.state for phase in assessment.phases if phase.index == order.index), State.NOT_JUDGED)
    asked = asked_words(order)
    planned = format_duration(order.hold_s)
    if isinstance(record, Absent):
        return _empty_row(order, asked, planned, state)
    load = record.load
    segment = assessment.facts.segment(record.segment)
    measured = None if isinstance(segment, Absent) else assessment.measures.get(record.segment)
    if measured is None or isinstance(segment, Absent):
        row = _empty_row(order, asked, planned, state)
        reason, held = clean(record.reason) or DASH, memory_words(record)
        return replace(row, outcome=record.outcome.value, reason=reason, memory=held)
    known = measured.fuller
    figures = response_figures(known.response)
    return PhaseRow(
        number=order.index + 1,
        name=_name(order),
        level=clean(order.level, characters_max=NAME_CHARACTERS_MAX),
        asked=asked,
        achieved=f"{wording.count(load.operations_started)} of {wording.count(load.operations_requested)}",
        held=f"{format_duration(load.hold_s_achieved)} of {planned}",
        success=wording.percent(100.0 * known.succeeded / known.completed) if known.completed else wording.UNKNOWN,
        mean=wording.reading_seconds(figures.mean_s),
        p50=wording.reading_seconds(figures.p50_s),
        p95=_tail(figures.p95_s),
        p99=_tail(figures.p99_s),
        service=service_words(measured) or DASH,
        errors=wording.count(known.failed + load.operations_abandoned),
        coverage=wording.reading_percent(
            coverage_percent(segment, ramp_s=order.ramp_s, hold_s=load.hold_s_requested + record.held_s)
        ),
        outcome=record.outcome.value,
        reason=clean(record.reason) or DASH,
        notes=phase_notes(record),
        memory=memory_words(record),
        state=state_badge(state),
    )


def _empty_row(order: PhaseOrder, asked: str, planned: str, state: State) -> PhaseRow:
    return PhaseRow(
        number=order.index + 1,
        name=_name(order),
        level=clean(order.level, characters_max=NAME_CHARACTERS_MAX),
        asked=asked,
        achieved=DASH,
        held=f"{DASH} of {planned}",
        success=DASH,
        mean=DASH,
        p50=DASH,
        p95=DASH,
        p99=DASH,
        service=DASH,
        errors=DASH,
        coverage=DASH,
        outcome="CUT" if order.cut else "no record",
        reason=clean(order.cut) or DASH,
        notes=(),
        state=Badge(word="CUT", tone=Tone.PLAIN) if order.cut else state_badge(state),
    )


def _tail(reading: Sample | Gap) -> str:
    match reading:
        case Sample(value=value):
            return wording.seconds(value)
        case Gap():
            return "too few"


def _anchor_mean(anchor: AnchorRecord, assessment: Assessment) -> Sample | Gap:
    measured = assessment.measures.get(anchor.segment)
    return (_NOTHING if measured is None else measured.fuller.response).mean_s


def _anchor_row(anchor: AnchorRecord, assessment: Assessment, zone: ZoneInfo, change: str) -> AnchorRow:
    measured = assessment.measures.get(anchor.segment)
    response = _NOTHING if measured is None else measured.fuller.response
    figures = response_figures(response)
    completed = 0 if measured is None else measured.fuller.completed
    succeeded = 0 if measured is None else measured.fuller.succeeded
    return AnchorRow(
        at=local_time(anchor.start_utc_s, zone),
        before="the end" if anchor.before_phase < 0 else f"phase {anchor.before_phase + 1}",
        operations=f"{wording.count(anchor.load.operations_started)} of {wording.count(anchor.load.operations_requested)}",
        success=wording.percent(100.0 * succeeded / completed) if completed else wording.UNKNOWN,
        mean=wording.reading_seconds(figures.mean_s),
        change=change,
        p99=_tail(figures.p99_s),
        health=wording.score(anchor.health.score),
        note=DASH if anchor.complete else f"not complete: {clean(anchor.reason)}",
    )


def _where(segment: SegmentFacts) -> str:
    if segment.record.kind is SegmentKind.ANCHOR:
        return "anchors"
    if segment.record.kind is SegmentKind.SEARCH:
        return f"search in {clean(segment.record.name, characters_max=NAME_CHARACTERS_MAX)}"
    return clean(segment.record.name, characters_max=NAME_CHARACTERS_MAX) or segment.record.kind.value


def _operation_name(operations: tuple[str, ...], operation: int) -> str:
    if 0 <= operation < len(operations):
        return clean(operations[operation], characters_max=NAME_CHARACTERS_MAX)
    return f"operation {operation}"


def _rung_badge(rung: Rung) -> Badge:
    match rung:
        case Rung.CLEAR:
            return Badge(word="clear", tone=Tone.GOOD)
        case Rung.EASE:
            return Badge(word="ease", tone=Tone.WARN)
        case Rung.PAUSE:
            return Badge(word="pause", tone=Tone.WARN)
        case Rung.STOP_PHASE:
            return Badge(word="stop phase", tone=Tone.BAD)
        case Rung.STOP_CAMPAIGN:
            return Badge(word="stop campaign", tone=Tone.BAD)
    assert_never(rung)
