"""The search's section in every form of the report, and its place in the documents."""

import json
from dataclasses import replace
from xml.etree.ElementTree import fromstring

import pytest
from jsonschema import Draft202012Validator

from monitoring_logs.search_records import StepState
from results_summary.assessment import assess
from results_summary.documents import campaign_document, to_text
from results_summary.facts import Absent, Facts
from results_summary.render import render_html, render_markdown, render_text, template_text
from results_summary.search_view import STEP_ROWS_MAX
from results_summary.viewing import view
from tests.results_summary.search_nights import DOUBLING, night_with_search, search_facts

SCHEMA = Draft202012Validator(json.loads(template_text("report.schema.json")))

HOSTILE = "<script>alert(1)</script>\x1b[31m`|[x](javascript:y)"


def document_of(facts: Facts) -> dict[str, object]:
    """The campaign's document, as a reader gets it; it keeps its schema."""
    assessment = assess(facts)
    found = json.loads(to_text(campaign_document(assessment, view(assessment))))
    SCHEMA.validate(found)
    assert isinstance(found, dict)
    return found


def test_the_section_shows_each_rate_and_what_came_of_it() -> None:
    """Rate, achieved, success, times, what happened, why; the same in HTML and Markdown, and a picture that is XML."""
    page = view(assess(night_with_search(search_facts())))
    (search,) = page.searches
    assert search.where == "stress_test"
    assert search.words.endswith("Ended: the time is over.")
    assert [row.state.word for row in search.steps] == [
        "passed",
        "passed",
        "passed",
        "failed",
        "passed",
        "failed",
        "unfinished",
    ]
    failed = search.steps[3]
    assert (failed.rate, failed.achieved, failed.success) == ("240/s", "955 of 960, 5 dropped", "100.0 %")
    assert (failed.mean, failed.p99, failed.lasted) == ("2.7 s", "5 s", "4 s")
    assert fromstring(search.svg).tag.endswith("svg")
    for form in (render_html(page), render_markdown(page)):
        assert "Search in stress" in form
        assert "mean response time 2.7 s, at most 2 s" in form.replace("\\", "")
    assert "180 - 210/s" in render_text(page)


def test_a_night_without_a_search_has_no_section() -> None:
    """Nothing is said of what was not asked for."""
    page = view(assess(night_with_search()))
    assert page.searches == ()
    assert "Search in" not in render_html(page) + render_markdown(page)
    assert document_of(night_with_search())["searches"] == []


def test_words_from_outside_are_made_harmless() -> None:
    """A step's reason may hold what the target sent."""
    search = search_facts(reason=HOSTILE)
    facts = night_with_search(search)
    (placed,) = facts.searches
    steps = tuple(replace(step, reason=HOSTILE) for step in placed.steps)
    page = view(assess(replace(facts, searches=(replace(placed, steps=steps),))))
    html = render_html(page)
    assert "<script>" not in html
    assert "\x1b" not in html + render_text(page) + render_markdown(page)
    fromstring(page.searches[0].svg)


def test_many_steps_are_cut_in_the_page_and_whole_in_the_document() -> None:
    """The page says how many more there are."""
    tried = tuple((10.0 + index, StepState.PASSED) for index in range(STEP_ROWS_MAX + 3))
    facts = night_with_search(search_facts(tried=tried))
    facts = replace(facts, searches=(search_facts(tried=tried),))
    (search,) = view(assess(facts)).searches
    assert len(search.steps) == STEP_ROWS_MAX
    assert "3 further steps are in the documents" in search.words
    searches = document_of(facts)["searches"]
    assert isinstance(searches, list)
    assert [len(found["steps"]) for found in searches] == [STEP_ROWS_MAX + 3]


@pytest.mark.parametrize(
    ("limited_by", "kind", "word"),
    [
        (StepState.FAILED, "between", "target"),
        (StepState.EASED, "at_least", "guardian"),
        (StepState.GENERATOR, "at_least", "generator"),
        (StepState.PASSED, "at_least", "highest_rate_tried"),
        (StepState.UNFINISHED, "at_least", "time"),
    ],
)
def test_documents_tell_the_answer_and_who_found_it(limited_by: StepState, kind: str, word: str) -> None:
    """The same keys as without a search, and more beside them."""
    capacity = document_of(night_with_search(search_facts(limited_by=limited_by)))["capacity"]
    assert isinstance(capacity, dict)
    assert (capacity["kind"], capacity["limited_by"], capacity["found_by"]) == (kind, word, "search")
    assert capacity["highest_passing"] == {"connections": 400, "operations_per_s": 180.0, "phase": "stress_test"}
    assert capacity["by_phases"]["kind"] == "at_least"
    assert (capacity["lowest_failing"] is None) is (limited_by is not StepState.FAILED)
    assert capacity["overshoot_percent"] == (14.3 if limited_by is StepState.FAILED else None)


def test_a_contradiction_is_in_the_document() -> None:
    """Both brackets, and why neither is the answer."""
    document = document_of(night_with_search(search_facts(passing=60.0, failing=90.0)))
    capacity = document["capacity"]
    assert isinstance(capacity, dict)
    assert capacity["kind"] == "contradictory"
    assert capacity["contradictions"] == ["120/s passed in phase stress_test, 90/s failed in the search in stress_test"]
    assert capacity["lowest_failing"]["operations_per_s"] == 90.0
    assert capacity["by_phases"]["highest_passing"]["operations_per_s"] == 120.0
    assert any("contradict each other" in str(words) for words in document["unknowns"])  # type: ignore[attr-defined]  # a list


def test_a_search_that_a_crash_cut_off_is_shown_as_far_as_it_came() -> None:
    """Its steps were stored as they ended; a search without any is named, with nothing to draw."""
    torn = replace(search_facts(), record=Absent(reason="the search's end is not in the record"))
    facts = night_with_search(torn)
    (search,) = view(assess(facts)).searches
    assert len(search.steps) == len(DOUBLING)
    assert "Not complete: the search's end is not in the record." in search.words
    document_of(facts)
    empty = replace(facts, searches=(replace(torn, steps=()),))
    page = view(assess(empty))
    assert page.searches[0].svg == ""
    render_html(page)
    document_of(empty)


def test_a_record_without_its_plan_still_shows_the_search() -> None:
    """Nothing can be judged, and what was measured is told."""
    facts = replace(night_with_search(search_facts()), meta=Absent(reason="meta.json is gone"))
    page = view(assess(facts))
    assert page.searches[0].where == "an unknown phase"
    document_of(facts)
