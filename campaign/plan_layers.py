"""Lays the sources of a plan over each other, and remembers for each value which source won.

Precedence: flag over environment over plan file over user file over default. Mappings are merged key by key, lists and
single values are replaced as a whole. Pure; the launcher's process uses it.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from campaign.defaults import PlanValue
from campaign.yaml_source import Path

ENVIRONMENT_PREFIX = "DAYBREAK_"


class ValueKind(Enum):
    """How the text of a flag or a variable is read."""

    NUMBER = "number"
    TEXT = "text"
    TEXTS = "texts"  # several, separated by commas, added to those of the layers below


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A plan value that has a flag and an environment variable."""

    name: str
    path: tuple[str, ...]
    kind: ValueKind


OVERRIDES = (
    Override(name="hours", path=("window", "hours"), kind=ValueKind.NUMBER),
    Override(name="until", path=("window", "until"), kind=ValueKind.TEXT),
    Override(name="timezone", path=("window", "timezone"), kind=ValueKind.TEXT),
    Override(name="target", path=("target", "url"), kind=ValueKind.TEXT),
    Override(name="allow_target", path=("target", "allow"), kind=ValueKind.TEXTS),
    Override(name="name", path=("name",), kind=ValueKind.TEXT),
    Override(name="seed", path=("seed",), kind=ValueKind.NUMBER),
    Override(name="workers", path=("workers",), kind=ValueKind.NUMBER),
    Override(name="tags", path=("tags", "include"), kind=ValueKind.TEXT),
    Override(name="exclude_tags", path=("tags", "exclude"), kind=ValueKind.TEXT),
)

ANY_NAME = "*"
EXCLUSIVE = (
    (("window", "hours"), ("window", "until")),
    (("levels", ANY_NAME, "pace"), ("levels", ANY_NAME, "think")),
    (("scenario",), ("code",)),
)
"""A layer that gives one of a pair takes away the other one of the layers below. ANY_NAME: of the same name each."""

ADDED = ("target", "allow")

FlagValue = str | int | float | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One source. marks: where each of its values stands, in words such as ``plan.yaml:10:5`` or ``--hours``."""

    values: dict[str, PlanValue]
    marks: dict[Path, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Where the values of a plan come from."""

    marks: Mapping[Path, str]
    reasons: Mapping[Path, str]

    def origin_of(self, path: Path) -> str:
        """``plan.yaml:10``, ``--hours``, ``DAYBREAK_HOURS`` or ``default``, for a value or the closest part around it."""
        if path in self.reasons and path not in self.marks:
            return f"default, {self.reasons[path]}"
        mark = self.marks.get(path)
        if mark is not None:
            file, separator, place = mark.partition(":")
            return f"{file}:{place.split(':')[0]}" if separator else mark
        if path and isinstance(path[-1], int) and path[:-1] in self.marks:
            return self.origin_of(path[:-1])
        return "default"

    def written(self, path: Path) -> bool:
        """Whether a person gave this very value."""
        return path in self.marks

    def nearest_mark(self, path: Path, otherwise: str) -> str:
        """Where to look for what is wrong at a path: itself, else the closest part around it that somebody wrote."""
        for length in range(len(path), 0, -1):
            mark = self.marks.get(path[:length])
            if mark is not None:
                return mark
        return otherwise


def flag_layer(flags: Mapping[str, FlagValue]) -> Layer:
    """The layer of the command line's options, by the names of OVERRIDES."""
    return _override_layer({name: (value, f"--{name.replace('_', '-')}") for name, value in flags.items()})


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """The layer of DAYBREAK_... variables; empty ones count as not set."""
    found: dict[str, tuple[FlagValue, str]] = {}
    for override in OVERRIDES:
        variable = f"{ENVIRONMENT_PREFIX}{override.name.upper()}"
        if environ.get(variable, ""):
            found[override.name] = (environ[variable], variable)
    return _override_layer(found)


