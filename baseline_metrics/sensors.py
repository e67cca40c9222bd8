"""The host's sensors, read once per call: every reading is a number or a gap with its reason.

Rates and shares are differences between two calls, taken here and not by the libraries, because a library's first
answer is a 0.0 that means "no idea". One broken sensor costs its own readings only. The supervisor reads them (psutil);
the guardian has its own eyes, in host_files.
"""

import errno
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

from baseline_metrics.clock import Clock
from baseline_metrics.host_source import THIS_HOST, AbsentSensorError, CoreTimes, HostSource, Space, Traffic
from baseline_metrics.samples import Gap, GapReason, HostSample, NamedReading, Reading, Sample

_DETAIL_CHARACTERS_MAX = 200
"""An error's text in a gap is stored with each sample of the night."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """A counter that only grows, at one instant."""

    value: float
    at_mono_s: float


class HostSensors:
    """All sensors of this host. Not for use by two threads: each reading is a difference to the one before.

    It waits for nothing itself; a path on a file system that hangs would hang the call, so only local paths belong here.
    """

    def __init__(self, *, disk_paths: tuple[str, ...], clock: Clock, source: HostSource = THIS_HOST) -> None:
        self._clock = clock
        self._source = source
        self._counted: dict[str, _Counted] = {}
        self._core_times: dict[str, CoreTimes] = {}
        self._core_count = 0
        self._groups: tuple[tuple[tuple[str, ...], Callable[[], tuple[Reading, ...]]], ...] = (
            (("cpu_percent",), lambda: (self._busy_percent("cpu_percent", self._source.all_cores()),)),
            (("load_1min",), lambda: (_finite(self._source.load_1min()),)),
            (("memory_percent", "memory_available_bytes"), self._read_memory),
            (("swap_percent",), self._read_swap),
            *(
                ((f"disk_percent:{path}", f"disk_free_bytes:{path}"), lambda path=path: self._read_disk(path))
                for path in dict.fromkeys(disk_paths)
            ),
            (
                ("disk_read_bytes_per_s", "disk_written_bytes_per_s"),
                lambda: self._traffic("disk", self._source.disk_traffic()),
            ),
            (
                ("network_received_bytes_per_s", "network_sent_bytes_per_s"),
                lambda: self._traffic("network", self._source.network_traffic()),
            ),
            (("psi_cpu_some_percent",), lambda: (self._read_pressure("cpu", "some"),)),
            (("psi_memory_full_percent",), lambda: (self._read_pressure("memory", "full"),)),
            (("psi_io_full_percent",), lambda: (self._read_pressure("io", "full"),)),
            (("temperature_celsius_max",), lambda: (_hottest(self._source.temperatures_celsius()),)),
            (("battery_percent",), lambda: (_finite(self._source.battery_percent()),)),
            (("process_count",), lambda: (_finite(float(self._source.process_count())),)),
        )

    def read(self) -> HostSample:
        """All sensors now. Never raises for a sensor's sake: what fails is a gap that says so."""
        at_mono_s, at_utc_s = self._clock.mono_s(), self._clock.utc_s()
        readings: list[NamedReading] = []
        for names, read in self._groups:
            readings.extend(_named(names, _guarded(names, read)))
        readings.extend(self._read_cores())
        return HostSample(at_mono_s=at_mono_s, at_utc_s=at_utc_s, readings=tuple(readings))

    def _read_cores(self) -> Iterator[NamedReading]:
        try:
            cores = self._source.each_core()
        except Exception as error:  # noqa: BLE001 - whatever a sensor does must not end the supervisor
            names = tuple(f"cpu_percent:core{index}" for index in range(self._core_count))
            return _named(names, (_gap_of(error),) * len(names))
        if len(cores) != self._core_count:  # the indices may name other cores now
            self._core_count = len(cores)
            for index in range(len(cores)):
                self._core_times.pop(f"cpu_percent:core{index}", None)
        names = tuple(f"cpu_percent:core{index}" for index in range(len(cores)))
        return _named(names, tuple(self._busy_percent(name, core) for name, core in zip(names, cores, strict=True)))

    def _busy_percent(self, sensor: str, now: CoreTimes) -> Reading:
        if not (math.isfinite(now.busy_s) and math.isfinite(now.idle_s)):
            return Gap(reason=GapReason.MALFORMED, detail="a core's time is not a finite number")
        before = self._core_times.get(sensor)
        if before is None:
            self._core_times[sensor] = now
            return Gap(reason=GapReason.FIRST_READING, detail="a share needs two readings")
        busy_s = now.busy_s - before.busy_s
        idle_s = now.idle_s - before.idle_s
        if busy_s + idle_s <= 0.0:  # the kernel counts in ticks of 10 ms; keep the older reading as the start
            return Gap(reason=GapReason.FAILED, detail="no tick of the CPU clock since the previous reading")
        self._core_times[sensor] = now
        # Single fields may step back a little (iowait does, per proc(5)), so the share is clamped.
        return Sample(value=min(100.0, max(0.0, 100.0 * busy_s / (busy_s + idle_s))))

    def _rate_per_s(self, counter: str, value: float) -> Reading:
        at_mono_s = self._clock.mono_s()
        if not math.isfinite(value):
            return Gap(reason=GapReason.MALFORMED, detail="not a finite number")
        before = self._counted.get(counter)
        if before is not None and at_mono_s <= before.at_mono_s:
            return Gap(reason=GapReason.FAILED, detail="no time has passed since the previous reading")
        self._counted[counter] = _Counted(value=value, at_mono_s=at_mono_s)
        if before is None:
            return Gap(reason=GapReason.FIRST_READING, detail="a rate needs two readings")
        if value < before.value:
            return Gap(reason=GapReason.MALFORMED, detail="the counter went backwards")
        return Sample(value=(value - before.value) / (at_mono_s - before.at_mono_s))

    def _read_memory(self) -> tuple[Reading, Reading]:
        memory = self._source.memory()
        return _used_percent(memory, nothing="the host reports no memory"), _finite(float(memory.available_bytes))

    def _read_swap(self) -> tuple[Reading]:
        return (_used_percent(self._source.swap(), nothing="no swap is configured"),)

    def _read_disk(self, path: str) -> tuple[Reading, Reading]:
        space = self._source.disk(path)
        return _used_percent(space, nothing="the file system has no size"), _finite(float(space.available_bytes))

    def _traffic(self, device: str, traffic: Traffic) -> tuple[Reading, Reading]:
        return (
            self._rate_per_s(f"{device} in", float(traffic.in_bytes)),
            self._rate_per_s(f"{device} out", float(traffic.out_bytes)),
        )

    def _read_pressure(self, resource: str, kind: str) -> Reading:
        """Share of time that tasks were stalled, percent, from ``total`` in microseconds (kernel, accounting/psi.rst).

        avg10 is a moving average and lags; the difference of the totals is exact for our own window.
        """
        stalled_us = _stalled_us(self._source.pressure(resource), kind)
        if stalled_us is None:
            return Gap(reason=GapReason.MALFORMED, detail=f"no {kind} total in the pressure file of {resource}")
        match self._rate_per_s(f"pressure {resource}", float(stalled_us)):
            case Sample(value=us_per_s):
                return Sample(value=min(100.0, us_per_s / 10_000.0))
            case Gap() as gap:
                return gap


