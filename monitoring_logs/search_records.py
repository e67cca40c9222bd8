"""Facts of a search: which rates were tried, what each showed, and the bracket that is left.

The supervisor makes these records while it searches, each step as it ends. No judgement of the target lives here beyond
the criteria that the search's order fixed before. Pure.
"""

from dataclasses import dataclass
from enum import Enum

from baseline_metrics.samples import Reading
from monitoring_logs.records import LoadFacts


def search_name(phase_name: str) -> str:
    """What the segment of a search is called: all that ties it to its phase when the search's record is lost."""
    return f"search after {phase_name}"


class StepState(Enum):
    """What one rate of a search showed."""

    PASSED = "passed"
    FAILED = "failed"  # a criterion of the search order was missed on the target's account
    EASED = "eased"  # the guardian eased, paused or stopped the load
    GENERATOR = "generator"  # our own side could not make this rate: says nothing about the target
    UNFINISHED = "unfinished"  # the time was over before it could be judged


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchStep:
    """One rate of a search, requested over all workers. reason: the criterion and the figure, in words.

    start, end, counts and responses are those of the seconds that were judged; the ones in which the rate settled are not
    among them. A step that was too close to call is UNFINISHED, with that reason.
    """

    segment: int
    step: int
    operations_per_s: float
    start_mono_s: float
    end_mono_s: float
    operations_due: int
    operations_started: int
    operations_dropped: int
    succeeded: int
    failed: int
    response_s_mean: Reading
    response_s_p99: Reading
    state: StepState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRecord:
    """The end of a phase's search: the highest rate that passed, the lowest that did not, operations per second.

    limited_by: what the lowest rate that did not pass ran into (PASSED: nothing did, up to the highest rate tried).
    overshoot_percent: how far beyond the bracket's upper end the highest tried rate went; a Gap without an upper end.
    held_s: how long a person had paused it; its time stood still meanwhile.
    """

    phase: int
    segment: int
    passing_per_s: Reading
    failing_per_s: Reading
    limited_by: StepState
    overshoot_percent: Reading
    complete: bool
    reason: str
    load: LoadFacts
    held_s: float = 0.0
