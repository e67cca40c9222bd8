"""What the guardian reads of the host and of our own processes, and when.

Memory every 100 ms to every second, by what is left of it (see look_period), everything else every second: that is as
fast as each can hurt. What wears a host down more slowly is read by slow_senses.
CPU is a difference of two readings. All readings go into one window, from which alone is judged. The guardian uses it.
"""

import os
from collections.abc import Callable, Sequence

from baseline_metrics.cgroup_files import NO_LIMIT, CpuRoom, NoLimit
from baseline_metrics.host_files import (
    CpuTicks,
    DiskReadings,
    HostFiles,
    MemoryReadings,
    ProcessStat,
    disk_readings,
    kernel_threads,
    process_tree,
)
from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from safety_monitoring.judge import ReadingWindow, ResourceReading
from safety_monitoring.limits import Limit, Limits, Resource
from safety_monitoring.look_period import memory_period_s
from safety_monitoring.messages import Protection, SenseReading
from safety_monitoring.pressure import Pressures
from safety_monitoring.slow_senses import SlowSenses

SLOW_PERIOD_S = 1.0

KERNEL_PERIOD_S = 10.0
"""Threads of the kernel are told apart this often, and not looked at in between: they are most of a host's list. A process of
ours that takes over such a pid is missing from our own share for this long at most, and from nothing else."""

CPU_SPAN_S_MIN = 0.2
"""Two CPU readings closer than 20 clock ticks say nothing."""

_CORES = float(os.cpu_count() or 1)
_US_PER_S = 1_000_000

_NOTHING: frozenset[Resource] = frozenset()
_MEMORY_ALONE = frozenset({Resource.MEMORY})
_ALL = frozenset(Resource)
_ALL_BUT_MEMORY = _ALL - _MEMORY_ALONE

_NOT_APPLICABLE = Gap(reason=GapReason.ABSENT, detail="this resource has no free bytes")
_FIRST = Gap(reason=GapReason.FIRST_READING, detail="a rate needs two readings")


