"""The recorder's promises: acknowledged means durable, nothing is lost silently, nothing raises into the producer."""

import errno
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from baseline_metrics.clock import FakeClock
from baseline_metrics.samples import HostSample, NamedReading, Sample
from monitoring_logs.ballast import Ballast
from monitoring_logs.checked_lines import BadLine
from monitoring_logs.numbering import RecordNumber
from monitoring_logs.recorder import Recorder, RecorderError, RecorderSettings
from monitoring_logs.records import EventRecord
from monitoring_logs.rows import Record, TableRow
from monitoring_logs.schema import EVENTS, RUN_FACTS
from monitoring_logs.spill import Spill, SpilledRecord, read_spill
from monitoring_logs.store import (
    JOURNAL_BYTES_MAX,
    RowRefusedError,
    StoreConclusion,
    StoreError,
    StoreFault,
    Written,
)
from tests.support.sample_records import event_at, number_of

WAIT_S = 60.0
"""A hang limit; nothing here takes a second."""


class FakeStore:
    """A database in memory that fails as told: each write takes the next of its faults, None means that it works."""

    def __init__(self, faults: Sequence[StoreFault | None] = ()) -> None:
        self.faults = list(faults)
        self.rows: list[TableRow] = []
        self.numbers: list[RecordNumber] = []
        self.writes = 0
        self.checkpoints = 0
        self.log_size = 0
        self.ended = ""
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def begin_life(self, *, at_least: int, mono_s: float, utc_s: float) -> int:
        """The first one that is allowed."""
        return at_least

    def write(self, rows: Sequence[TableRow], numbers: Sequence[RecordNumber]) -> Written:
        """Take all rows, or fail."""
        self.entered.set()
        assert self.gate.wait(WAIT_S)
        self.writes += 1
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise StoreError(fault, f"the disk said {fault.value}")
        if any(row.values.get("text") == "poison" for row in rows):
            raise RowRefusedError("poison")
        self.rows.extend(rows)
        self.numbers.extend(numbers)
        return Written(new=len(rows), sync_s=0.25)

    def checkpoint(self) -> bool:
        """Count it."""
        self.checkpoints += 1
        return True

    def log_bytes(self) -> int:
        """As told."""
        return self.log_size

    def conclude(self) -> StoreConclusion:
        """End well."""
        self.ended = "concluded"
        return StoreConclusion(integrity="ok", checkpointed=True, journal_mode="delete")

    def abandon(self) -> None:
        """End without writing."""
        self.ended = "abandoned"

    def texts(self) -> list[str]:
        """The events' texts, in order."""
        return [str(row.values["text"]) for row in self.rows if row.table is EVENTS]


class Bench:
    """A recorder over a fake store in a directory."""

    def __init__(
        self,
        directory: Path,
        store: FakeStore,
        *,
        settings: RecorderSettings | None = None,
        spill: Path | None = None,
        ballast_bytes: int = 4096,
    ) -> None:
        self.clock = FakeClock()
        self.store = store
        self.spill = spill or directory / "spill.jsonl"
        self.database = directory / "campaign.db"
        self.recorder = Recorder(
            str(self.database),
            spill_path=str(self.spill),
            clock=self.clock,
            ballast_bytes=ballast_bytes,
            settings=settings or RecorderSettings(),
            open_store=lambda _path, _timeout_s: store,
        )

    def spilled(self) -> list[Record]:
        """What the spill file holds."""
        if not self.spill.is_file():
            return []
        lines = list(read_spill(str(self.spill)))
        assert not [line for line in lines if isinstance(line, BadLine)]
        return [line.record for line in lines if isinstance(line, SpilledRecord)]

    def own_events(self) -> set[str]:
        """Names of the recorder's own events that were kept, wherever."""
        stored = {str(row.values["name"]) for row in self.store.rows if row.values.get("kind") == "recorder"}
        return stored | {one.name for one in self.spilled() if isinstance(one, EventRecord) and one.kind == "recorder"}


