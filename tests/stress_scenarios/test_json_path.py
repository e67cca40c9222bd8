"""Paths into JSON documents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.codec import Json
from stress_scenarios.json_path import (
    LOOKS_MAX,
    NOT_FOUND,
    STEPS_MAX,
    Found,
    JsonPathError,
    compile_json_path,
    json_text,
    same_json,
)

DOCUMENT: Json = {
    "a": {"b": [10, {"c": None}, "last"]},
    "odd name": {"it's": 1, 'quoted "x"': 2},
    "items": [{"id": 1}, {"name": "two", "id": 2}, {"name": "three"}],
    "empty": [],
    "0": "a name, not an index",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", DOCUMENT),
        ("$.a.b[0]", 10),
        ("$.a.b[-1]", "last"),
        ("$.a.b[-3]", 10),
        ("$.a.b[1].c", None),
        ("$['a']['b'][0]", 10),
        ('$["odd name"]["it\'s"]', 1),
        ("$['odd name']['it\\'s']", 1),
        ("$['odd name']['quoted \"x\"']", 2),
        ("$['0']", "a name, not an index"),
        ("$.items[*].name", "two"),
        ("$.items[*].id", 1),
        ("$[*].b[2]", "last"),
        ("$.*.b[2]", "last"),
    ],
)
def test_a_path_leads_to_its_first_value(path: str, expected: Json) -> None:
    """Members, elements from both ends, and any of them; null is a value."""
    assert compile_json_path(path).find(DOCUMENT) == Found(value=expected)


@pytest.mark.parametrize(
    "path",
    ["$.x", "$.a.x", "$.a.b[3]", "$.a.b[-4]", "$.a[0]", "$.a.b.c", "$.items[*].x", "$.empty[*]", "$.empty[0]", "$[0]"],
)
def test_where_nothing_is_nothing_is_found(path: str) -> None:
    """Neither beyond an end nor a name in a list nor an index in an object."""
    assert compile_json_path(path).find(DOCUMENT) is NOT_FOUND


@pytest.mark.parametrize(
    "path", ["", "a", ".a", "$a", "$.", "$..a", "$[", "$[x]", "$[1", "$['a]", "$[?(@.x)]", "$.a b"]
)
def test_a_path_that_is_none_is_refused(path: str) -> None:
    """The message shows the path."""
    with pytest.raises(JsonPathError):
        compile_json_path(path)


def test_a_path_has_a_bounded_number_of_steps() -> None:
    """At the limit it is a path, beyond it is none."""
    assert compile_json_path("$" + ".a" * STEPS_MAX).text.endswith(".a")
    with pytest.raises(JsonPathError, match=f"at most {STEPS_MAX}"):
        compile_json_path("$" + ".a" * (STEPS_MAX + 1))


def test_a_search_through_a_huge_document_ends() -> None:
    """Three times any of 300 are 27 million places; only some of them are looked at."""
    row: Json = [[[0] * 300] * 300] * 300
    assert compile_json_path("$[*][*][*].x").find(row) is NOT_FOUND
    assert compile_json_path("$[*].x").find([*[{}] * (LOOKS_MAX // 2), {"x": 1}]) == Found(value=1)


@pytest.mark.parametrize(
    ("value", "text"),
    [("ä b", "ä b"), (5, "5"), (1.5, "1.5"), (True, "true"), (None, "null"), ([1, {"a": "ä"}], '[1,{"a":"ä"}]')],
)
def test_a_value_as_the_text_of_a_variable(value: Json, text: str) -> None:
    """Texts as they are, all else as JSON writes it."""
    assert json_text(value) == text


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (1, "1", False),
        (None, False, False),
        ({"a": 1, "b": [True]}, {"b": [True], "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ([True], [1], False),
    ],
)
def test_values_are_compared_as_json_means_them(one: Json, other: Json, *, same: bool) -> None:
    """Python would take true for 1."""
    assert same_json(one, other) is same_json(other, one) is same


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=10,
    )
)
def test_every_value_is_the_same_as_itself_and_found_at_the_root(value: Json) -> None:
    """Whatever JSON can hold."""
    assert same_json(value, value)
    assert compile_json_path("$").find(value) == Found(value=value)
