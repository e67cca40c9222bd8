"""The probe reaches only what it may, is bounded, and tells the truth about any target."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from baseline_metrics.anchor_probe import REQUESTS, ProbeError, ProbeTarget, probe, probe_target
from baseline_metrics.clock import SystemClock

HANG_S = 60.0


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[tuple[ProbeTarget, list[bytes]]]:
    """A real listener on loopback that reads each request's first bytes and lets ``answer`` do what it wants."""
    requests: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    address, port = listener.getsockname()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                requests.append(connection.recv(65_536))
                answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield ProbeTarget(scheme="http", host="target.test", port=port, address=address, path="/x?y=1"), requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(HANG_S)


def says(text: bytes) -> Callable[[socket.socket], None]:
    """A server that sends these bytes and closes."""
    return lambda connection: connection.sendall(text)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_a_good_target_is_measured_with_all_requests() -> None:
    """Twenty sequential GETs on the pinned address, with the host's name in the Host header."""
    with server(says(OK)) as (target, requests):
        outcome = probe(target, clock=SystemClock())

    assert len(outcome.response_s) == REQUESTS == len(requests)
    assert outcome.failures == ()
    assert all(0.0 < seconds < HANG_S for seconds in outcome.response_s)
    assert requests[0].startswith(b"GET /x?y=1 HTTP/1.1\r\n")
    assert f"Host: target.test:{target.port}\r\n".encode() in requests[0]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "status 500"),
        (b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n", "status 400"),
        (b"", "RemoteDisconnected"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "BadStatusLine"),
        (b"\x00\xff" * 100 + b"\r\n", "BadStatusLine"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "ended 95 bytes early"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 1_200_000, "more than 1048576 bytes"),
    ],
)
def test_what_is_no_good_answer_is_a_failure_with_its_reason(answer: bytes, why: str) -> None:
    """Error statuses, closed connections, garbage, cut and endless answers fail and say why."""
    with server(says(answer)) as (target, _):
        outcome = probe(target, clock=SystemClock(), requests=2)

    assert outcome.response_s == ()
    assert len(outcome.failures) == 2
    assert why in outcome.failures[0]


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    """A status of 3xx succeeds; where it points to is not visited."""
    text = b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n"
    with server(says(text)) as (target, requests):
        outcome = probe(target, clock=SystemClock(), requests=3)

    assert (len(outcome.response_s), outcome.failures) == (3, ())
    assert len(requests) == 3


def test_a_closed_port_is_refused() -> None:
    """Nobody listens: every operation failed, none is missing."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        target = ProbeTarget(scheme="http", host="127.0.0.1", port=port, address="127.0.0.1", path="/")
        outcome = probe(target, clock=SystemClock(), requests=3)

    assert outcome.response_s == ()
    assert all("ConnectionRefusedError" in failure for failure in outcome.failures)
    assert len(outcome.failures) == 3


def test_a_silent_target_is_given_up_in_time() -> None:
    """A target that accepts and says nothing costs the request's time and no more."""
    leave = threading.Event()
    clock = SystemClock()

    def be_silent(_connection: socket.socket) -> None:
        leave.wait(HANG_S)

    with server(be_silent) as (target, _):
        begun = clock.mono_s()
        outcome = probe(target, clock=clock, requests=1, request_s_max=0.2)
        took_s = clock.mono_s() - begun
        leave.set()

    assert outcome.response_s == ()
    assert len(outcome.failures) == 1
    assert 0.2 <= took_s < HANG_S / 2


def test_a_trickling_target_is_given_up_in_time() -> None:
    """A target that sends a byte now and then never meets a socket's timeout; the connection is cut all the same."""
    leave = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not leave.wait(0.02):
            connection.sendall(b"x")

    clock = SystemClock()
    with server(trickle) as (target, _):
        begun = clock.mono_s()
        outcome = probe(target, clock=clock, requests=1, request_s_max=0.3)
        took_s = clock.mono_s() - begun
        leave.set()

    assert outcome == type(outcome)(response_s=(), failures=("no complete answer in time",))
    assert 0.3 <= took_s < HANG_S / 2


def test_a_tls_handshake_with_a_plain_server_fails() -> None:
    """An https target that does not speak TLS is a failure with its reason."""
    with server(says(OK)) as (target, _):
        secure = ProbeTarget(
            scheme="https", host=target.host, port=target.port, address=target.address, path=target.path
        )
        outcome = probe(secure, clock=SystemClock(), requests=1)

    assert outcome.response_s == ()
    assert "SSLError" in outcome.failures[0]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("127.0.0.1:8000", "is not the address of an HTTP server"),
        ("http://user:pw@127.0.0.1/", "holds a user name"),
        ("http://127.0.0.1/a b", "percent-encoded"),
        ("http://no-such-host.invalid/", "does not resolve"),
        ("http://8.8.8.8/", "outside loopback and private ranges: this probe sends nowhere else"),
        ("http://169.254.169.254/latest", "outside loopback and private ranges"),
        ("http://[::ffff:8.8.8.8]/", "is 8.8.8.8, outside"),
        ("http://0.0.0.0/", "is not one host"),
    ],
)
def test_targets_that_are_not_acceptable_are_refused(url: str, message: str) -> None:
    """Each kind of refusal arrives, and none advises an option that this probe has not."""
    with pytest.raises(ProbeError, match=message) as caught:
        probe_target(url)
    assert "pw" not in str(caught.value)
    assert "--allow-target" not in str(caught.value)


def test_a_target_is_resolved_once_with_defaults() -> None:
    """Port, path and query get their defaults; the address is numeric."""
    plain = probe_target("http://127.0.0.1")
    assert (plain.port, plain.path, plain.address) == (80, "/", "127.0.0.1")
    secure = probe_target("https://127.0.0.1/a?b=1#c")
    assert (secure.port, secure.path) == (443, "/a?b=1")
    six = probe_target("http://[::1]:8000/")
    assert (six.host, six.address, six.port) == ("::1", "::1", 8000)