def test_flushed_means_committed_and_in_order(tmp_path: Path) -> None:
    """After flush everything put before is in the database, in the order in which it was put."""
    bench = Bench(tmp_path, FakeStore())
    bench.recorder.start()
    for number in range(1200):
        bench.recorder.put(event_at(number, str(number)))
    assert bench.recorder.flush(WAIT_S)
    assert bench.store.texts() == [str(number) for number in range(1200)]
    assert bench.recorder.committed_sequence == 1200
    stats = bench.recorder.close(WAIT_S).stats
    assert (stats.queued, stats.committed, stats.spilled, stats.lost, stats.fault) == (
        0,
        1201,
        0,
        0,
        "",
    )  # the last one is the recorder's own
    assert bench.store.writes >= 3  # no batch is larger than 500


def test_close_writes_what_is_queued_and_verifies(tmp_path: Path) -> None:
    """Without a flush nothing is lost either; the report says how the database ended; the ballast is gone."""
    bench = Bench(tmp_path, FakeStore())
    bench.recorder.start()
    assert (tmp_path / "campaign.db-ballast").stat().st_size == 4096
    bench.recorder.put(event_at(0))
    report = bench.recorder.close(WAIT_S)
    assert (report.ended, report.integrity, report.checkpointed, report.journal_mode) == (True, "ok", True, "delete")
    assert [row.table for row in bench.store.rows] == [EVENTS, RUN_FACTS]
    assert bench.store.ended == "concluded"
    assert not (tmp_path / "campaign.db-ballast").exists()


def test_records_that_were_put_before_the_start_are_kept(tmp_path: Path) -> None:
    """The queue takes records from the beginning."""
    bench = Bench(tmp_path, FakeStore())
    bench.recorder.put(event_at(0))
    bench.recorder.start()
    assert bench.recorder.flush(WAIT_S)
    bench.recorder.close(WAIT_S)
    assert [row.table for row in bench.store.rows] == [EVENTS, RUN_FACTS]


def test_a_recorder_that_never_started_spills_what_it_was_given(tmp_path: Path) -> None:
    """Closing it loses nothing."""
    bench = Bench(tmp_path, FakeStore())
    bench.recorder.put(event_at(0))
    report = bench.recorder.close(WAIT_S)
    assert report.stats.spilled == 1
    assert bench.spilled() == [event_at(0)]


def test_a_record_after_the_end_is_spilled(tmp_path: Path) -> None:
    """A producer that is late gets no error, and its record is kept."""
    bench = Bench(tmp_path, FakeStore())
    bench.recorder.start()
    bench.recorder.close(WAIT_S)
    bench.recorder.put(event_at(9))
    assert bench.spilled() == [event_at(9)]
    assert bench.recorder.stats.spilled == 1


def test_a_full_queue_overflows_into_the_spill_file_and_says_so(tmp_path: Path) -> None:
    """While a sync hangs the queue fills to its bound; each further record is spilled, counted, and flush covers it."""
    store = FakeStore()
    store.gate.clear()
    bench = Bench(tmp_path, store, settings=RecorderSettings(queue_records_max=10, batch_records_max=1))
    bench.recorder.start()
    bench.recorder.put(event_at(0, "first"))
    assert store.entered.wait(WAIT_S)  # the writer hangs with the first one
    for number in range(13):
        bench.recorder.put(event_at(1 + number, str(number)))
    assert bench.recorder.stats.queued == 10
    assert bench.recorder.stats.spilled == 3
    assert not bench.recorder.flush(0.0)
    store.gate.set()
    assert bench.recorder.flush(WAIT_S)
    stats = bench.recorder.close(WAIT_S).stats
    assert [text for text in store.texts() if len(text) < 6] == ["first", *map(str, range(10))]
    assert [record.text for record in bench.spilled() if isinstance(record, EventRecord)] == ["10", "11", "12"]
    assert "overflow" in bench.own_events()
    assert any("3 records" in text for text in store.texts())
    assert (stats.lost, stats.fault) == (0, "")


