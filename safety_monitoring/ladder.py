"""The guardian's ladder: ease, pause, stop the phase, stop the campaign; and the two keys of the way back.

Pure. Up goes the guardian alone, one rung per hold time and only on readings newer than the last rung; some violations
start higher, because what they threaten is faster than a ladder. While no load runs it goes no further than to pause:
what is over then is not ours, and there is nothing to stop. Down goes it in one step, and only when readings are
clear and the supervisor asks; where the same limit was violated too often, its breaker (see breakers) holds the load back
for longer, and then lets a small share probe first. The guardian climbs it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from safety_monitoring.breakers import (
    PROBE_SHARE,
    Breaker,
    BreakerStep,
    all_closed,
    closed,
    holds_back,
    interrupted,
    is_probing,
    probed,
    returned,
    share_of_breakers,
    violated,
)
from safety_monitoring.judge import Violation, ViolationKind
from safety_monitoring.limits import Resource, Rung

EASE_SHARE = 0.5
"""Half the load: clearly less, and still enough for a phase to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderState:
    """Where the guardian stands. return_offered: ReadingsClear was said since the readings became clear."""

    rung: Rung
    moved_mono_s: float
    return_offered: bool
    breakers: tuple[Breaker, ...] = field(default_factory=all_closed)

    @property
    def share(self) -> float:
        """The permitted share of load, 0..1: what the rung allows, and what every breaker lets through."""
        return min(share_of(self.rung), share_of_breakers(self.breakers))


@dataclass(frozen=True, slots=True, kw_only=True)
class NoMove:
    """The rung stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferReturn:
    """The rung stays, and the supervisor is told, once, that the readings are clear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderMove:
    """The rung changed. share: permitted share of load from now on, 0..1."""

    rung: Rung
    share: float
    why: str


def share_of(rung: Rung) -> float:
    """The permitted share of load on a rung, 0..1."""
    match rung:
        case Rung.CLEAR:
            return 1.0
        case Rung.EASE:
            return EASE_SHARE
        case Rung.PAUSE | Rung.STOP_PHASE | Rung.STOP_CAMPAIGN:
            return 0.0
        case _:
            assert_never(rung)


def entry_rung(violation: Violation) -> Rung:
    """The rung at which the answer to a violation begins.

    Memory below its reserve stops the phase: a paused worker keeps its memory, and the kernel kills within a second.
    Our own memory past its limit, and a disk below its reserve of bytes or inodes, pause: nothing more may be asked for, and there is time
    to see whether that is enough. Everything else begins by easing.
    """
    match violation.limit.resource, violation.kind:
        case Resource.MEMORY, ViolationKind.RESERVE:
            return Rung.STOP_PHASE
        case ((Resource.DISK | Resource.INODES), ViolationKind.RESERVE) | (Resource.OWN_MEMORY, ViolationKind.PERCENT):
            return Rung.PAUSE
        case _:
            return Rung.EASE


def climb(
    state: LadderState, violations: Sequence[Violation], *, is_clear: bool, has_load: bool, now_mono_s: float
) -> tuple[LadderState, LadderMove | OfferReturn | NoMove]:
    """One look at the judgement: the next state, and what is to be done. A lower rung only at the end of a probe.

    has_load: a load process has load to make, permitted or not. Without one PAUSE is the top, unless a load was stopped already: readings that stay
    over after that end the campaign.
    """
    if violations:
        stopped_load = state.rung.value > Rung.PAUSE.value
        top = Rung.STOP_CAMPAIGN if has_load or stopped_load else Rung.PAUSE
        begins = state.rung is Rung.CLEAR or is_probing(state.breakers)
        state = replace(state, return_offered=False)
        if begins and has_load:
            return _begin(state, violations, now_mono_s, top=top)
        if begins and is_probing(state.breakers):
            breakers = tuple(interrupted(breaker, now_mono_s) for breaker in state.breakers)
            return _moved(
                state, Rung.PAUSE, f"{violations[0].text}; the probe is given up", now_mono_s, breakers=breakers
            )
        return _upwards(state, violations, now_mono_s, top=top)
    if is_probing(state.breakers):
        return _probe(state, now_mono_s)
    if not is_clear or holds_back(state.breakers, now_mono_s):
        return replace(state, return_offered=False), NoMove()
    if state.rung in (Rung.CLEAR, Rung.STOP_CAMPAIGN) or state.return_offered:
        return state, NoMove()
    return replace(state, return_offered=True), OfferReturn()


