"""Samples the host's sensors on a steady schedule and hands each sample to a callback.

In a thread of its own, because the sample rate must not depend on what the supervisor is busy with. The schedule does
not drift: a slow reading skips ticks, which are counted, and never shifts the later ones. Runs in the supervisor, and
alone: ``python3 baseline_metrics/resource_monitor.py --period 5s`` prints one line per sample.
"""

import importlib.util
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file, this folder stands on the path instead of the root
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    if importlib.util.find_spec("psutil") is None:
        sys.stderr.write("psutil is not installed for this Python: use .venv/bin/python3, or install the project.\n")
        sys.exit(2)

import argparse
import json
import math
import os
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from baseline_metrics.clock import Clock, SystemClock
from baseline_metrics.codec import to_json_value
from baseline_metrics.samples import Gap, HostSample, Reading, Sample
from baseline_metrics.sensors import HostSensors
from baseline_metrics.units import UnitError, format_bytes, format_percent, parse_duration_s

PERIOD_S_MIN = 0.1
"""The CPU clock ticks every 10 ms: below ten ticks a share of CPU time is mostly rounding."""
PERIOD_S_MAX = 60.0
"""Beyond a minute a night's plot has holes that hide a whole phase's ramp."""
PERIOD_S_DEFAULT = 1.0

_TRACEBACK_CHARACTERS_MAX = 8_192


class MonitorError(ValueError):
    """A period outside the range that gives meaningful samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSampleYet:
    """Nothing has been read so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoFault:
    """Every reading so far was handed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorFault:
    """The first error of the sensors or of the callback. It is our bug or the receiver's; sampling went on."""

    at_mono_s: float
    error: str
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """When to sample next. index: 0 is the start; skipped: ticks that passed unused before this one."""

    index: int
    at_mono_s: float
    skipped: int


def next_tick(*, start_mono_s: float, period_s: float, after_index: int, now_mono_s: float) -> Tick:
    """The first tick of the schedule start + n * period that is later than ``after_index`` and not yet over.

    A tick is over when the one after it is due: a reading that starts a little late still counts for its tick.
    """
    due = math.floor((now_mono_s - start_mono_s) / period_s)
    index = max(after_index + 1, due)
    return Tick(index=index, at_mono_s=start_mono_s + index * period_s, skipped=index - after_index - 1)


class ResourceMonitor:
    """A thread that samples until it is stopped. Start it once; all methods may be called from any thread.

    ``on_sample`` runs in the monitor's thread and should only hand over (put into a bounded queue); an error of it is
    kept in ``fault`` and counted, and sampling goes on. The thread is a daemon: a sensor that hangs in the kernel does
    not keep the process alive.
    """

    def __init__(
        self,
        *,
        sensors: HostSensors,
        on_sample: Callable[[HostSample], None],
        clock: Clock,
        period_s: float = PERIOD_S_DEFAULT,
    ) -> None:
        if not PERIOD_S_MIN <= period_s <= PERIOD_S_MAX:
            raise MonitorError(f"a sample every {period_s:g} s: write {PERIOD_S_MIN:g} s to {PERIOD_S_MAX:g} s")
        self._sensors = sensors
        self._on_sample = on_sample
        self._clock = clock
        self._period_s = period_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="resource-monitor", daemon=True)
        self._latest: HostSample | NoSampleYet = NoSampleYet()
        self._fault: MonitorFault | NoFault = NoFault()
        self._samples = 0
        self._skipped = 0
        self._faults = 0

    @property
    def latest(self) -> HostSample | NoSampleYet:
        """The newest sample; its at_mono_s tells how old it is."""
        return self._latest

    @property
    def fault(self) -> MonitorFault | NoFault:
        """The first error, if there was one."""
        return self._fault

    @property
    def samples(self) -> int:
        """Samples taken."""
        return self._samples

    @property
    def skipped(self) -> int:
        """Ticks without a sample because the one before took too long."""
        return self._skipped

    @property
    def faults(self) -> int:
        """Errors so far, of the sensors and of the callback."""
        return self._faults

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Take the first sample now and the others by schedule, in a thread of its own."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Ask the thread to end and wait for it, at most so long. False: it hangs in a sensor or in the callback."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def sample_until(self, wait: Callable[[float], bool]) -> None:
        """The thread's loop: sample on schedule until ``wait(seconds)`` says True, as threading.Event.wait does."""
        start_mono_s = self._clock.mono_s()
        index = 0
        while True:
            self._sample_once()
            tick = next_tick(
                start_mono_s=start_mono_s,
                period_s=self._period_s,
                after_index=index,
                now_mono_s=self._clock.mono_s(),
            )
            self._skipped += tick.skipped
            index = tick.index
            if wait(max(0.0, tick.at_mono_s - self._clock.mono_s())):
                return

    def _run(self) -> None:
        self.sample_until(self._stopping.wait)

    def _sample_once(self) -> None:
        try:
            sample = self._sensors.read()
            self._latest = sample
            self._samples += 1
            self._on_sample(sample)
        except Exception as error:  # noqa: BLE001 - kept, counted and visible; the next sample may work
            self._faults += 1
            if isinstance(self._fault, NoFault):
                self._fault = MonitorFault(
                    at_mono_s=self._clock.mono_s(),
                    error=f"{type(error).__name__}: {error}",
                    traceback=traceback.format_exc()[-_TRACEBACK_CHARACTERS_MAX:],
                )