def test_the_ballast_can_be_released_for_the_journal(tmp_path: Path) -> None:
    """From any thread, any number of times; the fault is visible, so that the campaign ends in order."""
    bench = Bench(tmp_path, FakeStore())
    bench.recorder.start()
    others = [threading.Thread(target=bench.recorder.release_ballast) for _ in range(4)]
    for other in others:
        other.start()
    for other in others:
        other.join(WAIT_S)
    assert not (tmp_path / "campaign.db-ballast").exists()
    assert "released for the journal" in bench.recorder.stats.fault
    bench.recorder.put(event_at(0, "one"))
    report = bench.recorder.close(WAIT_S)
    assert "one" in bench.store.texts()
    assert report.stats.spilled == 0


def test_a_full_disk_releases_the_ballast_and_goes_on(tmp_path: Path) -> None:
    """The batch is committed after all, the database stays in use, and the fault stays visible for the supervisor."""
    store = FakeStore([StoreFault.FULL])
    bench = Bench(tmp_path, store)
    bench.recorder.start()
    bench.recorder.put(event_at(0, "one"))
    assert bench.recorder.flush(WAIT_S)
    assert not (tmp_path / "campaign.db-ballast").exists()
    assert "ballast was released" in bench.recorder.stats.fault
    bench.recorder.put(event_at(1, "two"))
    report = bench.recorder.close(WAIT_S)
    assert [text for text in store.texts() if len(text) == 3] == ["one", "two"]
    assert (report.stats.spilled, store.ended) == (0, "concluded")
    assert "fault" in bench.own_events()


@pytest.mark.parametrize("second", [StoreFault.FULL, StoreFault.IO, StoreFault.FSYNC, StoreFault.OTHER])
def test_a_second_failure_sends_everything_to_the_spill_file(tmp_path: Path, second: StoreFault) -> None:
    """After the ballast is spent the database is left alone; every record and the fault are spilled and acknowledged."""
    store = FakeStore([StoreFault.FULL, second])
    bench = Bench(tmp_path, store)
    bench.recorder.start()
    bench.recorder.put(event_at(0, "one"))
    assert bench.recorder.flush(WAIT_S)
    bench.recorder.put(event_at(1, "two"))
    assert bench.recorder.flush(WAIT_S)
    stats = bench.recorder.close(WAIT_S).stats
    assert store.writes == 2
    assert [record for record in bench.spilled() if record in (event_at(0, "one"), event_at(1, "two"))] == [
        event_at(0, "one"),
        event_at(1, "two"),
    ]
    assert (stats.committed, stats.lost) == (0, 0)
    assert "fault" in bench.own_events()


def test_a_failed_sync_is_never_tried_again(tmp_path: Path) -> None:
    """The file is not written any more, not even for the end, and the ballast does not matter."""
    store = FakeStore([StoreFault.FSYNC])
    bench = Bench(tmp_path, store)
    bench.recorder.start()
    bench.recorder.put(event_at(0))
    assert bench.recorder.flush(WAIT_S)
    bench.recorder.put(event_at(1))
    report = bench.recorder.close(WAIT_S)
    assert (store.writes, store.ended) == (1, "abandoned")
    assert report.integrity == "not verified: the disk failed to sync"
    assert [record for record in bench.spilled() if record in (event_at(0), event_at(1))] == [event_at(0), event_at(1)]


