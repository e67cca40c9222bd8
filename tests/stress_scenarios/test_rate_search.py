"""The search for the highest rate: against targets of known capacity, in virtual time, its bracket holds the truth."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from stress_scenarios.rate_search import (
    DOWN_STEPS_MAX,
    REST_SECONDS_MAX,
    STEPS_MAX,
    Bracket,
    Finished,
    NextRate,
    RateSearch,
    SearchSettings,
)
from stress_scenarios.step_judgement import Judgement, SearchCriteria, SecondFigures, StepFigures, Verdict
from tests.support.virtual_targets import Cliff, Processor, Queue, VirtualTarget

SEED = 20_261_124

CRITERIA = SearchCriteria(
    success_percent_min=95.0, response_s_mean_max=0.2, response_s_p99_max=0.0, achieved_percent_min=98.0
)


def settings(*, start: float = 10.0, step_s: float = 10.0, lasts_s: float = 400.0, top: float = 1e6) -> SearchSettings:
    """A search with time enough unless said otherwise."""
    return SearchSettings(lasts_s=lasts_s, step_s=step_s, start_per_s=start, per_s_max=top, criteria=CRITERIA)


@dataclass
class Course:
    """What a search did: rates with their verdicts, the highest rate that it asked for, and how it ended."""

    bracket: Bracket
    finished: Finished
    now_s: int
    steps: list[tuple[float, Verdict]] = field(default_factory=list)

    @property
    def highest(self) -> float:
        """The highest rate that was asked for."""
        return max(rate for rate, _ in self.steps)

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends of the bracket, which have to be known."""
        low, high = self.bracket.passing_per_s, self.bracket.failing_per_s
        assert isinstance(low, Sample), self
        assert isinstance(high, Sample), self
        return low.value, high.value

    def holds(self, truth: float) -> bool:
        """Whether the truth lies within the bracket."""
        low, high = self.ends
        return low <= truth <= high


def mean_of(seconds: list[SecondFigures]) -> Reading:
    """The mean response of these seconds."""
    succeeded = sum(second.succeeded for second in seconds)
    if not succeeded:
        return Gap(reason=GapReason.ABSENT)
    return Sample(value=sum(second.response_s_sum for second in seconds) / succeeded)


def search_through(
    target: VirtualTarget, asked: SearchSettings, *, generator: Callable[[float], str] = lambda per_s: ""
) -> Course:
    """Make a whole search, as the desk does: settle, judge each second, rest after what did not pass."""
    search = RateSearch(asked)
    now_s = 0
    steps: list[tuple[float, Verdict]] = []
    while True:
        settling = search.settling_seconds
        for _ in range(settling):
            backlog = target.second(search.rate).backlog
        now_s += settling
        seconds: list[SecondFigures] = []
        judgement: object = None
        while not isinstance(judgement, Judgement):
            seconds.append(target.second(search.rate))
            now_s += 1
            judgement = search.judge(
                StepFigures(
                    operations_per_s=search.rate,
                    seconds_planned=search.step_seconds - settling,
                    backlog_before=backlog,
                    seconds=tuple(seconds),
                    generator=generator(search.rate),
                )
            )
        steps.append((search.rate, judgement.verdict))
        following = search.next(judgement, response_s_mean=mean_of(seconds), now_s=now_s)
        if isinstance(following, NextRate) and following.rest_first:
            rested = 1
            while not search.rested(backlog=target.second(search.rest_per_s).backlog, seconds=rested):
                rested += 1
            now_s += rested
            if not search.fits(now_s):
                following = Finished(reason="the time is over")
        if isinstance(following, Finished):
            return Course(bracket=search.bracket(), finished=following, now_s=now_s, steps=steps)


def start_below(truth: float, chance: random.Random) -> float:
    """Somewhere from a fortieth of the truth to just below it, evenly by magnitude."""
    return truth * math.exp(chance.uniform(math.log(0.025), math.log(0.8)))


def courses(kind: str, runs: int) -> list[tuple[Course, float]]:
    """Searches of one kind of target with seeds of their own, each with the truth."""
    found = []
    for run in range(runs):
        chance = random.Random(f"{SEED}/{kind}/{run}")
        capacity = math.exp(chance.uniform(math.log(50.0), math.log(5000.0)))
        if kind == "cliff":
            truth, target = capacity, Cliff(edge_per_s=capacity, failing=0.2, chance=chance)
            found.append((search_through(target, settings(start=start_below(truth, chance))), truth))
        else:
            processor = Processor(
                capacity_per_s=capacity,
                service_s=0.02,
                hiccups=0.01 if kind == "hiccuping processor" else 0.0,
                chance=chance,
            )
            truth = processor.truth_per_s(CRITERIA)
            found.append((search_through(processor, settings(start=start_below(truth, chance))), truth))
    return found


