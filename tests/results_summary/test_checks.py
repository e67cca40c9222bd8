"""Each gate just below, at and above its threshold, and each outcome of a phase."""

from dataclasses import replace

import pytest

from baseline_metrics.health import KnownScore, UnknownScore
from baseline_metrics.samples import Sample
from monitoring_logs.records import EndCause, GateKind, GuardianEvent, Meta, Outcome, PhaseRecord
from results_summary.assessment import assess
from results_summary.facts import Absent, Facts
from results_summary.findings import GateResult, Interval, State
from results_summary.gates import gates_sha256
from results_summary.verdict import Verdict, exit_code
from safety_monitoring.limits import Rung
from stress_scenarios.load_plan import ErrorClass
from tests.support.night import Night, Phase, eight_phases, make_facts, without


def answer(facts: Facts, kind: GateKind, phase: int = -1) -> GateResult:
    """The one answer of this kind."""
    (result,) = (result for result in assess(facts).results if result.spec.kind is kind and result.spec.phase == phase)
    return result


def with_threshold(facts: Facts, kind: GateKind, threshold: float) -> Facts:
    """The same record with another threshold of one kind of gate, hashed again."""
    assert isinstance(facts.meta, Meta)
    gates = tuple(replace(gate, threshold=threshold) if gate.kind is kind else gate for gate in facts.meta.order.gates)
    order = replace(facts.meta.order, gates=gates, gates_sha256=gates_sha256(gates))
    return replace(facts, meta=replace(facts.meta, order=order))


def with_load(facts: Facts, **changes: int) -> Facts:
    """The same record with other counters of the first phase."""
    record = facts.phases[0]
    return replace(facts, phases=(replace(record, load=replace(record.load, **changes)), *facts.phases[1:]))


def one_phase(**words: object) -> Facts:
    """A night of one phase."""
    return make_facts(Night(phases=(replace(Phase(), **words),)))  # type: ignore[arg-type]  # words are Phase's own


def test_success_is_judged_at_the_threshold() -> None:
    """A share equal to the threshold passes; one operation less fails."""
    facts = one_phase(success_share=0.9)
    observed = answer(facts, GateKind.PHASE_SUCCESS, 0).observed
    assert isinstance(observed, Sample)
    for threshold, state in (
        (observed.value - 0.01, State.PASS),
        (observed.value, State.PASS),
        (observed.value + 0.01, State.FAIL),
    ):
        result = answer(with_threshold(facts, GateKind.PHASE_SUCCESS, threshold), GateKind.PHASE_SUCCESS, 0)
        assert result.state is state
        assert isinstance(result.interval, Interval)
        assert result.interval.low < observed.value < result.interval.high


def test_mean_response_is_judged_at_the_threshold() -> None:
    """A mean equal to the limit passes, above it fails."""
    facts = one_phase(response_s=0.2)
    observed = answer(facts, GateKind.PHASE_RESPONSE, 0).observed
    assert isinstance(observed, Sample)
    for threshold, state in ((observed.value * 1.001, State.PASS), (observed.value * 0.999, State.FAIL)):
        changed = with_threshold(facts, GateKind.PHASE_RESPONSE, threshold)
        assert answer(changed, GateKind.PHASE_RESPONSE, 0).state is state


def test_p99_is_judged_at_the_threshold() -> None:
    """The p99 of all successes stands with its order-statistic interval."""
    facts = make_facts(Night(phases=(Phase(connections=10, response_s=0.2),), p99_max_s=1.0))
    result = answer(facts, GateKind.PHASE_RESPONSE_P99, 0)
    assert result.state is State.PASS
    assert isinstance(result.observed, Sample)
    assert isinstance(result.interval, Interval)
    assert result.interval.low <= result.observed.value <= result.interval.high
    tight = with_threshold(facts, GateKind.PHASE_RESPONSE_P99, result.observed.value * 0.999)
    assert answer(tight, GateKind.PHASE_RESPONSE_P99, 0).state is State.FAIL


@pytest.mark.parametrize(("started", "state"), [(979, State.FAIL), (980, State.PASS), (981, State.PASS)])
def test_achievement_is_judged_at_98_percent(started: int, state: State) -> None:
    """98 % of the requested operations must have been started."""
    facts = with_load(one_phase(), operations_started=started, operations_requested=1000, operations_abandoned=0)
    assert answer(facts, GateKind.PHASE_ACHIEVED, 0).state is state


