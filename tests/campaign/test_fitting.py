"""The arithmetic under the planner: operations of a load, the time they take, parts shrunk together."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.fitting import (
    SAMPLES_NEEDED,
    DoesNotFit,
    Fitted,
    Part,
    Ramp,
    duration_for,
    fit,
)
from campaign.planned_load import PlannedLoad
from stress_scenarios.load_plan import (
    Arrivals,
    ConstantRate,
    Curve,
    LoadOrder,
    Paced,
    RampRate,
    SineRate,
    Spacing,
    TargetSpec,
)
from stress_scenarios.pacing import RequestedCount, operations_requested

RATES = st.floats(0.05, 50, allow_nan=False).map(lambda x: round(x, 3))
SHAPES = st.one_of(
    st.builds(ConstantRate, per_s=RATES),
    st.builds(
        RampRate, from_per_s=RATES, to_per_s=RATES, over_s=st.sampled_from([0.0, 60.0]), curve=st.sampled_from(Curve)
    ),
    st.builds(SineRate, mean_per_s=st.just(40.0), amplitude_per_s=RATES.map(lambda x: x / 2), period_s=st.just(30.0)),
)
PACES = st.one_of(
    st.builds(Paced, operations_per_s=RATES),
    st.builds(
        Arrivals,
        shape=SHAPES,
        spacing=st.just(Spacing.EVEN),
        start_within_s=st.just(1.0),
        part=st.just(0),
        parts=st.just(1),
    ),
)
LOADS = st.builds(
    PlannedLoad,
    connections=st.integers(1, 60),
    pace=PACES,
    curve=st.sampled_from(Curve),
    written_s=st.just(120.0),
    response_s_mean_max=st.just(1.0),
)
RAMPS = st.builds(Ramp, share=st.sampled_from([0.0, 0.1, 0.25, 0.5]), longest_s=st.sampled_from([0.5, 5.0, 60.0]))


def paced(connections: int, operations_per_s: float) -> PlannedLoad:
    """A closed load at a pace."""
    return PlannedLoad(
        connections=connections,
        pace=Paced(operations_per_s=operations_per_s),
        curve=Curve.LINEAR,
        written_s=600.0,
        response_s_mean_max=1.0,
    )


def requested(load: PlannedLoad, *, ramp_s: float, hold_s: float) -> int:
    """What the load processes will call requested."""
    order = LoadOrder(
        segment=0,
        target=TargetSpec(name="t", url="http://t", address="127.0.0.1", port=80, headers=(), ca_file=""),
        operations=(),
        connections=load.connections,
        connection_offset=0,
        connections_total=load.connections,
        operations_per_session=1,
        pace=load.pace_in(ramp_s + hold_s),
        ramp_s=ramp_s,
        hold_s=hold_s,
        drain_s=1.0,
        response_bytes_max=1,
        seed=1,
        ramp_curve=load.curve,
    )
    count = operations_requested(order)
    assert isinstance(count, RequestedCount)
    return count.operations


@given(load=LOADS, ramp_s=st.integers(0, 60), hold_s=st.integers(1, 600))
def test_the_planner_counts_as_the_load_processes_do(load: PlannedLoad, ramp_s: int, hold_s: int) -> None:
    """Else a plan would promise operations that nobody requests."""
    expected = load.operations(ramp_s=float(ramp_s), duration_s=float(ramp_s + hold_s))

    assert expected == requested(load, ramp_s=float(ramp_s), hold_s=float(hold_s))


@pytest.mark.parametrize(
    ("connections", "pace", "ramp_s", "duration_s", "operations"),
    [
        (1, 1.0, 0.0, 1.0, 1),  # the end itself is no start any more
        (1, 1.0, 0.0, 1.1, 2),
        (3, 1.0, 0.0, 6.2, 21),
        (2, 1.0, 1.0, 10.0, 20),  # the second starts half a second later, and still has ten starts
        (2, 2.0, 1.0, 10.0, 39),
        (1, 0.1, 0.0, 5.0, 1),
    ],
)
def test_expected_operations(connections: int, pace: float, ramp_s: float, duration_s: float, operations: int) -> None:
    """Counted by hand."""
    assert paced(connections, pace).operations(ramp_s=ramp_s, duration_s=duration_s) == operations


@given(connections=st.integers(1, 60), pace=RATES, ramp=RAMPS, operations=st.integers(1, 300))
def test_the_shortest_duration_is_the_shortest(connections: int, pace: float, ramp: Ramp, operations: int) -> None:
    """It makes enough operations, and a tenth of a second less would not."""
    load = paced(connections, pace)
    duration_s = duration_for(load, ramp, operations=operations)

    assert load.operations(ramp_s=ramp.of(duration_s), duration_s=duration_s) >= operations
    shorter_s = round(duration_s - 0.1, 1)
    if shorter_s > 0:
        assert load.operations(ramp_s=ramp.of(shorter_s), duration_s=shorter_s) < operations


def test_two_connections_at_one_per_second_need_fifteen_seconds() -> None:
    """The default anchor's arithmetic: 30 operations, the ramp included."""
    load = paced(2, 1.0)

    assert duration_for(load, Ramp(share=0.0, longest_s=60.0), operations=SAMPLES_NEEDED) == 14.1
    assert duration_for(load, Ramp(share=0.1, longest_s=60.0), operations=SAMPLES_NEEDED) == 14.8


