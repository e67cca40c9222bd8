"""Nights with other load models than the paced one, and what happened to their loads, through the whole report."""

import json
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

from monitoring_logs.load_orders import PACED_BY_RATE, PacedByRate
from monitoring_logs.records import GateKind, LoadMinute, Meta, NotJudged
from results_summary.asked_loads import asked_loads
from results_summary.assessment import assess
from results_summary.capacity import AtLeast, CapacityUnknown
from results_summary.documents import campaign_document, to_text
from results_summary.facts import Facts
from results_summary.findings import GateResult, State
from results_summary.gates import gates_sha256
from results_summary.render import render_html, render_markdown, render_text, template_text
from results_summary.shortfalls import ShortfallKind, shortfalls
from results_summary.view import ReportView
from results_summary.viewing import view
from stress_scenarios.load_plan import (
    Arrivals,
    ConstantRate,
    Pace,
    RateShape,
    ReplayRate,
    Spacing,
    SpikeRate,
    Thinking,
    Unpaced,
)
from tests.results_summary.load_seconds import histogram_of
from tests.results_summary.search_nights import DOUBLING, night_with_search, search_facts
from tests.support.night import START_MONO_S, Night, Phase, eight_phases, make_facts

SCHEMA = Draft202012Validator(json.loads(template_text("report.schema.json")))


def arriving(shape: RateShape) -> Arrivals:
    """An open model of this shape."""
    return Arrivals(shape=shape, spacing=Spacing.EVEN, start_within_s=1.0, part=0, parts=1)


def with_pace(facts: Facts, index: int, pace: Pace | PacedByRate, *, achieved_not_judged: str = "") -> Facts:
    """The same night with another load model of one phase; its gate of achieved load may be set aside."""
    assert isinstance(facts.meta, Meta)
    order = facts.meta.order
    phases = tuple(replace(phase, pace=pace) if phase.index == index else phase for phase in order.phases)
    gates = tuple(
        replace(gate, judged=NotJudged(reason=achieved_not_judged))
        if achieved_not_judged and gate.phase == index and gate.kind is GateKind.PHASE_ACHIEVED
        else gate
        for gate in order.gates
    )
    changed = replace(order, phases=phases, gates=gates, gates_sha256=gates_sha256(gates))
    return replace(facts, meta=replace(facts.meta, order=changed))


def with_load(facts: Facts, index: int, *, held_s: float = 0.0, **changes: int) -> Facts:
    """The same night with other counters of one phase."""
    record = facts.phases[index]
    changed = replace(record, held_s=held_s, load=replace(record.load, **changes))
    return replace(facts, phases=tuple(changed if one.index == index else one for one in facts.phases))


def page_of(facts: Facts) -> ReportView:
    """The page; its documents keep their schema, and every form can be made."""
    assessment = assess(facts)
    page = view(assessment)
    SCHEMA.validate(json.loads(to_text(campaign_document(assessment, page))))
    for form in (render_html(page), render_markdown(page), render_text(page)):
        assert form
    return page


def achieved(facts: Facts) -> GateResult:
    """The answer to the first phase's gate of achieved load."""
    (found,) = (
        result
        for result in assess(facts).results
        if result.spec.kind is GateKind.PHASE_ACHIEVED and result.spec.phase == 0
    )
    return found


@pytest.mark.parametrize("pace", [Unpaced(), Thinking(seconds_min=1.0, seconds_max=2.0)])
def test_a_load_whose_pace_the_target_sets_is_no_level_of_capacity(pace: Pace) -> None:
    """It requested nothing by number: it may pass, its gate of achieved load is set aside, and no level is read into it."""
    facts = make_facts(Night(phases=(Phase(name="steady", connections=2), Phase(name="free", connections=9))))
    facts = with_pace(facts, 1, pace, achieved_not_judged="the target sets the pace")
    assessment = assess(facts)
    assert [phase.state for phase in assessment.phases] == [State.PASS, State.PASS]
    assert isinstance(assessment.capacity, AtLeast)
    assert assessment.capacity.passing.phase == "steady"
    page = page_of(facts)
    assert "/s" not in page.phases[1].asked
    assert (
        len(asked_loads(facts, start_mono_s=START_MONO_S, length_s=1000.0)) == 4
    )  # three anchors and the steady phase
    alone = with_pace(make_facts(Night(phases=(Phase(),))), 0, pace, achieved_not_judged="the target sets the pace")
    assert isinstance(assess(alone).capacity, CapacityUnknown)
    page_of(alone)


def test_without_a_request_the_gate_of_achieved_load_is_not_asked() -> None:
    """Nothing requested is nothing short of, set aside or not."""
    facts = with_load(make_facts(Night(phases=(Phase(),))), 0, operations_requested=0)
    assert achieved(with_pace(facts, 0, Unpaced(), achieved_not_judged="no request")).state is State.NOT_JUDGED
    assert achieved(with_pace(facts, 0, Unpaced())).state is State.UNKNOWN


