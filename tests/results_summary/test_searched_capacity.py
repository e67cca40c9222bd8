"""How much, when rates were searched: the search's answer, the phases', and what they say of each other."""

from dataclasses import replace

import pytest

from baseline_metrics.samples import Gap, Sample
from monitoring_logs.search_records import StepState
from results_summary.assessment import assess
from results_summary.capacity import (
    AtLeast,
    Below,
    Between,
    Capacity,
    CapacityUnknown,
    LoadLevel,
    NoLevel,
    PhasesCapacity,
    Searched,
)
from results_summary.capacity_view import capacity_tile
from results_summary.facts import Absent, SearchFacts
from results_summary.searched_capacity import overshoot_words, search_words, with_searches
from results_summary.verdict import Verdict
from tests.results_summary.search_nights import DOUBLING, night_with_search, search_facts
from tests.support.night import Night, eight_phases

NAMES = ("warmup", "high_load", "stress_test", "endurance_test")


def level(per_s: float, phase: str = "high_load") -> LoadLevel:
    """A phase's load."""
    return LoadLevel(operations_per_s=per_s, connections=10, phase=phase)


def at_least(per_s: float) -> AtLeast:
    """Every phase passed up to this load."""
    return AtLeast(passing=level(per_s), above_open=False)


def searched(phases: PhasesCapacity, *searches: SearchFacts) -> Searched:
    """What both say together."""
    found = with_searches(phases, tuple(replace(search, phase=2) for search in searches), NAMES)
    assert isinstance(found, Searched)
    return found


def rates(found: Searched) -> tuple[float, float]:
    """The bracket; -1 for an end that is not known."""
    return tuple(  # type: ignore[return-value]  # two ends, two figures
        end.operations_per_s if isinstance(end, LoadLevel) else -1.0 for end in (found.passing, found.failing)
    )


@pytest.mark.parametrize("phases", [at_least(120.0), CapacityUnknown(reason="nothing was tested")])
def test_without_a_search_the_phases_are_the_answer(phases: Capacity) -> None:
    """Nothing is added and nothing taken away."""
    assert with_searches(phases, (), NAMES) == phases  # type: ignore[arg-type]  # of the phases


def test_the_searchs_bracket_is_the_answer() -> None:
    """The phases went up to 120/s and all passed; the answer is what the search found, with how far it went beyond."""
    found = searched(at_least(120.0), search_facts())
    assert rates(found) == (180.0, 210.0)
    assert found.contradictions == ()
    assert overshoot_words(found) == "the highest rate tried lay 14 % beyond"
    assert search_words(found) == (
        "The search in stress_test: the target carries 180/s and fails at 210/s (the highest rate tried lay 14 % beyond)."
    )


@pytest.mark.parametrize(
    ("percent", "words"),
    [
        (0.0, "no higher rate was tried"),
        (0.49, "no higher rate was tried"),
        (0.6, "the highest rate tried lay 1 % beyond"),
    ],
)
def test_an_overshoot_of_nothing_is_said_in_words(percent: float, words: str) -> None:
    """What would be written as 0 % means that the lowest rate that failed was the highest one tried."""
    found = replace(searched(at_least(120.0), search_facts()), overshoot_percent=Sample(value=percent))
    assert overshoot_words(found) == words


@pytest.mark.parametrize(
    ("phases", "bracket"),
    [
        (CapacityUnknown(reason=""), (180.0, 210.0)),
        (at_least(200.0), (200.0, 210.0)),
        (Between(passing=level(100.0), failing=level(190.0), higher_passed=False), (180.0, 190.0)),
        (Between(passing=level(195.0), failing=level(205.0), higher_passed=False), (195.0, 205.0)),
        (Below(failing=level(300.0), higher_passed=False), (180.0, 210.0)),
    ],
)
def test_phases_narrow_the_bracket_that_they_agree_with(phases: PhasesCapacity, bracket: tuple[float, float]) -> None:
    """The highest load that passed, whoever asked for it, and the lowest that failed."""
    found = searched(phases, search_facts())
    assert rates(found) == bracket
    assert found.contradictions == ()


@pytest.mark.parametrize(
    ("phases", "words"),
    [
        (at_least(210.0), "210/s passed in phase high_load, 210/s failed in the search in stress_test"),
        (
            Below(failing=level(180.0), higher_passed=False),
            "180/s passed in the search in stress_test, 180/s failed in phase high_load",
        ),
    ],
)
def test_a_contradiction_is_named_and_both_are_kept(phases: PhasesCapacity, words: str) -> None:
    """One passed what the other failed: neither is the answer, the search's own bracket stands beside the phases'."""
    found = searched(phases, search_facts())
    assert found.contradictions == (words,)
    assert rates(found) == (180.0, 210.0)
    assert found.phases == phases
    assert search_words(found).startswith("The search in stress_test and the rest of the night contradict each other: ")


@pytest.mark.parametrize(
    ("limited_by", "words"),
    [
        (StepState.GENERATOR, "not limited by the target: the generator gave way first at 900/s"),
        (StepState.EASED, "not limited by the target: the guardian gave way first at 900/s"),
    ],
)
def test_what_gave_way_first_is_no_limit_of_the_target(limited_by: StepState, words: str) -> None:
    """At least what passed; the rate at which our own side gave way is no failing one."""
    found = searched(at_least(120.0), search_facts(passing=450.0, failing=900.0, limited_by=limited_by, overshoot=0.0))
    assert rates(found) == (450.0, -1.0)
    assert search_words(found) == f"The search in stress_test: at least 450/s; {words}."
    assert overshoot_words(found) == ""
    assert isinstance(found.gave_way_per_s, Sample)


