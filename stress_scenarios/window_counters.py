"""What one worker measured, cut into windows of one second: telemetry is a histogram a second, never a message a request.

A completion counts in the window in which it completed. Windows are aligned to the load's start, and one without any
completion is reported as well: a window that is missing later was lost, not quiet. The worker's load runs use it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from baseline_metrics.redaction import redact
from stress_scenarios.generator_gauges import NOT_READ, GeneratorReading
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.messages import ERROR_GROUPS_MAX, ErrorCount, OperationWindow, WindowReport
from stress_scenarios.scenario import AnswerJudgement, Failed, Passed

WINDOW_S = 1.0

STALL_S_MIN = 0.01
"""A loop that turns this late stood still: its own work between two turns takes a few milliseconds at full load."""

MORE_ERRORS_MESSAGE = "(more)"
"""Under which errors beyond ERROR_GROUPS_MAX are counted, per operation and class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadGauges:
    """The state of the load at a window's end. due, started, dropped: so far in this segment. cpu_s: of the process, so far.

    bytes_sent, messages_*, reconnects: so far, of the engine's connections. generator: of this window.
    """

    operations_due: int
    operations_started: int
    connections_open: int
    cpu_s: float
    operations_dropped: int = 0
    bytes_sent: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    reconnects: int = 0
    generator: GeneratorReading = NOT_READ


NOTHING_YET = LoadGauges(operations_due=0, operations_started=0, connections_open=0, cpu_s=0.0)


@dataclass(slots=True)
class _OperationTally:
    succeeded: int = 0
    failed: int = 0
    response_succeeded: Histogram = field(default_factory=Histogram)
    response_failed: Histogram = field(default_factory=Histogram)
    service_succeeded: Histogram = field(default_factory=Histogram)

    def window(self, operation: int) -> OperationWindow:
        return OperationWindow(
            operation=operation,
            succeeded=self.succeeded,
            failed=self.failed,
            response_succeeded=self.response_succeeded.encode(),
            response_failed=self.response_failed.encode(),
            service_succeeded=self.service_succeeded.encode(),
        )


