"""The one read-write connection to campaign.db, and what can go wrong with it.

Exactly one such connection exists in a campaign: with two, older SQLite libraries can corrupt a write-ahead log. It is
opened, used and closed by the recorder's thread alone. Every setting is read back, because SQLite ignores what it does
not support without a word. A transaction begins with BEGIN IMMEDIATE, so that it never fails halfway for want of the
write lock. The supervisor's recorder thread uses this module.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from sqlalchemy import Connection, QueuePool, Table, create_engine, event, func, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
    SQLAlchemyError,
    StatementError,
)

from baseline_metrics.clock import Clock, SystemClock
from monitoring_logs.numbering import RecordNumber
from monitoring_logs.records import SCHEMA_VERSION
from monitoring_logs.rows import TableRow
from monitoring_logs.schema import LIVES, METADATA, RECORD_NUMBERS, RUN_FACTS, SENSOR_LAYOUTS

BUSY_TIMEOUT_S = 5.0
JOURNAL_BYTES_MAX = 64 << 20
"""A write-ahead log is cut back to this when it was larger; larger ones mean that a reader holds an old snapshot."""

SCHEMA_VERSION_KEY = "schema_version"
SYSTEM_CLOCK = SystemClock()

_FSYNC_ERRORS = {sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC}


class StoreFault(Enum):
    """Why the database did not take a batch."""

    BUSY = "busy"  # somebody else holds the write lock
    FULL = "full"  # no space left
    IO = "io"  # reading or writing failed
    FSYNC = "fsync"  # the sync failed: what the file holds is unknown, it must not be written again
    CORRUPT = "corrupt"  # not a database, or a damaged one
    OTHER = "other"


class StoreError(Exception):
    """The database cannot be opened or written. The transaction has been rolled back."""

    def __init__(self, fault: StoreFault, text: str) -> None:
        super().__init__(text)
        self.fault = fault


class RowRefusedError(Exception):
    """A row does not fit its table: our own bug. The transaction has been rolled back; the other rows are fine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConclusion:
    """What was verified when the database was closed for good. integrity: "ok", or what integrity_check said."""

    integrity: str
    checkpointed: bool
    journal_mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A transaction. new: rows that were not there before. sync_s: how long its last step took, in which the disk syncs."""

    new: int
    sync_s: float


class Store(Protocol):
    """What the recorder needs of a database; SqliteStore says what each method means."""

    def begin_life(self, *, at_least: int, mono_s: float, utc_s: float) -> int:
        """Number this start."""
        ...

    def write(self, rows: Sequence[TableRow], numbers: Sequence[RecordNumber]) -> Written:
        """Commit all rows with the numbers of their records."""
        ...

    def checkpoint(self) -> bool:
        """Empty the write-ahead log."""
        ...

    def log_bytes(self) -> int:
        """Size of the write-ahead log."""
        ...

    def conclude(self) -> StoreConclusion:
        """Verify and close."""
        ...

    def abandon(self) -> None:
        """Close without writing."""
        ...


class SqliteStore:
    """The connection. Everything here is called by the thread that constructed it. Raises StoreError."""

    def __init__(self, path: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S, clock: Clock = SYSTEM_CLOCK) -> None:
        self.path = path
        self._clock = clock
        self._busy_timeout_s = busy_timeout_s
        with _translated(path):
            _refuse_damaged(path)
        with contextlib.suppress(FileExistsError), _translated(path):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        self._engine = create_engine(
            "sqlite+pysqlite://", creator=self._open, poolclass=QueuePool, pool_size=1, max_overflow=0
        )
        event.listen(self._engine, "begin", _begin_immediate)
        with _translated(path):
            self._connection = self._engine.connect()
        try:
            with _translated(path):
                self._check_version()
                self._create_tables()
        except BaseException as error:
            if isinstance(error, StoreError) and error.fault is StoreFault.FSYNC:
                self.abandon()
            else:
                self._close()
            raise

    def begin_life(self, *, at_least: int, mono_s: float, utc_s: float) -> int:
        """Store that a recorder starts, and return its number: above every one before, and not below ``at_least``."""
        with _translated(self.path), self._connection.begin():
            newest = self._connection.execute(select(func.max(LIVES.c.life))).scalar_one()
            life = max(at_least, 1 if newest is None else newest + 1)
            values = {"life": life, "began_mono_s": mono_s, "began_utc_s": utc_s}
            self._connection.execute(insert(LIVES), values)
        return life

    def write(self, rows: Sequence[TableRow], numbers: Sequence[RecordNumber] = ()) -> Written:
        """Write all rows, and the numbers of their records, in one transaction. What exists already changes nothing.

        Shared sensor layouts do not count as new: the count compares with the number of records.

        Returns after the commit, which is synced. Raises StoreError, or RowRefusedError for a row that does not fit.
        """
        grouped: dict[Table, list[dict[str, int | float | str]]] = {}
        for row in rows:
            grouped.setdefault(row.table, []).append(row.values)
        numbered = [
            {"life": number.life, "producer": number.producer.value, "sequence": number.sequence} for number in numbers
        ]
        new = 0
        with _translated(self.path), self._connection.begin() as transaction:
            for table, values in grouped.items():
                written = self._connection.execute(insert(table).on_conflict_do_nothing(), values).rowcount
                new += 0 if table is SENSOR_LAYOUTS else written
            if numbered:
                self._connection.execute(insert(RECORD_NUMBERS).on_conflict_do_nothing(), numbered)
            began_mono_s = self._clock.mono_s()
            transaction.commit()
            return Written(new=new, sync_s=self._clock.mono_s() - began_mono_s)

    def checkpoint(self) -> bool:
        """Move the write-ahead log into the database and empty it; False when a reader's snapshot was in the way.

        Never waits for a reader. Raises StoreError; after StoreFault.FSYNC the file must not be written any more.
        """
        with _translated(self.path):
            _, frames, moved = self._pragma_row("wal_checkpoint(PASSIVE)")
            if frames != moved:
                return False
            self._driver().execute("PRAGMA busy_timeout=0")  # else emptying waits for whoever still reads from the log
            try:
                return bool(self._pragma_row("wal_checkpoint(TRUNCATE)")[0] == 0)
            finally:
                self._driver().execute(f"PRAGMA busy_timeout={round(self._busy_timeout_s * 1000)}")

    def log_bytes(self) -> int:
        """Size of the write-ahead log; 0 when there is none."""
        with contextlib.suppress(OSError):
            return Path(self.path + "-wal").stat().st_size
        return 0

    def settings(self) -> dict[str, str]:
        """What SQLite says about its settings, by name."""
        with _translated(self.path):
            return {name: str(self._pragma_row(name)[0]) for name, _, _ in self._wanted_settings()}

    def conclude(self) -> StoreConclusion:
        """Checkpoint, verify, make it one ordinary file, close. What the disk does not allow is reported, not raised.

        Raises StoreError with StoreFault.FSYNC when the checkpoint's sync failed: then nothing more was written.
        """
        checkpointed = False
        journal_mode = "wal"
        try:
            try:
                checkpointed = self._pragma_row("wal_checkpoint(TRUNCATE)")[0] == 0
            except sqlite3.Error as error:  # a full disk: the log stays beside the file, and is readable
                if error.sqlite_errorcode in _FSYNC_ERRORS:
                    self.abandon()
                    raise _store_error(self.path, error) from error
            with _translated(self.path):
                problems = [str(row[0]) for row in self._driver().execute("PRAGMA integrity_check(10)").fetchall()]
            with contextlib.suppress(sqlite3.Error):  # a reader is there: it stays a database with a log
                journal_mode = str(self._pragma_row("journal_mode=DELETE")[0])
            return StoreConclusion(integrity="; ".join(problems), checkpointed=checkpointed, journal_mode=journal_mode)
        finally:
            self._close()

    def abandon(self) -> None:
        """Close without writing anything more.

        The last connection to leave checkpoints the log into the database, which is a write to a file whose sync has
        failed. A read-only connection cannot do that: it leaves last, and the log stays as it is for the readers.
        """
        keeper = None
        with contextlib.suppress(sqlite3.Error):
            keeper = _connect_read_only(self.path)
            keeper.execute("SELECT count(*) FROM run_facts").fetchall()  # attaches it to the log
        self._close()
        if keeper is not None:
            keeper.close()

    def _close(self) -> None:
        with contextlib.suppress(SQLAlchemyError, sqlite3.Error):
            self._connection.close()
        self._engine.dispose()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=self._busy_timeout_s, isolation_level=None)
        try:
            for name, value, expected in self._wanted_settings():
                connection.execute(f"PRAGMA {name}={value}").fetchall()  # its commit may fail behind the first row
                answer = connection.execute(f"PRAGMA {name}").fetchone()
                self._require(name, expected, answer)
        except BaseException:
            connection.close()
            raise
        return connection

    def _require(self, name: str, expected: str, answer: tuple[Any, ...] | None) -> None:
        read = "unknown to this SQLite" if answer is None else str(answer[0]).lower()
        if read != expected:
            raise StoreError(StoreFault.OTHER, f"{self.path}: {name} is {read}, it must be {expected}")

    def _wanted_settings(self) -> tuple[tuple[str, str, str], ...]:
        """Name, value to set, answer to expect."""
        busy_timeout_ms = str(round(self._busy_timeout_s * 1000))
        return (
            ("busy_timeout", busy_timeout_ms, busy_timeout_ms),
            ("journal_mode", "WAL", "wal"),
            ("synchronous", "FULL", "2"),  # NORMAL loses committed rows when the power fails
            ("foreign_keys", "ON", "1"),
            # SQLite would swallow a failed sync of its own checkpoint, and sync the same file again at the next one.
            ("wal_autocheckpoint", "0", "0"),
            ("journal_size_limit", str(JOURNAL_BYTES_MAX), str(JOURNAL_BYTES_MAX)),
            ("trusted_schema", "OFF", "0"),
            ("mmap_size", "0", "0"),  # a stray write through a mapping would reach the file
            ("cell_size_check", "ON", "1"),
        )

    def _check_version(self) -> None:
        """Refuse a database of another schema."""
        version = self._pragma_row("user_version")[0]
        tables = self._driver().execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if tables and version != SCHEMA_VERSION:
            raise StoreError(
                StoreFault.OTHER,
                f"{self.path} has schema version {version}, this is {SCHEMA_VERSION}; start a new run",
            )

    def _create_tables(self) -> None:
        with self._connection.begin():
            METADATA.create_all(self._connection)
            self._connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")
            self._connection.execute(
                insert(RUN_FACTS).on_conflict_do_nothing(), {"key": SCHEMA_VERSION_KEY, "body": str(SCHEMA_VERSION)}
            )

    def _driver(self) -> sqlite3.Connection:
        """The driver's connection, for what must not run inside a transaction."""
        driver = self._connection.connection.dbapi_connection
        assert isinstance(driver, sqlite3.Connection), "the connection is open"
        return driver

    def _pragma_row(self, pragma: str) -> tuple[Any, ...]:
        """The one row of a pragma. Run to its end: a commit that fails behind the first row would go unnoticed."""
        row: tuple[Any, ...] = self._driver().execute(f"PRAGMA {pragma}").fetchall()[0]
        return row


