"""Processes that load processes left behind become children of the supervisor, which reaps them and ends those that live.

A process that forks twice loses its parent, and one that also empties its environment cannot be found by the run's mark. As
"child subreaper" (prctl(2)) the supervisor becomes the parent of whatever any process below it leaves behind, so that it is
found all the same. Whoever is not started by us and is our child was adopted. Runs in the supervisor's main thread.
"""

import ctypes
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress

from baseline_metrics.host_files import ProcessStat, process_ids, process_stat
from safety_monitoring.messages import Protection
from safety_monitoring.stopping import ProcessHandle, open_handle, wait_gone

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37

REAPS_MAX = 1000
"""In one go; a worker that forks without end is ended, not followed."""

LOOKS_MAX = 20
"""Whoever is killed may leave children of its own, which become ours: each look is one generation."""

GONE_S_MAX = 1.0
"""For each generation; SIGKILL takes milliseconds."""


def become_subreaper() -> Protection:
    """Take the place of init for all that is left behind below this process; a row of the protection matrix, read back."""
    libc = ctypes.CDLL(None, use_errno=True)
    name = "adopting what workers leave behind"
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        return Protection(name=name, works=False, detail=f"prctl: {os.strerror(ctypes.get_errno())}")
    found = ctypes.c_int(0)
    libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(found), 0, 0, 0)
    return Protection(name=name, works=found.value == 1, detail=f"child subreaper {found.value}")


class Adopted:
    """Children of this process that it has not started. started: the pids of those that it has, and has not reaped yet."""

    def __init__(self, started: Callable[[], frozenset[int]]) -> None:
        self._started = started

    def reap(self) -> int:
        """Let go of adopted children that have ended, never of one that we started; how many. A microsecond when none has.

        One of ours that has ended and was not reaped yet hides those behind it until it is.
        """
        for reaped in range(REAPS_MAX):
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return reaped
            if ended is None or ended.si_pid in self._started():
                return reaped
            _reap(ended.si_pid)
        return REAPS_MAX

    def end(self) -> tuple[ProcessStat, ...]:
        """End and reap every adopted child, and what becomes ours by that; who was ended. For when no load may be there."""
        ended: dict[int, ProcessStat] = {}
        for _ in range(LOOKS_MAX):
            living = self._living()
            if not living:
                break
            ended.update({stat.pid: stat for stat in living})
            with ExitStack() as held:
                found = (open_handle(stat.pid, stat.start_ticks) for stat in living)
                handles = [held.enter_context(handle) for handle in found if isinstance(handle, ProcessHandle)]
                for handle in handles:
                    handle.kill(with_group=False)
                for gone in wait_gone(handles, timeout_s=GONE_S_MAX):
                    _reap(gone.pid)
        return tuple(ended.values())

    def _living(self) -> tuple[ProcessStat, ...]:
        started = self._started()
        stats = (process_stat(pid) for pid in self._children() if pid not in started)
        return tuple(stat for stat in stats if isinstance(stat, ProcessStat) and stat.state not in "ZX")

    def _children(self) -> tuple[int, ...]:
        me = os.getpid()
        stats = (process_stat(pid) for pid in process_ids())
        return tuple(stat.pid for stat in stats if isinstance(stat, ProcessStat) and stat.parent_pid == me)


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
