"""The ladder: one rung at a time upwards, alone; all the way down, with two keys."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety_monitoring.judge import Violation, ViolationKind
from safety_monitoring.ladder import (
    LadderMove,
    LadderState,
    NoMove,
    OfferReturn,
    climb,
    entry_rung,
    give_back,
    share_of,
)
from safety_monitoring.limits import Limit, Resource, Rung


def violation(
    resource: Resource = Resource.CPU, kind: ViolationKind = ViolationKind.PERCENT, *, evidence: float = 1000.0
) -> Violation:
    """A violation with a hold time of 10 s."""
    limit = Limit(
        resource=resource,
        percent_max=80.0,
        free_min=1,
        hold_s=10.0,
        clear_margin_percent=5.0,
        clear_hold_s=10.0,
    )
    return Violation(limit=limit, kind=kind, since_mono_s=0.0, evidence_mono_s=evidence, text=f"{resource.value} over")


def at(rung: Rung, *, moved: float = 1000.0, offered: bool = False) -> LadderState:
    """A state on a rung."""
    return LadderState(rung=rung, moved_mono_s=moved, return_offered=offered)


def test_the_first_answer_is_to_ease() -> None:
    """A sustained violation halves the load at once."""
    after, move = climb(at(Rung.CLEAR), [violation()], is_clear=False, has_load=True, now_mono_s=1000.0)
    assert replace(after, breakers=at(Rung.EASE).breakers) == at(Rung.EASE)
    assert move == LadderMove(rung=Rung.EASE, share=0.5, why="cpu over")


@pytest.mark.parametrize(("evidence", "moves"), [(1009.999, False), (1010.0, True), (1010.001, True)])
@pytest.mark.parametrize("rung", [Rung.EASE, Rung.PAUSE, Rung.STOP_PHASE])
def test_the_next_rung_waits_for_newer_evidence(rung: Rung, evidence: float, *, moves: bool) -> None:
    """A rung gets its hold time; then readings that are newer than that decide."""
    after, move = climb(at(rung), [violation(evidence=evidence)], is_clear=False, has_load=True, now_mono_s=2000.0)
    assert isinstance(move, LadderMove) is moves
    assert after.rung.value == rung.value + (1 if moves else 0)


def test_the_top_is_the_top() -> None:
    """STOP_CAMPAIGN stays, whatever comes, and no return is offered from it."""
    top = at(Rung.STOP_CAMPAIGN)
    assert climb(top, [violation(evidence=9999.0)], is_clear=False, has_load=True, now_mono_s=9999.0) == (top, NoMove())
    assert climb(top, [], is_clear=True, has_load=True, now_mono_s=9999.0) == (top, NoMove())
    assert give_back(top, is_clear=True, now_mono_s=9999.0) == (top, NoMove())


def test_without_load_nothing_is_stopped() -> None:
    """A foreign hog while nothing of ours loads walks the ladder to its second rung, and never further."""
    state, now = at(Rung.CLEAR), 1000.0
    for _ in range(100):
        now += 10.0
        state, _ = climb(state, [violation(evidence=now)], is_clear=False, has_load=False, now_mono_s=now)
    assert state.rung is Rung.PAUSE
    reserve = violation(Resource.MEMORY, ViolationKind.RESERVE, evidence=now)
    state, move = climb(at(Rung.CLEAR), [reserve], is_clear=False, has_load=False, now_mono_s=now)
    assert isinstance(move, LadderMove)
    assert move.rung is Rung.PAUSE
    _, move = climb(state, [reserve], is_clear=False, has_load=True, now_mono_s=now)
    assert isinstance(move, LadderMove)
    assert move.rung is Rung.STOP_PHASE, "as soon as there is load, it is stopped"


def test_what_a_stopped_phase_did_not_mend_stops_the_campaign() -> None:
    """Load was taken away for it, so it is our matter: the last rung needs no load."""
    after, _ = climb(
        at(Rung.STOP_PHASE), [violation(evidence=1010.0)], is_clear=False, has_load=False, now_mono_s=1010.0
    )
    assert after.rung is Rung.STOP_CAMPAIGN


@pytest.mark.parametrize(
    ("resource", "kind", "rung"),
    [
        (Resource.MEMORY, ViolationKind.RESERVE, Rung.STOP_PHASE),
        (Resource.MEMORY, ViolationKind.PERCENT, Rung.EASE),
        (Resource.MEMORY, ViolationKind.UNKNOWN, Rung.EASE),
        (Resource.OWN_MEMORY, ViolationKind.PERCENT, Rung.PAUSE),
        (Resource.DISK, ViolationKind.RESERVE, Rung.PAUSE),
        (Resource.DISK, ViolationKind.PERCENT, Rung.EASE),
        (Resource.INODES, ViolationKind.RESERVE, Rung.PAUSE),
        (Resource.INODES, ViolationKind.PERCENT, Rung.EASE),
        (Resource.BATTERY, ViolationKind.PERCENT, Rung.EASE),
        (Resource.CPU, ViolationKind.PERCENT, Rung.EASE),
        (Resource.OWN_CPU, ViolationKind.PERCENT, Rung.EASE),
    ],
)
def test_what_kills_fast_starts_high(resource: Resource, kind: ViolationKind, rung: Rung) -> None:
    """The first answer depends on how fast the violation can end the host."""
    found = violation(resource, kind)
    assert entry_rung(found) is rung
    _, move = climb(at(Rung.CLEAR), [violation(), found], is_clear=False, has_load=True, now_mono_s=1000.0)
    assert isinstance(move, LadderMove)
    assert move.rung is rung


def test_a_faster_danger_does_not_wait_for_the_slower_one() -> None:
    """On a low rung, a violation with a higher entry moves at once."""
    _, move = climb(
        at(Rung.EASE),
        [violation(Resource.MEMORY, ViolationKind.RESERVE)],
        is_clear=False,
        has_load=True,
        now_mono_s=1000.0,
    )
    assert isinstance(move, LadderMove)
    assert move.rung is Rung.STOP_PHASE


@pytest.mark.parametrize("rung", [Rung.EASE, Rung.PAUSE, Rung.STOP_PHASE])
def test_load_returns_with_two_keys(rung: Rung) -> None:
    """Clear readings are said once; the supervisor's question brings the load back, to its full share."""
    offered, answer = climb(at(rung), [], is_clear=True, has_load=True, now_mono_s=1000.0)
    assert answer == OfferReturn()
    assert climb(offered, [], is_clear=True, has_load=True, now_mono_s=1000.0) == (offered, NoMove())
    after, move = give_back(offered, is_clear=True, now_mono_s=1001.0)
    assert after == at(Rung.CLEAR, moved=1001.0)
    assert isinstance(move, LadderMove)
    assert (move.rung, move.share) == (Rung.CLEAR, 1.0)


