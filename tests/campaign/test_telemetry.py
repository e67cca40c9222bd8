"""Merging workers' windows: seconds, minutes and errors are sums, and percentiles are never averaged."""

import dataclasses
import random

import pytest

from baseline_metrics.samples import Gap, Sample
from campaign.telemetry import (
    ERROR_GROUPS_PER_MINUTE_MAX,
    LATE_WINDOW_S,
    RECENT_SECONDS_MAX,
    SECONDS_PER_MINUTE,
    SegmentTelemetry,
    Stored,
)
from monitoring_logs.records import ErrorGroup, LoadMinute, LoadSecond
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.messages import ErrorCount, OperationWindow, WindowReport

START_S = 500.0


def packed(*responses_s: float) -> str:
    """Response times as they travel."""
    histogram = Histogram()
    for seconds in responses_s:
        histogram.record_s(seconds)
    return histogram.encode()


def window(
    second: int,
    *,
    worker: int = 0,
    operation: int = 0,
    ok_s: tuple[float, ...] = (0.1,),
    failed_s: tuple[float, ...] = (),
    errors: tuple[ErrorCount, ...] = (),
    offset_s: float = 0.0,
) -> WindowReport:
    """One worker's second with these response times; 2 connections, 10 bytes, 0.02 s of CPU."""
    start = START_S + second + offset_s
    return WindowReport(
        worker=worker,
        sequence=second,
        segment=3,
        start_mono_s=start,
        end_mono_s=start + 1.0,
        operations=(
            OperationWindow(
                operation=operation,
                succeeded=len(ok_s),
                failed=len(failed_s),
                response_succeeded=packed(*ok_s),
                response_failed=packed(*failed_s),
                service_succeeded=packed(*(seconds / 2 for seconds in ok_s)),
            ),
        ),
        errors=errors,
        operations_due=second + 1,
        operations_started=second + 1,
        connections_open=2,
        bytes_received=10,
        cpu_s=0.02,
        loop_lag_s_max=0.001 * (worker + 1),
    )


def telemetry(workers: int = 2) -> SegmentTelemetry:
    """A segment of so many workers that began at START_S; UTC is 10000 s ahead."""
    return SegmentTelemetry(segment=3, workers=workers, start_mono_s=START_S, utc_offset_s=10_000.0)


def seconds_of(stored: tuple[Stored, ...] | list[Stored]) -> list[LoadSecond]:
    """The seconds among what was stored."""
    return [item for item in stored if isinstance(item, LoadSecond)]


def minutes_of(stored: tuple[Stored, ...] | list[Stored]) -> list[LoadMinute]:
    """The minutes among what was stored."""
    return [item for item in stored if isinstance(item, LoadMinute)]


def errors_of(stored: tuple[Stored, ...] | list[Stored]) -> list[ErrorGroup]:
    """The errors among what was stored."""
    return [item for item in stored if isinstance(item, ErrorGroup)]


def test_a_second_is_stored_when_every_worker_has_told_its_part() -> None:
    """Counts, bytes, connections and CPU are sums; lag is the worst one's; times are those of the window."""
    merged = telemetry()
    assert merged.add(window(0, worker=0, ok_s=(0.1, 0.2))) == ()
    (second,) = merged.add(window(0, worker=1, ok_s=(0.3,), failed_s=(1.0,)))
    assert isinstance(second, LoadSecond)
    assert (second.segment, second.second) == (3, 0)
    assert (second.at_mono_s, second.at_utc_s) == (START_S, START_S + 10_000.0)
    assert (second.succeeded, second.failed) == (3, 1)
    assert (second.connections_open, second.bytes_received) == (4, 20)
    assert (second.operations_due, second.operations_started) == (2, 2)
    assert second.generator_cpu_s == pytest.approx(0.04)
    assert second.loop_lag_s_max == pytest.approx(0.002)
    assert Histogram.decode(second.response_succeeded) == Histogram.decode(packed(0.1, 0.2, 0.3))
    assert Histogram.decode(second.response_failed) == Histogram.decode(packed(1.0))


def test_percentiles_come_from_merged_counts_and_are_not_averaged() -> None:
    """A slow worker's tail stays the tail: p99 of the union, not the mean of two p99."""
    fast, slow = (0.01,) * 990, (2.0,) * 20
    merged = telemetry()
    merged.add(window(0, worker=0, ok_s=fast))
    (second,) = seconds_of(merged.add(window(0, worker=1, ok_s=slow)))
    union = Histogram.decode(packed(*fast, *slow))
    assert Histogram.decode(second.response_succeeded).quantile(0.99) == union.quantile(0.99)
    assert merged.response_s_p99() == union.quantile(0.99)
    reading = merged.response_s_p99()
    assert isinstance(reading, Sample)
    assert reading.value == pytest.approx(2.0, rel=0.008)


