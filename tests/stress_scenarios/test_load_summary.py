"""What a load test prints."""

import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest

from baseline_metrics.load_page import OperationCounts
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import Arrivals, ConstantRate, ErrorClass, Paced, Spacing, Unpaced
from stress_scenarios.load_summary import SCHEMA_VERSION, Interrupted, LoadResult, LoadSummary, as_json, as_text, merged
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


STOPPED = Interrupted(reason="stopped", counted=OperationCounts(started=5, succeeded=3, failed=1, bytes_received=100))


def result(*windows: WindowReport, end: Drained | Interrupted) -> LoadResult:
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
    assert "3 of 4 (75.00 %)\n" in text
    assert "200 received" in text
    assert "2/s completed" in text
    assert "refused    connection refused" in text
    rows = {line[:17].strip(): line[17:].split() for line in text.splitlines() if "ms" in line or " s " in line}
    assert rows["response"][0] == "200.0"
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
        (STOPPED, False),
    ],
)
def test_only_a_whole_load_without_failures_passes(end: Drained | Interrupted, *, passed: bool) -> None:
    """An abandoned operation or an early end is no pass."""
    found = result(window(succeeded=(0.1, 0.2)), end=end)
    assert found.passed is passed
    assert ("Interrupted" in as_text(found)) is isinstance(end, Interrupted)
    assert ("interrupted" in json.dumps(as_json(found))) is isinstance(end, Interrupted)


def schema() -> dict[str, object]:
    """The published schema of the JSON document."""
    path = Path(__file__).resolve().parents[2] / "docs" / "schemas" / "load-test.json"
    document: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(document)
    return document


@pytest.mark.parametrize("end", [drained(started=3, succeeded=2, failed=1), STOPPED])
@pytest.mark.parametrize(
    "pace",
    [
        Paced(operations_per_s=2.0),
        Unpaced(),
        Arrivals(shape=ConstantRate(per_s=5.0), spacing=Spacing.POISSON, start_within_s=1.0, part=0, parts=1),
    ],
)
def test_the_document_is_as_its_schema_says(end: Drained | Interrupted, pace: Paced | Unpaced | Arrivals) -> None:
    """Every model, interrupted or not; a key that the schema does not know would be refused."""
    found = result(window(succeeded=(0.1, 0.2), failed=(1.0,)), end=end)
    found = dataclasses.replace(found, order=dataclasses.replace(found.order, pace=pace))
    document = json.loads(json.dumps(as_json(found)))
    jsonschema.validate(document, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "unknown_key": 1}, schema())


def test_both_latencies_have_their_tails() -> None:
    """p90 and p99.9 stand beside the others, in the text as in the document."""
    found = result(window(succeeded=tuple(n / 1000 for n in range(1, 1001))), end=STOPPED)
    document = json.loads(json.dumps(as_json(found)))
    for name in ("response", "service"):
        assert list(document["latency_s"][name]) == ["mean", "p50", "p90", "p95", "p99", "p99.9", "max"]
        assert document["latency_s"][name]["p99.9"] == pytest.approx(0.999, rel=0.004)
    lines = as_text(found).splitlines()
    assert max(len(line) for line in lines) <= 80
    assert any(line.split() == ["Latency", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"] for line in lines)


def test_the_cost_of_an_operation_is_the_generators_cpu_over_all_that_ended() -> None:
    """Failures cost as well."""
    found = result(window(succeeded=(0.1,), failed=(0.2,)), window(succeeded=(0.1, 0.1)), end=STOPPED)
    document = json.loads(json.dumps(as_json(found)))
    assert document["generator"]["cpu_s_per_operation"] == pytest.approx(0.2 / 4)
    assert "50000.0 us of CPU per operation" in as_text(found)


def test_an_interrupted_load_says_what_was_in_flight() -> None:
    """Started is succeeded, failed and in flight, from the pages and not from the windows."""
    found = result(window(succeeded=(0.1,)), end=STOPPED)
    assert "5 started, 3 succeeded, 1 failed, 1 in flight" in as_text(found)
    document = json.loads(json.dumps(as_json(found)))
    assert document["counted"] == {"started": 5, "succeeded": 3, "failed": 1, "in_flight": 1}


def test_a_dropped_arrival_is_no_pass() -> None:
    """What was asked for and not sent is no success."""
    end = dataclasses.replace(drained(started=2, succeeded=2, failed=0), operations_dropped=1)
    assert not result(window(succeeded=(0.1, 0.2)), end=end).passed


def test_the_ends_of_several_workers_are_one() -> None:
    """Counts add up; the load lasted from the first start to the last end."""
    one = drained(started=2, succeeded=1, failed=1)
    other = dataclasses.replace(one, worker=1, first_start_mono_s=9.0, last_end_mono_s=13.0, bytes_sent=7)
    both = merged([one, other])
    assert (both.operations_started, both.operations_failed, both.bytes_sent) == (4, 2, 7)
    assert (both.first_start_mono_s, both.last_end_mono_s) == (9.0, 13.0)
    assert both.connections_peak == 2


def test_wide_figures_stay_apart() -> None:
    """Hundreds of milliseconds in each column are still columns."""
    lines = as_text(
        result(window(succeeded=(0.51661, 0.94823)), end=drained(started=2, succeeded=2, failed=0))
    ).splitlines()
    (head,) = [line for line in lines if line.startswith("Latency")]
    (response,) = [line for line in lines if line.startswith("response  ")]
    assert len(response.replace(" ms", "").split()) == len(head.split())
