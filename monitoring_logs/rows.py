"""Records to rows of the schema and back, without loss.

Plain records are spread over columns of the same names; records that are read as a whole become a JSON body; a host
sample becomes its known values and a reference to a shared layout. Decoding is as strict as on our pipes. Pure; the
recorder writes with it, the readers read with it.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar, assert_never

from sqlalchemy import Table

from baseline_metrics.codec import CodecError, from_json_value, to_json_value
from baseline_metrics.samples import Gap, GapReason, HostSample, NamedReading, Sample
from monitoring_logs import schema
from monitoring_logs.memory_records import MemorySecond
from monitoring_logs.recorder_facts import RecorderFacts
from monitoring_logs.records import (
    AnchorRecord,
    BaselineRecord,
    CampaignEnd,
    DrillFact,
    ErrorGroup,
    EventRecord,
    GuardianEvent,
    HostFacts,
    LoadMinute,
    LoadSecond,
    NightOrder,
    PhaseRecord,
    SegmentRecord,
)
from monitoring_logs.search_records import SearchRecord, SearchStep

ColumnarRecord = SegmentRecord | LoadSecond | LoadMinute | MemorySecond | ErrorGroup | EventRecord | GuardianEvent
BodyRecord = PhaseRecord | AnchorRecord | BaselineRecord | SearchStep | SearchRecord
RunFact = NightOrder | HostFacts | DrillFact | CampaignEnd | RecorderFacts
Record = ColumnarRecord | BodyRecord | RunFact | HostSample

R = TypeVar("R")

TABLES: Mapping[type, Table] = {
    SegmentRecord: schema.SEGMENTS,
    LoadSecond: schema.LOAD_SECONDS,
    LoadMinute: schema.LOAD_MINUTES,
    MemorySecond: schema.MEMORY_SECONDS,
    ErrorGroup: schema.ERROR_GROUPS,
    EventRecord: schema.EVENTS,
    GuardianEvent: schema.GUARDIAN_EVENTS,
    PhaseRecord: schema.PHASE_RECORDS,
    AnchorRecord: schema.ANCHOR_RECORDS,
    BaselineRecord: schema.BASELINE_RECORDS,
    SearchStep: schema.SEARCH_STEPS,
    SearchRecord: schema.SEARCH_RECORDS,
    NightOrder: schema.RUN_FACTS,
    HostFacts: schema.RUN_FACTS,
    DrillFact: schema.RUN_FACTS,
    CampaignEnd: schema.RUN_FACTS,
    RecorderFacts: schema.RUN_FACTS,
    HostSample: schema.HOST_SAMPLES,
}
"""The table of each record type; a type that is not here is not stored."""

RECORD_TYPES: Mapping[str, type] = {record_type.__name__: record_type for record_type in TABLES}

ORDER_KEY = "order"
HOST_KEY = "host"
END_KEY = "end"
DRILL_KEY_PREFIX = "drill:"
RECORDER_KEY_PREFIX = "recorder:"

LAYOUTS_CACHED = 64
"""A night has a handful of layouts; a sensor that flaps between values and gaps makes some dozen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row: values by column name."""

    table: Table
    values: dict[str, int | float | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EverySensor:
    """No choice among the sensors of a sample."""


def rows_of(record: Record) -> tuple[TableRow, ...]:
    """The rows that store one record; the last one is its own, those before it are what it refers to.

    Raises CodecError for a number that is not finite.
    """
    match record:
        case HostSample():
            return _sample_rows(record)
        case PhaseRecord():
            return (_row(record, {"phase": record.index, "outcome": record.outcome.value, "body": _body(record)}),)
        case AnchorRecord():
            return (_row(record, {"segment": record.segment, "body": _body(record)}),)
        case BaselineRecord():
            return (_row(record, {"anchor_segment": record.anchor_segment, "body": _body(record)}),)
        case SearchStep():
            return (_row(record, {"segment": record.segment, "step": record.step, "body": _body(record)}),)
        case SearchRecord():
            return (_row(record, {"phase": record.phase, "body": _body(record)}),)
        case NightOrder() | HostFacts() | DrillFact() | CampaignEnd() | RecorderFacts():
            return (_row(record, {"key": _fact_key(record), "body": _body(record)}),)
        case (
            SegmentRecord()
            | LoadSecond()
            | LoadMinute()
            | MemorySecond()
            | ErrorGroup()
            | EventRecord()
            | GuardianEvent()
        ):
            table = TABLES[type(record)]
            values = {column.name: _scalar(getattr(record, column.name)) for column in table.columns}
            return (TableRow(table=table, values=values),)
        case _:
            assert_never(record)


def natural_key(record: Record) -> tuple[object, ...]:
    """What makes a record the same record, however often it was written."""
    if isinstance(record, HostSample):
        return (record.at_mono_s, record.at_utc_s)
    row = rows_of(record)[-1]
    return tuple(row.values[column.name] for column in row.table.primary_key)


def columnar_record(record_type: type[R], row: Mapping[str, Any]) -> R:
    """The record of a row that is spread over columns. Raises CodecError for a row that does not fit."""
    return from_json_value(record_type, {"type": record_type.__name__, **row})


def body_record(record_type: type[R], body: str) -> R:
    """The record of a JSON body. Raises CodecError for a body that does not fit."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"not JSON: {error}") from error
    return from_json_value(record_type, value)


