"""The watcher: steps around pauses, searches and weak generators that a broken machine could have made are reported."""

import dataclasses
from typing import Any

import pytest

from campaign.events import (
    Command,
    ContinueLoad,
    Criteria,
    Event,
    GeneratorInvalid,
    GuardianMoved,
    HoldLoad,
    LoadKind,
    LoadScored,
    PauseRequested,
    PrepareLoad,
    ReleaseLoad,
    ResumeRequested,
    SearchOver,
    StopRequested,
    Tick,
    WriteAnchor,
    WriteRecord,
    WriteSearch,
)
from campaign.night import Ending, LoadStep, State
from monitoring_logs.records import EndCause, Outcome
from safety_monitoring.limits import Rung
from tests.support.orders import night_order, phase_order, searching_phase
from tests.support.watched_steps import (
    ANCHOR,
    AT,
    END,
    PHASE,
    READY,
    START,
    TICK,
    VALID,
    WELL,
    Story,
    assert_broken,
    said,
)

PAUSE = PauseRequested(at_mono_s=AT)
RESUME = ResumeRequested(at_mono_s=AT)
HOLD = HoldLoad()
GO_ON = ContinueLoad()
SEARCH = PrepareLoad(kind=LoadKind.SEARCH, phase=0, ramp_s=0.0, hold_s=40.0)
TWO = night_order(searching_phase(0), phase_order(1))
WEAK = GeneratorInvalid(reason="at its limit")


def held() -> Story:
    """A phase under load that a person has paused, as it should be."""
    story = Story().loaded()
    assert story.step(PAUSE, HOLD, state=State.HELD, load=LoadStep.RUNNING) == []
    return story


def searched(outcome: Outcome = Outcome.COMPLETED) -> Story:
    """A phase that has its record."""
    story = Story(TWO).drilled()
    story.step(TICK, WriteRecord(phase=0, outcome=outcome, reason=""))
    return story


def searching() -> Story:
    """The search of a phase, being prepared."""
    story = searched(Outcome.FAILED)
    assert story.step(TICK, SEARCH) == []
    return story


def scored(at: float = AT, **fields: Any) -> LoadScored:
    """A load that was looked at."""
    values = {"score": WELL, "criteria": Criteria.MET, "generator": VALID, "detail": ""}
    return LoadScored(at_mono_s=at, **{**values, **fields})


# Pauses ---------------------------------------------------------------------------------------------------------------


def test_a_pause_as_it_should_be_breaks_nothing() -> None:
    """Held, and going on when the person says so."""
    assert held().step(RESUME, GO_ON, state=State.HOLDING) == []


def test_load_that_runs_on_through_a_pause() -> None:
    """From the person's word on no load is made."""
    assert_broken(Story().loaded().at(State.HOLDING, LoadStep.RUNNING).step(PAUSE), 3, "though a person has paused")


def test_load_that_starts_through_a_pause() -> None:
    """StartLoad waits for the person."""
    story = Story().drilled().at(State.ANCHOR, LoadStep.PREPARING)
    story.step(PAUSE)
    story.step(TICK, ANCHOR)
    assert_broken(story.step(READY, START, load=LoadStep.RUNNING), 3, "though a person has paused")


def test_the_next_load_is_prepared_through_a_pause() -> None:
    """A rest goes on until the person says so."""
    story = Story().drilled().at(State.COOLING, timer_mono_s=AT)
    story.step(PAUSE)
    assert_broken(story.step(TICK, ANCHOR, state=State.ANCHOR, load=LoadStep.PREPARING), 3, "is prepared though")


@pytest.mark.parametrize(
    ("event", "commands", "fields", "words"),
    [
        (PAUSE, (), {"state": State.HELD, "load": LoadStep.RUNNING}, "nobody was told"),
        (PAUSE, (HOLD,), {"state": State.COOLING, "load": LoadStep.NONE}, "the other way round"),
        (TICK, (HOLD,), {"state": State.HELD, "load": LoadStep.RUNNING}, "no person has paused"),
    ],
)
def test_a_hold_that_is_not_one(
    event: Event, commands: tuple[Command, ...], fields: dict[str, Any], words: str
) -> None:
    """The state, the command and the person's word belong together."""
    found = Story().loaded().step(event, *commands, **fields)
    assert any(words in detail for _, detail in found), found


def test_load_that_goes_on_and_nobody_was_told() -> None:
    """Workers stay frozen without the word."""
    assert_broken(held().step(RESUME, state=State.HOLDING), 9, "nobody was told")


def test_load_that_goes_on_and_was_not_held() -> None:
    """ContinueLoad belongs to a held load."""
    assert_broken(Story().loaded().step(RESUME, GO_ON), 1, "nobody had paused")


def test_load_that_stays_held_against_the_persons_word() -> None:
    """Resuming leads out of HELD, wherever to."""
    assert_broken(held().step(RESUME), 9, "it stays held")


def test_load_that_goes_on_after_a_stop() -> None:
    """A person's resume does not take back another's stop."""
    story = held()
    story.step(StopRequested(at_mono_s=AT, detail=""), ReleaseLoad(), state=State.STOPPING)
    story.at(State.HELD, LoadStep.RUNNING)
    story.watcher.step(story.night, PAUSE, story.night, (HOLD,))
    assert_broken(story.step(RESUME, GO_ON, state=State.HOLDING), 3, "after a stop")


