"""How a load starts, stands still while a person has paused it, and goes on: the machine's steps for that. Pure.

A pause freezes the load's clock; the window's end does not move. Load never starts or goes on before the person says so,
and then only as far as the guardian lets it.
"""

import dataclasses

from campaign import machine_blocks as blocks
from campaign import night as numbers
from campaign.events import ContinueLoad, Event, HoldLoad, LoadKind, ReleaseLoad, StartLoad
from campaign.machine_blocks import Step
from campaign.night import OWN_STATE, LoadStep, Night, State
from monitoring_logs.records import EndCause, Outcome
from safety_monitoring.limits import Rung

PAUSED = "a person had paused it"


def start_load(night: Night, event: Event) -> Step:
    """Go: an anchor or a search at once, a phase beginning with its ramp."""
    start = event.at_mono_s + numbers.START_LEAD_S
    after = dataclasses.replace(night, load=LoadStep.RUNNING, start_mono_s=start, held=False)
    return run(after, event), (StartLoad(start_mono_s=start),)


def start_late(night: Night, event: Event) -> Step:
    """Go, after a person's pause: what does not fit into the window any more is cut off, or all of it."""
    after, commands = start_load(night, event)
    left = fitted(after, event, why=PAUSED)
    if isinstance(left, Night):
        return run(left, event), commands
    return blocks.abort(dataclasses.replace(night, held=False), event, Outcome.OPERATOR_STOP, left)


def run(night: Night, event: Event) -> Night:
    """The state in which the current load runs now, by its kind, the guardian's rung and the time."""
    state, timer = OWN_STATE.get(night.load_kind, State.HOLDING), night.load_over_mono_s
    if night.load_kind is LoadKind.PHASE:
        if night.rung in (Rung.EASE, Rung.PAUSE):
            state = State.EASED if night.rung is Rung.EASE else State.PAUSED
        elif event.at_mono_s < night.ramp_end_mono_s:
            state, timer = State.RAMPING, night.ramp_end_mono_s
    since = night.entered_mono_s if state is night.state else event.at_mono_s
    return dataclasses.replace(
        night,
        state=state,
        entered_mono_s=since,
        timer_mono_s=timer,
        deadline_mono_s=night.load_end_mono_s + night.drain_s + numbers.LOAD_SLACK_S,
    )


def fitted(night: Night, event: Event, *, why: str) -> Night | str:
    """The load, cut to what ends within the window; or, with what has moved it there, why too little of it would be left."""
    anchor = night.load_kind is LoadKind.ANCHOR
    late_s = night.load_end_mono_s - (night.end_by_mono_s if anchor else night.end_by_mono_s - blocks.tail_s(night))
    if late_s <= 0.0:
        return night
    hold_s = night.hold_s - late_s
    after = dataclasses.replace(night, hold_s=hold_s, cut_short=True)
    if hold_s < night.hold_s_planned * numbers.HOLD_SHARE_MIN or anchor or after.load_end_mono_s <= event.at_mono_s:
        return f"{why}; the rest of the window was too short for it"
    return after


def hold_load(night: Night, event: Event) -> Step:
    """A person has paused: the load's clock stands still."""
    after = dataclasses.replace(_held(night, event), held_since_mono_s=event.at_mono_s)
    return after, (HoldLoad(),)


def stand_by(night: Night, event: Event) -> Step:
    """Everything is ready, but a person has paused: the workers wait."""
    return dataclasses.replace(_held(night, event), load=LoadStep.READY), ()


def _held(night: Night, event: Event) -> Night:
    left_s = min(numbers.HELD_S_MAX - night.held_s, night.end_by_mono_s - event.at_mono_s)
    after = blocks.enter(night, event, State.HELD, deadline_s=max(0.0, left_s))
    return dataclasses.replace(after, held=True)


def continue_load(night: Night, event: Event) -> Step:
    """The person lets the load go on: its clock runs again where it stood, and never past the window's end.

    What the guardian has lowered meanwhile stays lowered: the share is the guardian's, not ours.
    """
    moved_s = event.at_mono_s - night.held_since_mono_s
    after = dataclasses.replace(
        blocks.thawed(night, event.at_mono_s), held=False, start_mono_s=night.start_mono_s + moved_s
    )
    left = fitted(after, event, why=PAUSED)
    if isinstance(left, Night):
        return run(left, event), (ContinueLoad(),)
    return blocks.abort(after, event, Outcome.OPERATOR_STOP, left)


def held_too_long(night: Night, event: Event) -> Step:
    """The pause of a load has its bound; the load ends, and none comes back before the person says so."""
    reason = f"a person had paused it for {numbers.HELD_S_MAX / 3600:g} h"
    if event.at_mono_s >= night.end_by_mono_s:
        reason = "a person had paused it when the window ended"
    return blocks.abort(night, event, Outcome.OPERATOR_STOP, reason)


def note_pause(night: Night, event: Event) -> Step:
    """A person has paused while no load is being made: none starts before they say so."""
    after = dataclasses.replace(night, held=True)
    return blocks.waiting_anew(after, event), ()


def note_pause_in_drain(night: Night, event: Event) -> Step:
    """A person has paused while a load drains: workers that were paused before may still start something, now they do not."""
    after, _ = note_pause(night, event)
    return after, (ReleaseLoad(),)


def note_resume(night: Night, event: Event) -> Step:
    """The person lets load come; there is none that could go on."""
    after = dataclasses.replace(night, held=False)
    return (blocks.waiting_anew(after, event) if night.held else after), ()


def held_to_the_end(night: Night, event: Event) -> Step:
    """A person has paused and never said that load may come back: the night is over, and done if every phase has its record."""
    if len(night.records) == len(night.order.phases):
        detail = "the plan was worked through; a person's pause left no time for the last anchor"
        return blocks.conclude(night, event, EndCause.FINISHED, detail)
    return blocks.conclude(night, event, EndCause.OPERATOR_STOP, "a person had paused it when the window ended")