def test_a_shortfall_of_load_fails_the_gate() -> None:
    """A target that cannot be asked as often as planned has not carried the load."""
    facts = one_phase(started_share=0.8)
    assert answer(facts, GateKind.PHASE_ACHIEVED, 0).state is State.FAIL


def test_missing_windows_count_against_a_pass_and_against_a_fail() -> None:
    """Few missing completions change nothing, many make the answer unknown; one ledger can stand in for the other."""
    facts = one_phase()
    few = without(facts, segment=1, second=lambda row: row.second == 3)
    assert answer(few, GateKind.PHASE_SUCCESS, 0).state is State.PASS
    blind = replace(few, segments=(few.segments[0], replace(few.segments[1], minutes=()), *few.segments[2:]))
    assert answer(blind, GateKind.PHASE_SUCCESS, 0).state is State.PASS
    many = without(blind, segment=1, second=lambda row: row.second % 2 == 0)
    result = answer(many, GateKind.PHASE_SUCCESS, 0)
    assert result.state is State.UNKNOWN
    assert "windows that are missing" in result.detail
    bad = one_phase(success_share=0.2)
    bad = without(bad, segment=1, second=lambda row: row.second == 3)
    assert answer(bad, GateKind.PHASE_SUCCESS, 0).state is State.FAIL


def test_completions_beyond_the_starts_are_a_contradiction() -> None:
    """A record that disagrees with itself decides nothing."""
    result = answer(with_load(one_phase(), operations_started=10), GateKind.PHASE_SUCCESS, 0)
    assert result.state is State.UNKNOWN
    assert "contradicts itself" in result.detail


def test_abandoned_operations_did_not_succeed() -> None:
    """Operations that were given up while draining count against success."""
    facts = one_phase()
    load = facts.phases[0].load
    abandoned = with_load(
        facts, operations_started=load.operations_started + 20, operations_abandoned=20, operations_requested=10_000
    )
    assert answer(facts, GateKind.PHASE_SUCCESS, 0).state is State.PASS
    assert answer(abandoned, GateKind.PHASE_SUCCESS, 0).state is State.FAIL


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome.INVALID_GENERATOR,
        Outcome.WORKER_CRASHED,
        Outcome.WORKER_HUNG,
        Outcome.OOM_KILLED,
        Outcome.GUARDIAN_LOST,
        Outcome.RUNNER_FAULT,
    ],
)
def test_our_own_faults_decide_nothing(outcome: Outcome) -> None:
    """Neither good nor bad numbers of a broken generator count."""
    for share in (1.0, 0.1):
        facts = one_phase(outcome=outcome, reason="broken", success_share=share)
        assessment = assess(facts)
        assert {result.state for result in assessment.results if result.spec.phase == 0} == {State.UNKNOWN}
        assert assessment.phases[0].state is State.UNKNOWN


def test_a_skipped_phase_has_not_passed() -> None:
    """Skipped for known bad health: nothing was achieved. Skipped for unknown health: nothing is known."""
    known = one_phase(outcome=Outcome.SKIPPED, reason="health 52 < 70", health=KnownScore(value=52.0))
    assert answer(known, GateKind.PHASE_ACHIEVED, 0).state is State.FAIL
    assert assess(known).phases[0].state is State.FAIL
    unknown = one_phase(outcome=Outcome.SKIPPED, reason="no health", health=UnknownScore(reason="no anchor"))
    assert assess(unknown).phases[0].state is State.UNKNOWN


@pytest.mark.parametrize(
    ("cause", "state"),
    [
        (EndCause.FINISHED, State.FAIL),
        (EndCause.HEALTH_REFUSED, State.FAIL),
        (EndCause.FAILURES, State.FAIL),
        (EndCause.GUARDIAN_STOP, State.FAIL),
        (EndCause.OPERATOR_STOP, State.UNKNOWN),
        (EndCause.EMERGENCY_STOP, State.UNKNOWN),
        (EndCause.SUPERVISOR_LOST, State.UNKNOWN),
        (EndCause.RUNNER_FAULT, State.UNKNOWN),
    ],
)
def test_a_phase_that_was_not_reached_counts_by_whose_doing_it_was(cause: EndCause, state: State) -> None:
    """Forbidden by the target's low health is not passed; where a person or we ended the night it is unknown."""
    phases = (Phase(name="ran"), Phase(name="not reached", outcome=Outcome.NOT_REACHED, reason="ended before"))
    night = Night(phases=phases, cause=cause, baseline_health=KnownScore(value=75.0))
    assert assess(make_facts(night)).phases[1].state is state


