"""Reads a feeder's file: the one that the plan saw, whole and checked, kept as bytes and taken apart row by row.

A million rows as Python objects would be half a gigabyte in each worker; as bytes they are what the file is. The planner
reads it before the night, each worker when it prepares its load.
"""

import csv
import hashlib
import io
import json
import os
from array import array
from collections.abc import Iterator, Mapping

from stress_scenarios.json_path import json_text
from stress_scenarios.load_plan import FeederFormat, FeederSpec
from stress_scenarios.plain_file import open_plain
from stress_scenarios.scenario import ScenarioError

FEEDER_ROWS_MAX = 1_000_000
"""A row for each of 35 sessions a second through a night of eight hours; read in one to three seconds."""

FEEDER_BYTES_MAX = 128 << 20
"""A million rows of 128 bytes. Every worker keeps its own copy, so eight of them need a gigabyte."""

_VALUE_SHOWN_MAX = 60


class FeederError(ScenarioError):
    """The file is missing, was changed, or is not what its format says. The message names file and line."""


class FeederRows:
    """The rows of one feeder. A row is a mapping from column to text."""

    def __init__(self, spec: FeederSpec, content: bytes) -> None:
        self._spec = spec
        self._content = content
        self._starts = array("Q")
        match spec.format:
            case FeederFormat.CSV:
                self.columns = self._index_csv()
            case FeederFormat.JSON_LINES:
                self.columns = self._index_json_lines()
        self._starts.append(len(content))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def row(self, number: int) -> Mapping[str, str]:
        """One row, 0..len-1."""
        line = self._content[self._starts[number] : self._starts[number + 1]].decode()
        match self._spec.format:
            case FeederFormat.CSV:
                return dict(
                    zip(self.columns, next(csv.reader(io.StringIO(line, newline=""), strict=True)), strict=True)
                )
            case FeederFormat.JSON_LINES:
                return {name: json_text(value) for name, value in json.loads(line).items()}

    # Reading once, to find rows and faults -------------------------------------------------------------------------

    def _index_csv(self) -> tuple[str, ...]:
        lines = _Lines(self._spec.path, self._content)
        reader = csv.reader(lines, strict=True)
        columns: tuple[str, ...] = ()
        try:
            for fields in reader:
                began = lines.take_begin()
                if not fields:
                    continue  # an empty line
                if not columns:
                    columns = self._columns([name.strip() for name in fields])
                elif len(fields) != len(columns):
                    raise self._error(lines.number, f"{len(fields)} values for {len(columns)} columns")
                else:
                    self._add(began, lines.number)
        except csv.Error as error:
            raise self._error(lines.number, f"not CSV: {error}") from error
        if not columns:
            raise self._error(1, "a header line with the names of the columns is missing")
        return columns

    def _index_json_lines(self) -> tuple[str, ...]:
        lines = _Lines(self._spec.path, self._content)
        columns: tuple[str, ...] = ()
        for line in lines:
            began = lines.take_begin()
            if not line.strip():
                continue
            try:
                document = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise self._error(lines.number, f"not JSON: {error}") from error
            if not isinstance(document, dict):
                raise self._error(lines.number, 'a row is an object, {"column": "value"}')
            if not columns:
                columns = self._columns(list(document))
            elif document.keys() != set(columns):
                raise self._error(lines.number, f"its members are not {', '.join(columns)}, as in the first row")
            self._add(began, lines.number)
        return columns

    def _columns(self, names: list[str]) -> tuple[str, ...]:
        if not names or not all(names) or len(set(names)) != len(names):
            raise self._error(1, "each column needs a name of its own")
        return tuple(names)

    def _add(self, began: int, line: int) -> None:
        if len(self._starts) >= FEEDER_ROWS_MAX:
            raise self._error(line, f"more than {FEEDER_ROWS_MAX:,} rows")
        self._starts.append(began)

    def _error(self, line: int, what: str) -> FeederError:
        return FeederError(f"feeder {self._spec.name}: {self._spec.path}:{line}: {what}")


class _Lines:
    """The lines of a file's content as text, while noting where they are."""

    def __init__(self, path: str, content: bytes) -> None:
        self._path = path
        self._content = content
        self._at = 3 if content.startswith(b"\xef\xbb\xbf") else 0  # what some editors put before UTF-8
        self._begin = self._at
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        while self._at < len(self._content):
            end = self._content.find(b"\n", self._at) + 1 or len(self._content)
            line = self._content[self._at : end]
            self._at = end
            self.number += 1
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                raise FeederError(
                    f"{self._path}:{self.number}: not UTF-8 ({error.reason} at byte {error.start} of the line)"
                ) from error

    def take_begin(self) -> int:
        """Where the row that has just ended began; the next one begins here."""
        began, self._begin = self._begin, self._at
        return began


def sha256_of_feeder(path: str) -> str:
    """What a plan notes about the file. Raises FeederError."""
    return hashlib.sha256(_content(path)).hexdigest()


def read_feeder(spec: FeederSpec) -> FeederRows:
    """All rows, at least one. Raises FeederError."""
    content = _content(spec.path)
    if hashlib.sha256(content).hexdigest() != spec.sha256:
        raise FeederError(f"feeder {spec.name}: {spec.path} was changed since the plan was made; plan again")
    rows = FeederRows(spec, content)
    if not len(rows):
        raise FeederError(f"feeder {spec.name}: {spec.path} has no rows")
    return rows


def _content(path: str) -> bytes:
    try:
        with open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > FEEDER_BYTES_MAX:
                raise FeederError(f"{path} has {size:,} bytes, a feeder at most {FEEDER_BYTES_MAX:,}")
            return file.read(FEEDER_BYTES_MAX)
    except OSError as error:
        raise FeederError(
            f"{path} cannot be read: {error.strerror}; write the path of a CSV or JSON lines file"
        ) from error
