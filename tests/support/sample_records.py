"""One record of each stored type, and series of them, for tests of the record and of what reads it."""

from baseline_metrics.health import Health, HealthPart, KnownScore, UnknownScore
from baseline_metrics.samples import Gap, GapReason, HostSample, NamedReading, Sample
from monitoring_logs.memory_records import MemorySecond
from monitoring_logs.numbering import Producer, RecordNumber
from monitoring_logs.recorder_facts import RecorderFacts
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
    GateKind,
    GateSpec,
    GuardianEvent,
    HostFacts,
    Judged,
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
from monitoring_logs.rows import Record
from monitoring_logs.search_records import SearchRecord, SearchStep, StepState
from safety_monitoring.limits import Rung
from safety_monitoring.messages import DrillPath, Protection
from stress_scenarios.load_plan import ErrorClass

START_MONO_S = 1000.0
START_UTC_S = 1_700_000_000.0

LOAD_FACTS = LoadFacts(
    connections_requested=2,
    connections_peak=2,
    connections_opened=3,
    operations_requested=120,
    operations_started=120,
    operations_succeeded=118,
    operations_failed=1,
    operations_abandoned=1,
    hold_s_requested=60.0,
    hold_s_achieved=59.9,
    bytes_received=54_321,
)

HEALTH = Health(
    score=KnownScore(value=93.5),
    parts=(
        HealthPart(name="system", score=KnownScore(value=98.0), weight=40.0, detail="cpu 12 %, memory 30 %"),
        HealthPart(name="stability", score=UnknownScore(reason="one reading only"), weight=15.0, detail=""),
    ),
    at_mono_s=START_MONO_S + 30,
)


def host_sample_at(second: int) -> HostSample:
    """A small sample, that many seconds after the start."""
    return HostSample(
        at_mono_s=START_MONO_S + second,
        at_utc_s=START_UTC_S + second,
        readings=(
            NamedReading(sensor="cpu_percent", reading=Sample(value=12.5)),
            NamedReading(sensor="memory_percent", reading=Sample(value=float(second % 100))),
            NamedReading(sensor="battery_percent", reading=Gap(reason=GapReason.ABSENT, detail="no battery")),
        ),
    )


def load_second_at(second: int, *, segment: int = 1, histogram: str = "", schedule_lag: str = "") -> LoadSecond:
    """One second of a segment that began with the start."""
    return LoadSecond(
        segment=segment,
        second=second,
        at_mono_s=START_MONO_S + second,
        at_utc_s=START_UTC_S + second,
        succeeded=4,
        failed=1,
        response_succeeded=histogram,
        response_failed="",
        operations_due=5 * (second + 1),
        operations_started=5 * (second + 1),
        connections_open=2,
        bytes_received=512,
        generator_cpu_s=0.02,
        loop_lag_s_max=0.001,
        workers=2,
        generator_cpu_s_max=0.015,
        operations_dropped=second,
        schedule_lag=schedule_lag,
        in_flight_s=0.25,
        service_s_sum=0.24,
        gc_pause_s_sum=0.002,
        gc_pause_s_max=0.001,
        descriptors_share_max=0.02,
        ports_share_max=0.01,
        bytes_sent=256,
        messages_sent=3,
        messages_received=2,
        reconnects=1,
    )


def event_at(second: float, text: str = "phase warmup began") -> EventRecord:
    """An event that many seconds after the start."""
    return EventRecord(
        at_mono_s=START_MONO_S + second, at_utc_s=START_UTC_S + second, kind="machine", name="phase", text=text
    )


def segment_record(segment: int = 1, *, name: str = "warmup", kind: SegmentKind = SegmentKind.PHASE) -> SegmentRecord:
    """A segment that began with the start."""
    return SegmentRecord(segment=segment, kind=kind, name=name, start_mono_s=START_MONO_S, start_utc_s=START_UTC_S)


def phase_record(index: int = 0, *, reason: str = "all criteria were met") -> PhaseRecord:
    """A phase that was completed."""
    return PhaseRecord(
        index=index,
        name="warmup",
        outcome=Outcome.COMPLETED,
        reason=reason,
        segment=1,
        anchor_segment=-1,
        start_mono_s=START_MONO_S,
        end_mono_s=START_MONO_S + 60,
        start_utc_s=START_UTC_S,
        end_utc_s=START_UTC_S + 60,
        health_at_arming=KnownScore(value=92.0),
        eased_s=0.0,
        load=LOAD_FACTS,
    )


def search_step(step: int = 0, *, segment: int = 3, state: StepState = StepState.PASSED) -> SearchStep:
    """One rate of a search: 50/s in its first step, twice as much in each further one."""
    return SearchStep(
        segment=segment,
        step=step,
        operations_per_s=50.0 * 2**step,
        start_mono_s=START_MONO_S + 100 + 5 * step,
        end_mono_s=START_MONO_S + 105 + 5 * step,
        operations_due=250,
        operations_started=249,
        operations_dropped=1,
        succeeded=248,
        failed=1,
        response_s_mean=Sample(value=0.02),
        response_s_p99=Gap(reason=GapReason.ABSENT, detail="nothing was recorded"),
        state=state,
        reason="every criterion was met",
    )


def search_record(phase: int = 0) -> SearchRecord:
    """A search that was worked through."""
    return SearchRecord(
        phase=phase,
        segment=3,
        passing_per_s=Sample(value=200.0),
        failing_per_s=Sample(value=210.0),
        limited_by=StepState.FAILED,
        overshoot_percent=Sample(value=90.5),
        complete=True,
        reason="the bracket is narrow enough",
        load=LOAD_FACTS,
    )


