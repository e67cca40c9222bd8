"""Workers' one-second windows, merged into the record's seconds, minutes and error groups.

One merged histogram per second tells the night's course, one per minute and operation tells which operation it was.
Merging is exact: counts are added, percentiles are never averaged. Pure; the supervisor feeds it and stores what comes out.
"""

from collections import deque
from dataclasses import dataclass, field, replace

from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from monitoring_logs.memory_records import MemorySecond
from monitoring_logs.records import ErrorGroup, LoadMinute, LoadSecond
from results_summary.generator import GeneratorSecond, generator_seconds
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _SoFar:
    """What a worker counts from the segment's start on."""

    due: int
    started: int
    dropped: int


@dataclass(slots=True)
class _Second:
    at_mono_s: float
    workers: dict[int, _SoFar] = field(default_factory=dict)
    succeeded: int = 0
    failed: int = 0
    response_succeeded: Histogram = field(default_factory=Histogram)
    response_failed: Histogram = field(default_factory=Histogram)
    connections_open: int = 0
    bytes_received: int = 0
    cpu_s: float = 0.0
    cpu_s_max: float = 0.0
    busy_s_max: float = 0.0
    loop_stall_s: float = 0.0
    loop_lag_s: float = 0.0
    schedule_lag: Histogram = field(default_factory=Histogram)
    in_flight_s: float = 0.0
    service_s: float = 0.0
    gc_pause_s: float = 0.0
    gc_pause_s_max: float = 0.0
    descriptors_share: float = 0.0
    ports_share: float = 0.0
    bytes_sent: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    reconnects: int = 0


@dataclass(slots=True)
class _Minute:
    succeeded: int = 0
    failed: int = 0
    response_succeeded: Histogram = field(default_factory=Histogram)
    response_failed: Histogram = field(default_factory=Histogram)
    service_succeeded: Histogram = field(default_factory=Histogram)


@dataclass(slots=True)
class Told:
    """What the windows of one segment have said in all, of what no page counts. Connections: the most at once."""

    connections_peak: int = 0
    bytes_sent: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    reconnects: int = 0


Stored = LoadSecond | LoadMinute | ErrorGroup | MemorySecond


class SegmentTelemetry:
    """All windows of one segment. generator: how our own side fared, second by second, of those that were stored."""

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
        self.told = Told()
        self.generator: list[GeneratorSecond] = []
        self._so_far: dict[int, _SoFar] = {}
        self._recent: deque[_Second] = deque(maxlen=RECENT_SECONDS_MAX)

    def add(self, report: WindowReport) -> tuple[Stored, ...]:
        """Take one worker's window; returns what is complete now and has to be stored."""
        second = max(0, round(report.start_mono_s - self._start))
        if second > self._stored_until:
            self._merge(self._seconds.setdefault(second, _Second(at_mono_s=report.start_mono_s)), report)
        self._tell(report)
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
        second.workers[report.worker] = _SoFar(
            due=report.operations_due, started=report.operations_started, dropped=report.operations_dropped
        )
        for window in report.operations:
            second.succeeded += window.succeeded
            second.failed += window.failed
            second.response_succeeded.merge(Histogram.decode(window.response_succeeded))
            second.response_failed.merge(Histogram.decode(window.response_failed))
        second.connections_open += report.connections_open
        second.bytes_received += report.bytes_received
        second.cpu_s += report.cpu_s
        second.cpu_s_max = max(second.cpu_s_max, report.cpu_s)
        second.busy_s_max = max(second.busy_s_max, report.cpu_s + report.cpu_wait_s)
        second.loop_stall_s = max(second.loop_stall_s, report.loop_stall_s_sum)
        second.loop_lag_s = max(second.loop_lag_s, report.loop_lag_s_max)
        second.schedule_lag.merge(Histogram.decode(report.schedule_lag))
        second.in_flight_s += report.in_flight_s
        second.service_s += report.service_s_sum
        second.gc_pause_s += report.gc_pause_s_sum
        second.gc_pause_s_max = max(second.gc_pause_s_max, report.gc_pause_s_max)
        second.descriptors_share = max(
            second.descriptors_share, _share(report.descriptors_open, report.descriptors_max)
        )
        second.ports_share = max(second.ports_share, _share(report.ports_used, report.ports_max))
        second.bytes_sent += report.bytes_sent
        second.messages_sent += report.messages_sent
        second.messages_received += report.messages_received
        second.reconnects += report.reconnects
        self.told.connections_peak = max(self.told.connections_peak, second.connections_open)

    def _tell(self, report: WindowReport) -> None:
        told = self.told
        told.bytes_sent += report.bytes_sent
        told.messages_sent += report.messages_sent
        told.messages_received += report.messages_received
        told.reconnects += report.reconnects

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
        self._so_far.update(second.workers)  # a worker whose window is missing has not forgotten what it did before
        stored = self._load_second(number, second)
        (fared,) = generator_seconds((stored,))
        self.generator.append(replace(fared, readable=fared.readable and len(second.workers) == self._workers))
        return stored

    def _load_second(self, number: int, second: _Second) -> LoadSecond:
        return LoadSecond(
            segment=self._segment,
            second=number,
            at_mono_s=second.at_mono_s,
            at_utc_s=second.at_mono_s + self._utc_offset_s,
            succeeded=second.succeeded,
            failed=second.failed,
            response_succeeded=second.response_succeeded.encode(),
            response_failed=second.response_failed.encode(),
            operations_due=sum(item.due for item in self._so_far.values()),
            operations_started=sum(item.started for item in self._so_far.values()),
            connections_open=second.connections_open,
            bytes_received=second.bytes_received,
            generator_cpu_s=second.cpu_s,
            loop_lag_s_max=second.loop_lag_s,
            workers=len(second.workers),
            generator_cpu_s_max=second.cpu_s_max,
            operations_dropped=sum(item.dropped for item in self._so_far.values()),
            schedule_lag=second.schedule_lag.encode(),
            in_flight_s=second.in_flight_s,
            service_s_sum=second.service_s,
            gc_pause_s_sum=second.gc_pause_s,
            gc_pause_s_max=second.gc_pause_s_max,
            descriptors_share_max=second.descriptors_share,
            ports_share_max=second.ports_share,
            bytes_sent=second.bytes_sent,
            messages_sent=second.messages_sent,
            messages_received=second.messages_received,
            reconnects=second.reconnects,
            generator_busy_s_max=second.busy_s_max,
            loop_stall_s_max=second.loop_stall_s,
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


def _share(used: int, limit: int) -> float:
    """Used of a limit, 0..1 and beyond; 0 when the worker does not tell its limit."""
    return used / limit if limit > 0 else 0.0
