"""The campaign's transition table: what happens next, decided from events alone.

``advance(night, event)`` looks up the rows for (state, event type), takes the first whose guard holds, and returns the
next night with the commands to carry out. Whatever the table does not know is a RUNNER_FAULT, never ignored. The table
is data, so that the diagram in docs is drawn from it and a test can take one guard out and see the invariants break.
Pure: no IO, no clock, no randomness. The supervisor and the simulator run it.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

from baseline_metrics.health import KnownScore, UnknownScore
from campaign import night as numbers
from campaign.events import (
    AskReturn,
    BaselineScored,
    Command,
    Conclude,
    Criteria,
    Drill,
    DrillMissed,
    DrillPassed,
    EmergencyStopped,
    EndLoad,
    Event,
    GuardianClear,
    GuardianLost,
    GuardianMoved,
    Latch,
    Leave,
    LoadKind,
    LoadReady,
    LoadRefused,
    LoadScored,
    LoadZero,
    MeasureIdle,
    PreparationDone,
    PreparationFailed,
    Prepare,
    PrepareLoad,
    ReleaseLoad,
    ReportFailed,
    ReportWritten,
    RunnerFault,
    ScoreLoad,
    Started,
    StartLoad,
    StopRequested,
    Tick,
    WorkerLost,
    WriteAnchor,
    WritePartialReport,
    WriteRecord,
)
from campaign.night import Ending, LoadStep, Night, NoOutcome, NotEnding, PendingOutcome, State
from monitoring_logs.records import EndCause, Outcome
from safety_monitoring.limits import Rung

Step = tuple[Night, tuple[Command, ...]]
Guard = Callable[[Night, Event], bool]
Action = Callable[[Night, Event], Step]

TERMINAL = frozenset({State.DONE, State.STOPPED})
LOADED = frozenset({State.RAMPING, State.HOLDING, State.EASED, State.PAUSED})
IN_PHASE = LOADED | {State.ARMING, State.RELEASING}
LIVE = frozenset(State) - TERMINAL - {State.STOPPING, State.CONCLUDING}

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row: taken when its guard holds. to: the states it may lead to (for the diagram, and checked on each use)."""

    name: str
    guard: Guard
    act: Action
    to: frozenset[State]


def advance(night: Night, event: Event) -> Step:
    """One step of the night. Never raises for an event out of place: that is a RUNNER_FAULT, with the load taken away."""
    return advance_by(TABLE, night, event)


def advance_by(table: dict[tuple[State, type], tuple[Rule, ...]], night: Night, event: Event) -> Step:
    """Like advance, by another table (a mutant's)."""
    for rule in table.get((night.state, type(event)), ()):
        if rule.guard(night, event):
            after, commands = rule.act(night, event)
            assert after.state in rule.to, f"{rule.name} led from {night.state} to {after.state}"
            return after, commands
    return _stop(night, event, EndCause.RUNNER_FAULT, f"{type(event).__name__} is not known in {night.state.value}")


# Guards ---------------------------------------------------------------------------------------------------------------


def _always(_night: Night, _event: Event) -> bool:
    return True


def _timer_due(night: Night, event: Event) -> bool:
    return event.at_mono_s >= night.timer_mono_s


def _deadline_due(night: Night, event: Event) -> bool:
    return event.at_mono_s >= night.deadline_mono_s


def _cooled_and_clear(night: Night, event: Event) -> bool:
    return _timer_due(night, event) and night.rung is Rung.CLEAR


def may_load(night: Night, _event: Event) -> bool:
    """Whether load may start: drilled, not ending, not latched, the guardian's ladder clear, workers just prepared."""
    return (
        night.drilled
        and isinstance(night.end, NotEnding)
        and not night.latched
        and night.rung is Rung.CLEAR
        and night.load is LoadStep.PREPARING
    )


def _running(night: Night, _event: Event) -> bool:
    return night.load is LoadStep.RUNNING


def _draining(night: Night, _event: Event) -> bool:
    return night.load is LoadStep.DRAINING


def _ending(night: Night, _event: Event) -> bool:
    return night.load is LoadStep.ENDING


def _scoring(night: Night, _event: Event) -> bool:
    return night.load is LoadStep.SCORING


def _preparing(night: Night, _event: Event) -> bool:
    return night.load is LoadStep.PREPARING


