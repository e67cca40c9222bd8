"""The one request to a target, against real sockets that behave and misbehave."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from baseline_metrics.target_policy import PinnedTarget
from campaign.target_probe import (
    ATTEMPTS_MAX,
    PROBE_S_MAX,
    REFUSED_S_MAX,
    USER_AGENT,
    ProbeAnswered,
    ProbeFailed,
    ProbeRequest,
    http_probe,
)
from stress_scenarios.load_plan import HeaderField

REQUEST = ProbeRequest(method="GET", path="/shop?q=1", headers=(HeaderField(name="X-Token", value="abc"),), ca_file="")


def pinned(port: int, scheme: str = "http") -> PinnedTarget:
    """A target on loopback under another name."""
    return PinnedTarget(
        url=f"{scheme}://shop.internal:{port}", scheme=scheme, host="shop.internal", address="127.0.0.1", port=port
    )


@contextlib.contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does this to each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_a_real_server_gets_the_operations_request_with_the_probes_name() -> None:
    """Method, path, headers, the target's name as Host, and a User-Agent that tells it from load."""
    seen: list[tuple[str, str, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.command, self.path, dict(self.headers)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Nothing on stderr."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        answer = http_probe(pinned(server.server_port), REQUEST)
        thread.join(5)

    assert isinstance(answer, ProbeAnswered)
    assert answer.status == 204
    assert answer.server.startswith("BaseHTTP")
    ((method, path, headers),) = seen
    assert (method, path) == ("GET", "/shop?q=1")
    assert headers["Host"] == f"shop.internal:{server.server_port}"
    assert headers["User-Agent"] == USER_AGENT
    assert headers["X-Token"] == "abc"


def test_nobody_listening_is_said() -> None:
    """With the address that was tried."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    answer = http_probe(pinned(port), REQUEST)

    assert isinstance(answer, ProbeFailed)
    assert answer.reason == f"nothing listens on shop.internal (127.0.0.1) port {port}"


def test_a_target_that_is_just_starting_is_waited_for_and_a_dead_one_not_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refused connection is tried three times within a second; an answer of any kind is never asked for again."""
    tries: list[float] = []
    connect = socket.create_connection

    def refused_at_first(address: tuple[str, int], timeout: float) -> socket.socket:
        tries.append(time.monotonic())
        if len(tries) < ATTEMPTS_MAX:
            raise ConnectionRefusedError
        return connect(address, timeout)

    monkeypatch.setattr(socket, "create_connection", refused_at_first)
    with serving(lambda used: used.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as port:
        assert isinstance(http_probe(pinned(port), REQUEST), ProbeAnswered)
    assert len(tries) == ATTEMPTS_MAX

    tries.clear()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert isinstance(http_probe(pinned(port), REQUEST), ProbeFailed)
    assert len(tries) == ATTEMPTS_MAX
    assert tries[-1] - tries[0] <= REFUSED_S_MAX


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x15\x03\x01\x00\x02\x02\x50", b"", b"HTTP/1.1 abc\r\n\r\n"]
)
def test_what_is_not_http_is_named_so(answer: bytes) -> None:
    """Another protocol, garbage, a closed connection."""

    def reply(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    with serving(reply) as port:
        failed = http_probe(pinned(port), REQUEST)

    assert isinstance(failed, ProbeFailed)
    assert "not in HTTP" in failed.reason


def test_endless_headers_end() -> None:
    """The library's own limit on lines and headers holds."""

    def reply(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000)

    with serving(reply) as port:
        failed = http_probe(pinned(port), REQUEST)

    assert isinstance(failed, ProbeFailed)


@pytest.mark.process
@pytest.mark.parametrize("drip", [b"", b"H"])
def test_a_target_that_hangs_or_drips_takes_two_seconds(drip: bytes) -> None:
    """A byte now and then must not keep the preflight waiting."""
    stop = threading.Event()

    def reply(connection: socket.socket) -> None:
        while not stop.wait(0.3):
            if drip:
                connection.sendall(drip)

    with serving(reply) as port:
        started = time.monotonic()
        failed = http_probe(pinned(port), REQUEST)
        elapsed_s = time.monotonic() - started
        stop.set()

    assert isinstance(failed, ProbeFailed)
    assert "did not answer within 2 s" in failed.reason
    assert elapsed_s < PROBE_S_MAX + 1.0


def test_tls_to_a_plain_server_is_said() -> None:
    """With the two likely remedies."""

    def reply(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(reply) as port:
        failed = http_probe(pinned(port, "https"), REQUEST)

    assert isinstance(failed, ProbeFailed)
    assert "TLS failed" in failed.reason
    assert "http://" in failed.remedy
