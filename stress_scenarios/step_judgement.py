"""Whether one rate of a search was carried, from its seconds: clearly, clearly not, or too close to call.

A step is short and a queue is noisy, so a bare comparison with a limit would be right half of the time near the truth,
where it matters. Each criterion is therefore met, missed or close, by the noise of its own figure. And a rate that its
target cannot carry may still look fast for some seconds: the queue that grows gives it away. Pure; rate_search uses it.
"""

import math
from dataclasses import dataclass
from enum import Enum

from baseline_metrics.estimates import wilson_interval

MISSED_Z = 1.64
"""A figure beyond its limit by more than this many standard deviations is a miss: by chance in one of twenty."""

CLOSE_Z = 1.0
"""A figure within its limit by less than this is close."""

STANDING_Z = 0.1
"""Of the root of a step's arrivals, by which a queue would wander if the target were just full. A queue that stands deeper
than this part of it has not emptied since the step began. Against queues of 4 to 16 exponential servers, steps of 600 to
8000 arrivals: 0.1 lets 3 to 10 of 100 searches end above the truth (by less than 5 %), 0.2 twice as many, and 0.05 half as
many, with brackets that are a third wider."""

LOST_Z = 4.0
"""Within a step one looks again each second, so that chance has many tries: what ends it early has to be certain."""

FAR_BEYOND = 2.0
"""Certain failures of more than this times the allowed share end a step early."""

LOST_GROWTH_SHARE = 0.1
"""Of the arrivals that a step may leave in a growing queue before it is given up: far from the few percent of its noise."""

MEAN_NOISE_SHARE = 0.1
"""Of a mean, while there are fewer than three seconds to tell its noise from."""

TAIL_SHARE = 0.01
"""What may lie beyond a p99."""


