"""A worker process in a test: orders and their reports, with a limit on every wait."""

import time
from collections.abc import Callable
from pathlib import Path

from baseline_metrics.load_page import LoadPage
from stress_scenarios.load_plan import EngineName, LoadOrder
from stress_scenarios.messages import Drained, Go, Held, Hold, Prepare, Prepared, WindowReport, WorkerReady
from stress_scenarios.solo_worker import SoloWorker

HANG_S = 30.0
LEAD_S = 0.05


def ready(worker: SoloWorker) -> WorkerReady:
    """Wait for the worker's first words."""
    report = worker.next_report(HANG_S)
    assert isinstance(report, WorkerReady)
    return report


def begin(worker: SoloWorker, order: LoadOrder) -> float:
    """Prepare and go; returns the start."""
    worker.send(Prepare(order=order))
    assert worker.next_report(HANG_S) == Prepared(worker=0, segment=order.segment)
    start_s = time.monotonic() + LEAD_S
    worker.send(Go(segment=order.segment, start_mono_s=start_s))
    return start_s


def held(worker: SoloWorker) -> None:
    """Hold the load, and wait until the worker has answered that it starts nothing any more."""
    worker.send(Hold(segment=0))
    while not isinstance(report := worker.next_report(HANG_S), Held):
        assert isinstance(report, WindowReport)


def finish(worker: SoloWorker) -> tuple[Drained, list[WindowReport]]:
    """Collect windows until the load has drained."""
    windows: list[WindowReport] = []
    while True:
        report = worker.next_report(HANG_S)
        if isinstance(report, Drained):
            return report, windows
        assert isinstance(report, WindowReport)
        windows.append(report)


def run_order(directory: Path, order: LoadOrder, engine: EngineName) -> tuple[Drained, list[WindowReport], LoadPage]:
    """One whole load; the page is read before it goes."""
    with SoloWorker(directory, engine=engine) as worker:
        ready(worker)
        begin(worker, order)
        drained, windows = finish(worker)
        copy = LoadPage(worker.page.path)
    return drained, windows, copy


def until(condition: Callable[[], bool], what: str) -> float:
    """Wait for something that must happen; returns how long it took."""
    began_s = time.monotonic()
    while not condition():
        assert time.monotonic() - began_s < HANG_S, what
        time.sleep(0.002)
    return time.monotonic() - began_s
