"""The quiet check: what carries the run's mark is found and named, and what does not is none of ours."""

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from baseline_metrics.clock import FakeClock
from baseline_metrics.host_files import RunMark, marked_processes
from campaign.leftovers import check_serial_locks, check_shared_memory, check_sockets
from campaign.quiet import BETWEEN_S, LOOKS, LOOKS_MAX, QuietPlaces, quiet_check
from monitoring_logs.records import QuietFact, QuietState

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


def mark_of(run_id: str, state_dir: str = "") -> RunMark:
    """A run's mark, of any registry if none is named."""
    return RunMark(run_id=run_id, state_dir=state_dir)


@pytest.fixture
def run_id() -> str:
    """A run that nobody else has."""
    return f"test-{uuid.uuid4().hex}"


def places(directory: Path) -> QuietPlaces:
    """A campaign whose own directories lie there, and that loaded nobody."""
    (directory / "state").mkdir(exist_ok=True)
    (directory / "run").mkdir(exist_ok=True)
    return QuietPlaces(
        state_dir=directory / "state", run_dir=directory / "run", target_address="127.0.0.1", target_port=1
    )


def states(fact: QuietFact) -> dict[str, QuietState]:
    """The certificate by name."""
    return {check.name: check.state for check in fact.certificate}


def nothing() -> None:
    """Nothing to do between two looks."""


def test_a_quiet_run_is_looked_at_twice(run_id: str, tmp_path: Path) -> None:
    """A process may be born between two looks: one is not enough, and a third is not needed."""
    clock = FakeClock()
    fact = quiet_check(mark_of(run_id), ours=(), places=places(tmp_path), clock=clock, pump=nothing)
    assert fact.processes_left == ()
    assert fact.seconds == pytest.approx((LOOKS - 1) * BETWEEN_S)
    assert "none left" in fact.checks[0]


@pytest.mark.process
def test_a_process_that_stays_is_named_after_all_looks(run_id: str, tmp_path: Path) -> None:
    """Bounded looks, a pump between them, and the process id in the fact."""
    pumped: list[int] = []
    clock = FakeClock()
    with marked_child(run_id) as pid:
        fact = quiet_check(
            mark_of(run_id), ours=(), places=places(tmp_path), clock=clock, pump=lambda: pumped.append(1)
        )
        assert fact.processes_left == (pid,)
        assert "1 left" in fact.checks[0]
    assert len(pumped) == LOOKS_MAX
    assert fact.seconds == pytest.approx(LOOKS_MAX * BETWEEN_S)


@pytest.mark.process
def test_supervisor_and_guardian_themselves_are_not_left_over(run_id: str, tmp_path: Path) -> None:
    """Who asks is still there, of course."""
    with marked_child(run_id) as pid:
        fact = quiet_check(mark_of(run_id), ours=(pid,), places=places(tmp_path), clock=FakeClock(), pump=nothing)
    assert fact.processes_left == ()


@pytest.mark.process
def test_another_runs_process_is_none_of_ours(run_id: str, tmp_path: Path) -> None:
    """Only this run's mark counts."""
    with marked_child(f"{run_id}-other") as pid:
        fact = quiet_check(mark_of(run_id), ours=(), places=places(tmp_path), clock=FakeClock(), pump=nothing)
        assert [found.pid for found in marked_processes(mark_of(f"{run_id}-other"))] == [pid]
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

    fact = quiet_check(mark_of(run_id), ours=(), places=places(tmp_path), clock=FakeClock(), pump=let_go)
    assert fact.processes_left == ()
    assert fact.seconds > BETWEEN_S


def test_files_that_are_left_are_named(run_id: str, tmp_path: Path) -> None:
    """Load pages of workers that were not removed, and files that somebody was still writing."""
    (tmp_path / "state/pages").mkdir(parents=True)
    (tmp_path / "state/pages/worker-1.page").write_bytes(b"")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/meta.json.new").write_bytes(b"")
    (tmp_path / "run/meta.json").write_bytes(b"")
    fact = quiet_check(mark_of(run_id), ours=(), places=places(tmp_path), clock=FakeClock(), pump=nothing)
    (files,) = [check for check in fact.certificate if check.state is QuietState.LEFT]
    assert files.detail == "2 left: worker-1.page, meta.json.new"
    assert "load pages and temporary files: 2 left: worker-1.page, meta.json.new" in fact.checks


def test_what_cannot_be_looked_at_is_unknown(run_id: str, tmp_path: Path) -> None:
    """A file where a directory should be: not "clean"."""
    made = places(tmp_path)
    (tmp_path / "state/pages").write_bytes(b"")
    fact = quiet_check(mark_of(run_id), ours=(), places=made, clock=FakeClock(), pump=nothing)
    assert states(fact)["load pages and temporary files"] is QuietState.UNKNOWN


def test_a_clean_end_says_what_was_looked_for(run_id: str, tmp_path: Path) -> None:
    """Five lines, all clean."""
    fact = quiet_check(mark_of(run_id), ours=(os.getpid(),), places=places(tmp_path), clock=FakeClock(), pump=nothing)
    assert len(fact.certificate) == 5
    assert set(states(fact).values()) == {QuietState.CLEAN}


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_connection_to_the_target_that_is_still_open_is_named(family: socket.AddressFamily) -> None:
    """By its owner and its other end; a connection of somebody else, or to somewhere else, is none of ours."""
    address = "127.0.0.1" if family is socket.AF_INET else "::1"
    with socket.create_server((address, 0), family=family) as server:
        port = server.getsockname()[1]
        with socket.create_connection((address, port)) as client:
            local = client.getsockname()[1]
            found = check_sockets((os.getpid(),), address=address, port=port)
            assert (found.state, found.detail) == (QuietState.LEFT, f"1 left: {address}:{port} from local port {local}")
            assert check_sockets((1,), address=address, port=port).state is not QuietState.LEFT
            assert check_sockets((os.getpid(),), address="127.0.0.9", port=port).state is QuietState.CLEAN
        assert check_sockets((os.getpid(),), address=address, port=port).state is QuietState.CLEAN


def test_shared_memory_of_the_run_is_named(run_id: str, tmp_path: Path) -> None:
    """By the run's name within its own."""
    (tmp_path / f"sem.{run_id}").write_bytes(b"")
    (tmp_path / "sem.other").write_bytes(b"")
    assert check_shared_memory(run_id, directory=tmp_path).detail == f"1 left: sem.{run_id}"
    assert check_shared_memory(run_id, directory=tmp_path / "none").state is QuietState.CLEAN


def test_a_serial_lock_of_ours_is_named(tmp_path: Path) -> None:
    """By the process that stands in it; somebody else's line is left alone."""
    (tmp_path / "LCK..ttyUSB0").write_text(f"{os.getpid():>10}\n", encoding="ascii")
    (tmp_path / "LCK..ttyUSB1").write_text("         1\n", encoding="ascii")
    (tmp_path / "LCK..ttyUSB2").write_bytes(b"\0\1")
    assert check_serial_locks((os.getpid(),), directories=(tmp_path,)).detail == "1 left: LCK..ttyUSB0"
