"""What the recorder knows about itself: counts, the first fault, and events of its own that still have to be stored.

Producers' threads and the recorder's thread both add to it, so everything here is behind one lock. Supervisor.
"""

import threading
from dataclasses import dataclass

from baseline_metrics.clock import Clock
from baseline_metrics.samples import Reading
from monitoring_logs.recorder_facts import RecorderFacts
from monitoring_logs.records import EventRecord
from stress_scenarios.histogram import Histogram

EVENT_KIND = "recorder"
NOTES_MAX = 100
"""Events of the recorder's own waiting to be stored; further ones are counted and would only repeat what stands there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderStats:
    """How the recorder fares. Records: queued now; since the start committed, spilled, lost, refused, repeated.

    repeated: committed, but the database had them already. refused: they could not be stored at all, our own bug.
    lost: not even the spill file took them. last_commit_mono_s: the recorder's construction before the first commit.
    commit_s_max: longest transaction, with its waiting for a lock. sync_s: of their last step, in which the disk syncs.
    log_bytes: size of the write-ahead log after the last commit. fault: "" while all is well, else the first thing that
    went wrong: end the campaign in order.
    """

    queued: int
    committed: int
    spilled: int
    lost: int
    refused: int
    repeated: int
    last_commit_mono_s: float
    commit_s_max: float
    sync_s_p50: Reading
    sync_s_p99: Reading
    sync_s_max: Reading
    log_bytes: int
    fault: str


class Tally:
    """The counts. Every method may be called from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._committed = 0
        self._spilled = 0
        self._lost = 0
        self._refused = 0
        self._repeated = 0
        self._overflowed = 0
        self._last_commit_mono_s = clock.mono_s()
        self._commit_s_max = 0.0
        self._commit_s = Histogram()
        self._sync_s = Histogram()
        self._log_bytes = 0
        self._log_bytes_max = 0
        self._fault = ""
        self._notes: list[EventRecord] = []

    def stats(self, *, queued: int) -> RecorderStats:
        """Everything at this instant."""
        with self._lock:
            return RecorderStats(
                queued=queued,
                committed=self._committed,
                spilled=self._spilled,
                lost=self._lost,
                refused=self._refused,
                repeated=self._repeated,
                last_commit_mono_s=self._last_commit_mono_s,
                commit_s_max=self._commit_s_max,
                sync_s_p50=self._sync_s.quantile(0.5),
                sync_s_p99=self._sync_s.quantile(0.99),
                sync_s_max=self._sync_s.max_s,
                log_bytes=self._log_bytes,
                fault=self._fault,
            )

    def facts(self, *, life: int, records_put: int) -> RecorderFacts:
        """What is stored of all this at the end of a life."""
        with self._lock:
            return RecorderFacts(
                life=life,
                records_put=records_put,
                committed=self._committed,
                spilled=self._spilled,
                lost=self._lost,
                refused=self._refused,
                repeated=self._repeated,
                commit_s=self._commit_s.encode(),
                sync_s=self._sync_s.encode(),
                log_bytes_max=self._log_bytes_max,
                fault=self._fault,
            )

    def committed(self, records: int, *, new: int, began_mono_s: float, sync_s: float) -> None:
        """A transaction of that many records was committed; ``new`` of them were not there before."""
        now_mono_s = self._clock.mono_s()
        with self._lock:
            self._committed += records
            self._repeated += records - new
            self._last_commit_mono_s = now_mono_s
            self._commit_s_max = max(self._commit_s_max, now_mono_s - began_mono_s)
            self._commit_s.record_s(now_mono_s - began_mono_s)
            self._sync_s.record_s(sync_s)

    def spilled(self) -> None:
        """One record went to the spill file."""
        with self._lock:
            self._spilled += 1

    def overflowed(self) -> None:
        """One record found the queue full."""
        with self._lock:
            self._overflowed += 1

    def lost(self, why: str) -> None:
        """One record could not be kept anywhere."""
        with self._lock:
            self._lost += 1
        self.fault(why)

    def refused(self, record: object, why: str) -> None:
        """One record cannot be stored, whatever the disk does."""
        with self._lock:
            self._refused += 1
        self.note("refused", f"a {type(record).__name__} was not stored: {why}")

    def log_size(self, log_bytes: int) -> None:
        """The write-ahead log is that large."""
        with self._lock:
            self._log_bytes = log_bytes
            self._log_bytes_max = max(self._log_bytes_max, log_bytes)

    def fault(self, text: str) -> None:
        """Something went wrong. The first fault stays; what follows is usually its consequence."""
        with self._lock:
            first = not self._fault
            if first:
                self._fault = text
        if first:
            self.note("fault", text)

    def note(self, name: str, text: str) -> None:
        """An event of the recorder itself, to be stored with the next batch."""
        event = EventRecord(
            at_mono_s=self._clock.mono_s(), at_utc_s=self._clock.utc_s(), kind=EVENT_KIND, name=name, text=text
        )
        with self._lock:
            if len(self._notes) < NOTES_MAX:
                self._notes.append(event)

    def take_notes(self, *, overflow_to: str) -> tuple[EventRecord, ...]:
        """The events to store now, with the overflow since the last call summed up in one of them."""
        with self._lock:
            overflowed, self._overflowed = self._overflowed, 0
        if overflowed:
            self.note("overflow", f"the queue was full: {overflowed} records went to {overflow_to}")
        with self._lock:
            notes, self._notes = tuple(self._notes), []
        return notes
