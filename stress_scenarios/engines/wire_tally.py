"""What the fast path counts: plain numbers in lists, cheap enough for every single operation.

A Histogram keeps its buckets in a dict and is made for merging; recording into it takes 200 ns, and every operation has
two durations. Here a bucket is an element of a list, which the fast path counts in 40 ns, and once a second the list
becomes a Histogram: the same buckets, the same sums. Runs in worker processes.
"""

from baseline_metrics.load_page import LoadPage
from stress_scenarios.histogram import _BUCKETS, Histogram, _bucket_of

TABLE_US = 1 << 14
"""Durations below 16 ms find their bucket in a table (128 KiB); a look-up takes 3 ns, the arithmetic 60."""

_NOTHING_YET_US = 1 << 62

BUCKET_OF_US = tuple(_bucket_of(value_us) for value_us in range(TABLE_US))


class DenseHistogram:
    """Durations by bucket, to be emptied into a Histogram. The fast path writes the fields itself."""

    __slots__ = ("counts", "max_us", "min_us", "sum_us")

    def __init__(self) -> None:
        self.counts = [0] * _BUCKETS
        self.sum_us = 0
        self.min_us = _NOTHING_YET_US
        self.max_us = -1

    def record(self, value_us: int) -> None:
        """Count one duration, microseconds, at least 0."""
        assert value_us >= 0, value_us
        self.counts[BUCKET_OF_US[value_us] if value_us < TABLE_US else _bucket_of(value_us)] += 1
        self.sum_us += value_us
        self.min_us = min(self.min_us, value_us)
        self.max_us = max(self.max_us, value_us)

    def empty_into(self, histogram: Histogram) -> None:
        """Move all counts into this histogram."""
        if self.max_us < 0:
            return
        first, after = _bucket_of(self.min_us), _bucket_of(self.max_us) + 1
        part = self.counts[first:after]
        moved = Histogram()
        # This is the histogram's own second way of recording; it lives here because only the fast path needs it.
        moved._counts = {first + place: count for place, count in enumerate(part) if count}  # noqa: SLF001
        moved._sum_us, moved._min_us, moved._max_us = self.sum_us, self.min_us, self.max_us  # noqa: SLF001
        histogram.merge(moved)
        self.counts[first:after] = [0] * len(part)
        self.sum_us = 0
        self.min_us = _NOTHING_YET_US
        self.max_us = -1


class OperationTally:
    """Counts of one operation of the mix: over the worker's life (as in the page), and durations since the last window.

    prompt: durations of successes whose actual start was the intended one, so that response and service time are equal;
    of the others late_response and late_service.
    """

    __slots__ = (
        "_reported_received",
        "_reported_succeeded",
        "failed",
        "late_response",
        "late_service",
        "operation",
        "prompt",
        "received",
        "started",
        "succeeded",
        "word_failed",
        "word_received",
        "word_started",
        "word_succeeded",
        "words",
    )

    def __init__(self, operation: int, page: LoadPage) -> None:
        self.operation = operation
        counts = page.operation(operation)
        self.started = counts.started
        self.succeeded = self._reported_succeeded = counts.succeeded
        self.failed = counts.failed
        self.received = self._reported_received = counts.bytes_received
        self.words = page._words  # noqa: SLF001 - a call per counter would cost more than all other accounting
        self.word_started = 8 + 4 * operation
        self.word_succeeded = self.word_started + 1
        self.word_failed = self.word_started + 2
        self.word_received = self.word_started + 3
        self.prompt = DenseHistogram()
        self.late_response = DenseHistogram()
        self.late_service = DenseHistogram()

    def count_started(self) -> None:
        """One more operation is sent."""
        self.started += 1
        self.words[self.word_started] = self.started

    def count_succeeded(self, *, service_us: int, late_us: int, bytes_received: int) -> None:
        """One more operation met its expectations, late_us after its intended start plus service_us."""
        self._count_received(bytes_received)
        self.succeeded += 1
        self.words[self.word_succeeded] = self.succeeded
        if late_us:
            self.late_service.record(service_us)
            self.late_response.record(service_us + late_us)
        else:
            self.prompt.record(service_us)

    def count_failed(self, *, bytes_received: int) -> None:
        """One more operation failed."""
        self._count_received(bytes_received)
        self.failed += 1
        self.words[self.word_failed] = self.failed

    def succeeded_since_last(self) -> int:
        """Successes since this was last asked."""
        count = self.succeeded - self._reported_succeeded
        self._reported_succeeded = self.succeeded
        return count

    def received_since_last(self) -> int:
        """Bytes since this was last asked, of failures too."""
        count = self.received - self._reported_received
        self._reported_received = self.received
        return count

    def empty_into(self, *, response: Histogram, service: Histogram) -> None:
        """Move the durations of successes since the last window into these histograms."""
        prompt = Histogram()
        self.prompt.empty_into(prompt)
        response.merge(prompt)
        service.merge(prompt)
        self.late_response.empty_into(response)
        self.late_service.empty_into(service)

    def _count_received(self, bytes_received: int) -> None:
        self.received += bytes_received
        self.words[self.word_received] = self.received
