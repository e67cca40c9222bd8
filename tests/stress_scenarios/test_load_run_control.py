"""A running load that is changed, held and let go on, on virtual time."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from baseline_metrics.load_page import LoadPage
from stress_scenarios.load_plan import Arrivals, ConstantRate, LoadOrder, Spacing, Thinking
from stress_scenarios.load_run import LoadRun
from stress_scenarios.scenario import Passed
from stress_scenarios.session_program import LoadOver, Starts
from tests.stress_scenarios.fake_engine import FakeEngine
from tests.stress_scenarios.load_rig import max_s, permit, run_load
from tests.stress_scenarios.orders import an_order, unpaced
from tests.stress_scenarios.virtual_time import START_S


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LoadPage]:
    """A page with a lease that lasts, at full share."""
    page = LoadPage(str(tmp_path / "page"), create=True)
    permit(page, 1.0)
    yield page
    page.close()


def paced(order: LoadOrder) -> LoadOrder:
    """The order as it is: five connections, twice a second each."""
    return order


def arriving(order: LoadOrder) -> LoadOrder:
    """The same rate as arrivals."""
    pace = Arrivals(shape=ConstantRate(per_s=10.0), spacing=Spacing.EVEN, start_within_s=1.0, part=0, parts=1)
    return replace(order, pace=pace)


def thinking(order: LoadOrder) -> LoadOrder:
    """Half a second of thought."""
    return replace(order, pace=Thinking(seconds_min=0.5, seconds_max=0.5))


Model = Callable[[LoadOrder], LoadOrder]

MODELS = pytest.mark.parametrize("model", [paced, arriving, thinking, unpaced], ids=lambda model: model.__name__)


def starts_between(engine: FakeEngine, from_s: float, to_s: float) -> int:
    """Starts at seconds after the load's."""
    return sum(1 for at_s, _ in engine.starts if from_s <= at_s - START_S < to_s)


# Hold ---------------------------------------------------------------------------------------------------------------


@MODELS
def test_a_hold_moves_the_end_away_and_starts_nothing(page: LoadPage, model: Model) -> None:
    """Held from 4 to 24 s, a load of ten seconds ends at 30 s, with as many operations as without."""
    order = model(an_order(connections=5, rate=2.0, hold_s=10.0))
    plain = run_load(page, order, FakeEngine())
    engine = FakeEngine()
    ran = run_load(page, order, engine, (4.0, lambda run: run.hold()), (24.0, lambda run: run.resume()))
    assert starts_between(engine, 4.001, 23.999) == 0
    assert ran.drained.operations_started == pytest.approx(plain.drained.operations_started, abs=5)
    assert ran.drained.last_end_mono_s - START_S == pytest.approx(30.0, abs=0.6)
    assert ran.drained.operations_dropped == 0
    assert ran.windows[-1].operations_due <= ran.drained.operations_requested
    assert max_s(ran.response) < 0.3
    assert len(ran.windows) >= 30


@MODELS
def test_after_a_hold_nothing_is_made_up_for(page: LoadPage, model: Model) -> None:
    """The first second after it has no more than any other."""
    order = model(an_order(connections=5, rate=2.0, hold_s=10.0))
    engine = FakeEngine(takes_s=lambda _: 0.25)
    run_load(page, order, engine, (4.0, lambda run: run.hold()), (24.0, lambda run: run.resume()))
    seconds = Counter(int(at_s - START_S) for at_s, _ in engine.starts)
    assert max(seconds[second] for second in (24, 25, 26)) <= max(seconds[second] for second in range(1, 4)) + 1


def test_due_stands_still_while_held_and_not_while_eased(page: LoadPage) -> None:
    """A hold is a person's and counts as no load that was missed; what the guardian prevents stays due."""
    order = an_order(connections=5, rate=2.0, hold_s=10.0)
    ran = run_load(
        page,
        order,
        FakeEngine(),
        (2.6, lambda run: run.hold()),
        (5.6, lambda run: run.resume()),
        (7.0, lambda _: permit(page, 0.0)),
    )
    assert [window.operations_due for window in ran.windows] == [15, 25, 30, 30, 30, 35, 45, 55, 65, 75, 85, 95, 100]
    assert ran.drained.operations_started == pytest.approx(45, abs=5)


