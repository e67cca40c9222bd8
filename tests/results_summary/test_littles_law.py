"""Little's law: correct instruments keep it, broken ones are found, and less evidence is never more trust."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from monitoring_logs.records import GateKind
from results_summary.assessment import assess
from results_summary.findings import State
from results_summary.littles_law import FlowCheck, FlowSecond, flow_check, flow_seconds
from tests.results_summary.load_seconds import load_second, with_seconds
from tests.support.night import Night, Phase, make_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """One operation, from its actual start to its end, seconds after the load's start."""

    start_s: float
    end_s: float


def exactly(flights: list[Flight], due: int) -> list[float]:
    """The integral of operations in flight within each second."""
    integral = [0.0] * due
    for flight in flights:
        for second in range(int(flight.start_s), min(due, math.ceil(flight.end_s))):
            integral[second] += max(0.0, min(flight.end_s, second + 1) - max(flight.start_s, second))
    return integral


def read_late(flights: list[Flight], due: int) -> list[float]:
    """The same by a clock that is read 0.1 ms after each end."""
    return exactly([replace(flight, end_s=flight.end_s + 1e-4) for flight in flights], due)


def seconds_of(
    flights: list[Flight], due: int, *, integral: Callable[[list[Flight], int], list[float]] = exactly
) -> list[FlowSecond]:
    """What an instrument writes down of these operations."""
    in_flight = integral(flights, due)
    completed, service = [0] * due, [0.0] * due
    for flight in flights:
        if flight.end_s < due:
            completed[int(flight.end_s)] += 1
            service[int(flight.end_s)] += flight.end_s - flight.start_s
    return [
        FlowSecond(
            second=second,
            completed=completed[second],
            in_flight_s=in_flight[second],
            service_s=service[second],
            whole=True,
        )
        for second in range(due)
    ]


def checked(seconds: list[FlowSecond], flights: list[Flight], *, due: int, abandoned: int = 0) -> FlowCheck:
    """The check of a load whose longest operation is known."""
    ended = [flight.end_s - flight.start_s for flight in flights if flight.end_s < due]
    return flow_check(seconds, due=due, abandoned=abandoned, service_s_max=max(ended, default=0.0))


def steady(chance: random.Random, *, due: int, per_s: float, mean_s: float, spread: float = 1.0) -> list[Flight]:
    """Arrivals at random, service times far from even: their logarithms have this standard deviation."""
    flights, at_s = [], 0.0
    while at_s < due:
        flights.append(Flight(start_s=at_s, end_s=at_s + mean_s * chance.lognormvariate(-(spread**2) / 2, spread)))
        at_s += chance.expovariate(per_s)
    return flights


def in_step(_: random.Random, *, due: int, per_s: float, mean_s: float) -> list[Flight]:
    """A grid of starts, and each operation as long as the others."""
    return [
        Flight(start_s=number / per_s + 1e-4, end_s=number / per_s + 1e-4 + mean_s)
        for number in range(int(due * per_s))
    ]


def stalling(_: random.Random, *, due: int, per_s: float, mean_s: float) -> list[Flight]:
    """A server that stalls for 2 s in every 10 s, the last of them at the border of each minute."""
    flights = []
    for number in range(int(due * per_s)):
        start_s = number / per_s
        stall = math.floor((start_s + 1.0) / 10.0) * 10.0 - 1.0
        end_s = stall + 2.0 + mean_s if stall <= start_s < stall + 2.0 else start_s + mean_s
        flights.append(Flight(start_s=start_s, end_s=end_s))
    return flights


def long_ones(chance: random.Random, *, due: int, per_s: float, mean_s: float) -> list[Flight]:
    """Short operations with a burst of very long ones across each minute's border."""
    flights = steady(chance, due=due, per_s=per_s, mean_s=mean_s)
    for border in range(60, due, 60):
        flights.extend(Flight(start_s=border - 20.0 - chance.random(), end_s=border + 10.0) for _ in range(40))
    return flights


