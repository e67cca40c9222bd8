"""The bell that wakes the guardian's loop, with the kernel's own inotify."""

import select
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from safety_monitoring.stop_bell import DEAF_S, StopBell


@pytest.fixture
def bell(tmp_path: Path) -> Iterator[StopBell]:
    """A bell over a STOP and a PERMIT."""
    (tmp_path / "run").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "PERMIT").touch()
    rings = StopBell(stop_paths=(str(tmp_path / "run" / "STOP"),), permit_path=str(tmp_path / "state" / "PERMIT"))
    yield rings
    rings.close()


def rings(bell: StopBell) -> bool:
    """Whether a loop that waits would be woken."""
    return bool(select.select(bell.descriptors, [], [], 0.0)[0])


def _touch(path: Path) -> None:
    path.touch()


def _link(path: Path) -> None:
    path.symlink_to("/nonexistent")


def _rename(path: Path) -> None:
    path.with_name("other").rename(path)


@pytest.mark.parametrize("appear", [_touch, _link, Path.mkdir, _rename])
def test_a_stop_that_appears_rings(bell: StopBell, tmp_path: Path, appear: Callable[[Path], None]) -> None:
    """Whatever kind of file it is, and also when it is renamed to its place."""
    (tmp_path / "run" / "other").touch()
    bell.take(0.0)
    assert not rings(bell)
    appear(tmp_path / "run" / "STOP")
    assert rings(bell)


def _remove(path: Path) -> None:
    path.unlink()


def _move(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def _replace(path: Path) -> None:
    path.with_name("new").touch()
    path.with_name("new").rename(path)


@pytest.mark.parametrize("go", [_remove, _move, _replace])
def test_a_permit_that_goes_rings_and_is_not_watched_any_more(
    bell: StopBell, tmp_path: Path, go: Callable[[Path], None]
) -> None:
    """Removed, moved away, or another file in its place: the looks have to come closer from then on."""
    assert not rings(bell)
    go(tmp_path / "state" / "PERMIT")
    assert rings(bell)
    bell.take(0.0)
    assert not bell.hangs


def test_what_happens_beside_permit_does_not_ring(bell: StopBell, tmp_path: Path) -> None:
    """Files are written there all the time."""
    (tmp_path / "state" / "status.json").touch()
    (tmp_path / "state" / "status.json").unlink()
    assert not rings(bell)


def test_a_flood_wakes_nobody_for_a_moment(bell: StopBell, tmp_path: Path) -> None:
    """After a ring the bell is not to be waited for; what came meanwhile is not lost."""
    (tmp_path / "run" / "one").touch()
    assert bell.deaf_s(100.0) == 0.0
    bell.take(100.0)
    (tmp_path / "run" / "STOP").touch()
    assert bell.deaf_s(100.0) == pytest.approx(DEAF_S)
    assert bell.deaf_s(100.0 + DEAF_S) == pytest.approx(0.0)
    assert rings(bell)


def test_a_directory_that_is_not_there_rings_no_bell(tmp_path: Path) -> None:
    """A bell that cannot be hung says so, and is no fault."""
    (tmp_path / "PERMIT").touch()
    stops = (str(tmp_path / "STOP"), str(tmp_path / "missing" / "STOP"))
    bell = StopBell(stop_paths=stops, permit_path=str(tmp_path / "PERMIT"))
    assert not bell.hangs
    bell.take(0.0)
    (tmp_path / "missing").mkdir()
    bell.take(0.0)
    (tmp_path / "missing" / "STOP").touch()
    assert not rings(bell)
    bell.close()


def test_a_bell_hangs_until_its_directory_leaves_its_place(bell: StopBell, tmp_path: Path) -> None:
    """Files come and go below it; a directory that is moved or removed takes its bell along."""
    (tmp_path / "run" / "one").touch()
    bell.take(0.0)
    assert bell.hangs
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    assert rings(bell)
    bell.take(0.0)
    assert not bell.hangs


def test_a_removed_directory_takes_its_bell_along(bell: StopBell, tmp_path: Path) -> None:
    """Also when another one of its name is made at once."""
    (tmp_path / "run").rmdir()
    (tmp_path / "run").mkdir()
    bell.take(0.0)
    assert not bell.hangs


def test_a_closed_bell_leaves_no_descriptor(tmp_path: Path) -> None:
    """Closing gives the descriptor back, once."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    bell = StopBell(stop_paths=(str(tmp_path / "STOP"),), permit_path=str(tmp_path / "PERMIT"))
    bell.close()
    bell.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert bell.descriptors == ()
