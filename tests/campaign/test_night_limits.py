"""A whole night on a host that is outside the guardian's limits: the ladder to its top, with nobody asked."""

from pathlib import Path

import psutil
import pytest

from monitoring_logs.records import EndCause, Outcome
from safety_monitoring.limits import Rung
from stress_scenarios.demo_process import DemoProcess
from tests.support.night_plans import night_plan, phase
from tests.support.nights import foreground, new_home

pytestmark = [pytest.mark.process, pytest.mark.campaign, pytest.mark.timeout(120)]

PAGE = ("{name: page, path: /health}",)

SHARPEST = 0.1
"""The smallest threshold multiplier: a limit that is just above today's memory use becomes one far below it."""


def test_the_guardian_eases_pauses_and_stops_by_itself(demo: DemoProcess, tmp_path: Path) -> None:
    """Memory stays over the phase's limit: ease, pause, stop the phase, stop the campaign; exit 5 and a full report."""
    limit = min(90.0, psutil.virtual_memory().percent + 10.0)
    plan = night_plan(
        demo.url, scenario=PAGE, phases=(phase(threshold_multiplier=SHARPEST), phase("never")), memory_percent=limit
    )
    with foreground(new_home(tmp_path), plan) as night:
        campaign = night.campaign
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
