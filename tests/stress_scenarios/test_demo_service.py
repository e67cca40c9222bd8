"""The demo service as a process: how it starts, speaks, fails on demand, and leaves."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from stress_scenarios.demo_process import DemoProcess, DemoStartError, start_demo_service
from tests.support.servers import demo_service

pytestmark = pytest.mark.process

HANG_S_MAX = 20.0
"""Generous: only a hang takes this long."""

LEAVE_S_MAX = 5.0
"""The promise is a second; the rest is for a busy test machine."""


def wait_until(condition: Callable[[], bool], timeout_s: float = LEAVE_S_MAX) -> bool:
    """Look until it holds, within a bound."""
    deadline_mono_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_mono_s:
            return False
        time.sleep(0.02)
    return True


def talk(port: int, raw: bytes) -> bytes:
    """Send bytes as they are, and read until the service closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=HANG_S_MAX) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def sleeper() -> "subprocess.Popen[bytes]":
    """Start a process that stands for a campaign."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill it and reap it."""
    process.kill()
    process.wait(HANG_S_MAX)


def test_every_operation_answers_as_documented(demo: DemoProcess) -> None:
    """A client of a real library sees the documented statuses over one kept connection."""
    with httpx.Client(base_url=demo.url, timeout=HANG_S_MAX, trust_env=False) as client:
        statuses = [
            client.get("/catalogue").status_code,
            client.get("/item/1").status_code,
            client.post("/orders", json={"item": 1, "quantity": 2}).status_code,
            client.get("/search", params={"q": "abc"}).status_code,
            client.get("/nothing").status_code,
            client.head("/catalogue").status_code,
        ]
        health = client.get("/health").json()
    assert statuses == [200, 200, 201, 200, 404, 200]
    assert (health["operations"], health["orders"], health["connections"]) == (6, 1, 1)
    assert health["memory_bytes"] > 1 << 20


def test_pipelined_requests_are_answered_in_order(demo: DemoProcess) -> None:
    """Two requests in one packet give two answers; the second closes the connection as it asked."""
    received = talk(
        demo.port,
        b"GET /item/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /item/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert received.index(b'"id":1') < received.index(b'"id":2')


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"not http at all\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", b"431"),
        (b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", b"413"),
    ],
)
def test_garbage_is_refused_and_the_connection_closed(demo: DemoProcess, raw: bytes, status: bytes) -> None:
    """What is no proper request gets its status and the end of the connection; the service goes on."""
    assert talk(demo.port, raw).startswith(b"HTTP/1.1 " + status)
    assert httpx.get(f"{demo.url}/health", trust_env=False, timeout=HANG_S_MAX).status_code == 200