KINDS = {"cliff": 150, "processor": 200, "hiccuping processor": 150}


@pytest.mark.parametrize("kind", KINDS)
def test_the_bracket_holds_the_truth(kind: str) -> None:
    """In at least 95 of 100 searches over targets of 50 to 5000 operations/s; what is asked stays below twice the truth."""
    print(f"seed {SEED}")
    runs = KINDS[kind]
    found = courses(kind, runs)
    held = sum(course.holds(truth) for course, truth in found)
    assert held >= 0.95 * runs, f"{held} of {runs}"
    for course, truth in found:
        low, high = course.ends
        assert low <= 1.1 * truth, course
        assert high >= 0.9 * truth or kind == "hiccuping processor", course
        assert course.highest <= 2.2 * truth, course
        assert course.bracket.limited_by is Verdict.FAILED


QUEUE_RUNS = 25
QUEUE_CAPACITY_PER_S = 400.0
QUEUE_TRUTH_PER_S = 396.9
"""16 servers of 40 ms: the mean response of 300,000 operations is 0.2 s at this rate (a search by halving, off by 0.4/s)."""


def test_the_bracket_of_a_queue_holds_the_truth() -> None:
    """Event by event, where a rate just beyond the truth still looks fast: nearly always strictly, always within 3 %."""
    print(f"seed {SEED}")
    held = 0
    for run in range(QUEUE_RUNS):
        chance = random.Random(f"{SEED}/queue/{run}")
        queue = Queue(servers=16, service_s=0.04, criteria=CRITERIA, chance=chance)
        start = QUEUE_CAPACITY_PER_S * math.exp(chance.uniform(math.log(0.15), math.log(0.8)))
        course = search_through(queue, settings(start=start, lasts_s=200.0))
        low, high = course.ends
        assert low <= 1.03 * QUEUE_TRUTH_PER_S <= 1.06 * high, course
        assert low >= 0.7 * QUEUE_TRUTH_PER_S, course
        assert course.highest <= 2.0 * high, course
        held += course.holds(QUEUE_TRUTH_PER_S)
    assert held >= QUEUE_RUNS - 2, held


# Choices --------------------------------------------------------------------------------------------------------------


def verdict(kind: Verdict) -> Judgement:
    """A judgement of that kind."""
    return Judgement(verdict=kind, reason=kind.value)


def told(
    search: RateSearch, truth: Callable[[float], Verdict], *, steps_max: int = STEPS_MAX
) -> tuple[list[float], Finished]:
    """Tell a search the verdict on each of its rates until it is over; one second a step."""
    rates = []
    for step in range(steps_max):
        rates.append(search.rate)
        following = search.next(verdict(truth(search.rate)), response_s_mean=Sample(value=0.01), now_s=step)
        if isinstance(following, Finished):
            return rates, following
        assert following.per_s == search.rate
    raise AssertionError(f"not over after {steps_max} steps: {rates}")


def below(limit: float, beyond: Verdict = Verdict.FAILED) -> Callable[[float], Verdict]:
    """A target that carries everything up to a limit."""
    return lambda per_s: Verdict.PASSED if per_s <= limit else beyond


def test_the_rate_doubles_and_then_the_gap_is_halved_by_magnitude() -> None:
    """The middle of 80 and 160 is their geometric mean; the end is narrow, and the upper one was tried twice."""
    rates, finished = told(RateSearch(settings()), below(100.0))
    assert rates[:5] == [10.0, 20.0, 40.0, 80.0, 160.0]
    assert rates[5] == pytest.approx(math.sqrt(80.0 * 160.0))
    assert finished.reason == "the gap is narrow enough"
    assert rates.count(min(rate for rate in rates if rate > 100.0)) == 2


def test_the_ends_are_what_passed_and_what_did_not() -> None:
    """Overshoot is how far the highest rate lay beyond the upper end."""
    search = RateSearch(settings())
    rates, _ = told(search, below(100.0))
    bracket = search.bracket()
    assert bracket.passing_per_s == Sample(value=max(rate for rate in rates if rate <= 100.0))
    upper = min(rate for rate in rates if rate > 100.0)
    assert bracket.failing_per_s == Sample(value=upper)
    assert isinstance(bracket.overshoot_percent, Sample)
    assert bracket.overshoot_percent.value == pytest.approx(100.0 * (160.0 / upper - 1.0))
    assert bracket.limited_by is Verdict.FAILED


