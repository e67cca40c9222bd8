"""The watcher: for each invariant, steps that a broken machine could have made are reported under its number."""

import dataclasses
import math
from typing import Any

import pytest

from baseline_metrics.health import KnownScore, UnknownScore
from campaign.events import (
    AskReturn,
    BaselineScored,
    Conclude,
    Criteria,
    Drill,
    EmergencyStopped,
    Event,
    GuardianClear,
    GuardianLost,
    GuardianMoved,
    Latch,
    Leave,
    LoadKind,
    LoadScored,
    PreparationDone,
    ReleaseLoad,
    ScoreLoad,
    Started,
    StartLoad,
    StopRequested,
    Tick,
    WorkerLost,
    WriteAnchor,
    WriteRecord,
)
from campaign.night import ORDERLY_RELEASE_S, STOPPING_S_MAX, Ending, LoadStep, Night, State
from monitoring_logs.records import EndCause, Outcome
from safety_monitoring.limits import Rung
from tests.support.orders import night_order, phase_order
from tests.support.watched_steps import (
    ANCHOR,
    AT,
    DRILLED,
    END,
    PHASE,
    READY,
    START,
    TICK,
    VALID,
    WELL,
    ZERO,
    Story,
    assert_broken,
    said,
)


def test_a_true_story_breaks_nothing() -> None:
    """A drilled, scored, prepared and started phase is as it should be."""
    story = Story().loaded()
    assert story.step(TICK) == []


def test_a_report_of_a_broken_invariant_says_when() -> None:
    """The instant is the event's."""
    story = Story()
    broken = story.watcher.step(story.night, Tick(at_mono_s=AT + 7.0), story.night, (ANCHOR,))
    assert {item.at_mono_s for item in broken} == {AT + 7.0}


# 1 --------------------------------------------------------------------------------------------------------------------


def test_load_before_a_passed_drill() -> None:
    """Preparing and starting are both reported."""
    story = Story()
    assert_broken(story.step(TICK, ANCHOR), 1, "prepared before a passed drill")
    assert_broken(story.step(READY, START), 1, "starts before drill")


def test_load_that_starts_without_the_guardians_answer() -> None:
    """StartLoad without a LoadReady, or after a worker was lost, is reported."""
    story = Story().drilled()
    story.step(TICK, ANCHOR)
    assert_broken(story.step(TICK, START), 1, "the guardian's answer")
    story = Story().drilled().at(State.ANCHOR, LoadStep.PREPARING)
    story.step(TICK, ANCHOR)
    story.step(READY, START)
    story.step(WorkerLost(at_mono_s=AT, outcome=Outcome.WORKER_CRASHED, detail=""), END)
    assert_broken(story.step(TICK, START), 1, "the guardian's answer")


def test_load_that_is_prepared_over_other_load() -> None:
    """Two loads at once are never meant."""
    assert_broken(Story().loaded().step(TICK, ANCHOR), 1, "while other load is being made")


# 2 --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        EmergencyStopped(at_mono_s=AT, detail=""),
        GuardianLost(at_mono_s=AT, detail=""),
        GuardianMoved(at_mono_s=AT, rung=Rung.STOP_PHASE, why=""),
        GuardianMoved(at_mono_s=AT, rung=Rung.STOP_CAMPAIGN, why=""),
    ],
)
def test_a_hard_stop_that_leaves_the_load(event: Event) -> None:
    """What has to end the load at once, and does not, is reported."""
    found = Story().loaded().step(event, state=State.STOPPING)
    assert_broken(found, 2, "did not end the load")


def test_a_lost_worker_whose_others_go_on() -> None:
    """The others have to be sent away."""
    found = Story().loaded().step(WorkerLost(at_mono_s=AT, outcome=Outcome.OOM_KILLED, detail=""))
    assert_broken(found, 2, "the others go on")


def test_load_that_is_said_to_be_ending_and_nobody_was_told() -> None:
    """A load cannot end by a word in the machine's state."""
    assert_broken(Story().loaded().step(TICK, load=LoadStep.ENDING), 2, "without EndLoad")


# 3 --------------------------------------------------------------------------------------------------------------------


