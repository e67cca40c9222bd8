"""Whether our own load generator kept up: what a saturated generator measured says nothing about the target.

Response times are taken from the intended start, so a worker that is late itself makes every answer look late; and one
that does not send asks less of the target than the plan meant. A phase therefore passes or fails only if the generator is
known to have kept up. Pure; the campaign decides a phase's outcome by it, the report each of its gates.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from baseline_metrics.samples import Gap, Sample
from monitoring_logs.records import LoadSecond, PhaseOrder, PhaseRecord
from stress_scenarios.histogram import Histogram, HistogramError

GENERATOR_CPU_S_MAX = 0.9
"""CPU seconds per second from which on a worker is at its limit: an event loop has one core, and the last tenth of it is
already queueing. Of the busiest worker; a record of schema version 1 has only the sum of all workers and not their number,
so there it is taken as the sum, at least one core's worth of work. With several workers that is too careful."""

GENERATOR_BUSY_S_MAX = 0.9
"""CPU seconds and seconds of waiting for a CPU together: a worker whose core is taken by others is as late as one that uses
all of it itself, and neither its lateness with starts nor its CPU time shows it, because answers wait unread."""

LOOP_STALL_S_MAX = 0.2
"""Seconds per second in which the loop stood still, each time for 10 ms or more: a process that is throttled or stopped again
and again uses little CPU and waits for none. On a busy host single stalls of some 10 ms are common, twenty a second are not."""

LOOP_LAG_S_MAX = 0.25
"""A loop that turns a quarter of a second late adds as much to a response time: above the noise of a busy host (tens of
milliseconds), and much more than the few percent of a usual limit of one or two seconds."""

SCHEDULE_LAG_S_P99_MAX = 0.05
"""Every hundredth start this late, after it was due and a connection was free, is what users feel as 50 ms that the target
did not take: five times the 10 ms within which a worker looks at its schedule, and a few percent of a usual limit."""

GC_PAUSE_S_MAX = 0.1
"""A garbage collection stops the whole worker: one of a tenth of a second is a stall of our own in every operation that is
under way, twice what lateness may be. A worker that is sized right collects in single milliseconds."""

SHARE_MAX = 0.9
"""Of descriptors and of ports. Above it the last tenth may go within a second at a thousand connections, and the failures to
connect that follow are our own; a healthy load stays far below."""

SATURATED_SHARE_MAX = 0.10
"""More seconds than this at a limit are not a hiccup; below it, at most a tenth of the load can be touched."""

HICCUP_LOAD_S_MIN = 5
"""From this many seconds on, one second is excused whatever its share: a single stall of the host must not make every load
of less than ten seconds invalid. In a shorter load one second is too much of it."""

_OUR_CLASSES = frozenset({"client", "scenario"})
"""ErrorClass of failures that our own side made, by its word in the record: what could not be sent, and what the scenario
itself got wrong (code that raised, a variable without a value, a feeder run dry). Neither says anything about the target."""


class GeneratorLimit(Enum):
    """What a worker can run into, in words."""

    CPU = "CPU of the busiest worker"
    BUSY = "CPU of the busiest worker and its waiting for it"
    LOOP_STALLS = "time in which the worst event loop stood still"
    LOOP_LAG = "lag of the worst event loop"
    SCHEDULE_LAG = "p99 of our own lateness with starts"
    GARBAGE_COLLECTION = "longest pause for garbage collection"
    DESCRIPTORS = "share of file descriptors in use"
    PORTS = "share of local ports in use"


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """One limit that a second lies beyond. value: CPU seconds, seconds or a share, as the limit."""

    limit: GeneratorLimit
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorSecond:
    """How the generator fared in one second. readable: whether all that it is judged by is in the record."""

    second: int
    excesses: tuple[Excess, ...]
    readable: bool

    @property
    def is_saturated(self) -> bool:
        """Known to be beyond a limit."""
        return bool(self.excesses)

    @property
    def is_clear(self) -> bool:
        """Known to be beyond none."""
        return self.readable and not self.excesses


@dataclass(frozen=True, slots=True, kw_only=True)
class Valid:
    """The generator is known to have kept up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """The generator was at its own limit for too long: what it measured says nothing about the target."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Too little is in the record to say that the generator kept up."""

    reason: str


GeneratorValidity = Valid | Invalid | Unknown


def generator_validity(seconds: Iterable[LoadSecond], due: int) -> GeneratorValidity:
    """Whether the generator kept up over a load that must have left ``due`` whole seconds, numbered from 0.

    A second that is missing, unreadable, or lacks one of the workers may have been saturated.
    """
    return validity_of(generator_seconds(seconds), due)


def generator_seconds(seconds: Iterable[LoadSecond]) -> tuple[GeneratorSecond, ...]:
    """Each second of one segment on its own, by its number."""
    rows = {row.second: row for row in seconds}
    workers = max((row.workers for row in rows.values()), default=0)
    return tuple(_looked_at(row, workers) for _, row in sorted(rows.items()))


