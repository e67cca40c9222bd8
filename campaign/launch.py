"""From a planned night to a running supervisor: the run directory, the order in it, and the process.

The launcher's process does this after plan, target and preflight were accepted. What dies between two of these steps
leaves a directory without a campaign, never a campaign without a directory.
"""

import os
import platform
import signal
import socket
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil

from baseline_metrics.host_files import boot_id
from baseline_metrics.target_policy import PinnedTarget
from campaign.campaign_order import CampaignOrder, SafetyOrder
from campaign.past_runs import Reported, reported
from campaign.plan import Plan
from campaign.plan_inputs import NO_INPUTS, PlanInputs
from campaign.plan_specs import (
    SecretError,
    code_spec,
    feeder_specs,
    operation_specs,
    operations_with_secrets,
    target_spec,
    variable_specs,
    with_secrets,
)
from campaign.plan_steps import ANSWER_BYTES_MAX
from campaign.planned_night import PlannedNight, TimelineKind
from campaign.processes import Marks, spawn_reporter
from campaign.run_directory import RunDirectory, bring_home, create_run_directory
from monitoring_logs.records import HostFacts
from safety_monitoring.registry import BrokenEntry, RegistryError, ensure_state_directory, entries, is_alive, unregister
from stress_scenarios.load_plan import EngineName

DRAIN_SLACK_S = 1.0
DRAIN_S_MAX = 60.0
"""Operations in flight have their own timeouts; a drain never waits longer than this."""

REPORT_S_MAX = 60.0

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})


class LaunchError(Exception):
    """The campaign cannot be launched. The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What is not part of the plan. strict: fit with limits counts as not fit; allow_critical: CPU may be full.

    orphans_ended: what the start had to end first, for the record.
    """

    strict: bool
    allow_critical: bool
    orphans_ended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRun:
    """A run directory with its order, ready for a supervisor."""

    run_id: str
    run_dir: Path
    order: CampaignOrder


def prepare_run(
    *,
    plan: Plan,
    planned: PlannedNight,
    resolved_plan_yaml: str,
    target: PinnedTarget,
    runs_dir: Path,
    state_dir: str,
    options: RunOptions,
    inputs: PlanInputs = NO_INPUTS,
) -> PreparedRun:
    """Make the run directory. Raises LaunchError or RunDirectoryError; nothing was started then.

    inputs: what was read of the files that the plan names.
    """
    operations = operation_specs(plan)
    spec = target_spec(plan, target)
    try:
        with_secrets(spec, os.environ)
        operations_with_secrets(operations, os.environ)
        ensure_state_directory(state_dir)
    except (SecretError, RegistryError) as error:
        raise LaunchError(str(error)) from error
    order = CampaignOrder(
        night=planned.order,
        planned_s=planned.length_s - sum(s.duration_s for s in planned.segments if s.kind is TimelineKind.RESERVE),
        host=host_facts(),
        target=spec,
        operations=operations,
        engine=EngineName(plan.engine),
        workers=planned.workers,
        drain_s=min(DRAIN_S_MAX, max(operation.timeout_s for operation in operations) + DRAIN_SLACK_S),
        response_bytes_max=ANSWER_BYTES_MAX,
        safety=SafetyOrder(
            memory_percent=plan.safety.memory_percent,
            cpu_percent=plan.safety.cpu_percent,
            disk_percent=plan.safety.disk_percent,
            own_percent=plan.safety.own_percent,
            memory_reserve_bytes=plan.safety.memory_reserve_bytes,
            disk_reserve_bytes=plan.safety.disk_reserve_bytes,
            allow_critical=options.allow_critical,
            temperature_celsius=plan.safety.temperature_celsius,
            battery_percent_min=plan.safety.battery_percent_min,
        ),
        strict=options.strict,
        runs_dir=str(runs_dir.resolve()),
        state_dir=state_dir,
        variables=variable_specs(plan),
        feeders=feeder_specs(plan, inputs),
        code=code_spec(plan, inputs),
        orphans_ended=options.orphans_ended,
    )
    run = create_run_directory(order, plan_yaml=resolved_plan_yaml)
    return PreparedRun(run_id=planned.order.run_id, run_dir=run.path, order=order)


def spawn_supervisor(prepared: PreparedRun) -> subprocess.Popen[bytes]:
    """Start the supervisor in its own session; the terminal's end does not reach it."""
    run = RunDirectory(prepared.run_dir)
    marks = _marks(prepared.run_id, prepared.order.runs_dir, prepared.order.state_dir)
    # A child inherits the mask: a stop that comes while the supervisor still starts waits until it can act on it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        return _spawn(run, marks)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _spawn(run: RunDirectory, marks: Marks) -> subprocess.Popen[bytes]:
    with run.supervisor_log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "campaign.supervisor", str(run.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=marks.environment("supervisor"),
            cwd="/",
            start_new_session=True,
        )


def finish_dead_campaigns(state_dir: str) -> tuple[str, ...]:
    """Campaigns whose supervisor is gone get their report, and leave the registry. Returns their run ids.

    The guardian has seen to the report unless it died too; then this is the next start that makes up for it.
    """
    finished = []
    for entry in entries(state_dir):
        if isinstance(entry, BrokenEntry) or is_alive(entry.supervisor):
            continue
        run = RunDirectory(Path(entry.run_dir))
        if run.path.is_dir() and not _has_final_report(run.path):
            reporter = spawn_reporter(
                run.path,
                marks=_marks(entry.run_id, entry.runs_dir, state_dir),
                output=run.supervisor_log,
                partial=False,
                strict=False,
            )
            try:
                reporter.wait(REPORT_S_MAX)
            except subprocess.TimeoutExpired:
                reporter.kill()
                reporter.wait(REPORT_S_MAX)
        bring_home(run, state_dir)
        unregister(state_dir, entry.run_id)
        finished.append(entry.run_id)
    return tuple(finished)


def _has_final_report(run_dir: Path) -> bool:
    report = reported(run_dir)
    return isinstance(report, Reported) and not report.partial


def host_facts() -> HostFacts:
    """This machine, for the report's last section."""
    return HostFacts(
        daybreak_version=_version(),
        python_version=platform.python_version(),
        sqlite_version=sqlite3.sqlite_version,
        kernel=f"{platform.system()} {platform.release()}",
        host=socket.gethostname(),
        cpu_count=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        boot_id=boot_id(),
    )


def _version() -> str:
    try:
        return metadata.version("daybreak")
    except metadata.PackageNotFoundError:
        return "not installed"


def _marks(run_id: str, runs_dir: str, state_dir: str) -> Marks:
    return Marks(run_id=run_id, runs_dir=runs_dir, state_dir=state_dir)