def test_windows_that_start_a_little_off_belong_to_the_nearest_second() -> None:
    """Workers do not start on the same microsecond."""
    merged = telemetry()
    merged.add(window(4, worker=0, offset_s=0.3))
    (second,) = seconds_of(merged.add(window(4, worker=1, offset_s=-0.3)))
    assert second.second == 4


def test_a_window_from_before_the_start_counts_in_the_first_second() -> None:
    """No second has a negative number."""
    merged = telemetry(workers=1)
    (second,) = seconds_of(merged.add(window(0, offset_s=-0.7)))
    assert second.second == 0


@pytest.mark.parametrize(("ahead", "stored"), [(LATE_WINDOW_S - 1, 0), (LATE_WINDOW_S, 1), (LATE_WINDOW_S + 1, 2)])
def test_a_second_waits_for_a_late_worker_only_so_long(ahead: float, stored: int) -> None:
    """Once another worker is LATE_WINDOW_S ahead, the second is stored without the late one."""
    merged = telemetry()
    found: list[Stored] = []
    for second in range(int(ahead) + 1):
        found.extend(merged.add(window(second, worker=0)))
    assert [item.second for item in seconds_of(found)] == list(range(stored))


def test_a_window_that_comes_too_late_changes_no_stored_second_and_is_not_lost() -> None:
    """The second was written and stays; the late window's operations count in its minute and in the total."""
    merged = telemetry()
    found: list[Stored] = []
    for second in range(6):
        found.extend(merged.add(window(second, worker=0)))
    found.extend(merged.add(window(0, worker=1, ok_s=(0.5, 0.5))))
    found.extend(merged.finish())
    numbers = [item.second for item in seconds_of(found)]
    assert numbers == sorted(set(numbers))
    assert seconds_of(found)[0].succeeded == 1
    assert sum(item.succeeded for item in minutes_of(found)) == 8
    assert merged.total.succeeded == 8


def test_a_window_that_comes_after_its_minute_was_stored_counts_in_the_open_one() -> None:
    """A stored minute stays as it is, and no (minute, operation) is stored twice."""
    merged = telemetry()
    found: list[Stored] = []
    for second in range(SECONDS_PER_MINUTE + 5):
        found.extend(merged.add(window(second, worker=0)))
    assert [item.minute for item in minutes_of(found)] == [0]
    found.extend(merged.add(window(2, worker=1, errors=(error("late"),))))
    found.extend(merged.finish())
    keys = [(item.minute, item.operation) for item in minutes_of(found)]
    assert keys == [(0, 0), (1, 0)]
    assert sum(item.succeeded for item in minutes_of(found)) == SECONDS_PER_MINUTE + 6
    assert [item.minute for item in errors_of(found)] == [1]


@pytest.mark.parametrize(("seconds", "minutes"), [(59, 0), (60, 1), (61, 1), (119, 1), (120, 2)])
def test_a_minute_is_stored_with_its_sixtieth_second(seconds: int, minutes: int) -> None:
    """Not before it is full, and once."""
    merged = telemetry(workers=1)
    found: list[Stored] = []
    for second in range(seconds):
        found.extend(merged.add(window(second)))
    assert [item.minute for item in minutes_of(found)] == list(range(minutes))
    assert all(item.succeeded == SECONDS_PER_MINUTE for item in minutes_of(found))


def test_a_minute_has_one_row_per_operation_with_service_time_beside_response_time() -> None:
    """Which operation it was, is told per minute."""
    merged = telemetry(workers=1)
    merged.add(window(0, operation=0, ok_s=(0.2,)))
    merged.add(window(1, operation=1, ok_s=(0.4, 0.4), failed_s=(3.0,)))
    first, second = minutes_of(merged.finish())
    assert (first.operation, first.succeeded, first.failed) == (0, 1, 0)
    assert (second.operation, second.succeeded, second.failed) == (1, 2, 1)
    assert Histogram.decode(second.response_succeeded) == Histogram.decode(packed(0.4, 0.4))
    assert Histogram.decode(second.service_succeeded) == Histogram.decode(packed(0.2, 0.2))
    assert Histogram.decode(second.response_failed) == Histogram.decode(packed(3.0))


def test_finish_stores_everything_that_is_open_once() -> None:
    """Seconds that miss a worker, the last minute, the errors; a second finish has nothing more."""
    merged = telemetry()
    merged.add(window(0, worker=0, errors=(error("reset by peer"),)))
    merged.add(window(1, worker=1))
    stored = merged.finish()
    assert [item.second for item in seconds_of(stored)] == [0, 1]
    assert len(minutes_of(stored)) == 1
    assert len(errors_of(stored)) == 1
    assert merged.finish() == ()


