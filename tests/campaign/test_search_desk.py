"""The search in the supervisor: rates go to the crew, steps into the record as they end, and the guardian comes first."""

import random
from dataclasses import dataclass, field

import pytest

from baseline_metrics.samples import Gap, Sample
from campaign.search_desk import SearchDesk
from monitoring_logs.load_orders import SearchOrder
from monitoring_logs.records import LoadSecond
from monitoring_logs.search_records import SearchStep, StepState
from safety_monitoring.limits import Rung
from stress_scenarios.histogram import Histogram
from stress_scenarios.step_judgement import SecondFigures
from tests.support.sample_records import LOAD_FACTS
from tests.support.virtual_targets import Cliff, VirtualTarget

SEED = 20_261_124
START_S = 5000.0
SEGMENT = 7

ORDER = SearchOrder(
    lasts_s=200.0,
    step_s=5.0,
    start_per_s=20.0,
    per_s_max=10_000.0,
    connections=50,
    success_percent_min=95.0,
    response_s_mean_max=0.5,
    response_s_p99_max=0.0,
    achieved_percent_min=98.0,
)


def cliff(edge_per_s: float = 130.0) -> Cliff:
    """A target that carries so much and no more."""
    return Cliff(edge_per_s=edge_per_s, failing=0.5, chance=random.Random(SEED))


@dataclass
class FakeCrew:
    """Notes what it is asked for."""

    per_s: float
    asked: list[float] = field(default_factory=list)
    connections: set[int] = field(default_factory=set)

    def adjust(self, *, operations_per_s: float, connections: int) -> None:
        """Make this load from now on."""
        self.per_s = operations_per_s
        self.asked.append(operations_per_s)
        self.connections.add(connections)


class Night:
    """A search's load against a target in virtual time: a second is told as it ends."""

    def __init__(self, target: VirtualTarget, order: SearchOrder = ORDER, *, lasts_s: float = 0.0) -> None:
        self.target = target
        self.crew = FakeCrew(per_s=order.start_per_s)
        self.steps: list[SearchStep] = []
        self.second = 0
        self.due = self.started = self.dropped = 0
        self.cpu_s = 0.1
        self.desk = SearchDesk(
            order,
            phase=2,
            segment=SEGMENT,
            start_mono_s=START_S,
            lasts_s=lasts_s or order.lasts_s,
            crew=self.crew,
            store=self.steps.append,
        )

    @property
    def now_s(self) -> float:
        """The instant at which the last second has just been told."""
        return START_S + self.second + 0.05

    def told(self, figures: SecondFigures, *, segment: int = SEGMENT) -> LoadSecond:
        """A second as the telemetry makes it."""
        self.due += figures.due
        self.dropped += figures.dropped
        self.started = self.due - self.dropped
        responses = Histogram()
        for _ in range(figures.succeeded):
            responses.record_s(figures.response_s_sum / figures.succeeded)
        return LoadSecond(
            segment=segment,
            second=self.second,
            at_mono_s=START_S + self.second,
            at_utc_s=0.0,
            succeeded=figures.succeeded,
            failed=figures.failed,
            response_succeeded=responses.encode(),
            response_failed="",
            operations_due=self.due,
            operations_started=self.started,
            connections_open=1,
            bytes_received=0,
            generator_cpu_s=self.cpu_s,
            loop_lag_s_max=0.001,
            workers=1,
            generator_cpu_s_max=self.cpu_s,
            operations_dropped=self.dropped,
            in_flight_s=0.01 * figures.succeeded,
        )

    def go_on(self, seconds: int = 1, *, rung: Rung = Rung.CLEAR) -> None:
        """So many seconds more."""
        for _ in range(seconds):
            second = self.told(self.target.second(self.crew.per_s))
            self.second += 1
            self.desk.look(now_mono_s=self.now_s, seconds=(second,), rung=rung)

    def to_the_end(self) -> None:
        """Until the search is over, or its time is."""
        while not self.desk.over and self.second < ORDER.lasts_s:
            self.go_on()

    def states(self) -> list[StepState]:
        """How its steps ended."""
        return [step.state for step in self.steps]


