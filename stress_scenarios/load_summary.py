"""What a load test found, from its reports alone: totals, rates, latencies, errors; as text and as JSON.

Successes and failures stay apart in every figure, and a figure without measurements is said to be missing. Pure; the
load test from a terminal uses it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from baseline_metrics.codec import Json
from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from baseline_metrics.units import format_rate
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import ErrorClass, LoadOrder
from stress_scenarios.messages import Drained, WindowReport

SCHEMA_VERSION = 1

_QUANTILES = (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))
_ERRORS_SHOWN_MAX = 20


@dataclass(slots=True)
class LoadSummary:
    """Everything that was reported of one load, merged."""

    succeeded: int = 0
    failed: int = 0
    bytes_received: int = 0
    windows: int = 0
    loop_lag_s_max: float = 0.0
    response: Histogram = field(default_factory=Histogram)
    response_failed: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)
    errors: Counter[tuple[ErrorClass, str]] = field(default_factory=Counter)

    def add(self, report: WindowReport) -> None:
        """Add one window."""
        self.windows += 1
        self.bytes_received += report.bytes_received
        self.loop_lag_s_max = max(self.loop_lag_s_max, report.loop_lag_s_max)
        for window in report.operations:
            self.succeeded += window.succeeded
            self.failed += window.failed
            self.response.merge(Histogram.decode(window.response_succeeded))
            self.response_failed.merge(Histogram.decode(window.response_failed))
            self.service.merge(Histogram.decode(window.service_succeeded))
        for error in report.errors:
            self.errors[error.error, error.message] += error.count


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """A finished or interrupted load test. drained: the worker's closing figures, or why there are none."""

    url: str
    order: LoadOrder
    summary: LoadSummary
    drained: Drained | str

    @property
    def passed(self) -> bool:
        """Something succeeded, nothing failed, nothing was given up, and the load was made to its end."""
        if isinstance(self.drained, str):
            return False
        return self.summary.succeeded > 0 and self.summary.failed == 0 and self.drained.operations_abandoned == 0


def as_text(result: LoadResult) -> str:
    """A table of one screen."""
    summary, drained = result.summary, result.drained
    done = summary.succeeded + summary.failed
    lines = [f"Target        {result.url}"]
    if isinstance(drained, str):
        lines.append(f"Interrupted   {drained}")
    else:
        lines.append(
            f"Connections   {drained.connections_peak} of {result.order.connections} open at once,"
            f" {drained.connections_opened} opened"
        )
        lines.append(
            f"Operations    {drained.operations_started} of {drained.operations_requested} requested,"
            f" {drained.operations_abandoned} given up"
        )
    share = f"{100.0 * summary.succeeded / done:.2f} %" if done else "unknown, nothing was measured"
    lines.append(f"Succeeded     {summary.succeeded} of {done} ({share}), {summary.bytes_received} bytes received")
    lines.append(f"Rate          {_rate_text(result)}")
    lines += ["", f"{'Latency':<22}{'mean':>10}{'p50':>10}{'p95':>10}{'p99':>10}{'max':>10}"]
    for name, histogram in _latencies(summary):
        figures = (reading for _, reading in _figures(histogram))
        lines.append(f"{name:<22}" + "".join(f"{_duration_text(reading):>10}" for reading in figures))
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
    document: dict[str, Json] = {
        "schema_version": SCHEMA_VERSION,
        "url": result.url,
        "passed": result.passed,
        "connections_requested": result.order.connections,
        "operations_succeeded": summary.succeeded,
        "operations_failed": summary.failed,
        "bytes_received": summary.bytes_received,
        "loop_lag_s_max": summary.loop_lag_s_max,
        "latency_s": {name.replace(", ", "_"): _known(_figures(histogram)) for name, histogram in _latencies(summary)},
        "errors": [
            {"class": error.value, "message": message, "count": count}
            for (error, message), count in summary.errors.most_common()
        ],
    }
    if isinstance(drained, str):
        document["interrupted"] = drained
        return document
    document.update(
        {
            "operations_requested": drained.operations_requested,
            "operations_started": drained.operations_started,
            "operations_abandoned": drained.operations_abandoned,
            "connections_peak": drained.connections_peak,
            "connections_opened": drained.connections_opened,
        }
    )
    rate = _operations_per_s(result)
    if isinstance(rate, Sample):
        document["operations_per_s"] = rate.value
    return document


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
    if isinstance(drained, str):
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


def _duration_text(reading: Reading) -> str:
    match reading:
        case Sample(value=seconds):
            return f"{seconds:.2f} s" if seconds >= 1.0 else f"{seconds * 1000.0:.2f} ms"
        case Gap():
            return "-"
