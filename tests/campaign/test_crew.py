"""The crew with real workers: live changes of a load, its clock standing still, and a search of a queue's capacity."""

import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from baseline_metrics.samples import Sample
from campaign.search_desk import SearchDesk
from monitoring_logs.load_orders import SearchOrder
from monitoring_logs.records import LoadSecond
from monitoring_logs.search_records import SearchStep, StepState
from safety_monitoring.limits import Rung
from stress_scenarios.load_plan import Arrivals, ConstantRate, EngineName, LoadOrder, Pace, Spacing
from tests.stress_scenarios.orders import an_order
from tests.support.crew_rig import CrewRig, crew_rig
from tests.support.queue_service import QueueService, queue_service

pytestmark = pytest.mark.process

SEED = 20_261_124
LONG_S = 60.0
"""No load here lasts that long: each is released before."""


def arrivals(per_s: float, *, start_within_s: float = 1.0) -> Pace:
    """An open model, evenly spaced."""
    return Arrivals(
        shape=ConstantRate(per_s=per_s), spacing=Spacing.EVEN, start_within_s=start_within_s, part=0, parts=1
    )


def load_on(service: QueueService, pace: Pace, *, connections: int = 8) -> LoadOrder:
    """A load that lasts until it is released."""
    order = an_order(port=service.port, connections=connections, per_session=1000, hold_s=LONG_S)
    return replace(order, pace=pace)


def answered(service: QueueService) -> int:
    """How many requests the service has answered, by its own count."""
    with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/count", timeout=5.0) as answer:
        return int(answer.read())


def ended(rig: CrewRig) -> int:
    """Operations of the running load that have ended."""
    counted = rig.crew.running_counts()
    return counted.succeeded + counted.failed


def test_the_rate_of_a_running_load_is_changed_over_all_workers(tmp_path: Path) -> None:
    """From 10/s to 200/s: the counts are the service's own, and what was requested is what came due."""
    with (
        queue_service(servers=64, service_s=0.002, seed=SEED) as service,
        crew_rig(tmp_path, engine=EngineName.HTTPX, workers=2) as rig,
    ):
        start = rig.start(load_on(service, arrivals(10.0)))
        rig.poll_until(lambda: time.monotonic() >= start + 0.5)
        assert ended(rig) <= 10 * 2, "at the first rate"
        rig.crew.adjust(operations_per_s=200.0, connections=20)
        rig.poll_until(lambda: ended(rig) >= 100)
        assert time.monotonic() - start < 5.0, "at 10/s that takes ten seconds"
        rig.crew.release()
        rig.wait_for_zero()
        rig.crew.adjust(operations_per_s=500.0, connections=50)
        facts = rig.crew.facts()
        assert facts.operations_succeeded == facts.operations_started == answered(service)
        assert facts.operations_requested >= facts.operations_started >= 100
        assert facts.connections_requested == 20
        assert facts.operations_failed == 0
        assert facts.operations_dropped == 0


def test_a_held_load_starts_nothing_and_goes_on_where_it_stood(tmp_path: Path) -> None:
    """The held time is not of the load; its workers stay alive. Held is what the worker has answered, not what it was told."""
    with (
        queue_service(servers=64, service_s=0.002, seed=SEED) as service,
        crew_rig(tmp_path, engine=EngineName.HTTPX, workers=1) as rig,
    ):
        start = rig.start(load_on(service, arrivals(50.0)))
        rig.poll_until(lambda: ended(rig) >= 10)
        assert not rig.crew.holds
        rig.crew.hold()
        rig.crew.hold()
        assert not rig.crew.holds, "nobody has answered yet"
        rig.poll_until(lambda: rig.crew.holds and rig.crew.running_counts().in_flight == 0)
        held = ended(rig)
        rig.poll_for(1.0)
        assert ended(rig) == held
        rig.crew.resume()
        assert not rig.crew.holds
        rig.poll_until(lambda: ended(rig) >= held + 10)
        lasted_s = time.monotonic() - start
        rig.crew.release()
        rig.wait_for_zero()
        assert rig.crew.holds, "without a load nothing is started"
        facts = rig.crew.facts()
        assert facts.operations_succeeded == facts.operations_started == answered(service)
        assert 0.0 < facts.hold_s_achieved < lasted_s - 1.0
        assert facts.operations_started < 50 * lasted_s - 25, "nothing was made up for"


def test_arrivals_that_find_no_connection_are_counted_by_the_page(tmp_path: Path) -> None:
    """One connection, answers of 0.2 s, 100 arrivals a second: most are dropped, and a kill loses none of the count."""
    with (
        queue_service(servers=1, service_s=0.2, seed=SEED) as service,
        crew_rig(tmp_path, engine=EngineName.HTTPX, workers=1) as rig,
    ):
        rig.start(load_on(service, arrivals(100.0, start_within_s=0.1), connections=1))
        rig.poll_for(1.5)
        rig.crew.end()
        rig.wait_for_zero()
        facts = rig.crew.facts()
        assert facts.operations_dropped > facts.operations_started > 0


SEARCH = SearchOrder(
    lasts_s=9.5,
    step_s=2.0,
    start_per_s=100.0,
    per_s_max=400.0,
    connections=100,
    success_percent_min=95.0,
    response_s_mean_max=0.4,
    response_s_p99_max=0.0,
    achieved_percent_min=98.0,
)


def test_a_search_finds_the_capacity_of_a_queue(tmp_path: Path) -> None:
    """Eight servers of 50 ms carry 160 operations a second: the bracket holds that, and overshoot is stated."""
    print(f"seed {SEED}")
    steps: list[SearchStep] = []
    with (
        queue_service(servers=8, service_s=0.05, seed=SEED) as service,
        crew_rig(tmp_path, engine=EngineName.WIRE, workers=1) as rig,
    ):
        start = rig.start(load_on(service, arrivals(SEARCH.start_per_s), connections=SEARCH.connections))
        desk = SearchDesk(
            SEARCH,
            phase=0,
            segment=0,
            start_mono_s=start,
            lasts_s=SEARCH.lasts_s,
            crew=rig.crew,
            store=steps.append,
        )
        told = 0

        def over() -> bool:
            nonlocal told
            new: list[LoadSecond] = rig.seconds[told:]
            told += len(new)
            desk.look(now_mono_s=time.monotonic(), seconds=new, rung=Rung.CLEAR)
            return desk.over or time.monotonic() >= start + SEARCH.lasts_s + 1.0

        rig.poll_until(over)
        rig.crew.release()
        rig.wait_for_zero()
        record = desk.record(rig.crew.facts(), complete=True, reason="")
        assert record.load.operations_succeeded == record.load.operations_started == answered(service)
    print([(step.operations_per_s, step.state.value, step.reason) for step in steps])
    low, high = record.passing_per_s, record.failing_per_s
    assert isinstance(low, Sample), steps
    assert isinstance(high, Sample), steps
    assert low.value <= 1.1 * service.capacity_per_s
    assert high.value >= 0.9 * service.capacity_per_s
    assert max(step.operations_per_s for step in steps) <= 2.0 * high.value
    assert isinstance(record.overshoot_percent, Sample)
    assert record.limited_by in (StepState.FAILED, StepState.GENERATOR), (
        "a busy host may stall us, which is not the queue's"
    )
    assert all(step.operations_started > 0 for step in steps)
