"""What the supervisor writes down: facts in both places, decisions synced before they are acted on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from baseline_metrics.clock import FakeClock
from campaign.events import EndLoad, StopRequested
from campaign.ledger import Ledger
from campaign.night import State
from campaign.run_directory import RunDirectory, create_run_directory
from campaign.status_board import StatusBoard
from monitoring_logs.journal import Journal
from monitoring_logs.reader import RunReader
from monitoring_logs.recorder import Recorder
from monitoring_logs.records import SegmentKind
from monitoring_logs.run_files import files_of
from tests.support.orders import campaign_order, night_order
from tests.support.sample_records import drill_fact, load_second_at

STOP = StopRequested(at_mono_s=1007.0, detail="SIGTERM")


class Books:
    """A ledger with its real journal and database, in a directory of the test."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock(mono_s=1000.0, utc_s=2_000_000.0)
        order = campaign_order(directory)
        self.run: RunDirectory = create_run_directory(order, plan_yaml="")
        files = files_of(str(self.run.path))
        self.journal_path = Path(files.journal)
        self.journal = Journal(files.journal, clock=self.clock, boot_id="b00t", fallback_path=f"{files.journal}.spare")
        self.recorder = Recorder(
            files.database, spill_path=str(directory / "spill"), clock=self.clock, ballast_bytes=4096
        )
        board = StatusBoard(order, run_dir=self.run.path, path=directory / "status.json", clock=self.clock)
        self.ledger = Ledger(self.run, journal=self.journal, recorder=self.recorder, board=board, clock=self.clock)
        self.board = board
        self.ledger.open(night_order())


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """A ledger."""
    found = Books(tmp_path)
    yield found
    if not found.ledger._closed:
        found.ledger.close_recorder(pump=lambda: None)
    found.ledger.close()


def test_the_journal_begins_with_the_order(books: Books) -> None:
    """What was intended stands before anything that happened."""
    assert "NightOrder" in books.journal_path.read_text()


def test_a_decision_is_on_the_disk_before_it_is_acted_on(books: Books) -> None:
    """The event with the states around it, then each command, in the file when decision returns."""
    before = len(books.journal_path.read_bytes().splitlines())
    books.ledger.decision(STOP, state="HOLDING", following="STOPPING", commands=(EndLoad(reason="stopped"),))
    lines = books.journal_path.read_text().splitlines()[before:]
    assert len(lines) == 2
    assert all(word in lines[0] for word in ("StopRequested", "SIGTERM", "HOLDING", "STOPPING"))
    assert all(word in lines[1] for word in ("EndLoad", "stopped"))


def test_a_fact_is_in_the_journal_and_in_the_database(books: Books) -> None:
    """Either is enough for a report."""
    books.ledger.start_recorder()
    books.ledger.fact(drill_fact())
    books.ledger.put(load_second_at(0))
    report = books.ledger.close_recorder(pump=lambda: None)
    assert report.integrity == "ok"
    assert "DrillFact" in books.journal_path.read_text()
    assert "LoadSecond" not in books.journal_path.read_text()
    reader = RunReader(books.run.path)
    assert drill_fact() in reader.drill_facts()
    assert reader.load_seconds(load_second_at(0).segment) == (load_second_at(0),)
    reader.close()


def test_nothing_is_put_after_the_record_was_closed(books: Books) -> None:
    """A late measurement does no harm, and the closed record is no fault."""
    books.ledger.start_recorder()
    books.ledger.close_recorder(pump=lambda: None)
    books.ledger.put(load_second_at(1))
    assert books.ledger.fault == ""


def test_segments_are_numbered_from_zero(books: Books) -> None:
    """Each measured stretch has its own number, and its beginning is a fact."""
    assert [books.ledger.next_segment() for _ in range(3)] == [0, 1, 2]
    books.ledger.open_segment(0, SegmentKind.ANCHOR, "anchor before warmup", start_mono_s=1000.5)
    assert "anchor before warmup" in books.journal_path.read_text()


def test_wall_times_follow_the_monotonic_clock_whatever_the_wall_clock_does(books: Books) -> None:
    """A step of the wall clock in the night does not disorder its record."""
    assert books.ledger.utc_s(1010.0) == 2_000_010.0
    books.clock._utc_s += 3600.0
    assert books.ledger.utc_s(1010.0) == 2_000_010.0


def test_notes_reach_the_screens(books: Books) -> None:
    """The machine's words as they are, everybody else's with their name before them."""
    books.ledger.note("guardian", "lost", "pipe closed")
    books.ledger.state(State.HOLDING, State.STOPPING, because=STOP, text="stopping: SIGTERM")
    assert [event.text for event in books.board._events] == ["guardian: pipe closed", "stopping: SIGTERM"]


def test_the_component_logs_keep_the_names_that_people_know(books: Books) -> None:
    """One file per component from the beginning."""
    books.ledger.checkpoint()
    for name in ("autonomous_test_runner", "system_guardian", "resource_monitor", "concurrent_load_test"):
        assert len(list(books.run.logs.glob(f"{name}_*.log"))) == 1


def test_wall_times_follow_a_sleep_and_no_set_clock(books: Books) -> None:
    """After an hour asleep the times of events are those on the wall; a clock that somebody sets disorders nothing."""
    before = books.ledger.utc_s(books.clock.mono_s())
    books.clock.suspend(3600.0)
    books.ledger.note_sleep(3600.0)
    assert books.ledger.utc_s(books.clock.mono_s()) == before + 3600.0 == books.clock.utc_s()
    books.clock.set_wall(-1800.0)
    assert books.ledger.utc_s(books.clock.mono_s()) == before + 3600.0
