"""What the control groups around this process allow it, version 1 and 2, with the standard library.

A container's limit is far below its host, and /proc/meminfo and psutil show the host: whoever trusts them is killed at a
few percent "used". Every ancestor counts, because the smallest limit wins wherever it is set. Page cache that the kernel
gives back is not use. Whatever cannot be read is a Gap. Guardian and supervisor use it, through HostFiles and sensors.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from baseline_metrics.samples import Gap, GapReason, Reading, Sample

FILE_BYTES_MAX = 8192
"""memory.stat, the longest, takes 2 KiB; /proc/self/mountinfo is read in parts, see _lines."""

LEVELS_MAX = 32
"""Ancestors looked at per version; systemd nests six deep, Kubernetes five."""

MOUNTINFO_BYTES_MAX = 1 << 20

UNLIMITED_BYTES = 1 << 60
"""Version 1 says "unlimited" as the largest page-aligned number of 63 bits; nobody has an exbibyte."""

_US_PER_S = 1_000_000
_NS_PER_US = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class NoLimit:
    """This level, or none, sets a limit."""


NO_LIMIT = NoLimit()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRoom:
    """What the tightest level leaves: its limit, and what of it can still be had, bytes."""

    limit_bytes: Reading
    available_bytes: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuRoom:
    """CPU time of one level with a quota. cores: of CPUs at once, may be a fraction; used_us: since the level was made."""

    cores: float
    used_us: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """The files of one version's level."""

    limit: str
    usage: str
    stat: str
    reclaimable: tuple[tuple[bytes, int], ...]


