"""The clocks of a load that is held and eased."""

import math

import pytest

from stress_scenarios.load_clock import LoadClock


def test_a_hold_stops_both_clocks_and_easing_only_one() -> None:
    """Run time stands still while held; load time also runs at the permitted share, and stands still at none."""
    clock = LoadClock(start_mono_s=100.0, lasts_s=10.0)
    assert clock.permit(102.0, 0.5)
    assert (clock.run_s(104.0), clock.time.load_s(104.0)) == (4.0, 3.0)
    assert clock.hold(104.0)
    assert (clock.run_s(150.0), clock.time.load_s(150.0)) == (4.0, 3.0)
    assert clock.resume(204.0)
    assert (clock.run_s(205.0), clock.time.load_s(206.0)) == (5.0, 4.0)


def test_the_end_moves_with_a_hold_and_not_with_easing() -> None:
    """While held there is no end in sight; afterwards it is as much later as the hold was long."""
    clock = LoadClock(start_mono_s=100.0, lasts_s=10.0)
    ends_s = [clock.end_mono_s]
    clock.permit(101.0, 0.0)
    ends_s.append(clock.end_mono_s)
    clock.hold(103.0)
    ends_s.append(clock.end_mono_s)
    clock.resume(110.0)
    ends_s.append(clock.end_mono_s)
    assert ends_s == [110.0, 110.0, math.inf, 117.0]


def test_only_changes_are_changes() -> None:
    """Holding what is held, going on with what goes on, permitting what is permitted: nothing; and under a hold no share counts."""
    clock = LoadClock(start_mono_s=100.0, lasts_s=10.0)
    assert not clock.permit(101.0, 1.0)
    assert not clock.resume(101.0)
    assert clock.changed_mono_s == 100.0
    assert clock.hold(102.0)
    assert not clock.hold(103.0)
    assert not clock.permit(104.0, 0.5)
    assert clock.changed_mono_s == 102.0
    assert clock.resume(105.0)
    assert (clock.time.share, clock.changed_mono_s) == (0.5, 105.0)


@pytest.mark.parametrize(("resumed_s", "run_s"), [(99.0, 5.0), (103.0, 2.0)])
def test_a_hold_before_the_start_takes_nothing_from_the_load(resumed_s: float, run_s: float) -> None:
    """What is held before its start begins at its start, or when it is let go on."""
    clock = LoadClock(start_mono_s=100.0, lasts_s=10.0)
    clock.hold(90.0)
    clock.resume(resumed_s)
    assert clock.run_s(105.0) == run_s
