"""Where the supervisor writes everything down: journal, database, component logs, and the lines that screens show.

Facts are written once, decisions before they are acted on. The journal and the database get the same facts, so that
either is enough for a report. Used by the supervisor's main thread; only ``take_sample`` comes from the sensor thread.
"""

from collections.abc import Callable

from baseline_metrics.clock import Clock
from baseline_metrics.codec import Json, to_json_value
from baseline_metrics.logging_setup import ComponentLog, configure_component_log
from campaign.events import Command, Event
from campaign.night import State
from campaign.run_directory import RunDirectory
from campaign.status_board import StatusBoard
from monitoring_logs.journal import Fact, Journal, JournalKind
from monitoring_logs.recorder import CloseReport, Recorder
from monitoring_logs.records import EventRecord, LoadFacts, NightOrder, SegmentKind, SegmentRecord
from monitoring_logs.rows import Record

CLOSE_S_MAX = 30.0
"""Committing what is queued and verifying a night's database takes about 2 s on a busy disk."""

CLOSE_LOOK_S = 0.1

NO_LOAD = LoadFacts(
    connections_requested=0,
    connections_peak=0,
    connections_opened=0,
    operations_requested=0,
    operations_started=0,
    operations_succeeded=0,
    operations_failed=0,
    operations_abandoned=0,
    hold_s_requested=0.0,
    hold_s_achieved=0.0,
    bytes_received=0,
)
"""The load of a phase that made none."""


class Ledger:
    """Everything that is written about one night."""

    def __init__(
        self, run: RunDirectory, *, journal: Journal, recorder: Recorder, board: StatusBoard, clock: Clock
    ) -> None:
        self._clock = clock
        self._utc_offset_s = clock.utc_s() - clock.mono_s()
        self._journal = journal
        self._recorder = recorder
        self._board = board
        self._closed = False
        self._segments = 0
        directory = str(run.logs)
        self.runner = self._component(directory, "autonomous_test_runner")
        self.runner.adopt("apscheduler", "httpx", "httpcore")
        self.guardian = self._component(directory, "system_guardian")
        self.resources = self._component(directory, "resource_monitor")
        self.load = self._component(directory, "concurrent_load_test")

    @property
    def fault(self) -> str:
        """What is wrong with the record, "" while all is well."""
        return "" if self._closed else self._recorder.stats.fault or self._journal.fault

    def note_sleep(self, seconds: float) -> None:
        """The monotonic clock stood still for that long: from now on wall times lie that much further ahead of it."""
        self._utc_offset_s += seconds

    def utc_s(self, mono_s: float) -> float:
        """The wall time of a monotonic instant, by the clocks at the campaign's start: steps do not disorder a night."""
        return mono_s + self._utc_offset_s

    def open(self, order: NightOrder) -> None:
        """Write the order as the journal's first entry. The database is opened by ``start_recorder``."""
        self._journal.append_order(order)

    def start_recorder(self) -> None:
        """Open the database. Raises RecorderError."""
        self._recorder.start()

    def put(self, record: Record) -> None:
        """Store a measurement. Never waits, never raises."""
        if not self._closed:
            self._recorder.put(record)

    def fact(self, fact: Fact) -> None:
        """Store a fact in database and journal; synced in the journal when this returns."""
        self.put(fact)
        self._journal.append_fact(fact)

    def decision(self, event: Event, *, state: str, following: str, commands: tuple[Command, ...]) -> None:
        """Journal an event with the commands that follow from it, synced before they are acted on."""
        words: dict[str, Json] = {"state": state, "next": following}
        self._journal.append(JournalKind.EVENT, type(event).__name__, {**_body(event), **words})
        for command in commands:
            self._journal.append(JournalKind.COMMAND, type(command).__name__, _body(command))

    def state(self, before: State, after: State, *, because: Event, text: str) -> None:
        """The machine has moved."""
        self.runner.logger.info("state", was=before.value, now=after.value, because=type(because).__name__)
        self.note("machine", after.value, text)

    def note(self, kind: str, name: str, text: str) -> None:
        """A line for the timeline and the screens."""
        now = self._clock.mono_s()
        self.put(EventRecord(at_mono_s=now, at_utc_s=self.utc_s(now), kind=kind, name=name, text=text))
        self._board.add_event(text if kind == "machine" else f"{kind}: {text}")

    def next_segment(self) -> int:
        """The number of the next measured stretch."""
        self._segments += 1
        return self._segments - 1

    def open_segment(self, number: int, kind: SegmentKind, name: str, *, start_mono_s: float) -> None:
        """Mark where a measured stretch begins."""
        self.fact(
            SegmentRecord(
                segment=number,
                kind=kind,
                name=name,
                start_mono_s=start_mono_s,
                start_utc_s=self.utc_s(start_mono_s),
            )
        )

    def close_recorder(self, *, pump: Callable[[], None]) -> CloseReport:
        """Commit, verify and close the database. Calls pump while it waits: the guardian wants to hear from us."""
        deadline = self._clock.mono_s() + CLOSE_S_MAX
        report = self._recorder.close(CLOSE_LOOK_S)
        while not report.ended and self._clock.mono_s() < deadline:
            pump()
            report = self._recorder.close(CLOSE_LOOK_S)
        self._closed = True
        self.runner.logger.info(
            "record closed",
            integrity=report.integrity,
            committed=report.stats.committed,
            spilled=report.stats.spilled,
            lost=report.stats.lost,
            fault=report.stats.fault,
        )
        return report

    def checkpoint(self) -> None:
        """A line on how the record fares."""
        stats = self._recorder.stats
        self.runner.logger.info(
            "checkpoint",
            queued=stats.queued,
            committed=stats.committed,
            commit_s_max=stats.commit_s_max,
            sync_s_p99=to_json_value(stats.sync_s_p99),
        )

    def close(self) -> None:
        """Close journal and logs."""
        for log in (self.runner, self.guardian, self.resources, self.load):
            log.close()
        self._journal.close()

    def _component(self, directory: str, name: str) -> ComponentLog:
        return configure_component_log(directory=directory, component=name, utc_s=self._clock.utc_s())


def _body(message: Event | Command) -> dict[str, Json]:
    body = to_json_value(message)
    assert isinstance(body, dict)
    return body
