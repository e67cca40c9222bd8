"""Windows of a load whose successes are counted in lists: emptied into the report once a second.

Failures are rare and have words, so they go straight to the windows, as in every load run. Runs in worker processes.
"""

import math
from collections.abc import Sequence

from stress_scenarios.engines.wire_tally import OperationTally
from stress_scenarios.window_counters import WINDOW_S, LoadGauges, WindowCounters, _OperationTally

_US_PER_S = 1_000_000


class WireWindows(WindowCounters):
    """WindowCounters that take successes in bulk."""

    @property
    def end_us(self) -> int:
        """The first whole microsecond at which the current window is over."""
        return math.ceil((self._start_mono_s + (self._window + 1) * WINDOW_S) * _US_PER_S)

    def turn_with(self, tallies: Sequence[OperationTally], now_mono_s: float, gauges: LoadGauges) -> None:
        """Take what was counted so far, all of it within the current window, then report every window that has ended."""
        self._take(tallies)
        self.turn(now_mono_s, gauges)

    def finish_with(self, tallies: Sequence[OperationTally], now_mono_s: float, gauges: LoadGauges) -> None:
        """Take what was counted so far, and report what is left as a window shorter than a second."""
        self._take(tallies)
        self.finish(now_mono_s, gauges)

    def _take(self, tallies: Sequence[OperationTally]) -> None:
        for tally in tallies:
            succeeded = tally.succeeded_since_last()
            self._bytes_received += tally.received_since_last()
            if not succeeded:
                continue
            window = self._tallies.get(tally.operation)
            if window is None:
                window = self._tallies[tally.operation] = _OperationTally()
            window.succeeded += succeeded
            tally.empty_into(response=window.response_succeeded, service=window.service_succeeded)
