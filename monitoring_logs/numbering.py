"""Who numbered which record, and which numbers are missing: how a reader knows that a record is whole.

Each producer numbers its records from 1 in each life of a run; a life is one start of the recorder, so a run that goes
on after a crash has several. A number is stored in the transaction that stores its record. What a reader does not find
between 1 and the last known number was produced and is not there: nobody knows what it said. Pure; recorder and readers
use it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

NO_LIFE = 0
"""Of records that came before a life was begun (the database could not be opened), and of those that version 1 spilled."""


class Producer(Enum):
    """Who numbers records."""

    SUPERVISOR = "supervisor"  # all that is put, in the order in which it was put
    RECORDER = "recorder"  # the recorder's own events and its last fact


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordNumber:
    """The number of one record."""

    life: int
    producer: Producer
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRange:
    """Numbers that follow each other without a gap, both ends included."""

    life: int
    producer: Producer
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordHole:
    """Records that a producer numbered and that are nowhere, both ends included."""

    life: int
    producer: Producer
    first: int
    last: int

    @property
    def records(self) -> int:
        """How many."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeMissing:
    """A life of the run that left nothing: its database was damaged and set aside, or is gone."""

    life: int


def ranges_of(numbers: Iterable[RecordNumber]) -> tuple[NumberRange, ...]:
    """Single numbers as ranges of one each; ``holes_in`` joins them."""
    return tuple(
        NumberRange(life=number.life, producer=number.producer, first=number.sequence, last=number.sequence)
        for number in numbers
    )


def holes_in(
    ranges: Iterable[NumberRange], *, ends: Iterable[RecordNumber] = (), lives: Iterable[int] = ()
) -> tuple[RecordHole | LifeMissing, ...]:
    """What is missing, by life and producer. Ranges may overlap and repeat each other: a record counts once.

    ends: the last number that a producer is known to have given, stored or not. lives: those that are known to have been.
    Numbers of no life are not looked at: nobody knows what should be there.
    """
    known: dict[tuple[int, Producer], list[tuple[int, int]]] = {}
    for found in ranges:
        if found.life != NO_LIFE:
            known.setdefault((found.life, found.producer), []).append((found.first, found.last))
    for end in ends:
        known.setdefault((end.life, end.producer), []).append((end.sequence + 1, end.sequence))
    seen = {life for life, _ in known} | set(lives)
    missing: list[RecordHole | LifeMissing] = [
        LifeMissing(life=life) for life in range(1, max(seen, default=0)) if life not in seen
    ]
    for (life, producer), spans in sorted(known.items(), key=lambda item: (item[0][0], item[0][1].value)):
        following = 1
        for first, last in sorted(spans):
            if first > following:
                missing.append(RecordHole(life=life, producer=producer, first=following, last=first - 1))
            following = max(following, last + 1)
    return tuple(missing)
