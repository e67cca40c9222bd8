"""Load processes of campaigns that are dead: found, verified and ended before a new campaign starts.

A load process dies with its supervisor, and loses its lease with its guardian; what both of them leave behind all the same
(a child that escaped, a host that was frozen) would load the target beside the next night. Only what is certainly an orphan
is ended: a load process of this user and this registry, whose campaign has neither a supervisor nor a guardian that runs.
Anything else that carries a mark is named by the preflight, and stays. Runs in the launcher's process.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from baseline_metrics.host_files import MarkedProcess, every_marked_process, marked_process, process_user
from safety_monitoring import registry
from safety_monitoring.emergency_search import run_key
from safety_monitoring.stopping import LOAD_ROLES, QUIET_SEARCHES, ProcessHandle, open_handle, wait_gone

LEADING_ROLES = frozenset({"supervisor", "guardian"})
"""While one of these runs, the campaign is somebody's: it ends its load by itself."""

SEARCHES_MAX = 50
"""An orphan may have children that are born while it is ended; who still makes new ones after this is left to the preflight."""

GONE_S_MAX = 2.0
"""SIGKILL takes milliseconds; what is there afterwards waits inside the kernel, and the preflight refuses because of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedOrphan:
    """A load process that outlived its campaign, and is gone now."""

    pid: int
    role: str
    run_id: str

    @property
    def text(self) -> str:
        """For messages and for the record."""
        return f"process {self.pid} ({self.role} of {self.run_id}), whose supervisor and guardian were dead"


def find_orphans(
    state_dir: str, marked: Callable[[], tuple[MarkedProcess, ...]] = every_marked_process
) -> tuple[MarkedProcess, ...]:
    """Load processes that nobody leads any more. Reads only."""
    processes = tuple(process for process in marked() if _is_ours(process, state_dir))
    led = {run_key(process.run_id, process.state_dir) for process in processes if process.role in LEADING_ROLES}
    led |= {run_key(run_id, state_dir) for run_id in _led_by_registry(state_dir)}
    return tuple(
        process
        for process in processes
        if process.role in LOAD_ROLES
        and process.pid != os.getpid()
        and run_key(process.run_id, process.state_dir) not in led
    )


def end_orphans(state_dir: str) -> tuple[EndedOrphan, ...]:
    """End them, until none is found twice in a row. Who cannot be ended is not among the answers."""
    ended: dict[tuple[int, int], EndedOrphan] = {}
    quiet = 0
    for _ in range(SEARCHES_MAX):
        found = find_orphans(state_dir)
        quiet = 0 if found else quiet + 1
        if quiet >= QUIET_SEARCHES:
            break
        for process in _ended(found):
            ended[process.pid, process.start_ticks] = EndedOrphan(
                pid=process.pid, role=process.role, run_id=process.run_id
            )
    return tuple(ended.values())


def _ended(found: Iterable[MarkedProcess]) -> list[MarkedProcess]:
    """Kill each one through a handle, after its mark was read once more while the handle holds it."""
    with ExitStack() as held:
        killed: dict[ProcessHandle, MarkedProcess] = {}
        for process in found:
            handle = open_handle(process.pid, process.start_ticks)
            if not isinstance(handle, ProcessHandle):
                continue
            held.enter_context(handle)
            if marked_process(process.pid) == process:
                handle.kill(with_group=False)
                killed[handle] = process
        gone = wait_gone(tuple(killed), timeout_s=GONE_S_MAX)
        return [killed[handle] for handle in gone]


def _is_ours(process: MarkedProcess, state_dir: str) -> bool:
    if not process.state_dir or os.path.realpath(process.state_dir) != os.path.realpath(state_dir):
        return False
    return process_user(process.pid) == os.getuid()


def _led_by_registry(state_dir: str) -> set[str]:
    """Runs whose supervisor runs, and those of which the registry cannot tell."""
    return {
        entry.run_id
        for entry in registry.entries(state_dir)
        if isinstance(entry, registry.BrokenEntry) or registry.is_alive(entry.supervisor)
    }
