"""Intended starts, and how easing moves them."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stress_scenarios.load_plan import Curve, LoadOrder, Paced, Thinking
from stress_scenarios.pacing import (
    EasedTime,
    Grid,
    PacedSchedule,
    RequestedByTarget,
    RequestedCount,
    ThinkingSchedule,
    UnpacedSchedule,
    connection_grid,
    connection_schedule,
    connection_start_s,
    joining_place,
    joining_schedule,
    operations_requested,
)
from tests.stress_scenarios.orders import an_order, unpaced


def starts_of(order: LoadOrder, connection: int) -> list[float]:
    """All intended starts of a connection, by the grid."""
    assert isinstance(order.pace, Paced)
    grid = connection_grid(order, order.pace, connection)
    return [grid.first_s + step * grid.interval_s for step in range(grid.count)]


def test_connections_start_evenly_over_the_ramp() -> None:
    """Connection i of n starts at ramp * i / n, counted over all workers."""
    order = an_order(connections=2, connection_offset=2, connections_total=4, ramp_s=60.0, hold_s=540.0)
    assert [connection_start_s(order, connection) for connection in range(2)] == [30.0, 45.0]


def test_connections_start_as_the_curve_reaches_their_share() -> None:
    """A conservative ramp has a quarter of its connections at half its time."""
    order = replace(an_order(connections=4, ramp_s=60.0), ramp_curve=Curve.CONSERVATIVE)
    starts = [connection_start_s(order, connection) for connection in range(4)]
    assert starts == pytest.approx([0.0, 30.0, 60.0 * math.sqrt(0.5), 60.0 * math.sqrt(0.75)])


@pytest.mark.parametrize(
    ("hold_s", "count"), [(0.9, 2), (0.999, 2), (1.0, 2), (1.001, 3), (1.5, 3), (1.501, 4), (10.0, 20), (60.0, 120)]
)
def test_the_end_of_the_load_is_no_start_any_more(hold_s: float, count: int) -> None:
    """At two a second, a start exactly at the end is not requested, one just before it is."""
    assert operations_requested(an_order(rate=2.0, hold_s=hold_s)) == RequestedCount(operations=count)


@given(
    connections=st.integers(min_value=1, max_value=30),
    rate=st.floats(min_value=0.1, max_value=50.0),
    ramp_s=st.floats(min_value=0.0, max_value=60.0),
    hold_s=st.floats(min_value=0.5, max_value=120.0),
)
def test_the_closed_form_counts_what_the_schedule_starts(
    connections: int, rate: float, ramp_s: float, hold_s: float
) -> None:
    """operations_requested equals walking along every connection's schedule to the end."""
    order = an_order(connections=connections, rate=rate, ramp_s=ramp_s, hold_s=hold_s)
    walked = 0
    for connection in range(connections):
        assert isinstance(order.pace, Paced)
        schedule = PacedSchedule(connection_grid(order, order.pace, connection), EasedTime(start_mono_s=0.0))
        while (due_s := schedule.next_start_mono_s(0.0)) < math.inf:
            assert due_s <= ramp_s + hold_s + 1e-6
            schedule.note_operation(started_mono_s=due_s, ended_mono_s=due_s)
            walked += 1
    assert operations_requested(order) == RequestedCount(operations=walked)


@given(share_out=st.integers(min_value=1, max_value=7))
def test_the_workers_of_one_load_request_together_what_one_would(share_out: int) -> None:
    """Splitting connections over workers changes nothing."""
    whole = operations_requested(an_order(connections=8, rate=4.0, ramp_s=6.0, hold_s=10.0))
    first = an_order(connections=share_out, connections_total=8, rate=4.0, ramp_s=6.0, hold_s=10.0)
    rest = an_order(
        connections=8 - share_out, connection_offset=share_out, connections_total=8, rate=4.0, ramp_s=6.0, hold_s=10.0
    )
    parts = [operations_requested(part) for part in (first, rest)]
    assert isinstance(whole, RequestedCount)
    assert sum(part.operations for part in parts if isinstance(part, RequestedCount)) == whole.operations


def test_an_unpaced_load_requests_what_the_target_answers() -> None:
    """There is no number beforehand, and it is not 0."""
    assert operations_requested(unpaced(an_order())) == RequestedByTarget()


