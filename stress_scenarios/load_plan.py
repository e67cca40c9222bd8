"""What load is asked of a worker: the order, complete and frozen, as it travels over the pipe.

Nothing here knows how requests are made or paced; see pacing and the engines. Supervisor and worker use it.
"""

from dataclasses import dataclass
from enum import Enum


class EngineName(Enum):
    """Which engine a worker loads; it imports no other."""

    HTTPX = "httpx"
    WIRE = "wire"  # HTTP/1.1 on uvloop and httptools, without a coroutine per operation
    MEMORY = "memory"  # no engine for requests: it holds memory, see loads.memory_load
    DRILL = "drill"  # a small real load on the worker's own core, for rehearsing stops without a target


class ErrorClass(Enum):
    """Why an operation failed, from the caller's side."""

    REFUSED = "refused"  # nobody listens there
    RESET = "reset"  # the peer closed or reset the connection under us
    TIMEOUT = "timeout"  # connect, read, write or the whole operation took longer than allowed
    TLS = "tls"  # handshake or certificate
    DNS = "dns"  # the name did not resolve
    PROTOCOL = "protocol"  # the answer is not HTTP
    TOO_LARGE = "too_large"  # the answer exceeds the size limit
    STATUS = "status"  # an answer with a status that the operation does not expect
    CHECK = "check"  # an answer that fails a check of its content, or lacks what was to be extracted
    NO_REPLY = "no_reply"  # a message over WebSocket that was not answered in time
    UNMATCHED = "unmatched"  # a reply over WebSocket to a request that nobody waits for
    SCENARIO = (
        "scenario"  # the scenario itself: code that raised or blocked, a variable without a value, a feeder run dry
    )
    CLIENT = "client"  # our own client could not send it; says nothing about the target
    OTHER = "other"  # anything else, with its message


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderField:
    """One header of a request. secrets: parts of the value that no text may show; a stored record has none."""

    name: str
    value: str
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NoBody:
    """The request has no body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBody:
    """The request's body, sent as UTF-8."""

    content: str
    content_type: str


class Stage(Enum):
    """When a session performs an operation."""

    SETUP = "setup"  # each session begins with these, in the plan's order
    MIX = "mix"  # chosen by weight, operations_per_session of them
    TEARDOWN = "teardown"  # each session ends with these, unless the load is over
    CODE = "code"  # only Python scenario code performs it, under this name


class Source(Enum):
    """Where in an answer an extraction looks."""

    JSON = "json"  # expression: a JSON path such as $.items[0].id
    REGEX = "regex"  # expression: a regular expression over the body; its first group, else all of the match
    HEADER = "header"  # expression: the name of a header


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """A value taken from an answer into the session's variable ``variable``; without a value the operation fails (CHECK)."""

    variable: str
    source: Source
    expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonCheck:
    """The value at the JSON path equals this text, compared as JSON when ``expected`` is JSON, else as text."""

    path: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonPresent:
    """There is a value at the JSON path."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexCheck:
    """The body matches somewhere."""

    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyCheck:
    """The service time is at most this, seconds."""

    service_s_max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeCheck:
    """The body, decoded, has at least and at most so many bytes."""

    bytes_min: int
    bytes_max: int


Check = JsonCheck | JsonPresent | RegexCheck | LatencyCheck | SizeCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkTime:
    """A pause after the operation's end, drawn evenly between two lengths, seconds. Both 0: none."""

    seconds_min: float
    seconds_max: float


