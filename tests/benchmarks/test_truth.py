"""The truths that the engine is compared with are true themselves."""

import statistics

import pytest

from benchmarks.stalling_server import Stalls
from benchmarks.truth_checks import _stalled_responses

STALLS = Stalls(began_mono_s=100.0, delay_s=0.05, every_s=10.0, stall_s=2.0)


@pytest.mark.parametrize(
    ("arrives_s", "answered_s"),
    [(100.0, 100.05), (107.94, 107.99), (107.96, 110.05), (108.0, 110.05), (109.99, 110.05), (110.0, 110.05)],
)
def test_nothing_is_answered_within_a_stall(arrives_s: float, answered_s: float) -> None:
    """Before it after the delay, within it after its end; an answer that the stall would cut off waits as well."""
    assert STALLS.answer_at(arrives_s) == pytest.approx(answered_s)


def test_a_fifth_of_the_arrivals_waits_for_up_to_two_seconds() -> None:
    """The median is the delay alone, the slowest waited the whole stall."""
    responses = _stalled_responses()
    assert len(responses) == 6000
    assert statistics.median(responses) == pytest.approx(0.2)
    assert max(responses) == pytest.approx(2.4, abs=0.01)
    assert sum(response > 0.201 for response in responses) / len(responses) == pytest.approx(0.22, abs=0.002)
