"""The supervisor process: takes the runs directory's lock, enters the registry, and runs the night to its end.

It is always a process of its own, in its own session, so that a lost terminal ends a screen and never the night.
Started by the launcher as ``python -m campaign.supervisor RUN_DIR``.
"""

import faulthandler
import os
import signal
import sys
import traceback
from pathlib import Path

from baseline_metrics.clock import SystemClock
from baseline_metrics.host_files import ProcessGone
from campaign.campaign_order import CampaignOrder
from campaign.launch import STOP_SIGNALS
from campaign.night_commands import EXIT_FAULT
from campaign.night_runner import NightRunner
from campaign.run_directory import RunDirectory, bring_home, point, read_order, unpoint
from safety_monitoring.registry import (
    CampaignEntry,
    Latch,
    RegistryError,
    RunsLockHeld,
    acquire_runs_lock,
    ensure_state_directory,
    identity_of,
    latched,
    register,
    unregister,
)

EXIT_REFUSED = 6


def main(arguments: list[str]) -> int:
    """Run the campaign of one run directory. Exit 6 when another campaign or a latched stop stands against it.

    Stop signals are blocked from the launcher's spawn on, until the runner can act on them.
    """
    os.umask(0o077)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run = RunDirectory(Path(arguments[0]))
    try:
        order = read_order(run)
        ensure_state_directory(order.state_dir)
        lock = acquire_runs_lock(order.state_dir, order.runs_dir, run_id=order.night.run_id)
        if isinstance(lock, RunsLockHeld):
            return _refuse(
                f"another campaign runs in {order.runs_dir}: {lock.by}; stop it, or choose another --runs-dir"
            )
        standing = latched(order.state_dir, order.runs_dir)
        if isinstance(standing, Latch):
            return _refuse(f"a stop is latched ({standing.detail}, {standing.path}): look why, then run `reset`")
        return _supervise(order, run)
    except Exception:  # noqa: BLE001 - Python's own exit code for this would read as NOT FIT
        traceback.print_exc()
        return EXIT_FAULT


def _supervise(order: CampaignOrder, run: RunDirectory) -> int:
    clock = SystemClock()
    me = identity_of(os.getpid())
    assert not isinstance(me, ProcessGone)
    entry = CampaignEntry(
        run_id=order.night.run_id,
        run_dir=str(run.path),
        runs_dir=order.runs_dir,
        started_utc_s=clock.utc_s(),
        supervisor=me,
    )
    register(order.state_dir, entry)
    point(Path(order.runs_dir), "latest", order.night.run_id)
    point(Path(order.runs_dir), "current", order.night.run_id)
    runner = NightRunner(order, run, clock)
    for number in STOP_SIGNALS:
        signal.signal(number, runner.note_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    try:
        code = runner.run()
    except BaseException:
        runner.take_load_away()
        raise  # the entry stays: the guardian writes the report, the next start clears up
    try:
        unpoint(Path(order.runs_dir), "current")
        bring_home(run, order.state_dir)
        unregister(order.state_dir, order.night.run_id)
    except (OSError, RegistryError):
        traceback.print_exc()  # what is left behind is cleared up by the next start; the night's own answer stands
    return code


def _refuse(why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return EXIT_REFUSED


if __name__ == "__main__":
    faulthandler.enable()
    sys.exit(main(sys.argv[1:]))
