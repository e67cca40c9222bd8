"""Runs the preflight for a request, and says what it found. The processes of ``run`` and ``check`` use it."""

import os
import shutil
from pathlib import Path

from baseline_metrics.clock import SystemClock
from baseline_metrics.target_policy import PinnedTarget, TargetRefused
from campaign import control
from campaign.check_rows import CheckRow, CheckState, may_start, render_table, to_json
from campaign.interfaces.exit_codes import Exit
from campaign.interfaces.output import emit, manner, refuse, tell
from campaign.interfaces.preparation import NightRequest
from campaign.preflight import NoPlan, NoTarget, PlannedCampaign, PreflightInputs, run_preflight


def check_rows(
    request: NightRequest, campaign: PlannedCampaign | NoPlan, target: PinnedTarget | TargetRefused | NoTarget
) -> tuple[CheckRow, ...]:
    """The rows of the preflight. Sends one probe to a pinned target, changes nothing."""
    return run_preflight(
        PreflightInputs(
            campaign=campaign,
            target=target,
            runs_dir=request.runs_dir,
            state_dir=Path(control.state_directory(os.environ)),
            environ=os.environ,
            clock=SystemClock(),
        )
    )


def table_of(rows: tuple[CheckRow, ...]) -> str:
    """The table, as wide as the terminal."""
    return render_table(rows, width=shutil.get_terminal_size().columns)


def require_ready(rows: tuple[CheckRow, ...]) -> None:
    """Refuse (6) with what stands against a start; else tell the warnings only."""
    if not may_start(rows):
        if manner().json:
            emit(to_json(rows))
        refuse(table_of(tuple(row for row in rows if row.state is not CheckState.OK)), exit_code=Exit.REFUSED)
    for row in rows:
        if row.state is not CheckState.OK:
            remedy = f" -> {row.remedy}" if row.remedy else ""
            tell(f"{row.state.value} {row.name}: {row.detail}{remedy}")
