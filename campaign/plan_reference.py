"""Writes docs/plan.md from the models, so that the reference cannot say anything that a plan does not mean.

``python -m campaign.plan_reference > docs/plan.md``. Nobody else runs this; a test keeps the file equal.
"""

import json
import sys
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from baseline_metrics.units import format_duration
from campaign.defaults import DEFAULT_PHASES, PHASE_FIELDS
from campaign.fitting import SAMPLES_NEEDED
from campaign.plan import Plan
from campaign.plan_layers import ENVIRONMENT_PREFIX, OVERRIDES
from campaign.plan_memory import ByteRate, MemoryShare
from campaign.plan_phases import SearchPart
from campaign.plan_problems import model_within
from campaign.plan_steps import ThinkPart
from campaign.plan_types import PACE_MAX, ByteSize, Duration, Names, Pace, Pause, Share, exact_bytes, exact_duration
from campaign.planned_generator import (
    ENGINE_OPERATIONS_PER_S_MAX,
    SCRIPTED_OPERATIONS_PER_S_MAX,
    WORKER_OPERATIONS_PER_S,
    WORKER_SCRIPTED_OPERATIONS_PER_S,
)
from campaign.planned_search import STEP_S_MIN, STEPS_MIN
from stress_scenarios.catalogue import LEVELS

_KINDS: tuple[tuple[Any, str], ...] = (
    (Duration, "duration"),
    (Pause, "duration or `none`"),
    (ByteSize, "size"),
    (Pace, f"number above 0 to {PACE_MAX:g}, or `unpaced`"),
    (Share, "percent"),
    (MemoryShare, "percent"),
    (ByteRate, "size per second"),
    (Names, "list or text of names"),
)
_SHAPES: dict[type[BaseModel], str] = {ThinkPart: "duration or mapping", SearchPart: "`true`, `false` or mapping"}
_DERIVED = {
    "window": "",
    "anchor": "",
    "failures": "",
    "window.hours": "6, 8 or 12 by the host's size",
    "window.timezone": "this host's zone",
    "scenario": "one GET of the target's path",
    "levels": "the catalogue below",
    "phases": "the eight below",
    "phases[].duration_min": "a sixth, at least a minute",
    "anchor.connections": "the first phase's",
    "anchor.operations": "the first phase's",
    "anchor.pace": "the first phase's, 1 if it has none",
    "phases[].search": "`false`",
    "failures.consecutive": "2, 3 or 5 by the host's size",
    "scenario[].content_type": "application/json or plain UTF-8 text",
}
_NO_DEFAULT_WORTH_SHOWING: tuple[object, ...] = ("", {}, ())


