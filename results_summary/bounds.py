"""How low and how high the truth can lie, given what is missing from the record.

A gate passes only if it passes at both ends and fails only if it fails at both, so removing evidence can only widen the
bounds and move an answer towards unknown, never from one answer to the other. This holds for records that agree with
themselves; a record that knows more completions than were started is a contradiction, and decides nothing.
Pure; see checks for the gates.
"""

import math
from dataclasses import dataclass

from monitoring_logs.records import PhaseOrder, PhaseRecord
from results_summary.measures import Ledger, SegmentMeasure, quantile_bounds_s
from stress_scenarios.load_plan import Arrivals

ARRIVALS_DEVIATIONS = 6
"""Arrivals at random vary by the square root of their number; beyond six of these lies one night in a billion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The truth lies between these two, ends included; highest may be infinite."""

    lowest: float
    highest: float

    def within(self, other: "Bounds") -> "Bounds":
        """What both allow: two ledgers of the same truth."""
        return Bounds(lowest=max(self.lowest, other.lowest), highest=min(self.highest, other.highest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """The record disagrees with itself."""

    detail: str


def operations_at_most(order: PhaseOrder) -> int:
    """More intended starts than this cannot lie in the phase: each connection's grid over the whole load, rounded up.

    Arrivals may be denser in the ramp than in the hold, and as many more than planned as chance gives.
    """
    on_grids = math.ceil(order.connections * (order.operations_per_s * (order.ramp_s + order.hold_s) + 1.0))
    if not isinstance(order.pace, Arrivals):
        return on_grids
    by_chance = math.ceil(ARRIVALS_DEVIATIONS * math.sqrt(order.operations_expected))
    return max(on_grids, order.operations_expected + by_chance)


def not_run(order: PhaseOrder, record: PhaseRecord) -> int:
    """Operations that a load that was cut short may still have made, at most."""
    return max(0, operations_at_most(order) - record.load.operations_started)


def succeeded_bounds(record: PhaseRecord, measure: SegmentMeasure, *, unknown: int) -> Bounds | Contradiction:
    """How many operations may have succeeded, of those started and ``unknown`` ones more.

    A completion whose window is missing counts as failed at the low end and as succeeded at the high end. So does a
    failure that our own side made, or whose kind is not in the record: the target is not known to have failed it.
    Operations that were given up (abandoned) are known not to have succeeded.
    """
    started, abandoned = record.load.operations_started, record.load.operations_abandoned
    bounds = Bounds(lowest=0.0, highest=float(started - abandoned + unknown))
    for ledger in (measure.seconds, measure.minutes):
        missing = started - abandoned - ledger.completed
        if missing < 0:
            return _contradiction(record, ledger, started - abandoned)
        bounds = bounds.within(
            Bounds(lowest=float(ledger.succeeded), highest=float(ledger.succeeded + missing + unknown))
        )
    without_ours = float(started - abandoned - measure.failures_known + unknown)
    return Bounds(lowest=bounds.lowest, highest=max(bounds.highest, without_ours))


def response_mean_bounds(
    record: PhaseRecord, measure: SegmentMeasure, *, unknown: int, load_s: float
) -> Bounds | Contradiction:
    """How low and how high the mean response time of all successes can lie, seconds.

    load_s: no response can have taken longer than the whole load. A success whose window is missing took nothing at the
    low end and the whole load at the high end.
    """
    bounds = Bounds(lowest=0.0, highest=math.inf)
    for ledger in (measure.seconds, measure.minutes):
        missing = record.load.operations_succeeded - ledger.succeeded
        if missing < 0:
            return _contradiction(record, ledger, record.load.operations_succeeded)
        total = ledger.succeeded + missing + unknown
        if total == 0:
            continue
        bounds = bounds.within(
            Bounds(
                lowest=ledger.response_s_sum / total,
                highest=(ledger.response_s_sum + (missing + unknown) * load_s) / total,
            )
        )
    return bounds


def response_quantile_bounds(
    record: PhaseRecord, measure: SegmentMeasure, quantile: float, *, unknown: int
) -> Bounds | Contradiction:
    """How low and how high a quantile of the response time of all successes can lie, seconds."""
    bounds = Bounds(lowest=0.0, highest=math.inf)
    for ledger in (measure.seconds, measure.minutes):
        missing = record.load.operations_succeeded - ledger.succeeded
        if missing < 0:
            return _contradiction(record, ledger, record.load.operations_succeeded)
        lowest, highest = quantile_bounds_s(ledger.response, quantile, missing=missing + unknown)
        bounds = bounds.within(Bounds(lowest=lowest, highest=highest))
    return bounds


def _contradiction(record: PhaseRecord, ledger: Ledger, counted: int) -> Contradiction:
    return Contradiction(
        detail=f"the record of {record.name} contradicts itself: its windows hold {ledger.completed} completions "
        f"({ledger.succeeded} successes), its counters {counted}"
    )
