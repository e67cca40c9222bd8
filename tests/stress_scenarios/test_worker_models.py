"""Open models and live control of a worker as a real process, against a real server."""

import resource
import time
from dataclasses import replace
from pathlib import Path

import pytest

from stress_scenarios.load_plan import Arrivals, ConstantRate, EngineName, LoadOrder, Spacing
from stress_scenarios.messages import Adjust, Continue
from stress_scenarios.solo_worker import SoloWorker
from tests.stress_scenarios.load_rig import merged
from tests.stress_scenarios.orders import an_order
from tests.stress_scenarios.worker_rig import begin, finish, held, ready, run_order, until
from tests.support.servers import NginxServer

pytestmark = pytest.mark.process


@pytest.fixture(params=[EngineName.HTTPX, EngineName.WIRE], ids=lambda name: name.value)
def engine(request: pytest.FixtureRequest) -> EngineName:
    """Both engines that load a target: what holds for one holds for the other."""
    name = request.param
    assert isinstance(name, EngineName)
    return name


def arriving(order: LoadOrder, per_s: float) -> LoadOrder:
    """The same order as an open model."""
    pace = Arrivals(shape=ConstantRate(per_s=per_s), spacing=Spacing.POISSON, start_within_s=1.0, part=0, parts=1)
    return replace(order, pace=pace)


def test_an_open_load_makes_every_arrival(tmp_path: Path, nginx: NginxServer, engine: EngineName) -> None:
    """All that were requested are started and seen by the server, over a few connections; the instrument tells of itself."""
    order = arriving(an_order(port=nginx.port, connections=50, per_session=1_000_000, hold_s=1.0), 150.0)
    drained, windows, page = run_order(tmp_path, order, engine)
    lines = nginx.requests(at_least=drained.operations_started)
    assert len(lines) == drained.operations_started == drained.operations_succeeded == page.operation(0).started
    assert drained.operations_requested == drained.operations_started + drained.operations_dropped
    assert drained.operations_dropped == page.operations_dropped == 0
    assert len({line.remote_port for line in lines}) == drained.connections_opened <= 50
    assert merged(window.schedule_lag for window in windows).count == drained.operations_started
    assert windows[0].descriptors_max > windows[0].descriptors_open > 0
    assert sum(window.in_flight_s for window in windows) == pytest.approx(
        sum(window.service_s_sum for window in windows), abs=0.02
    )
    assert sum(window.bytes_sent for window in windows) == drained.bytes_sent
    page.close()


def test_a_running_load_is_held_and_changed(tmp_path: Path, nginx: NginxServer, engine: EngineName) -> None:
    """A person holds it and lets it go on; another rate takes effect at once; the server has seen what was counted."""
    order = arriving(an_order(port=nginx.port, connections=20, per_session=1_000_000, hold_s=1.2), 100.0)
    with SoloWorker(tmp_path, engine=engine) as worker:
        ready(worker)
        started_s = begin(worker, order)
        until(lambda: worker.page.operation(0).started >= 20, "the load runs")
        held(worker)
        held_at = worker.page.operation(0).started
        time.sleep(0.5)
        assert worker.page.operation(0).started == held_at
        worker.send(Continue(segment=0))
        worker.send(Adjust(segment=0, operations_per_s=400.0, connections=20))
        drained, _ = finish(worker)
    assert drained.operations_started == drained.operations_requested - drained.operations_dropped
    assert drained.operations_started == len(nginx.requests(at_least=drained.operations_started))
    assert drained.operations_started > held_at + 100
    assert drained.last_end_mono_s - started_s > 1.2 + 0.45


def test_a_load_process_takes_more_descriptors_than_it_is_given(tmp_path: Path) -> None:
    """It starts with the soft limit of whoever starts it, and raises it to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 512), hard))
    try:
        worker = SoloWorker(tmp_path, engine=EngineName.WIRE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with worker:
        ready(worker)
        assert resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
