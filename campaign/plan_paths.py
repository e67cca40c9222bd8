"""Makes the paths in a plan's text absolute: they mean files beside the plan, wherever the commands are typed.

Pure; the launcher's process uses it on each source that is a file.
"""

from pathlib import Path

from campaign.defaults import PlanValue

_PLACES = (
    ("target", "ca_file"),
    ("code", "file"),
    ("feeders", "*", "file"),
    ("phases", "*", "arrivals", "replay"),
)
"""Where paths stand; * is any name or position."""


def with_absolute_paths(values: dict[str, PlanValue], directory: Path) -> dict[str, PlanValue]:
    """The same text, its relative paths beginning at this directory. What is no text is left for the models."""
    assert directory.is_absolute(), directory
    found: PlanValue = values
    for place in _PLACES:
        found = _rewritten(found, place, directory)
    assert isinstance(found, dict), "a mapping stays one"
    return found


def _rewritten(value: PlanValue, place: tuple[str, ...], directory: Path) -> PlanValue:
    if not place:
        return str(directory / value) if isinstance(value, str) and value else value
    key, *rest = place
    if isinstance(value, dict):
        names = tuple(value) if key == "*" else (key,) if key in value else ()
        return {**value, **{name: _rewritten(value[name], tuple(rest), directory) for name in names}}
    if isinstance(value, tuple) and key == "*":
        return tuple(_rewritten(item, tuple(rest), directory) for item in value)
    return value
