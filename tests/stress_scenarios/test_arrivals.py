"""Intended starts of open models."""

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stress_scenarios.arrivals import (
    BLOCK_ARRIVALS,
    ArrivalCount,
    ArrivalTimes,
    mean_per_s,
    peak_per_s,
    planned_arrivals,
)
from stress_scenarios.load_plan import Arrivals, ConstantRate, Curve, RateShape, ReplayRate, SineRate, Spacing
from tests.stress_scenarios.test_rate_lines import SHAPES

REPLAY = ReplayRate(path="/times.csv", sha256="")


def arrivals(
    shape: RateShape | None = None, *, spacing: Spacing = Spacing.EVEN, part: int = 0, parts: int = 1
) -> Arrivals:
    """An open model of which a test names only what it is about: 10 a second."""
    return Arrivals(
        shape=shape or ConstantRate(per_s=10.0), spacing=spacing, start_within_s=1.0, part=part, parts=parts
    )


def times(
    pace: Arrivals | None = None,
    *,
    load_s: float = 10.0,
    ramp_s: float = 0.0,
    seed: int = 1,
    replayed: Sequence[float] = (),
) -> ArrivalTimes:
    """The arrivals of a model."""
    return ArrivalTimes(
        pace or arrivals(), ramp_s=ramp_s, ramp_curve=Curve.LINEAR, load_s=load_s, seed=seed, replayed=replayed
    )


def walked(source: ArrivalTimes) -> list[float]:
    """All that are left, one after another."""
    found = []
    while source.next_s < math.inf:
        found.append(source.next_s)
        source.advance()
    return found


def test_even_arrivals_lie_in_the_middle_of_their_shares() -> None:
    """Ten a second come at 0.05, 0.15, ... and none at the load's end."""
    found = walked(times(load_s=1.0))
    assert found == pytest.approx([0.05 + 0.1 * number for number in range(10)])


@pytest.mark.parametrize(
    ("load_s", "count"), [(0.049, 0), (0.05, 0), (0.0501, 1), (0.149, 1), (0.151, 2), (3600.0, 36_000)]
)
def test_an_arrival_at_the_end_is_none_any_more(load_s: float, count: int) -> None:
    """Just before the end it is requested, exactly at the end not."""
    assert times(load_s=load_s).requested == count


@settings(deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    parts=st.integers(min_value=1, max_value=5),
    ramp_s=st.sampled_from((0.0, 4.0)),
    spacing=st.sampled_from(Spacing),
    seed=st.integers(min_value=0, max_value=5),
)
def test_counting_agrees_with_walking(shape: RateShape, parts: int, ramp_s: float, spacing: Spacing, seed: int) -> None:
    """Requested and due are what is there, at every arrival's instant, for every part."""
    for part in range(parts):
        source = times(arrivals(shape, spacing=spacing, part=part, parts=parts), load_s=20.0, ramp_s=ramp_s, seed=seed)
        requested = source.requested
        found = walked(source)
        assert len(found) == requested == source.due_by(20.0)
        assert all(earlier <= later for earlier, later in pairwise(found))
        assert all(0.0 <= at_s < 20.0 for at_s in found)
        for number, (at_s, after_s) in enumerate(pairwise(found), 1):
            if after_s - at_s > 1e-3:
                assert source.due_by((at_s + after_s) / 2) == number


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
def test_the_parts_are_the_whole(shape: RateShape) -> None:
    """Workers share the arrivals out: together they make each one exactly once."""
    whole = walked(times(arrivals(shape), ramp_s=3.0))
    shared = [walked(times(arrivals(shape, part=part, parts=3), ramp_s=3.0)) for part in range(3)]
    assert sorted(at_s for part in shared for at_s in part) == pytest.approx(whole)
    assert shared[1] == pytest.approx(whole[1::3])


def test_poisson_arrivals_are_as_many_and_as_uneven_as_they_should_be() -> None:
    """Over 40,000 of them the mean is right to 3 deviations, and the gaps' deviation is as great as their mean."""
    pace = arrivals(ConstantRate(per_s=100.0), spacing=Spacing.POISSON)
    found = walked(times(pace, load_s=400.0, seed=7))
    assert len(found) == pytest.approx(40_000, abs=3 * 200)
    gaps = [later - earlier for earlier, later in pairwise(found)]
    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert deviation == pytest.approx(mean, rel=0.03)
    assert sum(1 for gap in gaps if gap > 3 * mean) / len(gaps) == pytest.approx(math.exp(-3), rel=0.1)


def test_poisson_counts_of_neighbouring_stretches_do_not_know_each_other() -> None:
    """Counts of stretches around a block's end spread like Poisson counts: variance equals mean, within sampling error."""
    counts = []
    for seed in range(300):
        source = times(arrivals(spacing=Spacing.POISSON), load_s=200.0, seed=seed)
        edge_s = BLOCK_ARRIVALS / 10.0
        counts.append(source.due_by(edge_s + 5.0) - source.due_by(edge_s - 5.0))
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / len(counts)
    assert mean == pytest.approx(100.0, abs=3 * 10 / math.sqrt(300))
    assert variance == pytest.approx(100.0, rel=0.3)


def test_poisson_arrivals_follow_seed_and_part_alone() -> None:
    """The same seed makes the same load again; another part or seed another one."""
    first = walked(times(arrivals(spacing=Spacing.POISSON), seed=3))
    assert first == walked(times(arrivals(spacing=Spacing.POISSON), seed=3))
    assert first != walked(times(arrivals(spacing=Spacing.POISSON), seed=4))
    halves = [walked(times(arrivals(spacing=Spacing.POISSON, part=part, parts=2), seed=3)) for part in range(2)]
    assert not set(halves[0]) & set(halves[1])


