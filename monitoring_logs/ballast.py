"""A file that only takes up room, so that there is room to give back when the disk is full.

With it released, the recorder can still commit what is in memory, and the campaign's end and report find space. The
supervisor holds it and releases it from any thread; the reporter removes what a dead supervisor left.
"""

import contextlib
import os
import threading
from pathlib import Path

BALLAST_BYTES = 64 << 20
"""The write-ahead log is bounded to 64 MiB: releasing as much always lets the last transactions and a checkpoint in."""


def ballast_path(database: str) -> str:
    """The ballast of the recorder that writes this database."""
    return database + "-ballast"


class Ballast:
    """The file beside the database."""

    def __init__(self, path: str, *, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._held = False
        self._lock = threading.Lock()

    def load(self) -> None:
        """Take the room, replacing the ballast of an earlier process. Raises OSError when there is not enough of it."""
        with self._lock:
            self._release()
            if self._size_bytes == 0:
                return
            descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            self._held = True
            try:
                os.posix_fallocate(descriptor, 0, self._size_bytes)
            except OSError:
                self._release()
                raise
            finally:
                os.close(descriptor)

    def release(self) -> bool:
        """Give the room back; whether there was any of ours to give."""
        with self._lock:
            return self._release()

    def _release(self) -> bool:
        held = self._held
        self._held = False
        with contextlib.suppress(OSError):
            Path(self._path).unlink()
        return held
