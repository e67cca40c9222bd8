"""Composes the status document for the screens, and replaces it about twice a second.

A change of state is shown at once. A failed write is counted and nothing else: no screen may delay the night. Runs in the supervisor's main thread.
"""

import math
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from baseline_metrics.clock import Clock
from baseline_metrics.health import Score, UnknownScore
from baseline_metrics.samples import Gap, GapReason, Reading
from campaign.campaign_order import CampaignOrder
from campaign.crew_counts import NOTHING, PageCounts
from campaign.events import LoadKind
from campaign.memory_watch import NOTHING_HELD, MemoryNow, NothingHeld
from campaign.night import LoadStep, Night, State
from campaign.status import (
    EVENTS_MAX,
    NOT_PAUSED,
    Ended,
    NotPaused,
    Paused,
    PhaseStatus,
    Running,
    Status,
    StatusEvent,
    write_status,
)
from campaign.telemetry import SegmentTelemetry
from monitoring_logs.load_orders import SearchOrder
from monitoring_logs.records import LoadFacts, Outcome
from safety_monitoring.messages import GuardianBeat

STATUS_S = 0.5
VERSION = 2

_NO_READING = Gap(reason=GapReason.FIRST_READING, detail="no load is being made")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What the supervisor knows at the instant of a document."""

    night: Night
    telemetry: SegmentTelemetry | None
    running: PageCounts
    holds: bool
    beat: GuardianBeat | None
    share: float
    guardian_pid: int
    worker_pids: tuple[int, ...]
    supervisor_pid: int
    memory: NothingHeld | MemoryNow = NOTHING_HELD


class StatusBoard:
    """The document and what it has to remember between two writes."""

    def __init__(self, order: CampaignOrder, *, run_dir: Path, path: Path, clock: Clock) -> None:
        self._order = order.night
        self._planned_s = order.planned_s
        self._run_dir = run_dir
        self._path = path
        self._clock = clock
        self._started_mono_s = clock.mono_s()
        self._started_utc_s = clock.utc_s()
        self._written = 0.0
        self._events: deque[StatusEvent] = deque(maxlen=EVENTS_MAX)
        self._sequence = 0
        self._outcomes: dict[int, Outcome] = {}
        self._health: Score = UnknownScore(reason="nothing was measured yet")
        self._health_at = self._started_mono_s
        self._state = State.PREPARING
        self._pause: NotPaused | Paused = NOT_PAUSED
        self._succeeded = 0
        self._failed = 0
        self.failed_writes = 0

    def add_event(self, text: str) -> None:
        """A line for the screens."""
        self._sequence += 1
        self._events.append(StatusEvent(sequence=self._sequence, at_utc_s=self._clock.utc_s(), text=text))

    def note_outcome(self, phase: int, outcome: Outcome) -> None:
        """A phase has its record."""
        self._outcomes[phase] = outcome

    def note_health(self, score: Score, at_mono_s: float) -> None:
        """The newest health score."""
        self._health = score
        self._health_at = at_mono_s

    def note_night(self, night: Night) -> None:
        """The machine has taken a step: a new state, and a person's pause, are shown without waiting."""
        if night.held is isinstance(self._pause, Paused) and night.state is self._state:
            return
        self._state = night.state
        self._written = -math.inf
        if not night.held:
            self._pause = NOT_PAUSED
        elif isinstance(self._pause, NotPaused):
            self._pause = Paused(since_utc_s=self._clock.utc_s())

    def add_operations(self, facts: LoadFacts) -> None:
        """A load has ended."""
        self._succeeded += facts.operations_succeeded
        self._failed += facts.operations_failed

    def due(self) -> bool:
        """Whether the document is old enough to be replaced."""
        return self._clock.mono_s() - self._written >= STATUS_S

    def write(self, moment: Moment) -> None:
        """Replace the document."""
        self._written = self._clock.mono_s()
        self._replace(self._path, self._document(moment, Running()))

    def write_end(self, moment: Moment, end: Ended, *, copy: Path) -> None:
        """The last document, also kept in the run directory."""
        document = self._document(moment, end)
        self._replace(self._path, document)
        self._replace(copy, document)

    def _replace(self, path: Path, document: Status) -> None:
        try:
            write_status(path, document)
        except OSError:
            self.failed_writes += 1

    def _document(self, moment: Moment, end: Running | Ended) -> Status:
        now = self._clock.mono_s()
        night, telemetry, beat = moment.night, moment.telemetry, moment.beat
        making = telemetry is not None and night.load in (LoadStep.RUNNING, LoadStep.DRAINING)
        planned_s = night.timer_mono_s - night.entered_mono_s
        asked = self._connections(night) if making else 0
        running = moment.running if making else NOTHING
        return Status(
            version=VERSION,
            run_id=self._order.run_id,
            run_dir=str(self._run_dir),
            name=self._order.name,
            zone=self._order.zone,
            state=night.state.value,
            end=end,
            at_mono_s=now,
            at_utc_s=self._clock.utc_s(),
            started_utc_s=self._started_utc_s,
            window_end_utc_s=self._order.window_end_utc_s,
            phase=night.phase,
            phases=tuple(self._phase(night, phase.index) for phase in self._order.phases),
            step_elapsed_s=max(0.0, now - night.entered_mono_s),
            step_planned_s=planned_s if planned_s < float("inf") else 0.0,
            night_elapsed_s=now - self._started_mono_s,
            night_planned_s=self._planned_s,
            health=self._health,
            health_age_s=now - self._health_at,
            rate_per_s=telemetry.rate_per_s() if making and telemetry else _NO_READING,
            response_s_p99=telemetry.response_s_p99() if making and telemetry else _NO_READING,
            error_percent=telemetry.error_percent() if making and telemetry else _NO_READING,
            connections_open=telemetry.connections_open() if making and telemetry else 0,
            connections_asked=asked,
            operations_succeeded=self._succeeded + running.succeeded,
            operations_failed=self._failed + running.failed,
            guardian_rung=night.rung.name,
            permitted_share=moment.share,
            memory_percent=_reading(beat, "memory_percent"),
            cpu_percent=_reading(beat, "cpu_percent"),
            disk_percent=_reading(beat, "disk_percent"),
            supervisor_pid=moment.supervisor_pid,
            guardian_pid=moment.guardian_pid,
            worker_pids=moment.worker_pids,
            events=tuple(self._events),
            pause=self._pause_of(moment, running),
            memory=moment.memory,
            senses=beat.senses if beat is not None else (),
        )

    def _pause_of(self, moment: Moment, running: PageCounts) -> NotPaused | Paused:
        if isinstance(self._pause, NotPaused):
            return self._pause
        return replace(self._pause, obeyed=moment.holds, operations_in_flight=running.in_flight)

    def _connections(self, night: Night) -> int:
        match night.load_kind:
            case LoadKind.ANCHOR:
                return self._order.anchor.connections
            case LoadKind.PHASE:
                return night.current.connections
            case LoadKind.SEARCH:
                search = night.current.search
                return search.connections if isinstance(search, SearchOrder) else 0
        assert_never(night.load_kind)

    def _phase(self, night: Night, index: int) -> PhaseStatus:
        phase = self._order.phases[index]
        if index in self._outcomes:
            state = self._outcomes[index].value
        elif phase.cut:
            state = "cut"
        elif index == night.phase and night.load_kind is LoadKind.PHASE and night.load is not LoadStep.NONE:
            state = "running"
        else:
            state = "waiting"
        return PhaseStatus(
            index=index,
            name=phase.name,
            state=state,
            connections=phase.connections,
            planned_s=phase.ramp_s + phase.hold_s,
        )


def _reading(beat: GuardianBeat | None, name: str) -> Reading:
    if beat is None:
        return Gap(reason=GapReason.FIRST_READING, detail="the guardian has not spoken yet")
    reading: Reading = getattr(beat, name)
    return reading
