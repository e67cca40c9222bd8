"""The report for machines."""

import json
from dataclasses import replace
from xml.etree.ElementTree import fromstring

import pytest
from jsonschema import Draft202012Validator

from results_summary.assessment import assess
from results_summary.documents import campaign_document, to_text
from results_summary.facts import Absent
from results_summary.junit import junit_xml
from results_summary.render import template_text
from results_summary.viewing import view
from tests.support.night import Night, Phase, eight_phases, make_facts

SCHEMA = Draft202012Validator(json.loads(template_text("report.schema.json")))


@pytest.mark.parametrize(
    "night",
    [
        Night(phases=eight_phases()),
        Night(phases=eight_phases(failing=(6,)), p99_max_s=0.5),
        Night(phases=(Phase(cut="no room"),)),
        Night(phases=(), end_recorded=False),
    ],
)
def test_the_campaign_report_keeps_its_schema(night: Night) -> None:
    """Every document is valid, and is JSON without NaN."""
    assessment = assess(make_facts(night))
    SCHEMA.validate(json.loads(to_text(campaign_document(assessment, view(assessment)))))


def test_a_partial_and_an_empty_report_keep_the_schema() -> None:
    """Nothing known is null and not missing."""
    facts = make_facts(Night(phases=eight_phases()))
    for changed in (
        replace(facts, partial=True, end=Absent(reason="running"), phases=()),
        replace(facts, meta=Absent(reason="gone"), segments=(), anchors=(), baseline=Absent(reason="gone")),
    ):
        assessment = assess(changed)
        SCHEMA.validate(json.loads(to_text(campaign_document(assessment, view(assessment)))))


def test_passed_true_means_passed_and_null_unknown() -> None:
    """No inverted booleans."""
    phases = eight_phases(failing=(6,))
    facts = make_facts(Night(phases=phases))
    facts = replace(facts, phases=facts.phases[1:])
    assessment = assess(facts)
    document = json.loads(to_text(campaign_document(assessment, view(assessment))))
    assert [phase["passed"] for phase in document["phase_results"]] == [None, True, True, True, True, True, False, True]
    assert document["phase_results"][0]["outcome"] is None
    gates = {gate["id"]: gate["passed"] for gate in document["gates"]}
    assert gates["phase.7.stress_test.success"] is False
    assert gates["phase.7.stress_test.response"] is True
    assert gates["phase.1.warmup.success"] is None


def test_numbers_agree_with_the_record() -> None:
    """Counts are the record's own, and the summary is their sum."""
    facts = make_facts(Night(phases=eight_phases()))
    assessment = assess(facts)
    document = json.loads(to_text(campaign_document(assessment, view(assessment))))
    summary = document["campaign_summary"]
    assert summary["operations_started"] == sum(record.load.operations_started for record in facts.phases)
    assert summary["operations_succeeded"] == sum(
        phase["measured"]["operations_succeeded"] for phase in document["phase_results"]
    )
    assert document["exit_code"] == 0
    assert document["exit_code_strict"] == 0


def test_shortfalls_and_planned_seconds_are_in_the_report_for_machines() -> None:
    """Kind, asked and achieved as numbers, and the planned seconds beside the achieved ones."""
    phases = (Phase(name="late", asked_share=0.5), Phase(name="slow", started_share=0.5), Phase(name="cut", cut="no"))
    assessment = assess(make_facts(Night(phases=phases)))
    document = json.loads(to_text(campaign_document(assessment, view(assessment))))
    SCHEMA.validate(document)
    assert [(short["phase"], short["kind"]) for short in document["shortfalls"]] == [
        (1, "hold_s"),
        (2, "operations"),
        (3, "cut"),
    ]
    assert document["shortfalls"][0] | {"words": ""} == {
        "phase": 1,
        "name": "late",
        "kind": "hold_s",
        "asked": 20.0,
        "achieved": 10.0,
        "words": "",
    }
    achieved = document["phase_results"][0]["achieved"]
    assert (achieved["hold_s_planned"], achieved["hold_s_achieved"]) == (20.0, 10.0)


def test_junit_counts_failures_errors_and_skips() -> None:
    """A failing gate is a failure, an unknown one an error, one set aside is skipped."""
    facts = make_facts(Night(phases=(Phase(name="one", success_share=0.5), Phase(name="two")), p99_max_s=0.5))
    facts = replace(facts, phases=facts.phases[:1])
    assessment = assess(facts)
    root = fromstring(junit_xml(assessment, view(assessment)))
    assert root.get("tests") == str(len(assessment.results))
    one, two, campaign = root.findall("testsuite")
    assert (one.get("name"), one.get("failures"), one.get("skipped")) == ("1 one", "1", "1")
    assert (two.get("errors"), two.get("failures")) == ("3", "0")
    assert campaign.get("name") == "campaign"
    failure = one.find("testcase/failure")
    assert failure is not None
    assert "at least 95 % of operations succeed: observed" in (failure.get("message") or "")
