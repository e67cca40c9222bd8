"""A load run on virtual time: what it reported, and events while it runs."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from baseline_metrics.load_page import LoadPage
from baseline_metrics.samples import Sample
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import LoadOrder
from stress_scenarios.load_run import LoadRun
from stress_scenarios.loop_pulse import LoopPulse
from stress_scenarios.messages import Drained, WindowReport
from stress_scenarios.session_program import UNSCRIPTED, MakeProgram, Unscripted
from stress_scenarios.sleepers import LoopTimer
from tests.stress_scenarios.fake_engine import FakeEngine
from tests.stress_scenarios.virtual_time import START_S, run_virtually

FAR_AWAY_NS = 10**15


def merged(texts: Iterable[str]) -> Histogram:
    """Several encoded histograms as one."""
    whole = Histogram()
    for text in texts:
        whole.merge(Histogram.decode(text))
    return whole


def max_s(histogram: Histogram) -> float:
    """The greatest value of a histogram that has one."""
    greatest = histogram.max_s
    assert isinstance(greatest, Sample)
    return greatest.value


@dataclass(slots=True)
class Ran:
    """A finished load: its closing report and all windows."""

    drained: Drained
    windows: list[WindowReport] = field(default_factory=list)

    @property
    def succeeded(self) -> int:
        """Successes over all windows."""
        return sum(operation.succeeded for window in self.windows for operation in window.operations)

    @property
    def response(self) -> Histogram:
        """Response times of successes over all windows."""
        return merged(operation.response_succeeded for window in self.windows for operation in window.operations)

    @property
    def service(self) -> Histogram:
        """Service times of successes over all windows."""
        return merged(operation.service_succeeded for window in self.windows for operation in window.operations)

    @property
    def schedule_lag(self) -> Histogram:
        """How late the load run itself was, over all windows."""
        return merged(window.schedule_lag for window in self.windows)


def permit(page: LoadPage, share: float) -> None:
    """Permit a share, with a lease far beyond any test."""
    page.grant(lease_until_mono_ns=time.monotonic_ns() + FAR_AWAY_NS, share=share)


def run_load(
    page: LoadPage,
    order: LoadOrder,
    engine: FakeEngine,
    *events: tuple[float, Callable[[LoadRun], None]],
    start_s: float = START_S,
    make_program: MakeProgram | Unscripted = UNSCRIPTED,
) -> Ran:
    """Run a load on virtual time; events happen at seconds after its start."""
    windows: list[WindowReport] = []

    async def work() -> Drained:
        run = LoadRun(
            worker=0,
            order=order,
            engine=engine,
            page=page,
            next_sequence=lambda: 0,
            send=windows.append,
            make_program=make_program,
            make_timer=LoopTimer,
        )
        pulse = LoopPulse(lambda now_s, lag_s: run.turn(now_s, lag_s=lag_s))
        for at_s, act in events:
            asyncio.get_running_loop().call_at(start_s + at_s, act, run)
        try:
            return await run.run(start_s)
        finally:
            pulse.stop()

    return Ran(run_virtually(work()), windows)
