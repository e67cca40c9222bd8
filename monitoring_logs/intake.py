"""The bounded queue between the producers of records and the one thread that writes them.

Producers never wait: a record is numbered and taken, or refused because the queue is full. The writer takes batches,
and acknowledges a number when everything up to it is durable; whoever needs to know waits for that. The supervisor's
threads and the recorder's thread meet here.
"""

import threading
from collections import deque
from dataclasses import dataclass

from monitoring_logs.numbering import Producer
from monitoring_logs.rows import Record

IDLE_S = 1.0
"""How long the writer sleeps at most when nothing comes: its periodic work looks at the time that often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """A record with its place in the order of all records that its producer ever put, from 1."""

    sequence: int
    record: Record
    producer: Producer = Producer.SUPERVISOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The record is in the queue."""

    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """The queue takes no more, or is closed: the caller has to put the record elsewhere."""

    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What the writer does next. durable_up_to: the number to acknowledge when these records are durable.

    last: the queue is closed and empty, nothing will follow.
    """

    records: tuple[Numbered, ...]
    durable_up_to: int
    last: bool


class Intake:
    """The queue. records_max: its bound. batch_records_max, batch_period_s: whichever comes first makes a batch."""

    def __init__(self, *, records_max: int, batch_records_max: int, batch_period_s: float) -> None:
        assert records_max > 0
        assert batch_records_max > 0
        self._records_max = records_max
        self._batch_records_max = batch_records_max
        self._batch_period_s = batch_period_s
        self._changed = threading.Condition()
        self._waiting: deque[Numbered] = deque()
        self._sequence = 0
        self._durable = 0
        self._urgent = False
        self._closed = False
        self._broken = False

    def offer(self, record: Record) -> Taken | Full:
        """Number the record and take it, without waiting."""
        with self._changed:
            self._sequence += 1
            if self._closed or len(self._waiting) >= self._records_max:
                return Full(sequence=self._sequence)
            self._waiting.append(Numbered(sequence=self._sequence, record=record))
            if len(self._waiting) == 1 or len(self._waiting) >= self._batch_records_max:
                self._changed.notify_all()
            return Taken(sequence=self._sequence)

    def take(self) -> Batch:
        """Wait until a batch is due, at most IDLE_S for its first record and a batch period for the others."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._urgent or self._closed, IDLE_S)
            if self._waiting:
                self._changed.wait_for(self._due, self._batch_period_s)
            count = min(len(self._waiting), self._batch_records_max)
            records = tuple(self._waiting.popleft() for _ in range(count))
            if not self._waiting:
                self._urgent = False
            # What was refused lies between the queued numbers and was written by its producer before it got here.
            durable_up_to = self._waiting[0].sequence - 1 if self._waiting else self._sequence
            return Batch(records=records, durable_up_to=durable_up_to, last=self._closed and not self._waiting)

    def acknowledge(self, sequence: int) -> None:
        """Everything up to this number is durable. Has no effect after break_off."""
        with self._changed:
            if not self._broken:
                self._durable = max(self._durable, sequence)
            self._changed.notify_all()

    def break_off(self) -> None:
        """A record was lost: nothing from here on is acknowledged, and nobody waits for it any more."""
        with self._changed:
            self._broken = True
            self._changed.notify_all()

    def wait_until_durable(self, timeout_s: float) -> bool:
        """Whether everything offered before this call is durable, waiting for it at most that long."""
        with self._changed:
            sequence = self._sequence
            self._urgent = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._durable >= sequence or self._broken, timeout_s)
            return self._durable >= sequence

    def close(self) -> None:
        """Take nothing more; the writer gets what is in the queue, then a batch that is marked last."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """Records in the queue."""
        with self._changed:
            return len(self._waiting)

    @property
    def last_sequence(self) -> int:
        """The number that was given last."""
        with self._changed:
            return self._sequence

    @property
    def durable_sequence(self) -> int:
        """Everything up to this number is durable."""
        with self._changed:
            return self._durable

    def _due(self) -> bool:
        return len(self._waiting) >= self._batch_records_max or self._urgent or self._closed
