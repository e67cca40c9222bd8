"""Creates a STOP file, in a run directory of our own and nowhere else.

What lies there already, whatever it is, stops as well, and is neither opened nor followed. A module of its own, because
the first grip of an emergency stop loads as little as possible. The emergency stop uses it (standard library only).
"""

import os


def create_stop(run_dir: str) -> None:
    """Create STOP. Raises FileExistsError where something of that name lies, OSError where the directory is not ours."""
    folder = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(folder).st_uid not in (os.geteuid(), 0):
            raise PermissionError(1, "it belongs to another user", run_dir)
        os.close(os.open("STOP", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder))
    finally:
        os.close(folder)
