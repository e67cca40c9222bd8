"""The machine by hand: the search after a phase, and what a weak generator does to phases and anchors."""

import pytest

from campaign import night as numbers
from campaign.events import (
    Criteria,
    GeneratorInvalid,
    GeneratorState,
    GeneratorUnknown,
    GeneratorValid,
    GuardianMoved,
    LoadKind,
    LoadRefused,
    PrepareLoad,
    ReleaseLoad,
    ScoreLoad,
    SearchOver,
    SkipSearch,
    WorkerLost,
    WriteAnchor,
    WriteRecord,
    WriteSearch,
)
from campaign.night import LoadStep, State
from monitoring_logs.records import EndCause, Outcome
from safety_monitoring.limits import Rung
from tests.support.machine_walk import (
    Walk,
    cause_of,
    names,
    to_arming,
    to_concluding,
    to_cooling,
    to_holding,
    to_releasing,
    to_search,
    to_searching,
)
from tests.support.orders import night_order, phase_order, searching_phase

TWO = night_order(searching_phase(0), phase_order(1))
WEAK = GeneratorInvalid(reason="at its own limit in 9 of 10 s")


def searches(walk: Walk) -> tuple[WriteSearch, ...]:
    """The records of searches."""
    return tuple(command for command in walk.commands if isinstance(command, WriteSearch))


def skipped(walk: Walk) -> tuple[str, ...]:
    """Why searches were not begun."""
    return tuple(command.reason for command in walk.commands if isinstance(command, SkipSearch))


def test_a_search_follows_its_phase() -> None:
    """The phase has its record first; then workers come up, search for their time, drain, and the search is recorded."""
    walk = to_releasing(TWO)
    walk.zero()
    commands = walk.scored()
    assert commands[0] == WriteRecord(phase=0, outcome=Outcome.COMPLETED, reason="looked at")
    assert commands[-1] == PrepareLoad(kind=LoadKind.SEARCH, phase=0, ramp_s=0.0, hold_s=40.0)
    walk.ready()
    assert walk.is_in(State.SEARCHING)
    assert walk.night.timer_mono_s == pytest.approx(walk.at + numbers.START_LEAD_S + 40.0)
    assert walk.rest() == (), "workers end by their own clocks"
    assert walk.zero() == (WriteSearch(phase=0, complete=True, reason=""),)
    assert walk.is_in(State.COOLING)
    assert walk.night.timer_mono_s == pytest.approx(walk.at + 10.0), "the break of 20 s with an anchor of 10 s inside"
    assert sum(isinstance(command, ScoreLoad) for command in walk.commands) == 2, "an anchor and a phase, not a search"
    walk.rest()
    walk.anchor()
    walk.phase()
    assert walk.outcomes == ((0, Outcome.COMPLETED), (1, Outcome.COMPLETED))
    assert walk.broken == []


@pytest.mark.parametrize(
    ("criteria", "rung", "outcome"),
    [
        (Criteria.MET, Rung.CLEAR, Outcome.COMPLETED),
        (Criteria.MET, Rung.EASE, Outcome.EASED),
        (Criteria.NOT_MET, Rung.CLEAR, Outcome.FAILED),
    ],
)
def test_a_search_follows_every_load_that_ran_its_time(criteria: Criteria, rung: Rung, outcome: Outcome) -> None:
    """Also one that failed or was eased: how much the target carries is asked all the more."""
    walk = to_holding(TWO)
    if rung is not Rung.CLEAR:
        walk.moved(rung)
        walk.clear()
    walk.rest()
    walk.zero()
    walk.scored(criteria=criteria)
    assert walk.outcomes == ((0, outcome),)
    assert walk.is_in(State.SEARCHING)
    assert walk.broken == []


