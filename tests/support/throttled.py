"""A CPU limit for one process, without privileges: it runs for 10 ms of every 100 ms, as under a quota of a tenth."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

RUNS_S = 0.01
STANDS_S = 0.09

THROTTLE_S_MAX = 30.0
"""A test that hangs must not leave a process standing."""


@contextmanager
def throttled(pid: int) -> Iterator[None]:
    """Throttle a process that this test started; it runs freely again afterwards."""
    over = threading.Event()

    def keep_throttling() -> None:
        deadline = time.monotonic() + THROTTLE_S_MAX
        with suppress(ProcessLookupError):  # its load was over, and it has left
            while not over.is_set() and time.monotonic() < deadline:
                os.kill(pid, signal.SIGSTOP)
                over.wait(STANDS_S)
                os.kill(pid, signal.SIGCONT)
                over.wait(RUNS_S)

    thread = threading.Thread(target=keep_throttling, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(THROTTLE_S_MAX)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
