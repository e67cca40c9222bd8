"""Pressure tightens limits, and never loosens one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from safety_monitoring.limits import Limit, Resource, default_limits
from safety_monitoring.pressure import (
    CPU_SOME_PERCENT,
    IO_FULL_PERCENT,
    MEMORY_FULL_PERCENT,
    Pressures,
    tightened,
)

NONE = Gap(reason=GapReason.ABSENT, detail="no PSI")
LIMITS = default_limits(memory_reserve_bytes=1 << 29, disk_reserve_bytes=1 << 30)


def pressures(*, cpu: Reading = NONE, memory: Reading = NONE, io: Reading = NONE) -> Pressures:
    """Unknown but for what is given."""
    return Pressures(cpu_some=cpu, memory_full=memory, io_full=io)


def by_resource(found: Pressures, *, multiplier: float = 1.0) -> dict[Resource, Limit]:
    """The limits under this pressure."""
    limits = default_limits(memory_reserve_bytes=1 << 29, disk_reserve_bytes=1 << 30, multiplier=multiplier)
    return {limit.resource: limit for limit in tightened(limits, found).limits}


@pytest.mark.parametrize(("off", "percent"), [(-0.1, 85.0), (0.0, 80.0), (0.1, 80.0)])
def test_pressure_on_the_cpu_takes_five_points(off: float, percent: float) -> None:
    """Just below, at and above; only of the CPU, and the reason is in the limit."""
    limits = by_resource(pressures(cpu=Sample(value=CPU_SOME_PERCENT + off)))
    assert limits[Resource.CPU].percent_max == percent
    assert ("for pressure on the CPU" in limits[Resource.CPU].why) is (percent < 85.0)
    assert limits[Resource.MEMORY].percent_max == 80.0
    assert limits[Resource.OWN_CPU].percent_max == 80.0


@pytest.mark.parametrize(("off", "percent"), [(-0.1, 80.0), (0.0, 70.0), (0.1, 70.0)])
def test_pressure_on_memory_takes_ten_points(off: float, percent: float) -> None:
    """Just below, at and above."""
    limits = by_resource(pressures(memory=Sample(value=MEMORY_FULL_PERCENT + off)))
    assert limits[Resource.MEMORY].percent_max == percent
    assert limits[Resource.CPU].percent_max == 85.0


@pytest.mark.parametrize(("off", "factor"), [(-0.1, 1), (0.0, 2), (0.1, 2)])
def test_pressure_on_io_doubles_the_disks_reserve(off: float, factor: int) -> None:
    """What is written has not reached the disk yet."""
    limits = by_resource(pressures(io=Sample(value=IO_FULL_PERCENT + off)))
    assert limits[Resource.DISK].free_min == factor << 30
    assert limits[Resource.DISK].percent_max == 90.0


def test_unknown_pressure_changes_nothing() -> None:
    """A kernel without PSI has the plan's limits."""
    assert tightened(LIMITS, pressures()) is LIMITS


def test_a_low_limit_is_halved_at_most() -> None:
    """Ten points less than eight would be a limit that everything violates."""
    limits = by_resource(pressures(memory=Sample(value=50.0)), multiplier=0.1)
    assert limits[Resource.MEMORY].percent_max == pytest.approx(4.0)


SHARES = st.one_of(st.just(NONE), st.floats(0.0, 100.0).map(lambda value: Sample(value=value)))


@given(cpu=SHARES, memory=SHARES, io=SHARES, multiplier=st.floats(0.1, 2.0))
def test_no_pressure_loosens_any_limit(cpu: Reading, memory: Reading, io: Reading, multiplier: float) -> None:
    """Whatever it is: every percentage is at most, every reserve at least the plan's, and none is left out."""
    plain = by_resource(pressures(), multiplier=multiplier)
    tight = by_resource(pressures(cpu=cpu, memory=memory, io=io), multiplier=multiplier)
    assert tight.keys() == plain.keys()
    for resource, limit in tight.items():
        before = plain[resource]
        assert 0.0 < limit.percent_max <= before.percent_max
        assert limit.free_min >= before.free_min
        assert limit.level_max == before.level_max
        assert (limit.hold_s, limit.clear_hold_s) == (before.hold_s, before.clear_hold_s)
