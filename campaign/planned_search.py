"""Makes of a phase's search what the supervisor carries out: how long, in which steps, from which rate up to which.

Pure; the planner uses it.
"""

import math
from dataclasses import dataclass

from baseline_metrics.units import format_duration
from campaign.fitting import DURATION_STEP_S, SAMPLES_NEEDED, STEP_TOLERANCE, Ramp
from campaign.plan import Plan
from campaign.plan_phases import CONNECTIONS_MAX, PhasePart
from campaign.planned_load import PlannedLoad, scaled
from campaign.planned_shape import PhaseShape
from monitoring_logs.load_orders import NO_SEARCH, NoSearch, SearchOrder

STEP_S_MIN = 2.0
"""The shortest step: one second for the target to settle, one to be judged."""

STEP_S_MAX = 120.0
STEPS_WANTED = 16
"""Doubling from a quarter of the phase's rate to sixty times that takes eight steps, the bracket within 5 % five more;
the rest are for steps that are repeated and for backing off."""

STEPS_MIN = 5
"""Fewer could double twice and halve the bracket once: no answer worth the load."""

START_SHARE = 0.25
"""Of the phase's own rate: low enough that the target surely carries it, high enough to save most of the doubling."""

START_PER_S_MIN = 1.0

CONNECTIONS_WITHOUT_BEING_ASKED = 500
"""A server with a thread for each connection lives with this many, and so does a load process that may open 1,024 files;
more are asked for by name. At 50 ms a response they carry 10,000 operations a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSplit:
    """A phase's time for its own load and for its search, seconds; no_search: why it has none although it asks for one."""

    own_s: float
    search_s: float
    no_search: str


def split_phase(phase: PhasePart, load: PlannedLoad, ramp: Ramp, duration_s: float) -> PhaseSplit:
    """Share a phase's duration between its own load and its search, which gives way when either would be too short."""
    if phase.search is None or duration_s <= 0:
        return PhaseSplit(own_s=duration_s, search_s=0.0, no_search="")
    percent = phase.search.share_percent
    steps = math.floor(duration_s * percent / 100.0 / DURATION_STEP_S + STEP_TOLERANCE)
    search_s = round(steps * DURATION_STEP_S, 1)
    own_s = round(duration_s - search_s, 3)
    share = f"{percent:g} % of {format_duration(duration_s)}"
    if search_s < STEPS_MIN * STEP_S_MIN:
        reason = f"{share} are {format_duration(search_s)}, at least {STEPS_MIN} steps of {format_duration(STEP_S_MIN)} are needed"
        return PhaseSplit(own_s=duration_s, search_s=0.0, no_search=reason)
    count = load.operations(ramp_s=ramp.of(own_s), duration_s=own_s)
    if count < SAMPLES_NEEDED:
        reason = (
            f"beside it {format_duration(own_s)} are left, {load.words()} x {format_duration(own_s)} = {count} operations, "
            f"{SAMPLES_NEEDED} are needed"
        )
        return PhaseSplit(own_s=duration_s, search_s=0.0, no_search=reason)
    return PhaseSplit(own_s=own_s, search_s=search_s, no_search="")


def search_order(
    plan: Plan, shape: PhaseShape, *, ramp: Ramp, engine_per_s: float, scale: float
) -> NoSearch | SearchOrder:
    """The search of a phase. engine_per_s: what the load processes can make together."""
    part = shape.phase.search
    if part is None or shape.cut or shape.search_s <= 0:
        return NO_SEARCH
    level = plan.levels[shape.phase.level]
    own_per_s = shape.load.sure_per_s(ramp_s=ramp.of(shape.duration_s), duration_s=shape.duration_s)
    per_s_max = engine_per_s if part.per_s_max is None else part.per_s_max
    if part.start_per_s is None:
        start_per_s = min(max(START_PER_S_MIN, round(own_per_s * START_SHARE, 1)), per_s_max / 2.0)
    else:
        start_per_s = part.start_per_s
    return SearchOrder(
        lasts_s=shape.search_s,
        step_s=_step_s(shape),
        start_per_s=start_per_s,
        per_s_max=per_s_max,
        connections=_connections(shape, per_s_max=per_s_max, response_s=level.response_s_mean_max, scale=scale),
        success_percent_min=level.success_percent_min,
        response_s_mean_max=level.response_s_mean_max,
        response_s_p99_max=plan.success.response_s_p99_max or 0.0,
        achieved_percent_min=plan.success.achieved_percent,
    )


def step_words(shape: PhaseShape) -> str:
    """Why the steps of a phase's search are not as long as written, beyond what scaling makes of all durations; or ""."""
    part = shape.phase.search
    if part is None or part.step_s is None or shape.cut or shape.search_s <= 0:
        return ""
    made_s, wanted_s = _step_s(shape), round(_scaled_step_s(shape, part.step_s), 1)
    if made_s >= wanted_s:
        return ""
    return (
        f"{shape.phase.name} searches in steps of {format_duration(made_s)} instead of {format_duration(wanted_s)}: "
        f"{format_duration(shape.search_s)} have to hold {STEPS_MIN}"
    )


def _step_s(shape: PhaseShape) -> float:
    """As written, scaled with the phase; at least two seconds, and so short that the search has its fewest steps."""
    part = shape.phase.search
    assert part is not None, "the phase has a search"
    wanted_s = (
        min(shape.search_s / STEPS_WANTED, STEP_S_MAX) if part.step_s is None else _scaled_step_s(shape, part.step_s)
    )
    return round(max(STEP_S_MIN, min(shape.search_s / STEPS_MIN, wanted_s)), 1)


def _scaled_step_s(shape: PhaseShape, written_s: float) -> float:
    return min(written_s, written_s * shape.whole_s / shape.phase.duration_s)


def _connections(shape: PhaseShape, *, per_s_max: float, response_s: float, scale: float) -> int:
    """Little's law at the highest rate, bounded; what the plan says is scaled like all connections."""
    part = shape.phase.search
    assert part is not None, "the phase has a search"
    if part.connections is not None:
        return min(CONNECTIONS_MAX, scaled(part.connections, scale))
    most = max(CONNECTIONS_WITHOUT_BEING_ASKED, shape.load.connections)
    return max(shape.load.connections, min(CONNECTIONS_MAX, most, math.ceil(per_s_max * response_s)))
