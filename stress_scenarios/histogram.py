"""Log-linear latency histograms: bounded memory, exact merging, a relative error of at most 0.8 %.

A night has millions of latencies and asks for tails per second, minute and phase. Fixed buckets make merging exact
(addition), so any stretch of the night has true quantiles and never an average of percentiles. Sum, least and greatest
value are kept exactly beside the buckets. Pure; workers record, the recorder and the reporter merge and read.

Values are whole microseconds. Below 256 each has its own bucket; above, each octave has 2^7 buckets. Values beyond one
hour share one overflow bucket: they are clamped and counted, never dropped.
"""

# ruff: noqa: SLF001 - a histogram reads the counts of others of its own class

import base64
import binascii
import math
import zlib
from collections.abc import Iterator, Sequence

from baseline_metrics.samples import Gap, GapReason, Reading, Sample

SUB_BUCKET_BITS = 7
"""2^7 buckets an octave: a bucket is at most 1/128 of its value wide, and its middle at most 0.4 % off."""

VALUE_US_MAX = 3_600_000_000
"""One hour. No operation may last longer, because no timeout may."""

_EXACT_BELOW = 1 << (SUB_BUCKET_BITS + 1)
_OCTAVE_SHIFT = SUB_BUCKET_BITS + 1
_US_PER_S = 1_000_000

_LAST_SHIFT = (VALUE_US_MAX - 1).bit_length() - _OCTAVE_SHIFT
_OVERFLOW = (_LAST_SHIFT << SUB_BUCKET_BITS) + ((VALUE_US_MAX - 1) >> _LAST_SHIFT) + 1
BUCKETS = _OVERFLOW + 1
"""How many buckets there are, empty ones too."""

_FORMAT_VERSION = 1
_VARINT_BYTES_MAX = 10
_PAYLOAD_BYTES_MAX = 1 + 3 * _VARINT_BYTES_MAX + BUCKETS * 2 * _VARINT_BYTES_MAX
"""What the fullest histogram takes before compression (66 KiB); bounds what decoding may inflate."""

_TEXT_CHARACTERS_MAX = 2 * _PAYLOAD_BYTES_MAX
"""Base64 takes 4/3 and incompressible input a little more; anything longer is not ours."""


class HistogramError(ValueError):
    """A value that is no duration, or a text that is no histogram of this version."""


