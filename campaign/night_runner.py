"""The loop that carries the machine's commands out: it owns record, guardian, workers and reporter.

One loop in the main thread turns about fifty times a second: read messages, look at processes and signals, feed the
machine, do what it says. It decides nothing by itself, and whatever becomes of it, the guardian ends the load and sees
to the report. The supervisor process runs it.
"""

import faulthandler
import os
import select
import signal
import sys
import traceback
from collections import deque
from pathlib import Path
from typing import assert_never

from baseline_metrics.clock import Clock
from baseline_metrics.host_files import boot_id
from campaign import events, night_books
from campaign.campaign_order import CampaignOrder
from campaign.chores import Chores
from campaign.crew import Crew, CrewStep
from campaign.crew_events import AllReady, Lost, LostIdle, Refused, Zero
from campaign.drill_ports import GuardianDrill, rehearse
from campaign.guardian_link import GuardianLink
from campaign.guardian_news import GuardianNews
from campaign.guardian_orders import guardian_order, limits_of
from campaign.host_watch import HostWatch
from campaign.housekeeping import Housekeeping
from campaign.ledger import Ledger
from campaign.machine import advance
from campaign.night import TERMINAL, State, first_night
from campaign.plan_specs import operations_with_secrets, secret_names, with_secrets
from campaign.processes import Marks
from campaign.quiet import quiet_check
from campaign.report_desk import NotWritten, ReportDesk, StillWriting, Written
from campaign.run_directory import RunDirectory, spare_directory, write_meta
from campaign.status import Ended
from campaign.status_board import Moment, StatusBoard
from monitoring_logs.journal import Journal
from monitoring_logs.recorder import Recorder
from monitoring_logs.records import CampaignEnd, SegmentKind
from monitoring_logs.run_files import files_of
from results_summary.reporter import verdict_of
from safety_monitoring import messages as guard
from safety_monitoring.drill import DrillError
from safety_monitoring.registry import (
    campaign_directory,
)

LOOP_S = 0.02
"""How long one turn waits for messages; fifty turns a second cost about 1 % of a core."""

HANG_S = 30.0
"""A loop that has not turned for this long leaves its stack in the output log; the guardian has ended the load by then."""

BEAT_S_MAX = 1.05
"""A guardian that has not beaten for this long, when a lease has run out (0.8 s), is the reason for it."""

COMPRESSED_GRACE_S = 60.0
"""A compressed night may end this late: no clock on the wall waits for it, and its records matter more."""

FULL_NIGHT_S = 8 * 3600.0
"""The length that housekeeping periods are meant for."""

FAULTS_MAX = 3
"""The loop may raise this often before it gives up; each time it asks the machine to stop the night."""

EXIT_REFUSED = 6
EXIT_FAULT = 70


