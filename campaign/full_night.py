"""The night at its planned length: phases scaled into the window, each above its minimum, the lowest priority cut first.

Pure; the planner uses it.
"""

import math
from dataclasses import dataclass

from baseline_metrics.units import format_duration
from campaign import night as machine
from campaign.fitting import SAMPLES_NEEDED, Fitted, Load, Part, Ramp, duration_for, expected_operations, fit
from campaign.plan import PhasePart, Plan
from campaign.planned_night import NotCompressed, PlanRefused
from campaign.planned_order import NightShape, PhaseShape

PREPARE_S_EXPECTED = 6.0
"""Guardian and recorder start (about 1 s), then four rehearsed stops with a process start each (about 1 s each)."""

CONCLUDE_S_MIN = 6.0
CONCLUDE_S_MAX = 60.0
CONCLUDE_SHARE = 0.002
"""For proving quiet and writing the report, which takes longer the more was recorded; a report takes 60 s at most."""

HANDOVER_S_EXPECTED = machine.ARMING_S_EXPECTED + machine.START_LEAD_S + machine.DRAIN_S_EXPECTED
"""Per load, never scaled: workers take their time to get ready, and operations in flight theirs to end."""

REHEARSED_HOURS = 8
"""The night that is suggested for a rehearsal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A phase with its load and the shortest duration that decides its gates."""

    index: int
    phase: PhasePart
    load: Load
    sample_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NightRequest:
    """What does not change while fitting."""

    plan: Plan
    ramp: Ramp
    candidates: tuple[Candidate, ...]
    anchor_load: Load


@dataclass(frozen=True, slots=True, kw_only=True)
class FullNight:
    """The night at its planned length."""

    running: tuple[Candidate, ...]
    durations_s: tuple[float, ...]
    cuts: dict[int, str]
    length_s: float
    factor: float


def overhead_s(phases: int, *, length_s: float) -> float:
    """What a night of so many phases needs beside baseline, loads and rests; never scaled. Seconds."""
    loads = 2 * phases + 1
    return PREPARE_S_EXPECTED + loads * HANDOVER_S_EXPECTED + conclude_s(length_s)


def conclude_s(length_s: float) -> float:
    """How long the end of a night of this length may take, seconds."""
    return max(CONCLUDE_S_MIN, min(CONCLUDE_S_MAX, length_s * CONCLUDE_SHARE))


def night_request(plan: Plan, scale: float) -> NightRequest:
    """The plan's loads with their connections scaled, and how long each needs at least to decide its gates."""
    ramp = Ramp(share=plan.ramp.percent / 100.0, longest_s=plan.ramp.duration_s_max)
    candidates = []
    for index, phase in enumerate(plan.phases):
        pace = plan.levels[phase.level].operations_per_s
        load = Load(connections=_scaled(phase.connections, scale), operations_per_s=pace)
        sample_s = duration_for(load, ramp, operations=SAMPLES_NEEDED)
        candidates.append(Candidate(index=index, phase=phase, load=load, sample_s=sample_s))
    anchor = Load(connections=_scaled(plan.anchor.connections, scale), operations_per_s=plan.anchor.operations_per_s)
    return NightRequest(plan=plan, ramp=ramp, candidates=tuple(candidates), anchor_load=anchor)


def _scaled(connections: int, scale: float) -> int:
    return max(1, math.ceil(connections * scale - 1e-9))


def undecidable_phases(request: NightRequest) -> tuple[str, ...]:
    """Phases that make too few operations even at their full duration: no window helps them."""
    return tuple(
        f"{sample_arithmetic(candidate.phase.name, candidate.load, request.ramp, candidate.phase.duration_s)}; "
        f"write a duration of at least {format_duration(candidate.sample_s)}, more connections or a faster level"
        for candidate in request.candidates
        if candidate.sample_s > candidate.phase.duration_s
    )


def sample_arithmetic(name: str, load: Load, ramp: Ramp, duration_s: float) -> str:
    """Why a load of this duration (seconds) makes too few operations, as a sum that one can check."""
    count = expected_operations(load, ramp_s=ramp.of(duration_s), duration_s=duration_s)
    return (
        f"{name}: {load.connections} connections x {load.operations_per_s:g}/s x {format_duration(duration_s)} "
        f"= {count} operations, {SAMPLES_NEEDED} are needed"
    )


