"""Whether a phase held the memory that it asked for: the gate, its excuses, and what every format says of it."""

import json
from dataclasses import replace

import pytest

from baseline_metrics.samples import Gap, GapReason
from monitoring_logs.load_orders import MemoryLoad
from monitoring_logs.memory_records import NO_MEMORY_HELD, MemoryFacts
from monitoring_logs.records import GateKind, Outcome
from results_summary.assessment import assess
from results_summary.documents import campaign_document, to_text
from results_summary.facts import Facts
from results_summary.findings import GateResult, State
from results_summary.memory_held import HELD_PERCENT_MIN, held_share, memory_note
from results_summary.render import render_html, render_markdown, render_text
from results_summary.shortfalls import ShortfallKind, shortfalls
from results_summary.viewing import view
from tests.support.night import Night, Phase, make_facts

MIB = 1 << 20
LOAD = MemoryLoad(size_bytes=400 * MIB, rise_bytes_per_s=50.0 * MIB)
HELD = Phase(name="squeeze", memory=LOAD, hold_s=40.0)


def night(phase: Phase) -> Facts:
    """A night of this phase between two without memory load."""
    return make_facts(Night(phases=(Phase(name="before"), phase, Phase(name="after"))))


def answers(facts: Facts) -> list[GateResult]:
    """The answers to the gate."""
    return [result for result in assess(facts).results if result.spec.kind is GateKind.PHASE_MEMORY]


def answer(phase: Phase) -> GateResult:
    """The one answer."""
    (result,) = answers(night(phase))
    return result


def test_only_a_phase_with_memory_load_has_the_gate() -> None:
    """It names the phase, the size and the share, fixed before the night."""
    (result,) = answers(night(HELD))
    assert result.spec.gate == "phase.2.squeeze.memory_achieved"
    assert result.spec.rule == "at least 95 % of 400 MiB of memory are held"
    assert answers(night(Phase())) == []


@pytest.mark.parametrize("which", ["memory_peak_share", "memory_time_share"])
@pytest.mark.parametrize(("share", "state"), [(0.949, State.FAIL), (0.9501, State.PASS), (1.0, State.PASS)])
def test_peak_and_time_must_both_reach_95_percent(which: str, share: float, state: State) -> None:
    """Just below, just above, whole; the worse of the two is what was observed."""
    result = answer(replace(HELD, **{which: share}))  # type: ignore[arg-type]  # both are shares of Phase
    assert result.state is state


def test_held_at_the_threshold_passes() -> None:
    """95 % exactly are 95 %."""
    facts = MemoryFacts(
        size_bytes=100, rise_bytes_per_s=100.0, peak_bytes=95, asked_byte_s=1000.0, achieved_byte_s=990.0,
        release_s=Gap(reason=GapReason.ABSENT, detail="ended"), refused="",
    )  # fmt: skip
    order = MemoryLoad(size_bytes=100, rise_bytes_per_s=100.0)
    assert held_share(order, facts, lasts_s=10.0, ran_whole=True).percent == HELD_PERCENT_MIN


@pytest.mark.parametrize(
    ("phase", "state", "words"),
    [
        (replace(HELD, outcome=Outcome.EASED, memory_time_share=0.5), State.UNKNOWN, "the guardian eased"),
        (replace(HELD, outcome=Outcome.OPERATOR_STOP, ran_share=0.3), State.UNKNOWN, "a person stopped"),
        (replace(HELD, outcome=Outcome.SAFETY_STOP, ran_share=0.3), State.FAIL, "400 MiB"),
        (replace(HELD, asked_share=0.6), State.UNKNOWN, "the night was late"),
        (replace(HELD, outcome=Outcome.OOM_KILLED, ran_share=0.3), State.UNKNOWN, "OOM_KILLED"),
        (replace(HELD, outcome=Outcome.SKIPPED), State.FAIL, "SKIPPED"),
        (replace(HELD, saturated_share=0.9), State.PASS, "100.0 %"),
    ],
)
def test_whose_doing_it_was_decides_what_a_shortfall_means(phase: Phase, state: State, words: str) -> None:
    """The guardian's ease, a person's stop and a late night leave it open; a weak request generator has no say in it."""
    result = answer(phase)
    assert result.state is state
    assert words in result.detail


def test_a_record_without_the_load_leaves_the_gate_open() -> None:
    """No evidence, no PASS."""
    facts = night(HELD)
    facts = replace(facts, phases=tuple(replace(record, memory=NO_MEMORY_HELD) for record in facts.phases))
    (result,) = answers(facts)
    assert result.state is State.UNKNOWN


def test_a_pause_is_measured_against_what_was_asked_around_it() -> None:
    """Memory that rises twice is asked for less; a load that was cut short is measured against its plan."""
    facts = MemoryFacts(
        size_bytes=LOAD.size_bytes, rise_bytes_per_s=LOAD.rise_bytes_per_s, peak_bytes=LOAD.size_bytes,
        asked_byte_s=0.8 * LOAD.byte_s(42.0), achieved_byte_s=0.8 * LOAD.byte_s(42.0),
        release_s=Gap(reason=GapReason.ABSENT, detail="ended"), refused="",
    )  # fmt: skip
    assert held_share(LOAD, facts, lasts_s=42.0, ran_whole=True).percent == 100.0
    assert held_share(LOAD, facts, lasts_s=42.0, ran_whole=False).percent == pytest.approx(80.0)


def test_the_integral_of_a_load_is_its_rise_and_its_hold() -> None:
    """400 MiB at 50 MiB/s rise for 8 s; a load shorter than that only rises."""
    assert LOAD.byte_s(18.0) == pytest.approx((8 * 200 + 10 * 400) * MIB)
    assert LOAD.byte_s(4.0) == pytest.approx(4 * 100 * MIB)


def test_every_format_tells_of_the_memory() -> None:
    """Documents have bytes, people have words, and a shortfall is listed."""
    facts = night(replace(HELD, memory_peak_share=0.5, memory_time_share=0.4))
    assessment = assess(facts)
    page = view(assessment)
    document = json.loads(to_text(campaign_document(assessment, page)))
    before, squeeze = document["phase_results"][:2]
    assert before["asked"]["memory"] is before["memory_achieved"] is None
    assert squeeze["asked"]["memory"] == {"size_bytes": 400 * MIB, "rise_bytes_per_s": 50.0 * MIB}
    assert squeeze["memory_achieved"]["peak_bytes"] == 200 * MIB
    assert "400 MiB of memory, rising by 50 MiB/s" in squeeze["asked"]["words"]
    (short,) = [one for one in shortfalls(assessment) if one.kind is ShortfallKind.MEMORY]
    assert short.asked == 400 * MIB
    assert short.achieved == pytest.approx(160 * MIB)
    record = facts.phases[1].memory
    assert isinstance(record, MemoryFacts)
    assert memory_note(record) == ("memory: at most 200 MiB of 400 MiB held, 40.0 % over its time, released in 8 ms")
    assert any(memory_note(record) in row.notes for row in page.phases)
    assert "memory held: 200 MiB of 400 MiB in squeeze" in " ".join(render_text(page).split())
    assert "; memory 200 MiB of 400 MiB |" in render_markdown(page)
    assert memory_note(record) in render_html(page)
