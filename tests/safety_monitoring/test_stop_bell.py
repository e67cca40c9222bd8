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
    rings = StopBell((str(tmp_path / "run" / "STOP"), str(tmp_path / "state" / "PERMIT")))
    yield rings
    rings.close()


def rings(bell: StopBell, now_mono_s: float = 100.0) -> bool:
    """Whether a loop that waits would be woken."""
    return bool(select.select(bell.descriptors(now_mono_s), [], [], 0.0)[0])


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


def test_a_permit_that_goes_rings(bell: StopBell, tmp_path: Path) -> None:
    """Removed, or moved away."""
    assert not rings(bell)
    (tmp_path / "state" / "PERMIT").rename(tmp_path / "PERMIT")
    assert rings(bell)
    bell.take(0.0)
    (tmp_path / "PERMIT").rename(tmp_path / "state" / "PERMIT")
    bell.take(1.0)
    (tmp_path / "state" / "PERMIT").unlink()
    assert rings(bell)


def test_a_flood_wakes_nobody_for_a_moment(bell: StopBell, tmp_path: Path) -> None:
    """After a ring the bell is not waited for, however many files are made; afterwards what came meanwhile rings."""
    (tmp_path / "run" / "one").touch()
    assert rings(bell)
    bell.take(100.0)
    (tmp_path / "run" / "STOP").touch()
    assert bell.descriptors(100.0 + DEAF_S * 0.9) == ()
    assert rings(bell, 100.0 + DEAF_S)


def test_a_directory_that_is_not_there_rings_no_bell(tmp_path: Path) -> None:
    """A bell that cannot be hung says so, and is no fault."""
    bell = StopBell((str(tmp_path / "STOP"), str(tmp_path / "missing" / "STOP")))
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
    bell = StopBell((str(tmp_path / "STOP"),))
    bell.close()
    bell.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert bell.descriptors(0.0) == ()
