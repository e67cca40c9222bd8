"""A declared load at wire speed: the same order, page and reports as any other load, against real servers."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest
import uvloop

from baseline_metrics.load_page import LoadPage
from stress_scenarios.engines.wire_alarm import NEVER_US, Alarm
from stress_scenarios.engines.wire_connection import now_us
from stress_scenarios.engines.wire_load_run import WireLoadRun
from stress_scenarios.load_plan import ErrorClass
from tests.stress_scenarios.orders import Operation, an_order, unpaced
from tests.stress_scenarios.rude_servers import hang, read_head, saying, saying_once
from tests.stress_scenarios.wire_load_rig import LEAD_S, counting, make_load, permit, permitting_page, run_load
from tests.stress_scenarios.wire_rig import OK
from tests.support.servers import NginxServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LoadPage]:
    """A page with a lease that lasts, at full share."""
    with permitting_page(tmp_path) as page:
        yield page


def test_everything_requested_is_started_and_counted_once(page: LoadPage) -> None:
    """A paced load makes exactly its grid."""
    order = an_order(connections=5, rate=40.0, per_session=7, ramp_s=0.3, hold_s=1.0)
    ran = run_load(page, order, saying(OK))
    assert ran.drained.operations_requested == ran.drained.operations_started == ran.drained.operations_succeeded
    assert ran.drained.operations_requested == 5 * 52 - sum(int(0.06 * number * 40) for number in range(5))
    assert ran.drained.connections_peak == 5
    assert ran.windows[-1].operations_due == ran.drained.operations_requested
    ran.check_against(page)


def test_an_unpaced_load_goes_as_fast_as_the_target_and_counts_all(page: LoadPage) -> None:
    """Every operation of every connection, over windows of a second, sessions included."""
    starts: list[float] = []
    ran = run_load(page, unpaced(an_order(connections=4, per_session=100, hold_s=1.2)), counting(starts))
    assert ran.drained.operations_started == ran.drained.operations_requested == len(starts) > 1000
    assert ran.drained.connections_opened == pytest.approx(len(starts) / 100, abs=8)
    assert ran.drained.connections_peak == 4
    assert [round(window.end_mono_s - window.start_mono_s, 6) for window in ran.windows[:1]] == [1.0]
    assert len(ran.windows) == 2
    ran.check_against(page)


def test_the_mix_is_exact(page: LoadPage) -> None:
    """Weights 3 and 1 give three quarters and one quarter."""
    order = an_order(Operation(weight=3.0), Operation(path="/b", weight=1.0), connections=3, rate=80.0, hold_s=0.5)
    ran = run_load(page, order, saying(OK))
    assert (page.operation(0).started, page.operation(1).started) == (90, 30)
    ran.check_against(page, operations=2)


def test_response_time_counts_from_the_intended_start(page: LoadPage) -> None:
    """A stall of 0.4 s delays the following operations: their waiting is in their response times alone."""
    stalled: list[bool] = []

    async def stall_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_head(reader)
            if not stalled:
                stalled.append(True)
                await asyncio.sleep(0.4)
            writer.write(OK)

    ran = run_load(page, an_order(rate=50.0, per_session=1000, hold_s=1.0), stall_once)
    assert ran.drained.operations_started == 50
    assert ran.merged("service_succeeded").count_above_s(0.1) == 1
    assert 14 <= ran.merged("response_succeeded").count_above_s(0.1) <= 17
    ran.check_against(page)


def test_failures_are_kept_apart_with_their_reason(page: LoadPage) -> None:
    """A server that answers once and closes in the middle of the next answer."""
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(OK)
        await read_head(reader)
        writer.write(half)

    ran = run_load(page, an_order(rate=40.0, per_session=100, hold_s=0.5), speak)
    assert (ran.drained.operations_succeeded, ran.drained.operations_failed) == (10, 10)
    assert page.operation(0).bytes_received == 10 * len(OK) + 10 * len(half)
    assert {error.error for window in ran.windows for error in window.errors} == {ErrorClass.RESET}
    ran.check_against(page)


def test_a_target_that_refuses_fails_each_operation(page: LoadPage) -> None:
    """Also without a pace the load goes on, and counts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            order = unpaced(an_order(Operation(), port=port, connections=2, hold_s=0.2))
            ran = runner.run(make_load(page, order))
    assert ran.drained.operations_failed == ran.drained.operations_started > 10
    assert {error.error for window in ran.windows for error in window.errors} == {ErrorClass.REFUSED}
    ran.check_against(page)


