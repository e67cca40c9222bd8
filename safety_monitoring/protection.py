"""What the guardian does for its own survival on a starving host, each step tried and read back.

Being root does not mean being allowed, and some refused writes raise nothing: only what reads back counts. Nothing here
is fatal; the rows of the protection matrix say what this host gives. The guardian calls it once, before it is ready.
"""

import ctypes
import gc
import os
import resource
import subprocess
import sys
from collections.abc import Callable

from baseline_metrics.host_files import MARK_ROLE, MARK_RUN_ID, MARK_STATE_DIR, ProcessGone, RunMark, process_stat
from safety_monitoring.messages import Protection
from safety_monitoring.stopping import Ended, ProcessHandle, end_workers, open_handle

OOM_SCORE_ADJ = -900
"""As systemd-oomd gives itself: the kernel takes nearly anybody else first, and can still take us."""

NICE = -10
CAP_IPC_LOCK_BIT = 14
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_REHEARSAL_S = 30
"""How long the process of the kill rehearsal would live if nobody ended it."""


def protect(run: RunMark) -> tuple[Protection, ...]:
    """Rehearse the kill path, then harden this process; one row each."""
    rows = (_row("kill path", lambda: _rehearse_kill(run)),)
    gc.collect()
    gc.freeze()
    gc.disable()
    return (
        *rows,
        _row("scheduling", _schedule_first),
        _row("memory lock", _lock_memory),
        _row("oom score", _leave_to_others),
    )


def _row(name: str, attempt: Callable[[], tuple[bool, str]]) -> Protection:
    try:
        works, detail = attempt()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        works, detail = False, str(error)
    return Protection(name=name, works=works, detail=detail)


def _rehearse_kill(run: RunMark) -> tuple[bool, str]:
    environ = {**os.environ, MARK_RUN_ID: run.run_id, MARK_STATE_DIR: run.state_dir, MARK_ROLE: "drill"}
    sleeper = [sys.executable, "-S", "-E", "-c", f"import time; time.sleep({_REHEARSAL_S})"]
    with subprocess.Popen(
        sleeper, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            ended = _end_rehearsed(process.pid, run)
        finally:
            process.kill()
    return not ended.survivors, f"a process was ended in {ended.seconds * 1000:.0f} ms"


def _end_rehearsed(pid: int, run: RunMark) -> Ended:
    stat = process_stat(pid)
    if isinstance(stat, ProcessGone):
        raise OSError(f"the rehearsed process {pid} was gone before it was ended")
    handle = open_handle(pid, stat.start_ticks)
    if not isinstance(handle, ProcessHandle):
        raise OSError(handle.reason)
    with handle:
        return end_workers((handle,), (), run=run)


def _schedule_first() -> tuple[bool, str]:
    # The guardian sleeps 99 % of its time. RESET_ON_FORK: the reporter that it may start does not inherit this.
    wanted = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    try:
        os.sched_setscheduler(0, wanted, os.sched_param(1))
        if os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_FIFO:
            return True, "SCHED_FIFO 1"
        refusal = "the kernel kept another policy"
    except OSError as error:
        refusal = f"{error.strerror}"
    try:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    except OSError as error:
        return False, f"SCHED_FIFO: {refusal}; nice: {error.strerror}"
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    return nice == NICE, f"SCHED_FIFO: {refusal}; nice {nice}"


def _lock_memory() -> tuple[bool, str]:
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft != resource.RLIM_INFINITY and not _capability(CAP_IPC_LOCK_BIT):
        # With a finite limit, locking the future would make later allocations fail.
        return False, f"not tried: no CAP_IPC_LOCK, and at most {soft} bytes may be locked"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        return False, os.strerror(ctypes.get_errno())
    locked = _status_line("VmLck:")
    return locked not in ("", "0 kB"), f"{locked or 'nothing'} locked"


def _leave_to_others() -> tuple[bool, str]:
    descriptor = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
    try:
        refusal = ""
        try:
            os.write(descriptor, str(OOM_SCORE_ADJ).encode())
        except OSError as error:
            refusal = f" ({error.strerror})"
        found = int(os.pread(descriptor, 16, 0))
    finally:
        os.close(descriptor)
    return found == OOM_SCORE_ADJ, f"oom_score_adj {found}{refusal}"


def _capability(bit: int) -> bool:
    effective = _status_line("CapEff:")
    return bool(int(effective, 16) >> bit & 1) if effective else False


def _status_line(name: str) -> str:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - no Path in the guardian
        for line in file:
            if line.startswith(name):
                return line[len(name) :].strip()
    return ""