def test_a_busy_database_is_tried_again_and_then_worked_around(tmp_path: Path) -> None:
    """Three busy answers in a row are waited out; a fourth sends this batch to the spill file, the next one is committed."""
    store = FakeStore([StoreFault.BUSY] * 3)
    bench = Bench(tmp_path, store)
    bench.recorder.start()
    bench.recorder.put(event_at(0, "one"))
    assert bench.recorder.flush(WAIT_S)
    assert (store.texts(), bench.recorder.stats.fault) == (["one"], "")
    store.faults = [StoreFault.BUSY] * 4
    bench.recorder.put(event_at(1, "two"))
    assert bench.recorder.flush(WAIT_S)
    assert "somebody else holds the database" in bench.recorder.stats.fault
    assert bench.spilled() == [event_at(1, "two")]
    bench.recorder.put(event_at(2, "three"))
    bench.recorder.close(WAIT_S)
    assert "three" in store.texts()


def test_a_record_that_does_not_fit_is_refused_alone(tmp_path: Path) -> None:
    """Its neighbours in the batch are committed, and the refusal is an event."""
    bench = Bench(tmp_path, FakeStore())
    nan = HostSample(
        at_mono_s=1.0,
        at_utc_s=2.0,
        readings=(NamedReading(sensor="cpu_percent", reading=Sample(value=float("nan"))),),
    )
    for record in (event_at(0, "one"), event_at(1, "poison"), nan, event_at(2, "two")):
        bench.recorder.put(record)
    bench.recorder.put("not a record")  # type: ignore[arg-type]  # what a bug in a producer would do
    bench.recorder.start()
    assert bench.recorder.flush(WAIT_S)
    stats = bench.recorder.close(WAIT_S).stats
    assert [text for text in bench.store.texts() if len(text) == 3] == ["one", "two"]
    assert (stats.refused, stats.fault) == (3, "")
    assert "refused" in bench.own_events()


def test_when_no_disk_takes_a_record_it_is_counted_as_lost(tmp_path: Path) -> None:
    """Lost is not acknowledged: flush answers no, without waiting, and the fault says why."""
    (tmp_path / "spill.jsonl").mkdir()
    bench = Bench(tmp_path, FakeStore([StoreFault.OTHER]), spill=tmp_path / "spill.jsonl")
    bench.recorder.start()
    bench.recorder.put(event_at(0))
    assert not bench.recorder.flush(WAIT_S)
    stats = bench.recorder.close(WAIT_S).stats
    assert stats.lost >= 1
    assert "the disk said other" in stats.fault
    assert bench.recorder.committed_sequence == 0


def test_a_bug_in_the_recorder_does_not_cost_the_record(tmp_path: Path) -> None:
    """An unexpected exception turns into a fault; what comes afterwards is spilled."""

    class Broken(FakeStore):
        def log_bytes(self) -> int:
            raise ZeroDivisionError

    bench = Bench(tmp_path, Broken())
    bench.recorder.start()
    bench.recorder.put(event_at(0))
    assert bench.recorder.flush(WAIT_S)
    bench.recorder.put(event_at(1))
    assert bench.recorder.flush(WAIT_S)
    report = bench.recorder.close(WAIT_S)
    assert report.ended
    assert "ZeroDivisionError" in report.stats.fault
    assert event_at(1) in bench.spilled()


def test_a_store_that_cannot_be_opened_refuses_the_start(tmp_path: Path) -> None:
    """The campaign must not begin without a record; the message names the file."""
    recorder = Recorder(
        str(tmp_path / "absent" / "campaign.db"),
        spill_path=str(tmp_path / "spill.jsonl"),
        clock=FakeClock(),
        ballast_bytes=0,
    )
    with pytest.raises(RecorderError, match=r"absent/campaign\.db"):
        recorder.start()
    assert recorder.close(WAIT_S).ended


