"""Whole nights on a fake clock: a scripted target, host, guardian and failures around the real machine.

Thousands of nights run in seconds, each from its seed, each watched by the invariants; what breaks is reported with
the seed that repeats it. This is simulation and named so: nothing here measures anything. The ``simulate`` command and
the tests run it; the machine under it is the one that runs real nights.
"""

import heapq
import itertools
import math
import random
from collections import Counter
from dataclasses import dataclass, field

from baseline_metrics.health import KnownScore, Score, UnknownScore
from campaign.events import (
    AskReturn,
    BaselineScored,
    Command,
    Conclude,
    Criteria,
    Drill,
    DrillMissed,
    DrillPassed,
    EmergencyStopped,
    EndLoad,
    Event,
    GuardianClear,
    GuardianLost,
    GuardianMoved,
    LoadKind,
    LoadReady,
    LoadRefused,
    LoadScored,
    LoadZero,
    PreparationDone,
    PreparationFailed,
    Prepare,
    PrepareLoad,
    ReleaseLoad,
    ReportFailed,
    ReportWritten,
    RunnerFault,
    ScoreLoad,
    Started,
    StartLoad,
    StopRequested,
    Tick,
    WorkerLost,
)
from campaign.invariants import Broken, InvariantWatcher
from campaign.machine import TABLE, Rule, advance_by
from campaign.night import TERMINAL, Night, State, first_night
from monitoring_logs.records import SCHEMA_VERSION, AnchorOrder, NightOrder, Outcome, PhaseOrder
from safety_monitoring.limits import Rung

Table = dict[tuple[State, type], tuple[Rule, ...]]

STEPS_MAX = 20_000
"""Steps of one night; sixty-four phases with every fault take about 3,000. More means that the night does not end."""

EARLY_TICK_CHANCE = 0.2
"""The real loop turns many times between two events; one tick in five steps shows that an early one changes nothing."""

STALE_CHANCE = 0.3
"""How often a message of a load that was given up arrives all the same."""

CONFUSED_CHANCES = (0.0, 0.0, 0.0, 0.0, 0.25)
"""One night in five has somebody who speaks out of turn: per step of a load, an answer comes that nobody waits for."""

EARLY_S = 20.0
"""Preparation and drill take a few seconds; some interruptions are drawn from the first ones, to meet them."""

