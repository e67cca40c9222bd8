"""Capacity and searches for machines: what the phases say, what each search tried, and what both say together.

Additive to the documents of nights without a search. Pure; documents uses it.
"""

from typing import assert_never

from baseline_metrics.codec import Json
from baseline_metrics.samples import Gap, Reading, Sample
from monitoring_logs.records import LoadFacts
from monitoring_logs.search_records import SearchRecord, SearchStep, StepState
from results_summary.assessment import Assessment
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
from results_summary.cleaning import clean
from results_summary.facts import SearchFacts

_LIMITS: dict[StepState, str] = {
    StepState.PASSED: "highest_rate_tried",
    StepState.FAILED: "target",
    StepState.EASED: "guardian",
    StepState.GENERATOR: "generator",
    StepState.UNFINISHED: "time",
}


def capacity_document(found: Capacity) -> Json:
    """The answer to "how much". kind "contradictory": see contradictions, and by_phases beside the search's own bracket."""
    if not isinstance(found, Searched):
        return _bracket(found) | {"found_by": "phases"}
    passing, failing = _level(found.passing), _level(found.failing)
    doubtful = isinstance(found.phases, Between | Below) and found.phases.higher_passed
    return {
        "found_by": "search",
        "kind": _kind(found),
        "highest_passing": passing,
        "lowest_failing": failing,
        "higher_load_passed": doubtful or bool(found.contradictions),
        "limited_by": _LIMITS[found.limited_by],
        "gave_way_per_s": _reading(found.gave_way_per_s),
        "overshoot_percent": _reading(found.overshoot_percent),
        "contradictions": [clean(words) for words in found.contradictions],
        "by_phases": _bracket(found.phases),
    }


def search_documents(assessment: Assessment) -> Json:
    """Every search of the night with its steps."""
    names = {phase.index: phase.name for phase in assessment.phases}
    return [_search(search, names.get(search.phase, "")) for search in assessment.facts.searches]


def load_document(load: LoadFacts) -> dict[str, Json]:
    """Asked against achieved."""
    return {
        "connections_requested": load.connections_requested,
        "connections_peak": load.connections_peak,
        "connections_opened": load.connections_opened,
        "operations_requested": load.operations_requested,
        "operations_started": load.operations_started,
        "operations_succeeded": load.operations_succeeded,
        "operations_failed": load.operations_failed,
        "operations_abandoned": load.operations_abandoned,
        "operations_dropped": load.operations_dropped,
        "hold_s_requested": load.hold_s_requested,
        "hold_s_achieved": load.hold_s_achieved,
        "bytes_received": load.bytes_received,
        "bytes_sent": load.bytes_sent,
        "messages_sent": load.messages_sent,
        "messages_received": load.messages_received,
        "reconnects": load.reconnects,
        "redirects": load.redirects,
    }


def _search(search: SearchFacts, name: str) -> Json:
    document: dict[str, Json] = {
        "phase": search.phase + 1 if search.phase >= 0 else None,
        "name": clean(name),
        "complete": False,
        "reason": "",
        "passing_per_s": None,
        "failing_per_s": None,
        "limited_by": None,
        "overshoot_percent": None,
        "held_s": 0.0,
        "achieved": None,
        "steps": [_step(step) for step in search.steps],
    }
    match search.record:
        case SearchRecord() as record:
            document |= {
                "complete": record.complete,
                "reason": clean(record.reason),
                "passing_per_s": _reading(record.passing_per_s),
                "failing_per_s": _reading(record.failing_per_s),
                "limited_by": _LIMITS[record.limited_by],
                "overshoot_percent": _reading(record.overshoot_percent),
                "held_s": record.held_s,
                "achieved": load_document(record.load),
            }
        case absent:
            document["reason"] = clean(absent.reason)
    return document


def _step(step: SearchStep) -> Json:
    return {
        "number": step.step + 1,
        "operations_per_s": step.operations_per_s,
        "lasted_s": max(0.0, step.end_mono_s - step.start_mono_s),
        "operations_due": step.operations_due,
        "operations_started": step.operations_started,
        "operations_dropped": step.operations_dropped,
        "operations_succeeded": step.succeeded,
        "operations_failed": step.failed,
        "response_s_mean": _reading(step.response_s_mean),
        "response_s_p99": _reading(step.response_s_p99),
        "state": step.state.value,
        "reason": clean(step.reason),
    }


def _kind(found: Searched) -> str:
    if found.contradictions:
        return "contradictory"
    match found.passing, found.failing:
        case LoadLevel(), LoadLevel():
            return "between"
        case LoadLevel(), NoLevel():
            return "at_least"
        case NoLevel(), LoadLevel():
            return "below"
        case _:
            return "unknown"


def _bracket(found: PhasesCapacity) -> dict[str, Json]:
    match found:
        case Between(passing=passing, failing=failing, higher_passed=higher_passed):
            return _answer("between", passing=_level(passing), failing=_level(failing), doubtful=higher_passed)
        case AtLeast(passing=passing):
            return _answer("at_least", passing=_level(passing), failing=None, doubtful=False)
        case Below(failing=failing, higher_passed=higher_passed):
            return _answer("below", passing=None, failing=_level(failing), doubtful=higher_passed)
        case CapacityUnknown():
            return _answer("unknown", passing=None, failing=None, doubtful=False)
    assert_never(found)


def _answer(kind: str, *, passing: Json, failing: Json, doubtful: bool) -> dict[str, Json]:
    return {"kind": kind, "highest_passing": passing, "lowest_failing": failing, "higher_load_passed": doubtful}


def _level(level: LoadLevel | NoLevel) -> Json:
    match level:
        case LoadLevel():
            return {
                "operations_per_s": level.operations_per_s,
                "connections": level.connections,
                "phase": clean(level.phase),
            }
        case NoLevel():
            return None
    assert_never(level)


def _reading(reading: Reading) -> Json:
    match reading:
        case Sample(value=value):
            return value
        case Gap():
            return None
