"""YAML that could mean something else than it shows is refused, with its place."""

import pytest

from campaign.yaml_source import Place, YamlProblems, read_yaml


def refused(text: str) -> list[tuple[int, int, str]]:
    """Line, column and text of every problem."""
    with pytest.raises(YamlProblems) as caught:
        read_yaml(text)
    return [(problem.place.line, problem.place.column, problem.text) for problem in caught.value.problems]


def test_places_are_those_of_keys_and_items() -> None:
    """Counted from one, nested as deep as the values."""
    source = read_yaml("a: 1\nb:\n  - {c: 2}\n  - 3\n")

    assert source.values == {"a": 1, "b": ({"c": 2}, 3)}
    assert source.places[("a",)] == Place(line=1, column=1)
    assert source.places[("b", 0, "c")] == Place(line=3, column=6)
    assert source.places[("b", 1)] == Place(line=4, column=5)


def test_scalars_are_yaml_1_2() -> None:
    """No base sixty, no Norway problem, no octal by a leading zero."""
    source = read_yaml("a: 22:30\nb: no\nc: 010\nd: 1e3\ne: 0x10\nf: on\ng: ~\nh: true\ni: '1'\n")

    assert source.values == {
        "a": "22:30",
        "b": "no",
        "c": 10,
        "d": 1000.0,
        "e": 16,
        "f": "on",
        "g": None,
        "h": True,
        "i": "1",
    }
    assert all(type(value) in (str, int, float, bool, type(None)) for value in source.values.values())


@pytest.mark.parametrize(
    ("text", "line", "column", "expected"),
    [
        ("a: 1\na: 2\n", 2, 1, "stands here a second time"),
        ("a:\n  b: 1\n  b: 2\n", 3, 3, "stands here a second time"),
        ("a: &x 1\n", 1, 4, "an anchor"),
        ("a: !!str 1\n", 1, 4, "a tag"),
        ("%YAML 1.1\n---\na: 1\n", 1, 1, "a directive"),
        ("<<: {a: 1}\n", 1, 1, "a merge key"),
        ("1: a\n", 1, 1, "has the key 1, which is not a plain text"),
        ("a: 2026-01-01\n", 1, 1, "is read as a date"),
        ("a: 1\n---\nb: 1\n", 2, 1, "is not YAML"),
        ("a: b: c\n", 1, 5, "stands in quotes"),
        ("a:\n\tb: 1\n", 2, 1, "is not YAML"),
        ("a: [1\n", 2, 1, "is not YAML"),
        ("", 1, 1, "is empty"),
        ("# only a comment\n", 1, 1, "is empty"),
        ("- a\n", 1, 1, "is not a mapping"),
        ("just text\n", 1, 1, "is not a mapping"),
        ("a: \x00\n", 1, 1, "is not YAML"),
    ],
)
def test_refusals(text: str, line: int, column: int, expected: str) -> None:
    """Each stands where a person has to look."""
    found = refused(text)

    assert found[0][:2] == (line, column)
    assert expected in found[0][2]


def test_every_indirection_is_reported() -> None:
    """Anchor and alias both."""
    assert [(line, column) for line, column, _ in refused("a: &x 1\nb: *x\n")] == [(1, 4), (2, 4)]


def test_endless_nesting_is_refused() -> None:
    """A few kilobytes of brackets must not end the process."""
    assert "nested too deeply" in refused("a: " + "[" * 5000)[0][2]
    assert "nested too deeply" in refused("a: " + "[" * 40 + "]" * 40 + "\n")[0][2]
