"""Windows of one second: every completion in exactly one, no window missing."""

from collections.abc import Iterator

import pytest

from baseline_metrics.redaction import HIDDEN, forget_secrets, register_secret
from baseline_metrics.samples import Sample
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.messages import ERROR_GROUPS_MAX, WindowReport
from stress_scenarios.scenario import Failed, Passed
from stress_scenarios.window_counters import MORE_ERRORS_MESSAGE, LoadGauges, WindowCounters

START_S = 100.0


@pytest.fixture
def secret() -> Iterator[str]:
    """A literal that this process hides."""
    register_secret("SecretTokenAbcdef")
    yield "SecretTokenAbcdef"
    forget_secrets()


class Collected:
    """Counters that keep what they report."""

    def __init__(self) -> None:
        self.reports: list[WindowReport] = []
        self._sequence = 0
        self.counters = WindowCounters(
            worker=3, segment=7, start_mono_s=START_S, cpu_s=1.0, next_sequence=self._next, send=self.reports.append
        )

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def complete(self, *, operation: int = 0, failed: Failed | None = None, response_s: float = 0.1) -> None:
        """Count one completion of 10 bytes."""
        judgement = Passed() if failed is None else failed
        self.counters.record(operation, judgement, response_s=response_s, service_s=response_s / 2, bytes_received=10)


def gauges(*, cpu_s: float = 1.0) -> LoadGauges:
    """Some state of the load."""
    return LoadGauges(operations_due=20, operations_started=19, connections_open=5, cpu_s=cpu_s)


@pytest.mark.parametrize(("now_s", "over"), [(START_S + 0.999, False), (START_S + 1.0, True), (START_S + 1.001, True)])
def test_a_window_is_over_after_exactly_one_second(now_s: float, *, over: bool) -> None:
    """The end of a window belongs to the next one."""
    assert Collected().counters.is_over(now_s) is over


def test_a_window_reports_its_completions_apart_by_outcome() -> None:
    """Counts, histograms, bytes, processor time and lag are those of the window, due and started those of the segment."""
    collected = Collected()
    collected.complete(operation=1, response_s=0.2)
    collected.complete(operation=1, failed=Failed(error=ErrorClass.RESET, message="gone"), response_s=0.4)
    collected.complete(operation=0)
    collected.counters.note_lag(0.02)
    collected.counters.note_lag(0.01)
    collected.counters.turn(START_S + 1.0, gauges(cpu_s=1.25))
    (report,) = collected.reports
    assert (report.worker, report.segment, report.sequence) == (3, 7, 1)
    assert (report.start_mono_s, report.end_mono_s) == (START_S, START_S + 1.0)
    assert [(window.operation, window.succeeded, window.failed) for window in report.operations] == [
        (0, 1, 0),
        (1, 1, 1),
    ]
    second = report.operations[1]
    assert Histogram.decode(second.response_succeeded).mean_s == Sample(value=0.2)
    assert Histogram.decode(second.response_failed).mean_s == Sample(value=0.4)
    assert Histogram.decode(second.service_succeeded).mean_s == Sample(value=0.1)
    assert [(error.error, error.message, error.count) for error in report.errors] == [(ErrorClass.RESET, "gone", 1)]
    assert (report.bytes_received, report.cpu_s, report.loop_lag_s_max) == (30, 0.25, 0.02)
    assert (report.operations_due, report.operations_started, report.connections_open) == (20, 19, 5)


def test_a_quiet_window_is_reported_too() -> None:
    """After a stall of three seconds there are three reports: what was done, and two that say that nothing was."""
    collected = Collected()
    collected.complete()
    collected.counters.turn(START_S + 3.5, gauges())
    assert [len(report.operations) for report in collected.reports] == [1, 0, 0]
    assert [report.sequence for report in collected.reports] == [1, 2, 3]


def test_the_last_window_is_as_short_as_it_was() -> None:
    """Finishing reports the rest, and nothing when there is no rest."""
    collected = Collected()
    collected.counters.finish(START_S + 1.5, gauges())
    assert [(report.start_mono_s, report.end_mono_s) for report in collected.reports] == [
        (100.0, 101.0),
        (101.0, 101.5),
    ]
    exact = Collected()
    exact.counters.finish(START_S + 1.0, gauges())
    assert len(exact.reports) == 1


def test_no_secret_leaves_in_a_message(secret: str) -> None:
    """Whatever words an engine found for a failure."""
    collected = Collected()
    collected.complete(failed=Failed(error=ErrorClass.OTHER, message=f"sent {secret}, got nothing"))
    collected.counters.turn(START_S + 1.0, gauges())
    assert [error.message for error in collected.reports[0].errors] == [f"sent {HIDDEN}, got nothing"]


@pytest.mark.parametrize(
    ("kinds", "named", "more"), [(ERROR_GROUPS_MAX, ERROR_GROUPS_MAX, 0), (ERROR_GROUPS_MAX + 3, ERROR_GROUPS_MAX, 3)]
)
def test_kinds_of_errors_are_bounded_and_all_counted(kinds: int, named: int, more: int) -> None:
    """Beyond the bound, errors are counted under their class without their message; the sum stays exact."""
    collected = Collected()
    for kind in range(kinds):
        collected.complete(failed=Failed(error=ErrorClass.OTHER, message=f"kind {kind}"))
    collected.counters.turn(START_S + 1.0, gauges())
    errors = collected.reports[0].errors
    assert sum(error.count for error in errors) == kinds
    assert sum(1 for error in errors if error.message != MORE_ERRORS_MESSAGE) == named
    assert sum(error.count for error in errors if error.message == MORE_ERRORS_MESSAGE) == more
