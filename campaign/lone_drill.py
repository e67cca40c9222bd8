"""The stop drill without a campaign: a guardian, drill workers, and a private directory that is gone afterwards.

Nothing is sent anywhere and nothing can be latched: STOP and PERMIT are the drill's own. The process of ``drill`` is the
supervisor of it, and waits in its main thread.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from baseline_metrics.clock import Clock
from baseline_metrics.host_files import ProcessGone
from campaign.drill_ports import GuardianDrill, rehearse
from campaign.guardian_link import GuardianLink
from campaign.guardian_orders import HEARTBEAT_S_MAX
from campaign.processes import Marks
from monitoring_logs.records import DrillFact
from safety_monitoring.limits import default_limits
from safety_monitoring.messages import (
    DrillEnded,
    GuardianBeat,
    GuardianOrder,
    GuardianReady,
    LadderMoved,
    LoadEnded,
    LoadEnding,
    Protection,
    ReadingsClear,
    Report,
    WorkerRefused,
    WorkerWatched,
)
from safety_monitoring.registry import identity_of

READY_S_MAX = 60.0
"""A guardian is ready within a second; on a host that is full this much, as in a campaign."""

PUMP_S = 0.01


class LoneDrillError(Exception):
    """The drill could not be held at all. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDrill:
    """What came of it: every rehearsed path, and what this host and user let the guardian do for its own survival."""

    facts: tuple[DrillFact, ...]
    protections: tuple[Protection, ...]

    @property
    def passed(self) -> bool:
        """Whether every path worked in time."""
        return bool(self.facts) and all(fact.passed for fact in self.facts)


@dataclass(slots=True)
class _Heard:
    said: GuardianDrill = field(default_factory=GuardianDrill)
    protections: tuple[Protection, ...] = ()
    ready: bool = False


def hold_drill(*, state_dir: str, clock: Clock) -> HeldDrill:
    """Rehearse every way to stop, with a real load, and take everything away again. Takes about 3 s.

    state_dir: exists, and is ours. Raises LoneDrillError when no guardian can be had.
    """
    directory = Path(tempfile.mkdtemp(prefix="drill-", dir=state_dir))
    try:
        return _held(directory, state_dir=state_dir, clock=clock)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _held(directory: Path, *, state_dir: str, clock: Clock) -> HeldDrill:
    marks = Marks(run_id=f"{directory.name}-{os.getpid()}", runs_dir=str(directory), state_dir=state_dir)
    output = directory / "drill.log"
    heard = _Heard()
    try:
        guardian = GuardianLink(
            _order(directory, marks), order_file=directory / "guardian.json", marks=marks, output=output, clock=clock
        )
    except OSError as error:
        raise LoneDrillError(f"the guardian could not be started: {error}") from error

    def pump() -> None:
        for report in guardian.poll():
            _take(heard, report)

    try:
        deadline_mono_s = clock.mono_s() + READY_S_MAX
        while not heard.ready:
            pump()
            if guardian.lost or clock.mono_s() >= deadline_mono_s:
                said = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                why = guardian.lost or f"it was not ready within {READY_S_MAX:.0f} s"
                raise LoneDrillError("; ".join((f"no guardian: {why}", *said[-1:])))
            clock.sleep(PUMP_S)
        facts = rehearse(
            heard.said, guardian=guardian, pump=pump, marks=marks, directory=directory, output=output, clock=clock
        )
    finally:
        guardian.conclude()
    return HeldDrill(facts=facts, protections=heard.protections)


def _order(directory: Path, marks: Marks) -> GuardianOrder:
    me = identity_of(os.getpid())
    assert not isinstance(me, ProcessGone), "this process runs"
    permit = directory / "PERMIT"
    permit.touch(mode=0o600)
    return GuardianOrder(
        run_id=marks.run_id,
        run_dir=str(directory),
        stop_paths=(str(directory / "STOP"),),
        permit_path=str(permit),
        journal_path=str(directory / "guardian.jsonl"),
        disk_paths=(str(directory),),
        limits=default_limits(memory_reserve_bytes=0, disk_reserve_bytes=0),
        supervisor_pid=me.pid,
        supervisor_start_ticks=me.start_ticks,
        heartbeat_s_max=HEARTBEAT_S_MAX,
        report_argv=(),
    )


def _take(heard: _Heard, report: Report) -> None:
    match report:
        case GuardianReady(protections=protections):
            heard.ready, heard.protections = True, protections
        case WorkerWatched(worker=worker):
            heard.said.watched.add(worker)
        case WorkerRefused(worker=worker, reason=reason):
            heard.said.refused[worker] = reason
        case DrillEnded():
            heard.said.ended.append(report)
        case LadderMoved() | ReadingsClear() | LoadEnding() | LoadEnded() | GuardianBeat():
            pass  # a drill worker is no load: what the host does besides ends nothing here
        case _:
            assert_never(report)
