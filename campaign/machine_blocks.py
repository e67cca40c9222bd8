"""What several rows of the machine's table are made of: stopping, recording, cooling, and what comes next. Pure."""

import dataclasses
import math

from campaign import machine_guards as guards
from campaign import night as numbers
from campaign.events import (
    Command,
    Conclude,
    EndLoad,
    Event,
    LoadKind,
    PrepareLoad,
    ReleaseLoad,
    WriteAnchor,
    WritePartialReport,
    WriteRecord,
)
from campaign.night import IN_PHASE, TERMINAL, Ending, LoadStep, Night, NoOutcome, PendingOutcome, State
from monitoring_logs.records import EndCause, Outcome

Step = tuple[Night, tuple[Command, ...]]

FAILING = frozenset(
    {
        Outcome.FAILED,
        Outcome.SAFETY_STOP,
        Outcome.INVALID_GENERATOR,
        Outcome.WORKER_CRASHED,
        Outcome.WORKER_HUNG,
        Outcome.OOM_KILLED,
        Outcome.RUNNER_FAULT,
        Outcome.SKIPPED,
    }
)
"""Outcomes that count towards the consecutive failures which halt a night, and that earn a cool-down."""

_CAUSE_OUTCOME = {
    EndCause.OPERATOR_STOP: Outcome.OPERATOR_STOP,
    EndCause.EMERGENCY_STOP: Outcome.OPERATOR_STOP,
    EndCause.GUARDIAN_STOP: Outcome.SAFETY_STOP,
    EndCause.GUARDIAN_LOST: Outcome.GUARDIAN_LOST,
}


def enter(night: Night, event: Event, state: State, *, deadline_s: float, timer_s: float = math.inf) -> Night:
    """The same night in another state, with its timer and deadline."""
    return dataclasses.replace(
        night,
        state=state,
        entered_mono_s=event.at_mono_s,
        timer_mono_s=event.at_mono_s + timer_s,
        deadline_mono_s=event.at_mono_s + deadline_s,
    )


def keep(night: Night, _event: Event) -> Step:
    """Nothing follows."""
    return night, ()


def conclude(night: Night, event: Event, cause: EndCause, detail: str) -> Step:
    """Every phase without a record gets one; then the end is stored and the report written."""
    commands: list[Command] = []
    cut_off = night.state is State.ANCHOR and night.load is not LoadStep.NONE
    if cut_off or (night.state is State.STOPPING and night.load_kind is LoadKind.ANCHOR):
        commands.append(WriteAnchor(phase=night.phase, complete=False, reason=detail))
    records = list(night.records)
    in_phase = night.state in IN_PHASE or (night.state is State.STOPPING and night.load_kind is LoadKind.PHASE)
    for phase in night.order.phases:
        if phase.index in night.recorded:
            continue
        if in_phase and phase.index == night.phase:
            outcome, reason = _CAUSE_OUTCOME.get(cause, Outcome.RUNNER_FAULT), detail
            if isinstance(night.pending, PendingOutcome):
                outcome, reason = night.pending.outcome, night.pending.reason
        else:
            outcome, reason = Outcome.NOT_REACHED, phase.cut or f"the night ended before it: {detail}"
        records.append((phase.index, outcome))
        commands.append(WriteRecord(phase=phase.index, outcome=outcome, reason=reason))
    commands.append(Conclude(cause=cause, detail=detail))
    after = enter(night, event, State.CONCLUDING, deadline_s=numbers.CONCLUDING_S_MAX)
    after = dataclasses.replace(
        after, load=LoadStep.NONE, records=tuple(records), end=Ending(cause=cause, detail=detail)
    )
    return after, tuple(commands)


def stop(night: Night, event: Event, cause: EndCause, detail: str, *, orderly: bool = False) -> Step:
    """Take the load away, then conclude. Without load, conclude at once."""
    if night.state in TERMINAL | {State.CONCLUDING}:
        return night, ()
    if not guards.active(night, event):
        return conclude(night, event, cause, detail)
    if night.state is State.STOPPING and not orderly:
        ended = dataclasses.replace(night, load=LoadStep.ENDING)
        return ended, (EndLoad(reason=detail),)
    commands: tuple[Command, ...] = (ReleaseLoad(),) if orderly else (EndLoad(reason=detail),)
    after = enter(
        night,
        event,
        State.STOPPING,
        timer_s=numbers.ORDERLY_RELEASE_S if orderly else math.inf,
        deadline_s=numbers.STOPPING_S_MAX,
    )
    after = dataclasses.replace(
        after,
        load=LoadStep.DRAINING if orderly else LoadStep.ENDING,
        end=Ending(cause=cause, detail=detail),
    )
    return after, commands