class NightRunner:
    """One campaign."""

    def __init__(self, order: CampaignOrder, run: RunDirectory, clock: Clock) -> None:
        self._order = order
        self._run = run
        self._clock = clock
        self._marks = Marks(
            run_id=order.night.run_id,
            runs_dir=order.runs_dir,
            state_dir=order.state_dir,
            withheld=frozenset(secret_names(order.target, order.operations)),
        )
        self._state_dir = Path(campaign_directory(order.state_dir, order.night.run_id))
        spare = spare_directory(order.state_dir, order.night.run_id)
        files = files_of(str(run.path))
        self._board = StatusBoard(order, run_dir=run.path, path=self._state_dir / "status.json", clock=clock)
        recorder = Recorder(files.database, spill_path=str(spare / "spill.jsonl"), clock=clock)
        journal = Journal(
            files.journal,
            clock=clock,
            boot_id=boot_id(),
            fallback_path=str(spare / "journal_fallback.jsonl"),
            make_room=recorder.release_ballast,
        )
        self._ledger = Ledger(run, journal=journal, recorder=recorder, board=self._board, clock=clock)
        self._disk_paths = disks = (str(run.path), order.state_dir)
        self._host = HostWatch(
            disk_paths=disks, period_s=order.night.host_sample_period_s, clock=clock, store=self._ledger.put
        )
        self._desk = ReportDesk(
            run.path, marks=self._marks, output=run.supervisor_log, strict=order.strict, clock=clock
        )
        scale = order.night.compressed_to_s / FULL_NIGHT_S if order.night.rehearsal else 1.0
        self._housekeeping = Housekeeping(time_scale=min(1.0, scale))
        self._guardian: GuardianLink | None = None
        self._guardian_told_lost = False
        self._drill = GuardianDrill()
        self._crew = Crew(
            order,
            marks=self._marks,
            pages=self._state_dir / "pages",
            logs=run.logs / "workers",
            clock=clock,
            utc_offset_s=self._ledger.utc_s(0.0),
            tell_guardian=self._tell_guardian,
        )
        self._books = night_books.NightBooks(order.night, ledger=self._ledger, board=self._board, host=self._host)
        self._news = GuardianNews(
            ledger=self._ledger,
            books=self._books,
            drill=self._drill,
            watches=self._crew.guardian_watches,
            refuses=self._crew.guardian_refuses,
            ends=self._crew.guardian_ends,
            store_protections=lambda protections: write_meta(run, order, protections=protections),
            clock=clock,
        )
        self._chores = Chores(ledger=self._ledger, host=self._host, crew=self._crew, desk=self._desk)
        self._events: deque[events.Event] = deque()
        self._signals: deque[int] = deque()
        self._stop_signals = 0
        self._fault_told = False
        self._end: CampaignEnd | None = None
        self._limits = limits_of(order.safety, multiplier=1.0)
        self.exit_code = EXIT_FAULT
        now = clock.mono_s()
        left_s = order.night.window_end_utc_s - clock.utc_s()
        self._end_by = now + (order.night.window_s + COMPRESSED_GRACE_S if order.night.rehearsal else left_s)
        self._night = first_night(order.night, drain_s=order.drain_s, at_mono_s=now, end_by_mono_s=self._end_by)

    # The loop ---------------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run the campaign to its end. Returns the exit code. Raises only when the loop itself cannot go on."""
        self._ledger.open(self._order.night)
        self._events.append(events.Started(at_mono_s=self._clock.mono_s(), end_by_mono_s=self._end_by))
        faults = 0
        while self._night.state not in TERMINAL:
            try:
                self._turn()
            except Exception as error:
                faults += 1
                if faults > FAULTS_MAX:
                    raise
                self._own_fault(error)
        return self.exit_code

    def _own_fault(self, error: Exception) -> None:
        sys.stderr.write("".join(traceback.format_exception(error)))
        self._post(events.RunnerFault(at_mono_s=self._clock.mono_s(), detail=f"{type(error).__name__}: {error}"))

    def note_signal(self, number: int, _frame: object = None) -> None:
        """A signal has arrived; the loop looks at it."""
        self._signals.append(number)

    def take_load_away(self) -> None:
        """The last resort after our own fault: no load survives us. The guardian sees to the report."""
        self._crew.end()
        deadline = self._clock.mono_s() + 2.0
        while self._crew.step is not CrewStep.IDLE and self._clock.mono_s() < deadline:
            self._crew.poll()
            self._clock.sleep(0.01)

    def _turn(self) -> None:
        faulthandler.dump_traceback_later(HANG_S, exit=False)
        children = [*self._crew.children()]
        if self._guardian is not None and not self._guardian.child.closed:
            children.append(self._guardian.child)
        if not self._events:
            select.select(children, [], [], LOOP_S)
        self._feed(events.Tick(at_mono_s=self._clock.mono_s()))
        self._look_at_guardian()
        self._look_at_crew()
        self._look_at_signals()
        self._look_at_record()
        self._look_at_reports()
        for chore in self._housekeeping.due():
            self._chores.do(chore, night=self._night, beat=self._guardian.beat if self._guardian else None)
        while self._events:
            self._feed(self._events.popleft())
        if self._board.due():
            self._board.write(self._moment())

    def _post(self, event: events.Event) -> None:
        self._events.append(event)

    def _feed(self, event: events.Event) -> None:
        before = self._night
        after, commands = advance(before, event)
        ending = next((command for command in commands if isinstance(command, events.EndLoad)), None)
        if ending is not None:  # two writes to memory and one to a pipe: ending load never waits for the journal's disk
            self._tell_guardian(guard.EndLoad(reason=ending.reason))
            self._crew.end()
            # The crew proves zero anew; an older proof that still waits in the queue would be taken for a second one.
            self._events = deque(item for item in self._events if not isinstance(item, events.LoadZero))
        if commands or after.state is not before.state or not isinstance(event, events.Tick):
            self._ledger.decision(event, state=before.state.value, following=after.state.value, commands=commands)
        self._night = after
        if after.state is not before.state:
            self._ledger.state(before.state, after.state, because=event, text=night_books.state_text(after, event))
        for command in commands:
            try:
                self._carry_out(command)
            except Exception as error:  # noqa: BLE001 - one command that fails must not take the others with it
                self._own_fault(error)

    # What happens -----------------------------------------------------------------------------------------------------

    def _tell_guardian(self, order: guard.Order) -> None:
        if self._guardian is not None:
            self._guardian.send(order)

    def _look_at_guardian(self) -> None:
        if self._guardian is None:
            return
        for report in self._guardian.poll():
            for event in self._news.take(report):
                self._post(event)
        if self._guardian.lost and not self._guardian_told_lost:
            self._guardian_told_lost = True
            self._ledger.note("guardian", "lost", self._guardian.lost)
            kind = events.GuardianLost if self._news.ready else events.PreparationFailed
            self._post(kind(at_mono_s=self._clock.mono_s(), detail=self._guardian.lost))

    def _look_at_crew(self) -> None:
        happened, stored = self._crew.poll()
        for record in stored:
            self._ledger.put(record)
        for item in happened:
            if isinstance(item, LostIdle):
                self._ledger.note("worker", "lost_idle", item.detail)
            else:
                self._post(self._event_of(item))

    def _event_of(self, item: AllReady | Refused | Zero | Lost) -> events.Event:
        now = self._clock.mono_s()
        match item:
            case AllReady():
                return events.LoadReady(at_mono_s=now)
            case Refused(detail=detail):
                return events.LoadRefused(at_mono_s=now, detail=detail)
            case Zero():
                self._books.load_is_zero(self._crew, limits=self._limits, now_mono_s=now)
                return events.LoadZero(at_mono_s=now)
            case Lost(outcome=outcome, detail=detail, lease_ran_out=lease_ran_out):
                self._ledger.note("worker", outcome.value, detail)
                if lease_ran_out and self._guardian is not None and self._guardian.silent_s > BEAT_S_MAX:
                    return events.GuardianLost(at_mono_s=now, detail=f"the guardian does not renew leases: {detail}")
                return events.WorkerLost(at_mono_s=now, outcome=outcome, detail=detail)
            case _:
                assert_never(item)

    def _look_at_signals(self) -> None:
        while self._signals:
            number = self._signals.popleft()
            name = signal.Signals(number).name
            self._stop_signals += 1
            now = self._clock.mono_s()
            self._books.note_stop_seen(now)
            if self._stop_signals == 1 or number != signal.SIGINT:
                self._ledger.note("operator", "stop", f"{name}: an orderly stop was asked for")
                self._post(events.StopRequested(at_mono_s=now, detail=f"stopped by a person ({name})"))
            else:
                self._ledger.note("operator", "emergency_stop", f"{name} again: stop at once")
                self._post(
                    events.EmergencyStopped(at_mono_s=now, detail=f"stopped at once by a person (second {name})")
                )

    def _look_at_record(self) -> None:
        if not self._fault_told and (fault := self._ledger.fault):
            self._fault_told = True
            self._post(events.RunnerFault(at_mono_s=self._clock.mono_s(), detail=f"the record failed: {fault}"))

    def _look_at_reports(self) -> None:
        match self._desk.poll():
            case StillWriting():
                pass
            case Written():
                self._post(events.ReportWritten(at_mono_s=self._clock.mono_s()))
            case NotWritten(detail=detail):
                self._post(events.ReportFailed(at_mono_s=self._clock.mono_s(), detail=detail))

    # What is to be done -----------------------------------------------------------------------------------------------

    def _carry_out(self, command: events.Command) -> None:
        match command:
            case events.Prepare():
                self._prepare()
            case events.Drill():
                self._rehearse()
            case events.MeasureIdle():
                self._books.begin_idle(self._clock.mono_s())
            case events.PrepareLoad():
                self._prepare_load(command)
            case events.StartLoad(start_mono_s=start):
                self._crew.go(start)
                kind = SegmentKind.ANCHOR if self._night.load_kind is events.LoadKind.ANCHOR else SegmentKind.PHASE
                self._books.begin_load(kind, night_books.load_name(self._night), start)
                if kind is SegmentKind.PHASE and not self._night.records:
                    self._desk.partial()  # from the first phase on there is always a report to look at
            case events.ReleaseLoad():
                self._crew.release()
            case events.EndLoad():  # done before it was journalled, see _feed
                if self._night.state is State.STOPPING:
                    self._books.note_stop_seen(self._clock.mono_s())
            case events.ScoreLoad():
                self._score(command)
            case events.AskReturn():
                self._tell_guardian(guard.AskReturn())
            case events.WriteAnchor():
                self._books.write_anchor(command, now_mono_s=self._clock.mono_s())
            case events.WriteRecord():
                self._books.write_phase(command, now_mono_s=self._clock.mono_s())
            case events.WritePartialReport():
                self._desk.partial()
            case events.Latch(detail=detail):
                self._news.latch(self._order, detail)
            case events.Conclude():
                self._conclude(command)
            case events.Leave():
                self._leave()
            case _:
                assert_never(command)

    def _prepare(self) -> None:
        try:
            self._ledger.start_recorder()
            self._ledger.put(self._order.night)
            self._ledger.fact(self._order.host)
            self._host.start()
            self._housekeeping.start()
            self._guardian = GuardianLink(
                guardian_order(self._order, self._run, limits=self._limits, disk_paths=self._disk_paths),
                order_file=self._run.guardian_order,
                marks=self._marks,
                output=self._run.supervisor_log,
                clock=self._clock,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, the night cannot start, and the report says why
            detail = f"{type(error).__name__}: {error}"
            self._post(events.PreparationFailed(at_mono_s=self._clock.mono_s(), detail=detail))

    def _rehearse(self) -> None:
        assert self._guardian is not None
        outcomes = rehearse(
            self._drill,
            guardian=self._guardian,
            pump=self._pump_in_drill,
            marks=self._marks,
            directory=self._state_dir,
            output=self._run.logs / "workers" / "drill.log",
            clock=self._clock,
        )
        for outcome in outcomes:
            self._ledger.fact(outcome)
        if self._signals:
            return  # a person interrupted the drill; the stop is acted on in this same turn
        now = self._clock.mono_s()
        missed = "; ".join(f"{item.path.value}: {item.detail}" for item in outcomes if not item.passed)
        if missed or not outcomes:
            self._post(events.DrillMissed(at_mono_s=now, detail=missed or "no way to stop was rehearsed"))
            return
        slowest = max(outcome.seconds for outcome in outcomes)
        self._ledger.note("drill", "passed", f"{len(outcomes)} ways to stop work, the slowest took {slowest:.2f} s")
        self._post(events.DrillPassed(at_mono_s=now))

    def _pump_in_drill(self) -> None:
        """Keep speaking with the guardian while the drill waits. Raises DrillError when a person asks to stop."""
        self._pump()
        if self._signals:
            raise DrillError("a person asked to stop")

    def _pump(self) -> None:
        """Keep speaking with the guardian while something takes longer than a turn."""
        faulthandler.dump_traceback_later(HANG_S, exit=False)
        self._look_at_guardian()
        if self._board.due():
            self._board.write(self._moment())

    def _prepare_load(self, command: events.PrepareLoad) -> None:
        night = self._order.night
        anchor = command.kind is events.LoadKind.ANCHOR
        multiplier = 1.0 if anchor else night.phases[command.phase].threshold_multiplier
        source = night.anchor if anchor else night.phases[command.phase]
        self._limits = limits_of(self._order.safety, multiplier=multiplier)
        name = "anchor" if anchor else night.phases[command.phase].name
        self._tell_guardian(guard.EnterPhase(phase=name, limits=self._limits))
        segment = self._books.prepare_load(command)
        self._crew.prepare(
            segment=segment,
            target=with_secrets(self._order.target, os.environ),
            operations=operations_with_secrets(self._order.operations, os.environ),
            connections=source.connections,
            operations_per_session=source.operations_per_session,
            operations_per_s=source.operations_per_s,
            ramp_s=command.ramp_s,
            hold_s=command.hold_s,
        )

    def _score(self, command: events.ScoreLoad) -> None:
        now = self._clock.mono_s()
        first = self._night.phases_allowed == 0 and not self._night.eased  # half a load tells nothing about a whole one
        if command.kind is events.LoadKind.ANCHOR and first:
            baseline = self._books.score_baseline(now_mono_s=now)
            if isinstance(baseline, events.BaselineScored):
                self._post(baseline)
        self._post(self._books.score(command, now_mono_s=now))

    # The end ----------------------------------------------------------------------------------------------------------

    def _conclude(self, command: events.Conclude) -> None:
        """Take everything down, store the end, ask for the report. Each step is tried whatever became of the others."""
        for step in (
            lambda: self._crew.dismiss(pump=self._pump),
            self._housekeeping.stop,
            self._host.stop,
            self._desk.end_partial,
            lambda: self._store_end(command),
            lambda: self._ledger.close_recorder(pump=self._pump),
            self._desk.final,
        ):
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the report is owed whatever fails before it
                self._own_fault(error)
            self._pump()

    def _store_end(self, command: events.Conclude) -> None:
        guardian_pid = self._guardian.pid if self._guardian else -1
        quiet = quiet_check(
            self._order.night.run_id,
            ours=(os.getpid(), guardian_pid),
            pages=self._state_dir / "pages",
            clock=self._clock,
            pump=self._pump,
        )
        now = self._clock.mono_s()
        self._end = CampaignEnd(
            cause=command.cause,
            detail=command.detail,
            ended_mono_s=now,
            ended_utc_s=self._ledger.utc_s(now),
            stop_seconds=self._books.stop_seconds,
            quiet=quiet,
        )
        self._ledger.note("campaign", command.cause.value, f"{command.cause.value}: {command.detail}")
        self._ledger.fact(self._end)

    def _leave(self) -> None:
        if self._guardian is not None:
            self._guardian.conclude()
        judged = verdict_of(str(self._run.path), strict=self._order.strict)
        self.exit_code = judged.exit_code
        report = self._run.results / "report.html"
        ended = Ended(
            exit_code=judged.exit_code,
            cause=self._end.cause.value if self._end else "",
            verdict=judged.verdict.value,
            why=judged.why,
            report=str(report) if report.exists() else "",
        )
        self._board.write_end(self._moment(), ended, copy=self._run.logs / "status.json")
        self._ledger.runner.logger.info("left", exit_code=self.exit_code, verdict=ended.verdict)
        self._ledger.close()

    # Small things -----------------------------------------------------------------------------------------------------

    def _moment(self) -> Moment:
        return Moment(
            night=self._night,
            telemetry=self._crew.telemetry,
            running=self._crew.running_counts(),
            beat=self._guardian.beat if self._guardian else None,
            share=self._news.share,
            guardian_pid=self._guardian.pid if self._guardian else -1,
            worker_pids=self._crew.pids(),
            supervisor_pid=os.getpid(),
        )