def plan_reference() -> str:
    """The whole page, with a newline at the end."""
    lines = [
        "# The plan, key by key",
        "",
        "This page is generated from the models (`python -m campaign.plan_reference > docs/plan.md`).",
        "",
        "A plan is a YAML 1.2 file of at most 1 MiB. Only `target.url` is needed; every other key has a default, and",
        "every key that is not listed here is refused. `init` writes a commented plan to start from; `plan PLAN.yaml",
        "--origin` shows the plan with every default filled in, and where each value came from.",
        "",
        "- Durations carry their unit: `90s`, `30min`, `1h30min`, `500ms`. Sizes too: `512MiB`, `1GiB`.",
        "- `${env:NAME}` in a header's value stands for an environment variable. It is resolved in memory only. A header",
        "  that carries a credential (Authorization, Proxy-Authorization, Cookie, or a name with token, secret, password or",
        '  api-key in it) is accepted only with such a reference, `Authorization: "Bearer ${env:TOKEN}"`, or with a value',
        '  that a session gets for itself: `Authorization: "Bearer ${token}"`.',
        "- Anchors, aliases, YAML's own tags, directives and keys written twice are refused: a plan means what it shows.",
        "- Paths of files begin at the plan's directory. The files are read, and Python code is looked at without running it,",
        "  before the night; a load process refuses a file that was changed since.",
        "",
        *_overrides(),
        *_part(Plan, "", "The plan"),
        *_templates(),
        *_engines(),
        *_catalogue(),
        *_phases(),
        *_fitting(),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _overrides() -> list[str]:
    lines = [
        "## Where values come from",
        "",
        "Flag over environment over plan file over user file (`config.yaml` in the user's configuration directory) over",
        "default. Mappings are merged key by key; lists are replaced as a whole, but hosts to allow are added up.",
        "",
        "| key | flag | environment |",
        "|---|---|---|",
    ]
    lines.extend(
        f"| `{'.'.join(override.path)}` | `--{override.name.replace('_', '-')}` | `{ENVIRONMENT_PREFIX}{override.name.upper()}` |"
        for override in OVERRIDES
        if override.name not in ("timezone", "workers")
    )
    lines.extend(
        f"| `{'.'.join(override.path)}` | | `{ENVIRONMENT_PREFIX}{override.name.upper()}` |"
        for override in OVERRIDES
        if override.name in ("timezone", "workers")
    )
    return [*lines, ""]


def _part(model: type[BaseModel], prefix: str, title: str) -> list[str]:
    lines = [f"## {title}", ""]
    if model is not Plan:
        lines.extend([_sentence(model.__doc__ or ""), ""])
    lines.extend(["| key | what | value | default | example |", "|---|---|---|---|---|"])
    inner: list[str] = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        path = f"{prefix}{key}"
        part = model_within(field.annotation)
        if part is None:
            lines.append(_row(path, field))
            continue
        shape, suffix = _shape(field.annotation, part)
        lines.append(
            f"| `{path}` | {_what(field, part)} | {shape} | {_DERIVED.get(path, _needed(field))} | see below |"
        )
        inner.extend(_part(part, f"{path}{suffix}.", f"`{path}`"))
    return [*lines, "", *inner]


def _shape(annotation: Any, part: type[BaseModel]) -> tuple[str, str]:
    origin = get_origin(annotation)
    if part in _SHAPES:
        return _SHAPES[part], ""
    if origin is tuple:
        return "list", "[]"
    if origin is dict:
        return "mapping by name", ".NAME"
    return "mapping", ""


def _what(field: FieldInfo, part: type[BaseModel]) -> str:
    return field.description or _sentence(part.__doc__ or "")


def _needed(field: FieldInfo) -> str:
    return "**needed**" if field.is_required() and field.default_factory is None else ""


def _row(path: str, field: FieldInfo) -> str:
    example = f"`{_written(field.examples[0])}`" if field.examples else ""
    return f"| `{path}` | {field.description or ''} | {_value(field)} | {_default(path, field)} | {example} |"


def _default(path: str, field: FieldInfo) -> str:
    if path in _DERIVED:
        return _DERIVED[path]
    if field.default_factory is not None:
        return ""
    if field.default is PydanticUndefined:
        return "**needed**"
    if field.default is None or field.default in _NO_DEFAULT_WORTH_SHOWING:
        return ""
    kind = _kind(field)
    if kind.startswith("duration"):
        return f"`{exact_duration(float(field.default)).replace(' ', '')}`"
    if kind == "percent":
        return f"`{field.default:g}%`"
    if kind == "size":
        return f"`{exact_bytes(int(field.default)).replace(' ', '')}`"
    return f"`{_written(field.default)}`"


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value)


def _value(field: FieldInfo) -> str:
    bounds = _bounds(field.metadata + _inner_metadata(field.annotation))
    unit = " s" if bounds and _kind(field).startswith("duration") else ""
    return f"{_kind(field)}{', ' + bounds + unit if bounds else ''}"


def _kind(field: FieldInfo) -> str:
    # The library takes Annotated apart: the marks of a duration stay among the field's metadata.
    for annotated, name in _KINDS:
        validators = [mark for mark in get_args(annotated)[1:] if type(mark).__name__ == "BeforeValidator"]
        marks = [*field.metadata, *_inner_metadata(field.annotation)]
        if any(mark in marks for mark in validators):
            return name
    return _type_name(field.annotation)


