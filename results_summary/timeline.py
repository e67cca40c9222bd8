"""The night on one time axis: columns of equal length with what was asked, achieved and felt in each.

Columns keep least, mean and greatest value, so a spike of one second survives a night of twelve hours. A column in which
a value was expected and is missing is a gap; one in which nothing was expected is nothing. Pure; charts draws it.
"""

import math
from dataclasses import dataclass, field
from itertools import pairwise

from baseline_metrics.health import KnownScore, Score
from baseline_metrics.samples import Gap, Reading, Sample
from monitoring_logs.records import TIME_KIND, GuardianEvent
from results_summary.asked_loads import Asked, asked_loads
from results_summary.assessment import Assessment
from results_summary.facts import Absent, SegmentFacts
from results_summary.findings import State
from stress_scenarios.histogram import Histogram, HistogramError

COLUMNS_MAX = 480
"""About one column per two pixels of a wide screen; five lanes of them take some 75 kB."""

WINDOW_S = 0.999
"""Length of one window, a hair less than its second, so that one that ends where a column begins stays out of it."""

MARKS_MAX = 200
"""Guardian's moves drawn; a night with more is a night of flapping, which the table counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingExpected:
    """No load ran in this column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A value was expected here and is not in the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Least, mean and greatest value of a column."""

    least: float
    mean: float
    greatest: float


Cell = Spread | Missing | NothingExpected


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One phase's stretch. number: from 1. Seconds are counted from the timeline's start."""

    number: int
    name: str
    start_s: float
    end_s: float
    state: State
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredAt:
    """A health score that stands from this instant on."""

    at_s: float
    score: Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A move of the guardian."""

    at_s: float
    move: GuardianEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeMark:
    """Here the host slept, or the clock was set; the picture goes by a clock that stands still meanwhile."""

    at_s: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Everything that the picture shows. start_utc_s: wall time of its left edge."""

    start_utc_s: float
    length_s: float
    column_s: float
    bands: tuple[Band, ...]
    asked: tuple[Asked, ...]
    achieved_per_s: tuple[Cell, ...]
    response_s_p50: tuple[Cell, ...]
    response_s_p99: tuple[Cell, ...]
    error_percent: tuple[Cell, ...]
    cpu_percent: tuple[Cell, ...]
    memory_percent: tuple[Cell, ...]
    health: tuple[ScoredAt, ...]
    marks: tuple[Mark, ...]
    marks_left_out: int
    time_marks: tuple[TimeMark, ...] = ()


@dataclass(slots=True)
class _LoadColumn:
    expected: bool = False
    rates: list[float] = field(default_factory=list)
    succeeded: int = 0
    failed: int = 0
    worst_error_percent: float = 0.0
    response: Histogram = field(default_factory=Histogram)


