"""Commands that need no target: init writes a plan to edit, simulate runs virtual nights. Each runs in its own process."""

import os
from pathlib import Path

import click

from baseline_metrics.codec import Json
from campaign.interfaces.exit_codes import Exit
from campaign.interfaces.output import emit, manner, refuse, say, shared_options
from campaign.simulate import simulate_nights
from campaign.starter_plan import STARTER_PLAN

PLAN_NAME = "campaign.yaml"

NIGHTS_MAX = 1_000_000
"""At about 300 nights a second this is an hour; who wants more can use several seeds."""


@click.command()
@click.argument("path", required=False, default=PLAN_NAME, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
@shared_options
def init(path: Path, *, force: bool) -> int:
    """Write a commented plan to edit, by default ./campaign.yaml, which `run` then finds by itself."""
    if path.is_dir():
        path = path / PLAN_NAME
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with os.fdopen(os.open(path, flags, 0o644), "w", encoding="utf-8") as file:
            file.write(STARTER_PLAN)
    except FileExistsError:
        refuse(f"{path} exists already: name another file, or replace it with --force")
    except OSError as error:
        refuse(f"{path} cannot be written: {error.strerror}; name another place")
    if manner().json:
        emit({"plan": str(path)})
    else:
        say(
            f"{path} is written. Edit it, look at it with `plan {path}`, check it with `check {path}`, then `run {path}`."
        )
    return Exit.DONE


@click.command()
@click.option("--nights", type=click.IntRange(1, NIGHTS_MAX), default=2_000, show_default=True, metavar="N")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, metavar="S", help="Of the first night.")
@shared_options
def simulate(nights: int, seed: int) -> int:
    """Run whole nights of the campaign's machine on a fake clock, with scripted targets and failures.

    Nothing is measured and no load is made: it shows that the machine keeps its promises. Exit code 1 when it broke one.
    """
    summary = simulate_nights(nights=nights, seed=seed)
    if manner().json:
        broken: list[Json] = [
            {"seed": night.seed, "broken": [found.detail for found in night.broken]} for night in summary.broken
        ]
        emit(
            {
                "nights": summary.nights,
                "first_seed": summary.first_seed,
                "steps": summary.steps,
                "outcomes": dict(summary.outcomes),
                "ends": dict(summary.causes),
                "broken_count": summary.broken_count,
                "broken": broken,
            }
        )
    else:
        say(summary.text())
    return Exit.NOT_FIT if summary.broken else Exit.DONE
