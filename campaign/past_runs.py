"""Finds runs in a runs directory: the one that a person names, or all of them, newest first.

A run id comes from a command line and becomes a path, so nothing but a plain name is accepted. Reads only. The
processes of ``report`` and ``list`` use it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from safety_monitoring import registry

LATEST = "latest"

RUNS_MAX = 10_000
"""Entries of a runs directory that are looked at: 27 years of nights; more is not a runs directory."""

REPORT_BYTES_MAX = 64 << 20
"""A report has about 200 KiB; whatever is larger than this was not written by us."""

REPORT = Path("results_summary") / "autonomous_campaign_report.json"


class RunNotFoundError(LookupError):
    """No such run; the message says what to write instead."""


class RunNameError(ValueError):
    """Not the name of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What the run's report says. verdict: its word with its marks, such as "FIT REHEARSAL"."""

    verdict: str
    why: str
    partial: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreported:
    """The run has no readable report."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One run directory."""

    run_id: str
    run_dir: Path
    report: Reported | Unreported


def checked_run_id(text: str) -> str:
    """The text, when it is a run id. Raises RunNameError."""
    try:
        return registry.checked_run_id(text)
    except registry.RegistryError as error:
        raise RunNameError(
            f'{error}; `list` shows the runs that there are, and "latest" is the newest of them'
        ) from error


def find_run(runs_dir: Path, text: str) -> Path:
    """The directory of a run by id, or of the latest. Raises RunNameError, RunNotFoundError."""
    run_id = checked_run_id(text)
    if run_id == LATEST:
        return _latest(runs_dir)
    run_dir = runs_dir / run_id
    if not looks_like_run(run_dir):
        raise RunNotFoundError(f"{run_dir} is not a run; `list --runs-dir {runs_dir}` shows those that there are")
    return run_dir


def _latest(runs_dir: Path) -> Path:
    link = runs_dir / LATEST
    if looks_like_run(link):
        return link.resolve()
    ids = run_ids(runs_dir)
    if not ids:
        raise RunNotFoundError(f"there is no run in {runs_dir}; `run --demo` makes one, --runs-dir names another place")
    return runs_dir / ids[0]


def looks_like_run(run_dir: Path) -> bool:
    """Whether this directory was made for a run."""
    return (run_dir / "meta.json").is_file() or (run_dir / "plan.yaml").is_file()


def run_ids(runs_dir: Path) -> tuple[str, ...]:
    """Ids of all runs, newest first: they begin with their UTC time."""
    try:
        names = [path.name for path in _bounded(runs_dir)]
    except OSError:
        return ()
    found = [
        name
        for name in names
        if registry.RUN_ID.fullmatch(name) and not (runs_dir / name).is_symlink() and looks_like_run(runs_dir / name)
    ]
    return tuple(sorted(found, reverse=True))


def _bounded(runs_dir: Path) -> list[Path]:
    return [path for path, _ in zip(runs_dir.iterdir(), range(RUNS_MAX), strict=False)]


def past_runs(runs_dir: Path) -> tuple[PastRun, ...]:
    """All runs with what their reports say, newest first."""
    return tuple(
        PastRun(run_id=run_id, run_dir=runs_dir / run_id, report=reported(runs_dir / run_id))
        for run_id in run_ids(runs_dir)
    )


def reported(run_dir: Path) -> Reported | Unreported:
    """What the run's report says, or why it says nothing."""
    path = run_dir / REPORT
    try:
        if path.stat().st_size > REPORT_BYTES_MAX:
            return Unreported(reason=f"{path.name} is too large to be ours")
        document = json.loads(path.read_text())
        verdict = document["verdict"]
        # The minimal report, written when the full one could not be, has the status only.
        word = verdict["word"] if "word" in verdict else verdict["status"]
        words = " ".join(str(part) for part in (word, *verdict.get("marks", ())))
        why, partial = str(verdict["why"]), bool(document["partial"])
    except FileNotFoundError:
        return Unreported(reason="no report")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Unreported(reason=f"{path.name} cannot be read: {error}")
    return Reported(verdict=words, why=why, partial=partial)
