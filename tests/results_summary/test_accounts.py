"""Whose doing it was: only what the target did may count against it."""

import dataclasses

import pytest

from baseline_metrics.health import (
    SATURATION,
    BaselineInputs,
    GoldenSignals,
    HealthPart,
    KnownScore,
    Score,
    UnknownScore,
    baseline_health,
    running_health,
)
from baseline_metrics.samples import Sample
from monitoring_logs.records import EndCause, ErrorGroup, Meta, Outcome
from results_summary.accounts import GOOD_SCORE, TARGET_PARTS, Account, account_of
from results_summary.assessment import assess
from results_summary.facts import Absent, Facts
from results_summary.findings import State
from results_summary.verdict import Verdict
from stress_scenarios.load_plan import ErrorClass
from tests.support.night import Night, Phase, eight_phases, make_facts


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
    assert isinstance(facts.meta, Meta)
    return account_of(record, facts, facts.meta.order, failing=frozenset())


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


def test_the_parts_of_real_scores_are_sorted_into_target_and_host() -> None:
    """Every part that the scores are made of speaks of the target or of the host; a renamed part is noticed here."""
    reading = Sample(value=1.0)
    baseline = baseline_health(
        BaselineInputs(
            memory_percent=reading,
            cpu_percent=reading,
            disk_percent=reading,
            operations_succeeded=1,
            operations_failed=0,
            response_s_mean=reading,
            response_s_slo=1.0,
            response_s_limit=2.0,
            noise_cv=reading,
        ),
        at_mono_s=0.0,
    )
    running = running_health(
        GoldenSignals(
            response_s=reading,
            response_s_slo=1.0,
            response_s_limit=2.0,
            error_percent=reading,
            error_percent_slo=1.0,
            error_percent_limit=2.0,
            achieved_share=reading,
            memory_percent=reading,
            memory_percent_limit=80.0,
            cpu_percent=reading,
            cpu_percent_limit=85.0,
        ),
        at_mono_s=0.0,
    )
    names = {part.name for part in (*baseline.parts, *running.parts)}
    assert names == TARGET_PARTS | {"system", "stability", SATURATION}


def refused(*, cause: EndCause, low_part: str, score: float = 42.0) -> Night:
    """A night that the baseline's health allowed less of than was planned."""
    reached = {42.0: 0, 75.0: 4, 85.0: 6}[score]
    phases = tuple(
        phase if index < reached else dataclasses.replace(phase, outcome=Outcome.NOT_REACHED)
        for index, phase in enumerate(eight_phases(hold_s=6.0))
    )
    return Night(phases=phases, cause=cause, baseline_health=KnownScore(value=score), low_part=low_part)


@pytest.mark.parametrize(
    ("cause", "score"), [(EndCause.HEALTH_REFUSED, 42.0), (EndCause.FINISHED, 75.0), (EndCause.FINISHED, 85.0)]
)
@pytest.mark.parametrize(
    ("low_part", "state"),
    [
        ("connectivity", State.FAIL),
        ("performance", State.FAIL),
        ("system", State.UNKNOWN),
        ("stability", State.UNKNOWN),
    ],
)
def test_phases_that_the_baselines_health_forbade_count_by_its_part(
    cause: EndCause, score: float, low_part: str, state: State
) -> None:
    """A slow or failing target forbids phases on its own account; a busy or noisy host leaves them undecided."""
    assessment = assess(make_facts(refused(cause=cause, low_part=low_part, score=score)))

    assert assessment.phases[-1].state is state


def test_a_host_that_is_busy_before_the_night_is_inconclusive() -> None:
    """Refused for the system part alone: nothing is known about the target."""
    host = assess(make_facts(refused(cause=EndCause.HEALTH_REFUSED, low_part="system")))
    target = assess(make_facts(refused(cause=EndCause.HEALTH_REFUSED, low_part="connectivity")))

    assert (host.judgement.verdict, target.judgement.verdict) == (Verdict.INCONCLUSIVE, Verdict.NOT_FIT)


def with_anchor_failures(facts: Facts, *, failed: int, errors: tuple[tuple[ErrorClass, int], ...]) -> Facts:
    """The same night, in which so many operations of the first anchor failed, and these are the groups in the record."""
    assert not isinstance(facts.baseline, Absent)
    segment = facts.baseline.anchor_segment
    groups = tuple(
        ErrorGroup(segment=segment, minute=0, operation=0, error=error, message="what was said", count=count)
        for error, count in errors
    )
    return dataclasses.replace(
        facts,
        anchors=tuple(
            dataclasses.replace(anchor, load=dataclasses.replace(anchor.load, operations_failed=failed))
            if anchor.segment == segment
            else anchor
            for anchor in facts.anchors
        ),
        segments=tuple(
            dataclasses.replace(found, errors=groups) if found.record.segment == segment else found
            for found in facts.segments
        ),
    )


