"""Whether the instrument agrees with itself: operations in flight against throughput times service time, minute by minute.

Little's law (L = X R) holds for whatever flows through a system, however it is distributed. L comes from adding up how many
operations are in flight, X R from the sum of the service times of those that ended: two ways of measuring one thing. Where
they part by more than a correct instrument can make them, neither latency is believed.

A service time is counted where the operation ends, its flight while it flies: of those under way at a minute's borders a part
lies on the other side. With b(t) the time that the operations under way at t have flown so far, the sums of a minute from a
to b differ by exactly b(a) - b(b). None of these flights began longer ago than the longest service time, so b(t) is at most the
integral of operations in flight over that long before t, which is in the record. Pure; see phase_checks.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from monitoring_logs.records import LoadSecond

MINUTE_S = 60

STRETCH_S_MIN = 30
"""What is left of a load after its last whole minute belongs to that minute when it is shorter than this."""

DIFFERENCE_SHARE_MAX = 0.10
"""A tenth: what the borders and the readings explain comes on top, so a correct instrument never needs it; a response time that
is a tenth off changes hardly a gate."""

READING_S = 0.0001
"""Flights are added up at every start and end, by clock readings beside those that the service time is made of: a few
microseconds apart, and on a busy host more. Answers much faster than this cannot be checked."""

COMPLETIONS_MIN = 100
"""With fewer operations in a minute, a single odd one makes several percent of it."""

IN_FLIGHT_MIN = 0.05
"""Less than a twentieth of an operation in flight: what is compared is next to nothing, and a single stall is all of it."""

UNTRUSTED_SHARE_MAX = 0.10
"""More seconds than this in minutes that contradict themselves, or that lack a second and cannot be checked, and the load's
latencies decide nothing: the same share as of seconds in which the generator is at its limit."""

CONTRADICTIONS_NAMED_MAX = 5
"""Minutes told one by one; an instrument that is wrong is wrong in each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSecond:
    """One second of all workers. in_flight_s: integral of operations in flight; service_s: sum over those that ended.

    whole: whether all workers are in it.
    """

    second: int
    completed: int
    in_flight_s: float
    service_s: float
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A minute of a load, from 0, in which the mean of operations in flight and throughput times service time part."""

    minute: int
    in_flight_mean: float
    rate_times_service: float

    @property
    def words(self) -> str:
        """For people; minutes from 1."""
        return (
            f"the instrument contradicts itself in minute {self.minute + 1}: {self.in_flight_mean:.3g} operations were in "
            f"flight, {self.rate_times_service:.3g} by rate times service time"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowCheck:
    """What the law says of one load. Seconds are those of the minutes that contradict themselves, or cannot be checked."""

    contradictions: tuple[Contradiction, ...]
    seconds_due: int
    seconds_contradicting: int
    seconds_unchecked: int

    @property
    def trusted(self) -> bool:
        """Whether latencies may decide."""
        untrusted = self.seconds_contradicting + self.seconds_unchecked
        return untrusted <= UNTRUSTED_SHARE_MAX * self.seconds_due + 1e-9

    @property
    def words(self) -> str:
        """Why they may not."""
        if self.contradictions:
            return self.contradictions[0].words
        return f"whether the instrument agrees with itself is not known in {self.seconds_unchecked} of {self.seconds_due} s"


def flow_seconds(seconds: Iterable[LoadSecond]) -> tuple[FlowSecond, ...]:
    """What the law needs of a segment's seconds; nothing of a record of schema version 1, which has no flights."""
    rows = {row.second: row for row in seconds if row.workers > 0}
    workers = max((row.workers for row in rows.values()), default=0)
    return tuple(
        FlowSecond(
            second=number,
            completed=row.succeeded + row.failed,
            in_flight_s=row.in_flight_s,
            service_s=row.service_s_sum,
            whole=row.workers == workers,
        )
        for number, row in sorted(rows.items())
    )


def flow_check(seconds: Iterable[FlowSecond], *, due: int, abandoned: int, service_s_max: float) -> FlowCheck:
    """Check the minutes of a load that must have left ``due`` seconds. Without any flight in the record there is nothing to say.

    abandoned: operations that never ended, and so are in no service time. service_s_max: of all operations of the load.
    """
    rows = {row.second: row for row in seconds if row.whole}
    found: list[Contradiction] = []
    contradicting = unchecked = 0
    for minute, (start, end) in enumerate(_stretches(due) if rows else ()):
        stretch = _Stretch(rows=rows, start=start, end=end, before=math.ceil(service_s_max))
        if not stretch.is_whole:
            unchecked += end - start
        elif stretch.is_contradictory(abandoned):
            contradicting += end - start
            found.append(
                Contradiction(
                    minute=minute,
                    in_flight_mean=stretch.in_flight_s / (end - start),
                    rate_times_service=stretch.service_s / (end - start),
                )
            )
    return FlowCheck(
        contradictions=tuple(found[:CONTRADICTIONS_NAMED_MAX]),
        seconds_due=due,
        seconds_contradicting=contradicting,
        seconds_unchecked=unchecked,
    )


def _stretches(due: int) -> list[tuple[int, int]]:
    """Minutes; the last one is up to half a minute longer, or a load shorter than that as a whole. None of less than 1 s."""
    if due <= 0:
        return []
    starts = list(range(0, due, MINUTE_S))
    if len(starts) > 1 and due - starts[-1] < STRETCH_S_MIN:
        starts.pop()
    return list(zip(starts, [*starts[1:], due], strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """Seconds start..end - 1 of a load. before: so many seconds before a border may hold a flight that crosses it."""

    rows: Mapping[int, FlowSecond]
    start: int
    end: int
    before: int

    @property
    def is_whole(self) -> bool:
        """Whether each of its seconds, and those before its borders, are there."""
        return all(second in self.rows for second in range(max(0, self.start - self.before), self.end))

    @property
    def in_flight_s(self) -> float:
        return math.fsum(self.rows[second].in_flight_s for second in range(self.start, self.end))

    @property
    def service_s(self) -> float:
        return math.fsum(self.rows[second].service_s for second in range(self.start, self.end))

    def is_contradictory(self, abandoned: int) -> bool:
        length_s = self.end - self.start
        in_flight_s, service_s = self.in_flight_s, self.service_s
        completed = sum(self.rows[second].completed for second in range(self.start, self.end))
        if completed < COMPLETIONS_MIN or max(in_flight_s, service_s) < IN_FLIGHT_MIN * length_s:
            return False
        allowed_s = DIFFERENCE_SHARE_MAX * in_flight_s + READING_S * completed
        if service_s > in_flight_s:
            return service_s - in_flight_s > allowed_s + self._flown_s_max(self.start)
        return in_flight_s - service_s > allowed_s + self._flown_s_max(self.end) + abandoned * length_s

    def _flown_s_max(self, border: int) -> float:
        """How long the operations under way at a border can have flown so far, all together."""
        return math.fsum(self.rows[second].in_flight_s for second in range(max(0, border - self.before), border))
