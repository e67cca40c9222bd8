"""What a segment's windows add up to: counts, exact means and true percentiles, and how much of them is there.

The record keeps each completion twice, per second and per operation and minute. Both ledgers are added up on their own,
so that a window missing from one may still be known from the other, and a gap is never mistaken for silence.
Pure; the reporter's checks and tables are made from this.
"""

import contextlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from baseline_metrics.estimates import percentile_rank_interval, samples_needed
from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from monitoring_logs.records import LoadSecond
from results_summary.facts import SegmentFacts
from results_summary.generator import GeneratorSecond, generator_seconds, is_ours
from results_summary.littles_law import FlowSecond, flow_seconds
from stress_scenarios.histogram import Histogram, HistogramError


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """One way of counting a segment's completions. response: of successes, from the intended start.

    windows: how many windows it has. unreadable: windows whose histogram is broken; they count as missing.
    """

    windows: int
    unreadable: int
    succeeded: int
    failed: int
    response: Histogram

    @property
    def completed(self) -> int:
        """Completions that this ledger knows."""
        return self.succeeded + self.failed

    @property
    def response_s_sum(self) -> float:
        """Exact sum of the response times of successes, seconds."""
        match self.response.mean_s:
            case Sample(value=mean_s):
                return mean_s * self.response.count
            case Gap():
                return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentMeasure:
    """Both ledgers of a segment, and the mean response time of each second that had a success, seconds.

    service: of the successes that the minutes know, from the actual start. service_s_max: no operation that is known took
    longer. generator: how our own side fared, second by second. flow: what Little's law needs. failures_known: failures whose
    kind is in the record and that our own side did not make; failures_ours: those that it made. dropped_for_want: arrivals
    given up in seconds in which our own side is known to have been in time: there was no free connection to send them on.
    """

    seconds: Ledger
    minutes: Ledger
    second_means_s: tuple[float, ...]
    service: Histogram
    service_s_max: float
    generator: tuple[GeneratorSecond, ...]
    flow: tuple[FlowSecond, ...]
    failures_known: int
    failures_ours: int
    dropped_for_want: int

    @property
    def fuller(self) -> Ledger:
        """The ledger that knows more completions; the seconds when they agree."""
        return self.minutes if self.minutes.completed > self.seconds.completed else self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseFigures:
    """Response times of successes, seconds: exact mean, percentiles with a relative error of at most 0.8 %.

    A percentile is a gap below the number of samples that bounds it with 95 % confidence (p95: 59, p99: 299).
    """

    count: int
    mean_s: Reading
    p50_s: Reading
    p95_s: Reading
    p99_s: Reading
    max_s: Reading


def measure(facts: SegmentFacts) -> SegmentMeasure:
    """Add up one segment. A window recorded twice counts once; the record's own key forbids it anyway."""
    seconds = {second.second: second for second in facts.seconds}
    minutes = {(minute.minute, minute.operation): minute for minute in facts.minutes}
    means: list[float] = []
    by_second = _add_up(
        ((row.succeeded, row.failed, row.response_succeeded) for _, row in sorted(seconds.items())), means
    )
    by_minute = _add_up(((row.succeeded, row.failed, row.response_succeeded) for _, row in sorted(minutes.items())), [])
    ours = sum(group.count for group in facts.errors if is_ours(group.error.value))
    service = _merged(row.service_succeeded for row in minutes.values())
    failed = _merged(row.response_failed for row in minutes.values())
    ends = [service, failed]
    if by_minute.completed < by_second.completed:  # the minutes may lack the longest one
        ends.extend((by_second.response, _merged(row.response_failed for row in seconds.values())))
    generator = generator_seconds(facts.seconds)
    return SegmentMeasure(
        seconds=by_second,
        minutes=by_minute,
        second_means_s=tuple(means),
        service=service,
        service_s_max=max(_max_s(histogram) for histogram in ends),
        generator=generator,
        flow=flow_seconds(facts.seconds),
        failures_known=sum(group.count for group in facts.errors) - ours,
        failures_ours=ours,
        dropped_for_want=_dropped_for_want(seconds, generator),
    )


def windows_expected(*, ramp_s: float, hold_s: float) -> int:
    """How many one-second windows a load of this length must have left: known before the night."""
    return math.ceil(ramp_s + hold_s - 1e-9)