# Alone ------------------------------------------------------------------------------------------------------------


def plain_line(sample: HostSample, *, disk_paths: Sequence[str]) -> str:
    """One sample as a line for people, local time first; a gap reads "unknown"."""
    local_time = datetime.fromtimestamp(sample.at_utc_s).astimezone()
    fields = [
        f"{local_time:%H:%M:%S}",
        f"cpu {_shown(sample.reading('cpu_percent'), format_percent)}",
        f"load {_shown(sample.reading('load_1min'), lambda value: f'{value:.2f}')}",
        f"memory {_shown(sample.reading('memory_percent'), format_percent)}",
        f"available {_shown(sample.reading('memory_available_bytes'), format_bytes)}",
        *(f"disk {path} {_shown(sample.reading(f'disk_percent:{path}'), format_percent)}" for path in disk_paths),
        f"stalled cpu {_shown(sample.reading('psi_cpu_some_percent'), format_percent)}",
        f"io {_shown(sample.reading('psi_io_full_percent'), format_percent)}",
        f"received {_shown(sample.reading('network_received_bytes_per_s'), format_bytes)}/s",
        f"sent {_shown(sample.reading('network_sent_bytes_per_s'), format_bytes)}/s",
        f"processes {_shown(sample.reading('process_count'), lambda value: f'{value:.0f}')}",
    ]
    return "  ".join(fields)


def json_line(sample: HostSample) -> str:
    """One sample as a JSON document."""
    return json.dumps({"schema_version": 1, "sample": to_json_value(sample)}, separators=(",", ":"))


def _shown(reading: Reading, form: Callable[[float], str]) -> str:
    match reading:
        case Sample(value=value):
            return form(value)
        case Gap():
            return "unknown"
        case _:
            assert_never(reading)


def main(arguments: Sequence[str]) -> int:
    """Print samples until --count or Ctrl-C. Exit codes: 0 done, 2 usage, 70 our own fault."""
    parser = argparse.ArgumentParser(
        prog="resource_monitor.py", description="Print this host's sensors, one line per sample, until Ctrl-C."
    )
    parser.add_argument("--period", default="1s", help='time between samples, such as "500ms" or "5s" (100ms to 1min)')
    parser.add_argument("--count", type=int, default=0, metavar="N", help="end after N samples; 0 goes on until Ctrl-C")
    parser.add_argument(
        "--disk", action="append", default=[], metavar="PATH", help="a file system to watch (default /)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document per line")
    chosen = parser.parse_args(arguments)
    disk_paths: tuple[str, ...] = tuple(chosen.disk) or ("/",)
    if chosen.count < 0:
        parser.error("--count: write 0 or more")
    done = threading.Event()
    signal.signal(signal.SIGINT, lambda _number, _frame: done.set())
    signal.signal(signal.SIGTERM, lambda _number, _frame: done.set())
    printed = 0

    def show(sample: HostSample) -> None:
        nonlocal printed
        try:
            sys.stdout.write((json_line(sample) if chosen.json else plain_line(sample, disk_paths=disk_paths)) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:  # the reader has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            done.set()
        printed += 1
        if printed == chosen.count:
            done.set()

    clock = SystemClock()
    try:
        monitor = ResourceMonitor(
            sensors=HostSensors(disk_paths=disk_paths, clock=clock),
            on_sample=show,
            clock=clock,
            period_s=parse_duration_s(chosen.period),
        )
    except (UnitError, MonitorError) as error:
        parser.error(f"--period: {error}")
    monitor.sample_until(done.wait)
    match monitor.fault:
        case MonitorFault() as fault:
            sys.stderr.write(fault.traceback)
            return 70
        case NoFault():
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
