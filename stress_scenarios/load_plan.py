"""What load is asked of a worker: the order, complete and frozen, as it travels over the pipe.

Nothing here knows how requests are made or paced; see pacing and the engines. Supervisor and worker use it.
"""

from dataclasses import dataclass
from enum import Enum


class EngineName(Enum):
    """Which engine a worker loads; it imports no other."""

    HTTPX = "httpx"
    WIRE = "wire"  # HTTP/1.1 on uvloop and httptools, without a coroutine per operation
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
    CHECK = "check"  # an answer that fails a check of its content
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


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationSpec:
    """One request of the mix. ``path`` begins with a slash; ``weight`` is relative to the other operations'."""

    name: str
    weight: float
    method: str
    path: str
    headers: tuple[HeaderField, ...]
    body: NoBody | TextBody
    expected_status: tuple[int, ...]
    body_contains: tuple[str, ...]
    timeout_s: float


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """Each connection intends one operation every 1/operations_per_s seconds."""

    operations_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpaced:
    """Each connection starts the next operation as soon as the last one ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOrder:
    """One segment's load for one worker.

    The load lasts ramp_s + hold_s from the start that Go names; connection i of n starts at ramp_s * i / n. Operations
    whose intended start lies before the end are requested; what is in flight then may finish within drain_s.
    ``connection_offset``: index of this worker's first connection among all workers'; ``connections_total`` among all.
    """

    segment: int
    target: TargetSpec
    operations: tuple[OperationSpec, ...]
    connections: int
    connection_offset: int
    connections_total: int
    operations_per_session: int
    pace: Paced | Unpaced
    ramp_s: float
    hold_s: float
    drain_s: float
    response_bytes_max: int
    seed: int
