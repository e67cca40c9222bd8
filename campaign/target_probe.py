"""One request to a target before the night, to see whether it answers and whether it speaks HTTP.

To the pinned address, bounded in time and bytes. It carries its own User-Agent, so that a server's log tells it from
load. A refused connection is tried again for a moment, since a target may be just starting. The launcher's process uses
it.
"""

import base64
import contextlib
import http.client
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_fixed

from baseline_metrics.target_policy import PinnedTarget
from stress_scenarios.load_plan import HeaderField

PROBE_S_MAX = 2.0
"""For the whole probe, attempts and waits together. The preflight promises its table within 3 s."""

ATTEMPTS_MAX = 3
ATTEMPT_EVERY_S = 0.3
REFUSED_S_MAX = 1.0
"""A server that is being started listens within a second; who takes longer is not ready to be loaded."""

_ATTEMPT_S_MIN = 0.1
"""What an attempt gets at least; a timeout of 0 would mean not to wait at all."""

USER_AGENT = "daybreak-probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """What to ask: GET or HEAD of a path, with the headers that the operation would have.

    websocket: ask to switch to WebSocket, offering these subprotocols; some servers answer nothing else.
    """

    method: str
    path: str
    headers: tuple[HeaderField, ...]
    ca_file: str
    websocket: bool = False
    subprotocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswered:
    """The target speaks HTTP."""

    status: int
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFailed:
    """It does not answer, or not in HTTP; why, and what to do."""

    reason: str
    remedy: str


Probe = Callable[[PinnedTarget, ProbeRequest], ProbeAnswered | ProbeFailed]


def http_probe(target: PinnedTarget, request: ProbeRequest) -> ProbeAnswered | ProbeFailed:
    """Ask, for real; once more only while nobody listens. Never raises for the target's sake."""
    deadline_mono_s = time.monotonic() + PROBE_S_MAX
    attempts = Retrying(
        retry=retry_if_exception_type(ConnectionRefusedError),
        stop=stop_after_attempt(ATTEMPTS_MAX) | stop_after_delay(REFUSED_S_MAX),
        wait=wait_fixed(ATTEMPT_EVERY_S),
        reraise=True,
    )
    where = f"{target.host} ({target.address}) port {target.port}"
    try:
        status, server = attempts(_ask, target, request, deadline_mono_s)
    except ConnectionRefusedError:
        return ProbeFailed(reason=f"nothing listens on {where}", remedy="start the server, or correct the URL")
    except ssl.SSLError as error:
        reason = f"{where}: TLS failed: {error.reason or error}"
        return ProbeFailed(
            reason=reason, remedy="write http:// if it has no TLS, or name its certificate as target.ca_file"
        )
    except http.client.HTTPException as error:
        reason = f"{where} answers, but not in HTTP ({type(error).__name__})"
        return ProbeFailed(reason=reason, remedy="check the port; write https:// if the server speaks TLS there")
    except TimeoutError:
        return ProbeFailed(
            reason=f"{where} did not answer within {PROBE_S_MAX:g} s",
            remedy="look whether it hangs, or let a faster operation that only reads come first in the plan",
        )
    except OSError as error:
        return ProbeFailed(reason=f"{where}: {error.strerror or error}", remedy="check the address and the network")
    return ProbeAnswered(status=status, server=server)


def _ask(target: PinnedTarget, request: ProbeRequest, deadline_mono_s: float) -> tuple[int, str]:
    left_s = max(_ATTEMPT_S_MIN, deadline_mono_s - time.monotonic())
    expired = threading.Event()
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(socket.create_connection((target.address, target.port), timeout=left_s))

        def expire() -> None:
            # The socket's own timeout starts anew with every byte, so a drip of bytes would outlast it.
            expired.set()
            with contextlib.suppress(OSError):
                plain.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(left_s, expire)
        timer.daemon = True
        timer.start()
        stack.callback(timer.cancel)
        try:
            used = stack.enter_context(_secured(plain, target, request.ca_file)) if target.scheme == "https" else plain
            return _exchange(used, target, request)
        except (OSError, http.client.HTTPException) as error:
            if expired.is_set():
                raise TimeoutError from error
            raise


def _secured(plain: socket.socket, target: PinnedTarget, ca_file: str) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=ca_file or None)
    return context.wrap_socket(plain, server_hostname=target.host)


def _exchange(used: socket.socket, target: PinnedTarget, request: ProbeRequest) -> tuple[int, str]:
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = used
    headers = {header.name: header.value for header in request.headers}
    headers = {"User-Agent": USER_AGENT, "Accept": "*/*", **headers, **_of_connection(request)}
    netloc = target.url.partition("://")[2]
    connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", netloc)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    server = "".join(character for character in response.getheader("Server", "") if character.isprintable())
    return response.status, server[:60]


def _of_connection(request: ProbeRequest) -> dict[str, str]:
    if not request.websocket:
        return {"Connection": "close"}
    key = base64.b64encode(secrets.token_bytes(16)).decode("ascii")  # RFC 6455, 4.1
    asked = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    if request.subprotocols:
        asked["Sec-WebSocket-Protocol"] = ", ".join(request.subprotocols)
    return asked
