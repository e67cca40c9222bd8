"""What the machine's rows do: the next night and its commands, from one event. Pure; see machine for the table."""

import dataclasses
import math

from baseline_metrics.health import KnownScore, UnknownScore
from campaign import machine_blocks as blocks
from campaign import night as numbers
from campaign.events import (
    AskReturn,
    BaselineScored,
    Criteria,
    Drill,
    DrillMissed,
    EmergencyStopped,
    EndLoad,
    Event,
    GeneratorInvalid,
    GuardianLost,
    GuardianMoved,
    Latch,
    Leave,
    LoadKind,
    LoadRefused,
    LoadScored,
    MeasureIdle,
    PreparationFailed,
    Prepare,
    ReleaseLoad,
    RunnerFault,
    ScoreLoad,
    Started,
    StopRequested,
    WorkerLost,
    WriteAnchor,
    WriteSearch,
)
from campaign.machine_blocks import Step
from campaign.night import OWN_STATE, TERMINAL, Ending, LoadStep, Night, PendingOutcome, State
from monitoring_logs.records import EndCause, Outcome
from safety_monitoring.limits import Rung


def started(night: Night, event: Event) -> Step:
    """The window is known; everything that the night needs is set up."""
    assert isinstance(event, Started)
    after = blocks.enter(night, event, State.PREPARING, deadline_s=numbers.PREPARING_S_MAX)
    return dataclasses.replace(after, end_by_mono_s=event.end_by_mono_s), (Prepare(),)


def prepared(night: Night, event: Event) -> Step:
    """Rehearse the stops before any other load."""
    return blocks.enter(night, event, State.DRILLING, deadline_s=numbers.DRILLING_S_MAX), (Drill(),)


def preparation_failed(night: Night, event: Event) -> Step:
    """The night cannot start; the report says why."""
    assert isinstance(event, PreparationFailed)
    return blocks.conclude(night, event, EndCause.RUNNER_FAULT, event.detail)


def preparation_late(night: Night, event: Event) -> Step:
    """The night cannot start; something hangs."""
    return blocks.conclude(night, event, EndCause.RUNNER_FAULT, f"not prepared within {numbers.PREPARING_S_MAX:.0f} s")


def drilled(night: Night, event: Event) -> Step:
    """The idle host is measured."""
    idle_s = night.order.baseline_idle_s
    after = blocks.enter(night, event, State.BASELINING, timer_s=idle_s, deadline_s=idle_s)
    return dataclasses.replace(blocks.waiting_anew(after, event), drilled=True), (MeasureIdle(),)


def drill_missed(night: Night, event: Event) -> Step:
    """A stop that does not work: no load at all."""
    detail = event.detail if isinstance(event, DrillMissed) else f"no result within {numbers.DRILLING_S_MAX:.0f} s"
    return blocks.conclude(night, event, EndCause.DRILL_MISSED, detail)


def not_allowed_now(night: Night, event: Event) -> Step:
    """The workers are sent away again: the host is not ours to load."""
    return blocks.abort(
        night, event, Outcome.SAFETY_STOP, f"the guardian stands at {night.rung.name}, load may not start"
    )


def not_allowed_after_pause(night: Night, event: Event) -> Step:
    """The person lets load come back, the guardian does not: the workers are sent away again."""
    return not_allowed_now(dataclasses.replace(night, held=False), event)


def load_refused(night: Night, event: Event) -> Step:
    """The workers are sent away again."""
    assert isinstance(event, LoadRefused)
    return blocks.abort(night, event, Outcome.RUNNER_FAULT, event.detail)


def load_late(night: Night, event: Event) -> Step:
    """What should have happened by now did not: the load is taken away."""
    if night.load is LoadStep.PREPARING:
        outcome, what = Outcome.RUNNER_FAULT, f"the workers were not ready within {numbers.ARMING_S_MAX:.0f} s"
    elif night.load is LoadStep.SCORING:
        outcome, what = Outcome.RUNNER_FAULT, f"not scored within {numbers.SCORING_S_MAX:.0f} s"
    else:
        outcome, what = Outcome.WORKER_HUNG, "the workers did not end the load by their own clock"
    return blocks.abort(night, event, outcome, what)


def still_not_zero(night: Night, event: Event) -> Step:
    """Taking the load away did not work within its time: the night ends."""
    return blocks.stop(night, event, EndCause.RUNNER_FAULT, "the load could not be proven zero")


def hold(night: Night, event: Event) -> Step:
    """All connections are at work."""
    after = dataclasses.replace(night, state=State.HOLDING, entered_mono_s=event.at_mono_s)
    return dataclasses.replace(after, timer_mono_s=night.load_over_mono_s), ()


