"""Arrivals at wire speed: they come when the rate says so, whatever is answered, against real servers."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from baseline_metrics.load_page import LoadPage
from stress_scenarios.engines.wire_load_run import WireLoadRun
from stress_scenarios.load_plan import (
    Arrivals,
    ConstantRate,
    Curve,
    ErrorClass,
    LoadOrder,
    RampRate,
    RateShape,
    Spacing,
)
from tests.stress_scenarios.orders import Operation, an_order
from tests.stress_scenarios.rude_servers import Answer, hang, read_head, saying, saying_once
from tests.stress_scenarios.wire_load_rig import Ran, counting, make_load, permit, permitting_page, run_load
from tests.stress_scenarios.wire_rig import OK
from tests.support.servers import NginxServer


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LoadPage]:
    """A page with a lease that lasts, at full share."""
    with permitting_page(tmp_path) as page:
        yield page


def arriving(
    order: LoadOrder, per_s: float | RateShape, *, spacing: Spacing = Spacing.EVEN, start_within_s: float = 1.0
) -> LoadOrder:
    """The same order with arrivals instead of a pace."""
    shape = ConstantRate(per_s=per_s) if isinstance(per_s, float) else per_s
    return replace(order, pace=Arrivals(shape=shape, spacing=spacing, start_within_s=start_within_s, part=0, parts=1))


def answering_after(seconds: float) -> Answer:
    """Answer each request a while later."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_head(reader)
            await asyncio.sleep(seconds)
            writer.write(OK)

    return speak


def error_classes(ran: Ran) -> set[ErrorClass]:
    """What failed."""
    return {error.error for window in ran.windows for error in window.errors}


@pytest.mark.parametrize("spacing", list(Spacing))
def test_every_arrival_is_started_and_counted_once(page: LoadPage, spacing: Spacing) -> None:
    """What was requested was due, started and answered; few connections suffice where answers are fast."""
    order = arriving(an_order(connections=50, per_session=10**6, hold_s=0.6), 1000.0, spacing=spacing)
    ran = run_load(page, order, saying(OK))
    requested = ran.drained.operations_requested
    assert requested == 600 if spacing is Spacing.EVEN else 480 <= requested <= 720
    assert ran.drained.operations_started == ran.drained.operations_succeeded == requested
    assert ran.windows[-1].operations_due == requested
    assert 1 <= ran.drained.connections_opened <= 50
    ran.check_against(page)


def test_a_rising_rate_starts_as_many_as_its_integral(page: LoadPage) -> None:
    """From 0 to 400 per second: a quarter of them in the first half."""
    shape = RampRate(from_per_s=0.0, to_per_s=400.0, over_s=0.6, curve=Curve.LINEAR)
    starts: list[float] = []
    ran = run_load(page, arriving(an_order(connections=20, hold_s=0.6), shape), counting(starts))
    assert ran.drained.operations_started == ran.drained.operations_requested == len(starts) == 120
    first_half = sum(start_s < starts[0] + 0.27 for start_s in starts)
    assert 18 <= first_half <= 42  # a quarter of the arrivals
    ran.check_against(page)


def test_the_mix_is_exact_over_all_connections(page: LoadPage) -> None:
    """Weights 3 and 1 give three quarters and one quarter, whichever connection takes which arrival."""
    order = an_order(Operation(weight=3.0), Operation(path="/b", weight=1.0), connections=9, hold_s=0.5)
    ran = run_load(page, arriving(order, 400.0), answering_after(0.005))
    assert (page.operation(0).started, page.operation(1).started) == (150, 50)
    ran.check_against(page, operations=2)


def test_arrivals_do_not_wait_for_answers(page: LoadPage) -> None:
    """A stall of the server stops nobody: as many connections are opened as are needed, and all latencies tell the truth."""
    order = arriving(an_order(connections=100, per_session=10**6, hold_s=0.5), 100.0)
    ran = run_load(page, order, answering_after(0.3))
    assert ran.drained.operations_started == 50
    assert 25 <= ran.drained.connections_peak <= 50
    assert ran.merged("service_succeeded").count_above_s(0.29) == 50
    assert ran.merged("service_succeeded").count_above_s(1.0) == 0
    ran.check_against(page)


