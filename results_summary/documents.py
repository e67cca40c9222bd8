"""The report's figures for machines: JSON documents with units in their keys and a schema.

``passed: true`` means passed, ``null`` means unknown or not judged. Additive changes keep SCHEMA_VERSION. What came from
outside is cleaned as in the page, so no consumer gets a terminal escape. Pure; the reporter writes them.
"""

import json
from datetime import UTC, datetime

from baseline_metrics.codec import Json
from baseline_metrics.health import KnownScore, Score, UnknownScore
from baseline_metrics.samples import Gap, Reading, Sample
from monitoring_logs.load_orders import SearchOrder
from monitoring_logs.records import Meta, PhaseOrder, PhaseRecord
from results_summary.assessment import Assessment
from results_summary.cleaning import clean
from results_summary.facts import Absent
from results_summary.findings import GateResult, Interval, State
from results_summary.generator import Invalid, Unknown, Valid, seconds_due, validity_of
from results_summary.latencies import Parted, latencies
from results_summary.load_words import asked_words, model_of
from results_summary.measures import SegmentMeasure, coverage_percent, response_figures
from results_summary.memory_documents import memory_achieved, memory_asked
from results_summary.phase_checks import phase_flow
from results_summary.search_documents import capacity_document, load_document, search_documents
from results_summary.shortfalls import shortfalls
from results_summary.verdict import exit_code
from results_summary.view import ReportView

SCHEMA_VERSION = "1.0"

_PASSED: dict[State, bool | None] = {
    State.PASS: True,
    State.FAIL: False,
    State.UNKNOWN: None,
    State.NOT_JUDGED: None,
}


def to_text(document: Json) -> str:
    """A document as a file: sorted keys, two spaces, one newline at the end."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n"


def campaign_document(assessment: Assessment, view: ReportView) -> Json:
    """autonomous_campaign_report.json: the whole report. Its schema lies in templates/report.schema.json."""
    facts, end, judgement = assessment.facts, assessment.end, assessment.judgement
    codes: dict[str, Json] = {"exit_code": None, "exit_code_strict": None}
    if not facts.partial:
        codes = {
            "exit_code": exit_code(judgement.verdict, end.cause, strict=False),
            "exit_code_strict": exit_code(judgement.verdict, end.cause, strict=True),
        }
    return {
        "schema_version": SCHEMA_VERSION,
        "partial": facts.partial,
        "campaign_info": _campaign_info(assessment),
        "verdict": {
            "status": None if facts.partial else judgement.verdict.name.lower(),
            "word": view.verdict.word,
            "marks": list(view.marks),
            "why": view.why,
            "decided_by": [clean(gate) for gate in judgement.decided_by] if not facts.partial else [],
        },
        "campaign_summary": _campaign_summary(assessment),
        "capacity": capacity_document(assessment.capacity),
        "gates": [_gate(result) for result in assessment.results],
        "phase_results": [phase_document(order, assessment) for order in _orders(assessment)],
        "searches": search_documents(assessment),
        "anchors": _anchors(assessment),
        "baseline": _baseline(assessment),
        "errors": [
            {
                "count": int(row.count.replace(",", "")),
                "where": row.where,
                "operation": row.operation,
                "kind": row.kind,
                "message": row.message,
            }
            for row in view.errors
        ],
        "guardian": _guardian(assessment),
        "shortfalls": [
            {
                "phase": short.phase + 1,
                "name": short.name,
                "kind": short.kind.value,
                "asked": short.asked,
                "achieved": short.achieved,
                "words": short.words,
            }
            for short in shortfalls(assessment)
        ],
        "unknowns": list(view.unknowns),
        "problems": list(view.problems),
        "environment": {row.name: row.value for row in view.environment},
        **codes,
    }


def baseline_document(assessment: Assessment) -> Json:
    """comprehensive_baseline_report.json."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": clean(assessment.facts.run_id),
        "baseline": _baseline(assessment),
    }