@pytest.mark.parametrize("integral", [exactly, read_late])
@pytest.mark.parametrize("shape", [steady, in_step, stalling, long_ones])
@pytest.mark.parametrize(("per_s", "mean_s"), [(50.0, 0.002), (100.0, 0.015), (20.0, 0.2), (5.0, 3.0)])
def test_a_correct_instrument_keeps_the_law(
    integral: Callable[[list[Flight], int], list[float]],
    shape: Callable[..., list[Flight]],
    per_s: float,
    mean_s: float,
) -> None:
    """Whatever the target does, at the borders of minutes too, and with a clock that is read beside the other."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    due = 150
    flights = shape(random.Random(seed), due=due, per_s=per_s, mean_s=mean_s)
    check = checked(seconds_of(flights, due, integral=integral), flights, due=due)
    assert check.contradictions == ()
    assert check.trusted


def test_flights_that_never_end_are_no_contradiction() -> None:
    """A target that takes connections and never answers: they fly all the time, are given up, and are in no service time."""
    flights = steady(random.Random(1), due=120, per_s=20.0, mean_s=0.05)
    mute = [Flight(start_s=1.0, end_s=1e9) for _ in range(8)]
    seconds = seconds_of([*flights, *mute], 120)
    assert checked(seconds, flights, due=120, abandoned=8).trusted
    assert not checked(seconds, flights, due=120, abandoned=0).trusted


BROKEN: dict[str, Callable[[FlowSecond], FlowSecond]] = {
    "half of each service time": lambda row: replace(row, service_s=0.5 * row.service_s),
    "a third too much": lambda row: replace(row, service_s=1.33 * row.service_s),
    "failures forgotten": lambda row: replace(row, service_s=0.7 * row.service_s),
    "nothing in flight": lambda row: replace(row, in_flight_s=0.0),
    "no service times": lambda row: replace(row, service_s=0.0),
    "flights counted twice": lambda row: replace(row, in_flight_s=2.0 * row.in_flight_s),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_instrument_is_found(fault: str) -> None:
    """In each of its minutes, with the figures that part. Service times of many seconds would hide a third at the borders."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    flights = steady(random.Random(seed), due=150, per_s=20.0, mean_s=0.2, spread=0.5)
    seconds = [BROKEN[fault](row) for row in seconds_of(flights, 150)]
    check = checked(seconds, flights, due=150)
    assert [found.minute for found in check.contradictions] == [0, 1, 2]
    assert not check.trusted
    assert check.words.startswith("the instrument contradicts itself in minute 1: ")


@pytest.mark.parametrize(("excess", "trusted"), [(1.099, True), (1.101, False), (0.901, True), (0.899, False)])
def test_the_tolerance_is_a_tenth_beyond_what_readings_and_borders_explain(*, excess: float, trusted: bool) -> None:
    """At 2 in flight and 10 operations/s of 200 ms the readings explain 0.001 more; the border at the end 2 s of 60 s."""
    rows = [
        FlowSecond(
            second=second,
            completed=10,
            in_flight_s=2.0,
            service_s=2.0 * excess + math.copysign(0.001, excess - 1),
            whole=True,
        )
        for second in range(60)
    ]
    beyond_border = 0.0 if excess > 1 else 2.0 / 60  # the first border has nothing before it, the last one has
    rows = [replace(row, service_s=row.service_s - beyond_border) for row in rows]
    assert flow_check(rows, due=60, abandoned=0, service_s_max=0.2).trusted is trusted


@pytest.mark.parametrize(
    ("completed", "in_flight_s", "trusted"), [(99, 60.0, True), (100, 60.0, False), (100, 2.9, True)]
)
def test_without_enough_evidence_nothing_is_said(*, completed: int, in_flight_s: float, trusted: bool) -> None:
    """Fewer than 100 operations, or less than a twentieth of one in flight, contradict nothing."""
    rows = [
        FlowSecond(
            second=second,
            completed=completed // 60 + (1 if second < completed % 60 else 0),
            in_flight_s=in_flight_s / 60,
            service_s=0.0,
            whole=True,
        )
        for second in range(60)
    ]
    # nothing but the border and the readings may explain it
    assert flow_check(rows, due=60, abandoned=0, service_s_max=0.0).trusted is trusted


