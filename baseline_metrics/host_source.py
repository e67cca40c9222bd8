"""The host's raw numbers: counters, sizes and levels as the system gives them, before any arithmetic.

A protocol stands between the sensors and the machine, so that tests can put a scripted host in its place. The supervisor
uses the real one (psutil).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import psutil

from baseline_metrics.cgroup_files import CgroupFiles, MemoryRoom
from baseline_metrics.samples import Gap, Sample

PRESSURE_DIRECTORY = "/proc/pressure"
_PRESSURE_FILE_BYTES = 4096
"""Two lines of at most a hundred bytes each; the bound is for whatever else may be mounted there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreTimes:
    """Time that a core, or all of them, spent since boot. idle_s includes waiting for IO."""

    busy_s: float
    idle_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes in and out since boot."""

    in_bytes: int
    out_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Room of memory, swap or a file system, bytes. available_bytes: what a new user of it could get."""

    total_bytes: int
    used_bytes: int
    available_bytes: int


class AbsentSensorError(Exception):
    """This host has no such sensor."""


class HostSource(Protocol):
    """Where raw numbers come from. Any method may raise any Exception; AbsentSensorError when there is no such sensor."""

    def all_cores(self) -> CoreTimes:
        """All cores together."""
        ...

    def each_core(self) -> tuple[CoreTimes, ...]:
        """One entry per online core."""
        ...

    def load_1min(self) -> float:
        """Load average of the last minute."""
        ...

    def memory(self) -> Space:
        """Physical memory."""
        ...

    def swap(self) -> Space:
        """Swap."""
        ...

    def disk(self, path: str) -> Space:
        """The file system that holds a path."""
        ...

    def disk_traffic(self) -> Traffic:
        """Bytes read (in) and written (out), all disks."""
        ...

    def network_traffic(self) -> Traffic:
        """Bytes received (in) and sent (out), all interfaces, loopback included."""
        ...

    def pressure(self, resource: str) -> str:
        """Text of a resource's pressure stall file."""
        ...

    def temperatures_celsius(self) -> tuple[float, ...]:
        """All thermal sensors."""
        ...

    def battery_percent(self) -> float:
        """Charge, 0..100."""
        ...

    def process_count(self) -> int:
        """Processes of the whole host that we can see."""
        ...


class PsutilSource:
    """The real host, through psutil; pressure stall files and control groups' limits directly."""

    def __init__(self) -> None:
        self._cgroups = CgroupFiles()

    def all_cores(self) -> CoreTimes:
        """All cores together."""
        return _core_times(psutil.cpu_times(percpu=False)._asdict())

    def each_core(self) -> tuple[CoreTimes, ...]:
        """One entry per online core."""
        return tuple(_core_times(times._asdict()) for times in psutil.cpu_times(percpu=True))

    def load_1min(self) -> float:
        """Load average of the last minute."""
        return psutil.getloadavg()[0]

    def memory(self) -> Space:
        """Physical memory that this process may use: the host's, or less where a control group has a limit."""
        found = psutil.virtual_memory()
        total, available = found.total, found.available
        match self._cgroups.memory():  # psutil shows the host, also inside a container
            case MemoryRoom(limit_bytes=Sample(value=limit), available_bytes=Sample(value=room)):
                total, available = min(total, int(limit)), min(available, int(room))
            case MemoryRoom(available_bytes=Gap(detail=detail)):
                raise OSError(detail)
            case _:
                pass
        return Space(total_bytes=total, used_bytes=total - available, available_bytes=available)

    def swap(self) -> Space:
        """Swap."""
        found = psutil.swap_memory()
        return Space(total_bytes=found.total, used_bytes=found.used, available_bytes=found.free)

    def disk(self, path: str) -> Space:
        """The file system of a path, as ``df`` counts: what is reserved for root is neither used nor available."""
        found = psutil.disk_usage(path)
        return Space(total_bytes=found.used + found.free, used_bytes=found.used, available_bytes=found.free)

    def disk_traffic(self) -> Traffic:
        """Bytes read and written, all disks."""
        found = psutil.disk_io_counters(perdisk=False, nowrap=False)
        if found is None:
            raise AbsentSensorError("this host shows no disk counters")
        return Traffic(in_bytes=found.read_bytes, out_bytes=found.write_bytes)

    def network_traffic(self) -> Traffic:
        """Bytes received and sent, all interfaces, loopback included."""
        found = psutil.net_io_counters(pernic=False, nowrap=False)
        return Traffic(in_bytes=found.bytes_recv, out_bytes=found.bytes_sent)

    def pressure(self, resource: str) -> str:
        """Text of a resource's pressure stall file."""
        descriptor = os.open(f"{PRESSURE_DIRECTORY}/{resource}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, _PRESSURE_FILE_BYTES).decode("ascii", errors="replace")
        finally:
            os.close(descriptor)

    def temperatures_celsius(self) -> tuple[float, ...]:
        """All thermal sensors."""
        chips = psutil.sensors_temperatures()
        return tuple(sensor.current for sensors in chips.values() for sensor in sensors)

    def battery_percent(self) -> float:
        """Charge, 0..100."""
        battery = psutil.sensors_battery()
        if battery is None:
            raise AbsentSensorError("this host has no battery")
        return float(battery.percent)

    def process_count(self) -> int:
        """Processes of the whole host that we can see."""
        return len(psutil.pids())


def _core_times(fields: Mapping[str, float]) -> CoreTimes:
    """Guest time is already inside user and nice (proc(5)), so those two fields must not count twice."""
    idle_s = fields["idle"] + fields.get("iowait", 0.0)  # iowait exists on Linux only
    total_s = sum(seconds for name, seconds in fields.items() if name not in {"guest", "guest_nice"})
    return CoreTimes(busy_s=total_s - idle_s, idle_s=idle_s)


THIS_HOST = PsutilSource()
