"""The recorder: one thread that writes a campaign's measurements and facts, and loses none of them silently.

Producers put records and go on; the thread commits them in batches and acknowledges after the commit. When the
database does not take them, they go into the spill file, the fault stays visible, and the supervisor can end the
campaign in order. One thread in the supervisor.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_fixed

from baseline_metrics.clock import Clock
from baseline_metrics.codec import CodecError
from monitoring_logs.ballast import BALLAST_BYTES, Ballast, ballast_path
from monitoring_logs.intake import Full, Intake, Numbered, Taken
from monitoring_logs.numbering import NO_LIFE, Producer, RecordNumber
from monitoring_logs.rows import Record, TableRow, rows_of
from monitoring_logs.run_files import SPILL, bring_home, damaged_kept, link_beside, set_aside
from monitoring_logs.spill import Spill, Spilled
from monitoring_logs.store import (
    BUSY_TIMEOUT_S,
    JOURNAL_BYTES_MAX,
    RowRefusedError,
    SqliteStore,
    Store,
    StoreConclusion,
    StoreError,
    StoreFault,
)
from monitoring_logs.tally import RecorderStats, Tally

START_S_MAX = 60.0
"""Opening a sound database takes milliseconds; quick_check of a large one that is resumed takes some seconds."""

CHECKPOINT_LOG_BYTES = 4 << 20
"""The log is moved into the database when it is that large, as SQLite would by itself (1000 pages)."""

CHECKPOINT_RETRY_S = 10.0
"""A reader in the way is not asked again at every commit; when it leaves, the log is short again soon."""

BUSY_PAUSE_S = 0.1
"""Between two tries for the write lock; the waiting itself is done by SQLite's busy timeout."""


