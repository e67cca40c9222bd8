"""The kinds of value that a plan is written in: durations, sizes, names, paths and headers, each with its own refusal.

A plan is written by people at the end of a day, so every value carries its unit and every refusal says what to write
instead. Pure; the launcher's process uses it.
"""

import re
from typing import Annotated, Literal

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

UNPACED = "unpaced"

PACE_MAX = 1000.0
"""Operations per second and connection; who answers faster than in a millisecond is loaded over several connections."""

RATE_MAX = 1_000_000.0
"""Arrivals per second; far beyond what one machine can make, which the planner refuses with its arithmetic."""

_SHARE_PERCENT_MIN, _SHARE_PERCENT_MAX = 10.0, 90.0
"""Of a phase, for its search: with less than a tenth neither the search nor the phase's own load would show anything."""

FRAMING_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "te"})
"""Headers that the engine sets itself from the request; a plan's value could only contradict it."""

_CREDENTIAL_NAME = re.compile(r"(?:proxy-)?authorization|cookie|.*(?:token|secret|password|api-?key).*", re.IGNORECASE)

_REFERENCE = re.compile(r"(?<!\$)\$\{[^}]+\}")
"""Something that is filled in later: from the environment, from an answer, from a feeder."""

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_STATUS_CLASS = re.compile(r"[1-5]xx")


def is_credential(name: str) -> bool:
    """Whether a header or a variable of this name carries what nobody else may know."""
    return _CREDENTIAL_NAME.fullmatch(name) is not None


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
    return value


def _check_credentials(headers: dict[str, str]) -> dict[str, str]:
    """A plan is stored and shown, so no secret may stand in it. The message does not repeat what was written."""
    for name, value in headers.items():
        if is_credential(name) and value and not _REFERENCE.search(value):
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


def _read_pace(value: object) -> float | str:
    if value == UNPACED:
        return UNPACED
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{shown(value)} is neither a number of operations per second nor {UNPACED}; write 2")  # noqa: TRY004 - pydantic collects ValueError
    if not 0 < value <= PACE_MAX:
        raise ValueError(f"{shown(value)} is not above 0 and at most {PACE_MAX:g}; write 2")
    return float(value)


def _read_share(value: object) -> float:
    text = f"{value}%" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    found = _PERCENT.fullmatch(text)
    if found is None:
        raise ValueError(f'{shown(value)} is not a share; write "50%"')
    percent = float(found[1])
    if not _SHARE_PERCENT_MIN <= percent <= _SHARE_PERCENT_MAX:
        raise ValueError(f"{shown(value)} is not within {_SHARE_PERCENT_MIN:g} and {_SHARE_PERCENT_MAX:g} %; write 50%")
    return percent


_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%")


def _read_names(value: object) -> tuple[str, ...]:
    parts = re.split(r"[\s,]+", value) if isinstance(value, str) else value
    if not isinstance(parts, tuple | list):
        raise ValueError(f'{shown(value)} is not a list of names; write "smoke, checkout"')  # noqa: TRY004 - pydantic collects ValueError
    names = tuple(part for part in parts if part != "")
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(NAME_PATTERN, name):
            raise ValueError(f"{shown(name)} is not a name: write small letters, digits, - and _")
    return tuple(dict.fromkeys(names))


Pace = Annotated[float | Literal["unpaced"], BeforeValidator(_read_pace)]
"""Operations per second and connection, or unpaced."""

Share = Annotated[float, BeforeValidator(_read_share), PlainSerializer(lambda percent: f"{percent:g}%")]
"""A part of a phase, written in percent: 50%."""

Names = Annotated[tuple[str, ...], BeforeValidator(_read_names)]
"""Several names, as a list or in one text with commas or spaces between them."""

Duration = Annotated[float, BeforeValidator(_read_duration), PlainSerializer(exact_duration)]
"""Seconds, written with a unit: 30min."""

Pause = Annotated[float, BeforeValidator(_read_pause), PlainSerializer(_write_pause)]
"""Seconds, written with a unit, or none."""

ByteSize = Annotated[int, BeforeValidator(_read_size), PlainSerializer(exact_bytes)]
"""Bytes, written with a unit: 512MiB."""

ClockTime = Annotated[str, AfterValidator(_check_clock_time)]
"""A local time of day, 07:00."""

VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
"""Variables, feeders and what is extracted: names that a template can hold."""

VariableName = Annotated[str, Field(pattern=VARIABLE_PATTERN)]
Rate = Annotated[float, Field(gt=0, le=RATE_MAX)]
RateOrNone = Annotated[float, Field(ge=0, le=RATE_MAX)]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Percent = Annotated[float, Field(ge=0, le=100)]
RequestPath = Annotated[str, Field(max_length=2000), AfterValidator(_check_path)]
HeaderName = Annotated[str, AfterValidator(_check_header_name)]
HeaderValue = Annotated[str, Field(max_length=8000), AfterValidator(_check_header_value)]
Headers = Annotated[dict[HeaderName, HeaderValue], AfterValidator(_check_credentials)]
Status = Annotated[int | str, BeforeValidator(_check_status)]
"""200, or a class of a hundred statuses: 2xx."""
