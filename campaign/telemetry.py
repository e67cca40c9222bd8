"""Workers' one-second windows, merged into the record's seconds, minutes and error groups.

One merged histogram per second tells the night's course, one per minute and operation tells which operation it was.
Merging is exact: counts are added, percentiles are never averaged. Pure; the supervisor feeds it and stores what comes out.
"""

from collections import deque
from dataclasses import dataclass, field

from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from monitoring_logs.records import ErrorGroup, LoadMinute, LoadSecond
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.messages import WindowReport

LATE_WINDOW_S = 3.0
"""A worker's window may arrive this much later than another's before the second is stored without it."""

SECONDS_PER_MINUTE = 60

ERROR_GROUPS_PER_MINUTE_MAX = 50
"""Different errors kept per minute; further ones are counted under "(more)"."""

RECENT_SECONDS_MAX = 10
"""Seconds that the status screen looks back on."""


@dataclass(slots=True)
class _Second:
    at_mono_s: float
    workers: set[int] = field(default_factory=set)
    succeeded: int = 0
    failed: int = 0
    response_succeeded: Histogram = field(default_factory=Histogram)
    response_failed: Histogram = field(default_factory=Histogram)
    connections_open: int = 0
    bytes_received: int = 0
    cpu_s: float = 0.0
    lag_s: float = 0.0
    due: int = 0
    started: int = 0


@dataclass(slots=True)
class _Minute:
    succeeded: int = 0
    failed: int = 0
    response_succeeded: Histogram = field(default_factory=Histogram)
    response_failed: Histogram = field(default_factory=Histogram)
    service_succeeded: Histogram = field(default_factory=Histogram)


Stored = LoadSecond | LoadMinute | ErrorGroup