class Verdict(Enum):
    """What a step has shown."""

    PASSED = "passed"
    FAILED = "failed"
    EASED = "eased"  # the guardian took load away
    GENERATOR = "generator"  # our own side could not make this rate
    CLOSE = "close"  # neither clearly passed nor clearly missed


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict with the criterion and the figure, in words."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoingOn:
    """The step may still pass: let it run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCriteria:
    """What a rate has to meet. Percent 0..100, seconds; response_s_p99_max 0: no such limit."""

    success_percent_min: float
    response_s_mean_max: float
    response_s_p99_max: float
    achieved_percent_min: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFigures:
    """One second of a step. response_s_sum: of successes. response_above: successes slower than the p99 limit.

    backlog: arrivals that had come due until its end and had neither been dropped nor ended: waiting with us or with the
    target.
    """

    due: int
    dropped: int
    succeeded: int
    failed: int
    response_s_sum: float
    response_above: int
    backlog: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFigures:
    """A step so far, without the seconds in which it settled.

    seconds_planned: how many it is to have. backlog_before: when it had settled. generator: how our own side was at its
    limit, "" when it was not.
    """

    operations_per_s: float
    seconds_planned: int
    backlog_before: int
    seconds: tuple[SecondFigures, ...]
    generator: str


class _Met(Enum):
    CLEARLY = "clearly"
    CLOSELY = "closely"
    MISSED = "missed"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    met: _Met
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sums:
    due: int
    dropped: int
    succeeded: int
    failed: int
    response_s: float
    above: int
    growth: float

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed


def judge_step(step: StepFigures, criteria: SearchCriteria, *, usual_s: float) -> Judgement:
    """The verdict on a step that is over. usual_s: a response time that is in order, for what a queue may hold."""
    sums = _sums(step, usual_s)
    if sums.ended == 0:
        return _not_passed(step, _Met.MISSED, f"none of {sums.due} operations ended")
    findings = (
        _success(sums, criteria),
        _tail(sums, criteria),
        _mean(step.seconds, criteria),
        _late_mean(step.seconds, criteria),
        _dropped(sums, criteria),
        _growth(sums, criteria),
        _standing_queue(step, sums, usual_s),
    )
    for met in (_Met.MISSED, _Met.CLOSELY):
        words = "; ".join(finding.words for finding in findings if finding.met is met)
        if words:
            return _not_passed(step, met, words)
    mean_s = sums.response_s / sums.succeeded if sums.succeeded else 0.0
    share = 100.0 * sums.succeeded / sums.ended
    return Judgement(verdict=Verdict.PASSED, reason=f"{share:.4g} % succeeded, mean response {mean_s:.4g} s")


def judge_early(step: StepFigures, criteria: SearchCriteria, *, usual_s: float) -> Judgement | GoingOn:
    """Whether a step that runs is clearly lost: what is left of it could not undo what it has shown."""
    if not step.seconds:
        return GoingOn()
    sums = _sums(step, usual_s)
    expected = max(sums.ended, math.ceil(step.operations_per_s * step.seconds_planned) + step.backlog_before)
    failed_allowed = 1.0 - criteria.success_percent_min / 100.0
    dropped_allowed = 1.0 - criteria.achieved_percent_min / 100.0
    failed_low, _ = wilson_interval(successes=sums.failed, total=sums.ended, z=LOST_Z)
    if sums.failed > failed_allowed * expected or failed_low > FAR_BEYOND * failed_allowed:
        return _not_passed(step, _Met.MISSED, f"{sums.failed} of {sums.ended} operations failed")
    if sums.response_s > criteria.response_s_mean_max * expected:
        mean_s = sums.response_s / sums.succeeded
        return _not_passed(
            step, _Met.MISSED, f"mean response {mean_s:.4g} s, at most {criteria.response_s_mean_max:g} s are allowed"
        )
    if criteria.response_s_p99_max > 0 and sums.above > TAIL_SHARE * expected:
        words = f"{sums.above} of {sums.succeeded} responses took more than {criteria.response_s_p99_max:g} s"
        return _not_passed(step, _Met.MISSED, words)
    if sums.dropped > dropped_allowed * expected:
        return _not_passed(step, _Met.MISSED, f"{sums.dropped} of {sums.due} arrivals found no connection in time")
    if sums.growth > LOST_Z * math.sqrt(max(1, sums.due)) and sums.growth > LOST_GROWTH_SHARE * sums.due:
        return _not_passed(step, _Met.MISSED, _growth_words(sums))
    return GoingOn()


def _not_passed(step: StepFigures, met: _Met, words: str) -> Judgement:
    """Not the target's account when our own side was at its limit: what was measured then is partly ourselves."""
    if step.generator:
        return Judgement(verdict=Verdict.GENERATOR, reason=f"{step.generator}; {words}")
    if met is _Met.MISSED:
        return Judgement(verdict=Verdict.FAILED, reason=words)
    return Judgement(verdict=Verdict.CLOSE, reason=f"too close to call: {words}")


def _sums(step: StepFigures, usual_s: float) -> _Sums:
    """growth: what the queue has gained beyond what this rate keeps in flight anyway at the usual response time."""
    filled = max(float(step.backlog_before), step.operations_per_s * usual_s)
    return _Sums(
        due=sum(item.due for item in step.seconds),
        dropped=sum(item.dropped for item in step.seconds),
        succeeded=sum(item.succeeded for item in step.seconds),
        failed=sum(item.failed for item in step.seconds),
        response_s=sum(item.response_s_sum for item in step.seconds),
        above=sum(item.response_above for item in step.seconds),
        growth=step.seconds[-1].backlog - filled if step.seconds else 0.0,
    )


def _success(sums: _Sums, criteria: SearchCriteria) -> _Finding:
    met = _share_met(sums.failed, sums.ended, 1.0 - criteria.success_percent_min / 100.0)
    share = 100.0 * sums.succeeded / sums.ended
    return _Finding(met=met, words=f"{share:.4g} % succeeded, {criteria.success_percent_min:g} % are needed")


