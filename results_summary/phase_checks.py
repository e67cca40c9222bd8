"""The answers to one phase's gates, from its record and its windows.

Each answer is PASS or FAIL only if no completion of the missing evidence could change it (see bounds).
Pure; see checks for the campaign's gates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from baseline_metrics.estimates import wilson_interval
from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from monitoring_logs.load_orders import NoMemoryLoad
from monitoring_logs.memory_records import NoMemoryHeld
from monitoring_logs.records import GateKind, GateSpec, PhaseOrder, PhaseRecord
from results_summary.accounts import Account
from results_summary.bounds import (
    Bounds,
    Contradiction,
    not_run,
    operations_at_most,
    response_mean_bounds,
    response_quantile_bounds,
    succeeded_bounds,
)
from results_summary.findings import GateResult, Interval, NoInterval, State, Unit
from results_summary.generator import GeneratorValidity, Valid, seconds_due, validity_of
from results_summary.littles_law import FlowCheck, flow_check
from results_summary.measures import SegmentMeasure, estimable_quantile, quantile_interval_s
from results_summary.memory_held import held_share

SHORTENED_S_MIN = 0.5
"""Less than this is rounding of the schedule, and no window of a second is lost by it."""

_ACHIEVED = frozenset({GateKind.PHASE_ACHIEVED, GateKind.PHASE_MEMORY})
"""Gates about load that was made: less time than planned passes none, a person's stop fails none."""

_LATENCIES = frozenset({GateKind.PHASE_RESPONSE, GateKind.PHASE_RESPONSE_P99})
"""Gates that an instrument which contradicts itself cannot decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseEvidence:
    """What is known of one phase that has a record and made load."""

    order: PhaseOrder
    record: PhaseRecord
    measure: SegmentMeasure
    account: Account

    @property
    def unknown_operations(self) -> int:
        """Operations that the plan meant and that nobody saw run, because the phase was cut short."""
        if self.account in {Account.STOPPED_BY_PERSON, Account.STOPPED_BY_GUARDIAN}:
            return not_run(self.order, self.record)
        return 0

    @property
    def generator(self) -> GeneratorValidity:
        """Whether our own generator kept up."""
        return validity_of(self.measure.generator, seconds_due(self.order, self.record))

    @property
    def flow(self) -> FlowCheck:
        """Whether the instrument agrees with itself."""
        return phase_flow(self.order, self.record, self.measure)

    @property
    def shortened(self) -> bool:
        """Whether the night was late and less time was asked for than was planned."""
        return self.record.load.hold_s_requested < self.order.hold_s - SHORTENED_S_MIN


def phase_flow(order: PhaseOrder, record: PhaseRecord, measure: SegmentMeasure) -> FlowCheck:
    """Little's law over a phase's load."""
    return flow_check(
        measure.flow,
        due=seconds_due(order, record),
        abandoned=record.load.operations_abandoned,
        service_s_max=measure.service_s_max,
    )


def phase_gate(spec: GateSpec, evidence: PhaseEvidence) -> GateResult:
    """The answer to one gate of a phase with load."""
    match spec.kind:
        case GateKind.PHASE_SUCCESS:
            result = _success(spec, evidence)
        case GateKind.PHASE_RESPONSE:
            result = _response_mean(spec, evidence)
        case GateKind.PHASE_RESPONSE_P99:
            result = _response_p99(spec, evidence)
        case GateKind.PHASE_ACHIEVED:
            result = _achieved(spec, evidence)
        case GateKind.PHASE_MEMORY:
            result = _memory(spec, evidence)
        case (
            GateKind.PHASES_PASSED
            | GateKind.OPERATIONS_SUCCEEDED
            | GateKind.NO_GUARDIAN_STOP
            | GateKind.NO_ANCHOR_DRIFT
            | GateKind.BASELINE_HEALTH
        ):
            raise AssertionError(f"{spec.kind.value} is a gate of the campaign")
        case _:
            assert_never(spec.kind)
    return _excused(result, evidence)


def without_load(spec: GateSpec, *, account: Account, reason: str) -> GateResult:
    """The answer for a phase that made no load: nothing was achieved, and nothing else is known."""
    if spec.kind in _ACHIEVED and account is Account.NOT_PASSED:
        return GateResult(
            spec=spec,
            observed=Sample(value=0.0),
            unit=Unit.PERCENT,
            interval=NoInterval(),
            state=State.FAIL,
            detail=reason,
        )
    return unanswered(spec, detail=reason)


def unanswered(spec: GateSpec, *, detail: str) -> GateResult:
    """The gate is UNKNOWN, and why."""
    return GateResult(
        spec=spec,
        observed=Gap(reason=GapReason.ABSENT, detail=detail),
        unit=unit_of(spec.kind),
        interval=NoInterval(),
        state=State.UNKNOWN,
        detail=detail,
    )


def unit_of(kind: GateKind) -> Unit:
    """What the gate's threshold counts."""
    match kind:
        case GateKind.PHASE_RESPONSE | GateKind.PHASE_RESPONSE_P99:
            return Unit.SECONDS
        case GateKind.BASELINE_HEALTH:
            return Unit.SCORE
        case GateKind.NO_GUARDIAN_STOP:
            return Unit.STOPS
        case (
            GateKind.PHASE_SUCCESS
            | GateKind.PHASE_ACHIEVED
            | GateKind.PHASE_MEMORY
            | GateKind.PHASES_PASSED
            | GateKind.OPERATIONS_SUCCEEDED
            | GateKind.NO_ANCHOR_DRIFT
        ):
            return Unit.PERCENT
    assert_never(kind)


