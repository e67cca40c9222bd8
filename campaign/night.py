"""The machine's state and its numbers: every state's deadline, every allowance of time, with the reason for each.

Pure. Only the machine makes a Night; supervisor and simulator read it.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from baseline_metrics.health import Score, UnknownScore
from campaign.events import LoadKind
from monitoring_logs.load_orders import NoSearch
from monitoring_logs.records import EndCause, NightOrder, Outcome, PhaseOrder
from safety_monitoring.limits import Rung


class State(Enum):
    """Where the night stands."""

    PREPARING = "PREPARING"
    DRILLING = "DRILLING"
    BASELINING = "BASELINING"
    ANCHOR = "ANCHOR"
    ARMING = "ARMING"
    RAMPING = "RAMPING"
    HOLDING = "HOLDING"
    EASED = "EASED"
    PAUSED = "PAUSED"
    HELD = "HELD"  # paused by a person: the load's clock stands still, or workers that are ready wait to begin
    RELEASING = "RELEASING"
    SEARCHING = "SEARCHING"
    COOLING = "COOLING"
    STOPPING = "STOPPING"
    CONCLUDING = "CONCLUDING"
    DONE = "DONE"
    STOPPED = "STOPPED"


class LoadStep(Enum):
    """Where the load of the current anchor or phase stands."""

    NONE = "none"
    PREPARING = "preparing"  # workers come up and get watched
    READY = "ready"  # they are, but a person has paused: nothing was started yet
    RUNNING = "running"
    DRAINING = "draining"  # nothing new is started
    ENDING = "ending"  # taken away at once
    SCORING = "scoring"  # zero; its measurements are being looked at


TERMINAL = frozenset({State.DONE, State.STOPPED})
LOADED = frozenset({State.RAMPING, State.HOLDING, State.EASED, State.PAUSED})
OWN_STATE = {LoadKind.ANCHOR: State.ANCHOR, LoadKind.SEARCH: State.SEARCHING}
"""Loads that go through all their steps in one state; a phase has a state for each."""
OWN_STATES = frozenset(OWN_STATE.values())
IN_PHASE = LOADED | {State.ARMING, State.RELEASING}
WAITING = frozenset({State.BASELINING, State.COOLING})
"""States that wait for the right moment to begin the next load."""
LIVE = frozenset(State) - TERMINAL - {State.STOPPING, State.CONCLUDING}


@dataclass(frozen=True, slots=True, kw_only=True)
class NotEnding:
    """The night goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why the night ends."""

    cause: EndCause
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOutcome:
    """The phase's load ends in the ordinary way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingOutcome:
    """The phase's load was cut off; this is what its record will say once the load is zero."""

    outcome: Outcome
    reason: str


PREPARING_S_MAX = 60.0  # guardian start-up takes about 0.3 s; a minute means that it will not come
DRILLING_S_MAX = 60.0  # four paths of at most 1.5 s each, and their worker's start-up
ARMING_S_MAX = 60.0  # workers import their engine in about 0.5 s on an idle machine
LOAD_SLACK_S = 30.0  # workers end a load by their own clock; this late means that they hang
SCORING_S_MAX = 30.0
ENDING_S_MAX = 5.0  # the kill path repeats until quiet for at most 5 s
ORDERLY_RELEASE_S = 1.5  # an orderly stop has its load off within 2 s: what has not drained by now is ended
STOPPING_S_MAX = 10.0
COOLING_BLOCKED_S_MAX = 1800.0  # half an hour outside the guardian's limits without load: the host is not ours to use
CONCLUDING_S_MAX = 180.0  # the reporter is started again once after a failure, 60 s each
START_LEAD_S = 0.25  # from the decision to the common start: two synced journal lines and a message, on a slow disk too

HOLD_SHARE_MIN = 0.5
"""A phase that is late runs shortened down to this share of its planned hold; below it, it is NOT_REACHED."""

HELD_S_MAX = 3600.0
"""A person's pauses of one load under way, in all. Longer, and its parts are not one measurement any more (the host's other
work has changed); workers and their connections are not kept for ever either. Without load a pause may last to the
window's end: waiting harms nobody, and load does not come back by itself while somebody relies on the pause."""

HELD_LAG_S_MAX = 1.0
"""Workers freeze and continue when the word reaches them, so a load that was paused may end by its own clock this much
before or after the machine's."""