class Histogram:
    """Counts by bucket, with exact count, sum, least and greatest value."""

    __slots__ = ("_counts", "_max_us", "_min_us", "_sum_us")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._sum_us = 0
        self._min_us = 0
        self._max_us = 0

    def record(self, value_us: int) -> None:
        """Count one value in microseconds. Above one hour it counts in the overflow bucket. Raises HistogramError below 0."""
        if value_us < _EXACT_BELOW:
            if value_us < 0:
                raise HistogramError(f"{value_us} us is no duration; the intended start lies after the end")
            index = value_us
        elif value_us < VALUE_US_MAX:
            shift = value_us.bit_length() - _OCTAVE_SHIFT
            index = (shift << SUB_BUCKET_BITS) + (value_us >> shift)
        else:
            index = _OVERFLOW
        counts = self._counts
        if not counts:
            self._min_us = self._max_us = value_us
        elif value_us > self._max_us:
            self._max_us = value_us
        elif value_us < self._min_us:
            self._min_us = value_us
        counts[index] = counts.get(index, 0) + 1
        self._sum_us += value_us

    def record_s(self, seconds: float) -> None:
        """Count one duration in seconds, rounded to the microsecond. Raises HistogramError for negative or not finite ones."""
        try:
            value_us = round(seconds * _US_PER_S)
        except (OverflowError, ValueError) as error:
            raise HistogramError(f"{seconds} s is no duration: {error}") from error
        self.record(value_us)

    def merge(self, other: "Histogram") -> None:
        """Add all of the other's values: exactly as if they had been recorded here."""
        if not other._counts:
            return
        if self._counts:
            self._min_us = min(self._min_us, other._min_us)
            self._max_us = max(self._max_us, other._max_us)
        else:
            self._min_us, self._max_us = other._min_us, other._max_us
        for index, count in other._counts.items():
            self._counts[index] = self._counts.get(index, 0) + count
        self._sum_us += other._sum_us

    def add_counts(self, first: int, counts: Sequence[int], *, sum_us: int, min_us: int, max_us: int) -> None:
        """Add values that were counted elsewhere: counts[i] of them in bucket first + i, at least one of them not 0.

        Buckets are those of bucket_of; sum, least and greatest value are exact.
        """
        assert any(counts), "nothing to add"
        self._min_us = min(self._min_us, min_us) if self._counts else min_us
        self._max_us = max(self._max_us, max_us)
        mine = self._counts
        for index, count in enumerate(counts, first):
            if count:
                mine[index] = mine.get(index, 0) + count
        self._sum_us += sum_us

    @property
    def count(self) -> int:
        """How many values were recorded."""
        return sum(self._counts.values())

    @property
    def overflow_count(self) -> int:
        """How many values lay at one hour or beyond."""
        return self._counts.get(_OVERFLOW, 0)

    @property
    def mean_s(self) -> Reading:
        """The exact mean in seconds; a Gap when nothing was recorded."""
        return Sample(value=self._sum_us / self.count / _US_PER_S) if self._counts else _nothing_recorded()

    @property
    def min_s(self) -> Reading:
        """The exact least value in seconds; a Gap when nothing was recorded."""
        return Sample(value=self._min_us / _US_PER_S) if self._counts else _nothing_recorded()

    @property
    def max_s(self) -> Reading:
        """The exact greatest value in seconds; a Gap when nothing was recorded."""
        return Sample(value=self._max_us / _US_PER_S) if self._counts else _nothing_recorded()

    def quantile(self, q: float) -> Reading:
        """The value in seconds at or below which a share q (0..1) of the values lies; a Gap when nothing was recorded.

        Nearest rank: the value of rank ceil(q * count), at least 1; off by at most 0.4 % (half a bucket).
        """
        assert 0.0 <= q <= 1.0, q
        if not self._counts:
            return _nothing_recorded()
        rank = max(1, math.ceil(q * self.count - 1e-9))
        seen = 0
        for index, count in self.buckets():
            seen += count
            if seen >= rank:
                value_us = min(max(_middle_us(index), self._min_us), self._max_us)
                return Sample(value=value_us / _US_PER_S)
        raise AssertionError("the rank lies within the count")

    def count_above_s(self, seconds: float) -> int:
        """How many values lie above a threshold, to the width of its bucket (0.8 %): its own bucket counts as not above."""
        threshold = bucket_of(round(seconds * _US_PER_S))
        return sum(count for index, count in self._counts.items() if index > threshold)

    def buckets(self) -> Iterator[tuple[int, int]]:
        """Bucket index and count of each bucket that is not empty, in rising order."""
        yield from sorted(self._counts.items())

    def encode(self) -> str:
        """Pack into ASCII text: sparse delta varints, compressed, base64; "" when nothing was recorded."""
        if not self._counts:
            return ""
        payload = bytearray((_FORMAT_VERSION,))
        for number in (self._sum_us, self._min_us, self._max_us):
            _append_varint(payload, number)
        previous = 0
        for index, count in self.buckets():
            _append_varint(payload, index - previous)
            _append_varint(payload, count)
            previous = index
        return base64.b64encode(zlib.compress(bytes(payload), 6)).decode("ascii")

    @classmethod
    def decode(cls, text: str) -> "Histogram":
        """Unpack what encode made. Raises HistogramError for anything else; never inflates more than a histogram can take."""
        histogram = cls()
        if text == "":
            return histogram
        numbers = _read_varints(_unpack(text))
        if len(numbers) < 5 or len(numbers) % 2 == 0:
            raise HistogramError(f"not a histogram: {len(numbers)} numbers, expected three and then pairs")
        histogram._sum_us, histogram._min_us, histogram._max_us = numbers[:3]
        index = 0
        for position in range(3, len(numbers), 2):
            step, count = numbers[position], numbers[position + 1]
            index += step
            if count == 0 or index >= BUCKETS or (step == 0 and position > 3):
                raise HistogramError(f"not a histogram: bucket {index} with count {count}")
            histogram._counts[index] = count
        histogram._check_sums()
        return histogram

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        mine = (self._counts, self._sum_us, self._min_us, self._max_us)
        return mine == (other._counts, other._sum_us, other._min_us, other._max_us)

    __hash__ = None  # type: ignore[assignment]  # it changes with every value

    def _check_sums(self) -> None:
        """Refuse a text whose exact figures contradict its buckets."""
        first, last = min(self._counts), max(self._counts)
        if bucket_of(self._min_us) != first or bucket_of(self._max_us) != last:
            raise HistogramError("not a histogram: least or greatest value outside its bucket")
        count = self.count
        if not count * self._min_us <= self._sum_us <= count * self._max_us:
            raise HistogramError("not a histogram: the sum contradicts count, least and greatest value")


def _nothing_recorded() -> Gap:
    return Gap(reason=GapReason.ABSENT, detail="nothing was recorded")


def bucket_of(value_us: int) -> int:
    """The bucket of a value, at least 0."""
    if value_us >= VALUE_US_MAX:
        return _OVERFLOW
    shift = max(0, value_us.bit_length() - _OCTAVE_SHIFT)
    return (shift << SUB_BUCKET_BITS) + (value_us >> shift)


def _middle_us(index: int) -> float:
    """The middle of a bucket; of the overflow bucket, its lower end."""
    if index < _EXACT_BELOW:
        return float(index)
    if index == _OVERFLOW:
        return float(VALUE_US_MAX)
    shift = (index >> SUB_BUCKET_BITS) - 1
    lowest = (index - (shift << SUB_BUCKET_BITS)) << shift
    return lowest + ((1 << shift) - 1) / 2


def _append_varint(payload: bytearray, number: int) -> None:
    """LEB128: seven bits a byte, low bits first."""
    while number > 0x7F:
        payload.append(number & 0x7F | 0x80)
        number >>= 7
    payload.append(number)


def _unpack(text: str) -> bytes:
    if len(text) > _TEXT_CHARACTERS_MAX:
        raise HistogramError(f"not a histogram: {len(text)} characters, the limit is {_TEXT_CHARACTERS_MAX}")
    inflate = zlib.decompressobj()
    try:
        payload = inflate.decompress(base64.b64decode(text, validate=True), _PAYLOAD_BYTES_MAX)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise HistogramError(f"not a histogram: {error}") from error
    if not inflate.eof or inflate.unused_data or inflate.unconsumed_tail:
        raise HistogramError("not a histogram: cut off, or followed by something else")
    if not payload or payload[0] != _FORMAT_VERSION:
        raise HistogramError(f"not a histogram of format {_FORMAT_VERSION}")
    return payload[1:]


def _read_varints(payload: bytes) -> list[int]:
    numbers: list[int] = []
    number = shift = 0
    for byte in payload:
        number |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            if shift >= 7 * _VARINT_BYTES_MAX:
                raise HistogramError("not a histogram: a number without end")
        else:
            numbers.append(number)
            number = shift = 0
    if shift:
        raise HistogramError("not a histogram: cut off within a number")
    return numbers
