"""The campaign's transition table: what happens next, decided from events alone.

``advance(night, event)`` looks up the rows for (state, event type), takes the first whose guard holds, and returns the
next night with the commands to carry out. Whatever the table does not know is a RUNNER_FAULT, never ignored. The table
is data, so that the diagram in docs is drawn from it and a test can take one guard out and see the invariants break.
Pure: no IO, no clock, no randomness. The supervisor and the simulator run it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from campaign import machine_blocks as blocks
from campaign import machine_guards as guards
from campaign import machine_steps as steps
from campaign.events import (
    BaselineScored,
    DrillMissed,
    DrillPassed,
    EmergencyStopped,
    Event,
    GuardianClear,
    GuardianLost,
    GuardianMoved,
    LoadReady,
    LoadRefused,
    LoadScored,
    LoadZero,
    PreparationDone,
    PreparationFailed,
    ReportFailed,
    ReportWritten,
    RunnerFault,
    Started,
    StopRequested,
    Tick,
    WorkerLost,
)
from campaign.machine_blocks import Step
from campaign.machine_guards import Guard
from campaign.night import LIVE, LOADED, Night, State
from monitoring_logs.records import EndCause
from safety_monitoring.limits import Rung

Action = Callable[[Night, Event], Step]


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
    return blocks.stop(
        night, event, EndCause.RUNNER_FAULT, f"{type(event).__name__} is not known in {night.state.value}"
    )


# The table ------------------------------------------------------------------------------------------------------------

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

    row(State.PREPARING, Started, _rule("begin", guards.always, steps.started, State.PREPARING))
    row(State.PREPARING, PreparationDone, _rule("rehearse the stops", guards.always, steps.prepared, State.DRILLING))
    row(
        State.PREPARING,
        PreparationFailed,
        _rule("not prepared", guards.always, steps.preparation_failed, State.CONCLUDING),
    )
    row(
        State.PREPARING,
        Tick,
        _rule("preparation too late", guards.deadline_due, steps.preparation_late, State.CONCLUDING),
    )

    row(State.DRILLING, DrillPassed, _rule("drill passed", guards.always, steps.drilled, State.BASELINING))
    row(State.DRILLING, DrillMissed, _rule("drill missed", guards.always, steps.drill_missed, State.CONCLUDING))
    row(State.DRILLING, Tick, _rule("drill too late", guards.deadline_due, steps.drill_missed, State.CONCLUDING))

    row(State.BASELINING, Tick, _rule("idle host measured", guards.cooled_and_clear, blocks.begin_next, _NEXT))
    row(
        State.BASELINING, Tick, _rule("host never clear", guards.deadline_due, steps.blocked_too_long, State.CONCLUDING)
    )

    row(State.ANCHOR, LoadReady, _rule("anchor starts", guards.may_load, steps.start_anchor, State.ANCHOR))
    row(State.ANCHOR, LoadReady, _rule("load not allowed", guards.preparing, steps.not_allowed_now, State.ANCHOR))
    row(State.ANCHOR, LoadReady, _rule("ready too late", guards.ending, blocks.keep, State.ANCHOR))
    row(State.ARMING, LoadReady, _rule("phase starts", guards.may_load, steps.start_phase, State.RAMPING))
    row(State.ARMING, LoadReady, _rule("load not allowed", guards.preparing, steps.not_allowed_now, State.RELEASING))
    row(State.RELEASING, LoadReady, _rule("ready too late", guards.ending, blocks.keep, State.RELEASING))
    for state, to in ((State.ANCHOR, State.ANCHOR), (State.ARMING, State.RELEASING)):
        row(state, LoadRefused, _rule("load refused", guards.preparing, steps.load_refused, to))
        row(state, LoadRefused, _rule("refused while ending", guards.ending, blocks.keep, state))
    row(State.RELEASING, LoadRefused, _rule("refused while ending", guards.ending, blocks.keep, State.RELEASING))

    row(State.ANCHOR, Tick, _rule("anchor over", guards.run_over, steps.drain_anchor, State.ANCHOR))
    for state, to in (
        (State.ANCHOR, State.ANCHOR),
        (State.ARMING, State.RELEASING),
        (State.RELEASING, State.RELEASING),
    ):
        row(state, Tick, _rule("not zero in time", guards.late_while_ending, steps.still_not_zero, State.STOPPING))
        row(state, Tick, _rule("load too late", guards.deadline_due, steps.load_late, to))
    row(State.RAMPING, Tick, _rule("ramp over", guards.timer_due, steps.hold, State.HOLDING))
    for state in (State.HOLDING, State.EASED, State.PAUSED):
        row(state, Tick, _rule("hold over", guards.timer_due, steps.release, State.RELEASING))
    for state in LOADED:
        row(state, Tick, _rule("load too late", guards.deadline_due, steps.load_late, State.RELEASING))

    row(State.ANCHOR, LoadZero, _rule("anchor drained", guards.draining, steps.score, State.ANCHOR))
    row(
        State.ANCHOR,
        LoadZero,
        _rule("anchor cut off", guards.ending, steps.anchor_ended, State.COOLING, State.CONCLUDING),
    )
    row(State.ANCHOR, LoadZero, _rule("anchor ended early", guards.running, steps.ended_early, State.ANCHOR))
    row(State.RELEASING, LoadZero, _rule("phase drained", guards.draining, steps.score, State.RELEASING))
    row(State.RELEASING, LoadZero, _rule("phase cut off", guards.ending, steps.phase_ended, _AFTER_PHASE))
    for state in LOADED:
        row(state, LoadZero, _rule("load ended early", guards.always, steps.ended_early, State.RELEASING))

    row(
        State.ANCHOR,
        BaselineScored,
        _rule("health chooses how far", guards.scoring, steps.baseline_scored, State.ANCHOR),
    )
    row(
        State.ANCHOR,
        LoadScored,
        _rule(
            "anchor scored",
            guards.scoring,
            steps.anchor_scored,
            State.ARMING,
            State.ANCHOR,
            State.COOLING,
            State.CONCLUDING,
        ),
    )
    row(State.RELEASING, LoadScored, _rule("phase scored", guards.scoring, steps.phase_scored, _AFTER_PHASE))

    row(State.COOLING, Tick, _rule("rested, host clear", guards.cooled_and_clear, blocks.begin_next, _NEXT))
    row(State.COOLING, Tick, _rule("host never clear", guards.deadline_due, steps.blocked_too_long, State.CONCLUDING))

    for state, to in (
        (State.ANCHOR, State.ANCHOR),
        (State.ARMING, State.RELEASING),
        *((loaded, State.RELEASING) for loaded in sorted(LOADED, key=lambda item: item.value)),
    ):
        guard = guards.always if state in LOADED else guards.making
        row(state, WorkerLost, _rule("worker lost", guard, steps.worker_lost, to))
    row(
        State.RELEASING,
        WorkerLost,
        _rule("worker lost while draining", guards.draining, steps.worker_lost, State.RELEASING),
    )
    for state in frozenset(State) - LOADED:
        row(state, WorkerLost, _rule("worker lost, load already ending or none", guards.always, blocks.keep, state))

    stop_campaign = _rule(
        "guardian ends the night", guards.moved_to(Rung.STOP_CAMPAIGN), steps.guardian_stops_campaign, _STOPS
    )
    stops_phase = guards.moved_while_making(Rung.STOP_PHASE)
    for state in LIVE:
        row(state, GuardianMoved, stop_campaign)
    for state, to in (
        (State.ANCHOR, State.ANCHOR),
        (State.ARMING, State.RELEASING),
        (State.RELEASING, State.RELEASING),
    ):
        row(state, GuardianMoved, _rule("guardian stops the load", stops_phase, steps.guardian_stops_phase, to))
    for state in LOADED:
        stop_rule = _rule(
            "guardian stops the phase", guards.moved_to(Rung.STOP_PHASE), steps.guardian_stops_phase, State.RELEASING
        )
        ease_rule = _rule(
            "guardian eases or pauses", guards.moved_to(Rung.EASE, Rung.PAUSE), steps.ease, State.EASED, State.PAUSED
        )
        return_rule = _rule("load returns", guards.always, steps.come_back, State.RAMPING, State.HOLDING)
        row(state, GuardianMoved, stop_rule, ease_rule, return_rule)
    ends_drain = guards.moved_while_making(Rung.STOP_PHASE, Rung.STOP_CAMPAIGN)
    row(
        State.STOPPING,
        GuardianMoved,
        _rule("guardian ends what drains", ends_drain, steps.guardian_ends_what_drains, State.STOPPING),
    )
    for state in frozenset(State) - LOADED:
        row(state, GuardianMoved, _rule("note the ladder", guards.always, steps.note_rung, state))
    for state in State:
        if state in LIVE:
            row(state, GuardianClear, _rule("our key of the two", guards.always, steps.ask_return, state))
        else:
            row(state, GuardianClear, _rule("no load is wanted", guards.always, blocks.keep, state))

    for state in LIVE:
        row(state, StopRequested, _rule("orderly stop", guards.always, steps.operator_stop, _STOPS))
        row(state, GuardianLost, _rule("guardian lost", guards.always, steps.guardian_lost, _STOPS))
        row(state, RunnerFault, _rule("our own fault", guards.always, steps.runner_fault, _STOPS))
    for state in State:
        targets = (
            _STOPS if state in LIVE else frozenset({state, State.CONCLUDING} if state is State.STOPPING else {state})
        )
        row(state, EmergencyStopped, _rule("emergency stop", guards.always, steps.emergency, targets))
    row(State.STOPPING, StopRequested, _rule("already stopping", guards.always, blocks.keep, State.STOPPING))
    row(State.STOPPING, GuardianLost, _rule("end it ourselves", guards.always, steps.guardian_lost, State.STOPPING))
    row(State.STOPPING, RunnerFault, _rule("end it ourselves", guards.always, steps.runner_fault, State.STOPPING))
    row(State.STOPPING, LoadReady, _rule("too late to start", guards.always, blocks.keep, State.STOPPING))
    row(State.STOPPING, LoadRefused, _rule("no load is wanted", guards.always, blocks.keep, State.STOPPING))
    row(State.STOPPING, Tick, _rule("drained too slowly", guards.timer_due, steps.end_what_drains, State.STOPPING))
    row(State.STOPPING, Tick, _rule("stop too late", guards.deadline_due, steps.stopping_late, State.CONCLUDING))
    row(State.STOPPING, LoadZero, _rule("load is zero", guards.always, steps.stopped_zero, State.CONCLUDING))

    row(State.CONCLUDING, ReportWritten, _rule("report stands", guards.always, steps.leave, State.DONE, State.STOPPED))
    row(
        State.CONCLUDING,
        ReportFailed,
        _rule("no report possible", guards.always, steps.leave, State.DONE, State.STOPPED),
    )
    row(State.CONCLUDING, Tick, _rule("report too late", guards.deadline_due, steps.leave, State.DONE, State.STOPPED))
    after_the_end = (StopRequested, GuardianLost, RunnerFault, LoadZero, LoadReady, LoadRefused, LoadScored)
    for state in (State.CONCLUDING, State.DONE, State.STOPPED):
        for event in (*after_the_end, BaselineScored):
            row(state, event, _rule("the night is over", guards.always, blocks.keep, state))
    for state in State:
        row(state, Tick, _rule("time passes", guards.always, blocks.keep, state))
    return {key: tuple(rules) for key, rules in table.items()}


TABLE = _build_table()