def phase_file_document(order: PhaseOrder, assessment: Assessment) -> Json:
    """phase_report_<n>_<phase>.json."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": clean(assessment.facts.run_id),
        "partial": assessment.facts.partial,
        "phase": phase_document(order, assessment),
        "gates": [_gate(result) for result in assessment.results if result.spec.phase == order.index],
    }


def phase_document(order: PhaseOrder, assessment: Assessment) -> Json:
    """One phase: what was asked, what was achieved, how it felt, how it ended, whether it passed."""
    state = next((phase.state for phase in assessment.phases if phase.index == order.index), State.NOT_JUDGED)
    record = assessment.facts.phase(order.index)
    document: dict[str, Json] = {
        "number": order.index + 1,
        "name": clean(order.name),
        "level": clean(order.level),
        "cut": clean(order.cut) or None,
        "passed": _PASSED[state],
        "asked": {
            "connections": order.connections,
            "operations_per_s": order.connections * order.operations_per_s,
            "operations_per_session": order.operations_per_session,
            "ramp_s": order.ramp_s,
            "hold_s": order.hold_s,
            "threshold_multiplier": order.threshold_multiplier,
            "required_health": order.required_health,
            "load_model": model_of(order),
            "words": asked_words(order),
            "ramp_curve": order.ramp_curve.value,
            "search": _search_asked(order),
            "memory": memory_asked(order),
        },
        "outcome": None,
        "reason": None,
        "achieved": None,
        "measured": None,
    }
    if isinstance(record, Absent):
        return document
    document |= {
        "outcome": record.outcome.value,
        "reason": clean(record.reason),
        "started_at": timestamp(record.start_utc_s),
        "ended_at": timestamp(record.end_utc_s),
        "health_at_arming": _score(record.health_at_arming),
        "eased_s": record.eased_s,
        "held_s": record.held_s,
        "achieved": {**load_document(record.load), "hold_s_planned": order.hold_s},
        "memory_achieved": memory_achieved(record),
    }
    segment = assessment.facts.segment(record.segment)
    if not isinstance(segment, Absent) and record.segment in assessment.measures:
        document["measured"] = {
            **_measured(assessment.measures[record.segment]),
            "coverage_percent": _reading(
                coverage_percent(segment, ramp_s=order.ramp_s, hold_s=record.load.hold_s_requested + record.held_s)
            ),
            "generator": _generator(order, record, assessment.measures[record.segment]),
            "instrument": _instrument(order, record, assessment.measures[record.segment]),
        }
    return document


def _search_asked(order: PhaseOrder) -> Json:
    match order.search:
        case SearchOrder() as search:
            return {
                "lasts_s": search.lasts_s,
                "step_s": search.step_s,
                "start_per_s": search.start_per_s,
                "per_s_max": search.per_s_max,
                "connections": search.connections,
            }
        case _:
            return None


def _generator(order: PhaseOrder, record: PhaseRecord, measure: SegmentMeasure) -> Json:
    match validity_of(measure.generator, seconds_due(order, record)):
        case Valid():
            return {"valid": True, "reason": ""}
        case Invalid(reason=reason):
            return {"valid": False, "reason": reason}
        case Unknown(reason=reason):
            return {"valid": None, "reason": reason}


def _instrument(order: PhaseOrder, record: PhaseRecord, measure: SegmentMeasure) -> Json:
    """Little's law: each minute in which operations in flight and rate times service time part."""
    check = phase_flow(order, record, measure)
    return {
        "latencies_trusted": check.trusted,
        "seconds_contradicting": check.seconds_contradicting,
        "seconds_unchecked": check.seconds_unchecked,
        "contradictions": [
            {
                "minute": found.minute + 1,
                "in_flight_mean": found.in_flight_mean,
                "rate_times_service": found.rate_times_service,
            }
            for found in check.contradictions
        ],
    }


def timestamp(at_utc_s: float) -> str:
    """RFC 3339, UTC, milliseconds."""
    return datetime.fromtimestamp(at_utc_s, UTC).isoformat(timespec="milliseconds")


def _orders(assessment: Assessment) -> tuple[PhaseOrder, ...]:
    meta = assessment.facts.meta
    return () if isinstance(meta, Absent) else meta.order.phases


def _campaign_info(assessment: Assessment) -> Json:
    end, meta = assessment.end, assessment.facts.meta
    info: dict[str, Json] = {
        "run_id": clean(assessment.facts.run_id),
        "ended_at": None if assessment.facts.partial else timestamp(end.ended_utc_s),
        "end_cause": None if assessment.facts.partial else end.cause.value,
        "end_detail": clean(end.detail),
        "end_recorded": assessment.end_recorded,
        "stop_s": end.stop_seconds if end.stop_seconds >= 0 else None,
        "processes_left": list(end.quiet.processes_left) if assessment.end_recorded else None,
        "quiet_certificate": [
            {"name": clean(check.name), "state": check.state.value, "detail": clean(check.detail)}
            for check in end.quiet.certificate
        ],
    }
    if isinstance(meta, Meta):
        order = meta.order
        info |= {
            "name": clean(order.name),
            "zone": clean(order.zone),
            "started_at": timestamp(order.planned_start_utc_s),
            "window_ends_at": timestamp(order.window_end_utc_s),
            "planned_s": order.compressed_to_s or order.window_s,
            "rehearsal": order.rehearsal,
            "seed": order.seed,
            "plan_sha256": clean(order.plan_sha256),
            "gates_sha256": clean(order.gates_sha256),
            "targets": [clean(target) for target in order.targets],
        }
    return info