def _fixed_s(plan: Plan, phases: int, length_s: float) -> float:
    """Everything but the phases themselves: overhead, baseline, anchors, rests and the reserved cool-down."""
    anchors_s = (phases + 1) * plan.anchor.duration_s
    rests_s = max(0, phases - 1) * rest_s(plan)
    return overhead_s(phases, length_s=length_s) + plan.baseline.idle_s + anchors_s + rests_s + plan.cooldown_s


def rest_s(plan: Plan) -> float:
    """What is left of a break after the anchor inside it, seconds."""
    return max(0.0, plan.break_s - plan.anchor.duration_s)


def fit_full(request: NightRequest, window_s: float) -> FullNight | PlanRefused:
    """Scale the phases into a window of window_s seconds; cut the lowest priority until the minimums fit."""
    running = list(request.candidates)
    cuts: dict[int, str] = {}
    while True:
        parts = tuple(_phase_part(candidate) for candidate in running)
        fixed_s = _fixed_s(request.plan, len(running), window_s)
        fitted = fit(parts, available_s=window_s - fixed_s)
        if isinstance(fitted, Fitted):
            length_s = fixed_s + sum(fitted.durations_s)
            return FullNight(
                running=tuple(running),
                durations_s=fitted.durations_s,
                cuts=cuts,
                length_s=length_s,
                factor=fitted.factor,
            )
        if len(running) == 1:
            return _no_room(request.plan, running[0], fixed_s, window_s)
        # The lowest priority goes first; of equals the later one, which a shorter night would not have reached either.
        victim = min(running, key=lambda candidate: (candidate.phase.priority, -candidate.index))
        running.remove(victim)
        cuts[victim.index] = (
            f"{len(running) + 1} phases at their minimum need {format_duration(fixed_s + fitted.needed_s)}, the "
            f"window has {format_duration(window_s)}; its priority {victim.phase.priority} is the lowest of them"
        )


def _phase_part(candidate: Candidate) -> Part:
    floor_s = max(candidate.phase.duration_s_min, candidate.sample_s)
    return Part(count=1, wanted_s=candidate.phase.duration_s, floor_s=floor_s)


def _no_room(plan: Plan, last: Candidate, fixed_s: float, window_s: float) -> PlanRefused:
    overhead = overhead_s(1, length_s=window_s)
    minimum_s = _phase_part(last).floor_s
    text = (
        f"the window of {format_duration(window_s)} has no room for a single phase: "
        f"start, stop drill and report {format_duration(overhead)} + idle baseline {format_duration(plan.baseline.idle_s)} "
        f"+ 2 anchors of {format_duration(plan.anchor.duration_s)} + cool-down in reserve "
        f"{format_duration(plan.cooldown_s)} + at least {format_duration(minimum_s)} of {last.phase.name} = "
        f"{format_duration(fixed_s + minimum_s)}; write a longer window, shorter parts in the plan, "
        f"or rehearse a whole night with --hours {REHEARSED_HOURS} --compress {option_text(window_s)}"
    )
    return PlanRefused(reasons=(text,))


def full_shape(request: NightRequest, full: FullNight) -> NightShape:
    """The durations of the night at its planned length."""
    plan = request.plan
    return NightShape(
        idle_s=plan.baseline.idle_s,
        anchor_s=plan.anchor.duration_s,
        anchor_load=request.anchor_load,
        rest_s=rest_s(plan),
        cooldown_s=plan.cooldown_s,
        prepare_s=PREPARE_S_EXPECTED,
        handover_s=HANDOVER_S_EXPECTED,
        conclude_s=conclude_s(full.length_s),
        ramp=request.ramp,
        phases=phase_shapes(request, full, full.durations_s),
        compressed_to_s=NotCompressed(),
    )


def phase_shapes(request: NightRequest, full: FullNight, durations_s: tuple[float, ...]) -> tuple[PhaseShape, ...]:
    """All phases of the plan, those that run with their durations (seconds, in the order of full.running)."""
    by_index = {candidate.index: duration_s for candidate, duration_s in zip(full.running, durations_s, strict=True)}
    return tuple(
        PhaseShape(
            phase=candidate.phase,
            load=candidate.load,
            duration_s=by_index.get(candidate.index, 0.0),
            cut=full.cuts.get(candidate.index, ""),
        )
        for candidate in request.candidates
    )


def option_text(seconds: float) -> str:
    """A duration without spaces, as one types it behind an option."""
    return format_duration(seconds).replace(" ", "")
