"""The supervisor's end of the guardian, with a stand-in: however the guardian is lost, it is noticed and named."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from baseline_metrics.clock import Clock, FakeClock, SystemClock
from campaign import guardian_link
from campaign.guardian_link import HEARTBEAT_S, SILENT_S_MAX, GuardianLink
from campaign.processes import Child, Marks
from safety_monitoring.limits import default_limits
from safety_monitoring.messages import AskReturn, GuardianBeat, GuardianOrder, Report

pytestmark = pytest.mark.process

HANG_S = 20.0

ORDER = GuardianOrder(
    run_id="20251119T210000Z-test",
    run_dir="/srv/runs/20251119T210000Z-test",
    stop_paths=("/srv/runs/STOP",),
    permit_path="/srv/state/permit",
    journal_path="/srv/runs/guardian.jsonl",
    disk_paths=("/srv",),
    limits=default_limits(memory_reserve_bytes=0, disk_reserve_bytes=0),
    supervisor_pid=1,
    supervisor_start_ticks=1,
    heartbeat_s_max=2.0,
    report_argv=("true",),
)

Start = Callable[[str, Clock], GuardianLink]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a link to a stand-in in a mode; whatever is left of it is killed afterwards."""
    links: list[GuardianLink] = []

    def started(mode: str, clock: Clock) -> GuardianLink:
        def stand_in(module: str, arguments: tuple[str, ...], *, marks: Marks, role: str, output: Path) -> Child:
            assert module == "safety_monitoring.system_guardian"
            assert role == "guardian"
            return Child("tests.support.stand_in_guardian", (mode, *arguments), marks=marks, role=role, output=output)

        monkeypatch.setattr(guardian_link, "Child", stand_in)
        marks = Marks(run_id=ORDER.run_id, runs_dir=str(tmp_path), state_dir=str(tmp_path))
        order_file, output = tmp_path / "guardian_order.json", tmp_path / "output.log"
        links.append(GuardianLink(ORDER, order_file=order_file, marks=marks, output=output, clock=clock))
        return links[-1]

    yield started
    for link in links:
        link.child.kill()
        link.child.process.wait(HANG_S)
        link.child.close()


def until(link: GuardianLink, condition: Callable[[], bool]) -> list[Report]:
    """Poll a link until something is so, with a hang limit; returns what was heard."""
    deadline = time.monotonic() + HANG_S
    heard = link.poll()
    while not condition():
        assert time.monotonic() < deadline, "the stand-in did not do what was expected"
        time.sleep(0.005)
        heard += link.poll()
    return heard


def test_the_guardian_is_started_with_its_order_in_a_file(start: Start, tmp_path: Path) -> None:
    """It reads everything that it needs from there."""
    link = start("silent", FakeClock())
    written = json.loads((tmp_path / "guardian_order.json").read_text())
    assert written["type"] == "GuardianOrder"
    assert written["run_id"] == ORDER.run_id
    assert link.pid == link.child.pid


def test_heartbeats_go_out_at_their_period_and_beats_come_back(start: Start) -> None:
    """One heartbeat per HEARTBEAT_S however often the loop turns; the newest beat is kept."""
    clock = FakeClock()
    link = start("beating", clock)
    until(link, lambda: link.beat is not None)
    assert link.beat is not None
    assert link.beat.sequence == 1
    clock.advance(HEARTBEAT_S - 0.001)
    link.poll()
    clock.advance(0.001)
    heard = until(link, lambda: link.beat is not None and link.beat.sequence == 2)
    assert [report.sequence for report in heard if isinstance(report, GuardianBeat)] == [2]
    assert link.lost == ""


def test_silence_is_loss_only_beyond_its_limit(start: Start) -> None:
    """At SILENT_S_MAX the guardian is still trusted, beyond it it is lost."""
    clock = FakeClock()
    link = start("silent", clock)
    clock.advance(SILENT_S_MAX)
    link.poll()
    assert link.lost == ""
    clock.advance(0.001)
    link.poll()
    assert "said nothing for 5 s" in link.lost


def test_a_guardian_that_is_heard_is_not_silent(start: Start) -> None:
    """Silence is counted from the last word."""
    clock = FakeClock()
    link = start("beating", clock)
    for turn in range(4):
        until(link, lambda turn=turn: link.beat is not None and link.beat.sequence == turn + 1)  # type: ignore[misc]
        clock.advance(SILENT_S_MAX - 0.001)
    assert link.lost == ""


def test_a_guardian_that_ended_is_lost_with_its_exit_code(start: Start) -> None:
    """The reason names the code."""
    link = start("leaving", FakeClock())
    until(link, lambda: link.lost != "")
    assert link.lost in {"the guardian process ended with 3", "the guardian closed its pipe"}


def test_a_guardian_that_closes_its_pipe_is_lost(start: Start) -> None:
    """It may live; who cannot speak cannot guard."""
    link = start("mute", FakeClock())
    until(link, lambda: link.lost != "")
    assert link.lost == "the guardian closed its pipe"


def test_a_guardian_that_speaks_garbage_is_lost(start: Start) -> None:
    """Another version, or something that is no guardian at all."""
    link = start("garbage", FakeClock())
    until(link, lambda: link.lost != "")
    assert link.lost.startswith("the guardian spoke something unknown")


def test_the_first_reason_of_a_loss_stays(start: Start) -> None:
    """What comes after the loss does not hide its cause."""
    clock = FakeClock()
    link = start("garbage", clock)
    until(link, lambda: link.lost != "")
    first = link.lost
    clock.advance(100.0)
    link.poll()
    assert link.lost == first


def test_nothing_is_sent_to_a_lost_guardian(start: Start) -> None:
    """Orders to it are dropped, and do not raise."""
    link = start("leaving", FakeClock())
    until(link, lambda: link.lost != "")
    link.send(AskReturn())
    link.poll()


def test_a_concluded_guardian_leaves_by_itself_and_is_not_lost(start: Start) -> None:
    """It is told that the campaign is over, and goes."""
    link = start("beating", SystemClock())
    until(link, lambda: link.beat is not None)
    link.conclude()
    assert link.child.process.returncode == 0
    assert link.poll() == []
    assert link.lost == ""


def test_a_guardian_that_does_not_leave_is_killed(start: Start) -> None:
    """Concluding is bounded: after LEAVE_S it is gone in any case."""
    link = start("deaf", FakeClock())
    until(link, lambda: link.beat is not None)
    link.conclude()
    assert link.child.process.returncode == -9
    assert link.lost == ""


def test_a_guardian_that_speaks_garbage_at_the_end_is_killed(start: Start) -> None:
    """Garbage while concluding ends the wait, not the supervisor."""
    link = start("garbage", SystemClock())
    time.sleep(0.0)
    link.conclude()
    assert link.child.process.returncode is not None
