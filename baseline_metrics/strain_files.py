"""What else wears a host down, by the kernel's own files: pressure, load, swap, battery, open files.

Pressure (PSI) is the share of time in which tasks waited for a resource, as a difference of two totals over a window of our
own: the kernel's averages lag. Whatever the host does not have is a Gap that says so. The guardian reads them once a second
(standard library only).
"""

import os
from collections import deque
from dataclasses import dataclass

from baseline_metrics.kept_files import KeptFile, gap_of, number_of
from baseline_metrics.samples import Gap, GapReason, Reading, Sample

PRESSURE_WINDOW_S = 10.0
"""The kernel brings its totals up to date about every two seconds: ten are five of its steps."""

SWAP_WINDOW_S = 60.0

_FIRST = Gap(reason=GapReason.FIRST_READING, detail="a share needs two readings")
_NO_SWAP = Gap(reason=GapReason.ABSENT, detail="no swap is configured")
_NO_BATTERY = Gap(reason=GapReason.ABSENT, detail="this host shows no battery")

UNLIMITED_FILES = Sample(value=float(1 << 30))
"""More than any process has had."""

_US_PER_S = 1e6
_BATTERIES_MAX = 4


class PressureFile:
    """One of /proc/pressure/{cpu,memory,io}. kind: ``some`` (a task waited) or ``full`` (all of them did).

    path: another file of this form, such as a control group's memory.pressure.
    """

    def __init__(self, resource: str, kind: str, *, root: str = "/", path: str = "") -> None:
        self._file = KeptFile(path or f"{root}/proc/pressure/{resource}", bytes_max=256)
        self._kind = kind.encode() + b" "
        self._totals: deque[tuple[float, float]] = deque(maxlen=64)

    def read(self, now_mono_s: float) -> Reading:
        """Percent of the last ten seconds, or of what has passed since the first reading."""
        content = self._file.read()
        if isinstance(content, Gap):
            return content
        line = next((line for line in content.splitlines() if line.startswith(self._kind)), b"")
        total = number_of(line.partition(b"total=")[2].split()[:1], self._file.path)
        if isinstance(total, Gap):
            return total
        if self._totals and (now_mono_s <= self._totals[-1][0] or total.value < self._totals[-1][1]):
            self._totals.clear()
        while len(self._totals) > 1 and self._totals[1][0] <= now_mono_s - PRESSURE_WINDOW_S:
            self._totals.popleft()
        self._totals.append((now_mono_s, total.value))
        began_mono_s, before = self._totals[0]
        if now_mono_s <= began_mono_s:
            return _FIRST
        return Sample(value=min(100.0, 100.0 * (total.value - before) / _US_PER_S / (now_mono_s - began_mono_s)))

    def close(self) -> None:
        """Give the descriptor back."""
        self._file.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapUse:
    """used_percent: of all swap. growth_bytes: by how much more is swapped out than a minute ago, never below 0."""

    used_percent: Reading
    growth_bytes: Reading


class SwapFile:
    """Swap by /proc/meminfo."""

    def __init__(self, *, root: str = "/") -> None:
        self._file = KeptFile(f"{root}/proc/meminfo")
        self._used: deque[tuple[float, float]] = deque(maxlen=256)

    def read(self, now_mono_s: float) -> SwapUse:
        """What is used, and how it grew within the last minute."""
        content = self._file.read()
        if isinstance(content, Gap):
            return SwapUse(used_percent=content, growth_bytes=content)
        total, free = (
            number_of(content.partition(name)[2].split(maxsplit=1)[:1], f"{name.decode()} in /proc/meminfo")
            for name in (b"SwapTotal:", b"SwapFree:")
        )
        if isinstance(total, Gap) or isinstance(free, Gap):
            gap = total if isinstance(total, Gap) else free
            return SwapUse(used_percent=gap, growth_bytes=gap)
        if total.value <= 0.0:
            self._used.clear()
            return SwapUse(used_percent=_NO_SWAP, growth_bytes=_NO_SWAP)
        used = (total.value - free.value) * 1024.0
        while len(self._used) > 1 and self._used[1][0] <= now_mono_s - SWAP_WINDOW_S:
            self._used.popleft()
        self._used.append((now_mono_s, used))
        growth = Sample(value=max(0.0, used - self._used[0][1])) if len(self._used) > 1 else _FIRST
        return SwapUse(used_percent=Sample(value=100.0 * used / 1024.0 / total.value), growth_bytes=growth)

    def close(self) -> None:
        """Give the descriptor back."""
        self._file.close()


