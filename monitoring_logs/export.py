"""The night as one table for a spreadsheet: timeline.csv.gz, a row per second, two where segments meet within one.

The same record gives the same bytes: no file name and no time in the gzip header, fixed columns, fixed numbers. An
unknown value is an empty cell, never 0. The reporter writes it.
"""

import csv
import gzip
import io
import math
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from baseline_metrics.samples import Gap, HostSample, Reading, Sample
from monitoring_logs.load_orders import NoMemoryLoad
from monitoring_logs.memory_records import MemorySecond
from monitoring_logs.reader import Missing, RunReader
from monitoring_logs.records import GuardianEvent, LoadSecond, SegmentKind, SegmentRecord
from stress_scenarios.histogram import Histogram, HistogramError

TIMELINE_ROWS_MAX = 200_000
"""More than two days of seconds; a longer span means a broken clock, and the table is cut there."""

SENSORS = ("cpu_percent", "memory_percent")

COLUMNS = (
    "utc",
    "mono_s",
    "segment",
    "segment_kind",
    "segment_name",
    "second",
    "succeeded",
    "failed",
    "response_s_p50",
    "response_s_p99",
    "operations_due",
    "operations_started",
    "connections_open",
    "bytes_received",
    "cpu_percent",
    "memory_percent",
    "permitted_share",
    "operations_dropped",
    "operations_in_flight",
    "schedule_lag_s_p99",
    "memory_due_bytes",
    "memory_achieved_bytes",
)

NO_LOAD = ("",) * (COLUMNS.index("bytes_received") - COLUMNS.index("segment") + 1)

NO_GENERATOR = ("", "", "")

NO_MEMORY = ("", "")

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet read a text cell as a formula."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineExport:
    """What was written. unreadable: seconds whose histogram could not be decoded; cut: rows beyond the bound, left out."""

    rows: int
    unreadable: int
    cut: int


def write_timeline(reader: RunReader, path: str) -> TimelineExport:
    """Write the table by temporary file and rename, synced. Raises OSError."""
    timeline = _Timeline(reader)
    beside = Path(path + ".new")
    with beside.open("wb") as file:
        with (
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
            io.TextIOWrapper(packed, encoding="utf-8", newline="") as text,
        ):
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(COLUMNS)
            for row in timeline.rows():
                writer.writerow(row)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
    return TimelineExport(rows=timeline.written, unreadable=timeline.unreadable, cut=timeline.cut)


def guarded(cell: str) -> str:
    """A text cell that no spreadsheet takes for a formula, on one line."""
    flat = "".join(character if character.isprintable() else " " for character in cell)
    return f"'{flat}" if flat.startswith(FORMULA_STARTS) or cell.startswith(FORMULA_STARTS) else flat


