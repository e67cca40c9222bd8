"""What the supervisor knows of the current load and turns into records: segments, measurements, scores, phase records.

Facts are gathered when the load is proven zero, scored for steering, and written once. Runs in the supervisor's main
thread.
"""

from typing import assert_never

from baseline_metrics.baseline_collector import summarise_idle
from baseline_metrics.codec import to_json_value
from baseline_metrics.health import Health, KnownScore, Score, UnknownScore
from baseline_metrics.samples import Reading
from campaign.crew import Crew
from campaign.events import (
    BaselineScored,
    Criteria,
    Event,
    GeneratorInvalid,
    GeneratorState,
    GeneratorUnknown,
    LoadKind,
    LoadScored,
    PrepareLoad,
    ScoreLoad,
    WriteAnchor,
    WriteRecord,
)
from campaign.host_watch import HostWatch
from campaign.ledger import NO_LOAD, Ledger
from campaign.night import TERMINAL, Night, State
from campaign.scoring import LoadMeasurement, baseline_of, criteria_of, generator_of, load_health
from campaign.status_board import StatusBoard
from campaign.telemetry import SegmentTelemetry
from monitoring_logs.memory_records import NO_MEMORY_HELD
from monitoring_logs.records import AnchorRecord, LoadFacts, NightOrder, PhaseRecord, SegmentKind
from monitoring_logs.search_records import search_name
from results_summary.generator import HICCUP_LOAD_S_MIN
from safety_monitoring.limits import Limits