_MEMORY_V1 = _Names(
    limit="memory.limit_in_bytes",
    usage="memory.usage_in_bytes",
    stat="memory.stat",
    reclaimable=(
        (b"total_inactive_file", 1),
        (b"total_active_file", 1),
        (b"total_dirty", -1),
        (b"total_writeback", -1),
    ),
)
_MEMORY_V2 = _Names(
    limit="memory.max",
    usage="memory.current",
    stat="memory.stat",
    reclaimable=((b"inactive_file", 1), (b"active_file", 1), (b"file_dirty", -1), (b"file_writeback", -1)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _MemoryLevel:
    names: _Names
    limit: int
    usage: int
    stat: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _CpuLevel:
    """quota: cpu.max, or version 1's quota and period. used: cpu.stat, or cpuacct.usage in nanoseconds."""

    quota: tuple[int, ...]
    used: int
    is_v1: bool


class CgroupFiles:
    """The levels above this process, found once, with kept descriptors; a reading takes some ten microseconds a level.

    Limits themselves are read anew each time: they may be changed while a night runs.
    """

    def __init__(self, *, root: str = "/") -> None:
        self._buffer = bytearray(FILE_BYTES_MAX)
        self._kept: list[int] = []
        self._memory: list[_MemoryLevel] = []
        self._cpu: list[_CpuLevel] = []
        for version, controllers, directory in _levels(root):
            if version == 2 or "memory" in controllers:
                self._keep_memory(directory, _MEMORY_V2 if version == 2 else _MEMORY_V1)
            if version == 2:
                self._keep_cpu(directory, ("cpu.max",), "cpu.stat", is_v1=False)
            elif "cpu" in controllers:
                # cpuacct is mounted beside cpu, or with it; a level's group has the same name in both.
                account = directory.replace("/cpu/", "/cpuacct/", 1) if "cpuacct" not in controllers else directory
                files = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                self._keep_cpu(directory, files, "cpuacct.usage", is_v1=True, account=account)

    def close(self) -> None:
        """Close the descriptors. The object must not be used afterwards."""
        for descriptor in self._kept:
            os.close(descriptor)
        self._kept.clear()

    def memory(self) -> MemoryRoom | NoLimit:
        """The tightest level: where least can still be had. A level whose limit is known and whose use is not is a gap."""
        limits: list[float] = []
        rooms: list[float] = []
        for level in self._memory:
            limit = self._number(level.limit)
            if limit is None or limit >= UNLIMITED_BYTES:
                continue
            used = self._used(level)
            if used is None:
                gap = Gap(reason=GapReason.FAILED, detail=f"a control group's limit is {limit}, its use cannot be read")
                return MemoryRoom(limit_bytes=Sample(value=float(limit)), available_bytes=gap)
            limits.append(float(limit))
            rooms.append(max(0.0, float(limit - used)))
        if not limits:
            return NO_LIMIT
        return MemoryRoom(limit_bytes=Sample(value=min(limits)), available_bytes=Sample(value=min(rooms)))

    def cpu(self) -> tuple[CpuRoom, ...]:
        """Every level with a quota; the lowest number of cores is what this process can have."""
        rooms = []
        for level in self._cpu:
            cores = self._quota(level)
            if cores is not None:
                rooms.append(CpuRoom(cores=cores, used_us=self._cpu_used(level)))
        return tuple(rooms)

    # Levels -----------------------------------------------------------------------------------------------------------

    def _keep_memory(self, directory: str, names: _Names) -> None:
        kept = self._open_all(directory, (names.limit, names.usage, names.stat))
        if kept:
            self._memory.append(_MemoryLevel(names=names, limit=kept[0], usage=kept[1], stat=kept[2]))

    def _keep_cpu(self, directory: str, quota: tuple[str, ...], used: str, *, is_v1: bool, account: str = "") -> None:
        quotas = self._open_all(directory, quota)
        useds = self._open_all(account or directory, (used,)) if quotas else ()
        if quotas and useds:
            self._cpu.append(_CpuLevel(quota=quotas, used=useds[0], is_v1=is_v1))

    def _open_all(self, directory: str, names: tuple[str, ...]) -> tuple[int, ...]:
        """Descriptors of all these files, or none of them: the root of a hierarchy has no limits."""
        opened: list[int] = []
        try:
            opened.extend(os.open(f"{directory}/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in names)
        except OSError:
            for descriptor in opened:
                os.close(descriptor)
            return ()
        self._kept.extend(opened)
        return tuple(opened)

    # Numbers ----------------------------------------------------------------------------------------------------------

    def _read(self, descriptor: int) -> bytes:
        try:
            return bytes(self._buffer[: os.preadv(descriptor, [self._buffer], 0)])
        except OSError:
            return b""

    def _number(self, descriptor: int) -> int | None:
        """The only number of a file; None for "max" and for what cannot be read."""
        words = self._read(descriptor).split()
        return int(words[0]) if words and words[0].lstrip(b"-").isdigit() else None

    def _used(self, level: _MemoryLevel) -> int | None:
        usage = self._number(level.usage)
        if usage is None:
            return None
        found = dict(line.split(b" ", 1) for line in self._read(level.stat).splitlines() if b" " in line)
        reclaimable = sum(sign * _plain(found.get(name, b"0")) for name, sign in level.names.reclaimable)
        return max(0, usage - max(0, reclaimable))

    def _quota(self, level: _CpuLevel) -> float | None:
        if level.is_v1:
            quota, period = (self._number(descriptor) for descriptor in level.quota)
        else:
            words = self._read(level.quota[0]).split()
            quota, period = (_plain(words[0]), _plain(words[1])) if len(words) == 2 else (None, None)
        return quota / period if quota and period and quota > 0 and period > 0 else None

    def _cpu_used(self, level: _CpuLevel) -> Reading:
        if level.is_v1:
            used_ns = self._number(level.used)
            used_us = None if used_ns is None else used_ns // _NS_PER_US
        else:
            words = self._read(level.used).split()
            used_us = _plain(words[1]) if words[:1] == [b"usage_usec"] and len(words) > 1 else None
        if used_us is None:
            return Gap(reason=GapReason.FAILED, detail="a control group has a CPU quota, its use cannot be read")
        return Sample(value=float(used_us))


def own_group(root: str = "/") -> str:
    """The directory of the version 2 group that this process is in, the nearest that tells its pressure; empty without one."""
    for version, _, directory in _levels(root):
        if version == 2 and os.path.exists(f"{directory}/memory.pressure"):  # noqa: PTH110 - no pathlib in the guardian
            return directory
    return ""


def _plain(word: bytes) -> int:
    """A number, or 0 for a word that is none ("max")."""
    return int(word) if word.strip().isdigit() else 0


def _levels(root: str) -> Iterator[tuple[int, tuple[str, ...], str]]:
    """Version, controllers and directory of every group that this process is in, its own first, up to each mount's root."""
    mounts = tuple(_mounts(root))
    for line in _lines(f"{root}/proc/self/cgroup"):
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        version = 2 if number == "0" and not names else 1
        controllers = tuple(names.split(",")) if names else ()
        for mounted_version, mounted, mount_root, mount_point in mounts:
            if mounted_version == version and (version == 2 or set(controllers) & set(mounted)):
                inside = _inside(path, mount_root)
                while inside is not None:
                    yield version, controllers, f"{root.rstrip('/')}{mount_point}{inside}".rstrip("/")
                    inside = os.path.dirname(inside) if inside not in ("", "/") else None  # noqa: PTH120 - no Path here
                    inside = "" if inside == "/" else inside
                break


def _inside(path: str, mount_root: str) -> str | None:
    """The group's path below a mount; a group outside of what is mounted (a namespace) is looked at from its root."""
    if path.count("/") > LEVELS_MAX:
        return None
    if mount_root not in ("", "/") and (path == mount_root or path.startswith(mount_root + "/")):
        return path[len(mount_root) :]
    return "" if path == "/" or mount_root not in ("", "/") or path.startswith("/..") else path


def _mounts(root: str) -> Iterator[tuple[int, tuple[str, ...], str, str]]:
    """Version, controllers, root and place of every mounted cgroup hierarchy, see proc(5) on mountinfo."""
    for line in _lines(f"{root}/proc/self/mountinfo"):
        head, separator, tail = line.partition(" - ")
        fields, kinds = head.split(" "), tail.split(" ")
        if separator and len(fields) >= 5 and len(kinds) >= 3 and kinds[0] in ("cgroup", "cgroup2"):
            version = 2 if kinds[0] == "cgroup2" else 1
            yield version, tuple(kinds[2].split(",")), fields[3], fields[4]


def _lines(path: str) -> list[str]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        content = b""
        while len(content) < MOUNTINFO_BYTES_MAX and (part := os.read(descriptor, 1 << 16)):
            content += part
    except OSError:
        return []
    finally:
        os.close(descriptor)
    return content.decode(errors="replace").splitlines()