def test_a_minute_that_lacks_a_second_is_not_trusted() -> None:
    """One of four minutes is too much of a load; so is a second that lacks a worker, one before its border, and the first."""
    flights = steady(random.Random(3), due=240, per_s=20.0, mean_s=0.2)
    seconds = seconds_of(flights, 240)
    assert checked(seconds, flights, due=240).trusted
    torn = checked([row for row in seconds if row.second != 100], flights, due=240)
    assert not torn.trusted
    assert torn.words == "whether the instrument agrees with itself is not known in 60 of 240 s"
    lacking = [replace(row, whole=row.second != 59) for row in seconds]
    assert checked(lacking, flights, due=240).seconds_unchecked == 120


def test_one_bad_minute_of_many_is_told_and_decides_nothing() -> None:
    """Up to a tenth of a long load may be wrong without taking its latencies away."""
    flights = steady(random.Random(4), due=660, per_s=20.0, mean_s=0.2)
    seconds = seconds_of(flights, 660)

    def spoiled(*minutes: int) -> FlowCheck:
        return checked(
            [replace(row, service_s=0.0) if row.second // 60 in minutes else row for row in seconds], flights, due=660
        )

    one, two = spoiled(4), spoiled(4, 7)
    assert [found.minute for found in one.contradictions] == [4]
    assert one.trusted
    assert not two.trusted


@pytest.mark.parametrize(("due", "lengths"), [(20, [20]), (60, [60]), (89, [89]), (90, [60, 30]), (150, [60, 60, 30])])
def test_what_is_left_of_a_load_belongs_to_its_last_minute(due: int, lengths: list[int]) -> None:
    """Half a minute stands on its own, less does not."""
    rows = [
        FlowSecond(second=second, completed=100, in_flight_s=10.0, service_s=100.0, whole=True) for second in range(due)
    ]
    check = flow_check(rows, due=due, abandoned=0, service_s_max=1.0)
    assert [found.minute for found in check.contradictions] == list(range(len(lengths)))
    assert check.seconds_contradicting == sum(lengths) == due


def test_an_older_record_is_not_checked() -> None:
    """Schema version 1 stored no flights: that is no contradiction."""
    seconds = flow_seconds([load_second(second, workers=0, succeeded=50) for second in range(60)])
    assert seconds == ()
    assert flow_check(seconds, due=60, abandoned=0, service_s_max=0.1).trusted


def test_a_contradiction_takes_the_latency_gates_only() -> None:
    """Counts are believed, response times are not."""
    facts = make_facts(Night(phases=(Phase(per_s=20.0, response_s=0.3, hold_s=30.0),), p99_max_s=1.0))
    segment = facts.segments[1]
    for factor, state in ((1.0, State.PASS), (2.0, State.UNKNOWN)):
        rows = tuple(
            replace(row, workers=1, generator_cpu_s_max=0.1, in_flight_s=12.0, service_s_sum=12.0 * factor)
            for row in segment.seconds
        )
        assessment = assess(with_seconds(facts, 1, rows))
        answers = {result.spec.kind: result for result in assessment.results if result.spec.phase == 0}
        assert answers[GateKind.PHASE_RESPONSE].state is state
        assert answers[GateKind.PHASE_RESPONSE_P99].state is state
        assert answers[GateKind.PHASE_SUCCESS].state is State.PASS
        assert answers[GateKind.PHASE_ACHIEVED].state is State.PASS
        if state is State.UNKNOWN:
            assert "contradicts itself in minute 1: 12 operations were in flight, 24" in (
                answers[GateKind.PHASE_RESPONSE].detail
            )


def test_fewer_seconds_are_never_more_trust() -> None:
    """Of random loads, right and wrong ones: what is not trusted with all its seconds is not trusted with some of them."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(60):
        due = chance.choice([20, 70, 130, 400])
        flights = steady(chance, due=due, per_s=10.0, mean_s=chance.choice([0.05, 0.5, 2.0]))
        wrong = chance.choice([1.0, 0.8, 0.5])
        seconds = [
            replace(row, service_s=wrong * row.service_s) if chance.random() < 0.7 else row
            for row in seconds_of(flights, due)
        ]
        whole = checked(seconds, flights, due=due)
        less = checked([row for row in seconds if chance.random() < 0.99], flights, due=due)
        assert whole.trusted or not less.trusted
