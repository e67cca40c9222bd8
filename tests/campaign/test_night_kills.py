"""Whole nights whose processes are killed: no load is left, the record is sound, and the report comes by itself."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring_logs.records import EndCause, Outcome
from stress_scenarios.demo_process import DemoProcess
from tests.support.night_plans import night_plan, phase
from tests.support.nights import LOAD_GONE_S_MAX, Campaign, foreground, new_home
from tests.support.servers import demo_service

pytestmark = [pytest.mark.process, pytest.mark.campaign, pytest.mark.timeout(120)]

PAGE = ("{name: page, path: /health}",)

PUBLIC = "http://192.0.2.1:9"
"""An address that is refused without a packet (documentation range): for a `run` that must not start anything."""


@pytest.fixture(scope="module")
def shop() -> Iterator[DemoProcess]:
    """One target for all nights of this module; it keeps no state that they could see."""
    with demo_service() as process:
        yield process


def _plan(url: str) -> str:
    return night_plan(url, scenario=PAGE)


def _cause(campaign: Campaign) -> EndCause:
    return EndCause(campaign.report()["campaign_info"]["end_cause"])


def test_a_killed_supervisor_leaves_no_load_and_the_guardian_has_the_report_written(
    shop: DemoProcess, tmp_path: Path
) -> None:
    """After kill -9 of the supervisor the load is gone within 3 s, and the guardian's last act is the report: 70."""
    with foreground(new_home(tmp_path), _plan(shop.url)) as night:
        campaign = night.campaign
        supervisor = campaign.wait_for_load().supervisor_pid
        os.kill(supervisor, signal.SIGKILL)
        assert campaign.seconds_until_load_is_gone() <= LOAD_GONE_S_MAX
        assert night.wait() == 70
        campaign.wait_until_quiet()
    campaign.assert_over()
    report = campaign.report()
    assert _cause(campaign) is EndCause.SUPERVISOR_LOST
    assert report["exit_code"] == 70
    assert report["verdict"]["status"] == "inconclusive"
    assert report["campaign_info"]["end_recorded"] is False
    assert "INCONCLUSIVE" in night.out, "the terminal shows the summary that the guardian had written"
    assert campaign.home.command("report", "latest").exit_code == 0


def test_a_killed_guardian_ends_the_night(shop: DemoProcess, tmp_path: Path) -> None:
    """After kill -9 of the guardian the supervisor takes the load away within 3 s, records GUARDIAN_LOST and leaves with 70."""
    with foreground(new_home(tmp_path), _plan(shop.url)) as night:
        campaign = night.campaign
        campaign.wait_for_load()
        os.kill(campaign.pid_of("guardian"), signal.SIGKILL)
        assert campaign.seconds_until_load_is_gone() <= LOAD_GONE_S_MAX
        assert night.wait() == 70
    campaign.assert_over()
    assert campaign.outcomes() == (Outcome.GUARDIAN_LOST.value,)
    assert _cause(campaign) is EndCause.GUARDIAN_LOST
    assert campaign.report()["verdict"]["status"] == "inconclusive"


def test_a_guardian_that_hangs_ends_the_night(shop: DemoProcess, tmp_path: Path) -> None:
    """A stopped guardian renews no lease: the load ends by itself within 3 s, and the night ends as GUARDIAN_LOST."""
    with foreground(new_home(tmp_path), _plan(shop.url)) as night:
        campaign = night.campaign
        campaign.wait_for_load()
        os.kill(campaign.pid_of("guardian"), signal.SIGSTOP)
        assert campaign.seconds_until_load_is_gone() <= LOAD_GONE_S_MAX
        assert night.wait() == 70
    campaign.assert_over()
    assert campaign.outcomes() == (Outcome.GUARDIAN_LOST.value,)
    assert _cause(campaign) is EndCause.GUARDIAN_LOST


def test_a_killed_worker_ends_its_phase_and_not_the_night(shop: DemoProcess, tmp_path: Path) -> None:
    """After kill -9 of one of two workers the other one is sent away too, the phase is WORKER_CRASHED, the night goes on.

    What succeeded in the killed worker's last second, which it could not report, is counted: counts lie in its page.
    """
    plan = night_plan(shop.url, scenario=PAGE, phases=(phase(connections=4),), workers=2)
    with foreground(new_home(tmp_path), plan) as night:
        campaign = night.campaign
        seen = campaign.wait_for_load()
        workers = {found.pid for found in campaign.marked("worker")}
        assert len(workers) == 2
        os.kill(min(workers), signal.SIGKILL)
        campaign.wait_for(lambda status: not workers & set(status.worker_pids), "both workers to be gone")
        code = night.wait()
    campaign.assert_over()
    (record,) = campaign.phase_records()
    assert record.outcome is Outcome.WORKER_CRASHED
    assert "signal 9" in record.reason
    ended_after_s = record.end_mono_s - seen.at_mono_s
    assert ended_after_s <= LOAD_GONE_S_MAX + 1.0, (
        "seconds from the look before the kill until the load was proven zero"
    )
    with campaign.record() as reader:
        in_windows = sum(second.succeeded for second in reader.load_seconds(record.segment))
    assert record.load.operations_succeeded >= in_windows > 0
    assert _cause(campaign) is EndCause.FINISHED
    assert code == campaign.report()["exit_code"] == 3, "our own fault says nothing about the target"


def test_without_supervisor_and_guardian_the_next_start_writes_the_report(shop: DemoProcess, tmp_path: Path) -> None:
    """When both are killed the load still ends within 3 s; the next `run`, even a refused one, writes the report."""
    home = new_home(tmp_path)
    with foreground(home, _plan(shop.url)) as night:
        campaign = night.campaign
        supervisor = campaign.wait_for_load().supervisor_pid
        night.viewer.kill()
        os.kill(campaign.pid_of("guardian"), signal.SIGKILL)
        os.kill(supervisor, signal.SIGKILL)
        assert campaign.seconds_until_load_is_gone() <= LOAD_GONE_S_MAX
        campaign.wait_until_quiet()
        assert home.command("status", "--json").document["campaigns"][0]["alive"] is False
        refused = home.command("run", "--target", PUBLIC, "--yes")
    assert refused.exit_code == 6
    assert campaign.run_id in refused.err
    campaign.assert_over()
    assert _cause(campaign) is EndCause.SUPERVISOR_LOST
    assert campaign.report()["exit_code"] == 70
    assert home.command("status", "--json").document["campaigns"] == []
