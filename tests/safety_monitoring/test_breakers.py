"""Breakers at every boundary, and with the ladder: what swings is held back, and comes back in steps and with both keys."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from safety_monitoring.breakers import (
    OPEN_S_MAX,
    PROBE_SHARE,
    SETTINGS,
    WINDOW_S,
    Breaker,
    BreakerStep,
    all_closed,
    closed,
    holds_back,
    interrupted,
    probed,
    returned,
    share_of_breakers,
    violated,
)
from safety_monitoring.judge import Violation, ViolationKind
from safety_monitoring.ladder import LadderMove, LadderState, NoMove, OfferReturn, climb, give_back
from safety_monitoring.limits import HOLD_S, Limit, Resource, Rung

CPU, MEMORY = Resource.CPU, Resource.MEMORY


def violation(resource: Resource = CPU, *, at_mono_s: float = 0.0) -> Violation:
    """A sustained one."""
    limit = Limit(
        resource=resource,
        percent_max=80.0,
        free_min=0,
        hold_s=HOLD_S[resource],
        clear_margin_percent=5.0,
        clear_hold_s=10.0,
    )
    return Violation(
        limit=limit,
        kind=ViolationKind.PERCENT,
        since_mono_s=at_mono_s,
        evidence_mono_s=at_mono_s,
        text=f"{resource.value} at 90.0 %",
    )


def opened(resource: Resource = CPU, *, at_mono_s: float = 100.0) -> Breaker:
    """A breaker that has just opened."""
    breaker = closed(resource)
    for _ in range(SETTINGS[resource].violations):
        breaker = violated(breaker, at_mono_s)
    assert breaker.step is BreakerStep.OPEN
    return breaker


@pytest.mark.parametrize(("resource", "violations", "open_s"), [(CPU, 3, 10.0), (MEMORY, 2, 15.0)])
def test_the_last_violation_that_it_bears_opens_it(resource: Resource, violations: int, open_s: float) -> None:
    """One less leaves it closed; then no load is let through for its time, to the moment."""
    breaker = closed(resource)
    for number in range(violations - 1):
        breaker = violated(breaker, 100.0 + number)
        assert breaker.step is BreakerStep.CLOSED
        assert share_of_breakers((breaker,)) == 1.0
    breaker = violated(breaker, 200.0)
    assert share_of_breakers((breaker,)) == 0.0
    assert holds_back((breaker,), 200.0 + open_s - 0.001)
    assert not holds_back((breaker,), 200.0 + open_s)


@pytest.mark.parametrize(("apart_s", "step"), [(WINDOW_S, BreakerStep.OPEN), (WINDOW_S + 0.001, BreakerStep.CLOSED)])
def test_violations_far_apart_are_not_one_trouble(apart_s: float, step: BreakerStep) -> None:
    """The window's end is still within it."""
    breaker = violated(closed(MEMORY), 100.0)
    assert violated(breaker, 100.0 + apart_s).step is step


@pytest.mark.parametrize(("after_s", "step"), [(9.999, BreakerStep.OPEN), (10.0, BreakerStep.HALF_OPEN)])
def test_it_lets_a_share_probe_when_its_time_is_over_and_it_is_asked(after_s: float, step: BreakerStep) -> None:
    """Not before, and not by itself."""
    breaker = opened(at_mono_s=100.0)
    assert returned(breaker, 100.0 + after_s).step is step
    assert probed(breaker, 100.0 + after_s).step is BreakerStep.OPEN
    assert returned(closed(CPU), 500.0) == closed(CPU)


def test_a_probe_lasts_longer_than_a_violation_takes_to_be_one() -> None:
    """Else nothing could be violated within it."""
    assert all(setting.probe_s > HOLD_S[resource] for resource, setting in SETTINGS.items())


def test_a_probe_without_a_violation_closes_it_and_one_with_a_violation_opens_it_for_twice_as_long() -> None:
    """Up to the bound; closed again it is as at the start of the night."""
    probing = returned(opened(at_mono_s=100.0), 110.0)
    assert share_of_breakers((probing, closed(MEMORY))) == PROBE_SHARE
    assert probed(probing, 121.999) == probing
    assert probed(probing, 122.0) == closed(CPU)
    again = violated(probing, 115.0)
    assert (again.step, again.until_mono_s) == (BreakerStep.OPEN, 135.0)
    for _ in range(10):
        again = violated(returned(again, again.until_mono_s), again.until_mono_s)
    assert again.open_s == OPEN_S_MAX
    given_up = interrupted(probing, 115.0)
    assert (given_up.step, given_up.open_s) == (BreakerStep.OPEN, probing.open_s)
    assert not holds_back((given_up,), 115.0)
    assert interrupted(closed(CPU), 1.0) == closed(CPU)


def test_a_violation_while_it_is_open_changes_nothing_for_it() -> None:
    """The ladder goes on climbing by itself."""
    breaker = opened()
    assert replace(violated(breaker, 105.0), seen=()) == breaker


# With the ladder ------------------------------------------------------------------------------------------------------


