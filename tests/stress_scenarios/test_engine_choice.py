"""Which run drives which order on which engine."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from baseline_metrics.load_page import LoadPage
from stress_scenarios.engine_choice import chosen_engine
from stress_scenarios.engines.wire_load_run import WireLoadRun
from stress_scenarios.load_plan import Arrivals, ConstantRate, EngineName, LoadOrder, Spacing, ThinkTime, Variable
from stress_scenarios.load_run import LoadRun
from stress_scenarios.scenario import ready_requests
from stress_scenarios.segment_run import SegmentRun
from tests.stress_scenarios.orders import an_order, unpaced
from tests.stress_scenarios.wire_load_rig import permitting_page

PLAIN = an_order()
SCRIPTED = replace(PLAIN, variables=(Variable(name="user", value="7"),))


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LoadPage]:
    """A page with a lease that lasts, at full share."""
    with permitting_page(tmp_path) as page:
        yield page


def run_made_for(order: LoadOrder, engine: EngineName, page: LoadPage) -> tuple[SegmentRun, str]:
    """The run that a worker would make, and on which loop."""
    chosen = chosen_engine(engine, worker=0, page=page)

    async def make() -> tuple[SegmentRun, str]:
        made, make_run = chosen.begin()
        made.prepare(target=order.target, requests=ready_requests(order), response_bytes_max=order.response_bytes_max)
        run = make_run(order=order, next_sequence=lambda: 0, send=lambda _: None)
        return run, type(asyncio.get_running_loop()).__module__

    with asyncio.Runner(loop_factory=chosen.new_event_loop) as runner:
        return runner.run(make())


@pytest.mark.parametrize(
    "order",
    [
        PLAIN,
        unpaced(PLAIN),
        replace(
            PLAIN,
            pace=Arrivals(shape=ConstantRate(per_s=1.0), spacing=Spacing.POISSON, start_within_s=1.0, part=0, parts=1),
        ),
    ],
)
def test_a_plain_order_goes_at_wire_speed_where_the_engine_can(order: LoadOrder, page: LoadPage) -> None:
    """Without a coroutine per operation, on uvloop; on the httpx engine there is nothing else than coroutines."""
    run, loop = run_made_for(order, EngineName.WIRE, page)
    assert (type(run), loop) == (WireLoadRun, uvloop.Loop.__module__)
    run, loop = run_made_for(order, EngineName.HTTPX, page)
    assert type(run) is LoadRun
    assert loop.startswith("asyncio")


@pytest.mark.parametrize("engine", [EngineName.WIRE, EngineName.HTTPX])
@pytest.mark.parametrize(
    "order",
    [
        SCRIPTED,
        replace(PLAIN, operations=(replace(PLAIN.operations[0], think=ThinkTime(seconds_min=0.1, seconds_max=0.2)),)),
    ],
)
def test_a_scripted_order_goes_through_coroutines_on_either_engine(
    order: LoadOrder, engine: EngineName, page: LoadPage
) -> None:
    """Variables, checks and think times are the business of programs, which the engines know nothing of."""
    run, _ = run_made_for(order, engine, page)
    assert type(run) is LoadRun


def test_a_drill_has_no_loop_to_choose(page: LoadPage) -> None:
    """It makes its load without one; asking is our own bug."""
    with pytest.raises(AssertionError):
        chosen_engine(EngineName.DRILL, worker=0, page=page)
