"""The ways in which the measuring program ends a load, each done once: real guardian, sixteen real load processes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.stop_page import CAMPAIGN_PATHS, Gone, StopPath
from benchmarks.stop_ways import NoSmallDiskError, fill, repetition, small_disk
from stress_scenarios.demo_process import DemoProcess, start_demo_service

pytestmark = pytest.mark.process

RIG_PATHS = tuple(path for path in StopPath if path not in CAMPAIGN_PATHS)


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoProcess]:
    """The target."""
    process = start_demo_service(parent_pid=os.getpid())
    yield process
    process.stop()


@pytest.mark.parametrize("path", RIG_PATHS)
def test_each_way_ends_the_load_and_leaves_nothing(path: StopPath, demo: DemoProcess, tmp_path: Path) -> None:
    """The load is held, then ended in this way, timed, and no process of it is left."""
    try:
        ended = repetition(1, path, base=tmp_path, target_url=demo.url)
    except NoSmallDiskError as error:
        pytest.skip(f"kernel: {error}")
    assert isinstance(ended.load, Gone), ended
    assert ended.faults == ()


def test_a_filled_disk_takes_not_one_byte_more(tmp_path: Path) -> None:
    """After filling, a write fails for want of space; so the full disk that is measured on is one."""
    try:
        with small_disk(tmp_path / "disk") as disk:
            fill(disk)
            with pytest.raises(OSError, match="No space left"):
                (disk / "another").write_bytes(b"x")
    except NoSmallDiskError as error:
        pytest.skip(f"kernel: {error}")
