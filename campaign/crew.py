"""The workers of the current load: spawned, watched, sent to work, drained or ended, and counted.

The crew never decides: it does what the machine asked for and says what happened. Counts come from the workers' pages,
which survive a SIGKILL; windows come as messages. It runs in the supervisor's main thread.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from baseline_metrics.clock import Clock
from baseline_metrics.codec import CodecError
from baseline_metrics.host_files import oom_kills
from baseline_metrics.load_page import LoadPage
from baseline_metrics.samples import Reading
from campaign.campaign_order import CampaignOrder
from campaign.crew_counts import NOTHING, EndedLoad, PageCounts, load_facts, look_at, summed
from campaign.crew_events import AllReady, CrewEvent, Lost, LostIdle, Refused, Zero
from campaign.processes import ChannelError, Child, Marks
from campaign.telemetry import SegmentTelemetry, Stored, Told
from campaign.worker_deaths import LEASE_EXIT_CODE, how_it_died
from monitoring_logs.records import LoadFacts, Outcome
from safety_monitoring.messages import ForgetWorker, WatchWorker
from stress_scenarios.histogram import HistogramError
from stress_scenarios.load_plan import Arrivals, LoadOrder
from stress_scenarios.messages import (
    ORDERS,
    REPORTS,
    Adjust,
    Continue,
    Drained,
    Go,
    Hold,
    Leave,
    Prepare,
    Prepared,
    Release,
    Report,
    WindowReport,
    WorkerFault,
    WorkerReady,
)
from stress_scenarios.order_parts import parts_of

REVOKED_S = 0.03
"""A revoked worker leaves by itself within its 5 ms look at the page; what still runs after 30 ms is killed."""

HUNG_S = 5.0
"""The load loop beats every 50 ms; five seconds without a beat, on a host that is not stalled itself, is a hang."""

EXPLAINED_S = 6.0
"""The guardian repeats its kill path until quiet for at most 5 s; then it says how that went."""

UNEXPLAINED_S = 0.3
"""A worker that dies may have been ended by the guardian, whose message is on its way: this long is waited for it."""

LEAVE_S = 1.0
"""Idle workers leave within milliseconds of Leave; after a second they are killed."""


class CrewStep(Enum):
    """What the crew is doing."""

    IDLE = "idle"
    PREPARING = "preparing"
    RUNNING = "running"
    RELEASING = "releasing"
    ENDING = "ending"


@dataclass(slots=True)
class _Member:
    number: int
    child: Child
    page: LoadPage
    ready: bool = False
    watched: bool = False
    prepared: bool = False
    died_at: float | None = None
    drained: Drained | None = None
    order: LoadOrder | None = None
    counted_before: PageCounts = NOTHING


class Crew:
    """All workers of one campaign."""

    def __init__(
        self,
        order: CampaignOrder,
        *,
        marks: Marks,
        pages: Path,
        logs: Path,
        clock: Clock,
        utc_offset_s: float,
        tell_guardian: Callable[[WatchWorker | ForgetWorker], None],
    ) -> None:
        self._order = order
        self._marks = marks
        self._pages = pages
        self._logs = logs
        self._clock = clock
        self._utc_offset_s = utc_offset_s
        self._tell_guardian = tell_guardian
        self._oom_kills_before: Reading = oom_kills()
        self._members: dict[int, _Member] = {}
        self._numbers = 0
        self._spawn_failed = ""
        self.step = CrewStep.IDLE
        self._load: LoadOrder | None = None
        self._start_mono_s = 0.0
        self._end_mono_s = 0.0
        self._ending_since = 0.0
        self.telemetry: SegmentTelemetry | None = None
        self._lost_told = False
        self._explained_until = 0.0
        self._told_ready = False
        self._counted: dict[int, PageCounts] = {}  # by worker, of this load, when it ended
        self._drained: list[Drained] = []
        self._connections_asked = 0
        self._adjusted = False
        self._held_since: float | None = None
        self._held_s = 0.0

    # Orders -----------------------------------------------------------------------------------------------------------

    def prepare(self, load: LoadOrder) -> None:
        """Bring up what is missing and give everybody their part of the load."""
        assert self.step is CrewStep.IDLE, self.step
        parts = parts_of(load, self._order.workers)
        self._load = load
        self._connections_asked = load.connections
        self._adjusted = False
        self._held_since, self._held_s = None, 0.0
        self.step = CrewStep.PREPARING
        self._lost_told = False
        self._told_ready = False
        self._spawn_failed = ""
        self._oom_kills_before = oom_kills()
        self.telemetry = None
        try:
            while len(self._members) < len(parts):
                self._spawn()
        except OSError as error:
            self._spawn_failed = f"a worker could not be started: {error}"
            return
        for index, member in enumerate(self._members.values()):
            member.order = parts[index] if index < len(parts) else None
            member.prepared = False
            member.drained = None
            if member.watched:
                self._prepare_member(member)

    def go(self, start_mono_s: float) -> None:
        """Start the load, all workers at the same instant."""
        assert self.step is CrewStep.PREPARING
        assert self._load is not None
        self.step = CrewStep.RUNNING
        self._start_mono_s = start_mono_s
        at_work = self._at_work()
        self.telemetry = SegmentTelemetry(
            segment=self._load.segment,
            workers=len(at_work),
            start_mono_s=start_mono_s,
            utc_offset_s=self._utc_offset_s,
        )
        self._counted, self._drained = {}, []
        for member in at_work:
            member.counted_before = look_at(member.page, len(self._load.operations))
            self._send(member, Go(segment=self._load.segment, start_mono_s=start_mono_s))

    def release(self) -> None:
        """Nothing new is started; what is in flight drains."""
        if self.step is CrewStep.RUNNING:
            assert self._load is not None
            self._end_hold()
            self.step = CrewStep.RELEASING
            for member in self._at_work():
                self._send(member, Release(segment=self._load.segment))
        elif self.step is CrewStep.PREPARING:
            self.end()

    def adjust(self, *, operations_per_s: float, connections: int) -> None:
        """Make this load instead, over all workers; each makes its even part of it within 100 ms.

        operations_per_s: of an open model the rate of arrivals, of a paced one the operations of all connections together.
        A load that does not run, or not any more, is left as it is.
        """
        if self.step is not CrewStep.RUNNING:
            return
        assert self._load is not None
        at_work = self._at_work()
        self._connections_asked = max(self._connections_asked, connections)
        self._adjusted = True
        each = operations_per_s / (len(at_work) if isinstance(self._load.pace, Arrivals) else connections)
        for index, member in enumerate(at_work):
            part = connections // len(at_work) + (1 if index < connections % len(at_work) else 0)
            self._send(member, Adjust(segment=self._load.segment, operations_per_s=each, connections=max(1, part)))

    def hold(self) -> None:
        """Freeze the load's clock: nothing new is started, the end moves away. Leases run on. Again: no effect."""
        if self.step is CrewStep.RUNNING and self._held_since is None:
            assert self._load is not None
            self._held_since = self._clock.mono_s()
            for member in self._at_work():
                self._send(member, Hold(segment=self._load.segment))

    def resume(self) -> None:
        """Let the load's clock run again where it stood. Without a hold: no effect."""
        if self.step is CrewStep.RUNNING and self._held_since is not None:
            assert self._load is not None
            self._end_hold()
            for member in self._at_work():
                self._send(member, Continue(segment=self._load.segment))

    def _end_hold(self) -> None:
        if self._held_since is not None:
            self._held_s += self._clock.mono_s() - self._held_since
            self._held_since = None

    def end(self) -> None:
        """Revoke every lease now; what still runs after 30 ms is killed by ``poll``."""
        for member in self._members.values():
            member.page.revoke()
        if self.step is not CrewStep.ENDING:
            self._end_hold()
            self._ending_since = self._clock.mono_s()
        self.step = CrewStep.ENDING

    def dismiss(self, *, pump: Callable[[], None]) -> None:
        """Idle workers leave; used at the night's end. Blocks at most LEAVE_S, and calls pump meanwhile."""
        for member in self._members.values():
            self._send(member, Leave())
            member.child.close()
        deadline = self._clock.mono_s() + LEAVE_S
        while any(not member.child.ended() for member in self._members.values()) and self._clock.mono_s() < deadline:
            pump()
            self._clock.sleep(0.01)
        for member in list(self._members.values()):
            member.page.revoke()
            member.child.kill()
            with contextlib.suppress(Exception):
                member.child.process.wait(LEAVE_S)
            self._forget(member)
        self.step = CrewStep.IDLE

    # What happens -----------------------------------------------------------------------------------------------------

    def children(self) -> tuple[Child, ...]:
        """Whose messages to wait for."""
        return tuple(member.child for member in self._members.values() if not member.child.closed)

    def pids(self) -> tuple[int, ...]:
        """Live workers."""
        return tuple(member.child.pid for member in self._members.values() if not member.child.ended())

    def guardian_watches(self, number: int) -> None:
        """The guardian holds the worker and renews its lease."""
        member = self._members.get(number)
        if member is not None:
            member.watched = True
            if self.step is CrewStep.PREPARING and member.order is not None and not member.prepared:
                self._prepare_member(member)

    def guardian_ends(self) -> None:
        """The guardian is ending the workers: for a while their deaths need no other explanation."""
        self._explained_until = self._clock.mono_s() + EXPLAINED_S

    def guardian_refuses(self, number: int, reason: str) -> None:
        """The guardian will not watch the worker. It matters only while a load is being prepared with it."""
        if self.step is CrewStep.PREPARING and number in self._members:
            self._spawn_failed = f"the guardian will not watch worker {number}: {reason}"

    def poll(self) -> tuple[list[CrewEvent], list[Stored]]:
        """Read messages, look at processes, and tell what follows."""
        events: list[CrewEvent] = []
        stored: list[Stored] = []
        if self._spawn_failed:
            events.append(Refused(detail=self._spawn_failed))
            self._spawn_failed = ""
        for member in list(self._members.values()):
            try:
                member.child.flush()
                for report in member.child.receive(REPORTS):
                    self._take(member, report, events, stored)
            except (CodecError, ChannelError, HistogramError) as error:
                self._lose(events, Outcome.WORKER_CRASHED, f"worker {member.number}: {error}")
                member.child.kill()
        self._look_at_processes(events)
        self._conclude_step(events, stored)
        return events, stored

    def _take(self, member: _Member, report: Report, events: list[CrewEvent], stored: list[Stored]) -> None:
        match report:
            case WorkerReady():
                member.ready = True
                self._tell_guardian(
                    WatchWorker(
                        worker=member.number,
                        pid=report.pid,
                        start_ticks=report.start_ticks,
                        page_path=member.page.path,
                        drill=False,
                    )
                )
            case Prepared():
                member.prepared = True
            case WindowReport():
                if self.telemetry is not None and self._load is not None and report.segment == self._load.segment:
                    stored.extend(self.telemetry.add(report))
            case Drained():
                if self._load is not None and report.segment == self._load.segment:
                    member.drained = report
            case WorkerFault():
                if self.step is CrewStep.PREPARING:
                    events.append(Refused(detail=f"worker {member.number}: {report.detail}"))
                else:
                    self._lose(events, Outcome.WORKER_CRASHED, f"worker {member.number}: {report.detail}")

    def _look_at_processes(self, events: list[CrewEvent]) -> None:
        now = self._clock.mono_s()
        for member in list(self._members.values()):
            if member.child.ended():
                if member.died_at is None:
                    member.died_at = now
                if self.step is CrewStep.ENDING:
                    self._freeze(member)
                    self._forget(member)
                elif self.step is CrewStep.IDLE:
                    events.append(LostIdle(detail=f"between two loads, {self._death_of(member)[1]}"))
                    self._forget(member)
                elif now - member.died_at >= UNEXPLAINED_S and now >= self._explained_until:
                    self._lose(events, *self._death_of(member), lease_ran_out=_lease_ran_out(member))
            elif self.step is CrewStep.ENDING and now - self._ending_since >= REVOKED_S:
                member.child.kill()
            elif self.step is CrewStep.RUNNING and self._hangs(member, now):
                self._lose(events, Outcome.WORKER_HUNG, f"worker {member.number} has not turned for {HUNG_S:.0f} s")

    def _conclude_step(self, events: list[CrewEvent], stored: list[Stored]) -> None:
        if self.step is CrewStep.PREPARING:
            at_work = self._at_work()
            if at_work and all(member.prepared and member.watched for member in at_work) and not self._told_ready:
                self._told_ready = True
                events.append(AllReady())
        elif self.step in (CrewStep.RUNNING, CrewStep.RELEASING):
            at_work = self._at_work()
            if at_work and all(member.drained is not None for member in at_work):
                for member in at_work:
                    self._freeze(member)
                self._zero(events, stored)
        elif self.step is CrewStep.ENDING and not self._members:
            self._zero(events, stored)

    def _zero(self, events: list[CrewEvent], stored: list[Stored]) -> None:
        self._end_mono_s = self._clock.mono_s()
        self.step = CrewStep.IDLE
        if self.telemetry is not None:
            stored.extend(self.telemetry.finish())
        events.append(Zero())

    # Counting ---------------------------------------------------------------------------------------------------------

    def facts(self) -> LoadFacts:
        """Asked against achieved, of the load that is zero now."""
        load = self._load
        assert load is not None
        lasted_s = self._end_mono_s - self._start_mono_s - self._held_s - load.ramp_s if self.telemetry else 0.0
        return load_facts(
            EndedLoad(
                order=load,
                workers=len(self._counted),
                counted=summed(self._counted.values()),
                drained=self._drained,
                told=self.telemetry.told if self.telemetry else Told(),
                connections_asked=self._connections_asked,
                adjusted=self._adjusted,
                hold_s=min(load.hold_s, max(0.0, lasted_s)),
            )
        )

    @property
    def start_mono_s(self) -> float:
        """When the current or last load was to start."""
        return self._start_mono_s

    @property
    def end_mono_s(self) -> float:
        """When the last load was proven zero."""
        return self._end_mono_s

    def running_counts(self) -> tuple[int, int]:
        """Succeeded and failed operations of the load that is being made, from the pages."""
        if self.step not in (CrewStep.RUNNING, CrewStep.RELEASING):
            return 0, 0
        counted = summed(self._count(member) for member in self._at_work())
        return counted.succeeded, counted.failed

    # Pieces -----------------------------------------------------------------------------------------------------------

    def _spawn(self) -> None:
        self._numbers += 1
        number = self._numbers
        path = self._pages / f"worker-{number}.page"
        page = LoadPage(str(path), create=True)
        try:
            child = Child(
                "stress_scenarios.worker",
                (
                    "--worker",
                    str(number),
                    "--engine",
                    self._order.engine.value,
                    "--page",
                    str(path),
                    "--parent-pid",
                    str(os.getpid()),
                ),
                marks=self._marks,
                role="worker",
                output=self._logs / f"worker-{number}.log",
            )
        except OSError:
            page.close()
            path.unlink(missing_ok=True)
            raise
        self._members[number] = _Member(number=number, child=child, page=page)

    def _prepare_member(self, member: _Member) -> None:
        if member.order is not None:
            self._send(member, Prepare(order=member.order))

    def _send(self, member: _Member, message: object) -> None:
        with contextlib.suppress(ChannelError):  # a worker that does not read hangs, and is found by its heartbeat
            member.child.send(ORDERS, message)

    def _at_work(self) -> list[_Member]:
        return [member for member in self._members.values() if member.order is not None]

    def _count(self, member: _Member) -> PageCounts:
        assert self._load is not None
        return look_at(member.page, len(self._load.operations)).since(member.counted_before)

    def _freeze(self, member: _Member) -> None:
        """Keep what a worker of this load has counted, once: its page is about to go, or to count the next load."""
        if self.telemetry is not None and member.order is not None and member.number not in self._counted:
            self._counted[member.number] = self._count(member)
            if member.drained is not None:
                self._drained.append(member.drained)

    def _forget(self, member: _Member) -> None:
        self._tell_guardian(ForgetWorker(worker=member.number))
        member.child.close()
        member.page.close()
        with contextlib.suppress(OSError):
            Path(member.page.path).unlink()
        self._members.pop(member.number, None)

    def _hangs(self, member: _Member, now: float) -> bool:
        beat = member.page.heartbeat_mono_ns / 1e9
        return now - max(beat, self._start_mono_s) > HUNG_S

    def _death_of(self, member: _Member) -> tuple[Outcome, str]:
        return how_it_died(
            member.number,
            member.child.process.returncode or 0,
            oom_kills_before=self._oom_kills_before,
            oom_kills_after=oom_kills(),
        )

    def _lose(self, events: list[CrewEvent], outcome: Outcome, detail: str, *, lease_ran_out: bool = False) -> None:
        if not self._lost_told and self.step is not CrewStep.ENDING:
            self._lost_told = True
            events.append(Lost(outcome=outcome, detail=detail, lease_ran_out=lease_ran_out))


def _lease_ran_out(member: _Member) -> bool:
    return member.child.process.returncode == LEASE_EXIT_CODE
