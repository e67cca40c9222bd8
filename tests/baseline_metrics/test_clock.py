"""The machine's clocks and the fake one."""

import time

import pytest

from baseline_metrics.clock import FakeClock, SystemClock


def test_fake_clock_moves_only_when_told() -> None:
    """Both clocks advance together, by advancing or by sleeping, and not otherwise."""
    clock = FakeClock(mono_s=10.0, utc_s=100.0)
    assert (clock.mono_s(), clock.utc_s()) == (10.0, 100.0)

    clock.advance(1.5)
    clock.sleep(0.5)

    assert (clock.mono_s(), clock.utc_s()) == (12.0, 102.0)


def test_fake_clock_does_not_run_backwards() -> None:
    """A negative step is our own mistake."""
    with pytest.raises(AssertionError, match="backwards"):
        FakeClock().advance(-0.1)


def test_system_clock_reads_the_machines_clocks() -> None:
    """Its readings lie between two readings of the standard library's clocks."""
    clock = SystemClock()
    mono_before, utc_before = time.monotonic(), time.time()
    clock.sleep(0.0)
    mono_s, utc_s = clock.mono_s(), clock.utc_s()

    assert mono_before <= mono_s <= time.monotonic()
    assert utc_before - 1.0 <= utc_s <= time.time() + 1.0
