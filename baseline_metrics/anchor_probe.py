"""A small sequential GET load on one target, for a baseline that is measured without a campaign.

A campaign measures its anchor load with its workers; this probe needs nothing but the standard library, and is bounded
in every direction: requests, time of each, bytes of each, and whom it may reach. Runs inside baseline_collector when
that is started alone.
"""

import contextlib
import http.client
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import assert_never
from urllib.parse import urlsplit

from baseline_metrics.clock import Clock
from baseline_metrics.target_policy import PinnedTarget, RefusalKind, TargetRefused, resolve_target, system_resolver

REQUESTS = 20
"""Enough to tell a dead target from a live one and to average; at 5 s each the probe ends within 100 s."""
REQUEST_S_MAX = 5.0
"""From connecting to the last byte."""
RESPONSE_BYTES_MAX = 1 << 20
"""What is read of one answer; the rest is left on the wire and the operation counts as failed."""

_READ_BYTES = 65_536
_STATUS_FAILED = 400
_LEFT_S_MIN = 0.001
_FAILURE_CHARACTERS_MAX = 200
_DEFAULT_PORTS = {"http": 80, "https": 443}


class ProbeError(ValueError):
    """A target that the probe does not accept. The message says what to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTarget:
    """Where to, resolved once. host: as written, for the Host header and the TLS name; address: numeric."""

    scheme: str
    host: str
    port: int
    address: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOutcome:
    """What came of the probe. response_s: of each success; failures: why each other request failed."""

    response_s: tuple[float, ...]
    failures: tuple[str, ...]


class _RequestFailedError(Exception):
    """One request did not end in an acceptable answer."""


def probe_target(url: str) -> ProbeTarget:
    """Check a URL and pin its address. Raises ProbeError unless it may be loaded without anybody's special leave."""
    pinned = resolve_target(url, allow=(), resolver=system_resolver)
    match pinned:
        case TargetRefused(kind=RefusalKind.PUBLIC, reason=reason):
            raise ProbeError(f"{reason}: this probe sends nowhere else")
        case TargetRefused(reason=reason, remedy=remedy):
            raise ProbeError(f"{reason}; {remedy}")
        case PinnedTarget():
            parts = urlsplit(url)
            return ProbeTarget(
                scheme=pinned.scheme,
                host=pinned.host,
                port=pinned.port,
                address=pinned.address,
                path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            )
        case _:
            assert_never(pinned)


def probe(
    target: ProbeTarget, *, clock: Clock, requests: int = REQUESTS, request_s_max: float = REQUEST_S_MAX
) -> ProbeOutcome:
    """Send ``requests`` GETs one after the other, each on a connection of its own. Success: a status below 400.

    Response times run from before connecting to the last byte, seconds. Never raises for what the target does.
    """
    response_s: list[float] = []
    failures: list[str] = []
    for _ in range(requests):
        begun_mono_s = clock.mono_s()
        try:
            _get(target, clock=clock, until_mono_s=begun_mono_s + request_s_max)
            response_s.append(clock.mono_s() - begun_mono_s)
        except _RequestFailedError as error:
            failures.append(str(error))
        except (OSError, http.client.HTTPException, ValueError) as error:
            failures.append(f"{type(error).__name__}: {error}"[:_FAILURE_CHARACTERS_MAX])
    return ProbeOutcome(response_s=tuple(response_s), failures=tuple(failures))


def _get(target: ProbeTarget, *, clock: Clock, until_mono_s: float) -> None:
    left_s = max(_LEFT_S_MIN, until_mono_s - clock.mono_s())
    raw = socket.create_connection((target.address, target.port), timeout=left_s)
    # A socket's timeout begins anew with each byte; only cutting the connection bounds a peer that trickles.
    with raw, raw.dup() as handle:
        overdue = threading.Event()
        cut = threading.Timer(max(_LEFT_S_MIN, until_mono_s - clock.mono_s()), _cut, (handle, overdue))
        cut.daemon = True
        cut.start()
        try:
            status = _exchange(target, raw)
        except (OSError, http.client.HTTPException, ValueError):
            if overdue.is_set():
                raise _RequestFailedError("no complete answer in time") from None
            raise
        finally:
            cut.cancel()
            cut.join()
        if overdue.is_set():
            raise _RequestFailedError("no complete answer in time")
        if status >= _STATUS_FAILED:
            raise _RequestFailedError(f"status {status}")


def _cut(handle: socket.socket, overdue: threading.Event) -> None:
    overdue.set()
    with contextlib.suppress(OSError):  # the peer was quicker
        handle.shutdown(socket.SHUT_RDWR)


def _exchange(target: ProbeTarget, raw: socket.socket) -> int:
    connection = http.client.HTTPConnection(target.host, target.port)
    if target.scheme == "https":
        connection.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=target.host)
    else:
        connection.sock = raw
    try:
        headers = {"Host": _host_header(target), "User-Agent": "daybreak-baseline", "Connection": "close"}
        connection.request("GET", target.path, headers=headers)
        answer = connection.getresponse()
        received = 0
        while chunk := answer.read(_READ_BYTES):
            received += len(chunk)
            if received > RESPONSE_BYTES_MAX:
                raise _RequestFailedError(f"an answer of more than {RESPONSE_BYTES_MAX} bytes")
        if answer.length:  # http.client leaves this to its caller when the body is read in pieces
            raise _RequestFailedError(f"the answer ended {answer.length} bytes early")
        return answer.status
    finally:
        connection.close()


def _host_header(target: ProbeTarget) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == _DEFAULT_PORTS[target.scheme] else f"{host}:{target.port}"