def test_load_after_a_stop() -> None:
    """Nothing is prepared, started or asked to return once a stop was seen."""
    story = Story().drilled()
    story.step(StopRequested(at_mono_s=AT, detail=""))
    assert_broken(story.step(TICK, ANCHOR), 3, "prepared after a stop")
    assert_broken(story.step(READY, START), 3, "starts after a stop")
    assert_broken(story.step(GuardianClear(at_mono_s=AT), AskReturn()), 3, "asked to return")


def test_load_that_starts_while_the_guardian_is_not_clear() -> None:
    """One key is missing."""
    story = Story().drilled()
    story.step(TICK, ANCHOR)
    story.step(GuardianMoved(at_mono_s=AT, rung=Rung.EASE, why=""))
    assert_broken(story.step(READY, START), 3, "stands at EASE")


def test_everything_is_ready_and_nothing_follows() -> None:
    """A ready load is started or sent away in the same step."""
    story = Story().drilled().at(State.ANCHOR, LoadStep.PREPARING)
    story.step(TICK, ANCHOR)
    assert_broken(story.step(READY), 3, "StartLoad was not asked")


def test_our_key_without_the_guardians() -> None:
    """Load is not asked to return by the clock."""
    assert_broken(Story().loaded().step(TICK, AskReturn()), 3, "without the guardian's clear")


def test_an_emergency_stop_that_does_not_latch() -> None:
    """It is reported in its step, and again at the end."""
    story = Story()
    found = story.step(EmergencyStopped(at_mono_s=AT, detail=""), state=State.CONCLUDING)
    assert_broken(found, 3, "not latched")
    assert_broken(said(story.watcher.finish(story.night)), 3, "1 emergency stops, 0 latches")


def test_a_latch_that_nobody_asked_for() -> None:
    """As many latches as emergency stops."""
    story = Story()
    story.step(TICK, Latch(detail=""))
    assert_broken(said(story.watcher.finish(story.night)), 3, "0 emergency stops, 1 latches")


# 4 --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "broken"),
    [
        (KnownScore(value=69.9), True),
        (KnownScore(value=70.0), False),
        (KnownScore(value=70.1), False),
        (UnknownScore(reason="gap"), True),
    ],
)
def test_escalation_without_the_required_health(score: KnownScore | UnknownScore, broken: bool) -> None:  # noqa: FBT001 - a row
    """A phase after too low or an unknown health is reported; at the required health it is not."""
    story = Story().drilled().at(State.ANCHOR, LoadStep.SCORING)
    story.step(LoadScored(at_mono_s=AT, score=score, criteria=Criteria.MET, generator=VALID, detail=""))
    found = story.step(TICK, PHASE, load=LoadStep.PREPARING)
    if broken:
        assert_broken(found, 4, "needs health 70")
    else:
        assert found == []


def test_escalation_after_an_eased_anchor() -> None:
    """What was measured under a lowered share is unknown, whatever score comes with it."""
    story = Story().drilled().at(State.ANCHOR, LoadStep.PREPARING)
    story.step(TICK, ANCHOR)
    story.step(READY, START, load=LoadStep.RUNNING)
    story.step(GuardianMoved(at_mono_s=AT, rung=Rung.EASE, why=""))
    story.at(State.ANCHOR, LoadStep.SCORING)
    story.step(ZERO)
    story.step(LoadScored(at_mono_s=AT, score=WELL, criteria=Criteria.MET, generator=VALID, detail=""))
    assert_broken(story.step(TICK, PHASE), 4, "needs health 70")


def test_a_phase_beyond_the_band() -> None:
    """Cut phases do not count, and one more than allowed is reported."""
    story = Story(night_order(phase_order(0, cut="cut"), phase_order(1), phase_order(2))).drilled()
    story.at(State.ANCHOR, LoadStep.SCORING)
    story.step(BaselineScored(at_mono_s=AT, score=WELL, phases_allowed=1), phases_allowed=1)
    second = dataclasses.replace(PHASE, phase=1)
    assert story.step(TICK, second, load=LoadStep.PREPARING) == []
    assert_broken(story.step(TICK, dataclasses.replace(PHASE, phase=2)), 4, "beyond the 1 phases")


