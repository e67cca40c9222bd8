"""The search's section of the report: what was found, each rate that was tried, a picture of both.

Everything that came from outside passes through ``clean`` here. Pure; viewing puts it on the page.
"""

from typing import assert_never

from baseline_metrics.samples import Gap, Reading, Sample
from baseline_metrics.units import format_duration
from monitoring_logs.search_records import SearchRecord, SearchStep, StepState
from results_summary import wording
from results_summary.assessment import Assessment
from results_summary.capacity import CapacityUnknown, Searched
from results_summary.cleaning import NAME_CHARACTERS_MAX, clean
from results_summary.facts import Absent, SearchFacts
from results_summary.search_chart import search_svg
from results_summary.searched_capacity import search_words, with_searches
from results_summary.view import Badge, SearchStepRow, SearchView, Tone

STEP_ROWS_MAX = 100
"""A search of a whole night has some hundred steps; the documents hold each of them."""

NOT_SAID = "-"


def search_views(assessment: Assessment) -> tuple[SearchView, ...]:
    """Each search of the night on its own, in order."""
    names = _names(assessment)
    return tuple(
        _search_view(search, names, number) for number, search in enumerate(assessment.facts.searches, start=1)
    )


def _names(assessment: Assessment) -> tuple[str, ...]:
    meta = assessment.facts.meta
    if isinstance(meta, Absent):
        return ()
    return tuple(clean(order.name, characters_max=NAME_CHARACTERS_MAX) for order in meta.order.phases)


def _search_view(search: SearchFacts, names: tuple[str, ...], number: int) -> SearchView:
    alone = with_searches(CapacityUnknown(reason="of the search alone"), (search,), names)
    assert isinstance(alone, Searched)
    return SearchView(
        where=clean(alone.where),
        words=_words(search, alone),
        svg=search_svg(search.steps, passing=alone.passing, failing=alone.failing, number=number)
        if search.steps
        else "",
        steps=tuple(_row(step) for step in search.steps[:STEP_ROWS_MAX]),
    )


def _words(search: SearchFacts, alone: Searched) -> str:
    words = clean(search_words(alone))
    match search.record:
        case SearchRecord(complete=complete, reason=reason, held_s=held_s):
            ended = "Ended" if complete else "Ended early"
            told = f" {ended}: {clean(reason)}." if reason else ""
            if held_s > 0.0:
                told += f" A person had paused it for {format_duration(held_s)}."
        case absent:
            told = f" Not complete: {clean(absent.reason)}."
    left_out = len(search.steps) - STEP_ROWS_MAX
    return words + told + (f" {left_out} further steps are in the documents." if left_out > 0 else "")


def _row(step: SearchStep) -> SearchStepRow:
    done = step.succeeded + step.failed
    dropped = f", {wording.count(step.operations_dropped)} dropped" if step.operations_dropped else ""
    return SearchStepRow(
        number=step.step + 1,
        rate=wording.rate(step.operations_per_s),
        lasted=format_duration(max(0.0, step.end_mono_s - step.start_mono_s)),
        achieved=f"{wording.count(step.operations_started)} of {wording.count(step.operations_due)}{dropped}",
        success=wording.percent(100.0 * step.succeeded / done) if done else wording.UNKNOWN,
        mean=_time(step.response_s_mean),
        p99=_time(step.response_s_p99),
        state=step_badge(step.state),
        reason=clean(step.reason) or NOT_SAID,
    )


def step_badge(state: StepState) -> Badge:
    """What a rate showed, in its colour."""
    match state:
        case StepState.PASSED:
            return Badge(word="passed", tone=Tone.GOOD)
        case StepState.FAILED:
            return Badge(word="failed", tone=Tone.BAD)
        case StepState.EASED:
            return Badge(word="eased", tone=Tone.WARN)
        case StepState.GENERATOR:
            return Badge(word="generator", tone=Tone.OPEN)
        case StepState.UNFINISHED:
            return Badge(word="unfinished", tone=Tone.OPEN)
    assert_never(state)


def _time(reading: Reading) -> str:
    match reading:
        case Sample(value=value):
            return wording.seconds(value)
        case Gap():
            return NOT_SAID
