"""What the page on emergency stops makes of its repetitions."""

from pathlib import Path

import pytest

from benchmarks.evidence import circumstances_now
from benchmarks.stop_page import (
    Gone,
    NotStopped,
    Repetition,
    StillThere,
    StopPath,
    report,
)


def repetition(
    number: int, load: Gone | StillThere | NotStopped, *faults: str, path: StopPath = StopPath.FILE
) -> Repetition:
    """One stop."""
    return Repetition(number=number, path=path, load=load, exit_code=4, faults=faults)


def written(directory: Path, *repetitions: Repetition) -> tuple[int, str]:
    """The exit code, and the page."""
    code = report(repetitions, circumstances_now(), directory=directory, command="python", took_s=60.0)
    return code, (directory / "stop-latency.md").read_text(encoding="utf-8")


def test_fast_stops_without_faults_reach_the_goals(tmp_path: Path) -> None:
    """Both paths below their limits and every campaign well: exit code 0, and each sample in the CSV file."""
    command = repetition(1, Gone(seconds=0.4), path=StopPath.COMMAND)
    code, text = written(tmp_path, repetition(1, Gone(seconds=0.03)), command)
    assert code == 0
    assert "NOT REACHED" not in text
    lines = (tmp_path / "stop-latency.csv").read_text(encoding="utf-8").splitlines()
    assert lines[1:] == ["file,1,30.000,gone,4,", "command,1,400.000,gone,4,"]


def test_load_that_stayed_is_the_slowest_stop(tmp_path: Path) -> None:
    """A stop after which load was still made has no time and misses the goal for times, not only that for faults."""
    code, text = written(tmp_path, repetition(1, Gone(seconds=0.03)), repetition(2, StillThere(), "still there"))
    assert code == 1
    assert "p99 at most 50 ms | never | NOT REACHED |" in text
    assert "slowest at most 150 ms | never | NOT REACHED |" in text
    assert "| file 2 | still there |" in text


def test_a_campaign_that_never_held_its_load_is_a_fault_and_no_time(tmp_path: Path) -> None:
    """What was never stopped does not enter the times, and is counted among the faults."""
    code, text = written(tmp_path, repetition(1, Gone(seconds=0.03)), repetition(2, NotStopped(), "never held"))
    assert code == 1
    assert "| `touch STOP` | 1 | 30.0 ms |" in text
    assert "| 1 of 2 | NOT REACHED |" in text


def test_a_path_that_was_not_asked_for_has_no_goal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With one path only, the page speaks of that one."""
    code, text = written(tmp_path, repetition(1, Gone(seconds=0.03)))
    assert code == 0
    assert "--emergency-stop" not in text
    assert "--emergency-stop" not in capsys.readouterr().out


def test_the_slowest_is_judged_beside_the_p99(tmp_path: Path) -> None:
    """A single end that is too slow misses its own goal, however many fast ones there are."""
    fast = [repetition(number, Gone(seconds=0.6), path=StopPath.GUARDIAN_KILLED) for number in range(200)]
    code, text = written(tmp_path, *fast, repetition(200, Gone(seconds=1.6), path=StopPath.GUARDIAN_KILLED))
    assert code == 1
    assert "p99 at most 1000 ms | 600.0 ms | reached |" in text
    assert "slowest at most 1500 ms | 1600.0 ms | NOT REACHED |" in text


def test_a_rig_has_no_exit_code_and_a_goal_of_its_own(tmp_path: Path) -> None:
    """What is measured without a campaign around it is not counted among the whole campaigns, and the page says so."""
    rig = repetition(1, Gone(seconds=0.05), "process 7 (worker) is left", path=StopPath.SUPERVISOR_KILLED)
    code, text = written(tmp_path, repetition(1, Gone(seconds=0.03)), rig)
    assert code == 1
    assert (
        "| whole campaigns: exit code 4, the final report, the latch, and nothing left running, each time | 1 of 1 |"
        in text
    )
    assert (
        "| the others: the load ends, and nothing is left running afterwards, each time | 0 of 1 | NOT REACHED |"
        in text
    )
    lines = (tmp_path / "stop-latency.csv").read_text(encoding="utf-8").splitlines()
    assert lines[2] == "supervisor-killed,1,50.000,gone,,process 7 (worker) is left"
