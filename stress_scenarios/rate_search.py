"""The search for the highest rate that a target carries: which rate to try next, and what the tried ones leave open.

The rate doubles until a step does not pass, and then the gap between what passed and what did not is halved. The middle is
the geometric one: nothing is known beforehand of the truth but its magnitude, and rates are compared as ratios; it also
lies below the other middle, so that less is asked beyond the truth. Steps that are too close to call narrow the gap from
both of their sides and are never taken for either. Pure: time comes in; the supervisor's search desk drives it.
"""

import math
from dataclasses import dataclass, field

from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from stress_scenarios.step_judgement import (
    GoingOn,
    Judgement,
    SearchCriteria,
    StepFigures,
    Verdict,
    judge_early,
    judge_step,
)

NARROW_SHARE = 0.05
"""A gap narrower than this is narrow enough: a night differs more from the next one, and a step of some thousand operations
tells no less."""

BEYOND_CLOSE = 1.25
"""Above a rate that was too close to call the truth is near: no doubling, but far enough to be clear."""

WIDE = 1.5
"""The last step of a search rather tries a failure again than narrows the gap, unless the gap is wider than this: then half
of it is worth more than assurance."""

DOWN_STEPS_MAX = 10
"""Halvings below the first rate, to a thousandth of it: what cannot carry that is not under load but broken."""

STEPS_MAX = 200
"""Far beyond what any search needs (10 doublings, 20 for the gap): bounds what is stored whatever happens."""

STEP_SECONDS_MIN = 2
"""One second in which a step settles, one that is judged."""

SETTLING_S_MIN = 1
SETTLING_SHARE = 0.2
SETTLING_RESPONSES = 2.0
"""A step settles for a fifth of its time, at least the second in which its rate changed and two usual responses; at most
for half of its time."""

REST_SHARE = 0.25
"""Of the highest rate that passed, between a step that did not pass and the next one: enough to see the queue empty, little
enough to let it."""

REST_SECONDS_MIN = 1
REST_SECONDS_MAX = 10
"""A queue of a step that was given up is one or two seconds deep and is gone in as much; after ten seconds the next step
shows by itself whether the target has recovered."""

REST_BACKLOG_MIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """lasts_s: of the whole search, from the start of its first step. Rates in operations per second over all workers."""

    lasts_s: float
    step_s: float
    start_per_s: float
    per_s_max: float
    criteria: SearchCriteria