def test_a_baseline_that_was_not_taken_over() -> None:
    """The band is the baseline's, and an unknown baseline allows nothing."""
    story = Story().at(State.ANCHOR, LoadStep.SCORING)
    unknown = BaselineScored(at_mono_s=AT, score=UnknownScore(reason="gap"), phases_allowed=8)
    assert_broken(story.step(unknown, phases_allowed=8), 4, "not taken over")


def test_a_phase_that_missed_its_criteria_and_is_completed() -> None:
    """NOT_MET never becomes COMPLETED."""
    story = Story().loaded().at(State.RELEASING, LoadStep.SCORING)
    late = AT + 100.0
    found = story.step(
        LoadScored(at_mono_s=late, score=WELL, criteria=Criteria.NOT_MET, generator=VALID, detail=""),
        WriteRecord(phase=0, outcome=Outcome.COMPLETED, reason=""),
    )
    assert_broken(found, 4, "missed its criteria")


# 5 --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.PREPARING, State.BASELINING, State.HOLDING, State.COOLING])
def test_a_stop_that_does_not_stop_the_night(state: State) -> None:
    """Stop is reachable from every state."""
    found = Story().at(state).step(StopRequested(at_mono_s=AT, detail=""))
    assert_broken(found, 5, "StopRequested in")


def test_an_orderly_stop_that_does_not_touch_the_load() -> None:
    """Release or end: one of them is asked for in the same step."""
    found = Story().loaded().step(StopRequested(at_mono_s=AT, detail=""), state=State.STOPPING)
    assert_broken(found, 5, "did not touch the load")


@pytest.mark.parametrize(("beyond_s", "broken"), [(-0.001, False), (0.0, True), (0.001, True)])
def test_an_orderly_stop_that_lets_the_load_run_on(beyond_s: float, broken: bool) -> None:  # noqa: FBT001 - a row
    """Below its time draining is fine; from then on the load has to be ended."""
    story = Story().loaded()
    stop = StopRequested(at_mono_s=AT, detail="")
    assert story.step(stop, ReleaseLoad(), state=State.STOPPING, load=LoadStep.DRAINING) == []
    found = story.step(Tick(at_mono_s=AT + ORDERLY_RELEASE_S + beyond_s))
    assert bool(found) is broken
    if broken:
        assert_broken(found, 5, "let the load run on")


@pytest.mark.parametrize("deadline", [math.inf, AT - 1.0])
def test_a_state_without_a_deadline(deadline: float) -> None:
    """Infinite, or before the state was entered: both are none."""
    found = Story().step(TICK, deadline_mono_s=deadline)
    assert_broken(found, 5, "has no deadline")


def test_a_deadline_that_passes_and_nothing_happens() -> None:
    """A tick at the deadline changes the state, the load, or the deadline."""
    story = Story()
    found = story.step(Tick(at_mono_s=AT + 500.0))
    assert_broken(found, 5, "nothing happened")
    assert story.step(Tick(at_mono_s=AT + 499.9)) == []


def test_a_phase_that_ends_after_the_window() -> None:
    """What has to end by morning is not started too late."""
    story = Story().drilled().at(State.ARMING, LoadStep.PREPARING)
    story.step(TICK, PHASE)
    late = StartLoad(start_mono_s=AT + 946.0)
    assert_broken(story.step(READY, late, load=LoadStep.RUNNING), 5, "after the window")


def test_a_night_that_goes_on_after_too_many_failures() -> None:
    """As many consecutive failures as the order allows end the night."""
    story = Story(night_order(consecutive_failures_max=1)).drilled()
    story.step(TICK, WriteRecord(phase=0, outcome=Outcome.FAILED, reason=""))
    assert_broken(story.step(TICK, dataclasses.replace(ANCHOR, phase=1)), 5, "goes on after 1 failures")


# 6 --------------------------------------------------------------------------------------------------------------------


def test_a_second_record_of_a_phase() -> None:
    """Exactly one."""
    record = WriteRecord(phase=0, outcome=Outcome.NOT_REACHED, reason="")
    story = Story()
    assert story.step(TICK, record) == []
    assert_broken(story.step(TICK, record), 6, "second record")


def test_a_phase_without_a_record() -> None:
    """The end names what is missing."""
    story = Story()
    story.step(TICK, WriteRecord(phase=1, outcome=Outcome.NOT_REACHED, reason=""))
    assert_broken(said(story.watcher.finish(story.night)), 6, "without a record: [0]")


