"""The load that the plan asked for, over the night: what the timeline draws beside what was achieved.

From the orders, not from the workers' own counts: what a broken generator was asked is not what it says. A load whose pace
the target set was not asked for by number, and is not drawn. Pure; timeline uses it.
"""

from dataclasses import dataclass
from itertools import pairwise

from monitoring_logs.records import PhaseOrder, PhaseRecord
from results_summary.facts import Absent, Facts
from stress_scenarios.load_plan import Arrivals, ReplayRate, Thinking, Unpaced
from stress_scenarios.rate_lines import PlannedLine, RateError

PIECES_MAX = 60
"""A phase takes at most a few hundred pixels; a spike narrower than a piece is drawn lower and wider."""

STEPS_DRAWN_MAX = 500
"""Steps of searches; a night with more has more than the picture has pixels for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPoint:
    """So much per second at this instant, in seconds from the timeline's start; straight lines in between."""

    at_s: float
    per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One load, from its start to its end."""

    points: tuple[AskedPoint, ...]


def asked_loads(facts: Facts, *, start_mono_s: float, length_s: float) -> tuple[Asked, ...]:
    """Anchors, phases and the steps of searches, in order of time."""
    if isinstance(facts.meta, Absent):
        return ()
    order = facts.meta.order
    asked = [
        _level(
            anchor.start_mono_s - start_mono_s,
            ramp_s=order.anchor.ramp_s,
            lasts_s=order.anchor.ramp_s + order.anchor.hold_s,
            per_s=order.anchor.connections * order.anchor.operations_per_s,
        )
        for anchor in facts.anchors
        if anchor.end_mono_s > anchor.start_mono_s
    ]
    for phase in order.phases:
        record = facts.phase(phase.index)
        if not isinstance(record, Absent) and record.end_mono_s > record.start_mono_s:
            asked.extend(_of_phase(phase, record, record.start_mono_s - start_mono_s))
    steps = [step for search in facts.searches for step in search.steps]
    asked.extend(
        Asked(
            points=tuple(
                AskedPoint(at_s=at_mono_s - start_mono_s, per_s=step.operations_per_s)
                for at_mono_s in (step.start_mono_s, step.end_mono_s)
            )
        )
        for step in steps[:STEPS_DRAWN_MAX]
    )
    return tuple(_within(item, length_s) for item in sorted(asked, key=lambda item: item.points[0].at_s))


def _of_phase(order: PhaseOrder, record: PhaseRecord, at_s: float) -> list[Asked]:
    load_s = order.ramp_s + order.hold_s
    match order.pace:
        case Unpaced() | Thinking():
            return []
        case Arrivals(shape=shape) if not isinstance(shape, ReplayRate) and load_s > 0:
            try:
                line = PlannedLine(shape, ramp_s=order.ramp_s, curve=order.ramp_curve, load_s=load_s)
            except RateError:
                return []
            return [_drawn(line, at_s, load_s)]
        case _:
            per_s = order.connections * order.operations_per_s
            return [_level(at_s, ramp_s=order.ramp_s, lasts_s=load_s + record.held_s, per_s=per_s)]


def _drawn(line: PlannedLine, at_s: float, load_s: float) -> Asked:
    """Mean rates of equal pieces, each at its middle; the ends level."""
    piece_s = load_s / PIECES_MAX
    counts = [line.count(piece_s * index) for index in range(PIECES_MAX + 1)]
    rates = [(after - before) / piece_s for before, after in pairwise(counts)]
    middles = [AskedPoint(at_s=at_s + piece_s * (index + 0.5), per_s=rate) for index, rate in enumerate(rates)]
    first, last = AskedPoint(at_s=at_s, per_s=rates[0]), AskedPoint(at_s=at_s + load_s, per_s=rates[-1])
    return Asked(points=(first, *middles, last))


def _level(at_s: float, *, ramp_s: float, lasts_s: float, per_s: float) -> Asked:
    """From zero to a rate over the ramp, then level."""
    return Asked(
        points=(
            AskedPoint(at_s=at_s, per_s=0.0),
            AskedPoint(at_s=at_s + min(ramp_s, lasts_s), per_s=per_s),
            AskedPoint(at_s=at_s + lasts_s, per_s=per_s),
        )
    )


def _within(asked: Asked, length_s: float) -> Asked:
    """A load that the night's end cut off is drawn up to there."""
    return Asked(points=tuple(AskedPoint(at_s=min(length_s, point.at_s), per_s=point.per_s) for point in asked.points))
