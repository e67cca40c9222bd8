"""The quiet check: after the end, nothing of this campaign's load is left running.

Looks for processes that carry the run's mark, twice, because a process may be born between two looks. What is found is
named, never hidden. Runs in the supervisor, before the report is written.
"""

from collections.abc import Callable
from pathlib import Path

from baseline_metrics.clock import Clock
from baseline_metrics.host_files import marked_processes
from monitoring_logs.records import QuietFact

LOOKS = 2
BETWEEN_S = 0.05
LOOKS_MAX = 40
"""Two seconds: a killed process may take that long to disappear on a host that is out of memory or disk."""


def quiet_check(
    run_id: str, *, ours: tuple[int, ...], pages: Path, clock: Clock, pump: Callable[[], None]
) -> QuietFact:
    """Look until nothing is found twice in a row, or the looks are used up.

    ours: supervisor and guardian themselves. pump is called between two looks.
    """
    begun = clock.mono_s()
    quiet = 0
    left: tuple[int, ...] = ()
    for _ in range(LOOKS_MAX):
        left = tuple(found.pid for found in marked_processes(run_id) if found.pid not in ours)
        quiet = quiet + 1 if not left else 0
        if quiet >= LOOKS:
            break
        pump()
        clock.sleep(BETWEEN_S)
    pages_left = sorted(path.name for path in pages.glob("*.page")) if pages.is_dir() else []
    checks = (
        f"processes that carry this run's mark, looked for until {LOOKS} looks in a row found none: {len(left)} left",
        f"load pages of workers: {len(pages_left)} left",
    )
    return QuietFact(processes_left=left, checks=checks, seconds=clock.mono_s() - begun)
