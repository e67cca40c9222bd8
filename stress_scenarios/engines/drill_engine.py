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
    IGNORE_SIGTERM = "ignore-sigterm"


def run_drill_load(page: LoadPage, fault: DrillFault) -> NoReturn:
    """Make the drill's load while it is permitted, for as long as the process lives."""
    if fault is DrillFault.IGNORE_SIGTERM:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _keep_to_one_core()
    memory = _touched_memory()
    periods = 0
    while True:
        began_s = time.monotonic()
        if load_is_permitted(page):
            _burn_until(began_s + PERIOD_S * DUTY * page.share)
            periods += 1
            memory[periods * _MEMORY_PAGE_BYTES % MEMORY_BYTES] = periods & 0xFF
        page.beat(
            heartbeat_mono_ns=time.monotonic_ns(), connections_open=0, connections_opened=0, operations_due=periods
        )
        time.sleep(max(0.0, began_s + PERIOD_S - time.monotonic()))


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