def test_a_disk_without_room_for_the_ballast_refuses_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cannot keep a reserve should not begin a night."""

    def no_room(_self: Ballast) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Ballast, "load", no_room)
    bench = Bench(tmp_path, FakeStore())
    with pytest.raises(RecorderError, match="No space left"):
        bench.recorder.start()
    assert bench.store.ended == "concluded"


def test_the_log_is_checkpointed_every_quarter_of_an_hour(tmp_path: Path) -> None:
    """Just before the period: not yet; at it: once."""
    bench = Bench(tmp_path, FakeStore())
    bench.recorder.start()
    for elapsed_s, checkpoints in ((899.0, 0), (1.0, 1), (899.0, 1), (1.0, 2)):
        bench.clock.advance(elapsed_s)
        bench.recorder.put(event_at(0))
        assert bench.recorder.flush(WAIT_S)
        bench.recorder.put(event_at(1))  # housekeeping follows the acknowledgement: wait for the next round
        assert bench.recorder.flush(WAIT_S)
        assert bench.store.checkpoints == checkpoints
    bench.recorder.close(WAIT_S)


def test_a_log_that_a_reader_keeps_from_shrinking_is_told_once(tmp_path: Path) -> None:
    """At the limit: nothing; above it: one event, not one a second; the size is in the stats."""
    bench = Bench(tmp_path, FakeStore())
    bench.recorder.start()
    for log_size in (JOURNAL_BYTES_MAX, JOURNAL_BYTES_MAX + 1, JOURNAL_BYTES_MAX + 2):
        bench.store.log_size = log_size
        for second in range(2):
            bench.recorder.put(event_at(second))
            assert bench.recorder.flush(WAIT_S)
        assert ("log_large" in bench.own_events()) == (log_size > JOURNAL_BYTES_MAX)
    stats = bench.recorder.close(WAIT_S).stats
    assert stats.log_bytes == JOURNAL_BYTES_MAX + 2
    assert sum("old snapshot" in text for text in bench.store.texts()) == 1


def test_the_longest_commit_is_measured(tmp_path: Path) -> None:
    """A commit that took 20 s shows in the stats, with the time of the last one."""

    class Slow(FakeStore):
        def write(self, rows: Sequence[TableRow], numbers: Sequence[RecordNumber]) -> Written:
            bench.clock.advance(20.0)
            return super().write(rows, numbers)

    bench = Bench(tmp_path, Slow())
    bench.recorder.start()
    bench.recorder.put(event_at(0))
    assert bench.recorder.flush(WAIT_S)
    stats = bench.recorder.close(WAIT_S).stats
    assert stats.commit_s_max == 20.0
    assert stats.sync_s_max == Sample(value=0.25)


def test_the_spill_file_is_bounded(tmp_path: Path) -> None:
    """At its limit a record still fits, beyond it is lost and says so."""
    path = tmp_path / "spill.jsonl"
    probe = Spill(str(path))
    probe.append(number_of(1), event_at(0))
    probe.close()
    size = path.stat().st_size
    path.unlink()
    for bytes_max, fits in ((2 * size, True), (2 * size - 1, False)):
        spill = Spill(str(path), bytes_max=bytes_max)
        spill.append(number_of(1), event_at(0))
        assert (spill.append(number_of(2), event_at(0)).value == "written") == fits
        assert ("limit" in spill.fault) != fits
        spill.close()
        path.unlink()


def test_a_spill_file_on_another_disk_is_linked_into_the_run_and_comes_home(tmp_path: Path) -> None:
    """Readers find it by its usual name, during the night and after the other disk was wiped."""
    run, other = tmp_path / "run", tmp_path / "other"
    run.mkdir()
    other.mkdir()
    bench = Bench(run, FakeStore([StoreFault.OTHER]), spill=other / "saved.jsonl")
    bench.recorder.start()
    bench.recorder.put(event_at(0))
    assert bench.recorder.flush(WAIT_S)
    found = [line.record for line in read_spill(str(run / "spill.jsonl")) if isinstance(line, SpilledRecord)]
    assert event_at(0) in found
    bench.recorder.close(WAIT_S)
    shutil.rmtree(other)
    assert (run / "spill.jsonl").stat().st_mode & 0o777 == 0o600
    found = [line.record for line in read_spill(str(run / "spill.jsonl")) if isinstance(line, SpilledRecord)]
    assert event_at(0) in found
