"""The tables of campaign.db: columns where rows are searched or summed, JSON bodies where a record is read as a whole.

STRICT tables refuse a value of the wrong type at the door. Each table has a natural key, so that writing a record twice
changes nothing. The schema of a run is never migrated: ``user_version`` says which one it is. A column or table carries
the version that brought it, so that readers ask an older database only for what it has. Pure; the recorder and the
readers use it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import REAL, Column, ForeignKey, Integer, MetaData, PrimaryKeyConstraint, Table, Text, UniqueConstraint

METADATA = MetaData()

VERSIONS_READ = (1, 2)
"""Versions that the readers know; the last one is written. What a version lacks is read with the records' defaults."""

_SINCE = "since"


def columns_in(table: Table, version: int) -> tuple[Column[Any], ...]:
    """The columns that the table has in a database of this version; none when it did not exist then."""
    return tuple(column for column in table.columns if column.info.get(_SINCE, 1) <= version)


def _integer(name: str, *, since: int = 1) -> Column[int]:
    return Column(name, Integer, nullable=False, info={_SINCE: since})


def _real(name: str, *, since: int = 1) -> "Column[float]":
    return Column(name, REAL, nullable=False, info={_SINCE: since})


def _text(name: str, *, since: int = 1) -> Column[str]:
    return Column(name, Text, nullable=False, info={_SINCE: since})


def _table(name: str, columns: Sequence[Column[int] | Column[float] | Column[str]], *key: str) -> Table:
    return Table(name, METADATA, *columns, PrimaryKeyConstraint(*key), sqlite_strict=True)


RUN_FACTS = _table("run_facts", [_text("key"), _text("body")], "key")
"""Single facts of the run: schema_version, order, host, drill:<path>:<checksum>, recorder:<life>, end."""

SEGMENTS = _table(
    "segments",
    [_integer("segment"), _text("kind"), _text("name"), _real("start_mono_s"), _real("start_utc_s")],
    "segment",
)

SENSOR_LAYOUTS = _table("sensor_layouts", [_integer("layout"), _text("body")], "layout")
"""Which sensors a host sample has, in order, and which of them were gaps and why. Samples share layouts, so names and
gaps are stored only when they change; ``layout`` is the first 63 bits of the body's SHA-256."""

HOST_SAMPLES = Table(
    "host_samples",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    _real("at_mono_s"),
    _real("at_utc_s"),
    Column("layout", Integer, ForeignKey("sensor_layouts.layout"), nullable=False),
    _text("readings"),
    UniqueConstraint("at_mono_s", "at_utc_s"),
    sqlite_strict=True,
)
"""``readings``: JSON list of the known values, in the layout's order, gaps left out."""

LOAD_SECONDS = _table(
    "load_seconds",
    [
        _integer("segment"),
        _integer("second"),
        _real("at_mono_s"),
        _real("at_utc_s"),
        _integer("succeeded"),
        _integer("failed"),
        _text("response_succeeded"),
        _text("response_failed"),
        _integer("operations_due"),
        _integer("operations_started"),
        _integer("connections_open"),
        _integer("bytes_received"),
        _real("generator_cpu_s"),
        _real("loop_lag_s_max"),
        _integer("workers", since=2),
        _real("generator_cpu_s_max", since=2),
        _integer("operations_dropped", since=2),
        _text("schedule_lag", since=2),
        _real("in_flight_s", since=2),
        _real("service_s_sum", since=2),
        _real("gc_pause_s_sum", since=2),
        _real("gc_pause_s_max", since=2),
        _real("descriptors_share_max", since=2),
        _real("ports_share_max", since=2),
        _integer("bytes_sent", since=2),
        _integer("messages_sent", since=2),
        _integer("messages_received", since=2),
        _integer("reconnects", since=2),
        _real("generator_busy_s_max", since=2),
        _real("loop_stall_s_max", since=2),
    ],
    "segment",
    "second",
)

LOAD_MINUTES = _table(
    "load_minutes",
    [
        _integer("segment"),
        _integer("minute"),
        _integer("operation"),
        _integer("succeeded"),
        _integer("failed"),
        _text("response_succeeded"),
        _text("response_failed"),
        _text("service_succeeded"),
    ],
    "segment",
    "minute",
    "operation",
)

ERROR_GROUPS = _table(
    "error_groups",
    [
        _integer("segment"),
        _integer("minute"),
        _integer("operation"),
        _text("error"),
        _text("message"),
        _integer("count"),
    ],
    "segment",
    "minute",
    "operation",
    "error",
    "message",
)

MEMORY_SECONDS = _table(
    "memory_seconds",
    [
        _integer("segment", since=2),
        _integer("second", since=2),
        _real("at_mono_s", since=2),
        _real("at_utc_s", since=2),
        _real("share", since=2),
        _integer("due_bytes", since=2),
        _integer("held_bytes", since=2),
        _integer("resident_bytes", since=2),
        _integer("achieved_bytes", since=2),
    ],
    "segment",
    "second",
)

EVENTS = _table(
    "events",
    [_real("at_mono_s"), _real("at_utc_s"), _text("kind"), _text("name"), _text("text")],
    "at_mono_s",
    "at_utc_s",
    "kind",
    "name",
    "text",
)

GUARDIAN_EVENTS = _table(
    "guardian_events",
    [_real("at_mono_s"), _real("at_utc_s"), _integer("rung"), _real("share"), _text("why")],
    "at_mono_s",
    "at_utc_s",
    "rung",
    "share",
    "why",
)

PHASE_RECORDS = _table("phase_records", [_integer("phase"), _text("outcome"), _text("body")], "phase")
ANCHOR_RECORDS = _table("anchor_records", [_integer("segment"), _text("body")], "segment")
BASELINE_RECORDS = _table("baseline_records", [_integer("anchor_segment"), _text("body")], "anchor_segment")

SEARCH_STEPS = _table(
    "search_steps",
    [_integer("segment", since=2), _integer("step", since=2), _text("body", since=2)],
    "segment",
    "step",
)
LIVES = _table(
    "lives",
    [_integer("life", since=2), _real("began_mono_s", since=2), _real("began_utc_s", since=2)],
    "life",
)
"""Each start of the recorder on this run, from 1."""

RECORD_NUMBERS = Table(
    "record_numbers",
    METADATA,
    _integer("life", since=2),
    _text("producer", since=2),
    _integer("sequence", since=2),
    PrimaryKeyConstraint("life", "producer", "sequence"),
    sqlite_strict=True,
    sqlite_with_rowid=False,  # the key is all there is: some 15 bytes a record
)
"""The number of every record that is stored, written with it: a record counts once, and a missing number is a hole."""

SEARCH_RECORDS = _table("search_records", [_integer("phase", since=2), _text("body", since=2)], "phase")
