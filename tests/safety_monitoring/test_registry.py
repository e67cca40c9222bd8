"""The registry, the lock of a runs directory, and the latch, on real directories."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from safety_monitoring import registry
from safety_monitoring.messages import StopCause
from tests.support.guardian_rig import REPORT_S_MAX, ROOT

BAD_RUN_IDS = ["", ".", "..", "../x", "a/b", "a..b", ".hidden", "-x", "a b", "a\n", "ä", "x" * 101]


@pytest.fixture
def state(tmp_path: Path) -> str:
    """An empty state directory."""
    path = str(tmp_path / "state")
    registry.ensure_state_directory(path)
    return path


@pytest.fixture
def runs_dir(tmp_path: Path) -> str:
    """An empty runs directory."""
    path = tmp_path / "runs"
    path.mkdir()
    return str(path)


def own_identity() -> registry.ProcessIdentity:
    """The identity of the test itself."""
    identity = registry.identity_of(os.getpid())
    assert isinstance(identity, registry.ProcessIdentity)
    return identity


def entry(run_id: str = "night-1") -> registry.CampaignEntry:
    """A campaign led by the test."""
    return registry.CampaignEntry(
        run_id=run_id, run_dir=f"/r/{run_id}", runs_dir="/r", started_utc_s=1.5, supervisor=own_identity()
    )


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"DAYBREAK_STATE_DIR": "/a/b", "XDG_RUNTIME_DIR": "/run/u"}, "/a/b"),
        ({"XDG_RUNTIME_DIR": "/run/u", "XDG_STATE_HOME": "/s"}, "/run/u/daybreak"),
        ({"XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/daybreak"),
        ({"HOME": "/h"}, "/h/.local/state/daybreak"),
        ({"DAYBREAK_STATE_DIR": "", "XDG_RUNTIME_DIR": "", "HOME": "/h"}, "/h/.local/state/daybreak"),
    ],
)
def test_the_state_directory_is_found_in_order(environ: dict[str, str], expected: str) -> None:
    """The own variable, then the runtime directory, then the state directory; empty means not set."""
    assert registry.state_directory(environ) == expected


def test_the_state_directory_is_private(tmp_path: Path) -> None:
    """It is made with 0700, and one that others may read is closed to them."""
    path = tmp_path / "a" / "state"
    registry.ensure_state_directory(str(path))
    assert path.stat().st_mode & 0o777 == 0o700
    path.chmod(0o755)
    registry.ensure_state_directory(str(path))
    assert path.stat().st_mode & 0o777 == 0o700


def test_a_foreign_or_linked_state_directory_is_refused(tmp_path: Path) -> None:
    """A symbolic link, a file and somebody else's directory are refused with the way out."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").touch()
    refused = ["link", "file"]
    if os.geteuid() == 0:
        (tmp_path / "foreign").mkdir()
        os.chown(tmp_path / "foreign", 65534, 65534)
        refused.append("foreign")
    for name in refused:
        with pytest.raises(registry.RegistryError, match="DAYBREAK_STATE_DIR"):
            registry.ensure_state_directory(str(tmp_path / name))


def test_an_identity_is_more_than_a_pid() -> None:
    """Another start time or another boot is another process."""
    own = own_identity()
    assert registry.is_alive(own)
    for other in (
        registry.ProcessIdentity(pid=own.pid, start_ticks=own.start_ticks + 1, boot_id=own.boot_id),
        registry.ProcessIdentity(pid=own.pid, start_ticks=own.start_ticks, boot_id="another"),
    ):
        assert not registry.is_alive(other)


@pytest.mark.process
def test_a_zombie_is_not_alive() -> None:
    """A process that has ended and was not reaped does not count as running."""
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as process:
        identity = registry.identity_of(process.pid)
        assert isinstance(identity, registry.ProcessIdentity)
        assert registry.is_alive(identity)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not registry.is_alive(identity)


