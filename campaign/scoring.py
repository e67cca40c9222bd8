"""What the machine is told about an ended load: its health, and whether a phase met its level's criteria.

This steers the night only; the verdict is made later, from the record, by results_summary. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from baseline_metrics.baseline_collector import AnchorMeasurement, IdleSummary, baseline_inputs
from baseline_metrics.estimates import mean
from baseline_metrics.health import GoldenSignals, Health, baseline_health, phases_allowed, running_health
from baseline_metrics.samples import Gap, GapReason, HostSample, Reading, Sample
from campaign.events import Criteria, GeneratorInvalid, GeneratorState, GeneratorUnknown, GeneratorValid
from monitoring_logs.load_orders import MemoryLoad
from monitoring_logs.memory_records import NO_MEMORY_HELD, MemoryFacts, NoMemoryHeld
from monitoring_logs.records import BaselineRecord, LoadFacts, NightOrder, PhaseOrder
from results_summary.generator import GeneratorSecond, Invalid, Unknown, Valid, validity_of, whole_seconds_due
from results_summary.memory_held import HELD_PERCENT_MIN, held_share
from safety_monitoring.limits import Limits, Resource

COVERAGE_MIN = 0.5
"""A mean over less than half of the expected readings says too little: it is a gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadMeasurement:
    """What was measured of one ended load. host: the samples that were taken while it ran."""

    facts: LoadFacts
    response_s_mean: Reading
    host: tuple[HostSample, ...]
    limits: Limits
    at_mono_s: float
    memory: NoMemoryHeld | MemoryFacts = NO_MEMORY_HELD


def load_health(measurement: LoadMeasurement, order: NightOrder) -> Health:
    """The running health score of one load, from golden signals against SLO and guardian limits."""
    facts = measurement.facts
    done = facts.operations_succeeded + facts.operations_failed
    return running_health(
        GoldenSignals(
            response_s=_response_s(measurement),
            response_s_slo=order.response_s_slo,
            response_s_limit=order.response_s_limit,
            error_percent=_share_percent(facts.operations_failed, done, "no operation has ended"),
            error_percent_slo=order.error_percent_slo,
            error_percent_limit=order.error_percent_limit,
            achieved_share=_share(facts.operations_started, facts.operations_requested, "no operation was requested"),
            memory_percent=mean_of(measurement.host, "memory_percent"),
            memory_percent_limit=_limit_percent(measurement.limits, Resource.MEMORY),
            cpu_percent=mean_of(measurement.host, "cpu_percent"),
            cpu_percent_limit=_limit_percent(measurement.limits, Resource.CPU),
        ),
        at_mono_s=measurement.at_mono_s,
    )


def criteria_of(phase: PhaseOrder, measurement: LoadMeasurement) -> tuple[Criteria, str]:
    """Whether a phase met its level's criteria and held its memory, and the sentence for its record."""
    criteria, detail = _requests_criteria(phase, measurement)
    if criteria is Criteria.NOT_MET or not isinstance(phase.memory, MemoryLoad):
        return criteria, detail
    if not isinstance(measurement.memory, MemoryFacts):
        return Criteria.UNKNOWN, "no memory load was measured"
    held = held_share(phase.memory, measurement.memory, lasts_s=phase.ramp_s + phase.hold_s, ran_whole=True)
    if held.percent < HELD_PERCENT_MIN:
        return Criteria.NOT_MET, f"{held.words}, {HELD_PERCENT_MIN:g} % are needed"
    return criteria, detail


