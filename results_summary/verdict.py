"""One word for the night, one sentence why, one exit code.

The verdict is what every completion of the unknown answers agrees on; where they disagree, it is INCONCLUSIVE. So a
missing piece of evidence can move a verdict only to INCONCLUSIVE, never from one word to another: in the order in which
INCONCLUSIVE lies below the three others, and those beside each other, less evidence is never higher or beside.
Pure; the reporter and the command line use it.
"""

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from monitoring_logs.records import EndCause, GateKind
from results_summary.campaign_checks import operations_state
from results_summary.capacity import AtLeast, Between, capacity
from results_summary.findings import GateResult, OperationsTally, PhaseState, State
from results_summary.sentences import gate_sentence
from results_summary.wording import plural

EXIT_FIT = 0
EXIT_NOT_FIT = 1
EXIT_INCONCLUSIVE = 3
EXIT_STOPPED_BY_PERSON = 4
EXIT_STOPPED_BY_GUARDIAN = 5
EXIT_REFUSED = 6
EXIT_OUR_FAULT = 70


_SHARES = frozenset({GateKind.PHASES_PASSED, GateKind.OPERATIONS_SUCCEEDED})
"""Gates that follow from the phases: they are asked again for each way in which the unknown phases may have ended."""


class Verdict(Enum):
    """The four words."""

    FIT = "FIT"
    FIT_WITH_LIMITS = "FIT WITH LIMITS"
    NOT_FIT = "NOT FIT"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict, the sentence, and the gates that decided it: failing ones, or unknown ones when none fails."""

    verdict: Verdict
    why: str
    decided_by: tuple[str, ...]


def judge(
    results: tuple[GateResult, ...], phases: tuple[PhaseState, ...], operations: tuple[OperationsTally, ...]
) -> Judgement:
    """The verdict from all answers. Starts from INCONCLUSIVE: without a judged gate or a planned phase it stays there."""
    judged = tuple(result for result in results if result.state is not State.NOT_JUDGED)
    if not judged or not phases:
        return Judgement(
            verdict=Verdict.INCONCLUSIVE,
            why="Nothing was judged: the record holds no gate, or no phase, that could decide.",
            decided_by=(),
        )
    possible = possible_verdicts(judged, phases, operations)
    verdict = next(iter(possible)) if len(possible) == 1 else Verdict.INCONCLUSIVE
    return Judgement(verdict=verdict, why=_why(verdict, judged, phases), decided_by=_decided_by(verdict, judged))


def possible_verdicts(
    results: tuple[GateResult, ...], phases: tuple[PhaseState, ...], operations: tuple[OperationsTally, ...]
) -> frozenset[Verdict]:
    """Every verdict that some completion of the unknown answers gives. phases must not be empty.

    Each unknown phase passes or fails. Fit needs no failure. Fit with limits needs failures that are exactly the phases
    from some load upwards, enough phases below, and the share of operations that must succeed held by those below: the
    failing phases are named by the limit and must not be counted twice. Each such cut is one assignment of the unknown
    phases; if there are more assignments than that, one of them is not fit. The campaign's other gates stand for
    themselves.
    """
    shares = {result.spec.kind: result.spec.threshold for result in results if result.spec.kind in _SHARES}
    others = tuple(result for result in results if result.spec.phase < 0 and result.spec.kind not in _SHARES)
    if any(result.state is State.FAIL for result in others):
        return frozenset({Verdict.NOT_FIT})
    possible: set[Verdict] = set()
    if any(result.state is State.UNKNOWN for result in others):
        possible.add(Verdict.NOT_FIT)
    failed = tuple(phase for phase in phases if phase.state is State.FAIL)
    explained = 0
    if not failed:
        possible |= _with_operations(Verdict.FIT, operations, shares)
        explained += 1
    for load_per_s in _cuts(phases, failed, percent_min=shares.get(GateKind.PHASES_PASSED, 0.0)):
        below = tuple(tally for tally in operations if tally.load_per_s < load_per_s)
        possible |= _with_operations(Verdict.FIT_WITH_LIMITS, below, shares)
        explained += 1
    if explained < 2 ** sum(1 for phase in phases if phase.state is State.UNKNOWN):
        possible.add(Verdict.NOT_FIT)
    return frozenset(possible)


def exit_code(verdict: Verdict, cause: EndCause, *, strict: bool) -> int:
    """The process's exit code: who ended the night overrides the verdict. strict: limits count as not fit."""
    match cause:
        case EndCause.OPERATOR_STOP | EndCause.EMERGENCY_STOP:
            return EXIT_STOPPED_BY_PERSON
        case EndCause.GUARDIAN_STOP:
            return EXIT_STOPPED_BY_GUARDIAN
        case EndCause.DRILL_MISSED:
            return EXIT_REFUSED
        case EndCause.GUARDIAN_LOST | EndCause.SUPERVISOR_LOST | EndCause.RUNNER_FAULT:
            return EXIT_OUR_FAULT
        case EndCause.FINISHED | EndCause.HEALTH_REFUSED | EndCause.FAILURES:
            return _verdict_code(verdict, strict=strict)
    assert_never(cause)


