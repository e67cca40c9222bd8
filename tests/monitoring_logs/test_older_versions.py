"""Records of earlier versions are read as they are: never migrated, what they lack has the records' defaults."""

import dataclasses
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from baseline_metrics.clock import FakeClock
from baseline_metrics.codec import to_json_value
from monitoring_logs.export import write_timeline
from monitoring_logs.journal import Journal, JournalKind
from monitoring_logs.load_orders import NO_SEARCH, PACED_BY_RATE
from monitoring_logs.reader import RunReader
from monitoring_logs.records import LoadFacts, LoadSecond, NightOrder, PhaseRecord
from monitoring_logs.run_files import files_of
from tests.monitoring_logs.test_export import histogram_of, table
from tests.support.sample_records import night_meta, night_order, phase_record

VERSION_1 = """
CREATE TABLE run_facts (key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (key)) STRICT;
CREATE TABLE segments (segment INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, start_mono_s REAL NOT NULL,
    start_utc_s REAL NOT NULL, PRIMARY KEY (segment)) STRICT;
CREATE TABLE sensor_layouts (layout INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (layout)) STRICT;
CREATE TABLE host_samples (sequence INTEGER NOT NULL, at_mono_s REAL NOT NULL, at_utc_s REAL NOT NULL,
    layout INTEGER NOT NULL, readings TEXT NOT NULL, PRIMARY KEY (sequence), UNIQUE (at_mono_s, at_utc_s),
    FOREIGN KEY(layout) REFERENCES sensor_layouts (layout)) STRICT;
CREATE TABLE load_seconds (segment INTEGER NOT NULL, second INTEGER NOT NULL, at_mono_s REAL NOT NULL,
    at_utc_s REAL NOT NULL, succeeded INTEGER NOT NULL, failed INTEGER NOT NULL, response_succeeded TEXT NOT NULL,
    response_failed TEXT NOT NULL, operations_due INTEGER NOT NULL, operations_started INTEGER NOT NULL,
    connections_open INTEGER NOT NULL, bytes_received INTEGER NOT NULL, generator_cpu_s REAL NOT NULL,
    loop_lag_s_max REAL NOT NULL, PRIMARY KEY (segment, second)) STRICT;
CREATE TABLE load_minutes (segment INTEGER NOT NULL, minute INTEGER NOT NULL, operation INTEGER NOT NULL,
    succeeded INTEGER NOT NULL, failed INTEGER NOT NULL, response_succeeded TEXT NOT NULL, response_failed TEXT NOT NULL,
    service_succeeded TEXT NOT NULL, PRIMARY KEY (segment, minute, operation)) STRICT;
CREATE TABLE error_groups (segment INTEGER NOT NULL, minute INTEGER NOT NULL, operation INTEGER NOT NULL,
    error TEXT NOT NULL, message TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (segment, minute, operation, error, message)) STRICT;
CREATE TABLE events (at_mono_s REAL NOT NULL, at_utc_s REAL NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
    text TEXT NOT NULL, PRIMARY KEY (at_mono_s, at_utc_s, kind, name, text)) STRICT;
CREATE TABLE guardian_events (at_mono_s REAL NOT NULL, at_utc_s REAL NOT NULL, rung INTEGER NOT NULL,
    share REAL NOT NULL, why TEXT NOT NULL, PRIMARY KEY (at_mono_s, at_utc_s, rung, share, why)) STRICT;
CREATE TABLE phase_records (phase INTEGER NOT NULL, outcome TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (phase)) STRICT;
CREATE TABLE anchor_records (segment INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (segment)) STRICT;
CREATE TABLE baseline_records (anchor_segment INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (anchor_segment)) STRICT;
PRAGMA user_version=1;
"""
"""The tables as version 1 made them."""

NEW_IN_2: Mapping[str, frozenset[str]] = {
    "LoadFacts": frozenset(
        {"operations_dropped", "bytes_sent", "messages_sent", "messages_received", "reconnects", "redirects"}
    ),
    "PhaseRecord": frozenset({"held_s"}),
    "PhaseOrder": frozenset({"pace", "ramp_curve", "search"}),
}


def as_version_1(value: Any) -> Any:
    """A record's JSON as version 1 wrote it: without what came later."""
    if isinstance(value, list):
        return [as_version_1(item) for item in value]
    if not isinstance(value, dict):
        return value
    later = NEW_IN_2.get(str(value.get("type")), frozenset())
    return {name: as_version_1(item) for name, item in value.items() if name not in later}


def body_of(record: object) -> str:
    """The JSON body of a record of version 1."""
    return json.dumps(as_version_1(to_json_value(record)))