def _run_over(night: Night, event: Event) -> bool:
    return night.load is LoadStep.RUNNING and event.at_mono_s >= night.timer_mono_s


def _moved_to(*rungs: Rung) -> Guard:
    def guard(_night: Night, event: Event) -> bool:
        assert isinstance(event, GuardianMoved)
        return event.rung in rungs

    return guard


def _moved_while_making(*rungs: Rung) -> Guard:
    def guard(night: Night, event: Event) -> bool:
        assert isinstance(event, GuardianMoved)
        return event.rung in rungs and night.load in (LoadStep.PREPARING, LoadStep.RUNNING, LoadStep.DRAINING)

    return guard


def _active(night: Night, _event: Event) -> bool:
    return night.load in (LoadStep.PREPARING, LoadStep.RUNNING, LoadStep.DRAINING, LoadStep.ENDING)


# Building blocks ------------------------------------------------------------------------------------------------------


def _enter(night: Night, event: Event, state: State, *, deadline_s: float, timer_s: float = math.inf) -> Night:
    return dataclasses.replace(
        night,
        state=state,
        entered_mono_s=event.at_mono_s,
        timer_mono_s=event.at_mono_s + timer_s,
        deadline_mono_s=event.at_mono_s + deadline_s,
    )


def _keep(night: Night, _event: Event) -> Step:
    return night, ()


def _conclude(night: Night, event: Event, cause: EndCause, detail: str) -> Step:
    """Every phase without a record gets one; then the end is stored and the report written."""
    commands: list[Command] = []
    if night.state is State.ANCHOR and night.load is not LoadStep.NONE:
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
    after = _enter(night, event, State.CONCLUDING, deadline_s=numbers.CONCLUDING_S_MAX)
    after = dataclasses.replace(
        after, load=LoadStep.NONE, records=tuple(records), end=Ending(cause=cause, detail=detail)
    )
    return after, tuple(commands)


