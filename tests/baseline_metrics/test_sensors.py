"""Every sensor gives a number or a gap with its reason, and never an exception."""

import errno
import math
from typing import TypeVar

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.clock import FakeClock, SystemClock
from baseline_metrics.host_source import AbsentSensorError, CoreTimes, Space, Traffic
from baseline_metrics.samples import Gap, GapReason, HostSample, Reading, Sample
from baseline_metrics.sensors import HostSensors

Answer = TypeVar("Answer")

FIXED_SENSORS = [
    "cpu_percent",
    "load_1min",
    "memory_percent",
    "memory_available_bytes",
    "swap_percent",
    "disk_percent:/data",
    "disk_free_bytes:/data",
    "disk_read_bytes_per_s",
    "disk_written_bytes_per_s",
    "network_received_bytes_per_s",
    "network_sent_bytes_per_s",
    "psi_cpu_some_percent",
    "psi_memory_full_percent",
    "psi_io_full_percent",
    "temperature_celsius_max",
    "battery_percent",
    "process_count",
]


class FakeHost:
    """A host whose raw numbers a test sets; ``broken`` makes one method raise."""

    def __init__(self) -> None:
        self.total = CoreTimes(busy_s=100.0, idle_s=900.0)
        self.cores: tuple[CoreTimes, ...] = (
            CoreTimes(busy_s=60.0, idle_s=440.0),
            CoreTimes(busy_s=40.0, idle_s=460.0),
        )
        self.load = 0.5
        self.memory_space = Space(total_bytes=1000, used_bytes=250, available_bytes=750)
        self.swap_space = Space(total_bytes=100, used_bytes=10, available_bytes=90)
        self.disk_space = Space(total_bytes=2000, used_bytes=500, available_bytes=1500)
        self.disk_bytes = Traffic(in_bytes=1000, out_bytes=2000)
        self.network_bytes = Traffic(in_bytes=3000, out_bytes=4000)
        self.stalled_us = {"cpu": 1_000_000, "memory": 2_000_000, "io": 3_000_000}
        self.temperatures: tuple[float, ...] = (40.0, 55.5)
        self.battery = 80.0
        self.processes = 99
        self.broken: dict[str, Exception] = {}

    def all_cores(self) -> CoreTimes:
        """All cores together."""
        return self._answer("all_cores", self.total)

    def each_core(self) -> tuple[CoreTimes, ...]:
        """One entry per core."""
        return self._answer("each_core", self.cores)

    def load_1min(self) -> float:
        """Load average."""
        return self._answer("load_1min", self.load)

    def memory(self) -> Space:
        """Physical memory."""
        return self._answer("memory", self.memory_space)

    def swap(self) -> Space:
        """Swap."""
        return self._answer("swap", self.swap_space)

    def disk(self, path: str) -> Space:
        """The same file system for each path."""
        return self._answer("disk", self.disk_space)

    def disk_traffic(self) -> Traffic:
        """Disk counters."""
        return self._answer("disk_traffic", self.disk_bytes)

    def network_traffic(self) -> Traffic:
        """Network counters."""
        return self._answer("network_traffic", self.network_bytes)

    def pressure(self, resource: str) -> str:
        """A file in the kernel's format, some and full alike."""
        total = self.stalled_us[resource]
        text = f"some avg10=1.00 avg60=0.34 avg300=0.49 total={total}\nfull avg10=0.00 avg60=0.00 total={total}\n"
        return self._answer("pressure", text)

    def temperatures_celsius(self) -> tuple[float, ...]:
        """Thermal sensors."""
        return self._answer("temperatures_celsius", self.temperatures)

    def battery_percent(self) -> float:
        """Charge."""
        return self._answer("battery_percent", self.battery)

    def process_count(self) -> int:
        """Processes."""
        return self._answer("process_count", self.processes)

    def _answer(self, method: str, answer: Answer) -> Answer:
        if method in self.broken:
            raise self.broken[method]
        return answer


class Bench:
    """Sensors on a fake host and a fake clock, with the first reading already taken."""

    def __init__(self) -> None:
        self.host = FakeHost()
        self.clock = FakeClock(mono_s=100.0, utc_s=5000.0)
        self.sensors = HostSensors(disk_paths=("/data",), clock=self.clock, source=self.host)
        self.first = self.sensors.read()

    def after(self, seconds: float) -> HostSample:
        """The next sample, that much later."""
        self.clock.advance(seconds)
        return self.sensors.read()


@pytest.fixture
def bench() -> Bench:
    """A fresh fake host."""
    return Bench()


