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
from campaign import machine_pauses as pauses
from campaign import machine_steps as steps
from campaign import machine_time as moved
from campaign.events import (
    BaselineScored,
    ClockSet,
    DrillMissed,
    DrillPassed,
    EmergencyStopped,
    Event,
    GuardianClear,
    GuardianLost,
    GuardianMoved,
    HostSlept,
    LoadReady,
    LoadRefused,
    LoadScored,
    LoadZero,
    PauseRequested,
    PreparationDone,
    PreparationFailed,
    ReportFailed,
    ReportWritten,
    ResumeRequested,
    RunnerFault,
    SearchOver,
    Started,
    StopRequested,
    Tick,
    WorkerLost,
)
from campaign.machine_blocks import Step
from campaign.machine_guards import Guard
from campaign.night import LIVE, LOADED, OWN_STATES, Night, State
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


Table = dict[tuple[State, type], tuple[Rule, ...]]


def advance(night: Night, event: Event) -> Step:
    """One step of the night. Never raises for an event out of place: that is a RUNNER_FAULT, with the load taken away."""
    return advance_by(TABLE, night, event)


def advance_by(table: Table, night: Night, event: Event) -> Step:
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
_RUNS = LOADED | OWN_STATES
_CUT_OFF = frozenset({State.RELEASING}) | OWN_STATES
_STOPS = frozenset({State.STOPPING, State.CONCLUDING})


def _rule(name: str, guard: Guard, act: Action, *to: State | frozenset[State]) -> Rule:
    states: set[State] = set()
    for item in to:
        states |= item if isinstance(item, frozenset) else {item}
    return Rule(name=name, guard=guard, act=act, to=frozenset(states))


