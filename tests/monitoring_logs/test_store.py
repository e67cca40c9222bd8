"""The read-write connection: its settings, its transactions, its end."""

import sqlite3
import threading
from pathlib import Path

import pytest

from monitoring_logs import schema
from monitoring_logs.records import SCHEMA_VERSION
from monitoring_logs.rows import TableRow, rows_of
from monitoring_logs.store import RowRefusedError, SqliteStore, StoreError, StoreFault
from tests.support.sample_records import event_at, host_sample_at, load_second_at, one_of_each


def store_in(directory: Path, *, busy_timeout_s: float = 0.05) -> SqliteStore:
    """A store that does not wait long for a lock."""
    return SqliteStore(str(directory / "campaign.db"), busy_timeout_s=busy_timeout_s)


def count(path: Path, table: str) -> int:
    """Rows of a table, read by an independent connection."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        connection.close()


def test_every_setting_is_what_it_has_to_be(tmp_path: Path) -> None:
    """Read back from the connection that writes: WAL, full sync, no mapping, and the rest."""
    store = SqliteStore(str(tmp_path / "campaign.db"))
    assert store.settings() == {
        "journal_mode": "wal",
        "synchronous": "2",
        "busy_timeout": "5000",
        "foreign_keys": "1",
        "wal_autocheckpoint": "0",
        "journal_size_limit": str(64 << 20),
        "trusted_schema": "0",
        "mmap_size": "0",
        "cell_size_check": "1",
    }
    store.conclude()


def test_a_setting_that_does_not_take_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database in memory cannot have a write-ahead log: that is an error, not a weaker record."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="journal_mode is memory, it must be wal"):
        SqliteStore(":memory:")


def test_the_schema_version_is_in_the_file(tmp_path: Path) -> None:
    """Both ways to ask give this program's version."""
    store_in(tmp_path).conclude()
    connection = sqlite3.connect(tmp_path / "campaign.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert connection.execute("SELECT body FROM run_facts WHERE key='schema_version'").fetchone() == (
        str(SCHEMA_VERSION),
    )
    connection.close()


def test_rows_are_committed_when_write_returns(tmp_path: Path) -> None:
    """An independent reader sees them at once."""
    store = store_in(tmp_path)
    rows = [row for second in range(10) for row in rows_of(host_sample_at(second))]
    assert store.write(rows).new == 10
    assert count(tmp_path / "campaign.db", "host_samples") == 10
    assert count(tmp_path / "campaign.db", "sensor_layouts") == 1
    store.conclude()


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    """Every kind of record may be replayed; the second time nothing is new."""
    store = store_in(tmp_path)
    rows = [row for record in one_of_each() for row in rows_of(record)]
    assert store.write(rows).new == len(one_of_each())
    assert store.write(rows).new == 0
    store.conclude()


def test_a_row_that_does_not_fit_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """The transaction with it is undone as a whole; the next one works."""
    store = store_in(tmp_path)
    good = rows_of(event_at(0))[0]
    bad = TableRow(table=schema.EVENTS, values={**good.values, "at_mono_s": "soon"})
    huge = TableRow(
        table=schema.SEGMENTS,
        values={"segment": 1 << 63, "kind": "", "name": "", "start_mono_s": 0.0, "start_utc_s": 0.0},
    )
    for wrong in (bad, huge):
        with pytest.raises(RowRefusedError):
            store.write([good, wrong])
    assert count(tmp_path / "campaign.db", "events") == 0
    assert store.write([good]).new == 1
    store.conclude()


def test_a_foreign_lock_is_busy_and_passes(tmp_path: Path) -> None:
    """While somebody else holds the database a write is BUSY; afterwards it works."""
    store = store_in(tmp_path)
    foreign = sqlite3.connect(tmp_path / "campaign.db", isolation_level=None)
    foreign.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError) as caught:
        store.write(rows_of(event_at(0)))
    assert caught.value.fault is StoreFault.BUSY
    foreign.execute("ROLLBACK")
    foreign.close()
    assert store.write(rows_of(event_at(0))).new == 1
    store.conclude()


def test_another_thread_may_not_use_the_connection(tmp_path: Path) -> None:
    """The connection belongs to the thread that opened it."""
    store = store_in(tmp_path)
    errors: list[BaseException] = []

    def use() -> None:
        try:
            store.write(rows_of(event_at(0)))
        except (StoreError, RowRefusedError) as error:
            errors.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join(20)
    assert "thread" in str(errors[0])
    store.conclude()


def test_the_end_is_one_sound_ordinary_file(tmp_path: Path) -> None:
    """Checkpointed, verified, without a log beside it."""
    store = store_in(tmp_path)
    store.write(rows_of(event_at(0)))
    assert store.log_bytes() > 0
    conclusion = store.conclude()
    assert (conclusion.integrity, conclusion.checkpointed, conclusion.journal_mode) == ("ok", True, "delete")
    assert [path.name for path in tmp_path.iterdir()] == ["campaign.db"]


def test_a_reader_at_the_end_costs_the_tidiness_only(tmp_path: Path) -> None:
    """With a snapshot open the log stays; everything is there and sound."""
    store = store_in(tmp_path)
    store.write(rows_of(event_at(0)))
    reader = sqlite3.connect(f"file:{tmp_path / 'campaign.db'}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM events").fetchall()
    store.write(rows_of(event_at(1)))
    assert not store.checkpoint()
    conclusion = store.conclude()
    assert (conclusion.integrity, conclusion.checkpointed) == ("ok", False)
    reader.execute("ROLLBACK")
    assert reader.execute("SELECT count(*) FROM events").fetchone() == (2,)
    reader.close()


def test_abandoning_writes_nothing_into_the_database(tmp_path: Path) -> None:
    """After a failed sync the file keeps its bytes, the log stays beside it, and readers see every commit."""
    store = store_in(tmp_path)
    store.write(rows_of(load_second_at(0)))
    before = (tmp_path / "campaign.db").read_bytes()
    store.abandon()
    assert (tmp_path / "campaign.db").read_bytes() == before
    assert (tmp_path / "campaign.db-wal").stat().st_size > 0
    assert count(tmp_path / "campaign.db", "load_seconds") == 1


@pytest.mark.parametrize("content", [b"this is not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_file_is_called_corrupt(tmp_path: Path, content: bytes) -> None:
    """What is no database is not written into."""
    (tmp_path / "campaign.db").write_bytes(content)
    with pytest.raises(StoreError) as caught:
        store_in(tmp_path)
    assert caught.value.fault is StoreFault.CORRUPT
    assert (tmp_path / "campaign.db").read_bytes() == content


def test_a_database_of_another_schema_is_refused(tmp_path: Path) -> None:
    """A run's schema is never migrated."""
    connection = sqlite3.connect(tmp_path / "campaign.db")
    connection.execute("CREATE TABLE something (a)")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="schema version 99"):
        store_in(tmp_path)


def test_a_directory_that_is_not_there_is_a_store_error(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(StoreError, match=r"absent/campaign\.db"):
        store_in(tmp_path / "absent")
