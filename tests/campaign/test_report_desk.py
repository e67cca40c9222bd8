"""The reporter's processes: one more try after a failure, a bound on time, and partial reports that nobody waits for."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from baseline_metrics.clock import FakeClock
from campaign import report_desk
from campaign.processes import Marks
from campaign.report_desk import REPORT_S_MAX, NotWritten, ReportDesk, StillWriting, Written

MARKS = Marks(run_id="test", runs_dir="/srv/runs", state_dir="/srv/state")


class FakeReporter:
    """A process that ends when it is told to, or when it is killed."""

    def __init__(self, *, partial: bool, strict: bool) -> None:
        self.partial = partial
        self.strict = strict
        self.code: int | None = None
        self.waited = False

    def poll(self) -> int | None:
        """The exit code, once it has ended."""
        return self.code

    def kill(self) -> None:
        """SIGKILL."""
        self.code = -9

    def wait(self, timeout: float) -> int:
        """Reap it."""
        assert self.code is not None, f"would wait {timeout} s"
        self.waited = True
        return self.code


class Office:
    """A desk, its clock, and the reporters that it started."""

    def __init__(self, run_dir: Path, *, strict: bool) -> None:
        self.reporters: list[FakeReporter] = []
        self.refuse = 0
        self.clock = FakeClock()
        self.desk = ReportDesk(
            run_dir, marks=MARKS, output=run_dir / "supervisor_output.log", strict=strict, clock=self.clock
        )

    def spawn(self, run_dir: Path, *, marks: Marks, output: Path, partial: bool, strict: bool) -> FakeReporter:
        """Stand in for spawn_reporter."""
        assert marks == MARKS
        assert output.parent == run_dir
        if self.refuse:
            self.refuse -= 1
            raise OSError("no more processes")
        self.reporters.append(FakeReporter(partial=partial, strict=strict))
        return self.reporters[-1]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """A desk whose reporters are fakes."""
    found = Office(tmp_path, strict=True)
    monkeypatch.setattr(report_desk, "spawn_reporter", found.spawn)
    yield found
    assert all(reporter.code is not None or reporter.partial for reporter in found.reporters)


def test_nothing_was_asked_for(office: Office) -> None:
    """No reporter, nothing to tell."""
    assert office.desk.poll() == StillWriting()
    assert office.reporters == []


def test_a_report_that_succeeds_is_told_once(office: Office) -> None:
    """While it runs the desk is still writing; its success is told once."""
    office.desk.final()
    assert office.desk.poll() == StillWriting()
    (reporter,) = office.reporters
    assert (reporter.partial, reporter.strict) == (False, True)
    reporter.code = 0
    assert office.desk.poll() == Written()
    assert office.desk.poll() == StillWriting()


def test_a_report_that_failed_once_is_tried_once_more(office: Office) -> None:
    """The second try decides."""
    office.desk.final()
    office.reporters[0].code = 1
    assert office.desk.poll() == StillWriting()
    assert len(office.reporters) == 2
    office.reporters[1].code = 0
    assert office.desk.poll() == Written()


def test_a_report_that_failed_twice_is_not_written(office: Office) -> None:
    """No third try; the reason names exit code and log."""
    office.desk.final()
    office.reporters[0].code = 1
    office.desk.poll()
    office.reporters[1].code = 70
    told = office.desk.poll()
    assert isinstance(told, NotWritten)
    assert "ended with 70" in told.detail
    assert "supervisor_output.log" in told.detail
    assert len(office.reporters) == 2
    assert office.desk.poll() == StillWriting()


@pytest.mark.parametrize(("waited_s", "killed"), [(REPORT_S_MAX, False), (REPORT_S_MAX + 0.001, True)])
def test_a_report_that_hangs_is_killed_beyond_its_time(office: Office, waited_s: float, killed: bool) -> None:  # noqa: FBT001 - a row
    """At the limit it may go on, beyond it it is killed, reaped and tried again with a time of its own."""
    office.desk.final()
    office.clock.advance(waited_s)
    assert office.desk.poll() == StillWriting()
    first = office.reporters[0]
    assert (first.code == -9) is killed
    assert first.waited is killed
    assert len(office.reporters) == (2 if killed else 1)
    office.clock.advance(REPORT_S_MAX - 1.0 if killed else 0.0)
    office.desk.poll()
    office.reporters[-1].code = 0
    assert office.desk.poll() == Written()


def test_two_reports_that_hang_are_not_written(office: Office) -> None:
    """The desk's whole time is bounded by its tries."""
    office.desk.final()
    for _ in range(2):
        office.clock.advance(REPORT_S_MAX + 1.0)
        told = office.desk.poll()
    assert isinstance(told, NotWritten)
    assert "-9" in told.detail


def test_a_reporter_that_cannot_be_started_is_tried_once_more(office: Office) -> None:
    """No more processes is a failure like any other."""
    office.refuse = 1
    office.desk.final()
    assert office.desk.poll() == StillWriting()
    office.reporters[0].code = 0
    assert office.desk.poll() == Written()


def test_a_reporter_that_can_never_be_started_is_not_written(office: Office) -> None:
    """The reason says that it could not be started."""
    office.refuse = 2
    office.desk.final()
    assert office.desk.poll() == StillWriting()
    told = office.desk.poll()
    assert isinstance(told, NotWritten)
    assert "could not be started" in told.detail


def test_partial_reports_are_written_one_at_a_time(office: Office) -> None:
    """A second one is not begun while the first is being written; nobody waits for either."""
    office.desk.partial()
    office.desk.partial()
    assert [reporter.partial for reporter in office.reporters] == [True]
    assert office.desk.poll() == StillWriting()
    office.reporters[0].code = 1
    office.desk.poll()
    office.desk.partial()
    assert len(office.reporters) == 2


def test_a_partial_report_that_cannot_be_started_does_no_harm(office: Office) -> None:
    """The next one will do."""
    office.refuse = 1
    office.desk.partial()
    office.desk.partial()
    assert len(office.reporters) == 1


def test_no_partial_report_is_begun_after_the_final_one(office: Office) -> None:
    """It would overwrite the last word."""
    office.desk.final()
    office.desk.partial()
    assert [reporter.partial for reporter in office.reporters] == [False]
    office.reporters[0].code = 0
    office.desk.poll()
    office.desk.partial()
    assert len(office.reporters) == 1


def test_a_partial_report_can_be_ended(office: Office) -> None:
    """Killed and reaped; ending none does no harm."""
    office.desk.end_partial()
    office.desk.partial()
    office.desk.end_partial()
    assert office.reporters[0].code == -9
    assert office.reporters[0].waited


@pytest.mark.process
def test_a_real_reporter_that_fails_is_tried_twice(tmp_path: Path) -> None:
    """A run directory without a record: the real reporter ends with an error, twice, within a hang limit."""
    clock = FakeClock()
    desk = ReportDesk(tmp_path / "none", marks=MARKS, output=tmp_path / "output.log", strict=False, clock=clock)
    desk.final()
    for _ in range(2):
        final = desk._final
        assert isinstance(final, subprocess.Popen)
        assert final.wait(60.0) != 0
        told = desk.poll()
    assert isinstance(told, NotWritten)
