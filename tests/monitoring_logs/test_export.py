"""timeline.csv.gz: a row per second, the same bytes each time, nothing that a spreadsheet would execute."""

import csv
import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from baseline_metrics.samples import HostSample, NamedReading, Sample
from monitoring_logs.export import COLUMNS, guarded, write_timeline
from monitoring_logs.load_orders import MemoryLoad
from monitoring_logs.memory_records import MemorySecond
from monitoring_logs.reader import RunReader
from monitoring_logs.records import GuardianEvent, SegmentKind
from monitoring_logs.rows import Record, rows_of
from monitoring_logs.run_files import files_of
from monitoring_logs.store import SqliteStore
from safety_monitoring.limits import Rung
from stress_scenarios.histogram import Histogram
from tests.support.sample_records import (
    START_MONO_S,
    START_UTC_S,
    host_sample_at,
    load_second_at,
    night_order,
    segment_record,
)


def run_with(directory: Path, *records: Record) -> RunReader:
    """A reader of a run with these records."""
    files = files_of(str(directory))
    Path(files.record_directory).mkdir()
    store = SqliteStore(files.database)
    store.write([row for record in records for row in rows_of(record)])
    store.conclude()
    return RunReader(directory)


def table(path: Path) -> list[dict[str, str]]:
    """The rows of an export."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def histogram_of(*seconds: float) -> str:
    """An encoded histogram of these response times."""
    histogram = Histogram()
    for value in seconds:
        histogram.record_s(value)
    return histogram.encode()


def test_a_night_that_holds_memory_has_it_beside_its_load(tmp_path: Path) -> None:
    """Asked and achieved bytes of the second; empty where none is held, and in a night that holds none at all."""
    order = night_order()
    (phase,) = order.phases
    holding = replace(phase, memory=MemoryLoad(size_bytes=100, rise_bytes_per_s=100.0))
    held = MemorySecond(
        segment=1,
        second=1,
        at_mono_s=START_MONO_S + 1,
        at_utc_s=START_UTC_S + 1,
        share=0.5,
        due_bytes=100,
        held_bytes=50,
        resident_bytes=66,
        achieved_bytes=49,
    )
    seconds = (segment_record(1), load_second_at(0), load_second_at(1), held)
    for name, phases, cells in (
        ("holding", (holding,), [("", ""), ("100", "49")]),
        ("plain", (phase,), [("", ""), ("", "")]),
    ):
        directory = tmp_path / name
        directory.mkdir()
        reader = run_with(directory, replace(order, phases=phases), *seconds)
        write_timeline(reader, str(directory / "timeline.csv.gz"))
        rows = table(directory / "timeline.csv.gz")
        assert [(row["memory_due_bytes"], row["memory_achieved_bytes"]) for row in rows] == cells


def test_each_second_has_a_row_with_what_is_known_of_it(tmp_path: Path) -> None:
    """Load and host come together by time; seconds of neither stay as empty rows; unknown is empty, never 0."""
    reader = run_with(
        tmp_path,
        segment_record(1, name="warmup"),
        load_second_at(1, histogram=histogram_of(0.010, 0.010, 0.010, 0.500), schedule_lag=histogram_of(0.0003)),
        host_sample_at(1),
        host_sample_at(4),
        GuardianEvent(at_mono_s=START_MONO_S + 2.5, at_utc_s=START_UTC_S, rung=Rung.EASE, share=0.5, why="memory"),
    )
    export = write_timeline(reader, str(tmp_path / "timeline.csv.gz"))
    reader.close()
    rows = table(tmp_path / "timeline.csv.gz")
    assert (export.rows, export.unreadable, export.cut) == (4, 0, 0)
    assert tuple(rows[0]) == COLUMNS
    assert [row["utc"] for row in rows] == [f"2023-11-14T22:13:2{second}Z" for second in (1, 2, 3, 4)]
    assert [row["succeeded"] for row in rows] == ["4", "", "", ""]
    assert [row["memory_percent"] for row in rows] == ["1", "", "", "4"]
    assert [row["permitted_share"] for row in rows] == ["1", "0.5", "0.5", "0.5"]
    first = rows[0]
    assert (first["segment"], first["segment_kind"], first["segment_name"]) == ("1", "phase", "warmup")
    assert float(first["response_s_p50"]) == pytest.approx(0.010, rel=0.008)
    assert float(first["response_s_p99"]) == pytest.approx(0.500, rel=0.008)
    assert (first["operations_dropped"], first["operations_in_flight"]) == ("1", "0.25")
    assert float(first["schedule_lag_s_p99"]) == pytest.approx(0.0003, rel=0.008)
    assert (rows[1]["operations_dropped"], rows[1]["schedule_lag_s_p99"]) == ("", "")
    assert not (tmp_path / "timeline.csv.gz.new").exists()


def test_the_same_record_gives_the_same_bytes(tmp_path: Path) -> None:
    """Neither the file's name nor the time of writing is in it."""
    reader = run_with(tmp_path, segment_record(), *(load_second_at(second) for second in range(50)))
    for name in ("a.csv.gz", "other_name.csv.gz"):
        write_timeline(reader, str(tmp_path / name))
    reader.close()
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "other_name.csv.gz").read_bytes()


