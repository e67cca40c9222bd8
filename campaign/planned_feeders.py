"""Whether the rows of unique feeders last for each load of a night: a session without a row fails, on nobody's account but ours.

Pure; the planner uses it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from baseline_metrics.units import format_duration
from campaign.plan import Plan
from campaign.plan_inputs import PlanInputs
from campaign.planned_night import Note, NoteKind
from monitoring_logs.load_orders import NoSearch
from monitoring_logs.records import AnchorOrder, NightOrder, PhaseOrder
from stress_scenarios.load_plan import FeederOrder, Stage, Thinking, Unpaced


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederForecast:
    """reasons: why the night is refused; notes: which feeders may run dry."""

    reasons: tuple[str, ...]
    notes: tuple[Note, ...]


def feeder_forecast(plan: Plan, inputs: PlanInputs, order: NightOrder) -> FeederForecast:
    """What can be known beforehand about the rows of unique feeders; each load begins with the first row again."""
    reasons: list[str] = []
    notes: list[Note] = []
    for name, part in plan.feeders.items():
        if part.feeder_order is not FeederOrder.UNIQUE:
            continue
        rows = inputs.feeders[name].rows
        if plan.code is not None:
            text = (
                f"{name} has {rows} rows: how many sessions the code of {plan.code.operations[0]} begins, nobody knows"
            )
            notes.append(Note(kind=NoteKind.FEEDER, text=text))
            continue
        reasons.extend(_too_few(plan, name, rows, order))
        open_ended = tuple(_open_ended(order))
        if open_ended:
            text = f"{name} has {rows} rows: {', '.join(open_ended)} may need more, and then fail for want of a row"
            notes.append(Note(kind=NoteKind.FEEDER, text=text))
    return FeederForecast(reasons=tuple(reasons), notes=tuple(notes))


def _too_few(plan: Plan, feeder: str, rows: int, order: NightOrder) -> Iterator[str]:
    others = sum(operation.when is not Stage.MIX for operation in plan.operations)
    loads: list[tuple[str, AnchorOrder | PhaseOrder]] = [("the anchor load", order.anchor)]
    loads.extend((phase.name, phase) for phase in order.phases if not phase.cut)
    for name, load in loads:
        each = load.operations_per_session + others
        sessions = max(load.connections, math.ceil(load.operations_expected / each))
        if sessions > rows:
            yield (
                f"{name} begins about {sessions} sessions ({load.operations_expected} operations in "
                f"{format_duration(load.ramp_s + load.hold_s)} / {each} of a session, at least one a connection), and the "
                f"unique feeder {feeder} has {rows} rows; write more rows, more operations per session, or order: sequential"
            )


def _open_ended(order: NightOrder) -> Iterator[str]:
    for phase in order.phases:
        if phase.cut:
            continue
        if isinstance(phase.pace, Unpaced | Thinking):
            yield phase.name
        if not isinstance(phase.search, NoSearch):
            yield f"the search of {phase.name}"