def test_a_search_finds_the_edge_and_its_record_says_so() -> None:
    """Doubling from 20/s to 160/s, then in between; every step was stored with its figures as it ended."""
    print(f"seed {SEED}")
    night = Night(cliff())
    night.to_the_end()
    assert night.desk.over
    assert [step.operations_per_s for step in night.steps[:4]] == [20.0, 40.0, 80.0, 160.0]
    assert [step.step for step in night.steps] == list(range(len(night.steps)))
    record = night.desk.record(LOAD_FACTS, complete=True, reason="")
    assert isinstance(record.passing_per_s, Sample)
    assert isinstance(record.failing_per_s, Sample)
    assert 0.9 * 130 < record.passing_per_s.value <= 130 < record.failing_per_s.value < 1.1 * 130
    assert isinstance(record.overshoot_percent, Sample)
    assert record.overshoot_percent.value == pytest.approx(100 * (160 / record.failing_per_s.value - 1))
    assert (record.phase, record.segment, record.limited_by) == (2, SEGMENT, StepState.FAILED)
    assert (record.complete, record.reason, record.load) == (True, "the gap is narrow enough", LOAD_FACTS)
    assert night.crew.connections == {ORDER.connections}


def test_a_step_is_stored_with_what_its_judged_seconds_showed() -> None:
    """The first second settles; the other four have 80 arrivals at 20/s, all answered after 10 ms."""
    night = Night(cliff())
    night.go_on(4)
    assert night.steps == []
    night.go_on()
    (step,) = night.steps
    assert (step.start_mono_s, step.end_mono_s) == (START_S + 1, START_S + 5)
    assert (step.operations_due, step.operations_started, step.succeeded, step.failed) == (80, 80, 80, 0)
    for reading in (step.response_s_mean, step.response_s_p99):
        assert isinstance(reading, Sample)
        assert reading.value == pytest.approx(0.01, rel=0.008)
    assert (step.segment, step.state) == (SEGMENT, StepState.PASSED)
    assert night.crew.asked == [40.0]


def test_after_a_step_that_failed_the_target_rests_at_a_lower_rate() -> None:
    """A quarter of what passed, for a second at least; then the next rate."""
    night = Night(cliff(30.0))
    while StepState.FAILED not in night.states():
        night.go_on()
    assert night.crew.per_s == 5.0
    night.go_on()
    assert 20.0 < night.crew.per_s < 40.0


def test_the_guardian_ends_a_step_at_once_and_load_waits_for_its_return() -> None:
    """While it eases, nothing new is tried; the search goes on below the rate that it eased."""
    night = Night(cliff())
    night.go_on(7)
    night.desk.look(now_mono_s=night.now_s, seconds=(), rung=Rung.EASE)
    assert night.states() == [StepState.PASSED, StepState.EASED]
    assert "guardian" in night.steps[-1].reason
    assert night.crew.per_s == 5.0
    night.go_on(30, rung=Rung.PAUSE)
    assert len(night.steps) == 2
    assert night.crew.per_s == 5.0
    night.go_on(2)
    assert 20.0 < night.crew.per_s < 40.0
    night.to_the_end()
    record = night.desk.record(LOAD_FACTS, complete=True, reason="")
    assert (record.limited_by, record.failing_per_s) == (StepState.EASED, Sample(value=40.0))


def test_a_generator_at_its_limit_is_not_the_targets_failure() -> None:
    """A second of a busy worker in a step that does not pass makes it the generator's."""
    night = Night(cliff())
    night.go_on(15)
    night.cpu_s = 0.95
    night.go_on(5)
    assert night.states() == [StepState.PASSED] * 3 + [StepState.GENERATOR]
    assert "CPU of the busiest worker" in night.steps[-1].reason


def test_what_passes_needs_no_excuse_from_the_generator() -> None:
    """Its lateness would have made responses longer."""
    night = Night(cliff())
    night.cpu_s = 0.95
    night.go_on(5)
    assert night.states() == [StepState.PASSED]


