"""The mutation check itself: each mutant is one change, what cannot matter is left alone, and a known fault is noticed."""

import ast
from pathlib import Path

import pytest

from benchmarks.mutants import TESTS, Fate, copy_of_repository, drawn, evidence_of, fate_of
from benchmarks.mutants import Tried as TriedMutant
from benchmarks.mutation import mutants_of

SOURCE = '''"""A module."""

LIMIT = 5


def over(value: int, held: bool = False) -> bool:
    """Whether 1 is less than 2."""
    assert value >= 0, "never below 0"
    if value > LIMIT and not held:
        note("ü", value + 1)
        return True
    return False
'''


def test_each_change_is_one_and_the_source_still_parses() -> None:
    """Comparison, boolean, negation, arithmetic, constants, condition, removed call; nothing of texts and assertions."""
    found = mutants_of("over.py", SOURCE)
    changes = {(mutant.operator, mutant.before, mutant.after) for mutant in found}
    assert changes == {
        ("comparison", "value > LIMIT", "(value >= LIMIT)"),
        ("boolean", "value > LIMIT and not held", "(value > LIMIT or not held)"),
        ("condition", "value > LIMIT and not held", "(not (value > LIMIT and (not held)))"),
        ("negation", "not held", "(held)"),
        ("removed call", 'note("ü", value + 1)', "pass"),
        ("arithmetic", "value + 1", "(value - 1)"),
        ("constant", "1", "(2)"),
        ("constant", "True", "(False)"),
        ("constant", "False", "(True)"),
    }
    for mutant in found:
        assert ast.dump(ast.parse(mutant.source)) != ast.dump(ast.parse(SOURCE)), mutant.name
        assert mutant.source.count("\n") == SOURCE.count("\n")


def test_the_draw_is_even_and_repeatable() -> None:
    """The same seed gives the same mutants; no module is left out."""
    mutants = drawn(seed=3, number=3 * len(TESTS))
    assert mutants == drawn(seed=3, number=3 * len(TESTS))
    assert mutants != drawn(seed=4, number=3 * len(TESTS))
    assert {mutant.path for mutant in mutants} == set(TESTS)


@pytest.mark.process
@pytest.mark.timeout(120)
def test_a_known_fault_is_noticed_and_the_copy_is_whole_again(tmp_path: Path) -> None:
    """The judge's boundary moved by a hair is caught."""
    copy = copy_of_repository(tmp_path)
    path = "safety_monitoring/judge.py"
    source = (copy / path).read_text(encoding="utf-8")
    mutants = mutants_of(path, source)
    (fault,) = [m for m in mutants if m.before == "percent > limit.percent_max"]
    assert fate_of(fault, copy) is Fate.CAUGHT
    assert (copy / path).read_text(encoding="utf-8") == source


def test_survivors_count_against_the_goal() -> None:
    """Nine of ten are just enough; without any mutant nothing is reached."""
    mutants = drawn(seed=1, number=100)

    def tried(survivors: int) -> list[TriedMutant]:
        return [
            TriedMutant(mutant=mutant, fate=Fate.SURVIVED if index < survivors else Fate.CAUGHT, seconds=1.0)
            for index, mutant in enumerate(mutants)
        ]

    assert evidence_of(tried(10), seed=1).all_reached
    assert not evidence_of(tried(11), seed=1).all_reached
    assert not evidence_of([], seed=1).all_reached
