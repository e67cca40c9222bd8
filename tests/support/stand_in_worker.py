"""A load process for tests of the guardian: maps its page, burns a little CPU while permitted, exits 75 without a lease.

``--deaf``: looks at neither page nor SIGTERM, and has to be killed. ``--escape``: leaves a deaf grandchild in a session of
its own behind. Run as ``python -m tests.support.stand_in_worker PAGE [--deaf | --escape]``.
"""

import os
import signal
import sys
import time

from baseline_metrics.load_page import LoadPage

LIFE_S_MAX = 60.0
BURN_S = 0.002


def main() -> None:
    """Make load until the lease ends."""
    page = LoadPage(sys.argv[1])
    if "--escape" in sys.argv and os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            be_deaf()
        os._exit(0)
    if "--deaf" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ends_mono_s = time.monotonic() + LIFE_S_MAX
    was_granted = False
    while time.monotonic() < ends_mono_s:
        now_mono_ns = time.monotonic_ns()
        was_granted = was_granted or page.lease_until_mono_ns > 0
        if was_granted and now_mono_ns > page.lease_until_mono_ns and "--deaf" not in sys.argv:
            os._exit(75)
        page.want_load(wanted="--idle" not in sys.argv)
        if page.share > 0:
            page.beat(heartbeat_mono_ns=now_mono_ns, connections_open=1, connections_opened=1, operations_due=0)
            while time.monotonic_ns() < now_mono_ns + BURN_S * 1e9:
                pass
        time.sleep(BURN_S)


def be_deaf() -> None:
    """Stay, whatever is asked."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(LIFE_S_MAX)
    os._exit(0)


if __name__ == "__main__":
    main()
