"""Who gets an arrival, and who is given up."""

from dataclasses import dataclass, field

import pytest

from stress_scenarios import arrival_desk
from stress_scenarios.arrival_desk import EASED_LATE_S_MAX, ArrivalDesk
from stress_scenarios.arrivals import ArrivalTimes
from stress_scenarios.load_clock import LoadClock
from stress_scenarios.load_plan import Arrivals, ConstantRate, Curve, Spacing


class User:
    """An idle user who keeps what is given to it."""

    def __init__(self) -> None:
        self.given: list[float] = []

    def give(self, due_mono_s: float) -> None:
        """Take it."""
        self.given.append(due_mono_s)


@dataclass(slots=True)
class Rig:
    """A desk with room for so many users, and a hundred arrivals a second from instant 0 on: 0.005, 0.015, ..."""

    room: int = 0
    made: list[float] = field(default_factory=list)
    dropped: int = 0
    clock: LoadClock = field(default_factory=lambda: LoadClock(start_mono_s=0.0, lasts_s=10.0))

    def desk(self, *, start_within_s: float = 1.0, share: float = 1.0) -> ArrivalDesk:
        """The desk."""
        pace = Arrivals(
            shape=ConstantRate(per_s=100.0), spacing=Spacing.EVEN, start_within_s=start_within_s, part=0, parts=1
        )
        times = ArrivalTimes(pace, ramp_s=0.0, ramp_curve=Curve.LINEAR, load_s=10.0, seed=0)
        clock = LoadClock(start_mono_s=0.0, lasts_s=10.0)
        clock.permit(0.0, share)
        self.clock = clock
        return ArrivalDesk(
            times, clock, start_within_s=start_within_s, new_user=self.new_user, note_dropped=self.note_dropped
        )

    def new_user(self, due_mono_s: float) -> bool:
        """Make one while there is room."""
        if len(self.made) < self.room:
            self.made.append(due_mono_s)
            return True
        return False

    def note_dropped(self, operations: int) -> None:
        """Count."""
        self.dropped += operations


def test_the_user_that_became_idle_last_is_served_first() -> None:
    """Then the other; then a new one; then arrivals wait, oldest first."""
    rig = Rig(room=1)
    desk = rig.desk()
    first, last = User(), User()
    desk.note_idle(first)
    desk.note_idle(last)
    desk.take_due(0.0501)
    assert (last.given, first.given, rig.made) == ([0.005], [0.015], [0.025])
    assert [desk.next_waiting(0.06), desk.next_waiting(0.06), desk.next_waiting(0.06)] == [[0.035], [0.045], []]
    assert desk.next_mono_s() == pytest.approx(0.055)


@pytest.mark.parametrize(("late_s", "dropped"), [(0.499, 0), (0.5, 0), (0.501, 1)])
def test_what_waits_too_long_is_dropped(late_s: float, dropped: int) -> None:
    """At exactly the time that it may wait it may still be started."""
    rig = Rig()
    desk = rig.desk(start_within_s=0.5)
    desk.take_due(0.006)
    desk.look(0.005 + late_s)
    assert rig.dropped == dropped


@pytest.mark.parametrize(("bound", "dropped"), [(9, 1), (10, 0), (11, 0)])
def test_those_who_wait_are_bounded(monkeypatch: pytest.MonkeyPatch, bound: int, dropped: int) -> None:
    """Beyond the bound the one that has waited longest is dropped."""
    monkeypatch.setattr(arrival_desk, "WAITING_MAX", bound)
    rig = Rig()
    desk = rig.desk()
    desk.take_due(0.0951)
    assert rig.dropped == dropped
    assert desk.next_waiting(0.1) == [pytest.approx(0.005 + 0.01 * dropped)]


def test_a_stall_of_ours_while_eased_ends_in_no_burst() -> None:
    """At half the rate, fifty a second, a second of standing still is stepped over but for the last moment."""
    rig = Rig(room=1000)
    desk = rig.desk(share=0.5)
    desk.take_due(1.0)
    assert len(rig.made) <= EASED_LATE_S_MAX * 50 + 1
    assert rig.dropped == 0
    assert desk.next_mono_s() == pytest.approx(1.01)


