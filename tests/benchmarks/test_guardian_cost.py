"""What the page on the guardian's cost makes of its looks."""

import os
import time

import pytest

from benchmarks.guardian_cost import MEMORY_GOAL_BYTES, Cost, Measured, evidence_of, look

MIB = 1 << 20


def measured(*cpu_s: float, rss_bytes: int = 20 * MIB) -> Measured:
    """One look a second."""
    looks = tuple(
        Cost(at_mono_s=100.0 + second, cpu_s=spent, rss_bytes=rss_bytes, pss_bytes=rss_bytes // 2)
        for second, spent in enumerate(cpu_s)
    )
    return Measured(looks=looks, workers=16, policy="SCHED_FIFO", threads=1)


def test_cpu_counts_over_all_the_time_and_its_worst_second_is_shown() -> None:
    """What the process had spent before the first look is not counted; 20 ms in two seconds are 1 %."""
    found = measured(7.0, 7.015, 7.02)
    assert found.cpu_percent == pytest.approx(1.0)
    assert found.cpu_percents == pytest.approx((1.5, 0.5))


@pytest.mark.parametrize(("spent_s", "reached"), [(0.0099, True), (0.0101, False)])
def test_the_cpu_goal_is_one_percent(spent_s: float, *, reached: bool) -> None:
    """Just below is reached, just above is not."""
    goals = evidence_of(measured(0.0, spent_s), command="python").goals
    assert [goal.reached for goal in goals] == [reached, True]


@pytest.mark.parametrize(("more_bytes", "reached"), [(0, True), (1, False)])
def test_the_memory_goal_is_of_the_most_that_was_seen(more_bytes: int, *, reached: bool) -> None:
    """RSS counts, the larger of the two figures."""
    goals = evidence_of(measured(0.0, 0.001, rss_bytes=MEMORY_GOAL_BYTES + more_bytes), command="python").goals
    assert [goal.reached for goal in goals] == [True, reached]


def test_a_look_sees_a_process_from_outside() -> None:
    """CPU time by the scheduler's account, near what the process itself reads; memory in parts and in full."""
    before = look(os.getpid())
    spent_s = time.process_time()
    while time.process_time() < spent_s + 0.05:
        pass
    after = look(os.getpid())
    assert after.cpu_s - before.cpu_s >= 0.05
    assert 0 < after.pss_bytes <= after.rss_bytes
