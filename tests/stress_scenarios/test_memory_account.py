"""The account of a memory load: byte-seconds, the peak, and what counts as held."""

import pytest

from stress_scenarios.loads.memory_account import RESIDENT_SLACK_BYTES, MemoryAccount, achieved_bytes

MIB = 1 << 20


def test_a_rise_and_a_hold_are_integrated_exactly() -> None:
    """A second of rise to 100 MiB and two seconds of hold are 250 MiB-seconds, asked and achieved."""
    account = MemoryAccount()
    account.note(0.0, due_bytes=0, achieved_bytes=0)
    account.note(1.0, due_bytes=100 * MIB, achieved_bytes=100 * MIB)
    account.note(2.0, due_bytes=100 * MIB, achieved_bytes=100 * MIB)
    counts = account.counts(held_bytes=100 * MIB, resident_bytes=115 * MIB)
    assert (counts.asked_byte_s, counts.achieved_byte_s) == (250.0 * MIB, 250.0 * MIB)
    assert counts.peak_bytes == counts.held_bytes == counts.due_bytes == 100 * MIB


def test_memory_lost_on_the_way_is_missing_from_the_integral() -> None:
    """The peak was reached, and half of the hold is lost all the same."""
    account = MemoryAccount()
    account.note(0.0, due_bytes=100 * MIB, achieved_bytes=100 * MIB)
    account.note(1.0, due_bytes=100 * MIB, achieved_bytes=100 * MIB)
    account.note(0.0, due_bytes=100 * MIB, achieved_bytes=0)
    account.note(1.0, due_bytes=100 * MIB, achieved_bytes=0)
    counts = account.counts(held_bytes=0, resident_bytes=0)
    assert (counts.peak_bytes, counts.asked_byte_s, counts.achieved_byte_s) == (100 * MIB, 200.0 * MIB, 100.0 * MIB)


def test_more_than_was_due_makes_up_for_nothing() -> None:
    """What is still held when less is due does not count beyond it."""
    account = MemoryAccount()
    account.note(0.0, due_bytes=50 * MIB, achieved_bytes=80 * MIB)
    account.note(1.0, due_bytes=50 * MIB, achieved_bytes=80 * MIB)
    counts = account.counts(held_bytes=0, resident_bytes=0)
    assert counts.achieved_byte_s == counts.asked_byte_s == 50.0 * MIB


@pytest.mark.parametrize(
    ("missing", "counts_as"),
    [
        (RESIDENT_SLACK_BYTES - 1, 100 * MIB),
        (RESIDENT_SLACK_BYTES, 100 * MIB),
        (RESIDENT_SLACK_BYTES + 1, 98 * MIB - 1),
        (200 * MIB, 0),
    ],
)
def test_only_resident_memory_counts(missing: int, counts_as: int) -> None:
    """Within the kernel's rounding all of it counts; beyond, what is resident."""
    assert achieved_bytes(held_bytes=100 * MIB, resident_bytes=100 * MIB - missing) == counts_as
