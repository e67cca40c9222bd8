"""The fixed list of questions that decide a night, made and hashed before the first load.

Pre-registration keeps the verdict honest: nobody, and no program, can choose the question after seeing the answer.
Pure; the planner builds the list, the reporter checks its hash. See checks for the answers.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from baseline_metrics.codec import to_json_value
from baseline_metrics.estimates import samples_needed
from baseline_metrics.units import format_bytes
from monitoring_logs.load_orders import MemoryLoad
from monitoring_logs.records import AnchorOrder, GateKind, GateSpec, Judged, NotJudged, PhaseOrder
from results_summary.memory_held import HELD_PERCENT_MIN

CAMPAIGN = -1
"""GateSpec.phase of a gate that concerns the campaign as a whole."""

ANCHORS_MIN = 3
"""Two anchors make a difference, not a drift: with fewer than three the drift gate is not judged."""


EVERY_KIND_JUDGED: Mapping[GateKind, NotJudged] = MappingProxyType({})
"""The planner has found nothing that this night could not decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoResponseLimit:
    """No p99 objective was set, so there is no p99 gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseLimit:
    """p99 of the response time of successes, seconds, at most."""

    response_s_p99_max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """The thresholds that are not a phase's own. Percentages 0..100; baseline_health_min: a score 0..100."""

    baseline_health_min: float
    phases_passed_percent_min: float = 70.0
    operations_succeeded_percent_min: float = 90.0
    achieved_percent_min: float = 98.0
    anchor_drift_percent_max: float = 20.0
    response_p99: NoResponseLimit | ResponseLimit = NoResponseLimit()


def planned_gates(
    *,
    phases: tuple[PhaseOrder, ...],
    anchor: AnchorOrder,
    settings: GateSettings,
    not_judged: Mapping[GateKind, NotJudged] = EVERY_KIND_JUDGED,
) -> tuple[GateSpec, ...]:
    """The gates of this night, phase by phase, then the campaign's.

    Phases that the planner cut are not asked about. ``not_judged``: kinds that this night cannot decide, with the
    planner's arithmetic. What follows from the counts alone (a p99 of too few operations, a drift of too few anchors)
    is found here.
    """
    reasons = dict(not_judged)
    running = tuple(phase for phase in phases if not phase.cut)
    gates: list[GateSpec] = []
    for phase in running:
        gates.extend(_phase_gates(phase, settings, reasons))
    gates.extend(_campaign_gates(anchors=len(running) + 1, anchor=anchor, settings=settings, reasons=reasons))
    return tuple(gates)


def gates_sha256(gates: tuple[GateSpec, ...]) -> str:
    """Lower-case hexadecimal SHA-256 of the gates' canonical JSON: sorted keys, no spaces, ASCII."""
    canonical = json.dumps(to_json_value(gates), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _phase_gates(
    phase: PhaseOrder, settings: GateSettings, reasons: Mapping[GateKind, NotJudged]
) -> tuple[GateSpec, ...]:
    def gate(kind: GateKind, rule: str, threshold: float, judged: Judged | NotJudged) -> GateSpec:
        name = kind.value.removeprefix("phase_")
        return GateSpec(
            gate=f"phase.{phase.index + 1}.{phase.name}.{name}",
            kind=kind,
            phase=phase.index,
            rule=rule,
            threshold=threshold,
            judged=judged,
        )

    def judged(kind: GateKind) -> Judged | NotJudged:
        return reasons.get(kind, Judged())

    success, response, achieved = phase.success_percent_min, phase.response_s_mean_max, settings.achieved_percent_min
    gates = [
        gate(
            GateKind.PHASE_SUCCESS,
            f"at least {success:g} % of operations succeed",
            success,
            judged(GateKind.PHASE_SUCCESS),
        ),
        gate(
            GateKind.PHASE_RESPONSE,
            f"mean response time at most {response:g} s",
            response,
            judged(GateKind.PHASE_RESPONSE),
        ),
        gate(
            GateKind.PHASE_ACHIEVED,
            f"at least {achieved:g} % of the requested operations are started",
            achieved,
            judged(GateKind.PHASE_ACHIEVED),
        ),
    ]
    if isinstance(phase.memory, MemoryLoad):
        rule = f"at least {HELD_PERCENT_MIN:g} % of {format_bytes(phase.memory.size_bytes)} of memory are held"
        gates.append(gate(GateKind.PHASE_MEMORY, rule, HELD_PERCENT_MIN, judged(GateKind.PHASE_MEMORY)))
    match settings.response_p99:
        case ResponseLimit(response_s_p99_max=limit):
            needed = samples_needed(quantile=0.99)
            decided = judged(GateKind.PHASE_RESPONSE_P99)
            if isinstance(decided, Judged) and phase.operations_expected < needed:
                decided = NotJudged(
                    reason=f"a p99 needs {needed} operations, {phase.name} will make {phase.operations_expected}"
                )
            gates.append(gate(GateKind.PHASE_RESPONSE_P99, f"p99 of response time at most {limit:g} s", limit, decided))
        case NoResponseLimit():
            pass
    return tuple(gates)


def _campaign_gates(
    *, anchors: int, anchor: AnchorOrder, settings: GateSettings, reasons: Mapping[GateKind, NotJudged]
) -> tuple[GateSpec, ...]:
    def gate(kind: GateKind, rule: str, threshold: float, judged: Judged | NotJudged | None = None) -> GateSpec:
        return GateSpec(
            gate=f"campaign.{kind.value}",
            kind=kind,
            phase=CAMPAIGN,
            rule=rule,
            threshold=threshold,
            judged=judged if judged is not None else reasons.get(kind, Judged()),
        )

    passed, succeeded = settings.phases_passed_percent_min, settings.operations_succeeded_percent_min
    drift, health = settings.anchor_drift_percent_max, settings.baseline_health_min
    return (
        gate(GateKind.BASELINE_HEALTH, f"baseline health at least {health:g} of 100", health),
        gate(GateKind.PHASES_PASSED, f"at least {passed:g} % of the planned phases pass", passed),
        gate(GateKind.OPERATIONS_SUCCEEDED, f"at least {succeeded:g} % of all phases' operations succeed", succeeded),
        gate(GateKind.NO_GUARDIAN_STOP, "the guardian stops neither a phase nor the campaign", 0.0),
        gate(
            GateKind.NO_ANCHOR_DRIFT,
            f"mean response time at the anchor load rises by at most {drift:g} % and noise, first to last anchor",
            drift,
            _drift_judged(anchors, anchor, reasons),
        ),
    )


def _drift_judged(anchors: int, anchor: AnchorOrder, reasons: Mapping[GateKind, NotJudged]) -> Judged | NotJudged:
    given = reasons.get(GateKind.NO_ANCHOR_DRIFT)
    if given is not None:
        return given
    if anchors < ANCHORS_MIN:
        return NotJudged(reason=f"a drift needs {ANCHORS_MIN} anchors, this night has {anchors}")
    if anchor.operations_expected < 1:
        return NotJudged(reason="the anchor load makes no operation")
    return Judged()
