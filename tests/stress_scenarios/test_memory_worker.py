"""The memory worker as a real process: memory that is really there, and really gone, whatever ends the load."""

import signal
import time
from pathlib import Path

import pytest

from baseline_metrics.host_files import ProcessStat, process_stat
from stress_scenarios.load_plan import EngineName
from stress_scenarios.loads.memory_order import MemoryOrder
from stress_scenarios.messages import Go, Hold, MemoryDrained, MemoryWindow, Prepare, Prepared, PrepareMemory
from stress_scenarios.process_start import EXIT_LEFT, EXIT_OUR_FAULT, EXIT_PERMISSION_GONE
from stress_scenarios.solo_worker import SoloWorker, SoloWorkerError
from tests.stress_scenarios.orders import an_order
from tests.stress_scenarios.worker_rig import HANG_S, LEAD_S, ready, until

pytestmark = pytest.mark.process

MIB = 1 << 20
SIZE = 64 * MIB
SLACK = 6 * MIB


def order(*, lasts_s: float = 60.0, per_s: float = 400.0 * MIB) -> MemoryOrder:
    """64 MiB, which are there within a fifth of a second."""
    return MemoryOrder(segment=5, size_bytes=SIZE, rise_bytes_per_s=per_s, lasts_s=lasts_s)


def begin(worker: SoloWorker, asked: MemoryOrder) -> int:
    """Prepare and go; returns the resident set before, bytes."""
    assert ready(worker).engine is EngineName.MEMORY
    worker.send(PrepareMemory(order=asked))
    assert worker.next_report(HANG_S) == Prepared(worker=0, segment=5)
    before = rss(worker)
    worker.send(Go(segment=5, start_mono_s=time.monotonic() + LEAD_S))
    return before


def rss(worker: SoloWorker) -> int:
    """The worker's resident set by the kernel, seen from outside."""
    stat = process_stat(worker.process.pid)
    assert isinstance(stat, ProcessStat)
    return stat.rss_bytes


def grown(worker: SoloWorker, before: int) -> int:
    """By how much the worker is larger than before."""
    return rss(worker) - before


def test_memory_is_resident_and_falls_with_the_share(tmp_path: Path) -> None:
    """64 MiB stand in the process's resident set, half of it at half the share, nothing at none, and the process lives."""
    with SoloWorker(tmp_path, engine=EngineName.MEMORY) as worker:
        before = begin(worker, order())
        until(lambda: worker.page.memory.held_bytes == SIZE, "the memory never came")
        until(lambda: abs(grown(worker, before) - SIZE) < SLACK, "the memory is not resident")
        worker.set_share(0.5)
        until(lambda: abs(grown(worker, before) - SIZE // 2) < SLACK, "half a share did not halve it")
        worker.set_share(0.0)
        until(lambda: grown(worker, before) < SLACK, "a share of 0 left memory behind")
        until(lambda: worker.page.memory.held_bytes == 0, "a share of 0 left memory in the account")
        assert worker.page.memory.peak_bytes == SIZE
        worker.set_share(1.0)
        until(lambda: abs(grown(worker, before) - SIZE) < SLACK, "the memory never came back")
        assert worker.process.poll() is None
    assert worker.process.returncode == EXIT_LEFT


def test_a_load_ends_by_its_own_clock_and_tells_what_it_held(tmp_path: Path) -> None:
    """Windows each second, byte-seconds as asked, and a resident set as before."""
    with SoloWorker(tmp_path, engine=EngineName.MEMORY) as worker:
        before = begin(worker, order(lasts_s=1.5))
        first, last, drained = (worker.next_report(HANG_S) for _ in range(3))
        assert isinstance(first, MemoryWindow)
        assert isinstance(last, MemoryWindow)
        assert isinstance(drained, MemoryDrained)
        assert (first.held_bytes, first.achieved_bytes, last.held_bytes) == (SIZE, SIZE, SIZE)
        assert drained.peak_bytes == SIZE
        assert drained.asked_byte_s == pytest.approx(1.42 * SIZE, rel=0.05)
        assert 0.9 * drained.asked_byte_s < drained.achieved_byte_s <= drained.asked_byte_s
        assert drained.resident_bytes_left < SLACK
        assert grown(worker, before) < SLACK


def test_a_lease_that_is_not_renewed_ends_the_process_and_its_memory(tmp_path: Path) -> None:
    """Nobody permits: the process is gone, the page still says what it had held."""
    with SoloWorker(tmp_path, engine=EngineName.MEMORY) as worker:
        begin(worker, order())
        until(lambda: worker.page.memory.held_bytes == SIZE, "the memory never came")
        worker.stop_renewing()
        assert worker.process.wait(HANG_S) == EXIT_PERMISSION_GONE
        assert worker.page.memory.peak_bytes == SIZE


def test_after_sigkill_the_account_stands_in_the_page(tmp_path: Path) -> None:
    """What was asked and achieved until then is exact without any word of the worker."""
    with SoloWorker(tmp_path, engine=EngineName.MEMORY) as worker:
        begin(worker, order())
        until(lambda: worker.page.memory.achieved_byte_s > 0.3 * SIZE, "the account never moved")
        worker.process.send_signal(signal.SIGKILL)
        assert worker.process.wait(HANG_S) == -signal.SIGKILL
        counts = worker.page.memory
        assert counts.peak_bytes == SIZE
        assert 0.3 * SIZE < counts.achieved_byte_s <= counts.asked_byte_s


def test_it_is_the_kernels_first_victim_and_loads_no_engine(tmp_path: Path) -> None:
    """The highest OOM score, and neither asyncio nor uvloop nor httpx mapped into the process."""
    with SoloWorker(tmp_path, engine=EngineName.MEMORY) as worker:
        ready(worker)
        process = Path(f"/proc/{worker.process.pid}")
        assert (process / "oom_score_adj").read_text().strip() == "1000"
        maps = (process / "maps").read_text()
        assert not [name for name in ("uvloop", "httptools", "_asyncio", "_ssl") if name in maps]


def test_a_request_load_is_refused_by_a_memory_worker(tmp_path: Path) -> None:
    """It ends with our own fault, and says so; a pause of a load that does not run likewise."""
    for sent in (Prepare(order=an_order(port=1)), Hold(segment=1)):
        directory = tmp_path / type(sent).__name__
        directory.mkdir()
        with SoloWorker(directory, engine=EngineName.MEMORY) as worker:
            ready(worker)
            worker.send(sent)
            with pytest.raises(SoloWorkerError, match="gave up"):
                worker.next_report(HANG_S)
            assert worker.process.wait(HANG_S) == EXIT_OUR_FAULT
