"""What the tests of loads at wire speed share: a page that permits, a load against a small server, and its sums."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import uvloop

from baseline_metrics.load_page import LoadPage
from stress_scenarios.engines.wire_engine import WireEngine
from stress_scenarios.engines.wire_load_run import WireLoadRun
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import LoadOrder
from stress_scenarios.loop_pulse import LoopPulse
from stress_scenarios.messages import Drained, WindowReport
from stress_scenarios.scenario import ready_requests
from tests.stress_scenarios.orders import an_order
from tests.stress_scenarios.rude_servers import Answer, read_head, serving
from tests.stress_scenarios.wire_rig import OK

FAR_AWAY_NS = 10**15
LEAD_S = 0.02

Event = tuple[float, Callable[[WireLoadRun], None]]
"""Something that happens so many seconds after a load's start."""


@dataclass(slots=True)
class Ran:
    """A finished load: its closing report and all windows."""

    drained: Drained
    engine: WireEngine
    windows: list[WindowReport] = field(default_factory=list)

    def total(self, what: str) -> int:
        """A count over all operations of all windows."""
        return sum(getattr(operation, what) for window in self.windows for operation in window.operations)

    def merged(self, which: str) -> Histogram:
        """A histogram over all operations of all windows."""
        merged = Histogram()
        for window in self.windows:
            for operation in window.operations:
                merged.merge(Histogram.decode(getattr(operation, which)))
        return merged

    @property
    def schedule_lag(self) -> Histogram:
        """The lateness of all starts of all windows."""
        merged = Histogram()
        for window in self.windows:
            merged.merge(Histogram.decode(window.schedule_lag))
        return merged

    def check_against(self, page: LoadPage, operations: int = 1) -> None:
        """Page, windows and closing report agree on every count."""
        counts = [page.operation(index) for index in range(operations)]
        drained = self.drained
        assert sum(each.started for each in counts) == drained.operations_started
        assert sum(each.succeeded for each in counts) == drained.operations_succeeded == self.total("succeeded")
        assert sum(each.failed for each in counts) == drained.operations_failed == self.total("failed")
        assert sum(each.bytes_received for each in counts) == sum(window.bytes_received for window in self.windows)
        assert self.merged("response_succeeded").count == drained.operations_succeeded
        assert self.merged("service_succeeded").count == drained.operations_succeeded
        assert self.merged("response_failed").count == drained.operations_failed
        assert sum(error.count for window in self.windows for error in window.errors) == drained.operations_failed
        assert self.engine.connections.open == 0
        assert self.schedule_lag.count == drained.operations_started
        assert sum(window.bytes_sent for window in self.windows) == drained.bytes_sent
        assert self.windows[-1].operations_dropped == drained.operations_dropped == page.operations_dropped
        assert drained.operations_started + drained.operations_dropped <= drained.operations_requested
        if (
            not drained.operations_abandoned
        ):  # two ways of measuring one thing: when operations fly, and how long each took
            flown_s = sum(window.in_flight_s for window in self.windows)
            served_s = sum(window.service_s_sum for window in self.windows)
            assert flown_s == pytest.approx(served_s, rel=1e-6, abs=1e-5)


@contextmanager
def permitting_page(directory: Path) -> Iterator[LoadPage]:
    """A page with a lease that lasts, at full share."""
    directory.mkdir(exist_ok=True)
    page = LoadPage(str(directory / "page"), create=True)
    permit(page, 1.0)
    yield page
    page.close()


def permit(page: LoadPage, share: float) -> None:
    """Permit a share, with a lease far beyond any test."""
    page.grant(lease_until_mono_ns=time.monotonic_ns() + FAR_AWAY_NS, share=share)


async def make_load(page: LoadPage, order: LoadOrder, *events: Event) -> Ran:
    """Run a load; events happen at seconds after its start."""
    engine = WireEngine()
    engine.prepare(target=order.target, requests=ready_requests(order), response_bytes_max=order.response_bytes_max)
    windows: list[WindowReport] = []
    run = WireLoadRun(worker=0, order=order, engine=engine, page=page, next_sequence=lambda: 0, send=windows.append)
    pulse = LoopPulse(lambda now_s, lag_s: run.turn(now_s, lag_s=lag_s))
    timers = [asyncio.get_running_loop().call_later(LEAD_S + at_s, act, run) for at_s, act in events]
    try:
        return Ran(await run.run(time.monotonic() + LEAD_S), engine, windows)
    finally:
        pulse.stop()
        for timer in timers:
            timer.cancel()


def run_load(page: LoadPage, order: LoadOrder, answer: Answer, *events: Event) -> Ran:
    """Run a load against a small server of this loop."""

    async def work() -> Ran:
        async with serving(answer) as port:
            return await make_load(page, replace(order, target=an_order(port=port).target), *events)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


def counting(starts: list[float]) -> Answer:
    """Answer every request, and note when it came."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_head(reader)
            starts.append(time.monotonic())
            writer.write(OK)

    return speak
