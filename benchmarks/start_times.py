"""Measures how long the commands take that people wait for: the check before a night, and the emergency stop's help.

The check is run against a live target and against a port where nobody listens, because the second is where waiting is
likely to go wrong. Writes docs/evidence/start-times.md. Its own process: ``python -m benchmarks.start_times``.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.host_files import MARK_STATE_DIR
from benchmarks.evidence import (
    DEFAULT_DIRECTORY,
    ROOT,
    Evidence,
    Goal,
    Section,
    Table,
    all_of,
    at_most,
    circumstances_now,
    conclude,
    milliseconds,
    write_evidence,
)
from stress_scenarios.demo_process import start_demo_service

NAME = "start-times"
REPETITIONS = 20
REPETITIONS_MAX = 1000
COMMAND_S_MAX = 60.0
"""Twenty times the goal: a hang, not a slow start."""

CHECK_GOAL_S = 3.0
HELP_GOAL_S = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A command line of the launcher, the exit code it must have, and how long it may take."""

    name: str
    arguments: tuple[str, ...]
    exit_code: int
    goal_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a case."""

    case: Case
    seconds: float
    exit_code: int


def main(argv: Sequence[str]) -> int:
    """Measure and write. Returns 0 if all goals were reached, else 1."""
    options = _options(argv)
    where = circumstances_now()
    demo = start_demo_service(parent_pid=os.getpid())
    try:
        # Bound and not listening: connecting is refused, and nobody else can take the port meanwhile.
        with tempfile.TemporaryDirectory(prefix="daybreak-start-") as base, socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            dead_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            cases = _cases(live_url=demo.url, dead_url=dead_url, runs_dir=f"{base}/runs")
            environment = {**os.environ, MARK_STATE_DIR: f"{base}/state"}
            runs = [_run(case, environment) for _ in range(options.repetitions) for case in cases]
    finally:
        demo.stop()
    evidence = Evidence(
        name=NAME,
        title="How long commands take to answer",
        what=(
            "From just before the command's process is started until it has ended. "
            "`--check-only` looks at the default plan against the bundled demo service, and against a port where nobody "
            "listens; `--emergency-stop --help` shows what the emergency stop costs before it does anything. "
            "The cases take turns."
        ),
        command=f"python -m benchmarks.start_times --repetitions {options.repetitions}",
        goals=tuple(goal for case in cases for goal in _goals(case, runs)),
        sections=(Section(title="Times", content=(_times(cases, runs),)),),
    )
    path = write_evidence(options.output, evidence, where, samples={f"{NAME}.csv": _samples(runs)})
    return conclude(evidence, path)


def _cases(*, live_url: str, dead_url: str, runs_dir: str) -> tuple[Case, ...]:
    check = ("--check-only", "--runs-dir", runs_dir, "--target")
    return (
        Case(name="`--check-only`, live target", arguments=(*check, live_url), exit_code=0, goal_s=CHECK_GOAL_S),
        Case(name="`--check-only`, dead target", arguments=(*check, dead_url), exit_code=6, goal_s=CHECK_GOAL_S),
        Case(
            name="`--emergency-stop --help`",
            arguments=("--emergency-stop", "--help"),
            exit_code=0,
            goal_s=HELP_GOAL_S,
        ),
    )


def _run(case: Case, environment: dict[str, str]) -> Run:
    command = [sys.executable, str(ROOT / "launch_autonomous_testing.py"), *case.arguments]
    began_s = time.perf_counter()
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, check=False, timeout=COMMAND_S_MAX
    )
    seconds = time.perf_counter() - began_s
    print(f"{case.name:30} {milliseconds(seconds):>10}  exit {done.returncode}", flush=True)
    if done.returncode != case.exit_code:
        sys.stderr.write((done.stdout + done.stderr).decode("utf-8", "replace"))
    return Run(case=case, seconds=seconds, exit_code=done.returncode)


def _goals(case: Case, runs: Sequence[Run]) -> tuple[Goal, ...]:
    mine = [run for run in runs if run.case == case]
    good = sum(run.exit_code == case.exit_code for run in mine)
    return (
        at_most(f"{case.name}: slowest", observed_s=max(run.seconds for run in mine), limit_s=case.goal_s),
        all_of(f"{case.name}: exit code {case.exit_code}", good=good, total=len(mine)),
    )


def _times(cases: Sequence[Case], runs: Sequence[Run]) -> Table:
    rows = []
    for case in cases:
        seconds = [run.seconds for run in runs if run.case == case]
        rows.append(
            (case.name, str(len(seconds)), milliseconds(statistics.median(seconds)), milliseconds(max(seconds)))
        )
    return Table(head=("command", "count", "median", "max"), rows=tuple(rows))


def _samples(runs: Sequence[Run]) -> Table:
    rows = tuple((run.case.name.replace("`", ""), f"{run.seconds * 1000.0:.3f}", str(run.exit_code)) for run in runs)
    return Table(head=("command", "ms", "exit_code"), rows=rows)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start_times", description=__doc__)
    parser.add_argument("--repetitions", type=_repetitions, default=REPETITIONS, help="of each command")
    parser.add_argument("--output", type=Path, default=DEFAULT_DIRECTORY, help="where the page is written")
    return parser.parse_args(argv)


def _repetitions(text: str) -> int:
    count = int(text)
    if not 1 <= count <= REPETITIONS_MAX:
        raise argparse.ArgumentTypeError(f"{count} is not between 1 and {REPETITIONS_MAX}")
    return count


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
