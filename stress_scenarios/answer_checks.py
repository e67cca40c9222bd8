"""Whether an answer holds what its operation's checks ask for. Compiled once; pure; worker processes use it."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import assert_never

from baseline_metrics.codec import Json
from baseline_metrics.redaction import redact
from stress_scenarios.answer_view import AnswerView, NotJson
from stress_scenarios.guarded_regex import NoMatch, compile_pattern, search
from stress_scenarios.json_path import Found, JsonPath, NotFound, compile_json_path, json_text, same_json
from stress_scenarios.load_plan import (
    Check,
    ErrorClass,
    JsonCheck,
    JsonPresent,
    LatencyCheck,
    RegexCheck,
    SizeCheck,
)
from stress_scenarios.scenario import AnswerJudgement, Failed, Passed, bounded_message
from stress_scenarios.template import (
    Draws,
    Encoding,
    MissingVariable,
    Template,
    UnfitValue,
    compile_template,
)

_SHOWN_MAX = 60
"""Of a value in a message: enough to recognise it."""

PASSED = Passed()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedAnswer:
    """What a check may look at. variables: of the session, as they were when the request was sent."""

    view: AnswerView
    service_s: float
    variables: Mapping[str, str]
    draws: Draws


ReadyCheck = Callable[[CheckedAnswer], AnswerJudgement]


def compile_check(check: Check) -> ReadyCheck:
    """Make a check ready. Raises TemplateError, json_path.JsonPathError and guarded_regex.PatternError.

    What a JsonCheck expects may be a template, filled with the session's variables as a JSON text is.
    """
    match check:
        case JsonCheck(path=path, expected=expected):
            template = compile_template(expected, Encoding.JSON)
            return _JsonEquals(compile_json_path(path), template)
        case JsonPresent(path=path):
            return _json_present(compile_json_path(path))
        case RegexCheck(pattern=pattern):
            return _matches(compile_pattern(pattern))
        case LatencyCheck(service_s_max=limit_s):
            return _fast_enough(limit_s)
        case SizeCheck(bytes_min=low, bytes_max=high):
            return _size_within(low, high)
        case _:
            assert_never(check)


def first_failure(checks: tuple[ReadyCheck, ...], answer: CheckedAnswer) -> AnswerJudgement:
    """The first failure in the order of the checks, or Passed."""
    for check in checks:
        judgement = check(answer)
        if isinstance(judgement, Failed):
            return judgement
    return PASSED


class _JsonEquals:
    """See JsonCheck."""

    def __init__(self, path: JsonPath, expected: Template) -> None:
        self._path = path
        self._text = expected.text
        self._expected = _expectation(expected.fixed_text) if expected.is_fixed else expected

    def __call__(self, answer: CheckedAnswer) -> AnswerJudgement:
        found = _look(self._path, answer.view)
        if isinstance(found, Failed):
            return found
        wanted = self._wanted(answer)
        if isinstance(wanted, Failed):
            return wanted
        if _equal(found.value, wanted.value):
            return PASSED
        return _failed(ErrorClass.CHECK, f"{self._path.text} is {_shown(found.value)}, expected {self._text}")

    def _wanted(self, answer: CheckedAnswer) -> Found | Failed:
        if isinstance(self._expected, Found):
            return self._expected
        filled = self._expected.fill(answer.variables, answer.draws)
        return _expectation(filled) if isinstance(filled, str) else unfilled(filled)


def _json_present(path: JsonPath) -> ReadyCheck:
    def check(answer: CheckedAnswer) -> AnswerJudgement:
        found = _look(path, answer.view)
        return found if isinstance(found, Failed) else PASSED

    return check


def _matches(pattern: "re.Pattern[str]") -> ReadyCheck:
    def check(answer: CheckedAnswer) -> AnswerJudgement:
        found = search(pattern, answer.view.searched_text)
        match found:
            case Failed():
                return found
            case NoMatch():
                return _failed(ErrorClass.CHECK, f'the answer does not match "{pattern.pattern}"')
            case _:
                return PASSED

    return check


def _fast_enough(limit_s: float) -> ReadyCheck:
    def check(answer: CheckedAnswer) -> AnswerJudgement:
        if answer.service_s <= limit_s:
            return PASSED
        return _failed(ErrorClass.CHECK, f"the answer took longer than {limit_s:g} s")

    return check


def _size_within(low: int, high: int) -> ReadyCheck:
    def check(answer: CheckedAnswer) -> AnswerJudgement:
        size = len(answer.view.answer.body)
        if size < low:
            return _failed(ErrorClass.CHECK, f"the body is smaller than {low} bytes")
        if size > high:
            return _failed(ErrorClass.CHECK, f"the body is larger than {high} bytes")
        return PASSED

    return check


def _look(path: JsonPath, view: AnswerView) -> Found | Failed:
    match view.document:
        case NotJson():
            return _failed(ErrorClass.CHECK, f"the answer is not JSON, {path.text} was to be checked")
        case Found(value=document):
            found = path.find(document)
            match found:
                case NotFound():
                    return _failed(ErrorClass.CHECK, f"the answer has no {path.text}")
                case Found():
                    return found


def _expectation(text: str) -> Found:
    """As JSON if it is JSON, else as text."""
    try:
        return Found(value=json.loads(text))
    except (ValueError, RecursionError):
        return Found(value=text)


def _equal(found: Json, wanted: Json) -> bool:
    try:
        return same_json(found, wanted)
    except RecursionError:
        return False  # nested so deep that nobody could have expected it


def _shown(value: Json) -> str:
    """Short, without secrets and without numbers, so that messages of one kind are one group."""
    try:
        text = re.sub(r"\d+", "#", redact(json_text(value)))
    except RecursionError:
        text = "deeply nested"
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 3] + "..."


def unfilled(why: MissingVariable | UnfitValue) -> Failed:
    """The failure of an operation whose template could not be filled."""
    match why:
        case MissingVariable(name=name):
            return _failed(ErrorClass.SCENARIO, f"the variable {name} has no value")
        case UnfitValue(name=name, reason=reason):
            return _failed(ErrorClass.SCENARIO, f"the variable {name} does not fit: {reason}")


def _failed(error: ErrorClass, message: str) -> Failed:
    return Failed(error=error, message=bounded_message(message))