def begin_anchor(night: Night, event: Event, phase: int, *, retried: bool) -> Step:
    """Workers come up for the anchor load; what follows is the guardian's answer."""
    anchor = night.order.anchor
    after = enter(night, event, State.ANCHOR, deadline_s=numbers.ARMING_S_MAX)
    after = dataclasses.replace(
        after,
        phase=phase,
        load=LoadStep.PREPARING,
        load_kind=LoadKind.ANCHOR,
        hold_s=anchor.hold_s,
        pending=NoOutcome(),
        retried=retried,
        eased=False,
    )
    return after, (PrepareLoad(kind=LoadKind.ANCHOR, phase=phase, ramp_s=anchor.ramp_s, hold_s=anchor.hold_s),)


def hold_that_fits(night: Night, at_mono_s: float, phase: int) -> float:
    """Seconds of hold that still end, with the last anchor behind them, within the window; at most the planned ones."""
    planned = night.order.phases[phase]
    tail_s = 2 * numbers.DRAIN_S_EXPECTED + numbers.ARMING_S_EXPECTED + night.anchor_s
    return min(planned.hold_s, night.end_by_mono_s - at_mono_s - planned.ramp_s - tail_s)


def fits(night: Night, at_mono_s: float, phase: int) -> bool:
    """Whether a phase, with its anchor and the last one, still ends within the window."""
    lead_s = 2 * numbers.ARMING_S_EXPECTED + night.anchor_s + numbers.DRAIN_S_EXPECTED
    planned = night.order.phases[phase]
    return hold_that_fits(night, at_mono_s + lead_s, phase) >= planned.hold_s * numbers.HOLD_SHARE_MIN


def begin_next(night: Night, event: Event) -> Step:
    """The next phase that may run gets its anchor; phases that may not get their record; after the last one, the end."""
    if night.failures >= night.order.consecutive_failures_max:
        return conclude(night, event, EndCause.FAILURES, f"{night.failures} phases failed one after another")
    records = list(night.records)
    commands: list[Command] = []
    runnable = 0
    for phase in night.order.phases:
        if phase.cut:
            continue
        runnable += 1
        if phase.index in night.recorded:
            continue
        reason = ""
        if night.baseline_scored and runnable > night.phases_allowed:
            reason = f"the baseline's health allows {night.phases_allowed} phases"
        elif not fits(night, event.at_mono_s, phase.index):
            reason = "the rest of the window is too short for it"
        if not reason:
            after, begun = begin_anchor(
                dataclasses.replace(night, records=tuple(records)),
                event,
                phase.index,
                retried=night.retried and night.phase == phase.index,
            )
            return after, (*commands, *begun)
        records.append((phase.index, Outcome.NOT_REACHED))
        commands.append(WriteRecord(phase=phase.index, outcome=Outcome.NOT_REACHED, reason=reason))
    night = dataclasses.replace(night, records=tuple(records))
    if event.at_mono_s + numbers.ARMING_S_EXPECTED + night.anchor_s <= night.end_by_mono_s:
        after, begun = begin_anchor(night, event, -1, retried=False)
    else:
        after, begun = conclude(night, event, EndCause.FINISHED, "the plan was worked through")
    return after, (*commands, *begun)


def cool(night: Night, event: Event, *, failed: bool) -> Night:
    """Rest: a break, or a cool-down after a failure; no rest when nothing follows."""
    order = night.order
    remaining = any(not phase.cut and phase.index not in night.recorded for phase in order.phases)
    rest_s = order.cooldown_s if failed else max(0.0, order.break_s - night.anchor_s)
    timer_s = rest_s if remaining else 0.0
    after = enter(night, event, State.COOLING, timer_s=timer_s, deadline_s=timer_s + numbers.COOLING_BLOCKED_S_MAX)
    return dataclasses.replace(after, load=LoadStep.NONE, pending=NoOutcome(), eased=False)


def record(night: Night, event: Event, outcome: Outcome, reason: str) -> Step:
    """The one record of the current phase, and the rest after it."""
    failed = outcome in FAILING
    after = dataclasses.replace(
        night,
        records=(*night.records, (night.phase, outcome)),
        failures=night.failures + 1 if failed else 0,
    )
    write = WriteRecord(phase=night.phase, outcome=outcome, reason=reason)
    return cool(after, event, failed=failed), (write, WritePartialReport())


def abort(night: Night, event: Event, outcome: Outcome, reason: str) -> Step:
    """End the current load at once; its record follows when the load is proven zero."""
    pending = PendingOutcome(outcome=outcome, reason=reason)
    if night.load_kind is LoadKind.ANCHOR:
        after = dataclasses.replace(
            night,
            load=LoadStep.ENDING,
            pending=pending,
            timer_mono_s=math.inf,
            deadline_mono_s=event.at_mono_s + numbers.ENDING_S_MAX,
        )
    else:
        after = dataclasses.replace(
            enter(night, event, State.RELEASING, deadline_s=numbers.ENDING_S_MAX),
            load=LoadStep.ENDING,
            pending=pending,
        )
    return after, (EndLoad(reason=reason),)
