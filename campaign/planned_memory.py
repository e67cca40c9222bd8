"""Whether tonight's memory loads can be made, and stopped in time: their bytes, or the arithmetic against them.

A load that the guardian could not stop before the kernel begins to kill is refused before the night, and so is one that
would trip the guardian all by itself. We own the rate at which memory rises, so both can be computed. Pure; the planner
uses it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from baseline_metrics.units import format_bytes, format_duration, parse_bytes
from campaign.plan import Plan
from campaign.plan_memory import MemoryPart
from campaign.planned_shape import NightShape, PhaseShape
from monitoring_logs.load_orders import NO_MEMORY_LOAD, MemoryLoad, NoMemoryLoad
from safety_monitoring.judge import RESERVE_HOLD_S
from safety_monitoring.limits import CEILING_PERCENT
from safety_monitoring.look_period import PERIOD_S_MIN

KILL_S = 0.1
"""Until the memory is with the kernel again: a revoked worker leaves within some milliseconds and is killed after 30 ms, and
the kernel takes it apart at about 60 ms a GiB."""

REACTION_S = PERIOD_S_MIN + RESERVE_HOLD_S + KILL_S
"""Of the guardian at its fastest: until it looks, until it has seen enough to decide, until the load is gone. Measured from a
breach to the release: 0.28 to 0.35 s."""

REACTION_FACTOR = 2.0
"""What memory rises by within the reaction is kept free this many times over: others take memory at the same time."""

WITHOUT_SWAP_FACTOR = 2.0
"""Without swap the kernel kills when with swap it would begin to page: there is less warning."""

OURS_BYTES = 192 << 20
"""What our own processes will take beside the load, none of which runs when the plan is made: supervisor 75 MiB, guardian 20,
a load process 32, the one that holds memory 17, a reporter 50."""

RISE_SHARE_MAX = 0.5
"""Of the phase's own load: memory that is there for less than half of it says little about the phase."""

