"""Time zones from the package that is installed with this program, never from the system.

Python prefers the system's zone files when there are any, and those differ from machine to machine: the same plan would
end at another instant. The package's release is pinned like every other dependency. Every process that shows or plans
local times uses it.
"""

import re
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

ZONES_CACHED = 64
"""One program rarely knows more than its plan's and its user's."""

_PART = re.compile(r"[A-Za-z0-9+_][A-Za-z0-9+_.-]*")
"""One part of an IANA name; a leading dot could leave the package's directory."""


@lru_cache(maxsize=ZONES_CACHED)
def zone_named(name: str) -> ZoneInfo:
    """The zone with this IANA name. Raises ZoneInfoNotFoundError."""
    parts = name.split("/")
    if not all(_PART.fullmatch(part) for part in parts):
        raise ZoneInfoNotFoundError(f'"{name}" is not the name of a time zone')
    place = resources.files("tzdata").joinpath("zoneinfo", *parts)
    try:
        with place.open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except (OSError, ValueError) as error:  # ValueError: a file of the package that is not a zone
        raise ZoneInfoNotFoundError(f'"{name}" is not a time zone that this program knows') from error
