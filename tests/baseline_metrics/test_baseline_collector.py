"""The idle host summarised, the baseline's inputs, and the program that measures by itself."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.baseline_collector import (
    AnchorMeasurement,
    IdleSummary,
    baseline_inputs,
    exit_code,
    main,
    sample_idle,
    summarise_idle,
)
from baseline_metrics.clock import FakeClock
from baseline_metrics.health import KnownScore, UnknownScore, baseline_health
from baseline_metrics.samples import Gap, GapReason, HostSample, NamedReading, Reading, Sample
from baseline_metrics.sensors import HostSensors

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "baseline_metrics/baseline_collector.py"
HANG_S = 60.0

FIRST = Gap(reason=GapReason.FIRST_READING, detail="a rate needs two readings")
BROKEN = Gap(reason=GapReason.FAILED, detail="OSError: broken")
GOOD_ANCHOR = AnchorMeasurement(operations_succeeded=100, operations_failed=0, response_s_mean=Sample(value=0.01))


def series(**readings_of: list[Reading]) -> list[HostSample]:
    """One sample a second; each sensor's readings in order. ``disk_percent__a`` stands for ``disk_percent:/a``."""
    count = len(next(iter(readings_of.values())))
    return [
        HostSample(
            at_mono_s=float(index),
            at_utc_s=0.0,
            readings=tuple(
                NamedReading(sensor=name.replace("__", ":/"), reading=readings[index])
                for name, readings in readings_of.items()
            ),
        )
        for index in range(count)
    ]


def values(*numbers: float) -> list[Reading]:
    """Readings that are all there."""
    return [Sample(value=number) for number in numbers]


def idle_host(**others: list[Reading]) -> IdleSummary:
    """A quiet host of four samples with everything that the score needs."""
    return summarise_idle(
        series(
            **{
                "cpu_percent": [FIRST, *values(2.0, 2.0, 2.0)],
                "memory_percent": values(40.0, 40.0, 40.0, 40.0),
                "process_count": values(90.0, 90.0, 90.0, 90.0),
                "disk_percent__a": values(30.0, 30.0, 30.0, 30.0),
                **others,
            }
        )
    )


def test_means_and_spreads_are_taken_over_the_samples() -> None:
    """Each sensor has its mean; a spread where it has a meaning; the length is from first to last sample."""
    idle = summarise_idle(series(memory_percent=values(40.0, 50.0, 60.0), disk_percent__a=values(30.0, 30.0, 30.0)))

    assert (idle.samples, idle.seconds) == (3, 2.0)
    assert idle.means == {"memory_percent": 50.0, "disk_percent:/a": 30.0}
    assert idle.noise_cv == {"memory_percent": pytest.approx(0.2)}
    assert idle.gaps == {}


def test_the_first_reading_of_a_rate_is_not_missed() -> None:
    """That a rate begins with a gap does not count against its coverage."""
    idle = summarise_idle(series(cpu_percent=[FIRST, *values(10.0, 20.0)]))

    assert idle.means == {"cpu_percent": 15.0}


def test_a_single_sample_has_no_rates() -> None:
    """One sample gives levels and leaves rates unknown; none gives nothing."""
    idle = summarise_idle(series(cpu_percent=[FIRST], memory_percent=values(40.0)))
    assert idle.means == {"memory_percent": 40.0}
    assert idle.gaps == {"cpu_percent": "a single sample: a rate needs two"}
    assert idle.noise_cv == {}

    nothing = summarise_idle([])
    assert (nothing.samples, nothing.seconds, nothing.means, nothing.gaps) == (0, 0.0, {}, {})


@pytest.mark.parametrize(("missing", "known"), [(0, True), (4, True), (5, True), (6, False), (99, False), (100, False)])
def test_a_sensor_needs_nearly_all_of_its_readings(missing: int, *, known: bool) -> None:
    """95 of 100 readings are enough, 94 are a gap with the reason seen most."""
    idle = summarise_idle(series(memory_percent=[*values(*[40.0] * (100 - missing)), *[BROKEN] * missing]))

    assert ("memory_percent" in idle.means) is known
    assert ("memory_percent" in idle.gaps) is not known
    if not known:
        assert "OSError: broken" in idle.gaps["memory_percent"]
        assert isinstance(idle.reading("memory_percent"), Gap)


