"""What the load process itself lacks: pauses of the garbage collector, descriptors and ports near their limits.

A measurement is only as good as its instrument, so each window says how the instrument was. One look costs some 30
microseconds, once a window. What cannot be read has the limit 0, which says "not known here", and is never taken for
plenty. Runs in worker processes.
"""

import gc
import os
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from stress_scenarios.load_plan import TargetSpec

LIST_S = 10.0
"""Kernels before 6.2 tell the number of descriptors only by listing them: 5 us each, so 50 ms for 10,000, and not oftener."""

_KERNEL_FILE_BYTES = 1024
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorReading:
    """The process since the last reading (pauses, waiting) and now (the rest). descriptors_max, ports_max: 0 when not known here.

    cpu_wait_s: how long the main thread could have run and had to wait for a CPU; 0 as well where the kernel does not tell.
    """

    gc_pause_s_sum: float = 0.0
    gc_pause_s_max: float = 0.0
    descriptors_open: int = 0
    descriptors_max: int = 0
    ports_used: int = 0
    ports_max: int = 0
    cpu_wait_s: float = 0.0


NOT_READ = GeneratorReading()


class GeneratorGauges:
    """Watches the process from its making until it is closed. A context manager."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._descriptor_directory = str(proc / "self" / "fd")
        self._descriptors_max = _descriptors_max()
        self._ports_max = _ports_in(_content(proc / "sys" / "net" / "ipv4" / "ip_local_port_range"))
        self._socket_files = _opened(proc / "net" / "sockstat", proc / "net" / "sockstat6")
        self._wait_files = _opened(proc / "self" / "schedstat")
        self._waited_s = self._cpu_waited_s()
        self._listed_open = 0
        self._listed_mono_s = float("-inf")
        self._pause_began_s = time.monotonic()
        self._pause_s_sum = self._pause_s_max = 0.0
        gc.callbacks.append(self._note_collection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Watch no more."""
        self.close()

    def close(self) -> None:
        """Watch no more; closing again does nothing."""
        with suppress(ValueError):
            gc.callbacks.remove(self._note_collection)
        files = (*self._socket_files, *self._wait_files)
        self._socket_files = self._wait_files = ()
        for descriptor in files:
            os.close(descriptor)

    def read(self, now_mono_s: float, *, other_ends: int = 0) -> GeneratorReading:
        """Look once, and begin to count pauses anew.

        other_ends: how many of the kernel's sockets are the target's ends of our own connections, because it runs on this
        machine; they use no local port of their own.
        """
        descriptors = self._descriptors_open(now_mono_s)
        ports = max(0, self._ports_used() - other_ends)
        waited_before_s, self._waited_s = self._waited_s, self._cpu_waited_s()
        reading = GeneratorReading(
            gc_pause_s_sum=self._pause_s_sum,
            gc_pause_s_max=self._pause_s_max,
            descriptors_open=descriptors,
            descriptors_max=self._descriptors_max if descriptors else 0,
            ports_used=ports,
            ports_max=self._ports_max if self._socket_files else 0,
            cpu_wait_s=max(0.0, self._waited_s - waited_before_s),
        )
        self._pause_s_sum = self._pause_s_max = 0.0
        return reading

    def _note_collection(self, phase: Literal["start", "stop"], _: dict[str, int]) -> None:
        if phase == "start":
            self._pause_began_s = time.monotonic()
            return
        pause_s = time.monotonic() - self._pause_began_s
        self._pause_s_sum += pause_s
        self._pause_s_max = max(self._pause_s_max, pause_s)

    def _cpu_waited_s(self) -> float:
        """So far. The second of the numbers that the kernel tells, nanoseconds."""
        for descriptor in self._wait_files:
            with suppress(OSError, ValueError, IndexError):
                return int(os.pread(descriptor, _KERNEL_FILE_BYTES, 0).split()[1]) / _NS_PER_S
        return 0.0

    def _descriptors_open(self, now_mono_s: float) -> int:
        """0 when it is not known; the process has some, always."""
        try:
            told = os.stat(self._descriptor_directory).st_size  # noqa: PTH116 - once a window, in the load's own loop
            if told:
                return told
            if now_mono_s >= self._listed_mono_s + LIST_S:
                self._listed_mono_s = now_mono_s
                self._listed_open = len(os.listdir(self._descriptor_directory))  # noqa: PTH208 - as above
        except OSError:
            return 0
        return self._listed_open

    def _ports_used(self) -> int:
        used = 0
        for descriptor in self._socket_files:
            try:
                used += _tcp_sockets_in(os.pread(descriptor, _KERNEL_FILE_BYTES, 0))
            except OSError:
                continue
        return used


def other_ends_here(target: TargetSpec, connections_open: int) -> int:
    """How many ends of these connections are on this machine beside our own."""
    return connections_open if ip_address(target.address).is_loopback else 0


def _descriptors_max() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit if limit != resource.RLIM_INFINITY else 0


def _opened(*paths: Path) -> tuple[int, ...]:
    """Those files that exist; IPv6 may be switched off."""
    descriptors = []
    for path in paths:
        with suppress(OSError):
            descriptors.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    return tuple(descriptors)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()[:_KERNEL_FILE_BYTES]
    except OSError:
        return b""


def _ports_in(content: bytes) -> int:
    """How many ports a range such as "32768 60999" has; 0 for anything else."""
    match content.split():
        case [first, last] if first.isdigit() and last.isdigit():
            return max(0, int(last) - int(first) + 1)
        case _:
            return 0


def _tcp_sockets_in(content: bytes) -> int:
    """TCP sockets in use and in TIME_WAIT, by a line such as "TCP: inuse 5 orphan 0 tw 3 alloc 7 mem 1"."""
    for line in content.splitlines():
        name, _, rest = line.partition(b":")
        if name in {b"TCP", b"TCP6"}:
            words = rest.split()
            values = dict(zip(words[::2], words[1::2], strict=False))
            return sum(int(values[key]) for key in (b"inuse", b"tw") if values.get(key, b"").isdigit())
    return 0
