"""Ending processes: the right ones, all of them, and nobody else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from baseline_metrics.host_files import RunMark, marked_processes, start_ticks
from baseline_metrics.load_page import LoadPage
from safety_monitoring.stopping import (
    NotTheProcess,
    ProcessHandle,
    end_marked,
    end_workers,
    load_of,
    open_handle,
    wait_gone,
)
from tests.support.guardian_rig import REPORT_S_MAX, Places, StandInWorker, runs

pytestmark = pytest.mark.process

SOON_S = 2.0
_FORKS = """
import os, time
ends = time.monotonic() + 20
while time.monotonic() < ends:
    if os.fork() == 0:
        os.setsid()
        time.sleep(20)
        os._exit(0)
    time.sleep(0.002)
"""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Directories of one stand-in campaign."""
    return Places(base=tmp_path, run_id=f"stopping-{tmp_path.name}-{os.getpid()}"[:90]).make()


@contextmanager
def sleeper(places: Places, role: str = "worker", code: str = "import time; time.sleep(20)") -> Iterator[int]:
    """A marked process in a session of its own."""
    command = [sys.executable, "-S", "-c", code]
    process = subprocess.Popen(command, env=places.environ(role), start_new_session=True)
    try:
        deadline_mono_s = time.monotonic() + REPORT_S_MAX
        while process.pid not in [found.pid for found in marked_processes(places.mark)]:
            assert time.monotonic() < deadline_mono_s
            time.sleep(0.002)
        yield process.pid
    finally:
        process.kill()
        process.wait(timeout=REPORT_S_MAX)


def held(pid: int) -> ProcessHandle:
    """A handle of a running process."""
    ticks = start_ticks(pid)
    assert isinstance(ticks, int)
    handle = open_handle(pid, ticks)
    assert isinstance(handle, ProcessHandle)
    return handle


def test_a_handle_is_only_given_for_the_process_that_was_meant(places: Places) -> None:
    """Another start time, no process, and pids that never are ours give no handle."""
    with sleeper(places) as pid:
        ticks = start_ticks(pid)
        assert isinstance(ticks, int)
        for wrong in (open_handle(pid, ticks + 1), open_handle(0, 0), open_handle(1, 0), open_handle(-1, 0)):
            assert isinstance(wrong, NotTheProcess)
        assert runs(pid)
    assert isinstance(open_handle(pid, ticks), NotTheProcess)


def test_a_handle_of_a_reaped_process_reaches_nobody(places: Places) -> None:
    """After its process is gone, a handle signals nobody, even if the pid came round again."""
    with sleeper(places) as pid:
        handle = held(pid)
    with handle:
        assert handle.is_gone()
        assert handle.send(signal.SIGKILL) is False
        handle.kill(with_group=True)
    handle.close()


def test_who_looks_at_its_page_leaves_by_itself(places: Places) -> None:
    """A worker that obeys its page is not killed."""
    worker = StandInWorker(places, 0)
    try:
        worker.page.grant(lease_until_mono_ns=time.monotonic_ns() + 60 * 10**9, share=1.0)
        worker.wait_for_load()
        with held(worker.process.pid) as handle:
            ended = end_workers((handle,), (worker.page,), run=places.mark, grace_s=SOON_S)
        assert (ended.killed, ended.strays, ended.survivors) == (0, 0, ())
        assert worker.wait() == 75
        assert worker.page.lease_until_mono_ns == 0
    finally:
        worker.close()


def test_who_does_not_leave_is_killed_with_its_group(places: Places) -> None:
    """After the grace the process and the group that it leads are killed."""
    code = (
        "import subprocess, sys, time; subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(20)']);"
    )
    with sleeper(places, code=f"{code} time.sleep(20)") as pid:
        deadline_mono_s = time.monotonic() + REPORT_S_MAX
        while len(load_of(places.mark)) < 2 and time.monotonic() < deadline_mono_s:
            time.sleep(0.002)
        with held(pid) as handle:
            ended = end_workers((handle,), (), run=places.mark)
        assert ended.killed == 1
        assert ended.survivors == ()
        assert 0.0 < ended.seconds < SOON_S
        assert load_of(places.mark) == ()