def test_fewer_connections_than_arrivals_may_take_are_no_shortfall() -> None:
    """Of a paced load they are."""
    facts = with_load(make_facts(Night(phases=(Phase(connections=10),))), 0, connections_peak=4)
    kinds = [short.kind for short in shortfalls(assess(facts))]
    assert kinds == [ShortfallKind.CONNECTIONS]
    assert shortfalls(assess(with_pace(facts, 0, arriving(ConstantRate(per_s=50.0))))) == ()


def test_the_asked_load_is_drawn_as_its_shape() -> None:
    """A spike stands where it is, within what was asked; a replay is a level; a search's steps follow their phase."""
    facts = make_facts(Night(phases=(Phase(connections=1, per_s=20.0, ramp_s=0.0, hold_s=60.0),)))
    spike = SpikeRate(base_per_s=10.0, peak_per_s=100.0, at_s=30.0, lasts_s=10.0, every_s=0.0)
    start_s = facts.phases[0].start_mono_s - START_MONO_S
    drawn = asked_loads(with_pace(facts, 0, arriving(spike)), start_mono_s=START_MONO_S, length_s=1000.0)[1]
    high = [point.at_s - start_s for point in drawn.points if point.per_s > 99.0]
    assert 30.0 <= min(high) <= max(high) <= 40.0
    assert {round(point.per_s) for point in drawn.points} == {10, 100}
    replay = with_pace(facts, 0, arriving(ReplayRate(path="/a.csv", sha256="00")))
    level = asked_loads(replay, start_mono_s=START_MONO_S, length_s=1000.0)[1]
    assert [point.per_s for point in level.points] == [0.0, 20.0, 20.0]
    with_steps = night_with_search(search_facts())
    rates = [item.points[0].per_s for item in asked_loads(with_steps, start_mono_s=START_MONO_S, length_s=9999.0)]
    assert [rate for rate in rates if rate > 0] == [per_s for per_s, _ in DOUBLING]


def test_what_happened_to_a_load_stands_beside_its_row() -> None:
    """Paused, dropped, reconnected, redirected, messages; nothing where nothing happened."""
    facts = with_load(
        make_facts(Night(phases=eight_phases())),
        2,
        held_s=65.0,
        operations_dropped=40,
        reconnects=1,
        redirects=7,
        messages_sent=1200,
        messages_received=1180,
    )
    page = page_of(facts)
    assert page.phases[2].notes == (
        "paused by a person for 65 s",
        "40 arrivals dropped",
        "1 reconnection",
        "7 redirects",
        "WebSocket: 1,200 messages sent, 1,180 received",
    )
    assert page.phases[1].notes == ()
    assert "paused by a person for 65 s" in render_html(page)
    document = json.loads(to_text(campaign_document(assess(facts), page)))
    phase = document["phase_results"][2]
    assert (phase["held_s"], phase["achieved"]["operations_dropped"], phase["achieved"]["redirects"]) == (65.0, 40, 7)
    kinds = {short["kind"] for short in document["shortfalls"] if short["phase"] == 3}
    assert {"held_s", "dropped"} <= kinds


def test_a_pause_makes_a_load_longer_and_nothing_short() -> None:
    """The seconds for which a person had paused it were due as well: all there, nothing is missing; without them, all is."""
    facts = make_facts(Night(phases=(Phase(hold_s=20.0, ramp_s=0.0),)))
    record, segment = facts.phases[0], facts.segments[1]
    paused = tuple(
        replace(segment.seconds[0], second=second, succeeded=0, failed=0, response_succeeded="", response_failed="")
        for second in range(20, 50)
    )
    longer = replace(record, held_s=30.0, end_mono_s=record.end_mono_s + 30.0)
    held = replace(
        facts,
        phases=(longer,),
        segments=(facts.segments[0], replace(segment, seconds=(*segment.seconds, *paused)), *facts.segments[2:]),
    )
    assert achieved(held).state is State.PASS
    assert page_of(held).phases[0].coverage == "100.0 %"
    lost = replace(held, segments=facts.segments)
    assert achieved(lost).state is State.UNKNOWN
    assert page_of(lost).phases[0].coverage == "40.0 %"


DROPPED = (  # dropped when, of a load of 20 s of which 100 of 1,000 arrivals were dropped; what that makes of the gate
    ((), State.FAIL, "; 100 were dropped: every connection was busy, answers were too slow for this rate"),
    ((3,), State.UNKNOWN, "; dropped: 100 when our own side was late, or may have been"),
)


