"""Keeps every core busy with somebody else's work while something is measured: a quiet machine would flatter it. Whoever looks at the clock is kept out of that.

Used by the measuring programs of this folder, in their own process.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_BURNER = "import sys, time\nend = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end: pass"

_END_S_MAX = 10.0


def be_prompt() -> None:
    """Let this process, and none that it starts, run before busy loops: a clock that is looked at late measures itself."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))


@contextmanager
def busy_cores(*, per_core: int, life_s: float) -> Iterator[int]:
    """So many plain busy loops for each core; gives their number. They end by themselves after life_s, should we be killed."""
    count = per_core * (os.cpu_count() or 1)
    burning = [
        subprocess.Popen([sys.executable, "-c", _BURNER, str(life_s)], stdin=subprocess.DEVNULL) for _ in range(count)
    ]
    try:
        yield count
    finally:
        for burner in burning:
            burner.kill()
        for burner in burning:
            burner.wait(_END_S_MAX)
