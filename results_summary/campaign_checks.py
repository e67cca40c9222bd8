"""The answers to the gates that concern the campaign as a whole, except the drift (see anchor_drift).

Pure; see checks.
"""

from baseline_metrics.estimates import wilson_interval
from baseline_metrics.health import KnownScore, UnknownScore
from baseline_metrics.samples import Reading, Sample
from monitoring_logs.records import EndCause, GateSpec, GuardianEvent, Meta, Outcome, PhaseOrder
from results_summary.accounts import Account, baseline_missed, target_missed
from results_summary.bounds import Bounds, Contradiction, operations_at_most, succeeded_bounds
from results_summary.cleaning import clean
from results_summary.facts import Absent, Facts, SegmentFacts
from results_summary.findings import GateResult, Interval, NoInterval, OperationsTally, PhaseState, State
from results_summary.generator import Valid, seconds_due, validity_of
from results_summary.measures import SegmentMeasure
from results_summary.phase_checks import decide, unanswered, unit_of
from results_summary.wording import plural
from safety_monitoring.limits import Rung

NO_INTERVAL = NoInterval()

SAID_CHARACTERS_MAX = 120
"""Of an error, within a sentence; the table of errors has the rest."""


def baseline_health(spec: GateSpec, facts: Facts) -> GateResult:
    """The score before the first phase; an unknown score answers nothing, and neither does a low one that is not the target's.

    The detail of a low score names the failure that the anchor load met most often.
    """
    if isinstance(facts.baseline, Absent):
        return unanswered(spec, detail=f"no baseline: {facts.baseline.reason}")
    match facts.baseline.health.score:
        case KnownScore(value=score):
            state, detail = State.PASS, "before the first phase"
            if score < spec.threshold:
                failed = failures_words(facts.segment(facts.baseline.anchor_segment))
                if baseline_missed(facts):
                    state, detail = State.FAIL, f"before the first phase{failed}"
                elif target_missed(facts.baseline.health):
                    state = State.UNKNOWN
                    detail = f"the score was {score:g}, and the target is not known to be the cause{failed}"
                else:
                    state = State.UNKNOWN
                    detail = f"the score was {score:g}, and no part that speaks of the target was low: the host was the cause"
            return _answer(spec, observed=Sample(value=score), state=state, detail=detail)
        case UnknownScore(reason=reason):
            return unanswered(spec, detail=f"the baseline's health is unknown: {reason}")


def failures_words(load: SegmentFacts | Absent) -> str:
    """The failure that a load met most often, in words that follow others; "" when it met none, or none is known."""
    if isinstance(load, Absent) or not load.errors:
        return ""
    counts: dict[tuple[str, str], int] = {}
    for group in load.errors:
        key = (group.error.value, group.message)
        counts[key] = counts.get(key, 0) + group.count
    (error, message), count = max(counts.items(), key=lambda item: (item[1], item[0]))
    said = clean(message, characters_max=SAID_CHARACTERS_MAX)
    return f"; of {plural(sum(counts.values()), 'failure')} {count} were {error}: {said}"


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


def operations_by_phase(
    meta: Meta, facts: Facts, measures: dict[int, SegmentMeasure], accounts: dict[int, Account]
) -> tuple[OperationsTally, ...]:
    """What is known of the operations of each planned phase. accounts: of each phase that has a record, by its index."""
    return tuple(_tally(order, facts, measures, accounts) for order in meta.order.phases if not order.cut)


def _tally(
    order: PhaseOrder, facts: Facts, measures: dict[int, SegmentMeasure], accounts: dict[int, Account]
) -> OperationsTally:
    load_per_s = order.connections * order.operations_per_s

    def nothing_known(total: int) -> OperationsTally:
        return OperationsTally(
            load_per_s=load_per_s, lowest=0.0, highest=float(total), total=total, succeeded=0, completed=0
        )

    record = facts.phase(order.index)
    if isinstance(record, Absent):
        return nothing_known(operations_at_most(order))
    account = accounts[order.index]
    started, unknown = record.load.operations_started, 0
    if account in {Account.OPEN, Account.STOPPED_BY_PERSON, Account.STOPPED_BY_GUARDIAN}:
        unknown = max(0, operations_at_most(order) - started)
    if account is Account.OPEN or record.segment not in measures:
        return nothing_known(started + unknown)
    measured = measures[record.segment]
    if not isinstance(validity_of(measured.generator, seconds_due(order, record)), Valid):
        return nothing_known(started + unknown)
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
    """Stops are seen in the phases' outcomes, the guardian's own moves and the campaign's end; absence needs all of them.

    A stop counts against the target only while a phase made load: without one, something else filled the host.
    """
    moves = tuple(move for move in facts.guardian if move.rung.value >= Rung.STOP_PHASE.value)
    stopped = tuple(record for record in facts.phases if record.outcome is Outcome.SAFETY_STOP)
    ended = not isinstance(facts.end, Absent) and facts.end.cause is EndCause.GUARDIAN_STOP
    under_load = tuple(move for move in moves if _under_load(move, facts))
    if stopped or under_load:
        count = max(len(under_load), len(stopped))
        detail = f"phase {stopped[0].name}: {stopped[0].reason}" if stopped else under_load[0].why
        return _answer(spec, observed=Sample(value=float(count)), state=State.FAIL, detail=detail)
    if isinstance(facts.end, Absent):
        return unanswered(spec, detail=f"the campaign's end is not in the record: {facts.end.reason}")
    if moves or ended:
        why = moves[0].why if moves else facts.end.detail
        return unanswered(spec, detail=f"the guardian stopped while no phase made load, the host was the cause: {why}")
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


def _under_load(move: GuardianEvent, facts: Facts) -> bool:
    """Whether a phase made load when the guardian moved."""
    return any(
        record.segment >= 0 and record.start_mono_s <= move.at_mono_s <= record.end_mono_s for record in facts.phases
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