def run_of_version_1(directory: Path) -> RunReader:
    """A run that version 1 recorded: two load seconds of one phase, its record, the order; no journal."""
    files = files_of(str(directory))
    Path(files.record_directory).mkdir()
    order = dataclasses.replace(night_order(), schema_version=1)
    connection = sqlite3.connect(files.database)
    connection.executescript(VERSION_1)
    connection.execute("INSERT INTO segments VALUES (1, 'phase', 'warmup', 1000.0, 1700000000.0)")
    histogram = histogram_of(0.010, 0.020)
    for second in range(2):
        connection.execute(
            "INSERT INTO load_seconds VALUES (1, ?, ?, ?, 2, 0, ?, '', 5, 4, 2, 512, 0.02, 0.001)",
            (second, 1000.0 + second, 1_700_000_000.0 + second, histogram),
        )
    connection.execute("INSERT INTO phase_records VALUES (0, 'COMPLETED', ?)", (body_of(phase_record()),))
    connection.execute("INSERT INTO run_facts VALUES ('order', ?)", (body_of(order),))
    connection.commit()
    connection.close()
    meta = as_version_1(to_json_value(dataclasses.replace(night_meta(), schema_version=1, order=order)))
    Path(files.meta).write_text(json.dumps(meta), encoding="utf-8")
    return RunReader(directory)


def test_a_database_of_version_1_is_read_with_defaults_for_what_it_lacks(tmp_path: Path) -> None:
    """Seconds, records and the order come back, nothing is reported as damaged, and the generator's figures are absent."""
    reader = run_of_version_1(tmp_path)
    first, second = reader.load_seconds(1)
    assert (first.second, second.second) == (0, 1)
    assert (first.succeeded, first.operations_due, first.loop_lag_s_max) == (2, 5, 0.001)
    assert (first.workers, first.schedule_lag, first.operations_dropped) == (0, "", 0)
    (phase,) = reader.phase_records()
    assert phase == phase_record()
    assert (phase.held_s, phase.load.redirects) == (0.0, 0)
    order = reader.order()
    assert isinstance(order, NightOrder)
    assert (order.schema_version, order.phases[0].pace, order.phases[0].search) == (1, PACED_BY_RATE, NO_SEARCH)
    meta = reader.meta()
    assert getattr(meta, "schema_version", 0) == 1, meta
    journal = files_of(str(tmp_path)).journal
    assert reader.problems() == (f"{journal} cannot be read: No such file or directory",)
    reader.close()


def test_a_run_of_version_1_searched_nothing(tmp_path: Path) -> None:
    """The tables of searches do not exist there; the answer is empty and no problem."""
    reader = run_of_version_1(tmp_path)
    before = len(reader.problems())
    assert reader.search_steps(1) == ()
    assert [problem for problem in reader.problems()[before:] if "database" in problem or "table" in problem] == []
    assert reader.search_records() == ()
    reader.close()


def test_the_table_of_version_1_leaves_the_generator_cells_empty(tmp_path: Path) -> None:
    """Unknown is an empty cell, never 0."""
    reader = run_of_version_1(tmp_path)
    write_timeline(reader, str(tmp_path / "timeline.csv.gz"))
    reader.close()
    row = table(tmp_path / "timeline.csv.gz")[0]
    assert row["succeeded"] == "2"
    assert (row["operations_dropped"], row["operations_in_flight"], row["schedule_lag_s_p99"]) == ("", "", "")


def test_a_journal_of_version_1_is_read(tmp_path: Path) -> None:
    """Order and facts without the later fields are records again."""
    files = files_of(str(tmp_path))
    Path(files.record_directory).mkdir()
    journal = Journal(files.journal, clock=FakeClock(), boot_id="b00t", fallback_path=files.journal_fallback)
    journal.append(JournalKind.ORDER, "NightOrder", as_version_1(to_json_value(night_order())))
    journal.append(JournalKind.FACT, "PhaseRecord", as_version_1(to_json_value(phase_record())))
    journal.close()
    reader = RunReader(tmp_path)
    assert reader.order() == night_order()
    assert reader.phase_records() == (phase_record(),)
    reader.close()


def test_every_field_that_came_later_has_a_default() -> None:
    """What version 1 does not have can be left out of a record: otherwise its nights could not be read any more."""
    for record_type in (LoadFacts, PhaseRecord, LoadSecond):
        fields = {field.name: field for field in dataclasses.fields(record_type)}
        later = NEW_IN_2.get(record_type.__name__, frozenset())
        assert all(fields[name].default is not dataclasses.MISSING for name in later)
