"""The command that builds a run's report again: report. It runs in a process of its own.

It reads the run's record and writes into its results_summary only.
"""

import os
from pathlib import Path

import click

from baseline_metrics.ownership import not_ours
from campaign import control
from campaign.control import InRunsDirectory, OneRun
from campaign.interfaces.exit_codes import Exit
from campaign.interfaces.options import runs_dir_option
from campaign.interfaces.output import manner, refuse, say, shared_options, tell
from campaign.interfaces.results import print_results
from campaign.past_runs import LATEST, RunNameError, RunNotFoundError, find_run
from results_summary.files import ReportWriteError
from results_summary.reporter import build_report, verdict_of


@click.command()
@click.argument("run", required=False, default=LATEST)
@click.option("--strict", is_flag=True, help="Exit with the verdict's code; fit with limits counts as not fit (1).")
@runs_dir_option
@shared_options
def report(run: str, runs_dir: Path, *, strict: bool) -> int:
    """Build the report of a run again, from its record alone, and print the summary.

    A run of another user is refused. RUN is a run's id, or "latest". Exit code 0 when the report is written; with --strict, the verdict's.
    """
    try:
        run_dir = find_run(runs_dir, run)
    except (RunNameError, RunNotFoundError) as error:
        refuse(str(error))
    places = (runs_dir, runs_dir / run, run_dir)
    strange = next((why for place in places if (why := not_ours(str(place)))), "")
    if strange:
        refuse(f"{strange}: a report is not written there; ask for it as that user", exit_code=Exit.REFUSED)
    going_on = _goes_on(run_dir)
    try:
        paths = build_report(run_dir, partial=going_on)
    except ReportWriteError as error:
        refuse(str(error), exit_code=Exit.FAULT)
    print_results(run_dir)
    if not manner().json:
        say(f"\nreport: {paths.html}")
    if going_on:
        tell("this campaign still runs: the report shows the night so far")
        return Exit.DONE
    return verdict_of(run_dir, strict=True).exit_code if strict else Exit.DONE


def _goes_on(run_dir: Path) -> bool:
    """Whether the run's supervisor is alive: then its report is a partial one."""
    found = control.registered(
        control.state_directory(os.environ),
        place=InRunsDirectory(path=run_dir.parent),
        which=OneRun(run_id=run_dir.name),
    )
    return any(campaign.alive for campaign in found.campaigns)
