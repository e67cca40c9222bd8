"""How a worker died, in the record's words. Pure; the crew uses it."""

import signal

from baseline_metrics.samples import Reading, Sample
from monitoring_logs.records import Outcome

LEASE_EXIT_CODE = 75
"""A worker's own exit when its lease ran out, was revoked, or its pipes closed."""


def how_it_died(
    worker: int, exit_code: int, *, oom_kills_before: Reading, oom_kills_after: Reading
) -> tuple[Outcome, str]:
    """The outcome and a sentence. exit_code: as subprocess gives it, negative for a signal.

    A SIGKILL counts as the kernel's only when its own count of processes killed for memory rose during the load.
    """
    if exit_code == -signal.SIGKILL and _rose(oom_kills_before, oom_kills_after):
        return Outcome.OOM_KILLED, f"worker {worker} was killed by the kernel, which was out of memory"
    if exit_code == LEASE_EXIT_CODE:
        return Outcome.WORKER_CRASHED, f"worker {worker} ended because its lease was not renewed"
    how = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    return Outcome.WORKER_CRASHED, f"worker {worker} ended with {how}; see monitoring_logs/workers/"


def _rose(before: Reading, after: Reading) -> bool:
    return isinstance(before, Sample) and isinstance(after, Sample) and after.value > before.value
