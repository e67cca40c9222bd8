"""The page that a worker, the guardian and the supervisor share."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from baseline_metrics.load_page import OPERATIONS_MAX, PAGE_BYTES, LoadPage, LoadPageError, OperationCounts

ROOT = Path(__file__).resolve().parents[2]

WORKER = """
import os, signal, sys
from baseline_metrics.load_page import LoadPage
page = LoadPage(sys.argv[1])
assert page.share == 0.25 and page.lease_until_mono_ns == 123
for _ in range(1000):
    page.count_started(63)
for _ in range(700):
    page.count_succeeded(63, bytes_received=10)
for _ in range(200):
    page.count_failed(63, bytes_received=1)
for _ in range(30):
    page.count_dropped()
page.beat(heartbeat_mono_ns=5, connections_open=3, connections_opened=4, operations_due=1001)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where a page may be made."""
    return str(tmp_path / "worker-0.page")


def test_a_fresh_page_permits_nothing_and_counts_nothing(path: str) -> None:
    """No lease, no share, no heartbeat, all counters 0; readable by its owner only."""
    page = LoadPage(path, create=True)

    assert (page.lease_until_mono_ns, page.share, page.heartbeat_mono_ns) == (0, 0.0, 0)
    assert (page.connections_open, page.connections_opened, page.operations_due) == (0, 0, 0)
    assert page.operations_dropped == 0
    assert page.operation(OPERATIONS_MAX - 1) == OperationCounts(started=0, succeeded=0, failed=0, bytes_received=0)
    assert Path(path).stat().st_mode & 0o777 == 0o600
    page.close()


def test_two_mappings_of_a_page_see_each_other(path: str) -> None:
    """What the guardian grants and revokes, the worker sees at once, and the other way round for counters."""
    worker = LoadPage(path, create=True)
    guardian = LoadPage(path)

    guardian.grant(lease_until_mono_ns=1 << 62, share=0.5)
    assert (worker.lease_until_mono_ns, worker.share) == (1 << 62, 0.5)
    guardian.revoke()
    assert (worker.lease_until_mono_ns, worker.share) == (0, 0.0)

    worker.count_started(0)
    worker.count_started(0)
    worker.count_succeeded(0, bytes_received=100)
    worker.count_failed(0, bytes_received=7)
    worker.count_dropped()
    worker.count_dropped(5)
    worker.beat(heartbeat_mono_ns=9, connections_open=1, connections_opened=2, operations_due=3)
    assert guardian.operation(0) == OperationCounts(started=2, succeeded=1, failed=1, bytes_received=107)
    assert guardian.operation(1) == OperationCounts(started=0, succeeded=0, failed=0, bytes_received=0)
    assert guardian.heartbeat_mono_ns == 9
    for wanted in (False, True, False):
        worker.want_load(wanted=wanted)
        assert guardian.wants_load is wanted
    assert guardian.operations_dropped == 6
    assert (guardian.connections_open, guardian.connections_opened, guardian.operations_due) == (1, 2, 3)
    worker.close()
    guardian.close()


@pytest.mark.parametrize("share", [-0.01, 1.01])
def test_a_share_outside_zero_to_one_is_our_mistake(path: str, share: float) -> None:
    """The guardian cannot permit more than all or less than nothing; both ends are fine."""
    page = LoadPage(path, create=True)
    page.grant(lease_until_mono_ns=1, share=0.0)
    page.grant(lease_until_mono_ns=1, share=1.0)
    with pytest.raises(AssertionError):
        page.grant(lease_until_mono_ns=1, share=share)
    page.close()


@pytest.mark.parametrize("size", [0, PAGE_BYTES - 1, PAGE_BYTES + 1])
def test_a_file_of_another_size_is_refused(path: str, size: int) -> None:
    """A page cut short, or grown, is not mapped: touching it could kill the process."""
    Path(path).write_bytes(b"\0" * size)
    with pytest.raises(LoadPageError, match="wrong size"):
        LoadPage(path)


def test_a_file_with_another_magic_is_refused(path: str) -> None:
    """The right size alone does not make a page."""
    Path(path).write_bytes(b"\0" * PAGE_BYTES)
    with pytest.raises(LoadPageError, match="wrong magic"):
        LoadPage(path)


def test_a_page_is_created_once_and_never_through_a_link(path: str, tmp_path: Path) -> None:
    """An existing file is not overwritten, a symbolic link not followed, a missing page not invented."""
    LoadPage(path, create=True).close()
    with pytest.raises(FileExistsError):
        LoadPage(path, create=True)
    link = tmp_path / "link.page"
    link.symlink_to(path)
    with pytest.raises(OSError, match="symbolic"):
        LoadPage(str(link))
    with pytest.raises(FileNotFoundError):
        LoadPage(str(tmp_path / "missing.page"))


def test_no_descriptor_is_left_open(path: str) -> None:
    """Creating, refusing and closing pages leaves as many descriptors as there were."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        LoadPage(path, create=True).close()
        Path(path).unlink()
        Path(path).write_bytes(b"\0" * PAGE_BYTES)
        with pytest.raises(LoadPageError):
            LoadPage(path)
        Path(path).unlink()

    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.process
def test_counts_of_a_killed_worker_are_exact(path: str) -> None:
    """Another process counts and is killed without warning: every count is there."""
    page = LoadPage(path, create=True)
    page.grant(lease_until_mono_ns=123, share=0.25)

    ended = subprocess.run(
        [sys.executable, "-c", WORKER, path], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert page.operation(63) == OperationCounts(started=1000, succeeded=700, failed=200, bytes_received=7200)
    assert (page.connections_open, page.connections_opened, page.operations_due) == (3, 4, 1001)
    assert page.operations_dropped == 30
    assert page.heartbeat_mono_ns == 5
    page.close()
