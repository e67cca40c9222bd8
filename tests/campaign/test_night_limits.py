"""A whole night on a host that is outside the guardian's limits: the ladder to its top, with nobody asked."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from baseline_metrics.host_files import HostFiles
from baseline_metrics.samples import Sample
from monitoring_logs.records import EndCause, Outcome
from safety_monitoring.limits import Rung
from stress_scenarios.demo_process import DemoProcess
from tests.support.night_plans import night_plan, phase
from tests.support.nights import foreground, new_home

pytestmark = [pytest.mark.process, pytest.mark.campaign, pytest.mark.timeout(120)]

PAGE = ("{name: page, path: /health}",)

MIB = 1 << 20
ROOM_BYTES = 512 * MIB
"""Between what is used when the night is planned and the limit: our own processes fit in, as the planner wants it."""

NEIGHBOUR_BYTES = 1024 * MIB
"""What somebody else takes in the middle of the phase: twice the room."""


def limit_percent() -> float:
    """Of the memory that there is, as the guardian sees it."""
    with HostFiles() as files:
        memory = files.memory()
    assert isinstance(memory.total_bytes, Sample)
    assert isinstance(memory.available_bytes, Sample)
    total = memory.total_bytes.value
    return 100.0 * (total - memory.available_bytes.value + ROOM_BYTES) / total


@contextmanager
def neighbour() -> Iterator[None]:
    """Somebody who holds memory."""
    with mmap.mmap(-1, NEIGHBOUR_BYTES) as taken:
        for at in range(0, NEIGHBOUR_BYTES, mmap.PAGESIZE):
            taken[at] = 1
        yield


def test_the_guardian_eases_pauses_and_stops_by_itself(demo: DemoProcess, tmp_path: Path) -> None:
    """Somebody takes memory and keeps it: ease, pause, stop the phase, stop the campaign; exit 5 and a full report."""
    plan = night_plan(demo.url, scenario=PAGE, phases=(phase(), phase("never")), memory_percent=limit_percent())
    with foreground(new_home(tmp_path), plan) as night:
        campaign = night.campaign
        campaign.wait_for_state("HOLDING", phase_index=0)
        with neighbour():
            assert night.wait() == 5
    campaign.assert_over()
    with campaign.record() as reader:
        moves = reader.guardian_events()
    assert [move.rung for move in moves] == [Rung.EASE, Rung.PAUSE, Rung.STOP_PHASE, Rung.STOP_CAMPAIGN]
    assert [move.share for move in moves] == [0.5, 0.0, 0.0, 0.0]
    assert all("memory" in move.why for move in moves)
    stopped, never = campaign.phase_records()
    assert stopped.outcome is Outcome.SAFETY_STOP
    assert "memory" in stopped.reason
    assert stopped.eased_s == pytest.approx(moves[2].at_mono_s - moves[0].at_mono_s, abs=0.5)
    assert stopped.end_mono_s == pytest.approx(moves[2].at_mono_s, abs=0.5), "the load ends with the third step"
    assert never.outcome is Outcome.NOT_REACHED
    report = campaign.report()
    assert EndCause(report["campaign_info"]["end_cause"]) is EndCause.GUARDIAN_STOP
    assert report["exit_code"] == 5
    assert report["verdict"]["status"] != "fit"
    assert [move["rung"] for move in report["guardian"]["moves"]] == ["ease", "pause", "stop_phase", "stop_campaign"]
