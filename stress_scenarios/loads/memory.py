"""Memory that is really held: anonymous chunks of 10 MiB, every page touched, given back to the kernel at once.

A list of bytes objects would not do: an allocator keeps what it freed, and pages that nobody touched are not there. A
chunk is a mapping of its own, so that releasing it is one call and the process's resident set really falls. Huge pages
are declined: with them one touch would take 2 MiB, and the rise would not be what the guardian was told. Runs in worker
processes, on the standard library.
"""

import mmap
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

CHUNK_BYTES = 10 << 20
"""Few enough mappings for any size (100 a GiB), small enough that one is released in 0.6 ms."""

STRIDE_BYTES = 1 << 20
"""Touched between two looks at the permission: 256 pages, 0.3 to 2 ms in a virtual machine with memory to spare."""

PAGE_BYTES = mmap.PAGESIZE

assert CHUNK_BYTES % STRIDE_BYTES == 0
assert STRIDE_BYTES % PAGE_BYTES == 0

_TOUCH = b"\x5a"
"""Not zero, so that the page is the process's own whatever the kernel shares or compresses."""


class MemoryRefusedError(Exception):
    """The kernel gives no more: a limit of address space, or strict accounting of what may be promised."""


class HeldMemory(Protocol):
    """What a memory load needs of whoever holds the memory."""

    @property
    def held_bytes(self) -> int:
        """Touched and not released."""
        ...

    def grow(self, to_bytes: int, *, may_go_on: Callable[[], bool]) -> None:
        """Touch more, page by page, until so much is held or it may not go on. Raises MemoryRefusedError."""
        ...

    def shrink(self, to_bytes: int) -> None:
        """Give back what is beyond this, at once."""
        ...


class MemoryChunks:
    """Chunks in the order in which they were touched. Sizes are rounded down to whole pages."""

    def __init__(self) -> None:
        self._chunks: list[mmap.mmap] = []
        self._held = 0

    @property
    def held_bytes(self) -> int:
        """Touched and not released."""
        return self._held

    def grow(self, to_bytes: int, *, may_go_on: Callable[[], bool]) -> None:
        """Touch more, page by page, until so much is held or it may not go on. Raises MemoryRefusedError."""
        wanted = _whole_pages(to_bytes)
        while self._held < wanted and may_go_on():
            position = self._held % CHUNK_BYTES
            if self._held == len(self._chunks) * CHUNK_BYTES:
                self._chunks.append(_mapped())
            end = min(position + STRIDE_BYTES, CHUNK_BYTES, position + wanted - self._held)
            self._chunks[-1][position:end:PAGE_BYTES] = _TOUCH * ((end - position) // PAGE_BYTES)
            self._held += end - position

    def shrink(self, to_bytes: int) -> None:
        """Give back what is beyond this, at once: whole chunks by one call each, the last one's tail by another."""
        wanted = _whole_pages(to_bytes)
        while self._chunks and (len(self._chunks) - 1) * CHUNK_BYTES >= wanted:
            self._chunks.pop().close()
        if self._held > wanted and self._chunks:
            position = wanted - (len(self._chunks) - 1) * CHUNK_BYTES
            if position < CHUNK_BYTES:
                self._chunks[-1].madvise(mmap.MADV_DONTNEED, position, CHUNK_BYTES - position)
        self._held = min(self._held, wanted)


class ResidentSet:
    """How much of this process is in memory now, by the kernel: 5 microseconds a reading, through a kept descriptor."""

    def __init__(self) -> None:
        self._descriptor = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def read_bytes(self) -> int:
        """The resident set, bytes."""
        return int(os.pread(self._descriptor, 256, 0).split()[1]) * PAGE_BYTES


def _whole_pages(count: int) -> int:
    return max(0, count) // PAGE_BYTES * PAGE_BYTES


def _mapped() -> mmap.mmap:
    try:
        chunk = mmap.mmap(-1, CHUNK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryRefusedError(f"the kernel maps no further {CHUNK_BYTES >> 20} MiB: {error}") from error
    with suppress(OSError):  # a kernel without huge pages has nothing to decline
        chunk.madvise(mmap.MADV_NOHUGEPAGE)
    return chunk
