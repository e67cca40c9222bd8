"""Orders of virtual nights, drawn at random as the planner could have made them. Pure; the simulator uses it."""

import random

from monitoring_logs.load_orders import NO_SEARCH, NoSearch, SearchOrder
from monitoring_logs.records import SCHEMA_VERSION, AnchorOrder, NightOrder, PhaseOrder

SEARCH_CHANCE = 0.5
"""Nights of a plan have one phase in eight that searches; the simulator meets searches more often."""


def random_order(rng: random.Random) -> NightOrder:
    """An order as the planner could have made it: 1 to 64 phases, some of them cut, any required health."""
    count = rng.choice((1, 1, 2, 2, 2, 3, 3, 8, 8, rng.randint(1, 64)))
    scale = rng.choice((1.0, 1.0, 0.01))
    phases = tuple(_random_phase(rng, index, scale) for index in range(count))
    window_s = sum(phase.ramp_s + phase.hold_s for phase in phases if not phase.cut) * rng.uniform(0.7, 1.6)
    anchor_s = 60.0 * scale + 2.0
    break_s = 300.0 * scale
    window_s += (count + 1) * (anchor_s + break_s + 3.0) + 600.0 * scale + 10.0
    anchor = AnchorOrder(
        connections=2,
        operations_per_session=10,
        operations_per_s=1.0,
        ramp_s=0.0,
        hold_s=anchor_s,
        operations_expected=99,
    )
    return NightOrder(
        schema_version=SCHEMA_VERSION,
        run_id="simulated",
        name="simulated",
        zone="UTC",
        planned_start_utc_s=0.0,
        window_end_utc_s=window_s,
        window_s=window_s,
        compressed_to_s=0.0,
        rehearsal=False,
        baseline_idle_s=rng.uniform(2, 300) * scale,
        break_s=break_s,
        cooldown_s=1800.0 * scale,
        window_length_s=1.0,
        targets=("simulated",),
        operations=("get",),
        anchor=anchor,
        phases=phases,
        gates=(),
        gates_sha256="",
        plan_sha256="",
        seed=0,
        host_sample_period_s=1.0,
        health_minimum=70.0,
        consecutive_failures_max=rng.randint(1, 5),
        response_s_slo=1.0,
        response_s_limit=2.0,
        error_percent_slo=1.0,
        error_percent_limit=5.0,
    )


def _random_phase(rng: random.Random, index: int, scale: float) -> PhaseOrder:
    planned_s = rng.uniform(600, 10800) * scale
    ramp_s = min(60.0, planned_s / 10)
    return PhaseOrder(
        index=index,
        name=f"phase_{index}",
        level="moderate",
        connections=rng.randint(1, 15),
        operations_per_session=10,
        operations_per_s=1.0,
        ramp_s=ramp_s,
        hold_s=planned_s - ramp_s,
        scaled_from_s=planned_s,
        threshold_multiplier=1.0,
        required_health=rng.choice((0.0, 60.0, 70.0, 85.0)),
        success_percent_min=90.0,
        response_s_mean_max=3.0,
        operations_expected=100,
        cut="cut by the planner" if rng.random() < 0.05 else "",
        search=_random_search(rng, planned_s),
    )


def _random_search(rng: random.Random, planned_s: float) -> NoSearch | SearchOrder:
    if rng.random() >= SEARCH_CHANCE:
        return NO_SEARCH
    lasts_s = planned_s * rng.uniform(0.1, 1.0)
    return SearchOrder(
        lasts_s=lasts_s,
        step_s=lasts_s / 20,
        start_per_s=10.0,
        per_s_max=1e5,
        connections=64,
        success_percent_min=90.0,
        response_s_mean_max=3.0,
        response_s_p99_max=0.0,
        achieved_percent_min=95.0,
    )
