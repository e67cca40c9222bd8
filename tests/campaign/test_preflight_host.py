"""The preflight's checks of the machine, at their boundaries."""

import dataclasses
from pathlib import Path

import pytest

from baseline_metrics.file_systems import StatfsError, named
from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from campaign.check_rows import CheckState
from campaign.planned_night import PlannedNight
from campaign.planner import fit_night
from campaign.preflight_host import (
    CLOCK_SANE_UTC_S,
    FILES_PER_PROCESS,
    NEEDS_OF_NO_PLAN,
    OnBattery,
    check_clock,
    check_clock_changes,
    check_disk,
    check_file_system,
    check_files,
    check_memory,
    check_ports,
    check_power,
    check_sensors,
    check_sqlite,
    check_temperature,
    connections_max,
    connections_per_s_max,
    forecast_bytes,
    memory_forecast_bytes,
)
from tests.support.plans import TARGET, plan
from tests.support.preflight import GB, NOW_UTC_S, default_night, view


@pytest.mark.parametrize(("free", "state"), [(GB - 1, CheckState.FAIL), (GB, CheckState.OK), (GB + 1, CheckState.OK)])
def test_a_gigabyte_of_disk_is_the_least(free: int, state: CheckState) -> None:
    """Also without a plan."""
    assert check_disk(view(disk_free=Sample(value=float(free))), NEEDS_OF_NO_PLAN).state is state


@pytest.mark.parametrize(("missing", "state"), [(1, CheckState.FAIL), (0, CheckState.OK)])
def test_three_forecasts_and_the_reserve_have_to_fit_on_the_disk(missing: int, state: CheckState) -> None:
    """To the byte."""
    needs = dataclasses.replace(NEEDS_OF_NO_PLAN, record_bytes=GB, disk_reserve_bytes=GB)

    assert check_disk(view(disk_free=Sample(value=4.0 * GB - missing)), needs).state is state


@pytest.mark.parametrize(
    ("percent", "state"), [(89.9, CheckState.OK), (90.0, CheckState.FAIL), (90.1, CheckState.FAIL)]
)
def test_a_disk_at_the_guardians_limit_would_end_the_night_at_once(percent: float, state: CheckState) -> None:
    """So it is refused before."""
    needs = dataclasses.replace(NEEDS_OF_NO_PLAN, disk_percent_max=90.0)

    assert check_disk(view(disk_percent=Sample(value=percent)), needs).state is state


@pytest.mark.parametrize(
    ("free", "state"),
    [
        (Sample(value=1199.0), CheckState.FAIL),
        (Sample(value=1200.0), CheckState.OK),
        (Gap(reason=GapReason.ABSENT), CheckState.OK),  # a file system that does not count them
    ],
)
def test_a_disk_without_room_for_files_is_full(free: Reading, state: CheckState) -> None:
    """However many bytes it has: two hundred of a night, and what the guardian keeps."""
    found = check_disk(dataclasses.replace(view(), inodes_free=free), NEEDS_OF_NO_PLAN)

    assert found.state is state
    assert (state is CheckState.OK) or "1199 more files can be made on /runs, 1200 are needed" in found.detail


def test_unreadable_disk_and_memory_are_unknown_and_block() -> None:
    """Not knowing is no pass."""
    gap = Gap(reason=GapReason.DENIED, detail="no")

    assert check_disk(view(disk_free=gap), NEEDS_OF_NO_PLAN).blocks
    assert check_memory(view(memory_available=gap), NEEDS_OF_NO_PLAN).blocks
    assert check_sensors(view(memory_percent=gap)).blocks


def test_memory_below_the_forecast_fails_and_below_four_gigabytes_warns() -> None:
    """At each edge."""
    needs = dataclasses.replace(NEEDS_OF_NO_PLAN, memory_bytes=GB, memory_reserve_bytes=GB, memory_percent_max=80.0)

    def state(available: float, percent: float = 30.0) -> CheckState:
        host = view(memory_available=Sample(value=available), memory_percent=Sample(value=percent))
        return check_memory(host, needs).state

    assert state(2.0 * GB - 1) is CheckState.FAIL
    assert state(2.0 * GB) is CheckState.WARN
    assert state(4.0 * GB - 1) is CheckState.WARN
    assert state(4.0 * GB) is CheckState.OK
    assert state(20.0 * GB, 79.9) is CheckState.OK
    assert state(20.0 * GB, 80.0) is CheckState.FAIL


@pytest.mark.parametrize(
    ("reading", "state"),
    [
        (Sample(value=76.0), CheckState.OK),  # 5 % below 80 degrees
        (Sample(value=76.1), CheckState.FAIL),
        (Sample(value=3000.0), CheckState.OK),  # a driver without a device
        (Gap(reason=GapReason.ABSENT, detail="no sensor"), CheckState.OK),
    ],
)
def test_a_machine_that_is_hot_already_begins_no_load(reading: Reading, state: CheckState) -> None:
    """By the margin after which load may return; that there is no sensor is said."""
    needs = dataclasses.replace(NEEDS_OF_NO_PLAN, temperature_celsius_max=80.0)
    found = check_temperature(view(temperature=reading), needs)

    assert found.state is state
    assert isinstance(reading, Sample) or "heat would not be noticed" in found.detail


