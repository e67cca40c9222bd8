"""What the night starts from: the idle host's means and noise, the target at a small load, and a health score of both.

Summarising is pure and the supervisor calls it with the samples of its own monitor. Alone it measures by itself:
``python3 baseline_metrics/baseline_collector.py --seconds 10 --target http://127.0.0.1:8000/``.
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
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from baseline_metrics import estimates
from baseline_metrics.anchor_probe import ProbeError, ProbeTarget, probe, probe_target
from baseline_metrics.clock import Clock, SystemClock
from baseline_metrics.codec import to_json_value
from baseline_metrics.health import (
    ACCEPTABLE_MIN,
    BaselineInputs,
    Health,
    KnownScore,
    Score,
    UnknownScore,
    baseline_health,
    health_band,
)
from baseline_metrics.samples import Gap, GapReason, HostSample, Reading, Sample
from baseline_metrics.sensors import HostSensors
from baseline_metrics.units import UnitError, format_duration, parse_duration_s

COVERAGE_PERCENT_MIN = 95.0
"""Of the expected readings; a mean over fewer may have missed exactly the minutes that matter."""

NOISE_FLOORS = {
    "cpu_percent": 5.0,  # at a second's period one tick of one core is 1 %: below five it is rounding
    "memory_percent": 1.0,
    "process_count": 1.0,
    "disk_read_bytes_per_s": 1_048_576.0,  # below 1 MiB/s a single write-back makes the whole mean
    "disk_written_bytes_per_s": 1_048_576.0,
    "network_received_bytes_per_s": 1_048_576.0,
    "network_sent_bytes_per_s": 1_048_576.0,
}
"""Sensors whose relative spread has a meaning, and the mean from which it has. Left out: what has no true zero (degrees),
what is smoothed by the kernel (load average), and what hardly moves (free space)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorMeasurement:
    """What came of the anchor load. response_s_mean: of successes, seconds; a gap when nothing succeeded."""

    operations_succeeded: int
    operations_failed: int
    response_s_mean: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleSummary:
    """The idle host. Each sensor is in ``means`` (in its unit) or in ``gaps`` (why not).

    noise_cv: coefficient of variation, a share, of the sensors for which it has a meaning. seconds: first to last sample.
    """

    samples: int
    seconds: float
    means: dict[str, float]
    noise_cv: dict[str, float]
    gaps: dict[str, str]

    def reading(self, sensor: str) -> Reading:
        """A sensor's mean, or the gap in its place."""
        if sensor in self.means:
            return Sample(value=self.means[sensor])
        return Gap(reason=GapReason.ABSENT, detail=self.gaps.get(sensor, f"no sensor named {sensor}"))

    def fullest_disk_percent(self) -> Reading:
        """The highest mean of all watched file systems; a gap as soon as one of them is unknown."""
        sensors = [name for name in (*self.means, *self.gaps) if name.startswith("disk_percent:")]
        readings = [self.reading(name) for name in sensors]
        gaps = [reading for reading in readings if isinstance(reading, Gap)]
        if gaps:
            return gaps[0]
        values = [reading.value for reading in readings if isinstance(reading, Sample)]
        return Sample(value=max(values)) if values else Gap(reason=GapReason.ABSENT, detail="no disk path is watched")

    def median_noise_cv(self) -> Reading:
        """The median of noise_cv: one restless sensor is a fact, a restless median is a restless host."""
        return estimates.median(tuple(self.noise_cv.values()))


