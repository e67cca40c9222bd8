"""Writes a resolved plan as YAML again, each value with where it came from as a comment.

The text is a plan of its own: reading it gives the same plan. Secrets stay references. It is stored with each run and
shown by ``plan --origin``. Pure; the launcher's process uses it.
"""

import json
import re
from typing import Any

from campaign.plan import Plan
from campaign.plan_layers import Origins
from campaign.plan_requests import OF_HTTP, OperationPart
from campaign.yaml_source import Path
from stress_scenarios.load_plan import Stage

COMMENT_COLUMN = 44
"""Where the origins begin, so that values and origins are two columns to the eye."""

_PLAIN_TEXT = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*|\d+(\.\d+)? ?(ms|s|min|h|d|B|KiB|MiB|GiB)( \d\d? ?(min|s))?")
_WORDS_OF_YAML = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def resolved_yaml(plan: Plan, origins: Origins) -> str:
    """The whole plan, every default written out."""
    lines = [f"# The plan of {plan.name} as it was resolved; each value with its origin."]
    _write_mapping(_values_of(plan), (), origins, lines, indent=0)
    return "\n".join(lines) + "\n"


def _values_of(plan: Plan) -> dict[str, Any]:
    values: dict[str, Any] = plan.model_dump(mode="json", by_alias=True, exclude_none=True)
    for written, operation in zip(values["scenario"], plan.scenario, strict=True):
        _tidy_operation(written, operation)
    if not plan.target.ca_file:
        del values["target"]["ca_file"]
    for key in ("scenario", "tags", "variables", "feeders"):
        if key == "tags":
            values[key] = {name: tags for name, tags in values[key].items() if tags}
        if not values[key]:
            del values[key]
    return values


def _tidy_operation(written: dict[str, Any], operation: OperationPart) -> None:
    """Leave out what says nothing, and what could not be read again; put in a null that somebody meant."""
    for key in ("body", "content_type", "tags", "extract", "checks"):
        if not written[key]:
            del written[key]
    if "json_body" in operation.model_fields_set:
        written["json"] = operation.json_body
    for check, part in zip(written.get("checks", ()), operation.checks, strict=True):
        if "equals" in part.model_fields_set:
            check["equals"] = part.equals
    if operation.websocket is not None:
        for key in OF_HTTP:
            written.pop(key, None)
    if operation.when is not Stage.MIX:
        written.pop("weight")


def _write_mapping(values: dict[str, Any], path: Path, origins: Origins, lines: list[str], *, indent: int) -> None:
    for key, value in values.items():
        _write_entry(f"{' ' * indent}{_scalar(key)}:", value, (*path, key), origins, lines, indent=indent)


def _write_entry(head: str, value: Any, path: Path, origins: Origins, lines: list[str], *, indent: int) -> None:
    if isinstance(value, dict) and value and path[-1] not in ("json", "equals", "headers"):
        lines.append(head)
        _write_mapping(value, path, origins, lines, indent=indent + 2)
    elif isinstance(value, list) and value and isinstance(value[0], dict) and path[-1] not in ("json", "equals"):
        lines.append(head)
        for index, item in enumerate(value):
            first = len(lines)
            _write_mapping(item, (*path, index), origins, lines, indent=indent + 4)
            lines[first] = f"{' ' * (indent + 2)}- {lines[first].lstrip()}"
    else:
        line = f"{head} {_flow(value)}"
        lines.append(f"{line:<{COMMENT_COLUMN}}  # {_comment(origins.origin_of(path))}")


def _flow(value: Any) -> str:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=True)
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN_TEXT.fullmatch(value) and value.lower() not in _WORDS_OF_YAML:
        return value
    return json.dumps(value, ensure_ascii=True)


def _comment(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