def error(message: str, *, count: int = 1, kind: ErrorClass = ErrorClass.RESET) -> ErrorCount:
    """Some failures of one kind."""
    return ErrorCount(operation=0, error=kind, message=message, count=count)


def test_errors_of_both_workers_are_grouped_by_operation_kind_and_message() -> None:
    """The same failure of two workers is one group with the sum of its counts."""
    merged = telemetry()
    merged.add(window(0, worker=0, errors=(error("reset by peer", count=2),)))
    merged.add(window(0, worker=1, errors=(error("reset by peer", count=3), error("slow", kind=ErrorClass.TIMEOUT))))
    groups = errors_of(merged.finish())
    assert [(item.error, item.message, item.count) for item in groups] == [
        (ErrorClass.RESET, "reset by peer", 5),
        (ErrorClass.TIMEOUT, "slow", 1),
    ]


@pytest.mark.parametrize("different", [ERROR_GROUPS_PER_MINUTE_MAX, ERROR_GROUPS_PER_MINUTE_MAX + 1, 500])
def test_error_groups_are_bounded_and_none_is_lost(different: int) -> None:
    """Beyond the bound, messages are counted under "(more)"; the counts still sum up."""
    merged = telemetry(workers=1)
    merged.add(window(0, errors=tuple(error(f"message {number}") for number in range(different))))
    groups = errors_of(merged.finish())
    assert len(groups) == min(different, ERROR_GROUPS_PER_MINUTE_MAX + 1)
    assert sum(item.count for item in groups) == different
    more = [item.count for item in groups if item.message == "(more)"]
    assert more == ([different - ERROR_GROUPS_PER_MINUTE_MAX] if different > ERROR_GROUPS_PER_MINUTE_MAX else [])


def test_a_known_error_is_counted_though_the_bound_is_reached() -> None:
    """The bound is on different messages, not on counts."""
    merged = telemetry(workers=1)
    many = tuple(error(f"message {number}") for number in range(ERROR_GROUPS_PER_MINUTE_MAX))
    merged.add(window(0, errors=many))
    merged.add(window(1, errors=(error("message 7", count=9),)))
    assert {item.message: item.count for item in errors_of(merged.finish())}["message 7"] == 10


def test_before_the_first_full_second_there_are_no_readings() -> None:
    """Nothing is a gap, never zero."""
    merged = telemetry()
    merged.add(window(0, worker=0))
    assert isinstance(merged.rate_per_s(), Gap)
    assert isinstance(merged.response_s_p99(), Gap)
    assert isinstance(merged.error_percent(), Gap)
    assert merged.connections_open() == 0


def test_readings_look_back_over_the_last_seconds_only() -> None:
    """Rate and errors are those of the last RECENT_SECONDS_MAX seconds."""
    merged = telemetry(workers=1)
    for second in range(RECENT_SECONDS_MAX):
        merged.add(window(second, ok_s=(), failed_s=(0.1,) * 5))
    assert merged.error_percent() == Sample(value=100.0)
    assert isinstance(merged.response_s_p99(), Gap), "a failure's time is no response time"
    for second in range(RECENT_SECONDS_MAX, 2 * RECENT_SECONDS_MAX):
        merged.add(window(second, ok_s=(0.1,) * 3, failed_s=(0.1,)))
    assert merged.rate_per_s() == Sample(value=4.0)
    assert merged.error_percent() == Sample(value=25.0)
    assert merged.connections_open() == 2


def test_seconds_without_a_completion_give_a_rate_of_zero_and_no_error_share() -> None:
    """A target that answers nothing: the rate is known, a share of nothing is not."""
    merged = telemetry(workers=1)
    merged.add(window(0, ok_s=()))
    assert merged.rate_per_s() == Sample(value=0.0)
    assert isinstance(merged.error_percent(), Gap)


def test_the_peak_of_connections_is_the_most_open_at_once() -> None:
    """Over all workers of one second."""
    merged = telemetry()
    for worker in (0, 1):
        merged.add(window(0, worker=worker))
    assert merged.told.connections_peak == 4


