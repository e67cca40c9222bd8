"""Health scores, 0..100 or unknown, always with their parts.

A score steers the night; it never decides the verdict. Unknown is a value of its own: no part is re-weighted away.
The supervisor computes scores, the machine and the report read them.
"""

import math
from dataclasses import dataclass
from enum import Enum

from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from baseline_metrics.units import format_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownScore:
    """A score, 0..100, higher is healthier."""

    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownScore:
    """No score, and which reading is missing."""

    reason: str


Score = KnownScore | UnknownScore

SATURATION = "saturation"
"""The part of a running score that speaks of the host: memory and CPU against the guardian's limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPart:
    """One part of a score. weight: its share of the whole, percent. detail: the readings behind it, in words."""

    name: str
    score: Score
    weight: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A score at one instant, with its parts. at_mono_s: when its last reading was taken."""

    score: Score
    parts: tuple[HealthPart, ...]
    at_mono_s: float


class HealthBand(Enum):
    """What a score means for the night."""

    EXCELLENT = "excellent"
    GOOD = "good"
    ACCEPTABLE = "acceptable"
    CAUTION = "caution"
    NOT_READY = "not_ready"
    UNKNOWN = "unknown"


EXCELLENT_MIN = 90.0
GOOD_MIN = 80.0
ACCEPTABLE_MIN = 70.0
CAUTION_MIN = 60.0

_SYSTEM_WEIGHT = 40.0
_CONNECTIVITY_WEIGHT = 20.0
_PERFORMANCE_WEIGHT = 25.0
_STABILITY_WEIGHT = 15.0
_GOLDEN_WEIGHT = 25.0

_NOISE_CV_QUIET = 0.10
"""A tenth: from there pyperf warns of an unstable benchmark (standard deviation >= 10 % of the mean)."""
_NOISE_CV_USELESS = 0.50
"""Half: a change of load by a factor of two would drown in it."""

_SHORTFALL_SLO = 0.02
"""The verdict wants at least 98 % of what was requested."""
_SHORTFALL_LIMIT = 0.10
"""A tenth short, the load is not the one that was asked for."""

_SATURATION_SLO_SHARE = 0.85
"""Of the guardian's limit: 68 % of memory and 72 % of CPU with the default limits, clearly before the ladder begins."""

