"""The words between supervisor and guardian, one JSON line each.

Orders go to the guardian's standard input, reports come from its standard output. The guardian never waits for an
order to stop load; it only tells what it did. Supervisor and guardian use this module (standard library only).
"""

from dataclasses import dataclass
from enum import Enum

from baseline_metrics.codec import Codec
from baseline_metrics.samples import Reading
from safety_monitoring.limits import Limits, Rung

VERSION = 1


class StopCause(Enum):
    """Why the guardian took all load away at once."""

    STOP_FILE = "stop_file"
    PERMIT_GONE = "permit_gone"
    WATCH_LOST = "watch_lost"  # the stop channels could not be looked at for longer than a second
    SUPERVISOR_GONE = "supervisor_gone"
    SUPERVISOR_SILENT = "supervisor_silent"
    SUPERVISOR_ASKED = "supervisor_asked"
    LIMIT = "limit"


class DrillPath(Enum):
    """A way to stop that the drill rehearses."""

    STOP_FILE = "stop_file"
    PERMIT_REMOVAL = "permit_removal"
    LEASE_EXPIRY = "lease_expiry"  # nobody renews: as if the guardian were dead, stopped or hung
    SUPERVISOR_ASKED = "supervisor_asked"
    SUPERVISOR_SILENT = "supervisor_silent"  # no heartbeat is heard: as if it were stopped, or its loop blocked
    LIMIT = "limit"  # readings past a limit, through judge and ladder
    STUBBORN_WORKER = "stubborn_worker"  # looks at neither SIGTERM nor its lease
    ESCAPED_CHILD = "escaped_child"  # forked twice, in a session of its own, its parent gone


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardianOrder:
    """How a guardian starts: read once from the file named on its command line.

    stop_paths: existence of any stops the campaign. permit_path: its absence does. disk_paths: every path written to.
    report_argv: what to execute, as its last act, when the supervisor is gone. heartbeat_s_max: silence that means hung.
    """

    run_id: str
    run_dir: str
    stop_paths: tuple[str, ...]
    permit_path: str
    journal_path: str
    disk_paths: tuple[str, ...]
    limits: Limits
    supervisor_pid: int
    supervisor_start_ticks: int
    heartbeat_s_max: float
    report_argv: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchWorker:
    """Watch this process: renew its lease, and end it when load must go. Answered by WorkerWatched or WorkerRefused.

    drill: workers of a drill stop at the drill's own paths and never end the campaign.
    """

    worker: int
    pid: int
    start_ticks: int
    page_path: str
    drill: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetWorker:
    """The process has ended and was reaped by the supervisor."""

    worker: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The supervisor's loop turned. Sent every 250 ms from the loop itself, never from a helper thread."""

    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterPhase:
    """From now on these limits hold. A rung of STOP_PHASE or below is cleared only by the guardian's own readings.

    memory_ramp_bytes_per_s: how fast the phase's own load takes memory; the guardian looks the more often.
    """

    phase: str
    limits: Limits
    memory_ramp_bytes_per_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AskReturn:
    """The supervisor's key: let load return, if the guardian's readings have been inside the limits for their hold time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndLoad:
    """Take all load away at once: share 0, lease revoked, killed after 30 ms. Answered by LoadEnded."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginDrill:
    """Rehearse one path with the drill worker that is being watched. For file paths, the supervisor touches or removes it."""

    path: DrillPath
    stop_path: str
    permit_path: str
    worker: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclude:
    """The campaign is over: end what is still watched, exit 0, start nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """One row of the protection matrix: what was tried, whether reading it back showed that it works."""

    name: str
    works: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardianReady:
    """The guardian's sensors, stop channels and kill path were tried and work."""

    pid: int
    start_ticks: int
    protections: tuple[Protection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerWatched:
    """The guardian holds a handle of the worker and renews its lease. Only now may the worker get Go."""

    worker: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRefused:
    """The guardian will not watch this process; it must not get Go."""

    worker: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderMoved:
    """The guardian changed the permitted share. ``why`` names resource, reading, limit and duration."""

    rung: Rung
    share: float
    why: str
    at_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingsClear:
    """All readings have been back inside the limits for their hold time; load returns when the supervisor asks."""

    at_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadEnding:
    """Every lease was just revoked; the processes end now, and LoadEnded follows. Until then their deaths are no crashes.

    Said before anybody is waited for, because a process that cannot be ended keeps LoadEnded back for seconds.
    """

    cause: StopCause
    detail: str
    at_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadEnded:
    """All watched load processes are gone. seconds: from the guardian seeing the cause until the last one was gone."""

    cause: StopCause
    detail: str
    workers: tuple[int, ...]
    seen_mono_s: float
    seconds: float
    survivors: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillEnded:
    """One rehearsed path: seconds from the cause being seen until the drill worker was gone."""

    path: DrillPath
    seen_mono_s: float
    gone_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SenseReading:
    """What one of the slower senses says; a gap where the host lacks it, or it does not answer. unit: as people read it."""

    name: str
    reading: Reading
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardianBeat:
    """Sent once a second: the guardian's loop turns. What it read, for status screens and its journal."""

    sequence: int
    at_mono_s: float
    loop_lag_s_max: float
    memory_percent: Reading
    cpu_percent: Reading
    disk_percent: Reading
    senses: tuple[SenseReading, ...] = ()


ORDERS = Codec(
    WatchWorker, ForgetWorker, Heartbeat, EnterPhase, AskReturn, EndLoad, BeginDrill, Conclude, version=VERSION
)
REPORTS = Codec(
    GuardianReady,
    WorkerWatched,
    WorkerRefused,
    LadderMoved,
    ReadingsClear,
    LoadEnding,
    LoadEnded,
    DrillEnded,
    GuardianBeat,
    version=VERSION,
)

Order = WatchWorker | ForgetWorker | Heartbeat | EnterPhase | AskReturn | EndLoad | BeginDrill | Conclude
Report = (
    GuardianReady
    | WorkerWatched
    | WorkerRefused
    | LadderMoved
    | ReadingsClear
    | LoadEnding
    | LoadEnded
    | DrillEnded
    | GuardianBeat
)
