"""The open model on virtual time: arrivals never wait for answers, and what cannot be started in time is counted."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from baseline_metrics.load_page import LoadPage
from stress_scenarios.arrival_replay import sha256_of_replay
from stress_scenarios.load_plan import (
    Arrivals,
    ConstantRate,
    LoadOrder,
    RateShape,
    ReplayRate,
    Spacing,
    SpikeRate,
)
from stress_scenarios.load_run import LoadRun
from tests.stress_scenarios.fake_engine import FakeEngine
from tests.stress_scenarios.load_rig import Ran, max_s, permit, run_load
from tests.stress_scenarios.orders import an_order
from tests.stress_scenarios.virtual_time import START_S, jump


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LoadPage]:
    """A page with a lease that lasts, at full share."""
    page = LoadPage(str(tmp_path / "page"), create=True)
    permit(page, 1.0)
    yield page
    page.close()


def open_order(
    *,
    shape: RateShape | None = None,
    connections: int = 100,
    spacing: Spacing = Spacing.EVEN,
    start_within_s: float = 1.0,
    hold_s: float = 10.0,
    per_session: int = 1_000_000,
    part: int = 0,
    parts: int = 1,
) -> LoadOrder:
    """An order of 20 arrivals a second."""
    pace = Arrivals(
        shape=shape or ConstantRate(per_s=20.0),
        spacing=spacing,
        start_within_s=start_within_s,
        part=part,
        parts=parts,
    )
    return replace(an_order(connections=connections, hold_s=hold_s, per_session=per_session), pace=pace)


def assert_nothing_is_lost(ran: Ran, page: LoadPage) -> None:
    """Every arrival was started or dropped, in the closing report, on the page and in the windows."""
    drained = ran.drained
    assert drained.operations_requested == drained.operations_started + drained.operations_dropped
    assert page.operations_dropped == drained.operations_dropped == ran.windows[-1].operations_dropped
    assert page.operation(0).started == drained.operations_started == ran.windows[-1].operations_started


def test_arrivals_start_at_their_times_however_long_answers_take(page: LoadPage) -> None:
    """Twenty a second, each of 0.69 s: fourteen at once, all in time."""
    engine = FakeEngine(takes_s=lambda _: 0.69)
    ran = run_load(page, open_order(), engine)
    assert [at_s - START_S for at_s, _ in engine.starts] == pytest.approx([0.025 + 0.05 * n for n in range(200)])
    assert ran.drained.operations_requested == ran.drained.operations_succeeded == 200
    assert ran.drained.connections_peak == ran.drained.connections_opened == 14
    assert max_s(ran.response) == pytest.approx(0.69, abs=1e-6)
    assert max_s(ran.schedule_lag) == pytest.approx(0.0, abs=1e-6)
    assert [window.operations_due for window in ran.windows[:3]] == [20, 40, 60]
    assert_nothing_is_lost(ran, page)


def test_no_more_connections_are_made_than_are_needed(page: LoadPage) -> None:
    """Answers that come before the next arrival leave one connection to do it all."""
    ran = run_load(page, open_order(), FakeEngine(takes_s=lambda _: 0.01))
    assert (ran.drained.connections_peak, ran.drained.connections_opened) == (1, 1)


def test_sessions_end_after_their_operations(page: LoadPage) -> None:
    """Ten operations a session: twenty sessions for two hundred arrivals."""
    ran = run_load(page, open_order(per_session=10), FakeEngine(takes_s=lambda _: 0.01))
    assert (ran.drained.connections_peak, ran.drained.connections_opened) == (1, 20)
    assert ran.drained.operations_succeeded == 200


def test_a_stall_of_the_target_is_in_the_response_times_of_all_who_arrived(page: LoadPage) -> None:
    """Nobody is served for two seconds: with enough connections every arrival meanwhile waited for the rest of them."""

    def takes(number: int) -> float:
        arrives_s = 0.025 + 0.05 * number
        return 0.01 if not 4.0 <= arrives_s < 6.0 else 6.01 - arrives_s

    ran = run_load(page, open_order(), FakeEngine(takes_s=takes))
    assert ran.response.count_above_s(0.1) == pytest.approx(38, abs=1)
    assert max_s(ran.response) == pytest.approx(1.985, abs=1e-3)
    assert ran.drained.connections_peak == 40
    assert_nothing_is_lost(ran, page)


def test_an_arrival_that_finds_no_connection_waits_and_the_wait_is_its_own(page: LoadPage) -> None:
    """Two connections of 0.2 s carry ten a second: of a burst each waits its turn, which is response time and no lag of ours."""
    burst = SpikeRate(base_per_s=1.0, peak_per_s=100.0, at_s=2.0, lasts_s=0.05, every_s=0.0)
    ran = run_load(page, open_order(shape=burst, connections=2), FakeEngine(takes_s=lambda _: 0.2))
    assert ran.drained.operations_dropped == 0
    assert max_s(ran.response) > 0.55
    assert max_s(ran.service) == pytest.approx(0.2, abs=1e-6)
    assert max_s(ran.schedule_lag) == pytest.approx(0.0, abs=1e-6)
    assert_nothing_is_lost(ran, page)


@pytest.mark.parametrize(("within_s", "dropped"), [(0.449, 1), (0.4501, 0), (0.46, 0)])
def test_an_arrival_that_waits_longer_than_it_may_is_dropped(page: LoadPage, within_s: float, dropped: int) -> None:
    """One connection that is free again at 0.6 s; the second arrival came at 0.15 s: just too late, or just in time."""
    engine = FakeEngine(takes_s=lambda number: 0.55 if number == 0 else 0.001)
    order = open_order(shape=ConstantRate(per_s=10.0), connections=1, start_within_s=within_s, hold_s=1.0)
    ran = run_load(page, order, engine)
    assert engine.starts[1][0] - START_S == pytest.approx(0.6, abs=1e-6)
    assert (ran.drained.operations_requested, ran.drained.operations_dropped) == (10, dropped)
    assert_nothing_is_lost(ran, page)


def test_overload_drops_what_it_cannot_start_and_says_so_each_second(page: LoadPage) -> None:
    """Twenty a second onto four connections of 0.4 s, which carry ten: half is dropped, and no wait is longer than allowed."""
    ran = run_load(page, open_order(connections=4, start_within_s=0.5, hold_s=20.0), FakeEngine(takes_s=lambda _: 0.4))
    assert ran.drained.operations_dropped == pytest.approx(200, abs=15)
    assert ran.windows[4].operations_dropped > ran.windows[2].operations_dropped > 0
    assert max_s(ran.response) <= 0.5 + 0.4 + 0.01
    assert max_s(ran.schedule_lag) == pytest.approx(0.0, abs=1e-6)
    assert_nothing_is_lost(ran, page)


def test_a_stall_of_our_own_is_made_up_for_and_told(page: LoadPage) -> None:
    """Our loop stands still for 0.5 s: ten arrivals start late, all counted as our lag and in their response times."""
    engine = FakeEngine()
    ran = run_load(page, open_order(), engine, (3.0, lambda _: jump(0.5)))
    assert ran.drained.operations_started == 200
    assert max_s(ran.schedule_lag) == pytest.approx(0.475, abs=1e-3)
    assert ran.schedule_lag.count_above_s(0.02) == 10
    assert ran.response.count_above_s(0.03) == 10
    assert_nothing_is_lost(ran, page)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.0])
def test_the_permitted_share_is_the_share_that_is_made(page: LoadPage, share: float) -> None:
    """What the guardian eases is neither started nor dropped; requested stays the plan's."""
    permit(page, share)
    ran = run_load(page, open_order(), FakeEngine())
    assert ran.drained.operations_requested == ran.windows[-1].operations_due == 200
    assert ran.drained.operations_started == pytest.approx(200 * share, abs=1)
    assert ran.drained.operations_dropped == 0


