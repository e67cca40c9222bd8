"""What was asked for and not achieved, phase by phase: connections, operations, seconds.

A report that hides that less load was made than was planned says more than it knows. Pure; every format shows this list.
"""

from dataclasses import dataclass
from enum import Enum

from baseline_metrics.units import format_duration
from monitoring_logs.load_orders import MemoryLoad
from monitoring_logs.memory_records import MemoryFacts
from monitoring_logs.records import Outcome, PhaseOrder, PhaseRecord
from results_summary import wording
from results_summary.assessment import Assessment
from results_summary.cleaning import NAME_CHARACTERS_MAX, clean
from results_summary.facts import Absent
from results_summary.load_words import is_open
from results_summary.memory_held import HELD_PERCENT_MIN, held_share

SHORT_OF_SHARE = 0.98
"""The same two percent that the gate of achieved load allows."""

RECONNECTS_SHARE_MAX = 1.0
"""A connection breaks now and then; one for each session means that something closes them."""

_RECONNECTS_COUNTED_FROM = 2
"""Schema version. Before it only opened connections were counted, of which each session has one."""


class ShortfallKind(Enum):
    """What fell short; the word says what is counted."""

    CUT = "cut"  # by the planner, before the night
    NOT_RUN = "not_run"  # skipped or not reached
    CONNECTIONS = "connections"
    OPERATIONS = "operations"
    HOLD_S = "hold_s"
    EASED_S = "eased_s"  # asked: without a second of it
    HELD_S = "held_s"  # for how long a person had paused it; asked: without a second of it
    DROPPED = "dropped"  # arrivals given up before they were sent; asked: none
    MEMORY = "memory"  # bytes: asked for, and the most that was held, or the mean over its time where that is less
    RECONNECTS = "reconnects"  # asked: sessions, achieved: connections opened in the place of others


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """One phase, one kind. asked, achieved: in the unit of the kind; both in seconds of holding when it did not run."""

    phase: int
    name: str
    kind: ShortfallKind
    asked: float
    achieved: float
    words: str

    @property
    def sentence(self) -> str:
        """For people."""
        return f"{self.name}: {self.words}"


def shortfalls(assessment: Assessment) -> tuple[Shortfall, ...]:
    """In the order of the plan; without the plan nothing is known to be short."""
    facts = assessment.facts
    if isinstance(facts.meta, Absent):
        return ()
    found: list[Shortfall] = []
    for order in facts.meta.order.phases:
        record = facts.phase(order.index)
        if order.cut:
            words = f"cut before the night: {clean(order.cut)}"
            found.append(_shortfall(order, ShortfallKind.CUT, order.hold_s, 0.0, words))
        elif not isinstance(record, Absent):
            found.extend(_short_of(order, record, schema_version=facts.meta.schema_version))
    return tuple(found)


def _short_of(order: PhaseOrder, record: PhaseRecord, *, schema_version: int) -> list[Shortfall]:
    load = record.load
    if record.outcome in {Outcome.SKIPPED, Outcome.NOT_REACHED}:
        words = f"not run ({record.outcome.value}: {clean(record.reason)})"
        return [_shortfall(order, ShortfallKind.NOT_RUN, order.hold_s, 0.0, words)]
    found = []
    if load.connections_peak < load.connections_requested and not is_open(order):
        words = f"{load.connections_peak} of {load.connections_requested} connections were open at once"
        found.append(
            _shortfall(order, ShortfallKind.CONNECTIONS, load.connections_requested, load.connections_peak, words)
        )
    if load.operations_started < SHORT_OF_SHARE * load.operations_requested:
        started, requested = wording.count(load.operations_started), wording.count(load.operations_requested)
        found.append(
            _shortfall(
                order,
                ShortfallKind.OPERATIONS,
                load.operations_requested,
                load.operations_started,
                f"{started} of {requested} operations were started",
            )
        )
    if load.hold_s_achieved < SHORT_OF_SHARE * order.hold_s:
        words = f"held for {format_duration(load.hold_s_achieved)} of {format_duration(order.hold_s)}"
        found.append(_shortfall(order, ShortfallKind.HOLD_S, order.hold_s, load.hold_s_achieved, words))
    if isinstance(order.memory, MemoryLoad) and isinstance(record.memory, MemoryFacts):
        held = held_share(
            order.memory,
            record.memory,
            lasts_s=order.ramp_s + order.hold_s,
            ran_whole=record.outcome in {Outcome.COMPLETED, Outcome.FAILED, Outcome.EASED, Outcome.INVALID_GENERATOR},
        )
        if held.percent < HELD_PERCENT_MIN:
            size = order.memory.size_bytes
            found.append(_shortfall(order, ShortfallKind.MEMORY, size, size * held.percent / 100.0, clean(held.words)))
    if record.eased_s > 0:
        words = f"the guardian eased the load for {format_duration(record.eased_s)}"
        found.append(_shortfall(order, ShortfallKind.EASED_S, 0.0, record.eased_s, words))
    if record.held_s > 0:
        words = f"a person had paused the load for {format_duration(record.held_s)}"
        found.append(_shortfall(order, ShortfallKind.HELD_S, 0.0, record.held_s, words))
    if load.operations_dropped > 0:
        words = f"{wording.count(load.operations_dropped)} arrivals were dropped: they could not be sent in time"
        found.append(_shortfall(order, ShortfallKind.DROPPED, 0.0, load.operations_dropped, words))
    sessions = load.connections_requested + load.operations_started // max(1, order.operations_per_session)
    counted = schema_version >= _RECONNECTS_COUNTED_FROM
    reconnects = load.reconnects if counted else load.connections_opened - sessions
    if reconnects > RECONNECTS_SHARE_MAX * sessions:
        words = f"the target closes connections: {wording.count(reconnects)} reconnections in {wording.count(sessions)} sessions"
        found.append(_shortfall(order, ShortfallKind.RECONNECTS, sessions, reconnects, words))
    return found


def _shortfall(order: PhaseOrder, kind: ShortfallKind, asked: float, achieved: float, words: str) -> Shortfall:
    return Shortfall(
        phase=order.index,
        name=clean(order.name, characters_max=NAME_CHARACTERS_MAX) or "-",
        kind=kind,
        asked=asked,
        achieved=achieved,
        words=words,
    )
