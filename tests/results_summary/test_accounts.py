"""Whose doing it was: a phase that was skipped on a busy host does not count against the target."""

import dataclasses

import pytest

from baseline_metrics.health import SATURATION, HealthPart, KnownScore, Score, UnknownScore
from monitoring_logs.records import Outcome
from results_summary.accounts import GOOD_SCORE, Account, account_of
from results_summary.facts import Absent, Facts
from tests.support.night import Night, Phase, make_facts


def skipped_night(*, health: Score, parts: dict[str, Score]) -> Facts:
    """A night whose only phase was skipped after an anchor with these parts of its health."""
    facts = make_facts(Night(phases=(Phase(outcome=Outcome.SKIPPED, health=health),)))
    scored = tuple(HealthPart(name=name, score=score, weight=25.0, detail="") for name, score in parts.items())
    anchors = tuple(
        dataclasses.replace(anchor, health=dataclasses.replace(anchor.health, score=health, parts=scored))
        for anchor in facts.anchors
    )
    return dataclasses.replace(facts, anchors=anchors)


def account(facts: Facts) -> Account:
    """The account of the night's only phase."""
    record = facts.phase(0)
    assert not isinstance(record, Absent)
    return account_of(record, facts)


GOOD = KnownScore(value=GOOD_SCORE)


def test_a_busy_host_is_not_the_targets_fault() -> None:
    """Saturation is the only part below its objective: the question stays open."""
    parts: dict[str, Score] = {"latency": GOOD, "errors": GOOD, "traffic": GOOD, SATURATION: KnownScore(value=30.0)}

    assert account(skipped_night(health=KnownScore(value=30.0), parts=parts)) is Account.OPEN


@pytest.mark.parametrize("part", ["latency", "errors", "traffic"])
def test_a_target_below_its_objective_counts_even_on_a_busy_host(part: str) -> None:
    """One part of the target's own just below its objective makes the skip the target's."""
    parts: dict[str, Score] = {"latency": GOOD, "errors": GOOD, "traffic": GOOD, SATURATION: KnownScore(value=30.0)}
    parts[part] = KnownScore(value=GOOD_SCORE - 0.1)

    assert account(skipped_night(health=KnownScore(value=30.0), parts=parts)) is Account.NOT_PASSED


def test_a_slow_target_on_an_idle_host_counts_against_it() -> None:
    """Latency alone is low: not passed."""
    parts: dict[str, Score] = {"latency": KnownScore(value=20.0), "errors": GOOD, "traffic": GOOD, SATURATION: GOOD}

    assert account(skipped_night(health=KnownScore(value=40.0), parts=parts)) is Account.NOT_PASSED


def test_a_skip_whose_anchor_is_lost_leaves_the_question_open() -> None:
    """Without the parts nobody knows whose fault it was: losing a record never makes a verdict worse."""
    assert account(skipped_night(health=KnownScore(value=40.0), parts={})) is Account.OPEN


def test_unknown_health_leaves_the_question_open() -> None:
    """A skip for want of readings says nothing about the target."""
    assert account(skipped_night(health=UnknownScore(reason="no readings"), parts={})) is Account.OPEN
