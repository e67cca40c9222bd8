"""Drives the machine by hand through a night, a sentence at a time, with the invariants looking on.

Everything that a walk feeds is checked by the watcher; ``broken`` stays empty in a test that shows no fault of ours.
"""

from collections.abc import Callable, Iterable

from baseline_metrics.health import KnownScore, Score
from campaign.events import (
    BaselineScored,
    Command,
    Criteria,
    DrillPassed,
    EmergencyStopped,
    Event,
    GeneratorState,
    GeneratorValid,
    GuardianClear,
    GuardianMoved,
    LoadReady,
    LoadScored,
    LoadZero,
    PauseRequested,
    PreparationDone,
    ReportWritten,
    ResumeRequested,
    Started,
    StopRequested,
    Tick,
    WriteRecord,
)
from campaign.invariants import Broken, InvariantWatcher
from campaign.machine import advance
from campaign.night import START_LEAD_S, Ending, Night, State, first_night
from monitoring_logs.records import EndCause, NightOrder, Outcome
from safety_monitoring.limits import Rung
from tests.support.orders import DRAIN_S, night_order, phase_order, searching_phase

START_MONO_S = 1000.0

WELL = KnownScore(value=95.0)
VALID = GeneratorValid()


def names(commands: tuple[Command, ...]) -> tuple[str, ...]:
    """Commands by their names."""
    return tuple(type(command).__name__ for command in commands)


def cause_of(night: Night) -> EndCause:
    """Why the night ends."""
    assert isinstance(night.end, Ending)
    return night.end.cause


def ordered(states: Iterable[State]) -> tuple[State, ...]:
    """States in their order through a night, so that tests have the same order in every process."""
    found = frozenset(states)
    return tuple(state for state in State if state in found)


class Walk:
    """One night, its place in time, and everything that was commanded so far."""

    def __init__(self, order: NightOrder | None = None) -> None:
        self.order = order or night_order()
        self.at = START_MONO_S
        self.end_by = START_MONO_S + self.order.window_s
        self.night: Night = first_night(self.order, drain_s=DRAIN_S, at_mono_s=self.at, end_by_mono_s=self.end_by)
        self.states = [self.night.state]
        self.commands: list[Command] = []
        self.broken: list[Broken] = []
        self._watcher = InvariantWatcher(self.order)

    def is_in(self, state: State) -> bool:
        """Whether the night stands in this state."""
        return self.night.state is state

    def feed(self, event: Event) -> tuple[Command, ...]:
        """One step; returns its commands."""
        before = self.night
        self.night, commands = advance(before, event)
        self.broken.extend(self._watcher.step(before, event, self.night, commands))
        if self.night.state is not before.state:
            self.states.append(self.night.state)
        self.commands.extend(commands)
        return commands

    def wait(self, seconds: float) -> tuple[Command, ...]:
        """Time passes, and the loop turns."""
        self.at += seconds
        return self.feed(Tick(at_mono_s=self.at))

    def wait_until(self, at_mono_s: float) -> tuple[Command, ...]:
        """Like wait, to an instant."""
        self.at = max(self.at, at_mono_s)
        return self.feed(Tick(at_mono_s=self.at))

    def finish(self) -> list[Broken]:
        """Everything that was broken, once the night is over."""
        return [*self.broken, *self._watcher.finish(self.night)]

    # Sentences ------------------------------------------------------------------------------------------------------

    def start(self) -> tuple[Command, ...]:
        """The supervisor runs."""
        return self.feed(Started(at_mono_s=self.at, end_by_mono_s=self.end_by))

    def to_drill(self) -> "Walk":
        """Prepared; the stops are being rehearsed."""
        self.start()
        self.feed(PreparationDone(at_mono_s=self.at))
        return self

    def to_idle(self) -> "Walk":
        """Drilled; the idle host is being measured."""
        self.to_drill().feed(DrillPassed(at_mono_s=self.at))
        return self

    def to_anchor(self) -> "Walk":
        """The first anchor's workers come up."""
        self.to_idle().wait_until(self.night.timer_mono_s)
        return self

    def ready(self) -> tuple[Command, ...]:
        """All workers are prepared and watched."""
        return self.feed(LoadReady(at_mono_s=self.at))

    def zero(self) -> tuple[Command, ...]:
        """No load is being made any more."""
        return self.feed(LoadZero(at_mono_s=self.at))

    def moved(self, rung: Rung, why: str = "memory 81 % of 80 %") -> tuple[Command, ...]:
        """The guardian moves."""
        return self.feed(GuardianMoved(at_mono_s=self.at, rung=rung, why=why))

    def clear(self) -> tuple[Command, ...]:
        """The guardian's readings are back inside, our key is turned, and load returns."""
        commands = self.feed(GuardianClear(at_mono_s=self.at))
        self.moved(Rung.CLEAR)
        return commands

    def stop(self) -> tuple[Command, ...]:
        """A person asks for an orderly end."""
        return self.feed(StopRequested(at_mono_s=self.at, detail="SIGTERM"))

    def pause(self) -> tuple[Command, ...]:
        """A person wants no load for a while."""
        return self.feed(PauseRequested(at_mono_s=self.at))

    def resume(self) -> tuple[Command, ...]:
        """The person lets load come back."""
        return self.feed(ResumeRequested(at_mono_s=self.at))

    def emergency(self) -> tuple[Command, ...]:
        """A person stops everything now."""
        return self.feed(EmergencyStopped(at_mono_s=self.at, detail="STOP file"))

    def scored(
        self, score: Score = WELL, criteria: Criteria = Criteria.MET, generator: GeneratorState = VALID
    ) -> tuple[Command, ...]:
        """The ended load was looked at."""
        return self.feed(
            LoadScored(at_mono_s=self.at, score=score, criteria=criteria, generator=generator, detail="looked at")
        )

    def baseline(self, allowed: int, score: Score = WELL) -> tuple[Command, ...]:
        """The baseline's health chose how many phases may run."""
        return self.feed(BaselineScored(at_mono_s=self.at, score=score, phases_allowed=allowed))

    def run_load(self) -> None:
        """The prepared load starts, runs its time and is drained; its score is asked for."""
        self.ready()
        ramping = self.night.state is State.RAMPING
        self.wait_until(self.night.timer_mono_s)
        if ramping:
            self.wait_until(self.night.timer_mono_s)
        self.zero()

    def anchor(self, score: Score = WELL) -> tuple[Command, ...]:
        """A whole anchor; the first one brings the baseline, which allows all phases."""
        self.run_load()
        if not self.night.baseline_scored:
            self.baseline(len(self.order.phases))
        return self.scored(score)

    def phase(self, criteria: Criteria = Criteria.MET) -> tuple[Command, ...]:
        """A whole phase."""
        self.run_load()
        return self.scored(criteria=criteria)

    def rest(self) -> tuple[Command, ...]:
        """The break or the cool-down is over."""
        return self.wait_until(self.night.timer_mono_s)

    def report(self) -> tuple[Command, ...]:
        """The report stands."""
        return self.feed(ReportWritten(at_mono_s=self.at))

    # What came of it ------------------------------------------------------------------------------------------------

    @property
    def outcomes(self) -> tuple[tuple[int, Outcome], ...]:
        """The phases' records, from the commands."""
        return tuple((item.phase, item.outcome) for item in self.commands if isinstance(item, WriteRecord))

    def reasons(self) -> tuple[str, ...]:
        """The reasons in the phases' records."""
        return tuple(item.reason for item in self.commands if isinstance(item, WriteRecord))


