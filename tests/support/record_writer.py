"""A process that records as fast as it is told to, and says what was acknowledged: something to kill.

    python -m tests.support.record_writer DATABASE SPILL JOURNAL_COUNT FILE_BYTES_MAX BALLAST_BYTES

Each round puts one host sample, one load second and one event, numbered alike. After each flush it prints the number of
the last acknowledged round. It ends after JOURNAL_COUNT rounds or at the recorder's first fault plus sixty flushes, and
prints ``fault <text>`` then. FILE_BYTES_MAX 0 means no limit to the size of the files it writes.
"""

import resource
import signal
import sys

from baseline_metrics.clock import SystemClock
from monitoring_logs.recorder import Recorder, RecorderSettings
from tests.support.sample_records import event_at, host_sample_at, load_second_at

FLUSHES_AFTER_FAULT = 60
ROUNDS_PER_FLUSH = 5


def main() -> None:
    """Record until told to end, killed, or in trouble."""
    database, spill, rounds, file_bytes_max, ballast_bytes = sys.argv[1:6]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    recorder = Recorder(
        database,
        spill_path=spill,
        clock=SystemClock(),
        ballast_bytes=int(ballast_bytes),
        settings=RecorderSettings(batch_period_s=0.01),
    )
    recorder.start()
    if int(file_bytes_max):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(file_bytes_max), resource.RLIM_INFINITY))
    rounds_left = int(rounds)
    number = 0
    while rounds_left > 0:
        for _ in range(ROUNDS_PER_FLUSH):
            recorder.put(host_sample_at(number))
            recorder.put(load_second_at(number, histogram="h" * 2000))
            recorder.put(event_at(number, f"round {number}"))
            number += 1
        if recorder.flush(30.0):
            sys.stdout.write(f"{number - 1}\n")
            sys.stdout.flush()
        rounds_left -= ROUNDS_PER_FLUSH
        if recorder.stats.fault:
            rounds_left = min(rounds_left, FLUSHES_AFTER_FAULT * ROUNDS_PER_FLUSH)
    report = recorder.close(60.0)
    sys.stdout.write(f"integrity {report.integrity}\nlost {report.stats.lost}\n")
    sys.stdout.write(f"fault {report.stats.fault}\n")


if __name__ == "__main__":
    main()
