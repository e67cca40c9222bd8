"""Runs directories and runs that are not ours: from the real command line, refused and untouched."""

import os
from pathlib import Path

import pytest

from tests.support.foreign import give_away
from tests.support.night import RUN_ID, Night, Phase
from tests.support.night_on_disk import write_night
from tests.support.nights import Home, new_home

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

REFUSED = 6


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A place where nothing ran yet."""
    return new_home(tmp_path / "home")


def tree(directory: Path) -> list[tuple[str, int]]:
    """Everything below a directory, with times of change."""
    return sorted((str(path), path.lstat().st_mtime_ns) for path in directory.rglob("*"))


def strangers(runs: Path, how: str) -> Path:
    """Let the runs directory be a stranger's, or a stranger's link to one of ours; where it really lies."""
    if how == "directory":
        runs.mkdir(parents=True, exist_ok=True)
        give_away(runs)
        return runs
    real = runs.with_name("real")
    if runs.exists():
        runs.rename(real)
    else:
        real.mkdir(parents=True)
    runs.symlink_to(real)
    give_away(runs)
    return real


@pytest.mark.parametrize("how", ["directory", "link"])
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_runs_directory_of_another_user_is_refused(home: Home, how: str, command: str) -> None:
    """Nothing is made there: 6, with whose it is and what to write."""
    real = strangers(home.runs_dir, how)
    options = ("--yes",) if command == "run" else ()
    answer = home.command(command, "--target", "http://127.0.0.1:9", "--runs-dir", str(home.runs_dir), *options)
    assert answer.exit_code == REFUSED
    said = " ".join((answer.err + answer.out).split())
    assert "belongs to user 54321" in said
    assert "name a directory of your own: --runs-dir DIR" in said
    assert list(real.iterdir()) == []


@pytest.mark.parametrize("what", ["runs directory", "run", "link to the run", "latest", "results"])
def test_a_report_is_not_written_to_another_users_place(home: Home, what: str) -> None:
    """Wherever on the way the stranger has a hand in it: 6 or 70, and not a byte is changed."""
    run = write_night(home.runs_dir, Night(phases=(Phase(),)))
    name = RUN_ID
    match what:
        case "runs directory":
            strangers(home.runs_dir, "directory")
        case "run":
            give_away(run)
        case "link to the run":
            run.rename(home.path / "elsewhere")
            run.symlink_to(home.path / "elsewhere")
            give_away(run)
        case "latest":
            run.rename(home.path / "elsewhere")
            (home.runs_dir / "latest").symlink_to(home.path / "elsewhere")
            give_away(home.runs_dir / "latest")
            name = "latest"
        case _:
            (home.path / "elsewhere").mkdir()
            (run / "results_summary").symlink_to(home.path / "elsewhere")
            give_away(run / "results_summary")
    before = tree(home.path)
    answer = home.command("report", name, "--runs-dir", str(home.runs_dir))
    assert answer.exit_code == (70 if what == "results" else REFUSED), answer.out + answer.err
    assert "belongs to user 54321" in " ".join(answer.err.split())
    assert "Traceback" not in answer.err
    assert tree(home.path) == before


def test_a_report_behind_our_own_link_is_written(home: Home) -> None:
    """Who moves runs to another disk and leaves a link keeps his reports."""
    run = write_night(home.runs_dir, Night(phases=(Phase(),)))
    run.rename(home.path / "elsewhere")
    run.symlink_to(home.path / "elsewhere")
    answer = home.command("report", RUN_ID, "--runs-dir", str(home.runs_dir))
    assert answer.exit_code == 0, answer.err
    assert (home.path / "elsewhere" / "results_summary" / "report.html").is_file()


def test_a_stop_that_is_a_pipe_refuses_a_start_and_is_taken_away_by_reset(home: Home) -> None:
    """Nobody opens it, so nobody waits."""
    home.runs_dir.mkdir(parents=True)
    os.mkfifo(home.runs_dir / "STOP")
    answer = home.command("run", "--target", "http://127.0.0.1:9", "--runs-dir", str(home.runs_dir), "--yes")
    assert answer.exit_code == REFUSED
    assert "it stops and refuses every campaign here" in " ".join((answer.err + answer.out).split())
    answer = home.command("reset", "--runs-dir", str(home.runs_dir))
    assert answer.exit_code == 0
    assert list(home.runs_dir.iterdir()) == []
