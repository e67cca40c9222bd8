"""The command that launches a campaign: run. It prepares, starts the supervisor's process, and then only watches it.

Runs in the launcher's process; the campaign does not need it once the supervisor is started.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from baseline_metrics.clock import SystemClock
from baseline_metrics.target_policy import PinnedTarget
from campaign import control
from campaign.control import Everywhere, OneRun
from campaign.interfaces import preparation, viewer, wording
from campaign.interfaces.checks import check_rows, require_ready
from campaign.interfaces.demo import Demo, NoDemo, adopted_by, demo_for, end_demo
from campaign.interfaces.exit_codes import Exit
from campaign.interfaces.options import night_options, run_options
from campaign.interfaces.output import emit, manner, refuse, say, shared_options, tell, warn
from campaign.interfaces.preparation import NightRequest
from campaign.interfaces.results import print_results
from campaign.interfaces.terminal import Watching
from campaign.interfaces.viewer import (
    ChildSupervisor,
    EndedWith,
    HungUp,
    KilledBy,
    Left,
    Progress,
    SignalAsks,
    StillRunning,
)
from campaign.launch import (
    LaunchError,
    PreparedRun,
    RunOptions,
    finish_dead_campaigns,
    prepare_run,
    spawn_supervisor,
)
from campaign.orphans import end_orphans
from campaign.past_runs import Reported, reported
from campaign.plan_file import LoadedPlan
from campaign.plan_text import resolved_yaml
from campaign.planned_night import PlannedNight
from campaign.preflight import PlannedCampaign
from campaign.run_directory import RunDirectoryError
from campaign.state_lifetime import REMEDY, ends_with_session

REPORT_WAIT_S_MAX = 75.0
"""A lost supervisor's report is the guardian's last act, which takes at most 60 s (safety_monitoring)."""

REPORT_LOOK_S = 0.25

REGISTRATION_S_MAX = 15.0
"""The supervisor registers within a second of its start; a busy machine may take some."""

REGISTRATION_LOOK_S = 0.05


@click.command()
@night_options
@run_options
@shared_options
def run(*, detach: bool, yes: bool, strict: bool, progress: str, **night: Any) -> int:
    """Launch a campaign and watch it until its end.

    Without PLAN.yaml, ./campaign.yaml is used; without either, --target with the default plan, or --demo. The campaign
    runs in processes of its own: losing the terminal does not end it, Ctrl-C ends it in an orderly way, a second Ctrl-C
    at once.
    """
    request = preparation.night_request(**night)
    preparation.required(preparation.load(request))
    tell(preparation.source_text(request))
    orphans = tuple(orphan.text for orphan in end_orphans(control.state_directory(os.environ)))
    for orphan in orphans:
        tell(f"ended {orphan}")
    for run_id in finish_dead_campaigns(control.state_directory(os.environ)):
        tell(f"{run_id} had died; its report is written and it has left the registry")
    demo = demo_for(request)
    try:
        loaded, target, planned = _ready(request, demo)
        if not yes and not _answered_yes(target, planned):
            refuse("not started: the answer was no", exit_code=Exit.REFUSED)
        with viewer.signals_noted() as asks:
            return _launch(
                request,
                loaded,
                target,
                planned,
                demo=demo,
                options=RunOptions(strict=strict, allow_critical=request.allow_critical, orphans_ended=orphans),
                progress=Progress(progress),
                detach=detach,
                asks=asks,
            )
    finally:
        end_demo(demo)


def _ready(request: NightRequest, demo: Demo | NoDemo) -> tuple[LoadedPlan, PinnedTarget, PlannedNight]:
    """Everything that a start needs; refuses when something is missing."""
    loaded = preparation.required(preparation.load(request, demo_url=demo.url))
    target = preparation.pinned(loaded.plan)
    planned = preparation.fitted(loaded, request)
    require_ready(check_rows(request, PlannedCampaign(plan=loaded.plan, night=planned), target))
    return loaded, target, planned


def _answered_yes(target: PinnedTarget, planned: PlannedNight) -> bool:
    """Ask the person at the terminal. Off a terminal nobody is there to be asked, and the command itself is the answer."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    order = planned.order
    most = max((phase.connections for phase in order.phases if not phase.cut), default=0)
    begins = wording.end_time(order.planned_start_utc_s, order.zone)
    ends = wording.end_time(order.window_end_utc_s, order.zone)
    return click.confirm(f"Load {target.url} from {begins} to {ends} with up to {most} connections?", err=True)