def test_a_client_that_leaves_midway_does_no_harm(demo: DemoProcess) -> None:
    """Half a head, and half a body, are no request; the service goes on."""
    assert talk(demo.port, b"GET /catal") == b""
    assert talk(demo.port, b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{") == b""
    assert httpx.get(f"{demo.url}/health", trust_env=False, timeout=HANG_S_MAX).json()["operations"] == 0


def test_faults_can_be_changed_at_run_time(demo: DemoProcess) -> None:
    """Errors, slowness and a leak set over /admin show in the next operations, and go away again."""
    with httpx.Client(base_url=demo.url, timeout=HANG_S_MAX, trust_env=False) as client:
        client.post("/admin", json={"error_percent": 50, "leak_kib_per_request": 64}).raise_for_status()
        statuses = [client.get("/item/1").status_code for _ in range(10)]
        assert statuses.count(503) == 5
        assert client.get("/health").json()["leaked_bytes"] == 10 * 64 * 1024
        client.post("/admin", json={"error_percent": 0, "slowness_ms": 200}).raise_for_status()
        started_mono_s = time.monotonic()
        assert client.get("/item/1").status_code == 200
        assert time.monotonic() - started_mono_s >= 0.2


def test_a_change_that_makes_no_sense_changes_nothing(demo: DemoProcess) -> None:
    """A refused change says why, and leaves even its sensible part undone."""
    with httpx.Client(base_url=demo.url, timeout=HANG_S_MAX, trust_env=False) as client:
        refused = client.post("/admin", json={"error_percent": 100, "parent_pid": 0})
        assert refused.status_code == 400
        assert "parent_pid" in refused.json()["error"]
        assert client.get("/item/1").status_code == 200


def test_faults_can_be_given_at_the_start() -> None:
    """Options of the command line work like /admin."""
    with demo_service(["--error-percent", "100"]) as demo:
        answer = httpx.get(f"{demo.url}/item/1", trust_env=False, timeout=HANG_S_MAX)
    assert answer.status_code == 503


def test_the_service_listens_on_loopback_only(demo: DemoProcess) -> None:
    """Its one listening socket is bound to 127.0.0.1 (0100007F in the kernel's table)."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    listening = [line.split()[1] for line in lines if line.split()[3] == "0A"]
    assert [address for address in listening if address.endswith(f":{demo.port:04X}")] == [f"0100007F:{demo.port:04X}"]


def test_sigterm_ends_it_cleanly_under_load(demo: DemoProcess) -> None:
    """With an operation in flight and an idle connection it leaves at once, with exit code 0."""
    httpx.post(f"{demo.url}/admin", json={"slowness_ms": 30_000}, trust_env=False, timeout=HANG_S_MAX)
    with (
        socket.create_connection(("127.0.0.1", demo.port), timeout=HANG_S_MAX),
        socket.create_connection(("127.0.0.1", demo.port), timeout=HANG_S_MAX) as busy,
    ):
        busy.sendall(b"GET /item/1 HTTP/1.1\r\nHost: a\r\n\r\n")
        os.kill(demo.pid, signal.SIGTERM)
        assert wait_until(lambda: not demo.running())
    assert demo._process.returncode == 0


def test_it_leaves_when_its_parent_is_gone() -> None:
    """A service whose campaign was killed ends by itself."""
    parent = sleeper()
    demo = start_demo_service(parent_pid=parent.pid)
    try:
        end(parent)
        assert wait_until(lambda: not demo.running())
    finally:
        demo.stop()


def test_it_can_be_given_another_parent(demo: DemoProcess) -> None:
    """The launcher hands the service over to the supervisor: from then on that one's end counts."""
    supervisor = sleeper()
    try:
        answer = httpx.post(
            f"{demo.url}/admin", json={"parent_pid": supervisor.pid}, trust_env=False, timeout=HANG_S_MAX
        )
        assert answer.status_code == 200
        assert demo.running()
    finally:
        end(supervisor)
    assert wait_until(lambda: not demo.running())


def test_it_carries_no_mark_of_a_campaign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever ends all marked processes of a campaign does not end the system under test."""
    monkeypatch.setenv("DAYBREAK_RUN_ID", "night-1")
    with demo_service() as demo:
        environment = Path(f"/proc/{demo.pid}/environ").read_bytes()
    assert b"DAYBREAK_RUN_ID" not in environment


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--error-percent", "101"], "error_percent is 101"),
        (["--brownout-seconds", "3"], "given together"),
        (["--port", "65536"], "between 0 and 65535"),
    ],
)
def test_a_start_that_fails_says_why(arguments: list[str], words: str) -> None:
    """The service's own last words are in the error."""
    with pytest.raises(DemoStartError, match=words):
        start_demo_service(parent_pid=os.getpid(), arguments=arguments)


def test_a_taken_port_is_told(demo: DemoProcess) -> None:
    """A second service on the same port does not start, and says so."""
    with pytest.raises(DemoStartError, match="address already in use"):
        start_demo_service(parent_pid=os.getpid(), arguments=["--port", str(demo.port)])


def test_stopping_twice_is_no_error(demo: DemoProcess) -> None:
    """The second stop finds nothing to do."""
    demo.stop()
    demo.stop()
    assert not demo.running()
