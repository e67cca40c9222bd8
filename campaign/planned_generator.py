"""How many load processes a night takes, and whether this machine can make what the plan asks for at all.

A rate beyond the machine is refused with its arithmetic before the night: the answer would only be about the generator.
Pure; the planner uses it.
"""

import math
from dataclasses import dataclass
from types import MappingProxyType

from campaign.full_night import NightRequest
from campaign.plan import Plan
from campaign.plan_phases import CONNECTIONS_MAX
from campaign.planned_cpu import limiting_percent
from campaign.planned_night import Note, NoteKind, PlanRefused
from stress_scenarios.load_plan import Paced, Unpaced

ENGINE_OPERATIONS_PER_S_MAX = MappingProxyType({"httpx": 800.0, "wire": 30_000.0})
"""What a load process reaches on one core with all its accounting, paced: httpx about 800/s; wire falls behind its grid
somewhere between 16,000/s and 48,000/s. More than this is refused."""

SCRIPTED_OPERATIONS_PER_S_MAX = MappingProxyType({"httpx": 700.0, "wire": 20_000.0})
"""The same for sessions with a script, whose operations are turns of coroutines. Unpaced, over 16 connections to nginx,
wire made 49,600 operations per second of CPU with one check each, 24,300 in Python code, and 9,900 with templates in path
and header and a regular expression; httpx 1,000 to 1,400."""

WORKER_OPERATIONS_PER_S = MappingProxyType({"httpx": 250.0, "wire": 10_000.0})
WORKER_SCRIPTED_OPERATIONS_PER_S = MappingProxyType({"httpx": 250.0, "wire": 3_000.0})
"""One load process for so many operations a second: a third of what the slowest of its kind reaches, so that the generator
stays far from its limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """The load processes of a night. per_s_max: what they reach together on this machine; core_per_s: on one core."""

    workers: int
    core_per_s: float
    per_s_max: float
    notes: tuple[Note, ...]


def generator_for(
    request: NightRequest, *, scripted: bool, think_s: float, host_cpu_count: int
) -> Generator | PlanRefused:
    """The load processes for every load of the plan. think_s: mean pause that the scenario makes after an operation."""
    plan = request.plan
    reach = (SCRIPTED_OPERATIONS_PER_S_MAX if scripted else ENGINE_OPERATIONS_PER_S_MAX)[plan.engine]
    comfort = (WORKER_SCRIPTED_OPERATIONS_PER_S if scripted else WORKER_OPERATIONS_PER_S)[plan.engine]
    rates = _rates(request)
    instant = [candidate.load.peak_per_s(engine_per_s=0.0) for candidate in request.candidates]
    workers = _workers(plan, max([*rates.values(), *instant]), comfort, host_cpu_count)
    used = min(workers, host_cpu_count)
    per_s_max = used * reach
    reasons = [
        f"{name} asks for {rate:,.0f} operations/s; {used} load {'process' if used == 1 else 'processes'} on "
        f"{host_cpu_count} cores with the engine {plan.engine}{' and a script' if scripted else ''} reach about "
        f"{used} x {reach:,.0f}/s = {per_s_max:,.0f}/s; write {_ways_out(plan, workers, host_cpu_count)}"
        for name, rate in rates.items()
        if rate > per_s_max
    ]
    reasons.extend(_too_many_connections(request))
    reasons.extend(_too_thoughtful(request, think_s))
    if reasons:
        return PlanRefused(reasons=tuple(reasons))
    return Generator(workers=workers, core_per_s=reach, per_s_max=per_s_max, notes=_notes(request))


def _rates(request: NightRequest) -> dict[str, float]:
    """The highest rate that each load asks for; one whose pace the target sets asks for none, however fast it may get."""
    rates = {"the anchor load": request.anchor_load.peak_per_s(engine_per_s=0.0)}
    for candidate in request.candidates:
        if candidate.load.requested:
            rates[candidate.phase.name] = candidate.load.peak_per_s(engine_per_s=0.0)
        search = candidate.phase.search
        if search is not None:
            asked = (search.start_per_s or 0.0, search.per_s_max or 0.0)
            rates[f"the search of {candidate.phase.name}"] = max(asked)
    return rates


def _workers(plan: Plan, rate: float, comfort: float, host_cpu_count: int) -> int:
    if isinstance(plan.workers, int):
        return plan.workers
    workers = math.ceil(rate / comfort)
    for phase in plan.phases:
        if not isinstance(plan.levels[phase.level].model, Unpaced) or phase.arrivals is not None:
            continue
        # As fast as it goes, but a core for everybody else, and no limit of the guardian reached by that alone.
        percent = limiting_percent(plan, multiplier=phase.threshold_multiplier)
        below = math.ceil(percent / 100.0 * host_cpu_count) - 1
        workers = max(workers, min(host_cpu_count - 1, below))
    return max(1, min(workers, host_cpu_count))


def _ways_out(plan: Plan, workers: int, host_cpu_count: int) -> str:
    ways = ["a lower rate"]
    if workers < host_cpu_count:
        ways.append(f"workers: {host_cpu_count}")
    if plan.engine != "wire":
        ways.append("engine: wire")
    return " or ".join([*ways, "load from a larger machine"]) if len(ways) == 1 else " or ".join(ways)


def _too_many_connections(request: NightRequest) -> list[str]:
    loads = [("the anchor load", request.anchor_load.connections)]
    loads.extend((candidate.phase.name, candidate.load.connections) for candidate in request.candidates)
    return [
        f"{name} has {connections:,} connections with --scale, at most {CONNECTIONS_MAX:,} are possible; scale less"
        for name, connections in loads
        if connections > CONNECTIONS_MAX
    ]


def _too_thoughtful(request: NightRequest, think_s: float) -> list[str]:
    """A pace that the scenario's own pauses make impossible."""
    reasons = []
    for candidate in request.candidates:
        pace = candidate.load.pace
        if isinstance(pace, Paced) and think_s * pace.operations_per_s >= 1.0:
            reasons.append(
                f"{candidate.phase.name}: a connection is to start {pace.operations_per_s:g} operations/s, one each "
                f"{1 / pace.operations_per_s:.3g} s, but the scenario thinks for {think_s:.3g} s after each on average; write "
                "a slower level, shorter pauses, or `think` in the level instead of its pace"
            )
    return reasons


def _notes(request: NightRequest) -> tuple[Note, ...]:
    return tuple(
        Note(
            kind=NoteKind.GENERATOR,
            text=f"{candidate.phase.name} has no pace: how many operations it makes, the target decides; at least "
            f"{candidate.load.words()} if it passes",
        )
        for candidate in request.candidates
        if not candidate.load.requested
    )
