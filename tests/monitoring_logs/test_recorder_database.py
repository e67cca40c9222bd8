"""The recorder over a real database: written once, by one connection, and never on top of a damaged one."""

import sqlite3
import threading
from pathlib import Path

from baseline_metrics.clock import FakeClock
from monitoring_logs.recorder import Recorder, RecorderSettings
from monitoring_logs.store import SqliteStore
from tests.support.sample_records import event_at, host_sample_at, load_second_at, one_of_each

WAIT_S = 60.0
"""A hang limit; nothing here takes a second."""


def real_recorder(directory: Path) -> Recorder:
    """A recorder of a real database with a small ballast."""
    return Recorder(
        str(directory / "campaign.db"),
        spill_path=str(directory / "spill.jsonl"),
        clock=FakeClock(),
        ballast_bytes=1 << 20,
    )


def test_replays_are_harmless(tmp_path: Path) -> None:
    """Everything put twice, also by a second recorder after a restart, is there once; the repetitions are counted."""
    for round_number in range(2):
        recorder = real_recorder(tmp_path)
        recorder.start()
        for record in (*one_of_each(), *one_of_each()):
            recorder.put(record)
        report = recorder.close(WAIT_S)
        assert (report.integrity, report.journal_mode, report.stats.fault) == ("ok", "delete", "")
        assert report.stats.repeated == len(one_of_each()) * (1 + round_number)


def test_a_damaged_database_is_set_aside_with_its_log(tmp_path: Path) -> None:
    """A new one is begun, the damaged one is kept byte for byte, and an event tells of it."""
    (tmp_path / "campaign.db").write_bytes(b"damaged" * 1000)
    (tmp_path / "campaign.db-wal").write_bytes(b"log")
    recorder = real_recorder(tmp_path)
    recorder.start()
    report = recorder.close(WAIT_S)
    assert report.integrity == "ok"
    assert report.stats.committed == 2  # the event, and the recorder's last fact
    assert (tmp_path / "campaign.db.damaged-1").read_bytes() == b"damaged" * 1000
    assert (tmp_path / "campaign.db.damaged-1-wal").read_bytes() == b"log"


def test_only_one_connection_may_write(tmp_path: Path) -> None:
    """The recorder opens the database once and writes everything from its own thread."""
    opened: list[int] = []

    def counting(path: str, busy_timeout_s: float) -> SqliteStore:
        opened.append(threading.get_ident())
        return SqliteStore(path, busy_timeout_s=busy_timeout_s)

    recorder = Recorder(
        str(tmp_path / "campaign.db"),
        spill_path=str(tmp_path / "spill.jsonl"),
        clock=FakeClock(),
        ballast_bytes=0,
        open_store=counting,
    )
    recorder.start()
    for second in range(100):
        recorder.put(load_second_at(second))
        recorder.put(host_sample_at(second))
    assert recorder.flush(WAIT_S)
    recorder.close(WAIT_S)
    assert len(opened) == 1
    assert opened[0] != threading.get_ident()


def test_a_reader_that_holds_a_snapshot_is_told_and_outlived(tmp_path: Path) -> None:
    """Writing goes on beside it, the growing log is an event, and when the reader leaves the log is emptied."""
    clock = FakeClock()
    recorder = Recorder(
        str(tmp_path / "campaign.db"),
        spill_path=str(tmp_path / "spill.jsonl"),
        clock=clock,
        ballast_bytes=0,
        settings=RecorderSettings(
            batch_period_s=0.0, checkpoint_log_bytes=100_000, checkpoint_retry_s=10.0, log_bytes_alarm=300_000
        ),
    )
    log = tmp_path / "campaign.db-wal"
    recorder.start()
    recorder.put(event_at(0))
    assert recorder.flush(WAIT_S)
    reader = sqlite3.connect(f"file:{tmp_path / 'campaign.db'}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    seen = reader.execute("SELECT count(*) FROM events").fetchone()

    def record(*, first: int, records: int) -> None:
        for number in range(first, first + records):
            clock.advance(4.0)
            recorder.put(event_at(number, "x" * 5000))
            assert recorder.flush(WAIT_S)

    record(first=1, records=100)
    assert log.stat().st_size > 500_000
    assert reader.execute("SELECT count(*) FROM events").fetchone() == seen
    assert recorder.stats.fault == ""
    reader.execute("COMMIT")
    record(first=101, records=25)
    assert log.stat().st_size < 300_000
    reader.close()
    report = recorder.close(WAIT_S)
    assert (report.integrity, report.stats.spilled, report.stats.fault) == ("ok", 0, "")
    with sqlite3.connect(tmp_path / "campaign.db") as connection:
        names = [
            row[0] for row in connection.execute("SELECT name FROM events WHERE kind='recorder' ORDER BY at_mono_s")
        ]
    connection.close()
    assert names == ["log_large", "log_short"]


def test_many_producers_lose_nothing(tmp_path: Path) -> None:
    """Eight threads put at the same time; each record is there once."""
    recorder = real_recorder(tmp_path)
    recorder.start()

    def produce(worker: int) -> None:
        for number in range(250):
            recorder.put(event_at(number, f"{worker}-{number}"))

    threads = [threading.Thread(target=produce, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert recorder.flush(WAIT_S)
    stats = recorder.close(WAIT_S).stats
    assert (stats.committed, stats.repeated, stats.spilled) == (2001, 0, 0)  # the last one is the recorder's own
