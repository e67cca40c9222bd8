"""Loads at wire speed that are changed, held and resumed while they run."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from baseline_metrics.load_page import LoadPage
from stress_scenarios.engines.wire_load_run import WireLoadRun
from stress_scenarios.load_plan import Arrivals, ConstantRate, Curve, LoadOrder, Spacing, Thinking
from tests.stress_scenarios.orders import an_order, unpaced
from tests.stress_scenarios.rude_servers import hang, read_head, saying
from tests.stress_scenarios.wire_load_rig import Event, counting, permitting_page, run_load
from tests.stress_scenarios.wire_rig import OK

EFFECT_S_MAX = 0.1
"""Within which a change must take effect."""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LoadPage]:
    """A page with a lease that lasts, at full share."""
    with permitting_page(tmp_path) as page:
        yield page


def at(at_s: float, act: Callable[[WireLoadRun], None], noted: list[float]) -> Event:
    """Do something then, and note when it was done."""

    def do(run: WireLoadRun) -> None:
        act(run)
        noted.append(time.monotonic())

    return at_s, do


def adjusting(operations_per_s: float, connections: int) -> Callable[[WireLoadRun], None]:
    """Make another load."""
    return lambda run: run.adjust(operations_per_s=operations_per_s, connections=connections)


def open_load(order: LoadOrder, per_s: float) -> LoadOrder:
    """The same order with arrivals."""
    shape = ConstantRate(per_s=per_s)
    return replace(order, pace=Arrivals(shape=shape, spacing=Spacing.EVEN, start_within_s=1.0, part=0, parts=1))


def between(starts: list[float], first_s: float, after_s: float) -> int:
    """How many starts lie between two instants."""
    return sum(first_s <= start_s < after_s for start_s in starts)


@pytest.mark.parametrize("arrivals", [True, False], ids=["open", "paced"])
def test_another_rate_takes_effect_at_once_in_both_directions(page: LoadPage, *, arrivals: bool) -> None:
    """100 a second, then 400, then 20: no burst, no gap, and what is due follows."""
    starts: list[float] = []
    noted: list[float] = []
    order = an_order(connections=10, rate=10.0, per_session=10**6, hold_s=0.9)
    factor = 1.0 if arrivals else 0.1
    events = (at(0.3, adjusting(400 * factor, 10), noted), at(0.6, adjusting(20 * factor, 10), noted))
    ran = run_load(page, open_load(order, 100.0) if arrivals else order, counting(starts), *events)
    raised_s, lowered_s = noted
    assert 15 <= between(starts, 0.0, raised_s) <= 45
    assert 40 <= between(starts, raised_s + EFFECT_S_MAX, lowered_s) <= 100
    assert between(starts, lowered_s + EFFECT_S_MAX, lowered_s + 1.0) <= 10
    drained = ran.drained
    assert drained.operations_requested == pytest.approx(30 + 120 + 6, abs=12)
    assert drained.operations_started == drained.operations_succeeded == ran.windows[-1].operations_due
    assert drained.operations_started == pytest.approx(drained.operations_requested, abs=2)
    ran.check_against(page)


@pytest.mark.parametrize("kind", ["paced", "unpaced", "thinking", "open"])
def test_connections_join_and_leave_while_the_load_runs(page: LoadPage, kind: str) -> None:
    """From 2 to 8 connections and down to 3, each within a tenth of a second."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_head(reader)
            await asyncio.sleep(0.01)
            writer.write(OK)

    order = an_order(connections=2, rate=50.0, per_session=10**6, hold_s=0.4)
    orders = {
        "paced": order,
        "unpaced": unpaced(order),
        "thinking": replace(order, pace=Thinking(seconds_min=0.005, seconds_max=0.015)),
        "open": open_load(order, 2000.0),  # more than any number of connections serves
    }
    seen: list[int] = []

    def look(run: WireLoadRun) -> None:
        seen.append(run.circuit.counts.open)

    events = (
        (0.08, look),
        (0.1, adjusting(2000.0 if kind == "open" else 50.0, 8)),
        (0.1 + EFFECT_S_MAX, look),
        (0.25, adjusting(2000.0 if kind == "open" else 50.0, 3)),
        (0.25 + EFFECT_S_MAX, look),
    )
    ran = run_load(page, orders[kind], slow, *events)
    assert seen == [2, 8, 3]
    assert ran.drained.connections_peak == 8
    assert ran.drained.operations_failed == 0
    ran.check_against(page)