def test_an_arrival_that_finds_no_connection_waits_and_its_response_time_says_so(page: LoadPage) -> None:
    """Two connections of 10 ms each serve 200 a second; of 400 a second the others queue: service stays, response grows."""
    order = arriving(an_order(connections=2, per_session=10**6, hold_s=0.5), 400.0, start_within_s=5.0)
    ran = run_load(page, order, answering_after(0.01))
    drained = ran.drained
    assert drained.operations_started < drained.operations_requested == 200
    assert drained.operations_started + drained.operations_dropped == 200  # what still waited at the end was given up
    assert drained.connections_peak == 2
    assert ran.merged("response_succeeded").count_above_s(0.1) > drained.operations_succeeded / 3
    ran.check_against(page)


def test_an_arrival_that_waits_too_long_is_dropped_and_counted(page: LoadPage) -> None:
    """A mute server keeps its only connection; the first arrival is in flight, the others are given up in time."""
    order = arriving(an_order(connections=1, hold_s=0.5, drain_s=0.1), 100.0, start_within_s=0.2)
    dropped: list[int] = []
    events = [(at_s, lambda _: dropped.append(page.operations_dropped)) for at_s in (0.15, 0.4)]
    ran = run_load(page, order, hang, *events)
    assert dropped[0] == 0
    assert 10 <= dropped[1] <= 20
    assert (ran.drained.operations_started, ran.drained.operations_abandoned) == (1, 1)
    assert ran.drained.operations_dropped == 49
    ran.check_against(page)


@pytest.mark.parametrize("start_within_s", [0.05, 10.0])
def test_a_rate_beyond_the_machine_is_counted_and_hangs_nothing(page: LoadPage, start_within_s: float) -> None:
    """Two million a second: what could not be started was dropped, the load ends in time, and windows keep coming."""
    order = arriving(an_order(connections=2, per_session=10**6, hold_s=0.3), 2e6, start_within_s=start_within_s)
    began_s = time.monotonic()
    ran = run_load(page, order, saying(OK))
    assert time.monotonic() - began_s < 3.0
    drained = ran.drained
    assert drained.operations_requested == drained.operations_started + drained.operations_dropped == 600_000
    assert drained.operations_started > 10
    ran.check_against(page)


def test_connections_are_churned_with_their_sessions(page: LoadPage) -> None:
    """After so many operations a connection is closed, and that is no reconnect."""
    order = arriving(an_order(connections=1, per_session=10, hold_s=0.5), 200.0)
    ran = run_load(page, order, saying(OK))
    assert (ran.drained.connections_opened, ran.drained.reconnects) == (10, 0)
    ran.check_against(page)


def test_a_connection_that_broke_is_replaced_and_counted(page: LoadPage) -> None:
    """A server that closes after each answer makes a reconnect of each further operation of a connection."""
    order = arriving(an_order(connections=1, per_session=10**6, hold_s=0.25), 40.0)
    ran = run_load(page, order, saying_once(OK))
    assert ran.drained.operations_succeeded == 10
    assert (ran.drained.connections_opened, ran.drained.reconnects) == (10, 9)
    ran.check_against(page)


def test_failures_are_counted_with_their_class_and_the_load_goes_on(page: LoadPage) -> None:
    """A server that speaks something else."""
    ran = run_load(page, arriving(an_order(connections=5, hold_s=0.25), 100.0), saying_once(b"garbage\r\n\r\n"))
    assert ran.drained.operations_failed == ran.drained.operations_started == 25
    assert error_classes(ran) == {ErrorClass.PROTOCOL}
    ran.check_against(page)


def test_a_session_keeps_its_cookies_in_an_open_load_too(page: LoadPage) -> None:
    """The first operation of each session comes without, the others with the cookie."""
    seen: Counter[bool] = Counter()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen[b"Cookie: user=1" in await read_head(reader)] += 1
            writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: user=1\r\nContent-Length: 0\r\n\r\n")

    ran = run_load(page, arriving(an_order(connections=1, per_session=5, hold_s=0.25), 80.0), speak)
    assert seen == {False: 4, True: 16}
    ran.check_against(page)


