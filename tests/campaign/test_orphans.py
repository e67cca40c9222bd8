"""Load processes without a campaign: who is ended before a start, and who is left alone."""

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from baseline_metrics.host_files import MarkedProcess, every_marked_process
from campaign import orphans
from campaign.check_rows import CheckState
from campaign.orphans import end_orphans, find_orphans
from campaign.preflight_runs import check_leftovers
from safety_monitoring import registry
from tests.support.guardian_rig import runs
from tests.support.night_plans import night_plan
from tests.support.nights import foreground, new_home
from tests.support.servers import demo_service

pytestmark = pytest.mark.process

HANG_S = 20.0
RUN_ID = "20251119T210000Z-dead"

SLEEPER = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"

Spawn = Callable[..., int]


def spawn_marked(held: ExitStack, state_dir: Path, *, role: str, run_id: str = RUN_ID) -> int:
    """A process of a run, deaf to SIGTERM; its pid. It is reaped at the end."""
    marks = {"DAYBREAK_RUN_ID": run_id, "DAYBREAK_ROLE": role, "DAYBREAK_STATE_DIR": str(state_dir)}
    child = subprocess.Popen(
        [sys.executable, "-c", SLEEPER], env={**os.environ, **marks}, stdout=subprocess.PIPE, start_new_session=True
    )
    assert child.stdout is not None

    def away() -> None:
        child.kill()
        child.wait(HANG_S)

    held.callback(child.stdout.close)
    held.callback(away)
    assert child.stdout.readline() == b"1\n"
    return child.pid


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Starts marked processes of this test's registry."""
    (tmp_path / "state").mkdir(mode=0o700)
    with ExitStack() as held:
        yield lambda role, run_id=RUN_ID: spawn_marked(held, tmp_path / "state", role=role, run_id=run_id)


def register(state_dir: Path, identity: registry.ProcessIdentity) -> None:
    """Enter the run."""
    entry = registry.CampaignEntry(
        run_id=RUN_ID,
        run_dir=str(state_dir / "runs" / RUN_ID),
        runs_dir=str(state_dir / "runs"),
        started_utc_s=0.0,
        supervisor=identity,
    )
    registry.register(str(state_dir), entry)


def own_identity(*, start_ticks_off: int = 0) -> registry.ProcessIdentity:
    """This process, or one that had its pid before."""
    found = registry.identity_of(os.getpid())
    assert isinstance(found, registry.ProcessIdentity)
    return registry.ProcessIdentity(
        pid=found.pid, start_ticks=found.start_ticks + start_ticks_off, boot_id=found.boot_id
    )


@pytest.mark.parametrize("role", ["worker", "drill"])
def test_load_of_a_dead_campaign_is_ended(spawn: Spawn, tmp_path: Path, role: str) -> None:
    """Neither a supervisor nor a guardian runs, and the registry's entry names a pid that is somebody else's by now."""
    register(tmp_path / "state", own_identity(start_ticks_off=-1))
    pid = spawn(role)
    (ended,) = end_orphans(str(tmp_path / "state"))
    assert (ended.pid, ended.role, ended.run_id) == (pid, role, RUN_ID)
    assert str(pid) in ended.text
    assert not runs(pid)
    assert end_orphans(str(tmp_path / "state")) == ()


@pytest.mark.parametrize("leader", ["guardian", "supervisor"])
def test_load_that_somebody_leads_stays(spawn: Spawn, tmp_path: Path, leader: str) -> None:
    """While the guardian or the supervisor of its run lives, it is theirs to end, registered or not."""
    pid = spawn("worker")
    spawn(leader)
    assert end_orphans(str(tmp_path / "state")) == ()
    assert runs(pid)


def test_a_leader_of_another_run_leads_nobody_else(spawn: Spawn, tmp_path: Path) -> None:
    """The run counts: the other campaign's guardian and load stay."""
    pid = spawn("worker")
    spawn("guardian", "20251119T220000Z-alive")
    theirs = spawn("worker", "20251119T220000Z-alive")
    assert [ended.pid for ended in end_orphans(str(tmp_path / "state"))] == [pid]
    assert runs(theirs)