@pytest.mark.parametrize(("elapsed_s", "due"), [(0.99, 0), (1.0, 1), (1.49, 1), (1.5, 2), (2.0, 3), (99.0, 3)])
def test_due_starts_are_counted_up_to_their_number(elapsed_s: float, due: int) -> None:
    """A start counts as due from its very instant on; after the last nothing more is due."""
    assert Grid(first_s=1.0, interval_s=0.5, count=3).due_by(elapsed_s) == due


def schedule_of(time: EasedTime, *, interval_s: float = 1.0) -> PacedSchedule:
    """A long schedule from the start on."""
    return PacedSchedule(Grid(first_s=0.0, interval_s=interval_s, count=10_000), time)


def started_until(
    schedule: PacedSchedule,
    *,
    now_s: float,
    end_s: float,
    takes_s: float,
    on_time: Callable[[float], None] = lambda _: None,
) -> list[float]:
    """Walk a connection on virtual time; every operation takes takes_s. on_time may change the share at any step of 10 ms."""
    starts = []
    while now_s < end_s:
        on_time(now_s)
        if schedule.next_start_mono_s(now_s) <= now_s:
            starts.append(now_s)
            schedule.note_operation(started_mono_s=now_s, ended_mono_s=now_s + takes_s)
            now_s += takes_s
        else:
            now_s += 0.01
    return starts


def test_a_late_connection_keeps_its_grid_and_catches_up() -> None:
    """After an operation of 5 s, the four missed starts are due in the past, one after another."""
    schedule = schedule_of(EasedTime(start_mono_s=0.0))
    schedule.note_operation(started_mono_s=0.0, ended_mono_s=5.0)
    dues = []
    for _ in range(6):
        dues.append(schedule.next_start_mono_s(5.0))
        schedule.note_operation(started_mono_s=5.0, ended_mono_s=5.0)
    assert dues == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


@pytest.mark.parametrize(("share", "expected"), [(1.0, 100), (0.5, 50), (0.25, 25), (0.1, 10)])
def test_a_share_stretches_the_intervals(share: float, expected: int) -> None:
    """At share s a connection makes s times as many operations."""
    schedule = schedule_of(EasedTime(start_mono_s=0.0, share=share))
    assert len(started_until(schedule, now_s=0.0, end_s=99.9, takes_s=0.05)) == pytest.approx(expected, abs=1)


def test_share_zero_freezes_and_the_return_makes_no_burst() -> None:
    """Ten seconds of pause shift the grid by ten seconds: as many operations as there were seconds of load."""
    time = EasedTime(start_mono_s=0.0)

    def pause(now_s: float) -> None:
        time.set_share(now_mono_s=now_s, share=0.0 if 10.5 <= now_s < 20.5 else 1.0)

    starts = started_until(schedule_of(time), now_s=0.0, end_s=30.0, takes_s=0.05, on_time=pause)
    assert [start for start in starts if 10.52 < start < 20.48] == []
    after = [start for start in starts if start >= 20.48]
    assert after[0] == pytest.approx(21.0, abs=0.05)
    assert min(later - earlier for earlier, later in pairwise(after)) > 0.9


def test_lateness_from_before_a_pause_is_forgotten() -> None:
    """A connection that was five operations behind does not make up for them after the pause."""
    time = EasedTime(start_mono_s=0.0)
    schedule = schedule_of(time)
    schedule.note_operation(started_mono_s=0.0, ended_mono_s=6.2)
    time.set_share(now_mono_s=6.2, share=0.0)
    assert schedule.next_start_mono_s(6.2) == math.inf
    time.set_share(now_mono_s=16.2, share=1.0)
    assert schedule.next_start_mono_s(16.2) == pytest.approx(16.0)
    schedule.note_operation(started_mono_s=16.2, ended_mono_s=16.3)
    assert schedule.next_start_mono_s(16.3) == pytest.approx(17.0)


def test_an_eased_connection_does_not_catch_up_with_a_slow_target() -> None:
    """While eased to one half, a connection whose operations took too long keeps to one start every two intervals."""
    schedule = schedule_of(EasedTime(start_mono_s=0.0, share=0.5))
    schedule.note_operation(started_mono_s=0.0, ended_mono_s=21.0)
    starts = started_until(schedule, now_s=21.0, end_s=41.0, takes_s=0.05)
    assert len(starts) == pytest.approx(10, abs=1)


