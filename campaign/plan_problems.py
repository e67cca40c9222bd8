"""Turns what the models refuse into sentences that say where it stands, what is wrong, and what to write instead.

Pure; the launcher's process uses it.
"""

from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from baseline_metrics.refused_value import shown
from campaign.defaults import PlanValue
from campaign.plan import Plan
from campaign.plan_layers import nearest_key, value_at
from campaign.plan_part import FIELD_AT_FAULT
from campaign.plan_types import NAME_PATTERN, VARIABLE_PATTERN
from campaign.yaml_source import Path

BODIES_BYTES_MAX = 256 * 1024
"""All bodies of the mix together: the order with them travels in one message, whose limit is 1 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathProblem:
    """What is wrong at a path of the plan."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanProblem:
    """One thing to repair. where: ``plan.yaml:10:5``, a flag or a variable; path: ``phases.0.duration`` or empty."""

    where: str
    path: str
    text: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.where} {self.path}: {self.text}" if self.path else f"{self.where}: {self.text}"


class PlanError(ValueError):
    """A plan that cannot be used, with all that could be found wrong with it."""

    def __init__(self, problems: tuple[PlanProblem, ...]) -> None:
        assert problems, "an error says what is wrong"
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def model_problems(error: ValidationError, values: dict[str, PlanValue]) -> tuple[PathProblem, ...]:
    """One problem per refused value, in the order of the models; follow-up errors are left out."""
    details = error.errors(include_url=False, include_input=True)
    locations = [_location(detail) for detail in details]
    problems: dict[Path, PathProblem] = {}
    for detail, path in zip(details, locations, strict=True):
        if _follows_from_another(detail, path, locations, values):
            continue
        problems.setdefault(path, PathProblem(path=path, text=_sentence(detail, path)))
    return tuple(problems.values())


def raw_problems(values: dict[str, PlanValue]) -> tuple[PathProblem, ...]:
    """What is wrong between the parts of a plan: names used twice, levels that nobody defines, bodies too large.

    It looks at the text, not at the models, so that it finds these beside the models' errors in one go.
    """
    problems: list[PathProblem] = []
    levels = values.get("levels")
    phases = values.get("phases")
    for index, phase in enumerate(phases if isinstance(phases, tuple) else ()):
        level = phase.get("level") if isinstance(phase, dict) else None
        if isinstance(level, str) and isinstance(levels, dict) and level not in levels:
            hint = nearest_key(level, tuple(levels))
            text = f"no stress level is named {shown(level)}; {hint} A new one is described under levels"
            problems.append(PathProblem(path=("phases", index, "level"), text=text))
    for part in ("phases", "scenario"):
        problems.extend(_repeated_names(part, values.get(part)))
    scenario = values.get("scenario")
    bodies = sum(_body_bytes(operation) for operation in (scenario if isinstance(scenario, tuple) else ()))
    if bodies > BODIES_BYTES_MAX:
        text = f"has bodies of {bodies} bytes together; write at most {BODIES_BYTES_MAX}"
        problems.append(PathProblem(path=("scenario",), text=text))
    return tuple(problems)


def _body_bytes(operation: PlanValue) -> int:
    if not isinstance(operation, dict):
        return 0
    return len(str(operation.get("body", "")).encode()) + len(str(operation.get("json", "")).encode())


def _repeated_names(part: str, entries: PlanValue) -> list[PathProblem]:
    seen: dict[str, int] = {}
    problems: list[PathProblem] = []
    for index, entry in enumerate(entries if isinstance(entries, tuple) else ()):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            continue
        if name in seen:
            text = f"{shown(name)} is the name of {part}.{seen[name]} already: write another one"
            problems.append(PathProblem(path=(part, index, "name"), text=text))
        seen.setdefault(name, index)
    return problems


def _location(detail: ErrorDetails) -> Path:
    """The path in the plan. Pydantic also names the options of a union and the key of a mapping; they are no keys."""
    loc = detail["loc"]
    path: Path = tuple(loc)
    if detail["type"] == FIELD_AT_FAULT:
        return (*path, detail["ctx"]["field"])
    if path and path[-1] == "[key]":
        path = path[:-1]
    if path[:1] == ("workers",):
        path = path[:1]
    return path


