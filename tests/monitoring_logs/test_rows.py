"""Records survive the way into rows and back, and have a natural key."""

import json
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, select
from sqlalchemy.dialects.sqlite import insert

from baseline_metrics.codec import CodecError
from baseline_metrics.samples import Gap, GapReason, HostSample, NamedReading, Reading, Sample
from monitoring_logs import schema
from monitoring_logs.records import EventRecord, PhaseRecord
from monitoring_logs.rows import (
    TABLES,
    EverySensor,
    Record,
    body_record,
    columnar_record,
    host_sample,
    natural_key,
    rows_of,
    with_sensors,
)
from tests.support.sample_records import one_of_each

FINITE = st.floats(allow_nan=False, allow_infinity=False)
READINGS = st.one_of(
    st.builds(Sample, value=FINITE),
    st.builds(Gap, reason=st.sampled_from(GapReason), detail=st.text(max_size=20)),
)


def sample_of(readings: dict[str, Reading]) -> HostSample:
    """A sample of these sensors."""
    named = tuple(NamedReading(sensor=sensor, reading=reading) for sensor, reading in readings.items())
    return HostSample(at_mono_s=5.5, at_utc_s=1_700_000_000.25, readings=named)


def test_every_table_of_records_is_strict_and_refuses_nothing_that_a_record_holds() -> None:
    """One record of each type is stored in a STRICT table and is found there."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        schema.METADATA.create_all(connection)
        for record in one_of_each():
            for row in rows_of(record):
                connection.execute(insert(row.table).on_conflict_do_nothing(), row.values)
        for table in set(TABLES.values()):
            assert connection.execute(select(table)).all(), table.name
        tables = connection.exec_driver_sql("PRAGMA table_list").mappings().all()
    strict = {row["name"]: row["strict"] for row in tables if not row["name"].startswith("sqlite_")}
    assert set(strict.values()) == {1}, strict
    engine.dispose()


@pytest.mark.parametrize("record", one_of_each(), ids=lambda record: type(record).__name__)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    """Decoding the row of a record gives an equal record."""
    values = rows_of(record)[-1].values
    back: object
    if isinstance(record, HostSample):
        back = host_sample({**values, "body": rows_of(record)[0].values["body"]}, sensors=EverySensor())
    elif "body" in values:
        back = body_record(type(record), str(values["body"]))
    else:
        back = columnar_record(type(record), values)
    assert back == record


@given(st.dictionaries(st.text(min_size=1, max_size=12), READINGS, max_size=8))
def test_any_host_sample_comes_back_as_it_was(readings: dict[str, Reading]) -> None:
    """Values, gaps, their reasons and their order survive, for any sensors."""
    sample = sample_of(readings)
    layout, row = rows_of(sample)
    assert host_sample({**row.values, "body": layout.values["body"]}, sensors=EverySensor()) == sample


def test_samples_with_the_same_sensors_and_gaps_share_a_layout() -> None:
    """Names and gaps are stored once, not with each second; another gap makes another layout."""
    gap = Gap(reason=GapReason.ABSENT, detail="no battery")
    first = rows_of(sample_of({"cpu_percent": Sample(value=1.0), "battery_percent": gap}))
    second = rows_of(sample_of({"cpu_percent": Sample(value=2.0), "battery_percent": gap}))
    third = rows_of(sample_of({"cpu_percent": gap, "battery_percent": gap}))
    assert first[0].values == second[0].values
    assert first[0].values["layout"] != third[0].values["layout"]
    assert json.loads(str(first[1].values["readings"])) == [1]


def test_a_choice_of_sensors_leaves_the_others_out() -> None:
    """Only the wanted readings are built, gaps included."""
    sample = sample_of({"a": Sample(value=1.0), "b": Gap(reason=GapReason.DENIED), "c": Sample(value=3.5)})
    layout, row = rows_of(sample)
    wanted = frozenset({"b", "c"})
    chosen = host_sample({**row.values, "body": layout.values["body"]}, sensors=wanted)
    assert [named.sensor for named in chosen.readings] == ["b", "c"]
    assert chosen == with_sensors(sample, wanted)


@pytest.mark.parametrize(
    ("body", "readings"),
    [
        ('[["a"]]', "[]"),
        ('[["a"]]', "[1,2]"),
        ('[["a"]]', '["x"]'),
        ('[["a"]]', "[true]"),
        ('[["a","absent"]]', "[]"),
        ('[["a","lazy",""]]', "[]"),
        ("{}", "[]"),
        ("[", "[]"),
        ("[]", "{"),
        ('[["a"]]', "[" * 100_000),
    ],
)
def test_a_damaged_sample_is_refused(body: str, readings: str) -> None:
    """A row that does not fit its layout is a CodecError, never a wrong reading."""
    with pytest.raises(CodecError):
        host_sample({"at_mono_s": 1.0, "at_utc_s": 2.0, "body": body, "readings": readings}, sensors=EverySensor())


def test_a_number_that_is_not_finite_is_refused() -> None:
    """NaN would become NULL in SQLite; it does not get that far."""
    with pytest.raises(CodecError):
        rows_of(sample_of({"cpu_percent": Sample(value=float("nan"))}))
    with pytest.raises(CodecError):
        rows_of(sample_of({"cpu_percent": Sample(value=float("inf"))}))


def test_text_that_utf8_cannot_hold_is_escaped() -> None:
    """Half of a surrogate pair, from a hostile target's error message, is stored as its escape."""
    event = EventRecord(at_mono_s=1.0, at_utc_s=2.0, kind="worker", name="error", text="bad \udc80 text\x00")
    values = rows_of(event)[0].values
    assert values["text"] == "bad \\udc80 text\x00"
    connection = sqlite3.connect(":memory:")
    assert connection.execute("SELECT length(CAST(? AS BLOB))", (values["text"],)).fetchone() == (16,)
    connection.close()


def test_the_natural_key_tells_the_same_record_from_another() -> None:
    """Keys of one of each differ within a type only by what identifies the record."""
    keys = [(type(record), natural_key(record)) for record in one_of_each()]
    assert len(set(keys)) == len(keys)
    phase = next(record for record in one_of_each() if isinstance(record, PhaseRecord))
    assert natural_key(phase) == (phase.index,)