def _verdict_code(verdict: Verdict, *, strict: bool) -> int:
    match verdict:
        case Verdict.FIT:
            return EXIT_FIT
        case Verdict.FIT_WITH_LIMITS:
            return EXIT_NOT_FIT if strict else EXIT_FIT
        case Verdict.NOT_FIT:
            return EXIT_NOT_FIT
        case Verdict.INCONCLUSIVE:
            return EXIT_INCONCLUSIVE
    assert_never(verdict)


def _cuts(phases: tuple[PhaseState, ...], failed: tuple[PhaseState, ...], *, percent_min: float) -> tuple[float, ...]:
    """The loads from which on upwards all phases may have failed, and all below passed, with enough of those."""
    cuts = []
    for load_per_s in sorted({phase.load_per_s for phase in phases}):
        above = tuple(phase for phase in phases if phase.load_per_s >= load_per_s)
        below = len(phases) - len(above)
        if any(phase.state is State.PASS for phase in above):
            continue
        if any(phase.load_per_s < load_per_s for phase in failed):
            continue
        if below == 0 or 100.0 * below / len(phases) < percent_min:
            continue
        cuts.append(load_per_s)
    return tuple(cuts)


def _with_operations(
    verdict: Verdict, operations: tuple[OperationsTally, ...], shares: dict[GateKind, float]
) -> set[Verdict]:
    """The verdict, or not fit, or either, as the share of these operations that succeeded decides."""
    if GateKind.OPERATIONS_SUCCEEDED not in shares:
        return {verdict}
    match operations_state(operations, percent_min=shares[GateKind.OPERATIONS_SUCCEEDED]):
        case State.PASS:
            return {verdict}
        case State.FAIL:
            return {Verdict.NOT_FIT}
        case State.UNKNOWN | State.NOT_JUDGED:
            return {verdict, Verdict.NOT_FIT}


def _why(verdict: Verdict, judged: tuple[GateResult, ...], phases: tuple[PhaseState, ...]) -> str:
    match verdict:
        case Verdict.FIT:
            return f"All {len(judged)} judged gates pass, in {plural(len(phases), 'phase')}."
        case Verdict.FIT_WITH_LIMITS:
            found = capacity(phases)
            holds = f"{found.passing.operations_per_s:g}" if isinstance(found, Between | AtLeast) else "the lower"
            failing = gate_sentence(_first(judged, State.FAIL), phases)
            return f"Everything up to {holds} operations/s holds; above it, {failing}."
        case Verdict.NOT_FIT:
            return _capital(gate_sentence(_first(judged, State.FAIL), phases)) + "."
        case Verdict.INCONCLUSIVE:
            if any(result.state is State.UNKNOWN for result in judged):
                return _capital(gate_sentence(_first(judged, State.UNKNOWN), phases)) + "."
            undecided = next(phase for phase in phases if phase.state is State.UNKNOWN)
            return f"It is unknown whether phase {undecided.name} passed: {undecided.why}."
    assert_never(verdict)


def _first(judged: tuple[GateResult, ...], state: State) -> GateResult:
    """The first answer of this kind, in the order of the night: the baseline's, the phases', the campaign's as a whole."""
    ordered = sorted(judged, key=lambda result: result.spec.kind is not GateKind.BASELINE_HEALTH)
    return next(result for result in ordered if result.state is state)


def _decided_by(verdict: Verdict, judged: tuple[GateResult, ...]) -> tuple[str, ...]:
    match verdict:
        case Verdict.FIT:
            return ()
        case Verdict.FIT_WITH_LIMITS | Verdict.NOT_FIT:
            wanted = State.FAIL
        case Verdict.INCONCLUSIVE:
            wanted = State.UNKNOWN
        case _:
            assert_never(verdict)
    return tuple(result.spec.gate for result in judged if result.state is wanted)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
