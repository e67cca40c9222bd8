"""A guardian for tests of the supervisor's link to it: beats, obeys Conclude, or misbehaves on request.

Run as ``python -m tests.support.stand_in_guardian MODE ORDER_FILE``. It ends by itself after a minute.
"""

import os
import signal
import sys
import time
from pathlib import Path

from baseline_metrics.samples import Gap, GapReason
from safety_monitoring.messages import ORDERS, REPORTS, Conclude, GuardianBeat, Heartbeat

LIFE_S_MAX = 60

NO_READING = Gap(reason=GapReason.ABSENT, detail="a stand-in has no sensors")


def beat(sequence: int) -> None:
    """One beat."""
    report = GuardianBeat(
        sequence=sequence,
        at_mono_s=float(sequence),
        loop_lag_s_max=0.0,
        memory_percent=NO_READING,
        cpu_percent=NO_READING,
        disk_percent=NO_READING,
    )
    sys.stdout.buffer.write(REPORTS.encode(report))
    sys.stdout.buffer.flush()


def main() -> None:
    """Do what the mode says."""
    signal.alarm(LIFE_S_MAX)
    mode, order_file = sys.argv[1:]
    assert Path(order_file).is_file()
    match mode:
        case "beating":  # answers each heartbeat with a beat of the same number
            for line in sys.stdin.buffer:
                order = ORDERS.decode(line)
                if isinstance(order, Conclude):
                    return
                if isinstance(order, Heartbeat):
                    beat(order.sequence)
        case "silent":
            sys.stdin.read()
        case "leaving":
            sys.exit(3)
        case "garbage":
            sys.stdout.write("hello\n")
            sys.stdout.flush()
            sys.stdin.read()
        case "mute":
            os.close(1)
            time.sleep(LIFE_S_MAX)
        case "deaf":
            beat(1)
            time.sleep(LIFE_S_MAX)
        case _:
            raise AssertionError(mode)


if __name__ == "__main__":
    main()