def test_an_eased_phase_may_pass_but_not_fail() -> None:
    """When the guardian eased the load, the host was the cause of a shortfall."""
    assert assess(one_phase(outcome=Outcome.EASED)).phases[0].state is State.PASS
    short = one_phase(outcome=Outcome.EASED, started_share=0.7)
    result = answer(short, GateKind.PHASE_ACHIEVED, 0)
    assert result.state is State.UNKNOWN
    assert "the host was the cause" in result.detail


def test_a_phase_stopped_by_a_person_is_unknown_unless_already_decided() -> None:
    """What did not run may have gone either way."""
    good = one_phase(outcome=Outcome.OPERATOR_STOP, ran_share=0.5)
    assert assess(good).phases[0].state is State.UNKNOWN
    lost = one_phase(outcome=Outcome.OPERATOR_STOP, ran_share=0.9, success_share=0.3)
    assert assess(lost).phases[0].state is State.FAIL


def test_good_numbers_of_a_failed_phase_do_not_pass() -> None:
    """An outcome and measurements that disagree leave the phase undecided."""
    state = assess(one_phase(outcome=Outcome.FAILED, reason="steering saw too many errors")).phases[0]
    assert state.state is State.UNKNOWN
    assert "its measurements pass, but it ended as FAILED" in state.why


@pytest.mark.parametrize(("score", "state"), [(69.9, State.FAIL), (70.0, State.PASS), (70.1, State.PASS)])
def test_baseline_health_is_judged_at_its_minimum(score: float, state: State) -> None:
    """Health at the minimum passes."""
    facts = make_facts(Night(phases=eight_phases(), baseline_health=KnownScore(value=score)))
    assert answer(facts, GateKind.BASELINE_HEALTH).state is state


@pytest.mark.parametrize("low_part", ["system", "stability"])
def test_baseline_health_that_only_the_host_spoiled_is_unknown(low_part: str) -> None:
    """Below the minimum by parts that say nothing of the target: not a failure, and the score is still told."""
    night = Night(phases=eight_phases(), baseline_health=KnownScore(value=60.0), low_part=low_part)
    result = answer(make_facts(night), GateKind.BASELINE_HEALTH)
    assert result.state is State.UNKNOWN
    assert result.detail.startswith("the score was 60")


def test_unknown_or_absent_baseline_health_is_unknown() -> None:
    """No score, no answer."""
    facts = make_facts(Night(phases=eight_phases(), baseline_health=UnknownScore(reason="no memory reading")))
    assert answer(facts, GateKind.BASELINE_HEALTH).state is State.UNKNOWN
    gone = replace(facts, baseline=Absent(reason="no baseline"))
    assert answer(gone, GateKind.BASELINE_HEALTH).state is State.UNKNOWN


@pytest.mark.parametrize(("failing", "state"), [((7,), State.PASS), ((6, 7), State.PASS), ((5, 6, 7), State.FAIL)])
def test_seventy_percent_of_phases_must_pass(failing: tuple[int, ...], state: State) -> None:
    """Six of eight are 75 %, five are 62.5 %."""
    assert answer(make_facts(Night(phases=eight_phases(failing=failing))), GateKind.PHASES_PASSED).state is state


def test_a_guardian_stop_fails_and_its_absence_needs_the_whole_record() -> None:
    """An ease is no stop; without the campaign's end nobody can say that there was none."""
    eased = make_facts(Night(phases=eight_phases(), moves=((100.0, Rung.EASE, "cpu 88 %"), (120.0, Rung.CLEAR, "ok"))))
    assert answer(eased, GateKind.NO_GUARDIAN_STOP).state is State.PASS
    stopped = make_facts(Night(phases=eight_phases(), moves=((100.0, Rung.STOP_PHASE, "memory 91 %"),)))
    result = answer(stopped, GateKind.NO_GUARDIAN_STOP)
    assert (result.state, result.detail) == (State.FAIL, "memory 91 %")
    crashed = make_facts(Night(phases=eight_phases(), end_recorded=False))
    assert answer(crashed, GateKind.NO_GUARDIAN_STOP).state is State.UNKNOWN
    unrecorded = replace(eased, phases=eased.phases[:-1])
    assert answer(unrecorded, GateKind.NO_GUARDIAN_STOP).state is State.UNKNOWN