def names(sample: HostSample) -> list[str]:
    """The sensors of a sample, in order."""
    return [named.sensor for named in sample.readings]


def gap(reading: Reading) -> Gap:
    """A reading that has to be a gap."""
    assert isinstance(reading, Gap)
    return reading


def test_a_sample_holds_every_sensor_and_its_instant(bench: Bench) -> None:
    """All sensors are there from the first sample on, each core included, at the clock's time."""
    assert names(bench.first) == [*FIXED_SENSORS, "cpu_percent:core0", "cpu_percent:core1"]
    assert (bench.first.at_mono_s, bench.first.at_utc_s) == (100.0, 5000.0)
    assert names(bench.after(1.0)) == names(bench.first)


def test_levels_are_known_from_the_first_sample(bench: Bench) -> None:
    """What needs no difference is a number at once, in its unit."""
    first = bench.first

    assert first.reading("load_1min") == Sample(value=0.5)
    assert first.reading("memory_percent") == Sample(value=25.0)
    assert first.reading("memory_available_bytes") == Sample(value=750.0)
    assert first.reading("swap_percent") == Sample(value=10.0)
    assert first.reading("disk_percent:/data") == Sample(value=25.0)
    assert first.reading("disk_free_bytes:/data") == Sample(value=1500.0)
    assert first.reading("temperature_celsius_max") == Sample(value=55.5)
    assert first.reading("battery_percent") == Sample(value=80.0)
    assert first.reading("process_count") == Sample(value=99.0)


@pytest.mark.parametrize(
    "sensor",
    [
        "cpu_percent",
        "cpu_percent:core0",
        "disk_read_bytes_per_s",
        "disk_written_bytes_per_s",
        "network_received_bytes_per_s",
        "network_sent_bytes_per_s",
        "psi_cpu_some_percent",
        "psi_memory_full_percent",
        "psi_io_full_percent",
    ],
)
def test_rates_begin_with_a_gap(bench: Bench, sensor: str) -> None:
    """The first reading of a difference is FIRST_READING and never 0."""
    assert gap(bench.first.reading(sensor)).reason is GapReason.FIRST_READING


def test_differences_are_taken_over_the_time_between_two_samples(bench: Bench) -> None:
    """Shares and rates come from what changed since the sample before."""
    bench.host.total = CoreTimes(busy_s=101.0, idle_s=903.0)
    bench.host.cores = (CoreTimes(busy_s=61.0, idle_s=441.0), CoreTimes(busy_s=40.0, idle_s=462.0))
    bench.host.disk_bytes = Traffic(in_bytes=1400, out_bytes=2000)
    bench.host.network_bytes = Traffic(in_bytes=3000, out_bytes=5000)
    bench.host.stalled_us = {"cpu": 1_500_000, "memory": 2_000_000, "io": 3_100_000}
    second = bench.after(2.0)

    assert second.reading("cpu_percent") == Sample(value=25.0)
    assert second.reading("cpu_percent:core0") == Sample(value=50.0)
    assert second.reading("cpu_percent:core1") == Sample(value=0.0)
    assert second.reading("disk_read_bytes_per_s") == Sample(value=200.0)
    assert second.reading("disk_written_bytes_per_s") == Sample(value=0.0)
    assert second.reading("network_received_bytes_per_s") == Sample(value=0.0)
    assert second.reading("network_sent_bytes_per_s") == Sample(value=500.0)
    assert second.reading("psi_cpu_some_percent") == Sample(value=25.0)
    assert second.reading("psi_memory_full_percent") == Sample(value=0.0)
    assert second.reading("psi_io_full_percent") == Sample(value=5.0)


def test_shares_stay_between_0_and_100(bench: Bench) -> None:
    """A field of the kernel that steps back, or a stall counted late, does not make a share impossible."""
    bench.host.total = CoreTimes(busy_s=102.0, idle_s=899.9)
    bench.host.stalled_us["cpu"] += 1_100_000
    above = bench.after(1.0)
    bench.host.total = CoreTimes(busy_s=101.9, idle_s=901.0)
    below = bench.after(1.0)

    assert above.reading("cpu_percent") == Sample(value=100.0)
    assert above.reading("psi_cpu_some_percent") == Sample(value=100.0)
    assert below.reading("cpu_percent") == Sample(value=0.0)


