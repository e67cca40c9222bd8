"""The workers that the guardian answers for: a handle, a page and a lease each.

Who is watched was identified by pid and start time, so that an order with a stale pid can never make the guardian kill
a stranger. Leases are renewed here and nowhere else. The guardian keeps it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from baseline_metrics.load_page import LEASE_S, LoadPage, LoadPageError
from safety_monitoring.messages import WatchWorker
from safety_monitoring.stopping import ProcessHandle, open_handle

WORKERS_MAX = 256
"""Far above one worker per core of any host that this runs on; bounds descriptors and the time of a renewal."""

_LEASE_NS = round(LEASE_S * 1e9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a process is not watched."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedWorker:
    """One load process. drill: it rehearses, always at full share, and its end never ends the campaign."""

    worker: int
    drill: bool
    handle: ProcessHandle
    page: LoadPage


class WatchedWorkers:
    """All load processes of the campaign, by worker number."""

    def __init__(self) -> None:
        self._watched: dict[int, WatchedWorker] = {}
        self._unleased: set[int] = set()

    def watch(self, order: WatchWorker) -> WatchedWorker | Refused:
        """Take a handle and the page of a process."""
        if order.worker in self._watched:
            return Refused(reason=f"worker {order.worker} is watched already")
        if len(self._watched) >= WORKERS_MAX:
            return Refused(reason=f"{WORKERS_MAX} workers are watched already")
        handle = open_handle(order.pid, order.start_ticks)
        if not isinstance(handle, ProcessHandle):
            return Refused(reason=handle.reason)
        try:
            page = LoadPage(order.page_path)
        except (OSError, LoadPageError) as error:
            handle.close()
            return Refused(reason=f"the page of worker {order.worker} cannot be mapped: {error}")
        watched = WatchedWorker(worker=order.worker, drill=order.drill, handle=handle, page=page)
        self._watched[order.worker] = watched
        return watched

    def forget(self, worker: int) -> None:
        """Let go of a worker; one that is not watched is no error."""
        watched = self._watched.pop(worker, None)
        self._unleased.discard(worker)
        if watched is not None:
            watched.page.revoke()
            watched.handle.close()
            watched.page.close()

    def get(self, worker: int) -> WatchedWorker | Refused:
        """One worker by its number."""
        return self._watched.get(worker) or Refused(reason=f"worker {worker} is not watched")

    def all(self) -> tuple[WatchedWorker, ...]:
        """Everybody who is watched, ended or not."""
        return tuple(self._watched.values())

    def pids(self) -> tuple[int, ...]:
        """The pids of everybody who is watched."""
        return tuple(watched.handle.pid for watched in self._watched.values())

    def end_lease(self, workers: Iterable[int]) -> None:
        """From now on these leases are not renewed."""
        self._unleased.update(workers)

    def renew(self, *, now_mono_ns: int, share: float) -> None:
        """Renew every lease that is still renewed, with the permitted share of load."""
        for watched in self._watched.values():
            if watched.worker not in self._unleased:
                granted = 1.0 if watched.drill else share
                watched.page.grant(lease_until_mono_ns=now_mono_ns + _LEASE_NS, share=granted)