def test_holding_twice_is_holding_once(page: LoadPage) -> None:
    """And going on without a hold is nothing."""
    engine = FakeEngine()
    order = an_order(rate=2.0, hold_s=4.0)
    hold = [(at_s, LoadRun.hold) for at_s in (1.0, 2.0)]
    go_on = [(at_s, LoadRun.resume) for at_s in (0.5, 3.0, 3.5)]
    ran = run_load(page, order, engine, *hold, *go_on)
    assert ran.drained.operations_started == 8
    assert engine.starts[-1][0] - START_S == pytest.approx(5.5)


def test_easing_under_a_hold_holds_on(page: LoadPage) -> None:
    """The guardian's share comes and goes; only a person lets the load go on, and then at the share of that time."""
    engine = FakeEngine()
    order = an_order(connections=4, rate=5.0, hold_s=20.0)
    run_load(
        page,
        order,
        engine,
        (2.0, lambda run: run.hold()),
        (3.0, lambda _: permit(page, 0.0)),
        (4.0, lambda _: permit(page, 0.5)),
        (6.0, lambda run: run.resume()),
    )
    assert starts_between(engine, 2.001, 5.999) == 0
    assert starts_between(engine, 5.999, 16.0) == pytest.approx(100, abs=4)


def test_a_release_ends_a_hold(page: LoadPage) -> None:
    """Nothing more is started, and the load drains."""
    engine = FakeEngine()
    ran = run_load(
        page, an_order(rate=2.0, hold_s=60.0), engine, (1.2, lambda run: run.hold()), (3.0, lambda run: run.release())
    )
    assert ran.drained.operations_started == 3
    assert ran.windows[-1].end_mono_s - START_S == pytest.approx(3.0, abs=0.01)


def test_changes_after_the_end_change_nothing(page: LoadPage) -> None:
    """An order that crosses the end of the load finds it draining."""
    engine = FakeEngine(takes_s=lambda _: 1.5)

    def change(run: LoadRun) -> None:
        run.hold()
        run.adjust(operations_per_s=100.0, connections=100)
        run.resume()

    ran = run_load(page, an_order(rate=1.0, hold_s=1.0), engine, (1.2, change))
    assert (ran.drained.operations_started, ran.drained.operations_requested) == (1, 1)


# Adjust -------------------------------------------------------------------------------------------------------------


def test_a_paced_load_takes_another_rate_within_an_interval(page: LoadPage) -> None:
    """Five at two a second, then at eight, then at one: counts follow, without a burst between, and due agrees."""
    engine = FakeEngine()
    order = an_order(connections=5, rate=2.0, hold_s=30.0)
    ran = run_load(
        page,
        order,
        engine,
        (10.0, lambda run: run.adjust(operations_per_s=8.0, connections=5)),
        (20.0, lambda run: run.adjust(operations_per_s=1.0, connections=5)),
    )
    assert starts_between(engine, 0.0, 10.0) == 100
    assert starts_between(engine, 10.0, 20.0) == pytest.approx(400, abs=10)
    assert starts_between(engine, 20.0, 30.0) == pytest.approx(50, abs=6)
    assert ran.drained.operations_requested == ran.windows[-1].operations_due == pytest.approx(550, abs=11)
    assert ran.drained.operations_started == pytest.approx(ran.drained.operations_requested, abs=1)
    assert max_s(ran.schedule_lag) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("model", [paced, thinking, unpaced], ids=lambda model: model.__name__)
def test_connections_join_and_leave_a_running_load(page: LoadPage, model: Model) -> None:
    """Two, then six, then one, then three: as many are connected, and those too many leave after their operation."""
    order = model(an_order(connections=2, rate=2.0, hold_s=20.0))
    engine = FakeEngine(takes_s=lambda _: 0.1)
    ran = run_load(
        page,
        order,
        engine,
        *(
            (at_s, partial(LoadRun.adjust, operations_per_s=2.0, connections=wanted))
            for at_s, wanted in ((5.0, 6), (10.0, 1), (15.0, 3))
        ),
    )
    assert [ran.windows[second].connections_open for second in (3, 8, 13, 18)] == [2, 6, 1, 3]
    assert ran.drained.operations_abandoned == 0
    assert ran.drained.operations_failed == 0
    if model is paced:
        assert ran.drained.operations_started == pytest.approx(20 + 60 + 10 + 30, abs=4)
        assert ran.drained.operations_started == pytest.approx(ran.drained.operations_requested, abs=4)


