"""Facts of a night, as they are stored: what was intended, what happened. No judgement lives here.

The supervisor makes these records, the recorder and the journal write them, the reporter reads them again. Intent is
fixed before the first load (NightOrder, with the gates and their hash); facts are written once.
"""

from dataclasses import dataclass
from enum import Enum

from baseline_metrics.health import Health, Score
from baseline_metrics.samples import Reading
from monitoring_logs.load_orders import (
    NO_MEMORY_LOAD,
    NO_SEARCH,
    PACED_BY_RATE,
    MemoryLoad,
    NoMemoryLoad,
    NoSearch,
    PacedByRate,
    SearchOrder,
)
from monitoring_logs.memory_records import NO_MEMORY_HELD, MemoryFacts, NoMemoryHeld
from safety_monitoring.limits import Rung
from safety_monitoring.messages import DrillPath, Protection
from stress_scenarios.load_plan import Curve, ErrorClass, Pace

SCHEMA_VERSION = 2
"""1: until 0.1; fields that have a default here were not stored then, and are read with it."""


class Outcome(Enum):
    """How a phase ended."""

    COMPLETED = "COMPLETED"
    EASED = "EASED"
    FAILED = "FAILED"
    SAFETY_STOP = "SAFETY_STOP"
    OPERATOR_STOP = "OPERATOR_STOP"
    INVALID_GENERATOR = "INVALID_GENERATOR"
    WORKER_CRASHED = "WORKER_CRASHED"
    WORKER_HUNG = "WORKER_HUNG"
    OOM_KILLED = "OOM_KILLED"
    GUARDIAN_LOST = "GUARDIAN_LOST"
    SKIPPED = "SKIPPED"
    NOT_REACHED = "NOT_REACHED"
    RUNNER_FAULT = "RUNNER_FAULT"


class EndCause(Enum):
    """Why the campaign ended. The exit code follows from this and the verdict."""

    FINISHED = "finished"  # the plan was worked through, or what was left did not fit any more
    HEALTH_REFUSED = "health_refused"  # the baseline's health was too low, or unknown, to start any phase
    FAILURES = "failures"  # too many phases failed one after another
    OPERATOR_STOP = "operator_stop"  # stop, Ctrl-C, SIGTERM
    EMERGENCY_STOP = "emergency_stop"  # STOP file, PERMIT, second Ctrl-C, --emergency-stop: latched
    GUARDIAN_STOP = "guardian_stop"  # the guardian ended the campaign
    DRILL_MISSED = "drill_missed"  # a stop path did not work in the drill
    GUARDIAN_LOST = "guardian_lost"
    SUPERVISOR_LOST = "supervisor_lost"  # written by the guardian or by the reporter afterwards
    RUNNER_FAULT = "runner_fault"


class SegmentKind(Enum):
    """A stretch of the night that is measured on its own."""

    IDLE = "idle"  # the idle host, part of the baseline
    ANCHOR = "anchor"
    PHASE = "phase"
    SEARCH = "search"  # the last part of a phase, in which an arrival rate is searched that the target just carries