def test_an_answer_ends_the_search_early() -> None:
    """SearchOver releases the load; a second one, and one that comes too late, change nothing."""
    walk = to_searching()
    walk.wait(12.0)
    assert walk.feed(SearchOver(at_mono_s=walk.at, detail="narrow enough")) == (ReleaseLoad(),)
    assert walk.night.load is LoadStep.DRAINING
    assert walk.feed(SearchOver(at_mono_s=walk.at, detail="narrow enough")) == ()
    walk.zero()
    assert searches(walk) == (WriteSearch(phase=0, complete=True, reason=""),)
    assert walk.broken == []


def test_an_answer_while_a_person_has_paused_comes_again() -> None:
    """It is not taken then; the desk says it again once the load goes on."""
    walk = to_searching()
    walk.pause()
    assert walk.feed(SearchOver(at_mono_s=walk.at, detail="narrow enough")) == ()
    walk.resume()
    assert walk.feed(SearchOver(at_mono_s=walk.at, detail="narrow enough")) == (ReleaseLoad(),)
    assert walk.broken == []


@pytest.mark.parametrize("rung", [Rung.EASE, Rung.PAUSE])
def test_easing_is_an_answer_to_a_search_and_no_end(rung: Rung) -> None:
    """The state stays; what it means for the rates is the search's business."""
    walk = to_searching()
    assert walk.moved(rung) == ()
    assert walk.is_in(State.SEARCHING)
    assert walk.night.rung is rung
    walk.clear()
    walk.rest()
    walk.zero()
    assert searches(walk)[0].complete
    assert walk.broken == []


def test_a_guardian_that_stops_the_phase_ends_the_search() -> None:
    """Its record is incomplete and says why; the phase's stands, no failure is counted, and a cool-down follows."""
    walk = to_searching()
    assert names(walk.moved(Rung.STOP_PHASE)) == ("EndLoad",)
    walk.zero()
    assert searches(walk) == (WriteSearch(phase=0, complete=False, reason="memory 81 % of 80 %"),)
    assert walk.outcomes == ((0, Outcome.COMPLETED),)
    assert walk.night.failures == 0
    assert walk.night.timer_mono_s == pytest.approx(walk.at + walk.order.cooldown_s)
    assert walk.broken == []


def test_a_lost_worker_ends_the_search() -> None:
    """Incomplete, with how it was lost; the night goes on."""
    walk = to_searching()
    assert names(walk.feed(WorkerLost(at_mono_s=walk.at, outcome=Outcome.OOM_KILLED, detail="signal 9"))) == (
        "EndLoad",
    )
    walk.zero()
    assert searches(walk) == (WriteSearch(phase=0, complete=False, reason="signal 9"),)
    assert walk.is_in(State.COOLING)
    assert walk.broken == []


def test_a_search_whose_load_ends_early_is_incomplete() -> None:
    """Nobody makes load any more, and nobody asked for that."""
    walk = to_searching()
    assert names(walk.zero()) == ("EndLoad",)
    walk.zero()
    assert not searches(walk)[0].complete
    assert walk.broken == []


@pytest.mark.parametrize("why", ["refused", "not clear", "late"])
def test_a_search_that_cannot_start_is_recorded_as_incomplete(why: str) -> None:
    """Refused by a worker, not allowed by the guardian, or not ready within a minute: one record each."""
    walk = to_search()
    if why == "refused":
        walk.feed(LoadRefused(at_mono_s=walk.at, detail="no worker"))
    elif why == "not clear":
        walk.moved(Rung.EASE)
        walk.ready()
    else:
        walk.wait(numbers.ARMING_S_MAX)
    assert walk.night.load is LoadStep.ENDING
    walk.zero()
    (record,) = searches(walk)
    assert not record.complete
    assert record.reason
    assert walk.broken == []


def test_a_search_that_cannot_be_proven_zero_ends_the_night() -> None:
    """As any load: RUNNER_FAULT, and the search has its one record."""
    walk = to_searching()
    walk.moved(Rung.STOP_PHASE)
    walk.wait(numbers.ENDING_S_MAX)
    assert cause_of(walk.night) is EndCause.RUNNER_FAULT
    walk.zero()
    assert len(searches(walk)) == 1
    walk.report()
    assert walk.finish() == []


