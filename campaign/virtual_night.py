"""One night on a fake clock: a scripted target, host, guardian, people and failures around the real machine.

Everything comes from one random generator, so that a seed repeats a night, and every step is watched by the invariants.
This is simulation: nothing here measures anything. Pure; see simulate.
"""

import dataclasses
import heapq
import itertools
import math
import random
from dataclasses import dataclass, field

from baseline_metrics.health import KnownScore, Score, UnknownScore
from campaign.events import (
    AskReturn,
    BaselineScored,
    ClockSet,
    Command,
    Conclude,
    ContinueLoad,
    Criteria,
    Drill,
    DrillMissed,
    DrillPassed,
    EmergencyStopped,
    EndLoad,
    Event,
    GeneratorInvalid,
    GeneratorState,
    GeneratorUnknown,
    GeneratorValid,
    GuardianClear,
    GuardianLost,
    GuardianMoved,
    HoldLoad,
    HostSlept,
    LoadKind,
    LoadReady,
    LoadRefused,
    LoadScored,
    LoadZero,
    PauseRequested,
    PreparationDone,
    PreparationFailed,
    Prepare,
    PrepareLoad,
    ReleaseLoad,
    ReportFailed,
    ReportWritten,
    ResumeRequested,
    RunnerFault,
    ScoreLoad,
    SearchOver,
    Started,
    StartLoad,
    StopRequested,
    Tick,
    WorkerLost,
)
from campaign.invariants import Broken, InvariantWatcher
from campaign.machine import Table, advance_by
from campaign.night import HELD_LAG_S_MAX, TERMINAL, LoadStep, Night, State, first_night
from campaign.virtual_orders import random_order
from monitoring_logs.records import Outcome
from safety_monitoring.limits import Rung

STEPS_MAX = 20_000
"""Steps of one night; sixty-four phases with every fault take about 3,000. More means that the night does not end."""

EARLY_TICK_CHANCE = 0.2
"""The real loop turns many times between two events; one tick in five steps shows that an early one changes nothing."""

TURN_S = 0.25
"""How far time moves at least when a row that is due waits for more than time."""

STALE_CHANCE = 0.3
"""How often a message of a load that was given up arrives all the same."""

TOO_LATE_CHANCE = 0.3
"""How often a worker of a load that is being taken away says or does something before it is gone."""

CONFUSED_CHANCES = (0.0, 0.0, 0.5)
"""One night in three has somebody who speaks out of turn: per step of a load, an answer comes that nobody waits for."""

CALM_LOADS_MAX = 3
"""An answer out of turn ends most nights, so a confused night begins calmly, for up to so many loads."""

SCORED_S = 0.02
"""How long looking at an ended load takes."""

EARLY_S = 20.0
"""Preparation and drill take a few seconds; some interruptions are drawn from the first ones, to meet them."""


@dataclass(order=True, slots=True)
class _Due:
    at_mono_s: float
    number: int
    event: Event = field(compare=False)
    load: int = field(compare=False)  # only valid while this load is current; 0: always