class Host:
    """A ladder on a clock, as the guardian climbs it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.state = LadderState(rung=Rung.CLEAR, moved_mono_s=self.now, return_offered=False)
        self.moves: list[LadderMove] = []

    def look(self, *violations: Violation, is_clear: bool = False, has_load: bool = True) -> object:
        """One judgement."""
        self.state, answer = climb(self.state, violations, is_clear=is_clear, has_load=has_load, now_mono_s=self.now)
        if isinstance(answer, LadderMove):
            self.moves.append(answer)
        return answer

    def ask(self, *, is_clear: bool = True) -> object:
        """The supervisor's key."""
        self.state, answer = give_back(self.state, is_clear=is_clear, now_mono_s=self.now)
        if isinstance(answer, LadderMove):
            self.moves.append(answer)
        return answer

    def swing(self, resource: Resource) -> LadderMove:
        """A violation, and the load comes back after ten seconds if it may."""
        self.look(violation(resource, at_mono_s=self.now))
        moved = self.moves[-1]
        self.now += 10.0
        self.look(is_clear=True)
        self.ask()
        return moved


def test_a_load_that_swings_is_held_back_at_the_third_time() -> None:
    """Eased twice, then no load at all for ten seconds; then a quarter probes, and the whole load returns."""
    host = Host()
    assert [host.swing(CPU).share for _ in range(2)] == [0.5, 0.5]
    assert host.state.rung is Rung.CLEAR
    host.look(violation(at_mono_s=host.now))
    move = host.moves[-1]
    assert (move.rung, move.share) == (Rung.PAUSE, 0.0)
    assert "the breaker of cpu holds all load back for 10 s" in move.why
    host.now += 9.9
    assert isinstance(host.look(is_clear=True), NoMove), "nothing is offered before its time is over"
    assert isinstance(host.ask(), NoMove)
    host.now += 0.1
    assert isinstance(host.look(is_clear=True), OfferReturn)
    probe = host.ask()
    assert isinstance(probe, LadderMove)
    assert (probe.rung, probe.share) == (Rung.EASE, PROBE_SHARE)
    assert isinstance(host.ask(), NoMove), "once is enough"
    host.now += 12.0
    back = host.look(is_clear=False)
    assert isinstance(back, LadderMove)
    assert (back.rung, back.share, host.state.share) == (Rung.CLEAR, 1.0, 1.0)
    assert host.state.breakers == all_closed()


def test_a_violation_within_the_probe_opens_it_again() -> None:
    """For twice as long."""
    host = Host()
    for _ in range(2):
        host.swing(MEMORY)
    host.now += 15.0
    host.look(is_clear=True)
    host.ask()
    assert host.state.share == PROBE_SHARE
    host.now += 1.0
    host.look(violation(MEMORY, at_mono_s=host.now))
    assert host.state.share == 0.0
    host.now += 29.9
    assert isinstance(host.ask(), NoMove)
    host.now += 0.1
    assert isinstance(host.ask(), LadderMove)


def test_what_others_do_while_a_share_probes_needs_both_keys_again() -> None:
    """Without load the violation is not ours: the breaker learns nothing, and nothing comes back by itself."""
    host = Host()
    for _ in range(2):
        host.swing(MEMORY)
    host.now += 15.0
    host.ask()
    host.look(violation(at_mono_s=host.now + 20.0), has_load=False)
    host.now += 60.0
    assert isinstance(host.look(is_clear=True, has_load=False), OfferReturn)
    assert host.state.share == 0.0
    assert isinstance(host.ask(), LadderMove)


def test_a_host_that_is_full_by_others_counts_for_no_breaker() -> None:
    """Nothing of ours was there to be held back."""
    host = Host()
    for _ in range(5):
        host.look(violation(MEMORY, at_mono_s=host.now), has_load=False)
        host.now += 20.0
        host.look(is_clear=True, has_load=False)
        host.ask()
    assert host.state.breakers == all_closed()


class LadderAndBreakers(RuleBasedStateMachine):
    """Any order of violations, clear readings, waiting and asking."""

    def __init__(self) -> None:
        super().__init__()
        self.host = Host()
        self.asked = False

    @rule(resource=st.sampled_from(list(SETTINGS)), has_load=st.booleans())
    def violate(self, resource: Resource, *, has_load: bool) -> None:
        """A limit is passed."""
        before = self.host.state.share
        self.host.look(violation(resource, at_mono_s=self.host.now), has_load=has_load)
        assert self.host.state.share <= before, "a violation never lets more through"

    @rule(is_clear=st.booleans())
    def look(self, *, is_clear: bool) -> None:
        """Nothing is over."""
        before = self.host.state
        self.host.look(is_clear=is_clear)
        probing = any(breaker.step is BreakerStep.HALF_OPEN for breaker in before.breakers)
        assert self.host.state.share <= before.share or probing, "load returned without the supervisor's key"

    @rule(is_clear=st.booleans())
    def ask(self, *, is_clear: bool) -> None:
        """The supervisor's key."""
        before = self.host.state.share
        self.host.ask(is_clear=is_clear)
        assert is_clear or self.host.state.share == before, "load returned without clear readings"

    @rule(seconds=st.floats(min_value=0.05, max_value=400.0))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.host.now += seconds

    @invariant()
    def an_open_breaker_lets_nothing_through(self) -> None:
        """Whatever the rung is."""
        if any(breaker.step is BreakerStep.OPEN for breaker in self.host.state.breakers):
            assert self.host.state.share == 0.0

    @invariant()
    def full_load_needs_every_breaker_closed(self) -> None:
        """And the ladder clear."""
        if self.host.state.share == 1.0:
            assert self.host.state.rung is Rung.CLEAR

    @precondition(lambda self: self.host.moves)
    @invariant()
    def the_last_move_told_the_share(self) -> None:
        """What is reported is what holds."""
        assert self.host.moves[-1].share == self.host.state.share


LadderAndBreakers.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_any_course = LadderAndBreakers.TestCase
