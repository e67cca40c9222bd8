"""What a load process does to itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stress_scenarios.process_start import EXIT_OUR_FAULT, own_start_ticks, start_ticks_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["python", "a b", "foo) Z 1 2 3", "((("])
def test_start_ticks_are_found_behind_any_process_name(name: str) -> None:
    """The name may hold spaces and parentheses."""
    stat = f"42 ({name}) S " + " ".join(str(field) for field in range(4, 53))
    assert start_ticks_of(stat) == 22


def test_own_start_ticks_stay_the_same() -> None:
    """They are an identity."""
    assert own_start_ticks() == own_start_ticks() > 0


@pytest.mark.process
def test_a_worker_of_another_parent_refuses_to_start(tmp_path: Path) -> None:
    """A wrong parent means that whoever started it is gone."""
    command = [
        *(sys.executable, "-m", "stress_scenarios.worker", "--worker", "0", "--engine", "drill"),
        *("--page", str(tmp_path / "page"), "--parent-pid", "1"),
    ]
    ended = subprocess.run(command, cwd=ROOT, stdin=subprocess.PIPE, capture_output=True, timeout=30, check=False)
    assert ended.returncode == EXIT_OUR_FAULT
    assert f"the parent is process {os.getpid()} and not 1" in ended.stderr.decode()
    assert b"WorkerFault" in ended.stdout


@pytest.mark.process
def test_a_worker_without_a_page_refuses_to_start(tmp_path: Path) -> None:
    """No page, no permission, no worker."""
    command = [
        *(sys.executable, "-m", "stress_scenarios.worker", "--worker", "0", "--engine", "httpx"),
        *("--page", str(tmp_path / "missing"), "--parent-pid", str(os.getpid())),
    ]
    ended = subprocess.run(command, cwd=ROOT, stdin=subprocess.PIPE, capture_output=True, timeout=30, check=False)
    assert ended.returncode == EXIT_OUR_FAULT
    assert "missing" in ended.stderr.decode()


@pytest.mark.process
def test_the_backstop_ends_a_process_that_hangs() -> None:
    """SIGALRM with its default action needs nobody's help, also when the signal was blocked and ignored by the parent."""
    code = (
        "import os, signal, threading\n"
        "signal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGALRM,))\n"
        "from stress_scenarios.process_start import arm_backstop, become_expendable\n"
        "become_expendable(os.getppid())\n"
        "assert open('/proc/self/oom_score_adj').read().strip() == '1000'\n"
        "arm_backstop(0.05)\n"
        "threading.Event().wait()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=30, check=False)
    assert ended.returncode == -14


@pytest.mark.process
@pytest.mark.parametrize(("soft", "hard"), [(64, 128), (128, 128)])
def test_a_load_process_takes_all_descriptors_that_it_may_have(soft: int, hard: int) -> None:
    """The soft limit becomes the hard one; where it is that already, nothing happens."""
    code = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "from stress_scenarios.process_start import raise_descriptor_limit\n"
        "raise_descriptor_limit()\n"
        "raise_descriptor_limit()\n"
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=30, check=True)
    assert ended.stdout.split() == [str(hard).encode()] * 2