def to_arming(order: NightOrder | None = None) -> Walk:
    """The first phase's workers come up."""
    walk = Walk(order).to_anchor()
    walk.anchor()
    return walk


def to_ramping(order: NightOrder | None = None) -> Walk:
    """The first phase's load has just been started."""
    walk = to_arming(order)
    walk.ready()
    return walk


def to_holding(order: NightOrder | None = None) -> Walk:
    """All connections of the first phase are at work."""
    walk = to_ramping(order)
    walk.wait_until(walk.night.timer_mono_s)
    return walk


def to_releasing(order: NightOrder | None = None) -> Walk:
    """The first phase's load drains."""
    walk = to_holding(order)
    walk.wait_until(walk.night.timer_mono_s)
    return walk


def to_cooling(order: NightOrder | None = None) -> Walk:
    """The first phase has its record, and the break has begun."""
    walk = to_releasing(order)
    walk.zero()
    walk.scored()
    return walk


def to_held(order: NightOrder | None = None) -> Walk:
    """A person has paused the first phase, 10 s after it was ramped up."""
    walk = to_holding(order)
    walk.wait(10.0)
    walk.pause()
    return walk


def to_standing_by(order: NightOrder | None = None) -> Walk:
    """The first phase's workers are ready, and wait for the person who has paused meanwhile."""
    walk = to_arming(order)
    walk.pause()
    walk.ready()
    return walk


def to_search(order: NightOrder | None = None) -> Walk:
    """The first phase has its record, and the workers of its search come up."""
    return to_cooling(order or night_order(searching_phase(0), phase_order(1)))


def to_searching(order: NightOrder | None = None) -> Walk:
    """The search of the first phase has just been started."""
    walk = to_search(order)
    walk.ready()
    return walk


def to_stopping(order: NightOrder | None = None) -> Walk:
    """A person has asked for an orderly end under load."""
    walk = to_holding(order)
    walk.stop()
    return walk


def to_concluding(order: NightOrder | None = None) -> Walk:
    """A person has asked for an orderly end, and the load is gone."""
    walk = to_stopping(order)
    walk.zero()
    return walk


def _eased(rung: Rung) -> Walk:
    walk = to_holding()
    walk.moved(rung)
    return walk


def _running_anchor() -> Walk:
    walk = Walk().to_anchor()
    walk.ready()
    walk.wait(START_LEAD_S)
    return walk


def _stopped() -> Walk:
    walk = to_concluding()
    walk.report()
    return walk


def _done() -> Walk:
    walk = to_cooling(night_order(consecutive_failures_max=1))
    for _ in range(2):
        walk.rest()
        walk.anchor()
        if walk.night.state is State.ARMING:
            walk.phase()
    walk.report()
    return walk


def _started() -> Walk:
    walk = Walk()
    walk.start()
    return walk


IN_STATE: dict[State, Callable[[], Walk]] = {
    State.PREPARING: _started,
    State.DRILLING: lambda: Walk().to_drill(),
    State.BASELINING: lambda: Walk().to_idle(),
    State.ANCHOR: _running_anchor,
    State.ARMING: to_arming,
    State.RAMPING: to_ramping,
    State.HOLDING: to_holding,
    State.EASED: lambda: _eased(Rung.EASE),
    State.PAUSED: lambda: _eased(Rung.PAUSE),
    State.HELD: to_held,
    State.RELEASING: to_releasing,
    State.SEARCHING: to_searching,
    State.COOLING: to_cooling,
    State.STOPPING: to_stopping,
    State.CONCLUDING: to_concluding,
    State.DONE: _done,
    State.STOPPED: _stopped,
}
"""A walk that has just arrived in each state, two phases ahead of it; ANCHOR and SEARCHING with their load running."""
