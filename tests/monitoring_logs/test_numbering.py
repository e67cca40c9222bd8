"""Numbers of records: what is stored counts once, what is missing is named, over any number of lives."""

import sqlite3
from pathlib import Path

import pytest

from baseline_metrics.clock import FakeClock
from baseline_metrics.codec import to_json_value
from monitoring_logs.checked_lines import encode_line
from monitoring_logs.numbering import (
    NO_LIFE,
    LifeMissing,
    NumberRange,
    Producer,
    RecordHole,
    holes_in,
    ranges_of,
)
from monitoring_logs.reader import RunReader
from monitoring_logs.recorder import Recorder
from monitoring_logs.rows import rows_of
from monitoring_logs.run_files import RunFiles, files_of
from monitoring_logs.spill import Spill
from monitoring_logs.store import SqliteStore
from tests.support.sample_records import event_at, number_of, recorder_facts

WAIT_S = 60.0
"""A hang limit; nothing here takes a second."""


def stretch(first: int, last: int, *, life: int = 1, producer: Producer = Producer.SUPERVISOR) -> NumberRange:
    """Numbers without a gap."""
    return NumberRange(life=life, producer=producer, first=first, last=last)


def hole(first: int, last: int, *, life: int = 1, producer: Producer = Producer.SUPERVISOR) -> RecordHole:
    """Numbers that are missing."""
    return RecordHole(life=life, producer=producer, first=first, last=last)


@pytest.mark.parametrize(
    ("ranges", "missing"),
    [
        ((), ()),
        ((stretch(1, 9),), ()),
        ((stretch(2, 9),), (hole(1, 1),)),
        ((stretch(1, 4), stretch(5, 9)), ()),
        ((stretch(1, 4), stretch(6, 9)), (hole(5, 5),)),
        ((stretch(6, 9), stretch(1, 3)), (hole(4, 5),)),
        ((stretch(1, 9), stretch(3, 4), stretch(2, 9)), ()),  # in the database and spilled as well
        ((stretch(1, 9), stretch(3, 4), stretch(11, 11)), (hole(10, 10),)),
        ((stretch(3, 4, life=NO_LIFE),), ()),
        (
            (stretch(2, 2), stretch(2, 3, producer=Producer.RECORDER), stretch(2, 2, life=2)),
            (hole(1, 1, producer=Producer.RECORDER), hole(1, 1), hole(1, 1, life=2)),
        ),
    ],
)
def test_what_is_not_between_the_first_and_the_last_number_is_a_hole(
    ranges: tuple[NumberRange, ...], missing: tuple[RecordHole, ...]
) -> None:
    """By producer and life, whatever the order and however often a number is there."""
    assert holes_in(ranges) == missing


@pytest.mark.parametrize(("end", "missing"), [(8, ()), (9, ()), (10, (hole(10, 10),)), (12, (hole(10, 12),))])
def test_a_known_last_number_shows_what_is_missing_behind(end: int, missing: tuple[RecordHole, ...]) -> None:
    """Just below, at and above what is there."""
    assert holes_in([stretch(1, 9)], ends=[number_of(end)]) == missing


def test_a_life_of_which_nothing_is_left_is_missing() -> None:
    """A life without any record is no hole when the database knows that it was; one that nobody knows is missing."""
    assert holes_in([stretch(1, 2, life=4)], lives=[2]) == (LifeMissing(life=1), LifeMissing(life=3))


def test_single_numbers_are_ranges_of_one() -> None:
    """And join with their neighbours."""
    assert holes_in(ranges_of([number_of(3), number_of(1), number_of(3), number_of(5)])) == (hole(2, 2), hole(4, 4))


# On disk --------------------------------------------------------------------------------------------------------------


def files_in(directory: Path) -> RunFiles:
    """A run directory."""
    files = files_of(str(directory))
    Path(files.record_directory).mkdir()
    return files


def recorded(files: RunFiles, *, first: int, records: int, life_min: int = 1) -> int:
    """One life that records some events; its number."""
    clock = FakeClock()
    recorder = Recorder(files.database, spill_path=files.spill, clock=clock, ballast_bytes=0, life_min=life_min)
    recorder.start()
    for number in range(first, first + records):
        recorder.put(event_at(number, str(number)))
    assert recorder.flush(WAIT_S)
    assert recorder.close(WAIT_S).integrity == "ok"
    return recorder.life


