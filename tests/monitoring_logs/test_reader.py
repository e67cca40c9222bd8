"""Reading a run again: all sources merged, the journal first, and never an exception for bad files."""

import json
import os
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from baseline_metrics.clock import FakeClock
from baseline_metrics.codec import to_json_value
from monitoring_logs.journal import Journal, JournalKind
from monitoring_logs.reader import Instant, Missing, RunReader
from monitoring_logs.recorder import Recorder
from monitoring_logs.records import (
    AnchorRecord,
    BaselineRecord,
    CampaignEnd,
    ErrorGroup,
    EventRecord,
    GuardianEvent,
    HostFacts,
    LoadMinute,
    NightOrder,
    PhaseRecord,
)
from monitoring_logs.rows import Record, rows_of
from monitoring_logs.run_files import files_of
from monitoring_logs.spill import Spill
from monitoring_logs.store import SqliteStore
from safety_monitoring.limits import Rung
from safety_monitoring.messages import DrillPath, LadderMoved, LoadEnded, StopCause
from tests.support.sample_records import (
    START_MONO_S,
    START_UTC_S,
    campaign_end,
    drill_fact,
    event_at,
    host_facts,
    host_sample_at,
    load_second_at,
    night_meta,
    night_order,
    number_of,
    one_of_each,
    phase_record,
    search_record,
    search_step,
    segment_record,
)

WAIT_S = 60.0


class Run:
    """A run directory that is written piece by piece."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "run"
        self.files = files_of(str(self.path))
        Path(self.files.record_directory).mkdir(parents=True)

    def write_database(self, records: Sequence[Record]) -> None:
        """Leave an ordinary, closed database."""
        store = SqliteStore(self.files.database)
        store.write([row for record in records for row in rows_of(record)])
        store.conclude()

    def write_spill(self, records: Sequence[Record]) -> None:
        """Leave a spill file."""
        spill = Spill(self.files.spill)
        for sequence, record in enumerate(records, start=1):
            spill.append(number_of(sequence), record)
        spill.close()

    def journal(self) -> Journal:
        """Open the journal's writer."""
        return Journal(self.files.journal, clock=FakeClock(), boot_id="b00t", fallback_path=self.files.journal_fallback)

    def write_guardian(self, *messages: LadderMoved | LoadEnded) -> None:
        """Leave a guardian's journal with these messages."""
        lines = [
            json.dumps({"at_mono_s": 1.0, "at_utc_s": START_UTC_S, "name": "report", "body": to_json_value(message)})
            for message in messages
        ]
        Path(self.files.guardian_journal).write_text("".join(line + "\n" for line in lines), encoding="utf-8")

    def reader(self) -> RunReader:
        """Read what is there now."""
        return RunReader(self.path)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Make an empty run directory."""
    return Run(tmp_path)


def pick(record_type: type) -> object:
    """The one of each of that type."""
    return next(record for record in one_of_each() if type(record) is record_type)


def everything(reader: RunReader) -> list[object]:
    """Every question that a reader answers."""
    return [
        reader.meta(),
        reader.order(),
        reader.host(),
        reader.journal(),
        reader.phase_records(),
        reader.anchor_records(),
        reader.baseline(),
        reader.segments(),
        reader.drill_facts(),
        reader.search_steps(3),
        reader.search_records(),
        reader.end(),
        reader.load_seconds(1),
        reader.load_minutes(1),
        reader.error_groups(1),
        reader.host_samples(),
        reader.host_samples_of(["cpu_percent"]),
        reader.events(),
        reader.guardian_events(),
        reader.load_ends(),
        reader.last_instant(),
    ]


@pytest.mark.parametrize("source", ["database", "spill"])
def test_every_record_is_found_again_from_either_source(run: Run, source: str) -> None:
    """What the database took and what it did not take read the same."""
    if source == "database":
        run.write_database(one_of_each())
    else:
        run.write_spill(one_of_each())
    reader = run.reader()
    assert reader.phase_records() == (phase_record(),)
    assert reader.anchor_records() == (pick(AnchorRecord),)
    assert reader.baseline() == pick(BaselineRecord)
    assert reader.segments() == (segment_record(),)
    assert reader.drill_facts() == (drill_fact(),)
    assert reader.end() == campaign_end()
    assert reader.order() == night_order()
    assert reader.host() == host_facts()
    assert reader.load_seconds(1) == (load_second_at(0),)
    assert reader.load_minutes(1) == (pick(LoadMinute),)
    assert reader.error_groups(1) == (pick(ErrorGroup),)
    assert reader.host_samples() == (host_sample_at(0),)
    assert reader.events() == (event_at(0),)
    assert reader.guardian_events() == (pick(GuardianEvent),)
    assert reader.load_seconds(2) == ()
    reader.close()


def test_a_record_in_both_sources_is_there_once(run: Run) -> None:
    """A batch that was committed and spilled again, as after a lost acknowledgement, counts once."""
    seconds = [load_second_at(second) for second in range(10)]
    samples = [host_sample_at(second) for second in range(10)]
    run.write_database([*seconds[:7], *samples[:7]])
    run.write_spill([*reversed(seconds[4:]), *reversed(samples[4:])])
    reader = run.reader()
    assert reader.load_seconds(1) == tuple(seconds)
    assert reader.host_samples() == tuple(samples)
    reader.close()


def test_the_journal_wins_over_the_database(run: Run) -> None:
    """Where both have a record of the same phase, the journal's is the truth; the others come from the database."""
    run.write_database([phase_record(0, reason="from the database"), phase_record(1), campaign_end()])
    journal = run.journal()
    journal.append_order(night_order())
    journal.append_fact(phase_record(0, reason="from the journal"))
    journal.append_fact(drill_fact())
    journal.append_fact(drill_fact(DrillPath.LEASE_EXPIRY, seconds=0.9))
    journal.close()
    reader = run.reader()
    assert [record.reason for record in reader.phase_records()] == ["from the journal", "all criteria were met"]
    assert [fact.path for fact in reader.drill_facts()] == [DrillPath.STOP_FILE, DrillPath.LEASE_EXPIRY]
    assert reader.end() == campaign_end()
    assert reader.order() == night_order()
    reader.close()


