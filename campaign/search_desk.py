"""Drives a search in the supervisor: sets rates, collects each step's seconds, stores each step as it ends.

The search itself is pure (stress_scenarios.rate_search); here it meets the crew, the guardian's rung and the record. A
step is counted in whole seconds of the load, as the workers report them. While a person has paused the load, time stands
still for the search as it does for the load, and the step that was cut through begins anew. Main thread of the supervisor.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol

from campaign.search_step import RunningStep, SecondOfLoad, SecondsSoFar
from monitoring_logs.load_orders import SearchOrder
from monitoring_logs.records import LoadFacts, LoadSecond
from monitoring_logs.search_records import SearchRecord, SearchStep, StepState
from safety_monitoring.limits import Rung
from stress_scenarios.rate_search import Finished, RateSearch, SearchSettings
from stress_scenarios.step_judgement import Judgement, SearchCriteria, Verdict

STATES: Mapping[Verdict, StepState] = MappingProxyType(
    {
        Verdict.PASSED: StepState.PASSED,
        Verdict.FAILED: StepState.FAILED,
        Verdict.EASED: StepState.EASED,
        Verdict.GENERATOR: StepState.GENERATOR,
        Verdict.CLOSE: StepState.UNFINISHED,
    }
)


class AdjustsLoad(Protocol):
    """What a search needs of the crew."""

    def adjust(self, *, operations_per_s: float, connections: int) -> None:
        """Make this load instead, over all workers."""
        ...


class SearchDesk:
    """One phase's search, from the start of its load on, which begins at search.start_per_s.

    lasts_s: what tonight leaves of the search's time. store: what keeps a finished step, called at once.
    """

    def __init__(
        self,
        search: SearchOrder,
        *,
        phase: int,
        segment: int,
        start_mono_s: float,
        lasts_s: float,
        crew: AdjustsLoad,
        store: Callable[[SearchStep], None],
    ) -> None:
        self._order = search
        self._phase = phase
        self._segment = segment
        self._start_mono_s = start_mono_s
        self._crew = crew
        self._store = store
        self._search = RateSearch(settings_of(search, lasts_s=lasts_s))
        self._finished: Finished | None = None
        self._so_far = SecondsSoFar(response_s_p99_max=search.response_s_p99_max)
        self._steps = 0
        self._step: RunningStep | None = None  # None: the target rests
        self._rest_from = 0
        self._eased = False
        self._held_since: float | None = None
        self._held_s = 0.0
        self._begin_step(first=0)
        if self._search.rate != search.start_per_s:
            self._set_rate(self._search.rate)

    @property
    def over(self) -> bool:
        """Whether nothing more will be tried: the load may be released."""
        return self._finished is not None

    @property
    def why(self) -> str:
        """Why it is over; "" while it is not."""
        return self._finished.reason if self._finished is not None else ""

    def look(self, *, now_mono_s: float, seconds: Sequence[LoadSecond], rung: Rung) -> None:
        """Take new seconds and the guardian's rung; change the rate when it is time. Others' seconds are ignored."""
        for second in seconds:
            if second.segment == self._segment:
                taken = self._so_far.take(second)
                if self._finished is None and self._held_since is None:
                    self._look_at_second(taken)
        self._eased = rung is not Rung.CLEAR
        if self._eased and self._finished is None:
            self._ease(rung, at_second=self._second_at(now_mono_s))

    def hold(self, now_mono_s: float) -> None:
        """A person has paused the load. Again: no effect."""
        if self._held_since is None:
            self._held_since = now_mono_s

    def resume(self, now_mono_s: float) -> None:
        """The load goes on; the step that was under way begins anew. Without a hold: no effect."""
        if self._held_since is None:
            return
        self._held_s += now_mono_s - self._held_since
        self._held_since = None
        self._rest_from = self._second_at(now_mono_s)
        if self._step is not None:
            self._begin_step(first=self._rest_from)

    def record(self, facts: LoadFacts, *, complete: bool, reason: str) -> SearchRecord:
        """The search's record, once its load is zero. A step that was under way is stored as unfinished.

        reason: what ended the search from outside, or "".
        """
        if self._finished is None:
            self._finished = Finished(reason=reason or "the search's time was over")
            if self._step is not None and self._step.judged:
                self._keep(self._step, StepState.UNFINISHED, self._finished.reason)
        bracket = self._search.bracket()
        return SearchRecord(
            phase=self._phase,
            segment=self._segment,
            passing_per_s=bracket.passing_per_s,
            failing_per_s=bracket.failing_per_s,
            limited_by=STATES[bracket.limited_by],
            overshoot_percent=bracket.overshoot_percent,
            complete=complete,
            reason="; ".join(dict.fromkeys(words for words in (self._finished.reason, reason) if words)),
            load=facts,
            held_s=self._held_s,
        )

    # Seconds ----------------------------------------------------------------------------------------------------------

    def _second_at(self, mono_s: float) -> int:
        """The second of the load that begins about now: a rate that changes early in it settles within it."""
        return max(0, round(mono_s - self._start_mono_s))

    def _look_at_second(self, second: SecondOfLoad) -> None:
        step = self._step
        if step is None:
            rested_s = second.number - self._rest_from + 1
            if not self._eased and self._search.rested(backlog=second.figures.backlog, seconds=rested_s):
                self._after_rest(first=second.number + 1)
            return
        over = step.is_over(second.number)
        step.take(second)
        if over and not step.judged:
            self._begin_step(first=second.number + 1)  # none of its seconds can be judged
        elif step.judged:
            judgement = self._search.judge(step.figures(self._search.rate))
            if isinstance(judgement, Judgement):
                self._end_step(step, judgement, at_second=second.number + 1)

    def _ease(self, rung: Rung, *, at_second: int) -> None:
        """The guardian's move ends a step at once; then the target rests until the guardian has let load return."""
        if self._step is not None:
            words = f"the guardian took load away ({rung.name.lower().replace('_', ' ')})"
            self._end_step(self._step, Judgement(verdict=Verdict.EASED, reason=words), at_second=at_second)
        self._rest_from = at_second

    # Steps ------------------------------------------------------------------------------------------------------------

    def _begin_step(self, *, first: int) -> None:
        settling = self._search.settling_seconds
        self._step = RunningStep(first=first, settling=settling, planned=self._search.step_seconds - settling)

    def _end_step(self, step: RunningStep, judgement: Judgement, *, at_second: int) -> None:
        self._keep(step, STATES[judgement.verdict], judgement.reason)
        self._step = None
        self._rest_from = at_second
        following = self._search.next(judgement, response_s_mean=step.responses.mean_s, now_s=at_second - self._held_s)
        if isinstance(following, Finished):
            self._finish(following)
        elif following.rest_first:
            self._set_rate(self._search.rest_per_s)
        else:
            self._begin_step(first=at_second)
            self._set_rate(following.per_s)

    def _after_rest(self, *, first: int) -> None:
        if self._search.fits(first - self._held_s):
            self._begin_step(first=first)
            self._set_rate(self._search.rate)
        else:
            self._finish(Finished(reason="the search's time was over"))

    def _finish(self, finished: Finished) -> None:
        self._finished = finished
        self._set_rate(self._search.rest_per_s)

    def _set_rate(self, per_s: float) -> None:
        self._crew.adjust(operations_per_s=per_s, connections=self._order.connections)

    def _keep(self, step: RunningStep, state: StepState, reason: str) -> None:
        record = step.record(
            segment=self._segment, step=self._steps, operations_per_s=self._search.rate, start_mono_s=self._start_mono_s
        )
        self._store(replace(record, state=state, reason=reason))
        self._steps += 1


def settings_of(search: SearchOrder, *, lasts_s: float) -> SearchSettings:
    """The pure search's settings."""
    return SearchSettings(
        lasts_s=lasts_s,
        step_s=search.step_s,
        start_per_s=search.start_per_s,
        per_s_max=search.per_s_max,
        criteria=SearchCriteria(
            success_percent_min=search.success_percent_min,
            response_s_mean_max=search.response_s_mean_max,
            response_s_p99_max=search.response_s_p99_max,
            achieved_percent_min=search.achieved_percent_min,
        ),
    )