def test_a_connection_that_is_wanted_again_before_it_could_leave_stays(page: LoadPage) -> None:
    """Down and up again while all are waiting for answers."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_head(reader)
            await asyncio.sleep(0.2)
            writer.write(OK)

    order = unpaced(an_order(connections=4, per_session=10**6, hold_s=0.5))
    ran = run_load(page, order, slow, (0.05, adjusting(1.0, 1)), (0.1, adjusting(1.0, 4)))
    assert (ran.drained.connections_opened, ran.drained.operations_started) == (4, 12)
    ran.check_against(page)


@pytest.mark.parametrize("kind", ["paced", "unpaced", "open"])
def test_a_held_load_starts_nothing_and_its_end_moves_away(page: LoadPage, kind: str) -> None:
    """0.2 s in the middle of 0.4 s: all is made that was asked for, 0.2 s later, without a burst."""
    starts: list[float] = []
    noted: list[float] = []
    order = an_order(connections=5, rate=20.0, per_session=10**6, hold_s=0.4)
    orders = {"paced": order, "unpaced": unpaced(order), "open": open_load(order, 100.0)}
    events = (
        at(0.2, WireLoadRun.hold, noted),
        at(0.25, WireLoadRun.hold, []),  # again: no effect
        at(0.4, WireLoadRun.resume, noted),
        at(0.45, WireLoadRun.resume, []),
    )
    began_s = time.monotonic()
    ran = run_load(page, orders[kind], counting(starts), *events)
    assert time.monotonic() - began_s >= 0.6
    held_s, resumed_s = noted
    assert between(starts, held_s + 0.02, resumed_s) == 0
    assert between(starts, resumed_s, resumed_s + 1.0) > 0
    drained = ran.drained
    assert drained.operations_started == pytest.approx(drained.operations_requested, abs=3)
    if kind != "unpaced":
        assert drained.operations_requested == 40
        assert between(starts, resumed_s, resumed_s + 0.1) <= 15
    ran.check_against(page)


def test_a_held_load_can_be_released(page: LoadPage) -> None:
    """It ends then and there."""
    starts: list[float] = []
    order = an_order(connections=5, rate=20.0, hold_s=60.0)
    ran = run_load(page, order, counting(starts), (0.1, WireLoadRun.hold), (0.3, WireLoadRun.release))
    assert ran.drained.operations_started == ran.drained.operations_succeeded == len(starts) > 0
    ran.check_against(page)


def test_changes_outside_a_running_load_do_nothing(page: LoadPage) -> None:
    """Before the start that Go names is awaited, and while the load drains."""
    order = an_order(connections=1, rate=1.0, hold_s=0.1, drain_s=0.2)

    def change_all(run: WireLoadRun) -> None:
        run.adjust(operations_per_s=1000.0, connections=50)
        run.hold()
        run.resume()

    ran = run_load(page, order, hang, (0.2, change_all))
    assert (ran.drained.operations_started, ran.drained.connections_opened) == (1, 1)
    ran.check_against(page)


def test_a_think_time_lies_between_an_end_and_the_next_start(page: LoadPage) -> None:
    """Of 20 to 40 ms: about 33 operations a second and connection, none sooner."""
    starts: list[float] = []
    order = replace(
        an_order(connections=1, per_session=10**6, hold_s=0.5), pace=Thinking(seconds_min=0.02, seconds_max=0.04)
    )
    ran = run_load(page, order, counting(starts))
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert min(gaps) >= 0.019
    assert 8 <= len(starts) <= 25
    assert ran.drained.operations_requested == ran.drained.operations_started == len(starts)
    ran.check_against(page)


def test_a_ramp_of_connections_follows_its_curve(page: LoadPage) -> None:
    """Conservative: after half of the ramp a quarter of the connections is there."""
    seen: list[int] = []

    order = replace(
        an_order(connections=16, rate=2.0, ramp_s=0.6, hold_s=0.1, per_session=10**6), ramp_curve=Curve.CONSERVATIVE
    )
    ran = run_load(page, order, saying(OK), (0.3, lambda run: seen.append(run.circuit.counts.open)))
    assert 3 <= seen[0] <= 6
    assert ran.drained.connections_peak == 16
    ran.check_against(page)
