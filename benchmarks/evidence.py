"""Writes measured figures down as evidence: a page with the goals, the figures, the machine, the commit and the command.

A figure without the machine it was taken on is a rumour, so the page carries both, and whether a goal was reached is
computed from the samples beside it, never typed. Used by the measuring programs of this folder, in their own process.
"""

import csv
import math
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from baseline_metrics.units import format_bytes

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_DIRECTORY = ROOT / "docs" / "evidence"

GIT_S_MAX = 10.0
"""Git answers in milliseconds; a repository on a sleeping disk may take seconds."""

DIRTY_EXCEPT = ":(exclude)docs/evidence"
"""What the measuring programs write themselves is no change of what they measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """When and where a measurement was taken. load_average: of the last minute before it began."""

    taken_at: str
    commit: str
    cpu_model: str
    cores: int
    memory_bytes: int
    kernel: str
    python: str
    load_average: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Percentiles by nearest rank: p99 is the smallest sample that 99 % of all do not exceed.

    missing: how many never came to an end. They count as infinitely slow, so leaving them out can flatter nothing.
    """

    count: int
    missing: int
    p50: float
    p90: float
    p99: float
    largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What was to be reached, what was seen, and whether that is enough."""

    text: str
    observed: str
    reached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of texts under a head of the same length."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the page: paragraphs and tables in order."""

    title: str
    content: tuple[str | Table, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One page. name: of its files, without suffix; command: as a person repeats it, from the top folder."""

    name: str
    title: str
    what: str
    command: str
    goals: tuple[Goal, ...]
    sections: tuple[Section, ...]

    @property
    def all_reached(self) -> bool:
        """Whether every goal was reached."""
        return all(goal.reached for goal in self.goals)


def circumstances_now() -> Circumstances:
    """This machine at this moment. Ask before measuring: afterwards the load average is the measurement's own."""
    return Circumstances(
        taken_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        commit=commit_of(ROOT),
        cpu_model=_cpu_model(Path("/proc/cpuinfo")),
        cores=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        load_average=os.getloadavg()[0],
    )


def commit_of(directory: Path) -> str:
    """The commit that is checked out there, and whether files differ from it; "unknown" with the reason otherwise."""
    try:
        head = _git(directory, "rev-parse", "--short=12", "HEAD")
        changed = _git(directory, "status", "--porcelain", "--", ".", DIRTY_EXCEPT)
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown ({type(error).__name__})"
    return f"{head} with local changes" if changed else head


def spread_of(samples: Sequence[float], *, missing: int = 0) -> Spread:
    """Percentiles of the samples in their unit, with so many more that never ended. Raises ValueError without any."""
    ordered = [*sorted(samples), *[math.inf] * missing]
    if not ordered:
        raise ValueError("no sample at all: there is nothing to take percentiles of")
    return Spread(
        count=len(ordered),
        missing=missing,
        p50=_nearest_rank(ordered, 50),
        p90=_nearest_rank(ordered, 90),
        p99=_nearest_rank(ordered, 99),
        largest=ordered[-1],
    )


def milliseconds(seconds: float) -> str:
    """A time for tables of one unit: "5.2 ms"; "never" for what did not end."""
    return f"{seconds * 1000.0:.1f} ms" if math.isfinite(seconds) else "never"


def at_most(text: str, *, observed_s: float, limit_s: float) -> Goal:
    """The goal that a time in seconds is not above its limit; exactly the limit is still reached."""
    wanted = f"{text} at most {limit_s * 1000.0:g} ms"
    return Goal(text=wanted, observed=milliseconds(observed_s), reached=observed_s <= limit_s)


def all_of(text: str, *, good: int, total: int) -> Goal:
    """The goal that something holds each time; nothing tried is not reached."""
    return Goal(text=text, observed=f"{good} of {total}", reached=0 < total == good)


def page(evidence: Evidence, where: Circumstances, *, files: Sequence[str] = ()) -> str:
    """The page in Markdown. files: names of the files beside it that hold the samples."""
    lines = [f"# {evidence.title}", "", evidence.what, ""]
    lines += ["## Goals", "", *_table(_goal_table(evidence.goals)), ""]
    for section in evidence.sections:
        lines += [f"## {section.title}", ""]
        for item in section.content:
            lines += [*(_table(item) if isinstance(item, Table) else [item]), ""]
    lines += ["## Circumstances", "", *_table(_circumstance_table(evidence, where)), ""]
    if files:
        lines += ["Every sample: " + ", ".join(f"[{name}]({name})" for name in files) + ".", ""]
    return "\n".join(lines)


def write_evidence(
    directory: Path, evidence: Evidence, where: Circumstances, *, samples: Mapping[str, Table] | None = None
) -> Path:
    """Write the page, and a CSV file per table of samples (by file name), into the directory; returns the page's path."""
    directory.mkdir(parents=True, exist_ok=True)
    tables = samples or {}
    for name, table in tables.items():
        with (directory / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(table.head)
            writer.writerows(table.rows)
    path = directory / f"{evidence.name}.md"
    path.write_text(page(evidence, where, files=tuple(tables)), encoding="utf-8")
    return path


def conclude(evidence: Evidence, path: Path) -> int:
    """Print the goals and where the page is. Returns the exit code: 0 if all were reached, else 1."""
    for goal in evidence.goals:
        print(f"{_reached(goal):12} {goal.text}: {goal.observed}")
    print(f"written to {path}")
    return 0 if evidence.all_reached else 1


def _nearest_rank(ordered: Sequence[float], percent: int) -> float:
    # In whole numbers: 0.99 * 100 in floating point is 99.00000000000001 on some machines' days, and ceil makes it 100.
    return ordered[max(1, -(-len(ordered) * percent // 100)) - 1]


def _goal_table(goals: Sequence[Goal]) -> Table:
    rows = tuple((goal.text, goal.observed, _reached(goal)) for goal in goals)
    return Table(head=("goal", "observed", "result"), rows=rows)


def _reached(goal: Goal) -> str:
    return "reached" if goal.reached else "NOT REACHED"


def _circumstance_table(evidence: Evidence, where: Circumstances) -> Table:
    rows = (
        ("taken at", where.taken_at),
        ("commit", where.commit),
        ("command", f"`{evidence.command}`"),
        ("processor", f"{where.cpu_model}, {where.cores} cores"),
        ("memory", format_bytes(where.memory_bytes)),
        ("kernel", where.kernel),
        ("Python", where.python),
        ("load average before", f"{where.load_average:.2f}"),
    )
    return Table(head=("", ""), rows=rows)


def _table(table: Table) -> list[str]:
    head = [_row(table.head), "|" + " --- |" * len(table.head)]
    return [*head, *(_row(row) for row in table.rows)]


def _row(cells: Sequence[str]) -> str:
    return "|" + "".join(f" {cell.replace('|', '/')} |" for cell in cells)


def _git(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(directory), *arguments], capture_output=True, text=True, check=True, timeout=GIT_S_MAX
    )
    return done.stdout.strip()


def _cpu_model(cpuinfo: Path) -> str:
    """What the kernel calls the processor; ARM kernels give no such line, then its architecture."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
