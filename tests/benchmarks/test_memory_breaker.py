"""The page about the memory breaker: its goals at their limits, computed from what was measured and the kernel's counts."""

import time
from pathlib import Path

import pytest

from benchmarks.evidence import Circumstances
from benchmarks.limited_memory import LimitedMemory, MemoryCounts, NoLimitedMemoryError
from benchmarks.memory_breaker import Measured, evidence_of, report
from benchmarks.memory_neighbour import hold
from stress_scenarios.loads.memory import MemoryChunks

WHERE = Circumstances(
    taken_at="2026-12-01 07:00 UTC",
    commit="abc",
    cpu_model="a processor",
    cores=2,
    memory_bytes=1 << 34,
    kernel="Linux 6",
    python="3.11",
    load_average=0.1,
)


def measured(*seconds: float, asked: int = 0, killed: int = 0) -> Measured:
    """Repetitions."""
    return Measured(
        asked=asked or len(seconds),
        seconds=seconds,
        counts=MemoryCounts(most_bytes=480 << 20, failures=0, killed=killed),
    )


@pytest.mark.parametrize(("slowest", "reached"), [(0.499, True), (0.5, True), (0.501, False)])
def test_the_goal_of_half_a_second_is_judged_at_half_a_second(slowest: float, reached: bool) -> None:  # noqa: FBT001 - a row
    """Of one repetition the p99 is the repetition."""
    goals = evidence_of(measured(slowest)).goals
    assert goals[0].reached is reached
    assert goals[1].reached


@pytest.mark.parametrize(("slowest", "reached"), [(0.999, True), (1.0, True), (1.001, False)])
def test_the_slowest_is_judged_at_a_second(slowest: float, reached: bool) -> None:  # noqa: FBT001 - a row
    """With a hundred good ones beside it, so that p99 is not it."""
    goals = evidence_of(measured(*[0.2] * 100, slowest)).goals
    assert goals[0].reached
    assert goals[1].reached is reached


def test_a_repetition_that_never_ended_and_a_kill_of_the_kernel_are_no_success() -> None:
    """What is missing counts as infinitely slow."""
    assert [goal.reached for goal in evidence_of(measured(0.2, asked=2)).goals] == [False, False, False, True]
    assert [goal.reached for goal in evidence_of(measured(0.2, killed=1)).goals] == [True, True, True, False]


def test_the_page_carries_figures_machine_and_samples(tmp_path: Path) -> None:
    """Exit code 0 when all goals were reached, and every sample beside the page."""
    assert report(measured(0.2, 0.3), WHERE, directory=tmp_path) == 0
    text = (tmp_path / "memory-breaker.md").read_text()
    assert "300.0 ms" in text
    assert "480 MiB" in text
    assert (tmp_path / "memory-breaker.csv").read_text().splitlines() == [
        "repetition,released_ms",
        "1,200.000",
        "2,300.000",
    ]


def test_the_neighbour_tells_when_it_was_about_to_pass_its_mark() -> None:
    """The last instant before the mark, and not the start of a long touching; a clock that only rises shows it."""
    memory = MemoryChunks()
    began_s = time.monotonic()
    passed_s = hold(memory, wanted_bytes=8 << 20, mark_bytes=4 << 20)
    assert memory.held_bytes == 8 << 20
    assert began_s <= passed_s <= time.monotonic()
    assert hold(memory, wanted_bytes=0, mark_bytes=0) >= passed_s
    assert memory.held_bytes == 0


def test_where_no_cgroup_can_be_made_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The path and the system's words."""
    monkeypatch.setattr("benchmarks.limited_memory.ROOT", tmp_path / "nowhere")
    with pytest.raises(NoLimitedMemoryError, match=r"nowhere.*No such file"):
        LimitedMemory("test", limit_bytes=1 << 20)