def validity_of(seconds: Iterable[GeneratorSecond], due: int) -> GeneratorValidity:
    """The same from seconds that were looked at before."""
    if due <= 0:
        return Unknown(reason="the load was too short to see whether the generator kept up")
    looked_at = [second for second in seconds if 0 <= second.second < due]
    saturated = [second for second in looked_at if second.is_saturated]
    clear = sum(1 for second in looked_at if second.is_clear)
    excused = seconds_excused(due)
    if len(saturated) > excused:
        return Invalid(
            reason=f"the generator was at its own limit in {len(saturated)} of {due} s; {_most_often(saturated)}"
        )
    if due - clear > excused:
        missing = due - clear - len(saturated)
        return Unknown(reason=f"whether the generator kept up is not known in {missing} of {due} s")
    return Valid()


def seconds_excused(due: int) -> int:
    """How many seconds of a load may be saturated or missing: a tenth, and one in a load that is not very short."""
    return max(math.floor(SATURATED_SHARE_MAX * due + 1e-9), 1 if due >= HICCUP_LOAD_S_MIN else 0)


def is_ours(error_class: str) -> bool:
    """Whether a failure of this class was made by our own side."""
    return error_class in _OUR_CLASSES


def whole_seconds_due(*, planned_s: float, ran_s: float) -> int:
    """Whole seconds that a load must have left; the last one of a load that was cut short may be torn off."""
    if ran_s < planned_s:
        return max(0, math.floor(ran_s) - 1)
    return math.floor(planned_s + 1e-9)


def seconds_due(order: PhaseOrder, record: PhaseRecord) -> int:
    """Whole seconds that a phase's load must have left. Those in which a person had paused it were reported as well."""
    planned_s = order.ramp_s + min(order.hold_s, record.load.hold_s_requested) + record.held_s
    return whole_seconds_due(planned_s=planned_s, ran_s=record.end_mono_s - record.start_mono_s)


def _looked_at(row: LoadSecond, workers: int) -> GeneratorSecond:
    cpu_s = row.generator_cpu_s_max if row.workers > 0 else row.generator_cpu_s
    excesses = [Excess(limit=GeneratorLimit.CPU, value=cpu_s)] if cpu_s >= GENERATOR_CPU_S_MAX else []
    readable = row.workers == workers
    try:
        lag = Histogram.decode(row.schedule_lag).quantile(0.99)
    except HistogramError:
        readable, lag_s = False, 0.0
    else:
        lag_s = _value_s(lag)
    if not excesses and row.generator_busy_s_max >= GENERATOR_BUSY_S_MAX:
        excesses.append(Excess(limit=GeneratorLimit.BUSY, value=row.generator_busy_s_max))
    excesses.extend(
        Excess(limit=limit, value=value)
        for limit, value in (
            (GeneratorLimit.LOOP_STALLS, row.loop_stall_s_max),
            (GeneratorLimit.LOOP_LAG, row.loop_lag_s_max),
            (GeneratorLimit.SCHEDULE_LAG, lag_s),
            (GeneratorLimit.GARBAGE_COLLECTION, row.gc_pause_s_max),
            (GeneratorLimit.DESCRIPTORS, row.descriptors_share_max),
            (GeneratorLimit.PORTS, row.ports_share_max),
        )
        if value > _LIMITS[limit]
    )
    return GeneratorSecond(second=row.second, excesses=tuple(excesses), readable=readable)


def _value_s(lag: Sample | Gap) -> float:
    """A second without a start has no lateness."""
    return lag.value if isinstance(lag, Sample) else 0.0


def _most_often(saturated: list[GeneratorSecond]) -> str:
    """The limit that most seconds lie beyond, with its worst figure."""
    counts: dict[GeneratorLimit, int] = dict.fromkeys(GeneratorLimit, 0)
    worst: dict[GeneratorLimit, float] = dict.fromkeys(GeneratorLimit, 0.0)
    for second in saturated:
        for excess in second.excesses:
            counts[excess.limit] += 1
            worst[excess.limit] = max(worst[excess.limit], excess.value)
    limit = max(GeneratorLimit, key=lambda one: counts[one])
    return (
        f"most often {limit.value}: up to {_figure(limit, worst[limit])}, the limit is {_figure(limit, _LIMITS[limit])}"
    )


def _figure(limit: GeneratorLimit, value: float) -> str:
    match limit:
        case GeneratorLimit.CPU:
            return f"{value:.2f} CPU seconds a second"
        case GeneratorLimit.BUSY:
            return f"{value:.2f} s of each second"
        case GeneratorLimit.DESCRIPTORS | GeneratorLimit.PORTS:
            return f"{100 * value:.0f} %"
        case (
            GeneratorLimit.LOOP_STALLS
            | GeneratorLimit.LOOP_LAG
            | GeneratorLimit.SCHEDULE_LAG
            | GeneratorLimit.GARBAGE_COLLECTION
        ):
            return f"{1000 * value:.0f} ms"


_LIMITS: Mapping[GeneratorLimit, float] = {
    GeneratorLimit.CPU: GENERATOR_CPU_S_MAX,
    GeneratorLimit.BUSY: GENERATOR_BUSY_S_MAX,
    GeneratorLimit.LOOP_STALLS: LOOP_STALL_S_MAX,
    GeneratorLimit.LOOP_LAG: LOOP_LAG_S_MAX,
    GeneratorLimit.SCHEDULE_LAG: SCHEDULE_LAG_S_P99_MAX,
    GeneratorLimit.GARBAGE_COLLECTION: GC_PAUSE_S_MAX,
    GeneratorLimit.DESCRIPTORS: SHARE_MAX,
    GeneratorLimit.PORTS: SHARE_MAX,
}