def test_nothing_is_counted_twice_or_lost_in_any_order_of_arrival() -> None:
    """Three workers, two minutes, windows in a shuffled order within the late limit: every sum is exact."""
    chance = random.Random(20251119)
    windows = [window(second, worker=worker, ok_s=(0.1,) * 2) for second in range(130) for worker in range(3)]
    windows.sort(key=lambda item: item.start_mono_s + chance.uniform(0.0, LATE_WINDOW_S - 1.0))
    merged = telemetry(workers=3)
    found = [item for report in windows for item in merged.add(report)] + list(merged.finish())
    assert [item.second for item in seconds_of(found)] == list(range(130))
    assert all(item.succeeded == 6 for item in seconds_of(found))
    assert [item.minute for item in minutes_of(found)] == [0, 1, 2]
    assert sum(item.succeeded for item in minutes_of(found)) == merged.total.succeeded == 130 * 6


def generator_window(second: int, worker: int) -> WindowReport:
    """A window with figures of the generator that differ by worker and second."""
    factor = worker + 1
    return dataclasses.replace(
        window(second, worker=worker),
        operations_due=10 * (second + 1) * factor,
        operations_started=9 * (second + 1) * factor,
        operations_dropped=(second + 1) * factor,
        cpu_s=0.2 * factor,
        schedule_lag=packed(0.001 * factor),
        in_flight_s=1.5 * factor,
        service_s_sum=1.4 * factor,
        gc_pause_s_sum=0.01 * factor,
        gc_pause_s_max=0.004 * factor,
        descriptors_open=10 * factor,
        descriptors_max=1000,
        ports_used=200,
        ports_max=20_000 // factor,
        bytes_sent=100 * factor,
        messages_sent=5 * factor,
        messages_received=4 * factor,
        reconnects=factor,
        cpu_wait_s=0.3 / factor,
        loop_stall_s_sum=0.05 * factor,
    )


def test_the_generators_figures_are_sums_or_those_of_the_worst_worker() -> None:
    """Work is added, lateness is merged, what one worker can run out of is the worst one's."""
    merged = telemetry()
    merged.add(generator_window(0, 0))
    (second,) = seconds_of(merged.add(generator_window(0, 1)))
    assert second.workers == 2
    assert (second.operations_due, second.operations_started, second.operations_dropped) == (30, 27, 3)
    assert (second.generator_cpu_s, second.generator_cpu_s_max) == pytest.approx((0.6, 0.4))
    assert Histogram.decode(second.schedule_lag) == Histogram.decode(packed(0.001, 0.002))
    assert (second.in_flight_s, second.service_s_sum) == pytest.approx((4.5, 4.2))
    assert (second.generator_busy_s_max, second.loop_stall_s_max) == pytest.approx((0.55, 0.1))
    assert (second.gc_pause_s_sum, second.gc_pause_s_max) == pytest.approx((0.03, 0.008))
    assert (second.descriptors_share_max, second.ports_share_max) == pytest.approx((0.02, 0.02))
    assert (second.bytes_sent, second.messages_sent, second.messages_received, second.reconnects) == (300, 15, 12, 3)


def test_limits_that_a_worker_does_not_tell_are_no_share() -> None:
    """Without the limit there is nothing to be close to."""
    merged = telemetry(workers=1)
    (second,) = seconds_of(merged.add(dataclasses.replace(window(0), descriptors_open=900, ports_used=900)))
    assert (second.descriptors_share_max, second.ports_share_max) == (0.0, 0.0)


def test_a_missing_window_does_not_take_back_what_was_counted_before() -> None:
    """Counts from the segment's start never fall: a worker that is not heard of in a second keeps its last ones."""
    merged = telemetry()
    merged.add(generator_window(0, 0))
    merged.add(generator_window(0, 1))
    merged.add(generator_window(1, 0))
    first, second = seconds_of(merged.add(generator_window(5, 0)))[0:1] + seconds_of(merged.finish())[0:1]
    assert (first.second, first.workers) == (1, 1)
    assert (first.operations_due, first.operations_dropped) == (20 + 20, 2 + 2)
    assert (second.second, second.operations_due) == (5, 60 + 20)


def test_what_windows_told_is_known_for_a_load_that_was_ended_by_force() -> None:
    """Bytes, messages and reconnects of all windows, late ones too."""
    merged = telemetry()
    for second in range(5):
        merged.add(generator_window(second, 0))
    merged.add(generator_window(0, 1))
    told = merged.told
    assert (told.bytes_sent, told.messages_sent, told.messages_received, told.reconnects) == (700, 35, 28, 7)


def test_how_the_generator_fared_is_kept_for_every_second() -> None:
    """A busy worker is seen; a second that lacks a worker may hide one."""
    merged = telemetry()
    for worker in (0, 1):
        merged.add(dataclasses.replace(window(0, worker=worker), cpu_s=0.95 * worker))
    merged.add(window(1, worker=0))
    merged.finish()
    assert [(item.second, item.is_saturated, item.is_clear) for item in merged.generator] == [
        (0, True, False),
        (1, False, False),
    ]
