"""Texts with places for variables: ``/items/${item}``. Compiled once, filled for every request.

``${name}`` is a variable of the session, ``${feeder.column}`` a value of the session's row. Built in are ``${uuid}`` (another
each time), ``${random:1-100}`` (a whole number, both ends possible), ``${number}`` (which operation of the session this is,
from 1), ``${connection}`` (the virtual user's index among all workers') and ``${request_id}`` (a number no other request of
the load has). ``$${`` stands for a literal ``${``; any other dollar sign is one.

Where a value goes decides how it is written, so that no value changes the meaning of the text around it:

- into a path or query: percent-encoded, slashes too. A path that is one placeholder and nothing else takes the value as it
  is: for a link that an answer gave.
- into a header: as it is; a line break or another control character is refused, since it would make a header of its own.
- into a JSON text: escaped where the placeholder stands inside a string; elsewhere as it is, for numbers and whole objects.
- into a form (application/x-www-form-urlencoded): percent-encoded. Into any other text: as it is.

Pure; worker processes use it, and the planner for checking.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, assert_never
from urllib.parse import quote

BUILT_IN_NAMES = frozenset({"uuid", "number", "connection", "request_id"})
"""Besides ${random:...}; no variable can have one of these names."""

_NUMBERS = frozenset({"number", "request_id"})

RANDOM_DIGITS_MAX = 18
"""More digits than an order number has, and few enough for a 64-bit integer of whatever reads them."""

_PLACE = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)?")
_RANDOM = re.compile(rf"random:(\d{{1,{RANDOM_DIGITS_MAX}}})-(\d{{1,{RANDOM_DIGITS_MAX}}})")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SHOWN_MAX = 60


class TemplateError(ValueError):
    """A text whose placeholders cannot be understood. The message shows the place."""


class Encoding(Enum):
    """How a value is written into the text."""

    VERBATIM = "verbatim"
    PATH = "path"
    HEADER = "header"
    JSON = "json"
    FORM = "form"


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingVariable:
    """The text could not be filled: this variable has no value."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfitValue:
    """The text could not be filled: this variable's value may not stand there."""

    name: str
    reason: str


class Draws(Protocol):
    """Where a template's chance comes from."""

    def whole_number(self, low: int, high: int) -> int:
        """One of low..high."""
        ...

    def uuid(self) -> str:
        """A UUID that nothing else has."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Literal:
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    name: str
    encoding: Encoding


@dataclass(frozen=True, slots=True, kw_only=True)
class _Uuid:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Random:
    low: int
    high: int


_Part = _Literal | _Place | _Uuid | _Random


class Template:
    """A compiled text. Made by compile_template."""

    __slots__ = ("_parts", "is_fixed", "names", "text", "uses_numbers")

    def __init__(self, text: str, parts: tuple[_Part, ...]) -> None:
        self.text = text
        """As it was written."""
        self.names = frozenset(part.name for part in parts if isinstance(part, _Place)) - BUILT_IN_NAMES
        """The variables that it needs, built-in ones left out."""
        self.uses_numbers = any(isinstance(part, _Place) and part.name in _NUMBERS for part in parts)
        """Whether it needs what is another for each operation: number or request_id."""
        self.is_fixed = all(isinstance(part, _Literal) for part in parts)
        """Whether it always is the same text."""
        self._parts = parts

    def fill(self, variables: Mapping[str, str], draws: Draws) -> str | MissingVariable | UnfitValue:
        """The text with its values. variables hold the built-in number, connection and request_id as well."""
        texts = []
        for part in self._parts:
            match part:
                case _Literal(text=text):
                    texts.append(text)
                case _Place(name=name, encoding=encoding):
                    if name not in variables:
                        return MissingVariable(name=name)
                    value = variables[name]
                    if encoding is Encoding.HEADER and _CONTROL.search(value):
                        return UnfitValue(name=name, reason="it has a line break or another control character")
                    texts.append(_encoded(value, encoding))
                case _Uuid():
                    texts.append(draws.uuid())
                case _Random(low=low, high=high):
                    texts.append(str(draws.whole_number(low, high)))
                case _:
                    assert_never(part)
        return "".join(texts)

    @property
    def fixed_text(self) -> str:
        """The text of a template that is_fixed."""
        assert self.is_fixed, self.text
        return "".join(part.text for part in self._parts if isinstance(part, _Literal))


def compile_template(text: str, encoding: Encoding = Encoding.VERBATIM, *, literals: Sequence[str] = ()) -> Template:
    """Find the placeholders of a text. literals: parts of it, secrets for one, that are none whatever they look like.

    Raises TemplateError.
    """
    parts: list[_Part] = []
    at = 0
    for start, end in _literal_spans(text, literals):
        _compile_into(parts, text[at:start])
        parts.append(_Literal(text=text[start:end]))
        at = end
    _compile_into(parts, text[at:])
    return Template(text, _encoded_places(_joined(parts), encoding))


def body_encoding(content_type: str) -> Encoding:
    """How values are written into a body of this type."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.endswith(("/json", "+json")):
        return Encoding.JSON
    if kind == "application/x-www-form-urlencoded":
        return Encoding.FORM
    return Encoding.VERBATIM