def test_roles_that_were_not_named_are_spared(places: Places) -> None:
    """A search for drill processes leaves workers and everybody else of the run alone, and other runs anyway."""
    other = Places(base=places.base / "other", run_id=f"{places.run_id}x").make()
    with sleeper(places, "worker") as worker, sleeper(places, "reporter") as reporter, sleeper(other) as stranger:
        assert end_marked(places.mark, roles=frozenset({"drill"})).killed == 0
        assert end_marked(places.mark).killed == 1
        assert not runs(worker)
        assert runs(reporter)
        assert runs(stranger)


def test_a_run_of_the_same_name_in_another_registry_is_spared(places: Places) -> None:
    """Two users may choose one name in one second: only the registry tells their processes apart."""
    twin = Places(base=places.base / "twin", run_id=places.run_id).make()
    with sleeper(places) as ours, sleeper(twin) as theirs:
        assert [found.pid for found in load_of(places.mark)] == [ours]
        assert end_marked(places.mark).killed == 1
        assert not runs(ours)
        assert runs(theirs)
        assert [found.pid for found in load_of(twin.mark)] == [theirs]


def test_a_registry_is_known_by_where_its_path_leads(places: Places) -> None:
    """A link to the state directory, as another environment may spell it, hides no process."""
    link = places.base / "link"
    link.symlink_to(places.state_dir)
    with sleeper(places) as pid:
        assert [found.pid for found in load_of(RunMark(run_id=places.run_id, state_dir=str(link)))] == [pid]


def test_a_process_that_keeps_forking_is_exhausted(places: Places) -> None:
    """Children that moved to sessions of their own while they were searched for are found in the next search."""
    with sleeper(places, code=_FORKS) as pid:
        time.sleep(0.1)
        with held(pid) as handle:
            ended = end_workers((handle,), (), run=places.mark)
        assert ended.survivors == ()
        assert ended.strays > 0
        assert load_of(places.mark) == ()


def test_ending_is_bounded(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be killed in time is named, with its state, and the ending returns."""
    with sleeper(places) as pid, held(pid) as handle:
        monkeypatch.setattr("safety_monitoring.stopping.signal.pidfd_send_signal", lambda *_: None)
        monkeypatch.setattr("safety_monitoring.stopping.os.killpg", lambda *_: None)
        began_mono_s = time.monotonic()
        ended = end_workers((handle,), (), run=places.mark, deadline_s=0.3)
        assert time.monotonic() - began_mono_s < SOON_S
        (survivor,) = ended.survivors
        assert survivor.pid == pid
        assert survivor.text().endswith("in state S")


def test_nobody_to_end_is_no_work(places: Places) -> None:
    """Without processes the ending answers at once."""
    page = LoadPage(str(places.base / "page"), create=True)
    page.grant(lease_until_mono_ns=1 << 62, share=1.0)
    ended = end_workers((), (page,), run=places.mark)
    assert (ended.killed, ended.strays, ended.survivors) == (0, 0, ())
    assert (page.share, page.lease_until_mono_ns) == (0.0, 0)
    page.close()


def test_waiting_ends_with_the_last_one_or_with_the_time(places: Places) -> None:
    """Those that ended are told apart from those that did not."""
    with sleeper(places) as one, sleeper(places, "drill") as two, held(one) as first, held(two) as second:
        assert wait_gone((first, second), timeout_s=0.01) == ()
        first.kill(with_group=False)
        assert wait_gone((first, second), timeout_s=0.3) == (first,)
        second.kill(with_group=False)
        assert wait_gone((first, second), timeout_s=REPORT_S_MAX) == (first, second)
