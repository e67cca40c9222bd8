"""The command that shows what runs now: status. It runs in a process of its own, beside the campaign, and only reads."""

import os
import sys
from pathlib import Path

import click

from baseline_metrics.clock import SystemClock
from baseline_metrics.codec import Json
from campaign import control
from campaign.control import Registered, RunningCampaign
from campaign.interfaces import viewer, wording
from campaign.interfaces.exit_codes import Exit
from campaign.interfaces.options import which_campaigns
from campaign.interfaces.output import emit, manner, refuse, say, shared_options, tell
from campaign.interfaces.plain import progress_document
from campaign.interfaces.terminal import Watching
from campaign.interfaces.viewer import HungUp, Progress
from campaign.status import NoStatus, Status
from safety_monitoring import registry

NONE_RUNS = "no campaign is running"


@click.command()
@click.argument("run", required=False, default="")
@click.option("--runs-dir", type=click.Path(path_type=Path), help="Only campaigns of this runs directory.")
@click.option("--watch", is_flag=True, help="Show the live view until the campaign ends or Ctrl-C.")
@shared_options
def status(run: str, runs_dir: Path | None, *, watch: bool) -> int:
    """What runs now, on this machine, of this user.

    RUN narrows it to one run. Watching never touches the campaign: Ctrl-C leaves the view.
    """
    found = which_campaigns(run, runs_dir)
    if watch:
        return _watch(found)
    now_mono_s = SystemClock().mono_s()
    if manner().json:
        campaigns: list[Json] = [_document(campaign, now_mono_s=now_mono_s) for campaign in found.campaigns]
        broken: list[Json] = [{"run": entry.run_id, "reason": entry.reason} for entry in found.broken]
        emit({"campaigns": campaigns, "broken_entries": broken})
        return Exit.DONE
    if not found.campaigns:
        say(NONE_RUNS)
    for campaign in found.campaigns:
        say(_lines(campaign, now_mono_s=now_mono_s))
    for entry in found.broken:
        tell(f"{entry.path} cannot be read ({entry.reason}); --emergency-stop clears it up")
    return Exit.DONE


def _document(campaign: RunningCampaign, *, now_mono_s: float) -> Json:
    entry = campaign.entry
    head: dict[str, Json] = {
        "run": entry.run_id,
        "run_dir": entry.run_dir,
        "runs_dir": entry.runs_dir,
        "started": wording.iso_time(entry.started_utc_s, "UTC"),
        "alive": campaign.alive,
        "supervisor_pid": entry.supervisor.pid,
    }
    match campaign.status:
        case Status():
            return head | {"progress": progress_document(campaign.status, now_mono_s=now_mono_s)}
        case NoStatus(reason=reason):
            return head | {"progress": None, "no_progress_because": reason}


def _lines(campaign: RunningCampaign, *, now_mono_s: float) -> str:
    entry, seen = campaign.entry, campaign.status
    lines = [f"{entry.run_id}  {'running' if campaign.alive else 'DEAD: its supervisor is gone, its report is not'}"]
    match seen:
        case Status():
            age_s = wording.age_s(seen, now_mono_s=now_mono_s)
            name = wording.phase_name(seen)
            where = f", phase {seen.phase + 1} of {len(seen.phases)} ({name})" if name else ""
            left = wording.short_duration(wording.night_left_s(seen, now_mono_s=now_mono_s))
            lines += [
                f"  state     {wording.STATE_WORDS.get(seen.state, seen.state)}{where}",
                *([f"  paused    {paused}"] if (paused := wording.pause_text(seen)) else []),
                f"  time      {left} left, window ends {wording.end_time(seen.window_end_utc_s, seen.zone)}",
                f"  health    {wording.score_text(seen.health)}",
                f"  rate      {wording.reading_text(seen.rate_per_s, decimals=1, unit='/s')}",
                f"  errors    {wording.reading_text(seen.error_percent, decimals=2, unit=' %')}",
                f"  load      {seen.connections_open} of {seen.connections_asked} connections open",
                *([f"  memory    {memory}"] if (memory := wording.memory_text(seen.memory)) else []),
                f"  guardian  {seen.guardian_rung.lower().replace('_', ' ')}, {seen.permitted_share:.0%} permitted",
                *([f"  senses    {senses}"] if (senses := wording.senses_text(seen)) else []),
                f"  told      {wording.short_duration(age_s)} ago"
                + (": the campaign does not answer" if age_s > wording.STALE_S else ""),
            ]
        case NoStatus(reason=reason):
            lines.append(f"  told      nothing yet ({reason})")
    lines.append(f"  run       {entry.run_dir}")
    return "\n".join(lines)


def _watch(found: Registered) -> int:
    alive = [campaign for campaign in found.campaigns if campaign.alive]
    if not alive:
        say(NONE_RUNS)
        return Exit.DONE
    if len(alive) > 1:
        names = ", ".join(campaign.entry.run_id for campaign in alive)
        refuse(f"{len(alive)} campaigns run: name the one to watch, such as `status --watch RUN` ({names})")
    entry = alive[0].entry
    asked = Progress.JSON if manner().json else Progress.AUTO
    progress = viewer.chosen_progress(asked, stream=sys.stderr, environ=os.environ, quiet=False)
    with viewer.signals_noted() as asks:
        screen = viewer.make_screen(
            progress,
            stream=sys.stderr,
            colour=manner().colour,
            watching=Watching.GUEST,
            clock=SystemClock(),
        )
        try:
            ended = viewer.watch_guest(
                alive=lambda: registry.is_alive(entry.supervisor),
                status_path=control.status_path(control.state_directory(os.environ), entry.run_id),
                screen=screen,
                asks=asks,
            )
        finally:
            viewer.close_quietly(screen)
    return Exit.HUNG_UP if isinstance(ended, HungUp) else Exit.DONE