@pytest.mark.parametrize("stop", ["orderly", "emergency", "guardian"])
def test_a_stop_writes_the_search_and_leaves_its_phase_alone(stop: str) -> None:
    """The phase was recorded before; the search is incomplete, with why."""
    walk = to_searching()
    if stop == "orderly":
        walk.stop()
    elif stop == "emergency":
        walk.emergency()
    else:
        walk.feed(GuardianMoved(at_mono_s=walk.at, rung=Rung.STOP_CAMPAIGN, why="memory"))
    walk.zero()
    assert [record.complete for record in searches(walk)] == [False]
    assert walk.outcomes == ((0, Outcome.COMPLETED), (1, Outcome.NOT_REACHED))
    walk.report()
    assert walk.finish() == []


def test_an_answer_after_a_stop_changes_nothing() -> None:
    """It was on its way when the night was stopped."""
    walk = to_concluding()
    before = walk.night
    assert walk.feed(SearchOver(at_mono_s=walk.at, detail="late")) == ()
    assert walk.night == before


# Whether a search is begun --------------------------------------------------------------------------------------------

TAIL_S = 2 * numbers.DRAIN_S_EXPECTED + numbers.ARMING_S_EXPECTED + 10.0


@pytest.mark.parametrize(("left_s", "lasts_s"), [(41.0, 40.0), (40.0, 40.0), (39.0, 39.0), (20.0, 20.0), (19.999, 0.0)])
def test_a_late_search_is_shortened_or_skipped(left_s: float, lasts_s: float) -> None:
    """Down to half of its planned time it runs, shortened to what ends within the window; below it, it is skipped."""
    walk = to_releasing(TWO)
    walk.zero()
    walk.at = walk.end_by - numbers.ARMING_S_EXPECTED - TAIL_S - left_s
    commands = walk.scored()
    if lasts_s:
        prepare = commands[-1]
        assert isinstance(prepare, PrepareLoad)
        assert prepare.hold_s == pytest.approx(lasts_s)
        return
    assert walk.is_in(State.COOLING)
    assert skipped(walk) == ("the rest of the window is too short for it",)


def test_no_search_while_the_guardian_is_not_clear() -> None:
    """A phase that ended eased, and still is, gets no load on top."""
    walk = to_holding(TWO)
    walk.moved(Rung.EASE)
    walk.rest()
    walk.zero()
    walk.scored()
    assert walk.is_in(State.COOLING)
    assert skipped(walk) == ("the guardian stands at EASE",)
    assert walk.broken == []


def test_no_search_after_the_last_failure_of_a_night() -> None:
    """When the night ends for its failures, it ends."""
    walk = to_arming(night_order(searching_phase(0), phase_order(1), consecutive_failures_max=1))
    walk.phase(Criteria.NOT_MET)
    assert skipped(walk) == ("1 phases failed one after another",)
    walk.rest()
    assert cause_of(walk.night) is EndCause.FAILURES
    assert walk.broken == []


@pytest.mark.parametrize(
    "outcome", [Outcome.WORKER_CRASHED, Outcome.OOM_KILLED, Outcome.WORKER_HUNG], ids=lambda outcome: outcome.value
)
def test_no_search_after_a_phase_that_was_cut_off(outcome: Outcome) -> None:
    """What ended it would end the search, or has hurt the host."""
    walk = to_holding(TWO)
    walk.feed(WorkerLost(at_mono_s=walk.at, outcome=outcome, detail="gone"))
    walk.zero()
    assert walk.is_in(State.COOLING)
    assert searches(walk) == ()


