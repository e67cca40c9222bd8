"""The command that measures what a night would start from: baseline. It runs in a process of its own."""

import click

from baseline_metrics import baseline_collector
from campaign.interfaces.output import manner, shared_options


@click.command()
@click.option(
    "--target",
    metavar="URL",
    default="",
    envvar="DAYBREAK_TARGET",
    help="Loopback or private; it gets 20 GET requests.",
)
@click.option(
    "--seconds", metavar="N", default="10", show_default=True, help='How long to watch the idle host: "10" or "2min".'
)
@shared_options
def baseline(target: str, seconds: str) -> int:
    """Measure the idle host, and with --target the target, and print the health score with its parts.

    Exit codes: 0 healthy (70 and more), 1 below, 3 unknown because something could not be measured.
    """
    arguments = ["--seconds", seconds]
    if target:
        arguments += ["--target", target]
    if manner().json:
        arguments.append("--json")
    return baseline_collector.main(arguments)
