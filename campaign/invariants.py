"""What must hold on every step of every night, checked from outside the machine.

The watcher keeps its own account from the events and commands alone; it does not trust the machine's state. The
simulator runs it over thousands of nights, and a mutant of the table has to be caught by it. Pure.
"""

import math
from dataclasses import dataclass

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
    DrillPassed,
    EmergencyStopped,
    EndLoad,
    Event,
    GeneratorInvalid,
    GeneratorState,
    GeneratorUnknown,
    GuardianClear,
    GuardianLost,
    GuardianMoved,
    HoldLoad,
    HostSlept,
    Latch,
    Leave,
    LoadKind,
    LoadReady,
    LoadRefused,
    LoadScored,
    LoadZero,
    MeasureIdle,
    PauseRequested,
    Prepare,
    PrepareLoad,
    ReleaseLoad,
    ResumeRequested,
    RunnerFault,
    ScoreLoad,
    SearchOver,
    Started,
    StartLoad,
    StopRequested,
    Tick,
    WorkerLost,
    WriteAnchor,
    WriteRecord,
    WriteSearch,
)
from campaign.invariants_of_pauses import PauseWatch
from campaign.invariants_of_time import broken_by_moved_time
from campaign.machine_blocks import FAILING, SAYS_NOTHING, SEARCHED_AFTER
from campaign.night import (
    HELD_LAG_S_MAX,
    LIVE,
    LOADED,
    ORDERLY_RELEASE_S,
    STOPPING_S_MAX,
    TERMINAL,
    Ending,
    LoadStep,
    Night,
    State,
)
from monitoring_logs.load_orders import NoSearch
from monitoring_logs.records import EndCause, NightOrder, Outcome
from safety_monitoring.limits import Rung

_SLACK_S = 1e-6

_STATES_OF_RUNG = {
    Rung.CLEAR: (State.RAMPING, State.HOLDING),
    Rung.EASE: (State.EASED,),
    Rung.PAUSE: (State.PAUSED,),
    Rung.STOP_PHASE: (State.RELEASING,),
    Rung.STOP_CAMPAIGN: (State.STOPPING,),
}

