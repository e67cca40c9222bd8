"""Options that several commands share, each written once. The process of each command uses this."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from campaign import control
from campaign.control import AnyRun, Everywhere, InRunsDirectory, OneRun, Place, Registered, Which
from campaign.interfaces.output import refuse
from campaign.past_runs import RunNameError, checked_run_id

RUNS_DIR = "runs"
"""Beside the person, in the working directory: runs belong to a project, not to a home directory."""

Command = TypeVar("Command", bound=Callable[..., Any])


def runs_dir_option(command: Command) -> Command:
    """``--runs-dir``: where runs lie."""
    return click.option(
        "--runs-dir",
        type=click.Path(path_type=Path, file_okay=True),
        default=RUNS_DIR,
        show_default=True,
        envvar="DAYBREAK_RUNS_DIR",
        callback=_absolute,
        help="Where runs lie.",
    )(command)


def _absolute(_context: click.Context, _parameter: click.Parameter, value: Path) -> Path:
    return value.absolute()


def night_options(command: Command) -> Command:
    """Everything that shapes the night: of run, check and plan."""
    for option in (
        click.argument("plan_file", metavar="[PLAN.yaml]", required=False, type=click.Path(path_type=Path)),
        click.option("--target", metavar="URL", help="What to load, such as http://127.0.0.1:8080 (DAYBREAK_TARGET)."),
        click.option("--hours", metavar="H", help="Length of the night (DAYBREAK_HOURS)."),
        click.option("--until", metavar="HH:MM", help="Local time by which all has ended (DAYBREAK_UNTIL)."),
        click.option(
            "--scale",
            type=click.FloatRange(min=0.0, min_open=True),
            default=1.0,
            metavar="X",
            envvar="DAYBREAK_SCALE",
            help="Multiply all connections, rounded up.",
        ),
        click.option(
            "--compress",
            metavar="2min",
            envvar="DAYBREAK_COMPRESS",
            help="A rehearsal: the whole night in this time; pace and criteria stay.",
        ),
        click.option(
            "--demo", is_flag=True, help="Load the bundled demo service, on its own plan unless one is given."
        ),
        click.option("--name", metavar="N", help="Part of the run's name (DAYBREAK_NAME)."),
        click.option("--seed", metavar="N", help="Of everything that is drawn at random (DAYBREAK_SEED)."),
        runs_dir_option,
        click.option(
            "--allow-target",
            metavar="HOST",
            multiple=True,
            help="A host outside loopback and private ranges that may be loaded (DAYBREAK_ALLOW_TARGET).",
        ),
        click.option("--tags", metavar="A,B", help="Only operations with one of these tags (DAYBREAK_TAGS)."),
        click.option("--exclude-tags", metavar="A,B", help="No operation with these tags (DAYBREAK_EXCLUDE_TAGS)."),
        click.option("--allow-critical", is_flag=True, help="Let phases with a multiplier above 1 use all of the CPU."),
    )[::-1]:
        command = option(command)
    return command


def run_options(command: Command) -> Command:
    """What concerns the launch and not the night."""
    for option in (
        click.option("--detach", is_flag=True, help="Start it and give the terminal back at once."),
        click.option("--yes", is_flag=True, envvar="DAYBREAK_YES", help="Answer the question beforehand."),
        click.option("--strict", is_flag=True, envvar="DAYBREAK_STRICT", help="Fit with limits counts as not fit (1)."),
        click.option(
            "--progress",
            type=click.Choice(["auto", "live", "plain", "json", "none"]),
            default="auto",
            show_default=True,
            envvar="DAYBREAK_PROGRESS",
            help="How progress is shown on standard error.",
        ),
    )[::-1]:
        command = option(command)
    return command


def ignored_run_options(command: Command) -> Command:
    """Run's launch options, accepted without effect: --check-only is put behind a nightly command line as it stands."""
    for option in (
        click.option("--detach", is_flag=True, expose_value=False, hidden=True),
        click.option("--yes", is_flag=True, expose_value=False, hidden=True),
        click.option("--strict", is_flag=True, expose_value=False, hidden=True),
        click.option("--progress", expose_value=False, hidden=True),
    ):
        command = option(command)
    return command


def which_campaigns(run: str, runs_dir: Path | None) -> Registered:
    """The registered campaigns that RUN ("": any) and --runs-dir (None: anywhere) mean."""
    place: Place = Everywhere() if runs_dir is None else InRunsDirectory(path=runs_dir)
    which: Which = AnyRun()
    if run:
        try:
            which = OneRun(run_id=checked_run_id(run))
        except RunNameError as error:
            refuse(str(error))
    return control.registered(control.state_directory(os.environ), place=place, which=which)
