"""What holds when a plan does not say otherwise: the eight phases, the campaign's settings, and what a host's size changes.

The numbers are the contract of the first campaign; they are plain plan text, so that a default and a written value go
through the same reading and checking. Pure; the launcher's process uses it.
"""

import math
from dataclasses import dataclass

from pydantic import ValidationError

from baseline_metrics.units import parse_duration_s
from campaign.plan_arrivals import ArrivalsPart
from campaign.plan_types import exact_duration
from stress_scenarios.arrivals import mean_per_s
from stress_scenarios.catalogue import LEVELS
from stress_scenarios.load_plan import ReplayRate
from stress_scenarios.rate_lines import RateError

PlanValue = None | bool | int | float | str | tuple["PlanValue", ...] | dict[str, "PlanValue"]
"""What a plan's text holds before it is checked. Sequences are tuples, since nothing may change them."""

GIB = 1 << 30

MEMORY_AS_SOLD = 0.95
"""Firmware and kernel keep up to 4 % for themselves: a machine of 16 GiB reports 15.4 to 15.8."""

DURATION_SHARE_MIN = 1 / 6
"""A phase keeps at least a sixth of its duration: below it too few of its slow effects (filling caches, growing heaps)
can show for its name to be honest. The default phases (14 h) so keep 140 min, which fits an evening of four hours."""

DURATION_S_MIN = 60.0
"""And at least a minute, or its whole duration if that is shorter."""

PHASE_FIELDS = (
    "name",
    "duration",
    "connections",
    "operations",
    "level",
    "threshold_multiplier",
    "required_health",
    "priority",
    "search",
)
DEFAULT_PHASES: tuple[tuple[str, str, int, int, str, float, int, int, bool], ...] = (
    ("warmup", "30min", 2, 10, "low", 0.8, 60, 70, False),
    ("light_load", "60min", 3, 25, "low", 0.9, 65, 30, False),
    ("moderate_load_1", "90min", 5, 40, "moderate", 1.0, 70, 20, False),
    ("moderate_load_2", "90min", 7, 50, "moderate", 1.0, 75, 50, False),
    ("high_load_1", "120min", 10, 75, "high", 1.1, 80, 40, False),
    ("high_load_2", "120min", 12, 100, "high", 1.1, 80, 60, False),
    ("stress_test", "150min", 15, 150, "extreme", 1.2, 85, 90, True),
    ("endurance_test", "180min", 8, 200, "sustained", 1.0, 75, 80, False),
)
"""Priorities: when the window is short, the lowest goes first. The ends of the staircase answer the most (the highest
load, the longest load, the load that everything is compared with), so they stay longest; of the steps between, the
upper one of a pair tells more than the lower. The phase of the highest load goes on with a search for the highest rate:
the answer to "how much" must not be "at least that"."""

ANCHOR_OPERATIONS_PER_S = 1.0
"""The anchor's pace, of one connection, where the first phase has none: the catalogue's lightest."""

_ANCHOR_PACE_MIN = 0.001
_ANCHOR_PACE_MAX = 1000.0
"""What a plan may write. An anchor of the first phase's rate stays within it, however high or low that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSize:
    """How large this machine is."""

    cpu_count: int
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignDefaults:
    """What depends on the host: how long a night is, how many failed phases in a row end it, and why."""

    window_hours: int
    consecutive_failures: int
    reason: str


def campaign_defaults(host: HostSize) -> CampaignDefaults:
    """8 h and 3 failures; 12 h and 5 from 16 GiB and 8 cores on; 6 h and 2 below 8 GiB or below 4 cores."""
    memory_gib = host.memory_bytes / GIB
    size = f"{host.cpu_count} cores, {memory_gib:.1f} GiB"
    if host.cpu_count < 4 or memory_gib < 8 * MEMORY_AS_SOLD:
        return CampaignDefaults(window_hours=6, consecutive_failures=2, reason=f"a small host: {size}")
    if host.cpu_count >= 8 and memory_gib >= 16 * MEMORY_AS_SOLD:
        return CampaignDefaults(window_hours=12, consecutive_failures=5, reason=f"a large host: {size}")
    return CampaignDefaults(window_hours=8, consecutive_failures=3, reason=f"a host of {size}")


def default_layer(*, host: HostSize, zone: str) -> dict[str, PlanValue]:
    """The lowest layer of every plan, as plan text. Settings with one fixed default stand in the plan's models."""
    by_size = campaign_defaults(host)
    phases: tuple[PlanValue, ...] = tuple(_phase_text(row) for row in DEFAULT_PHASES)
    levels: dict[str, PlanValue] = {
        name: {
            "pace": level.operations_per_s,
            "success": level.success_percent_min,
            "response": exact_duration(level.response_s_mean_max),
        }
        for name, level in LEVELS.items()
    }
    return {
        "window": {"hours": by_size.window_hours, "timezone": zone},
        "phases": phases,
        "levels": levels,
        "failures": {"consecutive": by_size.consecutive_failures},
    }


