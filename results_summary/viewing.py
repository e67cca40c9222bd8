"""From an assessment to the page: the words above the fold, and the tables below it.

Every decision about what to say and how to write a number is made here or in view_tables, so that all formats agree.
Pure; the reporter renders the result.
"""

from datetime import UTC, datetime
from typing import assert_never
from zoneinfo import ZoneInfo

from baseline_metrics.health import KnownScore, UnknownScore
from baseline_metrics.units import format_bytes, format_duration
from monitoring_logs.records import CampaignEnd, EndCause, Meta, Outcome, QuietState
from results_summary import wording
from results_summary.assessment import Assessment
from results_summary.capacity_view import capacity_tile
from results_summary.charts import timeline_svg, zone_of
from results_summary.cleaning import clean
from results_summary.facts import Absent
from results_summary.findings import State
from results_summary.limits_of_knowledge import what_it_cannot_say
from results_summary.phase_notes import contradiction_sentences, latency_sentences
from results_summary.record_words import recorder_rows
from results_summary.search_view import search_views
from results_summary.shortfalls import shortfalls
from results_summary.timeline import timeline
from results_summary.verdict import Verdict, exit_code
from results_summary.view import Badge, NamedValue, ReportView, Tile, Tone
from results_summary.view_tables import (
    anchor_rows,
    baseline_facts,
    baseline_part_rows,
    drill_rows,
    error_rows,
    gate_rows,
    move_rows,
    phase_rows,
    protection_rows,
    quiet_rows,
)
from safety_monitoring.limits import Rung

PROBLEMS_MAX = 20
"""Problems of reading that are listed; a broken record would list one per line."""

WHY_CHARACTERS_MAX = 420
"""The reason must be read in one breath; details are in the table of gates."""

PARTIAL_WORD = "PARTIAL"


def view(assessment: Assessment) -> ReportView:
    """The page of this assessment."""
    facts = assessment.facts
    meta = facts.meta
    zone = zone_of("UTC" if isinstance(meta, Absent) else meta.order.zone)
    badge = _verdict_badge(assessment)
    night = timeline(assessment)
    errors = error_rows(assessment)
    name = facts.run_id if isinstance(meta, Absent) else meta.order.name
    marks = _marks(assessment)
    return ReportView(
        title=f"{' '.join((badge.word, *marks))} - {clean(name)}",
        run_id=clean(facts.run_id),
        name=clean(name),
        verdict=badge,
        marks=marks,
        why=_why(assessment),
        night=_night_words(assessment, zone),
        ended=_ended_words(assessment, zone),
        tiles=(capacity_tile(assessment), _operations_tile(assessment), _safety_tile(assessment)),
        timeline_svg="" if isinstance(night, Absent) else timeline_svg(night, zone),
        timeline_words=clean(night.reason) if isinstance(night, Absent) else "",
        gates=gate_rows(assessment),
        gates_words=_gates_words(assessment),
        phases=phase_rows(assessment),
        latencies=latency_sentences(assessment),
        contradictions=contradiction_sentences(assessment),
        searches=search_views(assessment),
        shortfalls=tuple(short.sentence for short in shortfalls(assessment)),
        anchors=anchor_rows(assessment, zone),
        anchors_words=_anchors_words(assessment),
        baseline_score=_baseline_words(assessment),
        baseline_parts=baseline_part_rows(assessment),
        baseline_facts=baseline_facts(assessment),
        errors=errors,
        errors_words=_errors_words(assessment, len(errors)),
        moves=move_rows(assessment, zone),
        moves_words=_moves_words(assessment),
        drills=drill_rows(assessment),
        quiet=quiet_rows(assessment),
        drills_words=_drills_words(assessment),
        protections=protection_rows(assessment),
        unknowns=tuple(clean(words) for words in what_it_cannot_say(assessment)),
        problems=tuple(clean(problem) for problem in facts.problems[:PROBLEMS_MAX]),
        environment=_environment(assessment),
        exit_words=_exit_words(assessment),
    )


def _verdict_badge(assessment: Assessment) -> Badge:
    if assessment.facts.partial:
        return Badge(word=PARTIAL_WORD, tone=Tone.OPEN)
    verdict = assessment.judgement.verdict
    match verdict:
        case Verdict.FIT:
            tone = Tone.GOOD
        case Verdict.FIT_WITH_LIMITS:
            tone = Tone.WARN
        case Verdict.NOT_FIT:
            tone = Tone.BAD
        case Verdict.INCONCLUSIVE:
            tone = Tone.OPEN
        case _:
            assert_never(verdict)
    return Badge(word=verdict.value, tone=tone)


def _marks(assessment: Assessment) -> tuple[str, ...]:
    meta = assessment.facts.meta
    return ("REHEARSAL",) if isinstance(meta, Meta) and meta.order.rehearsal else ()


