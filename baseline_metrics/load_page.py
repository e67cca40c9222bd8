"""The memory-mapped page of one worker: what must not wait for a message.

The guardian writes the lease and the permitted share; the worker writes its heartbeat and counters. Each field is one
aligned 8-byte word with exactly one writer, so no lock is needed and a SIGKILL leaves exact counts behind. Permission
is ``share > 0 and now < lease``: revoking writes both, in one call. Supervisor (reads), guardian and worker use it.

Layout, little endian, 8 bytes a word:
    0 magic | 1 lease_until_mono_ns | 2 permitted share (double) | 3 heartbeat_mono_ns
    4 connections_open | 5 connections_opened | 6 operations_due (intended starts so far)
    7 operations_dropped (intended starts given up because they could not be made in time)
    8 + 4 * operation: started, succeeded, failed, bytes_received     (at most OPERATIONS_MAX operations)
    264 memory load, bytes: asked for now, held, resident, achieved, peak; byte-seconds (doubles): asked, achieved
    271 whether the worker has load to make: 1 from its Go until it has drained, 0 while a person has paused it
"""

import mmap
import os
import struct
from dataclasses import dataclass

OPERATIONS_MAX = 64
"""Operations of one scenario mix: a page stays within 4 KiB, and a plan with more is refused."""

MAGIC = 0x3152_4441_5942_4B44
_MEMORY_WORD = 8 + 4 * OPERATIONS_MAX
_WANTED_WORD = _MEMORY_WORD + 7
_WORDS = _WANTED_WORD + 1
PAGE_BYTES = _WORDS * 8
LEASE_S = 0.8
LEASE_RENEWAL_S = 0.1


