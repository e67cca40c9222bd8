"""On whose account a phase ended as it did: the target's, nobody's, or our own.

Only what the target did may count against it. A broken generator, a lost guardian or a person's stop leaves the question
open; a phase that was skipped or never reached because of earlier results counts as not passed.
Pure; see checks.
"""

from enum import Enum
from typing import assert_never

from baseline_metrics.health import SATURATION, KnownScore
from monitoring_logs.records import AnchorRecord, CampaignEnd, EndCause, Outcome, PhaseRecord
from results_summary.facts import Absent, Facts

GOOD_SCORE = 90.0
"""A part of the health score at which its objective was met."""


class Account(Enum):
    """How the measurements of a phase may be used."""

    MEASURED = "measured"  # the load ran: its numbers decide
    EASED = "eased"  # the guardian lowered the load: numbers may pass, a failure is the host's
    STOPPED_BY_PERSON = "stopped_by_person"  # cut short: what did not run is unknown
    STOPPED_BY_GUARDIAN = "stopped_by_guardian"  # cut short, and that counts as not passed
    NOT_PASSED = "not_passed"  # no load was made, on the target's account
    OPEN = "open"  # our own fault or an unknown one: nothing is decided


def account_of(record: PhaseRecord, facts: Facts) -> Account:
    """Whose doing the phase's outcome is."""
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
            return _skipped(record, facts.anchors)
        case Outcome.NOT_REACHED:
            return _not_reached(facts.end)
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


def _skipped(record: PhaseRecord, anchors: tuple[AnchorRecord, ...]) -> Account:
    """A phase skipped for want of health counts against the target, unless its parts are unknown or the host was the cause.

    The host was the cause when saturation is the only part of the anchor's score that missed its objective: the target
    answered the anchor load as it should, on a host that was busy with something else.
    """
    if not isinstance(record.health_at_arming, KnownScore):
        return Account.OPEN
    parts = next((anchor.health.parts for anchor in anchors if anchor.segment == record.anchor_segment), ())
    missed = {
        part.name for part in parts if not (isinstance(part.score, KnownScore) and part.score.value >= GOOD_SCORE)
    }
    return Account.OPEN if missed == {SATURATION} or not parts else Account.NOT_PASSED


def _not_reached(end: CampaignEnd | Absent) -> Account:
    if isinstance(end, Absent):
        return Account.OPEN
    match end.cause:
        case EndCause.FINISHED | EndCause.FAILURES | EndCause.HEALTH_REFUSED | EndCause.GUARDIAN_STOP:
            return Account.NOT_PASSED
        case (
            EndCause.OPERATOR_STOP
            | EndCause.EMERGENCY_STOP
            | EndCause.DRILL_MISSED
            | EndCause.GUARDIAN_LOST
            | EndCause.SUPERVISOR_LOST
            | EndCause.RUNNER_FAULT
        ):
            return Account.OPEN
    assert_never(end.cause)
