"""The figures and pages of the measuring programs: percentiles, goals, and what a page must tell."""

import csv
import math
from pathlib import Path

import pytest

from benchmarks.evidence import (
    ROOT,
    Circumstances,
    Evidence,
    Goal,
    Section,
    Table,
    all_of,
    at_most,
    circumstances_now,
    commit_of,
    conclude,
    milliseconds,
    page,
    spread_of,
    write_evidence,
)

WHERE = Circumstances(
    taken_at="2025-11-20 03:00 UTC",
    commit="0123456789ab",
    cpu_model="Some Processor",
    cores=2,
    memory_bytes=8 << 30,
    kernel="Linux 6.1",
    python="3.11.7",
    load_average=0.05,
)


def evidence(*goals: Goal) -> Evidence:
    """A small page with these goals."""
    table = Table(head=("stop", "p99"), rows=(("file", "31 ms"), ("a|b", "never")))
    return Evidence(
        name="stops",
        title="Stops",
        what="What was measured.",
        command="python -m benchmarks.stops",
        goals=goals,
        sections=(Section(title="Times", content=("A paragraph.", table)),),
    )


def test_percentiles_are_samples_by_nearest_rank() -> None:
    """Of the samples 1 to 100 in any order, the p99 is 99: the smallest that 99 % do not exceed."""
    spread = spread_of([float(value) for value in range(100, 0, -1)])
    assert (spread.count, spread.p50, spread.p90, spread.p99, spread.largest) == (100, 50.0, 90.0, 99.0, 100.0)


@pytest.mark.parametrize(("count", "p99"), [(1, 1.0), (99, 99.0), (101, 100.0), (200, 198.0), (201, 199.0)])
def test_the_rank_is_rounded_up(count: int, p99: float) -> None:
    """Around the round counts the rank is the next whole number, never one less."""
    assert spread_of([float(value) for value in range(1, count + 1)]).p99 == p99


def test_what_never_ended_counts_as_infinitely_slow() -> None:
    """Two of a hundred that never ended make the p99 infinite; one leaves it to the slowest of the others."""
    one, two = (spread_of([0.1] * (100 - missing), missing=missing) for missing in (1, 2))
    assert (one.count, one.p99, one.largest) == (100, 0.1, math.inf)
    assert (two.missing, two.p99, milliseconds(two.p99)) == (2, math.inf, "never")


def test_without_samples_there_are_no_percentiles() -> None:
    """Nothing measured is an error, not a zero."""
    with pytest.raises(ValueError, match="no sample"):
        spread_of([])


@pytest.mark.parametrize(("observed_s", "reached"), [(0.0999, True), (0.1, True), (0.1001, False), (math.inf, False)])
def test_a_time_goal_is_reached_up_to_its_limit(observed_s: float, *, reached: bool) -> None:
    """Just below and at the limit is reached, just above and never is not."""
    assert at_most("p99", observed_s=observed_s, limit_s=0.1).reached is reached


@pytest.mark.parametrize(("good", "total", "reached"), [(100, 100, True), (99, 100, False), (0, 0, False)])
def test_a_goal_of_each_time_allows_no_exception(good: int, total: int, *, reached: bool) -> None:
    """One failure is too many, and nothing tried is nothing shown."""
    assert all_of("report", good=good, total=total).reached is reached


def test_a_page_tells_goals_figures_and_circumstances() -> None:
    """Who reads the page sees what was reached and what was not, on which machine, commit and command."""
    text = page(evidence(Goal(text="fast", observed="31 ms", reached=True)), WHERE, files=("stops.csv",))
    assert "| fast | 31 ms | reached |" in text
    assert "| file | 31 ms |" in text
    assert "| a/b | never |" in text, "a bar in a cell would break the table"
    for expected in ("0123456789ab", "Some Processor, 2 cores", "8 GiB", "Linux 6.1", "3.11.7", "0.05", "UTC"):
        assert expected in text
    assert "`python -m benchmarks.stops`" in text
    assert "[stops.csv](stops.csv)" in text


def test_a_missed_goal_is_said_and_is_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A goal that was not reached is written down all the same, and the program ends with 1."""
    missed = evidence(Goal(text="fast", observed="2 s", reached=False), Goal(text="sure", observed="1", reached=True))
    path = write_evidence(tmp_path / "new", missed, WHERE)
    assert conclude(missed, path) == 1
    assert "NOT REACHED  fast: 2 s" in capsys.readouterr().out
    assert "| fast | 2 s | NOT REACHED |" in path.read_text(encoding="utf-8")
    assert conclude(evidence(Goal(text="fast", observed="1 s", reached=True)), path) == 0


def test_samples_lie_beside_the_page(tmp_path: Path) -> None:
    """Every sample can be read again as it was written, commas included."""
    samples = Table(head=("path", "ms"), rows=(("file, slow", "31.123"), ("command", "")))
    path = write_evidence(tmp_path, evidence(), WHERE, samples={"stops.csv": samples})
    assert path == tmp_path / "stops.md"
    with (tmp_path / "stops.csv").open(encoding="utf-8", newline="") as file:
        assert [tuple(row) for row in csv.reader(file)] == [samples.head, *samples.rows]


def test_the_commit_is_unknown_outside_a_repository(tmp_path: Path) -> None:
    """Without a repository the page says that the commit is unknown, and nothing fails."""
    assert commit_of(tmp_path).startswith("unknown (")


def test_this_machine_is_described() -> None:
    """The circumstances of now hold a processor, its cores, memory, kernel and Python."""
    now = circumstances_now()
    assert now.cpu_model
    assert now.kernel.startswith("Linux ")
    assert now.cores >= 1
    assert now.memory_bytes > 1 << 20
    assert now.commit == commit_of(ROOT)
