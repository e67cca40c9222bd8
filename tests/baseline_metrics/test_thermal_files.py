"""Temperatures by the kernel's own files: a made-up /sys, and this host's."""

from pathlib import Path

import pytest

from baseline_metrics.samples import Gap, GapReason, Sample
from baseline_metrics.thermal_files import SENSORS_MAX, ThermalFiles


def put(root: Path, name: str, content: str) -> None:
    """A file below /sys/class."""
    path = root / "sys" / "class" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def sensor(root: Path, number: int, milli: int | str, *, critical: int = 0, label: str = "") -> None:
    """One sensor of a processor's chip."""
    put(root, "hwmon/hwmon0/name", "coretemp\n")
    put(root, f"hwmon/hwmon0/temp{number}_input", f"{milli}\n")
    if critical:
        put(root, f"hwmon/hwmon0/temp{number}_crit", f"{critical}\n")
    if label:
        put(root, f"hwmon/hwmon0/temp{number}_label", f"{label}\n")


def test_a_host_without_sensors_says_so(tmp_path: Path) -> None:
    """Absent is a value of its own, never 0 degrees."""
    files = ThermalFiles(root=str(tmp_path))
    for reading in (files.read().celsius, files.read().critical_percent, files.critical_celsius_max):
        assert isinstance(reading, Gap)
        assert reading.reason is GapReason.ABSENT
    assert files.names == ()


def test_the_hottest_counts_in_degrees_and_as_a_share_of_its_own_critical(tmp_path: Path) -> None:
    """70 of 100 is a smaller share than 66 of 80, although it is hotter."""
    sensor(tmp_path, 1, 70_000, critical=100_000, label="Package id 0")
    sensor(tmp_path, 2, 66_000, critical=80_000)
    files = ThermalFiles(root=str(tmp_path))
    heat = files.read()
    assert (heat.celsius, heat.critical_percent) == (Sample(value=70.0), Sample(value=82.5))
    assert files.critical_celsius_max == Sample(value=100.0)
    assert files.names == ("coretemp Package id 0", "coretemp temp2")
    put(tmp_path, "hwmon/hwmon0/temp2_input", "90000\n")
    assert files.read().celsius == Sample(value=90.0)


def test_a_sensor_without_a_critical_temperature_leaves_that_of_all_unknown(tmp_path: Path) -> None:
    """It may get hotter than any that names one, so no limit is out of reach."""
    sensor(tmp_path, 1, 40_000, critical=90_000)
    put(tmp_path, "hwmon/hwmon1/temp1_input", "50000\n")
    files = ThermalFiles(root=str(tmp_path))
    assert isinstance(files.critical_celsius_max, Gap)
    assert files.read().celsius == Sample(value=50.0)


def test_thermal_zones_are_read_with_their_critical_trip_point(tmp_path: Path) -> None:
    """Phones, boards and virtual machines have these alone."""
    put(tmp_path, "thermal/thermal_zone0/type", "x86_pkg_temp\n")
    put(tmp_path, "thermal/thermal_zone0/temp", "45000\n")
    put(tmp_path, "thermal/thermal_zone0/trip_point_0_type", "passive\n")
    put(tmp_path, "thermal/thermal_zone0/trip_point_0_temp", "80000\n")
    put(tmp_path, "thermal/thermal_zone0/trip_point_1_type", "critical\n")
    put(tmp_path, "thermal/thermal_zone0/trip_point_1_temp", "90000\n")
    files = ThermalFiles(root=str(tmp_path))
    assert files.read().celsius == Sample(value=45.0)
    assert files.read().critical_percent == Sample(value=50.0)
    assert files.critical_celsius_max == Sample(value=90.0)


@pytest.mark.parametrize("milli", ["-273150", "65535000", "", "hot"])
def test_what_no_machine_can_be_is_no_reading(tmp_path: Path, milli: str) -> None:
    """A driver without a device; another sensor's answer stands, and alone it is a gap."""
    sensor(tmp_path, 1, milli)
    files = ThermalFiles(root=str(tmp_path))
    assert isinstance(files.read().celsius, Gap)
    sensor(tmp_path, 2, 50_000)
    assert ThermalFiles(root=str(tmp_path)).read().celsius == Sample(value=50.0)


def test_sensors_that_are_slow_or_too_many_are_left_out_by_name(tmp_path: Path) -> None:
    """The guardian has other things to look at; a package's own sensor is kept before those of single cores."""
    for number in range(1, SENSORS_MAX + 2):
        sensor(tmp_path, number, 40_000)
    sensor(tmp_path, SENSORS_MAX + 2, 60_000, label="Package id 0")
    files = ThermalFiles(root=str(tmp_path))
    assert len(files.names) == SENSORS_MAX
    assert files.names[0] == "coretemp Package id 0"
    assert len(files.too_slow) == 2
    assert ThermalFiles(root=str(tmp_path), read_s_max=-1.0).names == ()


def test_closed_files_are_gaps(tmp_path: Path) -> None:
    """Nobody reads somebody else's descriptor."""
    sensor(tmp_path, 1, 40_000)
    files = ThermalFiles(root=str(tmp_path))
    files.close()
    assert isinstance(files.read().celsius, Gap)


def test_the_real_host_answers_or_says_that_it_has_none() -> None:
    """With real files, whatever this host has."""
    files = ThermalFiles()
    celsius = files.read().celsius
    if files.names:
        assert isinstance(celsius, Sample | Gap)
        assert not isinstance(celsius, Sample) or -50.0 <= celsius.value <= 200.0
    else:
        assert isinstance(celsius, Gap)
        assert celsius.reason is GapReason.ABSENT
    files.close()
