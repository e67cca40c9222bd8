"""A value within a JSON document, by a path such as ``$.items[0].id``.

The subset that checks and extractions need: ``$`` is the document, ``.name`` and ``['name']`` a member, ``[0]`` an element,
``[-1]`` the last one, ``[*]`` any element or member, of which the first that leads to a value counts. A library would bring
a grammar for filters and scripts that takes a hundred times as long for each answer; these hundred lines are all that is
needed while a load is made. Pure; worker processes use it, and the planner for checking.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from baseline_metrics.codec import Json

STEPS_MAX = 32
"""Longer paths than anybody writes; it bounds how deep a search goes."""

LOOKS_MAX = 10_000
"""Values looked at for one path: several [*] in one path would otherwise multiply without end."""

_STEP = re.compile(
    r"\.(?P<name>[A-Za-z_$][\w$-]*)"
    r"|\[(?P<index>-?\d{1,9})\]"
    r"|(?P<any>\[\*\]|\.\*)"
    r"|\[(?P<quoted>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")\]"
)


class JsonPathError(ValueError):
    """A path that cannot be understood. The message shows from where on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """There is a value at the path, null included."""

    value: Json


class NotFound(Enum):
    """There is no value at the path."""

    NOT_FOUND = "not found"


NOT_FOUND = NotFound.NOT_FOUND


class _Any(Enum):
    ANY = "*"


_Step = str | int | _Any


class JsonPath:
    """A compiled path. Made by compile_json_path."""

    __slots__ = ("_steps", "text")

    def __init__(self, text: str, steps: tuple[_Step, ...]) -> None:
        self.text = text
        self._steps = steps

    def find(self, document: Json) -> Found | NotFound:
        """The first value at the path."""
        looks = 0
        waiting: list[tuple[Json, int]] = [(document, 0)]
        while waiting and looks < LOOKS_MAX:
            looks += 1
            value, step = waiting.pop()
            if step == len(self._steps):
                return Found(value=value)
            following = [(child, step + 1) for child in _children(value, self._steps[step])]
            waiting.extend(reversed(following))  # the first child is looked at first, with all that is under it
        return NOT_FOUND


def compile_json_path(text: str) -> JsonPath:
    """Take a path apart. Raises JsonPathError."""
    if not text.startswith("$"):
        raise JsonPathError(f'"{text}": a path begins with $, as in $.items[0].id')
    steps = tuple(_steps(text))
    if len(steps) > STEPS_MAX:
        raise JsonPathError(f'"{text}" has {len(steps)} steps, at most {STEPS_MAX} are possible')
    return JsonPath(text, steps)


def _steps(text: str) -> Iterator[_Step]:
    at = 1
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            raise JsonPathError(f'"{text}": "{text[at:]}" is not understood; write .name, [\'name\'], [0], [-1] or [*]')
        at = step.end()
        if step["any"] is not None:
            yield _Any.ANY
        elif step["index"] is not None:
            yield int(step["index"])
        elif step["name"] is not None:
            yield str(step["name"])
        else:
            yield _unquoted(step["quoted"])


def _unquoted(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted[1:-1])


def _children(value: Json, step: _Step) -> Sequence[Json]:
    match step, value:
        case str(), dict():
            return (value[step],) if step in value else ()
        case int(), list():
            return (value[step],) if -len(value) <= step < len(value) else ()
        case _Any.ANY, list():
            return value[:LOOKS_MAX]
        case _Any.ANY, dict():
            return tuple(value.values())[:LOOKS_MAX]
        case _:
            return ()


def json_text(value: Json) -> str:
    """A value as the text of a variable: a text as it is, anything else as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def same_json(one: Json, other: Json) -> bool:
    """Whether two values are the same in JSON: 1 is 1.0, but true is not 1, and members have no order."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return one == other
