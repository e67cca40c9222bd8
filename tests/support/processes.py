"""Finds the processes that a test session started, by a mark in their environment, never by name.

The mark is inherited by everything that a test starts, however it detaches itself.
"""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SESSION_VARIABLE = "DAYBREAK_TEST_SESSION"

LEAVE_S_MAX = 3.0
"""What a test stopped may take this long to be gone: the slowest promise of the product (no load after 3 s)."""

LOOK_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A process that should have ended."""

    pid: int
    command: str


def marked_processes(mark: str) -> tuple[Leftover, ...]:
    """Every running process but this one whose environment holds DAYBREAK_TEST_SESSION=mark; zombies have none."""
    wanted = f"{SESSION_VARIABLE}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):  # gone meanwhile, or another user's
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
                found.append(Leftover(pid=int(entry.name), command=command))
    return tuple(found)


def end_leftovers(mark: str) -> tuple[Leftover, ...]:
    """Give marked processes LEAVE_S_MAX to leave, kill what stays, and return what had to be killed."""
    deadline_mono_s = time.monotonic() + LEAVE_S_MAX
    left = marked_processes(mark)
    while left and time.monotonic() < deadline_mono_s:
        time.sleep(LOOK_S)
        left = marked_processes(mark)
    for process in left:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, signal.SIGKILL)
    return left