def test_a_sensor_that_is_missing_from_some_samples_is_a_gap() -> None:
    """A sensor that appears late or vanishes is not averaged over what is left."""
    samples = [*series(memory_percent=values(40.0)), *series(load_1min=values(1.0))]
    idle = summarise_idle(samples)

    assert idle.means == {}
    assert set(idle.gaps) == {"memory_percent", "load_1min"}


@pytest.mark.parametrize(
    ("sensor", "below", "at"),
    [("cpu_percent", 4.9, 5.0), ("disk_read_bytes_per_s", 1_048_575.0, 1_048_576.0)],
)
def test_spreads_near_nothing_have_no_meaning(sensor: str, below: float, at: float) -> None:
    """Below its floor a sensor's relative spread is rounding or a handful of events; from the floor on it counts."""
    assert summarise_idle(series(**{sensor: values(below, below)})).noise_cv == {}
    assert summarise_idle(series(**{sensor: values(at, at)})).noise_cv == {sensor: 0.0}


def test_spreads_without_a_true_zero_are_left_out() -> None:
    """Degrees, smoothed and constant quantities do not tell whether a host is restless."""
    idle = summarise_idle(
        series(
            temperature_celsius_max=values(40.0, 80.0), load_1min=values(1.0, 9.0), disk_percent__a=values(10.0, 90.0)
        )
    )

    assert len(idle.means) == 3
    assert idle.noise_cv == {}


def test_the_fullest_disk_counts() -> None:
    """Of several file systems the fullest; one unknown makes the whole unknown; none watched is a gap."""
    two = idle_host(disk_percent__b=values(80.0, 80.0, 80.0, 80.0))
    assert two.fullest_disk_percent() == Sample(value=80.0)

    broken = idle_host(disk_percent__b=[BROKEN] * 4)
    assert isinstance(broken.fullest_disk_percent(), Gap)

    none = summarise_idle(series(memory_percent=values(1.0)))
    assert none.fullest_disk_percent() == Gap(reason=GapReason.ABSENT, detail="no disk path is watched")


def test_a_quiet_host_with_a_good_anchor_is_healthy() -> None:
    """Summary, inputs and score fit together."""
    inputs = baseline_inputs(idle_host(), GOOD_ANCHOR, response_s_slo=0.5, response_s_limit=2.0)

    assert inputs.memory_percent == Sample(value=40.0)
    assert inputs.cpu_percent == Sample(value=2.0)
    assert inputs.disk_percent == Sample(value=30.0)
    assert inputs.noise_cv == Sample(value=0.0)
    assert (inputs.operations_succeeded, inputs.operations_failed) == (100, 0)
    assert baseline_health(inputs, at_mono_s=0.0).score == KnownScore(value=100.0)


def test_a_restless_host_loses_stability() -> None:
    """The median of the spreads counts: when most sensors jump, the score falls."""
    idle = idle_host(cpu_percent=[FIRST, *values(10.0, 60.0, 10.0)], process_count=values(50.0, 150.0, 50.0, 150.0))
    inputs = baseline_inputs(idle, GOOD_ANCHOR, response_s_slo=0.5, response_s_limit=2.0)
    health = baseline_health(inputs, at_mono_s=0.0)

    assert health.score == KnownScore(value=85.0)


def test_an_unread_host_is_unknown() -> None:
    """Without samples there is no score, however good the target is."""
    inputs = baseline_inputs(summarise_idle([]), GOOD_ANCHOR, response_s_slo=0.5, response_s_limit=2.0)

    assert isinstance(baseline_health(inputs, at_mono_s=0.0).score, UnknownScore)


any_reading = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(lambda value: Sample(value=value)),
    st.sampled_from([FIRST, BROKEN]),
)


@given(st.lists(st.tuples(any_reading, any_reading), max_size=12))
def test_every_sensor_is_either_known_or_a_gap(rows: list[tuple[Reading, Reading]]) -> None:
    """Whatever was read, nothing gets lost and nothing raises."""
    samples = [
        HostSample(
            at_mono_s=float(index),
            at_utc_s=0.0,
            readings=(
                NamedReading(sensor="cpu_percent", reading=row[0]),
                NamedReading(sensor="memory_percent", reading=row[1]),
            ),
        )
        for index, row in enumerate(rows)
    ]
    idle = summarise_idle(samples)

    assert set(idle.means).isdisjoint(idle.gaps)
    assert set(idle.means) | set(idle.gaps) == ({"cpu_percent", "memory_percent"} if rows else set())
    assert set(idle.noise_cv) <= set(idle.means)


