"""One segment's load on virtual time: counts, sessions, easing, draining."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from baseline_metrics.load_page import LoadPage
from baseline_metrics.samples import Sample
from stress_scenarios.load_plan import Curve, ErrorClass, Thinking
from stress_scenarios.scenario import Failed, Passed
from tests.stress_scenarios.fake_engine import FakeEngine
from tests.stress_scenarios.load_rig import max_s, permit, run_load
from tests.stress_scenarios.orders import Operation, an_order, unpaced
from tests.stress_scenarios.virtual_time import START_S, jump


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LoadPage]:
    """A page with a lease that lasts, at full share."""
    page = LoadPage(str(tmp_path / "page"), create=True)
    permit(page, 1.0)
    yield page
    page.close()


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


def test_a_window_says_how_much_was_in_flight_and_how_long_it_took(page: LoadPage) -> None:
    """Two connections, one operation of 0.25 s a second each: half an operation in flight on average (Little's law)."""
    gone = Failed(error=ErrorClass.RESET, message="gone")
    engine = FakeEngine(takes_s=lambda _: 0.25, judge=lambda number: gone if number % 2 else Passed())
    ran = run_load(page, an_order(connections=2, rate=1.0, hold_s=10.0), engine)
    assert [window.in_flight_s for window in ran.windows] == pytest.approx([0.5] * 10, abs=1e-5)
    assert [window.service_s_sum for window in ran.windows] == pytest.approx([0.5] * 10)


def test_an_operation_over_several_windows_is_in_flight_in_each(page: LoadPage) -> None:
    """Its service time counts where it ends, its presence where it is."""
    ran = run_load(page, an_order(rate=0.1, hold_s=4.0), FakeEngine(takes_s=lambda _: 2.5))
    assert [window.in_flight_s for window in ran.windows] == pytest.approx([1.0, 1.0, 0.5, 0.0], abs=1e-5)
    assert [window.service_s_sum for window in ran.windows] == pytest.approx([0.0, 0.0, 2.5, 0.0])


def test_a_slow_target_is_no_lag_of_ours(page: LoadPage) -> None:
    """Operations that wait for their connection have long response times, and a schedule lag of nothing."""
    ran = run_load(page, an_order(rate=2.0, hold_s=10.0), FakeEngine(takes_s=lambda n: 2.5 if n == 0 else 0.01))
    assert ran.response.count_above_s(0.4) == 5
    assert (ran.schedule_lag.count, ran.schedule_lag.max_s) == (20, Sample(value=0.0))


def test_a_stall_of_our_own_loop_is_lag_of_ours(page: LoadPage) -> None:
    """The loop stands still for 0.4 s: the start that was due meanwhile was that late, and its response time says so too."""
    engine = FakeEngine()
    ran = run_load(page, an_order(rate=10.0, hold_s=2.0), engine, (1.05, lambda _: jump(0.4)))
    assert max_s(ran.schedule_lag) == pytest.approx(0.35, abs=1e-6)
    assert max_s(ran.response) == pytest.approx(0.36, abs=1e-6)
    assert max_s(ran.service) == pytest.approx(0.01, abs=1e-6)
    assert ran.drained.operations_started == 20


def test_figures_of_the_connections_are_those_of_this_load(page: LoadPage) -> None:
    """What an engine counted before is not counted again: windows add up to the closing report."""
    engine = FakeEngine()
    counts = engine.connections
    counts.bytes_sent = counts.reconnects = counts.redirects = counts.messages_sent = counts.messages_received = 1000

    def send(_: object) -> None:
        counts.bytes_sent += 7
        counts.reconnects += 1
        counts.redirects += 2
        counts.messages_sent += 3
        counts.messages_received += 4

    ran = run_load(page, an_order(hold_s=3.0), engine, (0.5, send), (1.5, send))
    drained = ran.drained
    assert [window.bytes_sent for window in ran.windows] == [7, 7, 0]
    assert [window.messages_sent for window in ran.windows] == [3, 3, 0]
    assert [window.messages_received for window in ran.windows] == [4, 4, 0]
    assert [window.reconnects for window in ran.windows] == [1, 1, 0]
    assert (drained.bytes_sent, drained.messages_sent, drained.messages_received) == (14, 6, 8)
    assert (drained.reconnects, drained.redirects) == (2, 4)


def test_thinking_users_start_a_think_time_after_each_end(page: LoadPage) -> None:
    """Operations of half a second and thoughts of half a second: one a second and connection, however many were asked for."""
    order = replace(an_order(connections=3, hold_s=60.0), pace=Thinking(seconds_min=0.25, seconds_max=0.75))
    ran = run_load(page, order, FakeEngine(takes_s=lambda _: 0.5))
    assert ran.drained.operations_started == ran.drained.operations_requested == pytest.approx(180, abs=6)
    assert ran.windows[-1].operations_due == ran.drained.operations_started
    assert max_s(ran.response) == pytest.approx(0.5, abs=1e-6)


def test_connections_of_a_curved_ramp_come_as_the_curve_says(page: LoadPage) -> None:
    """A conservative ramp of ten seconds: after half of it a quarter of the connections have started."""
    order = replace(an_order(connections=100, rate=1.0, ramp_s=10.0, hold_s=1.0), ramp_curve=Curve.CONSERVATIVE)
    ran = run_load(page, order, FakeEngine())
    assert [window.connections_open for window in ran.windows][:10] == pytest.approx(
        [second * second for second in range(1, 11)], abs=1
    )