def summarise_idle(samples: Sequence[HostSample]) -> IdleSummary:
    """Means, spreads and gaps of the samples of an idle host, in order of time.

    A sensor needs COVERAGE_PERCENT_MIN of the expected readings. A FIRST_READING gap in the first sample is not expected
    to be a number: that is how rates begin.
    """
    readings_of: dict[str, list[Reading]] = {}
    for sample in samples:
        for named in sample.readings:
            readings_of.setdefault(named.sensor, [])
    for sensor, readings in readings_of.items():
        readings.extend(sample.reading(sensor) for sample in samples)
    means: dict[str, float] = {}
    noise_cv: dict[str, float] = {}
    gaps: dict[str, str] = {}
    for sensor, readings in readings_of.items():
        values = _covered_values(readings)
        middle = values if isinstance(values, Gap) else estimates.mean(values)
        match middle:
            case Gap(reason=reason, detail=detail):
                gaps[sensor] = detail or reason.value
                continue
            case Sample(value=mean):
                means[sensor] = mean
        if sensor in NOISE_FLOORS and mean >= NOISE_FLOORS[sensor] and not isinstance(values, Gap):
            match estimates.coefficient_of_variation(values):
                case Sample(value=spread):
                    noise_cv[sensor] = spread
                case Gap():
                    pass  # fewer than two readings have no spread
    seconds = samples[-1].at_mono_s - samples[0].at_mono_s if samples else 0.0
    return IdleSummary(samples=len(samples), seconds=seconds, means=means, noise_cv=noise_cv, gaps=gaps)


def baseline_inputs(
    idle: IdleSummary, anchor: AnchorMeasurement, *, response_s_slo: float, response_s_limit: float
) -> BaselineInputs:
    """What ``health.baseline_health`` needs, from the idle host and the anchor load. SLO and limit in seconds."""
    return BaselineInputs(
        memory_percent=idle.reading("memory_percent"),
        cpu_percent=idle.reading("cpu_percent"),
        disk_percent=idle.fullest_disk_percent(),
        operations_succeeded=anchor.operations_succeeded,
        operations_failed=anchor.operations_failed,
        response_s_mean=anchor.response_s_mean,
        response_s_slo=response_s_slo,
        response_s_limit=response_s_limit,
        noise_cv=idle.median_noise_cv(),
    )


def _covered_values(readings: Sequence[Reading]) -> tuple[float, ...] | Gap:
    starts_as_rate = isinstance(readings[0], Gap) and readings[0].reason is GapReason.FIRST_READING
    expected = readings[1:] if starts_as_rate else readings
    if not expected:
        return Gap(reason=GapReason.FIRST_READING, detail="a single sample: a rate needs two")
    values = tuple(reading.value for reading in expected if isinstance(reading, Sample))
    coverage_percent = 100.0 * len(values) / len(expected)
    if coverage_percent >= COVERAGE_PERCENT_MIN:
        return values
    why, _ = Counter(
        reading.detail or reading.reason.value for reading in expected if isinstance(reading, Gap)
    ).most_common(1)[0]
    if not values:
        return Gap(reason=GapReason.ABSENT, detail=why)
    return Gap(reason=GapReason.FAILED, detail=f"only {coverage_percent:.0f} % of its readings are there: {why}")


# Alone ------------------------------------------------------------------------------------------------------------

SECONDS_MIN = 1.0
SECONDS_MAX = 3_600.0
"""An hour of a quiet host tells no more than ten minutes."""
SAMPLE_PERIOD_S = 0.5
RESPONSE_S_SLO = 0.5
RESPONSE_S_LIMIT = 2.0
"""The mean response time that the level "low" of the default plan allows."""

EXIT_HEALTHY = 0
EXIT_BELOW = 1
EXIT_USAGE = 2
EXIT_UNKNOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NoTarget:
    """Only the host is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineMeasurement:
    """All that one run of this module found. failures: why operations failed, each reason once."""

    idle: IdleSummary
    anchor: AnchorMeasurement
    failures: tuple[str, ...]
    health: Health


def sample_idle(*, sensors: HostSensors, clock: Clock, seconds: float, period_s: float) -> tuple[HostSample, ...]:
    """Samples of ``seconds``, one every ``period_s`` from now on, both ends included."""
    begun_mono_s = clock.mono_s()
    samples = [sensors.read()]
    for index in range(1, math.floor(seconds / period_s) + 1):
        clock.sleep(max(0.0, begun_mono_s + index * period_s - clock.mono_s()))
        samples.append(sensors.read())
    return tuple(samples)


def measure_baseline(
    *, sensors: HostSensors, clock: Clock, seconds: float, target: ProbeTarget | NoTarget
) -> BaselineMeasurement:
    """Measure the idle host first, then the target, so that the load does not count as the host's own."""
    idle = summarise_idle(sample_idle(sensors=sensors, clock=clock, seconds=seconds, period_s=SAMPLE_PERIOD_S))
    match target:
        case NoTarget():
            response_s: tuple[float, ...] = ()
            failures: tuple[str, ...] = ()
        case ProbeTarget():
            outcome = probe(target, clock=clock)
            response_s, failures = outcome.response_s, outcome.failures
        case _:
            assert_never(target)
    anchor = AnchorMeasurement(
        operations_succeeded=len(response_s),
        operations_failed=len(failures),
        response_s_mean=estimates.mean(response_s),
    )
    inputs = baseline_inputs(idle, anchor, response_s_slo=RESPONSE_S_SLO, response_s_limit=RESPONSE_S_LIMIT)
    return BaselineMeasurement(
        idle=idle,
        anchor=anchor,
        failures=tuple(dict.fromkeys(failures)),
        health=baseline_health(inputs, at_mono_s=clock.mono_s()),
    )