class GuardianSenses:
    """Reads what is due, into the window. roots: the processes whose trees are our own, asked for at each reading.

    file_pids: the processes whose open files are counted.
    """

    def __init__(
        self,
        *,
        window: ReadingWindow,
        disk_paths: Sequence[str],
        roots: Callable[[], tuple[int, ...]],
        host: HostFiles,
        file_pids: Sequence[int] = (),
        root: str = "/",
    ) -> None:
        self._window = window
        self._slow = SlowSenses(window=window, file_pids=file_pids, cores=_CORES, root=root)
        self._disk_paths = tuple(disk_paths)
        self._roots = roots
        self._host = host
        self._root = root
        self._memory_limit: Limit | NoLimit = NO_LIMIT
        self._ramp_bytes_per_s = 0.0
        self._memory_due_mono_s = 0.0
        self._memory_at_mono_s = 0.0
        self._memory = MemoryReadings(total_bytes=_FIRST, available_bytes=_FIRST)
        self._slow_due_mono_s = 0.0
        self._kernel: frozenset[int] = frozenset()
        self._kernel_due_mono_s = 0.0
        self._cpu_before: CpuTicks | Gap = _FIRST
        self._rooms_before: tuple[CpuRoom, ...] = ()
        self._cpu_at_mono_s = 0.0
        self._tree_before: dict[tuple[int, int], int] = {}

    def expect(self, limits: Limits, *, memory_ramp_bytes_per_s: float) -> None:
        """From now on these limits hold, and our own load takes memory this fast: look at it as often as that needs."""
        memory = (limit for limit in limits.limits if limit.resource is Resource.MEMORY)
        self._memory_limit = next(memory, NO_LIMIT)
        self._ramp_bytes_per_s = memory_ramp_bytes_per_s
        self._memory_due_mono_s = min(self._memory_due_mono_s, self._memory_at_mono_s + self._memory_period_s())

    def read_due(self, now_mono_s: float) -> frozenset[Resource]:
        """Read what is due; what was read."""
        memory_due, slow_due = now_mono_s >= self._memory_due_mono_s, now_mono_s >= self._slow_due_mono_s
        if memory_due:
            self._read_memory(now_mono_s)
        if slow_due:
            self._read_slow(now_mono_s)
            return _ALL if memory_due else _ALL_BUT_MEMORY
        return _MEMORY_ALONE if memory_due else _NOTHING

    def read_again(self, now_mono_s: float) -> None:
        """Read everything now, immediately before acting; CPU only if its last reading is not of this very moment."""
        self._read_memory(now_mono_s)
        self._slow.read_heat_again()
        if now_mono_s - self._cpu_at_mono_s >= CPU_SPAN_S_MIN:
            self._read_slow(now_mono_s)

    def percent(self, resource: Resource) -> Reading:
        """The newest percentage of a resource."""
        latest = self._window.latest(resource)
        return latest if isinstance(latest, Gap) else latest.percent

    @property
    def pressures(self) -> Pressures:
        """How much tasks have waited for lately."""
        return self._slow.pressures

    def words(self) -> str:
        """Who uses this host: our own processes, and all together."""
        shares = [
            f"{name} {_words(self.percent(own))} ours of {_words(self.percent(all_of_it))} in use"
            for name, own, all_of_it in (
                ("CPU", Resource.OWN_CPU, Resource.CPU),
                ("memory", Resource.OWN_MEMORY, Resource.MEMORY),
            )
        ]
        return ", ".join(shares)

    def readings(self) -> tuple[SenseReading, ...]:
        """What the slower senses say now, for people."""
        return self._slow.readings()

    def inventory(self) -> tuple[Protection, ...]:
        """Which senses this host has, one row each; after the first reading."""
        return self._slow.inventory()

    def _read_memory(self, now_mono_s: float) -> None:
        memory = self._host.memory()
        percent = _memory_percent(memory)
        self._add(Resource.MEMORY, now_mono_s, percent, memory.available_bytes)
        self._memory, self._memory_at_mono_s = memory, now_mono_s
        self._memory_due_mono_s = now_mono_s + self._memory_period_s()

    def _memory_period_s(self) -> float:
        headroom = _headroom_bytes(self._memory, self._memory_limit)
        return memory_period_s(headroom, ramp_bytes_per_s=self._ramp_bytes_per_s)

    def _read_slow(self, now_mono_s: float) -> None:
        span_s, self._cpu_at_mono_s = now_mono_s - self._cpu_at_mono_s, now_mono_s
        self._slow_due_mono_s = now_mono_s + SLOW_PERIOD_S
        cpu = self._host.cpu()
        if now_mono_s >= self._kernel_due_mono_s:
            self._kernel_due_mono_s = now_mono_s + KERNEL_PERIOD_S
            self._kernel = kernel_threads(root=self._root)
        tree = process_tree(self._roots(), root=self._root, without=self._kernel)
        rooms, rooms_before = self._host.cpu_rooms(), self._rooms_before
        quotas = tuple(_quota_percent(before, room, span_s) for before, room in zip(rooms_before, rooms, strict=False))
        used = _worst((_cpu_percent(self._cpu_before, cpu), *quotas), max)
        self._add(Resource.CPU, now_mono_s, used, _NOT_APPLICABLE)
        self._rooms_before = rooms
        own_cpu = self._own_cpu_percent(cpu, tree)
        self._add(Resource.OWN_CPU, now_mono_s, own_cpu, _NOT_APPLICABLE)
        own_memory = _share(sum(stat.rss_bytes for stat in tree), self._host.memory().total_bytes)
        self._add(Resource.OWN_MEMORY, now_mono_s, own_memory, _NOT_APPLICABLE)
        self._cpu_before = cpu
        self._tree_before = {(stat.pid, stat.start_ticks): stat.cpu_ticks for stat in tree}
        fullest = fullest_disk([disk_readings(path) for path in self._disk_paths])
        self._add(Resource.DISK, now_mono_s, fullest.used_percent, fullest.free_bytes)
        self._add(Resource.INODES, now_mono_s, fullest.inodes_used_percent, fullest.inodes_free)
        self._slow.read(now_mono_s)

    def _own_cpu_percent(self, cpu: CpuTicks | Gap, tree: Sequence[ProcessStat]) -> Reading:
        if isinstance(self._cpu_before, Gap):
            return self._cpu_before
        if isinstance(cpu, Gap):
            return cpu
        # A process that is new since the last reading brings all its ticks; one that ended takes its last ones along.
        own = sum(stat.cpu_ticks - self._tree_before.get((stat.pid, stat.start_ticks), 0) for stat in tree)
        cores = min((room.cores for room in self._rooms_before), default=_CORES)
        return _tick_percent(own, round((cpu.total - self._cpu_before.total) * min(1.0, cores / _CORES)))

    def _add(self, resource: Resource, now_mono_s: float, percent: Reading, free: Reading) -> None:
        reading = ResourceReading(at_mono_s=now_mono_s, percent=percent, free=free)
        self._window.add(resource, reading)


