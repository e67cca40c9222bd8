"""A real guardian with real stand-in workers, led by the test or by a stand-in supervisor."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from baseline_metrics.codec import to_json_value
from baseline_metrics.host_files import ProcessGone, RunMark, process_stat, start_ticks
from baseline_metrics.load_page import LoadPage
from safety_monitoring.limits import Limits
from safety_monitoring.messages import (
    ORDERS,
    REPORTS,
    Conclude,
    GuardianOrder,
    GuardianReady,
    Heartbeat,
    Order,
    WatchWorker,
    WorkerWatched,
)

ROOT = Path(__file__).parents[2]
REPORT_S_MAX = 20.0
"""A hang limit, not an expectation: a busy machine may be slow."""

HEARTBEAT_S = 0.1

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where everything of one stand-in campaign lies."""

    base: Path
    run_id: str

    @property
    def runs_dir(self) -> Path:
        """The runs directory."""
        return self.base / "runs"

    @property
    def run_dir(self) -> Path:
        """The run's directory."""
        return self.runs_dir / self.run_id

    @property
    def state_dir(self) -> Path:
        """The registry."""
        return self.base / "state"

    @property
    def mark(self) -> RunMark:
        """What its processes carry."""
        return RunMark(run_id=self.run_id, state_dir=str(self.state_dir))

    @property
    def permit(self) -> Path:
        """The campaign's PERMIT."""
        return self.state_dir / "campaigns" / self.run_id / "PERMIT"

    @property
    def reported(self) -> Path:
        """What the stand-in reporter writes."""
        return self.base / "reported"

    @property
    def journal(self) -> Path:
        """The guardian's journal."""
        return self.run_dir / "guardian.jsonl"

    def make(self) -> Self:
        """Create the directories and the PERMIT."""
        self.run_dir.mkdir(parents=True)
        self.permit.parent.mkdir(parents=True)
        self.permit.touch()
        return self

    def environ(self, role: str) -> dict[str, str]:
        """The environment that a spawner gives a process of this campaign."""
        return {
            **os.environ,
            "DAYBREAK_RUN_ID": self.run_id,
            "DAYBREAK_RUNS_DIR": str(self.runs_dir),
            "DAYBREAK_ROLE": role,
            "DAYBREAK_STATE_DIR": str(self.state_dir),
        }

    def order(
        self, *, limits: Limits | None = None, heartbeat_s_max: float = 60.0, supervisor_start_ticks: int | None = None
    ) -> GuardianOrder:
        """The order of a guardian whose supervisor is this very process. Without limits none are enforced."""
        own_ticks = start_ticks(os.getpid())
        assert isinstance(own_ticks, int)
        return GuardianOrder(
            run_id=self.run_id,
            run_dir=str(self.run_dir),
            stop_paths=(str(self.run_dir / "STOP"), str(self.runs_dir / "STOP")),
            permit_path=str(self.permit),
            journal_path=str(self.journal),
            disk_paths=(str(self.run_dir),),
            limits=limits or Limits(limits=(), unknown_s_max=30.0),
            supervisor_pid=os.getpid(),
            supervisor_start_ticks=supervisor_start_ticks or own_ticks,
            heartbeat_s_max=heartbeat_s_max,
            report_argv=(sys.executable, "-c", f"open({str(self.reported)!r}, 'w').write('done')"),
        )

    def start_guardian(self, order: GuardianOrder) -> subprocess.Popen[bytes]:
        """Start a guardian with pipes."""
        path = self.base / "order.json"
        path.write_text(json.dumps(to_json_value(order)))
        return subprocess.Popen(
            [sys.executable, "-m", "safety_monitoring.system_guardian", str(path)],
            cwd=ROOT,
            env=self.environ("guardian"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )


class StandInWorker:
    """A real load process with its page."""

    def __init__(self, places: Places, number: int, *options: str, role: str = "worker") -> None:
        self.number = number
        self.page_path = str(places.base / f"page-{number}")
        self.page = LoadPage(self.page_path, create=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.stand_in_worker", self.page_path, *options],
            cwd=ROOT,
            env=places.environ(role),
            start_new_session=True,
        )

    def order(self, *, drill: bool = False, start_ticks_off: int = 0) -> WatchWorker:
        """The order to watch it."""
        ticks = start_ticks(self.process.pid)
        assert isinstance(ticks, int)
        return WatchWorker(
            worker=self.number,
            pid=self.process.pid,
            start_ticks=ticks + start_ticks_off,
            page_path=self.page_path,
            drill=drill,
        )

    def wait_for_load(self) -> None:
        """Until its heartbeat moves."""
        deadline_mono_s = time.monotonic() + REPORT_S_MAX
        while self.page.heartbeat_mono_ns == 0:
            assert time.monotonic() < deadline_mono_s, "the stand-in worker makes no load"
            assert self.process.poll() is None, "the stand-in worker ended"
            time.sleep(0.005)

    def wait(self) -> int:
        """Its exit code."""
        return self.process.wait(timeout=REPORT_S_MAX)

    def close(self) -> None:
        """End and reap it."""
        self.process.kill()
        self.process.wait(timeout=REPORT_S_MAX)
        self.page.close()


class Rig:
    """A guardian that this process leads."""

    def __init__(self, places: Places, order: GuardianOrder) -> None:
        self.places = places
        self.workers: list[StandInWorker] = []
        self.guardian = places.start_guardian(order)
        assert self.guardian.stdout is not None
        os.set_blocking(self.guardian.stdout.fileno(), False)
        self._rest = b""
        self._beat_due_mono_s = 0.0
        self._sequence = 0
        self.ready = self.expect(GuardianReady)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.close()
        self.guardian.kill()
        self.guardian.wait(timeout=REPORT_S_MAX)
        for pipe in (self.guardian.stdin, self.guardian.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue

    def send(self, order: Order) -> None:
        """Send one order."""
        assert self.guardian.stdin is not None
        self.guardian.stdin.write(ORDERS.encode(order))
        self.guardian.stdin.flush()

    def expect(self, kind: type[R]) -> R:
        """The next report of this kind; others before it are passed over. Heartbeats are sent meanwhile."""
        deadline_mono_s = time.monotonic() + REPORT_S_MAX
        while time.monotonic() < deadline_mono_s:
            for report in self.reports():
                if isinstance(report, kind):
                    return report
            self.beat()
            time.sleep(0.002)
        raise AssertionError(f"no {kind.__name__} within {REPORT_S_MAX} s; guardian exit {self.guardian.poll()}")

    def beat(self) -> None:
        """Send a heartbeat if one is due."""
        if time.monotonic() >= self._beat_due_mono_s and self.guardian.poll() is None:
            self._beat_due_mono_s = time.monotonic() + HEARTBEAT_S
            self._sequence += 1
            self.send(Heartbeat(sequence=self._sequence))

    def reports(self) -> list[object]:
        """One report at most, so that none is lost to the caller who waits for another."""
        assert self.guardian.stdout is not None
        with contextlib.suppress(BlockingIOError):
            self._rest += os.read(self.guardian.stdout.fileno(), 1 << 16)
        line, newline, rest = self._rest.partition(b"\n")
        if not newline:
            return []
        self._rest = rest
        return [REPORTS.decode(line + newline)]

    def worker(self, *options: str, drill: bool = False) -> StandInWorker:
        """A worker that is watched and makes load."""
        role = "drill" if drill else "worker"
        worker = StandInWorker(self.places, len(self.workers), *options, role=role)
        self.workers.append(worker)
        self.send(worker.order(drill=drill))
        assert self.expect(WorkerWatched).worker == worker.number
        worker.wait_for_load()
        return worker

    def conclude(self) -> int:
        """End the guardian in an orderly way; its exit code."""
        self.send(Conclude())
        return self.guardian.wait(timeout=REPORT_S_MAX)

    def journal(self) -> list[Mapping[str, object]]:
        """The guardian's own record."""
        return [json.loads(line) for line in self.places.journal.read_text().splitlines()]


def runs(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    stat = process_stat(pid)
    return not isinstance(stat, ProcessGone) and stat.state not in "ZX"


def wait_until_gone(pid: int, *, timeout_s: float = REPORT_S_MAX) -> None:
    """Until a process has ended."""
    deadline_mono_s = time.monotonic() + timeout_s
    while runs(pid):
        assert time.monotonic() < deadline_mono_s, f"process {pid} still runs after {timeout_s} s"
        time.sleep(0.005)
