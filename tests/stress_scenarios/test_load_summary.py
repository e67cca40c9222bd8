"""What a load test prints."""

import json

import pytest

from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.load_summary import SCHEMA_VERSION, LoadResult, LoadSummary, as_json, as_text
from stress_scenarios.messages import Drained, ErrorCount, OperationWindow, WindowReport
from tests.stress_scenarios.orders import an_order


def histogram(*seconds: float) -> str:
    """Encoded durations."""
    recorded = Histogram()
    for duration_s in seconds:
        recorded.record_s(duration_s)
    return recorded.encode()


def window(*, succeeded: tuple[float, ...] = (), failed: tuple[float, ...] = ()) -> WindowReport:
    """One second with these response times."""
    operation = OperationWindow(
        operation=0,
        succeeded=len(succeeded),
        failed=len(failed),
        response_succeeded=histogram(*succeeded),
        response_failed=histogram(*failed),
        service_succeeded=histogram(*succeeded),
    )
    errors = (ErrorCount(operation=0, error=ErrorClass.REFUSED, message="connection refused", count=len(failed)),)
    return WindowReport(
        worker=0,
        sequence=1,
        segment=0,
        start_mono_s=0.0,
        end_mono_s=1.0,
        operations=(operation,),
        errors=errors if failed else (),
        operations_due=4,
        operations_started=4,
        connections_open=1,
        bytes_received=100,
        cpu_s=0.1,
        loop_lag_s_max=0.01,
    )


def drained(*, started: int, succeeded: int, failed: int) -> Drained:
    """A load of two seconds."""
    return Drained(
        worker=0,
        segment=0,
        operations_requested=4,
        operations_started=started,
        operations_succeeded=succeeded,
        operations_failed=failed,
        operations_abandoned=started - succeeded - failed,
        connections_peak=1,
        connections_opened=2,
        first_start_mono_s=10.0,
        last_end_mono_s=12.0 if started else 10.0,
    )


def result(*windows: WindowReport, end: Drained | str) -> LoadResult:
    """A result of these windows."""
    summary = LoadSummary()
    for each in windows:
        summary.add(each)
    return LoadResult(url="http://127.0.0.1:1/", order=an_order(), summary=summary, drained=end)


def test_windows_are_merged_and_outcomes_kept_apart() -> None:
    """Counts add up, latencies merge, failures have figures of their own."""
    found = result(
        window(succeeded=(0.1, 0.2)),
        window(succeeded=(0.3,), failed=(5.0,)),
        end=drained(started=4, succeeded=3, failed=1),
    )
    text = as_text(found)
    assert "3 of 4 (75.00 %), 200 bytes" in text
    assert "2/s completed" in text
    assert "refused    connection refused" in text
    rows = {line[:22].strip(): line[22:].split() for line in text.splitlines() if "ms" in line or " s " in line}
    assert rows["response"][0] == "200.00"
    document = json.loads(json.dumps(as_json(found)))
    assert document["schema_version"] == SCHEMA_VERSION
    assert document["latency_s"]["response"]["mean"] == pytest.approx(0.2)
    assert document["latency_s"]["response_failed"]["max"] == 5.0
    assert document["operations_per_s"] == 2.0
    assert document["errors"] == [{"class": "refused", "message": "connection refused", "count": 1}]
    assert not found.passed


def test_what_was_not_measured_is_not_there() -> None:
    """Without any operation there is no latency, no rate and no success."""
    found = result(end=drained(started=0, succeeded=0, failed=0))
    assert "unknown, nothing was measured" in as_text(found)
    document = json.loads(json.dumps(as_json(found)))
    assert document["latency_s"] == {"response": {}, "response_failed": {}, "service": {}}
    assert "operations_per_s" not in document
    assert not found.passed


@pytest.mark.parametrize(
    ("end", "passed"),
    [
        (drained(started=2, succeeded=2, failed=0), True),
        (drained(started=3, succeeded=2, failed=0), False),
        ("stopped", False),
    ],
)
def test_only_a_whole_load_without_failures_passes(end: Drained | str, *, passed: bool) -> None:
    """An abandoned operation or an early end is no pass."""
    found = result(window(succeeded=(0.1, 0.2)), end=end)
    assert found.passed is passed
    assert ("Interrupted" in as_text(found)) is isinstance(end, str)
    assert ("interrupted" in json.dumps(as_json(found))) is isinstance(end, str)
