"""The answer to "how much" when rates were searched: the searches' brackets and the phases' levels, brought together.

A search asks for arrivals at a rate, a phase for connections at a pace; at the same operations per second they are the same
load to the target, unless it queues. Where they agree, the highest load that passed and the lowest that failed on the
target's account are the bracket. Where one passed what another failed, the search's own bracket is shown beside the
phases', and the contradiction is named. Pure.
"""

from dataclasses import dataclass
from itertools import permutations
from typing import assert_never

from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from monitoring_logs.search_records import SearchRecord, SearchStep, StepState
from results_summary import wording
from results_summary.capacity import (
    AtLeast,
    Below,
    Between,
    Capacity,
    CapacityUnknown,
    LoadLevel,
    NoLevel,
    PhasesCapacity,
    Searched,
)
from results_summary.facts import Absent, SearchFacts

NO_LEVEL = NoLevel()

CONTRADICTIONS_NAMED_MAX = 3
"""More are not read; the tables hold all."""

_GAVE_WAY = frozenset({StepState.FAILED, StepState.EASED, StepState.GENERATOR})
"""What ends a rate for good; an unfinished one says nothing."""


def with_searches(phases: PhasesCapacity, searches: tuple[SearchFacts, ...], names: tuple[str, ...]) -> Capacity:
    """The phases' bracket alone when nothing was searched. names: of the phases, by index."""
    brackets = tuple(_bracket_of(search, names) for search in searches)
    if not brackets:
        return phases
    main = next((bracket for bracket in reversed(brackets) if bracket.decided), brackets[-1])
    passed, failed = _ends_of(phases)
    sources = [_Ends(who="the phases", passing=passed, failing=failed)]
    sources.extend(
        _Ends(who=f"the search in {item.where}", passing=item.passing, failing=item.failing) for item in brackets
    )
    contradictions = tuple(_contradictions(sources))
    passing, failing = main.passing, main.failing
    if not contradictions:
        passing = max((source.passing for source in sources), key=_height_of_passing)
        failing = min((source.failing for source in sources), key=_height_of_failing)
    return Searched(
        passing=passing,
        failing=failing,
        limited_by=main.limited_by,
        gave_way_per_s=main.gave_way_per_s,
        overshoot_percent=main.overshoot_percent,
        where=main.where,
        reason=main.reason,
        contradictions=contradictions,
        phases=phases,
    )


def search_words(found: Searched) -> str:
    """What the search found, in one sentence."""
    where = f"The search in {found.where}"
    if found.contradictions:
        return f"{where} and the rest of the night contradict each other: {found.contradictions[0]}."
    match found.passing, found.failing:
        case LoadLevel() as passing, LoadLevel() as failing:
            return f"{where}: the target carries {_per_s(passing)} and fails at {_per_s(failing)}{_overshoot(found)}."
        case LoadLevel() as passing, NoLevel():
            return f"{where}: at least {_per_s(passing)}; {limit_words(found)}."
        case NoLevel(), LoadLevel() as failing:
            return f"{where}: below {_per_s(failing)}, no rate passed."
        case _:
            return f"{where} found nothing: {found.reason or limit_words(found)}."


def limit_words(found: Searched) -> str:
    """Why no ceiling of the target was found."""
    at = f" at {wording.rate(found.gave_way_per_s.value)}" if isinstance(found.gave_way_per_s, Sample) else ""
    match found.limited_by:
        case StepState.FAILED:
            return "the target was the limit"
        case StepState.EASED:
            return f"not limited by the target: the guardian gave way first{at}"
        case StepState.GENERATOR:
            return f"not limited by the target: the generator gave way first{at}"
        case StepState.PASSED:
            return "nothing gave way up to the highest rate tried"
        case StepState.UNFINISHED:
            return "it ended before a higher rate was judged"
    assert_never(found.limited_by)


def overshoot_words(found: Searched) -> str:
    """How far the search went beyond what it was looking for; "" when it found no upper end."""
    match found.overshoot_percent:
        case Sample(value=percent) if percent < 0.5:  # would be written as 0 %
            return "no higher rate was tried"
        case Sample(value=percent):
            return f"the highest rate tried lay {percent:.0f} % beyond"
        case Gap():
            return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bracket:
    """One search. failing: only on the target's account."""

    passing: LoadLevel | NoLevel
    failing: LoadLevel | NoLevel
    limited_by: StepState
    gave_way_per_s: Reading
    overshoot_percent: Reading
    where: str
    reason: str

    @property
    def decided(self) -> bool:
        return isinstance(self.passing, LoadLevel) or isinstance(self.failing, LoadLevel)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ends:
    """Who saw which load pass, and which fail."""

    who: str
    passing: LoadLevel | NoLevel
    failing: LoadLevel | NoLevel


