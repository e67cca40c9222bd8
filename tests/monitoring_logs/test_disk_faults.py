"""A disk that refuses writes and syncs, at every point of a recording, once and forever; and one that stands still.

The whole of every combination takes minutes (see nth_failure); here the syncs are gone through one by one, and of the
writes a part that differs from run to run.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from monitoring_logs.reader import RunReader
from tests.support.failing_disk import build

HANG_S = 120.0
REPOSITORY = Path(__file__).parents[2]
STRIDE = 17
"""Of the some 300 writes of a recording, every seventeenth fails here."""

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The failing disk, built."""
    return build(tmp_path_factory.mktemp("failing_disk"))


def run_with(library: Path, module: str, *arguments: str) -> str:
    """What a program prints into which the failing disk was preloaded. It ends with an error at a broken promise."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "LD_PRELOAD": str(library)},
        timeout=HANG_S,
    ).stdout


@pytest.mark.parametrize(
    ("what", "until", "error"),
    [
        ("database", "once", "EIO"),
        ("database", "forever", "EIO"),
        ("resumed", "once", "EIO"),
        ("record", "forever", "EIO"),
        ("journal", "once", "EIO"),
    ],
)
def test_every_sync_may_fail(tmp_path: Path, library: Path, what: str, until: str, error: str) -> None:
    """What was acknowledged is there once and in order, the file is not written any more, and the database is sound."""
    answer = run_with(library, "tests.support.nth_failure", str(tmp_path), what, "sync", until, error)
    assert answer.endswith(" rounds, complete\n")
    assert int(answer.split()[0]) > (5 if what == "journal" else 20)


@pytest.mark.parametrize(
    ("what", "until", "error"),
    [("database", "once", "EIO"), ("resumed", "forever", "ENOSPC"), ("record", "forever", "EIO")],
)
def test_every_write_may_fail(tmp_path: Path, library: Path, what: str, until: str, error: str) -> None:
    """The same for writes, begun at another one in each run."""
    first = random.SystemRandom().randrange(1, STRIDE + 1)
    print(f"first {first}")
    steps = ("--first", str(first), "--stride", str(STRIDE))
    answer = run_with(library, "tests.support.nth_failure", str(tmp_path), what, "write", until, error, *steps)
    assert answer.endswith(" rounds, complete\n")
    assert int(answer.split()[0]) > 10


def test_every_write_of_the_journal_may_fail(tmp_path: Path, library: Path) -> None:
    """All of them, forever, for want of room: the fallback on another disk takes over."""
    answer = run_with(library, "tests.support.nth_failure", str(tmp_path), "journal", "write", "forever", "ENOSPC")
    assert answer.endswith(" rounds, complete\n")


def test_a_sync_that_stands_still_is_absorbed_and_measured(tmp_path: Path, library: Path) -> None:
    """For two seconds records wait in the queue; nothing is spilled or lost, and the latency is a figure of the record."""
    run_dir = tmp_path / "run"
    answer = run_with(library, "tests.support.stalled_sync", str(run_dir), "2.0", "300").split()
    records, queued, early, acknowledged, spilled, lost, longest_s = answer
    assert int(queued) >= 300
    assert (early, acknowledged, spilled, lost) == ("False", "True", "0", "0")
    assert float(longest_s) >= 2.0
    reader = RunReader(run_dir)
    events = [event.text for event in reader.events() if event.kind == "machine"]
    assert events == [f"event {number}" for number in range(int(records))]
    assert reader.record_holes() == ()
    reader.close()
