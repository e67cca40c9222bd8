"""What the guardian tells, written down and turned into events for the machine.

The guardian has acted already when it speaks; nothing here is asked for its permission. Runs in the supervisor's main
thread.
"""

from collections.abc import Callable
from typing import assert_never

from baseline_metrics.clock import Clock
from baseline_metrics.codec import to_json_value
from campaign.campaign_order import CampaignOrder
from campaign.drill_ports import GuardianDrill
from campaign.events import (
    EmergencyStopped,
    Event,
    GuardianClear,
    GuardianMoved,
    PreparationDone,
    RunnerFault,
)
from campaign.ledger import Ledger
from campaign.night_books import NightBooks
from monitoring_logs.records import GuardianEvent
from safety_monitoring.limits import Rung
from safety_monitoring.messages import (
    DrillEnded,
    GuardianBeat,
    GuardianReady,
    LadderMoved,
    LoadEnded,
    LoadEnding,
    Protection,
    ReadingsClear,
    Report,
    StopCause,
    WorkerRefused,
    WorkerWatched,
)
from safety_monitoring.registry import RegistryError, latch


class GuardianNews:
    """Translates one guardian's reports."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        books: NightBooks,
        drill: GuardianDrill,
        watches: Callable[[int], None],
        refuses: Callable[[int, str], None],
        ends: Callable[[], None],
        store_protections: Callable[[tuple[Protection, ...]], None],
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._books = books
        self._drill = drill
        self._watches = watches
        self._refuses = refuses
        self._ends = ends
        self._store_protections = store_protections
        self._clock = clock
        self.ready = False
        self.share = 1.0
        self.emergency_cause = StopCause.SUPERVISOR_ASKED

    def take(self, report: Report) -> tuple[Event, ...]:
        """Write the report down; what follows for the machine."""
        now = self._clock.mono_s()
        if not isinstance(report, GuardianBeat):
            self._ledger.guardian.logger.info(type(report).__name__, report=to_json_value(report))
        match report:
            case GuardianReady():
                self.ready = True
                self._store_protections(report.protections)
                return (PreparationDone(at_mono_s=now),)
            case WorkerWatched(worker=worker):
                self._drill.watched.add(worker)
                self._watches(worker)
            case WorkerRefused(worker=worker, reason=reason):
                self._drill.refused[worker] = reason
                self._refuses(worker, reason)
            case LadderMoved():
                return (self._moved(report),)
            case ReadingsClear():
                self._ledger.note("guardian", "clear", "the readings are back inside the limits")
                return (GuardianClear(at_mono_s=now),)
            case LoadEnding():
                self._ends()
            case LoadEnded():
                return self._load_ended(report)
            case DrillEnded():
                self._drill.ended.append(report)
            case GuardianBeat():
                pass
            case _:
                assert_never(report)
        return ()

    def latch(self, order: CampaignOrder, detail: str) -> None:
        """Nothing starts again in this runs directory until a person resets it; the guardian may have latched already."""
        try:
            latch(
                order.state_dir,
                order.runs_dir,
                cause=self.emergency_cause,
                detail=f"{order.night.run_id}: {detail}",
                utc_s=self._clock.utc_s(),
            )
        except RegistryError as error:
            self._ledger.note("operator", "latch_failed", str(error))

    def _moved(self, report: LadderMoved) -> GuardianMoved:
        self.share = report.share
        self._books.note_share(report.share, self._clock.mono_s())
        if report.rung is Rung.STOP_CAMPAIGN:
            self._books.note_stop_seen(report.at_mono_s)
        self._ledger.put(
            GuardianEvent(
                at_mono_s=report.at_mono_s,
                at_utc_s=self._ledger.utc_s(report.at_mono_s),
                rung=report.rung,
                share=report.share,
                why=report.why,
            )
        )
        self._ledger.note("guardian", report.rung.name, f"{report.rung.name}: {report.why}")
        return GuardianMoved(at_mono_s=self._clock.mono_s(), rung=report.rung, why=report.why)

    def _load_ended(self, report: LoadEnded) -> tuple[Event, ...]:
        now = self._clock.mono_s()
        if self._drill.going_on and report.cause is StopCause.SUPERVISOR_ASKED:
            return ()
        milliseconds = report.seconds * 1000
        text = (
            f"{report.cause.value}: {len(report.workers)} load processes gone in {milliseconds:.0f} ms, {report.detail}"
        )
        self._ledger.note("guardian", "load_ended", text)
        events: list[Event] = []
        if report.survivors:
            events.append(RunnerFault(at_mono_s=now, detail=f"processes {report.survivors} could not be ended"))
        match report.cause:
            case StopCause.STOP_FILE | StopCause.PERMIT_GONE | StopCause.WATCH_LOST:
                self.emergency_cause = report.cause
                self._books.note_stop_seen(report.seen_mono_s)
                self._books.note_stopped(report.seconds)
                events.append(EmergencyStopped(at_mono_s=now, detail=f"{report.cause.value}: {report.detail}"))
            case StopCause.SUPERVISOR_SILENT | StopCause.SUPERVISOR_GONE:
                events.append(RunnerFault(at_mono_s=now, detail=f"the guardian ended the load: {report.detail}"))
            case StopCause.SUPERVISOR_ASKED | StopCause.LIMIT:
                pass
            case _:
                assert_never(report.cause)
        return tuple(events)
