"""The guardian's slower senses: heat, load, swap, battery, open files, and the pressure on CPU, memory and IO.

Each is read once a second, heat every two, from files that were opened at the start. What this host does not have is a row
of the protection matrix that says so; its readings are gaps, which violate nothing and let nothing pass. The guardian uses
it (standard library only).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from baseline_metrics.cgroup_files import own_group
from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from baseline_metrics.strain_files import BatteryFiles, LoadFile, OpenFiles, PressureFile, ProcessFiles, SwapFile
from baseline_metrics.thermal_files import ThermalFiles
from safety_monitoring.judge import NO_LEVEL, ReadingWindow, ResourceReading
from safety_monitoring.limits import Resource
from safety_monitoring.messages import Protection, SenseReading
from safety_monitoring.pressure import Pressures

HEAT_PERIOD_S = 2.0
"""Metal is slow, and a sensor may ask a controller that is slower than a file of the kernel."""

_NO_SHARE = Gap(reason=GapReason.ABSENT, detail="this resource has no share")
_NO_FREE = Gap(reason=GapReason.ABSENT, detail="this resource has no reserve")
_NOBODY = OpenFiles(used_percent=_NO_SHARE, left=_NO_FREE)


class SlowSenses:
    """Reads them into the window. file_pids: the processes whose descriptors are counted; cores: of the host."""

    def __init__(self, *, window: ReadingWindow, file_pids: Sequence[int], cores: float, root: str = "/") -> None:
        self._window = window
        self._files = tuple(ProcessFiles(pid, root=root) for pid in file_pids)
        self._cores = cores
        self._thermal = ThermalFiles(root=root)
        self._swap = SwapFile(root=root)
        self._load = LoadFile(root=root)
        self._battery = BatteryFiles(root=root)
        group = own_group(root)
        self._pressure_files = tuple(_pressure_files(resource, kind, root, group) for resource, kind in _PRESSURES)
        self._heat_due_mono_s = 0.0
        gap = Gap(reason=GapReason.FIRST_READING, detail="never read")
        self.pressures = Pressures(cpu_some=gap, memory_full=gap, io_full=gap)

    def read(self, now_mono_s: float) -> None:
        """Everything now; heat when it is due."""
        if now_mono_s >= self._heat_due_mono_s:
            self._heat_due_mono_s = now_mono_s + HEAT_PERIOD_S
            heat = self._thermal.read()
            self._add(Resource.TEMPERATURE, now_mono_s, percent=heat.critical_percent, level=heat.celsius)
        self._add(Resource.LOAD, now_mono_s, level=self._load.per_core(self._cores))
        swap = self._swap.read(now_mono_s)
        self._add(Resource.SWAP, now_mono_s, percent=swap.used_percent, level=swap.growth_bytes)
        self._add(Resource.BATTERY, now_mono_s, percent=self._battery.drained_percent())
        files = fullest_process([process.read() for process in self._files])
        self._add(Resource.OPEN_FILES, now_mono_s, percent=files.used_percent, free=files.left)
        cpu, memory, io = (_highest([file.read(now_mono_s) for file in files]) for files in self._pressure_files)
        self.pressures = Pressures(cpu_some=cpu, memory_full=memory, io_full=io)

    def read_heat_again(self) -> None:
        """Heat is due at the next reading: what is acted on is looked at in the moment of acting."""
        self._heat_due_mono_s = 0.0

    def inventory(self) -> tuple[Protection, ...]:
        """What this host has of them, and what not; after the first reading."""
        return (
            *(self._row(name, resource) for name, resource in _ROWS),
            _pressure_row("cpu", self.pressures.cpu_some),
            _pressure_row("memory", self.pressures.memory_full),
            _pressure_row("io", self.pressures.io_full),
        )

    def readings(self) -> tuple[SenseReading, ...]:
        """The newest of each, in the unit in which people read it."""
        pressures = (
            ("cpu pressure", self.pressures.cpu_some),
            ("memory pressure", self.pressures.memory_full),
            ("io pressure", self.pressures.io_full),
        )
        return (
            *(SenseReading(name=one.name, reading=self._newest(one), unit=one.unit) for one in _SHOWN),
            *(SenseReading(name=name, reading=reading, unit="%") for name, reading in pressures),
        )

    def _newest(self, shown: "_Shown") -> Reading:
        latest = self._window.latest(shown.resource)
        if isinstance(latest, Gap):
            return latest
        reading = latest.level if shown.is_level else latest.percent
        if isinstance(reading, Sample):
            return Sample(value=round(reading.value / shown.per, 3))
        return reading

    def close(self) -> None:
        """Give all descriptors back."""
        for close in (self._thermal.close, self._swap.close, self._load.close, self._battery.close):
            close()
        for files in self._pressure_files:
            for file in files:
                file.close()
        for process in self._files:
            process.close()

    def _row(self, name: str, resource: Resource) -> Protection:
        latest = self._window.latest(resource)
        readings = () if isinstance(latest, Gap) else (latest.percent, latest.free, latest.level)
        works = any(_is_there(reading) for reading in readings)
        detail = self._heat_words() if resource is Resource.TEMPERATURE and works else ""
        if not works:
            gaps = [reading for reading in readings if isinstance(reading, Gap) and reading not in _NO_NOTIONS]
            detail = _why(gaps[0]) if gaps else "not available: never read"
        return Protection(name=f"sense: {name}", works=works, detail=detail or "read once a second")

    def _heat_words(self) -> str:
        names = self._thermal.names
        slow = f"; too slow to be read: {', '.join(self._thermal.too_slow)}" if self._thermal.too_slow else ""
        return f"{len(names)} sensors, {names[0]} first{slow}"

    def _add(
        self,
        resource: Resource,
        now_mono_s: float,
        *,
        percent: Reading = _NO_SHARE,
        free: Reading = _NO_FREE,
        level: Reading = NO_LEVEL,
    ) -> None:
        reading = ResourceReading(at_mono_s=now_mono_s, percent=percent, free=free, level=level)
        latest = self._window.latest(resource)
        if not isinstance(latest, Gap) and _is_absent(reading) and _is_absent(latest):
            return  # what is not there is said once; the judge would go through it every time
        self._window.add(resource, reading)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What of a resource is shown. per: what its unit is of the reading's."""

    name: str
    resource: Resource
    is_level: bool
    unit: str
    per: float = 1.0


