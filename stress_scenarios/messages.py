"""The words between supervisor and worker, one JSON line each.

Orders go to the worker's standard input, reports come from its standard output. Telemetry is one WindowReport a
second, never a message per request. Losing either pipe means stop. Supervisor and worker use this module.
"""

from dataclasses import dataclass

from baseline_metrics.codec import Codec
from stress_scenarios.load_plan import EngineName, ErrorClass, LoadOrder
from stress_scenarios.loads.memory_order import MemoryOrder

VERSION = 2

ERROR_GROUPS_MAX = 20
"""Different error messages named in one window; further ones are counted under their class with message "(more)"."""

ERROR_MESSAGE_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Get ready for this load; answer Prepared. Nothing is sent to the target yet."""

    order: LoadOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareMemory:
    """Get ready for this memory load; answer Prepared. Only a worker of EngineName.MEMORY understands it."""

    order: MemoryOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """Start the prepared load at this instant (CLOCK_MONOTONIC, seconds)."""

    segment: int
    start_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Start nothing more; drain what is in flight; answer Drained."""

    segment: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjust:
    """From now on this worker makes this load instead, within 100 ms; it may come again and again.

    operations_per_s: Arrivals: a constant rate of this worker's part, from now on. Paced: of each connection. Else unused.
    connections: of this worker, at most; those too many leave after the operation that they are at.
    """

    segment: int
    operations_per_s: float
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Freeze the load's clock: nothing new is started, and the load's end moves away, until Continue; answer Held."""

    segment: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Continue:
    """Let the load's clock run again where it stood; nothing is made up for."""

    segment: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """End the process, exit code 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReady:
    """First words of a worker: the engine is imported, the page is mapped."""

    worker: int
    pid: int
    start_ticks: int
    engine: EngineName


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The order was understood."""

    worker: int
    segment: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The load's clock stands still: from now on nothing is started. What is in flight still ends."""

    worker: int
    segment: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationWindow:
    """One operation's completions within one window. Histograms by stress_scenarios.histogram, microseconds, encoded.

    ``operation`` indexes LoadOrder.operations. Failures are kept apart from successes in every figure.
    """

    operation: int
    succeeded: int
    failed: int
    response_succeeded: str
    response_failed: str
    service_succeeded: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCount:
    """How often one kind of failure happened within one window."""

    operation: int
    error: ErrorClass
    message: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowReport:
    """What one worker did within one second. ``sequence`` rises by one per report of a worker.

    operations_due: intended starts so far in this segment; started: requests sent so far; dropped: intended starts so far
    that were given up because they could not be sent in time. schedule_lag: how late our own side
    was with each start of the window, after its intended start had come and a connection was free; a histogram as in
    OperationWindow. A target that keeps all connections busy makes response times longer, and not this. in_flight_s: the integral of operations in flight
    over the window, by looking at least every 10 ms; service_s_sum: service times of all its completions, failures too.
    gc_pause_s_sum, gc_pause_s_max: of the garbage collector. descriptors_*: of this process and its limit.
    ports_*: of the network namespace: TCP sockets in use or in TIME_WAIT, and the range that connecting takes them from.
    A *_max of 0 says that it is not known here.
    cpu_wait_s: how long the worker could have run and had no CPU; loop_stall_s_sum: how long its loop stood still, turns that
    were 10 ms late or more added up.
    messages_*: over WebSocket, of data. reconnects: connections opened to take the place of one that broke.
    """

    worker: int
    sequence: int
    segment: int
    start_mono_s: float
    end_mono_s: float
    operations: tuple[OperationWindow, ...]
    errors: tuple[ErrorCount, ...]
    operations_due: int
    operations_started: int
    connections_open: int
    bytes_received: int
    cpu_s: float
    loop_lag_s_max: float
    operations_dropped: int = 0
    schedule_lag: str = ""
    in_flight_s: float = 0.0
    service_s_sum: float = 0.0
    gc_pause_s_sum: float = 0.0
    gc_pause_s_max: float = 0.0
    descriptors_open: int = 0
    descriptors_max: int = 0
    ports_used: int = 0
    ports_max: int = 0
    bytes_sent: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    reconnects: int = 0
    cpu_wait_s: float = 0.0
    loop_stall_s_sum: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """The segment's load is zero: everything that was started has ended, or was given up after drain_s (abandoned)."""

    worker: int
    segment: int
    operations_requested: int
    operations_started: int
    operations_succeeded: int
    operations_failed: int
    operations_abandoned: int
    connections_peak: int
    connections_opened: int
    first_start_mono_s: float
    last_end_mono_s: float
    operations_dropped: int = 0
    bytes_sent: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    reconnects: int = 0
    redirects: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryWindow:
    """A memory load at the end of one second of its segment. ``sequence`` rises by one per report of a worker.

    share: permitted; due_bytes: asked for whatever was permitted; the others as in load_page.MemoryCounts.
    """

    worker: int
    sequence: int
    segment: int
    start_mono_s: float
    end_mono_s: float
    share: float
    due_bytes: int
    held_bytes: int
    resident_bytes: int
    achieved_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDrained:
    """The segment's memory load is over and everything is released.

    release_s: how long the last release took, from the decision until the kernel had taken everything. resident_bytes_left:
    by which the process is larger than before the load. refused: the kernel's words if it gave less than was asked, or "".
    """

    worker: int
    segment: int
    peak_bytes: int
    asked_byte_s: float
    achieved_byte_s: float
    release_s: float
    resident_bytes_left: int
    refused: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFault:
    """The worker cannot go on, and leaves with exit code 70."""

    worker: int
    detail: str


ORDERS = Codec(Prepare, PrepareMemory, Go, Adjust, Hold, Continue, Release, Leave, version=VERSION)
REPORTS = Codec(
    WorkerReady, Prepared, Held, WindowReport, Drained, MemoryWindow, MemoryDrained, WorkerFault, version=VERSION
)

Order = Prepare | PrepareMemory | Go | Adjust | Hold | Continue | Release | Leave
Report = WorkerReady | Prepared | Held | WindowReport | Drained | MemoryWindow | MemoryDrained | WorkerFault
