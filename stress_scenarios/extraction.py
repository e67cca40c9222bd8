"""Takes values out of an answer into a session's variables. Compiled once; pure; worker processes use it."""

import re
from dataclasses import dataclass
from typing import assert_never

from stress_scenarios.answer_view import AnswerView, NotJson
from stress_scenarios.guarded_regex import Matched, NoMatch, compile_pattern, search
from stress_scenarios.json_path import Found, JsonPath, NotFound, compile_json_path, json_text
from stress_scenarios.load_plan import ErrorClass, Extraction, Source
from stress_scenarios.scenario import Failed, bounded_message

VALUE_CHARACTERS_MAX = 64 * 1024
"""Of one value: tokens and links have a few thousand; sessions by the thousand must not keep whole pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """What a variable gets."""

    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _FromJson:
    path: JsonPath


@dataclass(frozen=True, slots=True, kw_only=True)
class _FromText:
    pattern: "re.Pattern[str]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _FromHeader:
    name: str


class ReadyExtraction:
    """One extraction, compiled. Made by compile_extraction."""

    __slots__ = ("_from", "_what", "variable")

    def __init__(self, extraction: Extraction, source: _FromJson | _FromText | _FromHeader) -> None:
        self.variable = extraction.variable
        self._from = source
        self._what = f"{extraction.source.value} {extraction.expression}"

    def extract(self, view: AnswerView) -> Extracted | Failed:
        """The value, or why there is none. JSON's null is none: nobody can go on with it."""
        value: Matched | NoMatch | NotJson | Failed
        match self._from:
            case _FromJson(path=path):
                value = _from_json(path, view)
            case _FromText(pattern=pattern):
                value = search(pattern, view.searched_text)
            case _FromHeader(name=name):
                value = _from_header(name, view)
            case _:
                assert_never(self._from)
        match value:
            case Failed():
                return value
            case NoMatch():
                return self._failed("there is nothing to extract")
            case NotJson():
                return self._failed("the answer is not JSON")
            case Matched(text=text):
                if len(text) > VALUE_CHARACTERS_MAX:
                    return self._failed(f"the value has more than {VALUE_CHARACTERS_MAX} characters")
                return Extracted(value=text)

    def _failed(self, why: str) -> Failed:
        return Failed(error=ErrorClass.CHECK, message=bounded_message(f"{self.variable}: {why} ({self._what})"))


def compile_extraction(extraction: Extraction) -> ReadyExtraction:
    """Make it ready. Raises json_path.JsonPathError and guarded_regex.PatternError."""
    match extraction.source:
        case Source.JSON:
            return ReadyExtraction(extraction, _FromJson(path=compile_json_path(extraction.expression)))
        case Source.REGEX:
            return ReadyExtraction(extraction, _FromText(pattern=compile_pattern(extraction.expression)))
        case Source.HEADER:
            return ReadyExtraction(extraction, _FromHeader(name=extraction.expression.strip().lower()))


def _from_json(path: JsonPath, view: AnswerView) -> Matched | NoMatch | NotJson:
    match view.document:
        case NotJson() as none:
            return none
        case Found(value=document):
            match path.find(document):
                case NotFound() | Found(value=None):
                    return NoMatch.NO_MATCH
                case Found(value=value):
                    return Matched(text=json_text(value))


def _from_header(name: str, view: AnswerView) -> Matched | NoMatch:
    """The first of that name."""
    for field, value in view.answer.headers:
        if field == name:
            return Matched(text=value)
    return NoMatch.NO_MATCH