def decide(bounds: Bounds, holds: Callable[[float], bool]) -> State:
    """PASS if the rule holds at both ends, FAIL if at neither, else UNKNOWN. The rule must be monotone."""
    low, high = holds(bounds.lowest), holds(bounds.highest)
    if low and high:
        return State.PASS
    return State.UNKNOWN if low or high else State.FAIL


def _success(spec: GateSpec, evidence: PhaseEvidence) -> GateResult:
    unknown = evidence.unknown_operations
    total = evidence.record.load.operations_started + unknown
    bounds = succeeded_bounds(evidence.record, evidence.measure, unknown=unknown)
    if isinstance(bounds, Contradiction):
        return unanswered(spec, detail=bounds.detail)
    if total == 0:
        return unanswered(spec, detail="no operation was started")
    percent = Bounds(lowest=100.0 * bounds.lowest / total, highest=100.0 * bounds.highest / total)
    known = evidence.measure.fuller
    observed: Reading = Gap(reason=GapReason.ABSENT, detail="no completion is in the record")
    interval: Interval | NoInterval = NoInterval()
    if known.completed:
        observed = Sample(value=100.0 * known.succeeded / known.completed)
        low, high = wilson_interval(successes=known.succeeded, total=known.completed)
        interval = Interval(low=100.0 * low, high=100.0 * high)
    state = decide(percent, lambda share: share >= spec.threshold)
    return GateResult(
        spec=spec,
        observed=observed,
        unit=Unit.PERCENT,
        interval=interval,
        state=state,
        detail=_missing_words(evidence, bounds=percent, state=state, unit="%"),
    )


def _response_mean(spec: GateSpec, evidence: PhaseEvidence) -> GateResult:
    record = evidence.record
    planned_s = evidence.order.ramp_s + evidence.order.hold_s
    bounds = response_mean_bounds(
        record,
        evidence.measure,
        unknown=evidence.unknown_operations,
        load_s=max(record.end_mono_s - record.start_mono_s, planned_s),
    )
    if isinstance(bounds, Contradiction):
        return unanswered(spec, detail=bounds.detail)
    if record.load.operations_succeeded == 0:
        return unanswered(spec, detail="no operation succeeded, so there is no response time to judge")
    state = decide(bounds, lambda mean_s: mean_s <= spec.threshold)
    return GateResult(
        spec=spec,
        observed=evidence.measure.fuller.response.mean_s,
        unit=Unit.SECONDS,
        interval=NoInterval(),
        state=state,
        detail=_missing_words(evidence, bounds=bounds, state=state, unit="s"),
    )


def _response_p99(spec: GateSpec, evidence: PhaseEvidence) -> GateResult:
    bounds = response_quantile_bounds(evidence.record, evidence.measure, 0.99, unknown=evidence.unknown_operations)
    if isinstance(bounds, Contradiction):
        return unanswered(spec, detail=bounds.detail)
    response = evidence.measure.fuller.response
    observed = estimable_quantile(response, 0.99)
    if isinstance(observed, Gap):
        return unanswered(spec, detail=observed.detail)
    low_s, high_s = quantile_interval_s(response, 0.99)
    state = decide(bounds, lambda p99_s: p99_s <= spec.threshold)
    return GateResult(
        spec=spec,
        observed=observed,
        unit=Unit.SECONDS,
        interval=Interval(low=low_s, high=high_s),
        state=state,
        detail=_missing_words(evidence, bounds=bounds, state=state, unit="s"),
    )


