"""The preflight's checks of what earlier and other campaigns left."""

import dataclasses
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from baseline_metrics.clock import FakeClock
from baseline_metrics.host_files import MARK_ROLE, MARK_RUN_ID, MarkedProcess, every_marked_process
from campaign.check_rows import CheckState
from campaign.preflight_runs import check_last_drill, check_leftovers, check_other_campaigns, check_stop_channels
from campaign.state_lifetime import LoginPlaces
from monitoring_logs.journal import Journal
from monitoring_logs.records import DrillFact
from safety_monitoring import registry
from safety_monitoring.messages import DrillPath
from tests.support.preflight import NOW_UTC_S, no_process


def marked_process(run_id: str, *, role: str = "worker", state_dir: str = "") -> MarkedProcess:
    """A process of a run."""
    return MarkedProcess(pid=4242, start_ticks=1, run_id=run_id, role=role, runs_dir="", state_dir=state_dir)


def register(state_dir: Path, run_id: str, runs_dir: Path, identity: registry.ProcessIdentity) -> None:
    """Enter a campaign."""
    state_dir.mkdir(exist_ok=True)
    entry = registry.CampaignEntry(
        run_id=run_id,
        run_dir=str(runs_dir / run_id),
        runs_dir=str(runs_dir),
        started_utc_s=NOW_UTC_S,
        supervisor=identity,
    )
    registry.register(str(state_dir), entry)


def own_identity() -> registry.ProcessIdentity:
    """This very process, which is certainly alive."""
    identity = registry.identity_of(os.getpid())
    assert isinstance(identity, registry.ProcessIdentity)
    return identity


def test_another_campaign_here_refuses_and_elsewhere_warns(tmp_path: Path) -> None:
    """Also when the directory is named by another path."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "runs")
    register(tmp_path / "state", "other", tmp_path / "runs", own_identity())

    assert check_other_campaigns(tmp_path / "link", tmp_path / "state", no_process).blocks
    assert check_other_campaigns(tmp_path / "elsewhere", tmp_path / "state", no_process).state is CheckState.WARN
    assert check_other_campaigns(tmp_path / "runs", tmp_path / "nothing", no_process).state is CheckState.OK


def test_a_dead_campaigns_entry_is_a_leftover_that_warns(tmp_path: Path) -> None:
    """The pid alone would not tell: the start time differs."""
    dead = dataclasses.replace(own_identity(), start_ticks=1)
    register(tmp_path / "state", "dead", tmp_path / "runs", dead)

    found = check_leftovers(tmp_path / "state", no_process)
    assert found.state is CheckState.WARN
    assert "dead" in found.detail
    assert check_other_campaigns(tmp_path / "runs", tmp_path / "state", no_process).state is CheckState.OK


@pytest.mark.process
@pytest.mark.parametrize(("role", "blocks"), [("worker", True), ("reporter", False)])
def test_a_load_process_without_a_campaign_is_a_leftover_that_blocks(tmp_path: Path, role: str, blocks: bool) -> None:  # noqa: FBT001
    """Found by the mark in its environment, wherever it came from; a reporter may still be at work."""
    environ = {**os.environ, MARK_RUN_ID: "lost-run", MARK_ROLE: role}
    code = "import time; print(1, flush=True); time.sleep(60)"

    def lost() -> tuple[MarkedProcess, ...]:
        return tuple(process for process in every_marked_process() if process.run_id == "lost-run")

    with subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            found = check_leftovers(tmp_path / "state", lost)
        finally:
            process.kill()
    assert found.blocks is blocks
    assert f"{process.pid} ({role} of lost-run)" in found.detail


def test_processes_of_a_campaign_of_another_registry_are_no_leftovers(tmp_path: Path) -> None:
    """It runs, so it disturbs; when its supervisor is gone, its load processes are leftovers."""
    other = tmp_path / "other"
    register(other, "theirs", tmp_path / "their-runs", own_identity())

    def theirs() -> tuple[MarkedProcess, ...]:
        return (marked_process("theirs", state_dir=str(other)),)

    assert check_leftovers(tmp_path / "state", theirs).state is CheckState.OK
    assert check_other_campaigns(tmp_path / "runs", tmp_path / "state", theirs).state is CheckState.WARN
    assert check_other_campaigns(tmp_path / "their-runs", tmp_path / "state", theirs).blocks
    registry.unregister(str(other), "theirs")
    assert check_leftovers(tmp_path / "state", theirs).blocks


def test_a_state_directory_that_logging_out_removes_warns(tmp_path: Path) -> None:
    """Unless the user lingers, or the directory lies elsewhere: the remedy names both ways."""
    places = LoginPlaces(runtime=tmp_path / "run-user", linger=tmp_path / "linger")
    in_session = places.runtime / "1000" / "daybreak"
    in_session.mkdir(parents=True)
    link = tmp_path / "state"
    link.symlink_to(in_session)
    for state_dir in (in_session, link, in_session / "not-made-yet"):
        found = check_stop_channels(tmp_path / "runs", state_dir, login_places=places)
        assert found.state is CheckState.WARN
        assert "enable-linger" in found.remedy
        assert "DAYBREAK_STATE_DIR=" in found.remedy
    assert check_stop_channels(tmp_path / "runs", tmp_path / "kept", login_places=places).state is CheckState.OK
    places.linger.mkdir()
    (places.linger / pwd.getpwuid(os.geteuid()).pw_name).touch()
    assert check_stop_channels(tmp_path / "runs", in_session, login_places=places).state is CheckState.OK


def write_drill(runs_dir: Path, *, passed: bool) -> None:
    """A latest run whose journal holds a drill of two days ago."""
    logs = runs_dir / "night-1" / "monitoring_logs"
    logs.mkdir(parents=True)
    (runs_dir / "latest").symlink_to("night-1")
    clock = FakeClock(utc_s=NOW_UTC_S - 2 * 86_400)
    journal = Journal(
        str(logs / "journal.jsonl"), clock=clock, boot_id="boot", fallback_path=str(logs / "fallback.jsonl")
    )
    for path, seconds, in_time in ((DrillPath.STOP_FILE, 0.05, True), (DrillPath.LEASE_EXPIRY, 0.9, passed)):
        journal.append_fact(DrillFact(path=path, seconds=seconds, seconds_max=1.0, passed=in_time, detail=""))
    journal.close()


def test_the_last_drill_is_told_with_result_and_age(tmp_path: Path) -> None:
    """From the latest run's journal; a missed one warns, none at all is no fault."""
    assert check_last_drill(tmp_path, utc_s=NOW_UTC_S).state is CheckState.OK
    write_drill(tmp_path, passed=True)
    found = check_last_drill(tmp_path, utc_s=NOW_UTC_S)

    assert found.state is CheckState.OK
    assert found.detail == "48 h ago: 2 of 2 ways to stop worked, the slowest in 0.9 s"


def test_a_missed_drill_warns(tmp_path: Path) -> None:
    """The path that failed is named."""
    write_drill(tmp_path, passed=False)
    found = check_last_drill(tmp_path, utc_s=NOW_UTC_S)

    assert found.state is CheckState.WARN
    assert DrillPath.LEASE_EXPIRY.value in found.detail
