"""Sampling on a steady schedule, in a thread and as a program."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.clock import FakeClock, SystemClock
from baseline_metrics.codec import from_json_value
from baseline_metrics.resource_monitor import (
    PERIOD_S_MAX,
    PERIOD_S_MIN,
    MonitorError,
    MonitorFault,
    NoFault,
    NoSampleYet,
    ResourceMonitor,
    main,
    next_tick,
    plain_line,
)
from baseline_metrics.samples import Gap, GapReason, HostSample, NamedReading, Sample
from baseline_metrics.sensors import HostSensors

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "baseline_metrics/resource_monitor.py"
HANG_S = 60.0


class FakeSensors(HostSensors):
    """Sensors without readings that take a scripted time, one entry per reading."""

    def __init__(self, clock: FakeClock, durations_s: list[float]) -> None:
        super().__init__(disk_paths=(), clock=clock)
        self._fake_clock = clock
        self._durations_s = durations_s

    def read(self) -> HostSample:
        """An empty sample of the instant at which reading began."""
        sample = HostSample(at_mono_s=self._fake_clock.mono_s(), at_utc_s=0.0, readings=())
        self._fake_clock.advance(self._durations_s.pop(0))
        return sample


class Run:
    """A monitor driven on a fake clock for a number of samples, without a thread."""

    def __init__(self, durations_s: list[float], *, period_s: float = 1.0) -> None:
        self.clock = FakeClock(mono_s=0.0)
        self.seen: list[float] = []
        self.breaks_at_mono_s: set[float] = set()
        self.count = len(durations_s)
        self.waits = 0
        self.monitor = ResourceMonitor(
            sensors=FakeSensors(self.clock, durations_s),
            on_sample=self.receive,
            clock=self.clock,
            period_s=period_s,
        )

    def receive(self, sample: HostSample) -> None:
        """Remember when a sample was taken; raises at the instants of ``breaks_at_mono_s``."""
        if sample.at_mono_s in self.breaks_at_mono_s:
            raise RuntimeError(f"no room at {sample.at_mono_s}")
        self.seen.append(sample.at_mono_s)

    def go(self) -> None:
        """Sample until the scripted durations are used up."""
        self.monitor.sample_until(self.wait)

    def wait(self, seconds: float) -> bool:
        """Advance the clock as threading.Event.wait would let time pass."""
        self.clock.advance(seconds)
        self.waits += 1
        return self.waits >= self.count


def test_samples_do_not_drift() -> None:
    """However long a reading takes within its period, the next one starts on the grid."""
    run = Run([0.0, 0.3, 0.9, 0.1, 0.0])
    run.go()

    assert run.seen == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert run.monitor.samples == 5
    assert run.monitor.skipped == 0


def test_ticks_that_passed_are_skipped_and_counted() -> None:
    """A reading of 3.5 periods costs two ticks; the late one is taken at once, the next one is on the grid again."""
    run = Run([0.0, 3.5, 0.2, 0.0])
    run.go()

    assert run.seen == [0.0, 1.0, 4.5, 5.0]
    assert run.monitor.skipped == 2


@given(
    st.floats(0.0, 1e6),
    st.floats(PERIOD_S_MIN, PERIOD_S_MAX),
    st.integers(0, 10_000),
    st.floats(0.0, 1e4),
)
def test_the_next_tick_is_later_and_not_over(start: float, period: float, index: int, late: float) -> None:
    """It follows the last one, lies on the grid, and the tick after it has not come yet."""
    now = start + index * period + late
    tick = next_tick(start_mono_s=start, period_s=period, after_index=index, now_mono_s=now)

    assert tick.index > index
    assert tick.skipped == tick.index - index - 1
    assert tick.at_mono_s == start + tick.index * period
    assert tick.at_mono_s + period > now - 1e-6


@pytest.mark.parametrize("period_s", [0.0, -1.0, PERIOD_S_MIN - 0.001, PERIOD_S_MAX + 0.001])
def test_periods_outside_the_range_are_refused(period_s: float) -> None:
    """Below 0.1 s and above 60 s a sample means little."""
    with pytest.raises(MonitorError, match=r"write 0\.1 s to 60 s"):
        Run([], period_s=period_s)


@pytest.mark.parametrize("period_s", [PERIOD_S_MIN, PERIOD_S_MAX])
def test_the_ends_of_the_range_are_accepted(period_s: float) -> None:
    """0.1 s and 60 s are fine."""
    run = Run([0.0, 0.0], period_s=period_s)
    run.go()

    assert run.seen == pytest.approx([0.0, period_s])


def test_before_the_first_sample_there_is_none() -> None:
    """Nothing read, nothing broken, nothing running: said in so many words."""
    run = Run([0.0])

    assert run.monitor.latest == NoSampleYet()
    assert run.monitor.fault == NoFault()
    assert not run.monitor.is_alive


def test_an_error_of_the_callback_is_kept_and_sampling_goes_on() -> None:
    """The first error is visible with its traceback, all are counted, and later samples are still delivered."""
    run = Run([0.0, 0.0, 0.0, 0.0])
    run.breaks_at_mono_s = {1.0, 2.0}
    run.go()

    fault = run.monitor.fault
    assert isinstance(fault, MonitorFault)
    assert fault.at_mono_s == 1.0
    assert fault.error == "RuntimeError: no room at 1.0"
    assert "in receive" in fault.traceback
    assert run.monitor.faults == 2
    assert run.seen == [0.0, 3.0]
    assert run.monitor.samples == 4


def test_an_error_of_the_sensors_is_kept_too() -> None:
    """Sensors that raise (they should not) are a visible fault and no sample."""
    run = Run([])
    run.count = 1
    run.go()

    fault = run.monitor.fault
    assert isinstance(fault, MonitorFault)
    assert "IndexError" in fault.error
    assert run.monitor.samples == 0
    assert run.monitor.latest == NoSampleYet()


@pytest.mark.process
def test_a_thread_samples_until_it_is_stopped() -> None:
    """Real samples arrive from a thread; stop ends it within its limit and can be called again."""
    clock = SystemClock()
    enough = threading.Event()
    seen: list[HostSample] = []

    def receive(sample: HostSample) -> None:
        seen.append(sample)
        if len(seen) == 3:
            enough.set()

    monitor = ResourceMonitor(
        sensors=HostSensors(disk_paths=("/",), clock=clock), on_sample=receive, clock=clock, period_s=0.1
    )
    monitor.start()
    assert enough.wait(HANG_S)
    assert monitor.is_alive
    assert monitor.stop(HANG_S)
    count = len(seen)

    assert not monitor.is_alive
    assert monitor.stop(0.0)
    assert len(seen) == count
    assert monitor.latest == seen[-1]
    assert monitor.fault == NoFault()
    assert isinstance(seen[1].reading("cpu_percent"), Sample)


@pytest.mark.process
def test_a_stop_is_immediate_in_a_long_period() -> None:
    """The wait between samples can be interrupted: a period of a minute does not delay the end."""
    clock = SystemClock()
    first = threading.Event()
    monitor = ResourceMonitor(
        sensors=HostSensors(disk_paths=(), clock=clock),
        on_sample=lambda _sample: first.set(),
        clock=clock,
        period_s=60.0,
    )
    monitor.start()
    assert first.wait(HANG_S)
    begun = clock.mono_s()

    assert monitor.stop(30.0)
    assert clock.mono_s() - begun < 30.0


@pytest.mark.process
def test_a_callback_that_hangs_is_reported_by_stop() -> None:
    """Stopping does not wait for ever, and says that the thread is still there."""
    clock = SystemClock()
    entered, leave = threading.Event(), threading.Event()

    def hang(_sample: HostSample) -> None:
        entered.set()
        leave.wait(HANG_S)

    monitor = ResourceMonitor(sensors=HostSensors(disk_paths=(), clock=clock), on_sample=hang, clock=clock)
    monitor.start()
    assert entered.wait(HANG_S)

    assert not monitor.stop(0.05)
    leave.set()
    assert monitor.stop(HANG_S)


def test_stopping_what_never_started_is_fine() -> None:
    """A supervisor that fails early may stop everything it made."""
    assert Run([0.0]).monitor.stop(1.0)


def test_a_plain_line_shows_numbers_and_says_unknown() -> None:
    """A gap reads "unknown", never 0."""
    sample = HostSample(
        at_mono_s=0.0,
        at_utc_s=0.0,
        readings=(
            NamedReading(sensor="cpu_percent", reading=Gap(reason=GapReason.FIRST_READING)),
            NamedReading(sensor="memory_percent", reading=Sample(value=41.25)),
            NamedReading(sensor="memory_available_bytes", reading=Sample(value=float(3 << 30))),
        ),
    )
    line = plain_line(sample, disk_paths=("/data",))

    assert "cpu unknown" in line
    assert "memory 41.2 %" in line
    assert "available 3 GiB" in line
    assert "disk /data unknown" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--period", "5"], 'write "30min"'),
        (["--period", "10ms"], "write 0.1 s to 60 s"),
        (["--period", "2min"], "write 0.1 s to 60 s"),
        (["--count", "-1"], "--count: write 0 or more"),
        (["--count", "x"], "--count"),
        (["--frequency", "1"], "unrecognized"),
    ],
)
def test_usage_errors_exit_2_with_what_to_write(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """A wrong option is explained before anything is read."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.process
def test_it_runs_alone_and_ends_after_its_count() -> None:
    """Started as a file from the root it prints as many lines as asked, and nothing on stderr."""
    ended = subprocess.run(
        [sys.executable, SCRIPT, "--count", "2", "--period", "100ms", "--disk", "/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    first, second = ended.stdout.splitlines()
    assert "cpu unknown" in first
    assert "cpu unknown" not in second


@pytest.mark.process
def test_its_json_lines_are_samples() -> None:
    """Each line is a document with a schema version and a sample that reads back."""
    ended = subprocess.run(
        [sys.executable, SCRIPT, "--count", "2", "--period", "100ms", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=True,
    )

    for line in ended.stdout.splitlines():
        document = json.loads(line)
        assert document["schema_version"] == 1
        assert isinstance(from_json_value(HostSample, document["sample"]).reading("memory_percent"), Sample)


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly_on_a_signal(number: signal.Signals) -> None:
    """Ctrl-C is the normal end of watching: exit 0, no traceback, also in a long period."""
    with subprocess.Popen(
        [sys.executable, SCRIPT, "--period", "1min"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "memory" in process.stdout.readline()
        process.send_signal(number)
        _, errors = process.communicate(timeout=HANG_S)

    assert (process.returncode, errors) == (0, "")


@pytest.mark.process
def test_it_ends_quietly_when_nobody_reads_any_more() -> None:
    """Piped into ``head`` it ends without a traceback."""
    with subprocess.Popen(
        [sys.executable, SCRIPT, "--period", "100ms"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(HANG_S) == 0

    assert errors == ""
