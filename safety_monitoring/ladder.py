"""The guardian's ladder: ease, pause, stop the phase, stop the campaign; and the two keys of the way back.

Pure. Up goes the guardian alone, one rung per hold time and only on readings newer than the last rung; some violations
start higher, because what they threaten is faster than a ladder. While no load runs it goes no further than to pause:
what is over then is not ours, and there is nothing to stop. Down goes it in one step, and only when readings are
clear and the supervisor asks. The guardian climbs it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

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
    Our own memory past its limit, and disk below its reserve, pause: nothing more may be asked for, and there is time
    to see whether that is enough. Everything else begins by easing.
    """
    match violation.limit.resource, violation.kind:
        case Resource.MEMORY, ViolationKind.RESERVE:
            return Rung.STOP_PHASE
        case (Resource.DISK, ViolationKind.RESERVE) | (Resource.OWN_MEMORY, ViolationKind.PERCENT):
            return Rung.PAUSE
        case _:
            return Rung.EASE


def climb(
    state: LadderState, violations: Sequence[Violation], *, is_clear: bool, has_load: bool, now_mono_s: float
) -> tuple[LadderState, LadderMove | OfferReturn | NoMove]:
    """One look at the judgement: the next state, and what is to be done. Never returns a lower rung.

    has_load: a load process has load to make, permitted or not. Without one PAUSE is the top, unless a load was stopped already: readings that stay
    over after that end the campaign.
    """
    if violations:
        stopped_load = state.rung.value > Rung.PAUSE.value
        top = Rung.STOP_CAMPAIGN if has_load or stopped_load else Rung.PAUSE
        return _upwards(replace(state, return_offered=False), violations, now_mono_s, top=top)
    if not is_clear:
        return replace(state, return_offered=False), NoMove()
    if state.rung in (Rung.CLEAR, Rung.STOP_CAMPAIGN) or state.return_offered:
        return state, NoMove()
    return replace(state, return_offered=True), OfferReturn()


def give_back(state: LadderState, *, is_clear: bool, now_mono_s: float) -> tuple[LadderState, LadderMove | NoMove]:
    """The supervisor's key was turned: back to CLEAR if the readings are clear; never from STOP_CAMPAIGN."""
    if not is_clear or state.rung in (Rung.CLEAR, Rung.STOP_CAMPAIGN):
        return state, NoMove()
    why = "all readings are back inside their limits, and the supervisor asked"
    after = LadderState(rung=Rung.CLEAR, moved_mono_s=now_mono_s, return_offered=False)
    return after, LadderMove(rung=Rung.CLEAR, share=share_of(Rung.CLEAR), why=why)


def _upwards(
    state: LadderState, violations: Sequence[Violation], now_mono_s: float, *, top: Rung
) -> tuple[LadderState, LadderMove | NoMove]:
    if state.rung is top:
        return state, NoMove()
    highest = max(violations, key=lambda violation: entry_rung(violation).value)
    entry = min(entry_rung(highest), top, key=lambda rung: rung.value)
    if entry.value > state.rung.value:
        return _move(entry, highest, now_mono_s)
    for violation in violations:
        # A rung gets its hold time to work, and only readings taken afterwards can say that it did not.
        if violation.evidence_mono_s - state.moved_mono_s >= violation.limit.hold_s:
            return _move(Rung(state.rung.value + 1), violation, now_mono_s)
    return state, NoMove()


def _move(rung: Rung, violation: Violation, now_mono_s: float) -> tuple[LadderState, LadderMove]:
    after = LadderState(rung=rung, moved_mono_s=now_mono_s, return_offered=False)
    return after, LadderMove(rung=rung, share=share_of(rung), why=violation.text)
