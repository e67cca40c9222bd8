"""The sources of a run's record: each read on its own, without raising, with its problems noted.

What they hold together is decided by the reader; here a file is read, its lines or rows become records, and what does
not is named among the problems. Reporter, status and CLI use it through the reader.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy import Table

from baseline_metrics.codec import CodecError, from_json_value
from baseline_metrics.samples import HostSample
from monitoring_logs import schema
from monitoring_logs.checked_lines import BadLine
from monitoring_logs.database_reader import DatabaseReader, DatabaseUnreadableError
from monitoring_logs.guardian_journal import GuardianContent, read_guardian_journal
from monitoring_logs.journal import JournalContent, JournalEntry, read_journal
from monitoring_logs.numbering import NumberRange, Producer, RecordNumber, ranges_of
from monitoring_logs.rows import EverySensor, Record, body_record, columnar_record, host_sample
from monitoring_logs.run_files import RunFiles
from monitoring_logs.spill import read_spill

R = TypeVar("R", bound=Record)

PROBLEMS_MAX = 100
"""Problems named; a damaged table would otherwise name each of its rows."""


class Problems:
    """What could not be read, in words, each once, in the order in which it was found."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}

    def add(self, text: str) -> None:
        """Name a problem; beyond the bound it is passed over."""
        if len(self._texts) < PROBLEMS_MAX:
            self._texts[text] = None

    def texts(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self._texts)


class RunSources:
    """Journal, guardian's journal, spill file and database of one run."""

    def __init__(self, files: RunFiles, problems: Problems) -> None:
        self._files = files
        self._problems = problems
        self._database = DatabaseReader(files.database)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    @cached_property
    def journal(self) -> tuple[JournalEntry, ...]:
        """All entries of journal and fallback by sequence."""
        entries: dict[int, JournalEntry] = {}
        for path in (self._files.journal, self._files.journal_fallback):
            content = self._journal_file(path, expected=path == self._files.journal)
            for entry in content.entries:
                entries.setdefault(entry.sequence, entry)
        return tuple(entries[sequence] for sequence in sorted(entries))

    def _journal_file(self, path: str, *, expected: bool) -> JournalContent:
        try:
            content = read_journal(path)
        except OSError as error:
            if expected:
                self._problems.add(f"{path} cannot be read: {error.strerror}")
            return JournalContent(entries=(), bad_lines=0, torn_tail=False)
        if content.bad_lines:
            self._problems.add(f"{path}: {content.bad_lines} lines cannot be trusted and were left out")
        if content.torn_tail:
            self._problems.add(f"{path}: the last line was not written completely")
        return content

    @cached_property
    def guardian(self) -> GuardianContent:
        """The guardian's own journal; empty when there is none."""
        path = self._files.guardian_journal
        try:
            content = read_guardian_journal(path)
        except FileNotFoundError:
            return GuardianContent(moves=(), load_ends=(), bad_lines=0)
        except OSError as error:
            self._problems.add(f"{path} cannot be read: {error.strerror}")
            return GuardianContent(moves=(), load_ends=(), bad_lines=0)
        if content.bad_lines:
            self._problems.add(f"{path}: {content.bad_lines} lines cannot be understood and were left out")
        return content

    @cached_property
    def _spill(self) -> dict[type, list[Any]]:
        records: dict[type, list[Any]] = {RecordNumber: []}
        try:
            for line in read_spill(self._files.spill):
                if isinstance(line, BadLine):
                    self._problems.add(f"{self._files.spill}:{line.number}: {line.why}")
                else:
                    records.setdefault(type(line.record), []).append(line.record)
                    records[RecordNumber].append(line.number)
        except FileNotFoundError:
            pass  # the usual case: the database took everything
        except OSError as error:
            self._problems.add(f"{self._files.spill} cannot be read: {error.strerror}")
        return records

    def spilled(self, record_type: type[R]) -> list[R]:
        """Records of one type from the spill file, as written."""
        return self._spill.get(record_type, [])

    def decoded(self, record_type: type[R], entries: Iterable[JournalEntry]) -> Iterator[R]:
        """The records in the bodies of journal entries."""
        for entry in entries:
            try:
                yield from_json_value(record_type, entry.body)
            except CodecError as error:
                self._problems.add(f"{self._files.journal}: entry {entry.sequence}: {error}")

    def _rows(self, query: Callable[[], Iterable[Any]]) -> list[Any]:
        """The rows of a query, or those before it failed."""
        rows: list[Any] = []
        try:
            rows.extend(query())
        except DatabaseUnreadableError as error:
            self._problems.add(str(error))
        return rows

    def _records(self, rows: Iterable[Any], decode: Callable[[Any], R]) -> Iterator[R]:
        for row in rows:
            try:
                yield decode(row)
            except CodecError as error:
                self._problems.add(f"{self._files.database}: a row cannot be read: {error}")

    def columnar(self, record_type: type[R], table: Table, **equal_to: int) -> list[R]:
        """Records that are spread over a table's columns, or those whose columns have these values."""
        rows = self._rows(lambda: self._database.table_rows(table, **equal_to))
        return list(self._records(rows, lambda row: columnar_record(record_type, row)))

    def bodies(self, record_type: type[R], table: Table, **equal_to: int) -> list[R]:
        """Records that are a table's JSON bodies, or those whose columns have these values."""
        rows = self._rows(lambda: self._database.table_rows(table, **equal_to))
        return list(self._records(rows, lambda row: body_record(record_type, row["body"])))

    def run_facts(self, record_type: type[R], key: str) -> list[R]:
        """Single facts; a key that ends with a colon is a prefix."""
        rows = [
            row
            for row in self._rows(lambda: self._database.rows_as_written(schema.RUN_FACTS))
            if row["key"] == key or (key.endswith(":") and row["key"].startswith(key))
        ]
        return list(self._records(rows, lambda row: body_record(record_type, row["body"])))

    def host_samples(
        self, from_mono_s: float, to_mono_s: float, sensors: frozenset[str] | EverySensor
    ) -> list[HostSample]:
        """The database's host samples of a span."""

        def in_span() -> Iterator[HostSample]:
            rows = self._database.host_rows(from_mono_s=from_mono_s, to_mono_s=to_mono_s)
            return self._records(rows, lambda row: host_sample(row, sensors=sensors))

        return self._rows(in_span)

    def number_ranges(self) -> list[NumberRange]:
        """The numbers of all records of database and spill file. A producer of a later version is passed over."""
        producers = {known.value for known in Producer}
        stored = [
            NumberRange(life=row["life"], producer=Producer(row["producer"]), first=row["first"], last=row["last"])
            for row in self._rows(self._database.number_ranges)
            if row["producer"] in producers
        ]
        return [*stored, *ranges_of(self._spill[RecordNumber])]

    def lives(self) -> list[int]:
        """The numbers of the lives that the database knows."""
        return [row["life"] for row in self._rows(lambda: self._database.table_rows(schema.LIVES))]

    def last_host_rows(self) -> list[Any]:
        """The database's newest host sample, its times only, or none."""
        return self._rows(self._database.last_host_row)