class LoadPageError(Exception):
    """The file is not a page of this version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationCounts:
    """What a worker did of one operation, exact even after SIGKILL. In flight = started - succeeded - failed."""

    started: int
    succeeded: int
    failed: int
    bytes_received: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCounts:
    """A worker's newest memory load, exact even after SIGKILL.

    due_bytes: asked for at this moment; held_bytes: touched; resident_bytes: of the process, by the kernel; achieved_bytes:
    what counts, the part of it that is resident. peak_bytes: the most that was achieved. *_byte_s: integrals over its time.
    """

    due_bytes: int
    held_bytes: int
    resident_bytes: int
    achieved_bytes: int
    peak_bytes: int
    asked_byte_s: float
    achieved_byte_s: float


class LoadPage:
    """One page, mapped shared. Create it before the worker starts; open it in the worker and the guardian."""

    def __init__(self, path: str, *, create: bool = False) -> None:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT | os.O_EXCL if create else 0)
        descriptor = os.open(path, flags, 0o600)
        try:
            if create:
                os.posix_fallocate(descriptor, 0, PAGE_BYTES)
            elif os.fstat(descriptor).st_size != PAGE_BYTES:
                raise LoadPageError(f"{path} is not a load page: wrong size")
            self._map = mmap.mmap(descriptor, PAGE_BYTES)
        finally:
            os.close(descriptor)
        self.path = path
        self._words = memoryview(self._map).cast("Q")
        self._doubles = memoryview(self._map).cast("d")
        if create:
            self._words[0] = MAGIC
        elif self._words[0] != MAGIC:
            self.close()
            raise LoadPageError(f"{path} is not a load page: wrong magic")

    def close(self) -> None:
        """Unmap. The page must not be used afterwards."""
        self._words.release()
        self._doubles.release()
        self._map.close()

    # Guardian -------------------------------------------------------------------------------------------------------

    def grant(self, *, lease_until_mono_ns: int, share: float) -> None:
        """Renew the lease with a permitted share of load, 0..1 (0 keeps the worker alive and idle)."""
        assert 0.0 <= share <= 1.0, share
        self._doubles[2] = share
        self._words[1] = lease_until_mono_ns

    def revoke(self) -> None:
        """No load and no lease from now on: the worker ends itself."""
        self._doubles[2] = 0.0
        self._words[1] = 0

    # Everybody ------------------------------------------------------------------------------------------------------

    @property
    def lease_until_mono_ns(self) -> int:
        """Until when the worker may live; 0 means revoked or not granted yet."""
        return self._words[1]

    @property
    def share(self) -> float:
        """Permitted share of the asked load, 0..1."""
        return self._doubles[2]

    @property
    def heartbeat_mono_ns(self) -> int:
        """When the worker's load loop last turned."""
        return self._words[3]

    @property
    def connections_open(self) -> int:
        """Connections with a live socket now."""
        return self._words[4]

    @property
    def connections_opened(self) -> int:
        """Connections established so far, reconnects included."""
        return self._words[5]

    @property
    def operations_due(self) -> int:
        """Operations whose intended start has passed."""
        return self._words[6]

    @property
    def wants_load(self) -> bool:
        """Whether the worker has load to make, permitted or not; an idle one, and a paused one, has none."""
        return self._words[_WANTED_WORD] != 0

    @property
    def operations_dropped(self) -> int:
        """Operations whose intended start has passed and that were given up."""
        return self._words[7]

    def operation(self, index: int) -> OperationCounts:
        """Counts of one operation of the mix."""
        assert 0 <= index < OPERATIONS_MAX
        base = 8 + 4 * index
        started, succeeded, failed, received = self._words[base : base + 4]
        return OperationCounts(started=started, succeeded=succeeded, failed=failed, bytes_received=received)

    @property
    def memory(self) -> MemoryCounts:
        """The worker's newest memory load; all 0 for one that makes none."""
        due, held, resident, achieved, peak = self._words[_MEMORY_WORD : _MEMORY_WORD + 5]
        asked_byte_s, achieved_byte_s = self._doubles[_MEMORY_WORD + 5 : _MEMORY_WORD + 7]
        return MemoryCounts(
            due_bytes=due,
            held_bytes=held,
            resident_bytes=resident,
            achieved_bytes=achieved,
            peak_bytes=peak,
            asked_byte_s=asked_byte_s,
            achieved_byte_s=achieved_byte_s,
        )

    # Worker ---------------------------------------------------------------------------------------------------------

    def count_memory(self, counts: MemoryCounts) -> None:
        """Publish where the memory load stands."""
        words, first = self._words, _MEMORY_WORD
        words[first] = counts.due_bytes
        words[first + 1] = counts.held_bytes
        words[first + 2] = counts.resident_bytes
        words[first + 3] = counts.achieved_bytes
        words[first + 4] = counts.peak_bytes
        self._doubles[first + 5] = counts.asked_byte_s
        self._doubles[first + 6] = counts.achieved_byte_s

    def counters(self, index: int) -> tuple[memoryview, int]:
        """All words of the page, and which one is the first of an operation's four, in the order of OperationCounts.

        For a fast path, where a call for each operation would cost more than all other accounting.
        """
        assert 0 <= index < OPERATIONS_MAX
        return self._words, 8 + 4 * index

    def want_load(self, *, wanted: bool) -> None:
        """Say whether there is load to make, permitted or not."""
        self._words[_WANTED_WORD] = int(wanted)

    def beat(
        self, *, heartbeat_mono_ns: int, connections_open: int, connections_opened: int, operations_due: int
    ) -> None:
        """Publish the load loop's state."""
        self._words[4] = connections_open
        self._words[5] = connections_opened
        self._words[6] = operations_due
        self._words[3] = heartbeat_mono_ns

    def count_dropped(self, operations: int = 1) -> None:
        """More operations were given up before they were sent."""
        self._words[7] += operations

    def count_started(self, index: int) -> None:
        """One more operation was sent."""
        self._words[8 + 4 * index] += 1

    def count_succeeded(self, index: int, *, bytes_received: int) -> None:
        """One more operation met its expectations."""
        self._words[8 + 4 * index + 3] += bytes_received
        self._words[8 + 4 * index + 1] += 1

    def count_failed(self, index: int, *, bytes_received: int) -> None:
        """One more operation failed."""
        self._words[8 + 4 * index + 3] += bytes_received
        self._words[8 + 4 * index + 2] += 1


assert struct.calcsize("<QdQ") == 24, "words are 8 bytes"
