"""How much load the target was seen to carry: a bracket of what was tested, with nothing read into the space between.

Phases are ordered by their requested load. An estimate between tested levels would be a model, not an observation, and
a phase that made no load, or whose pace the target set, tested no level: it is left out. A search's bracket goes before
that of the phases (see searched_capacity). Pure; the report's first tile comes from here.
"""

from dataclasses import dataclass

from baseline_metrics.samples import Reading
from monitoring_logs.search_records import StepState
from results_summary.findings import PhaseState, State


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadLevel:
    """A tested load: operations per second over all connections, and those connections; of a search, at most those."""

    operations_per_s: float
    connections: int
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoLevel:
    """No load was seen to do so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """Every tested load up to ``passing`` passes, ``failing`` is the lowest that fails.

    higher_passed: a load above the failing one passed, which makes the bracket doubtful.
    """

    passing: LoadLevel
    failing: LoadLevel
    higher_passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLeast:
    """Every tested load passes up to this one; the ceiling was not found. above_open: higher ones stayed undecided or did not run."""

    passing: LoadLevel
    above_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """Nothing below the lowest failing load was seen to pass."""

    failing: LoadLevel
    higher_passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityUnknown:
    """Nothing can be said, and why."""

    reason: str


PhasesCapacity = Between | AtLeast | Below | CapacityUnknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What the night's searches and its phases say together: the highest load that passes, the lowest that fails.

    limited_by: what the search ran into; gave_way_per_s: the rate at which the guardian or our own generator did, so that
    it says nothing about the target. overshoot_percent: how far the highest rate tried lay beyond the bracket.
    contradictions: loads that passed although a lower or equal one failed; then the bracket is that of the search alone.
    phases: what the phases alone say. where: the phase that the search followed.
    """

    passing: LoadLevel | NoLevel
    failing: LoadLevel | NoLevel
    limited_by: StepState
    gave_way_per_s: Reading
    overshoot_percent: Reading
    where: str
    reason: str
    contradictions: tuple[str, ...]
    phases: PhasesCapacity


Capacity = PhasesCapacity | Searched


def capacity(phases: tuple[PhaseState, ...]) -> PhasesCapacity:
    """The phases' bracket. Phases of the same load count as one level, which passes only if all of them do."""
    if not phases:
        return CapacityUnknown(reason="no phase was planned")
    phases = tuple(phase for phase in phases if phase.requested)
    highest_planned = max((phase.load_per_s for phase in phases), default=0.0)
    phases = tuple(phase for phase in phases if phase.ran)
    levels = sorted({phase.load_per_s for phase in phases})
    if not levels:
        return CapacityUnknown(reason="no phase made a load that was asked of it by number")
    states = {load: _level_state(tuple(p for p in phases if p.load_per_s == load)) for load in levels}
    passing: float | None = None
    for load in levels:
        if states[load] is not State.PASS:
            break
        passing = load
    failing = next((load for load in levels if states[load] is State.FAIL), None)
    if failing is None:
        if passing is None:
            return CapacityUnknown(reason="no tested load, from the lowest up, is known to pass or to fail")
        return AtLeast(passing=_level(phases, passing), above_open=passing < highest_planned)
    higher_passed = any(load > failing and states[load] is State.PASS for load in levels)
    if passing is None:
        return Below(failing=_level(phases, failing), higher_passed=higher_passed)
    return Between(passing=_level(phases, passing), failing=_level(phases, failing), higher_passed=higher_passed)


def _level_state(phases: tuple[PhaseState, ...]) -> State:
    states = {phase.state for phase in phases}
    if State.FAIL in states:
        return State.FAIL
    return State.PASS if states == {State.PASS} else State.UNKNOWN


def _level(phases: tuple[PhaseState, ...], load_per_s: float) -> LoadLevel:
    """The level's name and connections: of its first failing phase, else of its first."""
    members = tuple(phase for phase in phases if phase.load_per_s == load_per_s)
    phase = next((member for member in members if member.state is State.FAIL), members[0])
    return LoadLevel(operations_per_s=load_per_s, connections=phase.connections, phase=phase.name)
