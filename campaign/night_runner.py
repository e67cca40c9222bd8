"""The loop that runs a night: what happens becomes events for the machine, what the machine says is carried out.

One loop in the main thread turns about fifty times a second: read messages, look at processes, signals and a person's
pause, feed the machine, have its commands done. It decides nothing by itself, and whatever becomes of it, the guardian
ends the load and sees to the report. The supervisor process runs it.
"""

import faulthandler
import select
import signal
import sys
import traceback
from collections import deque
from typing import assert_never

from baseline_metrics.clock import Clock
from campaign import events, night_books
from campaign.campaign_order import CampaignOrder
from campaign.crew import CrewStep
from campaign.crew_events import AllReady, Lost, LostIdle, Refused, Zero
from campaign.machine import advance
from campaign.night import TERMINAL, LoadStep, Night, State, first_night
from campaign.night_commands import NightCommands
from campaign.night_parts import assemble
from campaign.pause_file import Wish
from campaign.report_desk import NotWritten, StillWriting, Written
from campaign.run_directory import RunDirectory
from campaign.time_watch import ClockStep, Suspended, window_end_mono_s
from monitoring_logs.records import TIME_KIND
from safety_monitoring.messages import ForgetWorker, WatchWorker

LOOP_S = 0.02
"""How long one turn waits for messages; fifty turns a second cost about 1 % of a core."""

HANG_S = 30.0
"""A loop that has not turned for this long leaves its stack in the output log; the guardian has ended the load by then."""

BEAT_S_MAX = 1.05
"""A guardian that has not beaten for this long, when a lease has run out (0.8 s), is the reason for it."""

COMPRESSED_GRACE_S = 60.0
"""A compressed night may end this late: no clock on the wall waits for it, and its records matter more."""

FAULTS_MAX = 3
"""The loop may raise this often before it gives up; each time it asks the machine to stop the night."""


