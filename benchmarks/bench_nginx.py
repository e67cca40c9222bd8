"""An nginx of the benchmark's own: one worker on one core, a small body, and its own count of requests.

The count comes from the server (stub_status on a port of its own), so that every client is measured by the same eyes.
Used by the measuring programs of this folder, in their own process.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
BODY = "x" * 85 + "\\n"
"""86 bytes: what the peers' own figures are quoted for."""

READY_S_MAX = 10.0
STOP_S_MAX = 5.0
STATUS_S_MAX = 5.0

_CONFIGURATION = """
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
{user}
pid {directory}/nginx.pid;
error_log {directory}/error.log crit;
events {{ worker_connections 19000; multi_accept on; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 3600;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=16384;
        location / {{ default_type text/plain; return 200 "{body}"; }}
        location /unlike {{ default_type text/plain; add_header X-Request-Id $request_id; return 200 "{body}"; }}
    }}
    server {{
        listen 127.0.0.1:{status_port};
        location / {{ stub_status; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the server says of itself. at_mono_s: when it was asked; the answer takes a millisecond."""

    at_mono_s: float
    requests: int
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchServer:
    """A running nginx. pid: of its master."""

    port: int
    status_port: int
    pid: int

    @property
    def url(self) -> str:
        """What to load."""
        return f"http://{HOST}:{self.port}/"

    def seen(self) -> Seen:
        """Its counters, without the requests that asked for them."""
        with urllib.request.urlopen(f"http://{HOST}:{self.status_port}/", timeout=STATUS_S_MAX) as answer:
            words = answer.read().decode().split()
        at_mono_s = time.monotonic()
        # The third word is the number of connections, the tenth that of requests.
        return Seen(at_mono_s=at_mono_s, requests=int(words[9]), connections=int(words[2]) - 1)


@contextmanager
def bench_server(directory: Path, *, core: int) -> Iterator[BenchServer]:
    """Run nginx on this core in this directory; ended as a whole at the end. Raises RuntimeError when it does not come up."""
    port, status_port = _free_port(), _free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = directory / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(directory=directory, port=port, status_port=status_port, user=user, body=BODY)
    )
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise RuntimeError("nginx is not installed; make dev installs it")
    process = subprocess.Popen(
        ["taskset", "-c", str(core), program, "-c", str(configuration), "-p", str(directory)],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        server = BenchServer(port=port, status_port=status_port, pid=process.pid)
        _wait_until_ready(server, process)
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_ready(server: BenchServer, process: "subprocess.Popen[bytes]") -> None:
    deadline_s = time.monotonic() + READY_S_MAX
    while True:
        with suppress(OSError):
            server.seen()
            return
        if process.poll() is not None or time.monotonic() >= deadline_s:
            raise RuntimeError("nginx did not come up; see its message above")
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