def test_a_guardian_stop_without_load_of_ours_is_the_hosts() -> None:
    """Stopped in a break, by its own move or by the campaign's end: unknown; the same move within a phase fails."""
    phases = (Phase(hold_s=20.0), Phase(hold_s=20.0))
    quiet = make_facts(Night(phases=phases, cause=EndCause.GUARDIAN_STOP, detail="memory 96 %"))
    assert answer(quiet, GateKind.NO_GUARDIAN_STOP).state is State.UNKNOWN
    first = quiet.phases[0]
    for at_mono_s, state in ((first.end_mono_s + 1.0, State.UNKNOWN), (first.end_mono_s - 1.0, State.FAIL)):
        move = GuardianEvent(at_mono_s=at_mono_s, at_utc_s=0.0, rung=Rung.STOP_CAMPAIGN, share=0.0, why="memory 96 %")
        result = answer(replace(quiet, guardian=(move,)), GateKind.NO_GUARDIAN_STOP)
        assert result.state is state
        assert "memory 96 %" in result.detail
    idle = Night(phases=(Phase(outcome=Outcome.NOT_REACHED),), cause=EndCause.GUARDIAN_STOP, detail="memory 96 %")
    assessment = assess(make_facts(idle))
    assert assessment.judgement.verdict is Verdict.INCONCLUSIVE
    assert exit_code(assessment.judgement.verdict, assessment.end.cause, strict=False) == 5


@pytest.mark.parametrize(("share", "state"), [(0.10, State.FAIL), (0.11, State.UNKNOWN), (1.0, State.UNKNOWN)])
@pytest.mark.parametrize("kind", [GateKind.PHASE_ACHIEVED, GateKind.PHASE_RESPONSE, GateKind.PHASE_RESPONSE_P99])
def test_a_saturated_generator_excuses_what_it_may_have_caused(kind: GateKind, share: float, state: State) -> None:
    """At its limit in more than a tenth of 100 seconds, our generator may itself be why little or slow work was done."""
    phase = Phase(hold_s=100.0, ramp_s=0.0, started_share=0.8, response_s=3.0, saturated_share=share)
    result = answer(make_facts(Night(phases=(phase,), p99_max_s=0.5)), kind, 0)
    assert result.state is state
    assert ("the generator was at its own limit" in result.detail) is (state is State.UNKNOWN)


@pytest.mark.parametrize("words", [{}, {"success_share": 0.5}])
def test_a_generator_at_its_limit_takes_every_answer_away(words: dict[str, float]) -> None:
    """Whatever the figures say, passing ones too: no gate of the phase is decided, and none of its operations is known."""
    facts = one_phase(saturated_share=1.0, **words)
    assessment = assess(facts)
    assert assessment.phases[0].state is State.UNKNOWN
    of_phase = [result for result in assessment.results if result.spec.phase == 0]
    assert {result.state for result in of_phase} == {State.UNKNOWN}
    assert all("the generator was at its own limit in 22 of 22 s" in result.detail for result in of_phase)
    assert answer(facts, GateKind.OPERATIONS_SUCCEEDED).state is State.UNKNOWN
    assert assessment.judgement.verdict is Verdict.INCONCLUSIVE


def test_an_answer_needs_seconds_that_show_a_generator_that_kept_up() -> None:
    """Saturated seconds that were lost must not turn an unknown answer into a failure."""
    facts = one_phase(hold_s=100.0, ramp_s=0.0, started_share=0.8, saturated_share=0.5)
    assert answer(facts, GateKind.PHASE_ACHIEVED, 0).state is State.UNKNOWN
    less = without(facts, segment=1, second=lambda row: row.second < 50)
    result = answer(less, GateKind.PHASE_ACHIEVED, 0)
    assert result.state is State.UNKNOWN
    assert "whether the generator kept up is not known in 50 of 100 s" in result.detail


def with_failures_of_ours(facts: Facts, count: int, error: ErrorClass) -> Facts:
    """The same record in which so many of the first phase's failures were made by our own side."""
    segment = facts.segments[1]
    (group,) = segment.errors
    ours = replace(group, error=error, message="too many open files", count=count)
    changed = replace(segment, errors=(replace(group, count=group.count - count), ours))
    return replace(facts, segments=(facts.segments[0], changed, *facts.segments[2:]))


@pytest.mark.parametrize("error", [ErrorClass.CLIENT, ErrorClass.SCENARIO])
def test_failures_of_our_own_side_are_not_the_targets(error: ErrorClass) -> None:
    """If they are what breaks the gates of success, these are unknown; if the target's alone break them, they fail."""
    facts = one_phase(success_share=0.8)
    failed = facts.phases[0].load.operations_failed
    for count, state in ((1, State.FAIL), (failed - 1, State.UNKNOWN), (failed, State.UNKNOWN)):
        changed = with_failures_of_ours(facts, count, error)
        result = answer(changed, GateKind.PHASE_SUCCESS, 0)
        assert result.state is state
        assert f"{count} failures were made by our own side" in result.detail
        assert answer(changed, GateKind.OPERATIONS_SUCCEEDED).state is state