@pytest.mark.parametrize(("saturated", "state", "words"), DROPPED)
def test_a_dropped_arrival_is_on_the_account_of_whose_it_was(
    saturated: tuple[int, ...], state: State, words: str
) -> None:
    """The target's where our own side was in time; ours where it was late, or where the second is not in the record."""
    facts = make_facts(Night(phases=(Phase(hold_s=20.0, ramp_s=0.0),)))
    load = {"operations_requested": 1000, "operations_started": 900, "operations_dropped": 100}
    known = facts.segments[1].seconds
    late = histogram_of(*[0.2] * 10)
    seconds = tuple(
        replace(
            row,
            workers=1,
            operations_dropped=100 if row.second >= 3 else 0,
            schedule_lag=late if row.second in saturated else "",
        )
        for row in known
    )

    def with_rows(rows: tuple[object, ...]) -> Facts:
        segment = replace(facts.segments[1], seconds=rows)  # type: ignore[arg-type]  # they are LoadSeconds
        changed = replace(facts, segments=(facts.segments[0], segment, *facts.segments[2:]))
        return with_load(changed, 0, **load)

    found = achieved(with_rows(seconds))
    assert found.state is state
    assert found.detail == f"900 of 1000 operations were started{words}"
    lost = achieved(with_rows(tuple(row for row in seconds if row.second != 3)))
    assert lost.state is State.UNKNOWN


def test_arrivals_that_were_never_made_are_not_excused_by_a_few_dropped_ones() -> None:
    """100 of 1,000 are missing, 10 of them were dropped while we may have been late: the gate fails without them, too."""
    facts = with_load(
        make_facts(Night(phases=(Phase(hold_s=20.0, ramp_s=0.0),))),
        0,
        operations_requested=1000,
        operations_started=900,
        operations_dropped=10,
    )
    assert achieved(facts).state is State.FAIL


def with_service(facts: Facts, factor: float, *, floor_s: float = 0.0) -> Facts:
    """The same night whose first phase was served in this share of each response time."""
    segment = facts.segments[1]

    def minute(row: LoadMinute) -> LoadMinute:
        values = [max(floor_s, 0.3 * factor)] * row.succeeded
        return replace(
            row, service_succeeded=histogram_of(*values), response_succeeded=histogram_of(*[0.3] * row.succeeded)
        )

    changed = replace(segment, minutes=tuple(minute(row) for row in segment.minutes))
    return replace(facts, segments=(facts.segments[0], changed, *facts.segments[2:]))


@pytest.mark.parametrize(("factor", "parted"), [(1.0, False), (0.84, False), (0.82, True), (0.1, True)])
def test_both_latencies_are_shown_where_they_part(*, factor: float, parted: bool) -> None:
    """From a fifth above the service time on, in every form, with what it means."""
    facts = with_service(make_facts(Night(phases=(Phase(name="peak", connections=10, per_s=5.0),))), factor)
    page = page_of(facts)
    assert (page.phases[0].service != "-") is parted
    assert bool(page.latencies) is parted
    if parted:
        service = f"{300 * factor:.3g} ms"
        sentence = (
            f"peak: p99 is 300 ms from the intended start and {service} from the actual one: users waited before their "
            "request could even start."
        )
        assert page.latencies == (sentence,)
        for form in (render_html(page), render_markdown(page)):
            assert "users waited before their request could even start" in form
        assert "latency   peak: p99 is 300 ms" in render_text(page)


def test_latencies_are_not_told_apart_by_too_few_or_by_nothing() -> None:
    """Below the samples that bound a p99, below a millisecond, or without all service times, nothing is said."""
    few = with_service(make_facts(Night(phases=(Phase(connections=2, per_s=5.0),))), 0.1)
    assert page_of(few).latencies == ()
    many = make_facts(Night(phases=(Phase(connections=10, per_s=5.0),)))
    segment = many.segments[1]
    rows = tuple(replace(row, service_succeeded=histogram_of(0.01)) for row in segment.minutes)
    torn = replace(many, segments=(many.segments[0], replace(segment, minutes=rows), *many.segments[2:]))
    assert page_of(torn).latencies == ()
    fast = tuple(
        replace(
            row,
            response_succeeded=histogram_of(*[0.0012] * row.succeeded),
            service_succeeded=histogram_of(*[0.0004] * row.succeeded),
        )
        for row in segment.minutes
    )
    near = replace(many, segments=(many.segments[0], replace(segment, minutes=fast), *many.segments[2:]))
    assert page_of(near).latencies == ()


def test_a_record_of_the_first_schema_keeps_its_page() -> None:
    """No load model, no search, no pause: the words that it always had."""
    facts = with_pace(make_facts(Night(phases=(Phase(connections=2, per_s=5.0),))), 0, PACED_BY_RATE)
    page = page_of(facts)
    assert page.phases[0].asked == "2 connections, 10/s"
    assert page.phases[0].notes == ()
    assert page.latencies == page.contradictions == ()
