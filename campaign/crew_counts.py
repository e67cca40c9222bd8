"""What a load did, summed over its workers: from their pages, which are exact even after a kill, and their last words.

A page counts over a worker's life, so a load is the difference of two looks. What only a worker's own report knows (bytes
sent, messages, redirects) is taken from there; when workers were ended by force, from the windows they had told before.
Only reads pages; the crew uses it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from baseline_metrics.load_page import LoadPage
from campaign.telemetry import Told
from monitoring_logs.records import LoadFacts
from stress_scenarios.load_plan import Arrivals, LoadOrder, Paced, ReplayRate
from stress_scenarios.messages import Drained
from stress_scenarios.pacing import RequestedCount, operations_requested


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCounts:
    """Counts of one page, over all its operations, or the difference between two looks at it."""

    due: int = 0
    dropped: int = 0
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    bytes_received: int = 0
    connections_opened: int = 0

    @property
    def in_flight(self) -> int:
        """Operations that were started and have not ended."""
        return self.started - self.succeeded - self.failed

    def since(self, before: "PageCounts") -> "PageCounts":
        """What has been counted since another look."""
        return PageCounts(
            due=self.due - before.due,
            dropped=self.dropped - before.dropped,
            started=self.started - before.started,
            succeeded=self.succeeded - before.succeeded,
            failed=self.failed - before.failed,
            bytes_received=self.bytes_received - before.bytes_received,
            connections_opened=self.connections_opened - before.connections_opened,
        )


NOTHING = PageCounts()


def look_at(page: LoadPage, operations: int) -> PageCounts:
    """The page's counts now, of so many operations."""
    counts = [page.operation(index) for index in range(operations)]
    return PageCounts(
        due=page.operations_due,
        dropped=page.operations_dropped,
        started=sum(item.started for item in counts),
        succeeded=sum(item.succeeded for item in counts),
        failed=sum(item.failed for item in counts),
        bytes_received=sum(item.bytes_received for item in counts),
        connections_opened=page.connections_opened,
    )


def summed(parts: Iterable[PageCounts]) -> PageCounts:
    """All workers' counts together."""
    listed = tuple(parts)
    return PageCounts(
        due=sum(item.due for item in listed),
        dropped=sum(item.dropped for item in listed),
        started=sum(item.started for item in listed),
        succeeded=sum(item.succeeded for item in listed),
        failed=sum(item.failed for item in listed),
        bytes_received=sum(item.bytes_received for item in listed),
        connections_opened=sum(item.connections_opened for item in listed),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedLoad:
    """A load that is zero now. order: the whole load. counted: over all workers; drained: of those that came to it.

    told: what windows said. connections_asked: the most that was asked for, adjustments included. adjusted: whether the
    rate or the connections were changed on the way. hold_s: achieved.
    """

    order: LoadOrder
    workers: int
    counted: PageCounts
    drained: Sequence[Drained]
    told: Told
    connections_asked: int
    adjusted: bool
    hold_s: float


def load_facts(load: EndedLoad) -> LoadFacts:
    """Asked against achieved."""
    counted, drained, told = load.counted, load.drained, load.told
    return LoadFacts(
        connections_requested=load.connections_asked,
        connections_peak=max(told.connections_peak, sum(item.connections_peak for item in drained)),
        connections_opened=counted.connections_opened,
        operations_requested=_requested(load),
        operations_started=counted.started,
        operations_succeeded=counted.succeeded,
        operations_failed=counted.failed,
        operations_abandoned=counted.started - counted.succeeded - counted.failed,
        hold_s_requested=load.order.hold_s,
        hold_s_achieved=load.hold_s,
        bytes_received=counted.bytes_received,
        operations_dropped=counted.dropped,
        bytes_sent=max(told.bytes_sent, sum(item.bytes_sent for item in drained)),
        messages_sent=max(told.messages_sent, sum(item.messages_sent for item in drained)),
        messages_received=max(told.messages_received, sum(item.messages_received for item in drained)),
        reconnects=max(told.reconnects, sum(item.reconnects for item in drained)),
        redirects=sum(item.redirects for item in drained),
    )


def _requested(load: EndedLoad) -> int:
    """The plan's count where the plan has one, else the workers' own; after an adjustment, what had come due."""
    if load.adjusted:
        return load.counted.due
    if not isinstance(load.order.pace, Paced) and len(load.drained) == load.workers:
        return sum(item.operations_requested for item in load.drained)
    if isinstance(load.order.pace, Arrivals) and isinstance(load.order.pace.shape, ReplayRate):
        return load.counted.due  # only the workers have read the replay's times
    planned = operations_requested(load.order)
    return planned.operations if isinstance(planned, RequestedCount) else load.counted.due
