"""Fits a plan into its window: how long each part of tonight lasts, what is cut and why, which gates can be decided.

What has to end by 07:00 ends by 07:00. Phases are scaled together, none below its minimum; when even the minimums are
too long, whole phases are cut, the lowest priority first, never silently. A compressed night scales planned durations
only, and is refused when what is left could not decide its gates. Pure; the launcher's process uses it.
"""

from dataclasses import replace

from baseline_metrics.samples import Reading
from baseline_metrics.units import format_duration
from campaign.compression import compress
from campaign.full_night import (
    FullNight,
    NightRequest,
    fit_full,
    full_shape,
    night_request,
    undecidable_phases,
)
from campaign.plan import Plan
from campaign.plan_inputs import NO_INPUTS, PlanInputs
from campaign.plan_specs import is_scripted, think_s_mean
from campaign.planned_cpu import cpu_reasons
from campaign.planned_feeders import feeder_forecast
from campaign.planned_generator import generator_for
from campaign.planned_heat import HEAT_NOT_LOOKED_AT, heat_reasons
from campaign.planned_memory import NOT_LOOKED_AT, HostMemory, HostMemoryUnknown, memory_forecast
from campaign.planned_night import NotCompressed, Note, NoteKind, PlannedNight, PlanRefused
from campaign.planned_order import planned_night
from campaign.window import Window, night_window
from stress_scenarios.rate_lines import RateError

SCALE_MAX = 1000.0


def fit_night(
    plan: Plan,
    *,
    now_utc_s: float,
    host_cpu_count: int,
    run_id: str,
    inputs: PlanInputs = NO_INPUTS,
    compress_to_s: float | NotCompressed = NotCompressed(),  # noqa: B008 - a frozen record without content
    scale: float = 1.0,
    host_memory: HostMemory | HostMemoryUnknown = NOT_LOOKED_AT,
    critical_celsius_max: Reading = HEAT_NOT_LOOKED_AT,
) -> PlannedNight | PlanRefused:
    """The night that begins now. scale multiplies all connections, rounded up; compress_to_s: the whole night in so long.

    inputs: what was read of the files that the plan names. host_memory: needed by plans whose phases hold memory.
    critical_celsius_max: the highest temperature that a sensor of this host calls critical.
    """
    if not 0 < scale <= SCALE_MAX:
        return PlanRefused(reasons=(f"--scale {scale:g} is not above 0 and at most {SCALE_MAX:g}; write 2 or 0.5",))
    window = night_window(plan.window.length, zone=plan.window.timezone, now_utc_s=now_utc_s)
    try:
        request = night_request(plan, inputs, scale)
    except RateError as error:
        return PlanRefused(reasons=(str(error),))
    generator = generator_for(
        request,
        scripted=is_scripted(plan),
        think_s=think_s_mean(plan),
        host_cpu_count=host_cpu_count,
    )
    if isinstance(generator, PlanRefused):
        return generator
    undecidable = undecidable_phases(request)
    if undecidable:
        return PlanRefused(reasons=undecidable)
    full = fit_full(request, window.length_s)
    if isinstance(full, PlanRefused):
        return full
    notes = [*_scale_notes(request, scale), *_full_notes(request, full, window.length_s)]
    match compress_to_s:
        case NotCompressed():
            shape = full_shape(request, full)
        case seconds:
            compressed = compress(plan, request, full, to_s=seconds, scale=scale)
            if isinstance(compressed, PlanRefused):
                return compressed
            shape, more = compressed
            notes.extend(more)
            window = Window(start_utc_s=window.start_utc_s, end_utc_s=window.start_utc_s + seconds, changes=())
    memory = memory_forecast(plan, shape, host_memory, workers=generator.workers)
    cpu = cpu_reasons(plan, shape, core_per_s=generator.core_per_s, cores=host_cpu_count)
    heat = heat_reasons(plan, critical_celsius_max=critical_celsius_max)
    if cpu or heat or memory.reasons:
        return PlanRefused(reasons=(*cpu, *heat, *memory.reasons))
    planned = planned_night(
        plan,
        shape,
        window=window,
        run_id=run_id,
        notes=tuple(notes),
        generator=generator,
        scale=scale,
        memory=memory.loads,
    )
    feeders = feeder_forecast(plan, inputs, planned.order)
    if feeders.reasons:
        return PlanRefused(reasons=feeders.reasons)
    return replace(planned, notes=(*planned.notes, *feeders.notes))


def _scale_notes(request: NightRequest, scale: float) -> list[Note]:
    if scale == 1.0:
        return []
    most = max(candidate.load.connections for candidate in request.candidates)
    text = (
        f"connections times {scale:g}, rounded up: at most {most}, {request.anchor_load.connections} in the anchor load"
    )
    return [Note(kind=NoteKind.SCALED, text=text)]


def _full_notes(request: NightRequest, full: FullNight, window_s: float) -> list[Note]:
    notes = [
        Note(kind=NoteKind.CUT, text=f"{request.candidates[index].phase.name} does not run: {full.cuts[index]}")
        for index in sorted(full.cuts)
    ]
    if full.factor >= 1.0:
        return notes
    planned_s = sum(candidate.phase.duration_s for candidate in full.running)
    text = (
        f"{len(full.running)} phases of {format_duration(planned_s)} scaled to {format_duration(sum(full.durations_s))} "
        f"({100 * full.factor:.0f} %), to end within {format_duration(window_s)}"
    )
    notes.append(Note(kind=NoteKind.SCALED, text=text))
    for candidate, duration_s in zip(full.running, full.durations_s, strict=True):
        if candidate.phase.duration_s * full.factor < duration_s - 1.0:
            text = f"{candidate.phase.name} keeps its minimum of {format_duration(duration_s)}; the others give way"
            notes.append(Note(kind=NoteKind.SCALED, text=text))
    return notes