def _override_layer(given: Mapping[str, tuple[FlagValue, str]]) -> Layer:
    values: dict[str, PlanValue] = {}
    marks: dict[Path, str] = {}
    known = {override.name: override for override in OVERRIDES}
    assert set(given) <= set(known), f"no such override: {sorted(set(given) - set(known))}"
    for name, (value, mark) in given.items():
        path = known[name].path
        part: dict[str, PlanValue] = values
        for key in path[:-1]:
            below = part.setdefault(key, {})
            assert isinstance(below, dict), "overrides stand in mappings"
            part = below
        part[path[-1]] = _read_value(value, known[name].kind)
        marks[path] = mark
    return Layer(values=values, marks=marks)


def _read_value(value: FlagValue, kind: ValueKind) -> PlanValue:
    if kind is ValueKind.TEXTS:
        texts = value if isinstance(value, tuple) else str(value).split(",")
        return tuple(text.strip() for text in texts if text.strip())
    if kind is ValueKind.TEXT or not isinstance(value, str):
        return value
    for read in (int, float):
        try:
            return read(value)
        except ValueError:
            continue
    return value  # the model says what is wrong with it


def merge(layers: tuple[Layer, ...]) -> Layer:
    """Lay layers over each other, the lowest first."""
    values: dict[str, PlanValue] = {}
    marks: dict[Path, str] = {}
    for layer in layers:
        _take_away_exclusive(values, marks, layer)
        _merge_mapping(values, layer.values, ())
        for path in list(marks):
            if any(path[: len(replaced)] == replaced for replaced in layer.marks if _is_leaf(layer.values, replaced)):
                del marks[path]
        marks.update(layer.marks)
    return Layer(values=values, marks=marks)


def _is_leaf(values: PlanValue, path: Path) -> bool:
    return not isinstance(value_at(values, path), dict)


def value_at(values: PlanValue, path: Path) -> PlanValue:
    """The value at a path of plan text; None when there is none."""
    for key in path:
        if isinstance(values, dict) and isinstance(key, str):
            values = values.get(key)
        elif isinstance(values, tuple) and isinstance(key, int) and key < len(values):
            values = values[key]
        else:
            return None
    return values


def _merge_mapping(below: dict[str, PlanValue], above: dict[str, PlanValue], path: Path) -> None:
    for key, value in above.items():
        old = below.get(key)
        if isinstance(value, dict):
            # A deep copy on the way down, so that no layer is changed by those above it.
            part = dict(old) if isinstance(old, dict) else {}
            _merge_mapping(part, value, (*path, key))
            below[key] = part
        elif (*path, key) == ADDED and isinstance(old, tuple) and isinstance(value, tuple):
            below[key] = (*old, *(item for item in value if item not in old))
        else:
            below[key] = value


def _take_away_exclusive(values: dict[str, PlanValue], marks: dict[Path, str], layer: Layer) -> None:
    for one, other in EXCLUSIVE:
        for given, taken in ((one, other), (other, one)):
            for name in _names_at(layer.values, given):
                path, gone = _named(given, name), _named(taken, name)
                if value_at(layer.values, path) is not None:
                    _take_away(values, gone)
                    for mark in [mark for mark in marks if mark[: len(gone)] == gone]:
                        del marks[mark]


def _names_at(values: PlanValue, pattern: tuple[str, ...]) -> tuple[str, ...]:
    """What ANY_NAME of the pattern stands for; one empty name when it has none."""
    if ANY_NAME not in pattern:
        return ("",)
    named = value_at(values, pattern[: pattern.index(ANY_NAME)])
    return tuple(named) if isinstance(named, dict) else ()


def _named(pattern: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(name if key == ANY_NAME else key for key in pattern)


def _take_away(values: dict[str, PlanValue], path: tuple[str, ...]) -> None:
    """Remove a key from nested mappings, which are copied on the way: other layers hold them, too."""
    part = values
    for key in path[:-1]:
        below = part.get(key)
        if not isinstance(below, dict):
            return
        part[key] = dict(below)
        copied = part[key]
        assert isinstance(copied, dict), "it was made here"
        part = copied
    part.pop(path[-1], None)


def nearest_key(unknown: str, known: tuple[str, ...]) -> str:
    """What an unknown key's message says: the most similar known key, or all of them."""
    close = difflib.get_close_matches(unknown, known, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"known here: {', '.join(known)}."
