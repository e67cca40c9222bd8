"""Reads a plan's YAML text into plain values, and remembers on which line and column each of them stands.

YAML 1.2 by a round-trip loader: ``22:30`` is a text, ``no`` is a text, a key written twice is an error. What could make
a plan mean something else than it shows (anchors, aliases, tags, merge keys, directives) is refused. Pure; the launcher's
process uses it.
"""

from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.tokens import (
    AliasToken,
    AnchorToken,
    BlockEndToken,
    BlockMappingStartToken,
    BlockSequenceStartToken,
    DirectiveToken,
    FlowMappingEndToken,
    FlowMappingStartToken,
    FlowSequenceEndToken,
    FlowSequenceStartToken,
    KeyToken,
    ScalarToken,
    TagToken,
    Token,
)

from baseline_metrics.refused_value import shown
from campaign.defaults import PlanValue

PLAN_BYTES_MAX = 1 << 20
"""64 phases and 64 operations with all their keys take about 40 KiB; 1 MiB leaves room and bounds the parser."""

DEPTH_MAX = 32
"""Nesting; only a JSON body may be deep, and 32 levels are a slip."""

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a key or an item stands; counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextProblem:
    """What is wrong with the text itself, at a place and a path (empty: the text as a whole)."""

    place: Place
    path: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlSource:
    """The values, and the place of every key and every item by its path."""

    values: dict[str, PlanValue]
    places: dict[Path, Place]


class YamlProblems(ValueError):  # noqa: N818 - it carries several problems, it is not one error
    """The text is not a plan's YAML; all problems that could be found."""

    def __init__(self, problems: tuple[TextProblem, ...]) -> None:
        super().__init__("; ".join(problem.text for problem in problems))
        self.problems = problems


_FORBIDDEN: dict[type, str] = {
    AnchorToken: "an anchor (&name): write the value out in both places",
    AliasToken: "an alias (*name): write the value out in both places",
    TagToken: "a tag (!name): write a plain value; texts that look like numbers stand in quotes",
    DirectiveToken: "a directive (%...): leave it out, plans are YAML 1.2",
}
_OPENING = (BlockMappingStartToken, BlockSequenceStartToken, FlowMappingStartToken, FlowSequenceStartToken)
_CLOSING = (BlockEndToken, FlowMappingEndToken, FlowSequenceEndToken)


def read_yaml(text: str) -> YamlSource:
    """Values and places. Raises YamlProblems."""
    try:
        _refuse_indirections(text)
        document = _loader().load(text)
    except MarkedYAMLError as error:
        raise YamlProblems((_syntax_problem(error),)) from error
    except YAMLError as error:
        raise YamlProblems((_whole(f"is not YAML: {_one_line(str(error))}"),)) from error
    if document is None:
        raise YamlProblems((_whole("is empty; `init` writes a commented plan to start from"),))
    if not isinstance(document, dict):
        raise YamlProblems((_whole('is not a mapping; write "key: value" lines, `init` writes a plan to start from'),))
    reader = _Reader()
    values = reader.mapping(document, ())
    if reader.problems:
        raise YamlProblems(tuple(reader.problems))
    return YamlSource(values=values, places=reader.places)


def _loader() -> YAML:
    yaml = YAML(typ="rt", pure=True)
    yaml.allow_duplicate_keys = False
    return yaml


def _refuse_indirections(text: str) -> None:
    problems = []
    depth = 0
    previous: Token | None = None
    for token in _loader().scan(text):
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > DEPTH_MAX:
            raise YamlProblems((TextProblem(place=_place(token), path=(), text="is nested too deeply to be a plan"),))
        reason = _FORBIDDEN.get(type(token))
        if isinstance(previous, KeyToken) and isinstance(token, ScalarToken) and token.value == "<<" and token.plain:
            reason = "a merge key (<<): write the values out"
        previous = token
        if reason is not None:
            problems.append(TextProblem(place=_place(token), path=(), text=f"holds {reason}"))
    if problems:
        raise YamlProblems(tuple(problems))


def _place(token: Token) -> Place:
    return Place(line=token.start_mark.line + 1, column=token.start_mark.column + 1)


def _syntax_problem(error: MarkedYAMLError) -> TextProblem:
    mark = error.problem_mark or error.context_mark
    place = Place(line=mark.line + 1, column=mark.column + 1) if mark is not None else Place(line=1, column=1)
    problem = _one_line(str(error.problem or error.context or "cannot be read"))
    if problem.startswith("found duplicate key"):
        key = problem.split('"')[1]
        return TextProblem(place=place, path=(key,), text="stands here a second time: leave one of the two out")
    hint = ""
    if "mapping values are not allowed" in problem:
        hint = '; a text with ": " in it stands in quotes'
    if "\\t" in problem or "tab" in problem:
        hint = "; indent with spaces"
    return TextProblem(place=place, path=(), text=f"is not YAML: {problem}{hint}")


def _whole(text: str) -> TextProblem:
    return TextProblem(place=Place(line=1, column=1), path=(), text=text)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]


class _Reader:
    """Walks the loaded document once."""

    def __init__(self) -> None:
        self.places: dict[Path, Place] = {}
        self.problems: list[TextProblem] = []

    def mapping(self, node: Any, path: Path) -> dict[str, PlanValue]:
        values: dict[str, PlanValue] = {}
        for key in node:
            line, column = node.lc.key(key) if key in (node.lc.data or {}) else (node.lc.line, node.lc.col)
            place = Place(line=line + 1, column=column + 1)
            if not isinstance(key, str):
                text = f"has the key {shown(key)}, which is not a plain text: write it in quotes or leave it out"
                self.problems.append(TextProblem(place=place, path=path, text=text))
                continue
            self.places[(*path, str(key))] = place
            values[str(key)] = self._value(node[key], (*path, str(key)), place)
        return values

    def _value(self, node: Any, path: Path, place: Place) -> PlanValue:
        if isinstance(node, dict):
            return self.mapping(node, path)
        if isinstance(node, CommentedSeq):
            items = []
            for index, item in enumerate(node):
                line, column = node.lc.item(index)
                self.places[(*path, index)] = Place(line=line + 1, column=column + 1)
                items.append(self._value(item, (*path, index), self.places[(*path, index)]))
            return tuple(items)
        return self._scalar(node, path, place)

    def _scalar(self, node: Any, path: Path, place: Place) -> PlanValue:
        # The loader's own number and text types remember how they were written; a plan only needs what they mean.
        if node is None:
            return None
        for kind in (bool, int, float, str):
            if isinstance(node, kind):
                return kind(node)
        if type(node).__name__ == "ScalarBoolean":
            return bool(node)
        text = f"{shown(str(node))} is read as a date: write it in quotes if it is meant as a text"
        self.problems.append(TextProblem(place=place, path=path, text=text))
        return None
