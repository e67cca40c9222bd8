"""Whatever lies in the place of STOP, seen by a real guardian: it stops, and is neither opened, followed nor waited for."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from safety_monitoring import registry
from safety_monitoring.messages import BeginDrill, DrillEnded, DrillPath, LoadEnded, StopCause
from tests.support.guardian_rig import Places, Rig

pytestmark = pytest.mark.process

SOON_S = 2.0
"""The promise of the house is 0.1 s; a loaded test machine gets twenty times as much."""

LEASE_EXIT = 75


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Directories of one stand-in campaign."""
    monkeypatch.setenv("DAYBREAK_STATE_DIR", str(tmp_path / "state"))
    return Places(base=tmp_path, run_id=f"run-{tmp_path.name}"[:90]).make()


@pytest.fixture
def rig(places: Places) -> Iterator[Rig]:
    """A guardian without limits, led by the test."""
    with Rig(places, places.order()) as rig:
        yield rig


def _touch(path: Path) -> None:
    path.touch()


def _mkdir(path: Path) -> None:
    path.mkdir()


def _dangle(path: Path) -> None:
    path.symlink_to("/nonexistent/daybreak")


def _circle(path: Path) -> None:
    path.symlink_to(path.name)


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _rename(path: Path) -> None:
    other = path.with_name("other")
    other.touch()
    other.rename(path)


@pytest.mark.parametrize("make", [_touch, _mkdir, _dangle, _circle, _fifo, _rename])
def test_any_kind_of_stop_file_ends_the_load(rig: Rig, make: Callable[[Path], None]) -> None:
    """Whatever appears under the name STOP ends the load at once and latches."""
    workers = [rig.worker(), rig.worker()]
    acted_mono_s = time.monotonic()
    make(rig.places.run_dir / "STOP")
    ended = rig.expect(LoadEnded)
    assert ended.cause is StopCause.STOP_FILE
    assert ended.workers == (0, 1)
    assert ended.survivors == ()
    assert ended.seen_mono_s + ended.seconds - acted_mono_s < SOON_S
    assert [worker.wait() for worker in workers] == [LEASE_EXIT, LEASE_EXIT]
    assert rig.conclude() == 0
    assert isinstance(registry.latched(str(rig.places.state_dir), str(rig.places.runs_dir)), registry.Latch)


def test_a_runs_directory_behind_a_link_is_watched_where_it_leads(places: Places, tmp_path: Path) -> None:
    """A link of our own is followed: a STOP in the real directory ends the load of a campaign that knows only the link."""
    real = tmp_path / "disk"
    places.runs_dir.rename(real)
    places.runs_dir.symlink_to(real)
    with Rig(places, places.order()) as rig:
        worker = rig.worker()
        (real / "STOP").mkdir()
        assert rig.expect(LoadEnded).cause is StopCause.STOP_FILE
        worker.wait()


@pytest.mark.parametrize("make", [_touch, _mkdir, _dangle, _circle, _fifo, _rename])
def test_a_drill_ends_by_any_kind_of_stop_file(rig: Rig, make: Callable[[Path], None]) -> None:
    """The rehearsed STOP goes through the same eyes: whatever it is, the drill worker ends, and nothing latches."""
    worker = rig.worker(drill=True)
    stop = rig.places.base / "drill" / "STOP"
    stop.parent.mkdir()
    permit = stop.with_name("PERMIT")
    permit.touch()
    rig.send(BeginDrill(path=DrillPath.STOP_FILE, stop_path=str(stop), permit_path=str(permit), worker=worker.number))
    make(stop)
    assert rig.expect(DrillEnded).path is DrillPath.STOP_FILE
    assert worker.wait() == LEASE_EXIT
    assert isinstance(registry.latched(str(rig.places.state_dir), str(rig.places.runs_dir)), registry.NotLatched)