def test_a_connection_that_was_to_leave_stays_when_it_is_wanted_again(page: LoadPage) -> None:
    """Down to one and up again within one operation: nobody is there twice."""
    engine = FakeEngine(takes_s=lambda _: 2.0)
    ran = run_load(
        page,
        unpaced(an_order(connections=3, hold_s=10.0)),
        engine,
        (3.0, lambda run: run.adjust(operations_per_s=1.0, connections=1)),
        (3.5, lambda run: run.adjust(operations_per_s=1.0, connections=3)),
    )
    assert (ran.drained.connections_peak, ran.drained.connections_opened) == (3, 3)


def test_nobody_is_wanted_any_more(page: LoadPage) -> None:
    """No connection at all for a while is a load of nothing, until there are some again."""
    engine = FakeEngine()
    run_load(
        page,
        an_order(connections=3, rate=2.0, hold_s=15.0),
        engine,
        (5.0, lambda run: run.adjust(operations_per_s=2.0, connections=0)),
        (10.0, lambda run: run.adjust(operations_per_s=2.0, connections=2)),
    )
    assert starts_between(engine, 5.001, 10.0) == 0
    assert starts_between(engine, 10.0, 15.0) == pytest.approx(20, abs=2)


def test_arrivals_take_another_rate_at_once(page: LoadPage) -> None:
    """Ten a second, then forty, then none, then five."""
    engine = FakeEngine()
    ran = run_load(
        page,
        arriving(an_order(connections=50, hold_s=20.0)),
        engine,
        (5.0, lambda run: run.adjust(operations_per_s=40.0, connections=50)),
        (10.0, lambda run: run.adjust(operations_per_s=0.0, connections=50)),
        (15.0, lambda run: run.adjust(operations_per_s=5.0, connections=50)),
    )
    assert [starts_between(engine, at_s, at_s + 5.0) for at_s in (0.0, 5.0, 10.0, 15.0)] == [50, 200, 0, 25]
    assert ran.drained.operations_requested == ran.drained.operations_started == 275
    first = min(at_s - START_S for at_s, _ in engine.starts if at_s - START_S > 5.0)
    assert first - 5.0 <= 0.1


def test_arrivals_take_another_number_of_connections(page: LoadPage) -> None:
    """Ten a second of a second each need ten; with four allowed, four are open, and the rest is dropped; then ten again."""
    engine = FakeEngine(takes_s=lambda _: 0.95)
    order = arriving(an_order(connections=20, hold_s=24.0))
    ran = run_load(
        page,
        order,
        engine,
        (8.0, lambda run: run.adjust(operations_per_s=10.0, connections=4)),
        (16.0, lambda run: run.adjust(operations_per_s=10.0, connections=20)),
    )
    assert [ran.windows[second].connections_open for second in (5, 13)] == [10, 4]
    assert ran.windows[7].operations_dropped == 0
    assert ran.windows[15].operations_dropped == pytest.approx(38, abs=8)
    assert ran.windows[-1].operations_dropped <= ran.windows[15].operations_dropped + 10


# Programs -----------------------------------------------------------------------------------------------------------


class Reader:
    """A user who looks, thinks for a second, and looks again; a session is two looks."""

    def __init__(self, connection: int, seen: list[tuple[str, float]]) -> None:
        self.connection = connection
        self.seen = seen

    async def run_session(self, starts: Starts) -> None:
        """One session."""
        self.seen.append(("begins", 0.0))
        try:
            for _ in range(2):
                due_s = await starts.next()
                assert await starts.next() == due_s
                starts.started(0)
                self.seen.append(("starts", due_s - START_S))
                starts.ended(0, Passed(), 10)
                await starts.think(1.0)
        except LoadOver:
            self.seen.append(("is over", 0.0))
            raise