_LOG_NORMAL_SHAPE = 0.9061938024368232
"""erfc^-1(1/5): puts the score at the SLO to 0.9 when the limit is 0.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineInputs:
    """What the baseline's score is made of: means of the idle host, results of the anchor load.

    response_s_mean: of successes. Requires 0 < response_s_slo < response_s_limit. noise_cv: a share, 0.1 is 10 %.
    """

    memory_percent: Reading
    cpu_percent: Reading
    disk_percent: Reading
    operations_succeeded: int
    operations_failed: int
    response_s_mean: Reading
    response_s_slo: float
    response_s_limit: float
    noise_cv: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenSignals:
    """Latency, errors, traffic and saturation of one analysis window under load, with their SLOs and limits.

    achieved_share: operations started of those intended, 0..1. The limits of memory and CPU are the guardian's for the
    current phase. Every SLO must be above 0 and below its limit.
    """

    response_s: Reading
    response_s_slo: float
    response_s_limit: float
    error_percent: Reading
    error_percent_slo: float
    error_percent_limit: float
    achieved_share: Reading
    memory_percent: Reading
    memory_percent_limit: float
    cpu_percent: Reading
    cpu_percent_limit: float


def system_score(*, memory_percent: Reading, cpu_percent: Reading, disk_percent: Reading) -> Score:
    """100 - 2*(memory-70)+ - 1.5*(cpu-50)+ - 3*(disk-80)+, at least 0; unknown when a reading is missing."""
    match memory_percent, cpu_percent, disk_percent:
        case Sample(value=memory), Sample(value=cpu), Sample(value=disk):
            penalty = 2.0 * max(0.0, memory - 70.0) + 1.5 * max(0.0, cpu - 50.0) + 3.0 * max(0.0, disk - 80.0)
            return KnownScore(value=max(0.0, 100.0 - penalty))
        case _:
            return UnknownScore(reason=_missing(memory=memory_percent, CPU=cpu_percent, disk=disk_percent))


def baseline_health(inputs: BaselineInputs, *, at_mono_s: float) -> Health:
    """Score of the idle host and the target at the anchor load: system 40, connectivity 20, performance 25, stability 15.

    Unknown as soon as one part is. A target that answers nothing gets 0 for connectivity and performance: at most 55.
    """
    tried = inputs.operations_succeeded + inputs.operations_failed
    parts = (
        HealthPart(
            name="system",
            score=system_score(
                memory_percent=inputs.memory_percent, cpu_percent=inputs.cpu_percent, disk_percent=inputs.disk_percent
            ),
            weight=_SYSTEM_WEIGHT,
            detail=f"idle: memory {_words(inputs.memory_percent, '%')}, CPU {_words(inputs.cpu_percent, '%')},"
            f" disk {_words(inputs.disk_percent, '%')}",
        ),
        HealthPart(
            name="connectivity",
            score=_connectivity_score(inputs),
            weight=_CONNECTIVITY_WEIGHT,
            detail=f"{inputs.operations_succeeded} of {tried} operations succeeded",
        ),
        HealthPart(
            name="performance",
            score=_performance_score(inputs),
            weight=_PERFORMANCE_WEIGHT,
            detail=f"mean response {_words(inputs.response_s_mean, 's')}"
            f" (SLO {format_duration(inputs.response_s_slo)}, limit {format_duration(inputs.response_s_limit)})",
        ),
        HealthPart(
            name="stability",
            score=_stability_score(inputs.noise_cv),
            weight=_STABILITY_WEIGHT,
            detail=f"spread of the idle readings {_words(_in_percent(inputs.noise_cv), '%')} of their mean",
        ),
    )
    return Health(score=_weighted_mean(parts), parts=parts, at_mono_s=at_mono_s)


def running_health(signals: GoldenSignals, *, at_mono_s: float) -> Health:
    """Score under load: the geometric mean of latency, errors, traffic and saturation, 25 % each.

    Capped by the worse of errors and saturation, which are critical: a failed operation has no latency, and a host at
    its limit belies what it measures. A missing signal makes the whole unknown; nothing is re-weighted.
    """
    latency = _lower_is_better(
        signals.response_s, name="response", slo=signals.response_s_slo, limit=signals.response_s_limit
    )
    errors = _lower_is_better(
        signals.error_percent, name="errors", slo=signals.error_percent_slo, limit=signals.error_percent_limit
    )
    shortfall = _shortfall(signals.achieved_share)
    traffic = _lower_is_better(shortfall, name="achieved share", slo=_SHORTFALL_SLO, limit=_SHORTFALL_LIMIT)
    saturation = _saturation_score(signals)
    parts = (
        HealthPart(
            name="latency",
            score=latency,
            weight=_GOLDEN_WEIGHT,
            detail=f"response {_words(signals.response_s, 's')}"
            f" (SLO {format_duration(signals.response_s_slo)}, limit {format_duration(signals.response_s_limit)})",
        ),
        HealthPart(
            name="errors",
            score=errors,
            weight=_GOLDEN_WEIGHT,
            detail=f"{_words(signals.error_percent, '%')} failed"
            f" (SLO {signals.error_percent_slo:g} %, limit {signals.error_percent_limit:g} %)",
        ),
        HealthPart(
            name="traffic",
            score=traffic,
            weight=_GOLDEN_WEIGHT,
            detail=f"{_words(_in_percent(signals.achieved_share), '%')} of the requested operations started",
        ),
        HealthPart(
            name=SATURATION,
            score=saturation,
            weight=_GOLDEN_WEIGHT,
            detail=f"memory {_words(signals.memory_percent, '%')} (limit {signals.memory_percent_limit:g} %),"
            f" CPU {_words(signals.cpu_percent, '%')} (limit {signals.cpu_percent_limit:g} %)",
        ),
    )
    return Health(score=_capped_geometric_mean(parts, critical=(errors, saturation)), parts=parts, at_mono_s=at_mono_s)


def health_band(score: Score) -> HealthBand:
    """The band of a score; an unknown score has a band of its own."""
    match score:
        case UnknownScore():
            return HealthBand.UNKNOWN
        case KnownScore(value=value):
            if value >= EXCELLENT_MIN:
                return HealthBand.EXCELLENT
            if value >= GOOD_MIN:
                return HealthBand.GOOD
            if value >= ACCEPTABLE_MIN:
                return HealthBand.ACCEPTABLE
            return HealthBand.CAUTION if value >= CAUTION_MIN else HealthBand.NOT_READY


def phases_allowed(score: Score, *, total: int) -> int:
    """How many of ``total`` phases the baseline's score allows: all, three quarters, half (both rounded up) or none."""
    match health_band(score):
        case HealthBand.EXCELLENT:
            return total
        case HealthBand.GOOD:
            return math.ceil(total * 3 / 4)
        case HealthBand.ACCEPTABLE:
            return math.ceil(total / 2)
        case HealthBand.CAUTION | HealthBand.NOT_READY | HealthBand.UNKNOWN:
            return 0


def subscore(value: float, *, slo: float, limit: float) -> float:
    """How good a lower-is-better value is, 0..1: 0.9 at the SLO, 0.5 at the limit.

    Complementary log-normal with these two control points, the curve by which Lighthouse scores its metrics
    (shared/statistics.js). Requires 0 < slo < limit, which the plan's validation guarantees.
    """
    assert 0.0 < slo < limit, f"SLO {slo} must lie between 0 and the limit {limit}"
    if value <= 0.0:
        return 1.0
    return 0.5 * math.erfc(_LOG_NORMAL_SHAPE * (math.log(value) - math.log(limit)) / -math.log(slo / limit))


