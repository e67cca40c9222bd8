"""The one way to end load processes, used by guardian, supervisor and emergency stop alike.

Permission first (page), then a short moment to leave, then SIGKILL through handles that cannot name a stranger, then a
search for whoever moved away, until the host is quiet twice in a row. Everything is bounded, and what survives is named
with its state, never hidden. A bare pid is never signalled: pids come round again within a minute on a busy host.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from baseline_metrics.host_files import MarkedProcess, ProcessGone, RunMark, marked_processes, process_stat
from baseline_metrics.load_page import LoadPage

GRACE_S = 0.03
"""A worker looks at its page every 5 to 10 ms; who has not left after three looks is killed."""

DEADLINE_S = 5.0
"""SIGKILL takes milliseconds. What is still there after this waits inside the kernel (state D) and is reported."""

STRAY_WAIT_S = 0.02
"""Between two searches, while something found still dies."""

QUIET_SEARCHES = 2
"""A child born during the first empty search is seen by the second."""

LOAD_ROLES = frozenset({"worker", "drill"})
"""DAYBREAK_ROLE of the processes that make load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTheProcess:
    """The pid belongs to another process than the one that was meant, or to nobody."""

    pid: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A process that SIGKILL did not end in time. state D: it waits inside the kernel, uninterruptibly."""

    pid: int
    name: str
    state: str

    def text(self) -> str:
        """For messages."""
        return f"process {self.pid} ({self.name}) in state {self.state}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an ending went. gone_mono_s: when the last process was seen gone (if there are survivors: when given up)."""

    began_mono_s: float
    gone_mono_s: float
    killed: int
    strays: int
    survivors: tuple[Survivor, ...]

    @property
    def seconds(self) -> float:
        """From the call until the last one was gone."""
        return self.gone_mono_s - self.began_mono_s


