"""What a load test found, from its reports alone: totals, rates, latencies, errors; as text and as JSON.

Successes and failures stay apart in every figure, and a figure without measurements is said to be missing. Pure; the
load test from a terminal uses it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from baseline_metrics.codec import Json
from baseline_metrics.load_page import OperationCounts
from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from baseline_metrics.units import format_rate
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import (
    Arrivals,
    ConstantRate,
    ErrorClass,
    LoadOrder,
    Pace,
    Paced,
    Thinking,
    Unpaced,
)
from stress_scenarios.messages import Drained, WindowReport

SCHEMA_VERSION = 2
"""2: p90 and p99.9, bytes sent, generator figures; docs/schemas/load-test.json describes it."""

_QUANTILES = (("p50", 0.50), ("p90", 0.90), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999))
_ERRORS_SHOWN_MAX = 20


@dataclass(slots=True)
class LoadSummary:
    """Everything that was reported of one load, merged."""

    succeeded: int = 0
    failed: int = 0
    bytes_received: int = 0
    windows: int = 0
    cpu_s: float = 0.0
    loop_lag_s_max: float = 0.0
    schedule_lag: Histogram = field(default_factory=Histogram)
    response: Histogram = field(default_factory=Histogram)
    response_failed: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)
    errors: Counter[tuple[ErrorClass, str]] = field(default_factory=Counter)

    def add(self, report: WindowReport) -> None:
        """Add one window."""
        self.windows += 1
        self.bytes_received += report.bytes_received
        self.cpu_s += report.cpu_s
        self.loop_lag_s_max = max(self.loop_lag_s_max, report.loop_lag_s_max)
        self.schedule_lag.merge(Histogram.decode(report.schedule_lag))
        for window in report.operations:
            self.succeeded += window.succeeded
            self.failed += window.failed
            self.response.merge(Histogram.decode(window.response_succeeded))
            self.response_failed.merge(Histogram.decode(window.response_failed))
            self.service.merge(Histogram.decode(window.service_succeeded))
        for error in report.errors:
            self.errors[error.error, error.message] += error.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The load was not made to its end.

    counted: from the workers' pages, and exact; what neither succeeded nor failed was in flight.
    """

    reason: str
    counted: OperationCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """A finished or interrupted load test. drained: the workers' closing figures, or why there are none."""

    url: str
    order: LoadOrder
    summary: LoadSummary
    drained: Drained | Interrupted

    @property
    def passed(self) -> bool:
        """Something succeeded, nothing failed, was dropped or given up, and the load was made to its end."""
        if isinstance(self.drained, Interrupted):
            return False
        if self.drained.operations_abandoned or self.drained.operations_dropped:
            return False
        return self.summary.succeeded > 0 and self.summary.failed == 0


def merged(reports: Sequence[Drained]) -> Drained:
    """The closing figures of all workers of one load, as if one had made it."""
    assert reports, "a load has at least one worker"
    return Drained(
        worker=0,
        segment=reports[0].segment,
        operations_requested=sum(each.operations_requested for each in reports),
        operations_started=sum(each.operations_started for each in reports),
        operations_succeeded=sum(each.operations_succeeded for each in reports),
        operations_failed=sum(each.operations_failed for each in reports),
        operations_abandoned=sum(each.operations_abandoned for each in reports),
        connections_peak=sum(each.connections_peak for each in reports),
        connections_opened=sum(each.connections_opened for each in reports),
        first_start_mono_s=min(each.first_start_mono_s for each in reports),
        last_end_mono_s=max(each.last_end_mono_s for each in reports),
        operations_dropped=sum(each.operations_dropped for each in reports),
        bytes_sent=sum(each.bytes_sent for each in reports),
        messages_sent=sum(each.messages_sent for each in reports),
        messages_received=sum(each.messages_received for each in reports),
        reconnects=sum(each.reconnects for each in reports),
        redirects=sum(each.redirects for each in reports),
    )


def as_text(result: LoadResult) -> str:
    """A table of one screen."""
    summary, drained = result.summary, result.drained
    done = summary.succeeded + summary.failed
    lines = [f"Target        {result.url}"]
    if isinstance(drained, Interrupted):
        counted = drained.counted
        lines.append(f"Interrupted   {drained.reason}")
        lines.append(
            f"Operations    {counted.started} started, {counted.succeeded} succeeded, {counted.failed} failed,"
            f" {_in_flight(counted)} in flight"
        )
    else:
        lines.append(
            f"Connections   {drained.connections_peak} of {result.order.connections} open at once,"
            f" {drained.connections_opened} opened, {drained.reconnects} in the place of broken ones"
        )
        lines.append(
            f"Operations    {drained.operations_started} of {drained.operations_requested} requested,"
            f" {drained.operations_dropped} dropped, {drained.operations_abandoned} given up"
        )
    share = f"{100.0 * summary.succeeded / done:.2f} %" if done else "unknown, nothing was measured"
    lines.append(f"Succeeded     {summary.succeeded} of {done} ({share})")
    sent = "" if isinstance(drained, Interrupted) else f", {drained.bytes_sent} sent"
    lines.append(f"Bytes         {summary.bytes_received} received{sent}")
    lines.append(f"Rate          {_rate_text(result)}")
    lines.append(f"Generator     {_generator_text(result)}")
    names = [name for name, _ in _figures(Histogram())]
    lines += ["", f"{'Latency':<17}" + "".join(f"{name:>9}" for name in names)]
    for name, histogram in _latencies(summary):
        figures = (reading for _, reading in _figures(histogram))
        lines.append(f"{name:<17}" + "".join(f"{_duration_text(reading):>9}" for reading in figures))
    lines.append("response counts from the intended start, service from the actual one")
    if summary.errors:
        lines += ["", "Errors"]
        shown = summary.errors.most_common(_ERRORS_SHOWN_MAX)
        lines += [f"{count:>8}  {error.value:<10} {message}" for (error, message), count in shown]
        if len(summary.errors) > len(shown):
            lines.append(f"          and {len(summary.errors) - len(shown)} other kinds")
    return "\n".join(lines)