def exit_code(score: Score) -> int:
    """0 healthy enough to start, 1 below, 3 unknown."""
    match score:
        case UnknownScore():
            return EXIT_UNKNOWN
        case KnownScore(value=value):
            return EXIT_HEALTHY if value >= ACCEPTABLE_MIN else EXIT_BELOW


def plain_text(measurement: BaselineMeasurement) -> str:
    """The measurement for people: the score, its parts, why operations failed, what could not be read."""
    health, idle = measurement.health, measurement.idle
    lines = [
        f"Health  {_score_words(health.score)}  ({health_band(health.score).value.replace('_', ' ')})",
        f"Idle    {idle.samples} samples over {format_duration(idle.seconds)}",
        "",
    ]
    lines += [
        f"  {part.name:<13} {part.weight:>3.0f} %  {_score_words(part.score):<8} {part.detail}" for part in health.parts
    ]
    lines += [f"  failed: {failure}" for failure in measurement.failures]
    if idle.gaps:
        lines += ["", "Not measured", *(f"  {sensor}: {why}" for sensor, why in idle.gaps.items())]
    match health.score:
        case UnknownScore(reason=reason):
            lines += ["", f"The score is unknown: {reason}."]
        case KnownScore():
            pass
    return "\n".join(lines)


def _score_words(score: Score) -> str:
    match score:
        case KnownScore(value=value):
            return f"{value:.1f}"
        case UnknownScore():
            return "unknown"


def main(arguments: Sequence[str]) -> int:
    """Measure once and print. Exit codes: 0 healthy (70 and more), 1 below, 2 usage, 3 unknown."""
    parser = argparse.ArgumentParser(
        prog="baseline_collector.py",
        description="Measure the idle host, and with --target a small load on a target; print a health score.",
    )
    parser.add_argument("--seconds", default="10", metavar="N", help='how long to watch the idle host: "10" or "2min"')
    parser.add_argument("--target", default="", metavar="URL", help="loopback or private; it gets 20 GET requests")
    parser.add_argument(
        "--disk", action="append", default=[], metavar="PATH", help="a file system to watch (default /)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    chosen = parser.parse_args(arguments)
    try:
        seconds = _seconds(chosen.seconds)
        target = probe_target(chosen.target) if chosen.target else NoTarget()
    except (UnitError, ProbeError) as error:
        parser.error(str(error))
    clock = SystemClock()
    sensors = HostSensors(disk_paths=tuple(chosen.disk) or ("/",), clock=clock)
    measurement = measure_baseline(sensors=sensors, clock=clock, seconds=seconds, target=target)
    if chosen.json:
        sys.stdout.write(json.dumps({"schema_version": 1, "baseline": to_json_value(measurement)}, indent=2) + "\n")
    else:
        sys.stdout.write(plain_text(measurement) + "\n")
        if isinstance(target, NoTarget):
            sys.stdout.write('Add --target "http://127.0.0.1:8000/" to measure a target as well.\n')
    return exit_code(measurement.health.score)


def _seconds(text: str) -> float:
    seconds = float(text) if text.replace(".", "", 1).isdecimal() else parse_duration_s(text)
    if not SECONDS_MIN <= seconds <= SECONDS_MAX:
        raise UnitError(f'--seconds {text}: write "{SECONDS_MIN:.0f}" to "{SECONDS_MAX:.0f}"')
    return seconds


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
