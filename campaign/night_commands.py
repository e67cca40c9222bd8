"""Carries the machine's commands out: what is asked for here and answered later, by an event.

It decides nothing. What takes longer than a turn of the loop keeps speaking with the guardian meanwhile. Runs in the
supervisor's main thread; the loop that feeds the machine is night_runner.
"""

import os
from typing import Protocol, assert_never

from baseline_metrics.host_files import RunMark
from campaign import events, night_books
from campaign.drill_ports import rehearse
from campaign.guardian_link import GuardianLink
from campaign.guardian_orders import guardian_order, limits_of
from campaign.night import Night, State
from campaign.night_parts import NightParts
from campaign.plan_specs import operations_with_secrets, with_secrets
from campaign.quiet import QuietPlaces, quiet_check
from campaign.segment_orders import segment_load, segment_memory
from campaign.status import Ended
from campaign.status_board import Moment
from monitoring_logs.records import CampaignEnd, SegmentKind
from results_summary.reporter import verdict_of
from safety_monitoring import messages as guard
from safety_monitoring.drill import DrillError

EXIT_FAULT = 70


class Loop(Protocol):
    """What carrying out a command needs of the loop that runs the night."""

    @property
    def night(self) -> Night:
        """The machine's state, with the command's step taken."""
        ...

    @property
    def interrupted(self) -> bool:
        """Whether a person has asked to stop, and the loop has not looked at it yet."""
        ...

    def post(self, event: events.Event) -> None:
        """Feed this to the machine in the same turn."""
        ...

    def pump(self) -> None:
        """Keep speaking with the guardian while something takes longer than a turn."""
        ...

    def own_fault(self, error: Exception) -> None:
        """Something of ours failed: the machine will stop the night."""
        ...