def test_a_campaign_enters_and_leaves(state: str) -> None:
    """Entering makes PERMIT and pages/; the entry reads back; leaving takes everything away, twice without harm."""
    registry.register(state, entry())
    directory = Path(registry.campaign_directory(state, "night-1"))
    assert sorted(path.name for path in directory.iterdir()) == ["PERMIT", "entry.json", "pages"]
    assert registry.permit_path(state, "night-1") == str(directory / "PERMIT")
    (directory / "pages" / "0").touch()
    (directory / "status.json").touch()
    assert registry.entries(state) == (entry(),)
    registry.unregister(state, "night-1")
    registry.unregister(state, "night-1")
    assert registry.entries(state) == ()
    assert list(directory.parent.iterdir()) == []


def test_a_run_id_is_taken_once(state: str) -> None:
    """A second campaign of the same run id is refused."""
    registry.register(state, entry())
    with pytest.raises(registry.RegistryError, match="already"):
        registry.register(state, entry())


@pytest.mark.parametrize("run_id", BAD_RUN_IDS)
def test_a_run_id_is_a_plain_file_name(state: str, run_id: str) -> None:
    """Whatever could leave the directory, or hide in it, is refused before any file is touched."""
    with pytest.raises(registry.RegistryError, match="not a run id"):
        registry.register(state, entry(run_id))
    with pytest.raises(registry.RegistryError, match="not a run id"):
        registry.unregister(state, run_id)


@pytest.mark.parametrize("run_id", ["a", "2026-01-01T22-00-00Z-night_1.x", "x" * 100])
def test_ordinary_run_ids_pass(run_id: str) -> None:
    """Letters, digits, dots, underscores and hyphens, up to a hundred."""
    assert registry.checked_run_id(run_id) == run_id


@pytest.mark.parametrize("content", ["", "{", "[]", '{"type": "CampaignEntry"}', "null"])
def test_a_broken_entry_is_said_to_be_broken(state: str, content: str) -> None:
    """An unreadable entry hides neither itself nor the others."""
    registry.register(state, entry("one"))
    registry.register(state, entry("two"))
    Path(registry.campaign_directory(state, "one"), "entry.json").write_text(content)
    broken, whole = registry.entries(state)
    assert isinstance(broken, registry.BrokenEntry)
    assert broken.run_id == "one"
    assert whole == entry("two")


def test_an_entry_under_another_name_is_broken(state: str) -> None:
    """An entry copied to another directory does not name that directory's campaign."""
    registry.register(state, entry("one"))
    directory = Path(registry.campaign_directory(state, "one"))
    directory.rename(directory.with_name("other"))
    (broken,) = registry.entries(state)
    assert isinstance(broken, registry.BrokenEntry)


def test_one_campaign_per_runs_directory(state: str, runs_dir: str, tmp_path: Path) -> None:
    """The lock goes by the real path, names its holder, and comes back when released."""
    (tmp_path / "link").symlink_to(runs_dir)
    lock = registry.acquire_runs_lock(state, runs_dir, run_id="night-1")
    assert isinstance(lock, registry.RunsLock)
    held = registry.acquire_runs_lock(state, str(tmp_path / "link"), run_id="night-2")
    assert isinstance(held, registry.RunsLockHeld)
    assert held.by == f"night-1 (process {os.getpid()})"
    other = registry.acquire_runs_lock(state, str(tmp_path), run_id="night-3")
    assert isinstance(other, registry.RunsLock)
    other.release()
    lock.release()
    lock.release()
    with registry.acquire_runs_lock(state, runs_dir, run_id="n") as again:  # type: ignore[union-attr]  # the union is the test
        assert isinstance(again, registry.RunsLock)


@pytest.mark.process
def test_the_kernel_gives_the_lock_back(state: str, runs_dir: str) -> None:
    """A campaign that was killed holds no lock."""
    holder = (
        "import sys; from safety_monitoring import registry;"
        "lock = registry.acquire_runs_lock(sys.argv[1], sys.argv[2], run_id='dead'); print('held', flush=True); input()"
    )
    command = [sys.executable, "-c", holder, state, runs_dir]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert isinstance(registry.acquire_runs_lock(state, runs_dir, run_id="n"), registry.RunsLockHeld)
        process.kill()
        process.wait(timeout=REPORT_S_MAX)
    lock = registry.acquire_runs_lock(state, runs_dir, run_id="n")
    assert isinstance(lock, registry.RunsLock)
    lock.release()