def _connectivity_score(inputs: BaselineInputs) -> Score:
    tried = inputs.operations_succeeded + inputs.operations_failed
    if tried == 0:
        return UnknownScore(reason="no operation was sent to the target")
    return KnownScore(value=100.0 * inputs.operations_succeeded / tried)


def _performance_score(inputs: BaselineInputs) -> Score:
    connectivity = _connectivity_score(inputs)
    match connectivity:
        case UnknownScore():
            return connectivity
        case KnownScore(value=0.0):
            return connectivity  # nothing succeeded: there is no response time, and nothing that it could change
        case KnownScore(value=success_percent):
            speed = _lower_is_better(
                inputs.response_s_mean, name="mean response", slo=inputs.response_s_slo, limit=inputs.response_s_limit
            )
            match speed:
                case UnknownScore():
                    return speed
                case KnownScore(value=value):
                    return KnownScore(value=value * success_percent / 100.0)


def _stability_score(noise_cv: Reading) -> Score:
    match noise_cv:
        case Sample(value=spread) if spread >= 0.0:
            falling = (_NOISE_CV_USELESS - spread) / (_NOISE_CV_USELESS - _NOISE_CV_QUIET)
            return KnownScore(value=100.0 * min(1.0, max(0.0, falling)))
        case _:
            return UnknownScore(reason=_missing(spread=noise_cv))


def _saturation_score(signals: GoldenSignals) -> Score:
    memory = _below_guardian_limit(signals.memory_percent, name="memory", limit=signals.memory_percent_limit)
    cpu = _below_guardian_limit(signals.cpu_percent, name="CPU", limit=signals.cpu_percent_limit)
    match memory, cpu:
        case KnownScore(value=memory_value), KnownScore(value=cpu_value):
            return KnownScore(value=min(memory_value, cpu_value))
        case _:
            return UnknownScore(reason=_reasons((memory, cpu)))


def _below_guardian_limit(reading: Reading, *, name: str, limit: float) -> Score:
    return _lower_is_better(reading, name=name, slo=_SATURATION_SLO_SHARE * limit, limit=limit)


def _lower_is_better(reading: Reading, *, name: str, slo: float, limit: float) -> Score:
    match reading:
        case Sample(value=value) if value >= 0.0:
            return KnownScore(value=100.0 * subscore(value, slo=slo, limit=limit))
        case _:
            return UnknownScore(reason=_missing(**{name: reading}))


def _shortfall(achieved_share: Reading) -> Reading:
    match achieved_share:
        case Sample(value=share) if share >= 0.0:
            return Sample(value=max(0.0, 1.0 - share))
        case Sample():
            return Gap(reason=GapReason.MALFORMED, detail="negative share")
        case Gap():
            return achieved_share


def _weighted_mean(parts: tuple[HealthPart, ...]) -> Score:
    total = 0.0
    for part in parts:
        match part.score:
            case KnownScore(value=value):
                total += value * part.weight / 100.0
            case UnknownScore():
                return UnknownScore(reason=_reasons(tuple(each.score for each in parts)))
    return KnownScore(value=round(total, 1))


def _capped_geometric_mean(parts: tuple[HealthPart, ...], *, critical: tuple[Score, ...]) -> Score:
    product = 1.0
    for part in parts:
        match part.score:
            case KnownScore(value=value):
                product *= (value / 100.0) ** (part.weight / 100.0)
            case UnknownScore():
                return UnknownScore(reason=_reasons(tuple(each.score for each in parts)))
    caps = [score.value for score in critical if isinstance(score, KnownScore)]
    return KnownScore(value=round(min(100.0 * product, *caps), 1))


def _reasons(scores: tuple[Score, ...]) -> str:
    """All that is missing, each once: two parts may miss the same reading."""
    return "; ".join(dict.fromkeys(score.reason for score in scores if isinstance(score, UnknownScore)))


def _missing(**readings: Reading) -> str:
    reasons = []
    for name, reading in readings.items():
        match reading:
            case Gap():
                reasons.append(f"{name}: {_words(reading, '')}")
            case Sample(value=value) if value < 0.0:
                reasons.append(f"{name}: {value:g} is not possible")
            case Sample():
                pass
    return "; ".join(reasons)


def _in_percent(share: Reading) -> Reading:
    match share:
        case Sample(value=value):
            return Sample(value=100.0 * value)
        case Gap():
            return share


def _words(reading: Reading, unit: str) -> str:
    match reading:
        case Sample(value=value) if unit == "s":
            return format_duration(value)
        case Sample(value=value):
            return f"{value:.3g} {unit}"
        case Gap(reason=reason, detail=detail):
            return f"unknown ({detail or reason.value})"