def test_a_search_is_held_and_goes_on_within_the_window() -> None:
    """A person's pause is a search's too; what does not fit any more is cut off."""
    walk = to_searching(night_order(searching_phase(0)))
    walk.wait(10.0)
    walk.pause()
    walk.wait_until(walk.end_by - TAIL_S - 15.0)
    assert names(walk.resume()) == ("ContinueLoad",)
    assert walk.is_in(State.SEARCHING)
    assert walk.night.hold_s == pytest.approx(25.0 - numbers.START_LEAD_S, abs=0.5)
    assert names(walk.rest()) == ("ReleaseLoad",)
    walk.zero()
    assert searches(walk)[0].complete
    assert walk.broken == []


# The generator --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("criteria", list(Criteria))
def test_a_weak_generator_makes_its_phase_invalid_whatever_was_measured(criteria: Criteria) -> None:
    """INVALID_GENERATOR with the reason, no search, an ordinary break, and no failure of the target."""
    walk = to_releasing(TWO)
    walk.zero()
    walk.scored(criteria=criteria, generator=WEAK)
    assert walk.outcomes == ((0, Outcome.INVALID_GENERATOR),)
    assert "at its own limit in 9 of 10 s" in walk.reasons()[0]
    assert walk.night.failures == 0
    assert walk.is_in(State.COOLING)
    assert walk.night.timer_mono_s == pytest.approx(walk.at + 10.0)
    assert skipped(walk) == ("the phase is INVALID_GENERATOR",)
    assert walk.broken == []


@pytest.mark.parametrize("generator", [GeneratorUnknown(reason="no seconds"), GeneratorValid()])
def test_an_unknown_generator_leaves_the_judgement_to_the_morning(generator: GeneratorState) -> None:
    """It is not known to be weak; the verdict will say UNKNOWN from the record."""
    walk = to_releasing()
    walk.zero()
    walk.scored(generator=generator)
    assert walk.outcomes == ((0, Outcome.COMPLETED),)


def test_a_weak_generator_neither_adds_to_a_row_of_failures_nor_ends_it() -> None:
    """Failed, invalid, failed: two failures in a row, as if the invalid phase had not been there."""
    walk = to_arming(night_order(*(phase_order(index) for index in range(4)), consecutive_failures_max=2))
    for generator, criteria in ((GeneratorValid(), Criteria.NOT_MET), (WEAK, Criteria.MET)):
        walk.run_load()
        walk.scored(criteria=criteria, generator=generator)
        walk.rest()
        walk.anchor()
        assert walk.is_in(State.ARMING)
    walk.phase(Criteria.NOT_MET)
    walk.rest()
    assert cause_of(walk.night) is EndCause.FAILURES
    assert walk.broken == []


def test_a_weak_generators_anchor_gives_no_health() -> None:
    """Incomplete with the reason; one more anchor, and then the phase is skipped, for its health stays unknown."""
    walk = Walk().to_anchor()
    for _ in range(2):
        walk.run_load()
        if not walk.night.baseline_scored:
            walk.baseline(2)
        walk.scored(generator=WEAK)
    anchors = [command for command in walk.commands if isinstance(command, WriteAnchor)]
    assert [anchor.complete for anchor in anchors] == [False, False]
    assert all("at its own limit" in anchor.reason for anchor in anchors)
    assert walk.outcomes == ((0, Outcome.SKIPPED),)
    assert walk.broken == []


def test_the_night_goes_on_after_an_invalid_phase() -> None:
    """The next phase gets its anchor, as after any other."""
    walk = to_cooling(night_order(*(phase_order(index) for index in range(2))))
    walk.rest()
    walk.anchor()
    walk.run_load()
    walk.scored(generator=WEAK)
    walk.rest()
    walk.anchor()
    assert cause_of(walk.night) is EndCause.FINISHED
    assert walk.outcomes == ((0, Outcome.COMPLETED), (1, Outcome.INVALID_GENERATOR))
    walk.report()
    assert walk.finish() == []