def _launch(
    request: NightRequest,
    loaded: LoadedPlan,
    target: PinnedTarget,
    planned: PlannedNight,
    *,
    demo: Demo | NoDemo,
    options: RunOptions,
    progress: Progress,
    detach: bool,
    asks: SignalAsks,
) -> int:
    state_dir = control.state_directory(os.environ)
    try:
        prepared = prepare_run(
            plan=loaded.plan,
            planned=planned,
            resolved_plan_yaml=resolved_yaml(loaded.plan, loaded.origins),
            target=target,
            runs_dir=request.runs_dir,
            state_dir=state_dir,
            options=options,
            inputs=loaded.inputs,
        )
    except (LaunchError, RunDirectoryError) as error:
        refuse(str(error), exit_code=Exit.REFUSED)
    supervisor = spawn_supervisor(prepared)
    adopted_by(demo, supervisor.pid)
    if detach:
        return _detached(prepared, supervisor, state_dir=state_dir)
    tell(f"run {prepared.run_id}, in {prepared.run_dir}")
    chosen = viewer.chosen_progress(progress, stream=sys.stderr, environ=os.environ, quiet=manner().quiet)
    screen = viewer.make_screen(
        chosen, stream=sys.stderr, colour=manner().colour, watching=Watching.OWN, clock=SystemClock()
    )
    try:
        watched = viewer.watch_own(
            supervisor=ChildSupervisor(supervisor),
            status_path=control.status_path(state_dir, prepared.run_id),
            run_dir=prepared.run_dir,
            screen=screen,
            asks=asks,
        )
    finally:
        viewer.close_quietly(screen)
    if isinstance(watched, HungUp | Left):
        supervisor.returncode = 0  # not waited for: see _detached
    return _concluded(watched, prepared.run_dir, state_dir=state_dir)


def _detached(prepared: PreparedRun, supervisor: subprocess.Popen[bytes], *, state_dir: str) -> int:
    """Leave once `status` and `stop` can reach the campaign; what ends before that is told like any other end."""
    deadline_mono_s = time.monotonic() + REGISTRATION_S_MAX
    this_run = OneRun(run_id=prepared.run_id)
    while not control.registered(state_dir, place=Everywhere(), which=this_run).campaigns:
        ended = ChildSupervisor(supervisor).state()
        if not isinstance(ended, StillRunning):
            return _concluded(ended, prepared.run_dir, state_dir=state_dir)
        if time.monotonic() > deadline_mono_s:
            log = prepared.run_dir / "monitoring_logs" / "supervisor_output.log"
            warn(f"the campaign did not register within {REGISTRATION_S_MAX:g} s; it may still come up: look at {log}")
            break
        time.sleep(REGISTRATION_LOOK_S)
    if ends_with_session(Path(state_dir)):
        warn(f"stay logged in: logging out removes {state_dir}, and that stops the campaign; to change that: {REMEDY}")
    supervisor.returncode = 0  # it is not waited for; without this, Popen warns that it forgets a running child
    if manner().json:
        emit({"run": prepared.run_id, "run_dir": str(prepared.run_dir)})
        return Exit.DONE
    say(
        f"run {prepared.run_id}, detached: it goes on without this terminal\n"
        f"  results  {prepared.run_dir}/results_summary\n"
        f"  watch    status --watch {prepared.run_id}\n"
        f"  stop     stop {prepared.run_id}   (orderly)\n"
        f"           touch {prepared.run_dir}/STOP   (at once)"
    )
    return Exit.DONE


def _concluded(watched: viewer.Watched, run_dir: Path, *, state_dir: str) -> int:
    """What the terminal and the exit code say after the watching."""
    match watched:
        case EndedWith(exit_code=code):
            print_results(run_dir)
            return code
        case KilledBy(signal_number=number):
            warn(
                f"the supervisor was ended by signal {number}; the guardian takes the load away and has the report written"
            )
            _wait_for_report(run_dir, state_dir=state_dir)
            print_results(run_dir)
            return Exit.FAULT
        case Left():
            return Exit.STOPPED_BY_PERSON
        case HungUp():
            return Exit.HUNG_UP


def _wait_for_report(run_dir: Path, *, state_dir: str) -> None:
    """Until the guardian's report stands; when the guardian is lost as well, have it written from here."""
    deadline_mono_s = time.monotonic() + REPORT_WAIT_S_MAX
    while time.monotonic() < deadline_mono_s:
        found = reported(run_dir)
        if isinstance(found, Reported) and not found.partial:
            return
        time.sleep(REPORT_LOOK_S)
    finish_dead_campaigns(state_dir)