def test_connections_keep_their_distance_through_a_pause() -> None:
    """Two connections half an interval apart are half an interval apart after it, and do not fall into step."""
    time = EasedTime(start_mono_s=0.0)
    first = PacedSchedule(Grid(first_s=0.0, interval_s=1.0, count=100), time)
    second = PacedSchedule(Grid(first_s=0.5, interval_s=1.0, count=100), time)
    for schedule in (first, second):
        for step in range(3):
            schedule.note_operation(started_mono_s=step, ended_mono_s=step)
    time.set_share(now_mono_s=2.7, share=0.0)
    time.set_share(now_mono_s=50.0, share=1.0)
    assert second.next_start_mono_s(50.0) - first.next_start_mono_s(50.0) == pytest.approx(0.5)
    assert first.next_start_mono_s(50.0) == pytest.approx(50.3)


def test_setting_the_same_share_is_no_change() -> None:
    """Nothing is rebased when nothing changes."""
    time = EasedTime(start_mono_s=0.0)
    assert not time.set_share(now_mono_s=5.0, share=1.0)
    assert time.set_share(now_mono_s=5.0, share=0.5)
    assert time.changes == 1


def test_load_time_does_not_run_before_the_start() -> None:
    """A share that changes before the start changes nothing that lies before it."""
    time = EasedTime(start_mono_s=10.0)
    time.set_share(now_mono_s=5.0, share=0.5)
    assert time.load_s(9.0) == 0.0
    assert time.load_s(12.0) == 1.0
    assert time.mono_s(1.0) == 12.0


def test_an_unpaced_connection_starts_at_once_again() -> None:
    """The next start is the end of the last operation."""
    schedule = UnpacedSchedule(2.0, EasedTime(start_mono_s=100.0))
    assert schedule.next_start_mono_s(100.0) == 102.0
    schedule.note_operation(started_mono_s=102.0, ended_mono_s=103.5)
    assert schedule.next_start_mono_s(103.5) == 103.5


def test_an_unpaced_connection_works_for_its_share_of_the_time() -> None:
    """At share 1/4 an operation of one second is followed by three of rest; at 0 by no end of it."""
    time = EasedTime(start_mono_s=0.0)
    schedule = UnpacedSchedule(0.0, time)
    schedule.note_operation(started_mono_s=0.0, ended_mono_s=1.0)
    time.set_share(now_mono_s=1.0, share=0.25)
    assert schedule.next_start_mono_s(1.0) == 4.0
    time.set_share(now_mono_s=1.0, share=0.0)
    assert schedule.next_start_mono_s(1.0) == math.inf


# Another pace while the load runs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "next_s"), [(1.0, 3.0), (2.0, 2.875), (0.5, 3.25), (100.0, 2.7525)])
def test_a_changed_pace_keeps_the_place_in_the_interval(rate: float, next_s: float) -> None:
    """A quarter of the interval was left, and a quarter of the new one is."""
    schedule = schedule_of(EasedTime(start_mono_s=0.0))
    for step in range(3):
        schedule.note_operation(started_mono_s=step, ended_mono_s=step)
    schedule.adjust(2.75, operations_per_s=rate, end_s=10.0, in_flight=False)
    assert schedule.next_start_mono_s(2.75) == pytest.approx(next_s)
    starts = started_until(schedule, now_s=2.75, end_s=20.0, takes_s=0.0)
    assert len(starts) == math.ceil((10.0 - next_s) * rate - 1e-6)


def test_a_changed_pace_forgets_lateness() -> None:
    """A connection that is five behind makes no burst of five at the new pace."""
    schedule = schedule_of(EasedTime(start_mono_s=0.0))
    schedule.note_operation(started_mono_s=0.0, ended_mono_s=6.2)
    schedule.adjust(6.2, operations_per_s=10.0, end_s=100.0, in_flight=False)
    starts = started_until(schedule, now_s=6.2, end_s=7.2, takes_s=0.0)
    assert len(starts) == pytest.approx(10, abs=1)


@pytest.mark.parametrize("adjusts", [1, 2, 3])
def test_a_changed_pace_takes_no_start_from_an_operation_in_flight(adjusts: int) -> None:
    """Its own start is behind it: the next is the next on the grid, however often the same pace is set."""
    schedule = schedule_of(EasedTime(start_mono_s=0.0))
    schedule.note_operation(started_mono_s=0.0, ended_mono_s=0.1)
    for number in range(adjusts):
        schedule.adjust(1.2 + 0.2 * number, operations_per_s=1.0, end_s=10.0, in_flight=True)
    schedule.note_operation(started_mono_s=1.0, ended_mono_s=1.9)
    assert schedule.next_start_mono_s(1.9) == pytest.approx(2.0)
    assert len(started_until(schedule, now_s=1.9, end_s=20.0, takes_s=0.0)) == 8


