"""Every gate of the night answered from the record alone: PASS, FAIL, UNKNOWN or NOT JUDGED.

No evidence is UNKNOWN, never PASS. The supervisor's steering decisions are not asked; they were made in a hurry, with
less. Pure; can be run at any time over any record, and gives the same answers.
"""

from dataclasses import dataclass
from typing import assert_never

from monitoring_logs.records import GateKind, GateSpec, Meta, NotJudged, Outcome, PhaseOrder
from results_summary.accounts import Account, account_of
from results_summary.anchor_drift import no_anchor_drift
from results_summary.campaign_checks import (
    baseline_health,
    no_guardian_stop,
    operations_by_phase,
    operations_succeeded,
    phases_passed,
)
from results_summary.facts import Absent, Facts
from results_summary.findings import GateResult, OperationsTally, PhaseState, State
from results_summary.measures import SegmentMeasure, measure
from results_summary.phase_checks import PhaseEvidence, phase_gate, unanswered, without_load
from stress_scenarios.load_plan import Thinking, Unpaced


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """All answers, the state of each planned phase, and the sums that they were made from (by segment)."""

    results: tuple[GateResult, ...]
    phases: tuple[PhaseState, ...]
    operations: tuple[OperationsTally, ...]
    measures: dict[int, SegmentMeasure]


def check(facts: Facts, meta: Meta) -> Checked:
    """Answer every gate of the order, in its order."""
    measures = {segment.record.segment: measure(segment) for segment in facts.segments}
    by_gate: dict[str, GateResult] = {}
    accounts: dict[int, Account] = {}
    found: list[PhaseState] = []
    for order in meta.order.phases:  # in their order: on whose account one was not reached depends on those before it
        if order.cut:
            continue
        record = facts.phase(order.index)
        if not isinstance(record, Absent):
            failing = frozenset(phase.index for phase in found if phase.state is State.FAIL)
            accounts[order.index] = account_of(record, facts, meta.order, failing=failing)
        specs = _specs_of(meta, order)
        for spec in specs:
            by_gate[spec.gate] = _set_aside(spec, _phase_result(spec, order, facts, measures, accounts))
        found.append(phase_state(order, facts, tuple(by_gate[spec.gate] for spec in specs)))
    states = tuple(found)
    operations = operations_by_phase(meta, facts, measures, accounts)
    results = []
    for spec in meta.order.gates:
        if spec.gate not in by_gate:
            by_gate[spec.gate] = _set_aside(
                spec,
                _campaign_result(
                    spec, meta, Checked(results=(), phases=states, operations=operations, measures=measures), facts
                ),
            )
        results.append(by_gate[spec.gate])
    return Checked(results=tuple(results), phases=states, operations=operations, measures=measures)


def phase_state(order: PhaseOrder, facts: Facts, results: tuple[GateResult, ...]) -> PhaseState:
    """A phase fails with any of its judged gates, and passes with all of them if it ran to its end."""
    record = facts.phase(order.index)

    def state(state: State, why: str) -> PhaseState:
        return PhaseState(
            index=order.index,
            name=order.name,
            connections=order.connections,
            load_per_s=order.connections * order.operations_per_s,
            ran=isinstance(record, Absent) or record.segment >= 0,
            state=state,
            why=why,
            requested=not isinstance(order.pace, Unpaced | Thinking),
        )

    judged = tuple(result for result in results if result.state is not State.NOT_JUDGED)
    for wanted in (State.FAIL, State.UNKNOWN):
        for result in judged:
            if result.state is wanted:
                return state(wanted, f"{result.spec.rule}: {result.detail}")
    if isinstance(record, Absent):
        return state(State.UNKNOWN, record.reason)
    if not judged:
        return state(State.UNKNOWN, "none of its gates is judged")
    if record.outcome in {Outcome.COMPLETED, Outcome.EASED}:
        return state(State.PASS, "")
    return state(State.UNKNOWN, f"its measurements pass, but it ended as {record.outcome.value}: {record.reason}")


def _specs_of(meta: Meta, order: PhaseOrder) -> tuple[GateSpec, ...]:
    return tuple(spec for spec in meta.order.gates if spec.phase == order.index)


def _set_aside(spec: GateSpec, result: GateResult) -> GateResult:
    match spec.judged:
        case NotJudged(reason=reason):
            return GateResult(
                spec=spec,
                observed=result.observed,
                unit=result.unit,
                interval=result.interval,
                state=State.NOT_JUDGED,
                detail=reason,
            )
        case _:
            return result


def _phase_result(
    spec: GateSpec,
    order: PhaseOrder,
    facts: Facts,
    measures: dict[int, SegmentMeasure],
    accounts: dict[int, Account],
) -> GateResult:
    record = facts.phase(order.index)
    if isinstance(record, Absent):
        return unanswered(spec, detail="the phase has no record yet" if facts.partial else record.reason)
    account = accounts[order.index]
    if account is Account.OPEN:
        return unanswered(spec, detail=f"{record.outcome.value}: {record.reason}")
    if account is Account.NOT_PASSED:
        return without_load(spec, account=account, reason=f"{record.outcome.value}: {record.reason}")
    if record.segment < 0:
        return unanswered(spec, detail=f"no load was made ({record.outcome.value}: {record.reason})")
    if record.segment not in measures:
        return unanswered(spec, detail=f"no measurements of segment {record.segment} are in the record")
    evidence = PhaseEvidence(order=order, record=record, measure=measures[record.segment], account=account)
    return phase_gate(spec, evidence)


def _campaign_result(spec: GateSpec, meta: Meta, checked: Checked, facts: Facts) -> GateResult:
    match spec.kind:
        case GateKind.BASELINE_HEALTH:
            return baseline_health(spec, facts)
        case GateKind.PHASES_PASSED:
            return phases_passed(spec, checked.phases)
        case GateKind.OPERATIONS_SUCCEEDED:
            return operations_succeeded(spec, checked.operations)
        case GateKind.NO_GUARDIAN_STOP:
            return no_guardian_stop(spec, meta, facts)
        case GateKind.NO_ANCHOR_DRIFT:
            return no_anchor_drift(spec, facts, checked.measures)
        case (
            GateKind.PHASE_SUCCESS
            | GateKind.PHASE_RESPONSE
            | GateKind.PHASE_RESPONSE_P99
            | GateKind.PHASE_ACHIEVED
            | GateKind.PHASE_MEMORY
        ):
            return unanswered(spec, detail="this gate names a phase that is not in the plan, or was cut")
    assert_never(spec.kind)
