"""The one request to a target, against real sockets that behave and misbehave."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

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
from tests.stress_scenarios.websocket_servers import EchoServer, echo_server, mosquitto_server

HANG_S = 30.0
LEFT_S_MAX = 10.0

SOCKET = ProbeRequest(method="GET", path="/echo", headers=(), ca_file="", websocket=True)
REQUEST = ProbeRequest(method="GET", path="/shop?q=1", headers=(HeaderField(name="X-Token", value="abc"),), ca_file="")


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EchoServer]:
    """Run a WebSocket server; its counts go on."""
    with echo_server(tmp_path_factory.mktemp("echo")) as server:
        yield server


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


def test_a_websocket_is_asked_to_open_with_its_subprotocols() -> None:
    """As the load would open it; that the server switches over is answer enough."""
    heads: list[bytes] = []

    def switch(connection: socket.socket) -> None:
        heads.append(connection.recv(4096))
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")

    request = ProbeRequest(
        method="GET", path="/socket", headers=(), ca_file="", websocket=True, subprotocols=("v2", "v1")
    )
    with serving(switch) as port:
        answer = http_probe(pinned(port), request)

    assert answer == ProbeAnswered(status=101, server="")
    (head,) = heads
    assert head.startswith(b"GET /socket HTTP/1.1\r\n")
    for line in (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Protocol: v2, v1"):
        assert line in head.split(b"\r\n")


@pytest.mark.process
@pytest.mark.parametrize(("path", "status"), [("/echo", 101), ("/nowhere", 404), ("/moved", 302)])
def test_a_real_websocket_server_opens_or_says_why_not(echo: EchoServer, path: str, status: int) -> None:
    """It counts one handshake, hears the probe's name, and sees no message."""
    before = echo.seen()
    answer = http_probe(pinned(echo.port), replace(SOCKET, path=path))
    after = echo.seen()

    assert isinstance(answer, ProbeAnswered)
    assert answer.status == status
    assert after["asked"][len(before["asked"]) :] == [path]
    assert after["agents"][-1] == USER_AGENT
    assert after["received"] == before["received"]


@pytest.mark.process
def test_a_real_websocket_server_is_left_at_once(echo: EchoServer) -> None:
    """A WebSocket that the preflight opened does not stay open."""
    assert isinstance(http_probe(pinned(echo.port), SOCKET), ProbeAnswered)
    deadline_mono_s = time.monotonic() + LEFT_S_MAX
    while echo.seen()["open"]:
        assert time.monotonic() < deadline_mono_s
        time.sleep(0.02)


@pytest.mark.process
def test_a_broker_accepts_the_subprotocol_that_it_knows(tmp_path: Path) -> None:
    """Mosquitto, with and without the name of its own protocol; that no message passes is for the load to find out."""
    with mosquitto_server(tmp_path) as server:
        for offered in (("mqtt",), ()):
            answer = http_probe(pinned(server.port), replace(SOCKET, path="/mqtt", subprotocols=offered))
            assert isinstance(answer, ProbeAnswered)
            assert answer.status == 101


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x81\x05hello", b"", b"101 Switching\r\n\r\n"])
def test_who_answers_a_handshake_with_something_else_is_named_so(answer: bytes) -> None:
    """Another protocol, a frame without a handshake, a closed connection."""

    def reply(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    with serving(reply) as port:
        failed = http_probe(pinned(port), SOCKET)

    assert isinstance(failed, ProbeFailed)
    assert "not in HTTP" in failed.reason


@pytest.mark.process
def test_a_handshake_that_is_never_answered_takes_two_seconds() -> None:
    """As for a request."""
    stop = threading.Event()
    with serving(lambda _: ignore(stop)) as port:
        failed = http_probe(pinned(port), SOCKET)
        stop.set()

    assert isinstance(failed, ProbeFailed)
    assert "did not answer within 2 s" in failed.reason


def ignore(stop: threading.Event) -> None:
    """Hold a connection without a word."""
    stop.wait(HANG_S)
