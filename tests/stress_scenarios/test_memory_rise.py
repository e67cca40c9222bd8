"""How much memory a load may hold: the rise, the share, and no leap after a stall."""

import pytest

from stress_scenarios.loads.memory_rise import CATCH_UP_S, PAGE_BYTES_MAX, MemoryRise

MIB = 1 << 20


def risen(rise: MemoryRise, *, seconds: float, held: int = 0, share: float = 1.0) -> int:
    """Look every 5 ms, and hold whatever may be held."""
    for _ in range(round(seconds / 0.005)):
        held = rise.look(0.005, share=share, held_bytes=held)
    return held


def test_memory_rises_at_its_rate_and_stays_at_its_size() -> None:
    """50 MiB a second are 25 MiB after half a second, and the size is never passed."""
    rise = MemoryRise(size_bytes=100 * MIB, rise_bytes_per_s=50.0 * MIB)
    assert risen(rise, seconds=0.5) == pytest.approx(25 * MIB, abs=1)
    assert risen(rise, seconds=3.0, held=25 * MIB) == 100 * MIB


def test_a_rate_of_less_than_a_page_a_turn_gets_on() -> None:
    """4 KiB a second are 20 bytes a turn: they add up."""
    rise = MemoryRise(size_bytes=1 * MIB, rise_bytes_per_s=4096.0)
    assert risen(rise, seconds=10.0) == pytest.approx(40_960, abs=1)


def test_a_share_lowers_the_level_at_once_and_the_way_back_is_a_rise() -> None:
    """Half the share holds half the size, at once; a share of 0 nothing; and whole again, memory comes at its rate."""
    rise = MemoryRise(size_bytes=100 * MIB, rise_bytes_per_s=50.0 * MIB)
    held = risen(rise, seconds=3.0)
    assert rise.look(0.005, share=0.5, held_bytes=held) == 50 * MIB
    assert rise.look(0.005, share=0.0, held_bytes=50 * MIB) == 0
    assert rise.look(1.0, share=0.0, held_bytes=0) == 0
    assert rise.look(0.02, share=1.0, held_bytes=0) == 1 * MIB


@pytest.mark.parametrize(("share", "allowed"), [(0.24, 24), (0.25, 25), (0.26, 25)])
def test_a_share_above_the_level_changes_nothing(share: float, allowed: int) -> None:
    """Just below, at and above what is held: only a share below it takes memory away."""
    rise = MemoryRise(size_bytes=100 * MIB, rise_bytes_per_s=50.0 * MIB)
    held = risen(rise, seconds=0.5)
    assert rise.look(0.0, share=share, held_bytes=held) == pytest.approx(allowed * MIB, abs=1)


def test_a_stall_is_made_up_for_by_a_tenth_of_a_second_and_no_more() -> None:
    """After ten seconds without a turn the load does not leap: the guardian was promised a rate."""
    rise = MemoryRise(size_bytes=1000 * MIB, rise_bytes_per_s=50.0 * MIB)
    held = risen(rise, seconds=1.0)
    assert rise.look(10.0, share=1.0, held_bytes=held) == held + int(50 * MIB * CATCH_UP_S)


def test_memory_that_did_not_come_is_not_asked_for_faster_later() -> None:
    """While nothing can be touched the level waits a little above what is held, however long."""
    slow = MemoryRise(size_bytes=1000 * MIB, rise_bytes_per_s=1000.0)
    for _ in range(1000):
        assert slow.look(1.0, share=1.0, held_bytes=0) <= PAGE_BYTES_MAX


def test_what_is_due_knows_no_share() -> None:
    """Asked is what the plan asks: the rise and then the size, whatever was permitted."""
    rise = MemoryRise(size_bytes=100 * MIB, rise_bytes_per_s=50.0 * MIB)
    assert [rise.due_bytes(at_s) for at_s in (-1.0, 0.0, 1.0, 2.0, 9.0)] == [0, 0, 50 * MIB, 100 * MIB, 100 * MIB]