def give_back(state: LadderState, *, is_clear: bool, now_mono_s: float) -> tuple[LadderState, LadderMove | NoMove]:
    """The supervisor's key was turned: back to CLEAR if the readings are clear; never from STOP_CAMPAIGN.

    An open breaker gives nothing back before its time is over, and then first a share that probes. Load that was stopped
    leaves nothing to probe with.
    """
    if not is_clear or state.rung in (Rung.CLEAR, Rung.STOP_CAMPAIGN):
        return state, NoMove()
    if is_probing(state.breakers) or holds_back(state.breakers, now_mono_s):
        return state, NoMove()
    why = "all readings are back inside their limits, and the supervisor asked"
    breakers = tuple(returned(breaker, now_mono_s) for breaker in state.breakers)
    if state.rung is Rung.STOP_PHASE:
        breakers = tuple(
            before if after is before else closed(before.resource)
            for before, after in zip(state.breakers, breakers, strict=True)
        )
    if is_probing(breakers):
        why += f"; {PROBE_SHARE:.0%} of the load probe first"
        return _moved(state, Rung.EASE, why, now_mono_s, breakers=breakers)
    return _moved(state, Rung.CLEAR, why, now_mono_s, breakers=breakers)


def _begin(
    state: LadderState, violations: Sequence[Violation], now_mono_s: float, *, top: Rung
) -> tuple[LadderState, LadderMove]:
    """A violation by load of ours begins: its rung, or no load at all where its breaker opens."""
    over = {violation.limit.resource for violation in violations}
    breakers = tuple(
        violated(breaker, now_mono_s) if breaker.resource in over else breaker for breaker in state.breakers
    )
    highest = max(violations, key=lambda violation: entry_rung(violation).value)
    rung, why = entry_rung(highest), highest.text
    opened = [breaker for breaker in breakers if breaker.step is BreakerStep.OPEN]
    if opened:
        rung = max(rung, Rung.PAUSE, key=lambda one: one.value)
        names = ", ".join(breaker.resource.value for breaker in opened)
        why += f"; again: the breaker of {names} holds all load back for {opened[0].open_s:g} s"
    rung = min(max(rung, state.rung, key=lambda one: one.value), top, key=lambda one: one.value)
    return _moved(state, rung, why, now_mono_s, breakers=breakers)


def _probe(state: LadderState, now_mono_s: float) -> tuple[LadderState, LadderMove | NoMove]:
    """A share probes, and nothing is violated: the whole load returns when its time is over, the keys were turned before."""
    breakers = tuple(probed(breaker, now_mono_s) for breaker in state.breakers)
    if is_probing(breakers):
        return replace(state, breakers=breakers), NoMove()
    return _moved(state, Rung.CLEAR, "the probe met no violation", now_mono_s, breakers=breakers)


def _moved(
    state: LadderState, rung: Rung, why: str, now_mono_s: float, *, breakers: tuple[Breaker, ...]
) -> tuple[LadderState, LadderMove]:
    after = replace(state, rung=rung, moved_mono_s=now_mono_s, return_offered=False, breakers=breakers)
    return after, LadderMove(rung=rung, share=after.share, why=why)


def _upwards(
    state: LadderState, violations: Sequence[Violation], now_mono_s: float, *, top: Rung
) -> tuple[LadderState, LadderMove | NoMove]:
    if state.rung is top:
        return state, NoMove()
    highest = max(violations, key=lambda violation: entry_rung(violation).value)
    entry = min(entry_rung(highest), top, key=lambda rung: rung.value)
    if entry.value > state.rung.value:
        return _move(state, entry, highest, now_mono_s)
    for violation in violations:
        # A rung gets its time to work, and only readings taken afterwards can say that it did not.
        if violation.evidence_mono_s - state.moved_mono_s >= violation.limit.rung_s:
            return _move(state, Rung(state.rung.value + 1), violation, now_mono_s)
    return state, NoMove()


def _move(state: LadderState, rung: Rung, violation: Violation, now_mono_s: float) -> tuple[LadderState, LadderMove]:
    return _moved(state, rung, violation.text, now_mono_s, breakers=state.breakers)