NO_THINK = ThinkTime(seconds_min=0.0, seconds_max=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """The operation is an HTTP request: method, path, headers and body of its spec."""


HTTP = HttpRequest()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketRequest:
    """The operation is a message over the session's WebSocket at the spec's path, answered by a message with the same id.

    message: a template in which ${request_id} is the id. reply_id: JSON path of the id within a reply. A message without
    one is a push: counted, and no error. reply_id "": whatever comes next is the reply.
    """

    message: str
    reply_id: str
    subprotocols: tuple[str, ...]


TEMPLATE_START = "${"
"""Begins every placeholder of a template, and the literal ``$${`` as well: who has one is filled in for each request."""

ENVIRONMENT_START = "${env:"
"""Begins a secret by reference, which is resolved before the load and is no placeholder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationSpec:
    """One request of the mix. ``path`` begins with a slash; ``weight`` is relative to the other operations'.

    path, header values and body may be templates: ``${name}`` is a variable of the session. See stress_scenarios.template.
    """

    name: str
    weight: float
    method: str
    path: str
    headers: tuple[HeaderField, ...]
    body: NoBody | TextBody
    expected_status: tuple[int, ...]
    body_contains: tuple[str, ...]
    timeout_s: float
    stage: Stage = Stage.MIX
    extractions: tuple[Extraction, ...] = ()
    checks: tuple[Check, ...] = ()
    think: ThinkTime = NO_THINK
    kind: HttpRequest | WebSocketRequest = HTTP
    redirects_max: int = 0  # followed within the operation; 0: counted, not followed

    @property
    def has_placeholders(self) -> bool:
        """Whether what is sent differs from session to session, or is escaped: see stress_scenarios.template."""
        texts = [self.path, *(field.value for field in self.headers)]
        if isinstance(self.body, TextBody):
            texts.append(self.body.content)
        return any("${" in text for text in texts)


class FeederFormat(Enum):
    """How a feeder's file is written, UTF-8."""

    CSV = "csv"  # a header line, then one row a line
    JSON_LINES = "json_lines"  # one object a line


class FeederOrder(Enum):
    """Which row a session gets."""

    SEQUENTIAL = "sequential"  # one after another, from the start again after the last
    RANDOM = "random"  # drawn, seeded
    UNIQUE = "unique"  # each row at most once over all workers and within one load; then it is dry: failures (SCENARIO)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederSpec:
    """Rows for sessions: each session takes one at its start; its values are the variables ``name.column``.

    path: absolute. sha256: of the file as the plan saw it; a worker refuses another one.
    """

    name: str
    path: str
    sha256: str
    format: FeederFormat
    order: FeederOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class NoCode:
    """Sessions perform the declared operations."""


NO_CODE = NoCode()


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonScenario:
    """Sessions are calls of a coroutine function. code: "/absolute/file.py:function", or the name of an entry point.

    sha256: of the file as the plan saw it; "" for an entry point.
    """

    code: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable that every session begins with."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    """Whom to load. ``address`` is the pinned numeric address: names are resolved once, before the night.

    ``url`` keeps scheme, host name and port (Host header, TLS name); ``ca_file`` is "" for the system's trust store.
    """

    name: str
    url: str
    address: str
    port: int
    headers: tuple[HeaderField, ...]
    ca_file: str
    connect_s_max: float = 600.0  # within an operation's own timeout, which is at most 600 s: no limit of its own
    first_byte_s_max: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """Each connection intends one operation every 1/operations_per_s seconds."""

    operations_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpaced:
    """Each connection starts the next operation as soon as the last one ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """Each connection starts the next operation a think time after the last one ended, drawn evenly, seconds."""

    seconds_min: float
    seconds_max: float


class Curve(Enum):
    """How a ramp rises from 0 to 1 over its time p in 0..1. The middle ones are those of the earlier systems."""

    LINEAR = "linear"  # p
    EXPONENTIAL = "exponential"  # (e^(3p) - 1) / (e^3 - 1)
    LOGARITHMIC = "logarithmic"  # log10(1 + 9p)
    CONSERVATIVE = "conservative"  # p^2
    AGGRESSIVE = "aggressive"  # sqrt(p)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantRate:
    """The same rate all the time. All rates are operations per second over all workers."""

    per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RampRate:
    """From one rate to another within over_s, along a curve; then the second one. over_s 0: within the whole load."""

    from_per_s: float
    to_per_s: float
    over_s: float
    curve: Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRate:
    """from_per_s, and by_per_s more after each every_s, at most to_per_s."""

    from_per_s: float
    by_per_s: float
    to_per_s: float
    every_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeRate:
    """base_per_s, but peak_per_s for lasts_s from at_s on, again after each every_s (0: once)."""

    base_per_s: float
    peak_per_s: float
    at_s: float
    lasts_s: float
    every_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SineRate:
    """mean_per_s plus amplitude_per_s times the sine of time, one wave each period_s; never below 0."""

    mean_per_s: float
    amplitude_per_s: float
    period_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SawtoothRate:
    """From one rate to another within each period_s, then from the first again."""

    from_per_s: float
    to_per_s: float
    period_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRate:
    """Arrivals at the times of a CSV file: one number a line, seconds after the load's start, ascending.

    With a header line, it is the column ``arrival_s``. path: absolute; sha256: of the file as the plan saw it.
    """

    path: str
    sha256: str


RateShape = ConstantRate | RampRate | StepRate | SpikeRate | SineRate | SawtoothRate | ReplayRate


class Spacing(Enum):
    """How arrivals lie around the shape's rate."""

    EVEN = "even"  # evenly, as the rate's integral passes whole numbers
    POISSON = "poisson"  # independent of each other, seeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Open model: operations start when the shape says so, whether or not earlier ones were answered.

    Each takes a connection that is idle, or a new one, at most LoadOrder.connections. One that finds none waits at most
    start_within_s (part of its response time) and is then dropped, which is counted.
    part, parts: this worker makes the arrivals whose number leaves this remainder (EVEN, replay), or its share (POISSON).
    """

    shape: RateShape
    spacing: Spacing
    start_within_s: float
    part: int
    parts: int


Pace = Paced | Unpaced | Thinking | Arrivals


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOrder:
    """One segment's load for one worker.

    The load lasts ramp_s + hold_s from the start that Go names. Closed models: connection i of n starts at the time when
    the ramp's curve reaches i / n. Open model: rates rise from 0 along the curve within ramp_s. Operations whose intended
    start lies before the end are requested; what is in flight then may finish within drain_s.
    ``connection_offset``: index of this worker's first connection among all workers'; ``connections_total`` among all.
    """

    segment: int
    target: TargetSpec
    operations: tuple[OperationSpec, ...]
    connections: int
    connection_offset: int
    connections_total: int
    operations_per_session: int
    pace: Pace
    ramp_s: float
    hold_s: float
    drain_s: float
    response_bytes_max: int
    seed: int
    ramp_curve: Curve = Curve.LINEAR
    variables: tuple[Variable, ...] = ()
    feeders: tuple[FeederSpec, ...] = ()
    code: NoCode | PythonScenario = NO_CODE

    @property
    def scripted(self) -> bool:
        """Whether sessions do more than repeat requests that are known beforehand."""
        return sessions_are_scripted(self.operations, variables=self.variables, feeders=self.feeders, code=self.code)


def sessions_are_scripted(
    operations: tuple[OperationSpec, ...],
    *,
    variables: tuple[Variable, ...],
    feeders: tuple[FeederSpec, ...],
    code: NoCode | PythonScenario,
) -> bool:
    """Whether sessions of these do more than repeat requests that are known beforehand; the planner asks, too."""
    return bool(variables or feeders) or isinstance(code, PythonScenario) or any(map(_is_scripted, operations))


def _is_scripted(operation: OperationSpec) -> bool:
    return (
        operation.stage is not Stage.MIX
        or bool(operation.extractions or operation.checks)
        or operation.think != NO_THINK
        or operation.redirects_max > 0
        or isinstance(operation.kind, WebSocketRequest)
        or _holds_template(operation)
    )


def _holds_template(operation: OperationSpec) -> bool:
    body = operation.body.content if isinstance(operation.body, TextBody) else ""
    headers = (header.value.replace(ENVIRONMENT_START, "") for header in operation.headers)
    return any(TEMPLATE_START in text for text in (operation.path, body, *headers))
