"""What one worker measured, cut into windows of one second: telemetry is a histogram a second, never a message a request.

A completion counts in the window in which it completed. Windows are aligned to the load's start, and one without any
completion is reported as well: a window that is missing later was lost, not quiet. The worker's load run uses it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from baseline_metrics.redaction import redact
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.messages import ERROR_GROUPS_MAX, ErrorCount, OperationWindow, WindowReport
from stress_scenarios.scenario import AnswerJudgement, Failed, Passed

WINDOW_S = 1.0

MORE_ERRORS_MESSAGE = "(more)"
"""Under which errors beyond ERROR_GROUPS_MAX are counted, per operation and class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadGauges:
    """The state of the load at a window's end. due, started: so far in this segment. cpu_s: of the process, so far."""

    operations_due: int
    operations_started: int
    connections_open: int
    cpu_s: float


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
    """The current window of one segment; reports each one when it is over."""

    def __init__(
        self,
        *,
        worker: int,
        segment: int,
        start_mono_s: float,
        cpu_s: float,
        next_sequence: Callable[[], int],
        send: Callable[[WindowReport], None],
    ) -> None:
        self._worker = worker
        self._segment = segment
        self._start_mono_s = start_mono_s
        self._next_sequence = next_sequence
        self._send = send
        self._window = 0
        self._cpu_s = cpu_s
        self._tallies: dict[int, _OperationTally] = {}
        self._errors: dict[tuple[int, ErrorClass, str], int] = {}
        self._bytes_received = 0
        self._loop_lag_s_max = 0.0

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
        tally = self._tallies.get(operation)
        if tally is None:
            tally = self._tallies[operation] = _OperationTally()
        self._bytes_received += bytes_received
        match judgement:
            case Passed():
                tally.succeeded += 1
                tally.response_succeeded.record_s(response_s)
                tally.service_succeeded.record_s(service_s)
            case Failed(error=error, message=message):
                tally.failed += 1
                tally.response_failed.record_s(response_s)
                self._count_error(operation, error, message)

    def note_lag(self, lag_s: float) -> None:
        """How late the worker's loop turned; a window keeps the greatest."""
        self._loop_lag_s_max = max(self._loop_lag_s_max, lag_s)

    def is_over(self, now_mono_s: float) -> bool:
        """Whether the current window has ended by now."""
        return now_mono_s >= self._start_mono_s + (self._window + 1) * WINDOW_S

    def turn(self, now_mono_s: float, gauges: LoadGauges) -> None:
        """Report every window that has ended by now, empty ones too. Gauges are those of now."""
        while self.is_over(now_mono_s):
            self._report(self._start_mono_s + (self._window + 1) * WINDOW_S, gauges)
            self._window += 1

    def finish(self, now_mono_s: float, gauges: LoadGauges) -> None:
        """Report what is left, as a window shorter than a second."""
        self.turn(now_mono_s, gauges)
        if now_mono_s > self._start_mono_s + self._window * WINDOW_S:
            self._report(now_mono_s, gauges)

    def _report(self, end_mono_s: float, gauges: LoadGauges) -> None:
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
        )
        self._cpu_s = gauges.cpu_s
        self._clear()
        self._send(report)

    def _count_error(self, operation: int, error: ErrorClass, message: str) -> None:
        key = (operation, error, message)
        if key not in self._errors and len(self._errors) >= ERROR_GROUPS_MAX:
            key = (operation, error, MORE_ERRORS_MESSAGE)
        self._errors[key] = self._errors.get(key, 0) + 1

    def _clear(self) -> None:
        self._tallies = {}
        self._errors = {}
        self._bytes_received = 0
        self._loop_lag_s_max = 0.0
