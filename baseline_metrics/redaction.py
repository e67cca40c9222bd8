"""Takes secrets out of text before it is stored: known literals, and what looks like a credential.

Done at the sinks (logs, records, reports), because a secret may enter anywhere: a plan's header, a URL in an error, a
target's answer. Too much hidden is a nuisance, too little a leak, so patterns are wide. Known literals are kept per
process. Every process that writes text may use it (standard library only).
"""

import json
import math
import re
import threading
from collections.abc import Iterable, Mapping
from urllib.parse import quote

HIDDEN = "[secret]"

SECRET_CHARACTERS_MIN = 4
"""Shorter literals occur by chance all over a text; hiding them would make logs unreadable and still be guessable."""
SECRETS_MAX = 1024
"""Literals of one process: 64 operations with 16 headers each."""

_DEPTH_MAX = 6
"""Nesting of an event's fields; deeper structures are rendered as text first, then hidden."""

_SECRET_NAMES = r"(?:token|key|sig|signature|password|passwd|secret)"  # noqa: S105 - names of secrets, not one of them
_FIELD_NAMES = re.compile(
    r"(?:proxy[-_])?authorization|(?:set[-_])?cookie|x[-_]api[-_]key|(?:.*[-_])?(?:api[-_]?key|token|password|passwd|secret)",
    re.IGNORECASE,
)
_HEADER = re.compile(
    # a header line, or a mapping's item: a quoted value ends at its own quote, an unquoted one with the line
    r"\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key)(b?[\"']?\s*[:=]\s*b?)"
    r"(?:\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[^\r\n]*)",
    re.IGNORECASE,
)
_HEADER_PAIR = re.compile(
    # a pair as libraries print raw headers: (b'Authorization', b'Bearer ...')
    r"([\"'](?:(?:proxy-)?authorization|(?:set-)?cookie|x-api-key)[\"']\s*,\s*b?)"
    r"(?:\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')",
    re.IGNORECASE,
)
_PARAMETER = re.compile(rf"(?<![\w.-])([\w.-]{{0,64}}{_SECRET_NAMES}=)[^&#\s\"'<>;,)]+", re.IGNORECASE)
_USERINFO = re.compile(r"([a-z][a-z0-9+.-]{0,20}://)[^/\s?#\"'<>]+@", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer\s+)[a-z0-9._~+/=-]{8,}", re.IGNORECASE)
_WEB_TOKEN = re.compile(r"\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")

_lock = threading.Lock()
_secrets: frozenset[str] = frozenset()
_literals: tuple[str, ...] = ()
"""All forms of all secrets, longest first."""


class RedactionError(ValueError):
    """A literal that cannot be hidden sensibly. The message never contains it."""


def register_secret(text: str) -> None:
    """Hide this literal in this process from now on, also percent-encoded or escaped in a string literal.

    Raises RedactionError when it is shorter than SECRET_CHARACTERS_MIN or one too many.
    """
    global _secrets, _literals
    if len(text) < SECRET_CHARACTERS_MIN:
        raise RedactionError(
            f"a secret of {len(text)} characters cannot be hidden: use at least {SECRET_CHARACTERS_MIN} characters"
        )
    with _lock:
        secrets = _secrets | {text}
        if len(secrets) > SECRETS_MAX:
            raise RedactionError(f"more than {SECRETS_MAX} secrets: take some out of the plan")
        forms = {*_literals, *_forms(text)}
        _secrets, _literals = secrets, tuple(sorted(forms, key=lambda form: (-len(form), form)))


def register_secrets(texts: Iterable[str]) -> None:
    """Like register_secret for each of them, but those too short to be hidden are left out. Raises RedactionError."""
    for text in texts:
        if len(text) >= SECRET_CHARACTERS_MIN:
            register_secret(text)


def forget_secrets() -> None:
    """Forget all literals: for a process that begins a new campaign, and for tests."""
    global _secrets, _literals
    with _lock:
        _secrets, _literals = frozenset(), ()


def redact(text: str) -> str:
    """The text with every known secret and everything that looks like one replaced by "[secret]"."""
    for literal in _literals:  # longest first: one secret may contain another
        text = text.replace(literal, HIDDEN)
    text = _HEADER_PAIR.sub(rf"\g<1>{HIDDEN}", text)
    text = _HEADER.sub(rf"\g<1>\g<2>{HIDDEN}", text)
    text = _USERINFO.sub(rf"\g<1>{HIDDEN}@", text)
    text = _PARAMETER.sub(rf"\g<1>{HIDDEN}", text)
    text = _BEARER.sub(rf"\g<1>{HIDDEN}", text)
    return _WEB_TOKEN.sub(HIDDEN, text)


def redact_fields(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields of a log event, redacted at any depth; a field named like a secret loses its value."""
    return {
        redact(str(name)): HIDDEN if _FIELD_NAMES.fullmatch(str(name)) else _redact_value(value, _DEPTH_MAX)
        for name, value in fields.items()
    }


def _forms(text: str) -> set[str]:
    encoded = {quote(text, safe="", errors="surrogateescape"), quote(text, errors="surrogateescape")}
    return {text, *encoded, repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}


def _redact_value(value: object, depth: int) -> object:
    match value:
        case str():
            return redact(value)
        case float() if not math.isfinite(value):
            return repr(value)  # JSON has no word for it
        case None | bool() | int() | float():
            return value
        case Mapping() if depth > 0:
            return {
                redact(str(name)): HIDDEN if _FIELD_NAMES.fullmatch(str(name)) else _redact_value(item, depth - 1)
                for name, item in value.items()
            }
        case list() | tuple() | set() | frozenset() if depth > 0:
            return [_redact_value(item, depth - 1) for item in value]
        case bytes() | bytearray():
            return redact(value.decode("utf-8", errors="replace"))
        case _:
            return redact(repr(value))