class NightRunner:
    """One campaign."""

    def __init__(self, order: CampaignOrder, run: RunDirectory, clock: Clock) -> None:
        self._order = order
        self._clock = clock
        self._parts = assemble(order, run, clock, tell_guardian=self._tell_guardian)
        self._commands = NightCommands(self._parts, self)
        self._guardian_told_lost = False
        self._events: deque[events.Event] = deque()
        self._signals: deque[int] = deque()
        self._stop_signals = 0
        self._fault_told = False
        now = clock.mono_s()
        left_s = order.night.window_end_utc_s - clock.utc_s()
        self._end_by = now + (order.night.window_s + COMPRESSED_GRACE_S if order.night.rehearsal else left_s)
        self._night = first_night(order.night, drain_s=order.drain_s, at_mono_s=now, end_by_mono_s=self._end_by)

    @property
    def exit_code(self) -> int:
        """The process's exit code, once the night is over."""
        return self._commands.exit_code

    # The loop ---------------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run the campaign to its end. Returns the exit code. Raises only when the loop itself cannot go on."""
        self._parts.ledger.open(self._order.night)
        for orphan in self._order.orphans_ended:
            self._parts.ledger.note("campaign", "orphan_ended", f"before the start was ended: {orphan}")
        self._events.append(events.Started(at_mono_s=self._clock.mono_s(), end_by_mono_s=self._end_by))
        faults = 0
        while self._night.state not in TERMINAL:
            try:
                self._turn()
            except Exception as error:
                faults += 1
                if faults > FAULTS_MAX:
                    raise
                self.own_fault(error)
        return self.exit_code

    def note_signal(self, number: int, _frame: object = None) -> None:
        """A signal has arrived; the loop looks at it."""
        self._signals.append(number)

    def take_load_away(self) -> None:
        """The last resort after our own fault: no load survives us. The guardian sees to the report."""
        self._parts.crew.end()
        deadline = self._clock.mono_s() + 2.0
        while self._parts.crew.step is not CrewStep.IDLE and self._clock.mono_s() < deadline:
            self._parts.crew.poll()
            self._clock.sleep(0.01)

    def _turn(self) -> None:
        faulthandler.dump_traceback_later(HANG_S, exit=False)
        guardian = self._commands.guardian
        children = [*self._parts.crew.children()]
        if guardian is not None and not guardian.child.closed:
            children.append(guardian.child)
        if not self._events:
            select.select(children, [], [], LOOP_S)
        self._feed(events.Tick(at_mono_s=self._clock.mono_s()))
        self._look_at_time()
        self._look_at_guardian()
        self._look_at_crew()
        self._look_at_signals()
        self._look_at_pause()
        self._look_at_record()
        self._look_at_reports()
        for chore in self._parts.housekeeping.due():
            self._parts.chores.do(chore, night=self._night, beat=guardian.beat if guardian else None)
        while self._events:
            self._feed(self._events.popleft())
        if self._parts.board.due():
            self._parts.board.write(self._commands.moment())

    def _feed(self, event: events.Event) -> None:
        before = self._night
        after, commands = advance(before, event)
        ending = next((command for command in commands if isinstance(command, events.EndLoad)), None)
        if ending is not None:  # two writes to memory and one to a pipe: ending load never waits for the journal's disk
            self._commands.end_load(ending)
            # The crew proves zero anew; an older proof that still waits in the queue would be taken for a second one.
            self._events = deque(item for item in self._events if not isinstance(item, events.LoadZero))
        if commands or after.state is not before.state or not isinstance(event, events.Tick):
            self._parts.ledger.decision(event, state=before.state.value, following=after.state.value, commands=commands)
        self._night = after
        self._parts.board.note_night(after)
        if after.state is not before.state:
            self._parts.ledger.state(
                before.state, after.state, because=event, text=night_books.state_text(after, event)
            )
        for command in commands:
            try:
                self._commands.carry_out(command)
            except Exception as error:  # noqa: BLE001 - one command that fails must not take the others with it
                self.own_fault(error)

    def _tell_guardian(self, said: WatchWorker | ForgetWorker) -> None:
        self._commands.tell_guardian(said)

    # What happens -----------------------------------------------------------------------------------------------------

    def _look_at_guardian(self) -> None:
        guardian = self._commands.guardian
        if guardian is None:
            return
        for report in guardian.poll():
            for event in self._parts.news.take(report):
                self.post(event)
        if guardian.lost and not self._guardian_told_lost:
            self._guardian_told_lost = True
            self._parts.ledger.note("guardian", "lost", guardian.lost)
            kind = events.GuardianLost if self._parts.news.ready else events.PreparationFailed
            self.post(kind(at_mono_s=self._clock.mono_s(), detail=guardian.lost))

    def _look_at_crew(self) -> None:
        happened, stored = self._parts.crew.poll()
        self._parts.adopted.reap()
        for record in stored:
            self._parts.ledger.put(record)
        for item in happened:
            if isinstance(item, LostIdle):
                self._parts.ledger.note("worker", "lost_idle", item.detail)
            else:
                self.post(self._event_of(item))
        now = self._clock.mono_s()
        answer = self._parts.search.look(stored, rung=self._night.rung, now_mono_s=now)
        if answer and self._night.state is State.SEARCHING and self._night.load is LoadStep.RUNNING:
            self.post(events.SearchOver(at_mono_s=now, detail=answer))

    def _event_of(self, item: AllReady | Refused | Zero | Lost) -> events.Event:
        now = self._clock.mono_s()
        match item:
            case AllReady():
                return events.LoadReady(at_mono_s=now)
            case Refused(detail=detail):
                return events.LoadRefused(at_mono_s=now, detail=detail)
            case Zero():
                self._end_adopted()
                held_s, limits = self._night.held_s_until(now), self._commands.limits
                self._parts.books.load_is_zero(self._parts.crew, limits=limits, held_s=held_s, now_mono_s=now)
                return events.LoadZero(at_mono_s=now)
            case Lost(outcome=outcome, detail=detail, lease_ran_out=lease_ran_out):
                self._parts.ledger.note("worker", outcome.value, detail)
                guardian = self._commands.guardian
                if lease_ran_out and guardian is not None and guardian.silent_s > BEAT_S_MAX:
                    return events.GuardianLost(at_mono_s=now, detail=f"the guardian does not renew leases: {detail}")
                return events.WorkerLost(at_mono_s=now, outcome=outcome, detail=detail)
            case _:
                assert_never(item)

    def _end_adopted(self) -> None:
        """No load is there, so what the load processes have left behind is not wanted: it could be load of which we do not know."""
        if left := self._parts.adopted.end():
            names = ", ".join(f"{stat.pid} ({stat.name})" for stat in left)
            self._parts.ledger.note("worker", "left_behind", f"ended what load processes had left behind: {names}")

    def _look_at_signals(self) -> None:
        while self._signals:
            number = self._signals.popleft()
            name = signal.Signals(number).name
            self._stop_signals += 1
            now = self._clock.mono_s()
            self._parts.books.note_stop_seen(now)
            if self._stop_signals == 1 or number != signal.SIGINT:
                self._parts.ledger.note("operator", "stop", f"{name}: an orderly stop was asked for")
                self.post(events.StopRequested(at_mono_s=now, detail=f"stopped by a person ({name})"))
            else:
                self._parts.ledger.note("operator", "emergency_stop", f"{name} again: stop at once")
                self.post(events.EmergencyStopped(at_mono_s=now, detail=f"stopped at once by a person (second {name})"))

    def _look_at_pause(self) -> None:
        now = self._clock.mono_s()
        match self._parts.pause.look():
            case Wish.PAUSE:
                self._parts.ledger.note("operator", "pause", "a person pauses: no load until they say `resume-load`")
                self.post(events.PauseRequested(at_mono_s=now))
            case Wish.RESUME:
                self._parts.ledger.note("operator", "resume", "the person lets load come back")
                self.post(events.ResumeRequested(at_mono_s=now))
            case Wish.AS_BEFORE:
                pass

    def _look_at_time(self) -> None:
        kind: type[events.HostSlept | events.ClockSet]
        for happened in self._parts.time.look():
            match happened:
                case Suspended(seconds=seconds):
                    name, kind = "SUSPENDED", events.HostSlept
                    self._parts.ledger.note_sleep(seconds)
                case ClockStep():
                    name, kind = "CLOCK_STEP", events.ClockSet
                case _:
                    assert_never(happened)
            self._parts.ledger.note(TIME_KIND, name, happened.text)
            now = self._clock.mono_s()
            end_by = window_end_mono_s(self._order.night, end_by=self._end_by, mono_s=now, utc_s=self._clock.utc_s())
            self.post(kind(at_mono_s=now, end_by_mono_s=end_by, detail=happened.text))

    def _look_at_record(self) -> None:
        if not self._fault_told and (fault := self._parts.ledger.fault):
            self._fault_told = True
            self.post(events.RunnerFault(at_mono_s=self._clock.mono_s(), detail=f"the record failed: {fault}"))

    def _look_at_reports(self) -> None:
        match self._parts.desk.poll():
            case StillWriting():
                pass
            case Written():
                self.post(events.ReportWritten(at_mono_s=self._clock.mono_s()))
            case NotWritten(detail=detail):
                self.post(events.ReportFailed(at_mono_s=self._clock.mono_s(), detail=detail))

    # For whoever carries out a command -------------------------------------------------------------------------------

    @property
    def night(self) -> Night:
        """The machine's state."""
        return self._night

    @property
    def interrupted(self) -> bool:
        """Whether a person has asked to stop, and the loop has not looked at it yet."""
        return bool(self._signals)

    def post(self, event: events.Event) -> None:
        """Feed this to the machine in the same turn."""
        self._events.append(event)

    def pump(self) -> None:
        """Keep speaking with the guardian while something takes longer than a turn."""
        faulthandler.dump_traceback_later(HANG_S, exit=False)
        self._look_at_guardian()
        if self._parts.board.due():
            self._parts.board.write(self._commands.moment())

    def own_fault(self, error: Exception) -> None:
        """Something of ours failed: the machine will stop the night."""
        sys.stderr.write("".join(traceback.format_exception(error)))
        self.post(events.RunnerFault(at_mono_s=self._clock.mono_s(), detail=f"{type(error).__name__}: {error}"))
