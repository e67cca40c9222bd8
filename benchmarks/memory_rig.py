"""One guardian and one memory worker at the edge of a limited memory, until the guardian takes the load away.

``python -m benchmarks.memory_rig DIRECTORY REPETITIONS``, started inside the limit; it stands in for a supervisor, so that
guardian and worker are the processes of any night. Prints one JSON line a repetition. Nothing is simulated: the load and a
neighbour really hold their memory, and the neighbour takes what is below the guardian's reserve.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from baseline_metrics.clock import SystemClock
from baseline_metrics.host_files import HostFiles
from baseline_metrics.samples import Sample
from benchmarks.busy_cores import be_prompt
from benchmarks.evidence import ROOT
from campaign.crew_member import Member, spawn_member
from campaign.guardian_link import GuardianLink
from campaign.processes import Marks
from safety_monitoring.limits import Limits, Resource, default_limits
from safety_monitoring.messages import GuardianOrder, GuardianReady, Report, WatchWorker, WorkerWatched
from safety_monitoring.registry import identity_of
from stress_scenarios.load_plan import EngineName
from stress_scenarios.loads.memory_order import MemoryOrder
from stress_scenarios.messages import REPORTS, Go, Prepared, WorkerReady

MIB = 1 << 20

LIMIT_BYTES = 512 * MIB
RESERVE_BYTES = 64 * MIB
LOAD_BYTES = 160 * MIB
LOAD_BYTES_PER_S = 200.0 * MIB

EDGE_BYTES = 16 * MIB
"""How far above the reserve the neighbour stops at first, and how far below it goes; it tells when it passes the reserve."""

Heard = TypeVar("Heard")

HANG_S = 30.0
LOOK_S = 0.001


class RigError(Exception):
    """A repetition could not be made. The message says what did not come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One repetition. seconds: from the reserve being whole for the last time until the load's memory was with the kernel again."""

    seconds: float
    worker_exit: int