def release(night: Night, event: Event) -> Step:
    """The declared time is over; what is in flight drains. Workers end by their own clocks, unless a pause cut them short."""
    after = blocks.enter(night, event, State.RELEASING, deadline_s=night.drain_s + numbers.LOAD_SLACK_S)
    return dataclasses.replace(after, load=LoadStep.DRAINING), (ReleaseLoad(),) if night.cut_short else ()


def drain(night: Night, event: Event) -> Step:
    """As release, for a load that goes through all its steps in one state."""
    after = dataclasses.replace(
        night,
        load=LoadStep.DRAINING,
        timer_mono_s=math.inf,
        deadline_mono_s=event.at_mono_s + night.drain_s + numbers.LOAD_SLACK_S,
    )
    return after, (ReleaseLoad(),) if night.cut_short else ()


def search_over(night: Night, event: Event) -> Step:
    """The search has its answer; the rest of its time is not needed."""
    after, _ = drain(night, event)
    return after, (ReleaseLoad(),)


def score(night: Night, event: Event) -> Step:
    """The load is zero; look at what it measured."""
    after = dataclasses.replace(night, load=LoadStep.SCORING, deadline_mono_s=event.at_mono_s + numbers.SCORING_S_MAX)
    return after, (ScoreLoad(kind=night.load_kind, phase=night.phase),)


def over_before_hold(night: Night, event: Event) -> Step:
    """A person's pause came too late for this load: it has run out by its own clock, and drained. The pause stays in force."""
    state = OWN_STATE.get(night.load_kind, State.RELEASING)
    after = blocks.enter(night, event, state, deadline_s=numbers.SCORING_S_MAX)
    after = dataclasses.replace(after, held_since_mono_s=math.inf)
    return search_ended(after, event) if night.load_kind is LoadKind.SEARCH else score(after, event)


def anchor_ended(night: Night, event: Event) -> Step:
    """An anchor that was cut off: its health is unknown. When host or person was the cause, it is tried once more later."""
    pending = night.pending
    assert isinstance(pending, PendingOutcome)
    write = WriteAnchor(phase=night.phase, complete=False, reason=pending.reason)
    score = UnknownScore(reason=f"the anchor load was cut off: {pending.reason}")
    night = dataclasses.replace(night, score=score)
    if night.phase < 0:
        after, commands = blocks.conclude(
            dataclasses.replace(night, load=LoadStep.NONE), event, EndCause.FINISHED, "the plan was worked through"
        )
        return after, (write, *commands)
    mended = (Outcome.SAFETY_STOP, Outcome.OPERATOR_STOP, Outcome.INVALID_GENERATOR)
    if pending.outcome in mended and not night.retried:
        rested = dataclasses.replace(blocks.cool(night, event, failed=True), retried=True)
        return rested, (write,)
    after, commands = blocks.record(night, event, Outcome.SKIPPED, f"no health: {pending.reason}")
    return after, (write, *commands)


def phase_ended(night: Night, event: Event) -> Step:
    """A phase that was cut off, now that its load is proven zero."""
    pending = night.pending
    assert isinstance(pending, PendingOutcome)
    return blocks.record(night, event, pending.outcome, pending.reason, held_s=night.held_s)


def search_ended(night: Night, event: Event) -> Step:
    """The search has had its time or its answer; what it found is its record."""
    return blocks.cool(night, event, failed=night.records[-1][1] in blocks.FAILING), (
        WriteSearch(phase=night.phase, complete=True, reason=""),
    )


def search_cut_off(night: Night, event: Event) -> Step:
    """A search that was cut off: its record holds what was found by then. It fails no phase; the host gets its cool-down."""
    assert isinstance(night.pending, PendingOutcome)
    return blocks.cool(night, event, failed=True), (
        WriteSearch(phase=night.phase, complete=False, reason=night.pending.reason),
    )


def ended_early(night: Night, event: Event) -> Step:
    """Nobody makes load any more, and the time is not over."""
    return blocks.abort(night, event, Outcome.WORKER_CRASHED, "the load ended before its time")


def baseline_scored(night: Night, event: Event) -> Step:
    """How many phases may run; unknown allows none."""
    assert isinstance(event, BaselineScored)
    allowed = event.phases_allowed if isinstance(event.score, KnownScore) else 0
    return dataclasses.replace(night, phases_allowed=allowed, baseline_scored=True), ()