def _follows_from_another(
    detail: ErrorDetails, path: Path, locations: list[Path], values: dict[str, PlanValue]
) -> bool:
    if detail["type"] == "missing":
        if path[-1] == "duration_min":  # derived from duration, which is wrong or missing itself
            return True
        if path[0] == "anchor":  # derived from the first phase, which is wrong or missing itself
            return True
        if path == ("scenario",):  # derived from the target, which is missing itself
            return True
    if detail["type"] == "too_short" and value_at(values, path):
        return any(other != path and other[: len(path)] == path for other in locations)
    return False


def _sentence(detail: ErrorDetails, path: Path) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail.get("input")
    if path == ("workers",):
        return f'{shown(value)} is neither auto nor a number of processes from 1 to 64: write "auto" or 2'
    field = _field_at(path)
    example = _example(field)
    if kind == FIELD_AT_FAULT:
        return str(context["text"])
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return f"is missing; write {path[-1]}: {example}" if example else "is missing"
    if kind == "extra_forbidden":
        return f"is not a key of a plan; {nearest_key(str(path[-1]), _keys_at(path[:-1]))}"
    if kind == "string_pattern_mismatch" and context.get("pattern") == NAME_PATTERN:
        return f"{shown(value)} is not a name: write small letters, digits, - and _, at most 64, beginning with a letter or digit"
    if kind == "string_pattern_mismatch" and context.get("pattern") == VARIABLE_PATTERN:
        return f"{shown(value)} is not a name of a variable: write letters, digits and _, not a digit first, at most 64"
    if kind == "string_pattern_mismatch":
        return f"{shown(value)} has not the form that is needed; write {example or 'another value'}"
    if kind == "literal_error":
        return f"{shown(value)} is not one of {context['expected']}"
    numbers = {name: _number(bound) for name, bound in context.items()}
    wrong = _WRONG[kind].format(**numbers) if kind in _WRONG else str(detail["msg"])
    if isinstance(value, str) and kind in _BOUNDS:
        wrong += (
            " s" if value.endswith(_TIME_UNITS) else " bytes"
        )  # it was read already, so that its bounds are numbers
    return f"{shown(value)} {wrong}; write {example or 'another value'}"


_WRONG = {
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_type": "is not a number",
    "finite_number": "is not a finite number",
    "string_type": "is not a text; put it in quotes if it is meant as one",
    "bool_type": "is not true or false",
    "tuple_type": 'is not a list of "- item" lines',
    "dict_type": 'is not a mapping of "key: value" lines',
    "model_type": 'is not a mapping of "key: value" lines',
    "greater_than": "is not above {gt}",
    "greater_than_equal": "is less than {ge}",
    "less_than": "is not below {lt}",
    "less_than_equal": "is more than {le}",
    "too_short": "has fewer than {min_length} entries",
    "too_long": "has more than {max_length} entries",
    "string_too_long": "is longer than {max_length} characters",
    "string_too_short": "is empty",
}


def _number(bound: Any) -> str:
    return (
        f"{bound:.0f}"
        if isinstance(bound, float) and bound >= 1e6
        else f"{bound:g}"
        if isinstance(bound, float)
        else str(bound)
    )


_TIME_UNITS = ("s", "min", "h", "d")
_BOUNDS = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})


def _example(field: FieldInfo | None) -> str:
    if field is None or not field.examples:
        return ""
    example = field.examples[0]
    plain = not isinstance(example, str) or example.isidentifier() or example.startswith("{")
    return str(example) if plain else f'"{example}"'


def _field_at(path: Path) -> FieldInfo | None:
    model: type[BaseModel] | None = Plan
    field: FieldInfo | None = None
    for key in path:
        if isinstance(key, int) or model is None:
            continue
        found = field_named(model, key)
        if found is None:
            # A free name, such as that of a level: the model behind it stays the same.
            continue
        field = found
        model = model_within(found.annotation)
    return field


def _keys_at(path: Path) -> tuple[str, ...]:
    model: type[BaseModel] | None = Plan
    for key in path:
        if isinstance(key, int) or model is None:
            continue
        found = field_named(model, key)
        if found is not None:
            model = model_within(found.annotation)
    return plan_keys(model) if model is not None else ()


def plan_keys(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys of one part of a plan, as they are written."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def field_named(model: type[BaseModel], key: str) -> FieldInfo | None:
    """The field that is written under this key; None when there is none."""
    for name, field in model.model_fields.items():
        if (field.alias or name) == key:
            return field
    return None


def model_within(annotation: Any) -> type[BaseModel] | None:
    """The part of a plan that a field holds, or holds several of; None for plain values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (tuple, dict, Union, UnionType, Annotated):
        for inner in get_args(annotation):
            model = model_within(inner)
            if model is not None:
                return model
    return None
