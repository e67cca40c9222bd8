"""docs/load.md: its commands work, its plans can be read, its numbers are those of the code."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from results_summary import generator
from stress_scenarios.concurrent_load_test import START_WITHIN_S
from stress_scenarios.rate_search import NARROW_SHARE
from tests.support.nights import new_home
from tests.support.plans import TARGET, plan
from tests.support.servers import NginxServer

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "load.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line) for line in re.findall(r"^    \.venv/bin/(.+)$", PAGE, flags=re.MULTILINE)]
LOOKS = [words[1:] for words in COMMANDS if words[:2] == ["daybreak", "plan"]]
RUNS = [words[1:] for words in COMMANDS if words[:2] == ["daybreak", "run"]]
LOAD_TESTS = [words[1:] for words in COMMANDS if "concurrent_load_test.py" in words[1]]
SERVERS = [words for words in COMMANDS if "gunicorn" in words]
PLANS = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
HANG_S = 60.0


def test_every_command_of_the_page_is_tested_here() -> None:
    """But the server's, which is the tests' own httpbin."""
    assert len(LOOKS) + len(RUNS) + len(LOAD_TESTS) + len(SERVERS) == len(COMMANDS)
    assert [len(found) for found in (LOOKS, RUNS, LOAD_TESTS, SERVERS, PLANS)] == [5, 1, 3, 1, 4]


@pytest.mark.process
@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_the_plans_that_it_looks_at_can_be_looked_at(tmp_path: Path, words: list[str]) -> None:
    """From the checkout, without a target."""
    answer = new_home(tmp_path).command(*words, cwd=ROOT)
    assert answer.exit_code == 0, answer.err
    assert "enough samples?" in answer.out


@pytest.mark.process
@pytest.mark.parametrize("words", RUNS, ids=" ".join)
def test_the_runs_that_it_starts_would_start(tmp_path: Path, words: list[str]) -> None:
    """The same as a plan; that the example's sessions succeed, test_examples_run shows."""
    looked_at = ["plan", *(word for word in words[1:] if word != "--yes")]
    answer = new_home(tmp_path).command(*looked_at, cwd=ROOT)
    assert answer.exit_code == 0, answer.err


@pytest.mark.process
@pytest.mark.parametrize("words", LOAD_TESTS, ids=" ".join)
def test_its_load_tests_pass(nginx: NginxServer, words: list[str]) -> None:
    """As written, but shorter and against a server of the test's."""
    here = [word.replace("http://127.0.0.1:8080", nginx.url) for word in words]
    done = subprocess.run(
        [sys.executable, *here, "--duration", "300ms"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert nginx.requests()


@pytest.mark.parametrize("text", PLANS)
def test_its_pieces_of_plans_are_plans(text: str) -> None:
    """With a target they are whole."""
    assert plan(TARGET + text).phases


def test_its_limits_are_those_of_the_code() -> None:
    """A second is saturated where the page says so."""
    for words in (
        f"| {generator.GENERATOR_CPU_S_MAX:g} CPU seconds a second |",
        f"| {generator.GENERATOR_BUSY_S_MAX:g} s of each second |",
        f"| {1000 * generator.LOOP_STALL_S_MAX:g} ms |",
        f"| {1000 * generator.LOOP_LAG_S_MAX:g} ms |",
        f"schedule lag, p99 | {1000 * generator.SCHEDULE_LAG_S_P99_MAX:g} ms |",
        f"| {1000 * generator.GC_PAUSE_S_MAX:g} ms |",
        f"| {100 * generator.SHARE_MAX:g} % in use |",
        f"one is excused from {generator.HICCUP_LOAD_S_MIN} s on",
        f"`start_within` ({START_WITHIN_S:g} s)",
        f"until it is {100 * NARROW_SHARE:g} % wide",
    ):
        assert words in PAGE, words
