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
    SkipSearch,
    WriteAnchor,
    WritePartialReport,
    WriteRecord,
    WriteSearch,
)
from campaign.night import (
    IN_PHASE,
    OWN_STATE,
    TERMINAL,
    WAITING,
    Ending,
    LoadStep,
    Night,
    NoOutcome,
    PendingOutcome,
    State,
)
from monitoring_logs.load_orders import NoSearch
from monitoring_logs.records import EndCause, Outcome
from safety_monitoring.limits import Rung

Step = tuple[Night, tuple[Command, ...]]

FAILING = frozenset(
    {
        Outcome.FAILED,
        Outcome.SAFETY_STOP,
        Outcome.WORKER_CRASHED,
        Outcome.WORKER_HUNG,
        Outcome.OOM_KILLED,
        Outcome.RUNNER_FAULT,
        Outcome.SKIPPED,
    }
)
"""Outcomes that count towards the consecutive failures which halt a night, and that earn a cool-down."""

SAYS_NOTHING = frozenset({Outcome.INVALID_GENERATOR, Outcome.OPERATOR_STOP})
"""Outcomes that neither add to a row of failures nor end it: our own instrument was too weak, or a person's pause ended
the phase. Neither is the target's doing, so the night goes on, and a row of failures is as long after it as before."""

SEARCHED_AFTER = frozenset({Outcome.COMPLETED, Outcome.EASED, Outcome.FAILED})
"""Outcomes that a search may follow: the phase's own load has run its time, and what it measured is the target's."""

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


def thawed(night: Night, at_mono_s: float) -> Night:
    """The same night with the current load's clock running again, or its standing still accounted for at its end."""
    return dataclasses.replace(night, held_s=night.held_s_until(at_mono_s), held_since_mono_s=math.inf)


def waiting_anew(night: Night, event: Event) -> Night:
    """The same night; when it waits for the next load, with the deadline that holds from now on.

    A person's pause may last to the window's end; a host outside the guardian's limits is not waited for as long.
    """
    if night.state not in WAITING:
        return night
    since = max(event.at_mono_s, night.timer_mono_s)
    blocked = since + numbers.COOLING_BLOCKED_S_MAX
    deadline = max(night.end_by_mono_s, event.at_mono_s) if night.held else blocked
    return dataclasses.replace(night, deadline_mono_s=deadline)


def keep(night: Night, _event: Event) -> Step:
    """Nothing follows."""
    return night, ()


def conclude(night: Night, event: Event, cause: EndCause, detail: str) -> Step:
    """Every phase without a record gets one; then the end is stored and the report written."""
    commands: list[Command] = []
    own_state = night.state is OWN_STATE.get(night.load_kind) and night.load is not LoadStep.NONE
    if own_state or night.state is State.STOPPING:
        if night.load_kind is LoadKind.ANCHOR:
            commands.append(WriteAnchor(phase=night.phase, complete=False, reason=detail))
        elif night.load_kind is LoadKind.SEARCH:
            commands.append(WriteSearch(phase=night.phase, complete=False, reason=detail))
    records = list(night.records)
    in_phase = night.state in IN_PHASE or (night.state is State.STOPPING and night.load_kind is LoadKind.PHASE)
    for phase in night.order.phases:
        if phase.index in night.recorded:
            continue
        held_s = 0.0
        if in_phase and phase.index == night.phase:
            outcome, reason, held_s = _CAUSE_OUTCOME.get(cause, Outcome.RUNNER_FAULT), detail, night.held_s
            if isinstance(night.pending, PendingOutcome):
                outcome, reason = night.pending.outcome, night.pending.reason
        else:
            outcome, reason = Outcome.NOT_REACHED, phase.cut or f"the night ended before it: {detail}"
        records.append((phase.index, outcome))
        commands.append(WriteRecord(phase=phase.index, outcome=outcome, reason=reason, held_s=held_s))
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
        thawed(night, event.at_mono_s),
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


