"""What the guardian is told: its order at the start, and the limits of each phase.

Limits are absolute percentages of the host; a phase's multiplier moves them, never past the ceiling. The supervisor
uses it.
"""

import os
from pathlib import Path

from baseline_metrics.host_files import ProcessGone
from campaign.campaign_order import CampaignOrder, SafetyOrder
from campaign.processes import reporter_command
from campaign.run_directory import RunDirectory
from monitoring_logs.run_files import files_of
from safety_monitoring.limits import Limits, default_limits
from safety_monitoring.messages import GuardianOrder
from safety_monitoring.registry import identity_of, permit_path

HEARTBEAT_S_MAX = 5.0
"""The supervisor's loop beats every 250 ms; after five seconds of silence it hangs, and the load ends."""


def limits_of(safety: SafetyOrder, *, multiplier: float) -> Limits:
    """The limits of a phase with this threshold multiplier."""
    return default_limits(
        memory_percent=safety.memory_percent,
        cpu_percent=safety.cpu_percent,
        disk_percent=safety.disk_percent,
        own_percent=safety.own_percent,
        memory_reserve_bytes=safety.memory_reserve_bytes,
        disk_reserve_bytes=safety.disk_reserve_bytes,
        temperature_celsius=safety.temperature_celsius,
        battery_percent_min=safety.battery_percent_min,
        multiplier=multiplier,
        allow_critical=safety.allow_critical,
    )


def guardian_order(
    order: CampaignOrder, run: RunDirectory, *, limits: Limits, disk_paths: tuple[str, ...]
) -> GuardianOrder:
    """The order with which this process, the supervisor, starts its guardian."""
    me = identity_of(os.getpid())
    assert not isinstance(me, ProcessGone), "this process runs"
    return GuardianOrder(
        run_id=order.night.run_id,
        run_dir=str(run.path),
        stop_paths=(str(run.stop_file), str(Path(order.runs_dir) / "STOP")),
        permit_path=permit_path(order.state_dir, order.night.run_id),
        journal_path=files_of(str(run.path)).guardian_journal,
        disk_paths=disk_paths,
        limits=limits,
        supervisor_pid=me.pid,
        supervisor_start_ticks=me.start_ticks,
        heartbeat_s_max=HEARTBEAT_S_MAX,
        report_argv=reporter_command(run.path),
    )
