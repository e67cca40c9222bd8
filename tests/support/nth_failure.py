"""Fails every Nth write or sync of a recorder, for N = 1, 2, 3 and so on until none fails, and checks what is left.

    python -m tests.support.nth_failure DIRECTORY WHAT CALLS UNTIL ERROR [--first N] [--stride N] [--seconds-max S]

WHAT: database, resumed (the database of an earlier life that was killed), record (database and spill file alike), journal.
CALLS: sync or write. UNTIL: once or forever. ERROR: EIO or ENOSPC. Runs in a process into which failing_disk was
preloaded. Each round is a small recording with acknowledged records; what was acknowledged must be readable once and in
order, and the database sound. It prints how many rounds it made, and ends with an error at the first broken promise.
Unless it is bounded it goes on until the call that should fail is never made, which is the whole of a recording.
"""

import argparse
import errno
import shutil
import sqlite3
import time
from pathlib import Path

from baseline_metrics.clock import SystemClock
from monitoring_logs.journal import Journal, JournalError, JournalKind
from monitoring_logs.numbering import Producer, RecordHole, RecordNumber
from monitoring_logs.reader import RunReader
from monitoring_logs.recorder import Recorder, RecorderError, RecorderSettings
from monitoring_logs.rows import rows_of
from monitoring_logs.run_files import RunFiles, files_of
from monitoring_logs.store import SqliteStore
from tests.support.failing_disk import Calls, FailingDisk, Fault, Until
from tests.support.sample_records import event_at

ROUNDS = 6
EVENTS_PER_ROUND = 3
WAIT_S = 60.0
NTH_MAX = 5000
"""A recording of this size makes some hundred calls; more means that one is never over."""

PATH_PARTS = {
    "database": "campaign.db",
    "resumed": "campaign.db",
    "record": "monitoring_logs",
    "journal": "journal.jsonl",
}


