"""Opens the files that plans name, feeders and arrival times and code: only plain ones, and never by waiting for a writer.

Opening a pipe that nobody writes to takes for ever, and a device may have no end. The planner and worker processes use it.
"""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


def open_plain(path: str | Path) -> BufferedReader:
    """Open for reading. Raises OSError, also for pipes, devices and directories; its strerror says why."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a plain file", str(path))
    return os.fdopen(descriptor, "rb")