@pytest.mark.parametrize("rung", list(Rung))
def test_asking_alone_moves_nothing(rung: Rung) -> None:
    """While readings are not clear, the supervisor asks in vain."""
    assert give_back(at(rung), is_clear=False, now_mono_s=1000.0) == (at(rung), NoMove())


def test_a_relapse_takes_the_offer_back() -> None:
    """If readings leave the clear range before the supervisor asks, the offer is made anew later."""
    state, _ = climb(at(Rung.EASE), [], is_clear=True, has_load=True, now_mono_s=1000.0)
    state, _ = climb(state, [], is_clear=False, has_load=True, now_mono_s=1001.0)
    _, answer = climb(state, [], is_clear=True, has_load=True, now_mono_s=1020.0)
    assert answer == OfferReturn()


def test_shares_fall_with_the_rungs() -> None:
    """Full, half, and nothing from PAUSE on."""
    assert [share_of(rung) for rung in Rung] == [1.0, 0.5, 0.0, 0.0, 0.0]


@given(
    rung=st.sampled_from(list(Rung)),
    looks=st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.floats(0.0, 30.0)), max_size=30),
)
def test_no_look_ever_lowers_the_rung(rung: Rung, looks: list[tuple[bool, bool, bool, float]]) -> None:
    """Whatever is read, in whatever order, only the supervisor's question brings load back."""
    state = at(rung)
    now = 1000.0
    for violated, is_clear, has_load, passed in looks:
        now += passed
        found = [violation(evidence=now)] if violated else []
        after, _ = climb(state, found, is_clear=is_clear and not violated, has_load=has_load, now_mono_s=now)
        assert after.rung.value >= state.rung.value
        state = after
