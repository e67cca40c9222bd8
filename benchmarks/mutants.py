"""Puts small faults into guardian, judge, stopping and machine, one at a time, and sees whether the tests notice.

A seeded draw over all modules; each mutant is written into a copy of the repository, and the tests of its module run
there until one fails. A test that hangs counts as noticed: somebody would see it. Survivors are listed by name. Writes
docs/evidence/mutants.md. Its own process: ``python -m benchmarks.mutants``.
"""

import argparse
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from benchmarks.evidence import (
    DEFAULT_DIRECTORY,
    ROOT,
    Evidence,
    Goal,
    Section,
    Table,
    circumstances_now,
    conclude,
    write_evidence,
)
from benchmarks.mutation import Mutant, mutants_of

NAME = "mutants"
MUTANTS = 160
SEED = 20261201
CAUGHT_PERCENT_MIN = 90.0

TESTS_S_MAX = 240.0
"""The slowest tests of a module take 40 s here; a mutant that takes six times as long hangs."""

_JUDGE = ("tests/safety_monitoring/test_judge.py", "tests/safety_monitoring/test_ladder.py")
_STOPPING = ("tests/safety_monitoring/test_stopping.py",)
_GUARDIAN = ("tests/safety_monitoring/test_system_guardian.py", "tests/safety_monitoring/test_watched_workers.py")
_MACHINE = (
    "tests/campaign/test_machine.py",
    "tests/campaign/test_machine_stops.py",
    "tests/campaign/test_machine_pauses.py",
    "tests/campaign/test_machine_late_pauses.py",
    "tests/campaign/test_machine_deadlines.py",
    "tests/campaign/test_machine_searches.py",
    "tests/campaign/test_simulate.py",
    "tests/campaign/test_invariants.py",
)

TESTS: Mapping[str, tuple[str, ...]] = {
    "safety_monitoring/judge.py": _JUDGE,
    "safety_monitoring/ladder.py": _JUDGE,
    "safety_monitoring/limits.py": ("tests/safety_monitoring/test_limits.py", *_JUDGE),
    "safety_monitoring/look_period.py": ("tests/safety_monitoring/test_guardian_senses.py",),
    "safety_monitoring/guardian_senses.py": ("tests/safety_monitoring/test_guardian_senses.py", *_GUARDIAN),
    "safety_monitoring/guardian_drill.py": _GUARDIAN,
    "safety_monitoring/stop_watch.py": ("tests/safety_monitoring/test_stop_watch.py", *_GUARDIAN),
    "safety_monitoring/supervisor_watch.py": ("tests/safety_monitoring/test_supervisor_watch.py", *_GUARDIAN),
    "safety_monitoring/watched_workers.py": _GUARDIAN[::-1],
    "safety_monitoring/stopping.py": (*_STOPPING, *_GUARDIAN),
    "safety_monitoring/guardian_loop.py": _GUARDIAN,
    "safety_monitoring/drill.py": ("tests/safety_monitoring/test_drill.py",),
    "campaign/machine_blocks.py": _MACHINE,
    "campaign/machine_guards.py": _MACHINE,
    "campaign/machine_pauses.py": ("tests/campaign/test_machine_pauses.py", *_MACHINE),
    "campaign/machine_steps.py": _MACHINE,
    "campaign/night.py": _MACHINE,
}
"""Which tests are asked about which module, quickest first. A file that is not there is passed over."""


class Fate(Enum):
    """What became of a mutant."""

    CAUGHT = "caught"
    HUNG = "hung"  # noticed as well
    SURVIVED = "survived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One mutant and what became of it."""

    mutant: Mutant
    fate: Fate
    seconds: float


def drawn(*, seed: int, number: int, root: Path = ROOT) -> tuple[Mutant, ...]:
    """So many mutants, evenly over the modules as far as each has enough, the same for the same seed."""
    draw = random.Random(seed)
    pools = []
    for path in TESTS:
        pool = list(mutants_of(path, (root / path).read_text(encoding="utf-8")))
        draw.shuffle(pool)
        pools.append(pool)
    chosen: list[Mutant] = []
    while len(chosen) < number and any(pools):
        for pool in pools:
            if pool and len(chosen) < number:
                chosen.append(pool.pop())
    return tuple(chosen)


def copy_of_repository(directory: Path) -> Path:
    """The files that git tracks, as they are now."""
    copy = directory / "copy"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=60.0)
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = ROOT / name, copy / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return copy