def prepare(night: Night, event: Event, state: State, kind: LoadKind, *, hold_s: float) -> Step:
    """Workers come up for a load of the current phase; what follows is the guardian's answer."""
    after = dataclasses.replace(
        enter(night, event, state, deadline_s=numbers.ARMING_S_MAX),
        load=LoadStep.PREPARING,
        load_kind=kind,
        hold_s=hold_s,
        pending=NoOutcome(),
        eased=False,
        held_since_mono_s=math.inf,
        held_s=0.0,
        cut_short=False,
    )
    return after, (PrepareLoad(kind=kind, phase=after.phase, ramp_s=after.ramp_s, hold_s=hold_s),)


def begin_anchor(night: Night, event: Event, phase: int, *, retried: bool) -> Step:
    """Workers come up for the anchor load."""
    before = dataclasses.replace(night, phase=phase, retried=retried)
    return prepare(before, event, State.ANCHOR, LoadKind.ANCHOR, hold_s=night.order.anchor.hold_s)


def tail_s(night: Night) -> float:
    """What has to fit behind a phase or a search: two drains, and the last anchor."""
    return 2 * numbers.DRAIN_S_EXPECTED + numbers.ARMING_S_EXPECTED + night.anchor_s


def hold_that_fits(night: Night, at_mono_s: float, phase: int) -> float:
    """Seconds of hold that still end, with the last anchor behind them, within the window; at most the planned ones."""
    planned = night.order.phases[phase]
    return min(planned.hold_s, night.end_by_mono_s - at_mono_s - planned.ramp_s - tail_s(night))


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
    after = waiting_anew(enter(night, event, State.COOLING, timer_s=timer_s, deadline_s=timer_s), event)
    return dataclasses.replace(after, load=LoadStep.NONE, pending=NoOutcome(), eased=False)


def write_record(night: Night, outcome: Outcome, reason: str, *, held_s: float = 0.0) -> Step:
    """The one record of the current phase."""
    failures = night.failures
    if outcome not in SAYS_NOTHING:
        failures = failures + 1 if outcome in FAILING else 0
    after = dataclasses.replace(night, records=(*night.records, (night.phase, outcome)), failures=failures)
    write = WriteRecord(phase=night.phase, outcome=outcome, reason=reason, held_s=held_s)
    return after, (write, WritePartialReport())


def record(night: Night, event: Event, outcome: Outcome, reason: str, *, held_s: float = 0.0) -> Step:
    """The one record of the current phase, and the rest after it."""
    after, commands = write_record(night, outcome, reason, held_s=held_s)
    return cool(after, event, failed=outcome in FAILING), commands


def search_or_rest(night: Night, event: Event) -> Step:
    """What follows a phase that has run its time and has its record: its search, if one is planned and may be, or the rest."""
    search = night.current.search
    _, outcome = night.records[-1]
    rest = cool(night, event, failed=outcome in FAILING)
    if isinstance(search, NoSearch):
        return rest, ()
    available_s = night.end_by_mono_s - event.at_mono_s - numbers.ARMING_S_EXPECTED - tail_s(night)
    reason = ""
    if outcome not in SEARCHED_AFTER:
        reason = f"the phase is {outcome.value}"
    elif night.rung is not Rung.CLEAR:
        reason = f"the guardian stands at {night.rung.name}"
    elif night.failures >= night.order.consecutive_failures_max:
        reason = f"{night.failures} phases failed one after another"
    elif available_s < search.lasts_s * numbers.HOLD_SHARE_MIN:
        reason = "the rest of the window is too short for it"
    if reason:
        return rest, (SkipSearch(phase=night.phase, reason=reason),)
    return prepare(night, event, State.SEARCHING, LoadKind.SEARCH, hold_s=min(search.lasts_s, available_s))


def abort(night: Night, event: Event, outcome: Outcome, reason: str) -> Step:
    """End the current load at once; its record follows when the load is proven zero."""
    state = OWN_STATE.get(night.load_kind, State.RELEASING)
    since = night.entered_mono_s if state is night.state else event.at_mono_s
    after = dataclasses.replace(
        enter(thawed(night, event.at_mono_s), event, state, deadline_s=numbers.ENDING_S_MAX),
        entered_mono_s=since,
        load=LoadStep.ENDING,
        pending=PendingOutcome(outcome=outcome, reason=reason),
    )
    return after, (EndLoad(reason=reason),)
