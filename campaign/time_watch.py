"""Notices when time itself moves: a machine that was suspended, a wall clock that was set.

Three clocks are compared. The monotonic one stands still while the machine sleeps, the boot clock does not, and the wall
clock can be set by anybody. Durations go by the monotonic clock and need no correction; what is unknown afterwards is what
happened meanwhile, and how late it is for a night that has to end by a time on the wall. Runs in the supervisor's loop.
"""

from dataclasses import dataclass

from baseline_metrics.clock import Clock
from baseline_metrics.units import format_duration
from monitoring_logs.records import NightOrder

JUMP_S_MAX = 2.0
"""All three clocks are slewed alike, so they differ by jumps only; this is far above the time between two readings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended:
    """The machine slept for that long."""

    seconds: float

    @property
    def text(self) -> str:
        """For people."""
        return f"the host was suspended for {format_duration(self.seconds)}: nothing is known of that time"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStep:
    """The wall clock was set forward (positive) or back."""

    seconds: float

    @property
    def text(self) -> str:
        """For people."""
        direction = "forward" if self.seconds > 0 else "back"
        amount = format_duration(abs(self.seconds))
        return f"the clock was set {direction} by {amount}: times in this record go by the clock before that"


def window_end_mono_s(order: NightOrder, *, end_by: float, mono_s: float, utc_s: float) -> float:
    """When the window closes by the monotonic clock, after time has moved; end_by: what was known before.

    A night in real time ends by the clock on the wall, and never later than was planned at its start. A compressed one
    has its length: no clock on the wall waits for it.
    """
    if order.rehearsal:
        return end_by
    return min(end_by, mono_s + order.window_end_utc_s - utc_s)


class TimeWatch:
    """Compares the clocks with what they said when they were last known to agree."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sleep_s, self._wall_s = self._offsets()

    def look(self) -> tuple[Suspended | ClockStep, ...]:
        """What happened to time since the last look."""
        sleep_s, wall_s = self._offsets()
        happened: list[Suspended | ClockStep] = []
        if sleep_s - self._sleep_s > JUMP_S_MAX:
            happened.append(Suspended(seconds=sleep_s - self._sleep_s))
            self._sleep_s = sleep_s
        if abs(wall_s - self._wall_s) > JUMP_S_MAX:
            happened.append(ClockStep(seconds=wall_s - self._wall_s))
            self._wall_s = wall_s
        return tuple(happened)

    def _offsets(self) -> tuple[float, float]:
        """How far the boot clock is ahead of the monotonic one, and the wall clock of the boot clock."""
        mono_s, boot_s, utc_s = self._clock.mono_s(), self._clock.boot_s(), self._clock.utc_s()
        return boot_s - mono_s, utc_s - boot_s