def as_json(result: LoadResult) -> Json:
    """One document. Missing figures are absent from ``latency_s``, never 0."""
    summary, drained = result.summary, result.drained
    done = summary.succeeded + summary.failed
    document: dict[str, Json] = {
        "schema_version": SCHEMA_VERSION,
        "url": result.url,
        "passed": result.passed,
        "model": _model(result.order.pace),
        "duration_s": result.order.ramp_s + result.order.hold_s,
        "connections_requested": result.order.connections,
        "operations_succeeded": summary.succeeded,
        "operations_failed": summary.failed,
        "bytes_received": summary.bytes_received,
        "generator": {
            "cpu_s": summary.cpu_s,
            **({"cpu_s_per_operation": summary.cpu_s / done} if done else {}),
            "loop_lag_s_max": summary.loop_lag_s_max,
            "schedule_lag_s": _known(_figures(summary.schedule_lag)),
        },
        "latency_s": {name.replace(", ", "_"): _known(_figures(histogram)) for name, histogram in _latencies(summary)},
        "errors": [
            {"class": error.value, "message": message, "count": count}
            for (error, message), count in summary.errors.most_common()
        ],
    }
    if isinstance(drained, Interrupted):
        counted = drained.counted
        document["interrupted"] = drained.reason
        document["counted"] = {
            "started": counted.started,
            "succeeded": counted.succeeded,
            "failed": counted.failed,
            "in_flight": _in_flight(counted),
        }
        return document
    document.update(
        {
            "operations_requested": drained.operations_requested,
            "operations_started": drained.operations_started,
            "operations_dropped": drained.operations_dropped,
            "operations_abandoned": drained.operations_abandoned,
            "bytes_sent": drained.bytes_sent,
            "reconnects": drained.reconnects,
            "redirects": drained.redirects,
            "connections_peak": drained.connections_peak,
            "connections_opened": drained.connections_opened,
        }
    )
    rate = _operations_per_s(result)
    if isinstance(rate, Sample):
        document["operations_per_s"] = rate.value
    return document


def _in_flight(counted: OperationCounts) -> int:
    return counted.started - counted.succeeded - counted.failed


def _model(pace: Pace) -> Json:
    match pace:
        case Paced(operations_per_s=per_s):
            return {"kind": "paced", "operations_per_s": per_s}
        case Unpaced():
            return {"kind": "unpaced"}
        case Arrivals(shape=ConstantRate(per_s=per_s), spacing=spacing):
            return {"kind": "arrivals", "operations_per_s": per_s, "spacing": spacing.value}
        case Arrivals() | Thinking():
            raise AssertionError("the command line has no such load")
        case _:
            assert_never(pace)


def _latencies(summary: LoadSummary) -> Sequence[tuple[str, Histogram]]:
    return (
        ("response", summary.response),
        ("response, failed", summary.response_failed),
        ("service", summary.service),
    )


def _figures(histogram: Histogram) -> Sequence[tuple[str, Reading]]:
    quantiles = ((name, histogram.quantile(q)) for name, q in _QUANTILES)
    return (("mean", histogram.mean_s), *quantiles, ("max", histogram.max_s))


def _known(figures: Sequence[tuple[str, Reading]]) -> Json:
    return {name: reading.value for name, reading in figures if isinstance(reading, Sample)}


def _operations_per_s(result: LoadResult) -> Reading:
    """Completions over the time from the first start to the last end; a Gap when that time is not known."""
    drained = result.drained
    if isinstance(drained, Interrupted):
        return Gap(reason=GapReason.ABSENT, detail="the load did not run to its end")
    lasted_s = drained.last_end_mono_s - drained.first_start_mono_s
    if lasted_s <= 0:
        return Gap(reason=GapReason.ABSENT, detail="nothing was completed")
    return Sample(value=(drained.operations_succeeded + drained.operations_failed) / lasted_s)


def _rate_text(result: LoadResult) -> str:
    match _operations_per_s(result):
        case Sample(value=per_s):
            return f"{format_rate(per_s)} completed"
        case Gap(detail=detail):
            return f"unknown: {detail}"


def _generator_text(result: LoadResult) -> str:
    """What the load cost us, and how late we were ourselves."""
    summary = result.summary
    done = summary.succeeded + summary.failed
    cost = f"{1e6 * summary.cpu_s / done:.1f} us of CPU per operation" if done else "no operation has ended"
    lag = summary.schedule_lag.quantile(0.99)
    late = f", 99 % of starts late by at most {_duration_text(lag)}" if isinstance(lag, Sample) else ""
    return f"{summary.cpu_s:.2f} s of CPU, {cost}{late}"


def _duration_text(reading: Reading) -> str:
    match reading:
        case Sample(value=seconds):
            if seconds >= 1.0:
                return f"{seconds:.2f} s"
            if seconds >= 0.1:  # a column is as wide as this, and one space
                return f"{seconds * 1000.0:.1f} ms"
            return f"{seconds * 1000.0:.2f} ms" if seconds >= 0.001 else f"{seconds * 1e6:.0f} us"
        case Gap():
            return "-"
