"""Splits a load among workers, so that the parts together are the load that was asked for. Pure."""

from dataclasses import replace

from stress_scenarios.load_plan import Arrivals, LoadOrder


def parts_of(order: LoadOrder, workers: int) -> tuple[LoadOrder, ...]:
    """One order for each of at most so many workers; fewer when there are fewer connections than workers.

    Connections are spread evenly, the first workers have one more. Of an open model each worker makes its own arrivals.
    """
    assert workers >= 1, workers
    count = min(workers, order.connections)
    parts = []
    given = 0
    for index in range(count):
        connections = order.connections // count + (1 if index < order.connections % count else 0)
        pace = replace(order.pace, part=index, parts=count) if isinstance(order.pace, Arrivals) else order.pace
        parts.append(
            replace(
                order,
                connections=connections,
                connection_offset=given,
                connections_total=order.connections,
                pace=pace,
            )
        )
        given += connections
    return tuple(parts)
