"""Whether the memory that tonight's loads take can be taken, and stopped in time: their bytes, or the arithmetic against them.

A load that the guardian could not stop before the kernel begins to kill is refused before the night, and so is one that
would trip the guardian all by itself: what a phase holds, and what its connections and load processes take. We own the
rate at which memory rises, so both can be computed. Pure; the planner uses it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

from baseline_metrics.units import format_bytes, format_duration, parse_bytes
from campaign.plan import Plan
from campaign.plan_memory import MemoryPart
from campaign.plan_settings import RESERVE_BYTES_MIN
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

WORKER_BYTES = MappingProxyType({"httpx": 120 << 20, "wire": 64 << 20})
"""Of a load process without its connections. Of wire: measured at 32 MiB, and scenarios bring modules of their own."""

CONNECTION_BYTES = MappingProxyType({"httpx": 512 << 10, "wire": 32 << 10})
"""Of httpx: a client with its buffers, measured at about 300 KiB. Of wire: a protocol with its buffers and what the kernel
keeps for a socket, measured at about 20 KiB."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """What one phase takes of memory: what it holds, and what its requests need beside our first processes."""

    held: NoMemoryLoad | MemoryLoad
    connections: int
    connections_bytes: int
    connections_rise_s: float
    processes_bytes: int

    @property
    def held_bytes(self) -> int:
        """As long as it is held."""
        return self.held.size_bytes if isinstance(self.held, MemoryLoad) else 0

    @property
    def total_bytes(self) -> int:
        """Everything of ours while the phase runs."""
        return OURS_BYTES + self.processes_bytes + self.connections_bytes + self.held_bytes

    def words(self, sign: str) -> str:
        """The parts of the sum."""
        parts = [f"{format_bytes(OURS_BYTES + self.processes_bytes)} for our own processes"]
        parts.append(f"{format_bytes(self.connections_bytes)} for {self.connections} connections")
        if isinstance(self.held, MemoryLoad):
            parts.append(_size(self.held))
        return f" {sign} ".join(parts)


def memory_forecast(
    plan: Plan, shape: NightShape, host: HostMemory | HostMemoryUnknown, *, workers: int
) -> MemoryForecast:
    """What every phase of tonight holds, and what is wrong with what it takes. workers: load processes of the night.

    Where nobody can tell how much memory there is, only phases that hold some are refused: the preflight has its own row.
    """
    loads: list[NoMemoryLoad | MemoryLoad] = []
    reasons: list[str] = []
    if isinstance(host, HostMemory) and plan.safety.memory_reserve_bytes >= host.total_bytes:
        reserve = format_bytes(plan.safety.memory_reserve_bytes)
        reasons.append(
            f"safety.memory_reserve: {reserve} can never stay free of {format_bytes(host.total_bytes)}, so the guardian would "
            f"stop every load; write less, such as {format_bytes(max(RESERVE_BYTES_MIN, host.total_bytes // 10))}"
        )
    for planned in shape.phases:
        part = planned.phase.memory
        if isinstance(host, HostMemoryUnknown):
            loads.append(NO_MEMORY_LOAD)
            if part is not None:
                name = planned.phase.name
                reasons.append(f"{name} holds memory, and how much there is cannot be told: {host.reason}")
            continue
        load = _load_of(part, host) if part is not None else NO_MEMORY_LOAD
        loads.append(load)
        if not planned.cut:
            reasons.extend(_problems(plan, planned, _taken(plan, shape, planned, load, workers=workers), host))
    return MemoryForecast(loads=tuple(loads), reasons=tuple(reasons))


def limit_percent(percent: float, multiplier: float) -> float:
    """The guardian's limit on memory in a phase with this multiplier."""
    return min(percent * multiplier, CEILING_PERCENT)


def reaction_bytes(
    rise_bytes_per_s: float, *, swap_bytes: int, burst_bytes: float = 0.0, rise_s: float = float("inf")
) -> float:
    """What has to stay free so that a load of this rate can be stopped before memory runs out.

    burst_bytes: what else is taken within rise_s, evenly; all of it where that is shorter than the reaction.
    """
    burst = burst_bytes if rise_s <= REACTION_S else burst_bytes / rise_s * REACTION_S
    return _factor(swap_bytes) * (rise_bytes_per_s * REACTION_S + burst)


def _factor(swap_bytes: int) -> float:
    return REACTION_FACTOR * (1.0 if swap_bytes > 0 else WITHOUT_SWAP_FACTOR)


def _load_of(part: MemoryPart, host: HostMemory) -> MemoryLoad:
    return MemoryLoad(size_bytes=part.bytes_of(host.total_bytes), rise_bytes_per_s=float(part.rise_bytes_per_s))


def _taken(
    plan: Plan, shape: NightShape, planned: PhaseShape, load: NoMemoryLoad | MemoryLoad, *, workers: int
) -> _Taken:
    connections = planned.load.connections
    return _Taken(
        held=load,
        connections=connections,
        connections_bytes=connections * CONNECTION_BYTES[plan.engine],
        connections_rise_s=shape.ramp.of(planned.duration_s),
        processes_bytes=(workers - 1) * WORKER_BYTES[plan.engine],
    )


