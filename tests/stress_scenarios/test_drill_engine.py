"""The drill: a real load on one core, bounded, ended by every path."""

import os
import signal
import time
from pathlib import Path

import pytest

from baseline_metrics.host_files import MARK_ROLE, MARK_RUN_ID, ProcessStat, RunMark, process_stat
from safety_monitoring.stopping import end_marked, load_of
from stress_scenarios.engines.drill_engine import MEMORY_BYTES
from stress_scenarios.load_plan import EngineName
from stress_scenarios.messages import Leave, WorkerReady
from stress_scenarios.process_start import EXIT_LEFT, EXIT_PERMISSION_GONE
from stress_scenarios.solo_worker import SoloWorker

pytestmark = pytest.mark.process

HANG_S = 30.0
RUN_ID = f"drill-engine-{os.getpid()}"
MARK = RunMark(run_id=RUN_ID, state_dir="")


def drill(directory: Path, *options: str) -> SoloWorker:
    """Start a drill worker."""
    return SoloWorker(directory, engine=EngineName.DRILL, options=options)


def see_load(worker: SoloWorker) -> None:
    """Wait until its load turns."""
    assert isinstance(worker.next_report(HANG_S), WorkerReady)
    began_s = time.monotonic()
    while worker.page.operations_due < 5:
        assert time.monotonic() - began_s < HANG_S
        time.sleep(0.005)


def cpu_s(pid: int) -> float:
    """Processor time that a process has used."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    fields = stat[stat.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_drill_is_a_real_and_bounded_load(tmp_path: Path) -> None:
    """It uses about three tenths of one core and holds its memory."""
    with drill(tmp_path) as worker:
        see_load(worker)
        before_s, began_s = cpu_s(worker.process.pid), time.monotonic()
        time.sleep(1.0)
        share = (cpu_s(worker.process.pid) - before_s) / (time.monotonic() - began_s)
        resident = int(Path(f"/proc/{worker.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        assert 0.05 < share < 0.5
        assert resident > MEMORY_BYTES
        assert len(os.sched_getaffinity(worker.process.pid)) == 1


def test_a_drill_pauses_at_share_zero(tmp_path: Path) -> None:
    """Its load stands still, its heartbeat does not."""
    with drill(tmp_path) as worker:
        see_load(worker)
        worker.set_share(0.0)
        time.sleep(0.1)
        turned, beat = worker.page.operations_due, worker.page.heartbeat_mono_ns
        time.sleep(0.2)
        assert worker.page.operations_due == turned
        assert worker.page.heartbeat_mono_ns > beat


def test_a_revoked_drill_ends_at_once(tmp_path: Path) -> None:
    """The same watch as over any load."""
    with drill(tmp_path) as worker:
        see_load(worker)
        began_s = time.monotonic()
        worker.revoke()
        assert worker.process.wait(HANG_S) == EXIT_PERMISSION_GONE
        assert time.monotonic() - began_s < 0.5


def test_a_drill_that_nobody_renews_ends(tmp_path: Path) -> None:
    """As if the guardian were dead."""
    with drill(tmp_path) as worker:
        see_load(worker)
        worker.stop_renewing()
        assert worker.process.wait(HANG_S) == EXIT_PERMISSION_GONE


def test_a_drill_leaves_when_told(tmp_path: Path) -> None:
    """Exit code 0."""
    with drill(tmp_path) as worker:
        see_load(worker)
        worker.send(Leave())
        assert worker.process.wait(HANG_S) == EXIT_LEFT


def test_a_deaf_drill_hears_neither_sigterm_nor_its_lease(tmp_path: Path) -> None:
    """So a stop can be rehearsed against a process that listens to nothing: only SIGKILL ends it."""
    with drill(tmp_path, "--drill-fault", "deaf") as worker:
        see_load(worker)
        worker.process.terminate()
        worker.revoke()
        time.sleep(0.2)
        assert worker.process.poll() is None
        done = worker.page.operations_due
        time.sleep(0.2)
        assert worker.page.operations_due > done
        worker.process.kill()
        assert worker.process.wait(HANG_S) == -signal.SIGKILL


def test_an_escaping_drill_leaves_a_grandchild_that_only_its_mark_betrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another session, another parent, no pipe of ours; it outlives the drill worker and is found by the run's mark."""
    monkeypatch.setenv(MARK_RUN_ID, RUN_ID)
    monkeypatch.setenv(MARK_ROLE, "drill")
    with drill(tmp_path, "--drill-fault", "escape") as worker:
        see_load(worker)
        (escaped,) = [found for found in load_of(MARK) if found.pid != worker.process.pid]
        stat = process_stat(escaped.pid)
        assert isinstance(stat, ProcessStat)
        assert stat.parent_pid != worker.process.pid
        assert os.getsid(escaped.pid) != os.getsid(worker.process.pid)
        worker.revoke()
        assert worker.process.wait(HANG_S) == EXIT_PERMISSION_GONE
        assert [found.pid for found in load_of(MARK)] == [escaped.pid]
        ended = end_marked(MARK)
        assert (ended.strays, ended.survivors) == (1, ())


def test_an_ordinary_drill_heeds_sigterm(tmp_path: Path) -> None:
    """The default action."""
    with drill(tmp_path) as worker:
        see_load(worker)
        worker.process.terminate()
        assert worker.process.wait(HANG_S) == -signal.SIGTERM
