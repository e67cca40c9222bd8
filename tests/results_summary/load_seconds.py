"""Seconds of a load as schema version 2 stores them, for tests of what is judged second by second."""

from dataclasses import replace

from monitoring_logs.records import LoadSecond
from results_summary.facts import Facts, SegmentFacts
from stress_scenarios.histogram import Histogram


def histogram_of(*values_s: float) -> str:
    """These durations, encoded."""
    histogram = Histogram()
    for value_s in values_s:
        histogram.record_s(value_s)
    return histogram.encode()


def load_second(second: int, **fields: object) -> LoadSecond:
    """A quiet second of two workers that kept up; ``fields`` are LoadSecond's own."""
    row = LoadSecond(
        segment=1,
        second=second,
        at_mono_s=1000.0 + second,
        at_utc_s=2000.0 + second,
        succeeded=0,
        failed=0,
        response_succeeded="",
        response_failed="",
        operations_due=0,
        operations_started=0,
        connections_open=2,
        bytes_received=0,
        generator_cpu_s=0.2,
        loop_lag_s_max=0.002,
        workers=2,
        generator_cpu_s_max=0.1,
    )
    return replace(row, **fields)  # type: ignore[arg-type]  # fields are LoadSecond's own


def with_seconds(facts: Facts, segment: int, seconds: tuple[LoadSecond, ...]) -> Facts:
    """The same record with other seconds of one segment."""

    def changed(item: SegmentFacts) -> SegmentFacts:
        return replace(item, seconds=seconds) if item.record.segment == segment else item

    return replace(facts, segments=tuple(changed(item) for item in facts.segments))
