"""Why, in one sentence: made from a gate's own numbers by a template of its kind.

No other text takes part, so each number in the sentence is in the record. Pure; the verdict uses it.
"""

from typing import assert_never

from baseline_metrics.samples import Gap
from monitoring_logs.records import GateKind
from results_summary.findings import GateResult, PhaseState, State, Unit
from results_summary.wording import in_unit, reading_in_unit


def gate_sentence(result: GateResult, phases: tuple[PhaseState, ...]) -> str:
    """What failed or stayed unknown, with number, threshold and phase; no capital and no full stop."""
    phase = next((phase.name for phase in phases if phase.index == result.spec.phase), "")
    where = f"in phase {phase} " if phase else ""
    if result.state is State.UNKNOWN or isinstance(result.observed, Gap):
        return f'{where}it is unknown whether "{result.spec.rule}" holds: {result.detail}'
    observed = reading_in_unit(result.observed, result.unit)
    threshold = (
        f"{result.spec.threshold:g} %" if result.unit is Unit.PERCENT else in_unit(result.spec.threshold, result.unit)
    )
    match result.spec.kind:
        case GateKind.PHASE_SUCCESS:
            return f"{where}{observed} of the operations succeeded, at least {threshold} must"
        case GateKind.PHASE_RESPONSE:
            return f"{where}the mean response time was {observed}, at most {threshold} is allowed"
        case GateKind.PHASE_RESPONSE_P99:
            return f"{where}the p99 of response time was {observed}, at most {threshold} is allowed"
        case GateKind.PHASE_ACHIEVED:
            return f"{where}{observed} of the requested load was made, at least {threshold} must be ({result.detail})"
        case GateKind.PHASE_MEMORY:
            return f"{where}{observed} of the asked memory was held, at least {threshold} must be ({result.detail})"
        case GateKind.PHASES_PASSED:
            return f"{result.detail}, at least {threshold} must"
        case GateKind.OPERATIONS_SUCCEEDED:
            return f"{observed} of all operations succeeded, at least {threshold} must"
        case GateKind.NO_GUARDIAN_STOP:
            return f"the guardian stopped load: {result.detail}"
        case GateKind.NO_ANCHOR_DRIFT:
            return (
                f"the mean response time at the anchor load rose by {observed}, "
                f"{threshold} and noise are allowed ({result.detail})"
            )
        case GateKind.BASELINE_HEALTH:
            return f"the baseline's health was {observed}, at least {threshold} is required ({result.detail})"
    assert_never(result.spec.kind)
