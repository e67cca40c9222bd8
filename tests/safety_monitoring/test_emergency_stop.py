"""The emergency stop as people run it: another process, against real stand-in campaigns."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from safety_monitoring import registry
from safety_monitoring.emergency_stop import UsageError, main, parse, touch_stop_files
from tests.support.foreign import give_away
from tests.support.guardian_rig import REPORT_S_MAX, ROOT, Places, StandInWorker, runs, wait_until_gone

LAUNCHER = ROOT / "launch_autonomous_testing.py"
HANG_S = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """A campaign that runs."""

    places: Places
    supervisor: int
    guardian: int
    worker: int

    def pids(self) -> tuple[int, ...]:
        """All its processes."""
        return self.supervisor, self.guardian, self.worker


@contextmanager
def campaign(base: Path, run_id: str, *options: str) -> Iterator[StandIn]:
    """Run a stand-in campaign; whatever is left of it in the end is killed."""
    base.mkdir(exist_ok=True)
    places = Places(base=base, run_id=run_id)
    environ = places.environ("supervisor")
    command = [sys.executable, "-m", "tests.support.stand_in_supervisor", str(base), run_id, *options]
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, start_new_session=True)
    pids: dict[str, int] = {}
    try:
        assert process.stdout is not None
        pids = json.loads(process.stdout.readline())
        yield StandIn(places=places, supervisor=process.pid, guardian=pids["guardian"], worker=pids["worker"])
    finally:
        process.kill()
        process.wait(timeout=REPORT_S_MAX)
        if process.stdout is not None:
            process.stdout.close()
        for pid in pids.values():
            wait_until_gone(pid)


def stop(state_dir: Path, *options: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run the command as somebody in another terminal does, on bare Python."""
    return subprocess.run(
        [sys.executable, "-S", str(LAUNCHER), "--emergency-stop", *options],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "DAYBREAK_STATE_DIR": str(state_dir)},
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )


