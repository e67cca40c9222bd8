"""The beat of a worker's asyncio loop: something that happens every few milliseconds, and how late it happened.

It turns in the loop itself and never in a helper thread, so that a heartbeat means that the load loop lives. Runs in
worker processes.
"""

import asyncio
from collections.abc import Callable

PULSE_S = 0.006
"""Below the 10 ms within which a worker looks at its permitted share, with room for the loop's 1 ms timer grain."""


class LoopPulse:
    """Calls a function every PULSE_S with the time and its lateness, until stopped."""

    def __init__(self, on_turn: Callable[[float, float], None]) -> None:
        self._on_turn = on_turn
        self._loop = asyncio.get_running_loop()
        self._due_mono_s = self._loop.time()
        self._timer = self._loop.call_soon(self._turn)

    def stop(self) -> None:
        """Turn no more."""
        self._timer.cancel()

    def _turn(self) -> None:
        now_s = self._loop.time()
        lag_s = max(0.0, now_s - self._due_mono_s)
        self._due_mono_s = now_s + PULSE_S
        self._timer = self._loop.call_at(self._due_mono_s, self._turn)
        self._on_turn(now_s, lag_s)
