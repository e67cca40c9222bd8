"""Checks what the engine reports against truths that are known: schedules, a server's own counts, another histogram.

Writes docs/evidence/engine-truth.md. Its own process: ``python -m benchmarks.engine_truth`` (make bench).
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import truth_checks
from benchmarks.bench_nginx import bench_server
from benchmarks.evidence import (
    DEFAULT_DIRECTORY,
    Evidence,
    Section,
    Table,
    circumstances_now,
    conclude,
    write_evidence,
)

NAME = "engine-truth"
SERVER_CORE, CLIENT_CORE = 0, 1
EXIT_CANNOT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write. Returns 0 when every goal is reached, 1 when not, 2 when it cannot be measured here."""
    parser = argparse.ArgumentParser(prog="benchmarks.engine_truth", description="Compare reports with known truths.")
    parser.add_argument("--directory", type=Path, default=DEFAULT_DIRECTORY)
    options = parser.parse_args(arguments)
    if (os.cpu_count() or 1) <= CLIENT_CORE:
        print("engine_truth: needs two cores, one for the server and one for the client", file=sys.stderr)
        return EXIT_CANNOT
    where = circumstances_now()
    with (
        tempfile.TemporaryDirectory(prefix="daybreak-bench-") as directory,
        bench_server(Path(directory), core=SERVER_CORE) as server,
    ):
        checks = [
            truth_checks.open_model(server, core=CLIENT_CORE),
            truth_checks.counts(server, core=CLIENT_CORE),
            truth_checks.stalls(core=CLIENT_CORE),
            truth_checks.histogram(),
            truth_checks.error_storm(),
        ]
    evidence = Evidence(
        name=NAME,
        title="What the engine reports, against the truth",
        what="Loads whose true result is known, run by the load test from a terminal on one core, with the wire engine.",
        command="make bench  (python -m benchmarks.engine_truth)",
        goals=tuple(goal for check in checks for goal in check.goals),
        sections=tuple(
            Section(
                title=check.title,
                content=(Table(head=("what", "truth", "seen"), rows=truth_checks.figures_rows(check.figures)),),
            )
            for check in checks
            if check.figures
        ),
    )
    return conclude(evidence, write_evidence(options.directory, evidence, where))


if __name__ == "__main__":
    sys.exit(main())