def test_a_program_gets_its_starts_and_its_thoughts(page: LoadPage) -> None:
    """Sessions follow one another; pace and count are the load run's; the end comes as LoadOver."""
    seen: list[tuple[str, float]] = []
    order = an_order(rate=2.0, hold_s=4.0)
    ran = run_load(page, order, FakeEngine(), make_program=lambda connection: Reader(connection, seen))
    assert [round(at_s, 6) for what, at_s in seen if what == "starts"] == [0.0, 0.5, 1.0, 1.5]
    assert [what for what, _ in seen if what != "starts"] == ["begins", "begins", "is over"]
    assert ran.drained.operations_succeeded == 4
    assert sum(window.bytes_received for window in ran.windows) == 40
    assert max_s(ran.schedule_lag) == pytest.approx(0.0, abs=1e-6)
    assert max_s(ran.response) == pytest.approx(1.5, abs=1e-6)


def test_thoughts_take_longer_while_eased_and_no_end_while_held(page: LoadPage) -> None:
    """A second of thought is a second of load time."""
    seen: list[tuple[str, float]] = []
    permit(page, 0.5)
    order = unpaced(an_order(hold_s=20.0))
    run_load(
        page,
        order,
        FakeEngine(),
        (5.0, lambda run: run.hold()),
        (15.0, lambda run: run.resume()),
        make_program=lambda connection: Reader(connection, seen),
    )
    starts = [at_s for what, at_s in seen if what == "starts"]
    assert starts[:5] == pytest.approx([0.0, 2.0, 4.0, 16.0, 18.0], abs=0.02)


def test_a_program_that_asks_for_nothing_is_our_bug(page: LoadPage) -> None:
    """It would be called again without end."""

    class Idle:
        async def run_session(self, starts: Starts) -> None:
            """Do nothing."""

    with pytest.raises(AssertionError, match="asked for no start"):
        run_load(page, an_order(), FakeEngine(), make_program=lambda _: Idle())


def test_a_thought_that_outlasts_the_load_ends_with_it(page: LoadPage) -> None:
    """The session hears that the load is over while it thinks."""
    heard: list[float] = []

    class Sleepy:
        async def run_session(self, starts: Starts) -> None:
            """Think for ever."""
            await starts.next()
            starts.started(0)
            starts.ended(0, Passed(), 0)
            try:
                await starts.think(math.inf)
            except LoadOver:
                heard.append(1.0)
                raise

    ran = run_load(page, an_order(hold_s=2.0), FakeEngine(), make_program=lambda _: Sleepy())
    assert heard == [1.0]
    assert ran.windows[-1].end_mono_s - START_S == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("adjusts", [0, 1, 9])
def test_changes_to_the_same_pace_lose_no_start(page: LoadPage, adjusts: int) -> None:
    """Also those that come while operations are in flight, of which each takes most of its interval."""
    order = an_order(connections=5, rate=2.0, hold_s=10.0)
    engine = FakeEngine(takes_s=lambda _: 0.35)
    same = partial(LoadRun.adjust, operations_per_s=2.0, connections=5)
    ran = run_load(page, order, engine, *((0.93 * (number + 1), same) for number in range(adjusts)))
    assert ran.drained.operations_started == ran.drained.operations_requested == 100


class ImpatientProgram:
    """Gives up waiting for a start again and again, and is busy with one of its own meanwhile."""

    def __init__(self, connection: int) -> None:
        self.connection = connection

    async def run_session(self, starts: Starts) -> None:
        """A few starts."""
        for _ in range(5):
            try:
                await asyncio.wait_for(starts.next(), 0.017)
            except TimeoutError:
                await asyncio.sleep(0.35)
                await starts.next()
            starts.started(0)
            await asyncio.sleep(0.1)
            starts.ended(0, Passed(), 0)


def test_a_user_that_gives_up_waiting_gets_no_arrival_while_it_is_busy(page: LoadPage) -> None:
    """Its arrivals are others', and each is started or dropped."""
    order = arriving(an_order(connections=20, hold_s=10.0))
    ran = run_load(page, order, FakeEngine(), make_program=ImpatientProgram)
    drained = ran.drained
    assert drained.operations_requested == 100
    assert drained.operations_started == drained.operations_succeeded == 100
    assert max_s(ran.response) == pytest.approx(0.1, abs=0.001)
