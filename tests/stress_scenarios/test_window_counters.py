"""Windows of one second: every completion in exactly one, no window missing."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from baseline_metrics.host_files import PAGE_BYTES
from baseline_metrics.redaction import HIDDEN, forget_secrets, register_secret
from baseline_metrics.samples import Sample
from stress_scenarios.generator_gauges import GeneratorReading
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.messages import ERROR_GROUPS_MAX, WindowReport
from stress_scenarios.scenario import Failed, Passed
from stress_scenarios.window_counters import MORE_ERRORS_MESSAGE, NOTHING_YET, LoadGauges, WindowCounters

START_S = 100.0


@pytest.fixture
def secret() -> Iterator[str]:
    """A literal that this process hides."""
    register_secret("SecretTokenAbcdef")
    yield "SecretTokenAbcdef"
    forget_secrets()


class Collected:
    """Counters that keep what they report."""

    def __init__(self, before: LoadGauges = NOTHING_YET) -> None:
        self.reports: list[WindowReport] = []
        self._sequence = 0
        self.counters = WindowCounters(
            worker=3,
            segment=7,
            start_mono_s=START_S,
            cpu_s=1.0,
            next_sequence=self._next,
            send=self.reports.append,
            before=before,
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


@pytest.mark.parametrize(("lags_s", "stalls_s"), [((0.009, 0.0099), 0.0), ((0.01,), 0.01), ((0.09, 0.002, 0.03), 0.12)])
def test_stalls_of_the_loop_add_up(lags_s: tuple[float, ...], stalls_s: float) -> None:
    """From 10 ms on a late turn is a stall; the next window begins without any."""
    collected = Collected()
    for lag_s in lags_s:
        collected.counters.note_lag(lag_s)
    collected.counters.turn(START_S + 2.0, gauges())
    assert [report.loop_stall_s_sum for report in collected.reports] == [pytest.approx(stalls_s), 0.0]


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


def resident_bytes() -> int:
    """How much memory this process has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def test_a_storm_of_a_million_different_errors_stays_small() -> None:
    """Groups are bounded, every error is counted, and memory is as flat after a million as after a hundred thousand."""
    collected = Collected()
    record = collected.counters.record

    def storm(first: int, after: int) -> None:
        for kind in range(first, after):
            record(
                0, Failed(error=ErrorClass.OTHER, message=f"{kind}"), response_s=0.1, service_s=0.1, bytes_received=0
            )

    storm(0, 99_000)
    tracemalloc.start()
    storm(99_000, 99_500)  # whatever is made once is made now
    early_bytes, _ = tracemalloc.get_traced_memory()
    storm(99_500, 100_000)
    late_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert late_bytes - early_bytes < 5_000  # 500 messages alone would take 25,000
    early_bytes = resident_bytes()
    storm(100_000, 1_000_000)
    assert resident_bytes() - early_bytes < 8_000_000  # 900,000 messages alone would take 50 MB
    collected.counters.turn(START_S + 1.0, gauges())
    errors = collected.reports[0].errors
    assert len(errors) == ERROR_GROUPS_MAX + 1
    assert sum(error.count for error in errors) == collected.reports[0].operations[0].failed == 1_000_000


def test_what_the_instrument_says_of_itself_is_passed_on() -> None:
    """Pauses, descriptors and ports of the window's end."""
    collected = Collected()
    reading = GeneratorReading(
        gc_pause_s_sum=0.3, gc_pause_s_max=0.2, descriptors_open=5, descriptors_max=10, ports_used=7, ports_max=20
    )
    collected.counters.turn(START_S + 1.0, replace(gauges(), generator=reading, operations_dropped=4))
    (report,) = collected.reports
    assert (report.gc_pause_s_sum, report.gc_pause_s_max) == (0.3, 0.2)
    assert (report.descriptors_open, report.descriptors_max) == (5, 10)
    assert (report.ports_used, report.ports_max, report.operations_dropped) == (7, 20, 4)


def test_pauses_are_told_once() -> None:
    """Of several windows that end together after a stall, the first has them."""
    collected = Collected()
    reading = GeneratorReading(gc_pause_s_sum=2.5, gc_pause_s_max=2.5, descriptors_open=5)
    collected.counters.turn(START_S + 3.0, replace(gauges(), generator=reading))
    assert [report.gc_pause_s_sum for report in collected.reports] == [2.5, 0.0, 0.0]
    assert [report.gc_pause_s_max for report in collected.reports] == [2.5, 0.0, 0.0]
    assert [report.descriptors_open for report in collected.reports] == [5, 5, 5]


def test_what_was_counted_elsewhere_belongs_to_its_window_alone() -> None:
    """Time in flight, lateness with starts, service times: the next window begins without any."""
    collected = Collected()
    lags = Histogram()
    lags.record_s(0.001)
    collected.counters.add_in_flight_s(2.5)
    collected.counters.add_schedule_lags(lags)
    collected.complete(response_s=0.4)
    collected.complete(response_s=0.2, failed=Failed(error=ErrorClass.RESET, message="gone"))
    collected.counters.turn(START_S + 2.0, gauges())
    assert [report.in_flight_s for report in collected.reports] == [2.5, 0.0]
    assert [report.service_s_sum for report in collected.reports] == pytest.approx([0.3, 0.0])
    first, second = (Histogram.decode(report.schedule_lag) for report in collected.reports)
    assert (first.count, first.max_s, second.count) == (1, Sample(value=0.001), 0)


def test_successes_that_were_counted_elsewhere_are_taken_whole() -> None:
    """In bulk or one by one, a window is the same."""
    one_by_one, bulk = Collected(), Collected()
    response, service = Histogram(), Histogram()
    for response_s in (0.1, 0.2, 0.4):
        one_by_one.complete(response_s=response_s)
        response.record_s(response_s)
        service.record_s(response_s / 2)
    bulk.counters.add_successes(0, 3, response=response, service=service)
    bulk.counters.add_bytes_received(30)
    bulk.counters.add_service_s(0.35)
    for collected in (one_by_one, bulk):
        collected.counters.turn(START_S + 1.0, gauges())
    assert replace(bulk.reports[0], service_s_sum=one_by_one.reports[0].service_s_sum) == one_by_one.reports[0]
    assert bulk.reports[0].service_s_sum == pytest.approx(0.35)


def test_counts_of_connections_are_differences_between_windows() -> None:
    """And the first window's is the difference to what there was before the segment."""
    collected = Collected(
        before=replace(gauges(), bytes_sent=100, messages_sent=10, messages_received=20, reconnects=3)
    )
    for second, sent in ((1, 150), (2, 150), (3, 175)):
        now = replace(gauges(), bytes_sent=sent, messages_sent=10 + second, messages_received=20, reconnects=3 + second)
        collected.counters.turn(START_S + second, now)
    assert [report.bytes_sent for report in collected.reports] == [50, 0, 25]
    assert [report.messages_sent for report in collected.reports] == [1, 1, 1]
    assert [report.messages_received for report in collected.reports] == [0, 0, 0]
    assert [report.reconnects for report in collected.reports] == [1, 1, 1]