def test_a_latch_holds_until_reset(state: str, runs_dir: str) -> None:
    """It is written in both places, the first cause stays, and reset says what it removed, STOP included."""
    assert registry.latched(state, runs_dir) == registry.NotLatched()
    first = registry.latch(state, runs_dir, cause=StopCause.STOP_FILE, detail="somebody", utc_s=5.0)
    assert registry.latched(state, runs_dir) == first
    again = registry.latch(state, runs_dir, cause=StopCause.PERMIT_GONE, detail="later", utc_s=6.0)
    assert again == first
    Path(runs_dir, "STOP").touch()
    removed = registry.reset(state, runs_dir)
    assert len(removed) == 3
    assert str(Path(runs_dir, "STOP")) in removed
    assert registry.latched(state, runs_dir) == registry.NotLatched()
    assert registry.reset(state, runs_dir) == ()


def test_each_of_the_two_places_is_enough(state: str, runs_dir: str, tmp_path: Path) -> None:
    """A lost runs directory, or a lost registry, does not undo a latch."""
    registry.latch(state, runs_dir, cause=StopCause.STOP_FILE, detail="x", utc_s=5.0)
    Path(runs_dir, registry.LATCH_NAME).unlink()
    assert isinstance(registry.latched(state, runs_dir), registry.Latch)
    registry.reset(state, runs_dir)
    written = registry.latch(str(tmp_path / "none"), runs_dir, cause=StopCause.STOP_FILE, detail="x", utc_s=5.0)
    assert written.path == str(Path(runs_dir, registry.LATCH_NAME))
    assert isinstance(registry.latched(str(tmp_path / "none"), runs_dir), registry.Latch)


def test_a_latch_that_can_be_written_nowhere_is_an_error(tmp_path: Path) -> None:
    """If both places fail, the caller is told."""
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "x")
    with pytest.raises(registry.RegistryError, match="could not be latched"):
        registry.latch(nowhere, nowhere, cause=StopCause.STOP_FILE, detail="x", utc_s=5.0)


@pytest.mark.parametrize("content", ["", "{}", json.dumps({"type": "Latch"}), "\x00"])
def test_an_unreadable_latch_holds(state: str, runs_dir: str, content: str) -> None:
    """What stands under the latch's name holds, whatever it says."""
    Path(runs_dir, registry.LATCH_NAME).write_text(content)
    latch = registry.latched(state, runs_dir)
    assert isinstance(latch, registry.Latch)
    assert "unreadable" in latch.detail


@pytest.mark.parametrize("kind", ["pipe", "directory", "dangling link", "circle"])
def test_a_latch_that_is_no_plain_file_holds_and_is_not_waited_for(state: str, runs_dir: str, kind: str) -> None:
    """Something stands under its name; a pipe would block whoever opens it. `reset` takes it away."""
    path = Path(runs_dir, registry.LATCH_NAME)
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "dangling link":
            path.symlink_to("/nonexistent/daybreak")
        case _:
            path.symlink_to(path.name)
    latch = registry.latched(state, runs_dir)
    assert isinstance(latch, registry.Latch)
    assert "unreadable" in latch.detail
    assert registry.reset(state, runs_dir) == (str(path),)
    assert isinstance(registry.latched(state, runs_dir), registry.NotLatched)


def test_reset_removes_a_stop_of_any_kind(state: str, runs_dir: str) -> None:
    """A STOP that is an empty directory or a dangling link goes, too; a directory with content is left to a person."""
    stop = Path(runs_dir, "STOP")
    stop.mkdir()
    assert registry.reset(state, runs_dir) == (str(stop),)
    stop.symlink_to("/nonexistent/daybreak")
    assert registry.reset(state, runs_dir) == (str(stop),)
    stop.mkdir()
    (stop / "x").touch()
    with pytest.raises(registry.RegistryError, match="by hand"):
        registry.reset(state, runs_dir)