def test_no_tick_and_no_time_are_gaps(bench: Bench) -> None:
    """Two readings within one tick of the CPU clock say nothing; the next one counts from the older."""
    again = bench.after(0.0)
    assert gap(again.reading("cpu_percent")).reason is GapReason.FAILED
    assert gap(again.reading("disk_read_bytes_per_s")).reason is GapReason.FAILED

    bench.host.total = CoreTimes(busy_s=101.0, idle_s=901.0)
    bench.host.disk_bytes = Traffic(in_bytes=1100, out_bytes=2000)
    later = bench.after(1.0)
    assert later.reading("cpu_percent") == Sample(value=50.0)
    assert later.reading("disk_read_bytes_per_s") == Sample(value=100.0)


def test_a_counter_that_goes_backwards_is_malformed_once(bench: Bench) -> None:
    """After a reset the rate is a gap, then it counts from the new value."""
    bench.host.network_bytes = Traffic(in_bytes=10, out_bytes=4000)
    reset = bench.after(1.0)
    assert gap(reset.reading("network_received_bytes_per_s")).reason is GapReason.MALFORMED
    assert reset.reading("network_sent_bytes_per_s") == Sample(value=0.0)

    bench.host.network_bytes = Traffic(in_bytes=30, out_bytes=4000)
    assert bench.after(1.0).reading("network_received_bytes_per_s") == Sample(value=20.0)


BREAKS: list[tuple[str, list[str]]] = [
    ("all_cores", ["cpu_percent"]),
    ("each_core", ["cpu_percent:core0", "cpu_percent:core1"]),
    ("load_1min", ["load_1min"]),
    ("memory", ["memory_percent", "memory_available_bytes"]),
    ("swap", ["swap_percent"]),
    ("disk", ["disk_percent:/data", "disk_free_bytes:/data"]),
    ("disk_traffic", ["disk_read_bytes_per_s", "disk_written_bytes_per_s"]),
    ("network_traffic", ["network_received_bytes_per_s", "network_sent_bytes_per_s"]),
    ("pressure", ["psi_cpu_some_percent", "psi_memory_full_percent", "psi_io_full_percent"]),
    ("temperatures_celsius", ["temperature_celsius_max"]),
    ("battery_percent", ["battery_percent"]),
    ("process_count", ["process_count"]),
]


@pytest.mark.parametrize(("method", "sensors"), BREAKS)
def test_a_broken_sensor_costs_its_own_readings_only(bench: Bench, method: str, sensors: list[str]) -> None:
    """Whatever one sensor raises, its readings are FAILED gaps and all others stay."""
    bench.host.broken[method] = RuntimeError("cable pulled")
    bench.host.total = CoreTimes(busy_s=101.0, idle_s=903.0)
    bench.host.cores = tuple(CoreTimes(busy_s=core.busy_s, idle_s=core.idle_s + 2) for core in bench.host.cores)
    sample = bench.after(2.0)

    assert names(sample) == names(bench.first)
    for named in sample.readings:
        if named.sensor in sensors:
            assert named.reading == Gap(reason=GapReason.FAILED, detail="RuntimeError: cable pulled")
        else:
            assert isinstance(named.reading, Sample), named


def test_a_rate_spans_the_time_of_its_failed_readings(bench: Bench) -> None:
    """After a sensor came back, its rate is taken over the whole gap, from when it was last read."""
    bench.host.broken["disk_traffic"] = OSError("busy")
    bench.after(1.0)
    bench.host.broken.clear()
    bench.host.disk_bytes = Traffic(in_bytes=1000, out_bytes=2800)

    assert bench.after(3.0).reading("disk_written_bytes_per_s") == Sample(value=200.0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AbsentSensorError("none here"), GapReason.ABSENT),
        (FileNotFoundError(errno.ENOENT, "gone"), GapReason.ABSENT),
        (NotImplementedError("not on this platform"), GapReason.ABSENT),
        (AttributeError("module 'psutil' has no attribute 'sensors_battery'"), GapReason.ABSENT),
        (OSError(errno.EOPNOTSUPP, "switched off"), GapReason.ABSENT),
        (PermissionError(errno.EACCES, "no"), GapReason.DENIED),
        (psutil.AccessDenied(1), GapReason.DENIED),
        (OSError(errno.EIO, "broken"), GapReason.FAILED),
        (ValueError("what"), GapReason.FAILED),
    ],
)
def test_the_kind_of_error_tells_the_reason(bench: Bench, error: Exception, reason: GapReason) -> None:
    """Absent, denied and failed are told apart, with the error's words in bounded length."""
    bench.host.broken["battery_percent"] = error
    found = gap(bench.after(1.0).reading("battery_percent"))

    assert found.reason is reason
    assert 0 < len(found.detail) <= 200


