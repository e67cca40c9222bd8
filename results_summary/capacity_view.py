"""The first tile: how much the target was seen to carry, and by whom that was found.

Pure; viewing puts it on the page.
"""

from typing import assert_never

from results_summary import wording
from results_summary.assessment import Assessment
from results_summary.capacity import AtLeast, Below, Between, CapacityUnknown, LoadLevel, NoLevel, Searched
from results_summary.cleaning import clean
from results_summary.searched_capacity import limit_words, overshoot_words
from results_summary.view import Tile, Tone

LABEL = "Capacity"


def capacity_tile(assessment: Assessment) -> Tile:
    """The bracket, and what it is made of."""
    found = assessment.capacity
    match found:
        case Between(passing=passing, failing=failing, higher_passed=higher_passed):
            lines = [
                "operations/s: highest that passes, lowest that fails",
                f"{passing.connections} to {failing.connections} connections",
            ]
            if higher_passed:
                lines.append("doubtful: a higher load passed")
            return _tile(f"{passing.operations_per_s:g} - {failing.operations_per_s:g}/s", lines, Tone.WARN)
        case AtLeast(passing=passing, above_open=above_open):
            lines = ["operations/s, ceiling not found", f"{wording.plural(passing.connections, 'connection')}"]
            if above_open:
                lines.append("higher loads stayed undecided")
            return _tile(f"at least {passing.operations_per_s:g}/s", lines, Tone.GOOD)
        case Below(failing=failing):
            lines = ["operations/s: the lowest load that fails", f"{failing.connections} connections"]
            return _tile(f"below {failing.operations_per_s:g}/s", lines, Tone.BAD)
        case CapacityUnknown(reason=reason):
            return _tile(wording.UNKNOWN, [clean(reason)], Tone.OPEN)
        case Searched():
            return _searched_tile(found)
    assert_never(found)


def _searched_tile(found: Searched) -> Tile:
    if found.contradictions:
        return _tile("contradictory", [clean(words) for words in found.contradictions], Tone.OPEN)
    where = f"searched in {clean(found.where)}"
    match found.passing, found.failing:
        case LoadLevel() as passing, LoadLevel() as failing:
            lines = ["operations/s: highest that passes, lowest that fails", where, overshoot_words(found)]
            return _tile(f"{_rate(passing)} - {wording.rate(failing.operations_per_s)}", lines, Tone.GOOD)
        case LoadLevel() as passing, NoLevel():
            return _tile(f"at least {wording.rate(passing.operations_per_s)}", [limit_words(found), where], Tone.GOOD)
        case NoLevel(), LoadLevel() as failing:
            lines = ["operations/s: the lowest load that fails", where]
            return _tile(f"below {wording.rate(failing.operations_per_s)}", lines, Tone.BAD)
        case _:
            return _tile(wording.UNKNOWN, [clean(found.reason) or limit_words(found), where], Tone.OPEN)


def _rate(level: LoadLevel) -> str:
    return wording.rate(level.operations_per_s).removesuffix("/s")


def _tile(value: str, lines: list[str], tone: Tone) -> Tile:
    return Tile(label=LABEL, value=value, lines=tuple(line for line in lines if line), tone=tone)
