"""Regular expressions of plans, over bodies that somebody else wrote: a search that does not end is interrupted.

Some patterns take longer with each character than a night lasts. Pure but for the watch that interrupts them, which
looks at the code that runs here. Worker processes use it; the planner for checking patterns.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

from stress_scenarios.blocked_watch import BLOCKED_S_MAX, ScenarioBlockedError, running_code_of
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import Failed, bounded_message

PATTERN_CHARACTERS_MAX = 1000
"""Longer ones are programs."""


class PatternError(ValueError):
    """A regular expression that does not compile. The message shows it."""


class NoMatch(Enum):
    """The pattern matches nowhere."""

    NO_MATCH = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The first match: its first group, or all of it where the pattern has no group. A group that took no part is ""."""

    text: str


def compile_pattern(pattern: str) -> "re.Pattern[str]":
    """Compile it once. Raises PatternError."""
    if len(pattern) > PATTERN_CHARACTERS_MAX:
        raise PatternError(f"a regular expression of {len(pattern)} characters, at most {PATTERN_CHARACTERS_MAX}")
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise PatternError(f'the regular expression "{pattern}" does not compile: {error}') from error


def search(pattern: "re.Pattern[str]", text: str) -> Matched | NoMatch | Failed:
    """The first match; Failed when the search was interrupted."""
    try:
        with running_code_of(object()):
            match = pattern.search(text)
    except ScenarioBlockedError:
        message = f'the regular expression "{pattern.pattern}" was not done after {BLOCKED_S_MAX:g} s'
        return Failed(error=ErrorClass.SCENARIO, message=bounded_message(message))
    if match is None:
        return NoMatch.NO_MATCH
    return Matched(text=(match[1] or "") if pattern.groups else match[0])
