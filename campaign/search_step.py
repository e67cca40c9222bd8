"""One step of a search as its seconds come in: what the search judges, and what is stored of it.

Workers count from the start of the load; a step needs what each second added. The first seconds of a step are left out:
they still show the rate before it. Pure; the search desk uses it.
"""

from dataclasses import dataclass, field, replace

from baseline_metrics.samples import Sample
from monitoring_logs.records import LoadSecond
from monitoring_logs.search_records import SearchStep, StepState
from results_summary.generator import GeneratorSecond, Invalid, generator_seconds, validity_of
from stress_scenarios.histogram import Histogram
from stress_scenarios.step_judgement import SecondFigures, StepFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondOfLoad:
    """One second: its number, what it added, how our own side fared in it.

    whole: whether it follows the second before it and has the windows of all workers; else its figures are not to be judged.
    """

    number: int
    whole: bool
    started: int
    responses: Histogram
    figures: SecondFigures
    generator: GeneratorSecond


class SecondsSoFar:
    """What a load has counted until now, to tell what a second added. response_s_p99_max: 0 for no such limit."""

    def __init__(self, *, response_s_p99_max: float) -> None:
        self._limit_s = response_s_p99_max
        self._due = self._dropped = self._started = self._ended = 0
        self._next = 0
        self._workers = 0

    def take(self, second: LoadSecond) -> SecondOfLoad:
        """The next second of the load."""
        due, dropped = second.operations_due - self._due, second.operations_dropped - self._dropped
        started = second.operations_started - self._started
        self._due, self._dropped, self._started = (
            second.operations_due,
            second.operations_dropped,
            second.operations_started,
        )
        self._ended += second.succeeded + second.failed
        self._workers = max(self._workers, second.workers)
        whole = second.second == self._next and second.workers == self._workers
        self._next = second.second + 1
        if not whole:  # completions were told that never came here: begin anew from what is seen to be in flight
            self._ended = self._due - self._dropped - round(second.in_flight_s)
        responses = Histogram.decode(second.response_succeeded)
        mean_s = responses.mean_s
        (generator,) = generator_seconds((second,))
        return SecondOfLoad(
            number=second.second,
            whole=whole,
            started=started,
            responses=responses,
            figures=SecondFigures(
                due=due,
                dropped=dropped,
                succeeded=second.succeeded,
                failed=second.failed,
                response_s_sum=mean_s.value * second.succeeded if isinstance(mean_s, Sample) else 0.0,
                response_above=responses.count_above_s(self._limit_s) if self._limit_s > 0 else 0,
                backlog=max(0, self._due - self._dropped - self._ended),
            ),
            generator=generator,
        )


@dataclass(slots=True)
class RunningStep:
    """The current step: its first second, how many of its seconds settle, how many are judged."""

    first: int
    settling: int
    planned: int
    judged: list[SecondOfLoad] = field(default_factory=list)
    responses: Histogram = field(default_factory=Histogram)
    backlog_before: int = 0

    def take(self, second: SecondOfLoad) -> None:
        """The next second."""
        if second.number < self.first + self.settling or not (second.whole or self.judged):
            self.backlog_before = second.figures.backlog
        elif second.whole:
            self.judged.append(second)
            self.responses.merge(second.responses)
        if self.is_over(second.number):
            self.planned = len(self.judged)  # also when some of its seconds are missing

    def is_over(self, number: int) -> bool:
        """Whether this was its last second."""
        return number >= self.first + self.settling + self.planned - 1

    def figures(self, operations_per_s: float) -> StepFigures:
        """What the search judges."""
        return StepFigures(
            operations_per_s=operations_per_s,
            seconds_planned=self.planned,
            backlog_before=self.backlog_before,
            seconds=tuple(second.figures for second in self.judged),
            generator=self._generator_words(),
        )

    def record(self, *, segment: int, step: int, operations_per_s: float, start_mono_s: float) -> SearchStep:
        """What is stored of it, of the seconds that are judged. start_mono_s: of the load."""
        start = start_mono_s + self.first + self.settling
        figures = [second.figures for second in self.judged]
        return SearchStep(
            segment=segment,
            step=step,
            operations_per_s=operations_per_s,
            start_mono_s=start,
            end_mono_s=start + len(figures),
            operations_due=sum(item.due for item in figures),
            operations_started=sum(second.started for second in self.judged),
            operations_dropped=sum(item.dropped for item in figures),
            succeeded=sum(item.succeeded for item in figures),
            failed=sum(item.failed for item in figures),
            response_s_mean=self.responses.mean_s,
            response_s_p99=self.responses.quantile(0.99),
            state=StepState.UNFINISHED,
            reason="",
        )

    def _generator_words(self) -> str:
        """Why our own side may have failed rather than the target; "" when it kept up."""
        seconds = [replace(second.generator, second=index) for index, second in enumerate(self.judged)]
        validity = validity_of(seconds, len(seconds))
        return validity.reason if isinstance(validity, Invalid) else ""