def test_a_pause_leaves_no_burst(page: LoadPage) -> None:
    """Nothing starts while the share is 0, and afterwards no second has more than the rate."""
    engine = FakeEngine()
    ran = run_load(
        page, open_order(hold_s=30.0), engine, (10.0, lambda _: permit(page, 0.0)), (20.0, lambda _: permit(page, 1.0))
    )
    seconds = Counter(int(at_s - START_S) for at_s, _ in engine.starts)
    assert sum(1 for at_s, _ in engine.starts if 10.011 < at_s - START_S < 19.999) == 0
    assert all(seconds[second] in {19, 20, 21} for second in range(21, 30)), seconds
    assert ran.drained.operations_dropped == 0
    assert ran.drained.operations_started == pytest.approx(400, abs=2)


def test_what_waits_when_the_load_is_eased_is_dropped(page: LoadPage) -> None:
    """A backlog is no reason for a burst when load returns."""
    engine = FakeEngine(takes_s=lambda _: 3.0)
    run_load(
        page,
        open_order(connections=2, start_within_s=60.0, hold_s=9.0),
        engine,
        (2.0, lambda _: permit(page, 0.0)),
        (4.0, lambda _: permit(page, 1.0)),
    )
    assert page.operations_dropped >= 38
    assert [at_s - START_S for at_s, _ in engine.starts][:2] == pytest.approx([0.025, 0.075])
    assert sum(1 for at_s, _ in engine.starts if 2.1 < at_s - START_S < 4.0) == 0


