"""Reads the arrival times of a replay from a CSV file: the one that the plan saw, whole and checked.

The planner reads it before the night, each worker when it prepares its load.
"""

import hashlib
import math
import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from itertools import islice
from operator import le

from stress_scenarios.load_plan import Arrivals, LoadOrder, ReplayRate
from stress_scenarios.plain_file import open_plain

REPLAY_ROWS_MAX = 10_000_000
"""Times of one replay: a whole night at 300 a second, or 5 minutes at 30,000. 80 MB in memory; some seconds to read, during
which a worker prepares and makes no load."""

REPLAY_BYTES_MAX = 32 * REPLAY_ROWS_MAX
"""A time to the nanosecond within a day takes 15 characters; another column may stand beside it."""

REPLAY_COLUMN = "arrival_s"

_TEXT_SHOWN_MAX = 60


class ReplayError(Exception):
    """The file is missing, was changed, or holds no ascending times. The message names the line."""


def replayed_times(order: LoadOrder) -> Sequence[float]:
    """The times of an order's replay; none for any other order. Raises ReplayError."""
    match order.pace:
        case Arrivals(shape=ReplayRate(path=path, sha256=sha256)):
            return read_replay(path, sha256)
        case _:
            return ()


def sha256_of_replay(path: str) -> str:
    """What a plan notes about the file. Raises ReplayError."""
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_replay(path: str, sha256: str) -> Sequence[float]:
    """Arrival times, seconds after the load's start, ascending; at least one. Raises ReplayError."""
    with _opened(path) as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise ReplayError(f"{path} was changed since the plan was made; plan again")
        file.seek(0)
        times = _plain_times(file)
        if not times:
            file.seek(0)
            times = _times_of(path, enumerate(file, 1))
    if not times:
        raise ReplayError(f"{path} holds no arrival")
    return times


@contextmanager
def _opened(path: str) -> Iterator[BufferedReader]:
    try:
        with open_plain(path) as file:
            if os.fstat(file.fileno()).st_size > REPLAY_BYTES_MAX:
                raise ReplayError(f"{path} has more than {REPLAY_BYTES_MAX} bytes; cut it")
            yield file
    except OSError as error:
        raise ReplayError(f"{path} cannot be read: {error.strerror}") from error


def _plain_times(file: BufferedReader) -> Sequence[float]:
    """The times of a file that is as it should be, one number a line and nothing else; none for any other file.

    Three times as fast as looking at each line, which then says what is wrong with it.
    """
    first = file.readline()
    if _text(first) != REPLAY_COLUMN:
        file.seek(0)
    try:
        times = array("d", islice(map(float, file), REPLAY_ROWS_MAX + 1))
    except ValueError:
        return ()
    rises = all(map(le, times, islice(times, 1, None)))  # which not-a-number and infinity before the end do not
    is_well = rises and bool(times) and times[0] >= 0.0 and math.isfinite(times[-1])
    return times if is_well and len(times) <= REPLAY_ROWS_MAX else ()


def _times_of(path: str, lines: Iterator[tuple[int, bytes]]) -> Sequence[float]:
    times = array("d")
    before_s = 0.0
    column = 0
    for number, line in lines:
        fields = line.split(b",")
        if number == 1 and _is_header(fields):
            column = _column_of(path, fields)
            continue
        if not line.strip():
            continue
        at_s = _time_of(path, number, fields, column)
        if at_s < before_s:
            raise ReplayError(f"{path}:{number}: {at_s:g} comes before the line above, {before_s:g}; sort the file")
        if len(times) == REPLAY_ROWS_MAX:
            raise ReplayError(f"{path}:{number}: more than {REPLAY_ROWS_MAX} arrivals; cut the file")
        times.append(at_s)
        before_s = at_s
    return times


def _is_header(fields: list[bytes]) -> bool:
    return len(fields) > 1 or _names(fields) == [REPLAY_COLUMN]


def _column_of(path: str, fields: list[bytes]) -> int:
    names = _names(fields)
    if REPLAY_COLUMN not in names:
        raise ReplayError(f'{path}:1: several columns, and none of them is named "{REPLAY_COLUMN}"')
    return names.index(REPLAY_COLUMN)


def _names(fields: list[bytes]) -> list[str]:
    return [_text(field) for field in fields]


def _time_of(path: str, number: int, fields: list[bytes], column: int) -> float:
    field = fields[column] if column < len(fields) else b""
    try:
        at_s = float(field)
    except ValueError:
        at_s = _quoted(field)
    if not (math.isfinite(at_s) and at_s >= 0.0):
        raise ReplayError(f'{path}:{number}: "{_text(field)[:_TEXT_SHOWN_MAX]}" is no number of seconds of at least 0')
    return at_s


def _quoted(field: bytes) -> float:
    try:
        return float(_text(field))
    except ValueError:
        return math.nan


def _text(field: bytes) -> str:
    return field.decode("utf-8-sig", "replace").strip().strip('"')
