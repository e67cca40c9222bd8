"""The damaged tables that virtual nights are run with."""

from benchmarks.virtual_nights import Caught, judge_mutant, mutants
from campaign.machine import TABLE
from campaign.machine_guards import always


def test_each_guard_is_taken_out_once() -> None:
    """There is one damaged table per guard, and each differs from the real one in one row of one place."""
    damaged = list(mutants())
    guarded = [rule for rules in TABLE.values() for rule in rules if rule.guard is not always]
    assert len(damaged) == len(guarded)
    for mutant in damaged:
        changed = [key for key in TABLE if mutant.table[key] is not TABLE[key]]
        assert len(changed) == 1
        pairs = zip(TABLE[changed[0]], mutant.table[changed[0]], strict=True)
        assert sum(before is not after for before, after in pairs) == 1


def test_load_without_permission_is_noticed() -> None:
    """The table that lets load start without asking whether it may is caught by an invariant."""
    mutant = next(mutant for mutant in mutants() if mutant.place.endswith(": phase starts"))
    assert isinstance(judge_mutant(mutant), Caught)
