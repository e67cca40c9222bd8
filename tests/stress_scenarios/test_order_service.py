"""Orders one after another, and orders that make no sense, on virtual time."""

import asyncio
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pytest

from baseline_metrics.load_page import OPERATIONS_MAX, LoadPage
from baseline_metrics.redaction import HIDDEN, forget_secrets
from stress_scenarios.hold_time import HOLD_S_MAX
from stress_scenarios.load_plan import (
    Arrivals,
    ConstantRate,
    ErrorClass,
    HeaderField,
    LoadOrder,
    RateShape,
    ReplayRate,
    Spacing,
    Thinking,
)
from stress_scenarios.load_run import LoadRun
from stress_scenarios.messages import (
    Adjust,
    Continue,
    Drained,
    Go,
    Held,
    Hold,
    Leave,
    Order,
    Prepare,
    Prepared,
    Release,
    Report,
    WindowReport,
)
from stress_scenarios.order_service import CONNECTIONS_MAX, ORDERS_WAITING_MAX, OrderError, OrderService
from stress_scenarios.scenario import Failed
from stress_scenarios.sleepers import LoopTimer
from tests.stress_scenarios.fake_engine import FakeEngine
from tests.stress_scenarios.orders import Operation, an_order
from tests.stress_scenarios.virtual_time import START_S, run_virtually


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LoadPage]:
    """A page that permits everything."""
    page = LoadPage(str(tmp_path / "page"), create=True)
    page.grant(lease_until_mono_ns=time.monotonic_ns() + 10**15, share=1.0)
    yield page
    page.close()