def _why(assessment: Assessment) -> str:
    if assessment.facts.partial:
        recorded = len(assessment.facts.phases)
        return f"The night still goes on: {recorded} of {len(assessment.phases)} phases are recorded; there is no verdict yet."
    return clean(assessment.judgement.why, characters_max=WHY_CHARACTERS_MAX)


def _night_words(assessment: Assessment, zone: ZoneInfo) -> str:
    end, meta = assessment.end, assessment.facts.meta
    until = datetime.fromtimestamp(end.ended_utc_s, UTC).astimezone(zone)
    if isinstance(meta, Absent):
        return f"until {until:%Y-%m-%d %H:%M} {wording.zone(zone.key, until.tzname() or zone.key)}"
    start = datetime.fromtimestamp(meta.order.planned_start_utc_s, UTC).astimezone(zone)
    lasted_s = max(0.0, end.ended_utc_s - meta.order.planned_start_utc_s)
    pattern = "%H:%M" if start.date() == until.date() else "%Y-%m-%d %H:%M"
    planned = meta.order.compressed_to_s or meta.order.window_s
    return (
        f"{start:%Y-%m-%d %H:%M} to {until:{pattern}} {wording.zone(zone.key, until.tzname() or zone.key)}, "
        f"{format_duration(lasted_s)} of {format_duration(planned)}"
    )


def _ended_words(assessment: Assessment, zone: ZoneInfo) -> str:
    if assessment.facts.partial:
        return "running"
    words = _cause_words(assessment.end.cause)
    at = f"{datetime.fromtimestamp(assessment.end.ended_utc_s, UTC).astimezone(zone):%H:%M}"
    detail = clean(assessment.end.detail)
    return f"{words} at {at}" + (f": {detail}" if detail else "")


def _cause_words(cause: EndCause) -> str:
    match cause:
        case EndCause.FINISHED:
            return "finished"
        case EndCause.HEALTH_REFUSED:
            return "refused by the baseline's health"
        case EndCause.FAILURES:
            return "halted after failures"
        case EndCause.OPERATOR_STOP:
            return "stopped by a person"
        case EndCause.EMERGENCY_STOP:
            return "emergency stop"
        case EndCause.GUARDIAN_STOP:
            return "stopped by the guardian"
        case EndCause.DRILL_MISSED:
            return "refused: a stop drill was missed"
        case EndCause.GUARDIAN_LOST:
            return "the guardian was lost"
        case EndCause.SUPERVISOR_LOST:
            return "the supervisor was lost"
        case EndCause.RUNNER_FAULT:
            return "our own fault"
    assert_never(cause)


def _operations_tile(assessment: Assessment) -> Tile:
    records = assessment.facts.phases
    started = sum(record.load.operations_started for record in records)
    succeeded = sum(record.load.operations_succeeded for record in records)
    passed = sum(1 for phase in assessment.phases if phase.state is State.PASS)
    lines = [
        f"{wording.count(succeeded)} of {wording.count(started)} succeeded",
        f"{passed} of {len(assessment.phases)} phases passed",
    ]
    if not started:
        return Tile(label="Operations", value="none", lines=tuple(lines), tone=Tone.OPEN)
    failing = any(phase.state is State.FAIL for phase in assessment.phases)
    return Tile(
        label="Operations",
        value=wording.percent(100.0 * succeeded / started),
        lines=tuple(lines),
        tone=Tone.WARN if failing else Tone.GOOD,
    )


def _safety_tile(assessment: Assessment) -> Tile:
    stops, eased = _stop_count(assessment), _ease_count(assessment)
    quiet = _quiet_words(assessment)
    if assessment.facts.partial:
        return Tile(
            label="Safety",
            value=wording.plural(stops, "stop"),
            lines=(f"{eased} times eased or paused",),
            tone=Tone.OPEN,
        )
    tone = Tone.BAD if stops or _left(assessment.end) else Tone.GOOD
    if not assessment.end_recorded:
        tone = Tone.OPEN
    return Tile(
        label="Guardian and quiet",
        value=wording.plural(stops, "stop"),
        lines=(f"{wording.plural(eased, 'time')} eased or paused", quiet),
        tone=tone,
    )


def _stop_count(assessment: Assessment) -> int:
    moves = sum(1 for move in assessment.facts.guardian if move.rung in {Rung.STOP_PHASE, Rung.STOP_CAMPAIGN})
    phases = sum(1 for record in assessment.facts.phases if record.outcome is Outcome.SAFETY_STOP)
    return max(moves, phases, int(assessment.end.cause is EndCause.GUARDIAN_STOP))


