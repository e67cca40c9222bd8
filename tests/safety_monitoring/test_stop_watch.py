"""The stop channels, looked at by hand."""

import shutil
from pathlib import Path

import pytest

from safety_monitoring.messages import StopCause
from safety_monitoring.stop_watch import BLIND_S_MAX, PARENTS_EVERY_S, Quiet, StopSeen, StopWatch


@pytest.fixture
def watch(tmp_path: Path) -> StopWatch:
    """Two stop channels and a PERMIT that is there."""
    (tmp_path / "run").mkdir()
    (tmp_path / "PERMIT").touch()
    stops = (str(tmp_path / "run" / "STOP"), str(tmp_path / "STOP"))
    return StopWatch(stop_paths=stops, permit_path=str(tmp_path / "PERMIT"))


def test_quiet_is_the_normal_case(watch: StopWatch) -> None:
    """No STOP in an existing directory, and a PERMIT: nobody wants to stop."""
    assert watch.look(0.0) == Quiet()
    assert watch.look(1000.0) == Quiet()


def test_a_stop_is_seen_at_the_first_look(watch: StopWatch, tmp_path: Path) -> None:
    """Existence is enough, and the path is told."""
    (tmp_path / "STOP").symlink_to("/nonexistent/daybreak")
    assert watch.look(0.0) == StopSeen(cause=StopCause.STOP_FILE, detail=str(tmp_path / "STOP"))


def test_a_missing_permit_is_seen_at_the_first_look(watch: StopWatch, tmp_path: Path) -> None:
    """Removing PERMIT, or its directory, stops at once."""
    (tmp_path / "PERMIT").unlink()
    assert watch.look(0.0) == StopSeen(cause=StopCause.PERMIT_GONE, detail=str(tmp_path / "PERMIT"))
    below = StopWatch(stop_paths=(), permit_path=str(tmp_path / "gone" / "PERMIT"))
    assert isinstance(below.look(0.0), StopSeen)


@pytest.mark.parametrize(("seconds", "stops"), [(0.999, False), (BLIND_S_MAX, False), (1.001, True)])
def test_blindness_stops_after_a_second(watch: StopWatch, tmp_path: Path, seconds: float, *, stops: bool) -> None:
    """A directory that is gone for longer than a second is a lost channel."""
    shutil.rmtree(tmp_path / "run")
    assert watch.look(50.0) == Quiet()
    seen = watch.look(50.0 + seconds)
    assert isinstance(seen, StopSeen) is stops
    if isinstance(seen, StopSeen):
        assert seen.cause is StopCause.WATCH_LOST


def test_a_directory_that_comes_back_is_forgiven(watch: StopWatch, tmp_path: Path) -> None:
    """Blindness is counted without interruption."""
    (tmp_path / "run").rmdir()
    assert watch.look(50.0) == Quiet()
    (tmp_path / "run").mkdir()
    assert watch.look(50.9) == Quiet()
    (tmp_path / "run").rmdir()
    assert watch.look(51.5) == Quiet()
    assert watch.look(52.4) == Quiet()


def test_a_file_in_place_of_the_directory_is_blindness(watch: StopWatch, tmp_path: Path) -> None:
    """Where the parent is no directory, nobody can create a STOP: that is a lost channel."""
    (tmp_path / "run").rmdir()
    (tmp_path / "run").touch()
    assert watch.look(0.0) == Quiet()
    assert isinstance(watch.look(1.1), StopSeen)


def test_a_directory_is_not_looked_at_each_time_but_its_channel_is(watch: StopWatch, tmp_path: Path) -> None:
    """Between two looks at the directory a STOP that appears in it is seen all the same."""
    assert watch.look(50.0) == Quiet()
    (tmp_path / "run" / "STOP").touch()
    assert isinstance(watch.look(50.0 + PARENTS_EVERY_S / 2), StopSeen)
