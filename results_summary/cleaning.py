"""Text that came from outside, made harmless before it is shown: one line, printable, short.

Error messages of a target, names of a plan and answers of a device may hold terminal escapes, bidirectional overrides
that reorder what a reader sees, or megabytes. Markup is escaped later, by each format in its own way. Pure; reporter.
"""

import re
import unicodedata

CHARACTERS_MAX = 300
"""An error message of two lines of a table; what is longer is cut and says so."""

NAME_CHARACTERS_MAX = 64
"""A phase's or operation's name in a table."""

_SCAN_MAX = 4 * CHARACTERS_MAX
"""No more of a text is looked at: escape sequences shrink it at most about fourfold, and 10 MB must not cost seconds."""

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])|\x9b[0-?]*[ -/]*[@-~]")
_NOT_SHOWN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ELLIPSIS = "..."


def clean(text: str, *, characters_max: int = CHARACTERS_MAX) -> str:
    """One printable line of at most ``characters_max`` characters; a cut text ends with three dots.

    Terminal escapes are removed, every other control, format (bidirectional, zero width), surrogate or unassigned
    character and every run of white space becomes one space.
    """
    assert characters_max > len(_ELLIPSIS)
    scanned = _ESCAPE_SEQUENCE.sub("", text[:_SCAN_MAX])
    shown = "".join(" " if unicodedata.category(character) in _NOT_SHOWN else character for character in scanned)
    line = " ".join(shown.split())
    if len(line) > characters_max or len(text) > _SCAN_MAX:
        return line[: characters_max - len(_ELLIPSIS)].rstrip() + _ELLIPSIS
    return line


def columns_of(text: str) -> int:
    """Terminal columns that a cleaned line takes: wide East Asian characters take two, combining marks none."""
    return sum(_columns(character) for character in text)


def fit_columns(text: str, columns: int) -> str:
    """The line cut to at most this many terminal columns, three dots at the end when something was cut."""
    if columns_of(text) <= columns:
        return text
    kept, used = [], 0
    for character in text:
        width = _columns(character)
        if used + width > columns - len(_ELLIPSIS):
            break
        kept.append(character)
        used += width
    return "".join(kept).rstrip() + _ELLIPSIS


def file_name_part(text: str) -> str:
    """A phase's name as part of a file name: letters, digits, underscore, hyphen, at most 64; others become one underscore."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:64].strip("_") or "phase"


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