def test_segments_that_meet_within_a_second_both_count(tmp_path: Path) -> None:
    """Sums over the table are sums over the record."""
    reader = run_with(
        tmp_path,
        segment_record(1, name="anchor", kind=SegmentKind.ANCHOR),
        segment_record(2, name="warmup"),
        load_second_at(0, segment=1),
        load_second_at(0, segment=2),
    )
    export = write_timeline(reader, str(tmp_path / "timeline.csv.gz"))
    reader.close()
    rows = table(tmp_path / "timeline.csv.gz")
    assert export.rows == 2
    assert [row["segment_name"] for row in rows] == ["anchor", "warmup"]
    assert sum(int(row["succeeded"]) for row in rows) == 8


def test_a_histogram_that_cannot_be_read_leaves_its_cells_empty(tmp_path: Path) -> None:
    """The counts of that second stay, and the export says how many were unreadable."""
    reader = run_with(tmp_path, segment_record(), load_second_at(0, histogram="garbage!"))
    export = write_timeline(reader, str(tmp_path / "timeline.csv.gz"))
    reader.close()
    row = table(tmp_path / "timeline.csv.gz")[0]
    assert (row["succeeded"], row["response_s_p50"], row["response_s_p99"]) == ("4", "", "")
    assert export.unreadable == 1


def test_an_empty_night_is_a_table_without_rows(tmp_path: Path) -> None:
    """Only the column names."""
    reader = RunReader(tmp_path)
    export = write_timeline(reader, str(tmp_path / "timeline.csv.gz"))
    reader.close()
    assert export.rows == 0
    assert table(tmp_path / "timeline.csv.gz") == []


def test_a_broken_clock_does_not_make_an_endless_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is cut at its bound, and says by how much."""
    monkeypatch.setattr("monitoring_logs.export.TIMELINE_ROWS_MAX", 100)
    late = HostSample(
        at_mono_s=START_MONO_S + 1e9,
        at_utc_s=1e300,
        readings=(NamedReading(sensor="cpu_percent", reading=Sample(value=1.0)),),
    )
    reader = run_with(tmp_path, host_sample_at(0), late)
    export = write_timeline(reader, str(tmp_path / "timeline.csv.gz"))
    reader.close()
    assert export.rows == 100
    assert export.cut == int(1e9) - 99


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("warmup", "warmup"),
        ("=cmd()", "'=cmd()"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@sum", "'@sum"),
        ("\t=1", "' =1"),
        ("a\nb\x1b[31m", "a b [31m"),
        ("", ""),
    ],
)
def test_text_is_never_a_formula(cell: str, shown: str) -> None:
    """What a spreadsheet would execute is quoted, control characters are blanks."""
    assert guarded(cell) == shown
