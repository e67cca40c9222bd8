"""The bracket of capacity."""

import pytest

from results_summary.capacity import AtLeast, Below, Between, CapacityUnknown, capacity
from results_summary.findings import PhaseState, State

WORDS = {"p": State.PASS, "f": State.FAIL, "u": State.UNKNOWN}


def phases(states: str, loads: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)) -> tuple[PhaseState, ...]:
    """One phase per letter, with rising loads; a capital letter made no load."""
    return tuple(
        PhaseState(
            index=index,
            name=f"p{index}",
            connections=index + 1,
            load_per_s=load,
            ran=letter.islower(),
            state=WORDS[letter.lower()],
            why="",
        )
        for index, (letter, load) in enumerate(zip(states, loads, strict=False))
    )


def test_the_bracket_lies_between_the_highest_passing_and_the_lowest_failing_load() -> None:
    """Nothing is read into the space between."""
    found = capacity(phases("ppff"))
    assert isinstance(found, Between)
    assert (found.passing.operations_per_s, found.failing.operations_per_s) == (2.0, 4.0)
    assert (found.passing.connections, found.failing.connections, found.higher_passed) == (2, 3, False)


def test_a_ceiling_that_was_not_found_is_no_ceiling() -> None:
    """All pass: at least the highest; an undecided top stays open."""
    found = capacity(phases("pppp"))
    assert isinstance(found, AtLeast)
    assert (found.passing.operations_per_s, found.above_open) == (8.0, False)
    found = capacity(phases("ppuu"))
    assert isinstance(found, AtLeast)
    assert (found.passing.operations_per_s, found.above_open) == (2.0, True)


def test_an_unknown_load_ends_the_passing_chain() -> None:
    """What lies above an undecided load does not raise the lower end."""
    found = capacity(phases("pupf"))
    assert isinstance(found, Between)
    assert (found.passing.operations_per_s, found.failing.operations_per_s) == (1.0, 8.0)


def test_a_higher_load_that_passed_makes_the_bracket_doubtful() -> None:
    """Not monotone: both are shown."""
    found = capacity(phases("pfpp"))
    assert isinstance(found, Between)
    assert found.higher_passed


def test_the_lowest_load_failing_bounds_from_above_only() -> None:
    """Below the lowest tested load nothing is known."""
    found = capacity(phases("ffff"))
    assert isinstance(found, Below)
    assert found.failing.operations_per_s == 1.0


@pytest.mark.parametrize("states", ["", "uuuu", "uppp"])
def test_nothing_decided_is_unknown(states: str) -> None:
    """Without a passing chain from below and without a failure there is no bracket."""
    assert isinstance(capacity(phases(states)), CapacityUnknown)


def test_phases_of_one_load_are_one_level() -> None:
    """Two phases at the same load pass only together."""
    found = capacity(phases("pfp", (2.0, 2.0, 1.0)))
    assert isinstance(found, Between)
    assert (found.passing.operations_per_s, found.failing.operations_per_s) == (1.0, 2.0)


def test_a_phase_that_never_ran_is_no_failing_load() -> None:
    """Skipped or never reached, it tested nothing: the ceiling is not found, and higher loads stay open."""
    found = capacity(phases("ppFF"))
    assert isinstance(found, AtLeast)
    assert (found.passing.operations_per_s, found.above_open) == (2.0, True)
    found = capacity(phases("pFfF"))
    assert isinstance(found, Between)
    assert (found.passing.operations_per_s, found.failing.operations_per_s) == (1.0, 4.0)
    assert isinstance(capacity(phases("FFUU")), CapacityUnknown)