def _problems(plan: Plan, planned: PhaseShape, taken: _Taken, host: HostMemory) -> Iterator[str]:
    name = planned.phase.name
    for problem in (
        _rise(planned, taken.held),
        _limit(plan, planned, taken, host),
        _reserve(plan, taken, host),
        _own(plan, taken, host),
        _reaction(plan, taken, host),
    ):
        if problem:
            yield f"{name}: {problem}"


def _rise(planned: PhaseShape, load: NoMemoryLoad | MemoryLoad) -> str:
    longest_s = planned.duration_s * RISE_SHARE_MAX
    if isinstance(load, NoMemoryLoad) or load.rise_s <= longest_s:
        return ""
    return (
        f"{_size(load)} / {_rate(load)} = {format_duration(load.rise_s)} of rise, its own load lasts "
        f"{format_duration(planned.duration_s)}, and half of that has to be held: write a rate of at least "
        f"{_at_least(load.size_bytes / longest_s if longest_s > 0 else load.size_bytes)}/s, or less memory"
    )


def _limit(plan: Plan, planned: PhaseShape, taken: _Taken, host: HostMemory) -> str:
    multiplier = planned.phase.threshold_multiplier
    percent = limit_percent(plan.safety.memory_percent, multiplier)
    most = int(host.total_bytes * percent / 100.0)
    together = host.used_bytes + taken.total_bytes
    if together < most or (isinstance(taken.held, NoMemoryLoad) and host.used_bytes >= most):
        return ""  # what others use alone is the preflight's matter: it is no fault of the plan
    return (
        f"{format_bytes(host.used_bytes)} in use + {taken.words('+')} = "
        f"{format_bytes(together)}, and the guardian's limit in this phase is {percent:g} % of "
        f"{format_bytes(host.total_bytes)} = {format_bytes(most)}: it would stop the load "
        f"{_at_most(taken, most - host.used_bytes)}{_higher_limit(percent, multiplier)}"
    )


def _reserve(plan: Plan, taken: _Taken, host: HostMemory) -> str:
    reserve = plan.safety.memory_reserve_bytes
    left = host.available_bytes - taken.total_bytes
    if left > reserve or (isinstance(taken.held, NoMemoryLoad) and host.available_bytes <= reserve):
        return ""
    return (
        f"{format_bytes(host.available_bytes)} available - {taken.words('-')} "
        f"leave {format_bytes(max(0, left))}, and the guardian keeps {format_bytes(reserve)} free "
        f"{_at_most(taken, host.available_bytes - reserve)}"
    )


def _own(plan: Plan, taken: _Taken, host: HostMemory) -> str:
    most = int(host.total_bytes * plan.safety.own_percent / 100.0)
    if taken.total_bytes < most:
        return ""
    return (
        f"{taken.words('+')} = {format_bytes(taken.total_bytes)} are not below {plan.safety.own_percent:g} % of "
        f"{format_bytes(host.total_bytes)} = {format_bytes(most)}, which our own processes may use {_at_most(taken, most)}"
    )


def _reaction(plan: Plan, taken: _Taken, host: HostMemory) -> str:
    reserve = plan.safety.memory_reserve_bytes
    rise = taken.held.rise_bytes_per_s if isinstance(taken.held, MemoryLoad) else 0.0
    burst = reaction_bytes(
        0.0, swap_bytes=1, burst_bytes=taken.connections_bytes, rise_s=taken.connections_rise_s
    ) / _factor(1)
    needed = _factor(host.swap_bytes) * (rise * REACTION_S + burst)
    if needed <= reserve:
        return ""
    without = "" if host.swap_bytes > 0 else f" x {WITHOUT_SWAP_FACTOR:g} without swap"
    parts = [f"{_rate(taken.held)} x {REACTION_S:g} s"] if isinstance(taken.held, MemoryLoad) else []
    parts.append(f"{format_bytes(burst)} of {taken.connections} connections")
    together = parts[0] if len(parts) == 1 else f"({' + '.join(parts)})"
    return (
        f"the guardian reacts within {PERIOD_S_MIN:g} s + {RESERVE_HOLD_S:g} s + {KILL_S:g} s = {REACTION_S:g} s, and "
        f"{REACTION_FACTOR:g} x {together}{without} = {format_bytes(needed)} are more than the "
        f"{format_bytes(reserve)} it keeps free: write {_slower(taken, reserve, burst, host)}a larger "
        "safety.memory_reserve"
    )


def _slower(taken: _Taken, reserve: int, burst: float, host: HostMemory) -> str:
    """What of the phase itself could be written smaller."""
    left_per_s = (reserve / _factor(host.swap_bytes) - burst) / REACTION_S
    if isinstance(taken.held, MemoryLoad) and left_per_s >= 1.0:
        return f"a rate of at most {_below(left_per_s)}/s, or "
    return "fewer connections, a longer ramp, or "


def _higher_limit(percent: float, multiplier: float) -> str:
    """How the limit itself could be moved, where it still can."""
    if percent >= CEILING_PERCENT:
        return ""
    key = "safety.memory" if multiplier >= 1.0 else "threshold_multiplier"
    return f"; or write a higher {key}, or end other programs"


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


def _at_most(taken: _Taken, room: int) -> str:
    """What there is room for: of what is held, or of everything where nothing is."""
    room -= taken.total_bytes - taken.held_bytes
    if isinstance(taken.held, NoMemoryLoad):
        return f"({format_bytes(-room)} too much)" if room < 0 else "(which is reached)"
    return f"(at most {format_bytes(room)} are possible)" if room > 0 else "(there is no room for any)"
