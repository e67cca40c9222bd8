"""A load that is split among workers is still the load that was asked for."""

import dataclasses

import pytest

from stress_scenarios.load_plan import Arrivals, ConstantRate, Spacing
from stress_scenarios.order_parts import parts_of
from tests.stress_scenarios.orders import an_order

ARRIVALS = Arrivals(shape=ConstantRate(per_s=9.0), spacing=Spacing.EVEN, start_within_s=1.0, part=0, parts=1)


@pytest.mark.parametrize(("connections", "workers"), [(1, 1), (1, 4), (3, 4), (4, 4), (5, 4), (10_000, 3)])
def test_the_parts_connections_are_all_connections_each_once(connections: int, workers: int) -> None:
    """Offsets follow one another, nobody gets nothing, and no worker has two more than another."""
    whole = dataclasses.replace(an_order(), connections=connections, connections_total=connections)
    parts = parts_of(whole, workers)
    assert len(parts) == min(connections, workers)
    assert [part.connection_offset for part in parts] == [
        sum(before.connections for before in parts[:index]) for index in range(len(parts))
    ]
    assert sum(part.connections for part in parts) == connections
    assert {part.connections_total for part in parts} == {connections}
    counts = {part.connections for part in parts}
    assert max(counts) - min(counts) <= 1


def test_each_part_makes_its_own_arrivals() -> None:
    """The parts are numbered, and know how many they are."""
    whole = dataclasses.replace(an_order(), connections=6, connections_total=6, pace=ARRIVALS)
    paces = [part.pace for part in parts_of(whole, 3)]
    assert paces == [dataclasses.replace(ARRIVALS, part=part, parts=3) for part in range(3)]
