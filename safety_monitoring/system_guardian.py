"""The guardian: a process of its own that takes load away, without asking anybody, when it has to go.

Everything that it needs was opened, tried and warmed before there is any load. If it dies, hangs or starves, nobody
renews the leases, and the load ends without it. If the supervisor is gone before it concluded, the guardian's last act
is to start the reporter. Started by the supervisor: ``python -m safety_monitoring.system_guardian ORDER.json``; orders on
standard input, reports on standard output; standard library only.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

if __name__ == "__main__" and not __package__:
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120 - run as a file

from baseline_metrics.clock import SystemClock
from baseline_metrics.codec import from_json_value
from baseline_metrics.host_files import MARK_ROLE, HostFiles, ProcessGone, RunMark, start_ticks
from safety_monitoring import registry
from safety_monitoring.guardian_loop import Guardian, Trouble
from safety_monitoring.guardian_pipes import GuardianJournal, OrderPipe, ReportPipe
from safety_monitoring.messages import GuardianOrder, GuardianReady
from safety_monitoring.protection import protect
from safety_monitoring.stop_bell import StopBell
from safety_monitoring.stopping import NotTheProcess, open_handle

REPORTER_S = 60.0
"""A report of a long night takes seconds; the guardian does not wait for a broken one for ever."""

EXIT_DONE, EXIT_USAGE, EXIT_FAULT = 0, 2, 70


@dataclass(frozen=True, slots=True, kw_only=True)
class ReporterEnded:
    """Journal only: the last act after the supervisor is gone."""

    detail: str


def _last_act(guardian: Guardian, order: GuardianOrder, environ: Mapping[str, str]) -> None:
    guardian.note(_report(order.report_argv, {**environ, MARK_ROLE: "reporter"}))
    try:
        registry.unregister(registry.state_directory(environ), order.run_id)
    except registry.RegistryError as error:
        guardian.note(Trouble(detail=str(error)))


def _report(argv: Sequence[str], environ: Mapping[str, str]) -> ReporterEnded:
    if not argv:
        return ReporterEnded(detail="no reporter was named")
    quiet = subprocess.DEVNULL
    try:
        with subprocess.Popen(
            argv, env=environ, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
        ) as process:
            _return_to_kernel(process.pid)
            try:
                detail = f"ended with exit code {process.wait(timeout=REPORTER_S)}"
            except subprocess.TimeoutExpired:
                process.kill()
                detail = f"not done after {REPORTER_S:g} s, ended"
            return ReporterEnded(detail=detail)
    except OSError as error:
        return ReporterEnded(detail=f"{argv[0]} cannot be started: {error.strerror}")


def _return_to_kernel(pid: int) -> None:
    # The reporter inherits our oom score; it deserves no protection.
    with contextlib.suppress(OSError):
        descriptor = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"0")
        finally:
            os.close(descriptor)


def read_order(path: str) -> GuardianOrder:
    """The order that this guardian was started with. Raises OSError, or ValueError for what is not an order."""
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - no Path in the guardian
        return from_json_value(GuardianOrder, json.load(file))


def guard(order: GuardianOrder, *, order_descriptor: int, report_descriptor: int) -> int:
    """Run until the campaign is concluded or the supervisor is gone. Returns the exit code."""
    supervisor = open_handle(order.supervisor_pid, order.supervisor_start_ticks)
    if isinstance(supervisor, NotTheProcess):
        sys.stderr.write(f"guardian: the supervisor is not there: {supervisor.reason}\n")
        return EXIT_FAULT
    own_start_ticks = start_ticks(os.getpid())
    if isinstance(own_start_ticks, ProcessGone):
        sys.stderr.write("guardian: /proc does not show this process; it has to be mounted\n")
        return EXIT_FAULT
    guardian = Guardian(
        order,
        orders=OrderPipe(order_descriptor),
        reports=ReportPipe(report_descriptor),
        journal=GuardianJournal(order.journal_path),
        supervisor=supervisor,
        bell=StopBell(stop_paths=order.stop_paths, permit_path=order.permit_path),
        clock=SystemClock(),
        host=HostFiles(),
    )
    protections = protect(RunMark(run_id=order.run_id, state_dir=registry.state_directory(os.environ)))
    guardian.ready(GuardianReady(pid=os.getpid(), start_ticks=own_start_ticks, protections=protections))
    while guardian.turn():
        guardian.wait(order_descriptor)
    if guardian.has_last_act:
        _last_act(guardian, order, os.environ)
    return EXIT_DONE


def main(argv: Sequence[str]) -> int:
    """The process. argv: the path of the order. Returns the exit code."""
    if len(argv) != 1 or argv[0].startswith("-"):
        sys.stderr.write("usage: system_guardian.py ORDER.json (the supervisor starts it; orders come on stdin)\n")
        return EXIT_USAGE
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        order = read_order(argv[0])
    except (OSError, ValueError) as error:
        sys.stderr.write(f"guardian: {argv[0]} is not an order: {error}\n")
        return EXIT_USAGE
    return guard(order, order_descriptor=0, report_descriptor=1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
