"""The page in its written forms: HTML, Markdown, and a text of one screen.

All show the same view. Autoescape stands on for HTML; Markdown escapes by its own filter; an undefined name in a template
is an error and not an empty place. Nothing here reads a clock, so the same record gives the same bytes. Process: reporter.
"""

import base64
import hashlib
import re
import textwrap
from functools import cache
from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from results_summary.cleaning import columns_of, fit_columns
from results_summary.view import ReportView

TEXT_LINES_MAX = 24
TEXT_COLUMNS_MAX = 80
"""One screen of the smallest terminal that people use."""

_LABEL_COLUMNS = 10
_PHASES_NAMED_MAX = 3
_HTML, _MARKDOWN, _STYLE = "report.html.jinja", "campaign_summary.md.jinja", "report.css"


def render_html(view: ReportView) -> str:
    """One self-contained page: no script, no request to anywhere, its own strict content security policy."""
    style = template_text(_STYLE)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = _environment(autoescape=True).get_template(_HTML)
    return page.render(view=view, style=Markup(style), style_sha256=digest).rstrip() + "\n"  # noqa: S704 - our own style sheet


def render_markdown(view: ReportView) -> str:
    """The block above the fold and the phases, for a pull request or a step summary."""
    return _environment(autoescape=False).get_template(_MARKDOWN).render(view=view).rstrip() + "\n"


def render_text(view: ReportView) -> str:
    """At most 24 lines of at most 80 columns."""
    lines = [_heading(view)]
    place = 1
    for label, words, lines_max in _text_blocks(view):
        lines.extend(_block(label, words, lines_max))
        if label == "phases":
            place = len(lines)
    for label, words in (("latency", _first_of(view.latencies)), ("short", _first_of(view.shortfalls))):
        if words and len(lines) < TEXT_LINES_MAX:
            lines[place:place] = _block(label, words, 1)
    return "\n".join(lines[:TEXT_LINES_MAX]) + "\n"


def template_text(name: str) -> str:
    """A file of the templates folder. Raises FileNotFoundError when the installation is broken."""
    return files("results_summary").joinpath("templates", name).read_text(encoding="utf-8")


def markdown_escape(words: object) -> str:
    """Words that Markdown shows as they are, also within a table: no markup, no line break, no HTML."""
    plain = " ".join(str(words).split())
    escaped = re.sub(r"([\\`*_{}\[\]!|<>~])", r"\\\1", plain)
    return escaped.replace("&", "&amp;").replace("\\<", "&lt;").replace("\\>", "&gt;")


def _drawn(svg: str) -> Markup:
    """Our own drawing, whose texts charts has escaped."""
    return Markup(svg)  # noqa: S704 - see charts: every text in it is cleaned and escaped


@cache
def _environment(*, autoescape: bool) -> Environment:
    """Both kinds hold all templates; only the HTML one escapes by itself."""
    environment = Environment(
        autoescape=autoescape,  # noqa: S701 - off for Markdown only, which has its own filter
        undefined=StrictUndefined,
        loader=DictLoader({name: template_text(name) for name in (_HTML, _MARKDOWN)}),
        keep_trailing_newline=True,
    )
    environment.filters["drawn"] = _drawn
    environment.filters["md"] = markdown_escape
    return environment


def _heading(view: ReportView) -> str:
    verdict = " ".join((view.verdict.word, *view.marks))
    name = fit_columns(f"DAYBREAK  {view.name}", TEXT_COLUMNS_MAX - len(verdict) - 2)
    return name + " " * (TEXT_COLUMNS_MAX - columns_of(name) - len(verdict)) + verdict


def _text_blocks(view: ReportView) -> tuple[tuple[str, str, int], ...]:
    """Label, words and how many lines they may take: 23 lines at most together with the heading."""
    tiles = [f"{tile.value}; {'; '.join(tile.lines)}" for tile in view.tiles]
    return (
        ("why", view.why, 4),
        ("night", view.night, 1),
        ("run", view.run_id, 1),
        ("ended", view.ended, 2),
        ("capacity", tiles[0], 2),
        ("ops", tiles[1], 1),
        ("phases", _phases_words(view), 3),
        ("gates", view.gates_words, 1),
        ("anchors", view.anchors_words, 1),
        ("baseline", f"health {view.baseline_score}", 1),
        ("guardian", f"{view.moves_words}; {view.drills_words}", 2),
        ("quiet", tiles[2], 2),
        ("unknown", view.unknowns[0] if view.unknowns else "", 1),
        ("report", f"results_summary/report.html     exit {view.exit_words}", 1),
    )


def _phases_words(view: ReportView) -> str:
    passed = sum(1 for row in view.phases if row.state.word == "PASS")
    others = [f"{row.number} {row.name} {row.state.word}" for row in view.phases if row.state.word != "PASS"]
    words = f"{passed} of {len(view.phases)} passed"
    if others:
        words += "; " + ", ".join(others[:_PHASES_NAMED_MAX])
    if len(others) > _PHASES_NAMED_MAX:
        words += f" and {len(others) - _PHASES_NAMED_MAX} more"
    held = [f"{row.memory} in {row.name}" for row in view.phases if row.memory]
    return f"{words}; memory held: {', '.join(held)}" if held else words


def _first_of(sentences: tuple[str, ...]) -> str:
    """The first sentence and how many more there are; "" when there is none."""
    if not sentences:
        return ""
    first, *others = sentences
    return f"{first.removesuffix('.')}; and {len(others)} more" if others else first


def _block(label: str, words: str, lines_max: int) -> list[str]:
    """A label and its words, wrapped; what does not fit ends with three dots."""
    room = TEXT_COLUMNS_MAX - _LABEL_COLUMNS
    wrapped = textwrap.wrap(words, width=room, break_on_hyphens=False) or ["-"]
    kept = wrapped[:lines_max]
    if len(wrapped) > lines_max:
        kept[-1] = textwrap.shorten(f"{kept[-1]} {wrapped[lines_max]}", width=room, placeholder=" ...")
    kept = [fit_columns(line, room) for line in kept]
    return [f"{label if not index else '':<{_LABEL_COLUMNS}}{line}".rstrip() for index, line in enumerate(kept)]