def test_poisson_arrivals_are_all_made(page: LoadPage) -> None:
    """However close together some of them are."""
    order = open_order(spacing=Spacing.POISSON, shape=ConstantRate(per_s=50.0), hold_s=20.0)
    ran = run_load(page, order, FakeEngine(takes_s=lambda _: 0.3))
    assert ran.drained.operations_succeeded == ran.drained.operations_requested == pytest.approx(1000, abs=120)
    assert_nothing_is_lost(ran, page)


def test_parts_of_a_load_make_the_whole(page: LoadPage) -> None:
    """Three workers start each arrival once."""
    starts: list[float] = []
    for part in range(3):
        engine = FakeEngine()
        run_load(page, open_order(part=part, parts=3), engine)
        starts += [at_s - START_S for at_s, _ in engine.starts]
    assert sorted(starts) == pytest.approx([0.025 + 0.05 * n for n in range(200)])


def test_a_replay_starts_at_its_times(page: LoadPage, tmp_path: Path) -> None:
    """Two at once, and none beyond the load's end."""
    path = tmp_path / "times.csv"
    path.write_text("0.5\n1.25\n1.25\n9.5\n12\n")
    shape = ReplayRate(path=str(path), sha256=sha256_of_replay(str(path)))
    engine = FakeEngine()
    ran = run_load(page, open_order(shape=shape), engine)
    assert [at_s - START_S for at_s, _ in engine.starts] == pytest.approx([0.5, 1.25, 1.25, 9.5])
    assert_nothing_is_lost(ran, page)


def test_a_release_drops_what_waits(page: LoadPage) -> None:
    """What was due and not started is told as dropped; what would have come later is not."""
    engine = FakeEngine(takes_s=lambda _: 1.5)
    ran = run_load(page, open_order(connections=2, start_within_s=60.0), engine, (1.0, lambda run: run.release()))
    assert (ran.drained.operations_started, ran.drained.operations_dropped) == (2, 18)
    assert (ran.drained.operations_succeeded, ran.windows[-1].operations_due) == (2, 20)


def test_what_came_due_while_the_loop_was_away_is_started_at_the_release(page: LoadPage) -> None:
    """Idle users and new ones take it, and start it although nobody is wanted any more."""

    def late(run: LoadRun) -> None:
        jump(0.3)
        run.release()

    ran = run_load(page, open_order(), FakeEngine(), (5.01, late))
    assert ran.drained.operations_started == ran.drained.operations_succeeded == ran.windows[-1].operations_due == 106
    assert ran.drained.operations_dropped == 0


def test_nothing_is_started_at_a_release_that_is_not_permitted(page: LoadPage) -> None:
    """A load that was stopped starts nothing more, also not what had come due."""

    def stopped(run: LoadRun) -> None:
        page.revoke()
        jump(0.3)
        run.release()

    ran = run_load(page, open_order(), FakeEngine(), (5.01, stopped))
    assert ran.drained.operations_started == 100


def test_arrivals_that_we_are_late_with_at_the_end_are_still_made(page: LoadPage) -> None:
    """Our loop stands still over the end: what had come before it is started, with its lag."""
    ran = run_load(page, open_order(), FakeEngine(), (9.9, lambda _: jump(0.3)))
    assert ran.drained.operations_started == ran.drained.operations_requested == 200
    assert max_s(ran.schedule_lag) == pytest.approx(0.275, abs=1e-3)
