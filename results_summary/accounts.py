"""On whose account a phase ended as it did: the target's, nobody's, or our own.

Only what the target did may count against it. A broken generator, a busy host, a lost guardian, a late night or a person's
stop leaves the question open; a phase that was skipped or never reached counts as not passed only where the target's own
numbers were the reason. The reason's text is for people and is not read here.
Pure; see checks.
"""

from collections.abc import Iterator
from enum import Enum
from itertools import islice
from typing import assert_never

from baseline_metrics.health import Health, KnownScore
from monitoring_logs.records import EndCause, NightOrder, Outcome, PhaseRecord
from results_summary.facts import Absent, Facts
from results_summary.generator import is_ours

GOOD_SCORE = 90.0
"""A part of the health score at which its objective was met."""

TARGET_PARTS = frozenset({"connectivity", "performance", "latency", "errors", "traffic"})
"""Parts of a score that speak of the target. The others (system, stability, saturation) speak of the host."""


class Account(Enum):
    """How the measurements of a phase may be used."""

    MEASURED = "measured"  # the load ran: its numbers decide
    EASED = "eased"  # the guardian lowered the load: numbers may pass, a failure is the host's
    STOPPED_BY_PERSON = "stopped_by_person"  # cut short: what did not run is unknown
    STOPPED_BY_GUARDIAN = "stopped_by_guardian"  # cut short, and that counts as not passed
    NOT_PASSED = "not_passed"  # no load was made, on the target's account
    OPEN = "open"  # our own fault or an unknown one: nothing is decided


def account_of(record: PhaseRecord, facts: Facts, order: NightOrder, *, failing: frozenset[int]) -> Account:
    """Whose doing the phase's outcome is. failing: indexes of the earlier phases that a judged gate fails."""
    match record.outcome:
        case Outcome.COMPLETED | Outcome.FAILED:
            return Account.MEASURED
        case Outcome.EASED:
            return Account.EASED
        case Outcome.OPERATOR_STOP:
            return Account.STOPPED_BY_PERSON
        case Outcome.SAFETY_STOP:
            return Account.STOPPED_BY_GUARDIAN
        case Outcome.SKIPPED:
            return _skipped(record, facts)
        case Outcome.NOT_REACHED:
            return Account.NOT_PASSED if _kept_away_by_target(record, facts, order, failing) else Account.OPEN
        case (
            Outcome.INVALID_GENERATOR
            | Outcome.WORKER_CRASHED
            | Outcome.WORKER_HUNG
            | Outcome.OOM_KILLED
            | Outcome.GUARDIAN_LOST
            | Outcome.RUNNER_FAULT
        ):
            return Account.OPEN
    assert_never(record.outcome)


def target_missed(health: Health) -> bool:
    """Whether a part that speaks of the target is known to have missed its objective, in a score that is known."""
    return isinstance(health.score, KnownScore) and any(
        part.name in TARGET_PARTS and isinstance(part.score, KnownScore) and part.score.value < GOOD_SCORE
        for part in health.parts
    )


def baseline_missed(facts: Facts) -> bool:
    """Whether the baseline's score is known to be low on the target's account."""
    baseline = facts.baseline
    return not isinstance(baseline, Absent) and _target_at_fault(baseline.health, baseline.anchor_segment, facts)


def _target_at_fault(health: Health, segment: int, facts: Facts) -> bool:
    """target_missed, when every failure of the load that the score was made from is known to be the target's.

    What the scenario itself got wrong lowers the same parts of the score.
    """
    if not target_missed(health):
        return False
    found = facts.segment(segment)
    if isinstance(found, Absent):
        return False
    failed = max(
        sum(second.failed for second in found.seconds),
        *(anchor.load.operations_failed for anchor in facts.anchors if anchor.segment == segment),
        0,
    )
    return failed <= sum(group.count for group in found.errors if not is_ours(group.error.value))


def _skipped(record: PhaseRecord, facts: Facts) -> Account:
    """A phase skipped for want of health counts against the target only if its own part of the anchor's score was low.

    Otherwise the target answered the anchor load as it should, on a host that was busy with something else, or the scenario
    itself failed.
    """
    if not isinstance(record.health_at_arming, KnownScore):
        return Account.OPEN
    missed = any(
        anchor.segment == record.anchor_segment and _target_at_fault(anchor.health, anchor.segment, facts)
        for anchor in facts.anchors
    )
    return Account.NOT_PASSED if missed else Account.OPEN


def _kept_away_by_target(record: PhaseRecord, facts: Facts, order: NightOrder, failing: frozenset[int]) -> bool:
    """Whether the target is known to be the reason why the night did not come to this phase.

    A phase that health allowed and that was not reached in a finished night found the rest of the window too short: the
    night was late, which is our own doing.
    """
    if isinstance(facts.end, Absent):
        return False
    match facts.end.cause:
        case EndCause.FINISHED | EndCause.HEALTH_REFUSED:
            return _forbidden_by_target(record, facts, order)
        case EndCause.FAILURES:
            return _forbidden_by_target(record, facts, order) or _failed_before(record, facts, order, failing)
        case EndCause.GUARDIAN_STOP:
            return _forbidden_by_target(record, facts, order) or _stopped_before(record, facts, order)
        case (
            EndCause.OPERATOR_STOP
            | EndCause.EMERGENCY_STOP
            | EndCause.DRILL_MISSED
            | EndCause.GUARDIAN_LOST
            | EndCause.SUPERVISOR_LOST
            | EndCause.RUNNER_FAULT
        ):
            return False
    assert_never(facts.end.cause)


def _forbidden_by_target(record: PhaseRecord, facts: Facts, order: NightOrder) -> bool:
    """Whether the baseline's health allowed fewer phases than up to this one, because of the target's own parts."""
    if isinstance(facts.baseline, Absent) or not baseline_missed(facts):
        return False
    included = [phase.index for phase in order.phases if not phase.cut]
    return record.index in included[facts.baseline.phases_allowed :]


def _failed_before(record: PhaseRecord, facts: Facts, order: NightOrder, failing: frozenset[int]) -> bool:
    """Whether each of the failures that halted the night is the target's; one of ours among them leaves it open."""
    failures = tuple(islice(_reached_before(record, facts, order), order.consecutive_failures_max))
    return len(failures) == order.consecutive_failures_max and all(
        not isinstance(before, Absent)
        and before.outcome in {Outcome.FAILED, Outcome.SKIPPED}
        and before.index in failing
        for before in failures
    )


def _stopped_before(record: PhaseRecord, facts: Facts, order: NightOrder) -> bool:
    """Whether the guardian's stop hit the load of the last phase that ran; without load it is the host's doing."""
    last = next(_reached_before(record, facts, order), Absent(reason="no phase ran before"))
    return not isinstance(last, Absent) and last.outcome is Outcome.SAFETY_STOP


def _reached_before(record: PhaseRecord, facts: Facts, order: NightOrder) -> Iterator[PhaseRecord | Absent]:
    """The phases before this one, backwards, without those that were not reached either; a lost record is Absent."""
    for phase in reversed(order.phases):
        if phase.cut or phase.index >= record.index:
            continue
        before = facts.phase(phase.index)
        if isinstance(before, Absent) or before.outcome is not Outcome.NOT_REACHED:
            yield before