def test_load_of_a_registered_supervisor_that_runs_stays(spawn: Spawn, tmp_path: Path) -> None:
    """Known by pid, start time and boot, whatever marks it carries itself."""
    register(tmp_path / "state", own_identity())
    pid = spawn("worker")
    assert end_orphans(str(tmp_path / "state")) == ()
    assert runs(pid)


def test_what_the_registry_cannot_tell_is_left_alone(spawn: Spawn, tmp_path: Path) -> None:
    """An entry that cannot be read might be that of a campaign that runs: the preflight refuses, nobody is ended."""
    register(tmp_path / "state", own_identity(start_ticks_off=-1))
    (tmp_path / "state" / "campaigns" / RUN_ID / "entry.json").write_text("{")
    pid = spawn("worker")
    assert end_orphans(str(tmp_path / "state")) == ()
    assert runs(pid)
    assert check_leftovers(tmp_path / "state", _of_this(RUN_ID)).blocks


@pytest.mark.parametrize("role", ["reporter", ""])
def test_what_makes_no_load_stays(spawn: Spawn, tmp_path: Path, role: str) -> None:
    """A reporter of a dead campaign is still at work."""
    pid = spawn(role)
    assert end_orphans(str(tmp_path / "state")) == ()
    assert runs(pid)


def test_load_of_another_registry_stays(spawn: Spawn, tmp_path: Path) -> None:
    """Whether it is led can only be told there."""
    pid = spawn("worker")
    (tmp_path / "another").mkdir()
    assert end_orphans(str(tmp_path / "another")) == ()
    assert runs(pid)


def test_a_process_that_took_the_pid_is_not_ended(spawn: Spawn, tmp_path: Path) -> None:
    """The start time is compared while a handle holds the process: the one that was found is ended, or nobody."""
    pid = spawn("worker")
    (found,) = find_orphans(str(tmp_path / "state"))
    assert orphans._ended([dataclasses.replace(found, start_ticks=found.start_ticks - 1)]) == []
    assert orphans._ended([dataclasses.replace(found, role="drill")]) == []
    assert runs(pid)


def test_the_preflight_only_tells(spawn: Spawn, tmp_path: Path) -> None:
    """What `run` would end warns, with the process, the run and what `run` will do; it goes on running."""
    pid = spawn("worker")
    row = check_leftovers(tmp_path / "state", _of_this(RUN_ID))
    assert row.state is CheckState.WARN
    assert f"{pid} (worker of {RUN_ID})" in row.detail
    assert "`run` ends them" in row.remedy
    assert runs(pid)


@pytest.mark.campaign
@pytest.mark.timeout(120)
def test_a_start_ends_orphans_says_so_and_goes_on(tmp_path: Path) -> None:
    """`check` tells and leaves the process alone; `run` ends it, says so, holds its night, and has it in its record."""
    home = new_home(tmp_path)
    home.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with demo_service() as shop, ExitStack() as held:
        plan = night_plan(shop.url, scenario=("{name: page, path: /health}",))
        pid = spawn_marked(held, home.state_dir, role="worker")
        told = home.command("check", home.write_plan(plan))
        assert f"{pid} (worker of {RUN_ID})" in " ".join(told.out.split())
        assert runs(pid)
        with foreground(home, plan) as night:
            supervisor = night.campaign.wait_for_load().supervisor_pid
            assert not runs(pid)
            os.kill(supervisor, signal.SIGTERM)
            night.wait()
    assert f"ended process {pid} (worker of {RUN_ID})" in night.err
    with night.campaign.record() as reader:
        (event,) = [event for event in reader.events() if event.name == "orphan_ended"]
    assert str(pid) in event.text


def _of_this(run_id: str) -> Callable[[], tuple[MarkedProcess, ...]]:
    return lambda: tuple(process for process in every_marked_process() if process.run_id == run_id)
