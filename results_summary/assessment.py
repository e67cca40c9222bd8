"""The whole judgement of one record: answers, phases, capacity, verdict, and how the night ended.

This is the one place where facts become findings; every format of the report is made from its result.
Pure; the reporter and the command line use it.
"""

from dataclasses import dataclass, replace

from monitoring_logs.records import CampaignEnd, EndCause, Meta, QuietFact
from results_summary.capacity import Capacity, CapacityUnknown, Searched, capacity
from results_summary.checks import check
from results_summary.facts import Absent, Facts, LastAlive
from results_summary.findings import GateResult, PhaseState
from results_summary.gates import gates_sha256
from results_summary.measures import SegmentMeasure, measure
from results_summary.searched_capacity import search_words, with_searches
from results_summary.verdict import Judgement, Verdict, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """Facts and what follows from them. end: as recorded, or, when nobody could record it, as the record's last sign of life.

    end_recorded: whether the campaign itself told its end.
    """

    facts: Facts
    results: tuple[GateResult, ...]
    phases: tuple[PhaseState, ...]
    measures: dict[int, SegmentMeasure]
    capacity: Capacity
    judgement: Judgement
    end: CampaignEnd
    end_recorded: bool


def assess(facts: Facts) -> Assessment:
    """Judge the record. Never raises for missing evidence: that is INCONCLUSIVE, with the reason."""
    end = facts.end if not isinstance(facts.end, Absent) else last_sign_of_life(facts, facts.end)
    match facts.meta:
        case Absent(reason=reason):
            return _undecided(facts, end, f"What was planned is not known, so nothing can be judged: {reason}.")
        case Meta() as meta if gates_sha256(meta.order.gates) != meta.order.gates_sha256:
            return _undecided(
                facts,
                end,
                "The gates in the record are not those that were fixed before the night: their hash differs.",
            )
        case Meta() as meta:
            checked = check(facts, meta)
            names = tuple(order.name for order in meta.order.phases)
            found = with_searches(capacity(checked.phases), facts.searches, names)
            return Assessment(
                facts=facts,
                results=checked.results,
                phases=checked.phases,
                measures=checked.measures,
                capacity=found,
                judgement=_with_answer(judge(checked.results, checked.phases, checked.operations), found),
                end=end,
                end_recorded=not isinstance(facts.end, Absent),
            )


def last_sign_of_life(facts: Facts, absent: Absent) -> CampaignEnd:
    """The end of a night that nobody could write down: when its record falls silent, the supervisor is taken for lost."""
    mono_s, utc_s = 0.0, 0.0
    match facts.last_alive, facts.meta:
        case LastAlive(at_mono_s=mono_s, at_utc_s=utc_s), _:
            pass
        case _, Meta() as meta:
            utc_s = meta.order.planned_start_utc_s
        case _:
            pass
    return CampaignEnd(
        cause=EndCause.SUPERVISOR_LOST,
        detail=f"no end is in the record ({absent.reason}); this is its last sign of life",
        ended_mono_s=mono_s,
        ended_utc_s=utc_s,
        stop_seconds=-1.0,
        quiet=QuietFact(processes_left=(), checks=(), seconds=0.0),
    )


def _with_answer(judgement: Judgement, found: Capacity) -> Judgement:
    """The sentence says what the search found: it was asked how much the target carries, whatever the verdict."""
    if not isinstance(found, Searched):
        return judgement
    return replace(judgement, why=f"{judgement.why} {search_words(found)}")


def _undecided(facts: Facts, end: CampaignEnd, why: str) -> Assessment:
    return Assessment(
        facts=facts,
        results=(),
        phases=(),
        measures={segment.record.segment: measure(segment) for segment in facts.segments},
        capacity=CapacityUnknown(reason="nothing was judged"),
        judgement=Judgement(verdict=Verdict.INCONCLUSIVE, why=why, decided_by=()),
        end=end,
        end_recorded=not isinstance(facts.end, Absent),
    )
