"""The gates as a test run, for continuous integration: one suite per phase, one for the campaign.

A failing gate is a failure; an unknown one is an error, because nothing was proven; a gate set aside, or of a phase that
was cut, is skipped. There is no official schema; the common conventions are followed. Pure; the reporter writes it.
"""

from typing import assert_never
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from results_summary.assessment import Assessment
from results_summary.cleaning import clean
from results_summary.findings import GateResult, State
from results_summary.view import ReportView
from results_summary.wording import reading_in_unit


def junit_xml(assessment: Assessment, view: ReportView) -> str:
    """The document, ending with a newline. XML 1.0 allows no control characters: all text is cleaned."""
    root = Element("testsuites", name=f"daybreak {view.name}")
    _count(root, assessment.results)
    for name, results in _suites(assessment):
        suite = SubElement(root, "testsuite", name=name)
        _count(suite, results)
        for result in results:
            _case(suite, name, result)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _suites(assessment: Assessment) -> tuple[tuple[str, tuple[GateResult, ...]], ...]:
    suites = [
        (
            f"{phase.index + 1} {clean(phase.name)}",
            tuple(result for result in assessment.results if result.spec.phase == phase.index),
        )
        for phase in assessment.phases
    ]
    suites.append(("campaign", tuple(result for result in assessment.results if result.spec.phase < 0)))
    return tuple(suites)


def _case(suite: Element, suite_name: str, result: GateResult) -> None:
    case = SubElement(suite, "testcase", classname=suite_name, name=clean(result.spec.gate))
    message = f"{clean(result.spec.rule)}: observed {reading_in_unit(result.observed, result.unit)}"
    detail = clean(result.detail)
    match result.state:
        case State.PASS:
            pass
        case State.FAIL:
            SubElement(case, "failure", message=message, type="gate").text = detail
        case State.UNKNOWN:
            SubElement(case, "error", message=message, type="unknown").text = detail
        case State.NOT_JUDGED:
            SubElement(case, "skipped", message=detail)
        case _:
            assert_never(result.state)
    SubElement(case, "system-out").text = f"{message}; {detail}"


def _count(element: Element, results: tuple[GateResult, ...]) -> None:
    states = [result.state for result in results]
    element.set("tests", str(len(states)))
    element.set("failures", str(states.count(State.FAIL)))
    element.set("errors", str(states.count(State.UNKNOWN)))
    element.set("skipped", str(states.count(State.NOT_JUDGED)))