def test_a_session_keeps_its_cookies_without_coroutines_too(page: LoadPage) -> None:
    """The first operation of each session comes without, the others with the cookie."""
    seen: Counter[bool] = Counter()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen[b"Cookie: user=1" in await read_head(reader)] += 1
            writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: user=1\r\nContent-Length: 0\r\n\r\n")

    ran = run_load(page, an_order(rate=40.0, per_session=5, hold_s=0.5), speak)
    assert seen == {False: 4, True: 16}
    ran.check_against(page)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.1, 10), (0.0, 0)])
def test_the_permitted_share_is_the_share_that_is_made(page: LoadPage, share: float, expected: int) -> None:
    """What is requested stays the plan's, eased or not."""
    permit(page, share)
    ran = run_load(page, an_order(connections=4, rate=50.0, per_session=1000, hold_s=0.5), saying(OK))
    assert ran.drained.operations_requested == 100
    assert ran.drained.operations_started == pytest.approx(expected, abs=3)
    ran.check_against(page)


def test_an_unpaced_load_is_eased_as_well(page: LoadPage) -> None:
    """Share one half works for half of the time: operations of 10 ms, one every 20 ms."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_head(reader)
            await asyncio.sleep(0.01)
            writer.write(OK)

    permit(page, 0.5)
    ran = run_load(page, unpaced(an_order(connections=2, per_session=1000, hold_s=0.5)), slow)
    assert 25 <= ran.drained.operations_started <= 50
    ran.check_against(page)


@pytest.mark.parametrize("paced", [True, False])
def test_a_share_of_zero_takes_effect_within_20_ms(page: LoadPage, *, paced: bool) -> None:
    """No start comes later; afterwards the load goes on."""
    starts: list[float] = []
    changed: list[float] = []

    def change(share: float) -> Callable[[WireLoadRun], None]:
        def act(_: WireLoadRun) -> None:
            permit(page, share)
            changed.append(time.monotonic())

        return act

    order = an_order(connections=4, rate=100.0, per_session=1000, hold_s=0.5)
    events = ((0.15, change(0.0)), (0.35, change(1.0)))
    ran = run_load(page, order if paced else unpaced(order), counting(starts), *events)
    stopped_s, resumed_s = changed
    assert not [start_s for start_s in starts if stopped_s + 0.02 < start_s < resumed_s]
    assert [start_s for start_s in starts if start_s > resumed_s]
    ran.check_against(page)


def test_a_lease_that_ran_out_permits_nothing(page: LoadPage) -> None:
    """Share 1 without a lease makes no load."""
    page.grant(lease_until_mono_ns=1, share=1.0)
    starts: list[float] = []
    ran = run_load(page, unpaced(an_order(connections=2, hold_s=0.2)), counting(starts))
    assert starts == []
    ran.check_against(page)


def test_a_release_starts_nothing_more_and_drains(page: LoadPage) -> None:
    """What is in flight ends and counts."""
    ran = run_load(page, an_order(connections=2, rate=10.0, hold_s=60.0), saying(OK), (0.35, WireLoadRun.release))
    assert ran.drained.operations_requested == 1200
    assert ran.drained.operations_started == ran.drained.operations_succeeded == ran.windows[-1].operations_due == 8
    ran.check_against(page)


def test_what_does_not_drain_in_time_is_abandoned(page: LoadPage) -> None:
    """After drain_s what is in flight is given up: neither a success nor a failure, and its connection is closed."""
    began_s = time.monotonic()
    ran = run_load(page, an_order(connections=3, rate=1.0, hold_s=0.2, drain_s=0.3), hang)
    assert (ran.drained.operations_started, ran.drained.operations_abandoned) == (3, 3)
    assert 0.5 <= time.monotonic() - began_s < 3.0
    ran.check_against(page)


def test_a_load_released_before_its_start_has_made_nothing(page: LoadPage) -> None:
    """No operation, no window, and a closing report all the same."""
    ran = run_load(page, an_order(hold_s=60.0), saying(OK), (-LEAD_S / 2, WireLoadRun.release))
    assert (ran.drained.operations_started, ran.drained.connections_peak, ran.windows) == (0, 0, [])


def test_a_bug_of_our_own_ends_the_load_and_is_raised(page: LoadPage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception in a callback is neither logged and forgotten nor taken for the target's failure."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("our bug")

    monkeypatch.setattr("stress_scenarios.engines.wire_tally.OperationTally.count_failed", broken)
    with pytest.raises(ZeroDivisionError, match="our bug"):
        run_load(page, an_order(hold_s=60.0), saying_once(b"garbage"))


# Against a server that was written by others -------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.parametrize("per_session", [20, 1_000_000])
def test_nginx_counts_what_we_count(page: LoadPage, nginx: NginxServer, per_session: int) -> None:
    """Every operation and every connection, without a pace, with and without churn, beyond nginx's own limit of 1,000."""
    order = unpaced(an_order(port=nginx.port, connections=4, per_session=per_session, hold_s=0.5))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ran = runner.run(make_load(page, order))
    drained = ran.drained
    assert drained.operations_succeeded == drained.operations_started > 1000
    lines = nginx.requests(at_least=drained.operations_started)
    assert len(lines) == drained.operations_started
    connections = {line.remote_port for line in lines}
    assert len(connections) == drained.connections_opened
    ran.check_against(page)