def drill_fact(path: DrillPath = DrillPath.STOP_FILE, *, seconds: float = 0.06) -> DrillFact:
    """A stop path that worked in the drill."""
    return DrillFact(path=path, seconds=seconds, seconds_max=0.5, passed=True, detail="the load process was gone")


def campaign_end() -> CampaignEnd:
    """The end of a night that was worked through."""
    return CampaignEnd(
        cause=EndCause.FINISHED,
        detail="the plan was worked through",
        ended_mono_s=START_MONO_S + 600,
        ended_utc_s=START_UTC_S + 600,
        stop_seconds=-1.0,
        quiet=QuietFact(processes_left=(), checks=("no marked process",), seconds=0.02),
    )


def host_facts() -> HostFacts:
    """A small machine."""
    return HostFacts(
        daybreak_version="0.1.0",
        python_version="3.11.7",
        sqlite_version="3.40.1",
        kernel="Linux 6.1",
        host="testbench",
        cpu_count=2,
        memory_bytes=8 << 30,
        boot_id="b00t",
    )


def night_order() -> NightOrder:
    """A night of one phase."""
    phase = PhaseOrder(
        index=0,
        name="warmup",
        level="low",
        connections=2,
        operations_per_session=10,
        operations_per_s=1.0,
        ramp_s=3.0,
        hold_s=57.0,
        scaled_from_s=1800.0,
        threshold_multiplier=0.8,
        required_health=60.0,
        success_percent_min=95.0,
        response_s_mean_max=2.0,
        operations_expected=120,
        cut="",
    )
    gate = GateSpec(
        gate="phase-0-success",
        kind=GateKind.PHASE_SUCCESS,
        phase=0,
        rule="at least 95 % of operations succeed",
        threshold=95.0,
        judged=Judged(),
    )
    return NightOrder(
        schema_version=SCHEMA_VERSION,
        run_id="20231114T221320Z-night",
        name="night",
        zone="Europe/Berlin",
        planned_start_utc_s=START_UTC_S,
        window_end_utc_s=START_UTC_S + 600,
        window_s=600.0,
        compressed_to_s=600.0,
        rehearsal=True,
        baseline_idle_s=10.0,
        break_s=5.0,
        cooldown_s=30.0,
        window_length_s=1.0,
        targets=("http://127.0.0.1:8080",),
        operations=("get",),
        anchor=AnchorOrder(
            connections=2,
            operations_per_session=10,
            operations_per_s=1.0,
            ramp_s=1.0,
            hold_s=9.0,
            operations_expected=18,
        ),
        phases=(phase,),
        gates=(gate,),
        gates_sha256="00",
        plan_sha256="11",
        seed=7,
        host_sample_period_s=1.0,
        health_minimum=70.0,
        consecutive_failures_max=3,
        response_s_slo=0.5,
        response_s_limit=2.0,
        error_percent_slo=1.0,
        error_percent_limit=5.0,
    )


def night_meta() -> Meta:
    """meta.json of that night."""
    return Meta(
        schema_version=SCHEMA_VERSION,
        order=night_order(),
        host=host_facts(),
        protections=(Protection(name="pidfd", works=True, detail=""),),
    )


def number_of(sequence: int, *, life: int = 1, producer: Producer = Producer.SUPERVISOR) -> RecordNumber:
    """The number of a record of the first life."""
    return RecordNumber(life=life, producer=producer, sequence=sequence)


def recorder_facts(*, life: int = 9, records_put: int = 120) -> RecorderFacts:
    """A life of the recorder in which nothing went wrong."""
    return RecorderFacts(
        life=life,
        records_put=records_put,
        committed=records_put,
        spilled=0,
        lost=0,
        refused=0,
        repeated=0,
        commit_s="",
        sync_s="",
        log_bytes_max=4096,
        fault="",
    )


def one_of_each() -> tuple[Record, ...]:
    """One record of every type that is stored."""
    return (
        segment_record(),
        host_sample_at(0),
        load_second_at(0),
        LoadMinute(
            segment=1,
            minute=0,
            operation=0,
            succeeded=118,
            failed=1,
            response_succeeded="",
            response_failed="",
            service_succeeded="",
        ),
        MemorySecond(
            segment=1,
            second=0,
            at_mono_s=START_MONO_S,
            at_utc_s=START_UTC_S,
            share=1.0,
            due_bytes=50 << 20,
            held_bytes=50 << 20,
            resident_bytes=66 << 20,
            achieved_bytes=50 << 20,
        ),
        ErrorGroup(segment=1, minute=0, operation=0, error=ErrorClass.RESET, message="closed by peer", count=1),
        event_at(0),
        GuardianEvent(
            at_mono_s=START_MONO_S + 5, at_utc_s=START_UTC_S + 5, rung=Rung.EASE, share=0.5, why="memory 81 % of 80 %"
        ),
        phase_record(),
        AnchorRecord(
            segment=2,
            before_phase=0,
            complete=True,
            reason="",
            start_mono_s=START_MONO_S,
            end_mono_s=START_MONO_S + 10,
            start_utc_s=START_UTC_S,
            load=LOAD_FACTS,
            health=HEALTH,
        ),
        BaselineRecord(
            idle_segment=0,
            anchor_segment=2,
            health=HEALTH,
            host_means={"cpu_percent": 3.5},
            noise_cv={"cpu_percent": 0.2},
            gaps={"battery_percent": "no battery"},
            response_s_mean=Sample(value=0.004),
            success_percent=Gap(reason=GapReason.FAILED, detail="no operation ended"),
            phases_allowed=8,
        ),
        search_step(),
        search_record(),
        night_order(),
        host_facts(),
        drill_fact(),
        recorder_facts(),
        campaign_end(),
    )