BROKEN_NIGHTS_MAX = 20
"""Broken nights kept in a summary; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenNight:
    """A seed that repeats what broke."""

    seed: int
    broken: tuple[Broken, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationSummary:
    """What a run of virtual nights showed. outcomes and causes count phases and nights by how they ended."""

    nights: int
    first_seed: int
    steps: int
    broken_count: int
    broken: tuple[BrokenNight, ...]
    outcomes: tuple[tuple[str, int], ...]
    causes: tuple[tuple[str, int], ...]
    states: tuple[str, ...]

    def text(self) -> str:
        """A few lines for people."""
        last = self.first_seed + self.nights - 1
        lines = [
            f"{self.nights} virtual nights (simulated), seeds {self.first_seed}..{last}, {self.steps} steps",
            "nights ended by  " + ", ".join(f"{name} {count}" for name, count in self.causes),
            "phases ended as  " + ", ".join(f"{name} {count}" for name, count in self.outcomes),
            f"states visited   {len(self.states)} of {len(State)}",
            f"broken invariants in {self.broken_count} nights",
        ]
        for night in self.broken:
            first = night.broken[0]
            lines.append(f"  seed {night.seed}: invariant {first.number} at {first.at_mono_s:.1f} s: {first.detail}")
        return "\n".join(lines)


def simulate_nights(*, nights: int, seed: int, table: Table = TABLE) -> SimulationSummary:
    """Run nights with the seeds seed, seed + 1, ... and sum up what they showed."""
    outcomes: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    states: set[State] = set()
    broken: list[BrokenNight] = []
    broken_count = steps = 0
    for night_seed in range(seed, seed + nights):
        world = _World(random.Random(night_seed), table)  # noqa: S311 - seeded on purpose, to repeat a night
        found = world.run()
        steps += world.steps
        states |= world.states
        outcomes.update(outcome.value for _, outcome in world.night.records)
        causes[world.cause] += 1
        if found:
            broken_count += 1
            if len(broken) < BROKEN_NIGHTS_MAX:
                broken.append(BrokenNight(seed=night_seed, broken=found))
    return SimulationSummary(
        nights=nights,
        first_seed=seed,
        steps=steps,
        broken_count=broken_count,
        broken=tuple(broken),
        outcomes=tuple(outcomes.most_common()),
        causes=tuple(causes.most_common()),
        states=tuple(sorted(state.value for state in states)),
    )


def random_order(rng: random.Random) -> NightOrder:
    """An order as the planner could have made it: 1 to 64 phases, some of them cut, any required health."""
    count = rng.choice((1, 2, 8, 8, 8, 8, rng.randint(1, 64)))
    scale = rng.choice((1.0, 1.0, 0.01))
    phases = tuple(_random_phase(rng, index, scale) for index in range(count))
    window_s = sum(phase.ramp_s + phase.hold_s for phase in phases if not phase.cut) * rng.uniform(0.7, 1.6)
    anchor_s = 60.0 * scale + 2.0
    break_s = 300.0 * scale
    window_s += (count + 1) * (anchor_s + break_s + 3.0) + 600.0 * scale + 10.0
    anchor = AnchorOrder(
        connections=2,
        operations_per_session=10,
        operations_per_s=1.0,
        ramp_s=0.0,
        hold_s=anchor_s,
        operations_expected=99,
    )
    return NightOrder(
        schema_version=SCHEMA_VERSION,
        run_id="simulated",
        name="simulated",
        zone="UTC",
        planned_start_utc_s=0.0,
        window_end_utc_s=window_s,
        window_s=window_s,
        compressed_to_s=0.0,
        rehearsal=False,
        baseline_idle_s=rng.uniform(2, 300) * scale,
        break_s=break_s,
        cooldown_s=1800.0 * scale,
        window_length_s=1.0,
        targets=("simulated",),
        operations=("get",),
        anchor=anchor,
        phases=phases,
        gates=(),
        gates_sha256="",
        plan_sha256="",
        seed=0,
        host_sample_period_s=1.0,
        health_minimum=70.0,
        consecutive_failures_max=rng.randint(1, 5),
        response_s_slo=1.0,
        response_s_limit=2.0,
        error_percent_slo=1.0,
        error_percent_limit=5.0,
    )


def _random_phase(rng: random.Random, index: int, scale: float) -> PhaseOrder:
    planned_s = rng.uniform(600, 10800) * scale
    ramp_s = min(60.0, planned_s / 10)
    return PhaseOrder(
        index=index,
        name=f"phase_{index}",
        level="moderate",
        connections=rng.randint(1, 15),
        operations_per_session=10,
        operations_per_s=1.0,
        ramp_s=ramp_s,
        hold_s=planned_s - ramp_s,
        scaled_from_s=planned_s,
        threshold_multiplier=1.0,
        required_health=rng.choice((0.0, 60.0, 70.0, 85.0)),
        success_percent_min=90.0,
        response_s_mean_max=3.0,
        operations_expected=100,
        cut="cut by the planner" if rng.random() < 0.05 else "",
    )


@dataclass(order=True, slots=True)
class _Due:
    at_mono_s: float
    number: int
    event: Event = field(compare=False)
    load: int = field(compare=False)  # only valid while this load is current; 0: always


class _World:
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
        self._rung = Rung.CLEAR
        self._clear_offered = False
        self._guardian_alive = True
        self._confused = rng.choice(CONFUSED_CHANCES)
        self._trouble = rng.choice((0.0, 0.02, 0.1, 0.3))
        self._health = rng.choice((97.0, 97.0, 93.0, 85.0, 75.0, 50.0))
        self._baseline_sent = False
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
                self._now += 0.25  # a row waits for more than time (the host is not clear yet): the loop turns again
        self._found.extend(self._watcher.finish(self.night))
        return tuple(self._found)

    def _feed(self, event: Event) -> None:
        if self.night.state in TERMINAL:
            return
        before = self.night
        self.steps += 1
        self.night, commands = advance_by(self._table, before, event)
        self._found.extend(self._watcher.step(before, event, self.night, commands))
        self.states.add(self.night.state)
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
        if kind < 0.06:
            self._plan(when, StopRequested(at_mono_s=at, detail="SIGTERM"))
            if self._rng.random() < 0.5:
                again = when + self._rng.uniform(0.0, 3.0)
                self._plan(again, EmergencyStopped(at_mono_s=self._at(again), detail="second Ctrl-C"))
        elif kind < 0.12:
            self._plan(when, EmergencyStopped(at_mono_s=at, detail="STOP file"))
        elif kind < 0.16:
            self._plan(when, GuardianLost(at_mono_s=at, detail="pipe closed"))
        elif kind < 0.19:
            self._plan(when, RunnerFault(at_mono_s=at, detail="recorder failed"))
        for _ in range(self._rng.choice((0, 0, 1, 3))):
            later = self._rng.uniform(0.0, self._order.window_s)
            rung = self._rng.choice((Rung.EASE, Rung.EASE, Rung.PAUSE, Rung.STOP_PHASE, Rung.STOP_CAMPAIGN))
            self._plan(later, GuardianMoved(at_mono_s=self._at(later), rung=rung, why="scripted"))
            if rung is not Rung.STOP_CAMPAIGN and self._rng.random() < 0.8:
                clear = later + self._rng.uniform(1.0, 600.0)
                self._plan(clear, GuardianClear(at_mono_s=self._at(clear)))

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
            case ReleaseLoad():
                delay = self._rng.choice((0.2, 1.0, 5.0))
                self._zero(delay)
                self._more_trouble()
            case EndLoad():
                delay = 0.1 if self._rng.random() < 0.98 else 60.0
                self._zero(delay)
                self._confuse()
            case ScoreLoad():
                self._score(command)
                self._confuse()
            case AskReturn():
                self._let_return()
            case Conclude():
                self._conclude(command)
            case _:
                pass

    def _prepare(self) -> None:
        if self._chance(0.3):
            self._plan(1.0, PreparationFailed(at_mono_s=self._at(1.0), detail="guardian did not start"))
        elif not self._chance(0.1):
            self._plan(0.5, PreparationDone(at_mono_s=self._at(0.5)))

    def _drill(self) -> None:
        if self._chance(0.3):
            self._plan(2.0, DrillMissed(at_mono_s=self._at(2.0), detail="stop file took 3 s"))
        elif not self._chance(0.1):
            self._plan(3.0, DrillPassed(at_mono_s=self._at(3.0)))

    def _prepare_load(self, command: PrepareLoad) -> None:
        self._load += 1
        self._prepared = command
        self._running = False
        if self._chance(0.2):
            self._plan(0.4, LoadRefused(at_mono_s=self._at(0.4), detail="worker did not start"))
            return
        delay = 100.0 if self._chance(0.1) else self._rng.uniform(0.05, 2.0)
        if self._chance(0.5):
            self._guardian_moves(delay * self._rng.random())
        self._plan(delay, LoadReady(at_mono_s=self._at(delay)), load=self._load)
        if self._chance(0.1):
            self._plan(delay / 2, self._worker_lost(delay / 2), load=self._load)

    def _start_load(self, command: StartLoad) -> None:
        assert self._prepared is not None
        self._running = True
        length = command.start_mono_s - self._now + self._prepared.ramp_s + self._prepared.hold_s
        self._confuse()
        for _ in range(1 if self._prepared.kind is LoadKind.ANCHOR else 3):  # what drains, ends and is scored is brief
            self._confuse(after_s=length)
        if self._chance(0.3):
            when = self._rng.uniform(0.0, length + 1.0)
            self._plan(when, self._worker_lost(when), load=self._load)
        if self._chance(0.5):
            ramp_s = self._prepared.ramp_s
            since, until = self._rng.choice(((0.0, ramp_s), (0.0, length), (length, length + 1.0)))
            self._guardian_moves(self._rng.uniform(since, until))
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
        kind = self._rng.random()
        if kind < 0.3:
            self._guardian_moves(delay)
        elif kind < 0.4:
            self._plan(delay, StopRequested(at_mono_s=at, detail="SIGTERM, again"))
        elif kind < 0.5:
            self._plan(delay, GuardianLost(at_mono_s=at, detail="pipe closed"))
        elif kind < 0.6:
            self._plan(delay, RunnerFault(at_mono_s=at, detail="recorder failed"))

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

    def _confuse(self, *, after_s: float = 0.0) -> None:
        """Somebody speaks out of turn: the machine must not take it for the answer that it waits for."""
        if self._rng.random() >= self._confused:
            return
        delay = after_s + self._rng.choice((0.005, 0.05, 1.0, 8.0)) * self._rng.random()
        at = self._at(delay)
        known = KnownScore(value=99.0)
        answers: tuple[Event, ...] = (
            LoadReady(at_mono_s=at),
            LoadRefused(at_mono_s=at, detail="out of turn"),
            LoadZero(at_mono_s=at),
            LoadScored(at_mono_s=at, score=known, criteria=Criteria.MET, detail="out of turn"),
            BaselineScored(at_mono_s=at, score=known, phases_allowed=len(self._order.phases)),
            self._worker_lost(delay),
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
        criteria = self._rng.choices((Criteria.MET, Criteria.NOT_MET, Criteria.UNKNOWN), (0.9, 0.07, 0.03))[0]
        if not self._chance(0.05):
            self._plan(0.02, LoadScored(at_mono_s=self._at(0.02), score=score, criteria=criteria, detail="scripted"))

    def _conclude(self, command: Conclude) -> None:
        self.cause = command.cause.value
        self._more_trouble()
        if self._chance(0.2):
            self._plan(60.0, ReportFailed(at_mono_s=self._at(60.0), detail="disk full"))
        elif not self._chance(0.1):
            self._plan(1.0, ReportWritten(at_mono_s=self._at(1.0)))