@pytest.mark.process
def test_nothing_running_is_said_and_is_fine(tmp_path: Path) -> None:
    """Without a campaign the emergency stop says so and exits 0, and creates nothing."""
    done = stop(tmp_path / "state")
    assert (done.returncode, done.stdout.splitlines()[0], done.stderr) == (0, "no campaign is running", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_a_campaign_is_stopped_from_any_directory(tmp_path: Path) -> None:
    """Load, supervisor and guardian end by themselves; what was verified is told; the stop is latched."""
    with campaign(tmp_path / "a", "night-1") as night:
        done = stop(night.places.state_dir, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not any(runs(pid) for pid in night.pids())
        assert "night-1: load gone after " in done.stdout
        assert "everything gone after " in done.stdout
        assert "verified: no process carries the marker" in done.stdout
        assert "all is quiet" in done.stdout
        latch = registry.latched(str(night.places.state_dir), str(night.places.runs_dir))
        assert isinstance(latch, registry.Latch)
        assert "night-1" in latch.detail
        assert (night.places.run_dir / "STOP").exists()
        assert registry.entries(str(night.places.state_dir)) == ()


@pytest.mark.process
def test_json_is_one_document(tmp_path: Path) -> None:
    """With --json, standard output is one document with a schema version and the times in seconds."""
    with campaign(tmp_path / "a", "night-1") as night:
        done = stop(night.places.state_dir, "--json")
    document = json.loads(done.stdout)
    assert (document["schema_version"], document["quiet"], document["forced"]) == (1, True, False)
    (stopped,) = document["campaigns"]
    assert stopped["run_id"] == "night-1"
    assert 0.0 < stopped["load_gone_s"] <= stopped["all_gone_s"]
    assert stopped["survivors"] == []


@pytest.mark.process
def test_force_kills_at_once_and_starts_nothing(tmp_path: Path) -> None:
    """With --force everything is killed, no reporter is started, and the way to the report is told."""
    with campaign(tmp_path / "a", "night-1", "--stubborn", "--deaf") as night:
        done = stop(night.places.state_dir, "--force")
        assert done.returncode == 0, done.stdout + done.stderr
        assert not any(runs(pid) for pid in night.pids())
        assert not night.places.reported.exists()
        assert "`report night-1`" in done.stdout
        assert isinstance(registry.latched(str(night.places.state_dir), str(night.places.runs_dir)), registry.Latch)


@pytest.mark.process
def test_a_stopped_supervisor_does_not_hold_up_the_load(tmp_path: Path) -> None:
    """The guardian ends the load even when the supervisor is hung; --force then ends the rest."""
    with campaign(tmp_path / "a", "night-1") as night:
        os.kill(night.supervisor, signal.SIGSTOP)
        (night.places.run_dir / "STOP").touch()
        wait_until_gone(night.worker)
        done = stop(night.places.state_dir, "--force")
        assert done.returncode == 0, done.stdout + done.stderr
        assert not any(runs(pid) for pid in night.pids())


@pytest.mark.process
def test_runs_dir_narrows_the_stop(tmp_path: Path) -> None:
    """With --runs-dir other runs directories go on, by real path and not by spelling."""
    with ExitStack() as both:
        one = both.enter_context(campaign(tmp_path / "one", "night-1"))
        two = both.enter_context(campaign(tmp_path / "two", "night-2"))
        # One registry for both: the second campaign's entry is entered where the first one looks.
        entry = registry.entries(str(two.places.state_dir))[0]
        assert isinstance(entry, registry.CampaignEntry)
        registry.register(str(one.places.state_dir), entry)
        link = tmp_path / "link"
        link.symlink_to(one.places.runs_dir)
        done = stop(one.places.state_dir, "--runs-dir", str(link))
        assert done.returncode == 0, done.stdout + done.stderr
        assert not any(runs(pid) for pid in one.pids())
        assert all(runs(pid) for pid in two.pids())
        assert "night-2" not in done.stdout
        assert isinstance(registry.latched(str(one.places.state_dir), str(two.places.runs_dir)), registry.NotLatched)


@pytest.mark.process
def test_a_broken_entry_is_stopped_through_its_permit(tmp_path: Path) -> None:
    """A campaign whose entry cannot be read is stopped all the same."""
    with campaign(tmp_path / "a", "night-1") as night:
        (night.places.permit.parent / "entry.json").write_text("{")
        done = stop(night.places.state_dir)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not any(runs(pid) for pid in night.pids())


@pytest.mark.process
def test_an_orphaned_load_is_ended(tmp_path: Path) -> None:
    """Load of a run that nobody leads and that is in no registry is killed by its marker."""
    places = Places(base=tmp_path, run_id="lost").make()
    places.permit.unlink()
    places.permit.parent.rmdir()
    worker = StandInWorker(places, 0, "--deaf")
    try:
        done = stop(places.state_dir)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "lost: load gone after" in done.stdout
        assert worker.wait() == -signal.SIGKILL
    finally:
        worker.close()


@pytest.mark.process
def test_load_of_another_registry_is_named_and_left(tmp_path: Path) -> None:
    """Another state directory is another person's, or another test's, business: it is mentioned and goes on."""
    places = Places(base=tmp_path, run_id="elsewhere").make()
    worker = StandInWorker(places, 0)
    try:
        done = stop(tmp_path / "other-state")
        assert done.returncode == 0
        assert f"not stopped: campaigns registered in {places.state_dir}" in done.stdout
        assert runs(worker.process.pid)
    finally:
        worker.close()


@pytest.mark.process
def test_an_entry_of_a_dead_campaign_is_cleared(tmp_path: Path) -> None:
    """An entry whose supervisor is gone is taken out of the registry, and the exit code is 0."""
    state = str(tmp_path / "state")
    registry.ensure_state_directory(state)
    (tmp_path / "runs" / "dead").mkdir(parents=True)
    registry.register(
        state,
        registry.CampaignEntry(
            run_id="dead",
            run_dir=str(tmp_path / "runs" / "dead"),
            runs_dir=str(tmp_path / "runs"),
            started_utc_s=0.0,
            supervisor=registry.ProcessIdentity(pid=os.getpid(), start_ticks=1, boot_id="another boot"),
        ),
    )
    done = stop(tmp_path / "state")
    assert done.returncode == 0, done.stdout
    assert "dead already" in done.stdout
    assert registry.entries(state) == ()


def _dangle(path: Path) -> None:
    path.symlink_to(path.parent.parent.parent / "victim")


def _circle(path: Path) -> None:
    path.symlink_to(path.name)


KINDS: dict[str, Callable[[Path], None]] = {
    "directory": Path.mkdir,
    "dangling link": _dangle,
    "circle": _circle,
    "pipe": os.mkfifo,
}
"""What people and programs may have put in the place of STOP; none of it may block, crash, or be written through."""


@pytest.mark.process
@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_of_any_kind_that_lies_there_is_a_stop(tmp_path: Path, kind: str) -> None:
    """The campaign ends by it, the emergency stop neither opens nor follows it, and everything is quiet."""
    with campaign(tmp_path / "a", "night-1") as night:
        os.kill(night.guardian, signal.SIGSTOP)  # so that the emergency stop finds the campaign running, and the STOP
        KINDS[kind](night.places.run_dir / "STOP")
        done = stop(night.places.state_dir, "--force")
        assert done.returncode == 0, done.stdout + done.stderr
        assert not any(runs(pid) for pid in night.pids())
    assert os.path.lexists(night.places.run_dir / "STOP")
    assert not (tmp_path / "victim").exists()


@pytest.mark.process
@pytest.mark.parametrize("kind", KINDS)
def test_asking_by_a_stop_that_lies_there_works(tmp_path: Path, kind: str) -> None:
    """Without --force as well: the campaign is asked, and ends in order with its report."""
    with campaign(tmp_path / "a", "night-1") as night:
        KINDS[kind](night.places.run_dir / "STOP")
        done = stop(night.places.state_dir)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not any(runs(pid) for pid in night.pids())
    assert not (tmp_path / "victim").exists()


def _dead_campaign(tmp_path: Path) -> tuple[Path, Path]:
    """State directory and run directory of a registered campaign whose supervisor is gone."""
    state, run_dir = tmp_path / "state", tmp_path / "runs" / "dead"
    registry.ensure_state_directory(str(state))
    run_dir.parent.mkdir()
    registry.register(
        str(state),
        registry.CampaignEntry(
            run_id="dead",
            run_dir=str(run_dir),
            runs_dir=str(run_dir.parent),
            started_utc_s=0.0,
            supervisor=registry.ProcessIdentity(pid=os.getpid(), start_ticks=1, boot_id="another boot"),
        ),
    )
    return state, run_dir


@pytest.mark.process
def test_a_run_directory_that_became_a_link_is_not_written_through(tmp_path: Path) -> None:
    """Whoever replaced it chose where it leads: STOP is created nowhere, PERMIT is removed instead, and that is said."""
    state, run_dir = _dead_campaign(tmp_path)
    victim = tmp_path / "victim"
    victim.mkdir()
    run_dir.symlink_to(victim)
    done = stop(state)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PERMIT was removed instead" in done.stdout
    assert list(victim.iterdir()) == []


@pytest.mark.process
def test_a_place_of_another_user_is_not_written_to(tmp_path: Path) -> None:
    """Neither STOP nor latch: the campaign's PERMIT and the latch in our own registry do as well."""
    state, run_dir = _dead_campaign(tmp_path)
    run_dir.mkdir()
    give_away(run_dir)
    give_away(run_dir.parent)
    done = stop(state)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it belongs to another user" in done.stdout
    assert "PERMIT was removed instead" in done.stdout
    assert [path.name for path in run_dir.parent.rglob("*")] == ["dead"]
    latch = registry.latched(str(state), str(run_dir.parent))
    assert isinstance(latch, registry.Latch)
    assert latch.path.startswith(str(state))


@pytest.mark.process
def test_an_unwritable_run_directory_is_stopped_through_its_permit(tmp_path: Path) -> None:
    """Where STOP cannot be created, PERMIT is removed at once."""
    with campaign(tmp_path / "a", "night-1") as night:
        night.places.run_dir.rename(tmp_path / "moved")  # gone for less than the second that would stop by itself
        done = stop(night.places.state_dir)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "PERMIT was removed instead" in done.stdout
        assert not any(runs(pid) for pid in night.pids())


@pytest.mark.process
def test_help_is_quick_and_needs_nothing() -> None:
    """--help answers without importing anything that could be missing."""
    command = [sys.executable, "-S", "-X", "importtime", str(LAUNCHER), "--emergency-stop", "--help"]
    began_mono_s = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert time.monotonic() - began_mono_s < 5.0
    assert done.returncode == 0
    assert done.stdout.startswith("usage: --emergency-stop")
    assert "dataclasses" not in done.stderr


@pytest.mark.parametrize("arguments", [["--forse"], ["--runs-dir"], ["--runs-dir="], ["now"], ["--force=yes"]])
def test_a_slip_is_refused_with_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown option stops nothing, says so, and exits 2."""
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "usage:" in shown.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], (False, False, "")),
        (["--force", "--json"], (True, True, "")),
        (["--runs-dir", "/x"], (False, False, "/x")),
        (["--runs-dir=/x=y", "--yes", "-q", "--no-color", "--emergency-stop"], (False, False, "/x=y")),
    ],
)
def test_options_are_read_in_any_order(arguments: Sequence[str], expected: tuple[bool, bool, str]) -> None:
    """Options of other commands that mean nothing here are passed over."""
    assert parse(arguments) == expected


def test_a_missing_value_is_named() -> None:
    """The message names the option that lacks its value."""
    with pytest.raises(UsageError, match="--runs-dir needs a directory"):
        parse(["--runs-dir"])


def test_the_first_grip_finds_what_it_can(tmp_path: Path) -> None:
    """STOP is created for every whole entry in scope; broken ones, strangers and missing directories do not disturb it."""
    state = tmp_path / "state"
    for name, runs_dir in (("one", "a"), ("two", "b"), ("three", "a")):
        (state / "campaigns" / name).mkdir(parents=True)
        run_dir = tmp_path / runs_dir / name
        if name != "three":
            run_dir.mkdir(parents=True)
        entry = {"run_dir": str(run_dir), "runs_dir": str(tmp_path / runs_dir)}
        (state / "campaigns" / name / "entry.json").write_text(json.dumps(entry))
    for name, content in (("broken", "{"), ("list", "[]"), ("empty", "{}")):
        (state / "campaigns" / name).mkdir()
        (state / "campaigns" / name / "entry.json").write_text(content)
    (state / "campaigns" / "file").touch()
    one = ("one", str(tmp_path / "a" / "one"), str(tmp_path / "a"))
    assert touch_stop_files(str(state), str(tmp_path / "a")) == (one,)
    assert (tmp_path / "a" / "one" / "STOP").exists()
    assert not (tmp_path / "b" / "two" / "STOP").exists()
    assert [run_id for run_id, _, _ in touch_stop_files(str(state), "")] == ["two"]
    assert (tmp_path / "b" / "two" / "STOP").exists()
    assert touch_stop_files(str(tmp_path / "none"), "") == ()
