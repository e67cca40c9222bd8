"""Whether limits are violated, and whether all is clear again, from readings alone.

Pure, so that every boundary can be tested without a host: over is strictly past the limit, a violation has been seen
over its whole hold time, and unknown is neither over nor clear. The guardian judges with it.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from safety_monitoring.limits import LEVEL_UNLIMITED, Limit, Limits, Resource

PERCENT_UNLIMITED = 100.0
"""No share is larger."""

HISTORY_S = 120.0
"""Longer than every hold time; a hold time beyond it is cut to it, which is the safe direction."""

READINGS_MAX = 2048
"""Per resource; 120 s at the shortest period of 100 ms are 1200 readings."""

RESERVE_HOLD_S = 0.2
"""Below the absolute memory reserve two readings in a row decide, not two seconds: a host without swap dies faster."""

FRESH_S = 2.5
"""All is clear only on readings this young: the slowest sensor is read every second, and one may be late."""


NO_LEVEL = Gap(reason=GapReason.ABSENT, detail="this resource has no level")

_MIB = 1 << 20
_NEVER_READ = Gap(reason=GapReason.FIRST_READING, detail="never read")


class ViolationKind(Enum):
    """What is wrong."""

    PERCENT = "percent"
    RESERVE = "reserve"
    LEVEL = "level"
    UNKNOWN = "unknown"


class _Side(Enum):
    OVER = "over"
    INSIDE = "inside"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceReading:
    """One resource at one instant. percent: used share, 0..100. free and level: in the resource's unit (see limits.Limit).

    Each is a Gap where the resource has no such notion.
    """

    at_mono_s: float
    percent: Reading
    free: Reading
    level: Reading = NO_LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A limit that does not hold.

    since_mono_s: first reading of the unbroken violation. evidence_mono_s: the newest reading that shows it (for an
    unread sensor: now). text: resource, reading, limit and duration, for people.
    """

    limit: Limit
    kind: ViolationKind
    since_mono_s: float
    evidence_mono_s: float
    text: str


class ReadingWindow:
    """What was read lately, per resource, oldest first; bounded by age and number."""

    def __init__(self, *, began_mono_s: float) -> None:
        self.began_mono_s = began_mono_s
        self._readings: dict[Resource, deque[ResourceReading]] = {
            resource: deque(maxlen=READINGS_MAX) for resource in Resource
        }

    def add(self, resource: Resource, reading: ResourceReading) -> None:
        """Append a reading; time does not run backwards."""
        kept = self._readings[resource]
        assert not kept or kept[-1].at_mono_s <= reading.at_mono_s, "readings are added in order"
        kept.append(reading)
        while len(kept) > 2 and kept[1].at_mono_s < reading.at_mono_s - HISTORY_S:
            kept.popleft()

    def newest_first(self, resource: Resource, *, since_mono_s: float = float("-inf")) -> Iterator[ResourceReading]:
        """The kept readings of a resource, not older than that. One by one: who is answered by the newest asks no further."""
        for reading in reversed(self._readings[resource]):
            if reading.at_mono_s < since_mono_s:
                return
            yield reading

    def latest(self, resource: Resource) -> ResourceReading | Gap:
        """The newest reading, or a gap if there was none yet."""
        kept = self._readings[resource]
        return kept[-1] if kept else _NEVER_READ


def judge(
    limits: Limits,
    window: ReadingWindow,
    now_mono_s: float,
    *,
    since_mono_s: float = 0.0,
    only: frozenset[Resource] = frozenset(Resource),
) -> tuple[Violation, ...]:
    """All sustained violations, one or two per limit (percentage and reserve), in the order of the limits.

    since_mono_s: from when on the limits are in force; nothing that was read before can violate them. only: of these.
    """
    violations: list[Violation] = []
    for limit in limits.limits:
        if limit.resource not in only:
            continue
        for kind in _kinds(limit):
            violations.extend(_sustained(limit, kind, window.newest_first(limit.resource, since_mono_s=since_mono_s)))
        if not limit.optional:
            violations.extend(_unread(limit, limits.unknown_s_max, window, now_mono_s))
    return tuple(violations)


def clear(limits: Limits, window: ReadingWindow, now_mono_s: float) -> bool:
    """Whether every limited resource was read inside its limit, by the margin, for its whole clear hold time."""
    return all(_limit_is_clear(limit, window.newest_first(limit.resource), now_mono_s) for limit in limits.limits)


def _kinds(limit: Limit) -> tuple[ViolationKind, ...]:
    """The bounds that a limit has: what cannot be passed is not looked for, up to ten times a second."""
    bounds = (
        (ViolationKind.RESERVE, limit.free_min > 0),
        (ViolationKind.PERCENT, limit.percent_max < PERCENT_UNLIMITED),
        (ViolationKind.LEVEL, limit.level_max < LEVEL_UNLIMITED),
    )
    return tuple(kind for kind, is_set in bounds if is_set)


def _sustained(limit: Limit, kind: ViolationKind, readings: Iterable[ResourceReading]) -> tuple[Violation, ...]:
    over = []
    for reading in readings:
        side = _side(limit, kind, reading)
        if side is _Side.INSIDE:
            break
        if (
            side is _Side.OVER
        ):  # unknown readings in between are passed over: they neither prove a violation nor end one
            over.append(reading)
    if not over:
        return ()
    newest, oldest = over[0], over[-1]
    if newest.at_mono_s - oldest.at_mono_s < min(_hold_s(limit, kind), HISTORY_S):
        return ()
    return (
        Violation(
            limit=limit,
            kind=kind,
            since_mono_s=oldest.at_mono_s,
            evidence_mono_s=newest.at_mono_s,
            text=_text(limit, kind, newest, newest.at_mono_s - oldest.at_mono_s),
        ),
    )