def test_counting_far_ahead_is_cheap_and_leaves_the_walk_as_it_was() -> None:
    """How many are due at the end does not depend on having walked there, nor the walk on having asked."""
    asked = times(arrivals(ConstantRate(per_s=1000.0), spacing=Spacing.POISSON), load_s=600.0)
    assert asked.due_by(600.0) == asked.requested
    assert asked.due_by(300.0) == pytest.approx(300_000, abs=2000)
    fresh = times(arrivals(ConstantRate(per_s=1000.0), spacing=Spacing.POISSON), load_s=600.0)
    assert [asked.next_s, fresh.next_s] == [fresh.next_s, fresh.next_s]


def test_what_was_not_taken_is_stepped_over() -> None:
    """After a pause the load goes on with what comes next; what lies at the instant itself counts as over."""
    source = times()
    source.advance()
    assert source.skip_to(5.0) == 49
    assert source.next_s == pytest.approx(5.05)
    assert source.skip_to(4.0) == 0
    assert source.next_s == pytest.approx(5.05)
    assert source.due_by(5.0) == 50


def test_a_changed_rate_holds_from_its_instant_on() -> None:
    """The next arrival comes after the rest of its share at the new rate; what came before stays counted."""
    source = times(load_s=10.0)
    source.skip_to(2.0)
    source.set_rate(2.0, 2.0)
    assert source.next_s == pytest.approx(2.25)
    assert source.requested == 20 + 16
    assert source.due_by(4.0) == 24
    source.skip_to(4.0)
    source.set_rate(4.0, 0.0)
    assert (source.next_s, source.requested) == (math.inf, 24)
    source.set_rate(6.0, 100.0)
    assert source.next_s == pytest.approx(6.005)
    assert source.requested == 24 + 400


def test_what_was_not_taken_before_a_change_is_due_at_the_change() -> None:
    """It is not lost, and not earlier than the rate that is now asked for."""
    source = times(load_s=10.0)
    source.set_rate(2.0, 0.0)
    assert walked(source) == pytest.approx([2.0] * 20)


@pytest.mark.parametrize("spacing", list(Spacing))
@pytest.mark.parametrize("parts", [1, 3])
def test_a_changed_rate_is_this_parts_own(spacing: Spacing, parts: int) -> None:
    """Adjust names the rate of one worker."""
    source = times(arrivals(ConstantRate(per_s=30.0), spacing=spacing, parts=parts), load_s=200.0)
    source.set_rate(0.0, 50.0)
    assert source.requested == pytest.approx(10_000, abs=1 if spacing is Spacing.EVEN else 400)


def test_a_replay_comes_at_its_times_until_the_end() -> None:
    """Each worker takes every other time; what lies at the end or beyond is not requested."""
    replayed = (0.0, 0.5, 0.5, 1.5, 9.0, 10.0, 11.0)
    assert walked(times(arrivals(REPLAY), replayed=replayed)) == [0.0, 0.5, 0.5, 1.5, 9.0]
    assert walked(times(arrivals(REPLAY, part=1, parts=2), replayed=replayed)) == [0.5, 1.5]
    source = times(arrivals(REPLAY), replayed=replayed)
    assert (source.requested, source.due_by(0.5), source.due_by(0.49)) == (5, 3, 1)


def test_a_replay_can_be_adjusted_too() -> None:
    """From then on it is an even rate."""
    source = times(arrivals(REPLAY), replayed=(0.0, 1.0, 9.0))
    source.advance()
    source.advance()
    source.set_rate(2.0, 1.0)
    assert walked(source) == pytest.approx([2.5 + number for number in range(8)])
    assert source.requested == 10


def test_the_planner_counts_what_the_workers_make() -> None:
    """The mean of a Poisson load, and within half an arrival the number of an even one."""
    for shape in SHAPES:
        planned = planned_arrivals(shape, ramp_s=5.0, curve=Curve.LINEAR, load_s=30.0)
        made = ArrivalCount(arrivals(shape), ramp_s=5.0, ramp_curve=Curve.LINEAR, load_s=30.0, seed=0).requested
        assert made == pytest.approx(planned, abs=0.51)
    assert planned_arrivals(REPLAY, ramp_s=0.0, curve=Curve.LINEAR, load_s=2.0, replayed=(0.0, 1.0, 2.0)) == 2.0


def test_mean_and_peak_of_a_shape() -> None:
    """Of a wave over whole periods, and of a replay counted."""
    wave = SineRate(mean_per_s=30.0, amplitude_per_s=20.0, period_s=10.0)
    assert mean_per_s(wave, from_s=5.0, until_s=25.0, load_s=60.0) == pytest.approx(30.0)
    assert mean_per_s(wave, from_s=0.0, until_s=5.0, load_s=60.0) == pytest.approx(30.0 + 20.0 * 2 / math.pi, rel=1e-4)
    assert [peak_per_s(shape) for shape in SHAPES] == [10, 50, 50, 80, 80, 80, 50, 100, 100, 40, 50, 40, 40]
    replayed = (0.0, 0.2, 0.9, 1.0, 5.0, 5.5)
    assert peak_per_s(REPLAY, replayed=replayed) == 3.0
    assert mean_per_s(REPLAY, from_s=1.0, until_s=6.0, load_s=10.0, replayed=replayed) == pytest.approx(0.6)
