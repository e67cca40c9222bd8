"""Whether somebody wants all load to end: STOP files that exist, a PERMIT that does not.

Looked at by path with lstat, every 20 ms, nothing opened and nothing followed: any kind of file stops (a directory, a
dangling link), renames and replaced directories are seen, and no notification can be lost. A channel that cannot be
looked at is not a quiet channel: after a second it stops as well. The guardian watches with it.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from safety_monitoring.messages import StopCause

PARENTS_EVERY_S = 0.1
"""A directory that holds a channel is looked at this often, a tenth of what it may be gone for: the channel itself, each time."""

BLIND_S_MAX = 1.0
"""A directory that is replaced is gone for milliseconds; one that is away for longer is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSeen:
    """All load has to end now."""

    cause: StopCause
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """Nobody wants to stop."""


class StopWatch:
    """The stop channels of one campaign. A look takes about 2 microseconds per path."""

    def __init__(self, *, stop_paths: Sequence[str], permit_path: str) -> None:
        self._stop_paths = tuple((path, os.path.dirname(path) or ".") for path in stop_paths)  # noqa: PTH120 - no Path in a 20 ms loop
        self._permit_path = permit_path
        self._blind_since_mono_s: dict[str, float] = {}
        self._parents_due_mono_s = float("-inf")

    def look(self, now_mono_s: float) -> StopSeen | Quiet:
        """Look at every channel once."""
        parents_due = now_mono_s >= self._parents_due_mono_s
        if parents_due:
            self._parents_due_mono_s = now_mono_s + PARENTS_EVERY_S
        for path, parent in self._stop_paths:
            try:
                os.lstat(path)
            except FileNotFoundError:
                if not parents_due:
                    continue
                blind = _blindness(parent)
            except OSError as error:
                blind = error.strerror or type(error).__name__
            else:
                return StopSeen(cause=StopCause.STOP_FILE, detail=path)
            if self._blind_too_long(path, blind, now_mono_s):
                return StopSeen(cause=StopCause.WATCH_LOST, detail=f"{path} cannot be looked at: {blind}")
        return self._look_at_permit(now_mono_s)

    def _look_at_permit(self, now_mono_s: float) -> StopSeen | Quiet:
        path = self._permit_path
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return StopSeen(cause=StopCause.PERMIT_GONE, detail=path)
        except OSError as error:
            blind = error.strerror or type(error).__name__
        else:
            blind = ""
        if self._blind_too_long(path, blind, now_mono_s):
            return StopSeen(cause=StopCause.WATCH_LOST, detail=f"{path} cannot be looked at: {blind}")
        return Quiet()

    def _blind_too_long(self, path: str, blind: str, now_mono_s: float) -> bool:
        if not blind:
            self._blind_since_mono_s.pop(path, None)
            return False
        return now_mono_s - self._blind_since_mono_s.setdefault(path, now_mono_s) > BLIND_S_MAX


def _blindness(parent: str) -> str:
    try:
        os.lstat(parent)
    except OSError as error:
        return f"{parent}: {error.strerror}"
    return ""