def _unread(
    limit: Limit,
    unknown_s_max: float,
    window: ReadingWindow,
    now_mono_s: float,
) -> tuple[Violation, ...]:
    known = (reading.at_mono_s for reading in window.newest_first(limit.resource) if _is_known(limit, reading))
    since_mono_s = next(known, window.began_mono_s)
    if now_mono_s - since_mono_s <= unknown_s_max:
        return ()
    latest = next(window.newest_first(limit.resource), None)
    why = "never read" if latest is None else _gap_detail(latest)
    text = f"{limit.resource.value} is unknown for {now_mono_s - since_mono_s:.1f} s ({why}), limit {unknown_s_max:g} s"
    return (
        Violation(
            limit=limit,
            kind=ViolationKind.UNKNOWN,
            since_mono_s=since_mono_s,
            evidence_mono_s=now_mono_s,
            text=text,
        ),
    )


def _limit_is_clear(limit: Limit, readings: Iterable[ResourceReading], now_mono_s: float) -> bool:
    if limit.optional:
        return _optional_is_clear(limit, readings, now_mono_s)
    began_mono_s = now_mono_s - min(limit.clear_hold_s, HISTORY_S)
    for index, reading in enumerate(readings):
        if index == 0 and now_mono_s - reading.at_mono_s > FRESH_S:
            return False
        if not _is_well_inside(limit, reading):
            return False
        if reading.at_mono_s <= began_mono_s:
            return True
    return False


def _optional_is_clear(limit: Limit, readings: Iterable[ResourceReading], now_mono_s: float) -> bool:
    """What the host lacks is not in the way. What was read and is not any more counts as it was read last."""
    began_mono_s = now_mono_s - min(limit.clear_hold_s, HISTORY_S)
    was_read = False
    for reading in readings:
        if not _has_sample(reading):
            continue
        was_read = True
        if not _known_parts_are_inside(limit, reading):
            return False
        if reading.at_mono_s <= began_mono_s:
            return True
    return not was_read


def _has_sample(reading: ResourceReading) -> bool:
    return any(isinstance(part, Sample) for part in (reading.percent, reading.free, reading.level))


def _known_parts_are_inside(limit: Limit, reading: ResourceReading) -> bool:
    margin = limit.clear_margin_percent
    inside = [
        part.value <= most
        for part, most in (
            (reading.percent, limit.percent_max - margin),
            (reading.level, limit.level_max * (1.0 - margin / 100.0)),
        )
        if isinstance(part, Sample)
    ]
    if isinstance(reading.free, Sample):
        inside.append(reading.free.value >= limit.free_min * (1.0 + margin / 100.0))
    return all(inside)


def _is_well_inside(limit: Limit, reading: ResourceReading) -> bool:
    match reading.percent:
        case Sample(value=percent) if percent <= limit.percent_max - limit.clear_margin_percent:
            pass
        case _:
            return False
    if limit.free_min == 0:
        return True
    free_clear = limit.free_min * (1.0 + limit.clear_margin_percent / 100.0)
    match reading.free:
        case Sample(value=free):
            return free >= free_clear
        case Gap():
            return False


def _side(limit: Limit, kind: ViolationKind, reading: ResourceReading) -> _Side:
    match kind, reading.percent, reading.free, reading.level:
        case ViolationKind.PERCENT, Sample(value=percent), _, _:
            return _Side.OVER if percent > limit.percent_max else _Side.INSIDE
        case ViolationKind.RESERVE, _, Sample(value=free), _:
            return _Side.OVER if free < limit.free_min else _Side.INSIDE
        case ViolationKind.LEVEL, _, _, Sample(value=level):
            return _Side.OVER if level > limit.level_max else _Side.INSIDE
        case _:
            return _Side.UNKNOWN


def _is_known(limit: Limit, reading: ResourceReading) -> bool:
    return isinstance(reading.percent, Sample) and (limit.free_min == 0 or isinstance(reading.free, Sample))


def _hold_s(limit: Limit, kind: ViolationKind) -> float:
    if kind is ViolationKind.RESERVE and limit.resource is Resource.MEMORY:
        return min(RESERVE_HOLD_S, limit.hold_s)
    return limit.hold_s


def _gap_detail(reading: ResourceReading) -> str:
    for part in (reading.percent, reading.free):
        if isinstance(part, Gap):
            return part.detail or part.reason.value
    return "no reading since"


def _text(limit: Limit, kind: ViolationKind, reading: ResourceReading, seconds: float) -> str:
    match kind, reading.percent, reading.free, reading.level:
        case ViolationKind.PERCENT, Sample(value=percent), _, _:
            what = f"{percent:.1f} %, limit {limit.percent_max:g} %"
        case ViolationKind.RESERVE, _, Sample(value=free), _:
            what = f"{_amount(limit.resource, free)} free, reserve {_amount(limit.resource, limit.free_min)}"
        case ViolationKind.LEVEL, _, _, Sample(value=level):
            what = f"{_amount(limit.resource, level)}, limit {_amount(limit.resource, limit.level_max)}"
        case _:
            what = "unknown"
    why = f" ({limit.why})" if limit.why else ""
    return f"{limit.resource.value} at {what}{why}, for {seconds:.1f} s"


def _amount(resource: Resource, amount: float) -> str:
    """An amount in the resource's own unit."""
    match resource:
        case Resource.TEMPERATURE:
            return f"{amount:.1f} degrees Celsius"
        case Resource.LOAD:
            return f"{amount:.1f} tasks a core"
        case Resource.SWAP:
            return f"{amount / _MIB:.0f} MiB more within a minute"
        case Resource.INODES | Resource.OPEN_FILES:
            return f"{amount:.0f}"
        case _:
            return f"{amount / _MIB:.0f} MiB"