PARTS = st.lists(
    st.builds(
        Part,
        count=st.integers(0, 9),
        wanted_s=st.floats(0, 5000).map(lambda x: round(x, 1)),
        floor_s=st.floats(0, 300).map(lambda x: round(x, 1)),
    ),
    min_size=1,
    max_size=12,
).map(tuple)


@given(parts=PARTS, available_s=st.floats(0, 20_000))
def test_parts_fit_or_their_floors_do_not(parts: tuple[Part, ...], available_s: float) -> None:
    """The sum is within the time, no part is below its floor or stretched, and refusals are true."""
    fitted = fit(parts, available_s=available_s)

    if isinstance(fitted, DoesNotFit):
        assert sum(part.count * part.floor_s for part in parts) > available_s
        return
    assert isinstance(fitted, Fitted)
    total_s = sum(part.count * length_s for part, length_s in zip(parts, fitted.durations_s, strict=True))
    assert total_s <= available_s + 1e-6
    for part, length_s in zip(parts, fitted.durations_s, strict=True):
        assert part.floor_s <= length_s <= max(part.floor_s, part.wanted_s) + 1e-9


@given(parts=PARTS, available_s=st.floats(0, 20_000))
def test_no_time_is_given_away(parts: tuple[Part, ...], available_s: float) -> None:
    """What is left over is less than the steps of the durations, unless everything has what it wants."""
    fitted = fit(parts, available_s=available_s)
    if isinstance(fitted, DoesNotFit) or fitted.factor >= 1.0:
        return
    total_s = sum(part.count * length_s for part, length_s in zip(parts, fitted.durations_s, strict=True))
    steps_s = 0.1 * sum(part.count for part in parts)
    stretchable = [part for part in parts if part.count and part.wanted_s > part.floor_s]

    if stretchable:
        assert available_s - total_s <= steps_s + 1e-6


def test_what_floors_take_the_others_give_up_in_proportion() -> None:
    """Ten parts in a tenth of their time; the small one keeps its floor."""
    parts = (
        Part(count=1, wanted_s=100.0, floor_s=20.0),
        Part(count=1, wanted_s=300.0, floor_s=0.0),
        Part(count=1, wanted_s=600.0, floor_s=0.0),
    )
    fitted = fit(parts, available_s=110.0)

    assert isinstance(fitted, Fitted)
    assert fitted.durations_s == (20.0, 30.0, 60.0)
    assert math.isclose(fitted.factor, 0.1)