def _bracket_of(search: SearchFacts, names: tuple[str, ...]) -> _Bracket:
    where = names[search.phase] if 0 <= search.phase < len(names) else "an unknown phase"
    match search.record:
        case SearchRecord() as record:
            ends = _End(
                passing_per_s=record.passing_per_s, failing_per_s=record.failing_per_s, limited_by=record.limited_by
            )
            overshoot, reason, connections = record.overshoot_percent, record.reason, record.load.connections_requested
        case Absent(reason=reason):
            ends, overshoot, connections = _ends_of_steps(search.steps), _absent(reason), 0
    own_limit = ends.limited_by is StepState.FAILED
    return _Bracket(
        passing=_level(ends.passing_per_s, connections, where),
        failing=_level(ends.failing_per_s, connections, where) if own_limit else NO_LEVEL,
        limited_by=ends.limited_by,
        gave_way_per_s=_absent("the target was the limit") if own_limit else ends.failing_per_s,
        overshoot_percent=overshoot if own_limit else _absent("no upper end was found"),
        where=where,
        reason=reason,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    passing_per_s: Reading
    failing_per_s: Reading
    limited_by: StepState


def _ends_of_steps(steps: tuple[SearchStep, ...]) -> _End:
    """What the finished steps of a search without an end say."""
    gave_way = min(
        (step for step in steps if step.state in _GAVE_WAY), key=lambda step: step.operations_per_s, default=None
    )
    passed = [
        step.operations_per_s
        for step in steps
        if step.state is StepState.PASSED and (gave_way is None or step.operations_per_s < gave_way.operations_per_s)
    ]
    return _End(
        passing_per_s=Sample(value=max(passed)) if passed else _absent("no rate passed"),
        failing_per_s=Sample(value=gave_way.operations_per_s) if gave_way is not None else _absent("no rate failed"),
        limited_by=gave_way.state if gave_way is not None else StepState.UNFINISHED,
    )


def _ends_of(phases: PhasesCapacity) -> tuple[LoadLevel | NoLevel, LoadLevel | NoLevel]:
    match phases:
        case Between(passing=passing, failing=failing):
            return passing, failing
        case AtLeast(passing=passing):
            return passing, NO_LEVEL
        case Below(failing=failing):
            return NO_LEVEL, failing
        case CapacityUnknown():
            return NO_LEVEL, NO_LEVEL
    assert_never(phases)


def _contradictions(sources: list[_Ends]) -> list[str]:
    found = []
    for one, other in permutations(sources, 2):
        match one.passing, other.failing:
            case LoadLevel() as passing, LoadLevel() as failing if passing.operations_per_s >= failing.operations_per_s:
                found.append(
                    f"{_per_s(passing)} passed in {_in(one, passing)}, {_per_s(failing)} failed in {_in(other, failing)}"
                )
            case _:
                pass
    return found[:CONTRADICTIONS_NAMED_MAX]


def _in(source: _Ends, level: LoadLevel) -> str:
    return f"phase {level.phase}" if source.who == "the phases" else source.who


def _height_of_passing(level: LoadLevel | NoLevel) -> float:
    return level.operations_per_s if isinstance(level, LoadLevel) else -1.0


def _height_of_failing(level: LoadLevel | NoLevel) -> float:
    return level.operations_per_s if isinstance(level, LoadLevel) else float("inf")


def _level(per_s: Reading, connections: int, where: str) -> LoadLevel | NoLevel:
    match per_s:
        case Sample(value=value):
            return LoadLevel(operations_per_s=value, connections=connections, phase=where)
        case Gap():
            return NO_LEVEL


def _per_s(level: LoadLevel) -> str:
    return wording.rate(level.operations_per_s)


def _overshoot(found: Searched) -> str:
    words = overshoot_words(found)
    return f" ({words})" if words else ""


def _absent(detail: str) -> Gap:
    return Gap(reason=GapReason.ABSENT, detail=detail)
