"""The quiet check: what carries the run's mark is found and named, and what does not is none of ours."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from baseline_metrics.clock import FakeClock
from baseline_metrics.host_files import marked_processes
from campaign.quiet import BETWEEN_S, LOOKS, LOOKS_MAX, quiet_check

HANG_S = 20.0


@contextmanager
def marked_child(run_id: str) -> Iterator[int]:
    """A process that carries a run's mark and sleeps."""
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"],
        env={**os.environ, "DAYBREAK_RUN_ID": run_id},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"up\n"
        yield child.pid
    finally:
        child.kill()
        child.wait(HANG_S)
        child.stdout.close()


@pytest.fixture
def run_id() -> str:
    """A run that nobody else has."""
    return f"test-{uuid.uuid4().hex}"


def nothing() -> None:
    """Nothing to do between two looks."""


def test_a_quiet_run_is_looked_at_twice(run_id: str, tmp_path: Path) -> None:
    """A process may be born between two looks: one is not enough, and a third is not needed."""
    clock = FakeClock()
    fact = quiet_check(run_id, ours=(), pages=tmp_path / "none", clock=clock, pump=nothing)
    assert fact.processes_left == ()
    assert fact.seconds == pytest.approx((LOOKS - 1) * BETWEEN_S)
    assert "0 left" in fact.checks[0]


@pytest.mark.process
def test_a_process_that_stays_is_named_after_all_looks(run_id: str, tmp_path: Path) -> None:
    """Bounded looks, a pump between them, and the process id in the fact."""
    pumped: list[int] = []
    clock = FakeClock()
    with marked_child(run_id) as pid:
        fact = quiet_check(run_id, ours=(), pages=tmp_path, clock=clock, pump=lambda: pumped.append(1))
        assert fact.processes_left == (pid,)
        assert "1 left" in fact.checks[0]
    assert len(pumped) == LOOKS_MAX
    assert fact.seconds == pytest.approx(LOOKS_MAX * BETWEEN_S)


@pytest.mark.process
def test_supervisor_and_guardian_themselves_are_not_left_over(run_id: str, tmp_path: Path) -> None:
    """Who asks is still there, of course."""
    with marked_child(run_id) as pid:
        fact = quiet_check(run_id, ours=(pid,), pages=tmp_path, clock=FakeClock(), pump=nothing)
    assert fact.processes_left == ()


@pytest.mark.process
def test_another_runs_process_is_none_of_ours(run_id: str, tmp_path: Path) -> None:
    """Only this run's mark counts."""
    with marked_child(f"{run_id}-other") as pid:
        fact = quiet_check(run_id, ours=(), pages=tmp_path, clock=FakeClock(), pump=nothing)
        assert [found.pid for found in marked_processes(f"{run_id}-other")] == [pid]
    assert fact.processes_left == ()


@pytest.mark.process
def test_a_process_that_goes_meanwhile_is_not_left(run_id: str, tmp_path: Path) -> None:
    """A killed process may take a moment to disappear: the looks go on until it has."""
    ended = subprocess.Popen(
        [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"],
        env={**os.environ, "DAYBREAK_RUN_ID": run_id},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert ended.stdout is not None
    assert ended.stdout.readline() == b"up\n"

    def let_go() -> None:
        if ended.returncode is None:
            ended.communicate(timeout=HANG_S)

    fact = quiet_check(run_id, ours=(), pages=tmp_path, clock=FakeClock(), pump=let_go)
    assert fact.processes_left == ()
    assert fact.seconds > BETWEEN_S


def test_pages_that_are_left_are_counted(run_id: str, tmp_path: Path) -> None:
    """Load pages of workers that were not removed."""
    (tmp_path / "worker-1.page").write_bytes(b"")
    (tmp_path / "other.txt").write_bytes(b"")
    fact = quiet_check(run_id, ours=(), pages=tmp_path, clock=FakeClock(), pump=nothing)
    assert "load pages of workers: 1 left" in fact.checks
