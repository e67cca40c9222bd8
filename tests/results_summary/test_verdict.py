"""The verdict, and that less evidence never makes another one."""

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baseline_metrics.health import KnownScore
from monitoring_logs.records import EndCause, GateKind, LoadSecond, Meta, NotJudged, Outcome
from results_summary.assessment import assess
from results_summary.facts import Absent, Facts, SegmentFacts
from results_summary.gates import gates_sha256
from results_summary.verdict import Verdict, exit_code, judge
from safety_monitoring.limits import Rung
from stress_scenarios.load_plan import ErrorClass
from tests.results_summary.load_seconds import histogram_of
from tests.support.night import Night, Phase, eight_phases, make_facts


def verdict_of_night(night: Night) -> Verdict:
    """The word for a synthetic night."""
    return assess(make_facts(night)).judgement.verdict


def test_no_gates_are_inconclusive() -> None:
    """An empty set of gates decides nothing."""
    assert judge((), (), ()).verdict is Verdict.INCONCLUSIVE


def test_a_night_without_phases_is_inconclusive() -> None:
    """Nothing planned, nothing proven."""
    assert verdict_of_night(Night(phases=())) is Verdict.INCONCLUSIVE
    assert verdict_of_night(Night(phases=(Phase(cut="no room"),))) is Verdict.INCONCLUSIVE


def test_a_good_night_is_fit() -> None:
    """All gates pass."""
    judgement = assess(make_facts(Night(phases=eight_phases()))).judgement
    assert judgement.verdict is Verdict.FIT
    assert judgement.decided_by == ()


@pytest.mark.parametrize(
    ("failing", "verdict"),
    [
        ((6,), Verdict.FIT_WITH_LIMITS),  # 120/s, the highest
        ((5, 6), Verdict.FIT_WITH_LIMITS),  # the two highest, 75 % pass
        ((4, 5, 6), Verdict.NOT_FIT),  # the three highest, 62.5 % pass
        ((7,), Verdict.NOT_FIT),  # 32/s fails, higher loads pass
        ((0,), Verdict.NOT_FIT),
        ((1, 6), Verdict.NOT_FIT),
        (tuple(range(8)), Verdict.NOT_FIT),
    ],
)
def test_only_failures_from_some_load_upwards_are_limits(failing: tuple[int, ...], verdict: Verdict) -> None:
    """Fit with limits: exactly the highest loads fail, at least 70 % of phases pass, all below them holds."""
    assert verdict_of_night(Night(phases=eight_phases(failing=failing))) is verdict


def test_the_reason_names_phase_number_and_threshold() -> None:
    """The sentence is made from the first failing gate."""
    why = assess(make_facts(Night(phases=eight_phases(failing=(0,))))).judgement.why
    assert why.startswith("In phase warmup ")
    assert "of the operations succeeded, at least 95 % must." in why


def test_a_failing_campaign_gate_is_not_fit() -> None:
    """A guardian stop or a drift fails the night although every phase passes."""
    stop = Night(phases=eight_phases(), moves=((100.0, Rung.STOP_PHASE, "memory 91 %"),))
    assert verdict_of_night(stop) is Verdict.NOT_FIT
    assert verdict_of_night(Night(phases=eight_phases(), anchor_response_s=(*[0.05] * 8, 0.2))) is Verdict.NOT_FIT


def test_an_invalid_generator_is_inconclusive_but_cannot_hide_a_failure() -> None:
    """Unknown alone is inconclusive; a certain failure below stays one."""
    phases = list(eight_phases())
    phases[6] = replace(phases[6], outcome=Outcome.INVALID_GENERATOR, reason="loop lag")
    assert verdict_of_night(Night(phases=tuple(phases))) is Verdict.INCONCLUSIVE
    phases[0] = replace(phases[0], outcome=Outcome.FAILED, success_share=0.5)
    assert verdict_of_night(Night(phases=tuple(phases))) is Verdict.NOT_FIT


def test_a_crashed_night_is_inconclusive_at_best() -> None:
    """Without the campaign's end, a good record is inconclusive and a failing one not fit."""
    assert verdict_of_night(Night(phases=eight_phases(), end_recorded=False)) is Verdict.INCONCLUSIVE
    assert verdict_of_night(Night(phases=eight_phases(failing=(0,)), end_recorded=False)) is Verdict.NOT_FIT