def test_an_anchor_without_a_record() -> None:
    """An anchor that was begun is written, complete or not."""
    story = Story().drilled()
    story.step(TICK, ANCHOR)
    assert_broken(said(story.watcher.finish(story.night)), 6, "an anchor ran")
    story.step(TICK, WriteAnchor(phase=0, complete=False, reason=""))
    assert not [item for item in said(story.watcher.finish(story.night)) if "anchor" in item[1]]


def test_a_phase_that_runs_or_is_led_up_to_again() -> None:
    """After its record neither the phase nor its anchor runs."""
    story = Story().drilled()
    story.step(TICK, WriteRecord(phase=0, outcome=Outcome.SKIPPED, reason=""))
    assert_broken(story.step(TICK, ANCHOR), 6, "an anchor before a phase that has its record")
    assert_broken(story.step(TICK, PHASE), 6, "runs again")


def test_a_phase_that_never_ran_and_is_completed() -> None:
    """COMPLETED needs a load of its own."""
    found = Story().drilled().step(TICK, WriteRecord(phase=0, outcome=Outcome.COMPLETED, reason=""))
    assert_broken(found, 6, "never ran")


@pytest.mark.parametrize(("early_s", "broken"), [(0.001, True), (0.0, False), (-0.001, False)])
def test_a_phase_that_is_completed_before_its_load_was_over(early_s: float, broken: bool) -> None:  # noqa: FBT001 - a row
    """Ramp and hold have to lie behind it: 55 s from its start."""
    story = Story().loaded().at(State.RELEASING, LoadStep.SCORING)
    scored = LoadScored(at_mono_s=AT + 55.0 - early_s, score=WELL, criteria=Criteria.MET, generator=VALID, detail="")
    found = story.step(scored, WriteRecord(phase=0, outcome=Outcome.COMPLETED, reason=""))
    assert bool(found) is broken
    if broken:
        assert_broken(found, 6, "before its load was over")


def test_a_phase_that_was_eased_and_is_completed() -> None:
    """The record has to say EASED."""
    story = Story().loaded()
    story.step(GuardianMoved(at_mono_s=AT, rung=Rung.EASE, why=""), state=State.EASED)
    story.at(State.RELEASING, LoadStep.SCORING)
    scored = LoadScored(at_mono_s=AT + 60.0, score=WELL, criteria=Criteria.MET, generator=VALID, detail="")
    found = story.step(scored, WriteRecord(phase=0, outcome=Outcome.COMPLETED, reason=""))
    assert_broken(found, 6, "was eased and is COMPLETED")


def test_an_answer_that_is_not_known_and_ignored() -> None:
    """What nobody waits for is a RUNNER_FAULT, never silence."""
    story = Story().loaded()
    found = story.step(LoadScored(at_mono_s=AT, score=WELL, criteria=Criteria.MET, generator=VALID, detail=""))
    assert_broken(found, 6, "no RUNNER_FAULT")


# 8 --------------------------------------------------------------------------------------------------------------------


def test_a_night_that_does_not_end() -> None:
    """No conclusion, no leave, and not in a last state."""
    story = Story()
    found = said(story.watcher.finish(story.night))
    assert_broken(found, 8, "ended in PREPARING")
    assert_broken(found, 8, "0 conclusions, 0 leaves")


def test_a_night_that_leaves_without_a_report() -> None:
    """Leave comes after Conclude."""
    assert_broken(Story().step(TICK, Leave()), 8, "left before")


def test_a_night_that_concludes_while_load_may_be_made() -> None:
    """Only a proven zero, or the last kill after the whole deadline, ends a night under load."""
    conclude = Conclude(cause=EndCause.RUNNER_FAULT, detail="")
    ending = Ending(cause=EndCause.RUNNER_FAULT, detail="")
    story = Story().loaded()
    found = story.step(TICK, conclude, state=State.CONCLUDING, load=LoadStep.NONE, end=ending)
    assert_broken(found, 8, "while load may still be made")
    story = Story().loaded()
    story.step(EmergencyStopped(at_mono_s=AT, detail=""), END, Latch(detail=""), state=State.STOPPING)
    last = Tick(at_mono_s=AT + STOPPING_S_MAX)
    found = story.step(last, END, conclude, state=State.CONCLUDING, load=LoadStep.NONE, end=ending)
    assert not [item for item in found if item[0] == 8]


