"""The verdict on one rate: each criterion clearly met, close, or missed, and what ends a step before its time."""

from dataclasses import replace

import pytest

from stress_scenarios.step_judgement import (
    GoingOn,
    Judgement,
    SearchCriteria,
    SecondFigures,
    StepFigures,
    Verdict,
    judge_early,
    judge_step,
)

CRITERIA = SearchCriteria(
    success_percent_min=95.0, response_s_mean_max=0.2, response_s_p99_max=0.5, achieved_percent_min=98.0
)
USUAL_S = 0.01

SECOND = SecondFigures(due=100, dropped=0, succeeded=100, failed=0, response_s_sum=1.0, response_above=0, backlog=1)
"""100 operations, all of them after 10 ms."""


def step(*seconds: SecondFigures, planned: int = 0, generator: str = "") -> StepFigures:
    """A step at 100/s with these seconds, which are all that were planned unless said otherwise."""
    return StepFigures(
        operations_per_s=100.0,
        seconds_planned=planned or len(seconds),
        backlog_before=1,
        seconds=seconds,
        generator=generator,
    )


def judged(figures: StepFigures, criteria: SearchCriteria = CRITERIA) -> Judgement:
    """The verdict at its end."""
    return judge_step(figures, criteria, usual_s=USUAL_S)


def failing(count: int) -> SecondFigures:
    """A second in which so many of 100 fail."""
    return replace(SECOND, succeeded=100 - count, failed=count, response_s_sum=0.01 * (100 - count))


def test_a_step_that_meets_every_criterion_passes() -> None:
    """With the figures in words."""
    judgement = judged(step(*[SECOND] * 4))
    assert judgement == Judgement(verdict=Verdict.PASSED, reason="100 % succeeded, mean response 0.01 s")


@pytest.mark.parametrize(
    ("failures", "verdict"),
    [(0, Verdict.PASSED), (16, Verdict.PASSED), (17, Verdict.CLOSE), (28, Verdict.CLOSE), (29, Verdict.FAILED)],
)
def test_failures_are_judged_by_the_noise_of_their_number(failures: int, verdict: Verdict) -> None:
    """Of 400 operations 20 may fail: 16 + 4 still pass, 17 + 4.1 are close, 29 - 1.64 * 5.4 are a miss."""
    first, rest = min(failures, 20), max(0, failures - 20)
    assert judged(step(failing(first), failing(rest), SECOND, SECOND)).verdict is verdict


@pytest.mark.parametrize(
    ("above", "verdict"), [(0, Verdict.PASSED), (2, Verdict.PASSED), (3, Verdict.CLOSE), (9, Verdict.FAILED)]
)
def test_the_tail_is_judged_by_how_many_lie_beyond_its_limit(above: int, verdict: Verdict) -> None:
    """Of 400 responses four may be slower than the p99 limit."""
    assert judged(step(replace(SECOND, response_above=above), SECOND, SECOND, SECOND)).verdict is verdict


def test_without_a_limit_the_tail_is_not_judged() -> None:
    """0 means none."""
    tail = replace(SECOND, response_above=90)
    assert judged(step(tail, tail), replace(CRITERIA, response_s_p99_max=0.0)).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("mean_s", "verdict"), [(0.19, Verdict.PASSED), (0.2, Verdict.PASSED), (0.201, Verdict.FAILED)]
)
def test_a_steady_mean_is_judged_at_its_limit(mean_s: float, verdict: Verdict) -> None:
    """Seconds that are all alike leave no doubt."""
    steady = replace(SECOND, response_s_sum=100 * mean_s, backlog=20)
    assert judge_step(step(*[steady] * 6), CRITERIA, usual_s=0.2).verdict is verdict


def test_a_mean_that_scatters_across_its_limit_is_close() -> None:
    """0.05 s and 0.3 s by turns: 0.175 s on average, and no telling."""
    low, high = replace(SECOND, response_s_sum=5.0), replace(SECOND, response_s_sum=30.0)
    assert judged(step(low, high, low, high)).verdict is Verdict.CLOSE


def test_a_mean_of_two_seconds_is_given_a_tenth_of_doubt() -> None:
    """Too few to tell the noise from."""
    near = replace(SECOND, response_s_sum=19.0)
    assert judged(step(near, near)).verdict is Verdict.CLOSE
    assert judged(step(*[replace(SECOND, response_s_sum=18.0)] * 2)).verdict is Verdict.PASSED


def test_a_mean_that_is_missed_at_the_end_only_is_close() -> None:
    """A queue that fills: the average still holds, who came last waited longer than allowed."""
    filling = [
        replace(SECOND, response_s_sum=100 * mean_s) for mean_s in (0.01, 0.02, 0.03, 0.04, 0.21, 0.22, 0.23, 0.24)
    ]
    judgement = judged(step(*filling))
    assert judgement.verdict is Verdict.CLOSE
    assert "in its second half" in judgement.reason


