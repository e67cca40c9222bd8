"""One row of the preflight table: what was looked at, how it stands, and what to do. Pure; the launcher's process uses it."""

import textwrap
from dataclasses import dataclass
from enum import Enum

from baseline_metrics.codec import Json

SCHEMA_VERSION = 1


class CheckState(Enum):
    """How a check came out."""

    OK = "OK"
    WARN = "WARN"  # the campaign may run; a person should know
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"  # it could not be found out


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """One check. remedy: what to do, empty when there is nothing to do. critical: not knowing is as bad as failing."""

    name: str
    state: CheckState
    detail: str
    remedy: str = ""
    critical: bool = True

    @property
    def blocks(self) -> bool:
        """Whether no campaign may start because of this row."""
        return self.state is CheckState.FAIL or (self.state is CheckState.UNKNOWN and self.critical)


def ok(name: str, detail: str) -> CheckRow:
    """A row that is in order."""
    return CheckRow(name=name, state=CheckState.OK, detail=detail)


def warn(name: str, detail: str, remedy: str) -> CheckRow:
    """A row that a person should know about."""
    return CheckRow(name=name, state=CheckState.WARN, detail=detail, remedy=remedy)


def fail(name: str, detail: str, remedy: str) -> CheckRow:
    """A row that keeps the campaign from starting."""
    return CheckRow(name=name, state=CheckState.FAIL, detail=detail, remedy=remedy)


def unknown(name: str, detail: str, remedy: str, *, critical: bool = True) -> CheckRow:
    """A row that could not be found out."""
    return CheckRow(name=name, state=CheckState.UNKNOWN, detail=detail, remedy=remedy, critical=critical)


def may_start(rows: tuple[CheckRow, ...]) -> bool:
    """Whether nothing stands against a start. No rows are no evidence."""
    return bool(rows) and not any(row.blocks for row in rows)


def render_table(rows: tuple[CheckRow, ...], *, width: int = 80) -> str:
    """The rows as text, remedies indented below; the last line says whether a campaign may start."""
    blocking = [row.name for row in rows if row.blocks]
    warnings = sum(row.state is CheckState.WARN for row in rows)
    if may_start(rows):
        last = f"ready to start{f', {warnings} warnings' if warnings > 1 else ', 1 warning' if warnings else ''}"
    else:
        last = f"not ready to start: {', '.join(blocking) or 'nothing was checked'}"
    return "\n".join((render_rows(rows, width=width), "", last)).lstrip("\n")


def render_rows(rows: tuple[CheckRow, ...], *, width: int = 80) -> str:
    """The rows alone."""
    name_width = max((len(row.name) for row in rows), default=0)
    indent = name_width + 10
    lines: list[str] = []
    for row in rows:
        head = f"{row.state.value:<8}{row.name:<{name_width}}  "
        lines.extend(_wrapped(head + row.detail, width, indent))
        if row.remedy:
            remedy = f"{'':<{indent}}-> {row.remedy}"
            lines.extend(_wrapped(remedy, width, indent + 3))
    return "\n".join(line.rstrip() for line in lines)


def _wrapped(text: str, width: int, indent: int) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, indent + 20),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,  # paths and options are copied from here
    )


def to_json(rows: tuple[CheckRow, ...]) -> dict[str, Json]:
    """The rows as one document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "ready": may_start(rows),
        "checks": [
            {
                "name": row.name,
                "state": row.state.value,
                "detail": row.detail,
                "remedy": row.remedy,
                "blocks": row.blocks,
            }
            for row in rows
        ],
    }
