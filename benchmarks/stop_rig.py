"""A supervisor for measurements of ends of load and of the guardian: a real guardian and a real crew under load, without the hours of a night around them.

``python -m benchmarks.stop_rig RUN_DIRECTORY``. Guardian, load processes, leases, limits and registry entry are the ones of
any night; drill, baseline, recorder and reporter are left out, so that a repetition takes seconds. It says on standard
output when the load is held, obeys words on standard input, and ends with that. Started by benchmarks/stop_ways.py.
"""

import json
import os
import select
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from baseline_metrics.clock import SystemClock
from baseline_metrics.host_files import ProcessGone
from campaign.campaign_order import CampaignOrder
from campaign.crew import Crew, CrewStep
from campaign.crew_events import AllReady, CrewEvent, Lost, Refused
from campaign.guardian_link import GuardianLink
from campaign.guardian_orders import guardian_order, limits_of
from campaign.processes import Marks
from campaign.run_directory import RunDirectory, read_order
from campaign.segment_orders import segment_load
from monitoring_logs.records import SegmentKind
from safety_monitoring.limits import Limit, Limits, Resource, Rung
from safety_monitoring.look_period import PERIOD_S_MIN
from safety_monitoring.messages import (
    AskReturn,
    EnterPhase,
    ForgetWorker,
    GuardianReady,
    LadderMoved,
    LoadEnded,
    LoadEnding,
    ReadingsClear,
    Report,
    WatchWorker,
    WorkerRefused,
    WorkerWatched,
)
from safety_monitoring.registry import CampaignEntry, campaign_directory, identity_of, register

LOOP_S = 0.02
"""As in the supervisor."""

HANG_S = 60.0
"""For each thing that is waited for; sixteen processes come up within four seconds."""

START_LEAD_S = 0.2

HOLD_S = 600.0
"""Longer than any repetition."""

ENDED_S_MAX = 15.0

RAMP_BYTES_PER_S = float(1 << 50)
"""No memory is left after this in less than two looks, on any machine."""


class Word(Enum):
    """What the rig is asked."""

    VIOLATE_ONCE = "violate-once"  # and let the load come back: the next one opens the breaker
    OPEN_BREAKER = "open-breaker"
    LOOK_FAST = "look-fast"  # as if a load took memory so fast that the guardian has to look as often as it can


class NothingYet:
    """Nobody asks anything."""


class Over:
    """Whoever started this process has closed its input."""


class RigError(Exception):
    """What was waited for did not come. The message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The load is held by so many processes."""

    guardian: int
    workers: tuple[int, ...]


