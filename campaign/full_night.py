"""The night at its planned length: phases scaled into the window, each above its minimum, the lowest priority cut first.

Pure; the planner uses it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from baseline_metrics.units import DURATION_S_MAX, format_duration
from campaign import night as machine
from campaign.fitting import SAMPLES_NEEDED, Fitted, Part, Ramp, duration_for, fit
from campaign.plan import Plan
from campaign.plan_inputs import PlanInputs
from campaign.plan_phases import PhasePart
from campaign.planned_load import PlannedLoad, scaled
from campaign.planned_night import NotCompressed, PlanRefused
from campaign.planned_search import split_phase
from campaign.planned_shape import NightShape, PhaseShape
from stress_scenarios.load_plan import Arrivals, Curve, Paced
from stress_scenarios.rate_lines import RateError

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
    load: PlannedLoad
    sample_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NightRequest:
    """What does not change while fitting."""

    plan: Plan
    inputs: PlanInputs
    ramp: Ramp
    candidates: tuple[Candidate, ...]
    anchor_load: PlannedLoad


@dataclass(frozen=True, slots=True, kw_only=True)
class FullNight:
    """The night at its planned length."""

    running: tuple[Candidate, ...]
    durations_s: tuple[float, ...]
    cuts: dict[int, str]
    length_s: float
    factor: float


def overhead_s(running: Sequence[Candidate], *, length_s: float) -> float:
    """What a night of these phases needs beside baseline, loads and rests; never scaled. Seconds."""
    loads = 2 * len(running) + 1 + sum(candidate.phase.search is not None for candidate in running)
    return PREPARE_S_EXPECTED + loads * HANDOVER_S_EXPECTED + conclude_s(length_s)


def conclude_s(length_s: float) -> float:
    """How long the end of a night of this length may take, seconds."""
    return max(CONCLUDE_S_MIN, min(CONCLUDE_S_MAX, length_s * CONCLUDE_SHARE))


def night_request(plan: Plan, inputs: PlanInputs, scale: float) -> NightRequest:
    """The plan's loads with their connections scaled, and how long each needs at least to decide its gates.

    Raises rate_lines.RateError for arrivals that nobody can follow.
    """
    ramp = Ramp(share=plan.ramp.percent / 100.0, longest_s=plan.ramp.duration_s_max)
    candidates = tuple(
        _candidate(index, phase, _phase_load(plan, phase, inputs, scale), ramp)
        for index, phase in enumerate(plan.phases)
    )
    anchor = PlannedLoad(
        connections=scaled(plan.anchor.connections, scale),
        pace=Paced(operations_per_s=plan.anchor.operations_per_s),
        curve=Curve.LINEAR,
        written_s=plan.anchor.duration_s,
        response_s_mean_max=plan.levels[plan.phases[0].level].response_s_mean_max,
    )
    return NightRequest(plan=plan, inputs=inputs, ramp=ramp, candidates=candidates, anchor_load=anchor)


def rescaled(request: NightRequest, scale: float) -> NightRequest:
    """The same request with its connections scaled otherwise, which changes nothing about arrivals."""
    plan, ramp = request.plan, request.ramp
    candidates = []
    for candidate in request.candidates:
        load = replace(candidate.load, connections=scaled(candidate.phase.connections, scale))
        if isinstance(load.pace, Arrivals):
            candidates.append(replace(candidate, load=load))
        else:
            candidates.append(_candidate(candidate.index, candidate.phase, load, ramp))
    anchor_load = replace(request.anchor_load, connections=scaled(plan.anchor.connections, scale))
    return replace(request, candidates=tuple(candidates), anchor_load=anchor_load)


def _candidate(index: int, phase: PhasePart, load: PlannedLoad, ramp: Ramp) -> Candidate:
    longest_s = phase.duration_s if isinstance(load.pace, Arrivals) else DURATION_S_MAX
    try:
        sample_s = duration_for(load, ramp, operations=SAMPLES_NEEDED, longest_s=longest_s)
    except RateError as error:
        raise RateError(f"{phase.name}: {error}") from error
    return Candidate(index=index, phase=phase, load=load, sample_s=sample_s)


def _phase_load(plan: Plan, phase: PhasePart, inputs: PlanInputs, scale: float) -> PlannedLoad:
    level = plan.levels[phase.level]
    replay = inputs.replay_of(phase)
    arrivals = phase.arrivals
    return PlannedLoad(
        connections=scaled(phase.connections, scale),
        pace=level.model
        if arrivals is None
        else Arrivals(
            shape=arrivals.shape(sha256=replay.sha256),
            spacing=arrivals.even_or_not,
            start_within_s=arrivals.start_within_s,
            part=0,
            parts=1,
        ),
        curve=plan.ramp.form,
        written_s=phase.duration_s * phase.own_share,
        response_s_mean_max=level.response_s_mean_max,
        replayed=replay.times_s,
    )


def undecidable_phases(request: NightRequest) -> tuple[str, ...]:
    """Phases that make too few operations even at their full duration: no window helps them."""
    return tuple(
        f"{sample_arithmetic(candidate.phase.name, candidate.load, request.ramp, candidate.phase.duration_s)}; "
        f"write {_more_operations(candidate)}"
        for candidate in request.candidates
        if candidate.sample_s > candidate.phase.duration_s
    )


def _more_operations(candidate: Candidate) -> str:
    if isinstance(candidate.load.pace, Arrivals):
        return "a longer duration or more arrivals"
    return (
        f"a duration of at least {format_duration(candidate.sample_s)}, more connections or "
        f"{'a faster level' if candidate.load.requested else 'a stricter level'}"
    )


def sample_arithmetic(name: str, load: PlannedLoad, ramp: Ramp, duration_s: float) -> str:
    """Why a load of this duration (seconds) makes too few operations, as a sum that one can check."""
    count = load.operations(ramp_s=ramp.of(duration_s), duration_s=duration_s)
    return f"{name}: {load.words()} x {format_duration(duration_s)} = {count} operations, {SAMPLES_NEEDED} are needed"


def _fixed_s(plan: Plan, running: Sequence[Candidate], length_s: float) -> float:
    """Everything but the phases themselves: overhead, baseline, anchors, rests and the reserved cool-down."""
    anchors_s = (len(running) + 1) * plan.anchor.duration_s
    rests_s = max(0, len(running) - 1) * rest_s(plan)
    return overhead_s(running, length_s=length_s) + plan.baseline.idle_s + anchors_s + rests_s + plan.cooldown_s


def rest_s(plan: Plan) -> float:
    """What is left of a break after the anchor inside it, seconds."""
    return max(0.0, plan.break_s - plan.anchor.duration_s)


def fit_full(request: NightRequest, window_s: float) -> FullNight | PlanRefused:
    """Scale the phases into a window of window_s seconds; cut the lowest priority until the minimums fit."""
    running = list(request.candidates)
    cuts: dict[int, str] = {}
    while True:
        parts = tuple(_phase_part(candidate) for candidate in running)
        fixed_s = _fixed_s(request.plan, running, window_s)
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
    overhead = overhead_s((last,), length_s=window_s)
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
    shapes = []
    for candidate in request.candidates:
        split = split_phase(candidate.phase, candidate.load, request.ramp, by_index.get(candidate.index, 0.0))
        shapes.append(
            PhaseShape(
                phase=candidate.phase,
                load=candidate.load,
                duration_s=split.own_s,
                search_s=split.search_s,
                no_search=split.no_search,
                cut=full.cuts.get(candidate.index, ""),
            )
        )
    return tuple(shapes)


def option_text(seconds: float) -> str:
    """A duration without spaces, as one types it behind an option."""
    return format_duration(seconds).replace(" ", "")
