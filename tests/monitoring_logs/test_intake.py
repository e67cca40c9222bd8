"""The queue: bounded, in batches, acknowledged in order."""

import threading
from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring_logs.intake import Batch, Full, Intake, Taken
from tests.support.sample_records import event_at


def intake(*, records_max: int = 10, batch_records_max: int = 3) -> Intake:
    """An intake that is never late: a batch is due at once."""
    return Intake(records_max=records_max, batch_records_max=batch_records_max, batch_period_s=0.0)


def sequences(batch: Batch) -> list[int]:
    """The numbers of a batch."""
    return [numbered.sequence for numbered in batch.records]


def test_records_are_numbered_and_come_in_batches_of_the_bound() -> None:
    """Four records make a batch of three and one of one, in their order."""
    queue = intake()
    assert [queue.offer(event_at(second)) for second in range(4)] == [Taken(sequence=n) for n in (1, 2, 3, 4)]
    first, second = queue.take(), queue.take()
    assert (sequences(first), first.durable_up_to, first.last) == ([1, 2, 3], 3, False)
    assert (sequences(second), second.durable_up_to, second.last) == ([4], 4, False)


def test_a_full_queue_refuses_the_record_but_numbers_it() -> None:
    """The bound is exact: the tenth is taken, the eleventh is not."""
    queue = intake(records_max=10)
    answers = [queue.offer(event_at(second)) for second in range(11)]
    assert answers[9] == Taken(sequence=10)
    assert answers[10] == Full(sequence=11)
    assert queue.waiting == 10


def test_a_closed_queue_refuses_and_ends_with_a_last_batch() -> None:
    """What was taken before the end still comes out; then the writer may leave."""
    queue = intake()
    queue.offer(event_at(0))
    queue.close()
    assert queue.offer(event_at(1)) == Full(sequence=2)
    batch = queue.take()
    assert (sequences(batch), batch.last) == ([1], True)
    assert queue.take() == Batch(records=(), durable_up_to=2, last=True)


def test_nothing_put_means_nothing_to_wait_for() -> None:
    """An empty record is durable."""
    assert intake().wait_until_durable(0.0)


def test_a_wait_ends_when_its_record_is_acknowledged_and_not_before() -> None:
    """Just below: not durable; at the number: durable."""
    queue = intake()
    for second in range(3):
        queue.offer(event_at(second))
    queue.acknowledge(2)
    assert not queue.wait_until_durable(0.0)
    queue.acknowledge(3)
    assert queue.wait_until_durable(0.0)
    assert queue.durable_sequence == 3


def test_a_wait_ends_at_once_when_a_record_was_lost() -> None:
    """After a loss nothing more is acknowledged, and nobody waits in vain."""
    queue = intake()
    queue.offer(event_at(0))
    queue.break_off()
    queue.acknowledge(1)
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(queue.wait_until_durable(60.0)))
    waiter.start()
    waiter.join(20.0)
    assert answers == [False]
    assert queue.durable_sequence == 0


def test_a_wait_hurries_the_writer() -> None:
    """Somebody who waits makes the batch due, though its period has not passed."""
    queue = Intake(records_max=10, batch_records_max=10, batch_period_s=3600.0)
    queue.offer(event_at(0))
    waiter = threading.Thread(target=queue.wait_until_durable, args=(60.0,))
    waiter.start()
    batch = queue.take()
    queue.acknowledge(batch.durable_up_to)
    waiter.join(20.0)
    assert not waiter.is_alive()


@settings(max_examples=200)
@given(st.lists(st.sampled_from(["offer", "take"]), max_size=60), st.integers(1, 5), st.integers(1, 4))
def test_no_record_is_lost_or_repeated_in_the_queue(acts: list[str], records_max: int, batch_records_max: int) -> None:
    """Whatever the order of offers and takes: each taken record comes out once, in order, and is covered by its batch."""
    queue = intake(records_max=records_max, batch_records_max=batch_records_max)
    expected: deque[int] = deque()
    offered = 0
    for act in acts:
        if act == "offer":
            offered += 1
            answer = queue.offer(event_at(0))
            assert isinstance(answer, Taken) == (len(expected) < records_max)
            if isinstance(answer, Taken):
                expected.append(answer.sequence)
        elif expected:
            batch = queue.take()
            assert sequences(batch) == [expected.popleft() for _ in batch.records]
            assert batch.durable_up_to == (expected[0] - 1 if expected else offered)