def test_meta_and_what_it_stands_in_for(run: Run) -> None:
    """meta.json is read strictly; without journal and database it also tells order and host."""
    Path(run.files.meta).write_text(json.dumps(to_json_value(night_meta())), encoding="utf-8")
    reader = run.reader()
    assert reader.meta() == night_meta()
    assert reader.order() == night_order()
    assert reader.host() == host_facts()
    reader.close()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a run's meta.json"),
        (b"[]", "schema version None"),
        (b'{"schema_version": 99}', "schema version 99"),
        (b'{"schema_version": 1}', "not a run's meta.json"),
        (b"[" * 200_000, "not a run's meta.json"),
        (b"\xff\xfe\x00", "not a run's meta.json"),
        (b" " * (5 << 20), "more than"),
    ],
)
def test_a_bad_meta_is_missing_with_its_reason(run: Run, content: bytes, reason: str) -> None:
    """Whatever stands in meta.json, the answer is a reason and not an exception."""
    Path(run.files.meta).write_bytes(content)
    reader = run.reader()
    meta = reader.meta()
    assert isinstance(meta, Missing)
    assert reason in meta.reason
    assert meta.reason in reader.problems()
    reader.close()


def test_an_empty_run_answers_everything(run: Run) -> None:
    """Nothing was written: every answer is empty or missing, and the problems name database and journal."""
    reader = run.reader()
    for answer in everything(reader):
        assert answer == () or isinstance(answer, Missing)
    text = " ".join(reader.problems())
    assert "there is no database" in text
    assert "journal.jsonl cannot be read" in text
    reader.close()


def test_a_damaged_database_leaves_what_the_journal_has(run: Run) -> None:
    """The facts survive, the measurements are missing with a reason, nothing raises."""
    journal = run.journal()
    journal.append_fact(phase_record())
    journal.append_fact(campaign_end())
    journal.close()
    run.write_guardian(LadderMoved(rung=Rung.EASE, share=0.5, why="memory", at_mono_s=7.0))
    Path(run.files.database).write_bytes(os.urandom(100_000))
    reader = run.reader()
    everything(reader)
    assert reader.phase_records() == (phase_record(),)
    assert reader.end() == campaign_end()
    assert reader.guardian_events()[0].share == 0.5
    assert reader.load_seconds(1) == ()
    assert any("campaign.db cannot be read" in problem for problem in reader.problems())
    reader.close()


@pytest.mark.parametrize("seed", range(20))
def test_any_damage_in_the_middle_raises_nothing(run: Run, seed: int) -> None:
    """Pages overwritten anywhere behind the header give fewer records and a reason, never an exception."""
    run.write_database([*one_of_each(), *(load_second_at(second) for second in range(1, 400))])
    path = Path(run.files.database)
    content = bytearray(path.read_bytes())
    start = 100 + (seed * 7919) % (len(content) - 600)
    content[start : start + 500] = bytes((seed * 37 + index) % 256 for index in range(500))
    path.write_bytes(bytes(content))
    reader = run.reader()
    everything(reader)
    assert len(reader.load_seconds(1)) <= 400
    reader.close()


def test_a_database_of_a_later_version_is_not_guessed_at(run: Run) -> None:
    """The answer is empty and the problem names both versions."""
    run.write_database([load_second_at(0)])
    connection = sqlite3.connect(run.files.database)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    reader = run.reader()
    assert reader.load_seconds(1) == ()
    assert "schema version 99, this program reads versions 1 and 2" in reader.problems()[0]
    reader.close()


