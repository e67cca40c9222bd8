"""The cycle of a declared mix as linked steps, so that the next request is one attribute away. Runs in worker processes."""

from collections.abc import Sequence

from stress_scenarios.engines.wire_request import WireRequest
from stress_scenarios.engines.wire_tally import OperationTally
from stress_scenarios.load_plan import LoadOrder
from stress_scenarios.scenario import choice_cycle


class Step:
    """One place of the cycle of operations, linked to the following one."""

    __slots__ = ("following", "request", "tally")

    def __init__(self, request: WireRequest, tally: OperationTally) -> None:
        self.request = request
        self.tally = tally
        self.following = self


def linked_steps(
    order: LoadOrder, requests: Sequence[WireRequest], tallies: Sequence[OperationTally]
) -> tuple[Step, ...]:
    """The steps of an order's mix, the last linked to the first."""
    cycle = choice_cycle(tuple(operation.weight for operation in order.operations))
    steps = tuple(Step(requests[operation], tallies[operation]) for operation in cycle)
    for place, step in enumerate(steps):
        step.following = steps[(place + 1) % len(steps)]
    return steps
