"""The quiet certificate: after the end, nothing of this campaign's load is left on the host.

Looks for processes that carry the run's mark, twice, because a process may be born between two looks; then for what
processes leave behind. What is found is named, never hidden. Runs in the supervisor, before the report is written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.clock import Clock
from baseline_metrics.host_files import RunMark, marked_processes
from campaign.leftovers import check_files, check_serial_locks, check_shared_memory, check_sockets
from monitoring_logs.records import QuietCheck, QuietFact, QuietState

LOOKS = 2
BETWEEN_S = 0.05
LOOKS_MAX = 40
"""Two seconds: a killed process may take that long to disappear on a host that is out of memory or disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietPlaces:
    """Where a campaign could have left something, and whom it loaded (the pinned address)."""

    state_dir: Path
    run_dir: Path
    target_address: str
    target_port: int


def quiet_check(
    run: RunMark,
    *,
    ours: tuple[int, ...],
    places: QuietPlaces,
    clock: Clock,
    pump: Callable[[], None],
) -> QuietFact:
    """Look until no process is found twice in a row, or the looks are used up; then look for what else may be left.

    ours: supervisor and guardian themselves. pump is called between two looks.
    """
    begun = clock.mono_s()
    quiet = 0
    left: tuple[int, ...] = ()
    for _ in range(LOOKS_MAX):
        left = tuple(found.pid for found in marked_processes(run) if found.pid not in ours)
        quiet = quiet + 1 if not left else 0
        if quiet >= LOOKS:
            break
        pump()
        clock.sleep(BETWEEN_S)
    processes = QuietCheck(
        name="processes that carry this run's mark",
        state=QuietState.LEFT if left else QuietState.CLEAN,
        detail=f"{len(left)} left: {', '.join(map(str, left))}" if left else f"none left, in {LOOKS} looks in a row",
    )
    certificate = (
        processes,
        check_sockets((*ours, *left), address=places.target_address, port=places.target_port),
        check_files(places.state_dir, places.run_dir),
        check_shared_memory(run.run_id),
        check_serial_locks((*ours, *left)),
    )
    return QuietFact(
        processes_left=left,
        checks=tuple(f"{check.name}: {check.detail}" for check in certificate),
        seconds=clock.mono_s() - begun,
        certificate=certificate,
    )