def test_long_errors_are_cut(bench: Bench) -> None:
    """A gap's text is stored with each sample, so it is short."""
    bench.host.broken["battery_percent"] = ValueError("x" * 10_000)

    assert len(gap(bench.after(1.0).reading("battery_percent")).detail) == 200


@pytest.mark.parametrize(
    ("attribute", "value", "sensor", "reason"),
    [
        ("swap_space", Space(total_bytes=0, used_bytes=0, available_bytes=0), "swap_percent", GapReason.ABSENT),
        ("temperatures", (), "temperature_celsius_max", GapReason.ABSENT),
        ("temperatures", (math.nan, math.inf), "temperature_celsius_max", GapReason.MALFORMED),
        ("load", math.nan, "load_1min", GapReason.MALFORMED),
        ("battery", math.inf, "battery_percent", GapReason.MALFORMED),
        ("total", CoreTimes(busy_s=math.nan, idle_s=1.0), "cpu_percent", GapReason.MALFORMED),
        ("total", CoreTimes(busy_s=1.0, idle_s=math.inf), "cpu_percent", GapReason.MALFORMED),
    ],
)
def test_what_is_not_there_or_not_a_number_is_a_gap(
    bench: Bench, attribute: str, value: object, sensor: str, reason: GapReason
) -> None:
    """An unconfigured swap is not 0 % used; NaN is not a temperature."""
    setattr(bench.host, attribute, value)

    assert gap(bench.after(1.0).reading(sensor)).reason is reason


def test_one_bad_thermometer_does_not_hide_the_others(bench: Bench) -> None:
    """The hottest finite reading counts."""
    bench.host.temperatures = (math.nan, 61.0, 30.0)

    assert bench.after(1.0).reading("temperature_celsius_max") == Sample(value=61.0)


def test_cores_that_come_and_go_start_anew(bench: Bench) -> None:
    """When the number of cores changes, indices may name other cores: no share is taken across the change."""
    bench.host.cores = (CoreTimes(busy_s=50.0, idle_s=470.0),)
    fewer = bench.after(1.0)
    assert gap(fewer.reading("cpu_percent:core0")).reason is GapReason.FIRST_READING
    assert gap(fewer.reading("cpu_percent:core1")).reason is GapReason.ABSENT

    bench.host.cores = (CoreTimes(busy_s=51.0, idle_s=470.0), CoreTimes(busy_s=500.0, idle_s=1.0))
    more = bench.after(1.0)
    assert gap(more.reading("cpu_percent:core0")).reason is GapReason.FIRST_READING
    assert gap(more.reading("cpu_percent:core1")).reason is GapReason.FIRST_READING


class OddPressure(FakeHost):
    """A host whose pressure files hold any text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def pressure(self, resource: str) -> str:
        """The text, for each resource."""
        return self.text


@given(
    st.one_of(
        st.text(max_size=200),
        st.sampled_from(["", "some", "full total=", "some total=x", "some avg10=1 total=-5", "some total=1.5"]),
    )
)
def test_a_pressure_file_of_any_content_is_a_gap(text: str) -> None:
    """What is not the kernel's format is MALFORMED, and nothing is raised."""
    sensors = HostSensors(disk_paths=(), clock=FakeClock(), source=OddPressure(text))

    assert gap(sensors.read().reading("psi_cpu_some_percent")).reason in {GapReason.MALFORMED, GapReason.FIRST_READING}


def test_a_path_is_watched_once() -> None:
    """The same path given twice is one sensor."""
    sensors = HostSensors(disk_paths=("/a", "/b", "/a"), clock=FakeClock(), source=FakeHost())

    disks = [name for name in names(sensors.read()) if name.startswith("disk_percent:")]
    assert disks == ["disk_percent:/a", "disk_percent:/b"]


def test_this_host_can_be_read() -> None:
    """On the machine that runs the tests memory, load, processes and the root file system are known and plausible."""
    sensors = HostSensors(disk_paths=("/", "/no/such/path"), clock=SystemClock())
    sample = sensors.read()

    for sensor in ("memory_percent", "disk_percent:/"):
        reading = sample.reading(sensor)
        assert isinstance(reading, Sample)
        assert 0.0 < reading.value < 100.0
    assert isinstance(sample.reading("load_1min"), Sample)
    processes = sample.reading("process_count")
    assert isinstance(processes, Sample)
    assert processes.value >= 1
    assert gap(sample.reading("disk_percent:/no/such/path")).reason is GapReason.ABSENT
    assert gap(sample.reading("cpu_percent")).reason is GapReason.FIRST_READING