class VirtualNight:
    """Everything around the machine in one night, scripted by one random generator."""

    def __init__(self, rng: random.Random, table: Table) -> None:
        self._rng = rng
        self._table = table
        self._order = random_order(rng)
        self._queue: list[_Due] = []
        self._numbers = itertools.count()
        self._now = 1000.0
        self._load = 0
        self._prepared: PrepareLoad | None = None
        self._running = False
        self._frozen: list[tuple[float, Event]] = []
        self._rung = Rung.CLEAR
        self._clear_offered = False
        self._confused = rng.choice(CONFUSED_CHANCES)
        self._calm_loads = rng.randint(0, CALM_LOADS_MAX)
        self._loads = 0
        self._trouble = rng.choice((0.0, 0.02, 0.1, 0.3))
        self._health = rng.choice((97.0, 97.0, 93.0, 85.0, 75.0, 50.0))
        end_by = self._now + self._order.window_s
        self.night: Night = first_night(self._order, drain_s=10.0, at_mono_s=self._now, end_by_mono_s=end_by)
        self._watcher = InvariantWatcher(self._order)
        self.steps = 0
        self.states: set[State] = {State.PREPARING}
        self.cause = "did not end"
        self._found: list[Broken] = []
        self._plan(0.0, Started(at_mono_s=self._now, end_by_mono_s=end_by))
        self._plan_interruptions()

    def run(self) -> tuple[Broken, ...]:
        """Run to a terminal state, or until the night turns out not to end."""
        while self.night.state not in TERMINAL and self.steps < STEPS_MAX:
            timer = min(self.night.timer_mono_s, self.night.deadline_mono_s)
            due = self._queue[0].at_mono_s if self._queue else math.inf
            step_at = max(self._now, min(timer, due))
            early = self._rng.uniform(self._now, step_at) if self._rng.random() < EARLY_TICK_CHANCE else math.inf
            if self._now < early < step_at:
                self._now = early
                self._feed(Tick(at_mono_s=self._now))
                continue
            if math.isinf(step_at):
                self._found.append(Broken(number=5, at_mono_s=self._now, detail="nothing will ever happen again"))
                break
            self._now = step_at
            self._feed(Tick(at_mono_s=self._now))
            while self._queue and self._queue[0].at_mono_s <= self._now:
                item = heapq.heappop(self._queue)
                if item.load in (0, self._load):
                    self._feed(item.event)
                elif self._rng.random() < STALE_CHANCE:
                    self._feed(item.event)  # a message that was already on its way when its load was given up
            if self._queue and self._queue[0].at_mono_s <= self._now:
                continue
            if timer <= self._now and min(self.night.timer_mono_s, self.night.deadline_mono_s) <= self._now:
                self._now += self._until_more()
        self._found.extend(self._watcher.finish(self.night))
        return tuple(self._found)

    def _until_more(self) -> float:
        """A row waits for more than time: for a person, or for the host. The loop turns again, here a few times in all."""
        due = self._queue[0].at_mono_s if self._queue else math.inf
        left_s = min(due, self.night.deadline_mono_s) - self._now
        return max(TURN_S, left_s * self._rng.choice((0.0, 0.5, 1.0)))

    def _feed(self, event: Event) -> None:
        if self.night.state in TERMINAL:
            return
        before = self.night
        self.steps += 1
        self.night, commands = advance_by(self._table, before, event)
        self._found.extend(self._watcher.step(before, event, self.night, commands))
        self.states.add(self.night.state)
        if self.night.load is not before.load and self.night.load is LoadStep.READY:
            self._confuse(within_s=1.0)
            self._confuse(within_s=1.0)
        for command in commands:
            self._carry_out(command)

    def _plan(self, delay_s: float, event: Event, *, load: int = 0) -> None:
        heapq.heappush(
            self._queue, _Due(at_mono_s=self._now + delay_s, number=next(self._numbers), event=event, load=load)
        )

    def _at(self, delay_s: float) -> float:
        return self._now + delay_s

    def _chance(self, share: float = 1.0) -> bool:
        return self._rng.random() < self._trouble * share

    def _plan_interruptions(self) -> None:
        """People and faults that do not care what the night is doing."""
        when = self._rng.uniform(0.0, self._rng.choice((self._order.window_s, self._order.window_s, EARLY_S)))
        kind = self._rng.random()
        at = self._at(when)
        if kind < 0.12:
            self._plan(when, StopRequested(at_mono_s=at, detail="SIGTERM"))
            if self._rng.random() < 0.5:
                again = when + self._rng.uniform(0.0, 3.0)
                self._plan(again, EmergencyStopped(at_mono_s=self._at(again), detail="second Ctrl-C"))
        elif kind < 0.17:
            self._plan(when, EmergencyStopped(at_mono_s=at, detail="STOP file"))
        elif kind < 0.21:
            self._plan(when, GuardianLost(at_mono_s=at, detail="pipe closed"))
        elif kind < 0.24:
            self._plan(when, RunnerFault(at_mono_s=at, detail="recorder failed"))
        elif kind < 0.34:
            self._plan(when, self._time_moved(at))
        for _ in range(self._rng.choice((0, 0, 0, 1, 2))):
            self._person_pauses(self._rng.uniform(0.0, self._rng.choice((self._order.window_s, EARLY_S))))
        for _ in range(self._rng.choice((0, 0, 1, 3))):
            later = self._rng.uniform(0.0, self._order.window_s)
            rung = self._rng.choice((Rung.EASE, Rung.EASE, Rung.PAUSE, Rung.STOP_PHASE, Rung.STOP_CAMPAIGN))
            self._plan(later, GuardianMoved(at_mono_s=self._at(later), rung=rung, why="scripted"))
            if rung is not Rung.STOP_CAMPAIGN and self._rng.random() < 0.8:
                clear = later + self._rng.uniform(1.0, 600.0)
                self._plan(clear, GuardianClear(at_mono_s=self._at(clear)))

    def _person_pauses(self, delay_s: float) -> None:
        """A person pauses, and mostly thinks of it again: soon, later, or never."""
        self._plan(delay_s, PauseRequested(at_mono_s=self._at(delay_s)))
        if self._rng.random() < 0.1:
            self._plan(delay_s, PauseRequested(at_mono_s=self._at(delay_s)))
        if self._rng.random() < 0.9:
            again = delay_s + self._rng.uniform(0.0, self._rng.choice((3.0, 60.0, 900.0, 5000.0)))
            self._plan(again, ResumeRequested(at_mono_s=self._at(again)))

    def _carry_out(self, command: Command) -> None:
        match command:
            case Prepare():
                self._prepare()
            case Drill():
                self._drill()
            case PrepareLoad():
                self._prepare_load(command)
                self._confuse()
            case StartLoad():
                self._start_load(command)
            case HoldLoad():
                self._freeze()
            case ContinueLoad():
                self._thaw()
            case ReleaseLoad():
                delay = self._rng.choice((0.2, 1.0, 5.0))
                self._zero(delay)
                if self.night.state is State.STOPPING:
                    self._more_trouble()
            case EndLoad():
                delay = 0.1 if self._rng.random() < 0.98 else 60.0
                self._zero(delay)
                self._confuse(within_s=delay)
                if self._rng.random() < TOO_LATE_CHANCE:
                    self._too_late(delay)
            case ScoreLoad():
                self._score(command)
                self._confuse(within_s=SCORED_S)
                if self._chance(0.5):
                    self._plan(SCORED_S / 2, LoadZero(at_mono_s=self._at(SCORED_S / 2)))
            case AskReturn():
                self._let_return()
            case Conclude():
                self._conclude(command)
            case _:
                pass

    def _too_late(self, until_s: float) -> None:
        """What a worker said before it heard that its load is taken away, or its death."""
        delay = self._rng.uniform(0.0, until_s)
        at = self._at(delay)
        late = (LoadReady(at_mono_s=at), LoadRefused(at_mono_s=at, detail="too late"), self._worker_lost(delay))
        self._plan(delay, self._rng.choice(late), load=self._load)

    def _prepare(self) -> None:
        if self._chance(0.5):
            self._guardian_moves(self._rng.uniform(0.0, 0.5))
        if self._chance(0.3):
            self._plan(1.0, PreparationFailed(at_mono_s=self._at(1.0), detail="guardian did not start"))
        elif not self._chance(0.1):
            self._plan(0.5, PreparationDone(at_mono_s=self._at(0.5)))

    def _drill(self) -> None:
        if self._chance(0.5):
            self._guardian_moves(self._rng.uniform(0.0, 3.0))
        if self._chance(0.3):
            self._plan(2.0, DrillMissed(at_mono_s=self._at(2.0), detail="stop file took 3 s"))
        elif not self._chance(0.1):
            self._plan(3.0, DrillPassed(at_mono_s=self._at(3.0)))

    def _prepare_load(self, command: PrepareLoad) -> None:
        self._load += 1
        self._loads += 1
        self._prepared = command
        self._running = False
        if self._chance(0.2):
            self._plan(0.4, LoadRefused(at_mono_s=self._at(0.4), detail="worker did not start"))
            return
        delay = 100.0 if self._chance(0.1) else self._rng.uniform(0.05, 2.0)
        if self._chance(0.5):
            self._guardian_moves(delay * self._rng.random())
        if self._chance(0.3):
            self._person_pauses(delay * self._rng.random())
        self._plan(delay, LoadReady(at_mono_s=self._at(delay)), load=self._load)
        if self._chance(0.1):
            when = delay * self._rng.uniform(0.0, 2.0)
            self._plan(when, self._worker_lost(when), load=self._load)
        if self._chance(0.05):
            when = delay + self._rng.uniform(0.0, 5.0)
            self._plan(when, LoadRefused(at_mono_s=self._at(when), detail="worker fell over"), load=self._load)

    def _freeze(self) -> None:
        """The load's clock stands still: what its own clock would have brought waits; its workers may die all the same."""
        ours = [item for item in self._queue if item.load == self._load and self._load > 0]
        self._queue = [item for item in self._queue if item not in ours]
        heapq.heapify(self._queue)
        self._frozen = [(item.at_mono_s - self._now, item.event) for item in ours]
        self._confuse()
        self._confuse()
        kind = self._rng.random()
        delay = self._rng.uniform(0.0, 30.0)
        if self._chance(0.2):
            self._plan(delay, self._worker_lost(delay), load=self._load)
        if self._chance(0.2):
            self._plan(delay, LoadZero(at_mono_s=self._at(delay)), load=self._load)
        if kind < 0.2:
            self._guardian_moves(delay)
        elif kind < 0.3:
            self._plan(0.0, SearchOver(at_mono_s=self._now, detail="was on its way"))

    def _thaw(self) -> None:
        """It runs again; workers hear of it a little earlier or later than the machine takes it to be."""
        lag = self._rng.uniform(-0.9, 0.9) * HELD_LAG_S_MAX
        for delay, event in self._frozen:
            later = max(0.0, delay + lag)
            self._plan(later, dataclasses.replace(event, at_mono_s=self._at(later)), load=self._load)
        self._frozen = []

    def _start_load(self, command: StartLoad) -> None:
        assert self._prepared is not None
        self._running = True
        length = command.start_mono_s - self._now + self._prepared.ramp_s + self._prepared.hold_s
        self._confuse(within_s=length)
        for _ in range(3 if self._prepared.kind is LoadKind.PHASE else 1):  # what drains, ends and is scored is brief
            self._confuse(after_s=length)
        if self._chance(0.3):
            when = self._rng.uniform(0.0, length + 1.0)
            self._plan(when, self._worker_lost(when), load=self._load)
        if self._chance(0.5):
            ramp_s = self._prepared.ramp_s
            since, until = self._rng.choice(((0.0, ramp_s), (0.0, length), (length, length + 1.0)))
            self._guardian_moves(self._rng.uniform(since, until))
        if self._chance(0.3):
            since = self._rng.choice((0.0, length - HELD_LAG_S_MAX))
            self._person_pauses(self._rng.uniform(since, length + 1.0))
        if self._prepared.kind is LoadKind.SEARCH and self._rng.random() < 0.5:
            when = self._rng.uniform(0.0, length)
            for _ in range(self._rng.choice((1, 1, 2))):  # said again in the turn in which it is heard
                self._plan(when, SearchOver(at_mono_s=self._at(when), detail="scripted"), load=self._load)
        if self._chance(0.1):
            when = self._rng.uniform(0.0, length)
            self._plan(when, LoadZero(at_mono_s=self._at(when)), load=self._load)
        elif not self._chance(0.1):
            when = length + self._rng.uniform(0.01, self._rng.choice((1.0, 8.0)))
            self._plan(when, LoadZero(at_mono_s=self._at(when)), load=self._load)

    def _more_trouble(self) -> None:
        """While a night is being stopped or concluded, people, guardian and faults do not wait."""
        delay = self._rng.uniform(0.0, 2.0)
        at = self._at(delay)
        if self._rng.random() < 0.1:
            self._person_pauses(delay)
        kind = self._rng.random()
        if kind < 0.3:
            self._guardian_moves(delay)
        elif kind < 0.4:
            self._plan(delay, StopRequested(at_mono_s=at, detail="SIGTERM, again"))
        elif kind < 0.5:
            self._plan(delay, GuardianLost(at_mono_s=at, detail="pipe closed"))
        elif kind < 0.6:
            self._plan(delay, RunnerFault(at_mono_s=at, detail="recorder failed"))
        elif kind < 0.65:
            self._plan(delay, SearchOver(at_mono_s=at, detail="was on its way"))

    def _time_moved(self, at_mono_s: float) -> HostSlept | ClockSet:
        """The host sleeps, or somebody sets the clock: the window may close earlier, by anything up to all that is left."""
        left_s = max(0.0, self._order.window_s - at_mono_s)
        end_by = at_mono_s + self._rng.choice((left_s, left_s + 600.0, self._rng.uniform(0.0, left_s)))
        kind = self._rng.choice((HostSlept, ClockSet))
        return kind(at_mono_s=at_mono_s, end_by_mono_s=end_by, detail="scripted")

    def _guardian_moves(self, delay_s: float) -> None:
        rung = self._rng.choice((Rung.EASE, Rung.PAUSE, Rung.STOP_PHASE, Rung.STOP_CAMPAIGN))
        self._plan(delay_s, GuardianMoved(at_mono_s=self._at(delay_s), rung=rung, why="scripted"))
        clear = delay_s + self._rng.uniform(0.1, self._rng.choice((1.0, 100.0)))
        self._plan(clear, GuardianClear(at_mono_s=self._at(clear)))

    def _let_return(self) -> None:
        """The guardian takes our key; when it is asked twice in a row, it answers twice."""
        delay = self._rng.uniform(0.0, 0.3)
        self._plan(delay, GuardianMoved(at_mono_s=self._at(delay), rung=Rung.CLEAR, why="clear"))
        if self._rng.random() < 0.5:
            again = delay + self._rng.uniform(0.0, 0.3)
            self._plan(again, GuardianMoved(at_mono_s=self._at(again), rung=Rung.CLEAR, why="clear, again"))

    def _confuse(self, *, after_s: float = 0.0, within_s: float = math.inf) -> None:
        """Somebody speaks out of turn: the machine must not take it for the answer that it waits for."""
        if self._loads <= self._calm_loads or self._rng.random() >= self._confused:
            return
        delay = after_s + min(within_s, self._rng.choice((0.005, 0.05, 1.0, 8.0))) * self._rng.random()
        at = self._at(delay)
        known = KnownScore(value=99.0)
        answers: tuple[Event, ...] = (
            LoadReady(at_mono_s=at),
            LoadRefused(at_mono_s=at, detail="out of turn"),
            LoadZero(at_mono_s=at),
            LoadScored(
                at_mono_s=at, score=known, criteria=Criteria.MET, generator=GeneratorValid(), detail="out of turn"
            ),
            BaselineScored(at_mono_s=at, score=known, phases_allowed=len(self._order.phases)),
            self._worker_lost(delay),
            self._time_moved(at),
        )
        self._plan(delay, self._rng.choice(answers))

    def _worker_lost(self, delay_s: float) -> WorkerLost:
        outcome = self._rng.choice((Outcome.WORKER_CRASHED, Outcome.WORKER_HUNG, Outcome.OOM_KILLED))
        return WorkerLost(at_mono_s=self._at(delay_s), outcome=outcome, detail="scripted")

    def _zero(self, delay_s: float) -> None:
        """The load ends for good: everything that was still planned for it does not happen any more."""
        self._load += 1
        self._running = False
        self._plan(delay_s, LoadZero(at_mono_s=self._at(delay_s)), load=self._load)

    def _score(self, command: ScoreLoad) -> None:
        self._load += 1  # messages of the ended load that are still on their way are void
        score: Score = KnownScore(value=max(0.0, min(100.0, self._health + self._rng.gauss(0, 2))))
        if self._chance(0.5):
            score = UnknownScore(reason="scripted gap")
        if command.kind is LoadKind.ANCHOR and self.night.phases_allowed == 0 and not self.night.eased:
            total = sum(1 for phase in self._order.phases if not phase.cut)
            value = score.value if isinstance(score, KnownScore) else 0.0
            share = 1.0 if value >= 90 else 0.75 if value >= 80 else 0.5 if value >= 70 else 0.0
            allowed = math.ceil(total * share)
            self._plan(0.01, BaselineScored(at_mono_s=self._at(0.01), score=score, phases_allowed=allowed))
        generator: GeneratorState = GeneratorValid()
        if self._chance(0.3):
            generator = self._rng.choice((GeneratorInvalid(reason="scripted"), GeneratorUnknown(reason="scripted")))
        criteria = self._rng.choices((Criteria.MET, Criteria.NOT_MET, Criteria.UNKNOWN), (0.9, 0.07, 0.03))[0]
        if not self._chance(0.05):
            self._plan(
                SCORED_S,
                LoadScored(
                    at_mono_s=self._at(SCORED_S), score=score, criteria=criteria, generator=generator, detail="scripted"
                ),
            )

    def _conclude(self, command: Conclude) -> None:
        self.cause = command.cause.value
        self._more_trouble()
        if self._chance(0.2):
            self._plan(60.0, ReportFailed(at_mono_s=self._at(60.0), detail="disk full"))
        elif not self._chance(0.1):
            self._plan(1.0, ReportWritten(at_mono_s=self._at(1.0)))