class _Timeline:
    """Rows in order of time; counts what could not be shown."""

    def __init__(self, reader: RunReader) -> None:
        self.written = 0
        self.unreadable = 0
        self.cut = 0
        self._segments: Mapping[int, SegmentRecord] = {record.segment: record for record in reader.segments()}
        self._load = _load_by_second(reader, tuple(self._segments))
        self._memory = _memory_by_second(reader, self._segments.values())
        self._host = {math.floor(sample.at_mono_s): sample for sample in reader.host_samples_of(SENSORS)}
        self._moves: Sequence[GuardianEvent] = reader.guardian_events()
        self._move_times = [move.at_mono_s for move in self._moves]

    def rows(self) -> Iterator[tuple[str | int, ...]]:
        instants = sorted(self._load.keys() | self._host.keys())
        if not instants:
            return
        end = min(instants[-1], instants[0] + TIMELINE_ROWS_MAX - 1)
        self.cut = instants[-1] - end
        utc_offset_s = 0.0
        for instant in range(instants[0], end + 1):
            loads = self._load.get(instant, [])
            host = self._host.get(instant)
            known: list[LoadSecond | HostSample] = [*loads, *([] if host is None else [host])]
            if known:  # people's time of a second without records goes on from the last one that has some
                utc_offset_s = known[-1].at_utc_s - known[-1].at_mono_s
            cells_of_loads = [
                (self._load_cells(load), (*self._generator_cells(load), *self._memory_cells(load))) for load in loads
            ]
            for cells, more_cells in cells_of_loads or [(NO_LOAD, (*NO_GENERATOR, *NO_MEMORY))]:
                self.written += 1
                yield (
                    _utc(instant + utc_offset_s),
                    instant,
                    *cells,
                    *_host_cells(host),
                    _number(self._share(instant)),
                    *more_cells,
                )

    def _load_cells(self, load: LoadSecond) -> tuple[str | int, ...]:
        segment = self._segments[load.segment]
        p50, p99 = self._response(load)
        return (
            load.segment,
            segment.kind.value,
            guarded(segment.name),
            load.second,
            load.succeeded,
            load.failed,
            p50,
            p99,
            load.operations_due,
            load.operations_started,
            load.connections_open,
            load.bytes_received,
        )

    def _generator_cells(self, load: LoadSecond) -> tuple[str | int, ...]:
        """Empty in a record that is older than these figures."""
        if load.workers == 0:
            return NO_GENERATOR
        (lag_p99,) = self._quantiles(load.schedule_lag, 0.99)
        return load.operations_dropped, _number(load.in_flight_s), lag_p99

    def _memory_cells(self, load: LoadSecond) -> tuple[str | int, ...]:
        """Empty in a segment that holds no memory."""
        held = self._memory.get((load.segment, load.second))
        return NO_MEMORY if held is None else (held.due_bytes, held.achieved_bytes)

    def _response(self, load: LoadSecond) -> tuple[str, str]:
        p50, p99 = self._quantiles(load.response_succeeded, 0.5, 0.99)
        return p50, p99

    def _quantiles(self, encoded: str, *shares: float) -> tuple[str, ...]:
        try:
            histogram = Histogram.decode(encoded)
        except HistogramError:
            self.unreadable += 1
            return ("",) * len(shares)
        return tuple(_cell(histogram.quantile(share)) for share in shares)

    def _share(self, mono_s: int) -> float:
        """The permitted share at the end of this second: that of the guardian's last move, 1 before its first."""
        index = bisect_right(self._move_times, mono_s + 1)
        return self._moves[index - 1].share if index else 1.0


def _load_by_second(reader: RunReader, segments: Sequence[int]) -> dict[int, list[LoadSecond]]:
    """Load by whole monotonic second; two entries where a segment ends and the next one begins within the same one."""
    found: dict[int, list[LoadSecond]] = {}
    for segment in segments:
        for second in reader.load_seconds(segment):
            found.setdefault(math.floor(second.at_mono_s), []).append(second)
    return found


def _memory_by_second(reader: RunReader, segments: Iterable[SegmentRecord]) -> dict[tuple[int, int], MemorySecond]:
    """Memory load by segment and second; only a night that was to hold some is asked, older ones have no such table."""
    order = reader.order()
    if isinstance(order, Missing) or all(isinstance(phase.memory, NoMemoryLoad) for phase in order.phases):
        return {}
    return {
        (second.segment, second.second): second
        for segment in segments
        if segment.kind is SegmentKind.PHASE
        for second in reader.memory_seconds(segment.segment)
    }


def _host_cells(host: HostSample | None) -> tuple[str, ...]:
    return tuple("" if host is None else _cell(host.reading(sensor)) for sensor in SENSORS)


def _cell(reading: Reading) -> str:
    match reading:
        case Sample(value=value):
            return _number(value)
        case Gap():
            return ""


def _number(value: float) -> str:
    """Six significant digits: beyond the histogram's precision of 0.8 %, and stable between platforms."""
    return f"{value:.6g}"


def _utc(utc_s: float) -> str:
    """ISO 8601, whole seconds, Z."""
    try:
        return f"{datetime.fromtimestamp(math.floor(utc_s), UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):  # a record with an absurd time; the row stays
        return ""
