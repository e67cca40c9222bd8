"""One request to a target before the night, to see whether it answers and whether it speaks HTTP.

On the standard library, to the pinned address, bounded in time and bytes. It carries its own User-Agent, so that a
server's log tells it from load. The launcher's process uses it.
"""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass

from baseline_metrics.target_policy import PinnedTarget
from stress_scenarios.load_plan import HeaderField

PROBE_S_MAX = 2.0
"""For the whole probe. The preflight promises its table within 3 s."""

USER_AGENT = "daybreak-probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """What to ask: GET or HEAD of a path, with the headers that the operation would have."""

    method: str
    path: str
    headers: tuple[HeaderField, ...]
    ca_file: str


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
    """Ask once, for real. Never raises for the target's sake."""
    where = f"{target.host} ({target.address}) port {target.port}"
    try:
        status, server = _ask(target, request)
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


def _ask(target: PinnedTarget, request: ProbeRequest) -> tuple[int, str]:
    expired = threading.Event()
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(socket.create_connection((target.address, target.port), timeout=PROBE_S_MAX))

        def expire() -> None:
            # The socket's own timeout starts anew with every byte, so a drip of bytes would outlast it.
            expired.set()
            with contextlib.suppress(OSError):
                plain.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(PROBE_S_MAX, expire)
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
    headers = {"User-Agent": USER_AGENT, "Accept": "*/*", **headers, "Connection": "close"}
    netloc = target.url.partition("://")[2]
    connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", netloc)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    server = "".join(character for character in response.getheader("Server", "") if character.isprintable())
    return response.status, server[:60]
