"""Reads campaign.db without being able to change it, also while the recorder writes.

The connection is opened read-only at the file, not merely asked to behave: a connection that may write would also
checkpoint. Each query is a short transaction of its own, so that no reader holds up the recorder's log. Reporter,
status and HUD use it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Integer, NullPool, RowMapping, Select, Table, column, create_engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from monitoring_logs.schema import HOST_SAMPLES, RECORD_NUMBERS, SENSOR_LAYOUTS, VERSIONS_READ, columns_in
from monitoring_logs.store import BUSY_TIMEOUT_S

CHUNK_ROWS = 5000
"""Host samples fetched in one transaction: a few MiB, some ten milliseconds, far below the 2 s a reader may take."""


class DatabaseUnreadableError(Exception):
    """The database is missing, damaged, or of a version that this program does not know; says which and why."""


class DatabaseReader:
    """One database file. Every method raises DatabaseUnreadableError."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._version: int | None = None
        self._engine = create_engine("sqlite+pysqlite://", creator=self._open, poolclass=NullPool)

    def close(self) -> None:
        """Nothing is kept open between queries; this ends the engine."""
        self._engine.dispose()

    def table_rows(self, table: Table, **equal_to: int | str) -> list[RowMapping]:
        """All rows of a table in the order of its key, or those whose columns have these values.

        Of an older database, the columns that it has; none when it does not have the table.
        """
        columns = columns_in(table, self._known_version())
        if not columns:
            return []
        conditions = [table.columns[name] == value for name, value in equal_to.items()]
        return self._all(select(*columns).where(*conditions).order_by(*table.primary_key))

    def rows_as_written(self, table: Table) -> list[RowMapping]:
        """All rows of a table in the order in which they were written."""
        return self._all(select(table).order_by(column("rowid", Integer)))

    def host_rows(self, *, from_mono_s: float, to_mono_s: float) -> Iterator[RowMapping]:
        """Host samples of from <= at_mono_s < to with the ``body`` of their layout, as written, in short transactions."""
        after = -1
        while True:
            statement = (
                select(HOST_SAMPLES, SENSOR_LAYOUTS.c.body)
                .join(SENSOR_LAYOUTS)
                .where(HOST_SAMPLES.c.sequence > after)
                .where(HOST_SAMPLES.c.at_mono_s >= from_mono_s, HOST_SAMPLES.c.at_mono_s < to_mono_s)
                .order_by(HOST_SAMPLES.c.sequence)
                .limit(CHUNK_ROWS)
            )
            chunk = self._all(statement)
            yield from chunk
            if len(chunk) < CHUNK_ROWS:
                return
            after = chunk[-1]["sequence"]

    def number_ranges(self) -> list[RowMapping]:
        """``life``, ``producer``, ``first`` and ``last`` of each stretch of stored numbers without a gap, in order.

        Within a stretch a number less its rank stays the same. None for a database that numbers nothing yet.
        """
        if not columns_in(RECORD_NUMBERS, self._known_version()):
            return []
        life, producer, sequence = RECORD_NUMBERS.c.life, RECORD_NUMBERS.c.producer, RECORD_NUMBERS.c.sequence
        rank = func.row_number().over(partition_by=(life, producer), order_by=sequence)
        ranked = select(life, producer, sequence, (sequence - rank).label("stretch")).subquery()
        statement = (
            select(
                ranked.c.life,
                ranked.c.producer,
                func.min(ranked.c.sequence).label("first"),
                func.max(ranked.c.sequence).label("last"),
            )
            .group_by(ranked.c.life, ranked.c.producer, ranked.c.stretch)
            .order_by(ranked.c.life, ranked.c.producer, ranked.c.stretch)
        )
        return self._all(statement)

    def last_host_row(self) -> list[RowMapping]:
        """The newest host sample's row, or none."""
        return self._all(select(HOST_SAMPLES).order_by(HOST_SAMPLES.c.sequence.desc()).limit(1))

    def _known_version(self) -> int:
        if self._version is None:
            with self._connected() as connection:
                version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if version not in VERSIONS_READ:
                known = " and ".join(str(one) for one in VERSIONS_READ)
                raise DatabaseUnreadableError(
                    f"{self._path} has schema version {version}, this program reads versions {known};"
                    " use the release that wrote it"
                )
            self._version = int(version)
        return self._version

    def _all(self, statement: Select[tuple[object, ...]]) -> list[RowMapping]:
        self._known_version()
        with self._connected() as connection:
            return list(connection.execute(statement).mappings())

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        if not Path(self._path).is_file():
            raise DatabaseUnreadableError(f"there is no database {self._path}")
        try:
            with self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError) as error:
            reason = getattr(error, "orig", error)
            raise DatabaseUnreadableError(f"{self._path} cannot be read: {reason}") from error

    def _open(self) -> sqlite3.Connection:
        uri = f"file:{quote(str(Path(self._path).absolute()))}?mode=ro"
        if _left_while_concluding(self._path):
            uri += "&immutable=1"
        return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)


def _left_while_concluding(path: str) -> bool:
    """Whether the writer was cut off in its very last step, when it made the database one ordinary file.

    It leaves a rollback journal then, which only a writer may settle; SQLite would refuse to read. All rows are in the
    file by then, and the journal is about the words in its header alone, either of which is good: it is passed over.
    """
    journal, log = Path(path + "-journal"), Path(path + "-wal")
    return journal.is_file() and not (log.is_file() and log.stat().st_size > 0)