def _words(percent: Reading) -> str:
    return "unknown" if isinstance(percent, Gap) else f"{percent.value:.0f} %"


def fullest_disk(disks: Sequence[DiskReadings]) -> DiskReadings:
    """The fullest of several file systems; unknown as soon as one of them is. The reserve is of the first one alone.

    The record grows there. A state directory may lie in a small file system in memory, whose share is enough to look at.
    """
    if not disks:
        gap = Gap(reason=GapReason.ABSENT, detail="no path is watched")
        return DiskReadings(used_percent=gap, free_bytes=gap, inodes_used_percent=gap, inodes_free=gap)
    # Some file systems do not count inodes; that is no blindness.
    counted = [disk for disk in disks if isinstance(disk.inodes_used_percent, Sample)]
    return DiskReadings(
        used_percent=_worst([disk.used_percent for disk in disks], max),
        free_bytes=disks[0].free_bytes,
        inodes_used_percent=_worst([disk.inodes_used_percent for disk in counted or disks[:1]], max),
        inodes_free=_worst([disk.inodes_free for disk in counted or disks[:1]], min),
    )


def _worst(readings: Sequence[Reading], choose: Callable[[list[float]], float]) -> Reading:
    values = []
    for reading in readings:
        if isinstance(reading, Gap):
            return reading
        values.append(reading.value)
    return Sample(value=choose(values))


def _headroom_bytes(memory: MemoryReadings, limit: Limit | NoLimit) -> Reading:
    """What may still be taken before the limit is reached, by its percentage or its reserve, whichever comes first."""
    match memory.total_bytes, memory.available_bytes, limit:
        case Gap() as gap, _, _:
            return gap
        case _, Gap() as gap, _:
            return gap
        case Sample(value=total), Sample(value=available), Limit(percent_max=percent, free_min=reserve):
            return Sample(value=available - max(float(reserve), total * (1.0 - percent / 100.0)))
        case _:
            return memory.available_bytes


def _memory_percent(memory: MemoryReadings) -> Reading:
    match memory.total_bytes, memory.available_bytes:
        case Sample(value=total), Sample(value=available) if total > 0:
            return Sample(value=100.0 * (total - available) / total)
        case _, Gap() as gap:
            return gap
        case Gap() as gap, _:
            return gap
        case _:
            return Gap(reason=GapReason.MALFORMED, detail="the host says that it has no memory")


def _cpu_percent(before: CpuTicks | Gap, after: CpuTicks | Gap) -> Reading:
    if isinstance(before, Gap):
        return before
    if isinstance(after, Gap):
        return after
    return _tick_percent(after.busy - before.busy, after.total - before.total)


def _quota_percent(before: CpuRoom, after: CpuRoom, span_s: float) -> Reading:
    """How much of a control group's quota was used: at 100 % the kernel lets us wait, whatever the host has free."""
    if isinstance(before.used_us, Gap):
        return before.used_us
    if isinstance(after.used_us, Gap):
        return after.used_us
    return _tick_percent(round(after.used_us.value - before.used_us.value), round(after.cores * span_s * _US_PER_S))


def _tick_percent(part: int, total: int) -> Reading:
    if total <= 0:
        return Gap(reason=GapReason.MALFORMED, detail="the host's CPU time stood still")
    return Sample(value=min(100.0, max(0.0, 100.0 * part / total)))


def _share(part: float, total: Reading) -> Reading:
    if isinstance(total, Gap):
        return total
    return Sample(value=100.0 * part / total.value) if total.value > 0 else _NOT_APPLICABLE