ARMING_S_EXPECTED = 1.0
DRAIN_S_EXPECTED = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """The machine's whole state. Times are CLOCK_MONOTONIC seconds; infinity means that no timer runs.

    timer: the planned next step of this state. deadline: by when this state must have been left; every state has one.
    phase: index of the current phase, or of the one that the anchor precedes; -1 for the last anchor or none.
    held: a person has paused; no load starts or goes on until they say so. held_since: when the current load's clock was
    stopped (infinity: it runs). held_s: for how long it has stood still before. cut_short: a pause has left less time than
    was asked for, so that the load has to be released by us before its workers' own end.
    """

    order: NightOrder
    drain_s: float
    state: State
    entered_mono_s: float
    timer_mono_s: float
    deadline_mono_s: float
    end_by_mono_s: float
    drilled: bool
    phases_allowed: int
    phase: int
    load: LoadStep
    load_kind: LoadKind
    start_mono_s: float
    hold_s: float
    pending: NoOutcome | PendingOutcome
    retried: bool
    score: Score
    baseline_scored: bool
    rung: Rung
    eased: bool
    failures: int
    records: tuple[tuple[int, Outcome], ...]
    end: NotEnding | Ending
    latched: bool
    held: bool
    held_since_mono_s: float
    held_s: float
    cut_short: bool

    @property
    def recorded(self) -> frozenset[int]:
        """Indexes of the phases that have their record."""
        return frozenset(index for index, _ in self.records)

    @property
    def current(self) -> PhaseOrder:
        """The current phase's order."""
        return self.order.phases[self.phase]

    @property
    def anchor_s(self) -> float:
        """How long one anchor's load lasts."""
        return self.order.anchor.ramp_s + self.order.anchor.hold_s

    @property
    def ramp_s(self) -> float:
        """How long the current load's ramp is."""
        match self.load_kind:
            case LoadKind.ANCHOR:
                return self.order.anchor.ramp_s
            case LoadKind.PHASE:
                return self.current.ramp_s
            case LoadKind.SEARCH:
                return 0.0
        assert_never(self.load_kind)

    @property
    def hold_s_planned(self) -> float:
        """How long the plan wants the current load to be held."""
        match self.load_kind:
            case LoadKind.ANCHOR:
                return self.order.anchor.hold_s
            case LoadKind.PHASE:
                return self.current.hold_s
            case LoadKind.SEARCH:
                assert not isinstance(self.current.search, NoSearch)
                return self.current.search.lasts_s
        assert_never(self.load_kind)

    @property
    def load_end_mono_s(self) -> float:
        """When the current load's last intended start lies behind us."""
        return self.start_mono_s + self.ramp_s + self.hold_s

    @property
    def load_over_mono_s(self) -> float:
        """When the machine takes the current load for over: after a pause, before the workers' own clocks can end it."""
        return self.load_end_mono_s - (HELD_LAG_S_MAX if self.held_s > 0.0 else 0.0)

    @property
    def ramp_end_mono_s(self) -> float:
        """When the current phase's ramp is over."""
        return self.start_mono_s + self.current.ramp_s

    def held_s_until(self, at_mono_s: float) -> float:
        """For how long the current load's clock has stood still by then."""
        return self.held_s + max(0.0, at_mono_s - self.held_since_mono_s)


def first_night(order: NightOrder, *, drain_s: float, at_mono_s: float, end_by_mono_s: float) -> Night:
    """A night before its first event."""
    return Night(
        order=order,
        drain_s=drain_s,
        state=State.PREPARING,
        entered_mono_s=at_mono_s,
        timer_mono_s=math.inf,
        deadline_mono_s=at_mono_s + PREPARING_S_MAX,
        end_by_mono_s=end_by_mono_s,
        drilled=False,
        phases_allowed=0,
        phase=-1,
        load=LoadStep.NONE,
        load_kind=LoadKind.ANCHOR,
        start_mono_s=at_mono_s,
        hold_s=0.0,
        pending=NoOutcome(),
        retried=False,
        score=UnknownScore(reason="nothing was measured yet"),
        baseline_scored=False,
        rung=Rung.CLEAR,
        eased=False,
        failures=0,
        records=(),
        end=NotEnding(),
        latched=False,
        held=False,
        held_since_mono_s=math.inf,
        held_s=0.0,
        cut_short=False,
    )