def test_a_held_load_that_goes_on_beyond_the_window() -> None:
    """The window's end does not move."""
    story = held()
    night = dataclasses.replace(story.night, state=State.HOLDING, start_mono_s=AT + 2000.0, load_kind=LoadKind.ANCHOR)
    assert_broken(said(story.watcher.step(story.night, RESUME, night, (GO_ON,))), 5, "beyond the window")


@pytest.mark.parametrize(
    ("rung", "state"), [(Rung.EASE, State.EASED), (Rung.CLEAR, State.HOLDING), (Rung.STOP_PHASE, State.HELD)]
)
def test_a_rung_that_moves_a_held_load_where_it_should_not(rung: Rung, state: State) -> None:
    """Low rungs leave it held, high ones end it."""
    found = held().step(GuardianMoved(at_mono_s=AT, rung=rung, why=""), state=state)
    assert_broken(found, 9, f"{rung.name} led from HELD")


def test_a_person_who_is_blamed_for_what_they_did_not_do() -> None:
    """A wait that ends as a person's stop needs a person's pause."""
    story = Story().at(State.COOLING, timer_mono_s=AT, deadline_mono_s=AT)
    ending = Ending(cause=EndCause.OPERATOR_STOP, detail="")
    assert_broken(story.step(TICK, state=State.CONCLUDING, end=ending), 9, "a person is said")


@pytest.mark.parametrize(("held_s", "broken"), [(19.9, True), (20.0, False), (20.1, True)])
def test_a_record_with_another_time_of_being_held(held_s: float, broken: bool) -> None:  # noqa: FBT001 - a row
    """20 s from the hold to the word are 20 s in the record."""
    story = held()
    story.step(ResumeRequested(at_mono_s=AT + 20.0), GO_ON, state=State.HOLDING)
    story.at(State.RELEASING, LoadStep.SCORING)
    record = WriteRecord(phase=0, outcome=Outcome.COMPLETED, reason="", held_s=held_s)
    found = story.step(scored(AT + 200.0), record, state=State.COOLING, load=LoadStep.NONE)
    if broken:
        assert_broken(found, 6, "was paused for 20.0 s")
    else:
        assert found == []


# Searches -------------------------------------------------------------------------------------------------------------


def test_a_search_that_was_not_ordered_or_not_earned() -> None:
    """Only what the order says, after a load that has run its time, and once."""
    story = Story().drilled()
    assert_broken(story.step(TICK, SEARCH), 6, "was not ordered")
    assert_broken(searched(Outcome.WORKER_CRASHED).step(TICK, SEARCH), 6, "without having run its time")
    assert_broken(searching().step(TICK, SEARCH), 6, "searches again")


def test_a_search_without_a_record_and_a_record_without_a_search() -> None:
    """Exactly one for each."""
    story = searching()
    assert_broken(said(story.watcher.finish(story.night)), 6, "a search ran and has no record")
    write = WriteSearch(phase=0, complete=False, reason="")
    assert story.step(TICK, write) == []
    assert_broken(story.step(TICK, write), 6, "was not begun, or has one")


def test_a_search_that_was_cut_off_and_is_called_complete() -> None:
    """What EndLoad took away was not finished."""
    story = searching()
    story.step(TICK, END, load=LoadStep.ENDING)
    assert_broken(story.step(TICK, WriteSearch(phase=0, complete=True, reason="")), 6, "called complete")


def test_a_searchs_answer_that_is_taken_where_there_is_none_to_take() -> None:
    """It releases a search that runs, and nothing else."""
    answer = SearchOver(at_mono_s=AT, detail="")
    story = Story().drilled().at(State.SEARCHING, LoadStep.DRAINING)
    assert_broken(story.step(answer, ReleaseLoad()), 9, "the search's answer in SEARCHING draining")
    story = Story().drilled().at(State.SEARCHING, LoadStep.RUNNING)
    assert_broken(story.step(answer), 9, "the search's answer in SEARCHING running")


# Generators -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.EASED, Outcome.FAILED])
def test_a_weak_generators_phase_that_says_something_of_the_target(outcome: Outcome) -> None:
    """Whatever the latencies say, it does not count."""
    story = Story().loaded().at(State.RELEASING, LoadStep.SCORING)
    found = story.step(scored(AT + 100.0, generator=WEAK), WriteRecord(phase=0, outcome=outcome, reason=""))
    assert_broken(found, 4, "its generator was not valid")


def test_a_strong_generator_that_is_blamed() -> None:
    """INVALID_GENERATOR needs one that was."""
    story = Story().loaded().at(State.RELEASING, LoadStep.SCORING)
    found = story.step(scored(AT + 100.0), WriteRecord(phase=0, outcome=Outcome.INVALID_GENERATOR, reason=""))
    assert_broken(found, 6, "its generator was not")


def test_a_weak_generators_anchor_that_is_complete_or_lets_a_phase_begin() -> None:
    """It gives no health."""
    story = Story().drilled().at(State.ANCHOR, LoadStep.SCORING)
    story.step(Tick(at_mono_s=AT), ANCHOR)
    found = story.step(scored(generator=WEAK), WriteAnchor(phase=0, complete=True, reason=""))
    assert_broken(found, 6, "called complete")
    assert_broken(story.step(TICK, PHASE, load=LoadStep.PREPARING), 4, "needs health 70")