class RecorderError(Exception):
    """The record cannot be opened: the campaign must not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderSettings:
    """Bounds, with the reasons for their numbers.

    queue_records_max: 120 s of the busiest night (10 host samples, 1 load second, 1 load minute and 20 error groups a
    second make 32): a sync that hangs for 20 s, as in disk stress, goes unnoticed. batch: a power cut costs at most
    250 ms. busy_attempts_max: times the busy timeout, 20 s of a foreign lock. checkpoint: the log is moved into the
    database when it is that large or that old; a reader in the way is not asked again at every commit. log_bytes_alarm: a
    log beyond it is told.
    """

    queue_records_max: int = 4096
    batch_records_max: int = 500
    batch_period_s: float = 0.25
    busy_timeout_s: float = BUSY_TIMEOUT_S
    busy_attempts_max: int = 4
    checkpoint_period_s: float = 900.0
    checkpoint_log_bytes: int = CHECKPOINT_LOG_BYTES
    checkpoint_retry_s: float = CHECKPOINT_RETRY_S
    log_bytes_alarm: int = JOURNAL_BYTES_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseReport:
    """How the record was closed. ended: the thread is through. integrity: "ok", or what is wrong, or why not verified."""

    ended: bool
    integrity: str
    checkpointed: bool
    journal_mode: str
    stats: RecorderStats


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoded:
    """A record with its rows."""

    numbered: Numbered
    rows: tuple[TableRow, ...]


def open_sqlite_store(path: str, busy_timeout_s: float) -> Store:
    """The real database."""
    return SqliteStore(path, busy_timeout_s=busy_timeout_s)


class Recorder:
    """The recorder of one run.

    ``put`` and ``release_ballast`` may be called from any thread and never raise; the rest by the owner.
    """

    def __init__(
        self,
        path: str,
        *,
        spill_path: str,
        clock: Clock,
        ballast_bytes: int = BALLAST_BYTES,
        settings: RecorderSettings = RecorderSettings(),
        life_min: int = 1,
        open_store: Callable[[str, float], Store] = open_sqlite_store,
    ) -> None:
        """Nothing is opened yet. life_min: this start's number at least, for a run whose earlier lives are known elsewhere."""
        self._path = path
        self._spill_path = spill_path
        self._clock = clock
        self._settings = settings
        self._life_min = life_min
        self._open_store = open_store
        self._ballast = Ballast(ballast_path(path), size_bytes=ballast_bytes)
        self._spill = Spill(spill_path)
        self._tally = Tally(clock)
        self._intake = Intake(
            records_max=settings.queue_records_max,
            batch_records_max=settings.batch_records_max,
            batch_period_s=settings.batch_period_s,
        )
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._opened = threading.Event()
        self._opening_error = ""
        self._conclusion = StoreConclusion(integrity="not verified", checkpointed=False, journal_mode="unknown")
        self._life = NO_LIFE  # written by the recorder's thread before it says that it is open
        # The recorder's thread alone looks at these:
        self._own_sequence = 0
        self._gave_up = False
        self._sync_failed = False
        self._log_alarmed = False
        self._checkpointed_mono_s = clock.mono_s()
        self._tried_mono_s = clock.mono_s()

    # Owner and producers ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the database and begin to write. Raises RecorderError when it cannot be opened or the disk is too full."""
        link_beside(self._path, name=SPILL, target=self._spill_path)
        self._thread.start()
        if not self._opened.wait(START_S_MAX):
            raise RecorderError(f"{self._path} could not be opened within {START_S_MAX:.0f} s; is its disk answering?")
        if self._opening_error:
            self._thread.join()
            raise RecorderError(self._opening_error)

    def put(self, record: Record) -> None:
        """Take a record to be stored. Never waits for the database; when the queue is full the spill file takes it."""
        match self._intake.offer(record):
            case Taken():
                pass
            case Full(sequence=sequence):
                self._tally.overflowed()
                self._spill_all((Numbered(sequence=sequence, record=record),))
            case other:
                assert_never(other)

    def flush(self, timeout_s: float) -> bool:
        """Whether everything put before this call is durable: committed, or synced to the spill file (see stats)."""
        return self._intake.wait_until_durable(timeout_s)

    def release_ballast(self) -> None:
        """Give the room that is held back to whoever needs it first. May be called from any thread, never raises."""
        if self._ballast.release():
            self._tally.fault("the ballast was released for the journal: end the campaign, make room on this disk")

    def close(self, timeout_s: float) -> CloseReport:
        """Write what is queued, checkpoint, verify, close. Waits at most that long; then ``ended`` is False."""
        self._intake.close()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        ended = not self._thread.is_alive()
        if ended:
            self._drain_into_spill()  # nothing, unless the thread never ran
            self._spill.close()
            bring_home(self._path, name=SPILL, target=self._spill_path)
        return CloseReport(
            ended=ended,
            integrity=self._conclusion.integrity,
            checkpointed=self._conclusion.checkpointed,
            journal_mode=self._conclusion.journal_mode,
            stats=self.stats,
        )

    @property
    def committed_sequence(self) -> int:
        """Records are numbered from 1 in the order they were put; everything up to this number is durable."""
        return self._intake.durable_sequence

    @property
    def life(self) -> int:
        """The number of this start among those of the run, from 1; 0 until it is open."""
        return self._life

    @property
    def stats(self) -> RecorderStats:
        """Counts and the fault at this instant."""
        return self._tally.stats(queued=self._intake.waiting)

    # The thread -------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            store = self._open()
        except Exception as error:  # noqa: BLE001 - whatever it is, the owner waits for the answer
            self._opening_error = f"the record cannot be opened: {error}; check the disk and the permissions there"
            self._opened.set()
            return
        self._opened.set()
        try:
            self._work(store)
        except Exception as error:  # noqa: BLE001 - our own bug must not cost the record: what still comes is spilled
            self._gave_up = True
            self._tally.fault(f"the recorder failed: {type(error).__name__}: {error}")
        self._drain_into_spill()
        self._keep(store, (self._own(self._tally.facts(life=self._life, records_put=self._intake.last_sequence)),))
        self._keep(store, self._own_notes())
        self._spill.sync()
        self._leave(store)

    def _open(self) -> Store:
        """Open the database; set a damaged one aside, never delete it. Raises StoreError, or OSError for the ballast."""
        try:
            store = self._open_store(self._path, self._settings.busy_timeout_s)
        except StoreError as error:
            if error.fault is not StoreFault.CORRUPT:
                raise
            aside = set_aside(self._path)
            self._tally.note("damaged", f"{error}; it was kept as {aside}, a new database was begun")
            store = self._open_store(self._path, self._settings.busy_timeout_s)
        try:
            self._life = store.begin_life(
                at_least=max(self._life_min, damaged_kept(self._path) + 1),
                mono_s=self._clock.mono_s(),
                utc_s=self._clock.utc_s(),
            )
            self._ballast.load()
        except StoreError as error:
            if error.fault is StoreFault.FSYNC:
                store.abandon()
            else:
                store.conclude()
            raise
        except OSError:
            store.conclude()
            raise
        return store

    def _work(self, store: Store) -> None:
        while True:
            batch = self._intake.take()
            self._keep(store, (*batch.records, *self._own_notes()))
            self._acknowledge(batch.durable_up_to)
            self._housekeep(store)
            if batch.last:
                self._keep(store, self._own_notes())  # what the last batch itself gave rise to
                return

    def _own_notes(self) -> tuple[Numbered, ...]:
        return tuple(self._own(note) for note in self._tally.take_notes(overflow_to=self._spill_path))

    def _own(self, record: Record) -> Numbered:
        """A record of the recorder's own."""
        self._own_sequence += 1
        return Numbered(sequence=self._own_sequence, record=record, producer=Producer.RECORDER)

    def _keep(self, store: Store, records: Sequence[Numbered]) -> None:
        """Commit these records, or spill them, or refuse what cannot be encoded."""
        encoded: list[_Encoded] = []
        for numbered in records:
            try:
                encoded.append(_Encoded(numbered=numbered, rows=rows_of(numbered.record)))
            except (CodecError, AssertionError, AttributeError, TypeError) as error:
                self._tally.refused(numbered.record, str(error))
        self._store(store, encoded)

    def _store(self, store: Store, encoded: Sequence[_Encoded]) -> None:
        if self._gave_up:
            self._spill_all([one.numbered for one in encoded])
            return
        try:
            self._commit(store, encoded)
        except RowRefusedError as refusal:
            if len(encoded) == 1:
                self._tally.refused(encoded[0].numbered.record, str(refusal))
                return
            for one in encoded:  # find the one that does not fit; the others are fine
                self._store(store, (one,))
        except StoreError as error:
            self._survive(store, error, encoded)

    def _commit(self, store: Store, encoded: Sequence[_Encoded]) -> None:
        if not encoded:
            return
        began_mono_s = self._clock.mono_s()
        written = Retrying(
            stop=stop_after_attempt(self._settings.busy_attempts_max),
            wait=wait_fixed(BUSY_PAUSE_S),
            retry=retry_if_exception(_is_busy),
            sleep=self._clock.sleep,
            reraise=True,
        )(
            store.write,
            [row for one in encoded for row in one.rows],
            [self._number_of(one.numbered) for one in encoded],
        )
        self._tally.committed(len(encoded), new=written.new, began_mono_s=began_mono_s, sync_s=written.sync_s)

    def _number_of(self, numbered: Numbered) -> RecordNumber:
        return RecordNumber(life=self._life, producer=numbered.producer, sequence=numbered.sequence)

    def _survive(self, store: Store, error: StoreError, encoded: Sequence[_Encoded]) -> None:
        """The transaction was rolled back. Make room and try once more, unless the file cannot be trusted any more."""
        match error.fault:
            case StoreFault.BUSY:  # the lock may go away: only this batch takes the other way
                self._tally.fault(f"{error}; somebody else holds the database, see who has it open")
            case StoreFault.FULL | StoreFault.IO if self._ballast.release():
                self._tally.fault(f"{error}; the ballast was released: end the campaign, make room on this disk")
                self._store(store, encoded)
                return
            case StoreFault.FSYNC:
                self._tally.fault(f"{error}; what this disk holds is unknown, nothing more is written to it")
                self._sync_failed = True
                self._gave_up = True
            case StoreFault.FULL | StoreFault.IO | StoreFault.CORRUPT | StoreFault.OTHER:
                self._tally.fault(f"{error}; records go to {self._spill_path}")
                self._gave_up = True
            case _:
                assert_never(error.fault)
        self._spill_all([one.numbered for one in encoded])

    def _acknowledge(self, sequence: int) -> None:
        if self._spill.sync():
            self._intake.acknowledge(sequence)
        else:
            self._intake.break_off()
            self._tally.fault(self._spill.fault)

    def _housekeep(self, store: Store) -> None:
        """Keep the write-ahead log short, and say when a reader prevents it."""
        if self._gave_up:
            return
        log_bytes = store.log_bytes()
        self._tally.log_size(log_bytes)
        alarm = self._settings.log_bytes_alarm
        if log_bytes > alarm and not self._log_alarmed:
            self._tally.note("log_large", f"the write-ahead log has {log_bytes} bytes: a reader holds an old snapshot")
        if log_bytes <= alarm and self._log_alarmed:
            self._tally.note("log_short", f"the write-ahead log has {log_bytes} bytes again: the reader has gone")
        self._log_alarmed = log_bytes > alarm
        now_mono_s = self._clock.mono_s()
        since_s = now_mono_s - self._tried_mono_s
        old = now_mono_s - self._checkpointed_mono_s >= self._settings.checkpoint_period_s
        large = log_bytes >= self._settings.checkpoint_log_bytes
        if (old or large) and since_s >= self._settings.checkpoint_retry_s:
            self._tried_mono_s = now_mono_s
            try:
                if store.checkpoint():
                    self._checkpointed_mono_s = now_mono_s
            except StoreError as error:
                self._survive(store, error, ())

    def _drain_into_spill(self) -> None:
        """Spill what is queued until the queue is closed: the way out when nothing else works."""
        while True:
            batch = self._intake.take()
            self._spill_all((*batch.records, *self._own_notes()))
            self._acknowledge(batch.durable_up_to)
            if batch.last:
                return

    def _leave(self, store: Store) -> None:
        self._ballast.release()
        if self._sync_failed:
            store.abandon()
            self._conclusion = StoreConclusion(
                integrity="not verified: the disk failed to sync", checkpointed=False, journal_mode="wal"
            )
            return
        try:
            self._conclusion = store.conclude()
        except StoreError as error:
            self._tally.fault(str(error))
            self._conclusion = StoreConclusion(
                integrity=f"not verified: {error}", checkpointed=False, journal_mode="unknown"
            )
            self._spill_all(self._own_notes())

    # Any thread -------------------------------------------------------------------------------------------------------

    def _spill_all(self, records: Sequence[Numbered]) -> None:
        for numbered in records:
            match self._spill.append(self._number_of(numbered), numbered.record):
                case Spilled.WRITTEN:
                    self._tally.spilled()
                case Spilled.REFUSED:
                    self._tally.refused(numbered.record, "it cannot be encoded")
                case Spilled.LOST:
                    self._intake.break_off()
                    self._tally.lost(self._spill.fault)
                case other:
                    assert_never(other)


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, StoreError) and error.fault is StoreFault.BUSY
