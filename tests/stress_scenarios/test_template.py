"""Templates: what a placeholder is, and how its value is written where it stands."""

import json
import random
from urllib.parse import unquote, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stress_scenarios.session_values import SessionDraws
from stress_scenarios.template import (
    RANDOM_DIGITS_MAX,
    Encoding,
    MissingVariable,
    TemplateError,
    UnfitValue,
    body_encoding,
    compile_template,
    message_encoding,
)

DRAWS = SessionDraws("seed")

VALUES = st.text(alphabet=st.characters(codec="utf-8"))


def filled(text: str, encoding: Encoding = Encoding.VERBATIM, **variables: str) -> object:
    """Compile and fill."""
    return compile_template(text, encoding).fill(variables, DRAWS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain $ text $5 {x} }", "plain $ text $5 {x} }"),
        ("${a}", "1"),
        ("${a}${b-c}/${a}", "12/1"),
        ("$${a}", "${a}"),
        ("$$${a}", "$${a}"),
        ("$${", "${"),
        ("$", "$"),
        ("$$", "$$"),
        ("$${a}${a}", "${a}1"),
    ],
)
def test_placeholders_are_filled_and_all_else_stays(text: str, expected: str) -> None:
    """A dollar sign means something only before a brace, and two before a brace mean a literal one."""
    assert compile_template(text).fill({"a": "1", "b-c": "2"}, DRAWS) == expected


def test_a_column_of_a_feeder_is_a_name_with_a_dot() -> None:
    """Feeder and column, both as they are called in the plan and in the file."""
    template = compile_template("${users.first-name} ${users.2}")
    assert template.names == {"users.first-name", "users.2"}
    assert template.fill({"users.first-name": "Ann", "users.2": "x"}, DRAWS) == "Ann x"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a ${b", "closing brace"),
        ("${", "closing brace"),
        ("${}", "is no variable"),
        ("${a b}", "is no variable"),
        ("${a.b.c}", "is no variable"),
        ("${1a}", "is no variable"),
        ("${random}", "random:1-100"),
        ("${random:9-1}", "9 is more than 1"),
        ("${random:1}", "random:1-100"),
        ("${random:-1-5}", "random:1-100"),
        ("${random:0-" + "9" * (RANDOM_DIGITS_MAX + 1) + "}", "random:1-100"),
        ("${env:TOKEN}", "headers only"),
    ],
)
def test_what_is_no_placeholder_is_refused(text: str, complaint: str) -> None:
    """The message shows the place and what to write."""
    with pytest.raises(TemplateError, match=complaint):
        compile_template(text)


def test_a_variable_without_a_value_is_named() -> None:
    """The first one that is missing."""
    assert filled("${a} ${b} ${c}", a="1") == MissingVariable(name="b")


def test_names_are_the_variables_that_somebody_must_give() -> None:
    """Built-in ones are always there; a text without any placeholder is fixed."""
    template = compile_template("${a} ${uuid} ${number} ${connection} ${request_id} ${random:1-2}")
    assert template.names == {"a"}
    assert not template.is_fixed
    assert not compile_template("${uuid}").is_fixed
    fixed = compile_template("a $${b}")
    assert fixed.is_fixed
    assert fixed.fixed_text == "a ${b}"
    assert fixed.text == "a $${b}"


def test_random_numbers_reach_both_ends_and_nothing_beyond() -> None:
    """Each of the numbers, and the only one where both ends are the same."""
    assert {filled("${random:3-5}") for _ in range(200)} == {"3", "4", "5"}
    assert filled("${random:7-7}") == "7"


def test_the_same_seed_draws_the_same_numbers_but_never_the_same_uuid() -> None:
    """A night can be repeated; an identifier that comes again would be none."""
    template = compile_template("${random:1-1000000}")
    one, other = SessionDraws("a"), SessionDraws("a")
    assert [template.fill({}, one) for _ in range(5)] == [template.fill({}, other) for _ in range(5)]
    uuids = compile_template("${uuid}${uuid}")
    texts = {str(uuids.fill({}, SessionDraws("a")))[half : half + 36] for half in (0, 36) for _ in range(3)}
    assert len(texts) == 6


