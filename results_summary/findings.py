"""Judgements as records: the answer to a gate, the state of a phase. Facts are elsewhere and never change.

Pure types; checks makes them, verdict and view read them.
"""

from dataclasses import dataclass
from enum import Enum

from baseline_metrics.samples import Reading
from monitoring_logs.records import GateSpec


class State(Enum):
    """The answer to a gate. UNKNOWN decides nothing; NOT_JUDGED was set aside before the night, with a reason."""

    PASS = "PASS"  # noqa: S105 - a state, not a password
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"
    NOT_JUDGED = "NOT JUDGED"


class Unit(Enum):
    """What a gate's numbers count."""

    PERCENT = "percent"
    SECONDS = "seconds"
    SCORE = "score"
    STOPS = "stops"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """95 % interval of what was observed, in the gate's unit: sampling noise, not missing evidence."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoInterval:
    """No interval exists for this question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One gate and its answer. observed: what the record shows, in ``unit``. detail: what decided, in words."""

    spec: GateSpec
    observed: Reading
    unit: Unit
    interval: Interval | NoInterval
    state: State
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseState:
    """Whether a planned phase passed. load_per_s: requested operations per second, which orders phases by load.

    ran: False only when the record says that the phase made no load. requested: False when the target sets the pace, so
    that load_per_s is only what an instant answer would give.
    """

    index: int
    name: str
    connections: int
    load_per_s: float
    ran: bool
    state: State
    why: str
    requested: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationsTally:
    """One phase's operations: between lowest and highest of ``total`` succeeded; the record shows ``succeeded`` of ``completed``."""

    load_per_s: float
    lowest: float
    highest: float
    total: int
    succeeded: int
    completed: int