class Neighbour:
    """The process that takes memory."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.memory_neighbour"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def hold(self, count: int, *, mark: int = 0) -> float:
        """Hold so many bytes; when it was about to pass the mark, which is another number of bytes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{max(0, count) // MIB} {max(0, mark) // MIB}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def end(self) -> None:
        """Let it go."""
        self._process.kill()
        self._process.wait(HANG_S)


class Rig:
    """Guardian and worker of one repetition, in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self._clock = SystemClock()
        self._reports: list[Report] = []
        run_dir, state_dir, pages = directory / "runs" / "run", directory / "state", directory / "pages"
        for path in (run_dir, pages):
            path.mkdir(parents=True)
        state_dir.mkdir(mode=0o700)
        (directory / "PERMIT").touch()
        marks = Marks(run_id=f"memory-{directory.name}", runs_dir=str(run_dir.parent), state_dir=str(state_dir))
        order = _guardian_order(marks, run_dir, permit=directory / "PERMIT")
        self.guardian = GuardianLink(
            order,
            order_file=directory / "guardian.json",
            marks=marks,
            output=directory / "guardian.log",
            clock=self._clock,
        )
        # Before a worker is started: a guardian tries its kill path on whatever carries the mark.
        self._await(lambda: any(isinstance(report, GuardianReady) for report in self._reports), "the guardian")
        self.worker: Member = spawn_member(1, engine=EngineName.MEMORY, pages=pages, logs=directory, marks=marks)

    def begin(self) -> None:
        """Bring the load up."""
        ready = self._heard(WorkerReady)
        self.guardian.send(
            WatchWorker(
                worker=1, pid=ready.pid, start_ticks=ready.start_ticks, page_path=self.worker.page.path, drill=False
            )
        )
        self._await(lambda: any(isinstance(report, WorkerWatched) for report in self._reports), "the watch")
        self.worker.watched = True
        order = MemoryOrder(segment=0, size_bytes=LOAD_BYTES, rise_bytes_per_s=LOAD_BYTES_PER_S, lasts_s=600.0)
        self.worker.assign(order)
        self._heard(Prepared)
        self.worker.send(Go(segment=0, start_mono_s=self._clock.mono_s()))
        self._await(lambda: self.worker.page.memory.held_bytes == LOAD_BYTES, "the load")

    def breach(self, neighbour: Neighbour, *, room: int) -> Breach:
        """Let the neighbour hold more than there is room for, and wait until the load is gone."""
        passed = neighbour.hold(room + EDGE_BYTES, mark=room)
        self._await(lambda: self.worker.child.ended() or self.worker.page.memory.held_bytes == 0, "the release")
        return Breach(
            seconds=self._clock.mono_s() - passed,
            worker_exit=self.worker.child.process.returncode or 0,
        )

    def end(self) -> None:
        """Nothing of it stays."""
        self.worker.page.revoke()
        self.worker.child.kill()
        self.worker.child.process.wait(HANG_S)
        self.worker.forget()
        self.guardian.conclude()

    def _heard(self, kind: type[Heard]) -> Heard:
        heard: list[Heard] = []

        def came() -> bool:
            heard.extend(item for item in self.worker.child.receive(REPORTS) if isinstance(item, kind))
            return bool(heard)

        self._await(came, kind.__name__)
        return heard[0]

    def _await(self, wanted: Callable[[], bool], what: str) -> None:
        deadline = self._clock.mono_s() + HANG_S
        while not wanted():
            self._reports.extend(self.guardian.poll())
            if self._clock.mono_s() > deadline or self.guardian.lost:
                raise RigError(f"{what} did not come: {self.guardian.lost or f'waited for {HANG_S:g} s'}")
            time.sleep(LOOK_S)


def _guardian_order(marks: Marks, run_dir: Path, *, permit: Path) -> GuardianOrder:
    me = identity_of(os.getpid())
    return GuardianOrder(
        run_id=marks.run_id,
        run_dir=str(run_dir),
        stop_paths=(str(run_dir / "STOP"),),
        permit_path=str(permit),
        journal_path=str(run_dir / "guardian.jsonl"),
        disk_paths=(str(run_dir),),
        limits=_memory_limits(),
        supervisor_pid=os.getpid(),
        supervisor_start_ticks=getattr(me, "start_ticks", 0),
        heartbeat_s_max=HANG_S,
        report_argv=("/bin/true",),
    )


def _memory_limits() -> Limits:
    """Of memory alone: what else this host does is not what is measured here."""
    limits = default_limits(memory_percent=95.0, memory_reserve_bytes=RESERVE_BYTES, disk_reserve_bytes=0)
    return replace(limits, limits=tuple(limit for limit in limits.limits if limit.resource is Resource.MEMORY))


def _available_bytes() -> int:
    """What the guardian believes can be had. Raises RigError where it does not see the limit around us."""
    with HostFiles() as files:
        memory = files.memory()
    match memory.total_bytes, memory.available_bytes:
        case Sample(value=total), Sample(value=available) if total <= LIMIT_BYTES:
            return int(available)
        case total, _:
            raise RigError(f"the memory that is seen here is {total}, and the limit around us {LIMIT_BYTES} bytes")


def main() -> None:
    """So many repetitions, one after another."""
    be_prompt()
    base, repetitions = Path(sys.argv[1]), int(sys.argv[2])
    for number in range(1, repetitions + 1):
        neighbour = Neighbour()
        rig = Rig(base / str(number))
        try:
            rig.begin()
            neighbour.hold(0)  # it has come up, so that its own size is counted
            room = _available_bytes() - RESERVE_BYTES
            neighbour.hold(room - EDGE_BYTES)
            time.sleep(0.3)  # the guardian reads, finds nothing wrong, and its period settles
            found = rig.breach(neighbour, room=room)
        finally:
            rig.end()
            neighbour.end()
        print(json.dumps({"seconds": found.seconds, "worker_exit": found.worker_exit}), flush=True)


if __name__ == "__main__":
    main()
