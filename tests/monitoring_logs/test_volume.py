"""How large a night becomes."""

import random
from pathlib import Path

from baseline_metrics.clock import FakeClock
from baseline_metrics.samples import Gap, GapReason, HostSample, NamedReading, Sample
from monitoring_logs.recorder import Recorder
from monitoring_logs.records import ErrorGroup, LoadMinute
from monitoring_logs.store import SqliteStore
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import ErrorClass
from tests.support.sample_records import START_MONO_S, START_UTC_S, load_second_at

NIGHT_S = 43_200
MEASURED_S = 600
OPERATIONS = 4
NIGHT_BYTES_MAX = 150 << 20
SEED = 20_240_101


def busy_sample(second: int, chance: random.Random) -> HostSample:
    """A machine with 70 sensors, whose rates have all the digits of a double."""
    readings = [
        NamedReading(sensor=f"cpu_percent:core{core}", reading=Sample(value=chance.uniform(0, 100)))
        for core in range(16)
    ]
    readings += [
        NamedReading(sensor=f"disk_write_bytes_per_s:/dev/disk{index}", reading=Sample(value=chance.uniform(0, 1e8)))
        for index in range(44)
    ]
    readings += [
        NamedReading(
            sensor=f"temperature_celsius:zone{index}", reading=Gap(reason=GapReason.ABSENT, detail="no sensor")
        )
        for index in range(10)
    ]
    return HostSample(at_mono_s=START_MONO_S + second, at_utc_s=START_UTC_S + second, readings=tuple(readings))


def busy_histogram(operations: int, chance: random.Random) -> str:
    """So many response times around 5 ms with a long tail."""
    histogram = Histogram()
    for _ in range(operations):
        histogram.record_s(chance.lognormvariate(-5.3, 0.8))
    return histogram.encode()


def punctual_histogram(operations: int, chance: random.Random) -> str:
    """So many starts of a generator that is late by some hundred microseconds."""
    histogram = Histogram()
    for _ in range(operations):
        histogram.record_s(chance.lognormvariate(-8.5, 0.6))
    return histogram.encode()


def test_a_night_of_twelve_hours_stays_below_150_mebibytes(tmp_path: Path) -> None:
    """Ten minutes of a busy night, 60 operations a second on a machine with 70 sensors, extrapolated to twelve hours."""
    chance = random.Random(SEED)
    path = tmp_path / "campaign.db"
    SqliteStore(str(path)).conclude()
    empty_bytes = path.stat().st_size
    recorder = Recorder(str(path), spill_path=str(tmp_path / "spill.jsonl"), clock=FakeClock(), ballast_bytes=0)
    recorder.start()
    for second in range(MEASURED_S):
        recorder.put(busy_sample(second, chance))
        recorder.put(
            load_second_at(second, histogram=busy_histogram(60, chance), schedule_lag=punctual_histogram(60, chance))
        )
        if second % 60 == 0:
            for operation in range(OPERATIONS):
                histogram = busy_histogram(900, chance)
                recorder.put(
                    LoadMinute(
                        segment=1,
                        minute=second // 60,
                        operation=operation,
                        succeeded=900,
                        failed=0,
                        response_succeeded=histogram,
                        response_failed="",
                        service_succeeded=histogram,
                    )
                )
                recorder.put(
                    ErrorGroup(
                        segment=1,
                        minute=second // 60,
                        operation=operation,
                        error=ErrorClass.STATUS,
                        message="500 Internal Server Error",
                        count=second,
                    )
                )
        assert recorder.flush(60.0)
    report = recorder.close(60.0)
    assert (report.integrity, report.stats.spilled) == ("ok", 0)
    night_bytes = (path.stat().st_size - empty_bytes) * NIGHT_S // MEASURED_S
    print(f"a night takes {night_bytes / (1 << 20):.0f} MiB")
    assert night_bytes < NIGHT_BYTES_MAX
