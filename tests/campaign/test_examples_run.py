"""The examples that say they run against httpbin do so: a real load process, a real server, every operation as expected."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from baseline_metrics.target_policy import PinnedTarget, resolve_target, system_resolver
from campaign.plan_file import LoadedPlan
from campaign.plan_specs import code_spec, feeder_specs, operation_specs, target_spec, variable_specs
from stress_scenarios.load_plan import EngineName, LoadOrder, Paced
from stress_scenarios.messages import Drained, Go, Prepare, WindowReport
from stress_scenarios.solo_worker import SoloWorker
from tests.campaign.test_examples import example
from tests.support.servers import httpbin_server

HOLD_S = 1.0
REPORT_S_MAX = 20.0


def order_of(found: LoadedPlan) -> LoadOrder:
    """A second of the plan's sessions: three connections, sessions of four operations of the mix."""
    target = resolve_target(found.plan.target.url, allow=(), resolver=system_resolver)
    assert isinstance(target, PinnedTarget), target
    return LoadOrder(
        segment=0,
        target=target_spec(found.plan, target),
        operations=operation_specs(found.plan),
        connections=3,
        connection_offset=0,
        connections_total=3,
        operations_per_session=4,
        pace=Paced(operations_per_s=12.0),
        ramp_s=0.0,
        hold_s=HOLD_S,
        drain_s=5.0,
        response_bytes_max=1 << 20,
        seed=1,
        variables=variable_specs(found.plan),
        feeders=feeder_specs(found.plan, found.inputs),
        code=code_spec(found.plan, found.inputs),
    )


def loaded_once(directory: Path, order: LoadOrder) -> tuple[Drained, dict[int, int], list[str]]:
    """What came of it: totals, successes by operation, and what went wrong in words."""
    succeeded: dict[int, int] = {}
    errors: list[str] = []
    with SoloWorker(directory, engine=EngineName.WIRE) as worker:
        worker.next_report(REPORT_S_MAX)
        worker.send(Prepare(order=order))
        worker.next_report(REPORT_S_MAX)
        worker.send(Go(segment=0, start_mono_s=time.monotonic() + 0.1))
        while True:
            report = worker.next_report(REPORT_S_MAX)
            if isinstance(report, Drained):
                return report, succeeded, errors
            assert isinstance(report, WindowReport), report
            for window in report.operations:
                succeeded[window.operation] = succeeded.get(window.operation, 0) + window.succeeded
            errors.extend(error.message for error in report.errors)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An httpbin for both."""
    with httpbin_server(tmp_path_factory.mktemp("httpbin")) as server:
        yield server.url


@pytest.mark.parametrize("name", ["login-flow.yaml", "python-flow.yaml"])
def test_the_flow_runs_as_it_stands(tmp_path: Path, url: str, name: str) -> None:
    """Log in, use the token, upload a row, leave: all four operations succeed, and nothing fails."""
    drained, succeeded, errors = loaded_once(tmp_path, order_of(example(name, target=url)))

    assert errors == []
    assert drained.operations_started == drained.operations_succeeded == drained.operations_requested == 36
    assert sorted(succeeded) == [0, 1, 2, 3]
    assert sum(succeeded.values()) == 36
