"""One worker of the crew: its process, its page, and the part of the current load that it has.

A member that makes requests and one that holds memory are started, watched, sent to work and ended alike; only what they
are asked differs. The supervisor's main thread starts them.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.load_page import LoadPage
from campaign.crew_counts import NOTHING, PageCounts
from campaign.processes import ChannelError, Child, Marks
from stress_scenarios.load_plan import EngineName, LoadOrder
from stress_scenarios.loads.memory_order import MemoryOrder
from stress_scenarios.messages import ORDERS, Drained, MemoryDrained, Order, Prepare, PrepareMemory


@dataclass(slots=True)
class Member:
    """A worker. order: its part of the current load, None while it has none."""

    number: int
    engine: EngineName
    child: Child
    page: LoadPage
    ready: bool = False
    watched: bool = False
    prepared: bool = False
    held: bool = False
    died_at: float | None = None
    drained: Drained | MemoryDrained | None = None
    order: LoadOrder | MemoryOrder | None = None
    counted_before: PageCounts = NOTHING

    @property
    def holds_memory(self) -> bool:
        """Whether it makes memory load and no requests."""
        return self.engine is EngineName.MEMORY

    def assign(self, order: LoadOrder | MemoryOrder | None) -> None:
        """Its part of the load that begins to be prepared."""
        self.order = order
        self.prepared = False
        self.drained = None
        if self.watched:
            self.prepare()

    def prepare(self) -> None:
        """Hand it its order, if it has one."""
        match self.order:
            case LoadOrder() as order:
                self.send(Prepare(order=order))
            case MemoryOrder() as order:
                self.send(PrepareMemory(order=order))
            case None:
                pass

    def send(self, order: Order) -> None:
        """Give an order."""
        with contextlib.suppress(ChannelError):  # a worker that does not read hangs, and is found by its heartbeat
            self.child.send(ORDERS, order)

    def forget(self) -> None:
        """It has ended: nothing of it stays."""
        self.child.close()
        self.page.close()
        with contextlib.suppress(OSError):
            Path(self.page.path).unlink()


def spawn_member(number: int, *, engine: EngineName, pages: Path, logs: Path, marks: Marks) -> Member:
    """Start a worker. Raises OSError."""
    path = pages / f"worker-{number}.page"
    page = LoadPage(str(path), create=True)
    try:
        child = Child(
            "stress_scenarios.worker",
            (
                *("--worker", str(number), "--engine", engine.value),
                *("--page", str(path), "--parent-pid", str(os.getpid())),
            ),
            marks=marks,
            role="worker",
            output=logs / f"worker-{number}.log",
        )
    except OSError:
        page.close()
        path.unlink(missing_ok=True)
        raise
    return Member(number=number, engine=engine, child=child, page=page)
