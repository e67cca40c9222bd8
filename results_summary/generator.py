"""Whether our own load generator kept up: a shortfall or a slow answer of a saturated generator is not the target's.

Response times are taken from the intended start, so a worker that is late itself makes every answer look late. A failing
gate therefore stands only if the generator is known to have kept up; a passing one needs no excuse.
Pure; see phase_checks.
"""

import math
from dataclasses import dataclass

from monitoring_logs.records import LoadSecond, PhaseOrder, PhaseRecord

GENERATOR_CPU_S_MAX = 0.9
"""CPU seconds per second from which on a worker is at its limit: an event loop has one core, and the last tenth of it is
already queueing. The record sums all workers and does not say how many there were, so this is taken as the sum, whatever
their number: at least one core's worth of work. With several workers that is too careful, and towards UNKNOWN."""

LOOP_LAG_S_MAX = 0.25
"""A loop that turns a quarter of a second late adds as much to a response time: above the noise of a busy host (tens of
milliseconds), and much more than the few percent of a usual limit of one or two seconds."""

SATURATED_SHARE_MAX = 0.10
"""More seconds than this at the limit are not a hiccup; below it, at most a tenth of the load can be touched."""

_CLIENT_CLASS = "client"
"""ErrorClass of failures that our own side made, by its word in the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorSeconds:
    """The seconds that a load must have left: how many, in how many the generator was at its limit, in how many not.

    What is missing from the record is in neither, and may have been saturated.
    """

    expected: int
    saturated: int
    clear: int

    @property
    def kept_up(self) -> bool:
        """Known for so many seconds that the missing ones could not change it."""
        return self.expected - self.clear <= SATURATED_SHARE_MAX * self.expected + 1e-9

    @property
    def words(self) -> str:
        """Why a failure may be our own."""
        if self.saturated > SATURATED_SHARE_MAX * self.expected + 1e-9:
            return f"the generator was at its own limit in {self.saturated} of {self.expected} s"
        missing = self.expected - self.clear - self.saturated
        return f"whether the generator kept up is not known in {missing} of {self.expected} s"


def is_saturated(second: LoadSecond) -> bool:
    """Whether our own processes were at their limit in this second."""
    return second.generator_cpu_s >= GENERATOR_CPU_S_MAX or second.loop_lag_s_max > LOOP_LAG_S_MAX


def is_ours(error_class: str) -> bool:
    """Whether a failure of this class was made by our own side."""
    return error_class == _CLIENT_CLASS


def seconds_due(order: PhaseOrder, record: PhaseRecord) -> int:
    """Whole seconds that the phase's load must have left; the last one of a load that was cut short may be torn off."""
    planned_s = order.ramp_s + min(order.hold_s, record.load.hold_s_requested)
    ran_s = record.end_mono_s - record.start_mono_s
    if ran_s < planned_s:
        return max(0, math.floor(ran_s) - 1)
    return math.floor(planned_s + 1e-9)


def generator_seconds(
    order: PhaseOrder, record: PhaseRecord, *, clear: frozenset[int], saturated: frozenset[int]
) -> GeneratorSeconds:
    """Count the seconds of a phase's load by their numbers."""
    due = seconds_due(order, record)
    return GeneratorSeconds(
        expected=due,
        saturated=sum(1 for second in saturated if 0 <= second < due),
        clear=sum(1 for second in clear if 0 <= second < due),
    )