def main() -> None:
    """Go through the calls of one recording."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("what", choices=sorted(PATH_PARTS))
    parser.add_argument("calls", choices=["sync", "write"])
    parser.add_argument("until", choices=["once", "forever"])
    parser.add_argument("error", choices=["EIO", "ENOSPC"])
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--seconds-max", type=float, default=3600.0)
    asked = parser.parse_args()
    disk = FailingDisk()
    end = time.monotonic() + asked.seconds_max
    rounds, complete = 0, False
    nth = asked.first
    while not complete and nth < NTH_MAX and time.monotonic() < end:
        rounds += 1
        fault = Fault(
            path_part=PATH_PARTS[asked.what],
            calls=Calls[asked.calls.upper()],
            nth=nth,
            until=Until(asked.until),
            error=getattr(errno, asked.error),
        )
        run_dir = asked.directory / f"run{rounds}"
        if asked.what == "journal":
            complete = not journal_round(disk, fault, run_dir)
        else:
            complete = not recorder_round(disk, fault, run_dir, resumed=asked.what == "resumed")
        shutil.rmtree(run_dir)
        nth += asked.stride
    print(f"{rounds} rounds, {'complete' if complete else 'not complete'}")


def recorder_round(disk: FailingDisk, fault: Fault, run_dir: Path, *, resumed: bool) -> bool:
    """Record a little with the fault armed; whether it struck."""
    files = prepared(run_dir)
    if resumed:
        leave_a_killed_life(files)
    recorder = Recorder(
        files.database,
        spill_path=files.spill,
        clock=SystemClock(),
        ballast_bytes=4096,
        settings=RecorderSettings(batch_period_s=0.0, checkpoint_log_bytes=60_000, checkpoint_retry_s=0.0),
    )
    disk.fail(fault)
    acknowledged = -1
    started = False
    try:
        recorder.start()
        started = True
        for number in range(ROUNDS):
            for event in range(EVENTS_PER_ROUND):
                at = EVENTS_PER_ROUND * number + event
                recorder.put(event_at(at, f"event {at} {'x' * 4000}"))
            if recorder.flush(WAIT_S):
                acknowledged = EVENTS_PER_ROUND * (number + 1) - 1
            elif recorder.stats.lost == 0:
                assert fault.path_part == PATH_PARTS["record"], f"{fault}: nothing was lost, and not acknowledged"
    except RecorderError:
        pass  # nothing was acknowledged: the night does not begin
    report = recorder.close(WAIT_S)
    assert report.ended, fault
    struck, later = disk.struck, disk.calls_after_failed_sync
    disk.mend()
    # Before the start SQLite itself undoes the making of an empty file; once all is checkpointed, only its header changes.
    if fault.path_part == PATH_PARTS["database"] and started and not report.checkpointed:
        assert later == 0, f"{fault}: {later} calls on a file whose sync had failed; {report}"
        if fault.calls is Calls.SYNC and struck:
            assert report.integrity.startswith("not verified: "), report
            assert Path(files.database + "-wal").stat().st_size > 0, report
            assert report.stats.lost == 0, report
    check(fault, run_dir, files, acknowledged, earlier=EVENTS_PER_ROUND if resumed else 0)
    return struck > 0


def leave_a_killed_life(files: RunFiles) -> None:
    """A database whose log was not checkpointed, as kill -9 leaves it."""
    store = SqliteStore(files.database)
    life = store.begin_life(at_least=1, mono_s=0.0, utc_s=0.0)
    for number in range(EVENTS_PER_ROUND):
        named = RecordNumber(life=life, producer=Producer.SUPERVISOR, sequence=number + 1)
        store.write(rows_of(event_at(number, f"earlier {number}")), [named])
    store.abandon()


def check(fault: Fault, run_dir: Path, files: RunFiles, acknowledged: int, *, earlier: int) -> None:
    """What was acknowledged is there, once, in order, with its number; the database is sound."""
    reader = RunReader(run_dir)
    before = [event.text for event in reader.events() if event.text.startswith("earlier")]
    assert before == [f"earlier {number}" for number in range(earlier)], (fault, before)
    found = [int(event.text.split()[1]) for event in reader.events() if event.text.startswith("event")]
    assert found == sorted(set(found)), (fault, found)
    assert set(range(acknowledged + 1)) <= set(found), (fault, acknowledged, found)
    holes = [hole for hole in reader.record_holes() if isinstance(hole, RecordHole)]
    early = [hole for hole in holes if hole.producer is Producer.SUPERVISOR and hole.first <= acknowledged + 1]
    assert not early, (fault, acknowledged, early)
    reader.close()
    if Path(files.database).is_file() and Path(files.database).stat().st_size:
        with sqlite3.connect(
            files.database
        ) as connection:  # settles what a cut-off writer left, as a person's tool would
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], fault
        connection.close()


def journal_round(disk: FailingDisk, fault: Fault, run_dir: Path) -> bool:
    """Journal a little with the fault armed, the fallback on a disk that works; whether it struck."""
    files = prepared(run_dir)
    fallback = run_dir / "elsewhere.jsonl"
    disk.fail(fault)
    acknowledged = 0
    journal = Journal(files.journal, clock=SystemClock(), boot_id="b00t", fallback_path=str(fallback))
    for number in range(1, ROUNDS + 1):
        try:
            journal.append(JournalKind.EVENT, "Tick", {"number": number})
        except JournalError as error:
            raise AssertionError(f"{fault}: the fallback works") from error
        acknowledged = number
    struck, later = disk.struck, disk.calls_after_failed_sync
    disk.mend()
    journal.close()
    assert later == 0, f"{fault}: {later} calls on a journal whose sync had failed"
    reader = RunReader(run_dir)
    entries = [entry.body["number"] for entry in reader.journal()]
    assert entries == list(range(1, acknowledged + 1)), (fault, entries)
    reader.close()
    return struck > 0


def prepared(run_dir: Path) -> RunFiles:
    """An empty run."""
    files = files_of(str(run_dir))
    Path(files.record_directory).mkdir(parents=True)
    return files


if __name__ == "__main__":
    main()
