"""Checks and extractions: what an answer must hold, and what is taken out of it."""

import json

import pytest

from baseline_metrics.redaction import HIDDEN, forget_secrets, register_secret
from stress_scenarios.answer_checks import CheckedAnswer, compile_check
from stress_scenarios.answer_view import SEARCHED_BYTES_MAX, AnswerView
from stress_scenarios.engines.engine import Answer
from stress_scenarios.extraction import VALUE_CHARACTERS_MAX, Extracted, compile_extraction
from stress_scenarios.guarded_regex import PATTERN_CHARACTERS_MAX, PatternError, compile_pattern
from stress_scenarios.json_path import JsonPathError
from stress_scenarios.load_plan import (
    Check,
    ErrorClass,
    Extraction,
    JsonCheck,
    JsonPresent,
    LatencyCheck,
    RegexCheck,
    SizeCheck,
    Source,
)
from stress_scenarios.messages import ERROR_MESSAGE_CHARACTERS_MAX
from stress_scenarios.scenario import AnswerJudgement, Failed, Passed
from stress_scenarios.session_values import SessionDraws
from tests.stress_scenarios.scripted_fakes import an_answer

DOCUMENT = json.dumps({"ok": True, "n": 5, "name": "ann", "none": None, "list": [{"id": "x1"}], "s": "5"})


def checked(check: Check, answer: Answer, *, service_s: float = 0.1, **variables: str) -> AnswerJudgement:
    """Compile and judge."""
    view = AnswerView(answer)
    return compile_check(check)(
        CheckedAnswer(view=view, service_s=service_s, variables=variables, draws=SessionDraws("x"))
    )


def extracted(source: Source, expression: str, answer: Answer) -> Extracted | Failed:
    """Compile and extract."""
    extraction = Extraction(variable="token", source=source, expression=expression)
    return compile_extraction(extraction).extract(AnswerView(answer))


def message_of(judgement: AnswerJudgement | Extracted, error: ErrorClass = ErrorClass.CHECK) -> str:
    """The message of a failure of that class."""
    assert isinstance(judgement, Failed)
    assert judgement.error is error
    return judgement.message


# Checks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected", "passes"),
    [
        ("$.ok", "true", True),
        ("$.ok", "false", False),
        ("$.ok", "1", False),
        ("$.n", "5", True),
        ("$.n", "5.0", True),
        ("$.n", '"5"', False),
        ("$.s", '"5"', True),
        ("$.s", "5", False),
        ("$.name", "ann", True),
        ("$.name", '"ann"', True),
        ("$.name", "bo", False),
        ("$.none", "null", True),
        ("$.list", '[{"id": "x1"}]', True),
        ("$.list[*].id", "x1", True),
        ("$.missing", "1", False),
    ],
)
def test_json_is_compared_as_json_and_else_as_text(path: str, expected: str, *, passes: bool) -> None:
    """A number is a number, a text is a text, and what is no JSON is a text."""
    assert isinstance(checked(JsonCheck(path=path, expected=expected), an_answer(DOCUMENT)), Passed) is passes


def test_what_json_should_hold_may_be_a_variable() -> None:
    """Written into the expectation as into a JSON text."""
    check = JsonCheck(path="$.name", expected='"${who}"')
    assert checked(check, an_answer('{"name": "a\\"b"}'), who='a"b') == Passed()
    assert message_of(checked(check, an_answer(DOCUMENT), who="bo")) == '$.name is ann, expected "${who}"'
    assert "who has no value" in message_of(checked(check, an_answer(DOCUMENT)), ErrorClass.SCENARIO)


def test_messages_of_a_check_group_and_keep_secrets() -> None:
    """Numbers of the answer are taken out, known secrets hidden, long values cut."""
    check = JsonCheck(path="$.n", expected="1")
    assert message_of(checked(check, an_answer('{"n": 17}'))) == "$.n is #, expected 1"
    assert checked(check, an_answer('{"n": 17}')) == checked(check, an_answer('{"n": 99}'))
    assert len(message_of(checked(check, an_answer(json.dumps({"n": "x" * 1000}))))) <= ERROR_MESSAGE_CHARACTERS_MAX
    register_secret("hunter-and-more")
    try:
        assert HIDDEN in message_of(checked(check, an_answer('{"n": "hunter-and-more"}')))
    finally:
        forget_secrets()


def test_a_value_that_must_be_there_may_be_null() -> None:
    """There is a difference between null and nothing."""
    assert checked(JsonPresent(path="$.none"), an_answer(DOCUMENT)) == Passed()
    assert message_of(checked(JsonPresent(path="$.x"), an_answer(DOCUMENT))) == "the answer has no $.x"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"])