def test_a_held_load_begins_its_step_anew() -> None:
    """The time of the pause is not the search's, and what was measured before is left out."""
    night = Night(cliff(), lasts_s=12.0)
    night.go_on(8)
    night.desk.hold(night.now_s)
    night.desk.hold(night.now_s)
    night.crew.per_s = 0.0
    night.go_on(60)
    assert len(night.steps) == 1
    night.crew.per_s = 40.0
    night.desk.resume(night.now_s)
    night.go_on(4)
    assert len(night.steps) == 1
    night.go_on()
    assert len(night.steps) == 2
    assert (night.steps[1].start_mono_s, night.steps[1].operations_due) == (START_S + 69, 160)
    assert night.desk.over, "13 s of its 12 s are over"
    assert night.desk.record(LOAD_FACTS, complete=True, reason="").held_s == 60.0


def test_seconds_of_another_load_are_nobodys() -> None:
    """The anchor's last second may come late."""
    night = Night(cliff())
    foreign = night.told(night.target.second(500.0), segment=SEGMENT - 1)
    night.due = night.dropped = 0
    night.desk.look(now_mono_s=START_S, seconds=(foreign,) * 9, rung=Rung.CLEAR)
    night.go_on(5)
    assert [step.operations_due for step in night.steps] == [80]


def test_a_second_that_never_comes_does_not_keep_a_step_open() -> None:
    """It is judged by the others when its time is over."""
    night = Night(cliff())
    night.go_on(2)
    night.told(night.target.second(20.0))
    night.second += 1
    night.go_on(2)
    (step,) = night.steps
    assert step.state is StepState.PASSED
    assert (step.operations_due, step.succeeded) == (40, 40), "nor is the next one judged, whose counts span both"
    night.to_the_end()
    assert night.desk.record(LOAD_FACTS, complete=True, reason="").limited_by is StepState.FAILED
    assert 110.0 < max(step.operations_per_s for step in night.steps if step.state is StepState.PASSED) <= 130.0


def test_a_step_without_any_second_to_judge_begins_anew() -> None:
    """All of its time passed unseen."""
    night = Night(cliff())
    for _ in range(6):
        night.told(night.target.second(20.0))
        night.second += 1
    night.go_on()
    assert night.steps == []
    night.go_on(5)
    assert [step.operations_due for step in night.steps] == [80]


def test_an_end_from_outside_leaves_what_is_known() -> None:
    """The step under way is kept as unfinished, the record says why, and there may be no bracket at all."""
    night = Night(cliff())
    night.go_on(3)
    record = night.desk.record(LOAD_FACTS, complete=False, reason="a worker was lost")
    assert night.states() == [StepState.UNFINISHED]
    assert night.steps[0].reason == record.reason == "a worker was lost"
    assert isinstance(record.passing_per_s, Gap)
    assert isinstance(record.failing_per_s, Gap)
    assert (record.complete, record.limited_by) == (False, StepState.PASSED)


def test_the_time_of_a_search_bounds_it() -> None:
    """With 17 s for steps of 5 s there are three; then the load goes down and nothing more is tried."""
    night = Night(cliff(1e9), lasts_s=17.0)
    night.to_the_end()
    assert [step.operations_per_s for step in night.steps] == [20.0, 40.0, 80.0]
    assert "the time is over" in night.desk.why
    assert night.crew.per_s == 20.0
    night.go_on(20)
    assert len(night.steps) == 3


def test_a_start_above_the_highest_rate_is_corrected_at_once() -> None:
    """The load begins at the order's rate, so the desk has to say so."""
    order = SearchOrder(
        lasts_s=50.0,
        step_s=5.0,
        start_per_s=500.0,
        per_s_max=100.0,
        connections=50,
        success_percent_min=95.0,
        response_s_mean_max=0.5,
        response_s_p99_max=0.0,
        achieved_percent_min=98.0,
    )
    assert Night(cliff(), order).crew.asked == [100.0]