class WindowCounters:
    """The current window of one segment; reports each one when it is over.

    before: the engine's counts when the segment began, from which those of its windows are the differences.
    """

    def __init__(
        self,
        *,
        worker: int,
        segment: int,
        start_mono_s: float,
        cpu_s: float,
        next_sequence: Callable[[], int],
        send: Callable[[WindowReport], None],
        before: LoadGauges = NOTHING_YET,
    ) -> None:
        self._worker = worker
        self._segment = segment
        self._start_mono_s = start_mono_s
        self._next_sequence = next_sequence
        self._send = send
        self._window = 0
        self._cpu_s = cpu_s
        self._before = before
        self._tallies: dict[int, _OperationTally] = {}
        self._errors: dict[tuple[int, ErrorClass, str], int] = {}
        self._schedule_lag = Histogram()
        self._bytes_received = 0
        self._service_s_sum = 0.0
        self._loop_lag_s_max = 0.0
        self._loop_stall_s_sum = 0.0
        self._in_flight_s = 0.0

    # Counting -------------------------------------------------------------------------------------------------------

    def record(
        self,
        operation: int,
        judgement: AnswerJudgement,
        *,
        response_s: float,
        service_s: float,
        bytes_received: int,
    ) -> None:
        """Count one completion in the current window; call turn first when its end may lie beyond it."""
        tally = self._tally(operation)
        self._bytes_received += bytes_received
        self._service_s_sum += service_s
        match judgement:
            case Passed():
                tally.succeeded += 1
                tally.response_succeeded.record_s(response_s)
                tally.service_succeeded.record_s(service_s)
            case Failed(error=error, message=message):
                tally.failed += 1
                tally.response_failed.record_s(response_s)
                self._count_error(operation, error, message)

    def add_successes(self, operation: int, count: int, *, response: Histogram, service: Histogram) -> None:
        """Count successes that were counted elsewhere within the current window. Their bytes and times are added apart."""
        tally = self._tally(operation)
        tally.succeeded += count
        tally.response_succeeded.merge(response)
        tally.service_succeeded.merge(service)

    def add_bytes_received(self, count: int) -> None:
        """Bytes of completions that were counted elsewhere."""
        self._bytes_received += count

    def add_service_s(self, seconds: float) -> None:
        """Service times of completions that were counted elsewhere, failures too."""
        self._service_s_sum += seconds

    def add_in_flight_s(self, seconds: float) -> None:
        """The integral of operations in flight within the current window, which is kept elsewhere."""
        self._in_flight_s += seconds

    def add_schedule_lags(self, lags: Histogram) -> None:
        """How late we were with starts that were counted elsewhere."""
        self._schedule_lag.merge(lags)

    def note_lag(self, lag_s: float) -> None:
        """How late the worker's loop turned; a window keeps the greatest, and the sum of those that are stalls."""
        self._loop_lag_s_max = max(self._loop_lag_s_max, lag_s)
        if lag_s >= STALL_S_MIN:
            self._loop_stall_s_sum += lag_s

    # Windows --------------------------------------------------------------------------------------------------------

    @property
    def end_mono_s(self) -> float:
        """When the current window is over."""
        return self._start_mono_s + (self._window + 1) * WINDOW_S

    def is_over(self, now_mono_s: float) -> bool:
        """Whether the current window has ended by now."""
        return now_mono_s >= self.end_mono_s

    def turn(self, now_mono_s: float, gauges: LoadGauges) -> None:
        """Report every window that has ended by now, empty ones too. Gauges are those of now."""
        while self.is_over(now_mono_s):
            self._report(self.end_mono_s, gauges)
            self._window += 1

    def finish(self, now_mono_s: float, gauges: LoadGauges) -> None:
        """Report what is left, as a window shorter than a second."""
        self.turn(now_mono_s, gauges)
        if now_mono_s > self._start_mono_s + self._window * WINDOW_S:
            self._report(now_mono_s, gauges)

    def _report(self, end_mono_s: float, gauges: LoadGauges) -> None:
        before, generator = self._before, gauges.generator
        if generator is before.generator:  # several windows end after a stall: its pauses were told with the first
            generator = replace(generator, gc_pause_s_sum=0.0, gc_pause_s_max=0.0, cpu_wait_s=0.0)
        report = WindowReport(
            worker=self._worker,
            sequence=self._next_sequence(),
            segment=self._segment,
            start_mono_s=self._start_mono_s + self._window * WINDOW_S,
            end_mono_s=end_mono_s,
            operations=tuple(tally.window(operation) for operation, tally in sorted(self._tallies.items())),
            errors=tuple(
                ErrorCount(operation=operation, error=error, message=redact(message), count=count)
                for (operation, error, message), count in self._errors.items()
            ),
            operations_due=gauges.operations_due,
            operations_started=gauges.operations_started,
            connections_open=gauges.connections_open,
            bytes_received=self._bytes_received,
            cpu_s=max(0.0, gauges.cpu_s - self._cpu_s),
            loop_lag_s_max=self._loop_lag_s_max,
            operations_dropped=gauges.operations_dropped,
            schedule_lag=self._schedule_lag.encode(),
            in_flight_s=self._in_flight_s,
            service_s_sum=self._service_s_sum,
            gc_pause_s_sum=generator.gc_pause_s_sum,
            gc_pause_s_max=generator.gc_pause_s_max,
            descriptors_open=generator.descriptors_open,
            descriptors_max=generator.descriptors_max,
            ports_used=generator.ports_used,
            ports_max=generator.ports_max,
            bytes_sent=gauges.bytes_sent - before.bytes_sent,
            messages_sent=gauges.messages_sent - before.messages_sent,
            messages_received=gauges.messages_received - before.messages_received,
            reconnects=gauges.reconnects - before.reconnects,
            cpu_wait_s=generator.cpu_wait_s,
            loop_stall_s_sum=self._loop_stall_s_sum,
        )
        self._cpu_s = gauges.cpu_s
        self._before = gauges
        self._clear()
        self._send(report)

    def _tally(self, operation: int) -> _OperationTally:
        tally = self._tallies.get(operation)
        if tally is None:
            tally = self._tallies[operation] = _OperationTally()
        return tally

    def _count_error(self, operation: int, error: ErrorClass, message: str) -> None:
        key = (operation, error, message)
        if key not in self._errors and len(self._errors) >= ERROR_GROUPS_MAX:
            key = (operation, error, MORE_ERRORS_MESSAGE)
        self._errors[key] = self._errors.get(key, 0) + 1

    def _clear(self) -> None:
        self._tallies = {}
        self._errors = {}
        self._schedule_lag = Histogram()
        self._bytes_received = 0
        self._service_s_sum = 0.0
        self._loop_lag_s_max = self._loop_stall_s_sum = 0.0
        self._in_flight_s = 0.0
