"""What this night cannot say, in plain sentences, each with its number.

A report that only lists what it found invites reading more into it than was measured. Pure; viewing shows it.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from baseline_metrics.estimates import samples_needed, zero_error_upper_bound
from baseline_metrics.units import format_duration
from monitoring_logs.records import TIME_KIND, Meta, NotJudged
from results_summary import wording
from results_summary.assessment import Assessment
from results_summary.capacity import AtLeast, Below, Between, CapacityUnknown, LoadLevel, Searched
from results_summary.cleaning import clean
from results_summary.facts import Absent
from results_summary.findings import State
from results_summary.measures import coverage_percent
from results_summary.phase_notes import contradiction_sentences
from results_summary.record_words import record_sentences
from results_summary.searched_capacity import limit_words

SENTENCES_MAX = 14
"""A longer list is not read."""

NAMES_MAX = 4
"""Phases named in one sentence."""


def what_it_cannot_say(assessment: Assessment) -> tuple[str, ...]:
    """Sentences, the weightiest first."""
    sentences = [
        *_whole_night(assessment),
        *contradiction_sentences(assessment)[:NAMES_MAX],
        *_capacity(assessment),
        *_not_judged(assessment),
        *_time(assessment),
        *record_sentences(assessment.facts),
        *_missing_windows(assessment),
        *_errors(assessment),
        *_tails(assessment),
        *_setting(assessment),
    ]
    return tuple(sentences[:SENTENCES_MAX])


def _whole_night(assessment: Assessment) -> list[str]:
    sentences = []
    if assessment.facts.partial:
        sentences.append("The night still goes on: nothing here is a verdict.")
    elif not assessment.end_recorded:
        sentences.append("Nobody recorded the end of this night; it is taken from the record's last sign of life.")
    if not isinstance(assessment.facts.meta, Absent) and assessment.facts.meta.order.rehearsal:
        sentences.append(
            "This was a rehearsal in compressed time: leaks, drift and slow exhaustion cannot show in minutes."
        )
    return sentences


def _capacity(assessment: Assessment) -> list[str]:
    tested = max(
        (
            phase.load_per_s
            for phase in assessment.phases
            if phase.ran and phase.requested and phase.state is not State.UNKNOWN
        ),
        default=0.0,
    )
    match assessment.capacity:
        case Between(passing=passing, failing=failing, higher_passed=higher_passed):
            bracket = f"{passing.operations_per_s:g} and {failing.operations_per_s:g} operations/s"
            between = any(
                phase.ran and phase.requested and passing.operations_per_s < phase.load_per_s < failing.operations_per_s
                for phase in assessment.phases
            )
            tested_between = "what was tested in between is undecided, or lies above what is"
            sentences = [
                f"Capacity lies between {bracket}; {tested_between if between else 'nothing was tested in between'}."
            ]
            if higher_passed:
                sentences.append("A higher load passed although a lower one failed: the bracket is doubtful.")
            return sentences
        case AtLeast(passing=passing):
            return [
                f"The ceiling was not found: nothing above {passing.operations_per_s:g} operations/s was seen to pass or fail."
            ]
        case Below(failing=failing):
            return [
                f"No load below {failing.operations_per_s:g} operations/s was seen to pass, from the lowest tested one up."
            ]
        case Searched() as found:
            return _searched(assessment, found)
        case CapacityUnknown():
            return (
                [f"Nothing is known about capacity; the highest decided load was {tested:g} operations/s."]
                if tested
                else []
            )


def _searched(assessment: Assessment, found: Searched) -> list[str]:
    if found.contradictions:
        return [
            f"The search and the rest of the night contradict each other ({found.contradictions[0]}): neither is the answer."
        ]
    sentences = []
    if not isinstance(found.failing, LoadLevel):
        sentences.append(f"The ceiling was not found: {limit_words(found)}.")
    elif isinstance(found.passing, LoadLevel):
        sentences.append(
            f"Between {wording.rate(found.passing.operations_per_s)} and {wording.rate(found.failing.operations_per_s)} "
            "nothing is decided."
        )
    longest_s = max(
        (step.end_mono_s - step.start_mono_s for search in assessment.facts.searches for step in search.steps),
        default=0.0,
    )
    if longest_s > 0:
        sentences.append(
            f"The search held no rate for longer than {format_duration(longest_s)}: what builds up more slowly cannot show."
        )
    return sentences


def _not_judged(assessment: Assessment) -> list[str]:
    reasons: dict[str, int] = {}
    for result in assessment.results:
        if isinstance(result.spec.judged, NotJudged):
            reasons[result.spec.judged.reason] = reasons.get(result.spec.judged.reason, 0) + 1
    return [f"Not judged ({wording.plural(number, 'gate')}): {reason}." for reason, number in reasons.items()]


def _time(assessment: Assessment) -> list[str]:
    """What the host slept through, and clocks that were set."""
    moved = [event.text for event in assessment.facts.events if event.kind == TIME_KIND]
    sentences = [f"{clean(text)[:1].upper()}{clean(text)[1:]}." for text in moved[:NAMES_MAX]]
    if len(moved) > NAMES_MAX:
        sentences.append(f"Time moved {wording.plural(len(moved) - NAMES_MAX, 'more time')} in this night.")
    return sentences


def _missing_windows(assessment: Assessment) -> list[str]:
    facts = assessment.facts
    if isinstance(facts.meta, Absent):
        return []
    short = []
    for order in facts.meta.order.phases:
        record = facts.phase(order.index)
        if isinstance(record, Absent):
            continue
        segment = facts.segment(record.segment)
        if isinstance(segment, Absent):
            continue
        known = wording.reading_percent(
            coverage_percent(segment, ramp_s=order.ramp_s, hold_s=record.load.hold_s_requested + record.held_s)
        )
        if known not in {"100.0 %", wording.UNKNOWN}:
            short.append(f"{order.name} {known}")
    if not short:
        return []
    return [f"Seconds are missing from the record, and count as unknown, not as good: {_names(short)} covered."]


def _errors(assessment: Assessment) -> list[str]:
    succeeded = sum(measure.fuller.succeeded for measure in assessment.measures.values())
    failed = sum(measure.fuller.failed for measure in assessment.measures.values())
    if failed or not succeeded:
        return []
    bound = 100.0 * zero_error_upper_bound(succeeded)
    return [
        f"No error in {wording.count(succeeded)} operations: the true error rate may still be up to {bound:.2g} % (95 %)."
    ]


def _tails(assessment: Assessment) -> list[str]:
    needed = samples_needed(quantile=0.99)
    few = []
    for phase in assessment.phases:
        record = assessment.facts.phase(phase.index)
        if isinstance(record, Absent) or record.segment not in assessment.measures:
            continue
        if assessment.measures[record.segment].fuller.response.count < needed:
            few.append(phase.name)
    return [f"p99 is not estimable below {needed} successes: {_names(few)}."] if few else []


def _setting(assessment: Assessment) -> list[str]:
    sentences = ["One night: how much results differ from night to night is unknown."]
    match assessment.facts.meta:
        case Meta(order=order) if any(_is_loopback(target) for target in order.targets):
            sentences.append("Load generator and target shared a host: each slowed the other by an unknown amount.")
        case _:
            pass
    if len(assessment.facts.anchors) < 3:
        sentences.append("Load and time were confounded: there were fewer than three anchors to tell them apart.")
    return sentences


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:NAMES_MAX])
    return shown if len(names) <= NAMES_MAX else f"{shown} and {len(names) - NAMES_MAX} more"


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
