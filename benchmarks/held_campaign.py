"""A real campaign that is brought to HOLDING quickly, to be stopped there, and is looked over after its end.

Supervisor, guardian, stop drill, baseline, load processes and reporter are the ones of any night; only the plan is short
before its one phase. Each campaign has runs and state directories of its own, so that no latch of the last one is in
its way and an emergency stop reaches it alone. Used by the measuring programs of this folder, in their own process.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.host_files import MARK_STATE_DIR, RunMark, marked_processes
from baseline_metrics.target_policy import PinnedTarget, resolve_target, system_resolver
from benchmarks.evidence import ROOT
from campaign.launch import PreparedRun, RunOptions, prepare_run, spawn_supervisor
from campaign.plan_file import load_plan
from campaign.planned_night import PlanRefused
from campaign.planner import fit_night
from campaign.run_directory import run_id_of
from monitoring_logs.journal import JournalEntry, read_journal
from monitoring_logs.records import Outcome
from monitoring_logs.run_files import files_of
from safety_monitoring.registry import Latch, entries, latched
from safety_monitoring.stopping import ProcessHandle, load_of, open_handle

PLAN = """\
name: {name}
target: {{url: "{url}"}}
window: {{hours: 1, timezone: UTC}}
scenario:
  - {{name: item, path: /item/1}}
levels:
  brisk: {{pace: 5, success: 50, response: 8s}}
phases:
  - {{name: hold, duration: 2min, duration_min: 2min, connections: 32, operations: 1000, level: brisk, required_health: 0}}
anchor: {{duration: 1s, connections: 2, operations: 10, pace: 20}}
baseline: {{idle: 1s}}
break: none
cooldown: none
ramp: {{percent: 0}}
workers: 16
health: {{minimum: 0}}
safety: {{cpu: 95}}
recording: {{host_sample_period: 200ms}}
"""
"""160 operations a second from sixteen load processes, so that "the last one" means something. The phase outlasts any stop."""

STATE_DIR_MODE = 0o700

HOLD_S_MAX = 60.0
"""HOLDING is reached within 9 s on an idle machine of two cores. A hang limit, not a goal."""

END_S_MAX = 90.0
"""Report included; the reporter alone may take 60 s before it is given up."""

LOOK_S = 0.05

EXIT_STOPPED_BY_PERSON = 4

REPORTS = ("report.html", "campaign_summary.txt", "autonomous_campaign_report.json")


class NeverHeldError(Exception):
    """The campaign did not come to HOLDING, so that there is nothing to stop. The message says why, and where to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedOver:
    """What a stopped campaign left. faults: everything that should have been otherwise; empty when all is well."""

    exit_code: int
    faults: tuple[str, ...]


