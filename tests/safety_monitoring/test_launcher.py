"""The launcher without its packages: it goes on with .venv beside it, or says how to make that."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.guardian_rig import REPORT_S_MAX, ROOT

pytestmark = pytest.mark.process

ROOMS = ("baseline_metrics", "safety_monitoring")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of the program whose command line needs a package that is nowhere installed."""
    (tmp_path / "launch_autonomous_testing.py").write_bytes((ROOT / "launch_autonomous_testing.py").read_bytes())
    for room in ROOMS:
        (tmp_path / room).symlink_to(ROOT / room)
    interfaces = tmp_path / "campaign" / "interfaces"
    interfaces.mkdir(parents=True)
    (interfaces / "cli.py").write_text("import package_that_nobody_has\n")
    return tmp_path


def launch(clone: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the launcher of a clone on bare Python."""
    return subprocess.run(
        [sys.executable, "-S", str(clone / "launch_autonomous_testing.py"), *arguments],
        env={"PATH": os.environ["PATH"], "DAYBREAK_STATE_DIR": str(clone / "state"), **environ},
        capture_output=True,
        text=True,
        timeout=REPORT_S_MAX,
        check=False,
    )


def fake_environment(clone: Path) -> None:
    """A .venv whose Python only tells how it was called."""
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "in the environment: $*"\nexit 7\n')
    python.chmod(0o755)


def test_without_environment_it_says_how_to_make_one(clone: Path) -> None:
    """The missing package and the commands that help are named, exit code 2."""
    done = launch(clone, "check")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "package_that_nobody_has" in done.stderr
    assert "make setup" in done.stderr
    assert "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e ." in done.stderr


def test_with_environment_it_goes_on_there(clone: Path) -> None:
    """The same arguments go to the Python of .venv, whose exit code counts."""
    fake_environment(clone)
    done = launch(clone, "run", "--target", "http://x y")
    assert done.returncode == 7
    assert done.stdout.strip().endswith("launch_autonomous_testing.py run --target http://x y")


def test_a_broken_environment_is_not_started_for_ever(clone: Path) -> None:
    """Inside the environment a missing package is told, not tried again."""
    fake_environment(clone)
    assert launch(clone, DAYBREAK_REEXECUTED="1").returncode == 2


def test_the_emergency_stop_needs_neither(clone: Path) -> None:
    """The emergency stop works where nothing else does, wherever its flag stands."""
    for arguments in (("--emergency-stop",), ("--json", "--emergency-stop"), ("--emergency-stop", "--force")):
        done = launch(clone, *arguments)
        assert done.returncode == 0, done.stderr
        assert "campaign" in done.stdout


def test_a_missing_room_is_a_fault(clone: Path) -> None:
    """A module of our own that is missing is no question of packages."""
    fake_environment(clone)
    (clone / "campaign" / "interfaces" / "cli.py").write_text("import results_summary.nowhere\n")
    done = launch(clone)
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr
