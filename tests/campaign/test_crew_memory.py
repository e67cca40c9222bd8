"""The crew with a real memory worker beside real request workers: driven together, counted apart, ended together."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from baseline_metrics.samples import Gap, Sample
from campaign.crew_events import Lost
from campaign.memory_watch import NOTHING_HELD, MemoryNow
from monitoring_logs.memory_records import NO_MEMORY_HELD, MemoryFacts, MemorySecond
from monitoring_logs.records import Outcome
from stress_scenarios.load_plan import EngineName, LoadOrder
from stress_scenarios.loads.memory_order import MemoryOrder
from tests.stress_scenarios.orders import an_order
from tests.support.crew_rig import CrewRig, crew_rig
from tests.support.queue_service import QueueService, queue_service

pytestmark = pytest.mark.process

MIB = 1 << 20
SIZE = 32 * MIB


def requests(service: QueueService, *, segment: int = 0, hold_s: float = 60.0) -> LoadOrder:
    """A small load."""
    return replace(an_order(port=service.port, connections=2, rate=20.0, hold_s=hold_s), segment=segment)


def memory(*, segment: int = 0, lasts_s: float = 60.0) -> MemoryOrder:
    """32 MiB within a tenth of a second."""
    return MemoryOrder(segment=segment, size_bytes=SIZE, rise_bytes_per_s=320.0 * MIB, lasts_s=lasts_s)


def held(rig: CrewRig) -> int:
    """Bytes that are achieved now."""
    now = rig.crew.memory_now()
    assert isinstance(now, MemoryNow)
    return now.achieved_bytes


def facts(rig: CrewRig) -> MemoryFacts:
    """Of a load that held memory."""
    found = rig.crew.memory_facts()
    assert isinstance(found, MemoryFacts)
    return found


def test_requests_and_memory_run_side_by_side_and_only_where_asked(tmp_path: Path) -> None:
    """Three loads: without memory, with it, without again; one worker holds it, and no count of requests knows of it."""
    with (
        queue_service(servers=64, service_s=0.002, seed=1) as service,
        crew_rig(tmp_path, engine=EngineName.HTTPX, workers=1) as rig,
    ):
        rig.start(requests(service, hold_s=0.3))
        rig.wait_for_zero()
        assert len(rig.crew.pids()) == 1
        assert rig.crew.memory_facts() == NO_MEMORY_HELD

        rig.start(requests(service, segment=1, hold_s=2.2), memory(segment=1, lasts_s=2.2))
        rig.poll_until(lambda: held(rig) == SIZE)
        rig.wait_for_zero()
        assert len(rig.crew.pids()) == 2
        assert facts(rig).peak_bytes == SIZE
        assert 0.9 * facts(rig).asked_byte_s < facts(rig).achieved_byte_s <= facts(rig).asked_byte_s
        assert isinstance(facts(rig).release_s, Sample)
        assert rig.crew.memory_now() == NOTHING_HELD
        load = rig.crew.facts()
        assert load.operations_started == load.operations_succeeded == load.operations_requested == 88
        assert [second.workers for second in rig.seconds] == [1] * len(rig.seconds)
        told = [item for item in rig.stored if isinstance(item, MemorySecond)]
        assert [item.second for item in told] == [0, 1, 2]
        assert {item.held_bytes for item in told} == {SIZE}

        rig.start(requests(service, segment=2, hold_s=0.3))
        rig.wait_for_zero()
        assert rig.crew.memory_facts() == NO_MEMORY_HELD


def test_a_pause_and_a_share_reach_the_memory_too(tmp_path: Path) -> None:
    """Held by a person nothing is held; eased it is half; released, the load is zero before the requests' drain is over."""
    with (
        queue_service(servers=64, service_s=0.002, seed=1) as service,
        crew_rig(tmp_path, engine=EngineName.HTTPX, workers=1) as rig,
    ):
        rig.start(requests(service), memory())
        rig.poll_until(lambda: held(rig) == SIZE)
        rig.permit(0.5)
        rig.poll_until(lambda: held(rig) == SIZE // 2)
        rig.permit(1.0)
        rig.poll_until(lambda: held(rig) == SIZE)
        rig.crew.hold()
        rig.poll_until(lambda: held(rig) == 0)
        rig.crew.resume()
        rig.poll_until(lambda: held(rig) == SIZE)
        rig.crew.release()
        rig.wait_for_zero()
        assert facts(rig).peak_bytes == SIZE


def test_a_killed_memory_worker_is_told_and_its_account_kept(tmp_path: Path) -> None:
    """SIGKILL from outside: the load is lost, what it held until then stands in its facts, and nobody starts it again."""
    with (
        queue_service(servers=64, service_s=0.002, seed=1) as service,
        crew_rig(tmp_path, engine=EngineName.HTTPX, workers=1) as rig,
    ):
        rig.start(requests(service), memory())
        rig.poll_until(lambda: held(rig) == SIZE)
        rig.poll_for(0.2)
        os.kill(rig.crew.pids()[-1], signal.SIGKILL)
        rig.poll_until(lambda: any(isinstance(event, Lost) for event in rig.events))
        (lost,) = [event for event in rig.events if isinstance(event, Lost)]
        assert lost.outcome is Outcome.WORKER_CRASHED
        rig.crew.end()
        rig.wait_for_zero()
        assert facts(rig).peak_bytes == SIZE
        assert isinstance(facts(rig).release_s, Gap)
        assert rig.crew.pids() == ()


def test_after_the_kernel_has_killed_it_no_memory_load_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count of the kernel's kills has risen: OOM_KILLED, now and for every later load with memory, and requests go on."""
    kills = [3.0]
    monkeypatch.setattr("campaign.crew.oom_kills", lambda: Sample(value=kills[0]))
    with (
        queue_service(servers=64, service_s=0.002, seed=1) as service,
        crew_rig(tmp_path, engine=EngineName.HTTPX, workers=1) as rig,
    ):
        rig.start(requests(service), memory())
        rig.poll_until(lambda: held(rig) == SIZE)
        kills[0] = 4.0
        os.kill(rig.crew.pids()[-1], signal.SIGKILL)
        rig.poll_until(lambda: any(isinstance(event, Lost) for event in rig.events))
        rig.crew.end()
        rig.wait_for_zero()

        rig.events.clear()
        rig.crew.prepare(requests(service, segment=1), memory(segment=1))
        rig.poll_until(lambda: bool(rig.events))
        (lost,) = rig.events
        assert isinstance(lost, Lost)
        assert lost.outcome is Outcome.OOM_KILLED
        assert "no memory load is made again tonight" in lost.detail
        rig.crew.end()
        rig.wait_for_zero()

        rig.start(requests(service, segment=2, hold_s=0.3))
        rig.wait_for_zero()
        assert rig.crew.facts().operations_succeeded > 0
