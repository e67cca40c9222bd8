"""Measures how fast the guardian takes a memory load away when memory runs low, inside a cgroup of 512 MiB.

A neighbour takes what lies below the guardian's reserve while a memory worker holds its load; measured is the time until
the load's memory is with the kernel again, and whether the kernel had to kill anybody. Writes
docs/evidence/memory-breaker.md. Its own process, with the right to make a memory cgroup:
``python -m benchmarks.memory_breaker``.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.units import format_bytes
from benchmarks.busy_cores import busy_cores
from benchmarks.evidence import (
    DEFAULT_DIRECTORY,
    ROOT,
    Circumstances,
    Evidence,
    Goal,
    Section,
    Table,
    all_of,
    at_most,
    circumstances_now,
    conclude,
    milliseconds,
    spread_of,
    write_evidence,
)
from benchmarks.limited_memory import LimitedMemory, MemoryCounts, NoLimitedMemoryError
from benchmarks.memory_rig import LIMIT_BYTES, LOAD_BYTES, LOAD_BYTES_PER_S, RESERVE_BYTES

NAME = "memory-breaker"
REPETITIONS = 100
REPETITIONS_MAX = 1000

P99_GOAL_S = 0.5
MAX_GOAL_S = 1.0

BUSY_PER_CORE = 1
"""Every core has something else to do, outside the limit."""

REPETITION_S_MAX = 60.0
"""One takes about 2 s; a hang limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All repetitions, in seconds, and what the kernel counted meanwhile. asked: how many were to be made."""

    asked: int
    seconds: tuple[float, ...]
    counts: MemoryCounts


def main(argv: Sequence[str]) -> int:
    """Measure and write. Returns 0 if all goals were reached, 1 if not or if nothing could be measured."""
    options = _options(argv)
    where = circumstances_now()
    try:
        measured = measure(options.repetitions)
    except NoLimitedMemoryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not measured.seconds:
        sys.stderr.write("no repetition came to its end: there is nothing to report\n")
        return 1
    return report(measured, where, directory=options.output)


def measure(repetitions: int) -> Measured:
    """So many breaches inside one limit. Raises NoLimitedMemoryError; leaves nothing running."""
    base = tempfile.mkdtemp(prefix="daybreak-memory-")
    try:
        with (
            LimitedMemory("daybreak-memory-breaker", limit_bytes=LIMIT_BYTES) as limited,
            busy_cores(per_core=BUSY_PER_CORE, life_s=REPETITION_S_MAX * repetitions),
        ):
            done = subprocess.run(
                [*limited.enter, sys.executable, "-m", "benchmarks.memory_rig", base, str(repetitions)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
                timeout=REPETITION_S_MAX * repetitions,
                check=False,
            )
            counts = limited.counts()
    finally:
        shutil.rmtree(base, ignore_errors=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return Measured(
        asked=repetitions,
        seconds=tuple(line["seconds"] for line in lines),
        counts=counts,
    )


def report(measured: Measured, where: Circumstances, *, directory: Path) -> int:
    """Write the page and print its goals. Returns the exit code."""
    evidence = evidence_of(measured)
    rows = tuple((str(number), f"{seconds * 1000.0:.3f}") for number, seconds in enumerate(measured.seconds, start=1))
    samples = {f"{NAME}.csv": Table(head=("repetition", "released_ms"), rows=rows)}
    return conclude(evidence, write_evidence(directory, evidence, where, samples=samples))


def evidence_of(measured: Measured) -> Evidence:
    """The page's content."""
    spread = spread_of(measured.seconds, missing=measured.asked - len(measured.seconds))
    counts = measured.counts
    return Evidence(
        name=NAME,
        title="How fast a memory load goes when memory runs low",
        what=(
            f"Inside a memory cgroup of {format_bytes(LIMIT_BYTES)} a real memory worker holds {format_bytes(LOAD_BYTES)} "
            f"(risen at {format_bytes(LOAD_BYTES_PER_S)}/s), watched by a real guardian that keeps "
            f"{format_bytes(RESERVE_BYTES)} free. A neighbour then takes memory from just above to just below that reserve. "
            "Measured is from when it is about to pass the reserve, by its own clock, until the load's memory is with the "
            "kernel again, by the worker's page or its end. Guardian and worker are "
            "new in each repetition. A busy loop keeps each core occupied; neighbour and clock alone are kept out of its way."
        ),
        command=f"python -m benchmarks.memory_breaker --repetitions {measured.asked}",
        goals=(
            at_most("breach until the load is released, p99", observed_s=spread.p99, limit_s=P99_GOAL_S),
            at_most("breach until the load is released, slowest", observed_s=spread.largest, limit_s=MAX_GOAL_S),
            all_of("repetitions that ended with the load released", good=len(measured.seconds), total=measured.asked),
            Goal(
                text="processes killed by the kernel for want of memory: 0",
                observed=str(counts.killed),
                reached=counts.killed == 0,
            ),
        ),
        sections=(
            Section(
                title="Times",
                content=(
                    Table(
                        head=("", "count", "p50", "p90", "p99", "max"),
                        rows=(
                            _row(
                                "breach until released",
                                spread.count,
                                spread.p50,
                                spread.p90,
                                spread.p99,
                                spread.largest,
                            ),
                        ),
                    ),
                    _use_words(counts),
                ),
            ),
        ),
    )


def _use_words(counts: MemoryCounts) -> str:
    return (
        f"The most that was in use inside the limit at any time: {format_bytes(counts.most_bytes)}, page cache included; "
        f"allocations that found the limit: {counts.failures}."
    )


def _row(name: str, count: int, *seconds: float) -> tuple[str, ...]:
    return (name, str(count), *(milliseconds(value) for value in seconds))


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory_breaker", description=__doc__)
    parser.add_argument("--repetitions", type=_repetitions, default=REPETITIONS)
    parser.add_argument("--output", type=Path, default=DEFAULT_DIRECTORY, help="where the page is written")
    return parser.parse_args(argv)


def _repetitions(text: str) -> int:
    count = int(text)
    if not 1 <= count <= REPETITIONS_MAX:
        raise argparse.ArgumentTypeError(f"{count} is not between 1 and {REPETITIONS_MAX}")
    return count


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