_ASKED_ON_ENTRY: dict[State, tuple[type, ...]] = {
    State.DRILLING: (Drill,),
    State.BASELINING: (MeasureIdle,),
    State.STOPPING: (EndLoad, ReleaseLoad),
    State.CONCLUDING: (Conclude,),
}
_ASKED_OF_LOAD: dict[LoadStep, tuple[type, ...]] = {
    LoadStep.PREPARING: (PrepareLoad,),
    LoadStep.RUNNING: (StartLoad,),
    LoadStep.ENDING: (EndLoad,),
    LoadStep.SCORING: (ScoreLoad,),
}
"""What has to be asked for when a state or a step of the load begins: nobody answers what nobody asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """An invariant that did not hold. number: as in the list of invariants in docs/state-machine.md."""

    number: int
    at_mono_s: float
    detail: str


class InvariantWatcher:
    """Follows one night. Call ``step`` for each step and ``finish`` once; both return what was broken."""

    def __init__(self, order: NightOrder) -> None:
        self._order = order
        self._drilled = False
        self._prepared: PrepareLoad | None = None
        self._ready = False
        self._making = False
        self._rung = Rung.CLEAR
        self._stop_seen = False
        self._orderly_since = math.inf
        self._end_commanded_since = math.inf
        self._emergencies = 0
        self._latches = 0
        self._score: Score = UnknownScore(reason="none yet")
        self._allowed = 0
        self._eased = False
        self._full_load_at = math.inf
        self._criteria = Criteria.UNKNOWN
        self._generator: GeneratorState = GeneratorUnknown(reason="none yet")
        self._anchor_open = False
        self._search_open = False
        self._searched: set[int] = set()
        self._cut = False
        self._time_moved = False  # since the current load was prepared
        self._pause = PauseWatch()
        self._failures = 0
        self._records: dict[int, Outcome] = {}
        self._conclusions = 0
        self._leaves = 0
        self._broken: list[Broken] = []
        self._at = 0.0

    def step(self, before: Night, event: Event, after: Night, commands: tuple[Command, ...]) -> tuple[Broken, ...]:
        """Check one step of the machine."""
        self._broken = []
        self._at = event.at_mono_s
        was_making = self._making
        self._note(event)
        for command in commands:
            self._command(command, commands, after)
        self._reactions(before, event, after, commands, was_making=was_making)
        for number, detail in self._pause.check(before, event, after, commands):
            self._say(number, detail)
        self._asked(before, event, after, commands)
        self._exactness(before, event, after, commands)
        self._deadlines(before, event, after)
        return tuple(self._broken)

    def finish(self, night: Night) -> tuple[Broken, ...]:
        """Check the end of the night."""
        self._broken = []
        if night.state not in TERMINAL:
            self._say(8, f"the night ended in {night.state.value}")
        expected = {phase.index for phase in self._order.phases}
        if set(self._records) != expected:
            self._say(6, f"phases without a record: {sorted(expected - set(self._records))}")
        if self._conclusions != 1 or self._leaves != 1:
            self._say(8, f"{self._conclusions} conclusions, {self._leaves} leaves")
        if self._latches != self._emergencies:
            self._say(3, f"{self._emergencies} emergency stops, {self._latches} latches")
        if self._anchor_open:
            self._say(6, "an anchor ran and has no record")
        if self._search_open:
            self._say(6, "a search ran and has no record")
        return tuple(self._broken)

    def _say(self, number: int, detail: str) -> None:
        self._broken.append(Broken(number=number, at_mono_s=self._at, detail=detail))

    def _note(self, event: Event) -> None:
        match event:
            case DrillPassed():
                self._drilled = True
            case LoadReady():
                self._ready = self._prepared is not None
            case LoadZero():
                self._making = False
                if self._pause.came_too_late(self._full_load_at):
                    self._full_load_at -= HELD_LAG_S_MAX
                self._end_commanded_since = math.inf
                self._orderly_since = math.inf
            case LoadScored(score=score, criteria=criteria, generator=generator):
                void = self._eased or isinstance(generator, GeneratorInvalid)
                self._score = UnknownScore(reason="eased, or the generator was not valid") if void else score
                self._criteria = criteria
                self._generator = generator
            case PauseRequested() | ResumeRequested():
                self._pause.paused = isinstance(event, PauseRequested)
            case BaselineScored(score=score, phases_allowed=allowed):
                self._allowed = allowed if isinstance(score, KnownScore) else 0
            case GuardianMoved(rung=rung):
                self._rung = rung
                self._eased = self._eased or (rung is not Rung.CLEAR and self._making)
                self._stop_seen = self._stop_seen or rung is Rung.STOP_CAMPAIGN
            case EmergencyStopped():
                self._emergencies += 1
                self._stop_seen = True
            case StopRequested() | GuardianLost() | RunnerFault():
                self._stop_seen = True
            case WorkerLost():
                self._ready = False
            case HostSlept() | ClockSet():
                self._time_moved = True
            case _:
                pass

    def _command(self, command: Command, commands: tuple[Command, ...], after: Night) -> None:
        match command:
            case PrepareLoad():
                self._prepare(command)
            case StartLoad():
                self._start(command, after)
            case HoldLoad():
                self._pause.held_at = self._at
            case ContinueLoad():
                self._continue(after)
            case EndLoad():
                self._end_commanded_since = min(self._end_commanded_since, self._at)
                self._cut = True
                self._pause.thaw(self._at)
            case ReleaseLoad():
                self._pause.thaw(self._at)
                if after.load is not LoadStep.DRAINING:
                    self._say(9, f"load is released, and the machine takes it for {after.load.value}")
            case WriteRecord():
                self._record(command)
            case WriteAnchor(complete=complete):
                self._anchor_open = False
                if complete and (self._cut or self._eased or isinstance(self._generator, GeneratorInvalid)):
                    self._say(6, "an anchor that was cut off, eased or not validly made is called complete")
            case WriteSearch():
                self._write_search(command)
            case Latch():
                self._latches += 1
            case Conclude():
                self._conclusions += 1
                waited = self._at - self._end_commanded_since >= STOPPING_S_MAX - ORDERLY_RELEASE_S - _SLACK_S
                retried = any(isinstance(other, EndLoad) for other in commands)
                if self._making and not (waited and retried):
                    self._say(8, "concluded while load may still be made")
            case Leave():
                self._leaves += 1
                if self._conclusions != 1:
                    self._say(8, "left before the end was stored and the report asked for")
            case _:
                pass

    def _prepare(self, command: PrepareLoad) -> None:
        if not self._drilled:
            self._say(1, "load is prepared before a passed drill")
        if self._stop_seen:
            self._say(3, "load is prepared after a stop")
        if self._making:
            self._say(1, "load is prepared while other load is being made")
        if self._failures >= self._order.consecutive_failures_max:
            self._say(5, f"goes on after {self._failures} failures")
        match command.kind:
            case LoadKind.PHASE:
                self._escalation(command.phase)
            case LoadKind.ANCHOR:
                if command.phase in self._records:
                    self._say(6, "an anchor before a phase that has its record")
            case LoadKind.SEARCH:
                self._begin_search(command.phase)
        self._prepared = command
        self._ready = False
        self._eased = False
        self._cut = False
        self._time_moved = False
        self._pause.held_s = 0.0
        self._anchor_open = command.kind is LoadKind.ANCHOR

    def _begin_search(self, phase: int) -> None:
        if isinstance(self._order.phases[phase].search, NoSearch):
            self._say(6, f"phase {phase} searches, and that was not ordered")
        if phase in self._searched:
            self._say(6, f"phase {phase} searches again")
        if self._records.get(phase) not in SEARCHED_AFTER:
            self._say(6, f"phase {phase} searches without having run its time")
        self._searched.add(phase)
        self._search_open = True

    def _write_search(self, command: WriteSearch) -> None:
        if not self._search_open or self._prepared is None or self._prepared.phase != command.phase:
            self._say(6, f"a record of a search of phase {command.phase} that was not begun, or has one")
        if command.complete and self._cut:
            self._say(6, f"the search of phase {command.phase} was cut off and is called complete")
        self._search_open = False

    def _continue(self, after: Night) -> None:
        if not self._making or math.isinf(self._pause.held_at):
            self._say(1, "load goes on that nobody had paused")
            return
        if self._stop_seen or self._rung in (Rung.STOP_PHASE, Rung.STOP_CAMPAIGN):
            self._say(3, f"load goes on after a stop, or while the guardian stands at {self._rung.name}")
        self._full_load_at += self._at - self._pause.held_at
        self._pause.thaw(self._at)
        if after.load_end_mono_s > after.end_by_mono_s + _SLACK_S:
            self._say(5, "a paused load goes on beyond the window")
        self._full_load_at = min(self._full_load_at, after.load_end_mono_s) - HELD_LAG_S_MAX

    def _escalation(self, phase: int) -> None:
        required = self._order.phases[phase].required_health
        if not (isinstance(self._score, KnownScore) and self._score.value >= required):
            self._say(4, f"phase {phase} needs health {required:g}, the last anchor gave {self._score}")
        included = [item.index for item in self._order.phases if not item.cut]
        if phase not in included[: self._allowed]:
            self._say(4, f"phase {phase} is beyond the {self._allowed} phases that the baseline allows")
        if phase in self._records:
            self._say(6, f"phase {phase} runs again")

    def _start(self, command: StartLoad, after: Night) -> None:
        if not self._drilled or self._prepared is None or not self._ready:
            self._say(1, "load starts before drill, preparation and the guardian's answer")
            return
        if self._stop_seen:
            self._say(3, "load starts after a stop")
        if self._rung is not Rung.CLEAR:
            self._say(3, f"load starts while the guardian stands at {self._rung.name}")
        self._full_load_at = command.start_mono_s + self._prepared.ramp_s + self._prepared.hold_s
        if after.cut_short:
            self._full_load_at = after.load_end_mono_s
        if self._prepared.kind is not LoadKind.ANCHOR and self._full_load_at > after.end_by_mono_s + _SLACK_S:
            self._say(5, "a phase or a search starts that ends after the window")
        self._making = True
        self._ready = False

    def _record(self, command: WriteRecord) -> None:
        phase, outcome = command.phase, command.outcome
        if phase in self._records:
            self._say(6, f"phase {phase} gets a second record")
        self._records[phase] = outcome
        if outcome not in SAYS_NOTHING:
            self._failures = self._failures + 1 if outcome in FAILING else 0
        own = self._prepared is not None and self._prepared.phase == phase and self._prepared.kind is LoadKind.PHASE
        held_s = self._pause.held_s if own else 0.0
        if abs(command.held_s - held_s) > _SLACK_S:
            self._say(6, f"phase {phase} was paused for {held_s} s and its record says {command.held_s} s")
        invalid = isinstance(self._generator, GeneratorInvalid)
        if outcome is Outcome.INVALID_GENERATOR and not (own and (invalid or self._time_moved)):
            self._say(6, f"phase {phase} is {outcome.value} and its generator was not")
        if outcome in SEARCHED_AFTER and invalid:
            self._say(4, f"phase {phase} is {outcome.value} and its generator was not valid")
        if outcome in (Outcome.COMPLETED, Outcome.EASED):
            if not own:
                self._say(6, f"phase {phase} is {outcome.value} and never ran")
            if self._at < self._full_load_at - _SLACK_S:
                self._say(6, f"phase {phase} is {outcome.value} before its load was over")
            if self._criteria is Criteria.NOT_MET:
                self._say(4, f"phase {phase} is {outcome.value} and missed its criteria")
            if outcome is Outcome.COMPLETED and self._eased:
                self._say(6, f"phase {phase} was eased and is COMPLETED")

    def _reactions(
        self, before: Night, event: Event, after: Night, commands: tuple[Command, ...], *, was_making: bool
    ) -> None:
        ends = any(isinstance(command, EndLoad) for command in commands)
        releases = any(isinstance(command, ReleaseLoad) for command in commands)
        stop_campaign = isinstance(event, GuardianMoved) and event.rung is Rung.STOP_CAMPAIGN
        hard = isinstance(event, EmergencyStopped | GuardianLost) or stop_campaign
        if before.state in LIVE and (hard or isinstance(event, StopRequested | RunnerFault)):
            if after.state not in (State.STOPPING, State.CONCLUDING):
                self._say(5, f"{type(event).__name__} in {before.state.value} did not stop the night")
            if isinstance(event, StopRequested) and was_making:
                self._orderly_since = min(self._orderly_since, event.at_mono_s)
                if not (releases or ends):
                    self._say(5, "an orderly stop did not touch the load")
        if was_making and before.state not in (State.CONCLUDING, *TERMINAL):
            stop_phase = isinstance(event, GuardianMoved) and event.rung is Rung.STOP_PHASE
            already = self._end_commanded_since <= event.at_mono_s
            if (hard or stop_phase) and not (ends or already):
                self._say(2, f"{event} did not end the load")
        if isinstance(event, EmergencyStopped) and not any(isinstance(command, Latch) for command in commands):
            self._say(3, "an emergency stop was not latched")
        asks = any(isinstance(command, AskReturn) for command in commands)
        if asks and (not isinstance(event, GuardianClear) or self._stop_seen):
            self._say(3, "load was asked to return without the guardian's clear, or after a stop")
        late = event.at_mono_s - self._orderly_since >= ORDERLY_RELEASE_S
        if isinstance(event, Tick) and self._making and late and self._end_commanded_since == math.inf:
            self._say(5, "an orderly stop let the load run on")

    def _asked(self, before: Night, event: Event, after: Night, commands: tuple[Command, ...]) -> None:
        """What the night waits for from now on was asked for."""
        needed: list[tuple[type, ...]] = []
        if after.state is not before.state and after.state in _ASKED_ON_ENTRY:
            needed.append(_ASKED_ON_ENTRY[after.state])
        if after.load is not before.load and after.load in _ASKED_OF_LOAD:
            needed.append(_ASKED_OF_LOAD[after.load])
        if isinstance(event, Started) and before.state is State.PREPARING:
            needed.append((Prepare,))
        if isinstance(event, GuardianClear) and before.state in LIVE:
            needed.append((AskReturn,))
        for kinds in needed:
            if not any(isinstance(command, kinds) for command in commands):
                number = 2 if EndLoad in kinds else 9
                self._say(number, f"{after.state.value} {after.load.value} begins without {kinds[0].__name__}")

    def _exactness(self, before: Night, event: Event, after: Night, commands: tuple[Command, ...]) -> None:
        """Nothing happens without its cause: not before its time, not on a lower rung, not for a load that is gone."""
        match event:
            case Tick():
                due = min(before.timer_mono_s, before.deadline_mono_s)
                if event.at_mono_s < due and (after != before or commands):
                    self._say(9, f"a tick before its time changed {before.state.value} to {after.state.value}")
                blocked = after.state is State.CONCLUDING and event.at_mono_s < before.deadline_mono_s
                if (
                    before.state in LIVE
                    and blocked
                    and isinstance(after.end, Ending)
                    and after.end.cause is EndCause.GUARDIAN_STOP
                ):
                    self._say(9, "the guardian is said to have ended the night, and did not")
                if event.at_mono_s >= before.timer_mono_s and before.state in LOADED and after.state is before.state:
                    self._say(9, f"the time of {before.state.value} is over and it goes on")
            case GuardianMoved(rung=rung):
                if rung is not Rung.STOP_CAMPAIGN and before.state in LIVE and after.state not in LIVE:
                    self._say(9, f"{rung.name} ended the night")
                if before.state in LOADED and after.state not in _STATES_OF_RUNG[rung]:
                    self._say(9, f"{rung.name} led from {before.state.value} to {after.state.value}")
                if rung in (Rung.CLEAR, Rung.EASE, Rung.PAUSE) and commands:
                    self._say(9, f"{rung.name} led to {commands}")
            case SearchOver():
                releases = any(isinstance(command, ReleaseLoad) for command in commands)
                wanted = before.state is State.SEARCHING and before.load is LoadStep.RUNNING
                if before.state in LIVE and after.state in LIVE and releases is not wanted:
                    self._say(9, f"the search's answer in {before.state.value} {before.load.value} led to {commands}")
            case LoadReady() | LoadRefused() | LoadScored() | BaselineScored() | WorkerLost() | LoadZero():
                self._answers(before, event, after, commands)
            case HostSlept() | ClockSet():
                for number, detail in broken_by_moved_time(before, event, after, commands):
                    self._say(number, detail)
                if after.load is LoadStep.RUNNING and after.cut_short:
                    self._full_load_at = min(self._full_load_at, after.load_end_mono_s)
            case _:
                pass

    def _answers(self, before: Night, event: Event, after: Night, commands: tuple[Command, ...]) -> None:
        expected: dict[type, tuple[LoadStep, ...]] = {
            LoadReady: (LoadStep.PREPARING,),
            LoadRefused: (LoadStep.PREPARING, LoadStep.READY),
            LoadScored: (LoadStep.SCORING,),
            BaselineScored: (LoadStep.SCORING,),
            WorkerLost: (LoadStep.PREPARING, LoadStep.READY, LoadStep.RUNNING, LoadStep.DRAINING),
            LoadZero: (LoadStep.RUNNING, LoadStep.DRAINING, LoadStep.ENDING),
        }
        fitting = before.load in expected[type(event)]
        if isinstance(event, BaselineScored):
            fitting = fitting and before.load_kind is LoadKind.ANCHOR
        if not fitting and before.state in LIVE and (commands or after.state is not before.state):
            fault = isinstance(after.end, Ending) and after.end.cause is EndCause.RUNNER_FAULT
            if not fault:
                self._say(9, f"{type(event).__name__} was taken for an answer in {before.load.value}")
        late = isinstance(event, LoadReady | LoadRefused) and before.load is LoadStep.ENDING
        known = fitting or late or isinstance(event, WorkerLost)
        if not known and before.state in LIVE and after.state in LIVE:
            self._say(6, f"{type(event).__name__} in {before.load.value} is not known, and no RUNNER_FAULT")
        if isinstance(event, BaselineScored) and fitting and after.phases_allowed != self._allowed:
            self._say(4, "the baseline's choice was not taken over")
        if isinstance(event, LoadReady) and fitting and before.state in LIVE:
            clear = self._rung is Rung.CLEAR
            expected_command = StartLoad if clear else EndLoad
            if not self._pause.paused and not any(isinstance(command, expected_command) for command in commands):
                self._say(3, f"everything is ready at {self._rung.name} and {expected_command.__name__} was not asked")
        lost = isinstance(event, WorkerLost) and fitting and before.state in LIVE
        if lost and not any(isinstance(command, EndLoad) for command in commands):
            self._say(2, "a worker was lost and the others go on")

    def _deadlines(self, before: Night, event: Event, after: Night) -> None:
        if after.state in TERMINAL:
            return
        if not math.isfinite(after.deadline_mono_s) or after.deadline_mono_s < after.entered_mono_s:
            self._say(5, f"{after.state.value} has no deadline")
        moved = after.state is not before.state or after.load is not before.load
        moved = moved or after.deadline_mono_s > before.deadline_mono_s
        if isinstance(event, Tick) and event.at_mono_s >= before.deadline_mono_s and not moved:
            self._say(5, f"the deadline of {before.state.value} passed and nothing happened")
