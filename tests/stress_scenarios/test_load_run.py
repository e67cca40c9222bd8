"""One segment's load on virtual time: counts, sessions, easing, draining."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from baseline_metrics.load_page import LoadPage
from baseline_metrics.samples import Sample
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import ErrorClass, LoadOrder
from stress_scenarios.load_run import LoadRun
from stress_scenarios.loop_pulse import LoopPulse
from stress_scenarios.messages import Drained, WindowReport
from stress_scenarios.scenario import Failed, Passed
from tests.stress_scenarios.fake_engine import FakeEngine
from tests.stress_scenarios.orders import Operation, an_order, unpaced
from tests.stress_scenarios.virtual_time import START_S, run_virtually

FAR_AWAY_NS = 10**15


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
        merged = Histogram()
        for window in self.windows:
            for operation in window.operations:
                merged.merge(Histogram.decode(operation.response_succeeded))
        return merged


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LoadPage]:
    """A page with a lease that lasts, at full share."""
    page = LoadPage(str(tmp_path / "page"), create=True)
    permit(page, 1.0)
    yield page
    page.close()


def permit(page: LoadPage, share: float) -> None:
    """Permit a share, with a lease far beyond any test."""
    page.grant(lease_until_mono_ns=time.monotonic_ns() + FAR_AWAY_NS, share=share)


def run_load(
    page: LoadPage,
    order: LoadOrder,
    engine: FakeEngine,
    *events: tuple[float, Callable[[LoadRun], None]],
    start_s: float = START_S,
) -> Ran:
    """Run a load on virtual time; events happen at seconds after its start."""
    windows: list[WindowReport] = []

    async def work() -> Drained:
        run = LoadRun(worker=0, order=order, engine=engine, page=page, next_sequence=lambda: 0, send=windows.append)
        pulse = LoopPulse(lambda now_s, lag_s: run.turn(now_s, lag_s=lag_s))
        for at_s, act in events:
            asyncio.get_running_loop().call_at(start_s + at_s, act, run)
        try:
            return await run.run(start_s)
        finally:
            pulse.stop()

    return Ran(run_virtually(work()), windows)


def test_everything_requested_is_started_and_counted_once(page: LoadPage) -> None:
    """Order, page, windows and closing report agree on every count."""
    order = an_order(connections=5, rate=4.0, per_session=7, ramp_s=10.0, hold_s=50.0)
    engine = FakeEngine()
    ran = run_load(page, order, engine)
    requested = ran.drained.operations_requested
    assert requested == len(engine.starts) == ran.succeeded == page.operation(0).succeeded == 1120
    assert ran.drained.operations_started == ran.drained.operations_succeeded == requested
    assert (ran.drained.operations_failed, ran.drained.operations_abandoned) == (0, 0)
    assert ran.drained.connections_peak == 5
    assert page.operation(0).bytes_received == sum(window.bytes_received for window in ran.windows) == 100 * requested
    assert ran.windows[-1].operations_due == requested
    assert engine.connections.open == 0


def test_windows_are_seconds_from_the_start_without_gaps(page: LoadPage) -> None:
    """Each window begins where the last one ended, and a completion counts where it completed."""
    engine = FakeEngine(takes_s=lambda _: 0.3)
    ran = run_load(page, an_order(rate=1.0, hold_s=5.0), engine, start_s=START_S + 2.5)
    assert [window.start_mono_s - START_S for window in ran.windows] == [2.5, 3.5, 4.5, 5.5, 6.5]
    assert [window.end_mono_s - START_S for window in ran.windows[:-1]] == [3.5, 4.5, 5.5, 6.5]
    assert [sum(operation.succeeded for operation in window.operations) for window in ran.windows] == [1] * 5
    assert [window.operations_due for window in ran.windows] == [2, 3, 4, 5, 5]


def test_a_session_ends_after_its_operations_and_a_new_one_begins(page: LoadPage) -> None:
    """Two connections of 30 operations in sessions of 10 are six sessions, never more than two at once."""
    ran = run_load(page, an_order(connections=2, rate=10.0, per_session=10, hold_s=3.0), FakeEngine())
    assert (ran.drained.connections_opened, ran.drained.connections_peak) == (6, 2)


def test_sessions_of_one_operation_keep_all_connections_open(page: LoadPage) -> None:
    """A virtual user disconnects when its next operation is due, so as many are open as were asked for."""
    ran = run_load(page, an_order(connections=4, rate=1.0, per_session=1, hold_s=5.0), FakeEngine())
    assert (ran.drained.connections_opened, ran.drained.connections_peak) == (20, 4)


def test_the_mix_is_exact_over_all_connections(page: LoadPage) -> None:
    """Weights 3 and 1 give three quarters and one quarter."""
    order = an_order(Operation(weight=3.0), Operation(path="/b", weight=1.0), connections=3, rate=4.0, hold_s=10.0)
    engine = FakeEngine()
    run_load(page, order, engine)
    assert Counter(operation for _, operation in engine.starts) == {0: 90, 1: 30}
    assert (page.operation(0).started, page.operation(1).started) == (90, 30)


def test_response_time_counts_from_the_intended_start(page: LoadPage) -> None:
    """One operation of 2.5 s delays the next four: their waiting is in their response times, not in their service times."""
    engine = FakeEngine(takes_s=lambda number: 2.5 if number == 0 else 0.01)
    ran = run_load(page, an_order(rate=2.0, hold_s=10.0), engine)
    assert ran.drained.operations_started == 20
    assert ran.response.max_s == Sample(value=2.5)
    assert ran.response.count_above_s(0.4) == 5
    assert engine.starts[4][0] < START_S + 2.6


def test_failures_are_kept_apart_with_their_reason(page: LoadPage) -> None:
    """Every fifth operation fails: counted, timed and explained apart from the successes."""
    gone = Failed(error=ErrorClass.RESET, message="gone")
    ran = run_load(
        page, an_order(rate=10.0, hold_s=5.0), FakeEngine(judge=lambda number: gone if number % 5 == 0 else Passed())
    )
    assert (ran.drained.operations_succeeded, ran.drained.operations_failed) == (40, 10)
    assert (page.operation(0).succeeded, page.operation(0).failed) == (40, 10)
    assert ran.response.count == 40
    errors = [(error.error, error.message, error.count) for window in ran.windows for error in window.errors]
    assert errors == [(ErrorClass.RESET, "gone", 2)] * 5


@pytest.mark.parametrize(("share", "expected"), [(1.0, 300), (0.5, 150), (0.1, 30), (0.0, 0)])
def test_the_permitted_share_is_the_share_that_is_made(page: LoadPage, share: float, expected: int) -> None:
    """What is requested stays the plan's, eased or not."""
    permit(page, share)
    ran = run_load(page, an_order(connections=3, rate=10.0, hold_s=10.0), FakeEngine())
    assert ran.drained.operations_requested == 300
    assert ran.drained.operations_started == pytest.approx(expected, abs=3)
    assert sum(len(window.operations) > 0 for window in ran.windows) == (10 if expected else 0)
    assert ran.windows[-1].operations_due == 300