def _guarded(names: tuple[str, ...], read: Callable[[], tuple[Reading, ...]]) -> tuple[Reading, ...]:
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - whatever a sensor does must not end the supervisor
        return (_gap_of(error),) * len(names)


def _named(names: tuple[str, ...], readings: tuple[Reading, ...]) -> Iterator[NamedReading]:
    return (NamedReading(sensor=name, reading=reading) for name, reading in zip(names, readings, strict=True))


def _gap_of(error: Exception) -> Gap:
    detail = f"{type(error).__name__}: {error}"[:_DETAIL_CHARACTERS_MAX]
    match error:
        case AbsentSensorError():
            return Gap(reason=GapReason.ABSENT, detail=str(error)[:_DETAIL_CHARACTERS_MAX])
        case FileNotFoundError() | NotImplementedError() | AttributeError():  # psutil leaves out what a platform lacks
            return Gap(reason=GapReason.ABSENT, detail=detail)
        case PermissionError() | psutil.AccessDenied():
            return Gap(reason=GapReason.DENIED, detail=detail)
        case OSError(errno=errno.EOPNOTSUPP):  # pressure accounting is compiled in but switched off
            return Gap(reason=GapReason.ABSENT, detail=detail)
        case _:
            return Gap(reason=GapReason.FAILED, detail=detail)


def _finite(value: float) -> Reading:
    if not math.isfinite(value):
        return Gap(reason=GapReason.MALFORMED, detail="not a finite number")
    return Sample(value=value)


def _used_percent(space: Space, *, nothing: str) -> Reading:
    """Used share, 100 * used / total, where used is what a new user could not get."""
    if space.total_bytes <= 0:
        return Gap(reason=GapReason.ABSENT, detail=nothing)
    return _finite(100.0 * space.used_bytes / space.total_bytes)


def _hottest(temperatures_celsius: tuple[float, ...]) -> Reading:
    if not temperatures_celsius:
        return Gap(reason=GapReason.ABSENT, detail="this host shows no thermal sensor")
    finite = [value for value in temperatures_celsius if math.isfinite(value)]
    if not finite:
        return Gap(reason=GapReason.MALFORMED, detail="no thermal sensor gives a finite number")
    return Sample(value=max(finite))


def _stalled_us(text: str, kind: str) -> int | None:
    for line in text.splitlines():
        words = line.split()
        if words and words[0] == kind:
            for word in words[1:]:
                name, _, value = word.partition("=")
                if name == "total" and value.isdecimal():
                    return int(value)
    return None