def message_encoding(message: str) -> Encoding:
    """How values are written into a message without a content type: one that begins like JSON is taken for it."""
    return Encoding.JSON if message.lstrip().startswith(("{", "[")) else Encoding.VERBATIM


def _literal_spans(text: str, literals: Sequence[str]) -> list[tuple[int, int]]:
    """Where literals stand, from left to right, without overlap, the longer ones first."""
    wanted = [re.escape(literal) for literal in sorted(literals, key=len, reverse=True) if literal]
    return [match.span() for match in re.finditer("|".join(wanted), text)] if wanted else []


def _compile_into(parts: list[_Part], text: str) -> None:
    at = 0
    for place in _PLACE.finditer(text):
        parts.append(_Literal(text=text[at : place.start()]))
        at = place.end()
        if place[0] == "$${":
            parts.append(_Literal(text="${"))
        elif place[1] is None:
            raise TemplateError(f'"{_shown(text[place.start() :])}": a closing brace is missing; write $${{ for ${{')
        else:
            parts.append(_placeholder(place[1]))
    parts.append(_Literal(text=text[at:]))


def _placeholder(inside: str) -> _Part:
    if inside == "uuid":
        return _Uuid()
    if span := _RANDOM.fullmatch(inside):
        low, high = int(span[1]), int(span[2])
        if low > high:
            raise TemplateError(f'"${{{inside}}}": {low} is more than {high}')
        return _Random(low=low, high=high)
    if inside.startswith("random"):
        raise TemplateError(f'"${{{_shown(inside)}}}": write ${{random:1-100}}')
    if inside.startswith("env:"):
        raise TemplateError(f'"${{{_shown(inside)}}}": the environment can be used in headers only')
    if not _NAME.fullmatch(inside):
        raise TemplateError(
            f'"${{{_shown(inside)}}}" is no variable: write ${{name}}, ${{feeder.column}}, or $${{ for ${{'
        )
    return _Place(name=inside, encoding=Encoding.VERBATIM)


def _joined(parts: list[_Part]) -> list[_Part]:
    """Neighbouring literals become one, empty ones go."""
    joined: list[_Part] = []
    for part in parts:
        if isinstance(part, _Literal):
            if not part.text:
                continue
            if joined and isinstance(joined[-1], _Literal):
                joined[-1] = _Literal(text=joined[-1].text + part.text)
                continue
        joined.append(part)
    return joined


def _encoded_places(parts: list[_Part], encoding: Encoding) -> tuple[_Part, ...]:
    """Give each place the encoding that its surroundings ask for."""
    if encoding is Encoding.PATH and len(parts) == 1:
        return tuple(parts)
    placed: list[_Part] = []
    in_string = False
    for part in parts:
        match part:
            case _Literal(text=text):
                in_string = _ends_in_string(text, in_string=in_string)
                placed.append(part)
            case _Place(name=name):
                as_is = encoding is Encoding.JSON and not in_string
                placed.append(_Place(name=name, encoding=Encoding.VERBATIM if as_is else encoding))
            case _:
                placed.append(part)
    return tuple(placed)


def _ends_in_string(text: str, *, in_string: bool) -> bool:
    """Whether a JSON text that goes on inside or outside of a string ends inside one."""
    skip = False
    for character in text:
        if skip:
            skip = False
        elif character == '"':
            in_string = not in_string
        elif character == "\\" and in_string:
            skip = True
    return in_string


def _encoded(value: str, encoding: Encoding) -> str:
    match encoding:
        case Encoding.VERBATIM | Encoding.HEADER:
            return value
        case Encoding.PATH | Encoding.FORM:
            return quote(value, safe="", errors="replace")
        case Encoding.JSON:
            return json.dumps(value, ensure_ascii=False)[1:-1]


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 3] + "..."
