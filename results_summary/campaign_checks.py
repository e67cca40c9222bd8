"""The answers to the gates that concern the campaign as a whole, except the drift (see anchor_drift).

Pure; see checks.
"""

from baseline_metrics.estimates import wilson_interval
from baseline_metrics.health import KnownScore, UnknownScore
from baseline_metrics.samples import Reading, Sample
from monitoring_logs.records import EndCause, GateSpec, Meta, Outcome, PhaseOrder
from results_summary.accounts import Account, account_of
from results_summary.bounds import Bounds, Contradiction, operations_at_most, succeeded_bounds
from results_summary.facts import Absent, Facts
from results_summary.findings import GateResult, Interval, NoInterval, OperationsTally, PhaseState, State
from results_summary.measures import SegmentMeasure
from results_summary.phase_checks import decide, unanswered, unit_of
from safety_monitoring.limits import Rung

NO_INTERVAL = NoInterval()


def baseline_health(spec: GateSpec, facts: Facts) -> GateResult:
    """The score before the first phase; an unknown score answers nothing."""
    if isinstance(facts.baseline, Absent):
        return unanswered(spec, detail=f"no baseline: {facts.baseline.reason}")
    match facts.baseline.health.score:
        case KnownScore(value=score):
            state = State.PASS if score >= spec.threshold else State.FAIL
            return _answer(spec, observed=Sample(value=score), state=state, detail="before the first phase")
        case UnknownScore(reason=reason):
            return unanswered(spec, detail=f"the baseline's health is unknown: {reason}")


def phases_passed(spec: GateSpec, states: tuple[PhaseState, ...]) -> GateResult:
    """The share of planned phases that passed; undecided ones count as failing to pass and as passing to fail."""
    planned = len(states)
    if planned == 0:
        return unanswered(spec, detail="no phase was planned")
    passed = sum(1 for phase in states if phase.state is State.PASS)
    undecided = sum(1 for phase in states if phase.state is State.UNKNOWN)
    lowest, highest = 100.0 * passed / planned, 100.0 * (passed + undecided) / planned
    state = decide(Bounds(lowest=lowest, highest=highest), lambda percent: percent >= spec.threshold)
    detail = f"{passed} of {planned} planned phases passed"
    if undecided:
        detail += f", {undecided} undecided"
    return _answer(spec, observed=Sample(value=lowest), state=state, detail=detail)


def operations_by_phase(meta: Meta, facts: Facts, measures: dict[int, SegmentMeasure]) -> tuple[OperationsTally, ...]:
    """What is known of the operations of each planned phase."""
    return tuple(_tally(order, facts, measures) for order in meta.order.phases if not order.cut)


def _tally(order: PhaseOrder, facts: Facts, measures: dict[int, SegmentMeasure]) -> OperationsTally:
    load_per_s = order.connections * order.operations_per_s

    def nothing_known(total: int) -> OperationsTally:
        return OperationsTally(
            load_per_s=load_per_s, lowest=0.0, highest=float(total), total=total, succeeded=0, completed=0
        )

    record = facts.phase(order.index)
    if isinstance(record, Absent):
        return nothing_known(operations_at_most(order))
    account = account_of(record, facts)
    started, unknown = record.load.operations_started, 0
    if account in {Account.OPEN, Account.STOPPED_BY_PERSON, Account.STOPPED_BY_GUARDIAN}:
        unknown = max(0, operations_at_most(order) - started)
    if account is Account.OPEN or record.segment not in measures:
        return nothing_known(started + unknown)
    measured = measures[record.segment]
    bounds = succeeded_bounds(record, measured, unknown=unknown)
    if isinstance(bounds, Contradiction):
        return nothing_known(started + unknown)
    return OperationsTally(
        load_per_s=load_per_s,
        lowest=bounds.lowest,
        highest=bounds.highest,
        total=started + unknown,
        succeeded=measured.fuller.succeeded,
        completed=measured.fuller.completed,
    )


def operations_state(tallies: tuple[OperationsTally, ...], *, percent_min: float) -> State:
    """Whether this share of all these phases' operations succeeded; without an operation it is unknown."""
    total = sum(tally.total for tally in tallies)
    if total == 0:
        return State.UNKNOWN
    return decide(_share_percent(tallies), lambda percent: percent >= percent_min)


def operations_succeeded(spec: GateSpec, tallies: tuple[OperationsTally, ...]) -> GateResult:
    """The share of all phases' operations that succeeded."""
    succeeded, completed = sum(tally.succeeded for tally in tallies), sum(tally.completed for tally in tallies)
    if completed == 0:
        return unanswered(spec, detail="no completion is in the record")
    state = operations_state(tallies, percent_min=spec.threshold)
    low, high = wilson_interval(successes=succeeded, total=completed)
    detail = f"{succeeded} of {completed} completed operations succeeded"
    if state is State.UNKNOWN:
        share = _share_percent(tallies)
        detail += f"; with what is missing, between {share.lowest:.1f} and {share.highest:.1f} %"
    return _answer(
        spec,
        observed=Sample(value=100.0 * succeeded / completed),
        state=state,
        detail=detail,
        interval=Interval(low=100.0 * low, high=100.0 * high),
    )


def _share_percent(tallies: tuple[OperationsTally, ...]) -> Bounds:
    total = sum(tally.total for tally in tallies)
    return Bounds(
        lowest=100.0 * sum(tally.lowest for tally in tallies) / total,
        highest=100.0 * sum(tally.highest for tally in tallies) / total,
    )


def no_guardian_stop(spec: GateSpec, meta: Meta, facts: Facts) -> GateResult:
    """Stops are seen in the phases' outcomes, the guardian's own moves and the campaign's end; absence needs all of them."""
    moves = tuple(move for move in facts.guardian if move.rung.value >= Rung.STOP_PHASE.value)
    stopped = tuple(record for record in facts.phases if record.outcome is Outcome.SAFETY_STOP)
    ended = not isinstance(facts.end, Absent) and facts.end.cause is EndCause.GUARDIAN_STOP
    count = max(len(moves), len(stopped), int(ended))
    if count:
        if stopped:
            detail = f"phase {stopped[0].name}: {stopped[0].reason}"
        elif moves:
            detail = moves[0].why
        else:
            assert not isinstance(facts.end, Absent)
            detail = facts.end.detail
        return _answer(spec, observed=Sample(value=float(count)), state=State.FAIL, detail=detail)
    if isinstance(facts.end, Absent):
        return unanswered(spec, detail=f"the campaign's end is not in the record: {facts.end.reason}")
    if facts.end.cause in {EndCause.GUARDIAN_LOST, EndCause.SUPERVISOR_LOST, EndCause.RUNNER_FAULT}:
        return unanswered(spec, detail=f"{facts.end.cause.value}: {facts.end.detail}")
    unrecorded = tuple(
        order.name for order in meta.order.phases if not order.cut and isinstance(facts.phase(order.index), Absent)
    )
    if unrecorded:
        return unanswered(spec, detail=f"phase {unrecorded[0]} has no record")
    eases = sum(1 for move in facts.guardian if move.rung in {Rung.EASE, Rung.PAUSE})
    return _answer(
        spec, observed=Sample(value=0.0), state=State.PASS, detail=f"the guardian eased or paused {eases} times"
    )


def _answer(
    spec: GateSpec, *, observed: Reading, state: State, detail: str, interval: Interval | NoInterval = NO_INTERVAL
) -> GateResult:
    return GateResult(
        spec=spec,
        observed=observed,
        unit=unit_of(spec.kind),
        interval=interval,
        state=state,
        detail=detail,
    )
