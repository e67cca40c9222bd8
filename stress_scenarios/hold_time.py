"""How long a person may hold one segment in all, and when the kernel ends its worker: one alarm that holds move away.

Worker processes use it.
"""

import math
from collections.abc import Callable

HOLD_S_MAX = 4 * 3600.0
"""How long a person may hold one segment in all; then it ends, so that a forgotten pause does not keep a host for ever."""

BACKSTOP_MARGIN_S = 60.0
"""How much longer than its load and drain a worker may take before the kernel ends it."""


class HoldTime:
    """Of one segment. ends_mono_s: when the kernel ends the worker if it is never held; arm: sets the alarm, in seconds."""

    def __init__(self, ends_mono_s: float, *, arm: Callable[[float], None], hold_s_max: float) -> None:
        self._ends_mono_s = ends_mono_s
        self._arm = arm
        self._left_s = hold_s_max
        self._since_mono_s = math.inf

    def hold(self, now_mono_s: float) -> None:
        """The segment's end moves away."""
        if self._since_mono_s == math.inf:
            self._since_mono_s = now_mono_s
            self._arm(self._ends_mono_s - now_mono_s + self._left_s)

    def resume(self, now_mono_s: float) -> None:
        """It comes nearer again."""
        if self._since_mono_s < math.inf:
            held_s = now_mono_s - self._since_mono_s
            self._since_mono_s = math.inf
            self._left_s -= held_s
            self._ends_mono_s += held_s
            self._arm(self._ends_mono_s - now_mono_s)

    @property
    def stands(self) -> bool:
        """Whether the segment is held now."""
        return self._since_mono_s < math.inf

    def is_over(self, now_mono_s: float) -> bool:
        """Whether it was held for too long."""
        return now_mono_s - self._since_mono_s > self._left_s
