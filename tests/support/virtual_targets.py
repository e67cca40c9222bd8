"""Targets of known capacity in virtual time, second by second, for searches: a queue, a contended processor, a cliff.

Each answers a rate with the figures of one second and knows the highest rate that meets the criteria for good.
"""

import heapq
import math
import random
from dataclasses import dataclass
from typing import Protocol

from stress_scenarios.step_judgement import SearchCriteria, SecondFigures

HICCUP_S = 2.0


class VirtualTarget(Protocol):
    """What a search is let loose on."""

    def second(self, per_s: float) -> SecondFigures:
        """One more second at this rate."""
        ...


@dataclass(slots=True)
class _Arrivals:
    """Evenly spaced arrivals: whole numbers of them, with nothing lost between two seconds."""

    left: float = 0.0

    def next_second(self, per_s: float) -> int:
        self.left += per_s
        whole = math.floor(self.left)
        self.left -= whole
        return whole


class Queue:
    """Servers with exponential service times and one queue, event by event: M/M/c but for its even arrivals."""

    def __init__(self, *, servers: int, service_s: float, criteria: SearchCriteria, chance: random.Random) -> None:
        self._service_per_s = 1.0 / service_s
        self._limit_s = criteria.response_s_p99_max
        self._chance = chance
        self._free = [0.0] * servers
        self._ends: list[tuple[float, float]] = []
        self._arrivals = _Arrivals()
        self._now_s = 0.0
        self._backlog = 0

    def second(self, per_s: float) -> SecondFigures:
        """Arrivals wait for the first server that is free."""
        due = self._arrivals.next_second(per_s)
        for index in range(due):
            arrival = self._now_s + (index + 0.5) / due
            end = max(arrival, self._free[0]) + self._chance.expovariate(self._service_per_s)
            heapq.heapreplace(self._free, end)
            heapq.heappush(self._ends, (end, end - arrival))
        self._now_s += 1.0
        responses = []
        while self._ends and self._ends[0][0] <= self._now_s:
            responses.append(heapq.heappop(self._ends)[1])
        self._backlog += due - len(responses)
        return SecondFigures(
            due=due,
            dropped=0,
            succeeded=len(responses),
            failed=0,
            response_s_sum=sum(responses),
            response_above=sum(response > self._limit_s > 0 for response in responses),
            backlog=self._backlog,
        )


class Processor:
    """A contended processor: service_s / (1 - load) on average, scattered, and what exceeds its capacity piles up.

    hiccups: the share of seconds in which everything takes HICCUP_S longer.
    """

    def __init__(self, *, capacity_per_s: float, service_s: float, hiccups: float, chance: random.Random) -> None:
        self._capacity_per_s = capacity_per_s
        self._service_s = service_s
        self._hiccups = hiccups
        self._chance = chance
        self._arrivals = _Arrivals()
        self._waiting = 0.0

    def truth_per_s(self, criteria: SearchCriteria) -> float:
        """The rate at which the mean response reaches its limit."""
        return self._capacity_per_s * (1.0 - self._service_s / criteria.response_s_mean_max)

    def second(self, per_s: float) -> SecondFigures:
        """What the capacity leaves waiting is answered later."""
        due = self._arrivals.next_second(per_s)
        hiccup_s = HICCUP_S if self._chance.random() < self._hiccups else 0.0
        done = round(min(self._waiting + due, self._capacity_per_s))
        self._waiting += due - done
        load = min(0.98, per_s / self._capacity_per_s)
        noise = self._chance.gauss(1.0, 1.0 / math.sqrt(max(1.0, due)))
        mean_s = self._service_s / (1.0 - load) * max(0.1, noise) + self._waiting / self._capacity_per_s + hiccup_s
        return SecondFigures(
            due=due,
            dropped=0,
            succeeded=done,
            failed=0,
            response_s_sum=mean_s * done,
            response_above=0,
            backlog=round(self._waiting + per_s * self._service_s / (1.0 - load)),
        )


class Cliff:
    """Answers everything at once up to a rate, and fails this share of what it gets at any higher one."""

    def __init__(self, *, edge_per_s: float, failing: float, chance: random.Random) -> None:
        self._edge_per_s = edge_per_s
        self._failing = failing
        self._chance = chance
        self._arrivals = _Arrivals()

    def second(self, per_s: float) -> SecondFigures:
        """Nothing ever waits."""
        due = self._arrivals.next_second(per_s)
        expected = due * self._failing if per_s > self._edge_per_s else 0.0
        failed = min(due, max(0, round(self._chance.gauss(expected, math.sqrt(expected)))))
        return SecondFigures(
            due=due,
            dropped=0,
            succeeded=due - failed,
            failed=failed,
            response_s_sum=0.01 * (due - failed),
            response_above=0,
            backlog=0,
        )