def anchor_scored(night: Night, event: Event) -> Step:
    """The anchor is done: the end, a refusal, one more anchor, a skipped phase, or the phase itself."""
    assert isinstance(event, LoadScored)
    score, reason, complete = event.score, event.detail, True
    if night.eased:
        score, reason, complete = (
            UnknownScore(reason="the guardian eased the anchor load"),
            "the guardian eased it",
            False,
        )
    elif isinstance(event.generator, GeneratorInvalid):
        reason, complete = f"the generator was not valid: {event.generator.reason}", False
        score = UnknownScore(reason=reason)
    write = WriteAnchor(phase=night.phase, complete=complete, reason=reason)
    night = dataclasses.replace(night, score=score, load=LoadStep.NONE)
    if night.phase < 0:
        after, commands = blocks.conclude(night, event, EndCause.FINISHED, "the plan was worked through")
    elif night.phases_allowed == 0 and not night.retried:
        after, commands = once_more(night, event)
    elif night.phases_allowed == 0:
        after, commands = blocks.conclude(night, event, EndCause.HEALTH_REFUSED, f"no phase may run: {words(score)}")
    elif night.phase not in allowed(night):
        reason = f"the baseline's health allows {night.phases_allowed} phases"
        after, commands = blocks.record(night, event, Outcome.NOT_REACHED, reason)
    else:
        after, commands = arm(night, event)
    return after, (write, *commands)


def allowed(night: Night) -> tuple[int, ...]:
    """Indexes of the phases that the baseline's health allows."""
    return tuple(phase.index for phase in night.order.phases if not phase.cut)[: night.phases_allowed]


def once_more(night: Night, event: Event) -> Step:
    """One more anchor; while the guardian's ladder is not clear, it waits for that in COOLING."""
    if night.rung is Rung.CLEAR:
        return blocks.begin_anchor(night, event, night.phase, retried=True)
    return dataclasses.replace(blocks.cool(night, event, failed=False), retried=True), ()


def arm(night: Night, event: Event) -> Step:
    """The phase's required health decides: the phase, one more anchor, or SKIPPED."""
    phase = night.current
    score = night.score
    if not (isinstance(score, KnownScore) and score.value >= phase.required_health):
        if not night.retried:
            return once_more(night, event)
        reason = f"required health {phase.required_health:g}: {words(score)}, also after one more anchor"
        return blocks.record(night, event, Outcome.SKIPPED, reason)
    hold_s = blocks.hold_that_fits(night, event.at_mono_s + numbers.ARMING_S_EXPECTED, night.phase)
    if hold_s < phase.hold_s * numbers.HOLD_SHARE_MIN:
        return blocks.record(night, event, Outcome.NOT_REACHED, "the rest of the window is too short for it")
    return blocks.prepare(night, event, State.ARMING, LoadKind.PHASE, hold_s=hold_s)


def phase_scored(night: Night, event: Event) -> Step:
    """The record of a phase that ran to its end, and what follows it.

    What an invalid generator measured is the generator's: INVALID_GENERATOR whatever the latencies say. It is not the
    target's failure and does not count as one: the night goes on, and the verdict will not call it fit for that.
    """
    assert isinstance(event, LoadScored)
    reason = event.detail
    if night.hold_s < night.current.hold_s:
        reason = f"held {night.hold_s:.1f} s of {night.current.hold_s:.1f} s, the night was late; {reason}"
    outcome = Outcome.EASED if night.eased else Outcome.COMPLETED
    if isinstance(event.generator, GeneratorInvalid):
        outcome, reason = Outcome.INVALID_GENERATOR, f"{event.generator.reason}; {reason}"
    elif event.criteria is Criteria.NOT_MET:
        outcome = Outcome.FAILED
    after, records = blocks.write_record(night, outcome, reason, held_s=night.held_s)
    after, commands = blocks.search_or_rest(after, event)
    return after, (*records, *commands)


def worker_lost(night: Night, event: Event) -> Step:
    """The other workers are sent away; nobody is respawned blindly."""
    assert isinstance(event, WorkerLost)
    return blocks.abort(night, event, event.outcome, event.detail)


def note_rung(night: Night, event: Event) -> Step:
    """Remember where the ladder stands; nothing else follows here."""
    assert isinstance(event, GuardianMoved)
    eased = night.eased or (event.rung is not Rung.CLEAR and night.load in (LoadStep.RUNNING, LoadStep.DRAINING))
    return dataclasses.replace(night, rung=event.rung, eased=eased), ()


def ease(night: Night, event: Event) -> Step:
    """The guardian has lowered the permitted share; the time goes on."""
    assert isinstance(event, GuardianMoved)
    state = State.EASED if event.rung is Rung.EASE else State.PAUSED
    timer = night.load_over_mono_s
    return dataclasses.replace(night, state=state, rung=event.rung, eased=True, timer_mono_s=timer), ()


