"""Windows of a load whose operations are counted in lists and plain numbers: emptied into the report once a second.

Failures are rare and have words, so they go straight to the windows, as in every load run. Runs in worker processes.
"""

import math
from collections.abc import Sequence

from stress_scenarios.engines.wire_tally import DenseHistogram, OperationTally
from stress_scenarios.histogram import Histogram
from stress_scenarios.window_counters import LoadGauges, WindowCounters

_US_PER_S = 1_000_000


class InFlight:
    """How many operations are in flight, and the integral of that: exact, by adding up at every change.

    Where the end of one operation is the start of the next, nothing changes. The fast path writes the fields itself.
    """

    __slots__ = ("area_us", "count", "since_us")

    def __init__(self, at_us: int) -> None:
        self.count = 0
        self.area_us = 0
        self.since_us = at_us

    def change(self, at_us: int, by: int) -> None:
        """One more or one less from now on."""
        self.area_us += self.count * (at_us - self.since_us)
        self.since_us = at_us
        self.count += by

    def area_until(self, at_us: int) -> int:
        """The integral from where this was last asked until now."""
        self.change(at_us, 0)
        area_us, self.area_us = self.area_us, 0
        return area_us


class WireWindows(WindowCounters):
    """WindowCounters that take successes, starts and flights in bulk."""

    @property
    def end_us(self) -> int:
        """The first whole microsecond at which the current window is over."""
        return math.ceil(self.end_mono_s * _US_PER_S)

    def turn_with(
        self,
        tallies: Sequence[OperationTally],
        lags: DenseHistogram,
        flights: InFlight,
        now_mono_s: float,
        gauges: LoadGauges,
    ) -> None:
        """Take what was counted so far, all of it within the current window, then report every window that has ended."""
        self._take(tallies, lags)
        while self.is_over(now_mono_s):
            self.add_in_flight_s(flights.area_until(self.end_us) / _US_PER_S)
            self.turn(self.end_mono_s, gauges)

    def finish_with(
        self,
        tallies: Sequence[OperationTally],
        lags: DenseHistogram,
        flights: InFlight,
        now_mono_s: float,
        gauges: LoadGauges,
    ) -> None:
        """Take what was counted so far, and report what is left as a window shorter than a second."""
        self.turn_with(tallies, lags, flights, now_mono_s, gauges)
        self.add_in_flight_s(flights.area_until(round(now_mono_s * _US_PER_S)) / _US_PER_S)
        self.finish(now_mono_s, gauges)

    def _take(self, tallies: Sequence[OperationTally], lags: DenseHistogram) -> None:
        for tally in tallies:
            self.add_bytes_received(tally.received_since_last())
            succeeded = tally.succeeded_since_last()
            if not succeeded:
                continue
            self.add_service_s(tally.service_us / _US_PER_S)
            response, service = Histogram(), Histogram()
            tally.empty_into(response=response, service=service)
            self.add_successes(tally.operation, succeeded, response=response, service=service)
        late = Histogram()
        lags.empty_into(late)
        self.add_schedule_lags(late)
