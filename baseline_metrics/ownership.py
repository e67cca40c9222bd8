"""Whether a place is ours to write to: every link on the way and what it leads to belong to this user, or to root.

Whoever owns a directory or a link may let it lead elsewhere at any time, and what we then write lands where only we may
write. Only the last part of a path is looked at, not the directories above it: those are named by the person who asks.
Command line, reporter and emergency stop use it (standard library only).
"""

import contextlib
import os
import stat

ROOT_USER = 0
"""Trusted: who has that account needs no link."""

LINKS_MAX = 40
"""As many as the kernel itself follows."""


def not_ours(path: str) -> str:
    """Why nothing of ours may be written there; empty where it may, and where nothing is there yet."""
    for _ in range(LINKS_MAX):
        try:
            status = os.lstat(path)
        except OSError:
            return ""  # who wants to write there is told by the kernel
        is_link = stat.S_ISLNK(status.st_mode)
        if status.st_uid not in (os.geteuid(), ROOT_USER):
            what = "is a link that belongs" if is_link else "belongs"
            return f"{path} {what} to user {_name(status.st_uid)}, who could let it lead anywhere"
        if not is_link:
            return ""
        path = os.path.join(os.path.dirname(path), os.readlink(path))  # noqa: PTH118, PTH120, PTH115 - no Path in the emergency stop
    return f"{path} is a link that leads in a circle"


def _name(user: int) -> str:
    with contextlib.suppress(KeyError, ImportError):
        import pwd  # noqa: PLC0415 - looked up for a message only

        return f"{pwd.getpwuid(user).pw_name} ({user})"
    return str(user)
