"""Whether the target got slower in the course of the night, at the same small load.

In a rising staircase load and time are confounded; the anchor load at its beginning and at its end tells them apart.
Pure; see checks.
"""

from dataclasses import dataclass
from statistics import variance

from baseline_metrics.estimates import Z_95
from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from monitoring_logs.records import AnchorRecord, GateSpec
from results_summary.facts import Absent, Facts
from results_summary.findings import GateResult, Interval, NoInterval, State, Unit
from results_summary.measures import SegmentMeasure
from results_summary.phase_checks import unanswered

DRIFT_FLOOR_S = 0.005
"""A rise of less than 5 ms is no drift, whatever its percentage: scheduling noise of a busy host alone makes that much."""

DRIFT_WINDOWS_MIN = 2
"""Noise needs at least two seconds with successes in either anchor."""


def no_anchor_drift(spec: GateSpec, facts: Facts, measures: dict[int, SegmentMeasure]) -> GateResult:
    """Last against first anchor, exact mean response time of successes; both must be known to the last completion.

    Noise: 95 % interval of the difference, from the spread of per-second means. It may excuse a rise, so where a second
    is missing and noise is not known, a rise within the threshold passes and a larger one stays unknown.
    """
    first, last = _first_anchor(facts), _last_anchor(facts)
    for found in (first, last):
        if isinstance(found, Absent):
            return unanswered(spec, detail=found.reason)
    assert not isinstance(first, Absent)
    assert not isinstance(last, Absent)
    before, after = _anchor_mean(first, measures), _anchor_mean(last, measures)
    for mean in (before, after):
        if isinstance(mean, Gap):
            return unanswered(spec, detail=mean.detail)
    assert not isinstance(before, Gap)
    assert not isinstance(after, Gap)
    noise_s = _noise_s(before, after)
    rise_s = after.mean_s - before.mean_s
    allowed_s = max(before.mean_s * spec.threshold / 100.0, DRIFT_FLOOR_S)
    percent = 100.0 * rise_s / before.mean_s
    means = f"mean {1000 * before.mean_s:.3g} ms at the first anchor, {1000 * after.mean_s:.3g} ms at the last"
    match noise_s:
        case Sample(value=noise):
            noise_percent = 100.0 * noise / before.mean_s
            state = State.PASS if rise_s <= allowed_s + noise else State.FAIL
            interval: Interval | NoInterval = Interval(low=percent - noise_percent, high=percent + noise_percent)
            detail = f"{means}; noise allows {noise_percent:.1f} % more"
        case Gap(detail=why):
            state = State.PASS if rise_s <= allowed_s else State.UNKNOWN
            interval = NoInterval()
            detail = f"{means}; noise is not known: {why}"
    return GateResult(
        spec=spec, unit=Unit.PERCENT, observed=Sample(value=percent), state=state, detail=detail, interval=interval
    )


def _first_anchor(facts: Facts) -> AnchorRecord | Absent:
    """The baseline names its anchor, so that a later one cannot take the place of one that was lost."""
    if isinstance(facts.baseline, Absent):
        return Absent(reason=f"no baseline names the first anchor: {facts.baseline.reason}")
    for anchor in facts.anchors:
        if anchor.segment == facts.baseline.anchor_segment and anchor.complete:
            return anchor
    return Absent(reason="the first anchor of the night was not completed")


def _last_anchor(facts: Facts) -> AnchorRecord | Absent:
    for anchor in reversed(facts.anchors):
        if anchor.complete and anchor.before_phase < 0:
            return anchor
    return Absent(reason="the last anchor of the night was not completed")


@dataclass(frozen=True, slots=True, kw_only=True)
class _AnchorMean:
    """Exact mean, seconds, and the variance of a mean of so many seconds, where every second is known."""

    mean_s: float
    variance_of_mean: Reading


def _anchor_mean(anchor: AnchorRecord, measures: dict[int, SegmentMeasure]) -> _AnchorMean | Gap:
    where = "the last anchor" if anchor.before_phase < 0 else "the first anchor"
    if anchor.segment not in measures:
        return _gap(f"{where} has no measurements")
    measured = measures[anchor.segment]
    expected = anchor.load.operations_started - anchor.load.operations_abandoned
    if measured.fuller.completed != expected:
        return _gap(f"{where} has {measured.fuller.completed} of {expected} completions in the record")
    match measured.fuller.response.mean_s:
        case Sample(value=mean_s) if mean_s > 0:
            return _AnchorMean(mean_s=mean_s, variance_of_mean=_variance_of_mean(measured, expected, where))
        case _:
            return _gap(f"{where} has no response time above 0")


def _variance_of_mean(measured: SegmentMeasure, expected: int, where: str) -> Reading:
    means_s = measured.second_means_s
    if measured.seconds.completed != expected:
        return _gap(f"{where} has {measured.seconds.completed} of {expected} completions in its seconds")
    if len(means_s) < DRIFT_WINDOWS_MIN:
        return _gap(f"{where} has {len(means_s)} seconds with a success, {DRIFT_WINDOWS_MIN} are needed")
    return Sample(value=variance(means_s) / len(means_s))


def _noise_s(before: _AnchorMean, after: _AnchorMean) -> Reading:
    match before.variance_of_mean, after.variance_of_mean:
        case Sample(value=first), Sample(value=second):
            return Sample(value=Z_95 * (first + second) ** 0.5)
        case Gap() as gap, _:
            return gap
        case _, gap:
            return gap


def _gap(detail: str) -> Gap:
    return Gap(reason=GapReason.ABSENT, detail=detail)