def _campaign_summary(assessment: Assessment) -> Json:
    records = assessment.facts.phases
    states = [phase.state for phase in assessment.phases]
    started = sum(record.load.operations_started for record in records)
    succeeded = sum(record.load.operations_succeeded for record in records)
    return {
        "phases_planned": len(states),
        "phases_passed": states.count(State.PASS),
        "phases_failed": states.count(State.FAIL),
        "phases_undecided": states.count(State.UNKNOWN),
        "operations_started": started,
        "operations_succeeded": succeeded,
        "operations_failed": sum(record.load.operations_failed for record in records),
        "operations_abandoned": sum(record.load.operations_abandoned for record in records),
        "success_percent": 100.0 * succeeded / started if started else None,
    }


def _gate(result: GateResult) -> Json:
    interval: Json = None
    if isinstance(result.interval, Interval):
        interval = [result.interval.low, result.interval.high]
    return {
        "id": clean(result.spec.gate),
        "kind": result.spec.kind.value,
        "phase": result.spec.phase + 1 if result.spec.phase >= 0 else None,
        "rule": clean(result.spec.rule),
        "unit": result.unit.value,
        "observed": _reading(result.observed),
        "interval_95": interval,
        "threshold": result.spec.threshold,
        "state": result.state.value,
        "passed": _PASSED[result.state],
        "detail": clean(result.detail),
    }


def _anchors(assessment: Assessment) -> Json:
    documents: list[Json] = []
    for anchor in assessment.facts.anchors:
        document: dict[str, Json] = {
            "started_at": timestamp(anchor.start_utc_s),
            "before_phase": anchor.before_phase + 1 if anchor.before_phase >= 0 else None,
            "complete": anchor.complete,
            "reason": clean(anchor.reason),
            "achieved": load_document(anchor.load),
            "health": _score(anchor.health.score),
            "measured": None,
        }
        if anchor.segment in assessment.measures:
            document["measured"] = _measured(assessment.measures[anchor.segment])
        documents.append(document)
    return documents


def _baseline(assessment: Assessment) -> Json:
    baseline = assessment.facts.baseline
    if isinstance(baseline, Absent):
        return None
    return {
        "health": _score(baseline.health.score),
        "parts": [
            {
                "name": clean(part.name),
                "score": _score(part.score),
                "weight_percent": part.weight,
                "detail": clean(part.detail),
            }
            for part in baseline.health.parts
        ],
        "host_means": {clean(name): value for name, value in baseline.host_means.items()},
        "noise_cv": {clean(name): value for name, value in baseline.noise_cv.items()},
        "gaps": {clean(name): clean(value) for name, value in baseline.gaps.items()},
        "response_s_mean": _reading(baseline.response_s_mean),
        "success_percent": _reading(baseline.success_percent),
        "phases_allowed": baseline.phases_allowed,
    }


def _guardian(assessment: Assessment) -> Json:
    facts = assessment.facts
    return {
        "moves": [
            {
                "at": timestamp(move.at_utc_s),
                "rung": move.rung.name.lower(),
                "permitted_share": move.share,
                "why": clean(move.why),
            }
            for move in facts.guardian
        ],
        "drills": [
            {
                "path": drill.path.value,
                "took_s": drill.seconds,
                "allowed_s": drill.seconds_max,
                "passed": drill.passed,
                "detail": clean(drill.detail),
            }
            for drill in facts.drills
        ],
    }


def _measured(measure: SegmentMeasure) -> dict[str, Json]:
    known = measure.fuller
    figures = response_figures(known.response)
    service = response_figures(measure.service)
    return {
        "operations_succeeded": known.succeeded,
        "operations_failed": known.failed,
        "response_s_mean": _reading(figures.mean_s),
        "response_s_p50": _reading(figures.p50_s),
        "response_s_p95": _reading(figures.p95_s),
        "response_s_p99": _reading(figures.p99_s),
        "response_s_max": _reading(figures.max_s),
        "service_s_mean": _reading(service.mean_s),
        "service_s_p50": _reading(service.p50_s),
        "service_s_p95": _reading(service.p95_s),
        "service_s_p99": _reading(service.p99_s),
        "service_s_max": _reading(service.max_s),
        "latencies_part": isinstance(latencies(measure), Parted),
    }


def _reading(reading: Reading) -> Json:
    match reading:
        case Sample(value=value):
            return value
        case Gap():
            return None


def _score(score: Score) -> Json:
    match score:
        case KnownScore(value=value):
            return value
        case UnknownScore():
            return None