KILLED_LOAD = """
import asyncio, sys, time, uvloop
from baseline_metrics.load_page import LoadPage
from stress_scenarios.engines.wire_engine import WireEngine
from stress_scenarios.engines.wire_load_run import WireLoadRun
from stress_scenarios.scenario import ready_requests
from tests.stress_scenarios.orders import an_order, unpaced

async def main():
    page = LoadPage(sys.argv[1])
    order = unpaced(an_order(port=int(sys.argv[2]), connections=8, per_session=50, hold_s=30.0))
    engine = WireEngine()
    engine.prepare(target=order.target, requests=ready_requests(order), response_bytes_max=1 << 20)
    run = WireLoadRun(worker=0, order=order, engine=engine, page=page, next_sequence=lambda: 0, send=lambda _: None)
    await run.run(time.monotonic())

uvloop.run(main())
"""


@pytest.mark.process
def test_the_page_is_exact_after_sigkill(page: LoadPage, nginx: NginxServer) -> None:
    """What nginx saw lies between what was answered and what was started, and these differ by what was in flight."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_LOAD, page.path, str(nginx.port)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        hang_s = time.monotonic() + 30.0
        while page.operation(0).succeeded < 2000:
            assert time.monotonic() < hang_s, "no load was made"
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    counts = page.operation(0)
    time.sleep(0.1)
    lines = nginx.requests(at_least=counts.succeeded)
    assert counts.succeeded <= len(lines) <= counts.started
    assert counts.failed == 0
    assert 0 <= counts.started - counts.succeeded <= 8


# The alarm ----------------------------------------------------------------------------------------------------------


def test_an_alarm_rings_soon_after_its_instant_and_never_before() -> None:
    """Also for an instant that has passed, and not at all when it was put off."""

    async def work() -> list[int]:
        late: list[int] = []
        alarm = Alarm(lambda: late.append(now_us() - wanted_us))
        for ahead_us in (-1000, 0, 300, 5_000, 20_700):
            wanted_us = now_us() + ahead_us
            alarm.set(wanted_us)
            await asyncio.sleep(max(0.0, ahead_us / 1e6) + 0.03)
        alarm.set(now_us() + 10_000)
        alarm.set(NEVER_US)
        await asyncio.sleep(0.03)
        alarm.close()
        return late

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        late = runner.run(work())
    assert len(late) == 5
    assert all(late_us >= 0 for late_us in late)
    assert median(late) < 5_000
