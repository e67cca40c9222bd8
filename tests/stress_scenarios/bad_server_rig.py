"""A whole load against a rude server, on each engine and by each way of asking: what was counted, and how it failed."""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeVar

from baseline_metrics.load_page import LoadPage
from stress_scenarios.engine_choice import chosen_engine
from stress_scenarios.engines.engine import ConnectionCounts
from stress_scenarios.load_plan import EngineName, ErrorClass, LoadOrder, OperationSpec, Unpaced
from stress_scenarios.loop_pulse import LoopPulse
from stress_scenarios.messages import Drained, WindowReport
from stress_scenarios.scenario import ready_requests
from tests.stress_scenarios.rude_servers import Answer, serving
from tests.stress_scenarios.scripted_rig import a_scripted_order

HANG_S = 20.0
LEAD_S = 0.02

T = TypeVar("T")


class Way(Enum):
    """An engine, and whether requests are performed as they were prepared, or asked by a script."""

    WIRE_PERFORMED = "wire performed"
    WIRE_ASKED = "wire asked"
    HTTPX_PERFORMED = "httpx performed"
    HTTPX_ASKED = "httpx asked"

    @property
    def engine(self) -> EngineName:
        """Which engine."""
        return EngineName.WIRE if self in (Way.WIRE_PERFORMED, Way.WIRE_ASKED) else EngineName.HTTPX

    @property
    def asks(self) -> bool:
        """Whether a script asks."""
        return self in (Way.WIRE_ASKED, Way.HTTPX_ASKED)


WAYS = tuple(Way)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of one operation of the order: its counts and its failures by class and message."""

    started: int
    succeeded: int
    failed: int
    errors: Counter[tuple[ErrorClass, str]]

    @property
    def classes(self) -> set[ErrorClass]:
        """All classes of its failures."""
        return {error for error, _ in self.errors}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A finished load."""

    drained: Drained
    operations: Mapping[str, Ended]
    connections: ConnectionCounts

    def check_counts(self) -> None:
        """Whatever was started succeeded, failed or was abandoned; each failure has its class; nothing is left open."""
        drained = self.drained
        ends = drained.operations_succeeded + drained.operations_failed
        assert drained.operations_started == ends + drained.operations_abandoned
        each = self.operations.values()
        assert sum(ended.started for ended in each) == drained.operations_started
        assert sum(ended.succeeded for ended in each) == drained.operations_succeeded
        assert sum(ended.failed for ended in each) == drained.operations_failed
        assert sum(ended.errors.total() for ended in each) == drained.operations_failed
        assert self.connections.open == 0


def an_order_for(
    way: Way, *operations: OperationSpec, connections: int, hold_s: float, per_session: int = 1000
) -> LoadOrder:
    """An unpaced order, scripted if this way asks."""
    asked = tuple(replace(each, redirects_max=max(each.redirects_max, 3)) for each in operations)
    return replace(
        a_scripted_order(
            *(asked if way.asks else operations),
            connections=connections,
            hold_s=hold_s,
            drain_s=2.0,
            per_session=per_session,
        ),
        pace=Unpaced(),
    )


async def make_load(way: Way, page: LoadPage, order: LoadOrder, *, release_after: int = 0) -> Load:
    """Make a load in this loop, and check that everything was counted once.

    release_after: the load is released when each operation has ended so often; 0: it runs for its whole time.
    """
    engine, make_run = chosen_engine(way.engine, worker=0, page=page).begin()
    engine.prepare(target=order.target, requests=ready_requests(order), response_bytes_max=order.response_bytes_max)
    windows: list[WindowReport] = []
    run = make_run(order=order, next_sequence=lambda: 0, send=windows.append)

    def turn(now_s: float, lag_s: float) -> None:
        run.turn(now_s, lag_s=lag_s)
        counts = (page.operation(index) for index in range(len(order.operations)))
        if release_after and all(each.succeeded + each.failed >= release_after for each in counts):
            run.release()

    pulse = LoopPulse(turn)
    try:
        drained = await asyncio.wait_for(run.run(time.monotonic() + LEAD_S), HANG_S)
    finally:
        pulse.stop()
    load = Load(
        drained=drained,
        operations={spec.name: _ended(page, windows, index) for index, spec in enumerate(order.operations)},
        connections=engine.connections,
    )
    load.check_counts()
    return load


def in_loop_of(way: Way, page: LoadPage, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop that a worker would have."""
    factory = chosen_engine(way.engine, worker=0, page=page).new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


def run_against(
    way: Way,
    page: LoadPage,
    order: LoadOrder,
    answer: Answer,
    *,
    release_after: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Load:
    """Run a load against a small server of its loop. See make_load."""

    async def work() -> Load:
        async with serving(answer, tls=tls) as port:
            scheme, _, rest = order.target.url.partition("://")
            host = rest.rpartition(":")[0]
            target = replace(order.target, url=f"{scheme}://{host}:{port}", port=port)
            return await make_load(way, page, replace(order, target=target), release_after=release_after)

    return in_loop_of(way, page, work())


def _ended(page: LoadPage, windows: Sequence[WindowReport], index: int) -> Ended:
    counts = page.operation(index)
    errors: Counter[tuple[ErrorClass, str]] = Counter()
    for window in windows:
        for error in window.errors:
            if error.operation == index:
                errors[error.error, error.message] += error.count
    return Ended(started=counts.started, succeeded=counts.succeeded, failed=counts.failed, errors=errors)
