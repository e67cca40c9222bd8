"""The command that shows all runs of a runs directory: list. It reads, in a process of its own."""

import shutil
import sys
from pathlib import Path

import click

from baseline_metrics.codec import Json
from campaign.interfaces.exit_codes import Exit
from campaign.interfaces.options import runs_dir_option
from campaign.interfaces.output import emit, manner, say, shared_options, warn
from campaign.interfaces.wording import printable
from campaign.past_runs import PastRun, Reported, Unreported, past_runs

VERDICT_COLUMNS = 25
"""FIT WITH LIMITS REHEARSAL."""


@click.command(name="list")
@runs_dir_option
@shared_options
def list_runs(runs_dir: Path) -> int:
    """All runs of a runs directory with their verdicts, newest first."""
    runs = past_runs(runs_dir)
    if manner().json:
        documents: list[Json] = [_document(run) for run in runs]
        emit({"runs_dir": str(runs_dir), "runs": documents})
        return Exit.DONE
    if not runs:
        warn(f"there is no run in {runs_dir}; `run --demo` makes one, --runs-dir names another place")
        return Exit.DONE
    width = max(len(run.run_id) for run in runs)
    for run in runs:
        match run.report:
            case Reported(verdict=verdict, why=why, partial=partial):
                word = "goes on" if partial else verdict
                say(_fitting(f"{run.run_id:<{width}}  {printable(word):<{VERDICT_COLUMNS}}  {printable(why)}"))
            case Unreported(reason=reason):
                say(_fitting(f"{run.run_id:<{width}}  {'-':<{VERDICT_COLUMNS}}  {printable(reason)}"))
    return Exit.DONE


def _fitting(line: str) -> str:
    """One line per run on a terminal; the whole sentence for a file or a pipe."""
    columns = shutil.get_terminal_size().columns
    return f"{line[: columns - 3]}..." if sys.stdout.isatty() and len(line) > columns else line


def _document(run: PastRun) -> Json:
    head: dict[str, Json] = {"run": run.run_id, "run_dir": str(run.run_dir)}
    match run.report:
        case Reported(verdict=verdict, why=why, partial=partial):
            return head | {"verdict": verdict, "why": why, "partial": partial}
        case Unreported(reason=reason):
            return head | {"verdict": None, "why": reason, "partial": None}