class ProcessHandle:
    """A process, held by a pidfd after its start time was compared: signals through it reach this process or nobody."""

    def __init__(self, *, pid: int, start_ticks: int, pidfd: int) -> None:
        self.pid = pid
        self.start_ticks = start_ticks
        self.pidfd = pidfd
        self._poll = select.poll()
        self._poll.register(pidfd, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the process. Harmless when done twice."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    def is_gone(self) -> bool:
        """Whether the process has ended; it may still be a zombie that its parent has to reap."""
        return self.pidfd < 0 or bool(self._poll.poll(0))

    def kill(self, *, with_group: bool) -> None:
        """SIGKILL to the process, and to the group that it leads if asked to. Who is gone already is no error."""
        with contextlib.suppress(OSError):
            if with_group and not self.is_gone() and os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, signal.SIGKILL)
        self.send(signal.SIGKILL)

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; False if the process is gone or not ours."""
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except OSError:
            return False
        return True


def open_handle(pid: int, start_ticks: int) -> ProcessHandle | NotTheProcess:
    """Hold the process that has this pid and started at this tick after boot (proc(5), field 22 of stat).

    The pidfd is opened first and the start time compared afterwards, so that the pid cannot change hands in between.
    """
    if pid <= 1:
        return NotTheProcess(pid=pid, reason=f"{pid} is not the pid of a process of ours")
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        return NotTheProcess(pid=pid, reason=f"process {pid} cannot be held: {error.strerror}")
    stat = process_stat(pid)
    if isinstance(stat, ProcessGone) or stat.start_ticks != start_ticks:
        os.close(pidfd)
        found = "has ended" if isinstance(stat, ProcessGone) else f"started at tick {stat.start_ticks}"
        return NotTheProcess(pid=pid, reason=f"process {pid} {found}; the one meant started at tick {start_ticks}")
    return ProcessHandle(pid=pid, start_ticks=start_ticks, pidfd=pidfd)


def wait_gone(handles: Sequence[ProcessHandle], *, timeout_s: float) -> tuple[ProcessHandle, ...]:
    """Wait until all have ended, at most that long; the handles of those that have, closed ones included."""
    poll = select.poll()
    waiting = {handle.pidfd: handle for handle in handles if handle.pidfd >= 0}
    for pidfd in waiting:
        poll.register(pidfd, select.POLLIN)
    deadline_mono_s = time.monotonic() + timeout_s
    while waiting:
        left_s = max(0.0, deadline_mono_s - time.monotonic())
        for pidfd, _ in poll.poll(left_s * 1000.0):
            poll.unregister(pidfd)
            del waiting[pidfd]
        if left_s <= 0.0:
            break
    return tuple(handle for handle in handles if handle.pidfd not in waiting)


def end_workers(
    handles: Sequence[ProcessHandle],
    pages: Iterable[LoadPage],
    *,
    run: RunMark,
    roles: frozenset[str] = LOAD_ROLES,
    grace_s: float = GRACE_S,
    deadline_s: float = DEADLINE_S,
) -> Ended:
    """End these processes, their groups, and every process that carries the run's marker in one of the roles.

    Blocks for about grace_s when all goes well, never longer than deadline_s plus one search. The handles stay open.
    """
    began_mono_s = time.monotonic()
    for page in pages:
        page.revoke()
    gone = wait_gone(handles, timeout_s=grace_s)
    stubborn = [handle for handle in handles if handle not in gone]
    for handle in stubborn:
        handle.kill(with_group=True)
    left_s = began_mono_s + deadline_s - time.monotonic()
    still_there = _not_gone(stubborn, timeout_s=max(0.0, left_s))
    gone_mono_s = time.monotonic()
    rest = end_marked(run, roles=roles, deadline_s=max(0.0, began_mono_s + deadline_s - gone_mono_s))
    named = {survivor.pid: survivor for survivor in (*map(_survivor, still_there), *rest.survivors)}
    return Ended(
        began_mono_s=began_mono_s,
        gone_mono_s=gone_mono_s if rest.strays == 0 else rest.gone_mono_s,
        killed=len(stubborn),
        strays=rest.strays,
        survivors=tuple(named.values()),
    )


def end_marked(run: RunMark, *, roles: frozenset[str] = LOAD_ROLES, deadline_s: float = DEADLINE_S) -> Ended:
    """Search for processes that carry the run's marker in one of the roles, and SIGKILL them, until quiet twice.

    Finds who changed session, group or parent; not who emptied its environment or belongs to another user.
    """
    began_mono_s = gone_mono_s = time.monotonic()
    seen: set[int] = set()
    found = load_of(run, roles)
    quiet = 0
    while True:
        quiet = 0 if found else quiet + 1
        if quiet >= QUIET_SEARCHES:
            break
        if found:
            seen.update(process.pid for process in found)
            _kill_found(found)
            gone_mono_s = time.monotonic()
        if time.monotonic() - began_mono_s >= deadline_s:
            break
        found = load_of(run, roles)
    survivors = tuple(_survivor(process) for process in load_of(run, roles)) if quiet < QUIET_SEARCHES else ()
    return Ended(
        began_mono_s=began_mono_s,
        gone_mono_s=time.monotonic() if survivors else gone_mono_s,
        killed=len(seen),
        strays=len(seen),
        survivors=survivors,
    )


def load_of(run: RunMark, roles: frozenset[str] = LOAD_ROLES) -> tuple[MarkedProcess, ...]:
    """The running processes of a run that have one of the roles, never the caller itself."""
    own_pid = os.getpid()
    return tuple(found for found in marked_processes(run) if found.role in roles and found.pid != own_pid)


def _kill_found(found: Sequence[MarkedProcess]) -> None:
    with contextlib.ExitStack() as held:
        handles = []
        for process in found:
            handle = open_handle(process.pid, process.start_ticks)
            if isinstance(handle, ProcessHandle):
                handles.append(held.enter_context(handle))
                handle.kill(with_group=True)
        wait_gone(handles, timeout_s=STRAY_WAIT_S)


def _not_gone(handles: Sequence[ProcessHandle], *, timeout_s: float) -> tuple[ProcessHandle, ...]:
    gone = wait_gone(handles, timeout_s=timeout_s)
    return tuple(handle for handle in handles if handle not in gone)


def _survivor(process: ProcessHandle | MarkedProcess) -> Survivor:
    stat = process_stat(process.pid)
    if isinstance(stat, ProcessGone):
        return Survivor(pid=process.pid, name="unknown", state="unknown")
    return Survivor(pid=process.pid, name=stat.name, state=stat.state)