def _stop(night: Night, event: Event, cause: EndCause, detail: str, *, orderly: bool = False) -> Step:
    """Take the load away, then conclude. Without load, conclude at once."""
    if night.state in TERMINAL | {State.CONCLUDING}:
        return night, ()
    if not _active(night, event):
        return _conclude(night, event, cause, detail)
    if night.state is State.STOPPING and not orderly:
        ended = dataclasses.replace(night, load=LoadStep.ENDING)
        return ended, (EndLoad(reason=detail),)
    commands: tuple[Command, ...] = (ReleaseLoad(),) if orderly else (EndLoad(reason=detail),)
    if night.load_kind is LoadKind.ANCHOR:
        commands = (*commands, WriteAnchor(phase=night.phase, complete=False, reason=detail))
    after = _enter(
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


def _begin_anchor(night: Night, event: Event, phase: int, *, retried: bool) -> Step:
    anchor = night.order.anchor
    after = _enter(night, event, State.ANCHOR, deadline_s=numbers.ARMING_S_MAX)
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


def _hold_that_fits(night: Night, at_mono_s: float, phase: int) -> float:
    """Seconds of hold that still end, with the last anchor behind them, within the window; at most the planned ones."""
    planned = night.order.phases[phase]
    tail_s = 2 * numbers.DRAIN_S_EXPECTED + numbers.ARMING_S_EXPECTED + night.anchor_s
    return min(planned.hold_s, night.end_by_mono_s - at_mono_s - planned.ramp_s - tail_s)


def _fits(night: Night, at_mono_s: float, phase: int) -> bool:
    lead_s = 2 * numbers.ARMING_S_EXPECTED + night.anchor_s + numbers.DRAIN_S_EXPECTED
    planned = night.order.phases[phase]
    return _hold_that_fits(night, at_mono_s + lead_s, phase) >= planned.hold_s * numbers.HOLD_SHARE_MIN


def _begin_next(night: Night, event: Event) -> Step:
    """The next phase that may run gets its anchor; phases that may not get their record; after the last one, the end."""
    if night.failures >= night.order.consecutive_failures_max:
        return _conclude(night, event, EndCause.FAILURES, f"{night.failures} phases failed one after another")
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
        elif not _fits(night, event.at_mono_s, phase.index):
            reason = "the rest of the window is too short for it"
        if not reason:
            after, begun = _begin_anchor(
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
        after, begun = _begin_anchor(night, event, -1, retried=False)
    else:
        after, begun = _conclude(night, event, EndCause.FINISHED, "the plan was worked through")
    return after, (*commands, *begun)


def _cool(night: Night, event: Event, *, failed: bool) -> Night:
    order = night.order
    remaining = any(not phase.cut and phase.index not in night.recorded for phase in order.phases)
    rest_s = order.cooldown_s if failed else max(0.0, order.break_s - night.anchor_s)
    timer_s = rest_s if remaining else 0.0
    after = _enter(night, event, State.COOLING, timer_s=timer_s, deadline_s=timer_s + numbers.COOLING_BLOCKED_S_MAX)
    return dataclasses.replace(after, load=LoadStep.NONE, pending=NoOutcome(), eased=False)


def _record(night: Night, event: Event, outcome: Outcome, reason: str) -> Step:
    failed = outcome in FAILING
    after = dataclasses.replace(
        night,
        records=(*night.records, (night.phase, outcome)),
        failures=night.failures + 1 if failed else 0,
    )
    write = WriteRecord(phase=night.phase, outcome=outcome, reason=reason)
    return _cool(after, event, failed=failed), (write, WritePartialReport())


def _abort(night: Night, event: Event, outcome: Outcome, reason: str) -> Step:
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
            _enter(night, event, State.RELEASING, deadline_s=numbers.ENDING_S_MAX),
            load=LoadStep.ENDING,
            pending=pending,
        )
    return after, (EndLoad(reason=reason),)


# Actions --------------------------------------------------------------------------------------------------------------


def _started(night: Night, event: Event) -> Step:
    assert isinstance(event, Started)
    after = _enter(night, event, State.PREPARING, deadline_s=numbers.PREPARING_S_MAX)
    return dataclasses.replace(after, end_by_mono_s=event.end_by_mono_s), (Prepare(),)


def _prepared(night: Night, event: Event) -> Step:
    return _enter(night, event, State.DRILLING, deadline_s=numbers.DRILLING_S_MAX), (Drill(),)


def _preparation_failed(night: Night, event: Event) -> Step:
    assert isinstance(event, PreparationFailed)
    return _conclude(night, event, EndCause.RUNNER_FAULT, event.detail)


def _preparation_late(night: Night, event: Event) -> Step:
    return _conclude(night, event, EndCause.RUNNER_FAULT, f"not prepared within {numbers.PREPARING_S_MAX:.0f} s")


def _drilled(night: Night, event: Event) -> Step:
    idle_s = night.order.baseline_idle_s
    deadline_s = idle_s + numbers.COOLING_BLOCKED_S_MAX
    after = _enter(night, event, State.BASELINING, timer_s=idle_s, deadline_s=deadline_s)
    return dataclasses.replace(after, drilled=True), (MeasureIdle(),)


def _drill_missed(night: Night, event: Event) -> Step:
    detail = event.detail if isinstance(event, DrillMissed) else f"no result within {numbers.DRILLING_S_MAX:.0f} s"
    return _conclude(night, event, EndCause.DRILL_MISSED, detail)


def _start_anchor(night: Night, event: Event) -> Step:
    start = event.at_mono_s + numbers.START_LEAD_S
    after = dataclasses.replace(night, load=LoadStep.RUNNING, start_mono_s=start)
    end = after.load_end_mono_s
    after = dataclasses.replace(after, timer_mono_s=end, deadline_mono_s=end + night.drain_s + numbers.LOAD_SLACK_S)
    return after, (StartLoad(start_mono_s=start),)


def _start_phase(night: Night, event: Event) -> Step:
    start = event.at_mono_s + numbers.START_LEAD_S
    after = dataclasses.replace(
        _enter(night, event, State.RAMPING, deadline_s=math.inf), load=LoadStep.RUNNING, start_mono_s=start
    )
    after = dataclasses.replace(
        after,
        timer_mono_s=after.ramp_end_mono_s,
        deadline_mono_s=after.load_end_mono_s + night.drain_s + numbers.LOAD_SLACK_S,
    )
    return after, (StartLoad(start_mono_s=start),)


def _not_allowed_now(night: Night, event: Event) -> Step:
    return _abort(night, event, Outcome.SAFETY_STOP, f"the guardian stands at {night.rung.name}, load may not start")


def _load_refused(night: Night, event: Event) -> Step:
    assert isinstance(event, LoadRefused)
    return _abort(night, event, Outcome.RUNNER_FAULT, event.detail)


def _load_late(night: Night, event: Event) -> Step:
    if night.load is LoadStep.PREPARING:
        outcome, what = Outcome.RUNNER_FAULT, f"the workers were not ready within {numbers.ARMING_S_MAX:.0f} s"
    elif night.load is LoadStep.SCORING:
        outcome, what = Outcome.RUNNER_FAULT, f"not scored within {numbers.SCORING_S_MAX:.0f} s"
    else:
        outcome, what = Outcome.WORKER_HUNG, "the workers did not end the load by their own clock"
    return _abort(night, event, outcome, what)


def _still_not_zero(night: Night, event: Event) -> Step:
    return _stop(night, event, EndCause.RUNNER_FAULT, "the load could not be proven zero")


def _hold(night: Night, event: Event) -> Step:
    after = dataclasses.replace(night, state=State.HOLDING, entered_mono_s=event.at_mono_s)
    return dataclasses.replace(after, timer_mono_s=night.load_end_mono_s), ()


def _release(night: Night, event: Event) -> Step:
    after = _enter(night, event, State.RELEASING, deadline_s=night.drain_s + numbers.LOAD_SLACK_S)
    return dataclasses.replace(after, load=LoadStep.DRAINING), ()


def _drain_anchor(night: Night, event: Event) -> Step:
    after = dataclasses.replace(
        night,
        load=LoadStep.DRAINING,
        timer_mono_s=math.inf,
        deadline_mono_s=event.at_mono_s + night.drain_s + numbers.LOAD_SLACK_S,
    )
    return after, ()


def _score(night: Night, event: Event) -> Step:
    after = dataclasses.replace(night, load=LoadStep.SCORING, deadline_mono_s=event.at_mono_s + numbers.SCORING_S_MAX)
    return after, (ScoreLoad(kind=night.load_kind, phase=night.phase),)


def _anchor_ended(night: Night, event: Event) -> Step:
    """An anchor that was cut off: its health is unknown. When the host was the cause, it is tried once more later."""
    pending = night.pending
    assert isinstance(pending, PendingOutcome)
    write = WriteAnchor(phase=night.phase, complete=False, reason=pending.reason)
    score = UnknownScore(reason=f"the anchor load was cut off: {pending.reason}")
    night = dataclasses.replace(night, score=score)
    if night.phase < 0:
        after, commands = _conclude(
            dataclasses.replace(night, load=LoadStep.NONE), event, EndCause.FINISHED, "the plan was worked through"
        )
        return after, (write, *commands)
    if pending.outcome is Outcome.SAFETY_STOP and not night.retried:
        rested = dataclasses.replace(_cool(night, event, failed=True), retried=True)
        return rested, (write,)
    after, commands = _record(night, event, Outcome.SKIPPED, f"no health: {pending.reason}")
    return after, (write, *commands)


def _phase_ended(night: Night, event: Event) -> Step:
    assert isinstance(night.pending, PendingOutcome)
    return _record(night, event, night.pending.outcome, night.pending.reason)


def _ended_early(night: Night, event: Event) -> Step:
    return _abort(night, event, Outcome.WORKER_CRASHED, "the load ended before its time")


def _baseline_scored(night: Night, event: Event) -> Step:
    assert isinstance(event, BaselineScored)
    allowed = event.phases_allowed if isinstance(event.score, KnownScore) else 0
    return dataclasses.replace(night, phases_allowed=allowed, baseline_scored=True), ()


def _anchor_scored(night: Night, event: Event) -> Step:
    """The anchor is done: the end, a refusal, one more anchor, a skipped phase, or the phase itself."""
    assert isinstance(event, LoadScored)
    eased = night.eased
    score = UnknownScore(reason="the guardian eased the anchor load") if eased else event.score
    reason = "the guardian eased it" if eased else event.detail
    write = WriteAnchor(phase=night.phase, complete=not eased, reason=reason)
    night = dataclasses.replace(night, score=score, load=LoadStep.NONE)
    if night.phase < 0:
        after, commands = _conclude(night, event, EndCause.FINISHED, "the plan was worked through")
    elif night.phases_allowed == 0 and not night.retried:
        after, commands = _begin_anchor(night, event, night.phase, retried=True)
    elif night.phases_allowed == 0:
        after, commands = _conclude(night, event, EndCause.HEALTH_REFUSED, f"no phase may run: {_words(score)}")
    elif night.phase not in _allowed(night):
        reason = f"the baseline's health allows {night.phases_allowed} phases"
        after, commands = _record(night, event, Outcome.NOT_REACHED, reason)
    else:
        after, commands = _arm(night, event)
    return after, (write, *commands)


def _allowed(night: Night) -> tuple[int, ...]:
    """Indexes of the phases that the baseline's health allows."""
    return tuple(phase.index for phase in night.order.phases if not phase.cut)[: night.phases_allowed]


def _arm(night: Night, event: Event) -> Step:
    phase = night.current
    score = night.score
    if not (isinstance(score, KnownScore) and score.value >= phase.required_health):
        if not night.retried:
            return _begin_anchor(night, event, night.phase, retried=True)
        reason = f"required health {phase.required_health:g}: {_words(score)}, also after one more anchor"
        return _record(night, event, Outcome.SKIPPED, reason)
    hold_s = _hold_that_fits(night, event.at_mono_s + numbers.ARMING_S_EXPECTED, night.phase)
    if hold_s < phase.hold_s * numbers.HOLD_SHARE_MIN:
        return _record(night, event, Outcome.NOT_REACHED, "the rest of the window is too short for it")
    after = _enter(night, event, State.ARMING, deadline_s=numbers.ARMING_S_MAX)
    after = dataclasses.replace(
        after, load=LoadStep.PREPARING, load_kind=LoadKind.PHASE, hold_s=hold_s, pending=NoOutcome(), eased=False
    )
    return after, (PrepareLoad(kind=LoadKind.PHASE, phase=night.phase, ramp_s=phase.ramp_s, hold_s=hold_s),)


def _phase_scored(night: Night, event: Event) -> Step:
    assert isinstance(event, LoadScored)
    reason = event.detail
    if night.hold_s < night.current.hold_s:
        reason = f"held {night.hold_s:.1f} s of {night.current.hold_s:.1f} s, the night was late; {reason}"
    if event.criteria is Criteria.NOT_MET:
        return _record(night, event, Outcome.FAILED, reason)
    return _record(night, event, Outcome.EASED if night.eased else Outcome.COMPLETED, reason)


def _worker_lost(night: Night, event: Event) -> Step:
    assert isinstance(event, WorkerLost)
    return _abort(night, event, event.outcome, event.detail)


def _note_rung(night: Night, event: Event) -> Step:
    assert isinstance(event, GuardianMoved)
    eased = night.eased or (event.rung is not Rung.CLEAR and night.load in (LoadStep.RUNNING, LoadStep.DRAINING))
    return dataclasses.replace(night, rung=event.rung, eased=eased), ()


def _ease(night: Night, event: Event) -> Step:
    assert isinstance(event, GuardianMoved)
    state = State.EASED if event.rung is Rung.EASE else State.PAUSED
    timer = night.load_end_mono_s
    return dataclasses.replace(night, state=state, rung=event.rung, eased=True, timer_mono_s=timer), ()


def _return(night: Night, event: Event) -> Step:
    ramping = event.at_mono_s < night.ramp_end_mono_s
    timer = night.ramp_end_mono_s if ramping else night.load_end_mono_s
    state = State.RAMPING if ramping else State.HOLDING
    return dataclasses.replace(night, state=state, rung=Rung.CLEAR, timer_mono_s=timer), ()


def _guardian_stops_phase(night: Night, event: Event) -> Step:
    assert isinstance(event, GuardianMoved)
    return _abort(dataclasses.replace(night, rung=event.rung), event, Outcome.SAFETY_STOP, event.why)


def _guardian_stops_campaign(night: Night, event: Event) -> Step:
    assert isinstance(event, GuardianMoved)
    return _stop(dataclasses.replace(night, rung=event.rung), event, EndCause.GUARDIAN_STOP, event.why)


def _ask_return(night: Night, _event: Event) -> Step:
    return night, (AskReturn(),)


def _blocked_too_long(night: Night, event: Event) -> Step:
    detail = f"the host stayed outside the guardian's limits for {numbers.COOLING_BLOCKED_S_MAX / 60:.0f} min"
    return _conclude(night, event, EndCause.GUARDIAN_STOP, detail)


def _operator_stop(night: Night, event: Event) -> Step:
    assert isinstance(event, StopRequested)
    return _stop(night, event, EndCause.OPERATOR_STOP, event.detail, orderly=True)


def _emergency(night: Night, event: Event) -> Step:
    assert isinstance(event, EmergencyStopped)
    latched = dataclasses.replace(night, latched=True)
    if night.state in TERMINAL | {State.CONCLUDING}:
        return latched, (Latch(detail=event.detail),)
    ending = Ending(cause=EndCause.EMERGENCY_STOP, detail=event.detail)
    after, commands = _stop(latched, event, EndCause.EMERGENCY_STOP, event.detail)
    if after.state is State.STOPPING:
        after = dataclasses.replace(after, end=ending, timer_mono_s=math.inf)
    return after, (Latch(detail=event.detail), *commands)


def _guardian_lost(night: Night, event: Event) -> Step:
    assert isinstance(event, GuardianLost)
    return _stop(night, event, EndCause.GUARDIAN_LOST, event.detail)


def _runner_fault(night: Night, event: Event) -> Step:
    assert isinstance(event, RunnerFault)
    return _stop(night, event, EndCause.RUNNER_FAULT, event.detail)


def _end_what_drains(night: Night, _event: Event) -> Step:
    after = dataclasses.replace(night, load=LoadStep.ENDING, timer_mono_s=math.inf)
    return after, (EndLoad(reason=f"not drained within {numbers.ORDERLY_RELEASE_S} s"),)


def _stopped_zero(night: Night, event: Event) -> Step:
    assert isinstance(night.end, Ending)
    return _conclude(dataclasses.replace(night, load=LoadStep.NONE), event, night.end.cause, night.end.detail)


def _stopping_late(night: Night, event: Event) -> Step:
    assert isinstance(night.end, Ending)
    detail = f"{night.end.detail}; the load could not be proven zero within {numbers.STOPPING_S_MAX:.0f} s"
    after, commands = _conclude(night, event, night.end.cause, detail)
    return after, (EndLoad(reason=detail), *commands)


def _leave(night: Night, event: Event) -> Step:
    assert isinstance(night.end, Ending)
    finished = night.end.cause in (EndCause.FINISHED, EndCause.FAILURES, EndCause.HEALTH_REFUSED)
    after = _enter(night, event, State.DONE if finished else State.STOPPED, deadline_s=math.inf)
    return after, (Leave(),)


def _words(score: KnownScore | UnknownScore) -> str:
    return f"health {score.value:.1f}" if isinstance(score, KnownScore) else f"health unknown ({score.reason})"


# The table ------------------------------------------------------------------------------------------------------------

_ANY_STEP = frozenset({State.ANCHOR, State.RELEASING})
_NEXT = frozenset({State.ANCHOR, State.CONCLUDING})
_AFTER_PHASE = frozenset({State.COOLING})
_STOPS = frozenset({State.STOPPING, State.CONCLUDING})


def _rule(name: str, guard: Guard, act: Action, *to: State | frozenset[State]) -> Rule:
    states: set[State] = set()
    for item in to:
        states |= item if isinstance(item, frozenset) else {item}
    return Rule(name=name, guard=guard, act=act, to=frozenset(states))


def _build_table() -> dict[tuple[State, type], tuple[Rule, ...]]:
    table: dict[tuple[State, type], list[Rule]] = {}

    def row(state: State, event: type, *rules: Rule) -> None:
        table.setdefault((state, event), []).extend(rules)

    row(State.PREPARING, Started, _rule("begin", _always, _started, State.PREPARING))
    row(State.PREPARING, PreparationDone, _rule("rehearse the stops", _always, _prepared, State.DRILLING))
    row(State.PREPARING, PreparationFailed, _rule("not prepared", _always, _preparation_failed, State.CONCLUDING))
    row(State.PREPARING, Tick, _rule("preparation too late", _deadline_due, _preparation_late, State.CONCLUDING))

    row(State.DRILLING, DrillPassed, _rule("drill passed", _always, _drilled, State.BASELINING))
    row(State.DRILLING, DrillMissed, _rule("drill missed", _always, _drill_missed, State.CONCLUDING))
    row(State.DRILLING, Tick, _rule("drill too late", _deadline_due, _drill_missed, State.CONCLUDING))

    row(State.BASELINING, Tick, _rule("idle host measured", _cooled_and_clear, _begin_next, _NEXT))
    row(State.BASELINING, Tick, _rule("host never clear", _deadline_due, _blocked_too_long, State.CONCLUDING))

    row(State.ANCHOR, LoadReady, _rule("anchor starts", may_load, _start_anchor, State.ANCHOR))
    row(State.ANCHOR, LoadReady, _rule("load not allowed", _preparing, _not_allowed_now, State.ANCHOR))
    row(State.ANCHOR, LoadReady, _rule("ready too late", _ending, _keep, State.ANCHOR))
    row(State.ARMING, LoadReady, _rule("phase starts", may_load, _start_phase, State.RAMPING))
    row(State.ARMING, LoadReady, _rule("load not allowed", _preparing, _not_allowed_now, State.RELEASING))
    row(State.RELEASING, LoadReady, _rule("ready too late", _ending, _keep, State.RELEASING))
    for state, to in ((State.ANCHOR, State.ANCHOR), (State.ARMING, State.RELEASING)):
        row(state, LoadRefused, _rule("load refused", _preparing, _load_refused, to))
        row(state, LoadRefused, _rule("refused while ending", _ending, _keep, state))
    row(State.RELEASING, LoadRefused, _rule("refused while ending", _ending, _keep, State.RELEASING))

    row(State.ANCHOR, Tick, _rule("anchor over", _run_over, _drain_anchor, State.ANCHOR))
    for state, to in (
        (State.ANCHOR, State.ANCHOR),
        (State.ARMING, State.RELEASING),
        (State.RELEASING, State.RELEASING),
    ):
        row(state, Tick, _rule("not zero in time", _late_while_ending, _still_not_zero, State.STOPPING))
        row(state, Tick, _rule("load too late", _deadline_due, _load_late, to))
    row(State.RAMPING, Tick, _rule("ramp over", _timer_due, _hold, State.HOLDING))
    for state in (State.HOLDING, State.EASED, State.PAUSED):
        row(state, Tick, _rule("hold over", _timer_due, _release, State.RELEASING))
    for state in LOADED:
        row(state, Tick, _rule("load too late", _deadline_due, _load_late, State.RELEASING))

    row(State.ANCHOR, LoadZero, _rule("anchor drained", _draining, _score, State.ANCHOR))
    row(State.ANCHOR, LoadZero, _rule("anchor cut off", _ending, _anchor_ended, State.COOLING, State.CONCLUDING))
    row(State.ANCHOR, LoadZero, _rule("anchor ended early", _running, _ended_early, State.ANCHOR))
    row(State.RELEASING, LoadZero, _rule("phase drained", _draining, _score, State.RELEASING))
    row(State.RELEASING, LoadZero, _rule("phase cut off", _ending, _phase_ended, _AFTER_PHASE))
    for state in LOADED:
        row(state, LoadZero, _rule("load ended early", _always, _ended_early, State.RELEASING))

    row(State.ANCHOR, BaselineScored, _rule("health chooses how far", _scoring, _baseline_scored, State.ANCHOR))
    row(
        State.ANCHOR,
        LoadScored,
        _rule(
            "anchor scored",
            _scoring,
            _anchor_scored,
            State.ARMING,
            State.ANCHOR,
            State.COOLING,
            State.CONCLUDING,
        ),
    )
    row(State.RELEASING, LoadScored, _rule("phase scored", _scoring, _phase_scored, _AFTER_PHASE))

    row(State.COOLING, Tick, _rule("rested, host clear", _cooled_and_clear, _begin_next, _NEXT))
    row(State.COOLING, Tick, _rule("host never clear", _deadline_due, _blocked_too_long, State.CONCLUDING))

    for state, to in (
        (State.ANCHOR, State.ANCHOR),
        (State.ARMING, State.RELEASING),
        *((loaded, State.RELEASING) for loaded in sorted(LOADED, key=lambda item: item.value)),
    ):
        guard = _always if state in LOADED else _making
        row(state, WorkerLost, _rule("worker lost", guard, _worker_lost, to))
    row(State.RELEASING, WorkerLost, _rule("worker lost while draining", _draining, _worker_lost, State.RELEASING))
    for state in frozenset(State) - LOADED:
        row(state, WorkerLost, _rule("worker lost, load already ending or none", _always, _keep, state))

    stop_campaign = _rule("guardian ends the night", _moved_to(Rung.STOP_CAMPAIGN), _guardian_stops_campaign, _STOPS)
    stops_phase = _moved_while_making(Rung.STOP_PHASE)
    for state in LIVE:
        row(state, GuardianMoved, stop_campaign)
    for state, to in (
        (State.ANCHOR, State.ANCHOR),
        (State.ARMING, State.RELEASING),
        (State.RELEASING, State.RELEASING),
    ):
        row(state, GuardianMoved, _rule("guardian stops the load", stops_phase, _guardian_stops_phase, to))
    for state in LOADED:
        stop_rule = _rule(
            "guardian stops the phase", _moved_to(Rung.STOP_PHASE), _guardian_stops_phase, State.RELEASING
        )
        ease_rule = _rule(
            "guardian eases or pauses", _moved_to(Rung.EASE, Rung.PAUSE), _ease, State.EASED, State.PAUSED
        )
        return_rule = _rule("load returns", _always, _return, State.RAMPING, State.HOLDING)
        row(state, GuardianMoved, stop_rule, ease_rule, return_rule)
    for state in frozenset(State) - LOADED:
        row(state, GuardianMoved, _rule("note the ladder", _always, _note_rung, state))
    for state in State:
        if state in LIVE:
            row(state, GuardianClear, _rule("our key of the two", _always, _ask_return, state))
        else:
            row(state, GuardianClear, _rule("no load is wanted", _always, _keep, state))

    for state in LIVE:
        row(state, StopRequested, _rule("orderly stop", _always, _operator_stop, _STOPS))
        row(state, GuardianLost, _rule("guardian lost", _always, _guardian_lost, _STOPS))
        row(state, RunnerFault, _rule("our own fault", _always, _runner_fault, _STOPS))
    for state in State:
        targets = (
            _STOPS if state in LIVE else frozenset({state, State.CONCLUDING} if state is State.STOPPING else {state})
        )
        row(state, EmergencyStopped, _rule("emergency stop", _always, _emergency, targets))
    row(State.STOPPING, StopRequested, _rule("already stopping", _always, _keep, State.STOPPING))
    row(State.STOPPING, GuardianLost, _rule("end it ourselves", _always, _guardian_lost, State.STOPPING))
    row(State.STOPPING, RunnerFault, _rule("end it ourselves", _always, _runner_fault, State.STOPPING))
    row(State.STOPPING, LoadReady, _rule("too late to start", _always, _keep, State.STOPPING))
    row(State.STOPPING, LoadRefused, _rule("no load is wanted", _always, _keep, State.STOPPING))
    row(State.STOPPING, Tick, _rule("drained too slowly", _timer_due, _end_what_drains, State.STOPPING))
    row(State.STOPPING, Tick, _rule("stop too late", _deadline_due, _stopping_late, State.CONCLUDING))
    row(State.STOPPING, LoadZero, _rule("load is zero", _always, _stopped_zero, State.CONCLUDING))

    row(State.CONCLUDING, ReportWritten, _rule("report stands", _always, _leave, State.DONE, State.STOPPED))
    row(State.CONCLUDING, ReportFailed, _rule("no report possible", _always, _leave, State.DONE, State.STOPPED))
    row(State.CONCLUDING, Tick, _rule("report too late", _deadline_due, _leave, State.DONE, State.STOPPED))
    after_the_end = (StopRequested, GuardianLost, RunnerFault, LoadZero, LoadReady, LoadRefused, LoadScored)
    for state in (State.CONCLUDING, State.DONE, State.STOPPED):
        for event in (*after_the_end, BaselineScored):
            row(state, event, _rule("the night is over", _always, _keep, state))
    for state in State:
        row(state, Tick, _rule("time passes", _always, _keep, state))
    return {key: tuple(rules) for key, rules in table.items()}


def _late_while_ending(night: Night, event: Event) -> bool:
    return night.load is LoadStep.ENDING and event.at_mono_s >= night.deadline_mono_s


def _making(night: Night, _event: Event) -> bool:
    return night.load in (LoadStep.PREPARING, LoadStep.RUNNING, LoadStep.DRAINING)


TABLE = _build_table()
