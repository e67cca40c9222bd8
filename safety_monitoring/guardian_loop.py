"""The guardian's loop: look at the stop channels, hear orders, renew leases, read the host, climb the ladder.

Nothing in a turn waits except for ending processes, which is bounded. The stop channels come first, and the supervisor
is never asked. The guardian's process runs it; a test can turn it by hand.
"""

import os
import select
from dataclasses import dataclass, replace
from typing import assert_never

from baseline_metrics.clock import Clock
from baseline_metrics.host_files import MARK_RUNS_DIR, HostFiles, RunMark
from baseline_metrics.load_page import LEASE_RENEWAL_S
from safety_monitoring import registry
from safety_monitoring.breakers import is_probing
from safety_monitoring.guardian_drill import DrillWatch, LeaseHeld, NoDrill, Unseen
from safety_monitoring.guardian_pipes import GuardianJournal, OrderPipe, OrdersEnded, ReportPipe
from safety_monitoring.guardian_senses import GuardianSenses
from safety_monitoring.judge import ReadingWindow, clear, judge
from safety_monitoring.ladder import LadderMove, LadderState, NoMove, OfferReturn, climb, give_back
from safety_monitoring.limits import Limits, Resource, Rung
from safety_monitoring.messages import (
    AskReturn,
    BeginDrill,
    Conclude,
    DrillEnded,
    DrillPath,
    EndLoad,
    EnterPhase,
    ForgetWorker,
    GuardianBeat,
    GuardianOrder,
    GuardianReady,
    Heartbeat,
    LadderMoved,
    LoadEnded,
    LoadEnding,
    Order,
    ReadingsClear,
    Report,
    StopCause,
    WatchWorker,
    WorkerRefused,
    WorkerWatched,
)
from safety_monitoring.pressure import tightened
from safety_monitoring.stop_bell import StopBell
from safety_monitoring.stop_watch import Quiet, StopSeen, StopWatch
from safety_monitoring.stopping import ProcessHandle, end_workers
from safety_monitoring.supervisor_watch import Silence, SupervisorWatch
from safety_monitoring.watched_workers import Refused, WatchedWorkers

TICK_S = 0.02
"""The stop channels are looked at this often where no bell rings for them (see stop_bell), and in a drill."""

BELLED_TICK_S = 0.05
"""With a bell the looks are the net below it: half of a lease's renewal. Each waking costs a third of a millisecond of a core,
most of it because the caches are cold; fifty a second are 1.8 %, twenty below 1 %."""

SLEEP_S_MAX = 2.0
"""The boot clock has run ahead of the monotonic one by more than this: the host slept. Far above the time between two calls."""

BEAT_S = 1.0
BEATS_PER_JOURNAL_LINE = 30
WARM_UP_LOOKS = 50
"""Until every path of the loop has been run and its memory is mapped."""