def test_a_first_step_that_fails_halves_downward() -> None:
    """Until something passes; then the gap is halved as ever."""
    rates, _ = told(RateSearch(settings(start=80.0)), below(12.0))
    assert rates[:4] == [80.0, 40.0, 20.0, 10.0]
    assert 10.0 < rates[4] < 20.0


def test_a_target_that_carries_nothing_ends_the_search() -> None:
    """A bounded number of halvings, no passing rate, and the lowest rate tried as the upper end."""
    search = RateSearch(settings(start=80.0))
    rates, finished = told(search, below(0.0))
    assert len(rates) == DOWN_STEPS_MAX + 1
    assert "not even" in finished.reason
    assert isinstance(search.bracket().passing_per_s, Gap)
    assert search.bracket().failing_per_s == Sample(value=min(rates))


@pytest.mark.parametrize("top", [10.0, 15.0, 40.0, 100.0])
def test_the_highest_rate_that_may_be_tried_is_not_exceeded(top: float) -> None:
    """When it passes, nothing limited the target: there is no upper end and no overshoot."""
    search = RateSearch(settings(top=top))
    rates, finished = told(search, below(math.inf))
    assert max(rates) == top
    assert "passed" in finished.reason
    bracket = search.bracket()
    assert bracket.passing_per_s == Sample(value=top)
    assert isinstance(bracket.failing_per_s, Gap)
    assert isinstance(bracket.overshoot_percent, Gap)
    assert bracket.limited_by is Verdict.PASSED


def test_a_start_above_the_highest_rate_begins_there() -> None:
    """The bound holds for the first step too."""
    assert RateSearch(settings(start=50.0, top=20.0)).rate == 20.0


@pytest.mark.parametrize("beyond", [Verdict.EASED, Verdict.GENERATOR])
def test_what_is_not_the_targets_account_bounds_the_search_too(beyond: Verdict) -> None:
    """The guardian, or our own limit: an upper end, which says by whom."""
    search = RateSearch(settings())
    rates, _ = told(search, below(100.0, beyond))
    assert search.bracket().limited_by is beyond
    low, high = search.bracket().passing_per_s, search.bracket().failing_per_s
    assert isinstance(low, Sample)
    assert isinstance(high, Sample)
    assert low.value <= 100.0 <= high.value
    repeated = rates.count(high.value)
    assert repeated == (1 if beyond is Verdict.EASED else 2), "the guardian is not tried twice"


def test_one_false_failure_does_not_halve_the_answer() -> None:
    """A hiccup at 40: what lies above it is found out nevertheless, because the lowest failure is tried again."""
    hiccup = iter((True,))

    def truth(per_s: float) -> Verdict:
        if per_s == 40.0 and next(hiccup, False):
            return Verdict.FAILED
        return below(100.0)(per_s)

    search = RateSearch(settings())
    told(search, truth)
    low = search.bracket().passing_per_s
    assert isinstance(low, Sample)
    assert 0.9 * 100.0 <= low.value <= 100.0


def test_rates_too_close_to_call_are_narrowed_in_from_both_sides() -> None:
    """They are neither end; above a close one the search feels its way instead of doubling."""

    def truth(per_s: float) -> Verdict:
        return Verdict.PASSED if per_s < 95.0 else Verdict.FAILED if per_s > 105.0 else Verdict.CLOSE

    search = RateSearch(settings(start=100.0))
    rates, _ = told(search, truth)
    assert rates[1] == 50.0
    assert max(rates) <= 125.0
    low, high = search.bracket().passing_per_s, search.bracket().failing_per_s
    assert isinstance(low, Sample)
    assert isinstance(high, Sample)
    assert 85.0 < low.value < 95.0
    assert 105.0 < high.value < 115.0


