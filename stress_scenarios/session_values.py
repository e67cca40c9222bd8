"""What a session's templates are filled with: its variables, its feeder rows, what is built in, and its chance.

Worker processes use it.
"""

import random
import uuid

from stress_scenarios.load_plan import LoadOrder

_REQUESTS_PER_CONNECTION_MAX = 1_000_000_000
"""A connection makes far fewer within a load. Connection and number together stay below 2**53, exact in any JSON reader."""


class SessionDraws:
    """One session's chance: the same seed draws the same numbers. UUIDs differ from night to night, or they would be none."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)  # noqa: S311 - load, not secrets

    def whole_number(self, low: int, high: int) -> int:
        """One of low..high."""
        return self.random.randint(low, high)

    def uuid(self) -> str:
        """A UUID that nothing else has."""
        return str(uuid.uuid4())


class RequestNumbers:
    """Numbers that no other request of a load has, for one connection. Digits only: they fit into JSON with and without quotes."""

    def __init__(self, connection: int) -> None:
        self.last = connection * _REQUESTS_PER_CONNECTION_MAX


class SessionValues:
    """One session's variables, as templates see them, and its chance."""

    def __init__(self, order: LoadOrder, *, connection: int, session: int, request_numbers: RequestNumbers) -> None:
        self.variables: dict[str, str] = {variable.name: variable.value for variable in order.variables}
        self.draws = SessionDraws(f"{order.seed} {order.segment} {connection} {session}")
        self._request_numbers = request_numbers
        self._number = 0
        self.variables["connection"] = str(connection)

    def next_operation(self) -> None:
        """Another operation comes now."""
        self._number += 1
        self._request_numbers.last += 1

    def write_numbers(self) -> None:
        """Make the operation's numbers variables; most operations need none."""
        self.variables["number"] = str(self._number)
        self.variables["request_id"] = str(self._request_numbers.last)