def test_a_row_that_does_not_fit_is_left_out_and_named(run: Run) -> None:
    """One body that somebody edited does not hide the others."""
    run.write_database([phase_record(0), phase_record(1), host_sample_at(0), host_sample_at(1)])
    connection = sqlite3.connect(run.files.database)
    connection.execute("UPDATE phase_records SET body='{}' WHERE phase=0")
    connection.execute("UPDATE host_samples SET readings='[]' WHERE sequence=1")
    connection.commit()
    connection.close()
    reader = run.reader()
    assert reader.phase_records() == (phase_record(1),)
    assert reader.host_samples() == (host_sample_at(1),)
    assert sum("a row cannot be read" in problem for problem in reader.problems()) == 2
    reader.close()


def test_a_torn_and_damaged_journal_is_read_around(run: Run) -> None:
    """Good entries count, bad lines and the torn end are named."""
    journal = run.journal()
    for index in range(3):
        journal.append_fact(phase_record(index))
    journal.close()
    path = Path(run.files.journal)
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second.replace(b"COMPLETED", b"completed") + third[:-20])
    reader = run.reader()
    assert [record.index for record in reader.phase_records()] == [0]
    assert any("1 lines cannot be trusted" in problem for problem in reader.problems())
    assert any("last line was not written completely" in problem for problem in reader.problems())
    reader.close()


def test_a_fact_of_another_version_is_named(run: Run) -> None:
    """An entry whose body is not the record it claims to be is a problem, not a crash."""
    journal = run.journal()
    journal.append(JournalKind.FACT, "PhaseRecord", {"type": "PhaseRecord"})
    journal.append(JournalKind.ORDER, "NightOrder", {})
    journal.close()
    reader = run.reader()
    assert reader.phase_records() == ()
    assert isinstance(reader.order(), Missing)
    assert any("entry 1" in problem for problem in reader.problems())
    reader.close()


def test_the_fallback_continues_the_journal(run: Run) -> None:
    """Entries of both files are one sequence."""
    first = Journal(run.files.journal, clock=FakeClock(), boot_id="b", fallback_path=run.files.journal_fallback)
    first.append(JournalKind.EVENT, "one", {})
    first.close()
    beside = Journal(run.files.journal_fallback, clock=FakeClock(), boot_id="b", fallback_path=run.files.journal)
    beside.append(JournalKind.EVENT, "two", {})
    beside.close()
    reader = run.reader()
    assert [entry.name for entry in reader.journal()] == ["one", "two"]
    reader.close()


def test_moves_of_the_guardian_are_counted_once(run: Run) -> None:
    """What the supervisor repeated within 2 s is one move; what only one of them wrote is there; load ends come along."""
    moved = LadderMoved(rung=Rung.EASE, share=0.5, why="memory 81 %", at_mono_s=10.0)
    ended = LoadEnded(
        cause=StopCause.SUPERVISOR_GONE, detail="", workers=(1,), seen_mono_s=20.0, seconds=0.04, survivors=()
    )
    run.write_guardian(moved, ended)
    told = [
        GuardianEvent(at_mono_s=at, at_utc_s=START_UTC_S, rung=Rung.EASE, share=0.5, why="memory 81 %")
        for at in (12.0, 12.1)
    ]
    run.write_database(told)
    reader = run.reader()
    assert [event.at_mono_s for event in reader.guardian_events()] == [10.0, 12.1]
    assert reader.load_ends() == (ended,)
    reader.close()


def test_a_guardian_journal_with_garbage_is_read_around(run: Run) -> None:
    """Lines that are no messages are counted; other messages are no problem."""
    run.write_guardian(LadderMoved(rung=Rung.PAUSE, share=0.0, why="cpu", at_mono_s=3.0))
    with Path(run.files.guardian_journal).open("ab") as file:
        file.write(b'garbage\n{"body": 5}\n[]\n{"at_utc_s": 1, "body": {"type": "LadderMoved"}}\n')
    reader = run.reader()
    assert [event.rung for event in reader.guardian_events()] == [Rung.PAUSE]
    assert any("cannot be understood" in problem for problem in reader.problems())
    reader.close()


def test_the_last_sign_of_life_is_the_newest_of_all_sources(run: Run) -> None:
    """For a night whose end nobody wrote."""
    run.write_database([event_at(3), host_sample_at(5)])
    reader = run.reader()
    assert reader.last_instant() == Instant(at_mono_s=START_MONO_S + 5, at_utc_s=START_UTC_S + 5)
    reader.close()
    run.write_spill([load_second_at(9)])
    again = run.reader()
    assert again.last_instant() == Instant(at_mono_s=START_MONO_S + 9, at_utc_s=START_UTC_S + 9)
    again.close()