def test_a_pause_of_the_load_shows_and_leaves_no_burst(page: LoadPage) -> None:
    """While the share is 0 nothing starts; afterwards no second has more starts than the pace."""
    engine = FakeEngine()
    order = an_order(connections=4, rate=5.0, ramp_s=2.0, hold_s=28.0)
    run_load(page, order, engine, (10.0, lambda _: permit(page, 0.0)), (20.0, lambda _: permit(page, 1.0)))
    seconds = Counter(int(started_s - START_S) for started_s, _ in engine.starts)
    assert sum(1 for started_s, _ in engine.starts if 10.011 < started_s - START_S < 19.999) == 0
    assert all(seconds[second] <= 24 for second in range(20, 30)), seconds
    assert sum(seconds[second] for second in range(20, 30)) == pytest.approx(200, abs=8)


def test_a_lease_that_ran_out_permits_nothing(page: LoadPage) -> None:
    """Share 1 without a lease makes no load."""
    page.grant(lease_until_mono_ns=1, share=1.0)
    engine = FakeEngine()
    run_load(page, an_order(hold_s=2.0), engine)
    assert engine.starts == []


def test_a_release_starts_nothing_more_and_drains(page: LoadPage) -> None:
    """What is in flight ends and counts; requested stays the plan's, due stops at the release."""
    engine = FakeEngine(takes_s=lambda _: 0.5)
    ran = run_load(page, an_order(rate=1.0, hold_s=60.0), engine, (5.2, lambda run: run.release()))
    assert max(started_s for started_s, _ in engine.starts) == START_S + 5.0
    assert (ran.drained.operations_requested, ran.drained.operations_succeeded) == (60, 6)
    assert ran.drained.last_end_mono_s == START_S + 5.5
    assert ran.windows[-1].operations_due == 6
    assert ran.drained.operations_abandoned == 0


def test_what_does_not_drain_in_time_is_abandoned(page: LoadPage) -> None:
    """After drain_s what is still in flight is given up: neither a success nor a failure, and its connection is closed."""
    engine = FakeEngine(takes_s=lambda number: 3600.0 if number >= 8 else 0.01)
    ran = run_load(page, an_order(connections=2, rate=1.0, hold_s=10.0, drain_s=3.0), engine)
    assert (ran.drained.operations_succeeded, ran.drained.operations_abandoned) == (8, 2)
    assert page.operation(0).started - page.operation(0).succeeded - page.operation(0).failed == 2
    assert engine.connections.open == 0
    assert ran.windows[-1].end_mono_s == pytest.approx(START_S + 13.0, abs=0.01)


def test_nothing_starts_before_the_start(page: LoadPage) -> None:
    """Go names an instant in the future; the first operation starts there, and never earlier."""
    engine = FakeEngine()
    ran = run_load(page, an_order(hold_s=1.0), engine, start_s=START_S + 30.0)
    assert engine.starts[0][0] == ran.drained.first_start_mono_s == START_S + 30.0


def test_a_load_released_before_its_start_has_made_nothing(page: LoadPage) -> None:
    """No operation, no window, and a closing report all the same."""
    engine = FakeEngine()
    ran = run_load(page, an_order(hold_s=1.0), engine, (-10.0, lambda run: run.release()), start_s=START_S + 30.0)
    assert (ran.drained.operations_started, ran.drained.connections_peak, ran.windows) == (0, 0, [])
    assert ran.drained.first_start_mono_s == ran.drained.last_end_mono_s


def test_an_unpaced_load_goes_as_fast_as_the_target(page: LoadPage) -> None:
    """Ten operations of 100 ms a second and connection; requested is what was started."""
    ran = run_load(page, unpaced(an_order(connections=2, hold_s=5.0)), FakeEngine(takes_s=lambda _: 0.1))
    assert ran.drained.operations_started == ran.drained.operations_requested == pytest.approx(100, abs=2)


def test_a_bug_in_an_engine_ends_the_load_and_is_raised(page: LoadPage) -> None:
    """An engine that raises is our fault: the load ends, and the error comes out."""

    def broken(number: int) -> float:
        if number == 3:
            raise ZeroDivisionError("our bug")
        return 0.01

    engine = FakeEngine(takes_s=broken)
    with pytest.raises(ZeroDivisionError, match="our bug"):
        run_load(page, an_order(rate=10.0, hold_s=60.0), engine)
    assert len(engine.starts) == 4