class SlowSensors(HostSensors):
    """Sensors without readings that take 0.2 s."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(disk_paths=(), clock=clock)
        self._fake_clock = clock

    def read(self) -> HostSample:
        """An empty sample."""
        sample = HostSample(at_mono_s=self._fake_clock.mono_s(), at_utc_s=0.0, readings=())
        self._fake_clock.advance(0.2)
        return sample


def test_idle_samples_lie_on_their_grid() -> None:
    """Sampling takes as long as asked, both ends included, and does not drift with the sensors' own time."""
    clock = FakeClock(mono_s=0.0)
    samples = sample_idle(sensors=SlowSensors(clock), clock=clock, seconds=2.0, period_s=0.5)

    assert [sample.at_mono_s for sample in samples] == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0])


@pytest.mark.parametrize(("score", "code"), [(100.0, 0), (70.0, 0), (69.9, 1), (0.0, 1)])
def test_the_exit_code_follows_the_score(score: float, code: int) -> None:
    """70 and more is healthy, less is not, unknown is a code of its own."""
    assert exit_code(KnownScore(value=score)) == code
    assert exit_code(UnknownScore(reason="no sensor")) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seconds", "0"], 'write "1" to "3600"'),
        (["--seconds", "0.9"], 'write "1" to "3600"'),
        (["--seconds", "3601"], 'write "1" to "3600"'),
        (["--seconds", "2h"], 'write "1" to "3600"'),
        (["--seconds", "soon"], 'write "30min"'),
        (["--target", "8.8.8.8"], "is not the address of an HTTP server"),
        (["--target", "http://8.8.8.8/"], "is 8.8.8.8, outside loopback and private ranges"),
        (["--nonsense"], "unrecognized"),
    ],
)
def test_usage_errors_exit_2_with_what_to_write(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """A wrong option is explained before anything is measured or sent."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


class Quick(BaseHTTPRequestHandler):
    """Answers at once."""

    def do_GET(self) -> None:
        """200 with two bytes."""
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Keep quiet."""


@contextmanager
def quick_server() -> Iterator[str]:
    """A real HTTP server on loopback; gives its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Quick) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join(HANG_S)


def run_alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The program as a user starts it, from the root."""
    return subprocess.run(
        [sys.executable, SCRIPT, "--seconds", "1", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )


def parts_of(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Scores of the parts by name."""
    return {part["name"]: part["score"] for part in document["baseline"]["health"]["parts"]}


@pytest.mark.process
def test_a_live_target_gets_a_known_score() -> None:
    """With a target that answers, all parts are known; the exit code follows the score."""
    with quick_server() as url:
        ended = run_alone("--json", "--target", url)
    document = json.loads(ended.stdout)

    assert ended.stderr == ""
    assert document["schema_version"] == 1
    assert document["baseline"]["anchor"]["operations_succeeded"] == 20
    assert {name: score["type"] for name, score in parts_of(document).items()} == dict.fromkeys(
        ("system", "connectivity", "performance", "stability"), "KnownScore"
    )
    assert ended.returncode == (0 if document["baseline"]["health"]["score"]["value"] >= 70 else 1)


@pytest.mark.process
def test_a_dead_target_is_not_healthy() -> None:
    """A target that refuses every connection: at most 55, exit 1, and the reason is printed."""
    ended = run_alone("--target", "http://127.0.0.1:1/")

    assert (ended.returncode, ended.stderr) == (1, "")
    assert "0 of 20 operations succeeded" in ended.stdout
    assert "failed: ConnectionRefusedError" in ended.stdout


@pytest.mark.process
def test_without_a_target_the_score_is_unknown_and_says_so() -> None:
    """The host is measured and shown; the whole is unknown, exit 3, and it says how to measure the rest."""
    ended = run_alone()

    assert (ended.returncode, ended.stderr) == (3, "")
    assert "The score is unknown: no operation was sent to the target." in ended.stdout
    assert "--target" in ended.stdout
    assert "system         40 %" in ended.stdout