def _phase_text(row: tuple[str | int | float, ...]) -> dict[str, PlanValue]:
    return dict(zip(PHASE_FIELDS, row, strict=True))


def derived_defaults(values: dict[str, PlanValue]) -> dict[str, PlanValue]:
    """The plan text with what follows from other values filled in. Values of the wrong shape are left for the models.

    Minimum durations follow from durations; the anchor load is the first phase's; without a scenario and without code, a
    target's own path is the one operation.
    """
    filled = dict(values)
    phases = filled.get("phases")
    if isinstance(phases, tuple):
        filled["phases"] = tuple(_with_duration_min(phase) for phase in phases)
        anchor = filled.get("anchor", {})
        if phases and isinstance(anchor, dict):
            filled["anchor"] = {**_load_of(phases[0], filled.get("levels")), **anchor}
    if "scenario" not in filled and "code" not in filled:
        _derive_scenario(filled)
    return filled


def split_url(url: str) -> tuple[str, str]:
    """Scheme and authority of a URL, and its path and query (``/`` when there is none)."""
    scheme, separator, rest = url.partition("://")
    cut = min((position for position in (rest.find("/"), rest.find("?")) if position >= 0), default=len(rest))
    path = rest[cut:]
    return f"{scheme}{separator}{rest[:cut]}", path if path.startswith("/") else f"/{path}"


def duration_min_s(duration_s: float) -> float:
    """The shortest that a phase of this duration is scaled down to, unless the plan says its own."""
    return min(duration_s, max(DURATION_S_MIN, math.floor(duration_s * DURATION_SHARE_MIN)))


def _with_duration_min(phase: PlanValue) -> PlanValue:
    if not isinstance(phase, dict) or "duration_min" in phase or not isinstance(phase.get("duration"), str):
        return phase
    try:
        duration_s = parse_duration_s(str(phase["duration"]))
    except ValueError:
        return phase  # the model says what is wrong with it
    return {**phase, "duration_min": exact_duration(duration_min_s(duration_s))}


def _load_of(phase: PlanValue, levels: PlanValue) -> dict[str, PlanValue]:
    if not isinstance(phase, dict):
        return {}
    load: dict[str, PlanValue] = {key: phase[key] for key in ("connections", "operations") if key in phase}
    if isinstance(phase.get("arrivals"), dict):
        return {**load, **_load_of_arrivals(phase)}
    level = levels.get(str(phase.get("level"))) if isinstance(levels, dict) else None
    if isinstance(level, dict) and ("pace" in level or "think" in level):
        pace = level.get("pace")
        load["pace"] = pace if isinstance(pace, int | float) else ANCHOR_OPERATIONS_PER_S
    return load


def _load_of_arrivals(phase: dict[str, PlanValue]) -> dict[str, PlanValue]:
    """About one operation a second on each of so many connections that they make the phase's mean rate together."""
    connections = phase.get("connections")
    try:
        per_s = _mean_rate(ArrivalsPart.model_validate(phase["arrivals"]), parse_duration_s(str(phase.get("duration"))))
    except (ValidationError, ValueError, RateError):
        return {}  # the model says what is wrong with it
    if not isinstance(connections, int) or connections < 1 or per_s <= 0:
        return {}
    used = min(connections, max(1, math.ceil(per_s)))
    return {"connections": used, "pace": min(max(round(per_s / used, 3), _ANCHOR_PACE_MIN), _ANCHOR_PACE_MAX)}


def _mean_rate(arrivals: ArrivalsPart, load_s: float) -> float:
    shape = arrivals.shape()
    if isinstance(shape, ReplayRate):
        return ANCHOR_OPERATIONS_PER_S  # nobody has read its file yet
    return mean_per_s(shape, from_s=0.0, until_s=load_s, load_s=load_s)


def _derive_scenario(filled: dict[str, PlanValue]) -> None:
    target = filled.get("target")
    if not isinstance(target, dict) or not isinstance(target.get("url"), str):
        return
    origin, path = split_url(str(target["url"]))
    filled["target"] = {**target, "url": origin}
    filled["scenario"] = ({"name": "get", "path": path},)