def test_what_is_no_json_fails_json_checks_and_extractions(body: bytes) -> None:
    """Whatever the target sends: a page, a half, garbage, depth without end, a number beyond all bounds."""
    answer = an_answer(body)
    assert "is not JSON" in message_of(checked(JsonPresent(path="$"), answer))
    assert "is not JSON" in message_of(checked(JsonCheck(path="$.a", expected="1"), answer))
    assert "is not JSON" in message_of(extracted(Source.JSON, "$.a", answer))


def test_a_pattern_matches_anywhere_in_the_text() -> None:
    """Characters, not bytes; what is not UTF-8 is replaced."""
    assert checked(RegexCheck(pattern=r"^gr.ezi\b"), an_answer("grüezi mitenand")) == Passed()
    assert checked(RegexCheck(pattern="ok"), an_answer(b"\xff ok")) == Passed()
    assert message_of(checked(RegexCheck(pattern="no"), an_answer("x"))) == 'the answer does not match "no"'


@pytest.mark.parametrize(("at", "found"), [(-1, True), (0, True), (1, False)])
def test_patterns_look_at_the_first_mebibyte(at: int, *, found: bool) -> None:
    """What ends at the limit is seen, what ends behind it is not."""
    body = b"x" * (SEARCHED_BYTES_MAX - 3 + at) + b"END" + b"x" * 10
    assert isinstance(checked(RegexCheck(pattern="END"), an_answer(body)), Passed) is found


@pytest.mark.parametrize(("service_s", "passes"), [(0.49, True), (0.5, True), (0.51, False)])
def test_an_answer_may_take_as_long_as_the_check_says(service_s: float, *, passes: bool) -> None:
    """And no longer."""
    judgement = checked(LatencyCheck(service_s_max=0.5), an_answer(), service_s=service_s)
    assert isinstance(judgement, Passed) is passes
    if not passes:
        assert message_of(judgement) == "the answer took longer than 0.5 s"


@pytest.mark.parametrize(("size", "complaint"), [(4, "smaller than 5"), (5, ""), (7, ""), (8, "larger than 7")])
def test_a_body_has_a_size_within_the_limits(size: int, complaint: str) -> None:
    """Both limits are allowed."""
    judgement = checked(SizeCheck(bytes_min=5, bytes_max=7), an_answer(b"x" * size))
    if complaint:
        assert complaint in message_of(judgement)
    else:
        assert judgement == Passed()


@pytest.mark.parametrize(
    ("check", "error"),
    [
        (JsonCheck(path="a", expected="1"), JsonPathError),
        (JsonPresent(path="$["), JsonPathError),
        (RegexCheck(pattern="("), PatternError),
        (RegexCheck(pattern="x" * (PATTERN_CHARACTERS_MAX + 1)), PatternError),
        (JsonCheck(path="$", expected="${"), ValueError),
    ],
)
def test_checks_that_make_no_sense_are_refused(check: Check, error: type[Exception]) -> None:
    """Before the load."""
    with pytest.raises(error):
        compile_check(check)


def test_a_pattern_has_a_limit_of_length() -> None:
    """At the limit it compiles."""
    assert compile_pattern("x" * PATTERN_CHARACTERS_MAX)


# Extractions --------------------------------------------------------------------------------------------------------


def test_values_are_taken_from_json_text_and_headers() -> None:
    """A pattern gives its first group, or all of the match; a header is found whatever its case."""
    answer = an_answer(DOCUMENT, headers=(("server", "x"), ("location", "/a"), ("location", "/b")))
    assert extracted(Source.JSON, "$.list[0].id", answer) == Extracted(value="x1")
    assert extracted(Source.JSON, "$.list", answer) == Extracted(value='[{"id":"x1"}]')
    assert extracted(Source.REGEX, r'"name": "(\w+)"', answer) == Extracted(value="ann")
    assert extracted(Source.REGEX, r"a(b)?nn", answer) == Extracted(value="")
    assert extracted(Source.REGEX, r"an+", answer) == Extracted(value="ann")
    assert extracted(Source.HEADER, "Location", answer) == Extracted(value="/a")


@pytest.mark.parametrize(
    ("source", "expression"),
    [(Source.JSON, "$.x"), (Source.JSON, "$.none"), (Source.REGEX, "zzz"), (Source.HEADER, "X-None")],
)
def test_nothing_to_extract_is_a_failed_operation(source: Source, expression: str) -> None:
    """It says which variable stays without a value; null is no value to go on with."""
    message = message_of(extracted(source, expression, an_answer(DOCUMENT)))
    assert message == f"token: there is nothing to extract ({source.value} {expression})"


@pytest.mark.parametrize(("length", "fits"), [(VALUE_CHARACTERS_MAX, True), (VALUE_CHARACTERS_MAX + 1, False)])
def test_a_value_has_a_limit(length: int, *, fits: bool) -> None:
    """Sessions keep values, not pages."""
    found = extracted(Source.REGEX, "x+", an_answer("x" * length))
    assert isinstance(found, Extracted) is fits