class NightBooks:
    """The books of one night."""

    def __init__(self, order: NightOrder, *, ledger: Ledger, board: StatusBoard, host: HostWatch) -> None:
        self._order = order
        self._ledger = ledger
        self._board = board
        self._host = host
        self._segment = -1
        self._anchor_segment = -1
        self._idle_segment = -1
        self._idle_since = 0.0
        self._load: PrepareLoad | None = None
        self._start_mono_s = 0.0
        self._end_mono_s = 0.0
        self._measurement: LoadMeasurement | None = None
        self._generator: GeneratorState = GeneratorUnknown(reason="no load has run yet")
        self._anchor_score: Score = UnknownScore(reason="no anchor load has run yet")
        self._eased_since: float | None = None
        self._eased_s = 0.0
        self._stop_seen: float | None = None
        self.stop_seconds = -1.0

    @property
    def segment(self) -> int:
        """The newest load's segment."""
        return self._segment

    @property
    def load_facts(self) -> LoadFacts:
        """Asked against achieved, of the newest load; of one that never started, that."""
        return self._measurement.facts if self._measurement else NO_LOAD

    # Marks ------------------------------------------------------------------------------------------------------------

    def begin_idle(self, now_mono_s: float) -> None:
        """The idle host is measured from now on."""
        self._idle_since = now_mono_s
        self._idle_segment = self._ledger.next_segment()
        self._ledger.open_segment(self._idle_segment, SegmentKind.IDLE, "idle", start_mono_s=now_mono_s)

    def prepare_load(self, command: PrepareLoad) -> int:
        """A load is being prepared; returns its segment."""
        self._load = command
        self._measurement = None
        self._eased_s = 0.0
        self._segment = self._ledger.next_segment()
        if command.kind is LoadKind.ANCHOR:
            self._anchor_segment = self._segment
        return self._segment

    def begin_load(self, kind: SegmentKind, name: str, start_mono_s: float) -> None:
        """The load starts."""
        self._ledger.open_segment(self._segment, kind, name, start_mono_s=start_mono_s)

    def note_share(self, share: float, now_mono_s: float) -> None:
        """The guardian changed the permitted share."""
        if share < 1.0 and self._eased_since is None:
            self._eased_since = now_mono_s
        elif share >= 1.0 and self._eased_since is not None:
            self._eased_s += now_mono_s - self._eased_since
            self._eased_since = None

    def note_stop_seen(self, at_mono_s: float) -> None:
        """Something asked for the load to end; the first time counts."""
        if self._stop_seen is None:
            self._stop_seen = at_mono_s

    def note_stopped(self, seconds: float) -> None:
        """The guardian measured how long ending the load took."""
        self.stop_seconds = seconds

    def load_is_zero(self, crew: Crew, *, limits: Limits, held_s: float, now_mono_s: float) -> None:
        """Gather the facts of the load that is proven zero. held_s: for how long a person had paused it."""
        if self._eased_since is not None:
            self._eased_s += now_mono_s - self._eased_since
            self._eased_since = now_mono_s
        if self._stop_seen is not None and self.stop_seconds < 0:
            self.stop_seconds = now_mono_s - self._stop_seen
        if crew.telemetry is None:
            return
        self._start_mono_s = crew.start_mono_s
        self._end_mono_s = now_mono_s
        mean: Reading = crew.telemetry.total.response_succeeded.mean_s
        facts = crew.facts()
        self._measurement = LoadMeasurement(
            facts=facts,
            response_s_mean=mean,
            host=self._host.between(crew.start_mono_s, now_mono_s),
            limits=limits,
            at_mono_s=now_mono_s,
            memory=crew.memory_facts(),
        )
        self._generator = self._generator_in(crew.telemetry, held_s=held_s)
        self._board.add_operations(facts)
        self._ledger.load.logger.info("load ended", segment=self._segment, facts=to_json_value(facts))

    def _generator_in(self, telemetry: SegmentTelemetry, *, held_s: float) -> GeneratorState:
        load = self._load
        assert load is not None
        planned_s = load.ramp_s + load.hold_s + held_s
        found = generator_of(telemetry.generator, planned_s=planned_s, ran_s=self._end_mono_s - self._start_mono_s)
        brief = load.kind is LoadKind.ANCHOR and planned_s < HICCUP_LOAD_S_MIN
        if brief and isinstance(found, GeneratorInvalid):
            # One late second would be too much of it. A health score may rest on that; it judges nobody.
            return GeneratorUnknown(reason=f"the anchor load is too brief to tell: {found.reason}")
        return found

    # Scores -----------------------------------------------------------------------------------------------------------

    def score_baseline(self, *, now_mono_s: float) -> BaselineScored | UnknownScore:
        """The baseline from the idle host and this anchor; stored when it could be made."""
        measurement = self._measurement
        if measurement is None:
            return UnknownScore(reason="the anchor load was not measured")
        record = baseline_of(
            idle=summarise_idle(self._host.between(self._idle_since, self._start_mono_s)),
            idle_segment=self._idle_segment,
            anchor_segment=self._anchor_segment,
            measurement=measurement,
            order=self._order,
        )
        self._ledger.fact(record)
        text = f"baseline health {score_words(record.health.score)}: {record.phases_allowed} phases may run"
        self._ledger.note("baseline", "scored", text)
        return BaselineScored(at_mono_s=now_mono_s, score=record.health.score, phases_allowed=record.phases_allowed)

    def score(self, command: ScoreLoad, *, now_mono_s: float) -> LoadScored:
        """The health of the ended load, and for a phase whether its criteria were met."""
        measurement = self._measurement
        if measurement is None:
            unknown = UnknownScore(reason="the load was not measured")
            return LoadScored(
                at_mono_s=now_mono_s,
                score=unknown,
                criteria=Criteria.UNKNOWN,
                generator=GeneratorUnknown(reason="the load was not measured"),
                detail="the load was not measured",
            )
        health = load_health(measurement, self._order)
        self._board.note_health(health.score, now_mono_s)
        if command.kind is LoadKind.ANCHOR:
            criteria, detail = Criteria.UNKNOWN, f"health {score_words(health.score)}"
        else:
            criteria, detail = criteria_of(self._order.phases[command.phase], measurement)
        return LoadScored(
            at_mono_s=now_mono_s,
            score=health.score,
            criteria=criteria,
            generator=self._generator,
            detail=detail,
        )

    # Records ----------------------------------------------------------------------------------------------------------

    def write_anchor(self, command: WriteAnchor, *, now_mono_s: float) -> None:
        """Store the anchor's record."""
        measurement = self._measurement
        if measurement is not None and command.complete:
            health = load_health(measurement, self._order)
        else:
            health = Health(score=UnknownScore(reason=command.reason), parts=(), at_mono_s=now_mono_s)
        self._anchor_score = health.score
        start = self._start_mono_s if measurement else now_mono_s
        self._ledger.fact(
            AnchorRecord(
                segment=self._segment,
                before_phase=command.phase,
                complete=command.complete,
                reason=command.reason,
                start_mono_s=start,
                end_mono_s=self._end_mono_s if measurement else now_mono_s,
                start_utc_s=self._ledger.utc_s(start),
                load=measurement.facts if measurement else NO_LOAD,
                health=health,
            )
        )

    def write_phase(self, command: WriteRecord, *, now_mono_s: float) -> None:
        """Store the one record of a phase, with the facts of its load if it made one."""
        load = self._load
        own = load is not None and load.kind is LoadKind.PHASE and load.phase == command.phase
        measurement = self._measurement if own else None
        start = self._start_mono_s if measurement else now_mono_s
        end = self._end_mono_s if measurement else now_mono_s
        name = self._order.phases[command.phase].name
        self._ledger.fact(
            PhaseRecord(
                index=command.phase,
                name=name,
                outcome=command.outcome,
                reason=command.reason,
                segment=self._segment if measurement else -1,
                anchor_segment=self._anchor_segment,
                start_mono_s=start,
                end_mono_s=end,
                start_utc_s=self._ledger.utc_s(start),
                end_utc_s=self._ledger.utc_s(end),
                health_at_arming=self._anchor_score,
                eased_s=self._eased_s if measurement else 0.0,
                load=measurement.facts if measurement else NO_LOAD,
                held_s=command.held_s,
                memory=measurement.memory if measurement else NO_MEMORY_HELD,
            )
        )
        self._board.note_outcome(command.phase, command.outcome)
        self._ledger.note("phase", command.outcome.value, f"{name} {command.outcome.value}: {command.reason}")


def load_name(night: Night) -> str:
    """How reports call the stretch of the load that starts now."""
    match night.load_kind:
        case LoadKind.PHASE:
            return night.current.name
        case LoadKind.SEARCH:
            return search_name(night.current.name)
        case LoadKind.ANCHOR:
            return f"anchor before {night.current.name}" if night.phase >= 0 else "last anchor"
    assert_never(night.load_kind)


def state_text(night: Night, event: Event) -> str:
    """A state for a line on the screen."""
    where = ""
    if night.state is State.ANCHOR:
        where = f" before {night.current.name}" if night.phase >= 0 else ", the last one"
    elif night.phase >= 0 and night.state not in TERMINAL | {State.CONCLUDING, State.STOPPING, State.COOLING}:
        where = f" {night.current.name}"
    detail = str(getattr(event, "detail", ""))
    return f"{night.state.value}{where}" + (f" ({detail})" if detail else "")


def score_words(score: Score) -> str:
    """A score in words."""
    return f"{score.value:.1f}" if isinstance(score, KnownScore) else f"unknown ({score.reason})"
