"""The choreography of the drill, with ports that obey, dawdle or fail."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from baseline_metrics.clock import FakeClock
from safety_monitoring.drill import SECONDS_MAX, DrillError, DrillOutcome, NotEnded, run_drill
from safety_monitoring.messages import DrillEnded, DrillPath


@dataclass
class FakePorts:
    """A guardian and a worker on a fake clock: the worker is gone gone_s after the act."""

    clock: FakeClock
    gone_s: float = 0.05
    watched: bool = True
    loading: bool = True
    answers: bool = True
    fails: tuple[str, ...] = ()
    steps: list[str] = field(default_factory=list)
    pumps: list[float] = field(default_factory=list)
    acted_mono_s: float = 0.0

    def start_worker(self, path: DrillPath) -> int:
        """Start one, or fail."""
        self._step(f"start {path.value}", "start")
        return 9

    def is_watched(self, worker: int) -> bool:
        """As told."""
        return self.watched

    def is_loading(self, worker: int) -> bool:
        """As told."""
        return self.loading

    def begin(self, path: DrillPath, worker: int) -> None:
        """Begin, or fail."""
        self._step(f"begin {path.value} {worker}", "begin")

    def act(self, path: DrillPath) -> None:
        """Act, or fail."""
        self._step(f"act {path.value}", "act")
        self.acted_mono_s = self.clock.mono_s()

    def ended(self, path: DrillPath) -> DrillEnded | NotEnded:
        """Answer once enough time has passed."""
        gone_mono_s = self.acted_mono_s + self.gone_s
        if not self.answers or self.clock.mono_s() < gone_mono_s:
            return NotEnded()
        return DrillEnded(path=path, seen_mono_s=self.acted_mono_s, gone_mono_s=gone_mono_s)

    def clean_up(self, path: DrillPath, worker: int) -> None:
        """Note it."""
        self.steps.append(f"clean {path.value} {worker}")

    def pump(self) -> None:
        """Note when."""
        self.pumps.append(self.clock.mono_s())

    def _step(self, text: str, name: str) -> None:
        self.steps.append(text)
        if name in self.fails:
            raise DrillError(f"cannot {name}")


def rehearse(change: Callable[[FakePorts], None] = lambda ports: None) -> tuple[FakePorts, tuple[DrillOutcome, ...]]:
    """Run a drill on changed ports."""
    ports = FakePorts(clock=FakeClock())
    change(ports)
    return ports, run_drill(ports, ports.clock)


def test_every_path_is_rehearsed_in_order() -> None:
    """Each path: start, begin, act, clean up; and each passes with its measured time."""
    ports, outcomes = rehearse()
    assert [outcome.path for outcome in outcomes] == list(DrillPath)
    assert all(outcome.passed for outcome in outcomes)
    assert [outcome.seconds for outcome in outcomes] == [pytest.approx(0.05)] * len(DrillPath)
    assert ports.steps[:4] == ["start stop_file", "begin stop_file 9", "act stop_file", "clean stop_file 9"]
    assert len(ports.steps) == 4 * len(DrillPath)


@pytest.mark.parametrize("path", list(DrillPath))
@pytest.mark.parametrize(("beyond", "passed"), [(-0.01, True), (0.0, True), (0.01, False)])
def test_a_path_that_is_too_slow_is_missed(path: DrillPath, beyond: float, *, passed: bool) -> None:
    """Up to its limit a path passes, beyond it does not, and the time is told either way."""
    _, outcomes = rehearse(lambda ports: setattr(ports, "gone_s", SECONDS_MAX[path] + beyond))
    outcome = next(outcome for outcome in outcomes if outcome.path is path)
    # 1000.0 + x - 1000.0 is not x in floating point: the limit itself is tested to within a microsecond.
    assert outcome.passed is passed or beyond == 0.0
    assert outcome.seconds == pytest.approx(SECONDS_MAX[path] + beyond, abs=1e-6)


def missing_watch(ports: FakePorts) -> None:
    """No answer of the guardian."""
    ports.watched = False


def missing_load(ports: FakePorts) -> None:
    """No heartbeat of the worker."""
    ports.loading = False


def missing_end(ports: FakePorts) -> None:
    """No end."""
    ports.answers = False


@pytest.mark.parametrize(
    ("change", "detail"),
    [(missing_watch, "does not watch"), (missing_load, "makes no load"), (missing_end, "did not end")],
)
def test_silence_is_a_missed_path_and_not_a_hang(change: Callable[[FakePorts], None], detail: str) -> None:
    """Whatever does not come is waited for within bounds, with messages pumped all the time."""
    ports, outcomes = rehearse(change)
    assert not any(outcome.passed for outcome in outcomes)
    assert all(detail in outcome.detail for outcome in outcomes)
    assert ports.clock.mono_s() - 1000.0 < 200.0
    gaps = [later - earlier for earlier, later in zip(ports.pumps, ports.pumps[1:], strict=False)]
    assert max(gaps) < 0.25, "heartbeats go on while the drill waits"
    assert [step for step in ports.steps if step.startswith("clean")] == [f"clean {path.value} 9" for path in DrillPath]


@pytest.mark.parametrize("step", ["start", "begin", "act"])
def test_a_port_that_fails_is_a_missed_path(step: str) -> None:
    """A fault of one path does not keep the others from being rehearsed."""
    ports, outcomes = rehearse(lambda ports: setattr(ports, "fails", (step,)))
    assert [outcome.passed for outcome in outcomes] == [False] * len(DrillPath)
    assert all(f"cannot {step}" in outcome.detail for outcome in outcomes)
    assert len([text for text in ports.steps if text.startswith("clean")]) == (0 if step == "start" else len(DrillPath))
