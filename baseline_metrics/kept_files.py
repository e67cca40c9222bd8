"""Small files of the kernel that stay open and are read into one buffer: a reading takes some five microseconds.

What cannot be opened or read is a Gap with its reason, never a number. A reading that takes long would delay everything
else of its reader, so how long the first one took is kept. The guardian reads its slower senses through them (standard
library only).
"""

import os
import time

from baseline_metrics.samples import Gap, GapReason, Reading, Sample

BYTES_MAX = 4096
"""The longest that is read in part, /proc/PID/limits, takes 1.5 KiB. A longer answer is cut, never waited for."""


class KeptFile:
    """One file, opened once. first_read_s: how long reading it took at that time."""

    def __init__(self, path: str, *, bytes_max: int = BYTES_MAX) -> None:
        self.path = path
        self._buffer = bytearray(bytes_max)
        self._descriptor: int | Gap
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            self._descriptor = gap_of(error)
        began_s = time.perf_counter()
        self.read()
        self.first_read_s = time.perf_counter() - began_s

    def read(self) -> bytes | Gap:
        """Its content now."""
        if isinstance(self._descriptor, Gap):
            return self._descriptor
        try:
            length = os.preadv(self._descriptor, [self._buffer], 0)
        except OSError as error:
            return gap_of(error)
        return bytes(self._buffer[:length])

    def number(self) -> Reading:
        """Its first word as a number."""
        content = self.read()
        if isinstance(content, Gap):
            return content
        return number_of(content.split(maxsplit=1)[:1], self.path)

    def close(self) -> None:
        """Give the descriptor back; afterwards it is a gap. Harmless when done twice."""
        if isinstance(self._descriptor, int):
            os.close(self._descriptor)
            self._descriptor = Gap(reason=GapReason.FAILED, detail=f"{self.path} was closed")


def number_of(words: list[bytes], where: str) -> Reading:
    """The first word as a number; a gap that says where it should have stood."""
    try:
        return Sample(value=float(words[0]))
    except (IndexError, ValueError):
        return Gap(reason=GapReason.MALFORMED, detail=where)


def gap_of(error: OSError) -> Gap:
    """Why there is no reading: absent, denied, or failed."""
    if isinstance(error, FileNotFoundError | NotADirectoryError | ProcessLookupError):
        return Gap(reason=GapReason.ABSENT, detail=str(error))
    if isinstance(error, PermissionError):
        return Gap(reason=GapReason.DENIED, detail=str(error))
    return Gap(reason=GapReason.FAILED, detail=str(error))
