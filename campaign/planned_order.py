"""Writes a fitted night down: the order that is stored, its timeline, and which gates will have enough samples.

The planner decides durations; here they become the record that everything else reads. Pure.
"""

import math
from dataclasses import replace

from baseline_metrics.estimates import samples_needed
from baseline_metrics.units import format_duration
from campaign.fitting import SAMPLES_NEEDED, Ramp
from campaign.plan import Plan
from campaign.planned_generator import Generator
from campaign.planned_night import (
    GateForecast,
    NotCompressed,
    Note,
    NoteKind,
    PlannedNight,
    TimelineKind,
    TimelineSegment,
)
from campaign.planned_search import search_order, step_words
from campaign.planned_shape import NightShape
from campaign.window import Window, local_time
from monitoring_logs.load_orders import MemoryLoad, NoMemoryLoad
from monitoring_logs.records import (
    SCHEMA_VERSION,
    AnchorOrder,
    GateKind,
    GateSpec,
    NightOrder,
    NotJudged,
    PhaseOrder,
)
from results_summary.gates import ANCHORS_MIN, GateSettings, gates_sha256, planned_gates
from stress_scenarios.load_plan import Paced, Thinking, Unpaced

WINDOW_LENGTH_S_MIN = 1.0
WINDOW_LENGTH_S_MAX = 60.0
WINDOWS_PER_PHASE = 30
"""Analysis windows are a thirtieth of the shortest phase, whole seconds apart from rounding, at most a minute."""


def planned_night(
    plan: Plan,
    shape: NightShape,
    *,
    window: Window,
    run_id: str,
    notes: tuple[Note, ...],
    generator: Generator,
    scale: float,
    memory: tuple[NoMemoryLoad | MemoryLoad, ...],
) -> PlannedNight:
    """The whole answer of the planner for a night of this shape. memory: what each phase holds beside its requests."""
    anchor = _anchor_order(plan, shape)
    phases = tuple(
        replace(_phase_order(plan, shape, index, generator=generator, scale=scale), memory=held)
        for index, held in enumerate(memory)
    )
    gates = _gates(plan, shape, anchor, phases)
    return PlannedNight(
        order=_night_order(plan, shape, window=window, run_id=run_id, anchor=anchor, phases=phases, gates=gates),
        window=window,
        segments=_segments(shape),
        notes=(*_window_notes(plan, window), *notes, *_search_notes(shape), *generator.notes),
        forecasts=_forecasts(plan, phases, anchor, gates),
        workers=generator.workers,
    )


def _night_order(
    plan: Plan,
    shape: NightShape,
    *,
    window: Window,
    run_id: str,
    anchor: AnchorOrder,
    phases: tuple[PhaseOrder, ...],
    gates: tuple[GateSpec, ...],
) -> NightOrder:
    compressed = shape.compressed_to_s
    return NightOrder(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        name=plan.name,
        zone=plan.window.timezone,
        planned_start_utc_s=window.start_utc_s,
        window_end_utc_s=window.end_utc_s,
        window_s=window.length_s,
        compressed_to_s=0.0 if isinstance(compressed, NotCompressed) else compressed,
        rehearsal=not isinstance(compressed, NotCompressed),
        baseline_idle_s=shape.idle_s,
        break_s=round(shape.anchor_s + shape.rest_s, 3),
        cooldown_s=shape.cooldown_s,
        window_length_s=_window_length_s(shape),
        targets=(plan.target.url,),
        operations=plan.operation_names,
        anchor=anchor,
        phases=phases,
        gates=gates,
        gates_sha256=gates_sha256(gates),
        plan_sha256=plan.sha256,
        seed=plan.seed,
        host_sample_period_s=plan.recording.host_sample_period_s,
        health_minimum=plan.health.minimum,
        consecutive_failures_max=plan.failures.consecutive_max,
        response_s_slo=plan.health.response_s_slo,
        response_s_limit=plan.health.response_s_limit,
        error_percent_slo=plan.health.error_percent_slo,
        error_percent_limit=plan.health.error_percent_limit,
    )