class NightCommands:
    """Whoever does what the machine says."""

    def __init__(self, parts: NightParts, loop: Loop) -> None:
        self._parts = parts
        self._loop = loop
        self._load: events.PrepareLoad | None = None
        self._end: CampaignEnd | None = None
        self.guardian: GuardianLink | None = None
        self.limits = limits_of(parts.order.safety, multiplier=1.0)
        self.exit_code = EXIT_FAULT

    def tell_guardian(self, order: guard.Order) -> None:
        """Say something to the guardian, if there is one."""
        if self.guardian is not None:
            self.guardian.send(order)

    def moment(self) -> Moment:
        """What the screens may know now."""
        parts = self._parts
        return Moment(
            night=self._loop.night,
            telemetry=parts.crew.telemetry,
            running=parts.crew.running_counts(),
            holds=parts.crew.holds,
            beat=self.guardian.beat if self.guardian else None,
            share=parts.news.share,
            guardian_pid=self.guardian.pid if self.guardian else -1,
            worker_pids=parts.crew.pids(),
            supervisor_pid=os.getpid(),
            memory=parts.crew.memory_now(),
        )

    def end_load(self, command: events.EndLoad) -> None:
        """Take the load away: two writes to memory and one to a pipe, before anything waits for a disk."""
        self.tell_guardian(guard.EndLoad(reason=command.reason))
        self._parts.crew.end()

    def carry_out(self, command: events.Command) -> None:
        """Do one command."""
        parts, now = self._parts, self._parts.clock.mono_s()
        match command:
            case events.Prepare():
                self._prepare()
            case events.Drill():
                self._rehearse()
            case events.MeasureIdle():
                parts.books.begin_idle(now)
            case events.PrepareLoad():
                self._prepare_load(command)
            case events.StartLoad(start_mono_s=start):
                self._start_load(start)
            case events.HoldLoad():
                parts.crew.hold()
                parts.search.hold(now)
            case events.ContinueLoad():
                parts.crew.resume()
                parts.search.resume(now)
            case events.ReleaseLoad():
                parts.crew.release()
            case events.EndLoad():  # done before it was journalled: end_load
                if self._loop.night.state is State.STOPPING:
                    parts.books.note_stop_seen(now)
            case events.ScoreLoad():
                self._score(command)
            case events.AskReturn():
                self.tell_guardian(guard.AskReturn())
            case events.WriteAnchor():
                parts.books.write_anchor(command, now_mono_s=now)
            case events.WriteRecord():
                parts.books.write_phase(command, now_mono_s=now)
            case events.WriteSearch():
                parts.search.write(command, segment=parts.books.segment, facts=parts.books.load_facts)
            case events.SkipSearch(phase=phase, reason=reason):
                name = parts.order.night.phases[phase].name
                parts.ledger.note("search", "skipped", f"{name}: no search, {reason}")
            case events.WritePartialReport():
                parts.desk.partial()
            case events.Latch(detail=detail):
                parts.news.latch(parts.order, detail)
            case events.Conclude():
                self._conclude(command)
            case events.Leave():
                self._leave()
            case _:
                assert_never(command)

    # The beginning ----------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        parts = self._parts
        try:
            parts.ledger.start_recorder()
            parts.ledger.put(parts.order.night)
            parts.ledger.fact(parts.order.host)
            parts.host.start()
            parts.housekeeping.start()
            self.guardian = GuardianLink(
                guardian_order(parts.order, parts.run, limits=self.limits, disk_paths=parts.disk_paths),
                order_file=parts.run.guardian_order,
                marks=parts.marks,
                output=parts.run.supervisor_log,
                clock=parts.clock,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, the night cannot start, and the report says why
            detail = f"{type(error).__name__}: {error}"
            self._loop.post(events.PreparationFailed(at_mono_s=parts.clock.mono_s(), detail=detail))

    def _rehearse(self) -> None:
        parts = self._parts
        assert self.guardian is not None
        outcomes = rehearse(
            parts.drill,
            guardian=self.guardian,
            pump=self._pump_in_drill,
            marks=parts.marks,
            directory=parts.state_dir,
            output=parts.run.logs / "workers" / "drill.log",
            clock=parts.clock,
        )
        for outcome in outcomes:
            parts.ledger.fact(outcome)
        if self._loop.interrupted:
            return  # a person interrupted the drill; the stop is acted on in this same turn
        now = parts.clock.mono_s()
        missed = "; ".join(f"{item.path.value}: {item.detail}" for item in outcomes if not item.passed)
        if missed or not outcomes:
            self._loop.post(events.DrillMissed(at_mono_s=now, detail=missed or "no way to stop was rehearsed"))
            return
        slowest = max(outcome.seconds for outcome in outcomes)
        parts.ledger.note("drill", "passed", f"{len(outcomes)} ways to stop work, the slowest took {slowest:.2f} s")
        self._loop.post(events.DrillPassed(at_mono_s=now))

    def _pump_in_drill(self) -> None:
        """Keep speaking with the guardian while the drill waits. Raises DrillError when a person asks to stop."""
        self._loop.pump()
        if self._loop.interrupted:
            raise DrillError("a person asked to stop")

    # Loads ------------------------------------------------------------------------------------------------------------

    def _prepare_load(self, command: events.PrepareLoad) -> None:
        parts = self._parts
        self._load = command
        multiplier, name = 1.0, command.kind.value
        if command.kind is not events.LoadKind.ANCHOR:
            phase = parts.order.night.phases[command.phase]
            multiplier, name = phase.threshold_multiplier, phase.name
        self.limits = limits_of(parts.order.safety, multiplier=multiplier)
        segment = parts.books.prepare_load(command)
        kind = SegmentKind(command.kind.value)
        load = segment_load(
            parts.order,
            kind=kind,
            phase=command.phase,
            segment=segment,
            target=with_secrets(parts.order.target, os.environ),
            operations=operations_with_secrets(parts.order.operations, os.environ),
            ramp_s=command.ramp_s,
            hold_s=command.hold_s,
        )
        memory = segment_memory(
            parts.order,
            kind=kind,
            phase=command.phase,
            segment=segment,
            ramp_s=command.ramp_s,
            hold_s=command.hold_s,
        )
        rise = memory.rise_bytes_per_s if memory is not None else 0.0
        self.tell_guardian(guard.EnterPhase(phase=name, limits=self.limits, memory_ramp_bytes_per_s=rise))
        parts.crew.prepare(load, memory)

    def _start_load(self, start_mono_s: float) -> None:
        parts, night, load = self._parts, self._loop.night, self._load
        assert load is not None
        parts.crew.go(start_mono_s)
        parts.books.begin_load(SegmentKind(load.kind.value), night_books.load_name(night), start_mono_s)
        if load.kind is events.LoadKind.SEARCH:
            parts.search.begin(load, segment=parts.books.segment, start_mono_s=start_mono_s)
        if load.kind is events.LoadKind.PHASE and not night.records:
            parts.desk.partial()  # from the first phase on there is always a report to look at

    def _score(self, command: events.ScoreLoad) -> None:
        parts, night = self._parts, self._loop.night
        now = parts.clock.mono_s()
        scored = parts.books.score(command, now_mono_s=now)
        # Half a load tells nothing about a whole one, and a weak generator's nothing about the target.
        tells = not night.eased and not isinstance(scored.generator, events.GeneratorInvalid)
        if command.kind is events.LoadKind.ANCHOR and night.phases_allowed == 0 and tells:
            baseline = parts.books.score_baseline(now_mono_s=now)
            if isinstance(baseline, events.BaselineScored):
                self._loop.post(baseline)
        self._loop.post(scored)

    # The end ----------------------------------------------------------------------------------------------------------

    def _conclude(self, command: events.Conclude) -> None:
        """Take everything down, store the end, ask for the report. Each step is tried whatever became of the others."""
        parts = self._parts
        for step in (
            lambda: parts.crew.dismiss(pump=self._loop.pump),
            parts.housekeeping.stop,
            parts.host.stop,
            parts.desk.end_partial,
            lambda: self._store_end(command),
            lambda: parts.ledger.close_recorder(pump=self._loop.pump),
            parts.desk.final,
        ):
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the report is owed whatever fails before it
                self._loop.own_fault(error)
            self._loop.pump()

    def _store_end(self, command: events.Conclude) -> None:
        parts = self._parts
        guardian_pid = self.guardian.pid if self.guardian else -1
        quiet = quiet_check(
            RunMark(run_id=parts.order.night.run_id, state_dir=parts.order.state_dir),
            ours=(os.getpid(), guardian_pid),
            places=QuietPlaces(
                state_dir=parts.state_dir,
                run_dir=parts.run.path,
                target_address=parts.order.target.address,
                target_port=parts.order.target.port,
            ),
            clock=parts.clock,
            pump=self._loop.pump,
        )
        now = parts.clock.mono_s()
        self._end = CampaignEnd(
            cause=command.cause,
            detail=command.detail,
            ended_mono_s=now,
            ended_utc_s=parts.ledger.utc_s(now),
            stop_seconds=parts.books.stop_seconds,
            quiet=quiet,
        )
        parts.ledger.note("campaign", command.cause.value, f"{command.cause.value}: {command.detail}")
        parts.ledger.fact(self._end)

    def _leave(self) -> None:
        parts = self._parts
        if self.guardian is not None:
            self.guardian.conclude()
        judged = verdict_of(str(parts.run.path), strict=parts.order.strict)
        self.exit_code = judged.exit_code
        report = parts.run.results / "report.html"
        ended = Ended(
            exit_code=judged.exit_code,
            cause=self._end.cause.value if self._end else "",
            verdict=judged.verdict.value,
            why=judged.why,
            report=str(report) if report.exists() else "",
        )
        parts.board.write_end(self.moment(), ended, copy=parts.run.logs / "status.json")
        parts.ledger.runner.logger.info("left", exit_code=self.exit_code, verdict=ended.verdict)
        parts.ledger.close()