def _requests_criteria(phase: PhaseOrder, measurement: LoadMeasurement) -> tuple[Criteria, str]:
    facts = measurement.facts
    done = facts.operations_succeeded + facts.operations_failed
    if done == 0:
        return Criteria.UNKNOWN, "no operation has ended"
    success = 100.0 * facts.operations_succeeded / done
    if success < phase.success_percent_min:
        return Criteria.NOT_MET, f"{success:.1f} % of operations succeeded, {phase.success_percent_min:g} % are needed"
    match measurement.response_s_mean:
        case Sample(value=seconds) if seconds > phase.response_s_mean_max:
            return (
                Criteria.NOT_MET,
                f"mean response {seconds:.3f} s, at most {phase.response_s_mean_max:g} s are allowed",
            )
        case Sample(value=seconds):
            return Criteria.MET, f"{success:.1f} % succeeded, mean response {seconds:.3f} s"
        case Gap(detail=detail):
            return Criteria.UNKNOWN, f"no response time: {detail}"


def generator_of(seconds: Sequence[GeneratorSecond], *, planned_s: float, ran_s: float) -> GeneratorState:
    """Whether our own side kept up with an ended load: the report's rule, so that outcome and gates agree.

    seconds: of SegmentTelemetry.generator. planned_s: ramp, hold and the time for which a person had paused it; ran_s:
    until it was zero.
    """
    validity = validity_of(seconds, whole_seconds_due(planned_s=planned_s, ran_s=ran_s))
    match validity:
        case Valid():
            return GeneratorValid()
        case Invalid(reason=reason):
            return GeneratorInvalid(reason=reason)
        case Unknown(reason=reason):
            return GeneratorUnknown(reason=reason)
        case _:
            assert_never(validity)


def baseline_of(
    *, idle: IdleSummary, idle_segment: int, anchor_segment: int, measurement: LoadMeasurement, order: NightOrder
) -> BaselineRecord:
    """The baseline: the idle host and the target at the anchor load, with the number of phases that it allows."""
    facts = measurement.facts
    anchor = AnchorMeasurement(
        operations_succeeded=facts.operations_succeeded,
        operations_failed=facts.operations_failed,
        response_s_mean=measurement.response_s_mean,
    )
    inputs = baseline_inputs(idle, anchor, response_s_slo=order.response_s_slo, response_s_limit=order.response_s_limit)
    health = baseline_health(inputs, at_mono_s=measurement.at_mono_s)
    included = sum(1 for phase in order.phases if not phase.cut)
    done = facts.operations_succeeded + facts.operations_failed
    return BaselineRecord(
        idle_segment=idle_segment,
        anchor_segment=anchor_segment,
        health=health,
        host_means=dict(idle.means),
        noise_cv=dict(idle.noise_cv),
        gaps=dict(idle.gaps),
        response_s_mean=measurement.response_s_mean,
        success_percent=_share_percent(facts.operations_succeeded, done, "no operation has ended"),
        phases_allowed=phases_allowed(health.score, total=included),
    )


def mean_of(samples: Sequence[HostSample], sensor: str) -> Reading:
    """The mean of a sensor over samples; a gap when too many readings are missing."""
    values = [reading.value for sample in samples if isinstance(reading := sample.reading(sensor), Sample)]
    if not values or len(values) < COVERAGE_MIN * len(samples):
        return Gap(reason=GapReason.ABSENT, detail=f"{sensor}: {len(values)} of {len(samples)} readings")
    return mean(values)


def _response_s(measurement: LoadMeasurement) -> Reading:
    """Only successes have a response time; where all have failed, that is what a person needs to read."""
    facts = measurement.facts
    if isinstance(measurement.response_s_mean, Gap) and facts.operations_failed > 0 == facts.operations_succeeded:
        return Gap(reason=GapReason.ABSENT, detail=f"none of {facts.operations_failed} operations succeeded")
    return measurement.response_s_mean


def _limit_percent(limits: Limits, resource: Resource) -> float:
    return next((limit.percent_max for limit in limits.limits if limit.resource is resource), 100.0)


def _share(part: int, whole: int, without: str) -> Reading:
    if whole == 0:
        return Gap(reason=GapReason.ABSENT, detail=without)
    return Sample(value=min(1.0, part / whole))


def _share_percent(part: int, whole: int, without: str) -> Reading:
    share = _share(part, whole, without)
    return Sample(value=100.0 * share.value) if isinstance(share, Sample) else share
