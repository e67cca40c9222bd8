"""A recorder whose disk stands still for a while in the middle of a sync.

    python -m tests.support.stalled_sync RUN_DIRECTORY SECONDS RECORDS

Runs in a process into which failing_disk was preloaded. It records until a sync stands still, then puts RECORDS more at
once, and prints: how many were queued while it stood, whether they were acknowledged then, and afterwards; what was
spilled and lost; the longest sync in seconds.
"""

import sys
from pathlib import Path

from baseline_metrics.clock import SystemClock
from baseline_metrics.samples import Sample
from monitoring_logs.recorder import Recorder
from monitoring_logs.run_files import files_of
from tests.support.failing_disk import FailingDisk
from tests.support.sample_records import event_at

WAIT_S = 60.0
NTH = 5


def main() -> None:
    """Record, stall, record on."""
    run_dir, seconds, records = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    files = files_of(str(run_dir))
    Path(files.record_directory).mkdir(parents=True)
    disk = FailingDisk()
    recorder = Recorder(files.database, spill_path=files.spill, clock=SystemClock(), ballast_bytes=0)
    recorder.start()
    disk.stall("campaign.db-wal", nth=NTH, seconds=seconds)
    number = 0
    while not disk.struck:
        recorder.put(event_at(number, f"event {number}"))
        number += 1
        recorder.flush(0.01)
    for _ in range(records):
        recorder.put(event_at(number, f"event {number}"))
        number += 1
    queued, acknowledged_early = recorder.stats.queued, recorder.flush(0.0)
    acknowledged = recorder.flush(WAIT_S)
    stats = recorder.close(WAIT_S).stats
    assert isinstance(stats.sync_s_max, Sample)
    for answer in (number, queued, acknowledged_early, acknowledged, stats.spilled, stats.lost, stats.sync_s_max.value):
        sys.stdout.write(f"{answer}\n")


if __name__ == "__main__":
    main()
