"""A small world within this host: a memory cgroup with a limit, in which a campaign can be brought to its edge safely.

What runs inside can be out of memory while the host is not, and the kernel's counts tell whether it had to kill. Needs a
writable v1 memory controller, which usually means root. Used by the measuring programs of this folder and by tests.
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path("/sys/fs/cgroup/memory")

EMPTY_S_MAX = 10.0
"""Until the kernel has taken apart what was killed inside."""

_LOOK_S = 0.02
_ENTER = 'echo $$ > "$0" && exec "$@"'


class NoLimitedMemoryError(Exception):
    """This kernel or this user cannot make one. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCounts:
    """What the kernel counted inside. failures: allocations that found the limit, most of them served after reclaiming."""

    most_bytes: int
    failures: int
    killed: int


class LimitedMemory:
    """One cgroup. A context manager: at its end whatever is left inside is killed and it is gone."""

    def __init__(self, name: str, *, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._path = ROOT / f"{name}-{os.getpid()}"
        try:
            self._path.mkdir()
            (self._path / "memory.limit_in_bytes").write_text(str(limit_bytes))
            with suppress(OSError):  # without swap accounting there is no such file
                (self._path / "memory.memsw.limit_in_bytes").write_text(str(limit_bytes))
        except OSError as error:
            with suppress(OSError):
                self._path.rmdir()
            raise NoLimitedMemoryError(f"no memory cgroup can be made at {self._path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Kill what is left inside, and remove it."""
        deadline = time.monotonic() + EMPTY_S_MAX
        while time.monotonic() < deadline:
            for pid in self.pids():
                with suppress(ProcessLookupError):
                    os.kill(pid, 9)
            try:
                self._path.rmdir()
            except OSError:
                time.sleep(_LOOK_S)
                continue
            return

    @property
    def enter(self) -> tuple[str, ...]:
        """What to put before a command line, so that it runs inside from its first instruction on."""
        return ("/bin/sh", "-c", _ENTER, str(self._path / "cgroup.procs"))

    def pids(self) -> tuple[int, ...]:
        """Processes inside."""
        with suppress(OSError):
            return tuple(int(word) for word in (self._path / "cgroup.procs").read_text().split())
        return ()

    def available_bytes(self) -> int:
        """What can still be had: page cache that is clean counts, as the kernel takes it back before it kills anybody."""
        lines = (self._path / "memory.stat").read_text().splitlines()
        stat = {name: int(value) for name, _, value in (line.partition(" ") for line in lines)}
        cache = stat["total_inactive_file"] + stat["total_active_file"]
        dirty = stat["total_dirty"] + stat["total_writeback"]
        return self._limit - self._number("memory.usage_in_bytes") + max(0, cache - dirty)

    def counts(self) -> MemoryCounts:
        """What happened inside so far."""
        control = (self._path / "memory.oom_control").read_text().split()
        return MemoryCounts(
            most_bytes=self._number("memory.max_usage_in_bytes"),
            failures=self._number("memory.failcnt"),
            killed=int(control[control.index("oom_kill") + 1]) if "oom_kill" in control else 0,
        )

    def _number(self, name: str) -> int:
        return int((self._path / name).read_text())