def test_failures_of_unknown_kind_may_be_our_own() -> None:
    """Where the errors are lost from the record nobody can say whose they were."""
    facts = one_phase(success_share=0.8)
    lost = replace(facts, segments=tuple(replace(segment, errors=()) for segment in facts.segments))
    assert answer(facts, GateKind.PHASE_SUCCESS, 0).state is State.FAIL
    assert answer(lost, GateKind.PHASE_SUCCESS, 0).state is State.UNKNOWN


@pytest.mark.parametrize(("asked_share", "state"), [(1.0, State.PASS), (0.975, State.PASS), (0.97, State.UNKNOWN)])
def test_a_phase_that_ran_shortened_has_not_achieved_its_load(asked_share: float, state: State) -> None:
    """More than half a second of 20 less than planned: all that was asked for is not all that was planned."""
    facts = one_phase(asked_share=asked_share)
    result = answer(facts, GateKind.PHASE_ACHIEVED, 0)
    assert result.state is state
    if state is State.UNKNOWN:
        assert result.detail.startswith("ran 19.4 of 20.0 s, the night was late")


def test_a_shortened_phase_that_fell_short_still_fails() -> None:
    """The target did not even carry what was left of the phase."""
    assert answer(one_phase(asked_share=0.5, started_share=0.5), GateKind.PHASE_ACHIEVED, 0).state is State.FAIL


@pytest.mark.parametrize(("last_s", "state"), [(0.05, State.PASS), (0.055, State.PASS), (0.10, State.FAIL)])
def test_drift_compares_last_and_first_anchor(last_s: float, state: State) -> None:
    """A rise within 20 % and noise passes, a doubling fails."""
    facts = make_facts(Night(phases=eight_phases(), anchor_response_s=(*[0.05] * 8, last_s)))
    assert answer(facts, GateKind.NO_ANCHOR_DRIFT).state is state


def test_a_rise_of_a_millisecond_is_no_drift() -> None:
    """Percentages of nearly nothing do not decide."""
    facts = make_facts(Night(phases=eight_phases(), anchor_response_s=(*[0.001] * 8, 0.002)))
    assert answer(facts, GateKind.NO_ANCHOR_DRIFT).state is State.PASS


def test_drift_is_unknown_without_both_whole_anchors() -> None:
    """A completion missing from the first or last anchor leaves drift undecided; one from the middle does not."""
    facts = make_facts(Night(phases=eight_phases()))
    facts = replace(facts, segments=tuple(replace(segment, minutes=()) for segment in facts.segments))
    first, middle, last = facts.anchors[0].segment, facts.anchors[4].segment, facts.anchors[-1].segment
    for segment in (first, last):
        torn = without(facts, segment=segment, second=lambda row: row.second == 2)
        assert answer(torn, GateKind.NO_ANCHOR_DRIFT).state is State.UNKNOWN
    torn = without(facts, segment=middle, second=lambda row: row.second == 2)
    assert answer(torn, GateKind.NO_ANCHOR_DRIFT).state is State.PASS
    for anchors in (facts.anchors[1:], facts.anchors[:-1], ()):
        assert answer(replace(facts, anchors=anchors), GateKind.NO_ANCHOR_DRIFT).state is State.UNKNOWN


@pytest.mark.parametrize(("last_s", "state"), [(0.05, State.PASS), (0.10, State.UNKNOWN)])
def test_drift_without_known_noise_can_pass_but_not_fail(last_s: float, state: State) -> None:
    """A second that only the minutes know takes the noise away: a small rise still passes, a large one is undecided."""
    facts = make_facts(Night(phases=eight_phases(), anchor_response_s=(*[0.05] * 8, last_s)))
    torn = without(facts, segment=facts.anchors[0].segment, second=lambda row: row.second == 2)
    assert answer(torn, GateKind.NO_ANCHOR_DRIFT).state is state


def test_a_missing_phase_record_decides_nothing() -> None:
    """Without its record a phase's gates are unknown."""
    facts = make_facts(Night(phases=eight_phases()))
    records: tuple[PhaseRecord, ...] = facts.phases[1:]
    assessment = assess(replace(facts, phases=records))
    assert assessment.phases[0].state is State.UNKNOWN
