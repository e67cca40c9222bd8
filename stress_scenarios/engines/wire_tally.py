"""What the fast path counts: plain numbers in lists, cheap enough for every single operation.

A Histogram keeps its buckets in a dict and is made for merging; recording into it takes 200 ns, and every operation has
two durations. Here a bucket is an element of a list, which the fast path counts in 40 ns, and once a second the list
becomes a Histogram: the same buckets, the same sums. Runs in worker processes.
"""

from baseline_metrics.load_page import LoadPage
from stress_scenarios.histogram import BUCKETS, Histogram, bucket_of

TABLE_US = 1 << 14
"""Durations below 16 ms find their bucket in a table (128 KiB); a look-up takes 3 ns, the arithmetic 60."""

_NOTHING_YET_US = 1 << 62

BUCKET_OF_US = tuple(bucket_of(value_us) for value_us in range(TABLE_US))


class DenseHistogram:
    """Durations by bucket, to be emptied into a Histogram. The fast path writes the fields itself."""

    __slots__ = ("counts", "max_us", "min_us", "sum_us")

    def __init__(self) -> None:
        self.counts = [0] * BUCKETS
        self.sum_us = 0
        self.min_us = _NOTHING_YET_US
        self.max_us = -1

    def record(self, value_us: int) -> None:
        """Count one duration, microseconds, at least 0."""
        assert value_us >= 0, value_us
        self.counts[BUCKET_OF_US[value_us] if value_us < TABLE_US else bucket_of(value_us)] += 1
        self.sum_us += value_us
        if value_us < self.min_us:  # noqa: PLR1730 - min() and a store take 87 ns, this takes 6
            self.min_us = value_us
        if value_us > self.max_us:  # noqa: PLR1730 - as above
            self.max_us = value_us

    def record_zeros(self, count: int) -> None:
        """Count so many durations of 0."""
        if count:
            self.counts[0] += count
            self.min_us = 0
            self.max_us = max(self.max_us, 0)

    def empty_into(self, *histograms: Histogram) -> None:
        """Move all counts into each of these histograms."""
        if self.max_us < 0:
            return
        first, after = bucket_of(self.min_us), bucket_of(self.max_us) + 1
        part = self.counts[first:after]
        for histogram in histograms:
            histogram.add_counts(first, part, sum_us=self.sum_us, min_us=self.min_us, max_us=self.max_us)
        self.counts[first:after] = [0] * len(part)
        self.sum_us = 0
        self.min_us = _NOTHING_YET_US
        self.max_us = -1


class OperationTally:
    """Counts of one operation of the mix: over the worker's life (as in the page), and durations since the last window.

    prompt: durations of successes whose actual start was the intended one, so that response and service time are equal;
    of the others late_response and late_service. noted: starts whose bytes and lateness were counted where they were made;
    the fast path leaves that to the windows, because its starts are never late and all of the same length.
    """

    __slots__ = (
        "_reported_received",
        "_reported_succeeded",
        "_reported_unnoted",
        "failed",
        "late_response",
        "late_service",
        "noted",
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
        self.started = self.noted = counts.started
        self.succeeded = self._reported_succeeded = counts.succeeded
        self.failed = counts.failed
        self.received = self._reported_received = counts.bytes_received
        self._reported_unnoted = 0
        self.words, self.word_started = page.counters(operation)
        self.word_succeeded = self.word_started + 1
        self.word_failed = self.word_started + 2
        self.word_received = self.word_started + 3
        self.prompt = DenseHistogram()
        self.late_response = DenseHistogram()
        self.late_service = DenseHistogram()

    def count_started(self) -> None:
        """One more operation is sent, and noted otherwise."""
        self.noted += 1
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

    def unnoted_since_last(self) -> int:
        """Starts of the fast path since this was last asked."""
        unnoted = self.started - self.noted
        count = unnoted - self._reported_unnoted
        self._reported_unnoted = unnoted
        return count

    @property
    def service_us(self) -> int:
        """The sum of the service times of successes since the last window."""
        return self.prompt.sum_us + self.late_service.sum_us

    def empty_into(self, *, response: Histogram, service: Histogram) -> None:
        """Move the durations of successes since the last window into these histograms."""
        self.prompt.empty_into(response, service)
        self.late_response.empty_into(response)
        self.late_service.empty_into(service)

    def _count_received(self, bytes_received: int) -> None:
        self.received += bytes_received
        self.words[self.word_received] = self.received