def come_back(night: Night, event: Event) -> Step:
    """The guardian lets the full load return."""
    ramping = event.at_mono_s < night.ramp_end_mono_s
    timer = night.ramp_end_mono_s if ramping else night.load_over_mono_s
    state = State.RAMPING if ramping else State.HOLDING
    return dataclasses.replace(night, state=state, rung=Rung.CLEAR, timer_mono_s=timer), ()


def guardian_stops_phase(night: Night, event: Event) -> Step:
    """The guardian has ended the workers: this load is over."""
    assert isinstance(event, GuardianMoved)
    return blocks.abort(dataclasses.replace(night, rung=event.rung), event, Outcome.SAFETY_STOP, event.why)


def guardian_stops_campaign(night: Night, event: Event) -> Step:
    """The guardian has ended the workers: the night is over."""
    assert isinstance(event, GuardianMoved)
    return blocks.stop(dataclasses.replace(night, rung=event.rung), event, EndCause.GUARDIAN_STOP, event.why)


def ask_return(night: Night, _event: Event) -> Step:
    """Our key of the two."""
    return night, (AskReturn(),)


def blocked_too_long(night: Night, event: Event) -> Step:
    """The host stayed outside the guardian's limits without any load of ours."""
    detail = f"the host stayed outside the guardian's limits for {numbers.COOLING_BLOCKED_S_MAX / 60:.0f} min"
    return blocks.conclude(night, event, EndCause.GUARDIAN_STOP, detail)


def operator_stop(night: Night, event: Event) -> Step:
    """An orderly end: release, drain, record, report."""
    assert isinstance(event, StopRequested)
    return blocks.stop(night, event, EndCause.OPERATOR_STOP, event.detail, orderly=True)


def emergency(night: Night, event: Event) -> Step:
    """Now, and latched: nothing starts again until a person resets it."""
    assert isinstance(event, EmergencyStopped)
    latched = dataclasses.replace(night, latched=True)
    if night.state in TERMINAL | {State.CONCLUDING}:
        return latched, (Latch(detail=event.detail),)
    ending = Ending(cause=EndCause.EMERGENCY_STOP, detail=event.detail)
    after, commands = blocks.stop(latched, event, EndCause.EMERGENCY_STOP, event.detail)
    if after.state is State.STOPPING:
        after = dataclasses.replace(after, end=ending, timer_mono_s=math.inf)
    return after, (Latch(detail=event.detail), *commands)


def guardian_lost(night: Night, event: Event) -> Step:
    """Nobody guards the host any more: the load is taken away."""
    assert isinstance(event, GuardianLost)
    return blocks.stop(night, event, EndCause.GUARDIAN_LOST, event.detail)


def runner_fault(night: Night, event: Event) -> Step:
    """Our own fault: the load is taken away."""
    assert isinstance(event, RunnerFault)
    return blocks.stop(night, event, EndCause.RUNNER_FAULT, event.detail)


def end_what_drains(night: Night, _event: Event) -> Step:
    """An orderly stop has waited long enough."""
    after = dataclasses.replace(night, load=LoadStep.ENDING, timer_mono_s=math.inf)
    return after, (EndLoad(reason=f"not drained within {numbers.ORDERLY_RELEASE_S} s"),)


def guardian_ends_what_drains(night: Night, event: Event) -> Step:
    """The guardian has ended the workers while an orderly stop let them drain: end them by our own hand as well."""
    assert isinstance(event, GuardianMoved)
    after = dataclasses.replace(night, load=LoadStep.ENDING, timer_mono_s=math.inf, rung=event.rung)
    return after, (EndLoad(reason=event.why),)


def stopped_zero(night: Night, event: Event) -> Step:
    """The load is proven zero: record and report."""
    assert isinstance(night.end, Ending)
    return blocks.conclude(dataclasses.replace(night, load=LoadStep.NONE), event, night.end.cause, night.end.detail)


def stopping_late(night: Night, event: Event) -> Step:
    """The load could not be proven zero: one more kill, and the report says so."""
    assert isinstance(night.end, Ending)
    detail = f"{night.end.detail}; the load could not be proven zero within {numbers.STOPPING_S_MAX:.0f} s"
    after, commands = blocks.conclude(night, event, night.end.cause, detail)
    return after, (EndLoad(reason=detail), *commands)


def leave(night: Night, event: Event) -> Step:
    """The report stands, or cannot: the process may end."""
    assert isinstance(night.end, Ending)
    finished = night.end.cause in (EndCause.FINISHED, EndCause.FAILURES, EndCause.HEALTH_REFUSED)
    after = blocks.enter(night, event, State.DONE if finished else State.STOPPED, deadline_s=math.inf)
    return after, (Leave(),)


def words(score: KnownScore | UnknownScore) -> str:
    """A score in words."""
    return f"health {score.value:.1f}" if isinstance(score, KnownScore) else f"health unknown ({score.reason})"