def host_sample(row: Mapping[str, Any], *, sensors: frozenset[str] | EverySensor) -> HostSample:
    """The sample of a host_samples row joined with its layout's ``body``. Raises CodecError for a row that does not fit.

    sensors: which readings to build; a night of all of them takes some hundred MiB.
    """
    layout = _layout(row["body"])
    try:
        values = json.loads(row["readings"])
    except (ValueError, RecursionError) as error:
        raise CodecError(f"host_samples: not JSON: {error}") from error
    if not isinstance(values, list) or len(values) != sum(isinstance(slot, str) for slot in layout):
        raise CodecError("host_samples: the readings do not fit their layout")
    remaining = iter(values)
    readings: list[NamedReading] = []
    for slot in layout:
        match slot:
            case NamedReading():
                if isinstance(sensors, EverySensor) or slot.sensor in sensors:
                    readings.append(slot)
            case str():
                value = next(remaining)
                if isinstance(sensors, EverySensor) or slot in sensors:
                    readings.append(_known(slot, value))
            case _:
                assert_never(slot)
    return HostSample(at_mono_s=row["at_mono_s"], at_utc_s=row["at_utc_s"], readings=tuple(readings))


def with_sensors(sample: HostSample, sensors: frozenset[str] | EverySensor) -> HostSample:
    """The sample with these sensors only."""
    if isinstance(sensors, EverySensor):
        return sample
    return HostSample(
        at_mono_s=sample.at_mono_s,
        at_utc_s=sample.at_utc_s,
        readings=tuple(named for named in sample.readings if named.sensor in sensors),
    )


def _scalar(value: object) -> int | float | str:
    """A column's value. Text from outside may hold halves of surrogate pairs, which UTF-8 cannot: they are escaped."""
    plain = to_json_value(value)
    if isinstance(plain, str):
        return plain.encode("utf-8", "backslashreplace").decode()
    if isinstance(plain, int | float):
        return plain
    raise CodecError(f"a {type(value).__name__} does not fit into a column")


def _row(record: BodyRecord | RunFact, values: dict[str, int | float | str]) -> TableRow:
    return TableRow(table=TABLES[type(record)], values=values)


def _body(record: object) -> str:
    return json.dumps(to_json_value(record), separators=(",", ":"))


def _fact_key(record: RunFact) -> str:
    match record:
        case NightOrder():
            return ORDER_KEY
        case HostFacts():
            return HOST_KEY
        case CampaignEnd():
            return END_KEY
        case RecorderFacts():
            return f"{RECORDER_KEY_PREFIX}{record.life}"
        case DrillFact():  # one path may be rehearsed more than once: each result is a fact of its own
            return f"{DRILL_KEY_PREFIX}{record.path.value}:{zlib.crc32(_body(record).encode()):08x}"
        case _:
            assert_never(record)


def _sample_rows(sample: HostSample) -> tuple[TableRow, ...]:
    slots: list[list[str]] = []
    values: list[int | float] = []
    for named in sample.readings:
        match named.reading:
            case Sample(value=value):
                slots.append([named.sensor])
                values.append(_compact(value))
            case Gap(reason=reason, detail=detail):
                slots.append([named.sensor, reason.value, detail])
            case _:
                assert_never(named.reading)
    body = json.dumps(slots, separators=(",", ":"))
    layout = int.from_bytes(hashlib.sha256(body.encode()).digest()[:8], "big") >> 1
    return (
        TableRow(table=schema.SENSOR_LAYOUTS, values={"layout": layout, "body": body}),
        TableRow(
            table=schema.HOST_SAMPLES,
            values={
                "at_mono_s": sample.at_mono_s,
                "at_utc_s": sample.at_utc_s,
                "layout": layout,
                "readings": json.dumps(values, separators=(",", ":")),
            },
        ),
    )


def _compact(value: float) -> int | float:
    """The same number in fewer characters; NaN and infinities raise CodecError."""
    to_json_value(value)
    whole = int(value)
    return whole if whole == value and abs(whole) < 1 << 53 else value


@lru_cache(maxsize=LAYOUTS_CACHED)
def _layout(body: str) -> tuple[str | NamedReading, ...]:
    """A layout's slots in order: the name of a known sensor, or the whole reading of a gap."""
    try:
        slots = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"sensor_layouts: not JSON: {error}") from error
    if not isinstance(slots, list):
        raise CodecError("sensor_layouts: not a list")
    return tuple(_slot(slot) for slot in slots)


def _slot(slot: object) -> str | NamedReading:
    match slot:
        case [str(sensor)]:
            return sensor
        case [str(sensor), str(reason), str(detail)]:
            try:
                return NamedReading(sensor=sensor, reading=Gap(reason=GapReason(reason), detail=detail))
            except ValueError as error:
                raise CodecError(f"sensor_layouts: {error}") from error
        case _:
            raise CodecError(f"sensor_layouts: {slot!r} is neither a sensor nor a gap")


def _known(sensor: str, value: object) -> NamedReading:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise CodecError(f"host_samples: {sensor} is not a number")
    return NamedReading(sensor=sensor, reading=Sample(value=float(value)))
