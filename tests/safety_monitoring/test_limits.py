"""The default limits of a phase."""

import pytest

from safety_monitoring.limits import (
    CEILING_PERCENT,
    LEVEL_UNLIMITED,
    Limit,
    Limits,
    LimitsError,
    Resource,
    default_limits,
)


def made(**settings: float | bool) -> dict[Resource, Limit]:
    """Default limits by resource."""
    limits: Limits = default_limits(memory_reserve_bytes=1 << 30, disk_reserve_bytes=1 << 20, **settings)  # type: ignore[arg-type]  # names come from the test table
    return {limit.resource: limit for limit in limits.limits}


def test_the_defaults_are_the_published_ones() -> None:
    """Memory 80, CPU 85, disk 90, our own tree 80 percent, with the absolute reserves."""
    limits = made()
    assert {resource: limit.percent_max for resource, limit in limits.items()} == {
        Resource.MEMORY: 80.0,
        Resource.CPU: 85.0,
        Resource.DISK: 90.0,
        Resource.OWN_CPU: 80.0,
        Resource.OWN_MEMORY: 80.0,
        Resource.INODES: 90.0,
        Resource.OPEN_FILES: 80.0,
        Resource.TEMPERATURE: 95.0,
        Resource.LOAD: 100.0,
        Resource.SWAP: 100.0,
        Resource.BATTERY: 80.0,
    }
    assert {resource: limit.level_max for resource, limit in limits.items() if limit.level_max < LEVEL_UNLIMITED} == {
        Resource.TEMPERATURE: 95.0,
        Resource.LOAD: 16.0,
        Resource.SWAP: 256 << 20,
    }
    assert {resource for resource, limit in limits.items() if not limit.optional} == {
        Resource.MEMORY,
        Resource.CPU,
        Resource.DISK,
        Resource.OWN_CPU,
        Resource.OWN_MEMORY,
    }
    assert {limits[resource].free_min for resource in (Resource.INODES, Resource.OPEN_FILES)} == {1000, 32}
    assert limits[Resource.MEMORY].free_min == 1 << 30
    assert limits[Resource.DISK].free_min == 1 << 20
    assert {limits[resource].hold_s for resource in (Resource.CPU, Resource.OWN_CPU)} == {10.0}
    assert {limits[resource].hold_s for resource in (Resource.MEMORY, Resource.OWN_MEMORY)} == {2.0}
    assert limits[Resource.DISK].hold_s == 5.0


def test_the_multiplier_moves_memory_and_cpu_only() -> None:
    """Disk and our own tree stay where they are."""
    limits = made(multiplier=0.8)
    assert limits[Resource.MEMORY].percent_max == pytest.approx(64.0)
    assert limits[Resource.CPU].percent_max == pytest.approx(68.0)
    assert limits[Resource.DISK].percent_max == 90.0
    assert limits[Resource.OWN_CPU].percent_max == 80.0


@pytest.mark.parametrize(("multiplier", "cpu"), [(1.1, 93.5), (1.12, CEILING_PERCENT), (5.0, CEILING_PERCENT)])
def test_no_multiplier_passes_the_ceiling(multiplier: float, cpu: float) -> None:
    """95 % is the end for memory and, without leave, for CPU."""
    limits = made(multiplier=multiplier)
    assert limits[Resource.CPU].percent_max == pytest.approx(cpu)
    assert limits[Resource.MEMORY].percent_max <= CEILING_PERCENT


def test_leave_for_critical_lets_cpu_alone_go_further() -> None:
    """With leave the CPU limit may pass the ceiling, and from 100 % on there is none; memory keeps the ceiling."""
    assert made(multiplier=1.15, allow_critical=True)[Resource.CPU].percent_max == pytest.approx(97.75)
    unlimited = made(multiplier=1.2, allow_critical=True)
    assert Resource.CPU not in unlimited
    assert unlimited[Resource.MEMORY].percent_max == CEILING_PERCENT


@pytest.mark.parametrize(
    "settings",
    [
        {"memory_percent": 0.0},
        {"cpu_percent": 100.1},
        {"disk_percent": -1.0},
        {"own_percent": float("nan")},
        {"multiplier": 0.0},
        {"multiplier": float("inf")},
        {"multiplier": float("nan")},
    ],
)
def test_what_cannot_be_enforced_is_refused(settings: dict[str, float]) -> None:
    """Percentages outside (0, 100] and multipliers that are no positive number are errors."""
    with pytest.raises(LimitsError):
        made(**settings)


def test_a_negative_reserve_is_refused() -> None:
    """A reserve cannot be negative."""
    with pytest.raises(LimitsError, match="reserve"):
        default_limits(memory_reserve_bytes=-1, disk_reserve_bytes=0)
