"""The kinds of value that a plan is written in: durations, sizes, names, paths and headers, each with its own refusal.

A plan is written by people at the end of a day, so every value carries its unit and every refusal says what to write
instead. Pure; the launcher's process uses it.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from baseline_metrics.refused_value import shown
from baseline_metrics.units import format_bytes, format_duration, parse_bytes, parse_clock_time, parse_duration_s
from campaign.plan_part import at_fault

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
"""Names become parts of file names, so they are plain."""

NONE = "none"
"""How a plan says that there shall be no break or no cool-down; a zero duration is refused as a slip."""

ENVIRONMENT_REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
"""A secret by reference: the value stays in the environment and is never written to a file of ours."""

FRAMING_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "te"})
"""Headers that the engine sets itself from the request; a plan's value could only contradict it."""

_CREDENTIAL_HEADER = re.compile(
    r"(?:proxy-)?authorization|cookie|.*(?:token|secret|password|api-?key).*", re.IGNORECASE
)

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_STATUS_CLASS = re.compile(r"[1-5]xx")


def exact_duration(seconds: float) -> str:
    """A duration as a plan writes it; reading it again gives the same number of seconds."""
    text = format_duration(seconds)
    if seconds > 0 and parse_duration_s(text) == seconds:
        return text
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def exact_bytes(count: int) -> str:
    """A size as a plan writes it; reading it again gives the same number of bytes."""
    text = format_bytes(count)
    return text if parse_bytes(text) == count else f"{count} B"


def _read_duration(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str):
        raise ValueError(f'{shown(value)} is not a duration: write it with its unit, "30min", "90s" or "1h30min"')  # noqa: TRY004 - pydantic collects ValueError
    return parse_duration_s(value)


def _read_pause(value: object) -> float:
    if value == NONE:
        return 0.0
    try:
        return _read_duration(value)
    except ValueError as error:
        raise ValueError(f"{error}; or write {NONE}, without quotes, for no pause at all") from error


def _write_pause(seconds: float) -> str:
    return exact_duration(seconds) if seconds > 0 else NONE


def _read_size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str):
        raise ValueError(f'{shown(value)} is not a size: write it with its unit, "512MiB" or "1GiB"')  # noqa: TRY004 - pydantic collects ValueError
    return parse_bytes(value)


def _check_clock_time(value: str) -> str:
    return f"{parse_clock_time(value):%H:%M}"


def _check_path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f'{shown(value)} does not begin with a slash: write "/{value[:40]}"')
    if any(not 0x21 <= ord(character) <= 0x7E for character in value):
        raise ValueError(
            f'{shown(value)} holds spaces or other characters that a URL cannot: percent-encode them, "/a%20b"'
        )
    if "#" in value:
        raise ValueError(f"{shown(value)} holds a fragment, which is never sent: leave out everything from # on")
    return value


def _check_header_name(value: str) -> str:
    if not _HEADER_NAME.fullmatch(value):
        raise ValueError(f"{shown(value)} is not a header name: write letters, digits and hyphens, such as Accept")
    if value.lower() in FRAMING_HEADERS:
        raise ValueError(f"{shown(value)} is set by the engine from the request itself: leave it out")
    return value


def _check_header_value(value: str) -> str:
    if any(not (character == "\t" or 0x20 <= ord(character) <= 0x7E) for character in value):
        raise ValueError("holds control or non-ASCII characters: write printable ASCII only")
    if value != value.strip():
        raise ValueError("begins or ends with a blank, which is no part of a header's value: leave it out")
    rest = ENVIRONMENT_REFERENCE.sub("", value)
    if "${" in rest:
        raise ValueError(
            f'{shown(value)} holds a reference that is not known: write "${{env:NAME}}" for an environment variable'
        )
    return value


def _check_credentials(headers: dict[str, str]) -> dict[str, str]:
    """A plan is stored and shown, so no secret may stand in it. The message does not repeat what was written."""
    for name, value in headers.items():
        if _CREDENTIAL_HEADER.fullmatch(name) and value and not ENVIRONMENT_REFERENCE.search(value):
            example = "Bearer ${env:TOKEN}" if name.lower().endswith("authorization") else "${env:TOKEN}"
            raise at_fault(
                name, f'is a credential, and a plan is stored: write "{example}", and export TOKEN before the start'
            )
    return headers


def _check_status(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
        return value
    if isinstance(value, str) and _STATUS_CLASS.fullmatch(value):
        return value
    raise ValueError(f"{shown(value)} is not a status: write 200, or a class such as 2xx")


Duration = Annotated[float, BeforeValidator(_read_duration), PlainSerializer(exact_duration)]
"""Seconds, written with a unit: 30min."""

Pause = Annotated[float, BeforeValidator(_read_pause), PlainSerializer(_write_pause)]
"""Seconds, written with a unit, or none."""

ByteSize = Annotated[int, BeforeValidator(_read_size), PlainSerializer(exact_bytes)]
"""Bytes, written with a unit: 512MiB."""

ClockTime = Annotated[str, AfterValidator(_check_clock_time)]
"""A local time of day, 07:00."""

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Percent = Annotated[float, Field(ge=0, le=100)]
RequestPath = Annotated[str, Field(max_length=2000), AfterValidator(_check_path)]
HeaderName = Annotated[str, AfterValidator(_check_header_name)]
HeaderValue = Annotated[str, Field(max_length=8000), AfterValidator(_check_header_value)]
Headers = Annotated[dict[HeaderName, HeaderValue], AfterValidator(_check_credentials)]
Status = Annotated[int | str, BeforeValidator(_check_status)]
"""200, or a class of a hundred statuses: 2xx."""
