"""The thread that ends a worker when its lease does: load runs on permission that somebody alive renews.

It looks at the page itself, so that a load loop that hangs or is busy cannot outlive its lease. It ends the process
without a word: writing anything could block, and the exit code says it. Runs in worker processes.
"""

import os
import threading
import time
from typing import NoReturn

from baseline_metrics.load_page import LoadPage
from stress_scenarios.process_start import EXIT_PERMISSION_GONE

LOOK_S = 0.004
"""Below the 10 ms that a worker may take to notice; 250 looks a second cost about 0.4 % of a core."""

FIRST_GRANT_S_MAX = 10.0
"""How long a worker waits for its first lease: the guardian answers within a second, even on a busy machine."""

_NS_PER_S = 1_000_000_000


def watch_lease(page: LoadPage) -> None:
    """Start watching; from the first grant on the process lives exactly as long as its lease."""
    threading.Thread(target=_watch, args=(page,), name="lease-watch", daemon=True).start()


def lease_is_over(
    *, lease_until_mono_ns: int, now_mono_ns: int, granted_before: bool, waiting_since_mono_ns: int
) -> bool:
    """Whether the process must end now. A lease of 0 means revoked once there was one, and not granted yet before."""
    if lease_until_mono_ns:
        return now_mono_ns > lease_until_mono_ns
    return granted_before or now_mono_ns - waiting_since_mono_ns > FIRST_GRANT_S_MAX * _NS_PER_S


def load_is_permitted(page: LoadPage) -> bool:
    """Whether load may be made at this instant: share above 0 and a lease that has not run out."""
    return page.share > 0.0 and time.monotonic_ns() < page.lease_until_mono_ns


def _watch(page: LoadPage) -> NoReturn:
    granted = False
    since_ns = time.monotonic_ns()
    while True:
        lease_ns = page.lease_until_mono_ns
        granted = granted or lease_ns != 0
        if lease_is_over(
            lease_until_mono_ns=lease_ns,
            now_mono_ns=time.monotonic_ns(),
            granted_before=granted,
            waiting_since_mono_ns=since_ns,
        ):
            os._exit(EXIT_PERMISSION_GONE)
        time.sleep(LOOK_S)
