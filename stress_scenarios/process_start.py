"""What a load process does to itself before anything else: be the first victim, die with its parent, never outlive its time.

Each step is verified, because a hardening step that failed silently is worse than none; any failure ends the process.
Runs in worker processes, on the standard library.
"""

import ctypes
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

EXIT_LEFT = 0
EXIT_OUR_FAULT = 70
EXIT_PERMISSION_GONE = 75
"""Whoever permits load is gone: the lease ran out or was revoked, or the supervisor's pipe closed."""

_OOM_SCORE_ADJ_MOST = b"1000"
"""Load is the first to go when memory runs out, before anything that a person would miss. Raising needs no privilege."""

_PR_SET_PDEATHSIG = 1
_START_TICKS_FIELD = 22


class StartError(Exception):
    """The process could not be made safe, so it must not make load."""


def become_expendable(parent_pid: int) -> None:
    """Do all steps in their order. Raises StartError.

    Default signal actions first, because ignored signals are inherited; the parent is compared after the death signal
    is armed, because a parent that died before would never send one.
    """
    _restore_signals()
    _volunteer_for_oom()
    _die_with_parent()
    if os.getppid() != parent_pid:
        raise StartError(f"the parent is process {os.getppid()} and not {parent_pid}: whoever started this is gone")


def raise_descriptor_limit() -> None:
    """Allow this process as many descriptors as it may allow itself: each connection takes one, and 1,024 is usual.

    Where the limit is at its most already, or a container forbids changing it, it stays; each window says what it is.
    """
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != most:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def arm_backstop(seconds: float) -> None:
    """Let the kernel end this process (SIGALRM, default action) after that time, whatever hangs. Arming again replaces it."""
    assert seconds > 0
    signal.setitimer(signal.ITIMER_REAL, seconds)


def disarm_backstop() -> None:
    """No load is running: idle time needs no end of its own, the lease has one."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def own_start_ticks() -> int:
    """When this process started, in clock ticks since boot: with the pid, its identity."""
    return start_ticks_of(Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace"))


def start_ticks_of(stat: str) -> int:
    """Field 22 of /proc/PID/stat. The process name before it may hold spaces and parentheses, so it is skipped from the right."""
    after_name = stat[stat.rindex(")") + 2 :].split()
    return int(after_name[_START_TICKS_FIELD - 3])


def _restore_signals() -> None:
    for number in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGALRM, signal.SIGTERM))


def _volunteer_for_oom() -> None:
    path = "/proc/self/oom_score_adj"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.write(descriptor, _OOM_SCORE_ADJ_MOST)  # unbuffered: a buffered write loses its error at closing
            os.lseek(descriptor, 0, os.SEEK_SET)
            seen = os.read(descriptor, 16).strip()
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error}") from error
    if seen != _OOM_SCORE_ADJ_MOST:
        raise StartError(f"{path} reads back {seen.decode(errors='replace')}")


def _die_with_parent() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise StartError(f"prctl(PR_SET_PDEATHSIG) failed: {os.strerror(ctypes.get_errno())}")
