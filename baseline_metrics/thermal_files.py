"""How hot this machine is, by the kernel's own files: hwmon (processors, disks, boards) and thermal zones.

The hottest sensor counts, in degrees and as a share of the temperature at which it calls itself critical. A sensor that
takes long to answer (an embedded controller, a disk that is asked over its own bus) is left out by its name: its reader
has other things to look at. Sensors that answer nothing for the moment are passed over while another one answers. The
guardian reads them, the planner looks once (standard library only).
"""

import os
import re
from dataclasses import dataclass

from baseline_metrics.kept_files import KeptFile
from baseline_metrics.samples import Gap, GapReason, Reading, Sample

READ_S_MAX = 0.01
"""A sensor of the processor answers in 20 microseconds; ten milliseconds are half the time between two looks at STOP."""

SENSORS_MAX = 64
"""A server with two processors of 64 cores shows one sensor a core; the packages' own come first."""

CELSIUS_MAX = 200.0
CELSIUS_MIN = -50.0
"""Outside of these no machine works: a driver without a device says -273 or 65535."""

_MILLI = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """The hottest sensor. celsius: its degrees. critical_percent: the highest share of a sensor's own critical temperature."""

    celsius: Reading
    critical_percent: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sensor:
    name: str
    file: KeptFile
    critical_celsius: Reading


_NONE = Gap(reason=GapReason.ABSENT, detail="this host shows no thermal sensor")
_NO_CRITICAL = Gap(reason=GapReason.ABSENT, detail="no sensor names a critical temperature")


class ThermalFiles:
    """All thermal sensors of this host, found once. too_slow: names of those that are not read."""

    def __init__(self, *, root: str = "/", read_s_max: float = READ_S_MAX) -> None:
        self.too_slow: tuple[str, ...] = ()
        self._sensors: list[_Sensor] = []
        for name, path, critical in _found(root):
            file = KeptFile(path, bytes_max=64)
            if file.first_read_s > read_s_max or len(self._sensors) >= SENSORS_MAX:
                file.close()
                self.too_slow = (*self.too_slow, name)
            else:
                self._sensors.append(_Sensor(name=name, file=file, critical_celsius=critical))

    @property
    def names(self) -> tuple[str, ...]:
        """The sensors that are read."""
        return tuple(sensor.name for sensor in self._sensors)

    @property
    def critical_celsius_max(self) -> Reading:
        """The highest temperature that a sensor of this host calls critical: no limit above it can ever be reached."""
        known = [one.critical_celsius.value for one in self._sensors if isinstance(one.critical_celsius, Sample)]
        if len(known) < len(self._sensors) or not known:
            return _NO_CRITICAL
        return Sample(value=max(known))

    def read(self) -> Heat:
        """The hottest now."""
        gap = _NONE
        hottest: list[float] = []
        shares: list[float] = []
        for sensor in self._sensors:
            match _celsius(sensor.file.number(), sensor.name):
                case Gap() as why:
                    gap = why
                case Sample(value=celsius):
                    hottest.append(celsius)
                    if isinstance(sensor.critical_celsius, Sample):
                        shares.append(100.0 * celsius / sensor.critical_celsius.value)
        return Heat(
            celsius=Sample(value=max(hottest)) if hottest else gap,
            critical_percent=Sample(value=max(shares)) if shares else gap if not hottest else _NO_CRITICAL,
        )

    def close(self) -> None:
        """Give all descriptors back."""
        for sensor in self._sensors:
            sensor.file.close()


def _found(root: str) -> list[tuple[str, str, Reading]]:
    """Name, path and critical temperature of each; what thermal zones repeat of hwmon is read twice, which does no harm."""
    found: list[tuple[str, str, Reading]] = []
    for device in _children(f"{root}/sys/class/hwmon", r"hwmon\d+"):
        chip = _text(f"{device}/name") or "hwmon"
        for path in _children(device, r"temp\d+_input"):
            stem = path.removesuffix("_input")
            label = _text(f"{stem}_label") or stem.rpartition("/")[2]
            critical = _critical(f"{stem}_crit")
            found.append((f"{chip} {label}", path, critical))
    for zone in _children(f"{root}/sys/class/thermal", r"thermal_zone\d+"):
        name = _text(f"{zone}/type") or zone.rpartition("/")[2]
        found.append((name, f"{zone}/temp", _trip(zone)))
    # Those of whole processors first: where there are too many, single cores are left out.
    return sorted(found, key=lambda one: re.search(r"(?i)package|tctl|cpu|pkg", one[0]) is None)


def _trip(zone: str) -> Reading:
    for path in _children(zone, r"trip_point_\d+_type"):
        if _text(path) == "critical":
            return _critical(f"{path.removesuffix('_type')}_temp")
    return _NO_CRITICAL


def _critical(path: str) -> Reading:
    file = KeptFile(path, bytes_max=64)
    reading = _celsius(file.number(), path)
    file.close()
    return reading if isinstance(reading, Sample) and reading.value > 0.0 else _NO_CRITICAL


def _celsius(milli: Reading, name: str) -> Reading:
    if isinstance(milli, Gap):
        return milli
    celsius = milli.value / _MILLI
    if not CELSIUS_MIN <= celsius <= CELSIUS_MAX:
        return Gap(reason=GapReason.MALFORMED, detail=f"{name} says {celsius:g} degrees Celsius")
    return Sample(value=celsius)


def _children(directory: str, pattern: str) -> list[str]:
    try:
        names = os.listdir(directory)  # noqa: PTH208 - no pathlib in the guardian
    except OSError:
        return []
    return [f"{directory}/{name}" for name in sorted(names) if re.fullmatch(pattern, name)]


def _text(path: str) -> str:
    file = KeptFile(path, bytes_max=256)
    content = file.read()
    file.close()
    return "" if isinstance(content, Gap) else content.decode(errors="replace").strip()