@pytest.fixture(autouse=True)
def no_backstop(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Keep the kernel's alarm away from the test process; returns what would have been armed, 0 for disarmed."""
    armed: list[float] = []
    monkeypatch.setattr("stress_scenarios.order_service.arm_backstop", armed.append)
    monkeypatch.setattr("stress_scenarios.order_service.disarm_backstop", lambda: armed.append(0.0))
    return armed


def serve(page: LoadPage, *timed: tuple[float, Order], engine: FakeEngine | None = None) -> list[Report]:
    """Give orders at seconds after START_S until Leave; returns all reports."""
    reports: list[Report] = []

    async def work() -> None:
        chosen = engine or FakeEngine()
        make_run = partial(LoadRun, worker=2, engine=chosen, page=page, make_timer=LoopTimer)
        service = OrderService(worker=2, engine=chosen, make_run=make_run, page=page, send=reports.append)
        loop = asyncio.get_running_loop()

        def accept_all(orders: list[Order]) -> None:
            for order in orders:
                service.accept(order)

        for at_s, together in groupby(timed, key=itemgetter(0)):
            loop.call_at(START_S + at_s, accept_all, [order for _, order in together])
        await service.serve()

    run_virtually(work())
    return reports


def without_windows(reports: list[Report]) -> list[Report]:
    """The reports that are not telemetry."""
    return [report for report in reports if not isinstance(report, WindowReport)]


def test_segments_follow_one_another_on_one_worker(page: LoadPage, no_backstop: list[float]) -> None:
    """Reports count within their segment, the page over the worker's life; sequences rise throughout."""
    first = an_order(rate=10.0, hold_s=2.0, segment=4)
    second = an_order(Operation(), Operation(path="/b"), rate=10.0, hold_s=3.0, segment=5)
    reports = serve(
        page,
        (0.0, Prepare(order=first)),
        (0.1, Go(segment=4, start_mono_s=START_S + 1.0)),
        (10.0, Prepare(order=second)),
        (10.1, Go(segment=5, start_mono_s=START_S + 11.0)),
        (20.0, Leave()),
    )
    prepared_4, drained_4, prepared_5, drained_5 = without_windows(reports)
    assert (prepared_4, prepared_5) == (Prepared(worker=2, segment=4), Prepared(worker=2, segment=5))
    assert isinstance(drained_4, Drained)
    assert isinstance(drained_5, Drained)
    assert (drained_4.operations_succeeded, drained_5.operations_succeeded) == (20, 30)
    assert (drained_4.connections_opened, drained_5.connections_opened) == (2, 3)
    assert page.operation(0).succeeded + page.operation(1).succeeded == 50
    assert (page.operations_due, page.connections_opened, page.connections_open) == (50, 5, 0)
    windows = [report for report in reports if isinstance(report, WindowReport)]
    assert [window.sequence for window in windows] == list(range(1, len(windows) + 1))
    assert [window.operations_started for window in windows if window.segment == 5][-1] == 30
    assert no_backstop == [pytest.approx(0.9 + 2.0 + 2.0 + 60.0), 0.0, pytest.approx(0.9 + 3.0 + 2.0 + 60.0), 0.0]


def test_the_heartbeat_goes_on_with_and_without_load(page: LoadPage) -> None:
    """The page is written at least every 50 ms, idle or loaded."""
    seen: list[int] = []

    async def work() -> None:
        engine = FakeEngine()
        make_run = partial(LoadRun, worker=2, engine=engine, page=page, make_timer=LoopTimer)
        service = OrderService(worker=2, engine=engine, make_run=make_run, page=page, send=lambda _: None)
        loop = asyncio.get_running_loop()
        service.accept(Prepare(order=an_order(hold_s=1.0)))
        service.accept(Go(segment=0, start_mono_s=START_S + 0.5))
        for step in range(1, 60):
            loop.call_at(START_S + step * 0.05, lambda: seen.append(page.heartbeat_mono_ns))
        loop.call_at(START_S + 3.0, service.accept, Leave())
        await service.serve()

    run_virtually(work())
    assert len(set(seen)) == len(seen) == 59


def test_a_release_drains_and_a_late_one_is_no_fault(page: LoadPage) -> None:
    """Releasing early ends the load; a Release that crosses the worker's own Drained is ignored."""
    reports = serve(
        page,
        (0.0, Prepare(order=an_order(rate=10.0, hold_s=60.0))),
        (0.1, Go(segment=0, start_mono_s=START_S + 1.0)),
        (3.05, Release(segment=0)),
        (9.0, Release(segment=0)),
        (10.0, Leave()),
    )
    (drained,) = [report for report in reports if isinstance(report, Drained)]
    assert (drained.operations_requested, drained.operations_succeeded) == (600, 21)
    assert isinstance(reports[-1], Drained)


def test_a_release_before_go_drains_at_once(page: LoadPage) -> None:
    """A prepared load that is not wanted any more has made nothing."""
    reports = serve(page, (0.0, Prepare(order=an_order())), (0.1, Release(segment=0)), (0.2, Leave()))
    drained = reports[-1]
    assert isinstance(drained, Drained)
    assert (drained.operations_requested, drained.operations_started) == (10, 0)


PREPARED = (0.0, Prepare(order=an_order(hold_s=60.0)))
GONE = (0.1, Go(segment=0, start_mono_s=START_S + 0.2))


@pytest.mark.parametrize(
    ("orders", "complaint"),
    [
        (((0.0, Go(segment=0, start_mono_s=0.0)),), "Go for segment 0, which is not prepared"),
        ((PREPARED, (0.1, Go(segment=1, start_mono_s=0.0))), "Go for segment 1"),
        ((PREPARED, GONE, (0.3, Go(segment=0, start_mono_s=0.0))), "Go for segment 0"),
        ((PREPARED, GONE, (0.3, Prepare(order=an_order(segment=1)))), "while segment 0 runs"),
        ((PREPARED, GONE, (0.3, Release(segment=1))), "Release of segment 1"),
        (((0.0, Release(segment=0)),), "Release of segment 0"),
        (((0.0, Hold(segment=0)),), "Hold of segment 0, which does not run"),
        ((PREPARED, (0.1, Hold(segment=0))), "Hold of segment 0, which does not run"),
        ((PREPARED, (0.1, Adjust(segment=0, operations_per_s=1.0, connections=1))), "Adjust of segment 0"),
        ((PREPARED, GONE, (0.3, Continue(segment=1))), "Continue of segment 1, which does not run"),
        ((PREPARED, GONE, (0.3, Adjust(segment=0, operations_per_s=0.0, connections=1))), "must be above 0"),
        ((PREPARED, GONE, (0.3, Adjust(segment=0, operations_per_s=math.nan, connections=1))), "to nan operations"),
        ((PREPARED, GONE, (0.3, Adjust(segment=0, operations_per_s=1.0, connections=-1))), "to -1 connections"),
        (
            (PREPARED, GONE, (0.3, Adjust(segment=0, operations_per_s=1.0, connections=CONNECTIONS_MAX + 1))),
            "to 65536 connections",
        ),
        (tuple((0.0, Release(segment=0)) for _ in range(ORDERS_WAITING_MAX + 1)), "orders wait"),
    ],
)
def test_an_order_that_does_not_fit_the_state_ends_the_service(
    page: LoadPage, orders: tuple[tuple[float, Order], ...], complaint: str
) -> None:
    """Guessing would falsify the record, so the worker ends instead."""
    with pytest.raises(OrderError, match=complaint):
        serve(page, *orders)


def arriving(
    shape: RateShape | None = None, *, start_within_s: float = 1.0, part: int = 0, parts: int = 1
) -> LoadOrder:
    """An order of an open model, ten a second."""
    pace = Arrivals(
        shape=shape or ConstantRate(per_s=10.0),
        spacing=Spacing.EVEN,
        start_within_s=start_within_s,
        part=part,
        parts=parts,
    )
    return replace(an_order(connections=5, hold_s=10.0), pace=pace)


@pytest.mark.parametrize(
    ("order", "complaint"),
    [
        (replace(an_order(), operations=()), "0 operations"),
        (arriving(ConstantRate(per_s=-1.0)), "rate is -1"),
        (arriving(part=1), "part 1 of 1"),
        (arriving(start_within_s=0.0), "start within 0.0 s"),
        (arriving(ReplayRate(path="/no/such/times.csv", sha256="")), "/no/such/times.csv cannot be read"),
        (replace(an_order(), pace=Thinking(seconds_min=2.0, seconds_max=1.0)), "think times from 2.0 s to 1.0 s"),
        (an_order(connections=CONNECTIONS_MAX + 1), "65536 connections"),
        (an_order(*[Operation()] * (OPERATIONS_MAX + 1)), "65 operations"),
        (an_order(connections=0), "connections"),
        (an_order(connections=2, connections_total=1), "connections"),
        (an_order(per_session=0), "per session"),
        (an_order(rate=0.0), "per second"),
        (an_order(hold_s=0.0), "a hold of 0.0 s"),
        (an_order(drain_s=-1.0), "a drain of -1.0 s"),
        (an_order(Operation(path="oops")), "slash"),
        (an_order(Operation(weight=0.0)), "weights"),
    ],
)
def test_an_order_that_makes_no_sense_ends_the_service(page: LoadPage, order: object, complaint: str) -> None:
    """The message says what is impossible about it."""
    assert isinstance(order, type(an_order()))
    with pytest.raises(OrderError, match=complaint):
        serve(page, (0.0, Prepare(order=order)))


BEGIN = ((0.0, Prepare(order=arriving())), (0.1, Go(segment=0, start_mono_s=START_S + 1.0)))


def drained_of(reports: list[Report]) -> Drained:
    """The one closing report."""
    (drained,) = [report for report in reports if isinstance(report, Drained)]
    return drained


def test_a_running_load_is_changed_held_and_let_go_on(page: LoadPage, no_backstop: list[float]) -> None:
    """Five seconds at ten a second, three of nothing, five at forty; the kernel's alarm follows the hold."""
    reports = serve(
        page,
        *BEGIN,
        (6.0, Hold(segment=0)),
        (9.0, Continue(segment=0)),
        (9.0, Adjust(segment=0, operations_per_s=40.0, connections=9)),
        (20.0, Leave()),
    )
    assert [report for report in reports if isinstance(report, Held)] == [Held(worker=2, segment=0)]
    drained = drained_of(reports)
    assert (drained.operations_started, drained.operations_requested) == (250, 250)
    assert drained.last_end_mono_s - START_S == pytest.approx(14.0, abs=0.05)
    lasts_s = 0.9 + 10.0 + 2.0 + 60.0
    assert no_backstop == pytest.approx([lasts_s, lasts_s - 5.9 + HOLD_S_MAX, lasts_s - 5.9, 0.0], abs=0.01)


def test_orders_that_come_together_are_carried_out_in_their_order(page: LoadPage) -> None:
    """A Hold right behind its Go holds the load before it begins."""
    reports = serve(
        page,
        BEGIN[0],
        (0.1, Go(segment=0, start_mono_s=START_S + 0.2)),
        (0.1, Hold(segment=0)),
        (5.0, Continue(segment=0)),
        (20.0, Leave()),
    )
    drained = drained_of(reports)
    assert drained.operations_started == 100
    assert drained.first_start_mono_s - START_S == pytest.approx(5.05, abs=0.01)


def test_changes_that_cross_the_end_of_a_load_are_no_fault(page: LoadPage) -> None:
    """They come too late, as a Release may."""
    reports = serve(
        page,
        *BEGIN,
        *((15.0, order(segment=0)) for order in (Hold, Continue)),
        (15.0, Adjust(segment=0, operations_per_s=1.0, connections=1)),
        (16.0, Leave()),
    )
    assert drained_of(reports).operations_started == 100


@pytest.mark.parametrize(("again_s", "ends"), [(9.9, False), (10.5, True)])
def test_a_load_cannot_be_held_for_ever(
    page: LoadPage, monkeypatch: pytest.MonkeyPatch, again_s: float, *, ends: bool
) -> None:
    """All holds of a segment together have a bound; beyond it the segment ends, and the worker stays."""
    monkeypatch.setattr("stress_scenarios.order_service.HOLD_S_MAX", 60.0)
    reports = serve(
        page,
        *BEGIN,
        (2.0, Hold(segment=0)),
        (52.0, Continue(segment=0)),
        (53.0, Hold(segment=0)),
        (53.0 + again_s, Continue(segment=0)),
        (100.0, Leave()),
    )
    drained = drained_of(reports)
    assert drained.operations_started == (20 if ends else 100)
    assert drained.operations_requested == 100


def test_the_most_operations_that_a_page_has_room_for_are_accepted(page: LoadPage) -> None:
    """Exactly OPERATIONS_MAX operations run."""
    order = an_order(*[Operation()] * OPERATIONS_MAX, rate=64.0, hold_s=1.0)
    reports = serve(page, (0.0, Prepare(order=order)), (0.1, Go(segment=0, start_mono_s=START_S + 0.2)), (5.0, Leave()))
    assert isinstance(reports[-1], Drained)
    assert [page.operation(index).succeeded for index in range(OPERATIONS_MAX)] == [1] * OPERATIONS_MAX


def test_an_engine_that_cannot_prepare_ends_the_service_with_its_words(page: LoadPage) -> None:
    """What the engine says to change is passed on."""
    with pytest.raises(OrderError, match="write another file"):
        serve(page, PREPARED, engine=FakeEngine(refuse="write another file"))


def test_a_secret_of_the_order_is_hidden_from_its_reports(page: LoadPage) -> None:
    """From Prepare on, in headers of target and operation: a target that echoes a request must not have it stored."""
    operation = Operation(
        headers=(HeaderField(name="X-Query", value="q=SecretTokenAbcdef", secrets=("SecretTokenAbcdef",)),)
    )
    order = an_order(operation, rate=10.0, hold_s=1.0)
    field = HeaderField(name="Authorization", value="Bearer AnotherSecret", secrets=("AnotherSecret",))
    order = replace(order, target=replace(order.target, headers=(field,)))
    echo = Failed(error=ErrorClass.OTHER, message="you sent SecretTokenAbcdef and AnotherSecret")
    try:
        reports = serve(
            page,
            (0.0, Prepare(order=order)),
            (0.1, Go(segment=order.segment, start_mono_s=START_S + 1.0)),
            (10.0, Leave()),
            engine=FakeEngine(judge=lambda _: echo),
        )
    finally:
        forget_secrets()
    messages = {error.message for report in reports if isinstance(report, WindowReport) for error in report.errors}
    assert messages == {f"you sent {HIDDEN} and {HIDDEN}"}


def test_a_bug_during_the_load_ends_the_service(page: LoadPage) -> None:
    """An exception out of the load is not lost in a task."""

    def broken(_: int) -> float:
        raise ZeroDivisionError("our bug")

    with pytest.raises(ZeroDivisionError):
        serve(page, PREPARED, GONE, engine=FakeEngine(takes_s=broken))
