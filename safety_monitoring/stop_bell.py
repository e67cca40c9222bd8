"""Wakes the guardian's loop when something changes beside a stop channel, so that a stop is seen at once.

A bell and no more: what it rings for is looked at by path as ever (see stop_watch). While all bells hang, the looks between
are the net below and may be fewer; where the kernel gives no bell, or a directory was moved, replaced or unmounted, they are
all there is. It is heard at most every 5 ms, so that nobody can keep the guardian busy by making files. inotify(7) through
libc. The guardian uses it.
"""

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterable

DEAF_S = 0.005
"""After a ring nothing is heard for so long: a flood of files costs 200 turns a second, about 2 % of a core."""

READ_BYTES = 1 << 16
"""More than what comes within DEAF_S; what is left rings again."""

_IN_NONBLOCK, _IN_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
_IN_ATTRIB, _IN_MOVED_TO, _IN_CREATE = 0x4, 0x80, 0x100
_IN_DELETE_SELF, _IN_MOVE_SELF, _IN_UNMOUNT, _IN_IGNORED = 0x400, 0x800, 0x2000, 0x8000
_IN_ONLYDIR = 0x01000000
_APPEARS = _IN_MOVED_TO | _IN_CREATE | _IN_DELETE_SELF | _IN_MOVE_SELF | _IN_ONLYDIR
"""Of a directory that holds a STOP: something appears in it by whatever way, or it is not in its place any more."""

_GOES = _IN_ATTRIB | _IN_DELETE_SELF | _IN_MOVE_SELF
"""Of PERMIT itself, because its directory is written to twice a second: its name is taken away (a link fewer), or changed."""

_FALLEN = _IN_DELETE_SELF | _IN_MOVE_SELF | _IN_UNMOUNT | _IN_IGNORED
_EVENT = struct.Struct("iIII")
"""watch, mask, cookie, length of the name that follows: inotify(7)."""

_NO_DESCRIPTOR = -1


class StopBell:
    """One inotify descriptor over the stop channels."""

    def __init__(self, *, stop_paths: Iterable[str], permit_path: str) -> None:
        """What is not there, or cannot be watched, rings no bell. STOP files themselves need not exist.

        hangs: whether everything is watched, and nothing has left its place since.
        """
        self._descriptor = _NO_DESCRIPTOR
        self._deaf_until_mono_s = 0.0
        self.hangs = False
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "inotify_init1"):
            return
        self._descriptor = libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
        if self._descriptor < 0:
            return
        directories = sorted({os.path.dirname(path) or "." for path in stop_paths})  # noqa: PTH120 - no Path in the guardian
        wanted = [(directory, _APPEARS) for directory in directories] + [(permit_path, _GOES)]
        watches = [libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask) for path, mask in wanted]
        self.hangs = all(watch >= 0 for watch in watches)

    def close(self) -> None:
        """Let go of the descriptor. Harmless when done twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = _NO_DESCRIPTOR

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What to wait for beside everything else: one descriptor, or none where there is no bell."""
        return (self._descriptor,) if self._descriptor >= 0 else ()

    def deaf_s(self, now_mono_s: float) -> float:
        """For how long it is not to be waited for; what rings meanwhile rings afterwards."""
        return max(0.0, self._deaf_until_mono_s - now_mono_s)

    def take(self, now_mono_s: float) -> None:
        """It rang: empty it, and hear nothing for a moment."""
        self._deaf_until_mono_s = now_mono_s + DEAF_S
        with contextlib.suppress(OSError):
            rings = os.read(self._descriptor, READ_BYTES)
            self.hangs = self.hangs and not _has_fallen(rings)


def _has_fallen(rings: bytes) -> bool:
    at = 0
    while at + _EVENT.size <= len(rings):
        _, mask, _, length = _EVENT.unpack_from(rings, at)
        if mask & _FALLEN:
            return True
        at += _EVENT.size + length
    return False
