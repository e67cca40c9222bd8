"""File systems of a test's own: in memory, with a size and a number of files that run out."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

UNMOUNT_S_MAX = 60.0


@contextmanager
def mounted_memory(directory: Path, options: str) -> Iterator[Path]:
    """A tmpfs mounted there with these options. Skips the test where mounting is not permitted."""
    directory.mkdir()
    library = ctypes.CDLL(None, use_errno=True)
    if library.mount(b"none", os.fsencode(directory), b"tmpfs", 0, options.encode()) != 0:
        pytest.skip(f"kernel: mounting is not permitted here: {os.strerror(ctypes.get_errno())}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True, timeout=UNMOUNT_S_MAX)
