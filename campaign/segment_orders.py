"""What load a segment of the night asks for: the anchor, a phase's own load, or the search that follows it.

The night's order says how much and how long, the campaign's order says whom, what and with which script; together they
are the one order that the crew splits among its workers. Header values come resolved from the caller and go into
nothing that is stored. Pure; the supervisor uses it.
"""

from typing import assert_never

from campaign.campaign_order import CampaignOrder
from monitoring_logs.load_orders import MemoryLoad, NoMemoryLoad, NoSearch, PacedByRate, SearchOrder
from monitoring_logs.records import AnchorOrder, PhaseOrder, SegmentKind
from stress_scenarios.load_plan import (
    Arrivals,
    ConstantRate,
    Curve,
    LoadOrder,
    OperationSpec,
    Pace,
    Paced,
    Spacing,
    TargetSpec,
)
from stress_scenarios.loads.memory_order import MemoryOrder

SEARCH_START_WITHIN_S_MIN = 0.1
SEARCH_START_WITHIN_S_MAX = 5.0
"""An arrival of a search that finds all connections busy waits as long as a response may take, then it is dropped: it
would miss the criteria anyway, and a queue on our side would outlive the step that made it. Within these bounds."""


def segment_load(
    order: CampaignOrder,
    *,
    kind: SegmentKind,
    phase: int,
    segment: int,
    target: TargetSpec,
    operations: tuple[OperationSpec, ...],
    ramp_s: float,
    hold_s: float,
) -> LoadOrder:
    """The whole load of one segment, not yet split. phase: index; of no meaning for an anchor.

    target, operations: with their secrets resolved. ramp_s, hold_s: as the machine asks for them now; a search has no ramp.
    """
    night = order.night
    match kind:
        case SegmentKind.ANCHOR:
            source: AnchorOrder | PhaseOrder = night.anchor
            connections, pace, curve = night.anchor.connections, _anchor_pace(night.anchor), Curve.LINEAR
        case SegmentKind.PHASE:
            source = night.phases[phase]
            connections, pace, curve = source.connections, _phase_pace(source), source.ramp_curve
        case SegmentKind.SEARCH:
            source = night.phases[phase]
            assert not isinstance(source.search, NoSearch), f"phase {source.name} searches nothing"
            connections, pace, curve = source.search.connections, _search_pace(source.search), Curve.LINEAR
            ramp_s, hold_s = 0.0, ramp_s + hold_s
        case SegmentKind.IDLE:
            raise AssertionError("an idle segment has no load")
        case _:
            assert_never(kind)
    return LoadOrder(
        segment=segment,
        target=target,
        operations=operations,
        connections=connections,
        connection_offset=0,
        connections_total=connections,
        operations_per_session=source.operations_per_session,
        pace=pace,
        ramp_s=ramp_s,
        hold_s=hold_s,
        drain_s=order.drain_s,
        response_bytes_max=order.response_bytes_max,
        seed=night.seed + segment,
        ramp_curve=curve,
        variables=order.variables,
        feeders=order.feeders,
        code=order.code,
    )


def segment_memory(
    order: CampaignOrder, *, kind: SegmentKind, phase: int, segment: int, ramp_s: float, hold_s: float
) -> MemoryOrder | None:
    """The memory that is held during one segment, beside its requests; None for none. Anchors and searches hold none."""
    if kind is not SegmentKind.PHASE:
        return None
    match order.night.phases[phase].memory:
        case MemoryLoad(size_bytes=size_bytes, rise_bytes_per_s=rise_bytes_per_s):
            return MemoryOrder(
                segment=segment, size_bytes=size_bytes, rise_bytes_per_s=rise_bytes_per_s, lasts_s=ramp_s + hold_s
            )
        case NoMemoryLoad():
            return None


def _anchor_pace(anchor: AnchorOrder) -> Pace:
    return Paced(operations_per_s=anchor.operations_per_s)


def _phase_pace(phase: PhaseOrder) -> Pace:
    return Paced(operations_per_s=phase.operations_per_s) if isinstance(phase.pace, PacedByRate) else phase.pace


def _search_pace(search: SearchOrder) -> Pace:
    patience_s = max(search.response_s_mean_max, search.response_s_p99_max)
    return Arrivals(
        shape=ConstantRate(per_s=search.start_per_s),
        spacing=Spacing.EVEN,
        start_within_s=min(SEARCH_START_WITHIN_S_MAX, max(SEARCH_START_WITHIN_S_MIN, patience_s)),
        part=0,
        parts=1,
    )