_SHOWN = (
    _Shown(name="temperature", resource=Resource.TEMPERATURE, is_level=True, unit="degrees Celsius"),
    _Shown(name="load", resource=Resource.LOAD, is_level=True, unit="tasks a core"),
    _Shown(name="swap", resource=Resource.SWAP, is_level=True, unit="MiB more a minute", per=float(1 << 20)),
    _Shown(name="battery drained", resource=Resource.BATTERY, is_level=False, unit="%"),
    _Shown(name="open files", resource=Resource.OPEN_FILES, is_level=False, unit="%"),
    _Shown(name="inodes", resource=Resource.INODES, is_level=False, unit="%"),
)

_NO_NOTIONS = (_NO_SHARE, _NO_FREE, NO_LEVEL)

_PRESSURES = (("cpu", "some"), ("memory", "full"), ("io", "full"))

_ROWS = (
    ("temperature", Resource.TEMPERATURE),
    ("load", Resource.LOAD),
    ("swap", Resource.SWAP),
    ("battery", Resource.BATTERY),
    ("open files", Resource.OPEN_FILES),
    ("inodes", Resource.INODES),
)


def _pressure_files(resource: str, kind: str, root: str, group: str) -> tuple[PressureFile, ...]:
    """The host's, and that of the container around us, which the host's does not show."""
    host = PressureFile(resource, kind, root=root)
    if not group:
        return (host,)
    return (host, PressureFile(resource, kind, path=f"{group}/{resource}.pressure"))


def _highest(readings: Sequence[Reading]) -> Reading:
    """The most that one of them says; a gap where none says anything."""
    known = [reading for reading in readings if isinstance(reading, Sample)]
    return max(known, key=lambda sample: sample.value) if known else readings[0]


def fullest_process(processes: Sequence[OpenFiles]) -> OpenFiles:
    """The worst in each respect of those that can be read; a gap only where none can."""
    shares = [one.used_percent for one in processes if isinstance(one.used_percent, Sample)]
    left = [one.left for one in processes if isinstance(one.left, Sample)]
    if not shares or not left:
        return processes[0] if processes else _NOBODY
    return OpenFiles(
        used_percent=max(shares, key=lambda sample: sample.value), left=min(left, key=lambda sample: sample.value)
    )


def _is_there(reading: Reading) -> bool:
    return isinstance(reading, Sample) or reading.reason is GapReason.FIRST_READING


def _is_absent(reading: ResourceReading) -> bool:
    parts = (reading.percent, reading.free, reading.level)
    return all(isinstance(part, Gap) and part.reason is GapReason.ABSENT for part in parts)


def _why(gap: Gap) -> str:
    return f"not available: {gap.detail or gap.reason.value}"


def _pressure_row(name: str, pressure: Reading) -> Protection:
    works = _is_there(pressure)
    detail = "it can only tighten limits" if isinstance(pressure, Sample) or works else _why(pressure)
    return Protection(name=f"sense: {name} pressure", works=works, detail=detail)
