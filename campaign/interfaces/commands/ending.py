"""Commands that end things: stop ends a campaign in an orderly way, reset takes a latched stop away.

They run in a process of their own, beside the campaign, and find it through the registry.
"""

import os
from pathlib import Path

import click

from baseline_metrics.clock import SystemClock
from baseline_metrics.codec import Json
from baseline_metrics.units import format_duration
from campaign import control
from campaign.control import AnyRun, Asked, GoneAlready, InRunsDirectory, Quiet, RunningCampaign, StillThere
from campaign.interfaces import wording
from campaign.interfaces.exit_codes import Exit
from campaign.interfaces.options import runs_dir_option, which_campaigns
from campaign.interfaces.output import emit, manner, refuse, say, shared_options, tell
from safety_monitoring import registry
from safety_monitoring.registry import Latch, NotLatched, RegistryError

NONE_RUNS = "no campaign is running"


@click.command()
@click.argument("run", required=False, default="")
@click.option("--runs-dir", type=click.Path(path_type=Path), help="Only campaigns of this runs directory.")
@shared_options
def stop(run: str, runs_dir: Path | None) -> int:
    """End a running campaign in an orderly way: load off within two seconds, record, report.

    Without RUN, all campaigns that run. Waits until nothing of them is left. A stop that cannot wait:
    --emergency-stop, or touch STOP in the run's directory.
    """
    found = which_campaigns(run, runs_dir)
    alive = [campaign for campaign in found.campaigns if campaign.alive]
    leftovers = [campaign for campaign in found.campaigns if not campaign.alive]
    if not alive and not manner().json:
        say(NONE_RUNS)
    for campaign in leftovers:
        tell(f"{campaign.entry.run_id} is not running; what its supervisor left is cleared up by --emergency-stop")
    asked = [(campaign, _ask(campaign)) for campaign in alive]
    state_dir, clock = control.state_directory(os.environ), SystemClock()
    results = [
        (campaign, answer, control.wait_until_quiet(campaign.entry, state_dir=state_dir, clock=clock))
        for campaign, answer in asked
    ]
    if manner().json:
        emit({"stopped": [_stop_document(campaign, result) for campaign, _, result in results]})
    else:
        for campaign, answer, result in results:
            say(_stop_line(campaign, answer, result))
    return Exit.DONE if all(isinstance(result, Quiet) for _, _, result in results) else Exit.FAULT


@click.command()
@runs_dir_option
@shared_options
def reset(runs_dir: Path) -> int:
    """Take a latched emergency stop away, so that campaigns may start again in this runs directory.

    Removes the latch and the directory's STOP file, says what was removed, and starts nothing.
    """
    state_dir = control.state_directory(os.environ)
    here = control.registered(state_dir, place=InRunsDirectory(path=runs_dir), which=AnyRun())
    running = [campaign.entry.run_id for campaign in here.campaigns if campaign.alive]
    if running:
        refuse(
            f"{running[0]} still runs in {runs_dir}: wait until it has ended, or end it with `stop`, then reset",
            exit_code=Exit.REFUSED,
        )
    latch = registry.latched(state_dir, str(runs_dir))
    try:
        removed = registry.reset(state_dir, str(runs_dir))
    except RegistryError as error:
        refuse(str(error), exit_code=Exit.REFUSED)
    if manner().json:
        emit({"runs_dir": str(runs_dir), "removed": list(removed)})
        return Exit.DONE
    match latch:
        case Latch(detail=detail, utc_s=utc_s):
            say(f"the stop was latched {wording.iso_time(utc_s, 'UTC')}: {wording.printable(detail)}")
        case NotLatched():
            pass
    for path in removed:
        say(f"removed {path}")
    say("nothing was latched, nothing was removed" if not removed else "campaigns may start again; nothing was started")
    return Exit.DONE


def _ask(campaign: RunningCampaign) -> Asked | GoneAlready:
    entry = campaign.entry
    try:
        answer = control.ask_to_end(entry.supervisor)
    except PermissionError:
        refuse(f"{entry.run_id} belongs to another user; stop it as that user", exit_code=Exit.REFUSED)
    tell(f"{entry.run_id}: asked to end; its report takes a few seconds")
    return answer


def _stop_line(campaign: RunningCampaign, answer: Asked | GoneAlready, result: Quiet | StillThere) -> str:
    run_id = campaign.entry.run_id
    match result:
        case Quiet(load_gone_s=load_gone_s, all_gone_s=all_gone_s):
            if isinstance(answer, GoneAlready):
                return f"{run_id}: had just ended by itself; nothing of it is left"
            return (
                f"{run_id}: load gone after {format_duration(load_gone_s)}, "
                f"all gone after {format_duration(all_gone_s)}; report in {campaign.entry.run_dir}/results_summary"
            )
        case StillThere(pids=pids, waited_s=waited_s):
            listed = ", ".join(str(pid) for pid in pids)
            return (
                f"{run_id}: after {format_duration(waited_s)} these processes still run: {listed}; "
                "end them with --emergency-stop"
            )


def _stop_document(campaign: RunningCampaign, result: Quiet | StillThere) -> Json:
    head: dict[str, Json] = {"run": campaign.entry.run_id, "run_dir": campaign.entry.run_dir}
    match result:
        case Quiet(load_gone_s=load_gone_s, all_gone_s=all_gone_s):
            return head | {"quiet": True, "load_gone_s": load_gone_s, "all_gone_s": all_gone_s, "pids_left": []}
        case StillThere(pids=pids, waited_s=waited_s):
            return head | {"quiet": False, "waited_s": waited_s, "pids_left": list(pids)}