def _refuse_damaged(path: str) -> None:
    """Look at an existing database before anything may write to it.

    Read-only, because a connection that may write would tidy up beside a damaged file: its log would be gone.
    """
    if not Path(path).is_file() or Path(path).stat().st_size == 0:
        return
    connection = _connect_read_only(path)
    try:
        answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    finally:
        connection.close()
    if answer != "ok":
        raise StoreError(StoreFault.CORRUPT, f"{path} is damaged: {answer}")


def _connect_read_only(path: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(Path(path).absolute()))}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextlib.contextmanager
def _translated(path: str) -> Iterator[None]:
    """Turn the driver's and SQLAlchemy's errors into ours."""
    try:
        yield
    except (RowRefusedError, StoreError, FileExistsError):
        raise
    except (IntegrityError, DataError, InterfaceError, ProgrammingError) as error:
        raise RowRefusedError(str(error.orig)) from error
    except DBAPIError as error:
        raise _store_error(path, error.orig) from error
    except (StatementError, OverflowError, UnicodeEncodeError) as error:
        raise RowRefusedError(str(error)) from error
    except (sqlite3.Error, SQLAlchemyError, OSError) as error:
        raise _store_error(path, error) from error


def _store_error(path: str, error: BaseException | None) -> StoreError:
    code = getattr(error, "sqlite_errorcode", None)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StoreError(_fault_of(code), f"{path}: {error} ({name})")


def _fault_of(extended_code: int | None) -> StoreFault:
    if extended_code is None:
        return StoreFault.OTHER
    if extended_code in _FSYNC_ERRORS:
        return StoreFault.FSYNC
    match extended_code & 0xFF:  # the primary code is the low byte
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreFault.BUSY
        case sqlite3.SQLITE_FULL:
            return StoreFault.FULL
        case sqlite3.SQLITE_IOERR:
            return StoreFault.IO
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StoreFault.CORRUPT
        case _:
            return StoreFault.OTHER