def test_gates_that_were_changed_afterwards_judge_nothing() -> None:
    """A hash that does not fit is reason enough to refuse."""
    facts = make_facts(Night(phases=eight_phases()))
    assert isinstance(facts.meta, Meta)
    gates = (replace(facts.meta.order.gates[0], threshold=1.0), *facts.meta.order.gates[1:])
    changed = replace(facts, meta=replace(facts.meta, order=replace(facts.meta.order, gates=gates)))
    judgement = assess(changed).judgement
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "hash differs" in judgement.why


def test_a_gate_that_is_not_judged_does_not_count() -> None:
    """Set aside before the night, a failing drift cannot fail it."""
    facts = make_facts(Night(phases=eight_phases(), anchor_response_s=(*[0.05] * 8, 0.2)))
    assert isinstance(facts.meta, Meta)
    gates = tuple(
        replace(gate, judged=NotJudged(reason="a rehearsal")) if gate.kind is GateKind.NO_ANCHOR_DRIFT else gate
        for gate in facts.meta.order.gates
    )
    order = replace(facts.meta.order, gates=gates, gates_sha256=gates_sha256(gates))
    assert assess(replace(facts, meta=replace(facts.meta, order=order))).judgement.verdict is Verdict.FIT


def test_without_the_plan_nothing_is_judged() -> None:
    """A record without its order is inconclusive and says so."""
    facts = replace(make_facts(Night(phases=eight_phases())), meta=Absent(reason="meta.json is gone"))
    judgement = assess(facts).judgement
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "meta.json is gone" in judgement.why


@pytest.mark.parametrize(
    ("verdict", "cause", "code", "strict"),
    [
        (Verdict.FIT, EndCause.FINISHED, 0, 0),
        (Verdict.FIT_WITH_LIMITS, EndCause.FINISHED, 0, 1),
        (Verdict.NOT_FIT, EndCause.FAILURES, 1, 1),
        (Verdict.NOT_FIT, EndCause.HEALTH_REFUSED, 1, 1),
        (Verdict.INCONCLUSIVE, EndCause.FINISHED, 3, 3),
        (Verdict.FIT, EndCause.OPERATOR_STOP, 4, 4),
        (Verdict.NOT_FIT, EndCause.EMERGENCY_STOP, 4, 4),
        (Verdict.NOT_FIT, EndCause.GUARDIAN_STOP, 5, 5),
        (Verdict.INCONCLUSIVE, EndCause.DRILL_MISSED, 6, 6),
        (Verdict.FIT, EndCause.GUARDIAN_LOST, 70, 70),
        (Verdict.FIT, EndCause.SUPERVISOR_LOST, 70, 70),
        (Verdict.FIT, EndCause.RUNNER_FAULT, 70, 70),
    ],
)
def test_exit_codes(verdict: Verdict, cause: EndCause, code: int, strict: int) -> None:
    """Who ended the night overrides the verdict."""
    assert exit_code(verdict, cause, strict=False) == code
    assert exit_code(verdict, cause, strict=True) == strict


GOOD = st.just(Phase(hold_s=6.0, ramp_s=0.0))
DEFECT = st.builds(
    Phase,
    hold_s=st.just(6.0),
    ramp_s=st.just(2.0),
    success_share=st.sampled_from([1.0, 0.95, 0.5, 0.0]),
    response_s=st.sampled_from([0.05, 1.9, 3.0]),
    started_share=st.sampled_from([1.0, 0.99, 0.8]),
    asked_share=st.sampled_from([1.0, 1.0, 1.0, 0.6]),
    saturated_share=st.sampled_from([0.0, 0.0, 0.2]),
    error=st.sampled_from([ErrorClass.STATUS, ErrorClass.STATUS, ErrorClass.CLIENT]),
    outcome=st.sampled_from([*[Outcome.COMPLETED] * 6, *Outcome]),
)


