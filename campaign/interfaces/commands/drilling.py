"""The command that rehearses every way to stop, without a campaign: drill. Its process is the drill's supervisor."""

import os

import click

from baseline_metrics.clock import SystemClock
from baseline_metrics.codec import Json
from baseline_metrics.units import format_duration
from campaign import control
from campaign.check_rows import CheckRow, fail, ok, render_rows, warn
from campaign.control import AnyRun, Everywhere
from campaign.interfaces.exit_codes import Exit
from campaign.interfaces.output import emit, manner, refuse, say, shared_options, tell
from campaign.lone_drill import HeldDrill, LoneDrillError, hold_drill
from monitoring_logs.records import DrillFact
from safety_monitoring.registry import RegistryError, ensure_state_directory


@click.command()
@shared_options
def drill() -> int:
    """Rehearse every way to stop, with a small real load, and print how long each took.

    Also prints what this host lets the guardian do for its own survival. Sends nothing to anybody. Every campaign holds
    the same drill before its first load. Exit codes: 0 every path works in time, 6 one does not, or a campaign runs.
    """
    state_dir = control.state_directory(os.environ)
    try:
        ensure_state_directory(state_dir)
    except RegistryError as error:
        refuse(str(error), exit_code=Exit.REFUSED)
    running = control.registered(state_dir, place=Everywhere(), which=AnyRun())
    alive = [campaign.entry.run_id for campaign in running.campaigns if campaign.alive]
    if alive:
        refuse(
            f"{', '.join(alive)} runs: the drill's load would be in its measurements. Every campaign rehearses its own "
            "stops; wait for its end",
            exit_code=Exit.REFUSED,
        )
    tell("rehearsing every way to stop, with a load of a third of one core ...")
    try:
        held = hold_drill(state_dir=state_dir, clock=SystemClock())
    except LoneDrillError as error:
        refuse(str(error), exit_code=Exit.REFUSED)
    if manner().json:
        emit(_document(held))
    else:
        say(_text(held))
    return Exit.DONE if held.passed else Exit.REFUSED


def _text(held: HeldDrill) -> str:
    missed = [fact for fact in held.facts if not fact.passed]
    slowest = max((fact.seconds for fact in held.facts), default=0.0)
    head = (
        f"{len(missed)} of {len(held.facts)} ways to stop do not work: no campaign would make any load here"
        if missed or not held.facts
        else f"all {len(held.facts)} ways to stop work, the slowest took {format_duration(slowest)}"
    )
    protections = tuple(
        ok(row.name, row.detail) if row.works else warn(row.name, row.detail, "") for row in held.protections
    )
    return "\n".join(
        (
            head,
            "",
            render_rows(tuple(_row(fact) for fact in held.facts)),
            "",
            "What this host gives the guardian, tried and read back:",
            "",
            render_rows(protections),
        )
    )


def _row(fact: DrillFact) -> CheckRow:
    name, allowed = fact.path.value.replace("_", " "), f"allowed {format_duration(fact.seconds_max)}"
    if fact.passed:
        return ok(name, f"load gone in {fact.seconds * 1000:.0f} ms, {allowed}")
    return fail(name, f"{fact.detail}, {allowed}", "look at the guardian's row of protections, and free this host")


def _document(held: HeldDrill) -> dict[str, Json]:
    return {
        "passed": held.passed,
        "paths": [
            {
                "path": fact.path.value,
                "seconds": round(fact.seconds, 6),
                "seconds_max": fact.seconds_max,
                "passed": fact.passed,
                "detail": fact.detail,
            }
            for fact in held.facts
        ],
        "protections": [{"name": row.name, "works": row.works, "detail": row.detail} for row in held.protections],
    }