_EXACT = 1e-9
"""What two floats that mean the same rate may differ by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMemory:
    """The memory there is, within the limits of every container around us, bytes; swap_bytes: free, 0 where none may be used."""

    total_bytes: int
    available_bytes: int
    swap_bytes: int

    @property
    def used_bytes(self) -> int:
        """In use by whomever."""
        return max(0, self.total_bytes - self.available_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMemoryUnknown:
    """It cannot be read, and why."""

    reason: str


NOT_LOOKED_AT = HostMemoryUnknown(reason="nobody has looked at this host's memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryForecast:
    """By phase what is held, in the order of the shape; reasons: why the night is refused."""

    loads: tuple[NoMemoryLoad | MemoryLoad, ...]
    reasons: tuple[str, ...]


def memory_forecast(plan: Plan, shape: NightShape, host: HostMemory | HostMemoryUnknown) -> MemoryForecast:
    """What every phase of tonight holds, and what is wrong with that."""
    loads: list[NoMemoryLoad | MemoryLoad] = []
    reasons: list[str] = []
    for planned in shape.phases:
        part = planned.phase.memory
        if part is None:
            loads.append(NO_MEMORY_LOAD)
            continue
        if isinstance(host, HostMemoryUnknown):
            loads.append(NO_MEMORY_LOAD)
            reasons.append(f"{planned.phase.name} holds memory, and how much there is cannot be told: {host.reason}")
            continue
        load = _load_of(part, host)
        loads.append(load)
        if not planned.cut:
            reasons.extend(_problems(plan, planned, load, host))
    return MemoryForecast(loads=tuple(loads), reasons=tuple(reasons))


def reaction_bytes(rise_bytes_per_s: float, *, swap_bytes: int) -> float:
    """What has to stay free so that a load of this rate can be stopped before memory runs out."""
    factor = REACTION_FACTOR * (1.0 if swap_bytes > 0 else WITHOUT_SWAP_FACTOR)
    return factor * rise_bytes_per_s * REACTION_S


def _load_of(part: MemoryPart, host: HostMemory) -> MemoryLoad:
    return MemoryLoad(size_bytes=part.bytes_of(host.total_bytes), rise_bytes_per_s=float(part.rise_bytes_per_s))


def _problems(plan: Plan, planned: PhaseShape, load: MemoryLoad, host: HostMemory) -> Iterator[str]:
    name = planned.phase.name
    for problem in (
        _rise(planned, load),
        _limit(plan, planned, load, host),
        _reserve(plan, load, host),
        _own(plan, load, host),
        _reaction(plan, load, host),
    ):
        if problem:
            yield f"{name}: {problem}"


def _rise(planned: PhaseShape, load: MemoryLoad) -> str:
    longest_s = planned.duration_s * RISE_SHARE_MAX
    if load.rise_s <= longest_s:
        return ""
    return (
        f"{_size(load)} / {_rate(load)} = {format_duration(load.rise_s)} of rise, its own load lasts "
        f"{format_duration(planned.duration_s)}, and half of that has to be held: write a rate of at least "
        f"{_at_least(load.size_bytes / longest_s if longest_s > 0 else load.size_bytes)}/s, or less memory"
    )


def _limit(plan: Plan, planned: PhaseShape, load: MemoryLoad, host: HostMemory) -> str:
    multiplier = planned.phase.threshold_multiplier
    percent = min(plan.safety.memory_percent * multiplier, CEILING_PERCENT)
    most = int(host.total_bytes * percent / 100.0)
    together = host.used_bytes + OURS_BYTES + load.size_bytes
    if together < most:
        return ""
    return (
        f"{format_bytes(host.used_bytes)} in use + {format_bytes(OURS_BYTES)} for our own processes + {_size(load)} = "
        f"{format_bytes(together)}, and the guardian's limit in this phase is {percent:g} % of "
        f"{format_bytes(host.total_bytes)} = {format_bytes(most)}: it would stop the load "
        f"{_at_most(most - host.used_bytes - OURS_BYTES)}"
    )


def _reserve(plan: Plan, load: MemoryLoad, host: HostMemory) -> str:
    reserve = plan.safety.memory_reserve_bytes
    left = host.available_bytes - OURS_BYTES - load.size_bytes
    if left > reserve:
        return ""
    return (
        f"{format_bytes(host.available_bytes)} available - {format_bytes(OURS_BYTES)} for our own processes - {_size(load)} "
        f"leave {format_bytes(max(0, left))}, and the guardian keeps {format_bytes(reserve)} free "
        f"{_at_most(host.available_bytes - OURS_BYTES - reserve)}"
    )


def _own(plan: Plan, load: MemoryLoad, host: HostMemory) -> str:
    most = int(host.total_bytes * plan.safety.own_percent / 100.0)
    if load.size_bytes < most:
        return ""
    return (
        f"{_size(load)} are not below {plan.safety.own_percent:g} % of {format_bytes(host.total_bytes)} = "
        f"{format_bytes(most)}, which our own processes may use {_at_most(most)}"
    )


def _reaction(plan: Plan, load: MemoryLoad, host: HostMemory) -> str:
    reserve = plan.safety.memory_reserve_bytes
    needed = reaction_bytes(load.rise_bytes_per_s, swap_bytes=host.swap_bytes)
    if needed <= reserve:
        return ""
    without = "" if host.swap_bytes > 0 else f" x {WITHOUT_SWAP_FACTOR:g} without swap"
    fastest = load.rise_bytes_per_s * reserve / needed
    return (
        f"the guardian reacts within {PERIOD_S_MIN:g} s + {RESERVE_HOLD_S:g} s + {KILL_S:g} s = {REACTION_S:g} s, and "
        f"{REACTION_FACTOR:g} x {_rate(load)} x {REACTION_S:g} s{without} = {format_bytes(needed)} are more than the "
        f"{format_bytes(reserve)} it keeps free: write a rate of at most {_below(fastest)}/s, or a larger "
        "safety.memory_reserve"
    )


def _size(load: MemoryLoad) -> str:
    return format_bytes(load.size_bytes)


def _rate(load: MemoryLoad) -> str:
    return f"{format_bytes(load.rise_bytes_per_s)}/s"


def _at_least(count: float) -> str:
    """So many bytes, rounded so that what is read is enough."""
    return format_bytes(count if parse_bytes(format_bytes(count)) >= count * (1.0 - _EXACT) else count * 1.01)


def _below(count: float) -> str:
    """So many bytes, rounded so that what is read is not too much."""
    return format_bytes(count if parse_bytes(format_bytes(count)) <= count * (1.0 + _EXACT) else count * 0.99)


def _at_most(room: int) -> str:
    return f"(at most {format_bytes(room)} are possible)" if room > 0 else "(there is no room for any)"