@pytest.mark.parametrize("seed", range(50))
def test_any_verdicts_at_all_come_to_an_end(seed: int) -> None:
    """Whatever the steps say: the search stays within its bounds, and its ends are in order."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    search = RateSearch(settings(lasts_s=1e6, top=5000.0))
    rates, _ = told(search, lambda per_s: chance.choice(list(Verdict)), steps_max=STEPS_MAX + 1)
    assert max(rates) <= 5000.0
    low, high = search.bracket().passing_per_s, search.bracket().failing_per_s
    if isinstance(low, Sample) and isinstance(high, Sample):
        assert low.value < high.value


# Time -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("now_s", "fits"), [(90.0, True), (90.1, False), (100.0, False)])
def test_no_step_is_begun_that_cannot_be_ended(now_s: float, fits: bool) -> None:  # noqa: FBT001 - a row
    """A step of 10 s fits into 100 s until 90 s."""
    search = RateSearch(settings(lasts_s=100.0))
    following = search.next(verdict(Verdict.PASSED), response_s_mean=Sample(value=0.01), now_s=now_s)
    assert isinstance(following, NextRate) is fits
    if isinstance(following, Finished):
        assert "the time is over: 10 operations/s passed, nothing higher was refused" in following.reason


def test_the_last_step_rather_tries_the_upper_end_again_than_narrows_a_gap() -> None:
    """With time for one step more and a failure that was seen once; a gap of a whole doubling is worth more."""
    search = RateSearch(settings(lasts_s=100.0))
    search.next(verdict(Verdict.PASSED), response_s_mean=Sample(value=0.01), now_s=10.0)
    following = search.next(verdict(Verdict.FAILED), response_s_mean=Sample(value=0.01), now_s=78.0)
    assert following == NextRate(per_s=math.sqrt(200.0), rest_first=True)
    following = search.next(verdict(Verdict.PASSED), response_s_mean=Sample(value=0.01), now_s=89.0)
    assert following == NextRate(per_s=20.0, rest_first=False)


@pytest.mark.parametrize(
    ("step_s", "usual_s", "settling"),
    [(2.0, 0.01, 1), (10.0, 0.01, 2), (10.0, 1.4, 3), (10.0, 9.0, 5), (60.0, 0.01, 12)],
)
def test_a_step_settles_by_its_length_and_by_the_targets_answers(step_s: float, usual_s: float, settling: int) -> None:
    """A fifth of it, at least a second and two usual responses, at most half."""
    criteria = SearchCriteria(
        success_percent_min=95.0, response_s_mean_max=20.0, response_s_p99_max=0.0, achieved_percent_min=98.0
    )
    search = RateSearch(
        SearchSettings(lasts_s=1000.0, step_s=step_s, start_per_s=10.0, per_s_max=1e6, criteria=criteria)
    )
    search.next(verdict(Verdict.PASSED), response_s_mean=Sample(value=usual_s), now_s=step_s)
    assert search.settling_seconds == settling


def test_the_target_rests_until_its_queue_is_gone_but_not_forever() -> None:
    """At a quarter of what passed, at least a second, at most REST_SECONDS_MAX."""
    search = RateSearch(settings(start=100.0))
    search.next(verdict(Verdict.PASSED), response_s_mean=Sample(value=0.01), now_s=10.0)
    search.next(verdict(Verdict.FAILED), response_s_mean=Sample(value=0.5), now_s=20.0)
    assert search.rest_per_s == 25.0
    assert not search.rested(backlog=0, seconds=0)
    assert search.rested(backlog=1, seconds=1)
    assert not search.rested(backlog=50, seconds=REST_SECONDS_MAX - 1)
    assert search.rested(backlog=50, seconds=REST_SECONDS_MAX)


def test_our_own_limit_is_not_the_targets() -> None:
    """A target without an edge, and a generator that fails beyond 300/s: the search says who was at the limit."""
    queue = Cliff(edge_per_s=300.0, failing=0.5, chance=random.Random(SEED))
    course = search_through(
        queue, settings(), generator=lambda per_s: "the generator was at its own limit" if per_s > 300.0 else ""
    )
    assert course.bracket.limited_by is Verdict.GENERATOR
    assert course.holds(300.0)


def test_a_failure_that_was_close_the_second_time_is_better_than_no_upper_end() -> None:
    """The search goes on above it; when its time is over before anything else failed, that is what is known."""
    search = RateSearch(settings(lasts_s=100.0))
    seen = iter((Verdict.PASSED, Verdict.FAILED, Verdict.PASSED, Verdict.CLOSE))
    for now_s in (10.0, 78.0, 89.0, 99.0):
        following = search.next(verdict(next(seen)), response_s_mean=Sample(value=0.01), now_s=now_s)
    assert isinstance(following, Finished)
    bracket = search.bracket()
    assert bracket.passing_per_s == Sample(value=math.sqrt(200.0))
    assert (bracket.failing_per_s, bracket.limited_by) == (Sample(value=20.0), Verdict.FAILED)
