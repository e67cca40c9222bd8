"""What the screens are told: composed from the night as it stands, written twice a second, never in the night's way."""

import math
from pathlib import Path
from typing import Any

import pytest

from baseline_metrics.clock import FakeClock
from baseline_metrics.health import KnownScore, UnknownScore
from baseline_metrics.samples import Gap, GapReason, Sample
from campaign.crew_counts import NOTHING, PageCounts
from campaign.ledger import NO_LOAD
from campaign.night import LoadStep, Night, State
from campaign.status import EVENTS_MAX, NOT_PAUSED, Ended, Paused, Running, Status, read_status
from campaign.status_board import STATUS_S, Moment, StatusBoard
from campaign.telemetry import SegmentTelemetry
from monitoring_logs.records import Outcome
from safety_monitoring.limits import Rung
from safety_monitoring.messages import GuardianBeat, SenseReading
from tests.support.machine_walk import IN_STATE, to_holding, to_searching
from tests.support.orders import campaign_order, night_order, phase_order

BEAT = GuardianBeat(
    sequence=7,
    at_mono_s=1000.0,
    loop_lag_s_max=0.001,
    memory_percent=Sample(value=41.0),
    cpu_percent=Sample(value=12.0),
    disk_percent=Gap(reason=GapReason.DENIED, detail="no permission"),
    senses=(SenseReading(name="load", reading=Sample(value=1.5), unit="tasks a core"),),
)


class Desk:
    """A board in a directory of the test."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock(mono_s=1000.0)
        self.path = directory / "status.json"
        self.order = campaign_order(directory, night_order(phase_order(0), phase_order(1), phase_order(2, cut="cut")))
        self.board = StatusBoard(self.order, run_dir=directory / "run", path=self.path, clock=self.clock)

    def write(self, night: Night, **changes: Any) -> Status:
        """Write a document and read it again."""
        self.board.write(moment(night, **changes))
        found = read_status(self.path)
        assert isinstance(found, Status), found
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A board."""
    return Desk(tmp_path)


def moment(night: Night, **changes: Any) -> Moment:
    """What the supervisor knows."""
    values: dict[str, Any] = {
        "night": night,
        "telemetry": None,
        "running": NOTHING,
        "holds": True,
        "beat": None,
        "share": 1.0,
        "guardian_pid": 11,
        "worker_pids": (12, 13),
        "supervisor_pid": 10,
    }
    return Moment(**{**values, **changes})


def holding() -> Night:
    """The first phase at work."""
    return to_holding(night_order(phase_order(0), phase_order(1), phase_order(2, cut="cut"))).night


def telemetry() -> SegmentTelemetry:
    """A segment that has just begun."""
    return SegmentTelemetry(segment=1, workers=1, start_mono_s=1000.0, utc_offset_s=0.0)


def test_the_document_names_the_run_and_its_processes(desk: Desk) -> None:
    """Who, where, since when, until when."""
    status = desk.write(holding())
    assert status.run_id == desk.order.night.run_id
    assert status.run_dir.endswith("/run")
    assert status.end == Running()
    assert (status.supervisor_pid, status.guardian_pid, status.worker_pids) == (10, 11, (12, 13))
    assert status.window_end_utc_s == desk.order.night.window_end_utc_s
    assert status.night_planned_s == desk.order.planned_s


@pytest.mark.parametrize(("after_s", "due"), [(STATUS_S - 0.001, False), (STATUS_S, True), (STATUS_S + 0.001, True)])
def test_a_document_is_due_twice_a_second(desk: Desk, after_s: float, due: bool) -> None:  # noqa: FBT001 - a row
    """Just below the period it is not."""
    assert desk.board.due()
    desk.write(holding())
    assert not desk.board.due()
    desk.clock.advance(after_s)
    assert desk.board.due() is due