@dataclass(frozen=True, slots=True, kw_only=True)
class NextRate:
    """Try this rate. rest_first: let the target recover before; see rest_per_s and rested."""

    per_s: float
    rest_first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Nothing more is tried, and why."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """What is known: the highest rate that passed below the lowest that did not. limited_by: PASSED when none did not pass.

    overshoot_percent: how far the highest rate tried went beyond the upper end.
    """

    passing_per_s: Reading
    failing_per_s: Reading
    limited_by: Verdict
    overshoot_percent: Reading


_OPEN = (Verdict.PASSED, Verdict.CLOSE)
"""Verdicts that are no upper end."""


@dataclass(slots=True)
class _Tried:
    per_s: float
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def status(self) -> Verdict:
        """A rate that was close and then passed has passed; steps that contradict each other otherwise are close together."""
        if Verdict.EASED in self.verdicts:
            return Verdict.EASED
        seen = set(self.verdicts)
        if seen == {Verdict.CLOSE, Verdict.PASSED}:
            return Verdict.PASSED
        return seen.pop() if len(seen) == 1 else Verdict.CLOSE

    @property
    def refused(self) -> Verdict:
        """Why it ever did not pass: PASSED when it always passed or was close."""
        return next((one for one in self.verdicts if one not in _OPEN), Verdict.PASSED)


class RateSearch:
    """One search. ``rate`` is the rate of the current step; the first one is settings.start_per_s."""

    def __init__(self, settings: SearchSettings) -> None:
        assert settings.start_per_s > 0, settings
        assert settings.per_s_max > 0, settings
        self._settings = settings
        self.rate = min(settings.start_per_s, settings.per_s_max)
        self._tried: dict[float, _Tried] = {}
        self._steps = 0
        self._usual_s = settings.criteria.response_s_mean_max  # until a step has shown what is usual

    # The current step -------------------------------------------------------------------------------------------------

    @property
    def step_seconds(self) -> int:
        """How many whole seconds a step takes."""
        return max(STEP_SECONDS_MIN, round(self._settings.step_s))

    @property
    def settling_seconds(self) -> int:
        """How many of them are not judged."""
        usual_s = self._usual_s if self._passed() else 0.0
        wanted = max(
            SETTLING_S_MIN, math.ceil(SETTLING_SHARE * self.step_seconds), math.ceil(SETTLING_RESPONSES * usual_s)
        )
        return min(wanted, self.step_seconds // 2)

    def judge(self, step: StepFigures) -> Judgement | GoingOn:
        """The verdict on the current step once all its seconds are there, or before when it is clearly lost."""
        criteria = self._settings.criteria
        if len(step.seconds) >= step.seconds_planned:
            return judge_step(step, criteria, usual_s=self._usual_s)
        return judge_early(step, criteria, usual_s=self._usual_s)

    def next(self, judgement: Judgement, *, response_s_mean: Reading, now_s: float) -> NextRate | Finished:
        """Note the current step's verdict and choose. now_s: since the search began."""
        self._steps += 1
        self._tried.setdefault(self.rate, _Tried(per_s=self.rate)).verdicts.append(judgement.verdict)
        if judgement.verdict is Verdict.PASSED and isinstance(response_s_mean, Sample):
            self._usual_s = min(self._usual_s, response_s_mean.value)
        chosen = self._choose(steps_left=self._steps_left(now_s))
        if isinstance(chosen, Finished):
            return chosen
        if not self.fits(now_s) or self._steps >= STEPS_MAX:
            return Finished(reason=f"the time is over: {self._open_words()}")
        self.rate = chosen
        return NextRate(per_s=chosen, rest_first=judgement.verdict is not Verdict.PASSED)

    def fits(self, now_s: float) -> bool:
        """Whether a whole step can still be made."""
        return now_s + self.step_seconds <= self._settings.lasts_s

    # Between two steps ------------------------------------------------------------------------------------------------

    @property
    def rest_per_s(self) -> float:
        """A rate at which the target recovers."""
        return REST_SHARE * max((item.per_s for item in self._passed()), default=min(self._tried, default=self.rate))

    def rested(self, *, backlog: int, seconds: int) -> bool:
        """Whether the target has recovered, or was given time enough. backlog: as in SecondFigures, now."""
        usual = self.rest_per_s * self._usual_s
        normal = max(REST_BACKLOG_MIN, usual + 2.0 * math.sqrt(usual))
        return seconds >= REST_SECONDS_MAX or (seconds >= REST_SECONDS_MIN and backlog <= normal)

    # What is known ----------------------------------------------------------------------------------------------------

    def bracket(self) -> Bracket:
        """What the steps so far have shown. An upper end that was not confirmed in time is better than none."""
        lower, upper = self._ends()
        if upper is None:
            once = [
                item
                for item in self._tried.values()
                if item.refused not in _OPEN and not self._passed_above(item.per_s)
            ]
            upper = min(once, key=lambda item: item.per_s, default=None)
        highest = max(self._tried, default=0.0)
        none_passed = Gap(reason=GapReason.ABSENT, detail="no rate passed")
        none_failed = Gap(reason=GapReason.ABSENT, detail="every rate that was tried passed or was too close to call")
        return Bracket(
            passing_per_s=Sample(value=lower.per_s) if lower else none_passed,
            failing_per_s=Sample(value=upper.per_s) if upper else none_failed,
            limited_by=upper.refused if upper else Verdict.PASSED,
            overshoot_percent=Sample(value=100.0 * (highest / upper.per_s - 1.0)) if upper else none_failed,
        )

    def _passed(self) -> list[_Tried]:
        return [item for item in self._tried.values() if item.status is Verdict.PASSED]

    def _passed_above(self, rate: float) -> bool:
        return any(item.per_s > rate for item in self._passed())

    def _upper(self) -> _Tried | None:
        """The lowest rate that did not pass."""
        refused = (item for item in self._tried.values() if item.status not in _OPEN)
        return min(refused, key=lambda item: item.per_s, default=None)

    def _doubtful(self) -> list[float]:
        """Rates below the upper end that neither passed nor did not. One that passed once, and a higher one too, did pass."""
        upper = self._upper()
        high = upper.per_s if upper else math.inf
        return sorted(
            item.per_s
            for item in self._tried.values()
            if item.status is Verdict.CLOSE
            and item.per_s < high
            and not (Verdict.PASSED in item.verdicts and self._passed_above(item.per_s))
        )

    def _ends(self) -> tuple[_Tried | None, _Tried | None]:
        """The highest rate that passed with all below it, and the lowest that did not pass."""
        upper = self._upper()
        limit = min([*self._doubtful(), upper.per_s if upper else math.inf])
        below = [item for item in self._passed() if item.per_s < limit]
        return max(below, key=lambda item: item.per_s, default=None), upper

    # Choices ----------------------------------------------------------------------------------------------------------

    def _steps_left(self, now_s: float) -> int:
        return int(max(0.0, self._settings.lasts_s - now_s) // (self.step_seconds + REST_SECONDS_MIN))

    def _choose(self, *, steps_left: int) -> float | Finished:
        lower, upper = self._ends()
        doubtful = self._doubtful()
        again = [rate for rate in doubtful if len(self._tried[rate].verdicts) == 1 and self._passed_above(rate)]
        if again:
            return again[0]
        if lower is None:
            return self._further_down()
        if upper is None:
            return self._further_up(lower.per_s, doubtful)
        highest_open = max(rate for rate in self._tried if rate < upper.per_s)
        gaps = ((lower.per_s, min(doubtful, default=upper.per_s)), (highest_open, upper.per_s))
        low, high = min(gaps, key=lambda gap: gap[0] / gap[1])
        unconfirmed = len(upper.verdicts) == 1 and upper.status in (Verdict.FAILED, Verdict.GENERATOR)
        narrow = 1.0 - low / high <= NARROW_SHARE
        last_chance = steps_left <= 1 and high <= WIDE * low
        if unconfirmed and (narrow or last_chance):
            return upper.per_s  # a hiccup must not stand for the truth
        return Finished(reason="the gap is narrow enough") if narrow else math.sqrt(low * high)

    def _further_down(self) -> float | Finished:
        lowest = min(self._tried)
        if lowest <= self._settings.start_per_s * 0.5**DOWN_STEPS_MAX:
            return Finished(reason=f"not even {lowest:.4g} operations/s passed")
        return lowest / 2

    def _further_up(self, lower: float, doubtful: list[float]) -> float | Finished:
        top, highest = max(self._tried), self._settings.per_s_max
        if top < highest:
            return min(highest, (BEYOND_CLOSE if top in doubtful else 2.0) * top)
        if not doubtful:
            return Finished(reason=f"the highest rate that may be tried, {highest:.4g} operations/s, passed")
        if 1.0 - lower / doubtful[0] <= NARROW_SHARE:
            return Finished(reason=f"up to the highest rate that may be tried, {highest:.4g} operations/s, none failed")
        return math.sqrt(lower * doubtful[0])

    def _open_words(self) -> str:
        lower, upper = self._ends()
        low = f"{lower.per_s:.4g} operations/s passed" if lower else "no rate passed"
        return f"{low}, {upper.per_s:.4g} did not" if upper else f"{low}, nothing higher was refused"
