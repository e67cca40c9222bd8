"""A small real load on one core, for rehearsing stops: no target, no network, nothing to clean up.

A stop that was only ever tried on something idle was not tried. The drill burns a bounded part of one core and holds
some touched memory, so that its end shows in the machine. Runs in worker processes, on the standard library alone.
"""

import contextlib
import os
import signal
import time
from enum import Enum
from typing import NoReturn

from baseline_metrics.load_page import LoadPage
from stress_scenarios.lease_watch import load_is_permitted

PERIOD_S = 0.01
DUTY = 0.3
"""Three tenths of one core: visible at once in any process list, harmless on the smallest machine."""

MEMORY_BYTES = 8 << 20
_MEMORY_PAGE_BYTES = 4096

DRILL_S_MAX = 120.0
"""A rehearsed stop takes a second or two; whatever hangs, the kernel ends a drill after this."""


class DrillFault(Enum):
    """How a drill misbehaves, so that stops are rehearsed against a stubborn process too."""

    NONE = "none"
    DEAF = "deaf"  # looks at neither SIGTERM nor its lease, and goes on without permission
    ESCAPE = "escape"  # leaves a deaf grandchild behind, in a session of its own


def run_drill_load(page: LoadPage, fault: DrillFault) -> NoReturn:
    """Make the drill's load while it is permitted, for as long as the process lives; a deaf one asks nobody."""
    deaf = fault is DrillFault.DEAF
    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _keep_to_one_core()
    memory = _touched_memory()
    periods = 0
    while True:
        began_s = time.monotonic()
        if deaf or load_is_permitted(page):
            _burn_until(began_s + PERIOD_S * DUTY * (1.0 if deaf else page.share))
            periods += 1
            memory[periods * _MEMORY_PAGE_BYTES % MEMORY_BYTES] = periods & 0xFF
        page.beat(
            heartbeat_mono_ns=time.monotonic_ns(), connections_open=0, connections_opened=0, operations_due=periods
        )
        time.sleep(max(0.0, began_s + PERIOD_S - time.monotonic()))


def leave_deaf_grandchild() -> None:
    """Fork twice, with a session in between: a process whose parent is gone, that hears nothing and holds no pipe of ours.

    Returns in the caller once the grandchild burns. Only before any thread was started. Raises OSError.
    """
    said, says = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.setsid()
            if os.fork() == 0:
                _be_deaf(says)
        os._exit(0)
    os.close(says)
    os.waitpid(child, 0)
    try:
        if not os.read(said, 1):
            raise OSError("a grandchild was forked and ended at once")
    finally:
        os.close(said)


def _be_deaf(says: int) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, DRILL_S_MAX)  # alarms are not inherited
    for descriptor in (0, 1, 2):
        os.close(descriptor)
    os.write(says, b"!")
    os.close(says)
    while True:
        _burn_until(time.monotonic() + PERIOD_S * DUTY)
        time.sleep(PERIOD_S)


def _keep_to_one_core() -> None:
    with contextlib.suppress(OSError):  # a sandbox may forbid it; the duty stays bounded all the same
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _touched_memory() -> bytearray:
    memory = bytearray(MEMORY_BYTES)
    for offset in range(0, MEMORY_BYTES, _MEMORY_PAGE_BYTES):
        memory[offset] = 1
    return memory


def _burn_until(mono_s: float) -> None:
    number = 1
    while time.monotonic() < mono_s:
        for _ in range(50):
            number = number * 1_103_515_245 + 12_345 & 0x7FFF_FFFF