@pytest.mark.parametrize(("spare", "state"), [(-1, CheckState.FAIL), (0, CheckState.OK), (1, CheckState.OK)])
def test_every_connection_needs_a_descriptor(spare: int, state: CheckState) -> None:
    """Beside those that a load process has anyway."""
    needs = dataclasses.replace(NEEDS_OF_NO_PLAN, connections_per_worker=100)

    assert check_files(view(files_max=100 + FILES_PER_PROCESS + spare), needs).state is state


@pytest.mark.parametrize(
    ("connections", "sessions_per_s", "state"),
    [
        (28_232, 0.0, CheckState.OK),
        (28_233, 0.0, CheckState.FAIL),
        (232, 466.0, CheckState.OK),
        (232, 467.0, CheckState.WARN),  # 28,020 closed ones rest for a minute
    ],
)
def test_every_connection_needs_a_port_and_closed_ones_keep_theirs(
    connections: int, sessions_per_s: float, state: CheckState
) -> None:
    """Too many at once cannot be; too many closed ones may be."""
    needs = dataclasses.replace(NEEDS_OF_NO_PLAN, connections=connections, connections_per_s=sessions_per_s)
    found = check_ports(view(ports=28_232), needs)

    assert found.state is state
    assert "28232 local ports" in found.detail


def test_a_search_counts_among_the_connections_and_an_engine_has_its_own_size() -> None:
    """The default night's largest load is its search; wire needs less than httpx for it."""
    night = default_night()

    assert connections_max(night) == 500
    assert connections_per_s_max(night) == 15 * 8.0 / 150
    more = memory_forecast_bytes(night, "httpx") - memory_forecast_bytes(night, "wire")
    assert more == 500 * (480 << 10) + night.workers * (56 << 20)


def test_a_long_night_needs_more_memory_for_its_record() -> None:
    """300 MiB for eight hours beside a load process and its connections; a rehearsal needs less."""
    night = default_night()
    ours = memory_forecast_bytes(night, "wire") - night.workers * (64 << 20) - 500 * (32 << 10)

    assert ours == pytest.approx((160 + 18 * 8) << 20, rel=0.01)


@pytest.mark.parametrize(("offset_s", "state"), [(-1.0, CheckState.FAIL), (0.0, CheckState.OK)])
def test_a_clock_from_before_this_program_has_lost_its_time(offset_s: float, state: CheckState) -> None:
    """A machine without a clock battery wakes up in 1970."""
    assert check_clock(view(utc_s=CLOCK_SANE_UTC_S + offset_s)).state is state


def test_a_draining_battery_warns() -> None:
    """And does not block: a person may know better."""
    assert check_power(view(power=OnBattery(percent=80.0))).state is CheckState.WARN
    assert check_power(view()).state is CheckState.OK


def test_absent_sensors_are_named_and_first_readings_are_not() -> None:
    """A rate needs two readings; that says nothing about the host."""
    found = check_sensors(view())

    assert found.state is CheckState.OK
    assert found.detail.endswith("not on this host: temperature_celsius_max, battery_percent")


def test_a_clock_change_in_the_window_warns() -> None:
    """With direction, size and time."""
    night = fit_night(plan(), now_utc_s=1_792_880_000.0, host_cpu_count=4, run_id="run")
    assert isinstance(night, PlannedNight)
    found = check_clock_changes(night)

    assert found.state is CheckState.WARN
    assert "the clock is set back by 1 h at 02:59:59 CEST" in found.detail


@pytest.mark.parametrize(
    ("version", "note"),
    [
        ("3.40.1", True),
        ("3.44.5", True),
        ("3.44.6", False),
        ("3.45.1", True),
        ("3.50.6", True),
        ("3.50.8", False),
        ("3.51.2", True),
        ("3.51.3", False),
        ("3.53.0", False),
    ],
)
def test_an_older_sqlite_is_noted(version: str, note: bool) -> None:  # noqa: FBT001 - a table's column
    """It does no harm with one writer."""
    found = check_sqlite(version)

    assert found.state is CheckState.OK
    assert ("one writer" in found.detail) is note


@pytest.mark.parametrize(
    ("magic", "state"), [(0xEF53, CheckState.OK), (0x6969, CheckState.FAIL), (0x12345678, CheckState.WARN)]
)
def test_a_record_on_a_network_file_system_is_refused(magic: int, state: CheckState) -> None:
    """A local one is fine; one that nobody knows warns."""
    found = check_file_system(Path("/runs"), lambda _path: named(magic))

    assert found.state is state
    assert named(magic).name in found.detail


def test_a_kernel_that_does_not_say_warns() -> None:
    """It is no reason to refuse a night."""

    def silent(path: str) -> None:
        raise StatfsError(38, "Function not implemented", path)

    found = check_file_system(Path("/runs"), silent)  # type: ignore[arg-type]  # it never returns

    assert found.state is CheckState.WARN
    assert "not implemented" in found.detail


def test_the_forecast_follows_length_and_sample_period() -> None:
    """A night of eight hours takes less than 200 MiB; ten samples a second ten times the rows."""
    slow = default_night()
    fast = fit_night(
        plan(TARGET + "recording: {host_sample_period: 100ms}\n"), now_utc_s=NOW_UTC_S, host_cpu_count=4, run_id="run"
    )
    assert isinstance(fast, PlannedNight)

    assert 100 << 20 < forecast_bytes(slow) < 200 << 20
    assert forecast_bytes(fast) > 5 * forecast_bytes(slow)