def _build_table() -> Table:
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

    for state, name in ((State.BASELINING, "idle host measured"), (State.COOLING, "rested, host clear")):
        row(state, Tick, _rule(name, guards.cooled_and_clear, blocks.begin_next, _NEXT))
        row(state, Tick, _rule("paused to the end", guards.held_late, pauses.held_to_the_end, State.CONCLUDING))
        row(state, Tick, _rule("host never clear", guards.deadline_due, steps.blocked_too_long, State.CONCLUDING))

    for state, name, started, ended in (
        (State.ANCHOR, "anchor starts", State.ANCHOR, State.ANCHOR),
        (State.ARMING, "phase starts", State.RAMPING, State.RELEASING),
        (State.SEARCHING, "search starts", State.SEARCHING, State.SEARCHING),
    ):
        row(state, LoadReady, _rule(name, guards.may_load, pauses.start_load, started))
        row(state, LoadReady, _rule("paused before the start", guards.held_before_start, pauses.stand_by, State.HELD))
        row(state, LoadReady, _rule("load not allowed", guards.preparing, steps.not_allowed_now, ended))
        row(state, LoadRefused, _rule("load refused", guards.preparing, steps.load_refused, ended))
        row(state, LoadRefused, _rule("refused while ending", guards.ending, blocks.keep, state))
    for state in (State.ANCHOR, State.RELEASING, State.SEARCHING):
        row(state, LoadReady, _rule("ready too late", guards.ending, blocks.keep, state))
    row(State.RELEASING, LoadRefused, _rule("refused while ending", guards.ending, blocks.keep, State.RELEASING))
    row(State.HELD, LoadRefused, _rule("load refused", guards.standing_by, steps.load_refused, _CUT_OFF))

    row(State.ANCHOR, Tick, _rule("anchor over", guards.run_over, steps.drain, State.ANCHOR))
    row(State.SEARCHING, Tick, _rule("search over", guards.run_over, steps.drain, State.SEARCHING))
    row(State.SEARCHING, SearchOver, _rule("search has its answer", guards.running, steps.search_over, State.SEARCHING))
    row(State.SEARCHING, SearchOver, _rule("search ends already", guards.always, blocks.keep, State.SEARCHING))
    row(State.HELD, SearchOver, _rule("paused, comes again", guards.always, blocks.keep, State.HELD))
    for state, to in (
        (State.ANCHOR, State.ANCHOR),
        (State.ARMING, State.RELEASING),
        (State.RELEASING, State.RELEASING),
        (State.SEARCHING, State.SEARCHING),
    ):
        row(state, Tick, _rule("not zero in time", guards.late_while_ending, steps.still_not_zero, State.STOPPING))
        row(state, Tick, _rule("load too late", guards.deadline_due, steps.load_late, to))
    row(State.RAMPING, Tick, _rule("ramp over", guards.timer_due, steps.hold, State.HOLDING))
    for state in (State.HOLDING, State.EASED, State.PAUSED):
        row(state, Tick, _rule("hold over", guards.timer_due, steps.release, State.RELEASING))
    for state in LOADED:
        row(state, Tick, _rule("load too late", guards.deadline_due, steps.load_late, State.RELEASING))
    row(State.HELD, Tick, _rule("paused for too long", guards.deadline_due, pauses.held_too_long, _CUT_OFF))

    row(State.ANCHOR, LoadZero, _rule("anchor drained", guards.draining, steps.score, State.ANCHOR))
    row(
        State.ANCHOR,
        LoadZero,
        _rule("anchor cut off", guards.ending, steps.anchor_ended, State.COOLING, State.CONCLUDING),
    )
    row(State.ANCHOR, LoadZero, _rule("anchor ended early", guards.running, steps.ended_early, State.ANCHOR))
    row(State.SEARCHING, LoadZero, _rule("search drained", guards.draining, steps.search_ended, State.COOLING))
    row(State.SEARCHING, LoadZero, _rule("search cut off", guards.ending, steps.search_cut_off, State.COOLING))
    row(State.SEARCHING, LoadZero, _rule("search ended early", guards.running, steps.ended_early, State.SEARCHING))
    row(
        State.HELD,
        LoadZero,
        _rule("load was over before", guards.over_before_hold, steps.over_before_hold, _CUT_OFF, State.COOLING),
    )
    row(State.HELD, LoadZero, _rule("load ended early", guards.running, steps.ended_early, _CUT_OFF))
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
    row(
        State.RELEASING,
        LoadScored,
        _rule("phase scored", guards.scoring, steps.phase_scored, _AFTER_PHASE, State.SEARCHING),
    )

    for state, to in (
        (State.ANCHOR, State.ANCHOR),
        (State.ARMING, State.RELEASING),
        (State.SEARCHING, State.SEARCHING),
        *((loaded, State.RELEASING) for loaded in sorted(LOADED, key=lambda item: item.value)),
    ):
        guard = guards.always if state in LOADED else guards.making
        row(state, WorkerLost, _rule("worker lost", guard, steps.worker_lost, to))
    row(
        State.RELEASING,
        WorkerLost,
        _rule("worker lost while draining", guards.draining, steps.worker_lost, State.RELEASING),
    )
    row(State.HELD, WorkerLost, _rule("worker lost", guards.always, steps.worker_lost, _CUT_OFF))
    for state in frozenset(State) - LOADED - {State.HELD}:
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
        (State.SEARCHING, State.SEARCHING),
    ):
        row(state, GuardianMoved, _rule("guardian stops the load", stops_phase, steps.guardian_stops_phase, to))
    row(
        State.HELD,
        GuardianMoved,
        _rule("guardian stops the load", guards.moved_to(Rung.STOP_PHASE), steps.guardian_stops_phase, _CUT_OFF),
    )
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

    for state in _RUNS:
        guard = guards.always if state in LOADED else guards.running
        row(state, PauseRequested, _rule("a person pauses", guard, pauses.hold_load, State.HELD))
    for state in _CUT_OFF:
        row(state, PauseRequested, _rule("paused while draining", guards.draining, pauses.note_pause_in_drain, state))
    for state in LIVE - LOADED - {State.HELD}:
        row(state, PauseRequested, _rule("paused: no load starts", guards.always, pauses.note_pause, state))
    row(State.HELD, PauseRequested, _rule("paused already", guards.always, blocks.keep, State.HELD))
    row(State.HELD, ResumeRequested, _rule("load goes on", guards.running, pauses.continue_load, _RUNS, _CUT_OFF))
    row(
        State.HELD,
        ResumeRequested,
        _rule("load starts late", guards.may_load_after_pause, pauses.start_late, State.RAMPING, OWN_STATES, _CUT_OFF),
    )
    row(
        State.HELD,
        ResumeRequested,
        _rule("load not allowed", guards.always, steps.not_allowed_after_pause, _CUT_OFF),
    )
    for state in LIVE - {State.HELD}:
        row(state, ResumeRequested, _rule("load may come", guards.always, pauses.note_resume, state))
    for state in frozenset(State) - LIVE:
        for asked in (PauseRequested, ResumeRequested):
            row(state, asked, _rule("no load is wanted any more", guards.always, blocks.keep, state))

    for state in _RUNS | {State.ARMING, State.RELEASING, State.HELD}:
        leads = frozenset({state if state in OWN_STATES else State.RELEASING}) if state is not State.HELD else _CUT_OFF
        guard = guards.making if state in _CUT_OFF else guards.always
        row(state, HostSlept, _rule("the host slept", guard, moved.end_interrupted_load, leads))
        fitted = LOADED | leads if state in LOADED else leads | {state}
        row(state, ClockSet, _rule("the window may end earlier", guards.always, moved.fit_into_window, fitted))
    for state in State:
        for moving in (HostSlept, ClockSet):
            row(state, moving, _rule("time moved", guards.always, moved.note_end, state))

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
    row(State.STOPPING, SearchOver, _rule("search ends already", guards.always, blocks.keep, State.STOPPING))
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
        for event in (*after_the_end, BaselineScored, SearchOver):
            row(state, event, _rule("the night is over", guards.always, blocks.keep, state))
    for state in State:
        row(state, Tick, _rule("time passes", guards.always, blocks.keep, state))
    return {key: tuple(rules) for key, rules in table.items()}


TABLE = _build_table()