class HeldCampaign:
    """One campaign, from its launch to its end."""

    def __init__(self, prepared: PreparedRun, supervisor: "subprocess.Popen[bytes]") -> None:
        self.run_id = prepared.run_id
        self.mark = RunMark(run_id=self.run_id, state_dir=prepared.order.state_dir)
        self.run_dir = prepared.run_dir
        self.runs_dir = prepared.order.runs_dir
        self.state_dir = prepared.order.state_dir
        self._supervisor = supervisor
        self._journal = files_of(str(prepared.run_dir)).journal

    def await_holding(self) -> None:
        """Wait until the phase's load is held. Raises NeverHeldError."""
        deadline_mono_s = time.monotonic() + HOLD_S_MAX
        while not any(entry.body.get("next") == "HOLDING" for entry in self._entries()):
            if self._supervisor.poll() is not None:
                raise NeverHeldError(
                    f"it ended before, with exit code {self._supervisor.returncode}; see {self.run_dir}"
                )
            if time.monotonic() > deadline_mono_s:
                raise NeverHeldError(f"it was not holding after {HOLD_S_MAX:g} s; see {self.run_dir}")
            time.sleep(LOOK_S)

    def load_processes(self) -> tuple[ProcessHandle, ...]:
        """Every process that makes load, held so that its end is seen at once. Raises NeverHeldError if there is none."""
        held = tuple(open_handle(found.pid, found.start_ticks) for found in load_of(self.mark))
        handles = tuple(handle for handle in held if isinstance(handle, ProcessHandle))
        if not handles or len(handles) != len(held):
            raise NeverHeldError(f"{len(handles)} of {len(held)} load processes are there; see {self.run_dir}")
        return handles

    def look_over(self) -> LookedOver:
        """Wait for the end, and check exit code, record, report, latch, and that nothing is left."""
        try:
            exit_code = self._supervisor.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            self.abandon()
            return LookedOver(exit_code=-1, faults=(f"not ended after {END_S_MAX:g} s, killed; see {self.run_dir}",))
        faults = [*self._record_faults(), *self._report_faults(), *self._leftover_faults()]
        if exit_code != EXIT_STOPPED_BY_PERSON:
            faults.insert(0, f"exit code {exit_code} instead of {EXIT_STOPPED_BY_PERSON}")
        return LookedOver(exit_code=exit_code, faults=tuple(faults))

    def emergency_stop(self, *options: str) -> "subprocess.Popen[bytes]":
        """Start the emergency stop's command, which reaches this campaign alone."""
        return subprocess.Popen(
            [sys.executable, str(ROOT / "launch_autonomous_testing.py"), "--emergency-stop", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, MARK_STATE_DIR: self.state_dir},
        )

    def abandon(self) -> None:
        """Kill whatever is left of the campaign. Harmless when nothing is."""
        self.emergency_stop("--force").wait(END_S_MAX)
        if self._supervisor.poll() is None:
            self._supervisor.kill()
            self._supervisor.wait(END_S_MAX)

    def _entries(self) -> tuple[JournalEntry, ...]:
        try:
            return read_journal(self._journal).entries
        except FileNotFoundError:
            return ()

    def _record_faults(self) -> list[str]:
        decisions = [entry for entry in self._entries() if entry.name == "EmergencyStopped"]
        records = [entry for entry in self._entries() if entry.name == "PhaseRecord"]
        faults = []
        if not decisions:
            faults.append("the journal knows of no emergency stop")
        elif decisions[0].body.get("state") != "HOLDING":
            faults.append(f"stopped in {decisions[0].body.get('state')}, not in HOLDING")
        if [entry.body.get("outcome") for entry in records] != [Outcome.OPERATOR_STOP.value]:
            faults.append(f"{len(records)} phase records; one of OPERATOR_STOP is right")
        elif not _operations_succeeded(records[0]):
            faults.append("the phase made no load that succeeded")
        return faults

    def _report_faults(self) -> list[str]:
        results = self.run_dir / "results_summary"
        faults = [f"{name} is missing" for name in REPORTS if not (results / name).is_file()]
        if faults:
            return faults
        document = json.loads((results / REPORTS[-1]).read_text(encoding="utf-8"))
        if document.get("partial") is not False or document.get("exit_code") != EXIT_STOPPED_BY_PERSON:
            faults.append(f"{REPORTS[-1]} is not the final report of a stopped campaign")
        return faults

    def _leftover_faults(self) -> list[str]:
        faults = [f"process {left.pid} ({left.role}) is left" for left in marked_processes(self.mark)]
        faults += [f"{left.run_id} is left in the registry" for left in entries(self.state_dir)]
        if not isinstance(latched(self.state_dir, self.runs_dir), Latch):
            faults.append("the stop is not latched")
        return faults


def launch(directory: Path, *, name: str, target_url: str) -> HeldCampaign:
    """Start a campaign in a directory of its own, the way the launcher does after its preflight."""
    prepared = prepare(directory, name=name, target_url=target_url)
    return HeldCampaign(prepared, spawn_supervisor(prepared))


def prepare(directory: Path, *, name: str, target_url: str) -> PreparedRun:
    """Make the run directory of such a campaign, and start nothing."""
    directory.mkdir()
    state_dir = directory / "state"
    state_dir.mkdir(mode=STATE_DIR_MODE)
    plan_path = directory / "plan.yaml"
    plan_path.write_text(PLAN.format(name=name, url=target_url), encoding="utf-8")
    plan = load_plan(plan_path)
    now_utc_s = time.time()
    planned = fit_night(
        plan,
        now_utc_s=now_utc_s,
        host_cpu_count=os.cpu_count() or 1,
        run_id=run_id_of(name=plan.name, utc_s=now_utc_s),
    )
    assert not isinstance(planned, PlanRefused), f"the plan of this module fits into its own window: {planned}"
    target = resolve_target(plan.target.url, allow=(), resolver=system_resolver)
    assert isinstance(target, PinnedTarget), f"the demo service listens on loopback, which is never refused: {target}"
    return prepare_run(
        plan=plan,
        planned=planned,
        resolved_plan_yaml=plan_path.read_text(encoding="utf-8"),
        target=target,
        runs_dir=directory / "runs",
        state_dir=str(state_dir),
        options=RunOptions(strict=False, allow_critical=False),
    )


def _operations_succeeded(record: JournalEntry) -> bool:
    load = record.body.get("load")
    count = load.get("operations_succeeded") if isinstance(load, dict) else 0
    return isinstance(count, int) and count > 0
