"""A suspended host and a clock that was set are told apart, and neither is seen where there is none."""

import dataclasses

import pytest

from baseline_metrics.clock import FakeClock, SystemClock
from campaign.time_watch import JUMP_S_MAX, ClockStep, Suspended, TimeWatch, window_end_mono_s
from tests.support.orders import night_order


def test_passing_time_is_nothing() -> None:
    """A loop that hangs for an hour was late; nobody slept."""
    clock = FakeClock()
    watch = TimeWatch(clock)
    for seconds in (0.02, 1.0, 3600.0):
        clock.advance(seconds)
        assert watch.look() == ()


@pytest.mark.parametrize(("seconds", "seen"), [(1.9, False), (JUMP_S_MAX, False), (2.1, True), (8 * 3600.0, True)])
def test_a_sleep_is_seen_once(seconds: float, seen: bool) -> None:  # noqa: FBT001 - a table's column
    """Just below, at and above the limit; the wall clock that went on meanwhile was set by nobody."""
    clock = FakeClock()
    watch = TimeWatch(clock)
    clock.suspend(seconds)
    found = watch.look()
    assert [type(one) for one in found] == ([Suspended] if seen else [])
    assert [one.seconds for one in found] == ([pytest.approx(seconds)] if seen else [])
    clock.advance(1.0)
    assert watch.look() == ()


@pytest.mark.parametrize("seconds", [3600.0, 2.1, -2.1, -3600.0])
def test_a_set_clock_is_seen_once_and_no_sleep(seconds: float) -> None:
    """Forward or back."""
    clock = FakeClock()
    watch = TimeWatch(clock)
    clock.set_wall(seconds)
    (step,) = watch.look()
    assert isinstance(step, ClockStep)
    assert step.seconds == pytest.approx(seconds)
    assert ("forward" if seconds > 0 else "back") in step.text
    assert watch.look() == ()


@pytest.mark.parametrize("seconds", [2.0, -2.0])
def test_a_small_correction_is_nothing(seconds: float) -> None:
    """At the limit."""
    clock = FakeClock()
    watch = TimeWatch(clock)
    clock.set_wall(seconds)
    assert watch.look() == ()


def test_small_corrections_add_up() -> None:
    """Two of 1.5 s are 3 s: what counts is how far the clocks lie apart."""
    clock = FakeClock()
    watch = TimeWatch(clock)
    clock.set_wall(1.5)
    assert watch.look() == ()
    clock.set_wall(1.5)
    assert [type(one) for one in watch.look()] == [ClockStep]


def test_a_clock_that_was_wrong_after_a_sleep_gives_both() -> None:
    """The hardware clock was an hour off."""
    clock = FakeClock()
    watch = TimeWatch(clock)
    clock.suspend(600.0)
    clock.set_wall(3600.0)
    sleep, step = watch.look()
    assert isinstance(sleep, Suspended)
    assert isinstance(step, ClockStep)
    assert [sleep.seconds, step.seconds] == pytest.approx([600.0, 3600.0])
    assert "10 min" in sleep.text
    assert "1 h" in step.text


def test_the_machines_clocks_agree() -> None:
    """The boot clock never runs behind the monotonic one."""
    clock = SystemClock()
    mono_s, boot_s = clock.mono_s(), clock.boot_s()
    assert boot_s >= mono_s
    assert TimeWatch(clock).look() == ()


@pytest.mark.parametrize(
    ("asleep_s", "set_s", "left_s"),
    [
        (0.0, 0.0, 8 * 3600.0),
        (3600.0, 0.0, 7 * 3600.0),  # an hour of the night was slept through
        (0.0, 3600.0, 7 * 3600.0),  # it is an hour later than anybody thought
        (0.0, -3600.0, 8 * 3600.0),  # an hour earlier: the night does not become longer
        (10 * 3600.0, 0.0, -2 * 3600.0),  # past seven
    ],
)
def test_the_night_ends_by_the_wall_and_never_later(asleep_s: float, set_s: float, left_s: float) -> None:
    """Whatever happens to time, seven o'clock on the wall is the end, or the planned length before it."""
    clock = FakeClock()
    order = dataclasses.replace(night_order(), rehearsal=False, window_end_utc_s=clock.utc_s() + 8 * 3600.0)
    end_by = clock.mono_s() + 8 * 3600.0
    clock.suspend(asleep_s)
    clock.set_wall(set_s)
    moved = window_end_mono_s(order, end_by=end_by, mono_s=clock.mono_s(), utc_s=clock.utc_s())
    assert moved - clock.mono_s() == pytest.approx(left_s)
    rehearsal = dataclasses.replace(order, rehearsal=True)
    assert window_end_mono_s(rehearsal, end_by=end_by, mono_s=clock.mono_s(), utc_s=clock.utc_s()) == end_by