class LoadFile:
    """The load average, by /proc/loadavg."""

    def __init__(self, *, root: str = "/") -> None:
        self._file = KeptFile(f"{root}/proc/loadavg", bytes_max=128)

    def per_core(self, cores: float) -> Reading:
        """Runnable and uninterruptible tasks over the last minute, for each core of the host: all its tasks are counted."""
        load = self._file.number()
        return load if isinstance(load, Gap) else Sample(value=load.value / max(1.0, cores))

    def close(self) -> None:
        """Give the descriptor back."""
        self._file.close()


class BatteryFiles:
    """The batteries of this machine; one that runs on mains alone has none."""

    def __init__(self, *, root: str = "/") -> None:
        self._batteries: list[tuple[KeptFile, KeptFile]] = []
        supplies = f"{root}/sys/class/power_supply"
        try:
            names = sorted(os.listdir(supplies))  # noqa: PTH208 - no pathlib in the guardian
        except OSError:
            names = []
        for name in names:
            kind, scope = (_word(f"{supplies}/{name}/{part}") for part in ("type", "scope"))
            if kind == b"Battery" and scope != b"Device" and len(self._batteries) < _BATTERIES_MAX:
                parts = (KeptFile(f"{supplies}/{name}/{part}", bytes_max=64) for part in ("status", "capacity"))
                self._batteries.append((next(parts), next(parts)))

    def drained_percent(self) -> Reading:
        """How far the fullest battery is drained while one discharges, 0..100; 0 on mains."""
        if not self._batteries:
            return _NO_BATTERY
        drained = 100.0
        discharging = False
        for status, capacity in self._batteries:
            word, left = status.read(), capacity.number()
            if isinstance(word, Gap):
                return word
            if isinstance(left, Gap):
                return left
            discharging = discharging or word.strip() == b"Discharging"
            drained = min(drained, 100.0 - left.value)
        return Sample(value=max(0.0, drained) if discharging else 0.0)

    def close(self) -> None:
        """Give all descriptors back."""
        for status, capacity in self._batteries:
            status.close()
            capacity.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFiles:
    """used_percent: of what may be open. left: how many more may be opened."""

    used_percent: Reading
    left: Reading


class ProcessFiles:
    """The open descriptors of one process of ours, against its soft limit."""

    def __init__(self, pid: int, *, root: str = "/") -> None:
        self._directory = f"{root}/proc/{pid}/fd"
        self._counted = root == "/"
        self._limits = KeptFile(f"{root}/proc/{pid}/limits")

    def read(self) -> OpenFiles:
        """How many there are now, and how many more may be opened."""
        used, limit = self._used(), self._limit()
        if isinstance(used, Gap):
            return OpenFiles(used_percent=used, left=used)
        if isinstance(limit, Gap):
            return OpenFiles(used_percent=limit, left=limit)
        share = 100.0 * used.value / limit.value if limit.value > 0.0 else 100.0
        return OpenFiles(used_percent=Sample(value=share), left=Sample(value=max(0.0, limit.value - used.value)))

    def close(self) -> None:
        """Give the descriptor back."""
        self._limits.close()

    def _used(self) -> Reading:
        try:
            # Since Linux 6.2 the size of the directory is their number; before, it is 0 and they are listed.
            count = os.stat(self._directory).st_size if self._counted else 0  # noqa: PTH116 - no pathlib in the guardian
            return Sample(value=float(count or len(os.listdir(self._directory))))  # noqa: PTH208 - as above
        except OSError as error:
            return gap_of(error)

    def _limit(self) -> Reading:
        content = self._limits.read()
        if isinstance(content, Gap):
            return content
        words = content.partition(b"Max open files")[2].split(maxsplit=1)[:1]
        return UNLIMITED_FILES if words == [b"unlimited"] else number_of(words, self._limits.path)


def _word(path: str) -> bytes:
    file = KeptFile(path, bytes_max=64)
    content = file.read()
    file.close()
    return b"" if isinstance(content, Gap) else content.strip()