class Rig:
    """What the rig's process leads."""

    def __init__(self, order: CampaignOrder, run: RunDirectory) -> None:
        self._order = order
        self._clock = SystemClock()
        self._reports: list[Report] = []
        self._happened: list[CrewEvent] = []
        marks = Marks(run_id=order.night.run_id, runs_dir=order.runs_dir, state_dir=order.state_dir)
        self._crew = Crew(
            order,
            marks=marks,
            pages=Path(campaign_directory(order.state_dir, order.night.run_id)) / "pages",
            logs=run.logs / "workers",
            clock=self._clock,
            utc_s=lambda mono_s: mono_s,
            tell_guardian=self._tell_guardian,
        )
        self._limits = limits_of(order.safety, multiplier=1.0)
        asked = guardian_order(order, run, limits=self._limits, disk_paths=(str(run.path), order.state_dir))
        self.guardian = GuardianLink(
            replace(asked, report_argv=("/bin/true",)),
            order_file=run.guardian_order,
            marks=marks,
            output=run.supervisor_log,
            clock=self._clock,
        )
        self._await(lambda: self._heard(GuardianReady), "the guardian")

    def hold(self) -> Held:
        """Bring the load up."""
        load = segment_load(
            self._order,
            kind=SegmentKind.PHASE,
            phase=0,
            segment=1,
            target=self._order.target,
            operations=self._order.operations,
            ramp_s=0.0,
            hold_s=HOLD_S,
        )
        self._crew.prepare(load)
        self._await(lambda: any(isinstance(event, AllReady) for event in self._happened), "the load")
        self._crew.go(self._clock.mono_s() + START_LEAD_S)
        self._await(lambda: self._crew.running_counts().succeeded >= self._order.workers, "the first answers")
        return Held(guardian=self.guardian.pid, workers=self._crew.pids())

    def turn(self) -> None:
        """One turn of a supervisor's loop, as far as load is concerned."""
        children = [child for child in (*self._crew.children(), self.guardian.child) if not child.closed]
        select.select(children, [], [], LOOP_S)
        for report in self.guardian.poll():
            self._take(report)
        events, _ = self._crew.poll()
        self._happened += events
        if self.guardian.lost or any(isinstance(event, Lost | Refused) for event in events):
            self._end_load()

    def obey(self, word: Word) -> dict[str, object]:
        """Do it; what there is to say about it."""
        if word is Word.LOOK_FAST:
            fast = EnterPhase(phase="rig", limits=self._limits, memory_ramp_bytes_per_s=RAMP_BYTES_PER_S)
            self.guardian.send(fast)
            return {"looks_every_s": PERIOD_S_MIN}
        moved = self._violate(word)
        return {"seen_mono_s": moved.at_mono_s, "why": moved.why}

    def _violate(self, word: Word) -> LadderMoved:
        self._reports.clear()
        self._limit(percent_max=0.01)
        self._await(lambda: self._heard(LadderMoved), "the guardian's answer to a violation")
        moved = next(report for report in self._reports if isinstance(report, LadderMoved))
        if word is Word.VIOLATE_ONCE:
            self._limit(percent_max=100.0)
            self._await(lambda: self._heard(ReadingsClear), "clear readings")
            self._reports.clear()
            self.guardian.send(AskReturn())
            self._await(lambda: self._heard(LadderMoved), "the load's return")
        elif "breaker" not in moved.why or moved.rung is not Rung.PAUSE:
            raise RigError(f"the second violation opened no breaker: {moved}")
        return moved

    def end(self) -> None:
        """Take what is left away."""
        self._end_load()
        deadline_mono_s = self._clock.mono_s() + ENDED_S_MAX
        while self._crew.step is not CrewStep.IDLE and self._clock.mono_s() < deadline_mono_s:
            self.turn()
        self._crew.dismiss(pump=lambda: None)
        self.guardian.conclude()

    def _end_load(self) -> None:
        if self._crew.step is not CrewStep.IDLE:
            self._crew.end()

    def _limit(self, *, percent_max: float) -> None:
        """Memory alone: the use of it that a running system always has, against a limit that we choose."""
        limit = Limit(
            resource=Resource.MEMORY,
            percent_max=percent_max,
            free_min=0,
            hold_s=0.0,
            clear_margin_percent=0.0,
            clear_hold_s=0.0,
        )
        self.guardian.send(EnterPhase(phase="rig", limits=Limits(limits=(limit,), unknown_s_max=HANG_S)))

    def _tell_guardian(self, said: WatchWorker | ForgetWorker) -> None:
        self.guardian.send(said)

    def _take(self, report: Report) -> None:
        self._reports.append(report)
        match report:
            case WorkerWatched(worker=worker):
                self._crew.guardian_watches(worker)
            case WorkerRefused(worker=worker, reason=reason):
                self._crew.guardian_refuses(worker, reason)
            case LoadEnding():
                self._crew.guardian_ends()
            case LoadEnded():
                self._end_load()
            case _:
                pass

    def _heard(self, kind: type[Report]) -> bool:
        return any(isinstance(report, kind) for report in self._reports)

    def _await(self, wanted: Callable[[], bool], what: str) -> None:
        deadline_mono_s = self._clock.mono_s() + HANG_S
        while not wanted():
            self.turn()
            if self.guardian.lost or self._clock.mono_s() > deadline_mono_s:
                raise RigError(f"{what} did not come: {self.guardian.lost or f'waited for {HANG_S:g} s'}")


def main() -> None:
    """Hold the load until standard input ends."""
    run = RunDirectory(Path(sys.argv[1]))
    order = read_order(run)
    _register(order, run)
    rig = Rig(order, run)
    try:
        held = rig.hold()
        print(json.dumps({"guardian": held.guardian, "workers": held.workers}), flush=True)
        os.set_blocking(0, False)
        while not isinstance(asked := _asked(), Over):
            if isinstance(asked, Word):
                print(json.dumps(rig.obey(asked)), flush=True)
            else:
                rig.turn()
    finally:
        rig.end()


def _asked() -> Word | NothingYet | Over:
    try:
        line = os.read(0, 100).decode().strip()
    except BlockingIOError:
        return NothingYet()
    return Word(line) if line else Over()


def _register(order: CampaignOrder, run: RunDirectory) -> None:
    me = identity_of(os.getpid())
    assert not isinstance(me, ProcessGone), "this process runs"
    entry = CampaignEntry(
        run_id=order.night.run_id,
        run_dir=str(run.path),
        runs_dir=order.runs_dir,
        started_utc_s=time.time(),
        supervisor=me,
    )
    register(order.state_dir, entry)


if __name__ == "__main__":
    main()
