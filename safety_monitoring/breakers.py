"""Circuit breakers: a limit that is violated again and again holds the load back for longer, and lets it back in steps.

The ladder answers each violation by itself; a load that is eased, returns, and violates the same limit again would swing
for the whole night. So violations are counted per resource. At the last one that a breaker bears it opens: no load for a
while. Then, and only with both keys (clear readings, and the supervisor asks), a small share probes for some seconds; a
violation meanwhile opens it again, for twice as long, and without one it closes. Pure; the guardian keeps one of each.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from safety_monitoring.limits import HOLD_S, Resource

PROBE_SHARE = 0.25
"""Of the load: enough to show in the readings of what was over, and far below what it was over with."""

WINDOW_S = 600.0
"""Violations that lie further apart than this are not one trouble."""

OPEN_S_MAX = 300.0
"""Doubling ends here: beyond five minutes a phase is lost anyway, and the ladder has its own end for a host that stays over."""


class BreakerStep(Enum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """violations: how many open it; open_s: for how long the first time; probe_s: longer than a violation takes to be one."""

    violations: int
    open_s: float
    probe_s: float


SETTINGS: Mapping[Resource, Setting] = {
    Resource.CPU: Setting(violations=3, open_s=10.0, probe_s=HOLD_S[Resource.CPU] + 2.0),
    Resource.OWN_CPU: Setting(violations=3, open_s=10.0, probe_s=HOLD_S[Resource.OWN_CPU] + 2.0),
    Resource.MEMORY: Setting(violations=2, open_s=15.0, probe_s=HOLD_S[Resource.MEMORY] + 2.0),
    Resource.OWN_MEMORY: Setting(violations=2, open_s=15.0, probe_s=HOLD_S[Resource.OWN_MEMORY] + 2.0),
    Resource.TEMPERATURE: Setting(violations=1, open_s=60.0, probe_s=HOLD_S[Resource.TEMPERATURE] + 24.0),
    Resource.LOAD: Setting(violations=1, open_s=30.0, probe_s=HOLD_S[Resource.LOAD] + 2.0),
    Resource.SWAP: Setting(violations=1, open_s=30.0, probe_s=HOLD_S[Resource.SWAP] + 2.0),
    Resource.OPEN_FILES: Setting(violations=1, open_s=30.0, probe_s=HOLD_S[Resource.OPEN_FILES] + 2.0),
}
"""A full CPU hurts slowly and passes often; memory kills. Heat, a load average, swapping and open files are the system as a
whole: the first violation takes all load away, because half of it would cool or clear nothing in time; metal also takes
its time to get hot again, so heat is probed for longer. A disk does not
empty by itself and a battery does not charge: the ladder alone answers those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One resource's breaker. seen: when the violations within the window began; until: when the step's time is over.

    open_s: how long the next opening lasts.
    """

    resource: Resource
    step: BreakerStep
    seen: tuple[float, ...]
    until_mono_s: float
    open_s: float


def all_closed() -> tuple[Breaker, ...]:
    """One breaker of each resource that has one, as a night begins."""
    return tuple(closed(resource) for resource in SETTINGS)


def closed(resource: Resource) -> Breaker:
    """A breaker at the start of a night."""
    return Breaker(
        resource=resource, step=BreakerStep.CLOSED, seen=(), until_mono_s=0.0, open_s=SETTINGS[resource].open_s
    )


def violated(breaker: Breaker, now_mono_s: float) -> Breaker:
    """A violation began. It opens the breaker if it is one too many, or if it comes while a share probes."""
    seen = (*(at for at in breaker.seen if now_mono_s - at <= WINDOW_S), now_mono_s)
    match breaker.step:
        case BreakerStep.OPEN:
            return replace(breaker, seen=seen[-SETTINGS[breaker.resource].violations :])
        case BreakerStep.HALF_OPEN:
            return _opened(replace(breaker, open_s=min(OPEN_S_MAX, breaker.open_s * 2.0)), now_mono_s)
        case BreakerStep.CLOSED:
            if len(seen) < SETTINGS[breaker.resource].violations:
                return replace(breaker, seen=seen)
            return _opened(breaker, now_mono_s)


def _opened(breaker: Breaker, now_mono_s: float) -> Breaker:
    return replace(breaker, step=BreakerStep.OPEN, seen=(), until_mono_s=now_mono_s + breaker.open_s)


def holds_back(breakers: Iterable[Breaker], now_mono_s: float) -> bool:
    """Whether some breaker is open and its time is not over: no load may come back, whatever the readings say."""
    return any(breaker.step is BreakerStep.OPEN and now_mono_s < breaker.until_mono_s for breaker in breakers)


def returned(breaker: Breaker, now_mono_s: float) -> Breaker:
    """Both keys were turned: an open breaker whose time is over lets a share probe. One that is not open stays."""
    if breaker.step is not BreakerStep.OPEN or now_mono_s < breaker.until_mono_s:
        return breaker
    return replace(breaker, step=BreakerStep.HALF_OPEN, until_mono_s=now_mono_s + SETTINGS[breaker.resource].probe_s)


def probed(breaker: Breaker, now_mono_s: float) -> Breaker:
    """A probe that met no violation in its time closes the breaker. What it has learned of open times it forgets then."""
    if breaker.step is not BreakerStep.HALF_OPEN or now_mono_s < breaker.until_mono_s:
        return breaker
    return closed(breaker.resource)


def interrupted(breaker: Breaker, now_mono_s: float) -> Breaker:
    """Something was violated that is not the load's doing: a probe is given up, and needs both keys again."""
    if breaker.step is not BreakerStep.HALF_OPEN:
        return breaker
    return replace(breaker, step=BreakerStep.OPEN, until_mono_s=now_mono_s)


def share_of_breakers(breakers: Iterable[Breaker]) -> float:
    """The share of load that all of them together let through, 0..1."""
    shares = {BreakerStep.CLOSED: 1.0, BreakerStep.HALF_OPEN: PROBE_SHARE, BreakerStep.OPEN: 0.0}
    return min((shares[breaker.step] for breaker in breakers), default=1.0)


def is_probing(breakers: Iterable[Breaker]) -> bool:
    """Whether some breaker lets a share probe."""
    return any(breaker.step is BreakerStep.HALF_OPEN for breaker in breakers)