def fate_of(mutant: Mutant, copy: Path, *, seconds_max: float = TESTS_S_MAX) -> Fate:
    """Write it into the copy, run the tests of its module, and take it out again."""
    path = copy / mutant.path
    whole = path.read_text(encoding="utf-8")
    tests = [name for name in TESTS[mutant.path] if (copy / name).is_file()]
    assert tests, f"no tests are known for {mutant.path}"
    try:
        path.write_text(mutant.source, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *dict.fromkeys(tests)],
            cwd=copy,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds_max,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Fate.HUNG
    finally:
        path.write_text(whole, encoding="utf-8")
    assert done.returncode in (0, 1, 2), f"pytest ended with {done.returncode} for {mutant.name}"
    return Fate.SURVIVED if done.returncode == 0 else Fate.CAUGHT


def try_all(mutants: Sequence[Mutant], *, jobs: int, until_mono_s: float) -> tuple[Tried, ...]:
    """Try them in order, so many at a time; those that time does not reach are left out."""
    waiting: queue.Queue[Mutant] = queue.Queue()
    for mutant in mutants:
        waiting.put(mutant)
    tried: list[Tried] = []

    def work() -> None:
        with tempfile.TemporaryDirectory(prefix="daybreak-mutants-") as directory:
            copy = copy_of_repository(Path(directory))
            while time.monotonic() < until_mono_s:
                try:
                    mutant = waiting.get_nowait()
                except queue.Empty:
                    return
                began = time.monotonic()
                fate = fate_of(mutant, copy)
                tried.append(Tried(mutant=mutant, fate=fate, seconds=time.monotonic() - began))
                print(f"{len(tried):4} {fate.value:8} {tried[-1].seconds:6.1f} s  {mutant.name}", flush=True)

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tuple(tried)


def evidence_of(tried: Sequence[Tried], *, seed: int) -> Evidence:
    """The page."""
    survivors = [one for one in tried if one.fate is Fate.SURVIVED]
    caught = len(tried) - len(survivors)
    percent = 100.0 * caught / len(tried) if tried else 0.0
    rows = []
    for path in TESTS:
        of_path = [one for one in tried if one.mutant.path == path]
        alive = sum(one.fate is Fate.SURVIVED for one in of_path)
        rows.append((path, str(len(of_path)), str(len(of_path) - alive), str(alive)))
    return Evidence(
        name=NAME,
        title="Mutants of guardian, judge, stopping and machine",
        what="One small fault at a time is put into a module, and the module's tests are run. What they do not notice survives.",
        command=f"make mutants  # seed {seed}, {len(tried)} mutants",
        goals=(
            Goal(text="mutants tried: at least 100", observed=str(len(tried)), reached=len(tried) >= 100),
            Goal(
                text=f"mutants noticed: at least {CAUGHT_PERCENT_MIN:g} %",
                observed=f"{percent:.1f} % ({caught} of {len(tried)})",
                reached=percent >= CAUGHT_PERCENT_MIN,
            ),
        ),
        sections=(
            Section(
                title="By module", content=(Table(head=("module", "tried", "noticed", "survived"), rows=tuple(rows)),)
            ),
            Section(
                title="Survivors",
                content=(
                    "Equivalent mutants, which change nothing that anybody could see, are not taken out of the count.",
                    Table(
                        head=("place", "before", "after"),
                        rows=tuple(
                            (f"{one.mutant.path}:{one.mutant.line}", f"`{one.mutant.before}`", f"`{one.mutant.after}`")
                            for one in survivors
                        ),
                    ),
                )
                if survivors
                else ("None.",),
            ),
        ),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the mutants and write the page. Exit 1 when a goal is not reached."""
    parser = argparse.ArgumentParser(prog="benchmarks.mutants", description="Mutation check of what must not fail.")
    parser.add_argument("--mutants", type=int, default=MUTANTS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--jobs", type=int, default=1, help="copies of the repository that are tested at the same time")
    parser.add_argument("--minutes", type=float, default=45.0, help="begin no mutant after this time")
    parser.add_argument("--only", default="", help="only modules whose path contains this")
    parser.add_argument("--output", type=Path, default=DEFAULT_DIRECTORY)
    options = parser.parse_args(arguments)
    circumstances = circumstances_now()
    mutants = [mutant for mutant in drawn(seed=options.seed, number=options.mutants) if options.only in mutant.path]
    tried = try_all(mutants, jobs=options.jobs, until_mono_s=time.monotonic() + 60.0 * options.minutes)
    evidence = evidence_of(tried, seed=options.seed)
    samples = Table(
        head=("path", "line", "column", "operator", "before", "after", "fate", "seconds"),
        rows=tuple(
            (m.path, str(m.line), str(m.column), m.operator, m.before, m.after, one.fate.value, f"{one.seconds:.1f}")
            for one in tried
            for m in (one.mutant,)
        ),
    )
    path = write_evidence(options.output, evidence, circumstances, samples={f"{NAME}.csv": samples})
    return conclude(evidence, path)


if __name__ == "__main__":
    sys.exit(main())