def test_a_search_that_nothing_stopped_says_so() -> None:
    """Up to the highest rate that it was allowed, everything passed."""
    found = searched(
        at_least(120.0), search_facts(passing=800.0, failing=-1.0, limited_by=StepState.PASSED, overshoot=-1.0)
    )
    assert rates(found) == (800.0, -1.0)
    assert "nothing gave way up to the highest rate tried" in search_words(found)


def test_a_target_that_carries_no_rate_is_bounded_from_above() -> None:
    """Each rate down to the lowest failed."""
    found = searched(CapacityUnknown(reason=""), search_facts(passing=-1.0, failing=8.0, overshoot=275.0))
    assert rates(found) == (-1.0, 8.0)
    assert search_words(found) == "The search in stress_test: below 8/s, no rate passed."


def test_a_search_that_decided_nothing_leaves_the_phases_standing() -> None:
    """The answer is theirs, and it is said why the search has none."""
    nothing = search_facts(
        passing=-1.0,
        failing=-1.0,
        limited_by=StepState.UNFINISHED,
        overshoot=-1.0,
        tried=(),
        reason="the night was over",
    )
    assert rates(searched(at_least(120.0), nothing)) == (120.0, -1.0)
    found = searched(CapacityUnknown(reason=""), nothing)
    assert isinstance(found.passing, NoLevel)
    assert search_words(found) == "The search in stress_test found nothing: the night was over."


def test_a_search_without_an_end_is_read_from_its_steps() -> None:
    """A crash loses the record of the search, not what its steps showed."""
    facts = search_facts()
    torn = replace(facts, record=Absent(reason="the search's end is not in the record"))
    assert rates(searched(at_least(120.0), torn)) == (180.0, 210.0)
    early = replace(torn, steps=torn.steps[:3])
    found = searched(at_least(30.0), early)
    assert rates(found) == (120.0, -1.0)
    assert "it ended before a higher rate was judged" in search_words(found)


def test_of_several_searches_all_must_agree() -> None:
    """The last one that decided something is told; the ends are the best of all, unless they contradict each other."""
    first = search_facts(passing=190.0, failing=260.0)
    found = searched(at_least(120.0), first, search_facts())
    assert rates(found) == (190.0, 210.0)
    other = search_facts(passing=230.0, failing=260.0)
    assert searched(at_least(120.0), other, search_facts()).contradictions == (
        "230/s passed in the search in stress_test, 210/s failed in the search in stress_test",
    )


def test_the_first_sentence_and_the_first_tile_tell_the_searchs_answer() -> None:
    """Never at least what the phases went up to when a search ran; the verdict is the same as without it."""
    assessment = assess(night_with_search(search_facts()))
    assert assessment.judgement.verdict is Verdict.FIT
    assert assessment.judgement.why.startswith("All ")
    assert assessment.judgement.why.endswith(
        "The search in stress_test: the target carries 180/s and fails at 210/s (the highest rate tried lay 14 % beyond)."
    )
    tile = capacity_tile(assessment)
    assert tile.value == "180 - 210/s"
    assert "searched in stress_test" in tile.lines
    assert "the highest rate tried lay 14 % beyond" in tile.lines


@pytest.mark.parametrize(
    ("search", "value", "line"),
    [
        (
            search_facts(passing=450.0, failing=900.0, limited_by=StepState.GENERATOR, overshoot=0.0),
            "at least 450/s",
            "not limited by the target: the generator gave way first at 900/s",
        ),
        (search_facts(passing=-1.0, failing=0.5), "below 0.5/s", "operations/s: the lowest load that fails"),
        (
            search_facts(passing=60.0, failing=90.0),
            "contradictory",
            "120/s passed in phase stress_test, 90/s failed in the search in stress_test",
        ),
    ],
)
def test_each_answer_has_its_tile(search: SearchFacts, value: str, line: str) -> None:
    """What was found, and by what it was limited."""
    failing = tuple(range(8)) if value.startswith("below") else ()
    facts = night_with_search(search, night=Night(phases=eight_phases(failing=failing)))
    tile = capacity_tile(assess(facts))
    assert (tile.value, line in tile.lines) == (value, True)


def test_a_failing_stress_test_and_its_search_go_together() -> None:
    """Fit with limits: the phase fails at 120/s, and the search tells how much of that is carried."""
    facts = night_with_search(search_facts(passing=90.0, failing=105.0), night=Night(phases=eight_phases(failing=(6,))))
    assessment = assess(facts)
    assert assessment.judgement.verdict is Verdict.FIT_WITH_LIMITS
    assert capacity_tile(assessment).value == "90 - 105/s"
    assert assessment.judgement.why.startswith("Everything up to 48 operations/s holds; ")
    assert "carries 90/s and fails at 105/s" in assessment.judgement.why


def test_a_search_after_a_phase_that_is_not_in_the_plan_has_no_name() -> None:
    """A record that was damaged is shown and not guessed at."""
    found = with_searches(at_least(10.0), (search_facts(phase=-1, tried=DOUBLING[:1]),), NAMES)
    assert isinstance(found, Searched)
    assert found.where == "an unknown phase"
    assert isinstance(found.gave_way_per_s, Gap)