def _ease_count(assessment: Assessment) -> int:
    return sum(1 for move in assessment.facts.guardian if move.rung in {Rung.EASE, Rung.PAUSE})


def _left(end: CampaignEnd) -> list[str]:
    """Names of what the certificate found left; older records know of processes alone."""
    found = [clean(check.name) for check in end.quiet.certificate if check.state is QuietState.LEFT]
    return found or (["processes"] if end.quiet.processes_left else [])


def _quiet_words(assessment: Assessment) -> str:
    end: CampaignEnd = assessment.end
    if not assessment.end_recorded or not end.quiet.checks:
        return "quiet afterwards: not verified"
    if end.quiet.processes_left:
        return f"{wording.plural(len(end.quiet.processes_left), 'process')} left running"
    if left := _left(end):
        return f"left behind: {', '.join(left)}"
    words = f"nothing left, verified in {wording.seconds(end.quiet.seconds)}"
    if unknown := [check.name for check in end.quiet.certificate if check.state is QuietState.UNKNOWN]:
        words = f"nothing found left, not known of {', '.join(map(clean, unknown))}"
    if end.stop_seconds >= 0:
        words = f"load gone {wording.seconds(end.stop_seconds)} after the stop; {words}"
    return words


def _gates_words(assessment: Assessment) -> str:
    counts = {state: sum(1 for result in assessment.results if result.state is state) for state in State}
    return ", ".join(
        (
            f"{counts[State.PASS]} pass",
            f"{counts[State.FAIL]} fail",
            f"{counts[State.UNKNOWN]} unknown",
            f"{counts[State.NOT_JUDGED]} not judged",
        )
    )


def _anchors_words(assessment: Assessment) -> str:
    means = []
    for anchor in assessment.facts.anchors:
        measured = assessment.measures.get(anchor.segment)
        if measured is not None and measured.fuller.succeeded:
            means.append(wording.reading_seconds(measured.fuller.response.mean_s))
    if len(means) < 2:
        return f"{wording.plural(len(assessment.facts.anchors), 'anchor')}, no comparison"
    return f"mean {means[0]} first, {means[-1]} last, {wording.plural(len(means), 'anchor')}"


def _baseline_words(assessment: Assessment) -> str:
    baseline = assessment.facts.baseline
    if isinstance(baseline, Absent):
        return f"unknown: {clean(baseline.reason)}"
    match baseline.health.score:
        case KnownScore():
            return f"{wording.score(baseline.health.score)} of 100"
        case UnknownScore(reason=reason):
            return f"unknown: {clean(reason)}"


def _errors_words(assessment: Assessment, shown: int) -> str:
    failed = sum(measure.fuller.failed for measure in assessment.measures.values())
    if not failed:
        return "No failed operation is in the record."
    return f"{wording.plural(failed, 'failed operation')}; the {shown} most frequent kinds."


def _moves_words(assessment: Assessment) -> str:
    clears = sum(1 for move in assessment.facts.guardian if move.rung is Rung.CLEAR)
    return f"{_ease_count(assessment)} eased or paused, {_stop_count(assessment)} stopped, {clears} cleared"


def _drills_words(assessment: Assessment) -> str:
    drills = assessment.facts.drills
    if not drills:
        return "no stop drill is in the record"
    passed = sum(1 for drill in drills if drill.passed)
    slowest = max(drill.seconds for drill in drills)
    return f"{passed} of {len(drills)} stop drills passed, slowest {wording.seconds(slowest)}"


def _exit_words(assessment: Assessment) -> str:
    if assessment.facts.partial:
        return "none yet"
    verdict, cause = assessment.judgement.verdict, assessment.end.cause
    code, strict = exit_code(verdict, cause, strict=False), exit_code(verdict, cause, strict=True)
    return str(code) if code == strict else f"{code} ({strict} with --strict)"


def _environment(assessment: Assessment) -> tuple[NamedValue, ...]:
    meta = assessment.facts.meta
    if isinstance(meta, Absent):
        return (NamedValue(name="plan", value=f"unknown: {clean(meta.reason)}"),)
    order, host = meta.order, meta.host
    values = (
        ("run", order.run_id),
        ("targets", ", ".join(order.targets)),
        ("operations", ", ".join(order.operations)),
        ("daybreak", host.daybreak_version),
        ("python, sqlite", f"{host.python_version}, {host.sqlite_version}"),
        ("host", f"{host.host}, {host.kernel}, {host.cpu_count} cores, {format_bytes(host.memory_bytes)}"),
        ("seed", str(order.seed)),
        ("plan SHA-256", order.plan_sha256),
        ("gates SHA-256", order.gates_sha256),
    )
    return (
        *(NamedValue(name=name, value=clean(value) or "-") for name, value in values),
        *recorder_rows(assessment.facts),
    )