def coverage_percent(facts: SegmentFacts, *, ramp_s: float, hold_s: float) -> Reading:
    """Share of the expected seconds that are in the record, percent; a gap when none was expected."""
    expected = windows_expected(ramp_s=ramp_s, hold_s=hold_s)
    if expected == 0:
        return Gap(reason=GapReason.ABSENT, detail="no load was planned")
    seen = {second.second for second in facts.seconds if 0 <= second.second < expected}
    return Sample(value=100.0 * len(seen) / expected)


def response_figures(response: Histogram) -> ResponseFigures:
    """The figures that tables show."""
    return ResponseFigures(
        count=response.count,
        mean_s=response.mean_s,
        p50_s=response.quantile(0.5),
        p95_s=estimable_quantile(response, 0.95),
        p99_s=estimable_quantile(response, 0.99),
        max_s=response.max_s,
    )


def estimable_quantile(response: Histogram, quantile: float) -> Reading:
    """A tail quantile, seconds, or a gap when there are too few values to bound it (see samples_needed)."""
    needed = samples_needed(quantile=quantile)
    if response.count < needed:
        return Gap(reason=GapReason.ABSENT, detail=f"not estimable: {response.count} of {needed} samples")
    return response.quantile(quantile)


def quantile_interval_s(response: Histogram, quantile: float) -> tuple[float, float]:
    """95 % interval of a quantile, seconds, by order statistics. The histogram must not be empty."""
    count = response.count
    low_rank, high_rank = percentile_rank_interval(total=count, quantile=quantile)
    return _at_rank(response, low_rank), _at_rank(response, high_rank)


def quantile_bounds_s(response: Histogram, quantile: float, *, missing: int) -> tuple[float, float]:
    """Lowest and highest value, seconds, that the quantile can have if ``missing`` values of any size are added."""
    total = response.count + missing
    if total == 0:
        return 0.0, math.inf
    rank = max(1, math.ceil(quantile * total - 1e-9))
    lowest = _at_rank(response, rank - missing) if rank > missing else 0.0
    highest = _at_rank(response, rank) if rank <= response.count else math.inf
    return lowest, highest


def _dropped_for_want(seconds: Mapping[int, LoadSecond], generator: Iterable[GeneratorSecond]) -> int:
    """The record counts from the load's start on, so a second's own part needs the second before it."""
    total = 0
    for second in generator:
        if not second.is_clear or (second.second > 0 and second.second - 1 not in seconds):
            continue
        before = seconds[second.second - 1].operations_dropped if second.second > 0 else 0
        total += max(0, seconds[second.second].operations_dropped - before)
    return total


def _merged(encoded: Iterable[str]) -> Histogram:
    """All of those that can be read; one that cannot is left out, and so is its part of the tail."""
    merged = Histogram()
    for text in encoded:
        with contextlib.suppress(HistogramError):
            merged.merge(Histogram.decode(text))
    return merged


def _max_s(histogram: Histogram) -> float:
    match histogram.max_s:
        case Sample(value=value_s):
            return value_s
        case Gap():
            return 0.0


def _at_rank(response: Histogram, rank: int) -> float:
    match response.quantile(min(1.0, rank / response.count)):
        case Sample(value=value_s):
            return value_s
        case Gap():
            raise AssertionError("a histogram with values has every quantile")


def _add_up(rows: Iterable[tuple[int, int, str]], means: list[float]) -> Ledger:
    """Add rows of succeeded, failed and encoded histogram; the mean of each row that has one goes to ``means``."""
    total = Histogram()
    windows = unreadable = succeeded = failed = 0
    for row_succeeded, row_failed, encoded in rows:
        try:
            response = Histogram.decode(encoded)
        except HistogramError:
            unreadable += 1
            continue
        if response.count != row_succeeded:
            unreadable += 1
            continue
        windows += 1
        succeeded += row_succeeded
        failed += row_failed
        total.merge(response)
        match response.mean_s:
            case Sample(value=mean_s):
                means.append(mean_s)
            case Gap():
                pass
    return Ledger(windows=windows, unreadable=unreadable, succeeded=succeeded, failed=failed, response=total)