def _inner_metadata(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return list(get_args(annotation)[1:])
    if get_origin(annotation) in (Union, UnionType):
        return [mark for inner in get_args(annotation) for mark in _inner_metadata(inner)]
    return []


def _type_name(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _type_name(get_args(annotation)[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, UnionType):
        names = [_type_name(inner) for inner in get_args(annotation) if inner is not type(None)]
        return " or ".join(dict.fromkeys(names))
    if origin is tuple:
        return f"list of {_type_name(get_args(annotation)[0])}"
    if origin is dict:
        return "mapping of texts"
    return {int: "whole number", float: "number", str: "text", Any: "anything"}.get(annotation, "text")


def _bounds(metadata: list[Any]) -> str:
    words: list[str] = []
    for mark in metadata:
        for inner in [mark, *getattr(mark, "metadata", [])]:
            for attribute, text in (("ge", "from"), ("gt", "above"), ("le", "to"), ("lt", "below")):
                bound = getattr(inner, attribute, None)
                if bound is not None:
                    words.append(f"{text} {bound:g}" if bound < 1e6 else f"{text} {int(bound)}")
    return " ".join(dict.fromkeys(words))


def _sentence(docstring: str) -> str:
    return " ".join(docstring.split())


def _templates() -> list[str]:
    return [
        "## Templates",
        "",
        "An operation's path, header values and body, and a WebSocket's message, may hold:",
        "",
        "- `${name}`: a variable of the session, from `variables` or from an operation's `extract`.",
        "- `${feeder.column}`: a value of the row that the session took from a feeder at its start.",
        "- `${uuid}`, `${random:1-100}`, `${number}` (of the operation in its session), `${connection}` (the virtual user's),",
        "  `${request_id}` (a number that no other request of the load has).",
        "- `$${` for the two characters `${` themselves.",
        "",
        "A value is percent-encoded in a path, and escaped within a JSON text. A name that nothing gives a value is refused",
        "before the night; one that has none at run time fails its operation (error class `scenario`).",
        "",
        "`code` names a coroutine function instead: see `examples/python-flow.yaml`.",
        "",
    ]


def _engines() -> list[str]:
    lines = [
        "## The engines",
        "",
        "`wire` speaks HTTP/1.1 itself, so that an operation costs microseconds and the generator is seldom the limit. `httpx`",
        "speaks HTTP/2 and goes through proxies. Both count and time alike. A load process is started for each so many",
        "operations per second (`workers: auto`); what is more than all of them can make is refused:",
        "",
        "| engine | sessions | a process for each | of one process refused beyond |",
        "|---|---|---|---|",
    ]
    lines.extend(
        f"| {engine} | {sessions} | {comfort[engine]:,.0f}/s | {most[engine]:,.0f}/s |"
        for engine in ENGINE_OPERATIONS_PER_S_MAX
        for sessions, comfort, most in (
            ("declared requests", WORKER_OPERATIONS_PER_S, ENGINE_OPERATIONS_PER_S_MAX),
            ("with a script", WORKER_SCRIPTED_OPERATIONS_PER_S, SCRIPTED_OPERATIONS_PER_S_MAX),
        )
    )
    return [
        *lines,
        "",
        "A session has a script when it has variables, feeders, code, setup or teardown, extractions, checks, think times,",
        "redirects to follow, a WebSocket, or a template.",
        "",
    ]


def _catalogue() -> list[str]:
    lines = [
        "## The catalogue of stress levels",
        "",
        "A plan may change single values (`levels: {low: {pace: 2}}`) or add levels of its own.",
        "",
        "| level | pace | success | response |",
        "|---|---|---|---|",
    ]
    lines.extend(
        f"| {level.name} | {level.operations_per_s:g}/s | {level.success_percent_min:g} % | "
        f"{format_duration(level.response_s_mean_max)} |"
        for level in LEVELS.values()
    )
    return [*lines, ""]


def _phases() -> list[str]:
    lines = [
        "## The default phases",
        "",
        f"| {' | '.join(PHASE_FIELDS)} |",
        f"|{'---|' * len(PHASE_FIELDS)}",
    ]
    lines.extend(f"| {' | '.join(_cell(value) for value in row)} |" for row in DEFAULT_PHASES)
    lines.extend(
        [
            "",
            "They sum to 14 h. When the window is short, the lowest priority is cut first. The ends of the staircase",
            "answer the most (the highest load, the longest load, the load that everything is compared with), so they",
            "stay longest; of the steps between, the upper one of a pair tells more than the lower.",
            "",
        ]
    )
    return lines


def _cell(value: str | float | bool) -> str:  # noqa: FBT001 - a table's cell
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fitting() -> list[str]:
    return [
        "## How a plan is fitted into its window",
        "",
        "- Baseline, anchors, rests, one cool-down, start, stop drill, handovers and report are reserved first.",
        "- The phases share the rest: all are scaled by one factor, none below its `duration_min`; they are never",
        "  stretched. If even the minimums are too long, the phase of the lowest priority is cut (of equals the later",
        "  one), with its anchor and break, and so on. `plan` and the report name what was cut, and why.",
        "- The anchor load lies inside the break; what is left of the break is rest. There is no break after the last",
        "  phase, but a last anchor.",
        "- A night on which the clock is changed has its real length: `hours: 8` are eight hours of a stopwatch, and",
        "  `until: 07:00` is the instant at which the local clock shows it. A time that the clock shows twice counts the",
        "  first time, one that it jumps over counts at the jump.",
        "- `--compress 2min` scales planned durations only, as far as each phase and each anchor still makes",
        f"  {SAMPLES_NEEDED} operations and lasts 2 s; what these keep, the others give up. If it cannot be, the plan is",
        "  refused with the arithmetic. Drift is not judged in such a rehearsal.",
        "- `--scale 4` multiplies all connections, the anchor's too, rounded up. Arrival rates stay as they are.",
        "- The times of an arrival shape (`over`, `every`, `at`, `lasts`, `period`) mean the phase as it is written, and are",
        "  scaled with it: a spike in the middle stays in the middle. A replay is not scaled; its end is cut off.",
        f"- A search takes its share of its phase's duration, in steps of {STEP_S_MIN:g} s at least. If that is less than",
        f"  {STEPS_MIN} steps, or what is left makes fewer than {SAMPLES_NEEDED} operations, there is no search, and `plan` says so.",
        "- Where the target sets the pace (`unpaced`, `think`), nothing is requested: whether enough was achieved is not",
        "  judged, and the expected operations are those that are made at least if the response time keeps its criterion.",
        "",
    ]


if __name__ == "__main__":
    sys.stdout.write(plan_reference())