_LATCHING = frozenset({StopCause.STOP_FILE, StopCause.PERMIT_GONE})
_STOPPING_RUNGS = frozenset({Rung.STOP_PHASE, Rung.STOP_CAMPAIGN})
_DRILL_ROLE = frozenset({"drill"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Journal only: something that safety does not depend on went wrong."""

    detail: str


class Guardian:
    """The loop and what it knows. All collaborators come from outside. root: where /proc and /sys of its senses lie."""

    def __init__(
        self,
        order: GuardianOrder,
        *,
        orders: OrderPipe,
        reports: ReportPipe,
        journal: GuardianJournal,
        supervisor: ProcessHandle,
        bell: StopBell,
        clock: Clock,
        host: HostFiles,
        root: str = "/",
    ) -> None:
        self._order = order
        self._run = RunMark(run_id=order.run_id, state_dir=registry.state_directory(os.environ))
        self._orders = orders
        self._reports = reports
        self._journal = journal
        self._supervisor = supervisor
        self._bell = bell
        self._clock = clock
        now = clock.mono_s()
        self._limits: Limits = order.limits
        self._limits_since_mono_s = now
        self._workers = WatchedWorkers()
        self._watch = StopWatch(stop_paths=order.stop_paths, permit_path=order.permit_path)
        self._window = ReadingWindow(began_mono_s=now)
        self._senses = GuardianSenses(
            window=self._window,
            disk_paths=order.disk_paths,
            roots=self._own_pids,
            host=host,
            file_pids=(order.supervisor_pid, os.getpid()),
            root=root,
        )
        self._senses.expect(order.limits, memory_ramp_bytes_per_s=0.0)
        self._ladder = LadderState(rung=Rung.CLEAR, moved_mono_s=now, return_offered=False)
        self._drill = DrillWatch()
        self._refusal = ""  # why no worker is watched any more; empty while they are
        self._stop_seen = False
        self._leader = SupervisorWatch(heartbeat_s_max=order.heartbeat_s_max, now_mono_s=now)
        self._lease_due_mono_s = now
        self._beat_due_mono_s = now
        self._look_due_mono_s = now
        self._lag_s_max = 0.0
        self._slept_s = clock.boot_s() - now
        self._beats = 0
        self._concluded = False
        self._poll = select.poll()
        self._polled: tuple[int, ...] = ()
        self._orders_came = True

    def ready(self, report: GuardianReady) -> None:
        """Warm every path of the loop, then say so."""
        for _ in range(WARM_UP_LOOKS):
            self._watch.look(self._clock.mono_s())
            self._senses.read_again(self._clock.mono_s())
            judge(self._limits, self._window, self._clock.mono_s())
            clear(self._limits, self._window, self._clock.mono_s())
        now = self._clock.mono_s()
        self._leader.hear(now)
        self._lease_due_mono_s = self._beat_due_mono_s = self._look_due_mono_s = now
        self._lag_s_max = 0.0
        self._tell(replace(report, protections=(*report.protections, *self._senses.inventory())))

    def turn(self) -> bool:
        """One turn of the loop, nothing in it waits except for ending processes; False when the guardian's work is done."""
        now = self._clock.mono_s()
        self._lag_s_max = max(self._lag_s_max, now - self._look_due_mono_s)
        self._look(now)
        self._note_sleep(now)
        if self._orders_came:
            self._hear()
        self._orders_came = True  # unless a wait says otherwise
        if self._concluded:
            return False
        self._renew_leases(self._clock.mono_s())
        self._feel(self._clock.mono_s())
        self._beat(self._clock.mono_s())
        self._reports.flush()
        # A turn that comes early, for an order or the bell, was a look as well: the next one is not put off by it.
        tick_s = BELLED_TICK_S if self._bell.hangs and not self._drill.is_on else TICK_S
        self._look_due_mono_s = max(min(self._look_due_mono_s, now) + tick_s, self._clock.mono_s())
        return self._supervisor_needs_us(self._clock.mono_s())

    def wait(self, order_descriptor: int) -> None:
        """Until the next look is due, an order comes, the bell rings, or the supervisor ends."""
        led = () if self._leader.is_orphaned else (order_descriptor, self._supervisor.pidfd)
        now = self._clock.mono_s()
        left_s = max(0.0, self._look_due_mono_s - now)
        deaf_s = min(left_s, self._bell.deaf_s(now))
        woken = self._woken_by(led, within_s=deaf_s) if deaf_s > 0.0 else frozenset()
        if not woken:
            woken = self._woken_by((*self._bell.descriptors, *led), within_s=left_s - deaf_s)
        self._orders_came = order_descriptor in woken
        if not woken.isdisjoint(self._bell.descriptors):
            self._bell.take(self._clock.mono_s())

    def _woken_by(self, descriptors: tuple[int, ...], *, within_s: float) -> frozenset[int]:
        self._wait_for(descriptors)
        return frozenset(descriptor for descriptor, _ in self._poll.poll(within_s * 1000.0))

    def _wait_for(self, descriptors: tuple[int, ...]) -> None:
        if descriptors != self._polled:
            for descriptor in set(self._polled).difference(descriptors):
                self._poll.unregister(descriptor)
            for descriptor in set(descriptors).difference(self._polled):
                self._poll.register(descriptor, select.POLLIN)
            self._polled = descriptors

    @property
    def has_last_act(self) -> bool:
        """Whether the supervisor is gone before the campaign was concluded: somebody has to see to the report."""
        return not self._concluded and self._supervisor.is_gone()

    def note(self, message: object) -> None:
        """Append to the guardian's journal."""
        self._journal.write(message, at_mono_s=self._clock.mono_s(), at_utc_s=self._clock.utc_s())

    # The stop channels ----------------------------------------------------------------------------------------------

    def _look(self, now_mono_s: float) -> None:
        if not self._stop_seen:
            match self._watch.look(now_mono_s):
                case Quiet():
                    pass
                case StopSeen(cause=cause, detail=detail):
                    self._stop(cause, detail, now_mono_s)
        match self._drill.look(now_mono_s):
            case Unseen():
                pass
            case LeaseHeld(worker=worker):
                self._end_drill(DrillPath.LEASE_EXPIRY, worker, now_mono_s, in_time=False)
            case BeginDrill() as drill:
                self._end_drill(drill.path, drill.worker, now_mono_s, in_time=True)
        self._see_lease_expire()

    def _stop(self, cause: StopCause, detail: str, now_mono_s: float) -> None:
        self._stop_seen = True
        self._refusal = f"the campaign was stopped: {cause.value} {detail}"
        self._end_load(cause, detail, seen_mono_s=now_mono_s)
        self._latch(cause, detail)

    def _latch(self, cause: StopCause, detail: str) -> None:
        if cause not in _LATCHING:
            return
        runs_dir = os.environ.get(MARK_RUNS_DIR) or os.path.dirname(self._order.run_dir)  # noqa: PTH120 - as above
        try:
            registry.latch(
                registry.state_directory(os.environ), runs_dir, cause=cause, detail=detail, utc_s=self._clock.utc_s()
            )
        except registry.RegistryError as error:
            self.note(Trouble(detail=str(error)))

    # Orders ---------------------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        if self._leader.is_orphaned:
            return
        orders, end = self._orders.read()
        for order in orders:
            self._obey(order)
        if end is not None:
            self._lose_orders(end)

    def _obey(self, order: Order) -> None:
        now = self._clock.mono_s()
        if not isinstance(order, Heartbeat):
            self.note(order)
        match order:
            case Heartbeat():
                self._leader.hear(now)
            case WatchWorker():
                self._watch_worker(order, now)
            case ForgetWorker(worker=worker):
                self._workers.forget(worker)
            case EnterPhase(limits=limits, memory_ramp_bytes_per_s=ramp):
                self._limits_since_mono_s = self._limits_since_mono_s if limits == self._limits else now
                self._limits = limits
                self._senses.expect(limits, memory_ramp_bytes_per_s=ramp)
            case AskReturn():
                is_clear = clear(self._limits, self._window, now) and not self._refusal
                self._ladder, move = give_back(self._ladder, is_clear=is_clear, now_mono_s=now)
                if isinstance(move, LadderMove):
                    self._move(move, now)
            case EndLoad(reason=reason):
                self._end_as_asked(reason, now)
            case BeginDrill(worker=worker, path=path):
                self._begin_drill(order, worker, path, now)
            case Conclude():
                if any(not watched.handle.is_gone() for watched in self._workers.all()):
                    self._end_load(StopCause.SUPERVISOR_ASKED, "the campaign is over", seen_mono_s=now)
                self._concluded = True
            case _:
                assert_never(order)

    def _watch_worker(self, order: WatchWorker, now_mono_s: float) -> None:
        if self._refusal:
            self._tell(WorkerRefused(worker=order.worker, reason=self._refusal))
            return
        match self._workers.watch(order):
            case Refused(reason=reason):
                self._tell(WorkerRefused(worker=order.worker, reason=reason))
            case _:
                self._lease_due_mono_s = now_mono_s
                self._renew_leases(now_mono_s)
                self._tell(WorkerWatched(worker=order.worker))

    def _lose_orders(self, end: OrdersEnded) -> None:
        now = self._clock.mono_s()
        self._leader.orphan(now)
        self._refusal = self._refusal or end.reason
        self._end_load(StopCause.SUPERVISOR_GONE, end.reason, seen_mono_s=now)

    # Load -----------------------------------------------------------------------------------------------------------

    def _end_load(self, cause: StopCause, detail: str, *, seen_mono_s: float) -> None:
        watched = self._workers.all()
        alive = tuple(one.worker for one in watched if not one.handle.is_gone())
        self._workers.end_lease(one.worker for one in watched)
        self._drill.end()
        for one in watched:
            one.page.revoke()
        if alive:  # the pipe alone, which never waits: the journal's disk might, and nobody has been ended yet
            self._reports.send(LoadEnding(cause=cause, detail=detail, at_mono_s=self._clock.mono_s()))
        ended = end_workers([one.handle for one in watched], [one.page for one in watched], run=self._run)
        survivors = "; ".join(survivor.text() for survivor in ended.survivors)
        self._tell(
            LoadEnded(
                cause=cause,
                detail=f"{detail}; not gone: {survivors}" if survivors else detail,
                workers=alive,
                seen_mono_s=seen_mono_s,
                seconds=max(0.0, ended.gone_mono_s - seen_mono_s),
                survivors=tuple(survivor.pid for survivor in ended.survivors),
            )
        )

    def _end_as_asked(self, reason: str, now_mono_s: float) -> None:
        drill = self._drill.asked()
        if isinstance(drill, BeginDrill):
            self._end_drill(drill.path, drill.worker, now_mono_s, in_time=True)
        else:
            self._end_load(StopCause.SUPERVISOR_ASKED, reason, seen_mono_s=now_mono_s)

    def _note_sleep(self, now_mono_s: float) -> None:
        """The supervisor ends what the host slept through; here it is written down for a night that it did not survive."""
        slept_s = self._clock.boot_s() - now_mono_s
        if slept_s - self._slept_s > SLEEP_S_MAX:
            self.note(Trouble(detail=f"the host was suspended for {slept_s - self._slept_s:.0f} s"))
            self._slept_s = slept_s

    def _renew_leases(self, now_mono_s: float) -> None:
        if now_mono_s < self._lease_due_mono_s:
            return
        self._lease_due_mono_s = now_mono_s + LEASE_RENEWAL_S
        self._workers.renew(now_mono_ns=round(now_mono_s * 1e9), share=self._ladder.share)

    # Readings and ladder --------------------------------------------------------------------------------------------

    def _feel(self, now_mono_s: float) -> None:
        read = self._senses.read_due(now_mono_s)
        if not read or self._refusal or self._says_nothing_new(read, now_mono_s):
            return
        after, answer = self._climb(now_mono_s)
        if isinstance(answer, LadderMove):
            # What was true when it was read is looked at again in the moment of acting.
            now_mono_s = self._clock.mono_s()
            self._senses.read_again(now_mono_s)
            after, answer = self._climb(now_mono_s)
        self._ladder = after
        match answer:
            case NoMove():
                pass
            case OfferReturn():
                self._tell(ReadingsClear(at_mono_s=now_mono_s))
            case LadderMove():
                self._move(answer, now_mono_s)

    def _says_nothing_new(self, read: frozenset[Resource], now_mono_s: float) -> bool:
        """Whether all is allowed and what was read violates nothing: what was not read has been judged by its last reading."""
        if self._ladder.rung is not Rung.CLEAR or is_probing(self._ladder.breakers) or len(read) > 1:
            return False
        limits = tightened(self._limits, self._senses.pressures)
        return not judge(limits, self._window, now_mono_s, since_mono_s=self._limits_since_mono_s, only=read)

    def _climb(self, now_mono_s: float) -> tuple[LadderState, LadderMove | OfferReturn | NoMove]:
        limits = tightened(self._limits, self._senses.pressures)
        violations = judge(limits, self._window, now_mono_s, since_mono_s=self._limits_since_mono_s)
        # At CLEAR nothing can return, so nobody asks whether it may: the looks of ten seconds are not gone through for it.
        is_clear = self._ladder.rung is not Rung.CLEAR and clear(limits, self._window, now_mono_s)
        has_load = any(
            one.page.wants_load and not one.drill and not one.handle.is_gone() for one in self._workers.all()
        )
        return climb(self._ladder, violations, is_clear=is_clear, has_load=has_load, now_mono_s=now_mono_s)

    def _move(self, move: LadderMove, now_mono_s: float) -> None:
        self._lease_due_mono_s = now_mono_s
        self._renew_leases(now_mono_s)
        why = move.why if move.rung is Rung.CLEAR else f"{move.why}; {self._senses.words()}"
        self._tell(LadderMoved(rung=move.rung, share=move.share, why=why, at_mono_s=now_mono_s))
        if move.rung is Rung.STOP_CAMPAIGN:
            self._refusal = f"the campaign was stopped: {move.why}"
        if move.rung in _STOPPING_RUNGS:
            self._end_load(StopCause.LIMIT, move.why, seen_mono_s=now_mono_s)

    # Drills ---------------------------------------------------------------------------------------------------------

    def _begin_drill(self, order: BeginDrill, worker: int, path: DrillPath, now_mono_s: float) -> None:
        watched = self._workers.get(worker)
        if isinstance(watched, Refused) or not watched.drill:
            self._tell(WorkerRefused(worker=worker, reason="there is no drill without a watched drill worker"))
            return
        self._drill.begin(order, now_mono_s)
        if path is DrillPath.LEASE_EXPIRY:
            self._workers.end_lease((worker,))

    def _see_lease_expire(self) -> None:
        drill = self._drill.expiring()
        if isinstance(drill, NoDrill):
            return
        watched = self._workers.get(drill.worker)
        if isinstance(watched, Refused) or watched.handle.is_gone():
            self._drill.end()
            gone_mono_s = self._clock.mono_s()
            seen_mono_s = drill.began_mono_s
            self._tell(DrillEnded(path=DrillPath.LEASE_EXPIRY, seen_mono_s=seen_mono_s, gone_mono_s=gone_mono_s))

    def _end_drill(self, path: DrillPath, worker: int, seen_mono_s: float, *, in_time: bool) -> None:
        self._drill.end()
        watched = self._workers.get(worker)
        if isinstance(watched, Refused):
            return
        self._workers.end_lease((worker,))
        ended = end_workers((watched.handle,), (watched.page,), run=self._run, roles=_DRILL_ROLE)
        if in_time and not ended.survivors:
            self._tell(DrillEnded(path=path, seen_mono_s=seen_mono_s, gone_mono_s=ended.gone_mono_s))

    # The supervisor -------------------------------------------------------------------------------------------------

    def _supervisor_needs_us(self, now_mono_s: float) -> bool:
        if self._supervisor.is_gone():
            self._hear()  # what it said last may have been Conclude
            if not self._concluded and not self._leader.is_orphaned:
                self._lose_orders(OrdersEnded(reason="the supervisor has ended", understood=True))
            return False
        if self._reports.is_broken and not self._leader.is_orphaned:
            self._lose_orders(OrdersEnded(reason="the supervisor does not take reports any more", understood=True))
        if not self._leader.is_orphaned:
            self._judge_silence(now_mono_s)
        return not self._concluded and not self._leader.is_given_up(now_mono_s)

    def _judge_silence(self, now_mono_s: float) -> None:
        if self._leader.is_overdue(now_mono_s):
            self._hear()  # a heartbeat may have come while we were busy ending somebody
        match self._leader.silence(now_mono_s):
            case Silence.SILENT:
                detail = f"no heartbeat for {self._leader.silence_s(now_mono_s):.1f} s"
                self._end_load(StopCause.SUPERVISOR_SILENT, detail, seen_mono_s=now_mono_s)
            case Silence.TO_BE_ENDED:
                self._supervisor.kill(with_group=False)
            case Silence.HEARD | Silence.STILL_SILENT:
                pass

    # Words ----------------------------------------------------------------------------------------------------------

    def _own_pids(self) -> tuple[int, ...]:
        return (self._order.supervisor_pid, os.getpid(), *self._workers.pids())

    def _tell(self, report: Report) -> None:
        self._reports.send(report)
        self.note(report)

    def _beat(self, now_mono_s: float) -> None:
        if now_mono_s < self._beat_due_mono_s:
            return
        self._beat_due_mono_s = now_mono_s + BEAT_S
        beat = GuardianBeat(
            sequence=self._beats,
            at_mono_s=now_mono_s,
            loop_lag_s_max=max(0.0, self._lag_s_max),
            memory_percent=self._senses.percent(Resource.MEMORY),
            cpu_percent=self._senses.percent(Resource.CPU),
            disk_percent=self._senses.percent(Resource.DISK),
            senses=self._senses.readings(),
        )
        self._reports.send(beat)
        if self._beats % BEATS_PER_JOURNAL_LINE == 0:
            self.note(beat)
        self._beats += 1
        self._lag_s_max = 0.0
