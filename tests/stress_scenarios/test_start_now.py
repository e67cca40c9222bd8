"""A start that is due at this instant is made at once; any other is left to be waited for, and nothing is done."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from stress_scenarios.load_clock import LoadClock
from stress_scenarios.pacing import Grid, PacedSchedule, UnpacedSchedule
from stress_scenarios.scenario import AnswerJudgement, Passed
from stress_scenarios.scenario_session import ScenarioSession
from stress_scenarios.session_program import LoadOver
from stress_scenarios.sleepers import LoopTimer, Sleepers
from stress_scenarios.virtual_user import ClosedUser
from tests.stress_scenarios.python_rig import play
from tests.stress_scenarios.scripted_fakes import FakeStarts
from tests.stress_scenarios.virtual_time import START_S, run_virtually


@dataclass(slots=True)
class FakeRun:
    """A load of which only time, permission and size matter."""

    clock: LoadClock
    sleepers: Sleepers
    now_s: Callable[[], float]
    wanted: int = 1
    permitted: bool = True
    lags_s: list[float] = field(default_factory=list)
    ended: list[tuple[float, float]] = field(default_factory=list)

    def is_permitted(self, now_mono_s: float) -> bool:
        """As it was set."""
        return self.permitted

    def note_started(self, operation: int, started_mono_s: float, *, lag_s: float) -> None:
        """Note the lag."""
        self.lags_s.append(lag_s)

    def note_ended(
        self,
        operation: int,
        judgement: AnswerJudgement,
        ended_mono_s: float,
        *,
        late_s: float,
        service_s: float,
        bytes_received: int,
    ) -> None:
        """Note lateness and service time."""
        self.ended.append((late_s, service_s))

    def note_dropped(self, operations: int) -> None:
        """Nothing is."""
        raise AssertionError(operations)


@dataclass(slots=True)
class Stood:
    """A clock that stands until it is moved."""

    at_s: float

    def __call__(self) -> float:
        """The time."""
        return self.at_s


def a_run(now: Stood) -> FakeRun:
    """A load that began at START_S."""
    return FakeRun(LoadClock(start_mono_s=START_S, lasts_s=100.0), Sleepers(LoopTimer), now)


def paced(run: FakeRun, *, first_s: float, operations_per_s: float) -> ClosedUser:
    """A closed user on a grid."""
    grid = Grid.until(100.0, first_s=first_s, operations_per_s=operations_per_s)
    return ClosedUser(run, 0, PacedSchedule(grid, run.clock.time))


@pytest.mark.parametrize(("after_s", "starts"), [(0.999, False), (1.0, True), (1.001, True)])
def test_what_is_due_starts_at_once(after_s: float, *, starts: bool) -> None:
    """Just before, at and after its intended start; lateness counts from there, our own lag only from when it was asked."""

    async def work() -> None:
        now = Stood(START_S + after_s)
        run = a_run(now)
        user = paced(run, first_s=1.0, operations_per_s=1.0)
        assert user.start_now(0) is starts
        assert run.lags_s == ([0.0] if starts else [])
        if starts:
            now.at_s += 0.25
            assert user.answered() == pytest.approx(0.25)
            user.ended(0, Passed(), 10)
            assert run.ended[0] == pytest.approx((after_s - 1.0, 0.25))
            assert not user.start_now(0), "the next one is due a second after the first"
        assert user.asked == (1 if starts else 0)

    run_virtually(work())


def test_what_is_not_permitted_or_not_wanted_does_not_start() -> None:
    """Whoever asks then waits as ever, and learns that the load is over."""

    async def work() -> None:
        run = a_run(Stood(START_S + 1.0))
        user = ClosedUser(run, 0, UnpacedSchedule(0.0, run.clock.time))
        run.permitted = False
        assert not user.start_now(0)
        run.permitted = True
        run.wanted = 0
        assert not user.start_now(0)
        with pytest.raises(LoadOver):
            await user.next()
        run.wanted = 1
        assert user.start_now(0)
        assert len(run.lags_s) == 1

    run_virtually(work())


def test_a_start_that_was_asked_for_before_counts_its_lag_from_then() -> None:
    """A program that waits with next and starts later is late by its own fault, however it starts."""

    async def work() -> None:
        now = Stood(START_S + 1.0)
        run = a_run(now)
        user = paced(run, first_s=0.5, operations_per_s=1.0)
        assert await user.next() == START_S + 0.5
        now.at_s += 0.125
        assert user.start_now(0)
        assert run.lags_s == [0.125]

    run_virtually(work())


def test_eased_load_keeps_its_distances() -> None:
    """With half of the load, an operation that took a second is followed by one a second later."""

    async def work() -> None:
        now = Stood(START_S)
        run = a_run(now)
        user = ClosedUser(run, 0, UnpacedSchedule(0.0, run.clock.time))
        assert user.start_now(0)
        now.at_s += 1.0
        user.ended(0, Passed(), 0)
        run.clock.permit(now.at_s, 0.5)
        now.at_s += 0.999
        assert not user.start_now(0)
        now.at_s += 0.001
        assert user.start_now(0)
        run.clock.permit(now.at_s, 0.0)
        now.at_s += 1000.0
        assert not user.start_now(0)
        assert user.schedule.next_start_mono_s(now.at_s) == math.inf

    run_virtually(work())


def test_code_whose_starts_are_due_is_counted_in_the_same_way() -> None:
    """Many at once go in order; fault is found at once or never; the load's end comes through."""

    async def browse(session: ScenarioSession) -> None:
        await asyncio.gather(*(session.get(f"/{number}", name="one") for number in range(3)))
        await session.get("/last", name="two")
        session.fail("bad")

    starts, engine = play(browse, starts=FakeStarts(at_once=True, starts=11), sessions=100)
    assert starts.began == [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]
    assert [request.url[-1] for request in engine.asked] == list("012t012t012")
    assert [failure[0] for failure in starts.failures] == [1, 1]
