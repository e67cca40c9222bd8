"""Which row of a feeder is next: without a word between workers, since each can work out its own share.

Connection i of n has rows i, i + n, i + 2n, ...; a worker has those of its connections, and gives them to its sessions in
this order, whichever connection asks. Pure but for the seeded chance; worker processes use it.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from stress_scenarios.load_plan import FeederOrder, FeederSpec, LoadOrder


class Rows(Protocol):
    """A feeder's rows, as feeder.FeederRows has them."""

    def __len__(self) -> int: ...

    def row(self, number: int) -> Mapping[str, str]:
        """One row, 0..len-1."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dry:
    """A unique feeder has no row left for this worker. message: says so."""

    message: str


class FeederTurns:
    """One feeder of one order in one worker.

    SEQUENTIAL begins again after the last row, UNIQUE is dry then. Unique rows are unique within the order, over all
    workers; the next order (another phase, say) begins anew.
    """

    def __init__(self, spec: FeederSpec, order: LoadOrder, rows: Rows) -> None:
        assert len(rows) > 0, "a feeder without rows is refused when it is read"
        self.spec = spec
        self._rows = rows
        self._share = _share(order)
        self._random = random.Random(f"{order.seed} {order.segment} {order.connection_offset} {spec.name}")  # noqa: S311

    def next(self) -> Mapping[str, str] | Dry:
        """The row of a session that begins now."""
        match self.spec.order:
            case FeederOrder.SEQUENTIAL:
                return self._rows.row(next(self._share) % len(self._rows))
            case FeederOrder.RANDOM:
                return self._rows.row(self._random.randrange(len(self._rows)))
            case FeederOrder.UNIQUE:
                number = next(self._share)
                if number < len(self._rows):
                    return self._rows.row(number)
                return Dry(message=f"feeder {self.spec.name} is dry after {len(self._rows)} rows")


def _share(order: LoadOrder) -> Iterator[int]:
    """Numbers of this worker's rows, ascending, without end."""
    start = 0
    while True:
        yield from range(start + order.connection_offset, start + order.connection_offset + order.connections)
        start += order.connections_total
