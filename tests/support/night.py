"""Synthetic nights for the report's tests: facts that agree with themselves, from a few words and a seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from baseline_metrics.health import Health, KnownScore, Score, phases_allowed
from baseline_metrics.samples import Gap, GapReason, Sample
from monitoring_logs.load_orders import NO_MEMORY_LOAD, MemoryLoad, NoMemoryLoad
from monitoring_logs.records import (
    SCHEMA_VERSION,
    AnchorOrder,
    AnchorRecord,
    BaselineRecord,
    CampaignEnd,
    DrillFact,
    EndCause,
    ErrorGroup,
    EventRecord,
    GuardianEvent,
    LoadFacts,
    LoadMinute,
    LoadSecond,
    Meta,
    NightOrder,
    Outcome,
    PhaseOrder,
    PhaseRecord,
    QuietFact,
    SegmentKind,
    SegmentRecord,
)
from results_summary.facts import Absent, Facts, HostPoint, LastAlive, SegmentFacts
from results_summary.gates import GateSettings, NoResponseLimit, ResponseLimit, gates_sha256, planned_gates
from safety_monitoring.limits import Rung
from safety_monitoring.messages import DrillPath, Protection
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import ErrorClass
from tests.support.night_parts import HOST, baseline_parts, is_low, memory_held, no_load, running_parts

START_UTC_S = 1_763_586_000.0  # 2025-11-19 22:00 in Berlin
START_MONO_S = 5000.0
RUN_ID = "20251119T210000Z-night"
ANCHOR_PER_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One phase of a synthetic night. started_share: of what was requested; ran_share: of the time, when it was cut short.

    asked_share: of the planned time, when the night was late. memory_*_share: held of what was asked. saturated_share: of the seconds, from the first one.
    """

    name: str = "phase"
    connections: int = 2
    per_s: float = 5.0
    hold_s: float = 20.0
    ramp_s: float = 2.0
    success_share: float = 1.0
    response_s: float = 0.05
    started_share: float = 1.0
    ran_share: float = 1.0
    asked_share: float = 1.0
    saturated_share: float = 0.0
    error: ErrorClass = ErrorClass.STATUS
    outcome: Outcome = Outcome.COMPLETED
    reason: str = ""
    success_percent_min: float = 95.0
    response_s_mean_max: float = 2.0
    health: Score = field(default_factory=lambda: KnownScore(value=97.0))
    cut: str = ""
    memory: NoMemoryLoad | MemoryLoad = NO_MEMORY_LOAD
    memory_peak_share: float = 1.0
    memory_time_share: float = 1.0

    @property
    def makes_load(self) -> bool:
        """Whether there is anything to measure."""
        return self.outcome not in {Outcome.SKIPPED, Outcome.NOT_REACHED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """A synthetic night in words. anchor_response_s: mean at each anchor, the last one repeated.

    low_part: the part of the baseline's health that is low when its score is.
    """

    phases: tuple[Phase, ...]
    seed: int = 1
    cause: EndCause = EndCause.FINISHED
    detail: str = "the plan was worked through"
    end_recorded: bool = True
    rehearsal: bool = False
    baseline_health: Score = field(default_factory=lambda: KnownScore(value=96.4))
    low_part: str = "performance"
    anchor_response_s: tuple[float, ...] = (0.05,)
    anchor_hold_s: float = 10.0
    break_s: float = 4.0
    moves: tuple[tuple[float, Rung, str], ...] = ()
    p99_max_s: float = 0.0
    target: str = "http://127.0.0.1:8765"
    error_message: str = "503 where 200 was expected"
    operation: str = "GET /catalogue"
    host_gap: tuple[float, float] = (0.0, 0.0)


def eight_phases(*, failing: tuple[int, ...] = (), hold_s: float = 40.0) -> tuple[Phase, ...]:
    """The default night's phases by name, with loads that rise; the given indices fail on errors."""
    words = (
        ("warmup", 2, 1.0),
        ("light_load", 3, 1.0),
        ("moderate_load_1", 5, 2.0),
        ("moderate_load_2", 7, 2.0),
        ("high_load_1", 10, 4.0),
        ("high_load_2", 12, 4.0),
        ("stress_test", 15, 8.0),
        ("endurance_test", 8, 4.0),
    )
    return tuple(
        Phase(
            name=name,
            connections=connections,
            per_s=per_s,
            hold_s=hold_s,
            response_s=0.02 + 0.0004 * connections * per_s,
            success_share=0.55 if index in failing else 0.999,
            outcome=Outcome.FAILED if index in failing else Outcome.COMPLETED,
            reason="55 % of operations succeeded" if index in failing else "",
        )
        for index, (name, connections, per_s) in enumerate(words)
    )


class _Maker:
    """Walks through the night and lays down its records."""

    def __init__(self, night: Night) -> None:
        self.night = night
        self.random = random.Random(night.seed)
        self.now = START_MONO_S
        self.segments: list[SegmentFacts] = []
        self.anchors: list[AnchorRecord] = []
        self.records: list[PhaseRecord] = []
        self.events: list[EventRecord] = []

    def utc(self, mono_s: float) -> float:
        return START_UTC_S + mono_s - START_MONO_S

    def event(self, text: str) -> None:
        self.events.append(
            EventRecord(at_mono_s=self.now, at_utc_s=self.utc(self.now), kind="machine", name="entered", text=text)
        )

    def load(
        self, kind: SegmentKind, name: str, *, requested: int, load_s: float, phase: Phase
    ) -> tuple[SegmentFacts, LoadFacts]:
        segment = len(self.segments)
        start = self.now
        seconds = max(1, int(load_s * phase.ran_share))
        started = int(requested * phase.started_share * phase.ran_share)
        rows: list[LoadSecond] = []
        minutes: dict[int, tuple[Histogram, Histogram]] = {}
        failed_all = 0
        for second in range(seconds):
            here = started * (second + 1) // seconds - started * second // seconds
            failed = sum(1 for _ in range(here) if self.random.random() > phase.success_share)
            response, failures = Histogram(), Histogram()
            for _ in range(here - failed):
                response.record_s(phase.response_s * self.random.lognormvariate(0.0, 0.25))
            for _ in range(failed):
                failures.record_s(0.004)
            rows.append(
                LoadSecond(
                    segment=segment,
                    second=second,
                    at_mono_s=start + second,
                    at_utc_s=self.utc(start + second),
                    succeeded=here - failed,
                    failed=failed,
                    response_succeeded=response.encode(),
                    response_failed=failures.encode(),
                    operations_due=requested * (second + 1) // seconds,
                    operations_started=started * (second + 1) // seconds,
                    connections_open=phase.connections,
                    bytes_received=here * 512,
                    generator_cpu_s=0.97 if second < seconds * phase.saturated_share else 0.05,
                    loop_lag_s_max=0.002,
                )
            )
            failed_all += failed
            minute = minutes.setdefault(second // 60, (Histogram(), Histogram()))
            minute[0].merge(response)
            minute[1].merge(failures)
        facts = SegmentFacts(
            record=SegmentRecord(
                segment=segment, kind=kind, name=name, start_mono_s=start, start_utc_s=self.utc(start)
            ),
            seconds=tuple(rows),
            minutes=tuple(
                LoadMinute(
                    segment=segment,
                    minute=minute,
                    operation=0,
                    succeeded=good.count,
                    failed=bad.count,
                    response_succeeded=good.encode(),
                    response_failed=bad.encode(),
                    service_succeeded=good.encode(),
                )
                for minute, (good, bad) in sorted(minutes.items())
            ),
            errors=(
                ErrorGroup(
                    segment=segment,
                    minute=0,
                    operation=0,
                    error=phase.error,
                    message=self.night.error_message,
                    count=failed_all,
                ),
            )
            if failed_all
            else (),
        )
        self.segments.append(facts)
        self.now = start + load_s * phase.ran_share + 0.2
        return facts, LoadFacts(
            connections_requested=phase.connections,
            connections_peak=phase.connections,
            connections_opened=phase.connections * 3,
            operations_requested=requested,
            operations_started=started,
            operations_succeeded=started - failed_all,
            operations_failed=failed_all,
            operations_abandoned=0,
            hold_s_requested=phase.hold_s * phase.asked_share,
            hold_s_achieved=phase.hold_s * phase.asked_share * phase.ran_share,
            bytes_received=started * 512,
        )

    def anchor(self, before_phase: int) -> None:
        night, index = self.night, len(self.anchors)
        response_s = night.anchor_response_s[min(index, len(night.anchor_response_s) - 1)]
        start = self.now
        facts, load = self.load(
            SegmentKind.ANCHOR,
            "anchor",
            requested=int(ANCHOR_PER_S * night.anchor_hold_s),
            load_s=night.anchor_hold_s,
            phase=Phase(response_s=response_s, connections=2, hold_s=night.anchor_hold_s),
        )
        score: Score = night.baseline_health if index == 0 else KnownScore(value=round(97.0 - 0.8 * index, 1))
        skipped = before_phase >= 0 and night.phases[before_phase].outcome is Outcome.SKIPPED
        if skipped:
            score = night.phases[before_phase].health
        self.anchors.append(
            AnchorRecord(
                segment=facts.record.segment,
                before_phase=before_phase,
                complete=True,
                reason="",
                start_mono_s=start,
                end_mono_s=self.now,
                start_utc_s=self.utc(start),
                load=load,
                health=Health(score=score, parts=running_parts(low="latency" if skipped else ""), at_mono_s=self.now),
            )
        )

    def phase(self, index: int, phase: Phase) -> None:
        start, segment = self.now, -1
        load = no_load(connections=phase.connections, hold_s=phase.hold_s)
        if phase.makes_load:
            hold_s = phase.hold_s * phase.asked_share
            requested = int(phase.connections * phase.per_s * (hold_s + phase.ramp_s / 2))
            facts, load = self.load(
                SegmentKind.PHASE, phase.name, requested=requested, load_s=phase.ramp_s + hold_s, phase=phase
            )
            segment = facts.record.segment
        end = self.now if phase.makes_load else start
        self.event(f"phase {phase.name} ended: {phase.outcome.value}")
        self.records.append(
            PhaseRecord(
                index=index,
                name=phase.name,
                outcome=phase.outcome,
                reason=phase.reason,
                segment=segment,
                anchor_segment=self.anchors[-1].segment if self.anchors else -1,
                start_mono_s=start,
                end_mono_s=end,
                start_utc_s=self.utc(start),
                end_utc_s=self.utc(end),
                health_at_arming=phase.health,
                eased_s=5.0 if phase.outcome is Outcome.EASED else 0.0,
                load=load,
                memory=memory_held(
                    phase.memory,
                    lasts_s=(phase.ramp_s + phase.hold_s * phase.asked_share) * phase.ran_share
                    if segment >= 0
                    else 0.0,
                    peak_share=phase.memory_peak_share,
                    time_share=phase.memory_time_share,
                ),
            )
        )


def make_facts(night: Night) -> Facts:
    """The facts of a synthetic night."""
    maker = _Maker(night)
    maker.event("PREPARING")
    maker.now += 12.0  # drill and idle baseline
    running = tuple((index, phase) for index, phase in enumerate(night.phases) if not phase.cut)
    for index, phase in running:
        if phase.outcome is not Outcome.NOT_REACHED or not maker.anchors:
            maker.anchor(index)
        maker.phase(index, phase)
        maker.now += night.break_s
    if running and all(phase.outcome is not Outcome.NOT_REACHED for _, phase in running):
        maker.anchor(-1)
    maker.event("CONCLUDING")
    return Facts(
        run_id=RUN_ID,
        partial=False,
        meta=make_meta(night),
        baseline=_baseline(night, maker) if maker.anchors else Absent(reason="no baseline is in the record"),
        phases=tuple(maker.records),
        anchors=tuple(maker.anchors),
        segments=tuple(maker.segments),
        host=_host(night, maker),
        guardian=tuple(
            GuardianEvent(
                at_mono_s=START_MONO_S + at_s,
                at_utc_s=START_UTC_S + at_s,
                rung=rung,
                share={Rung.CLEAR: 1.0, Rung.EASE: 0.5}.get(rung, 0.0),
                why=why,
            )
            for at_s, rung, why in night.moves
        ),
        events=tuple(maker.events),
        drills=tuple(
            DrillFact(path=path, seconds=0.031 + 0.011 * index, seconds_max=1.0, passed=True, detail="")
            for index, path in enumerate(DrillPath)
        ),
        end=CampaignEnd(
            cause=night.cause,
            detail=night.detail,
            ended_mono_s=maker.now + 1.0,
            ended_utc_s=maker.utc(maker.now + 1.0),
            stop_seconds=-1.0 if night.cause is EndCause.FINISHED else 0.043,
            quiet=QuietFact(
                processes_left=(), checks=("no process carries the run's mark", "all leases have run out"), seconds=0.12
            ),
        )
        if night.end_recorded
        else Absent(reason="the journal has no CampaignEnd"),
        last_alive=LastAlive(at_mono_s=maker.now, at_utc_s=maker.utc(maker.now)),
        problems=(),
    )


def make_meta(night: Night) -> Meta:
    """The night's order with its gates."""
    orders = tuple(
        PhaseOrder(
            index=index,
            name=phase.name,
            level="moderate",
            connections=phase.connections,
            operations_per_session=10,
            operations_per_s=phase.per_s,
            ramp_s=phase.ramp_s,
            hold_s=phase.hold_s,
            scaled_from_s=phase.hold_s,
            threshold_multiplier=1.0,
            required_health=70.0,
            success_percent_min=phase.success_percent_min,
            response_s_mean_max=phase.response_s_mean_max,
            operations_expected=int(phase.connections * phase.per_s * phase.hold_s),
            cut=phase.cut,
            memory=phase.memory,
        )
        for index, phase in enumerate(night.phases)
    )
    anchor = AnchorOrder(
        connections=2,
        operations_per_session=10,
        operations_per_s=ANCHOR_PER_S / 2,
        ramp_s=0.0,
        hold_s=night.anchor_hold_s,
        operations_expected=int(ANCHOR_PER_S * night.anchor_hold_s),
    )
    gates = planned_gates(
        phases=orders,
        anchor=anchor,
        settings=GateSettings(
            baseline_health_min=70.0,
            response_p99=ResponseLimit(response_s_p99_max=night.p99_max_s) if night.p99_max_s else NoResponseLimit(),
        ),
    )
    order = NightOrder(
        schema_version=SCHEMA_VERSION,
        run_id=RUN_ID,
        name="night",
        zone="Europe/Berlin",
        planned_start_utc_s=START_UTC_S,
        window_end_utc_s=START_UTC_S + 28_800,
        window_s=28_800.0,
        compressed_to_s=120.0 if night.rehearsal else 0.0,
        rehearsal=night.rehearsal,
        baseline_idle_s=10.0,
        break_s=night.break_s,
        cooldown_s=30.0,
        window_length_s=1.0,
        targets=(night.target,),
        operations=(night.operation,),
        anchor=anchor,
        phases=orders,
        gates=gates,
        gates_sha256=gates_sha256(gates),
        plan_sha256="ab" * 32,
        seed=night.seed,
        host_sample_period_s=1.0,
        health_minimum=70.0,
        consecutive_failures_max=3,
        response_s_slo=1.0,
        response_s_limit=5.0,
        error_percent_slo=1.0,
        error_percent_limit=10.0,
    )
    return Meta(
        schema_version=SCHEMA_VERSION,
        order=order,
        host=HOST,
        protections=(
            Protection(name="real-time priority", works=True, detail="SCHED_FIFO 1"),
            Protection(name="memory lock", works=False, detail="not permitted"),
        ),
    )


def without(facts: Facts, *, segment: int, second: Callable[[LoadSecond], bool]) -> Facts:
    """The same record without some seconds of one segment."""
    return replace(
        facts,
        segments=tuple(
            replace(item, seconds=tuple(row for row in item.seconds if not second(row)))
            if item.record.segment == segment
            else item
            for item in facts.segments
        ),
    )


def _host(night: Night, maker: _Maker) -> tuple[HostPoint, ...]:
    points = []
    low, high = night.host_gap
    spans = [(record.start_mono_s, record.end_mono_s, record.load.connections_requested) for record in maker.records]
    at = START_MONO_S
    while at <= maker.now:
        load = sum(connections for start, end, connections in spans if start <= at < end)
        if not low < at - START_MONO_S < high:
            points.append(
                HostPoint(
                    at_mono_s=at,
                    cpu_percent=Sample(value=min(99.0, 6.0 + 4.0 * load + maker.random.uniform(0, 6))),
                    memory_percent=Sample(value=41.0 + (at - START_MONO_S) / 60.0),
                )
            )
        at += 1.0
    return tuple(points)


def _baseline(night: Night, maker: _Maker) -> BaselineRecord:
    return BaselineRecord(
        idle_segment=-1,
        anchor_segment=maker.anchors[0].segment,
        health=Health(
            score=night.baseline_health,
            parts=baseline_parts(low=night.low_part if is_low(night.baseline_health) else ""),
            at_mono_s=maker.anchors[0].end_mono_s,
        ),
        host_means={"cpu_percent": 6.2, "memory_percent": 41.0},
        noise_cv={"cpu_percent": 0.21, "memory_percent": 0.01},
        gaps={"temperature_celsius_max": "absent"},
        response_s_mean=Sample(value=night.anchor_response_s[0]),
        success_percent=Sample(value=100.0),
        phases_allowed=phases_allowed(night.baseline_health, total=sum(1 for phase in night.phases if not phase.cut)),
    )


NO_READING = Gap(reason=GapReason.ABSENT, detail="not measured")