def test_the_end_of_an_earlier_operation_takes_no_start_of_a_new_schedule() -> None:
    """A connection that was to leave, and is wanted again while its last operation is in flight, makes all its starts."""
    schedule = PacedSchedule(Grid(first_s=2.0, interval_s=1.0, count=3), EasedTime(start_mono_s=0.0))
    schedule.note_in_flight()
    schedule.note_operation(started_mono_s=0.5, ended_mono_s=1.5)
    assert schedule.next_start_mono_s(1.5) == 2.0
    assert len(started_until(schedule, now_s=1.5, end_s=20.0, takes_s=0.0)) == 3


def test_a_connection_that_has_not_begun_keeps_its_start() -> None:
    """The ramp goes on at another pace."""
    order = an_order(connections=2, rate=1.0, ramp_s=20.0, hold_s=10.0)
    schedule = connection_schedule(order, 1, EasedTime(start_mono_s=0.0))
    assert isinstance(schedule, PacedSchedule)
    schedule.adjust(5.0, operations_per_s=4.0, end_s=30.0, in_flight=False)
    assert schedule.next_start_mono_s(5.0) == 10.0


def test_joining_connections_spread_over_an_interval() -> None:
    """Four that join at two a second begin an eighth of a second apart."""
    order = an_order(connections=1, rate=1.0, hold_s=60.0)
    load_time = EasedTime(start_mono_s=100.0)
    starts = [
        joining_schedule(
            order, 1 + number, load_time, now_mono_s=110.0, operations_per_s=2.0, place=joining_place(number, 4)
        ).next_start_mono_s(110.0)
        for number in range(4)
    ]
    assert starts == pytest.approx([110.0625, 110.1875, 110.3125, 110.4375])
    assert joining_schedule(
        unpaced(order), 1, load_time, now_mono_s=110.0, operations_per_s=2.0, place=0.5
    ).next_start_mono_s(110.0) == pytest.approx(110.0)


# Think time ---------------------------------------------------------------------------------------------------------


def thinking(time: EasedTime, *, place: float = 0.3, seconds: tuple[float, float] = (1.0, 3.0)) -> ThinkingSchedule:
    """A connection that thinks one to three seconds."""
    pace = Thinking(seconds_min=seconds[0], seconds_max=seconds[1])
    return ThinkingSchedule(0.0, time, pace=pace, place=place)


def test_the_next_start_is_a_think_time_after_the_end() -> None:
    """However long the operation took; think times lie in their range, with its mean over few of them."""
    schedule = thinking(EasedTime(start_mono_s=10.0))
    assert schedule.next_start_mono_s(10.0) == 10.0
    now_s, thought = 10.0, []
    for _ in range(50):
        ended_s = now_s + 7.0
        schedule.note_operation(started_mono_s=now_s, ended_mono_s=ended_s)
        now_s = schedule.next_start_mono_s(ended_s)
        assert schedule.next_start_mono_s(now_s) == now_s
        thought.append(now_s - ended_s)
    assert 1.0 <= min(thought) < 1.1
    assert 2.9 < max(thought) < 3.0
    assert sum(thought) / 50 == pytest.approx(2.0, abs=0.03)


def test_connections_think_differently() -> None:
    """They do not fall into step, and the same order thinks the same again."""
    order = replace(an_order(connections=3), pace=Thinking(seconds_min=0.0, seconds_max=1.0))

    def first_thought(connection: int) -> float:
        schedule = connection_schedule(order, connection, EasedTime(start_mono_s=0.0))
        schedule.note_operation(started_mono_s=0.0, ended_mono_s=1.0)
        return schedule.next_start_mono_s(1.0) - 1.0

    assert len({round(first_thought(connection), 3) for connection in range(3)}) == 3
    assert first_thought(1) == first_thought(1)
    assert operations_requested(order) == RequestedByTarget()


def test_an_eased_connection_thinks_longer() -> None:
    """At one quarter, two seconds of work and thought are followed by six of rest; at 0 by no end of it."""
    time = EasedTime(start_mono_s=0.0)
    schedule = thinking(time, seconds=(1.0, 1.0))
    schedule.note_operation(started_mono_s=0.0, ended_mono_s=1.0)
    time.set_share(now_mono_s=1.0, share=0.25)
    assert schedule.next_start_mono_s(1.0) == pytest.approx(8.0)
    time.set_share(now_mono_s=1.0, share=0.0)
    assert schedule.next_start_mono_s(1.0) == math.inf