def test_what_was_due_at_the_end_of_a_full_load_is_dropped_and_of_an_eased_one_is_not() -> None:
    """What easing prevented was never asked for; what we were late with was."""
    for share, dropped in ((1.0, 10), (0.5, 0)):
        rig = Rig()
        desk = rig.desk(share=share)
        desk.close(0.1)
        assert rig.dropped == dropped


def test_what_came_too_long_ago_is_dropped_in_one_go() -> None:
    """A rate beyond this machine costs no look at each arrival; those that are still in time are given out."""
    rig = Rig(room=1000)
    desk = rig.desk(start_within_s=0.5)
    desk.take_due(2.0)
    assert (rig.dropped, len(rig.made)) == (150, 50)
    assert rig.made[0] == pytest.approx(1.505)


@pytest.mark.parametrize(("bound", "given"), [(4, 4), (5, 5), (6, 5)])
def test_only_so_many_are_given_out_at_once(monkeypatch: pytest.MonkeyPatch, bound: int, given: int) -> None:
    """The rest stays due, and is given out by the next call."""
    monkeypatch.setattr(arrival_desk, "GIVEN_AT_ONCE_MAX", bound)
    rig = Rig(room=1000)
    desk = rig.desk()
    desk.take_due(0.0451)
    assert len(rig.made) == given
    assert desk.next_mono_s() == pytest.approx(0.005 + 0.01 * given)
    desk.take_due(0.0451)
    assert (len(rig.made), rig.dropped) == (5, 0)


def test_a_changed_rate_drops_what_could_not_be_given_out_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every arrival that was due is given out or dropped; the new rate begins with the next."""
    monkeypatch.setattr(arrival_desk, "GIVEN_AT_ONCE_MAX", 3)
    rig = Rig(room=1000)
    desk = rig.desk()
    desk.set_rate(0.1, 10.0)
    assert (len(rig.made), rig.dropped) == (3, 7)
    assert desk.next_mono_s() == pytest.approx(0.15)


@pytest.mark.parametrize(("share", "dropped"), [(1.0, 10), (0.5, 0)])
def test_what_was_due_when_a_person_holds_the_load_is_dropped(share: float, dropped: int) -> None:
    """At full load; what easing had prevented before was never asked for. Going on neither drops nor loses anything."""
    rig = Rig(room=1000)
    desk = rig.desk(share=share)
    rig.clock.hold(0.1)
    desk.note_share()
    assert rig.dropped == dropped
    rig.clock.resume(5.0)
    desk.note_share()
    assert rig.dropped == dropped
    assert desk.next_mono_s() == pytest.approx(5.005 if share == 1.0 else 5.01)


def test_a_user_that_stopped_waiting_is_given_nothing() -> None:
    """The other idle one is; a user that did not wait may be forgotten too."""
    rig = Rig()
    desk = rig.desk()
    stays, leaves = User(), User()
    desk.note_idle(stays)
    desk.note_idle(leaves)
    desk.forget(leaves)
    desk.forget(leaves)
    desk.take_due(0.0151)
    assert (stays.given, leaves.given) == ([0.005], [])
    assert desk.next_waiting(0.02) == [0.015]


def test_an_arrival_that_is_handed_back_is_the_next_that_anybody_gets() -> None:
    """An idle user, a new one, or it waits before all others; too late or after the load it is dropped."""
    rig = Rig(room=1)
    desk = rig.desk(start_within_s=0.5)
    idle = User()
    desk.note_idle(idle)
    desk.take_back(0.001, 0.002)
    desk.take_back(0.002, 0.002)
    assert (idle.given, rig.made) == ([0.001], [0.002])
    desk.take_due(0.006)
    desk.take_back(0.003, 0.006)
    assert [desk.next_waiting(0.006), desk.next_waiting(0.006)] == [[0.003], [0.005]]
    desk.take_back(0.003, 0.504)
    assert rig.dropped == 1
    desk.close(0.006)
    desk.take_back(0.004, 0.006)
    assert rig.dropped == 2