@pytest.mark.parametrize(
    ("failed", "errors", "verdict", "words"),
    [
        (0, (), Verdict.NOT_FIT, "(before the first phase)"),
        (40, ((ErrorClass.STATUS, 40),), Verdict.NOT_FIT, "of 40 failures 40 were status: what was said"),
        (40, ((ErrorClass.SCENARIO, 40),), Verdict.INCONCLUSIVE, "of 40 failures 40 were scenario: what was said"),
        (
            40,
            ((ErrorClass.STATUS, 39), (ErrorClass.SCENARIO, 1)),
            Verdict.INCONCLUSIVE,
            "of 40 failures 39 were status",
        ),
        (40, ((ErrorClass.STATUS, 39),), Verdict.INCONCLUSIVE, "not known to be the cause"),
    ],
)
def test_a_baseline_that_the_scenario_itself_spoiled_says_nothing_of_the_target(
    failed: int, errors: tuple[tuple[ErrorClass, int], ...], verdict: Verdict, words: str
) -> None:
    """User code that raises lowers the same score; failures that are lost may have been such. The sentence names them."""
    facts = make_facts(refused(cause=EndCause.HEALTH_REFUSED, low_part="connectivity"))
    judgement = assess(with_anchor_failures(facts, failed=failed, errors=errors)).judgement
    assert judgement.verdict is verdict
    assert "baseline" in judgement.why
    assert words in judgement.why


def test_a_phase_skipped_because_the_scenario_failed_is_left_open() -> None:
    """Its anchor's health was low by our own doing."""
    parts: dict[str, Score] = {"latency": GOOD, "errors": KnownScore(value=0.0), "traffic": GOOD, SATURATION: GOOD}
    facts = skipped_night(health=KnownScore(value=40.0), parts=parts)
    assert account(facts) is Account.NOT_PASSED
    spoiled = with_anchor_failures(facts, failed=3, errors=((ErrorClass.SCENARIO, 3),))
    assert account(spoiled) is Account.OPEN


def test_a_refusal_whose_baseline_is_lost_or_unknown_is_inconclusive() -> None:
    """Without a known score nobody can say whose fault the refusal was."""
    facts = make_facts(refused(cause=EndCause.HEALTH_REFUSED, low_part="performance"))
    assert not isinstance(facts.baseline, Absent)
    unknown = dataclasses.replace(facts.baseline.health, score=UnknownScore(reason="no memory reading"))
    bare = dataclasses.replace(facts.baseline.health, parts=())

    for baseline in (
        Absent(reason="lost"),
        dataclasses.replace(facts.baseline, health=unknown),
        dataclasses.replace(facts.baseline, health=bare),
    ):
        less = assess(dataclasses.replace(facts, baseline=baseline))
        assert less.judgement.verdict is Verdict.INCONCLUSIVE


def test_a_window_that_became_too_short_is_our_own_lateness() -> None:
    """The target passed everything it was asked; a phase that did not fit any more is undecided."""
    *first, last = eight_phases(hold_s=6.0)
    late = Night(phases=(*first, dataclasses.replace(last, outcome=Outcome.NOT_REACHED)))

    assessment = assess(make_facts(late))

    assert assessment.phases[-1].state is State.UNKNOWN
    assert assessment.judgement.verdict is Verdict.INCONCLUSIVE


def halted(*outcomes: Outcome, failing: bool = True) -> Facts:
    """A night halted after failures with these outcomes, before its last phase."""
    share = 0.5 if failing else 1.0
    phases = tuple(
        Phase(name=f"p{index}", outcome=outcome, hold_s=6.0, health=KnownScore(value=40.0), success_share=share)
        for index, outcome in enumerate(outcomes)
    )
    last = Phase(name="last", outcome=Outcome.NOT_REACHED)
    return make_facts(Night(phases=(*phases, last), cause=EndCause.FAILURES))


FAILED, SKIPPED, INVALID = Outcome.FAILED, Outcome.SKIPPED, Outcome.INVALID_GENERATOR


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ((FAILED, FAILED, FAILED), State.FAIL),
        ((FAILED, SKIPPED, FAILED), State.FAIL),
        ((INVALID, FAILED, FAILED, FAILED), State.FAIL),
        ((FAILED, INVALID, FAILED), State.UNKNOWN),
        ((FAILED, FAILED, Outcome.WORKER_HUNG), State.UNKNOWN),
        ((FAILED, FAILED, Outcome.SAFETY_STOP), State.UNKNOWN),
        ((FAILED, FAILED), State.UNKNOWN),
        ((FAILED, Outcome.NOT_REACHED, FAILED, FAILED), State.FAIL),
    ],
)
def test_a_halt_after_failures_counts_only_if_all_of_them_are_the_targets(
    outcomes: tuple[Outcome, ...], state: State
) -> None:
    """Three failures halt this night; one of ours among them leaves what followed undecided."""
    assert assess(halted(*outcomes)).phases[-1].state is state


def test_failed_phases_whose_gates_hold_do_not_count_for_what_followed() -> None:
    """The outcome alone is the supervisor's hurried view; the gates decide."""
    assert assess(halted(FAILED, FAILED, FAILED, failing=False)).phases[-1].state is State.UNKNOWN


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_lost_record_among_the_failures_leaves_what_followed_open(index: int) -> None:
    """Less evidence never makes more of a halt."""
    facts = halted(FAILED, FAILED, FAILED)
    less = dataclasses.replace(facts, phases=tuple(record for record in facts.phases if record.index != index))

    assert assess(less).phases[-1].state is State.UNKNOWN


@pytest.mark.parametrize(("before", "state"), [(Outcome.SAFETY_STOP, State.FAIL), (Outcome.COMPLETED, State.UNKNOWN)])
def test_what_a_guardian_stop_left_out_counts_only_if_it_hit_a_phase(before: Outcome, state: State) -> None:
    """A stop while nothing of ours ran is the host's doing."""
    phases = (Phase(outcome=before, ran_share=0.5 if state is State.FAIL else 1.0), Phase(outcome=Outcome.NOT_REACHED))

    assert assess(make_facts(Night(phases=phases, cause=EndCause.GUARDIAN_STOP))).phases[1].state is state