def timeline(assessment: Assessment) -> Timeline | Absent:
    """Lay the record out in time, or say that there is nothing to lay out."""
    facts = assessment.facts
    instants = [segment.record.start_mono_s for segment in facts.segments]
    instants += [event.at_mono_s for event in facts.events] + [point.at_mono_s for point in facts.host[:1]]
    if not instants:
        return Absent(reason="no measurement is in the record")
    start = min(instants)
    length_s = max(1.0, assessment.end.ended_mono_s - start)
    columns = max(1, min(COLUMNS_MAX, math.ceil(length_s)))
    grid = _Grid(start=start, column_s=length_s / columns, columns=columns)
    load = _load_columns(assessment, grid)
    moves = tuple(move for move in facts.guardian if start <= move.at_mono_s <= start + length_s)
    return Timeline(
        start_utc_s=start + _utc_offset_s(assessment),
        length_s=length_s,
        column_s=grid.column_s,
        bands=_bands(assessment, start, length_s),
        asked=asked_loads(facts, start_mono_s=start, length_s=length_s),
        achieved_per_s=tuple(_spread(column.rates, expected=column.expected) for column in load),
        response_s_p50=tuple(_quantile(column, 0.5) for column in load),
        response_s_p99=tuple(_quantile(column, 0.99) for column in load),
        error_percent=tuple(_errors(column) for column in load),
        cpu_percent=_host_columns([(point.at_mono_s, point.cpu_percent) for point in facts.host], grid),
        memory_percent=_host_columns([(point.at_mono_s, point.memory_percent) for point in facts.host], grid),
        health=_health(assessment, start),
        marks=tuple(Mark(at_s=move.at_mono_s - start, move=move) for move in moves[:MARKS_MAX]),
        marks_left_out=max(0, len(moves) - MARKS_MAX),
        time_marks=tuple(
            TimeMark(at_s=event.at_mono_s - start, text=event.text)
            for event in facts.events
            if event.kind == TIME_KIND and start <= event.at_mono_s <= start + length_s
        )[:MARKS_MAX],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    start: float
    column_s: float
    columns: int

    def column(self, at_mono_s: float) -> int:
        return min(self.columns - 1, max(0, int((at_mono_s - self.start) / self.column_s)))


def _utc_offset_s(assessment: Assessment) -> float:
    """Wall time minus monotonic time, from the first record that knows both."""
    facts = assessment.facts
    for segment in facts.segments:
        return segment.record.start_utc_s - segment.record.start_mono_s
    for event in facts.events:
        return event.at_utc_s - event.at_mono_s
    return assessment.end.ended_utc_s - assessment.end.ended_mono_s


def _load_columns(assessment: Assessment, grid: _Grid) -> list[_LoadColumn]:
    columns = [_LoadColumn() for _ in range(grid.columns)]
    for start_mono_s, end_mono_s in _loads(assessment):
        _expect(columns, grid, start_mono_s, end_mono_s)
    for segment in assessment.facts.segments:
        _fill(columns, grid, segment)
    return columns


def _loads(assessment: Assessment) -> list[tuple[float, float]]:
    """When load was made, without the drain after it, in which a window may be missing because nothing was in flight."""
    facts = assessment.facts
    if isinstance(facts.meta, Absent):
        return []
    order = facts.meta.order
    planned_s = {phase.index: phase.ramp_s + phase.hold_s for phase in order.phases}
    anchor_s = order.anchor.ramp_s + order.anchor.hold_s
    loads = [(anchor.start_mono_s, min(anchor.end_mono_s, anchor.start_mono_s + anchor_s)) for anchor in facts.anchors]
    loads += [
        (phase.start_mono_s, min(phase.end_mono_s, phase.start_mono_s + planned_s.get(phase.index, 0.0) + phase.held_s))
        for phase in facts.phases
    ]
    return loads


def _expect(columns: list[_LoadColumn], grid: _Grid, start_mono_s: float, end_mono_s: float) -> None:
    """Whole columns within the load must have windows; those at its edges may."""
    first = math.ceil((start_mono_s - grid.start) / grid.column_s)
    last = math.floor((end_mono_s - grid.start) / grid.column_s)
    for index in range(max(0, first), min(grid.columns, last)):
        columns[index].expected = True


def _fill(columns: list[_LoadColumn], grid: _Grid, segment: SegmentFacts) -> None:
    for second in segment.seconds:
        try:
            response = Histogram.decode(second.response_succeeded)
        except HistogramError:
            continue
        done = second.succeeded + second.failed
        # A second may reach over the edge of a column, and belongs to both.
        for index in range(grid.column(second.at_mono_s), grid.column(second.at_mono_s + WINDOW_S) + 1):
            column = columns[index]
            column.rates.append(float(done))
            column.succeeded += second.succeeded
            column.failed += second.failed
            if done:
                column.worst_error_percent = max(column.worst_error_percent, 100.0 * second.failed / done)
            column.response.merge(response)


def _spread(values: list[float], *, expected: bool) -> Cell:
    if not values:
        return Missing() if expected else NothingExpected()
    return Spread(least=min(values), mean=math.fsum(values) / len(values), greatest=max(values))


def _quantile(column: _LoadColumn, quantile: float) -> Cell:
    match column.response.quantile(quantile):
        case Sample(value=value):
            return Spread(least=value, mean=value, greatest=value)
        case Gap():
            return Missing() if column.expected and not column.rates else NothingExpected()


def _errors(column: _LoadColumn) -> Cell:
    done = column.succeeded + column.failed
    if not done:
        return Missing() if column.expected and not column.rates else NothingExpected()
    percent = 100.0 * column.failed / done
    return Spread(least=percent, mean=percent, greatest=column.worst_error_percent)


def _host_columns(points: list[tuple[float, Reading]], grid: _Grid) -> tuple[Cell, ...]:
    values: list[list[float]] = [[] for _ in range(grid.columns)]
    for at_mono_s, reading in points:
        match reading:
            case Sample(value=value):
                values[grid.column(at_mono_s)].append(value)
            case Gap():
                pass
    expected = _expected_host_columns(values)
    return tuple(_spread(column, expected=wanted) for column, wanted in zip(values, expected, strict=True))


def _expected_host_columns(values: list[list[float]]) -> list[bool]:
    """Host samples may come more rarely than columns: a gap is a hole wider than the usual distance of samples."""
    filled = [index for index, column in enumerate(values) if column]
    if not filled:
        return [True] * len(values)
    distances = sorted(after - before for before, after in pairwise(filled))
    usual = distances[len(distances) // 2] if distances else 1
    expected = [False] * len(values)
    edges = [-1, *filled, len(values)]
    for before, after in pairwise(edges):
        if after - before > 2 * usual:
            for index in range(before + 1, after):
                expected[index] = True
    return expected


def _bands(assessment: Assessment, start: float, length_s: float) -> tuple[Band, ...]:
    bands = []
    for state in assessment.phases:
        record = assessment.facts.phase(state.index)
        if isinstance(record, Absent) or record.end_mono_s <= record.start_mono_s:
            continue
        words = record.outcome.value if not record.reason else f"{record.outcome.value}: {record.reason}"
        bands.append(
            Band(
                number=state.index + 1,
                name=state.name,
                start_s=min(length_s, max(0.0, record.start_mono_s - start)),
                end_s=min(length_s, max(0.0, record.end_mono_s - start)),
                state=state.state,
                words=words,
            )
        )
    return tuple(bands)


def _health(assessment: Assessment, start: float) -> tuple[ScoredAt, ...]:
    facts = assessment.facts
    scores = [ScoredAt(at_s=anchor.end_mono_s - start, score=anchor.health.score) for anchor in facts.anchors]
    if not isinstance(facts.baseline, Absent):
        scores.append(ScoredAt(at_s=facts.baseline.health.at_mono_s - start, score=facts.baseline.health.score))
    return tuple(sorted(scores, key=lambda item: (item.at_s, isinstance(item.score, KnownScore))))