def test_a_change_of_state_and_a_pause_are_due_at_once(desk: Desk) -> None:
    """Nobody waits half a second for what has just changed; the same night again changes nothing."""
    walk = to_holding()
    desk.board.note_night(walk.night)
    desk.write(walk.night)
    desk.board.note_night(walk.night)
    assert not desk.board.due()
    walk.pause()
    desk.clock.advance(0.01)
    desk.board.note_night(walk.night)
    assert desk.board.due()
    since_utc_s = desk.clock.utc_s()
    assert desk.write(walk.night).pause == Paused(since_utc_s=since_utc_s)
    walk.moved(Rung.STOP_PHASE)
    desk.clock.advance(5.0)
    desk.board.note_night(walk.night)
    assert desk.board.due()
    assert desk.write(walk.night).pause == Paused(since_utc_s=since_utc_s), "the load ends, the pause does not"
    walk.resume()
    desk.board.note_night(walk.night)
    assert desk.write(walk.night).pause == NOT_PAUSED


def test_a_pause_tells_whether_the_load_stands(desk: Desk) -> None:
    """Obeyed is what the load processes have answered; what they still wait for is counted."""
    walk = to_holding()
    walk.pause()
    desk.board.note_night(walk.night)
    telemetry = SegmentTelemetry(segment=1, workers=1, start_mono_s=0.0, utc_offset_s=0.0)
    running = PageCounts(started=9, succeeded=5, failed=1)
    for holds, counts, stands in ((False, running, False), (True, running, False), (True, NOTHING, True)):
        pause = desk.write(walk.night, telemetry=telemetry, running=counts, holds=holds).pause
        assert isinstance(pause, Paused)
        assert (pause.obeyed, pause.operations_in_flight, pause.stands) == (holds, counts.in_flight, stands)


def test_a_search_shows_its_own_connections_and_its_phase_as_it_ended(desk: Desk) -> None:
    """At most so many at once; the phase has its outcome already."""
    night = to_searching().night
    desk.board.note_outcome(0, Outcome.FAILED)
    status = desk.write(night, telemetry=telemetry())
    assert status.state == "SEARCHING"
    assert status.connections_asked == 64
    assert status.phases[0].state == "FAILED"


def test_times_are_those_of_the_clock(desk: Desk) -> None:
    """The state's own time, the night's, and the age of the health score."""
    night = holding()
    desk.board.note_health(KnownScore(value=93.0), at_mono_s=1000.0)
    desk.clock.advance(night.entered_mono_s - 1000.0 + 7.0)
    status = desk.write(night)
    assert status.state == "HOLDING"
    assert status.step_elapsed_s == pytest.approx(7.0)
    assert status.step_planned_s == pytest.approx(50.0)
    assert status.night_elapsed_s == pytest.approx(desk.clock.mono_s() - 1000.0)
    assert status.health == KnownScore(value=93.0)
    assert status.health_age_s == pytest.approx(desk.clock.mono_s() - 1000.0)


@pytest.mark.parametrize("state", list(State))
def test_every_state_can_be_shown(desk: Desk, state: State) -> None:
    """States without a timer have no planned time; nothing infinite reaches a screen."""
    night = IN_STATE[state]().night
    status = desk.write(night, telemetry=telemetry())
    assert status.state == state.value
    assert math.isfinite(status.step_planned_s)
    assert status.step_elapsed_s >= 0.0
    if math.isinf(night.timer_mono_s):
        assert status.step_planned_s == 0.0


def test_before_anything_was_measured_everything_is_unknown(desk: Desk) -> None:
    """No reading is zero because it is missing."""
    status = desk.write(IN_STATE[State.PREPARING]().night)
    assert isinstance(status.health, UnknownScore)
    readings = (status.rate_per_s, status.response_s_p99, status.error_percent, status.memory_percent)
    assert all(isinstance(reading, Gap) for reading in readings)


def test_the_guardians_readings_are_shown_as_it_read_them(desk: Desk) -> None:
    """Gaps included, with rung and share."""
    walk = to_holding()
    walk.moved(Rung.EASE)
    status = desk.write(walk.night, beat=BEAT, share=0.5)
    assert (status.memory_percent, status.cpu_percent) == (BEAT.memory_percent, BEAT.cpu_percent)
    assert status.disk_percent == BEAT.disk_percent
    assert (status.guardian_rung, status.permitted_share) == ("EASE", 0.5)
    assert status.senses == BEAT.senses


