"""A few power cuts under the record; a hundred are measured by make evidence-power."""

import random

import pytest

from benchmarks.power_cuts import Cut, PowerCutImpossibleError, power_cuts

CUTS = 3
WHOLE = Cut(
    stopped_first=True,
    rows_acknowledged=10,
    rows_lost=0,
    rows_repeated=0,
    decisions_acknowledged=2,
    decisions_lost=0,
    found=11,
    unsynced_lost=2,
    copied_s=0.01,
    integrity="ok",
)


@pytest.mark.process
def test_a_power_cut_costs_nothing_that_was_acknowledged() -> None:
    """Neither a row nor a decision; the database is whole; what nobody synced is gone, so the cut was one."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    try:
        cuts = list(power_cuts(cuts=CUTS, seed=seed))
    except PowerCutImpossibleError as error:
        pytest.skip(f"kernel: no file system of its own: {error}")
    assert len(cuts) == CUTS
    for cut in cuts:
        assert cut.stopped_first
        assert cut.sound, cut
        assert cut.rows_acknowledged > 0
        assert cut.decisions_acknowledged > 0
    assert any(cut.unsynced_lost for cut in cuts)


@pytest.mark.parametrize(
    ("name", "value"),
    [("rows_lost", 1), ("rows_repeated", 1), ("decisions_lost", 1), ("integrity", "row 3 missing from index")],
)
def test_a_cut_that_cost_anything_is_not_sound(name: str, value: object) -> None:
    """One lost row is enough."""
    assert WHOLE.sound
    changed = {field: getattr(WHOLE, field) for field in Cut.__dataclass_fields__} | {name: value}
    assert not Cut(**changed).sound