def _tail(sums: _Sums, criteria: SearchCriteria) -> _Finding:
    limit_s = criteria.response_s_p99_max
    met = _share_met(sums.above, sums.succeeded, TAIL_SHARE) if limit_s > 0 else _Met.CLEARLY
    return _Finding(met=met, words=f"{sums.above} of {sums.succeeded} responses took more than {limit_s:g} s")


def _dropped(sums: _Sums, criteria: SearchCriteria) -> _Finding:
    met = _share_met(sums.dropped, max(sums.due, sums.dropped), 1.0 - criteria.achieved_percent_min / 100.0)
    return _Finding(met=met, words=f"{sums.dropped} of {sums.due} arrivals found no connection in time")


def _share_met(count: int, total: int, share_max: float) -> _Met:
    """None at all is clear whatever the total: a criterion may be stricter than a short step can prove."""
    allowed = share_max * total
    noise = math.sqrt(max(count, 1))
    if count == 0 or count + CLOSE_Z * noise <= allowed:
        return _Met.CLEARLY
    return _Met.MISSED if count - MISSED_Z * noise > allowed or allowed == 0.0 else _Met.CLOSELY


def _mean(seconds: tuple[SecondFigures, ...], criteria: SearchCriteria) -> _Finding:
    """Its noise is that of the seconds' sums around it: neighbouring responses of a queue are alike, so n is no measure."""
    succeeded = sum(item.succeeded for item in seconds)
    if succeeded == 0:
        return _Finding(met=_Met.CLEARLY, words="")
    mean_s = sum(item.response_s_sum for item in seconds) / succeeded
    noise_s = MEAN_NOISE_SHARE * mean_s
    if len(seconds) >= 3:
        squares = sum((item.response_s_sum - mean_s * item.succeeded) ** 2 for item in seconds)
        noise_s = math.sqrt(squares * len(seconds) / (len(seconds) - 1)) / succeeded
    limit_s = criteria.response_s_mean_max
    met = _Met.CLEARLY
    if mean_s - MISSED_Z * noise_s > limit_s:
        met = _Met.MISSED
    elif mean_s + CLOSE_Z * noise_s > limit_s:
        met = _Met.CLOSELY
    return _Finding(met=met, words=f"mean response {mean_s:.4g} s, at most {limit_s:g} s are allowed")


def _late_mean(seconds: tuple[SecondFigures, ...], criteria: SearchCriteria) -> _Finding:
    """A queue that is still filling: who came last waited longest, and whoever follows would wait longer still."""
    half = seconds[len(seconds) // 2 :]
    finding = _mean(half, criteria)
    met = _Met.CLEARLY if finding.met is _Met.CLEARLY else _Met.CLOSELY
    return _Finding(met=met, words=f"in its second half {finding.words}")


def _growth(sums: _Sums, criteria: SearchCriteria) -> _Finding:
    """A number of arrivals or completions varies by about its root."""
    left_allowed = (1.0 - criteria.achieved_percent_min / 100.0) * sums.due
    noise = math.sqrt(max(1, sums.due))
    met = _Met.CLEARLY
    if sums.growth > MISSED_Z * noise and sums.growth > left_allowed:
        met = _Met.MISSED
    elif sums.growth > CLOSE_Z * noise and sums.growth > left_allowed / 2:
        met = _Met.CLOSELY
    return _Finding(met=met, words=_growth_words(sums))


def _standing_queue(step: StepFigures, sums: _Sums, usual_s: float) -> _Finding:
    """A queue that stands in the second half of the step, not explained by the rate's usual operations in flight."""
    half = step.seconds[len(step.seconds) // 2 :]
    standing = sum(item.backlog for item in half) / len(half)
    usual = step.operations_per_s * usual_s
    excess = standing - usual - math.sqrt(usual)
    met = _Met.CLOSELY if excess > STANDING_Z * math.sqrt(max(1, sums.due)) else _Met.CLEARLY
    return _Finding(met=met, words=f"{standing:.0f} operations wait or are in flight, {usual:.0f} would be usual")


def _growth_words(sums: _Sums) -> str:
    return f"the queue grows: {sums.ended} of {sums.due} operations ended"
