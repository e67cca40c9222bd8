"""The workers of the current load: spawned, watched, sent to work, drained or ended, and counted.

The crew never decides: it does what the machine asked for and says what happened. Counts come from the workers' pages,
which survive a SIGKILL; windows come as messages. It runs in the supervisor's main thread.
"""

import contextlib
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from baseline_metrics.clock import Clock
from baseline_metrics.codec import CodecError
from baseline_metrics.host_files import oom_kills
from baseline_metrics.samples import Reading
from campaign.campaign_order import CampaignOrder
from campaign.crew_counts import NOTHING, EndedLoad, PageCounts, load_facts, look_at, summed
from campaign.crew_events import AllReady, CrewEvent, Lost, LostIdle, Refused, Zero
from campaign.crew_member import Member, spawn_member
from campaign.memory_watch import NOTHING_HELD, MemoryNow, MemoryWatch, NothingHeld
from campaign.processes import ChannelError, Child, Marks
from campaign.telemetry import SegmentTelemetry, Stored, Told
from campaign.worker_deaths import LEASE_EXIT_CODE, how_it_died
from monitoring_logs.memory_records import NO_MEMORY_HELD, MemoryFacts, NoMemoryHeld
from monitoring_logs.records import LoadFacts, Outcome
from safety_monitoring.messages import ForgetWorker, WatchWorker
from stress_scenarios.histogram import HistogramError
from stress_scenarios.load_plan import Arrivals, EngineName, LoadOrder
from stress_scenarios.loads.memory_order import MemoryOrder
from stress_scenarios.messages import (
    REPORTS,
    Adjust,
    Continue,
    Drained,
    Go,
    Held,
    Hold,
    Leave,
    MemoryDrained,
    MemoryWindow,
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
        utc_s: Callable[[float], float],
        tell_guardian: Callable[[WatchWorker | ForgetWorker], None],
    ) -> None:
        self._order = order
        self._marks = marks
        self._pages = pages
        self._logs = logs
        self._clock = clock
        self._utc_s = utc_s
        self._tell_guardian = tell_guardian
        self._oom_kills_before: Reading = oom_kills()
        self._members: dict[int, Member] = {}
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
        self._memory: MemoryOrder | None = None
        self._memory_watch: MemoryWatch | None = None
        self._memory_killed = ""  # by the kernel, tonight: then no memory load is made again

    # Orders -----------------------------------------------------------------------------------------------------------

    def prepare(self, load: LoadOrder, memory: MemoryOrder | None = None) -> None:
        """Bring up what is missing and give everybody their part of the load. memory: what is held beside it, if anything."""
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
        self._memory, self._memory_watch = memory, None
        if memory is not None and self._memory_killed:
            for member in self._members.values():
                member.assign(None)
            return  # told by the next poll
        try:
            while len(self._members_for(memory=False)) < len(parts):
                self._spawn(self._order.engine)
            if memory is not None and not self._members_for(memory=True):
                self._spawn(EngineName.MEMORY)
        except OSError as error:
            self._spawn_failed = f"a worker could not be started: {error}"
            return
        for index, member in enumerate(self._members_for(memory=False)):
            member.assign(parts[index] if index < len(parts) else None)
        for member in self._members_for(memory=True):
            member.assign(memory)

    def go(self, start_mono_s: float) -> None:
        """Start the load, all workers at the same instant."""
        assert self.step is CrewStep.PREPARING
        assert self._load is not None
        self.step = CrewStep.RUNNING
        self._start_mono_s = start_mono_s
        at_work = self._at_work()
        self.telemetry = SegmentTelemetry(
            segment=self._load.segment,
            workers=sum(not member.holds_memory for member in at_work),
            start_mono_s=start_mono_s,
            utc_offset_s=self._utc_s(0.0),
        )
        if self._memory is not None:
            self._memory_watch = MemoryWatch(self._memory, start_mono_s=start_mono_s, utc_offset_s=self._utc_s(0.0))
        self._counted, self._drained = {}, []
        for member in at_work:
            member.counted_before = look_at(member.page, len(self._load.operations))
            member.send(Go(segment=self._load.segment, start_mono_s=start_mono_s))

    def release(self) -> None:
        """Nothing new is started; what is in flight drains."""
        if self.step is CrewStep.RUNNING:
            assert self._load is not None
            self._end_hold()
            self.step = CrewStep.RELEASING
            for member in self._at_work():
                member.send(Release(segment=self._load.segment))
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
        at_work = self._at_work(memory=False)
        self._connections_asked = max(self._connections_asked, connections)
        self._adjusted = True
        each = operations_per_s / (len(at_work) if isinstance(self._load.pace, Arrivals) else connections)
        for index, member in enumerate(at_work):
            part = connections // len(at_work) + (1 if index < connections % len(at_work) else 0)
            member.send(Adjust(segment=self._load.segment, operations_per_s=each, connections=max(1, part)))

    def hold(self) -> None:
        """Freeze the load's clock: nothing new is started, the end moves away. Leases run on. Again: no effect."""
        if self.step is CrewStep.RUNNING and self._held_since is None:
            assert self._load is not None
            self._held_since = self._clock.mono_s()
            for member in self._at_work():
                member.held = False
                member.send(Hold(segment=self._load.segment))

    def resume(self) -> None:
        """Let the load's clock run again where it stood. Without a hold: no effect."""
        if self.step is CrewStep.RUNNING and self._held_since is not None:
            assert self._load is not None
            self._end_hold()
            for member in self._at_work():
                member.send(Continue(segment=self._load.segment))

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
            member.send(Leave())
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
                member.prepare()

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
        if self.step is CrewStep.PREPARING and self._memory is not None and self._memory_killed:
            self._lose(events, Outcome.OOM_KILLED, f"no memory load is made again tonight: {self._memory_killed}")
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

    def _take(self, member: Member, report: Report, events: list[CrewEvent], stored: list[Stored]) -> None:
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
            case Held():
                member.held = True
            case WindowReport():
                if self.telemetry is not None and self._load is not None and report.segment == self._load.segment:
                    stored.extend(self.telemetry.add(report))
            case MemoryWindow():
                if self._memory_watch is not None:
                    stored.extend(self._memory_watch.second(report))
            case Drained() | MemoryDrained():
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

    def memory_facts(self) -> MemoryFacts | NoMemoryHeld:
        """Asked against achieved, of the memory load that is zero now."""
        return self._memory_watch.facts() if self._memory_watch is not None else NO_MEMORY_HELD

    def memory_now(self) -> NothingHeld | MemoryNow:
        """How the memory load stands that is being made."""
        for member in self._members_for(memory=True):
            if self._memory_watch is not None and self.step in (CrewStep.RUNNING, CrewStep.RELEASING):
                return self._memory_watch.now(member.page)
        return NOTHING_HELD

    @property
    def start_mono_s(self) -> float:
        """When the current or last load was to start."""
        return self._start_mono_s

    @property
    def end_mono_s(self) -> float:
        """When the last load was proven zero."""
        return self._end_mono_s

    def running_counts(self) -> PageCounts:
        """What the load that is being made has counted so far, from the pages."""
        if self.step not in (CrewStep.RUNNING, CrewStep.RELEASING):
            return NOTHING
        return summed(self._count(member) for member in self._at_work(memory=False))

    @property
    def holds(self) -> bool:
        """Whether nothing is started any more: there is no load, or every worker has answered that its clock stands."""
        if self.step not in (CrewStep.RUNNING, CrewStep.RELEASING):
            return True
        return self._held_since is not None and all(member.held for member in self._at_work())

    # Pieces -----------------------------------------------------------------------------------------------------------

    def _spawn(self, engine: EngineName) -> None:
        self._numbers += 1
        self._members[self._numbers] = spawn_member(
            self._numbers, engine=engine, pages=self._pages, logs=self._logs, marks=self._marks
        )

    def _members_for(self, *, memory: bool) -> list[Member]:
        return [member for member in self._members.values() if member.holds_memory is memory]

    def _at_work(self, *, memory: bool = True) -> list[Member]:
        """Everybody with a part of the current load; without those that hold memory, unless memory."""
        return [
            member
            for member in self._members.values()
            if member.order is not None and (memory or not member.holds_memory)
        ]

    def _count(self, member: Member) -> PageCounts:
        assert self._load is not None
        return look_at(member.page, len(self._load.operations)).since(member.counted_before)

    def _freeze(self, member: Member) -> None:
        """Keep what a worker of this load has counted, once: its page is about to go, or to count the next load."""
        if self.telemetry is None or member.order is None:
            return
        if member.holds_memory:
            if self._memory_watch is not None:
                self._memory_watch.end(
                    member.page, member.drained if isinstance(member.drained, MemoryDrained) else None
                )
        elif member.number not in self._counted:
            self._counted[member.number] = self._count(member)
            if isinstance(member.drained, Drained):
                self._drained.append(member.drained)

    def _forget(self, member: Member) -> None:
        self._tell_guardian(ForgetWorker(worker=member.number))
        member.forget()
        self._members.pop(member.number, None)

    def _hangs(self, member: Member, now: float) -> bool:
        beat = member.page.heartbeat_mono_ns / 1e9
        return now - max(beat, self._start_mono_s) > HUNG_S

    def _death_of(self, member: Member) -> tuple[Outcome, str]:
        outcome, detail = how_it_died(
            member.number,
            member.child.process.returncode or 0,
            oom_kills_before=self._oom_kills_before,
            oom_kills_after=oom_kills(),
        )
        if outcome is Outcome.OOM_KILLED and member.holds_memory:
            self._memory_killed = detail
        return outcome, detail

    def _lose(self, events: list[CrewEvent], outcome: Outcome, detail: str, *, lease_ran_out: bool = False) -> None:
        if not self._lost_told and self.step is not CrewStep.ENDING:
            self._lost_told = True
            events.append(Lost(outcome=outcome, detail=detail, lease_ran_out=lease_ran_out))


def _lease_ran_out(member: Member) -> bool:
    return member.child.process.returncode == LEASE_EXIT_CODE
