"""What is periodic posts a word and nothing else; the queue is bounded, and stopping is final."""

import time

import pytest

from campaign.housekeeping import PERIOD_S_MIN, PERIODS_S, QUEUE_MAX, Chore, Housekeeping

HANG_S = 20.0


def periods(housekeeping: Housekeeping) -> dict[str, float]:
    """Seconds between two posts of each chore, as the scheduler has them."""
    return {job.id: job.trigger.interval.total_seconds() for job in housekeeping._scheduler.get_jobs()}


def test_every_chore_has_its_period() -> None:
    """At the planned length of a night the periods are the declared ones."""
    assert periods(Housekeeping(time_scale=1.0)) == {chore.value: PERIODS_S[chore] for chore in Chore}


@pytest.mark.parametrize(("scale", "seconds"), [(0.5, 5.0), (0.1, 1.0), (0.099, 1.0), (0.001, 1.0)])
def test_a_compressed_night_turns_faster_but_never_below_a_second(scale: float, seconds: float) -> None:
    """The resource summary of ten seconds, scaled, at least PERIOD_S_MIN."""
    assert periods(Housekeeping(time_scale=scale))[Chore.RESOURCE_SUMMARY.value] == seconds
    assert min(periods(Housekeeping(time_scale=scale)).values()) >= PERIOD_S_MIN


def test_a_chore_is_due_once_however_often_it_was_posted() -> None:
    """Words that piled up are one chore, in the order of their first post."""
    housekeeping = Housekeeping(time_scale=1.0)
    for chore in (Chore.PROGRESS, Chore.CHECKPOINT, Chore.PROGRESS):
        housekeeping._post(chore)
    assert housekeeping.due() == (Chore.PROGRESS, Chore.CHECKPOINT)
    assert housekeeping.due() == ()


@pytest.mark.parametrize(("posts", "missed"), [(QUEUE_MAX - 1, 0), (QUEUE_MAX, 0), (QUEUE_MAX + 3, 3)])
def test_a_loop_that_does_not_look_misses_chores_and_knows_it(posts: int, missed: int) -> None:
    """The queue is bounded; what does not fit is counted."""
    housekeeping = Housekeeping(time_scale=1.0)
    for _ in range(posts):
        housekeeping._post(Chore.PROGRESS)
    assert housekeeping.missed == missed


def test_stopping_before_starting_does_no_harm() -> None:
    """A night that could not be prepared stops its housekeeping all the same."""
    housekeeping = Housekeeping(time_scale=1.0)
    housekeeping.stop()
    housekeeping.stop()
    assert housekeeping.due() == ()


@pytest.mark.process
def test_chores_are_posted_by_the_clock_until_they_are_stopped() -> None:
    """With the real scheduler: words come, and none after the stop."""
    housekeeping = Housekeeping(time_scale=0.001)
    housekeeping.start()
    try:
        deadline = time.monotonic() + HANG_S
        found: set[Chore] = set()
        while found != set(Chore):
            assert time.monotonic() < deadline, found
            found |= set(housekeeping.due())
            time.sleep(0.01)
    finally:
        housekeeping.stop()
    housekeeping.due()
    time.sleep(1.2 * PERIOD_S_MIN)
    assert housekeeping.due() == ()
    assert housekeeping.missed == 0
