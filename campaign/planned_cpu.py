"""Whether the guardian would take a phase's load away for the CPU that the load itself takes: the arithmetic against it.

A limit below what a phase asks for is violated by the plan, not by the host, and every night of it would be eased. What an
operation costs is measured for each engine (see planned_generator). Pure; the planner uses it.
"""

import math
from dataclasses import dataclass

from campaign.plan import Plan
from campaign.planned_shape import NightShape, PhaseShape
from safety_monitoring.limits import HOLD_S, Resource
from stress_scenarios.arrivals import mean_per_s
from stress_scenarios.load_plan import Arrivals

STRETCHES_MAX = 5_000
"""Ten-second stretches of a phase that are looked at: those of fourteen hours without a gap between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _CpuLimit:
    """percent of the machine; why: how it comes about."""

    percent: float
    why: str


def cpu_reasons(plan: Plan, shape: NightShape, *, core_per_s: float, cores: int) -> tuple[str, ...]:
    """One reason for each phase whose own load reaches a limit of its own. core_per_s: operations a second of one core."""
    reasons = []
    for planned in shape.running:
        limit = _limit(plan, planned)
        most = limit.percent / 100.0 * cores * core_per_s
        if planned.load.requested and planned.load.peak_per_s(engine_per_s=0.0) < most:
            continue
        per_s = _sustained_per_s(shape, planned)
        percent = 100.0 * per_s / core_per_s / cores
        if percent >= limit.percent:
            reasons.append(
                f"{planned.phase.name}: {per_s:,.0f} operations/s / {core_per_s:,.0f}/s of one core = "
                f"{per_s / core_per_s:.2f} of {cores} cores = {percent:.0f} % of the CPU, and the guardian's limit in this "
                f"phase is {limit.why}: it would ease the load for what the load itself takes; write a rate below "
                f"{_rounded_down(most):,}/s, a higher limit, or load from a larger machine"
            )
    return tuple(reasons)


def limiting_percent(plan: Plan, *, multiplier: float) -> float:
    """The lowest percentage of the CPU at which the guardian would ease a load of ours in such a phase.

    That of our own processes is at most 80 %, so neither the ceiling nor leave to go beyond it changes anything here.
    """
    return min(plan.safety.cpu_percent * multiplier, plan.safety.own_percent)


def _limit(plan: Plan, planned: PhaseShape) -> _CpuLimit:
    multiplier, own = planned.phase.threshold_multiplier, plan.safety.own_percent
    percent = limiting_percent(plan, multiplier=multiplier)
    if percent >= own:
        return _CpuLimit(percent=own, why=f"{own:g} % for our own processes (safety.own)")
    how = f"safety.cpu {plan.safety.cpu_percent:g} % x threshold_multiplier {multiplier:g}"
    return _CpuLimit(percent=percent, why=f"{percent:g} % ({how})")


def _sustained_per_s(shape: NightShape, planned: PhaseShape) -> float:
    """The highest rate that lasts as long as the guardian's limit on CPU bears; where the target sets it: what it must."""
    load, hold_s = planned.load, HOLD_S[Resource.CPU]
    ramp_s, duration_s = shape.ramp.of(planned.duration_s), planned.duration_s
    if not isinstance(load.pace, Arrivals) or duration_s - ramp_s <= hold_s:
        return load.sure_per_s(ramp_s=ramp_s, duration_s=duration_s)
    scaled = load.shape_in(load.pace.shape, duration_s)
    stretches = min(STRETCHES_MAX, math.ceil((duration_s - ramp_s) / hold_s))
    step_s = (duration_s - hold_s - ramp_s) / max(1, stretches - 1)
    begins = (ramp_s + step_s * index for index in range(stretches))
    return max(
        mean_per_s(scaled, from_s=at_s, until_s=at_s + hold_s, load_s=duration_s, replayed=load.replayed)
        for at_s in begins
    )


def _rounded_down(per_s: float) -> int:
    """Two digits, as people write rates."""
    digits = 10 ** max(0, math.floor(math.log10(max(1.0, per_s))) - 1)
    return int(per_s // digits * digits)