def test_operations_are_those_of_ended_loads_and_of_the_running_one(desk: Desk) -> None:
    """Nothing is counted twice when a load ends: while no load is being made, only the ended ones count."""
    ended = type(NO_LOAD)(
        **{
            **{name: getattr(NO_LOAD, name) for name in NO_LOAD.__slots__},
            "operations_succeeded": 100,
            "operations_failed": 3,
        }
    )
    desk.board.add_operations(ended)
    status = desk.write(holding(), telemetry=telemetry(), running=PageCounts(started=20 + 1, succeeded=20, failed=1))
    assert (status.operations_succeeded, status.operations_failed) == (120, 4)
    status = desk.write(
        IN_STATE[State.COOLING]().night,
        telemetry=telemetry(),
        running=PageCounts(started=20 + 1, succeeded=20, failed=1),
    )
    assert (status.operations_succeeded, status.operations_failed) == (100, 3)


@pytest.mark.parametrize(
    ("state", "asked"), [(State.ANCHOR, 2), (State.HOLDING, 4), (State.ARMING, 0), (State.COOLING, 0)]
)
def test_connections_are_asked_for_only_while_load_is_made(desk: Desk, state: State, asked: int) -> None:
    """The anchor's, the phase's, or none."""
    status = desk.write(IN_STATE[state]().night, telemetry=telemetry())
    assert status.connections_asked == asked


def test_each_phase_shows_how_it_stands(desk: Desk) -> None:
    """Waiting, running, the outcome's word, or cut."""
    assert [phase.state for phase in desk.write(holding()).phases] == ["running", "waiting", "cut"]
    desk.board.note_outcome(0, Outcome.EASED)
    desk.board.note_outcome(2, Outcome.NOT_REACHED)
    status = desk.write(IN_STATE[State.COOLING]().night)
    assert [phase.state for phase in status.phases] == ["EASED", "waiting", "NOT_REACHED"]
    assert [phase.connections for phase in status.phases] == [4, 5, 6]


def test_while_the_anchor_runs_no_phase_is_running(desk: Desk) -> None:
    """The anchor before a phase is not the phase."""
    night = IN_STATE[State.ANCHOR]().night
    assert night.load is LoadStep.RUNNING
    assert "running" not in [phase.state for phase in desk.write(night).phases]


@pytest.mark.parametrize("count", [EVENTS_MAX - 1, EVENTS_MAX, EVENTS_MAX + 5])
def test_the_newest_events_are_kept_with_their_numbers(desk: Desk, count: int) -> None:
    """A screen prints each once, by its number, and sees when it missed some."""
    for number in range(count):
        desk.board.add_event(f"event {number + 1}")
    events = desk.write(holding()).events
    assert len(events) == min(count, EVENTS_MAX)
    assert events[-1].text == f"event {count}"
    assert [event.sequence for event in events] == list(range(count - len(events) + 1, count + 1))


def test_a_document_that_cannot_be_written_is_counted_and_nothing_else(tmp_path: Path) -> None:
    """No screen is a reason to stop."""
    desk = Desk(tmp_path)
    board = StatusBoard(desk.order, run_dir=tmp_path, path=tmp_path / "missing" / "status.json", clock=desk.clock)
    board.write(moment(holding()))
    board.write(moment(holding()))
    assert board.failed_writes == 2


def test_the_last_document_is_also_kept_with_the_run(desk: Desk, tmp_path: Path) -> None:
    """After the end the state directory may be gone; the run directory is not."""
    end = Ended(exit_code=0, cause="finished", verdict="FIT", why="all gates pass", report="report.html")
    copy = tmp_path / "copy.json"
    desk.board.write_end(moment(IN_STATE[State.DONE]().night), end, copy=copy)
    for path in (desk.path, copy):
        found = read_status(path)
        assert isinstance(found, Status)
        assert found.end == end