# 9 --------------------------------------------------------------------------------------------------------------------


def test_a_tick_before_its_time() -> None:
    """Nothing is due, so nothing may follow."""
    early = Tick(at_mono_s=AT - 0.001)
    found = Story().step(early, state=State.CONCLUDING, deadline_mono_s=AT + 600.0)
    assert_broken(found, 9, "before its time")


def test_a_time_that_is_over_and_does_not_count() -> None:
    """A hold that is over has to end."""
    story = Story().loaded().at(State.HOLDING, LoadStep.RUNNING, timer_mono_s=AT)
    assert_broken(story.step(TICK), 9, "is over and it goes on")


@pytest.mark.parametrize(
    ("rung", "state"),
    [(Rung.EASE, State.PAUSED), (Rung.PAUSE, State.EASED), (Rung.CLEAR, State.EASED), (Rung.STOP_PHASE, State.HOLDING)],
)
def test_a_rung_that_leads_somewhere_else(rung: Rung, state: State) -> None:
    """Each rung has its state."""
    found = Story().loaded().step(GuardianMoved(at_mono_s=AT, rung=rung, why=""), state=state)
    assert_broken(found, 9, f"{rung.name} led from HOLDING to {state.value}")


def test_a_low_rung_that_ends_the_night_or_the_load() -> None:
    """Easing is not stopping."""
    eased = GuardianMoved(at_mono_s=AT, rung=Rung.EASE, why="")
    assert_broken(Story().loaded().step(eased, END, state=State.STOPPING), 9, "EASE ended the night")
    assert_broken(Story().loaded().step(eased, END, state=State.EASED), 9, "EASE led to")


def test_a_guardian_that_is_blamed_for_what_it_did_not_do() -> None:
    """An end before the deadline is not the guardian's."""
    story = Story().at(State.COOLING, timer_mono_s=AT)
    ending = Ending(cause=EndCause.GUARDIAN_STOP, detail="")
    conclude = Conclude(cause=EndCause.GUARDIAN_STOP, detail="")
    assert_broken(story.step(TICK, conclude, state=State.CONCLUDING, end=ending), 9, "said to have ended the night")


def test_an_answer_that_is_taken_for_another_ones() -> None:
    """A zero for a load that was never started leads nowhere."""
    story = Story().drilled().at(State.ANCHOR, LoadStep.PREPARING)
    score = ScoreLoad(kind=LoadKind.ANCHOR, phase=0)
    assert_broken(story.step(ZERO, score, load=LoadStep.SCORING), 9, "taken for an answer")


@pytest.mark.parametrize(
    ("state", "event", "fields", "missing"),
    [
        (State.PREPARING, Started(at_mono_s=AT, end_by_mono_s=AT + 9.0), {}, "Prepare"),
        (State.PREPARING, PreparationDone(at_mono_s=AT), {"state": State.DRILLING}, Drill.__name__),
        (State.DRILLING, DRILLED, {"state": State.BASELINING}, "MeasureIdle"),
        (State.HOLDING, GuardianClear(at_mono_s=AT), {}, "AskReturn"),
        (State.COOLING, TICK, {"state": State.ANCHOR, "load": LoadStep.PREPARING}, "PrepareLoad"),
        (State.ANCHOR, ZERO, {"load": LoadStep.SCORING}, "ScoreLoad"),
    ],
)
def test_a_wait_for_what_nobody_asked_for(state: State, event: Event, fields: dict[str, Any], missing: str) -> None:
    """A state or a step whose question was forgotten would wait until its deadline."""
    story = Story().at(state, timer_mono_s=AT)
    assert_broken(story.step(event, **fields), 9, f"without {missing}")


def test_the_watcher_does_not_trust_the_machines_own_account() -> None:
    """A night that calls itself drilled, clear and scored is reported all the same."""
    story = Story().at(State.ANCHOR, LoadStep.PREPARING, drilled=True, phases_allowed=8, score=WELL)
    night: Night = story.night
    assert night.drilled
    assert_broken(story.step(READY, START), 1, "starts before drill")