@pytest.mark.parametrize(
    ("backlog", "verdict"), [(3, Verdict.PASSED), (5, Verdict.CLOSE), (20, Verdict.CLOSE), (34, Verdict.FAILED)]
)
def test_a_queue_that_grows_is_not_carried(backlog: int, verdict: Verdict) -> None:
    """400 arrivals vary by 20: a queue of 34 is a miss although every response was fast; one of 5 stands already."""
    ended = replace(SECOND, backlog=backlog)
    assert judged(step(ended, ended, ended, ended)).verdict is verdict


@pytest.mark.parametrize(
    ("dropped", "verdict"), [(0, Verdict.PASSED), (5, Verdict.PASSED), (6, Verdict.CLOSE), (16, Verdict.FAILED)]
)
def test_arrivals_that_found_no_connection_count_against_what_was_asked(dropped: int, verdict: Verdict) -> None:
    """Of 400 arrivals eight may be dropped."""
    assert judged(step(replace(SECOND, dropped=dropped), SECOND, SECOND, SECOND)).verdict is verdict


def test_a_target_that_answers_nothing_fails() -> None:
    """There is no mean to look at, and no excuse in that."""
    silent = replace(SECOND, succeeded=0, response_s_sum=0.0, backlog=400)
    assert judged(step(silent)).verdict is Verdict.FAILED
    assert "none of 100 operations ended" in judged(step(silent)).reason


@pytest.mark.parametrize("worse", [failing(50), replace(SECOND, response_s_sum=19.5), replace(SECOND, backlog=90)])
def test_a_generator_at_its_limit_is_blamed_for_what_did_not_pass(worse: SecondFigures) -> None:
    """Missed or close: what was measured then is partly ourselves."""
    judgement = judged(step(worse, worse, generator="the generator was at its own limit in 2 of 2 s"))
    assert judgement.verdict is Verdict.GENERATOR
    assert judgement.reason.startswith("the generator was at its own limit")


def test_a_step_that_passes_needs_no_excuse() -> None:
    """Our own lateness makes responses longer, never shorter."""
    assert judged(step(SECOND, SECOND, generator="busy")).verdict is Verdict.PASSED


def test_criteria_without_tolerance_can_be_met() -> None:
    """100 % success: none failed is a pass, one is a miss."""
    strict = replace(CRITERIA, success_percent_min=100.0, achieved_percent_min=100.0)
    assert judged(step(SECOND, SECOND), strict).verdict is Verdict.PASSED
    assert judged(step(SECOND, failing(1)), strict).verdict is Verdict.FAILED


# Early ----------------------------------------------------------------------------------------------------------------


def early(*seconds: SecondFigures, planned: int = 10, generator: str = "") -> Judgement | GoingOn:
    """What a step of ten seconds shows after these."""
    return judge_early(step(*seconds, planned=planned, generator=generator), CRITERIA, usual_s=USUAL_S)


def test_a_step_that_may_still_pass_goes_on() -> None:
    """Also with nothing measured yet."""
    assert isinstance(early(), GoingOn)
    assert isinstance(early(SECOND, SECOND), GoingOn)


@pytest.mark.parametrize(
    ("below", "beyond"),
    [
        ((failing(17), failing(17), failing(16)), (failing(18), failing(18), failing(18))),
        ((failing(20),), (failing(40),)),
        ((replace(SECOND, response_s_sum=200.0),), (replace(SECOND, response_s_sum=200.5),)),
        ((replace(SECOND, response_above=10),), (replace(SECOND, response_above=12),)),
        ((replace(SECOND, dropped=20),), (replace(SECOND, dropped=22),)),
        ((replace(SECOND, backlog=41),), (replace(SECOND, backlog=42),)),
    ],
    ids=["failures", "failures far beyond", "mean", "tail", "dropped", "queue"],
)
def test_a_step_is_given_up_when_the_rest_of_it_cannot_undo_what_it_showed(
    below: tuple[SecondFigures, ...], beyond: tuple[SecondFigures, ...]
) -> None:
    """Of 1001 operations in all: 50 failures, 200 s of responses, 10 slow ones, 20 dropped are still possible, more are not."""
    assert isinstance(early(*below), GoingOn)
    judgement = early(*beyond)
    assert isinstance(judgement, Judgement)
    assert judgement.verdict is Verdict.FAILED


def test_a_fault_of_our_own_does_not_fail_the_target_early_either() -> None:
    """The step ends, as the generator's."""
    judgement = early(failing(90), generator="busy")
    assert isinstance(judgement, Judgement)
    assert judgement.verdict is Verdict.GENERATOR


def test_a_slow_target_may_fill_up_first() -> None:
    """With answers that usually take 2 s, 200 operations in flight at 100/s are no queue."""
    filling = replace(SECOND, succeeded=10, response_s_sum=20.0, backlog=200)
    criteria = replace(CRITERIA, response_s_mean_max=5.0, response_s_p99_max=0.0)
    assert isinstance(judge_early(step(filling, planned=20), criteria, usual_s=2.0), GoingOn)
    assert isinstance(judge_early(step(filling, planned=20), criteria, usual_s=0.5), Judgement)