@st.composite
def some_nights(draw: st.DrawFn) -> Night:
    """Mostly good phases of rising load, a defect here and there, more often at the top."""
    count = draw(st.integers(1, 7))
    defects = draw(st.sets(st.integers(0, count - 1), max_size=1))
    if draw(st.booleans()):
        defects = defects | {count - 1}
    phases = tuple(
        replace(draw(DEFECT if index in defects else GOOD), name=f"phase{index}", connections=1 + index)
        for index in range(count)
    )
    return Night(
        phases=phases,
        seed=draw(st.integers(0, 10_000)),
        cause=draw(st.sampled_from([*[EndCause.FINISHED] * 12, *EndCause])),
        baseline_health=KnownScore(value=draw(st.sampled_from([96.4, 96.4, 96.4, 82.0, 72.0, 50.0]))),
        low_part=draw(st.sampled_from(["performance", "system"])),
        anchor_response_s=draw(st.sampled_from([(0.05,), (0.05,), (0.05,), (0.05, 0.05, 0.2)])),
        anchor_hold_s=4.0,
        p99_max_s=draw(st.sampled_from([0.0, 0.5])),
        moves=draw(st.sampled_from([(), (), ((20.0, Rung.EASE, "cpu 88 %"),)])),
    )


def as_version_2(facts: Facts, chance: random.Random) -> Facts:
    """The same night as schema version 2 records it: mostly sound, now and then with an instrument or a generator that is not.

    Arrivals that were requested and not started count as dropped in some second of the load.
    """

    def rows(segment: SegmentFacts, dropped: int) -> tuple[LoadSecond, ...]:
        wrong = chance.choice([1.0, 1.0, 1.0, 1.0, 2.0])
        late = chance.choice([0.0, 0.0, 0.0, 0.3])
        when = chance.randrange(max(1, len(segment.seconds)))
        found = []
        for row in segment.seconds:
            service_s = 0.05 * (row.succeeded + row.failed)
            found.append(
                replace(
                    row,
                    workers=2,
                    generator_cpu_s_max=row.generator_cpu_s,
                    service_s_sum=service_s,
                    in_flight_s=wrong * service_s,
                    schedule_lag=histogram_of(0.2 if chance.random() < late else 0.001),
                    operations_dropped=dropped if row.second >= when else 0,
                )
            )
        return tuple(found)

    def dropped_in(segment: int) -> int:
        return next((record.load.operations_dropped for record in facts.phases if record.segment == segment), 0)

    records = tuple(
        replace(
            record,
            load=replace(
                record.load,
                operations_dropped=chance.choice(
                    [0, record.load.operations_requested - record.load.operations_started]
                ),
            ),
        )
        for record in facts.phases
    )
    facts = replace(facts, phases=records)
    segments = tuple(
        replace(segment, seconds=rows(segment, dropped_in(segment.record.segment))) for segment in facts.segments
    )
    return replace(facts, segments=segments)


def with_less(facts: Facts, chance: random.Random) -> Facts:
    """The record without a random part of its evidence: windows, anchors, phase records, baseline, end."""
    share = chance.choice([0.02, 0.2, 0.6, 1.0])

    def stays() -> bool:
        return chance.random() >= share

    segments = tuple(
        replace(
            segment,
            seconds=tuple(row for row in segment.seconds if stays()),
            minutes=tuple(row for row in segment.minutes if chance.random() < 0.5),
            errors=tuple(row for row in segment.errors if stays()),
        )
        for segment in facts.segments
        if chance.random() < 0.9
    )
    if chance.random() < 0.5:
        facts = replace(facts, segments=segments)
    if chance.random() < 0.4:
        facts = replace(facts, anchors=tuple(anchor for anchor in facts.anchors if stays()))
    if chance.random() < 0.4:
        facts = replace(facts, phases=tuple(record for record in facts.phases if stays()))
    if chance.random() < 0.2:
        facts = replace(facts, baseline=Absent(reason="lost"))
    if chance.random() < 0.2:
        facts = replace(facts, end=Absent(reason="lost"))
    return facts


@given(night=some_nights(), seed=st.integers(0, 1_000_000), version=st.sampled_from([1, 2]))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_less_evidence_moves_a_verdict_only_towards_inconclusive(night: Night, seed: int, version: int) -> None:
    """INCONCLUSIVE lies below the three other words, which lie beside each other: less evidence never goes up or aside."""
    chance = random.Random(seed)
    facts = make_facts(night) if version == 1 else as_version_2(make_facts(night), chance)
    verdict = assess(facts).judgement.verdict
    for _ in range(3):
        facts = with_less(facts, chance)
        less = assess(facts).judgement.verdict
        assert less in {verdict, Verdict.INCONCLUSIVE}
        verdict = less
