"""The report as a reader sees it: every string, in the order of the page, made once for all formats.

Text, Markdown, HTML and the tables of each show the same words because they show this. What came from outside is cleaned
here; each format escapes it in its own way. Pure types; viewing fills them, render shows them.
"""

from dataclasses import dataclass
from enum import Enum


class Tone(Enum):
    """How a word is coloured; the word itself says the same."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    OPEN = "open"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """A state in one word."""

    word: str
    tone: Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One figure above the fold, with what it means."""

    label: str
    value: str
    lines: tuple[str, ...]
    tone: Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """One gate."""

    where: str
    rule: str
    observed: str
    interval: str
    state: Badge
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRow:
    """One phase: asked against achieved, how it felt, how it ended.

    service: p99 from the actual start where it is another than from the intended one, else "-". memory: held of asked, else "". notes: what else happened
    to its load (paused, dropped, reconnected, redirected, messages).
    """

    number: int
    name: str
    level: str
    asked: str
    achieved: str
    held: str
    success: str
    mean: str
    p50: str
    p95: str
    p99: str
    service: str
    errors: str
    coverage: str
    outcome: str
    reason: str
    notes: tuple[str, ...]
    memory: str = ""
    state: Badge


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchStepRow:
    """One rate of a search."""

    number: int
    rate: str
    lasted: str
    achieved: str
    success: str
    mean: str
    p99: str
    state: Badge
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchView:
    """One search. where: the phase that it followed. svg: "" when no rate was tried."""

    where: str
    words: str
    svg: str
    steps: tuple[SearchStepRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorRow:
    """One run of the anchor load."""

    at: str
    before: str
    operations: str
    success: str
    mean: str
    change: str
    p99: str
    health: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRow:
    """One part of the baseline's health."""

    name: str
    score: str
    weight: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRow:
    """One kind of failure, over the whole night."""

    count: str
    where: str
    operation: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRow:
    """A move of the guardian."""

    at: str
    rung: Badge
    share: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillRow:
    """One rehearsed stop path."""

    path: str
    took: str
    allowed: str
    state: Badge
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietRow:
    """One line of the quiet certificate."""

    name: str
    state: Badge
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionRow:
    """One row of the protection matrix."""

    name: str
    state: Badge
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedValue:
    """A name and a value, for lists of facts."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """The whole report. verdict.word is PARTIAL while the night goes on. marks: REHEARSAL and the like.

    latencies: phases in which users waited before their request could start. contradictions: of the instrument with itself.
    """

    title: str
    run_id: str
    name: str
    verdict: Badge
    marks: tuple[str, ...]
    why: str
    night: str
    ended: str
    tiles: tuple[Tile, ...]
    timeline_svg: str
    timeline_words: str
    gates: tuple[GateRow, ...]
    gates_words: str
    phases: tuple[PhaseRow, ...]
    latencies: tuple[str, ...]
    contradictions: tuple[str, ...]
    searches: tuple[SearchView, ...]
    shortfalls: tuple[str, ...]
    anchors: tuple[AnchorRow, ...]
    anchors_words: str
    baseline_score: str
    baseline_parts: tuple[PartRow, ...]
    baseline_facts: tuple[NamedValue, ...]
    errors: tuple[ErrorRow, ...]
    errors_words: str
    moves: tuple[MoveRow, ...]
    moves_words: str
    drills: tuple[DrillRow, ...]
    quiet: tuple[QuietRow, ...]
    drills_words: str
    protections: tuple[ProtectionRow, ...]
    unknowns: tuple[str, ...]
    problems: tuple[str, ...]
    environment: tuple[NamedValue, ...]
    exit_words: str
