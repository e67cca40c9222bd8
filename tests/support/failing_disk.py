"""A disk that fails on request: the C library's writes and syncs, failing or standing still for chosen files.

Built with the C compiler into a shared library that has to be preloaded into a process of its own; in that process
``FailingDisk`` arms it. Files are chosen by a part of their path.
"""

import ctypes
import errno
import shutil
import subprocess
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

SOURCE = Path(__file__).with_name("failing_disk.c")
BUILD_S_MAX = 60.0
NEVER = 1 << 30


class Calls(Enum):
    """Which calls fail; the numbers are those of the C file."""

    SYNC = 1  # fsync, fdatasync
    WRITE = 2  # write, pwrite, writev


class Until(Enum):
    """How often."""

    ONCE = "once"
    FOREVER = "forever"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """From the nth call on of these calls on files whose path contains path_part."""

    path_part: str
    calls: Calls
    nth: int
    until: Until
    error: int = errno.EIO


def build(directory: Path) -> Path:
    """Compile the library into this directory."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler is not None, "a C compiler is needed to make a disk fail: make dev installs it"
    library = directory / "failing_disk.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-pthread", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, timeout=BUILD_S_MAX)
    return library


class FailingDisk:
    """The control, in the process into which the library was preloaded."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        assert hasattr(self._library, "failing_disk_arm"), "the library was not preloaded"

    def fail(self, fault: Fault) -> None:
        """Arm it; counting begins anew."""
        forever = int(fault.until is Until.FOREVER)
        self._arm(fault.path_part, fault.calls.value, fault.nth, forever, fault.error, 0)

    def stall(self, path_part: str, *, nth: int, seconds: float) -> None:
        """Let the nth sync stand still once."""
        self._arm(path_part, Calls.SYNC.value, nth, 0, 0, round(1000 * seconds))

    def mend(self) -> None:
        """Nothing fails any more."""
        self._arm("", 0, NEVER, 0, 0, 0)

    @property
    def struck(self) -> int:
        """Calls that failed or stood still."""
        return int(self._library.failing_disk_struck())

    @property
    def calls_after_failed_sync(self) -> int:
        """Writes and syncs of the chosen files after a sync of one of them had failed."""
        return int(self._library.failing_disk_later_calls())

    def _arm(self, path_part: str, *numbers: int) -> None:
        self._library.failing_disk_arm(ctypes.c_char_p(path_part.encode()), *(ctypes.c_int(one) for one in numbers))