@pytest.mark.parametrize("arrivals", [True, False], ids=["open", "paced"])
def test_the_schedule_lag_tells_our_own_lateness_and_not_the_targets(page: LoadPage, *, arrivals: bool) -> None:
    """A loop of ours that stands still for 0.1 s is seen in it; answers that take as long are not."""
    order = an_order(connections=8, rate=25.0, per_session=10**6, hold_s=0.4)
    if arrivals:
        order = arriving(order, 100.0, start_within_s=5.0)
    ours = run_load(page, order, saying(OK), (0.22, lambda _: time.sleep(0.1)))  # while nothing is in flight
    assert 5 <= ours.schedule_lag.count_above_s(0.02) <= 12
    with permitting_page(Path(page.path).parent / "second") as other:
        theirs = run_load(other, order, answering_after(0.1))
    assert theirs.merged("response_succeeded").count_above_s(0.15) > 5
    assert theirs.schedule_lag.count_above_s(0.05) == 0


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.0, 0)])
def test_the_permitted_share_is_the_share_of_arrivals(page: LoadPage, share: float, expected: int) -> None:
    """What is requested stays the plan's; what easing prevented is neither started nor dropped."""
    permit(page, share)
    ran = run_load(page, arriving(an_order(connections=10, hold_s=0.5), 200.0), saying(OK))
    assert ran.drained.operations_requested == ran.windows[-1].operations_due == 100
    assert ran.drained.operations_started == pytest.approx(expected, abs=3)
    assert ran.drained.operations_dropped == 0
    ran.check_against(page)


def test_a_pause_takes_effect_within_20_ms_and_ends_without_a_burst(page: LoadPage) -> None:
    """No start comes while the share is 0; then the rate is the old one, not more."""
    starts: list[float] = []
    changed: list[float] = []

    def change(share: float) -> None:
        permit(page, share)
        changed.append(time.monotonic())

    order = arriving(an_order(connections=10, per_session=10**6, hold_s=0.6), 300.0)
    events = ((0.2, lambda _: change(0.0)), (0.4, lambda _: change(1.0)))
    ran = run_load(page, order, counting(starts), *events)
    stopped_s, resumed_s = changed
    assert not [start_s for start_s in starts if stopped_s + 0.02 < start_s < resumed_s]
    assert sum(resumed_s <= start_s < resumed_s + 0.1 for start_s in starts) <= 45
    assert 100 <= len(starts) <= 130  # 0.4 s of 300 a second
    assert ran.drained.operations_requested == 180
    ran.check_against(page)


def test_a_released_load_drops_nothing_that_was_not_due(page: LoadPage) -> None:
    """Arrivals that were still to come are neither started nor dropped."""
    ran = run_load(
        page, arriving(an_order(connections=5, hold_s=60.0), 100.0), saying(OK), (0.205, WireLoadRun.release)
    )
    assert ran.drained.operations_requested == 6000
    assert ran.drained.operations_started == ran.drained.operations_succeeded
    assert 15 <= ran.drained.operations_started == ran.windows[-1].operations_due <= 40
    assert ran.drained.operations_dropped == 0
    ran.check_against(page)


def test_what_came_due_while_the_loop_was_away_is_started_at_the_release(page: LoadPage) -> None:
    """A release that finds the loop late is not a reason to drop: whoever came due before it has a connection."""

    def late(run: WireLoadRun) -> None:
        time.sleep(0.05)
        run.release()

    ran = run_load(page, arriving(an_order(connections=30, hold_s=60.0), 200.0), saying(OK), (0.1, late))
    assert ran.drained.operations_dropped == 0
    assert 29 <= ran.drained.operations_started == ran.windows[-1].operations_due
    ran.check_against(page)


def test_nothing_is_started_at_a_release_that_is_not_permitted(page: LoadPage) -> None:
    """A load that was stopped starts nothing more, also not what had come due."""

    def stopped(run: WireLoadRun) -> None:
        page.revoke()
        time.sleep(0.05)
        run.release()

    ran = run_load(page, arriving(an_order(connections=30, hold_s=60.0), 200.0), saying(OK), (0.1, stopped))
    assert 15 <= ran.drained.operations_started <= 22
    assert ran.drained.operations_started + ran.drained.operations_dropped <= ran.windows[-1].operations_due
    ran.check_against(page)


@pytest.mark.process
def test_nginx_counts_the_arrivals_that_we_count(page: LoadPage, nginx: NginxServer) -> None:
    """Thousands a second, over as few connections as are needed, and each of them once."""
    order = arriving(an_order(port=nginx.port, connections=64, per_session=500, hold_s=0.5), 4000.0)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ran = runner.run(make_load(page, order))
    drained = ran.drained
    assert drained.operations_requested == drained.operations_started + drained.operations_dropped == 2000
    assert drained.operations_started > 100
    lines = nginx.requests(at_least=drained.operations_started)
    assert len(lines) == drained.operations_started
    assert len({line.remote_port for line in lines}) == drained.connections_opened
    ran.check_against(page)
