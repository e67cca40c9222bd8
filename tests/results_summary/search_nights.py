"""Nights with a search, for the report's tests: the synthetic night, and after its stress test the rates that were tried."""

from dataclasses import replace

from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from monitoring_logs.load_orders import SearchOrder
from monitoring_logs.records import LoadFacts, Meta, SegmentKind, SegmentRecord
from monitoring_logs.search_records import SearchRecord, SearchStep, StepState, search_name
from results_summary.facts import Facts, SearchFacts, SegmentFacts
from tests.results_summary.load_seconds import histogram_of, load_second
from tests.support.night import START_MONO_S, START_UTC_S, Night, eight_phases, make_facts

STRESS_TEST = 6

SEARCH = SearchOrder(
    lasts_s=60.0,
    step_s=5.0,
    start_per_s=30.0,
    per_s_max=20_000.0,
    connections=400,
    success_percent_min=95.0,
    response_s_mean_max=2.0,
    response_s_p99_max=0.0,
    achieved_percent_min=98.0,
)

ABSENT = Gap(reason=GapReason.ABSENT, detail="none")

LOAD = LoadFacts(
    connections_requested=400,
    connections_peak=120,
    connections_opened=400,
    operations_requested=9000,
    operations_started=8900,
    operations_succeeded=8700,
    operations_failed=150,
    operations_abandoned=50,
    hold_s_requested=60.0,
    hold_s_achieved=60.0,
    bytes_received=1_000_000,
    operations_dropped=100,
)

DOUBLING = (
    (30.0, StepState.PASSED),
    (60.0, StepState.PASSED),
    (120.0, StepState.PASSED),
    (240.0, StepState.FAILED),
    (180.0, StepState.PASSED),
    (210.0, StepState.FAILED),
    (195.0, StepState.UNFINISHED),
)


def reading(value: float) -> Reading:
    """A value, or none for a negative one."""
    return Sample(value=value) if value >= 0 else ABSENT


def search_steps(
    tried: tuple[tuple[float, StepState], ...], *, start_mono_s: float = START_MONO_S
) -> tuple[SearchStep, ...]:
    """Steps of five seconds, four of which are judged."""
    return tuple(
        SearchStep(
            segment=90,
            step=number,
            operations_per_s=per_s,
            start_mono_s=start_mono_s + 5.0 * number + 1.0,
            end_mono_s=start_mono_s + 5.0 * number + 5.0,
            operations_due=int(4 * per_s),
            operations_started=int(4 * per_s) - (5 if state is StepState.FAILED else 0),
            operations_dropped=5 if state is StepState.FAILED else 0,
            succeeded=int(3.5 * per_s) if state is StepState.FAILED else int(4 * per_s),
            failed=0,
            response_s_mean=Sample(value=2.7 if state is StepState.FAILED else 0.2),
            response_s_p99=Sample(value=5.0 if state is StepState.FAILED else 0.4),
            state=state,
            reason="mean response time 2.7 s, at most 2 s" if state is StepState.FAILED else "every criterion was met",
        )
        for number, (per_s, state) in enumerate(tried)
    )


def search_facts(
    *,
    passing: float = 180.0,
    failing: float = 210.0,
    limited_by: StepState = StepState.FAILED,
    overshoot: float = 14.3,
    phase: int = STRESS_TEST,
    tried: tuple[tuple[float, StepState], ...] = DOUBLING,
    complete: bool = True,
    reason: str = "the time is over",
    start_mono_s: float = START_MONO_S,
) -> SearchFacts:
    """One search; negative figures are not known."""
    return SearchFacts(
        segment=90,
        phase=phase,
        steps=search_steps(tried, start_mono_s=start_mono_s),
        record=SearchRecord(
            phase=phase,
            segment=90,
            passing_per_s=reading(passing),
            failing_per_s=reading(failing),
            limited_by=limited_by,
            overshoot_percent=reading(overshoot),
            complete=complete,
            reason=reason,
            load=LOAD,
        ),
    )


def night_with_search(*searches: SearchFacts, night: Night | None = None) -> Facts:
    """A good night of eight phases, up to 120/s, whose stress test was followed by these searches."""
    facts = make_facts(night or Night(phases=eight_phases()))
    assert isinstance(facts.meta, Meta)
    phases = tuple(
        replace(phase, search=SEARCH) if phase.index == STRESS_TEST else phase for phase in facts.meta.order.phases
    )
    start_mono_s = facts.phases[STRESS_TEST].end_mono_s
    segment = SegmentFacts(
        record=SegmentRecord(
            segment=90,
            kind=SegmentKind.SEARCH,
            name=search_name("stress_test"),
            start_mono_s=start_mono_s,
            start_utc_s=START_UTC_S + start_mono_s - START_MONO_S,
        ),
        seconds=tuple(
            load_second(
                second,
                segment=90,
                at_mono_s=start_mono_s + second,
                succeeded=20,
                response_succeeded=histogram_of(*[0.2] * 20),
            )
            for second in range(35)
        ),
        minutes=(),
        errors=(),
    )
    return replace(
        facts,
        meta=replace(facts.meta, order=replace(facts.meta.order, phases=phases)),
        segments=(*facts.segments, segment) if searches else facts.segments,
        searches=tuple(
            replace(item, steps=search_steps(DOUBLING, start_mono_s=start_mono_s)) if item.steps else item
            for item in searches
        ),
    )