def _achieved(spec: GateSpec, evidence: PhaseEvidence) -> GateResult:
    """Started of requested, both from the workers' counters, which are exact without any window.

    A dropped arrival was requested and not started. That is on the target's account where our own side is known to have
    been in time, so that only connections were wanting, all busy with slow answers; elsewhere it may be our own doing.
    """
    load = evidence.record.load
    requested = load.operations_requested
    if evidence.unknown_operations:
        requested = max(requested, operations_at_most(evidence.order))
    if requested <= 0:
        return unanswered(spec, detail="no operation was requested")
    for_want = min(load.operations_dropped, evidence.measure.dropped_for_want)
    percent = Bounds(
        lowest=min(100.0, 100.0 * load.operations_started / requested),
        highest=min(100.0, 100.0 * (load.operations_started + load.operations_dropped - for_want) / requested),
    )
    return GateResult(
        spec=spec,
        observed=Sample(value=percent.lowest),
        unit=Unit.PERCENT,
        interval=NoInterval(),
        state=decide(percent, lambda share: share >= spec.threshold),
        detail=f"{load.operations_started} of {requested} operations were started"
        + _dropped_words(dropped=load.operations_dropped, for_want=for_want),
    )


def _memory(spec: GateSpec, evidence: PhaseEvidence) -> GateResult:
    """Held of asked memory, both from the worker's page. What a stop cut off was asked for and not held."""
    order, record = evidence.order, evidence.record
    if isinstance(order.memory, NoMemoryLoad) or isinstance(record.memory, NoMemoryHeld):
        return unanswered(spec, detail="no memory load is in the record")
    held = held_share(
        order.memory,
        record.memory,
        lasts_s=order.ramp_s + order.hold_s,
        ran_whole=evidence.account in {Account.MEASURED, Account.EASED},
    )
    return GateResult(
        spec=spec,
        observed=Sample(value=held.percent),
        unit=Unit.PERCENT,
        interval=NoInterval(),
        state=State.PASS if held.percent >= spec.threshold else State.FAIL,
        detail=held.words,
    )


def _dropped_words(*, dropped: int, for_want: int) -> str:
    if not dropped:
        return ""
    why = "every connection was busy, answers were too slow for this rate"
    if for_want == dropped:
        return f"; {dropped} were dropped: {why}"
    ours = f"{dropped - for_want} when our own side was late, or may have been"
    return f"; {dropped} were dropped, {for_want} because {why}, {ours}" if for_want else f"; dropped: {ours}"


def _excused(result: GateResult, evidence: PhaseEvidence) -> GateResult:
    """A failure that is not the target's decides nothing, and neither does the success of less load than was planned.

    What a generator measured that did not keep up decides nothing at all, whatever it shows.
    """
    kind, generator = result.spec.kind, evidence.generator
    by_requests = kind is not GateKind.PHASE_MEMORY
    if by_requests and result.state is not State.UNKNOWN and not isinstance(generator, Valid):
        return _undecided(result, generator.reason)
    if result.state is not State.UNKNOWN and kind in _LATENCIES and not evidence.flow.trusted:
        return _undecided(result, evidence.flow.words)
    if result.state is State.PASS and kind in _ACHIEVED and evidence.shortened:
        ran_s, planned_s = evidence.record.load.hold_s_requested, evidence.order.hold_s
        return _undecided(result, f"ran {ran_s:.1f} of {planned_s:.1f} s, the night was late")
    if result.state is not State.FAIL:
        return result
    if evidence.account is Account.EASED:
        return _undecided(
            result, f"the guardian eased the load for {evidence.record.eased_s:.1f} s: the host was the cause"
        )
    if evidence.account is Account.STOPPED_BY_PERSON and kind in _ACHIEVED:
        return _undecided(result, "a person stopped the campaign during this phase")
    return result


def _undecided(result: GateResult, why: str) -> GateResult:
    return GateResult(
        spec=result.spec,
        observed=result.observed,
        unit=result.unit,
        interval=result.interval,
        state=State.UNKNOWN,
        detail=f"{why}; {result.detail}" if result.detail else why,
    )


def _missing_words(evidence: PhaseEvidence, *, bounds: Bounds, state: State, unit: str) -> str:
    load, known = evidence.record.load, evidence.measure.fuller
    missing = load.operations_started - load.operations_abandoned - known.completed
    words = [f"{known.completed} completions of {load.operations_started} operations"]
    if load.operations_abandoned:
        words.append(f"{load.operations_abandoned} given up while draining")
    if missing:
        words.append(f"{missing} completions lie in windows that are missing")
    if evidence.measure.failures_ours:
        words.append(f"{evidence.measure.failures_ours} failures were made by our own side")
    if evidence.unknown_operations:
        words.append(f"the load was cut short by up to {evidence.unknown_operations} operations")
    if state is State.UNKNOWN:
        words.append(f"the truth lies between {bounds.lowest:.3g} and {bounds.highest:.3g} {unit}")
    return "; ".join(words)
