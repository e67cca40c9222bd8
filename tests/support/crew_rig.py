"""A crew with real workers under leases of the test's own: a thread stands in for the guardian."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from baseline_metrics.clock import SystemClock
from baseline_metrics.load_page import LEASE_RENEWAL_S, LEASE_S, LoadPage
from campaign.crew import Crew, CrewStep
from campaign.crew_events import AllReady, CrewEvent, Zero
from campaign.processes import Marks
from campaign.telemetry import Stored
from monitoring_logs.records import LoadSecond
from safety_monitoring.messages import ForgetWorker, WatchWorker
from stress_scenarios.load_plan import EngineName, LoadOrder
from stress_scenarios.loads.memory_order import MemoryOrder
from tests.support.orders import RUN_ID, campaign_order

HANG_S = 30.0
LOOK_S = 0.01
START_LEAD_S = 0.1


@dataclass
class CrewRig:
    """The crew, what it told so far, and the leases of its workers."""

    crew: Crew
    permit: Callable[[float], None]
    events: list[CrewEvent] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)

    @property
    def seconds(self) -> list[LoadSecond]:
        """The load's seconds so far."""
        return [item for item in self.stored if isinstance(item, LoadSecond)]

    def poll_until(self, wanted: Callable[[], bool]) -> None:
        """Turn the crew's loop until something holds."""
        deadline = time.monotonic() + HANG_S
        while not wanted():
            assert time.monotonic() < deadline, self.events
            events, stored = self.crew.poll()
            self.events += events
            self.stored += stored
            time.sleep(LOOK_S)

    def poll_for(self, seconds: float) -> None:
        """Turn the crew's loop for so long."""
        until = time.monotonic() + seconds
        self.poll_until(lambda: time.monotonic() >= until)

    def start(self, load: LoadOrder, memory: MemoryOrder | None = None) -> float:
        """Prepare a load and let it go; the instant of its start."""
        self.events.clear()
        self.stored.clear()
        self.crew.prepare(load, memory)
        self.poll_until(lambda: any(isinstance(event, AllReady) for event in self.events))
        start = time.monotonic() + START_LEAD_S
        self.crew.go(start)
        return start

    def wait_for_zero(self) -> None:
        """Turn the crew's loop until the load is zero."""
        self.poll_until(lambda: any(isinstance(event, Zero) for event in self.events))
        assert self.crew.step is CrewStep.IDLE


class _Leases:
    """Renews the lease of every worker that is to be watched."""

    def __init__(self) -> None:
        self._pages: dict[int, LoadPage] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._share = 1.0
        self._thread = threading.Thread(target=self._renew, name="leases", daemon=True)
        self._thread.start()

    def watch(self, worker: int, path: str) -> None:
        with self._lock:
            self._pages[worker] = LoadPage(path)
        self._grant()

    def forget(self, worker: int) -> None:
        with self._lock:
            page = self._pages.pop(worker, None)
            if page is not None:
                page.close()

    def permit(self, share: float) -> None:
        """Let everybody make so much of their load, at once."""
        self._share = share
        self._grant()

    def close(self) -> None:
        self._over.set()
        self._thread.join(HANG_S)
        for worker in list(self._pages):
            self.forget(worker)

    def _renew(self) -> None:
        while not self._over.wait(LEASE_RENEWAL_S):
            self._grant()

    def _grant(self) -> None:
        until_ns = time.monotonic_ns() + int(LEASE_S * 1e9)
        with self._lock:
            for page in self._pages.values():
                page.grant(lease_until_mono_ns=until_ns, share=self._share)


@contextmanager
def crew_rig(directory: Path, *, engine: EngineName, workers: int) -> Iterator[CrewRig]:
    """A crew without workers yet; at the end they are gone."""
    for name in ("pages", "logs"):
        (directory / name).mkdir()
    leases = _Leases()
    rig: list[CrewRig] = []

    def told(message: WatchWorker | ForgetWorker) -> None:
        if isinstance(message, WatchWorker):
            leases.watch(message.worker, message.page_path)
            rig[0].crew.guardian_watches(message.worker)
        else:
            leases.forget(message.worker)

    crew = Crew(
        replace(campaign_order(directory), engine=engine, workers=workers),
        marks=Marks(run_id=RUN_ID, runs_dir=str(directory / "runs"), state_dir=str(directory / "state")),
        pages=directory / "pages",
        logs=directory / "logs",
        clock=SystemClock(),
        utc_s=lambda mono_s: mono_s,
        tell_guardian=told,
    )
    rig.append(CrewRig(crew=crew, permit=leases.permit))
    try:
        yield rig[0]
    finally:
        crew.dismiss(pump=lambda: None)
        leases.close()
