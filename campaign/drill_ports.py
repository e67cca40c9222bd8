"""What the stop drill moves: real drill workers, the real guardian, and a STOP and PERMIT of its own.

The drill's files lie in a private directory, so that rehearsing a stop never stops the campaign; the guardian ends the
drill worker by the same code that ends any load. Runs in the supervisor's main thread.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from baseline_metrics.clock import Clock
from baseline_metrics.codec import CodecError
from baseline_metrics.load_page import LoadPage
from campaign.guardian_link import GuardianLink
from campaign.processes import ChannelError, Child, Marks
from monitoring_logs.records import DrillFact
from safety_monitoring.drill import DrillError, DrillOutcome, NotEnded, run_drill
from safety_monitoring.messages import BeginDrill, DrillEnded, DrillPath, EndLoad, ForgetWorker, WatchWorker
from stress_scenarios.engines.drill_engine import DrillFault
from stress_scenarios.messages import REPORTS, WorkerFault, WorkerReady

FIRST_WORKER = 1_000_000
"""Drill workers are numbered from here, so that they are never taken for workers of the night."""

REAP_S = 2.0

_FAULTS = {DrillPath.STUBBORN_WORKER: DrillFault.DEAF, DrillPath.ESCAPED_CHILD: DrillFault.ESCAPE}
_ASKED = frozenset({DrillPath.SUPERVISOR_ASKED, DrillPath.STUBBORN_WORKER, DrillPath.ESCAPED_CHILD})


@dataclass(slots=True)
class GuardianDrill:
    """What the guardian has said about drill workers; the supervisor's loop fills it."""

    watched: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    ended: list[DrillEnded] = field(default_factory=list)
    going_on: bool = False


def rehearse(
    said: GuardianDrill,
    *,
    guardian: GuardianLink,
    pump: Callable[[], None],
    marks: Marks,
    directory: Path,
    output: Path,
    clock: Clock,
) -> tuple[DrillFact, ...]:
    """Rehearse every way to stop. Takes about 3 s; blocks, and calls pump often."""
    files = directory / "drill"
    files.mkdir(mode=0o700, exist_ok=True)
    said.going_on = True
    try:
        outcomes = run_drill(_Ports(said, guardian=guardian, pump=pump, marks=marks, files=files, output=output), clock)
        return tuple(_fact(outcome) for outcome in outcomes)
    finally:
        said.going_on = False
        for path in files.iterdir():
            path.unlink()
        files.rmdir()


def _fact(outcome: DrillOutcome) -> DrillFact:
    return DrillFact(
        path=outcome.path,
        seconds=outcome.seconds,
        seconds_max=outcome.seconds_max,
        passed=outcome.passed,
        detail=outcome.detail,
    )


class _Ports:
    def __init__(
        self,
        said: GuardianDrill,
        *,
        guardian: GuardianLink,
        pump: Callable[[], None],
        marks: Marks,
        files: Path,
        output: Path,
    ) -> None:
        self._said = said
        self._guardian = guardian
        self._pump = pump
        self._marks = marks
        self._files = files
        self._output = output
        self._number = FIRST_WORKER
        self._child: Child | None = None
        self._page: LoadPage | None = None
        self._beat = 0

    @property
    def _stop(self) -> Path:
        return self._files / "STOP"

    @property
    def _permit(self) -> Path:
        return self._files / "PERMIT"

    def start_worker(self, path: DrillPath) -> int:
        self._number += 1
        page_path = self._files / f"drill-{self._number}.page"
        fault = _FAULTS.get(path, DrillFault.NONE)
        arguments = ("--worker", str(self._number), "--engine", "drill", "--drill-fault", fault.value)
        try:
            self._stop.unlink(missing_ok=True)
            self._permit.touch()
            self._page = LoadPage(str(page_path), create=True)
            self._child = Child(
                "stress_scenarios.worker",
                (*arguments, "--page", str(page_path), "--parent-pid", str(os.getpid())),
                marks=self._marks,
                role="drill",
                output=self._output,
            )
        except OSError as error:
            raise DrillError(f"the drill worker could not be started: {error}") from error
        self._beat = 0
        return self._number

    def is_watched(self, worker: int) -> bool:
        if worker in self._said.refused:
            raise DrillError(f"the guardian refused to watch it: {self._said.refused[worker]}")
        return worker in self._said.watched

    def is_loading(self, _worker: int) -> bool:
        assert self._page is not None
        beat = self._page.operations_due  # the heartbeat beats without permission too, operations do not
        moved = beat > self._beat > 0
        self._beat = beat
        return moved

    def begin(self, path: DrillPath, worker: int) -> None:
        self._guardian.send(
            BeginDrill(path=path, stop_path=str(self._stop), permit_path=str(self._permit), worker=worker)
        )
        self._pump()

    def act(self, path: DrillPath) -> None:
        if path is DrillPath.STOP_FILE:
            self._stop.touch()
        elif path is DrillPath.PERMIT_REMOVAL:
            self._permit.unlink()
        elif path in _ASKED:
            self._guardian.send(EndLoad(reason="drill"))

    def ended(self, path: DrillPath) -> DrillEnded | NotEnded:
        return next((item for item in self._said.ended if item.path is path), NotEnded())

    def clean_up(self, _path: DrillPath, worker: int) -> None:
        if self._child is not None:
            self._child.kill()
            with contextlib.suppress(Exception):
                self._child.process.wait(REAP_S)
            self._child.close()
            self._child = None
        if self._page is not None:
            path = Path(self._page.path)
            self._page.close()
            path.unlink(missing_ok=True)
            self._page = None
        self._guardian.send(ForgetWorker(worker=worker))

    def pump(self) -> None:
        self._pump()
        if self._guardian.lost:
            raise DrillError(self._guardian.lost)
        if self._child is None:
            return
        try:
            for report in self._child.receive(REPORTS):
                self._take(report)
        except (CodecError, ChannelError) as error:
            raise DrillError(f"the drill worker spoke something unknown: {error}") from error

    def _take(self, report: object) -> None:
        assert self._page is not None
        if isinstance(report, WorkerFault):
            raise DrillError(f"the drill worker failed: {report.detail}")
        if isinstance(report, WorkerReady):
            self._guardian.send(
                WatchWorker(
                    worker=report.worker,
                    pid=report.pid,
                    start_ticks=report.start_ticks,
                    page_path=self._page.path,
                    drill=True,
                )
            )
