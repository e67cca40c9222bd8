"""The host and its processes, read straight from /proc and /sys with the standard library.

The guardian and the emergency stop must work on bare Python, in microseconds, while the host is short of everything;
psutil (see sensors) is for the record, these readers are for safety. Whatever cannot be read is a Gap with its reason.
Every reader takes ``root``, so that tests hand it a made-up tree. Guardian, emergency stop, supervisor and worker use it.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from baseline_metrics.cgroup_files import CgroupFiles, CpuRoom, MemoryRoom, NoLimit
from baseline_metrics.samples import Gap, GapReason, Reading, Sample

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

_KERNEL_FILE_BYTES = 16_384
"""/proc/meminfo takes 1.5 KiB; of /proc/stat only the first line counts. A longer answer is cut, never waited for."""

_PF_KTHREAD = 0x00200000
"""Of the flags in /proc/PID/stat."""

_STAT_BYTES = 4096
"""/proc/PID/stat has 52 numbers and a name of at most 64 characters: below 1.2 KiB."""

_ENVIRON_BYTES_MAX = 1 << 18
"""Of an environment at most this much is searched (the kernel's own limit for one string is 128 KiB)."""

_PRESSURE_KINDS = ("cpu", "memory", "io")

MARK_RUN_ID = "DAYBREAK_RUN_ID"
MARK_ROLE = "DAYBREAK_ROLE"
MARK_RUNS_DIR = "DAYBREAK_RUNS_DIR"
MARK_STATE_DIR = "DAYBREAK_STATE_DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessGone:
    """There is no such process, or it is not ours to look at."""

    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStat:
    """One line of /proc/PID/stat. state: R, S, D (uninterruptible), T (stopped), Z (zombie), ... see proc(5)."""

    pid: int
    name: str
    state: str
    parent_pid: int
    group: int
    cpu_ticks: int
    start_ticks: int
    rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMark:
    """What tells one campaign's processes from all others: its run id, and the registry where that id is taken once.

    A run id alone is a second and a name, and two users may choose the same. state_dir empty: of whatever registry.
    """

    run_id: str
    state_dir: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedProcess:
    """A process that carries a run's marker in its environment. Texts are empty where a marker is not set."""

    pid: int
    start_ticks: int
    run_id: str
    role: str
    runs_dir: str
    state_dir: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryReadings:
    """What this process may use of the host, bytes: of the host and every control group around us the least.

    available is the kernel's estimate of what can be had without swapping.
    """

    total_bytes: Reading
    available_bytes: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTicks:
    """Time of all CPUs together since boot, in clock ticks. busy excludes idle and waiting for IO, includes steal."""

    busy: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskReadings:
    """One file system as df sees it: used / (used + available to us), 0..100; inodes likewise where they are counted."""

    used_percent: Reading
    free_bytes: Reading
    inodes_used_percent: Reading
    inodes_free: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class PressureTotal:
    """Microseconds since boot in which some task waited for the resource (PSI)."""

    kind: str
    some_us: Reading


class HostFiles:
    """/proc/meminfo and /proc/stat through kept descriptors and one preallocated buffer: 5 microseconds a reading."""

    def __init__(self, *, root: str = "/") -> None:
        self._buffer = bytearray(_KERNEL_FILE_BYTES)
        self._meminfo = _open_kept(f"{root}/proc/meminfo")
        self._stat = _open_kept(f"{root}/proc/stat")
        self._cgroups = CgroupFiles(root=root)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptors. The object must not be used afterwards."""
        for kept in (self._meminfo, self._stat):
            if isinstance(kept, int):
                os.close(kept)
        self._cgroups.close()

    def memory(self) -> MemoryReadings:
        """MemTotal and MemAvailable, or less where a control group's limit is tighter."""
        content = self._read(self._meminfo)
        if isinstance(content, Gap):
            return MemoryReadings(total_bytes=content, available_bytes=content)
        total, available = _meminfo_bytes(content, b"MemTotal:"), _meminfo_bytes(content, b"MemAvailable:")
        match self._cgroups.memory():
            case NoLimit():
                return MemoryReadings(total_bytes=total, available_bytes=available)
            case MemoryRoom(limit_bytes=limit, available_bytes=room):
                return MemoryReadings(total_bytes=least(total, limit), available_bytes=least(available, room))

    def cpu_rooms(self) -> tuple[CpuRoom, ...]:
        """Every control group around us that has a CPU quota."""
        return self._cgroups.cpu()

    def cpu(self) -> CpuTicks | Gap:
        """Busy and total ticks; a percentage needs the difference of two of them."""
        content = self._read(self._stat)
        if isinstance(content, Gap):
            return content
        words = content.partition(b"\n")[0].split()
        try:
            ticks = [int(word) for word in words[1:9]]  # guest time is already part of user time
        except ValueError:
            ticks = []
        if words[:1] != [b"cpu"] or len(ticks) < 8:
            return Gap(reason=GapReason.MALFORMED, detail="the first line of /proc/stat")
        return CpuTicks(busy=sum(ticks) - ticks[3] - ticks[4], total=sum(ticks))

    def _read(self, kept: int | Gap) -> bytes | Gap:
        if isinstance(kept, Gap):
            return kept
        try:
            length = os.preadv(kept, [self._buffer], 0)
        except OSError as error:
            return Gap(reason=GapReason.FAILED, detail=str(error))
        return bytes(self._buffer[:length])


def least(one: Reading, other: Reading) -> Reading:
    """The smaller of two readings; unknown as soon as one of them is."""
    if isinstance(one, Gap):
        return one
    return other if isinstance(other, Gap) or other.value < one.value else one


def usable_cores(host: HostFiles) -> int:
    """CPUs that this process may keep busy: those it may run on, or fewer where a control group has a quota; at least 1."""
    allowed = float(len(os.sched_getaffinity(0)))
    return max(1, int(min([allowed, *(room.cores for room in host.cpu_rooms())])))


def boot_id(*, root: str = "/") -> str:
    """The kernel's random name of this boot; empty where it cannot be read, which equals no other boot."""
    content = _read_small(f"{root}/proc/sys/kernel/random/boot_id")
    return "" if isinstance(content, Gap) else content.decode(errors="replace").strip()


def load_average_1min(*, root: str = "/") -> Reading:
    """Mean number of runnable or uninterruptible tasks over the last minute."""
    content = _read_small(f"{root}/proc/loadavg")
    return content if isinstance(content, Gap) else _number(content.split()[:1], "/proc/loadavg")


def pressure_totals(*, root: str = "/") -> tuple[PressureTotal, ...]:
    """PSI of cpu, memory and io: cumulative, so that the reader chooses its own window."""
    totals = []
    for kind in _PRESSURE_KINDS:
        content = _read_small(f"{root}/proc/pressure/{kind}")
        if not isinstance(content, Gap):
            words = [word[6:] for word in content.partition(b"\n")[0].split() if word.startswith(b"total=")]
            totals.append(PressureTotal(kind=kind, some_us=_number(words, f"/proc/pressure/{kind}")))
        else:
            totals.append(PressureTotal(kind=kind, some_us=content))
    return tuple(totals)


def oom_kills(*, root: str = "/") -> Reading:
    """How many processes the kernel has killed for want of memory since the boot (/proc/vmstat)."""
    content = _read_small(f"{root}/proc/vmstat")
    if isinstance(content, Gap):
        return content
    words = content.partition(b"\noom_kill ")[2].split(maxsplit=1)
    return _number(words[:1], "oom_kill in /proc/vmstat")


def disk_readings(path: str) -> DiskReadings:
    """The file system that holds this path. A hanging network file system hangs the caller: leases are made for that."""
    try:
        status = os.statvfs(path)
    except OSError as error:
        gap = _gap(error)
        return DiskReadings(used_percent=gap, free_bytes=gap, inodes_used_percent=gap, inodes_free=gap)
    inodes_used = status.f_files - status.f_ffree
    inodes_percent = _share_percent(inodes_used, status.f_favail)
    return DiskReadings(
        used_percent=_share_percent(status.f_blocks - status.f_bfree, status.f_bavail),
        free_bytes=Sample(value=float(status.f_bavail * status.f_frsize)),
        inodes_used_percent=inodes_percent,
        inodes_free=Sample(value=float(status.f_favail)) if isinstance(inodes_percent, Sample) else inodes_percent,
    )


def process_stat(pid: int, *, root: str = "/") -> ProcessStat | ProcessGone:
    """State, parent and times of one process. Zombies answer; who was reaped is ProcessGone."""
    content = _read_stat(pid, root)
    return ProcessGone(pid=pid) if isinstance(content, ProcessGone) else _stat_of(pid, content)


def _read_stat(pid: int, root: str) -> bytes | ProcessGone:
    """The line as it stands: the kernel gives it whole in one read, and a scan reads hundreds."""
    try:
        descriptor = os.open(f"{root}/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, _STAT_BYTES)
        finally:
            os.close(descriptor)
    except OSError:
        return ProcessGone(pid=pid)


def _stat_of(pid: int, content: bytes) -> ProcessStat | ProcessGone:
    # The name stands in parentheses and may itself hold spaces and parentheses: the last closing one ends it.
    head, closing, tail = content.rpartition(b")")
    words = tail.split()
    try:
        assert closing
        return ProcessStat(
            pid=pid,
            name=head.partition(b"(")[2].decode(errors="replace"),
            state=words[0].decode(),
            parent_pid=int(words[1]),
            group=int(words[2]),
            cpu_ticks=int(words[11]) + int(words[12]),
            start_ticks=int(words[19]),
            rss_bytes=int(words[21]) * PAGE_BYTES,
        )
    except (AssertionError, IndexError, ValueError):
        return ProcessGone(pid=pid)


def start_ticks(pid: int, *, root: str = "/") -> int | ProcessGone:
    """When the process started, clock ticks after boot: with the pid and the boot id it names a process for good."""
    stat = process_stat(pid, root=root)
    return stat if isinstance(stat, ProcessGone) else stat.start_ticks


def process_ids(*, root: str = "/") -> tuple[int, ...]:
    """All processes that we may see."""
    try:
        names = os.listdir(f"{root}/proc")  # noqa: PTH208 - names only: a Path per process doubles the price of a scan
    except OSError:
        return ()
    return tuple(int(name) for name in names if name.isdigit())


def kernel_threads(*, root: str = "/") -> frozenset[int]:
    """Threads of the kernel: most of what a quiet host lists, and never anybody's child."""
    lines = ((pid, _read_stat(pid, root)) for pid in process_ids(root=root))
    return frozenset(pid for pid, line in lines if isinstance(line, bytes) and _is_kernel_thread(line))


def _is_kernel_thread(line: bytes) -> bool:
    words = line[line.rfind(b")") + 1 :].split(maxsplit=7)
    return len(words) > 6 and words[6].isdigit() and bool(int(words[6]) & _PF_KTHREAD)


def process_tree(
    roots: Iterable[int], *, root: str = "/", without: frozenset[int] = frozenset()
) -> tuple[ProcessStat, ...]:
    """The given processes and all their descendants, each once. Takes about 8 microseconds per process of the host.

    Of strangers nothing but the parent is read out of their line. without: processes that are not looked at.
    """
    lines: dict[int, bytes] = {}
    children: dict[bytes, list[int]] = {}
    for pid in process_ids(root=root):
        line = ProcessGone(pid=pid) if pid in without else _read_stat(pid, root)
        if not isinstance(line, ProcessGone):
            lines[pid] = line
            children.setdefault(_parent_in(line), []).append(pid)
    found: dict[int, ProcessStat] = {}
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid in lines and pid not in found:
            stat = _stat_of(pid, lines[pid])
            if isinstance(stat, ProcessStat):
                found[pid] = stat
                waiting.extend(children.get(b"%d" % pid, ()))
    return tuple(found.values())


def _parent_in(line: bytes) -> bytes:
    """The parent's pid as it stands after the name and the state; empty in a line that is none."""
    words = line[line.rfind(b")") + 1 :].split(maxsplit=2)
    return words[1] if len(words) > 1 else b""


def marked_process(pid: int, *, root: str = "/") -> MarkedProcess | ProcessGone:
    """The markers of one process; ProcessGone if it has none, is a zombie (its environment is empty), or is not ours."""
    content = _read_small(f"{root}/proc/{pid}/environ", bytes_max=_ENVIRON_BYTES_MAX)
    if isinstance(content, Gap) or MARK_RUN_ID.encode() not in content:
        return ProcessGone(pid=pid)
    marks = {}
    for item in content.split(b"\0"):
        name, _, value = item.partition(b"=")
        if name.startswith(b"DAYBREAK_"):
            marks[name.decode(errors="replace")] = os.fsdecode(value)
    ticks = start_ticks(pid, root=root)
    if isinstance(ticks, ProcessGone) or not marks.get(MARK_RUN_ID):
        return ProcessGone(pid=pid)
    return MarkedProcess(
        pid=pid,
        start_ticks=ticks,
        run_id=marks[MARK_RUN_ID],
        role=marks.get(MARK_ROLE, ""),
        runs_dir=marks.get(MARK_RUNS_DIR, ""),
        state_dir=marks.get(MARK_STATE_DIR, ""),
    )


def process_user(pid: int, *, root: str = "/") -> int | ProcessGone:
    """The real user id of a process (proc(5), Uid of status). The owner of /proc/PID may be root's for anybody's process."""
    content = _read_small(f"{root}/proc/{pid}/status")
    if isinstance(content, Gap):
        return ProcessGone(pid=pid)
    for line in content.splitlines():
        name, _, values = line.partition(b":")
        if name == b"Uid" and (words := values.split()) and words[0].isdigit():
            return int(words[0])
    return ProcessGone(pid=pid)


def every_marked_process(*, root: str = "/") -> tuple[MarkedProcess, ...]:
    """All running processes that carry any run's marker and that we may look at."""
    looked = (marked_process(pid, root=root) for pid in process_ids(root=root))
    return tuple(found for found in looked if isinstance(found, MarkedProcess))


def marked_processes(run: RunMark, *, root: str = "/") -> tuple[MarkedProcess, ...]:
    """The running processes of one run, whoever their parent is and whatever session they moved to.

    Registries are compared by where their paths lead; a process that names none is taken by its run id alone.
    """
    return tuple(
        found for found in every_marked_process(root=root) if found.run_id == run.run_id and _is_of(found, run)
    )


def _is_of(found: MarkedProcess, run: RunMark) -> bool:
    if not found.state_dir or not run.state_dir or found.state_dir == run.state_dir:
        return True
    return os.path.realpath(found.state_dir) == os.path.realpath(run.state_dir)


def _open_kept(path: str) -> int | Gap:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return _gap(error)


def _read_small(path: str, *, bytes_max: int = _KERNEL_FILE_BYTES) -> bytes | Gap:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = []
            left = bytes_max
            while left > 0 and (part := os.read(descriptor, left)):
                parts.append(part)
                left -= len(part)
            return b"".join(parts)
        finally:
            os.close(descriptor)
    except OSError as error:
        return _gap(error)


def _gap(error: OSError) -> Gap:
    if isinstance(error, FileNotFoundError | NotADirectoryError | ProcessLookupError):
        return Gap(reason=GapReason.ABSENT, detail=str(error))
    if isinstance(error, PermissionError):
        return Gap(reason=GapReason.DENIED, detail=str(error))
    return Gap(reason=GapReason.FAILED, detail=str(error))


def _meminfo_bytes(content: bytes, name: bytes) -> Reading:
    line = content.partition(name)[2].partition(b"\n")[0].split()
    reading = _number(line[:1], f"{name.decode()} in /proc/meminfo")
    return Sample(value=reading.value * 1024) if isinstance(reading, Sample) else reading


def _number(words: list[bytes], where: str) -> Reading:
    try:
        return Sample(value=float(words[0]))
    except (IndexError, ValueError):
        return Gap(reason=GapReason.MALFORMED, detail=where)


def _share_percent(used: int, available: int) -> Reading:
    if used + available <= 0:
        return Gap(reason=GapReason.ABSENT, detail="this file system does not count them")
    return Sample(value=100.0 * used / (used + available))