def test_a_span_of_host_samples_has_its_beginning_and_not_its_end(run: Run) -> None:
    """A span is from <= time < to, also for what was spilled."""
    run.write_database([host_sample_at(second) for second in range(0, 10, 2)])
    run.write_spill([host_sample_at(second) for second in range(1, 10, 2)])
    reader = run.reader()
    samples = reader.host_samples(START_MONO_S + 2, START_MONO_S + 5)
    assert [sample.at_mono_s - START_MONO_S for sample in samples] == [2.0, 3.0, 4.0]
    chosen = reader.host_samples_of(["memory_percent"], START_MONO_S + 2, START_MONO_S + 4)
    assert [[named.sensor for named in sample.readings] for sample in chosen] == [["memory_percent"]] * 2
    reader.close()


def test_many_host_samples_come_in_chunks_without_a_gap(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chunks' seams lose and repeat nothing: just below, at and above a multiple of the chunk."""
    monkeypatch.setattr("monitoring_logs.database_reader.CHUNK_ROWS", 10)
    run.write_database([host_sample_at(second) for second in range(31)])
    reader = run.reader()
    for count in (9, 10, 11, 20, 30, 31):
        samples = reader.host_samples(to_mono_s=START_MONO_S + count)
        assert [sample.at_mono_s - START_MONO_S for sample in samples] == list(range(count))
    reader.close()


def test_reading_while_the_recorder_writes_disturbs_neither(run: Run) -> None:
    """Readers see only whole batches in order, and the recorder commits everything."""
    recorder = Recorder(run.files.database, spill_path=run.files.spill, clock=FakeClock(), ballast_bytes=0)
    recorder.start()
    counts: list[int] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            reader = run.reader()
            seconds = reader.load_seconds(1)
            assert [one.second for one in seconds] == list(range(len(seconds)))
            counts.append(len(seconds))
            reader.close()

    thread = threading.Thread(target=read)
    thread.start()
    for second in range(600):
        recorder.put(load_second_at(second))
        if second % 20 == 0:
            assert recorder.flush(WAIT_S)
    assert recorder.flush(WAIT_S)
    stop.set()
    thread.join(WAIT_S)
    report = recorder.close(WAIT_S)
    assert (report.integrity, report.stats.committed, report.stats.spilled) == ("ok", 601, 0)
    assert counts == sorted(counts)
    reader = run.reader()
    assert len(reader.load_seconds(1)) == 600
    reader.close()


def test_a_reader_changes_nothing(run: Run) -> None:
    """After every question the database has the same bytes, and nothing new lies beside it."""
    run.write_database(one_of_each())
    before = {path.name: path.read_bytes() for path in Path(run.files.record_directory).iterdir()}
    reader = run.reader()
    everything(reader)
    reader.close()
    assert {path.name: path.read_bytes() for path in Path(run.files.record_directory).iterdir()} == before


def test_problems_are_bounded_and_each_is_told_once(run: Run) -> None:
    """A spill file of garbage does not make a list of garbage."""
    Path(run.files.spill).write_bytes(b"garbage\n" * 1000)
    reader = run.reader()
    reader.events()
    reader.events()
    assert len(reader.problems()) == 100
    reader.close()


def test_types_are_what_the_questions_promise(run: Run) -> None:
    """One of each comes back under its own type from a database that was written by the recorder."""
    recorder = Recorder(run.files.database, spill_path=run.files.spill, clock=FakeClock(), ballast_bytes=0)
    recorder.start()
    for record in one_of_each():
        recorder.put(record)
    recorder.close(WAIT_S)
    reader = run.reader()
    assert isinstance(reader.order(), NightOrder)
    assert isinstance(reader.host(), HostFacts)
    assert isinstance(reader.baseline(), BaselineRecord)
    assert isinstance(reader.end(), CampaignEnd)
    assert isinstance(reader.phase_records()[0], PhaseRecord)
    assert isinstance(reader.events()[0], EventRecord)
    assert isinstance(reader.meta(), Missing)
    reader.close()


def test_a_search_is_read_by_segment_and_in_order(run: Run) -> None:
    """Steps of another search are left out; the same step in journal, database and spill file counts once."""
    steps = [search_step(step) for step in (2, 0, 1)]
    journal = run.journal()
    journal.append_fact(steps[0])
    journal.close()
    run.write_database([*steps[:2], search_step(0, segment=9), search_record(1)])
    run.write_spill([steps[2], steps[1], search_record(0)])
    reader = run.reader()
    assert reader.search_steps(3) == (search_step(0), search_step(1), search_step(2))
    assert reader.search_steps(9) == (search_step(0, segment=9),)
    assert reader.search_steps(4) == ()
    assert reader.search_records() == (search_record(0), search_record(1))
    reader.close()