def _phase_order(plan: Plan, shape: NightShape, index: int, *, generator: Generator, scale: float) -> PhaseOrder:
    planned = shape.phases[index]
    level = plan.levels[planned.phase.level]
    ramp_s, hold_s = _split(shape.ramp, planned.duration_s)
    load, load_s = planned.load, ramp_s + hold_s
    mean_per_s = load.mean_per_s(ramp_s=ramp_s, duration_s=load_s, engine_per_s=generator.per_s_max)
    return PhaseOrder(
        index=index,
        name=planned.phase.name,
        level=planned.phase.level,
        connections=load.connections,
        operations_per_session=planned.phase.operations_per_session,
        operations_per_s=load.pace.operations_per_s if isinstance(load.pace, Paced) else mean_per_s / load.connections,
        ramp_s=ramp_s,
        hold_s=hold_s,
        scaled_from_s=planned.phase.duration_s,
        threshold_multiplier=planned.phase.threshold_multiplier,
        required_health=planned.phase.required_health,
        success_percent_min=level.success_percent_min,
        response_s_mean_max=level.response_s_mean_max,
        operations_expected=load.operations(ramp_s=ramp_s, duration_s=load_s) if load_s > 0 else 0,
        cut=planned.cut,
        pace=load.pace_in(load_s) if load_s > 0 else load.pace,
        ramp_curve=load.curve,
        search=search_order(plan, planned, ramp=shape.ramp, engine_per_s=generator.per_s_max, scale=scale),
    )


def _anchor_order(plan: Plan, shape: NightShape) -> AnchorOrder:
    ramp_s, hold_s = _split(shape.ramp, shape.anchor_s)
    return AnchorOrder(
        connections=shape.anchor_load.connections,
        operations_per_session=plan.anchor.operations_per_session,
        operations_per_s=plan.anchor.operations_per_s,
        ramp_s=ramp_s,
        hold_s=hold_s,
        operations_expected=shape.anchor_load.operations(ramp_s=ramp_s, duration_s=ramp_s + hold_s),
    )


def _split(ramp: Ramp, duration_s: float) -> tuple[float, float]:
    """A duration as ramp and hold, to the millisecond."""
    ramp_s = round(ramp.of(duration_s), 3)
    return ramp_s, round(duration_s - ramp_s, 3)


def _window_length_s(shape: NightShape) -> float:
    shortest_s = min(phase.duration_s for phase in shape.running)
    return max(WINDOW_LENGTH_S_MIN, min(WINDOW_LENGTH_S_MAX, float(math.floor(shortest_s / WINDOWS_PER_PHASE))))


# Gates ----------------------------------------------------------------------------------------------------------------


def _gates(plan: Plan, shape: NightShape, anchor: AnchorOrder, phases: tuple[PhaseOrder, ...]) -> tuple[GateSpec, ...]:
    gates = planned_gates(
        phases=phases, anchor=anchor, settings=_gate_settings(plan), not_judged=_not_judged(shape, anchor)
    )
    return tuple(_without_request(gate, phases) for gate in gates)


def _without_request(gate: GateSpec, phases: tuple[PhaseOrder, ...]) -> GateSpec:
    """Where the target sets the pace nothing is requested, so nobody can miss it."""
    if gate.kind is not GateKind.PHASE_ACHIEVED or not isinstance(phases[gate.phase].pace, Unpaced | Thinking):
        return gate
    reason = "the phase has no pace: the target decides how many operations are made, none is requested"
    return replace(gate, judged=NotJudged(reason=reason))


def _gate_settings(plan: Plan) -> GateSettings:
    return GateSettings(
        baseline_health_min=plan.health.minimum,
        phases_passed_percent_min=plan.success.phases_percent,
        operations_succeeded_percent_min=plan.success.operations_percent,
        achieved_percent_min=plan.success.achieved_percent,
        anchor_drift_percent_max=plan.success.drift_percent,
        response_p99=plan.success.response_p99,
    )


def _not_judged(shape: NightShape, anchor: AnchorOrder) -> dict[GateKind, NotJudged]:
    compressed = shape.compressed_to_s
    if not isinstance(compressed, NotCompressed):
        reason = f"a rehearsal of {format_duration(compressed)} is too short for a drift to show"
        return {GateKind.NO_ANCHOR_DRIFT: NotJudged(reason=reason)}
    if anchor.operations_expected < SAMPLES_NEEDED:
        reason = f"an anchor makes {anchor.operations_expected} operations, {SAMPLES_NEEDED} are needed"
        return {GateKind.NO_ANCHOR_DRIFT: NotJudged(reason=reason)}
    return {}