class GateKind(Enum):
    """The closed set of questions that decide the verdict."""

    PHASE_SUCCESS = "phase_success"  # share of operations that succeeded, percent, at least
    PHASE_RESPONSE = "phase_response"  # mean response time of successes, seconds, at most
    PHASE_RESPONSE_P99 = "phase_response_p99"  # p99 of response time of successes, seconds, at most
    PHASE_ACHIEVED = "phase_achieved"  # operations started of those requested, percent, at least
    PHASE_MEMORY = (
        "phase_memory_achieved"  # memory held of what was asked, at its peak and over time, percent, at least
    )
    PHASES_PASSED = "phases_passed"  # share of planned phases that passed, percent, at least
    OPERATIONS_SUCCEEDED = "operations_succeeded"  # share over the whole night, percent, at least
    NO_GUARDIAN_STOP = "no_guardian_stop"
    NO_ANCHOR_DRIFT = "no_anchor_drift"  # response time at the anchor load, change in percent, at most
    BASELINE_HEALTH = "baseline_health"  # score before the first phase, at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The gate counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotJudged:
    """The gate cannot be decided in this night and does not count; the reason is the planner's arithmetic."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSpec:
    """One gate, fixed before the night. phase: index of the phase, or -1 for the campaign as a whole."""

    gate: str
    kind: GateKind
    phase: int
    rule: str
    threshold: float
    judged: Judged | NotJudged


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseOrder:
    """One phase as planned for this night, after fitting. operations_per_s: intended, of one connection.

    pace: the load model; for Arrivals operations_per_s is the mean over the hold divided by connections, for a closed model
    in which the target sets the pace (Unpaced, Thinking) it is what an instant answer would give, at most: no request.
    search: what follows the phase's own load, beside ramp_s and hold_s. memory: what is held beside its requests.
    cut: "" when the phase runs, else why the planner cut it. scaled_from_s: its duration in the plan.
    """

    index: int
    name: str
    level: str
    connections: int
    operations_per_session: int
    operations_per_s: float
    ramp_s: float
    hold_s: float
    scaled_from_s: float
    threshold_multiplier: float
    required_health: float
    success_percent_min: float
    response_s_mean_max: float
    operations_expected: int
    cut: str
    pace: Pace | PacedByRate = PACED_BY_RATE
    ramp_curve: Curve = Curve.LINEAR
    search: NoSearch | SearchOrder = NO_SEARCH
    memory: NoMemoryLoad | MemoryLoad = NO_MEMORY_LOAD


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorOrder:
    """The anchor load: the same before each phase and at the end."""

    connections: int
    operations_per_session: int
    operations_per_s: float
    ramp_s: float
    hold_s: float
    operations_expected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NightOrder:
    """Everything that was decided before the first load. Stored in meta.json and as the journal's first entry.

    zone: IANA name for people's times. compressed_to_s: 0 when the night has its planned length.
    gates_sha256: over the canonical JSON of ``gates``; a report refuses to judge when it does not match.
    """

    schema_version: int
    run_id: str
    name: str
    zone: str
    planned_start_utc_s: float
    window_end_utc_s: float
    window_s: float
    compressed_to_s: float
    rehearsal: bool
    baseline_idle_s: float
    break_s: float
    cooldown_s: float
    window_length_s: float
    targets: tuple[str, ...]
    operations: tuple[str, ...]
    anchor: AnchorOrder
    phases: tuple[PhaseOrder, ...]
    gates: tuple[GateSpec, ...]
    gates_sha256: str
    plan_sha256: str
    seed: int
    host_sample_period_s: float
    health_minimum: float
    consecutive_failures_max: int
    response_s_slo: float
    response_s_limit: float
    error_percent_slo: float
    error_percent_limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """Who ran: for the report's last section and for comparing nights. No secrets, no addresses of people."""

    daybreak_version: str
    python_version: str
    sqlite_version: str
    kernel: str
    host: str
    cpu_count: int
    memory_bytes: int
    boot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillFact:
    """One rehearsed stop path. seconds: from the act (touch, unlink, silence, request) until the load process was gone."""

    path: DrillPath
    seconds: float
    seconds_max: float
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFacts:
    """Asked against achieved, of one segment. *_page counts come from the workers' pages and are exact even after a kill.

    operations_requested: intended starts before the end of HOLDING. abandoned: started, neither succeeded nor failed.
    dropped: intended, and given up because they could not be sent in time. messages_*: over WebSocket. reconnects: in the
    place of connections that broke. redirects: answers that pointed elsewhere.
    """

    connections_requested: int
    connections_peak: int
    connections_opened: int
    operations_requested: int
    operations_started: int
    operations_succeeded: int
    operations_failed: int
    operations_abandoned: int
    hold_s_requested: float
    hold_s_achieved: float
    bytes_received: int
    operations_dropped: int = 0
    bytes_sent: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    reconnects: int = 0
    redirects: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRecord:
    """The one record of a phase: what was asked, what was achieved, how it ended, why.

    start_mono_s, end_mono_s: of its load; equal when there was none. anchor_segment: the anchor judged before it, or -1.
    segment: index of its measurements, or -1 when it made no load. eased_s: how long the permitted share was below 1.
    held_s: how long a person had paused it; its clock stood still meanwhile.
    """

    index: int
    name: str
    outcome: Outcome
    reason: str
    segment: int
    anchor_segment: int
    start_mono_s: float
    end_mono_s: float
    start_utc_s: float
    end_utc_s: float
    health_at_arming: Score
    eased_s: float
    load: LoadFacts
    held_s: float = 0.0
    memory: NoMemoryHeld | MemoryFacts = NO_MEMORY_HELD


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorRecord:
    """One run of the anchor load. before_phase: index of the phase it precedes; -1 for the last one of the night."""

    segment: int
    before_phase: int
    complete: bool
    reason: str
    start_mono_s: float
    end_mono_s: float
    start_utc_s: float
    load: LoadFacts
    health: Health


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRecord:
    """The idle host and the target at the anchor load. noise_cv: coefficient of variation by sensor, where known."""

    idle_segment: int
    anchor_segment: int
    health: Health
    host_means: dict[str, float]
    noise_cv: dict[str, float]
    gaps: dict[str, str]
    response_s_mean: Reading
    success_percent: Reading
    phases_allowed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRecord:
    """A stretch of the night that has measurements."""

    segment: int
    kind: SegmentKind
    name: str
    start_mono_s: float
    start_utc_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSecond:
    """All workers' completions of one second of one segment, merged. Histograms encoded, microseconds of response time.

    workers: how many are in it (0: not recorded). Fields of the generator as in WindowReport; *_s_max and *_share_max: of
    the worst worker, generator_cpu_s: of all. *_share_max: used of the limit, 0..1.
    generator_busy_s_max: CPU time and time of waiting for a CPU together. loop_stall_s_max: how long its loop stood still.
    """

    segment: int
    second: int
    at_mono_s: float
    at_utc_s: float
    succeeded: int
    failed: int
    response_succeeded: str
    response_failed: str
    operations_due: int
    operations_started: int
    connections_open: int
    bytes_received: int
    generator_cpu_s: float
    loop_lag_s_max: float
    workers: int = 0
    generator_cpu_s_max: float = 0.0
    operations_dropped: int = 0
    schedule_lag: str = ""
    in_flight_s: float = 0.0
    service_s_sum: float = 0.0
    gc_pause_s_sum: float = 0.0
    gc_pause_s_max: float = 0.0
    descriptors_share_max: float = 0.0
    ports_share_max: float = 0.0
    bytes_sent: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    reconnects: int = 0
    generator_busy_s_max: float = 0.0
    loop_stall_s_max: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadMinute:
    """One operation's completions of one minute (or less, at a segment's end) of one segment."""

    segment: int
    minute: int
    operation: int
    succeeded: int
    failed: int
    response_succeeded: str
    response_failed: str
    service_succeeded: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """How often one failure was seen in one minute of one segment."""

    segment: int
    minute: int
    operation: int
    error: ErrorClass
    message: str
    count: int