class SegmentTelemetry:
    """All windows of one segment."""

    def __init__(self, *, segment: int, workers: int, start_mono_s: float, utc_offset_s: float) -> None:
        self._segment = segment
        self._workers = workers
        self._start = start_mono_s
        self._utc_offset_s = utc_offset_s
        self._seconds: dict[int, _Second] = {}
        self._minutes: dict[tuple[int, int], _Minute] = {}
        self._errors: dict[tuple[int, int, ErrorClass, str], int] = {}
        self._stored_until = -1
        self._minute_open = 0
        self.total = _Minute()
        self.connections_peak = 0
        self._recent: deque[_Second] = deque(maxlen=RECENT_SECONDS_MAX)

    def add(self, report: WindowReport) -> tuple[Stored, ...]:
        """Take one worker's window; returns what is complete now and has to be stored."""
        second = max(0, round(report.start_mono_s - self._start))
        if second > self._stored_until:
            self._merge(self._seconds.setdefault(second, _Second(at_mono_s=report.start_mono_s)), report)
        self._merge_minute(max(second // SECONDS_PER_MINUTE, self._minute_open), report)
        return self._complete(newest=second)

    def finish(self) -> tuple[Stored, ...]:
        """Everything that is still open, at the segment's end."""
        stored: list[Stored] = [self._stored_second(second) for second in sorted(self._seconds)]
        self._seconds.clear()
        stored.extend(self._close_minutes(until=None))
        return tuple(stored)

    def rate_per_s(self) -> Reading:
        """Completions per second over the last seconds."""
        if not self._recent:
            return Gap(reason=GapReason.FIRST_READING, detail="no full second yet")
        return Sample(value=sum(item.succeeded + item.failed for item in self._recent) / len(self._recent))

    def response_s_p99(self) -> Reading:
        """p99 of response time of successes over the last seconds."""
        merged = Histogram()
        for item in self._recent:
            merged.merge(item.response_succeeded)
        return merged.quantile(0.99)

    def error_percent(self) -> Reading:
        """Failures among completions over the last seconds."""
        done = sum(item.succeeded + item.failed for item in self._recent)
        if done == 0:
            return Gap(reason=GapReason.FIRST_READING, detail="nothing has ended in the last seconds")
        return Sample(value=100.0 * sum(item.failed for item in self._recent) / done)

    def connections_open(self) -> int:
        """Connections open at the end of the newest full second."""
        return self._recent[-1].connections_open if self._recent else 0

    def _merge(self, second: _Second, report: WindowReport) -> None:
        second.workers.add(report.worker)
        for window in report.operations:
            second.succeeded += window.succeeded
            second.failed += window.failed
            second.response_succeeded.merge(Histogram.decode(window.response_succeeded))
            second.response_failed.merge(Histogram.decode(window.response_failed))
        second.connections_open += report.connections_open
        second.bytes_received += report.bytes_received
        second.cpu_s += report.cpu_s
        second.lag_s = max(second.lag_s, report.loop_lag_s_max)
        second.due += report.operations_due
        second.started += report.operations_started
        self.connections_peak = max(self.connections_peak, second.connections_open)

    def _merge_minute(self, minute: int, report: WindowReport) -> None:
        for window in report.operations:
            succeeded = Histogram.decode(window.response_succeeded)
            failed = Histogram.decode(window.response_failed)
            service = Histogram.decode(window.service_succeeded)
            for part in (self._minutes.setdefault((minute, window.operation), _Minute()), self.total):
                part.succeeded += window.succeeded
                part.failed += window.failed
                part.response_succeeded.merge(succeeded)
                part.response_failed.merge(failed)
                part.service_succeeded.merge(service)
        for error in report.errors:
            key = (minute, error.operation, error.error, error.message)
            if key not in self._errors and len(self._errors) >= ERROR_GROUPS_PER_MINUTE_MAX:
                key = (minute, error.operation, error.error, "(more)")
            self._errors[key] = self._errors.get(key, 0) + error.count

    def _complete(self, *, newest: int) -> tuple[Stored, ...]:
        stored: list[Stored] = []
        for second in sorted(self._seconds):
            if len(self._seconds[second].workers) < self._workers and newest - second < LATE_WINDOW_S:
                break
            stored.append(self._stored_second(second))
            del self._seconds[second]
        minute_done = (self._stored_until + 1) // SECONDS_PER_MINUTE
        if minute_done > self._minute_open:
            stored.extend(self._close_minutes(until=minute_done))
            self._minute_open = minute_done
        return tuple(stored)

    def _stored_second(self, number: int) -> LoadSecond:
        second = self._seconds[number]
        self._stored_until = max(self._stored_until, number)
        self._recent.append(second)
        return LoadSecond(
            segment=self._segment,
            second=number,
            at_mono_s=second.at_mono_s,
            at_utc_s=second.at_mono_s + self._utc_offset_s,
            succeeded=second.succeeded,
            failed=second.failed,
            response_succeeded=second.response_succeeded.encode(),
            response_failed=second.response_failed.encode(),
            operations_due=second.due,
            operations_started=second.started,
            connections_open=second.connections_open,
            bytes_received=second.bytes_received,
            generator_cpu_s=second.cpu_s,
            loop_lag_s_max=second.lag_s,
        )

    def _close_minutes(self, *, until: int | None) -> list[Stored]:
        stored: list[Stored] = []
        for minute, operation in sorted(self._minutes):
            if until is not None and minute >= until:
                continue
            part = self._minutes.pop((minute, operation))
            stored.append(
                LoadMinute(
                    segment=self._segment,
                    minute=minute,
                    operation=operation,
                    succeeded=part.succeeded,
                    failed=part.failed,
                    response_succeeded=part.response_succeeded.encode(),
                    response_failed=part.response_failed.encode(),
                    service_succeeded=part.service_succeeded.encode(),
                )
            )
        for key in sorted(self._errors, key=lambda item: (item[0], item[1], item[2].value, item[3])):
            minute, operation, error, message = key
            if until is not None and minute >= until:
                continue
            count = self._errors.pop(key)
            stored.append(
                ErrorGroup(
                    segment=self._segment, minute=minute, operation=operation, error=error, message=message, count=count
                )
            )
        return stored