@given(VALUES)
def test_a_value_in_a_path_changes_nothing_of_the_path(value: str) -> None:
    """Neither slashes nor question marks nor spaces: decoded it is the value, and the rest is what was written."""
    path = filled("/items/${a}?q=${a}&z=1", Encoding.PATH, a=value)
    assert isinstance(path, str)
    assert path.isascii()
    assert path.count("/") == 2
    assert path.count("?") == path.count("&") == 1
    first, _, query = path.partition("?")
    assert unquote(first.removeprefix("/items/")) == value
    assert unquote(query.removesuffix("&z=1").removeprefix("q=")) == value


def test_a_path_that_is_one_placeholder_takes_a_whole_link() -> None:
    """For links that answers give."""
    assert filled("${next}", Encoding.PATH, next="/a?b=c&d") == "/a?b=c&d"
    assert filled("/${next}", Encoding.PATH, next="/a?b") == "/%2Fa%3Fb"


@given(VALUES)
def test_a_value_within_a_json_string_is_that_string(value: str) -> None:
    """Quotes, backslashes and line breaks do not end it, wherever in the string the value stands."""
    text = filled('{"${a}": "x${a}y", "q\\"": ["${a}"]}', Encoding.JSON, a=value)
    assert isinstance(text, str)
    assert json.loads(text) == {value: f"x{value}y", 'q"': [value]}


def test_a_value_outside_of_json_strings_stands_for_itself() -> None:
    """Numbers and whole documents; also after strings with escaped quotes."""
    text = filled('{"a\\\\": ${n}, "b": ${o}, "c\\"": ${n}}', Encoding.JSON, n="5", o='{"x": "y"}')
    assert isinstance(text, str)
    assert json.loads(text) == {"a\\": 5, "b": {"x": "y"}, 'c"': 5}


@given(VALUES)
def test_a_value_in_a_form_is_one_field(value: str) -> None:
    """An ampersand in a value does not begin another field."""
    text = filled("a=${a}&b=1", Encoding.FORM, a=value)
    assert isinstance(text, str)
    field, _, rest = text.partition("&")
    assert rest == "b=1"
    assert unquote_plus(field.removeprefix("a=")) == value


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\0b", "\x7f"])
def test_no_value_makes_a_header_of_its_own(value: str) -> None:
    """Control characters are refused in headers, and only there."""
    problem = filled("Bearer ${a}", Encoding.HEADER, a=value)
    assert isinstance(problem, UnfitValue)
    assert problem.name == "a"
    assert filled("Bearer ${a}", Encoding.VERBATIM, a=value) == f"Bearer {value}"
    assert filled("Bearer ${a}", Encoding.HEADER, a="a\tb ü") == "Bearer a\tb ü"


def test_a_secret_is_no_template_whatever_it_looks_like() -> None:
    """A password may hold a dollar sign and a brace."""
    template = compile_template("Basic ${user}:p${x}$${", Encoding.HEADER, literals=("p${x}$${", "${x}"))
    assert template.names == {"user"}
    assert template.fill({"user": "ann"}, DRAWS) == "Basic ann:p${x}$${"


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("application/json", Encoding.JSON),
        ("Application/JSON; charset=utf-8", Encoding.JSON),
        ("application/vnd.api+json", Encoding.JSON),
        ("application/x-www-form-urlencoded", Encoding.FORM),
        ("text/plain", Encoding.VERBATIM),
        ("", Encoding.VERBATIM),
    ],
)
def test_the_content_type_decides_how_values_are_written(content_type: str, encoding: Encoding) -> None:
    """JSON in its variants, forms, and everything else."""
    assert body_encoding(content_type) is encoding


def test_a_message_that_begins_like_json_is_json() -> None:
    """Messages over WebSocket have no content type."""
    assert message_encoding(' {"id": 1}') is Encoding.JSON
    assert message_encoding("[1]") is Encoding.JSON
    assert message_encoding("hello {") is Encoding.VERBATIM


def test_any_text_either_compiles_or_is_refused() -> None:
    """Nothing that somebody writes into a plan brings the compiler down."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(2000):
        text = "".join(chance.choices(["$", "{", "}", "a", ".", "random:", "1-2", '"', "\\", "env:"], k=8))
        try:
            template = compile_template(text, chance.choice(list(Encoding)))
        except TemplateError:
            continue
        assert isinstance(template.fill(dict.fromkeys(template.names, "v"), DRAWS), str)
