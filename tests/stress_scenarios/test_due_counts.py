"""How many starts are due over a whole worker."""

import math
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stress_scenarios.due_counts import ArrivalsDue, DueByTarget, PacedDue, due_count
from stress_scenarios.load_plan import Arrivals, ConstantRate, Curve, LoadOrder, Paced, Spacing, Thinking
from stress_scenarios.pacing import (
    EasedTime,
    RequestedCount,
    Schedule,
    connection_grid,
    connection_schedule,
    joining_place,
    joining_schedule,
    operations_requested,
)
from tests.stress_scenarios.orders import an_order, unpaced


def paced_due(order: LoadOrder) -> PacedDue:
    """The count of a paced order."""
    count = due_count(order)
    assert isinstance(count, PacedDue)
    return count


@given(
    connections=st.integers(min_value=1, max_value=20),
    rate=st.floats(min_value=0.1, max_value=40.0),
    ramp_s=st.floats(min_value=0.0, max_value=20.0),
    curve=st.sampled_from(Curve),
    hold_s=st.floats(min_value=0.5, max_value=20.0),
    steps=st.lists(st.floats(min_value=0.0, max_value=45.0), max_size=8),
)
def test_the_closed_form_is_the_sum_over_all_connections(
    *, connections: int, rate: float, ramp_s: float, curve: Curve, hold_s: float, steps: list[float]
) -> None:
    """At any instants in their order, in the ramp, after it, and beyond the end."""
    order = replace(an_order(connections=connections, rate=rate, ramp_s=ramp_s, hold_s=hold_s), ramp_curve=curve)
    assert isinstance(order.pace, Paced)
    grids = [connection_grid(order, order.pace, connection) for connection in range(connections)]
    due = paced_due(order)
    assert RequestedCount(operations=due.requested) == operations_requested(order)
    for at_s in sorted(steps):
        assert due.due_by(at_s) == sum(grid.due_by(min(at_s, ramp_s + hold_s)) for grid in grids)
    assert due.due_by(1e9) == due.requested


def test_time_does_not_go_back() -> None:
    """What was due once stays due."""
    due = paced_due(an_order(rate=10.0, hold_s=10.0))
    assert [due.due_by(at_s) for at_s in (5.0, 1.0, 5.05, 5.1)] == [51, 51, 51, 52]


def walked(schedule: Schedule, *, until_s: float) -> int:
    """Starts of a connection that is never late."""
    started = 0
    while (due_s := schedule.next_start_mono_s(0.0)) <= until_s:
        schedule.note_operation(started_mono_s=due_s, ended_mono_s=due_s)
        started += 1
    return started


@given(
    before=st.tuples(st.integers(min_value=1, max_value=6), st.sampled_from((0.5, 3.0, 7.0))),
    after=st.tuples(st.integers(min_value=1, max_value=9), st.sampled_from((0.4, 3.0, 11.0))),
    ramp_s=st.sampled_from((0.0, 12.3)),
    at_s=st.integers(min_value=0, max_value=180).map(lambda tenths: 0.0371 + tenths / 10),
)
def test_after_a_change_the_count_agrees_with_the_schedules(
    before: tuple[int, float], after: tuple[int, float], ramp_s: float, at_s: float
) -> None:
    """Connections stay, leave and join, at another pace: what is due at the end is what the schedules have started."""
    (connections, rate), (connections_after, rate_after) = before, after
    order = an_order(connections=connections, rate=rate, ramp_s=ramp_s, hold_s=20.0)
    load_time = EasedTime(start_mono_s=0.0)
    schedules = [connection_schedule(order, connection, load_time) for connection in range(connections)]
    started = sum(walked(schedule, until_s=at_s) for schedule in schedules)
    due = paced_due(order)
    assert due.due_by(at_s) == started
    kept = schedules[:connections_after]
    for schedule in kept:
        assert not isinstance(schedule, int)
        schedule.adjust(at_s, operations_per_s=rate_after, end_s=ramp_s + 20.0, in_flight=False)  # type: ignore[union-attr]
    joining = connections_after - len(kept)
    joined = [
        joining_schedule(
            order,
            connections + number,
            load_time,
            now_mono_s=at_s,
            operations_per_s=rate_after,
            place=joining_place(number, joining),
        )
        for number in range(joining)
    ]
    due.adjust(at_s, operations_per_s=rate_after, connections=connections_after)
    assert due.due_by(at_s) == started
    started += sum(walked(schedule, until_s=math.nextafter(math.inf, 0.0)) for schedule in (*kept, *joined))
    assert due.requested == pytest.approx(started, abs=1)
    assert due.due_by(1e9) == due.requested


def test_ten_thousand_connections_cost_as_much_as_one() -> None:
    """A thousand counts take less than a second on a slow machine; a walk along all grids would take ten."""
    due = paced_due(an_order(connections=10_000, rate=0.1, ramp_s=60.0, hold_s=3600.0))
    due.due_by(60.0)
    began_s = time.process_time()
    counted = [due.due_by(60.0 + step) for step in range(1000)]
    assert time.process_time() - began_s < 1.0
    assert counted[-1] - counted[0] == pytest.approx(999_000, abs=1)


def test_arrivals_are_due_as_their_rate_says() -> None:
    """And after a change as the new one says."""
    pace = Arrivals(shape=ConstantRate(per_s=10.0), spacing=Spacing.EVEN, start_within_s=1.0, part=0, parts=1)
    order = replace(an_order(connections=3, hold_s=10.0), pace=pace)
    due = due_count(order)
    assert isinstance(due, ArrivalsDue)
    assert (due.requested, due.due_by(5.0)) == (100, 50)
    due.adjust(5.0, operations_per_s=100.0, connections=9)
    assert (due.requested, due.due_by(5.0), due.due_by(6.0)) == (550, 50, 150)
    assert operations_requested(order) == RequestedCount(operations=100)


def test_a_target_that_sets_the_pace_has_no_count_beforehand() -> None:
    """Unpaced and thinking loads ask for what they get."""
    assert due_count(unpaced(an_order())) == DueByTarget()
    assert due_count(replace(an_order(), pace=Thinking(seconds_min=0.0, seconds_max=1.0))) == DueByTarget()