def _forecasts(
    plan: Plan, phases: tuple[PhaseOrder, ...], anchor: AnchorOrder, gates: tuple[GateSpec, ...]
) -> tuple[GateForecast, ...]:
    running = [phase for phase in phases if not phase.cut]
    forecasts = [_phase_forecast(phase) for phase in running]
    if plan.success.response_s_p99_max is not None:
        needed = samples_needed(quantile=0.99)
        forecasts.extend(_forecast(phase.name, "p99", phase.operations_expected, needed) for phase in running)
    forecasts.append(_forecast("each anchor", "baseline health", anchor.operations_expected))
    drift = next(gate.judged for gate in gates if gate.kind is GateKind.NO_ANCHOR_DRIFT)
    forecasts.append(
        GateForecast(
            subject=f"{len(running) + 1} anchors",
            gates="drift",
            samples_expected=len(running) + 1,
            samples_needed=ANCHORS_MIN,
            enough=not isinstance(drift, NotJudged),
            reason=f"NOT JUDGED: {drift.reason}" if isinstance(drift, NotJudged) else "",
        )
    )
    return tuple(forecasts)


def _phase_forecast(phase: PhaseOrder) -> GateForecast:
    requested = not isinstance(phase.pace, Unpaced | Thinking)
    return _forecast(phase.name, f"success, response{', achieved' if requested else ''}", phase.operations_expected)


def _forecast(subject: str, gates: str, expected: int, needed: int = SAMPLES_NEEDED) -> GateForecast:
    enough = expected >= needed
    reason = "" if enough else f"NOT JUDGED: {expected} operations expected, {needed} are needed"
    return GateForecast(
        subject=subject,
        gates=gates,
        samples_expected=expected,
        samples_needed=needed,
        enough=enough,
        reason=reason,
    )


# Workers, timeline, notes ---------------------------------------------------------------------------------------------


def _search_notes(shape: NightShape) -> tuple[Note, ...]:
    notes = [
        *(
            f"{planned.phase.name} does not search: {planned.no_search}; its own load takes all"
            for planned in shape.running
            if planned.no_search
        ),
        *(words for planned in shape.running if (words := step_words(planned))),
    ]
    return tuple(Note(kind=NoteKind.SEARCH, text=text) for text in notes)


def _segments(shape: NightShape) -> tuple[TimelineSegment, ...]:
    segments: list[TimelineSegment] = []
    at_s = 0.0

    def add(kind: TimelineKind, label: str, duration_s: float) -> None:
        nonlocal at_s
        if duration_s <= 0:
            return
        segments.append(TimelineSegment(kind=kind, label=label, start_offset_s=round(at_s, 3), duration_s=duration_s))
        at_s += duration_s

    def add_load(kind: TimelineKind, label: str, duration_s: float) -> None:
        add(TimelineKind.HANDOVER, label, shape.handover_s)
        add(kind, label, duration_s)

    running = shape.running
    add(TimelineKind.PREPARE, "start, stop drill", shape.prepare_s)
    add(TimelineKind.IDLE, "idle baseline", shape.idle_s)
    for position, planned in enumerate(running):
        add_load(TimelineKind.ANCHOR, "anchor", shape.anchor_s)
        add_load(TimelineKind.PHASE, planned.phase.name, planned.duration_s)
        if planned.search_s > 0:
            add_load(TimelineKind.SEARCH, planned.phase.name, planned.search_s)
        if position < len(running) - 1:
            add(TimelineKind.REST, "rest", shape.rest_s)
    add_load(TimelineKind.ANCHOR, "last anchor", shape.anchor_s)
    add(TimelineKind.CONCLUDE, "prove quiet, report", shape.conclude_s)
    add(TimelineKind.RESERVE, "reserve: one cool-down", shape.cooldown_s)
    return tuple(segments)


def _window_notes(plan: Plan, window: Window) -> tuple[Note, ...]:
    zone = plan.window.timezone
    start, end = local_time(window.start_utc_s, zone), local_time(window.end_utc_s, zone)
    text = f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} ({zone}), {format_duration(window.length_s)}"
    notes = [Note(kind=NoteKind.WINDOW, text=text)]
    for change in window.changes:
        before, after = local_time(change.at_utc_s - 1, zone), local_time(change.at_utc_s, zone)
        direction = "forward" if change.forward_s > 0 else "back"
        text = (
            f"the clock is set {direction} by {format_duration(abs(change.forward_s))} during the night "
            f"(from {before:%H:%M:%S %Z} to {after:%H:%M:%S %Z}); durations are real ones"
        )
        notes.append(Note(kind=NoteKind.CLOCK, text=text))
    return tuple(notes)