TIME_KIND = "time"
"""The kind of events that tell of time itself: names SUSPENDED and CLOCK_STEP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """Something that happened, for the timeline. kind: a closed word such as "guardian", "operator", "machine", "worker"."""

    at_mono_s: float
    at_utc_s: float
    kind: str
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardianEvent:
    """A move of the guardian's ladder."""

    at_mono_s: float
    at_utc_s: float
    rung: Rung
    share: float
    why: str


class QuietState(Enum):
    """What a look for leftovers showed."""

    CLEAN = "clean"
    LEFT = "left"
    UNKNOWN = "unknown"  # it could not be looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietCheck:
    """One line of the quiet certificate. detail: what is left, or why nobody could look."""

    name: str
    state: QuietState
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietFact:
    """What was verified after the end: nothing of ours is left. checks: in words; certificate: each with its answer."""

    processes_left: tuple[int, ...]
    checks: tuple[str, ...]
    seconds: float
    certificate: tuple[QuietCheck, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignEnd:
    """The last fact. stop_seconds: from the stop's cause until load was zero, -1 when nothing was stopped."""

    cause: EndCause
    detail: str
    ended_mono_s: float
    ended_utc_s: float
    stop_seconds: float
    quiet: QuietFact


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """meta.json: the order, the host, the protection matrix."""

    schema_version: int
    order: NightOrder
    host: HostFacts
    protections: tuple[Protection, ...]