def test_numbers_go_on_over_lives(tmp_path: Path) -> None:
    """Each start is a life of its own, with its own numbers; three of them are whole."""
    files = files_in(tmp_path)
    lives = [recorded(files, first=10 * life, records=7) for life in range(3)]
    reader = RunReader(tmp_path)
    assert lives == [1, 2, 3]
    assert reader.record_holes() == ()
    assert [(facts.life, facts.records_put) for facts in reader.recorder_facts()] == [(1, 7), (2, 7), (3, 7)]
    assert reader.problems() == ()
    reader.close()


def test_a_life_has_at_least_the_number_that_its_owner_knows(tmp_path: Path) -> None:
    """The journal may know of lives of which the database does not: those are missing, and said to be."""
    files = files_in(tmp_path)
    assert recorded(files, first=0, records=1, life_min=3) == 3
    assert recorded(files, first=1, records=1, life_min=2) == 4
    reader = RunReader(tmp_path)
    assert reader.record_holes() == (LifeMissing(life=1), LifeMissing(life=2))
    reader.close()


def test_a_database_that_was_set_aside_leaves_its_life_missing(tmp_path: Path) -> None:
    """The new database knows by the damaged one beside it that it is not the first."""
    files = files_in(tmp_path)
    recorded(files, first=0, records=50)
    content = Path(files.database).read_bytes()
    Path(files.database).write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    assert recorded(files, first=50, records=5) == 2
    assert Path(files.database + ".damaged-1").is_file()
    reader = RunReader(tmp_path)
    assert reader.record_holes() == (LifeMissing(life=1),)
    reader.close()


def test_a_record_in_spill_and_database_counts_once(tmp_path: Path) -> None:
    """A commit that failed after it had reached the disk is spilled too: one record, one number, no hole."""
    files = files_in(tmp_path)
    recorded(files, first=0, records=4)
    spill = Spill(files.spill)
    for sequence in (3, 4, 5):
        spill.append(number_of(sequence), event_at(sequence - 1, str(sequence - 1)))
    spill.close()
    reader = RunReader(tmp_path)
    assert [event.text for event in reader.events() if event.kind == "machine"] == ["0", "1", "2", "3", "4"]
    assert reader.record_holes() == ()
    reader.close()


def test_what_neither_took_is_named(tmp_path: Path) -> None:
    """Rows that vanished from the middle, and from the end of a life that closed in order."""
    files = files_in(tmp_path)
    recorded(files, first=0, records=10)
    with sqlite3.connect(files.database) as connection:
        connection.execute("DELETE FROM record_numbers WHERE producer='supervisor' AND sequence IN (4, 5, 9, 10)")
    connection.close()
    reader = RunReader(tmp_path)
    assert reader.record_holes() == (hole(4, 5), hole(9, 10))
    reader.close()


def test_a_number_is_stored_in_the_transaction_of_its_record(tmp_path: Path) -> None:
    """Written again, neither the record nor its number is there twice."""
    store = SqliteStore(str(tmp_path / "campaign.db"))
    for expected in (1, 0):
        assert store.write(rows_of(event_at(0)), [number_of(1)]).new == expected
    store.conclude()
    with sqlite3.connect(tmp_path / "campaign.db") as connection:
        assert connection.execute("SELECT * FROM record_numbers").fetchall() == [(1, "supervisor", 1)]
    connection.close()


def test_a_spill_line_of_version_1_is_read_and_makes_no_hole(tmp_path: Path) -> None:
    """It carried a number without a life: of such, nobody knows what should be there."""
    files = files_in(tmp_path)
    recorded(files, first=0, records=1)
    line = encode_line({"sequence": 812, "record": to_json_value(event_at(7, "late"))})
    Path(files.spill).write_bytes(line)
    reader = RunReader(tmp_path)
    assert "late" in [event.text for event in reader.events()]
    assert reader.record_holes() == ()
    reader.close()


def test_the_recorders_last_fact_is_found_when_it_was_spilled(tmp_path: Path) -> None:
    """A life that could not write into its database any more tells its end all the same."""
    files = files_in(tmp_path)
    spill = Spill(files.spill)
    spill.append(number_of(1, producer=Producer.RECORDER), recorder_facts(life=1, records_put=2))
    spill.append(number_of(1), event_at(0))
    spill.close()
    reader = RunReader(tmp_path)
    assert reader.recorder_facts() == (recorder_facts(life=1, records_put=2),)
    assert reader.record_holes() == (hole(2, 2),)
    reader.close()
