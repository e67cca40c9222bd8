"""Real servers for tests, on free ports of 127.0.0.1, each started by a context manager and ended by its pid.

nginx and gunicorn with httpbin run unmodified, in the foreground, in a directory of the test's own. Nothing is looked
up by name and nothing outlives its context: each server leads a session of its own, which is ended as a whole.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stress_scenarios.demo_process import DemoProcess, start_demo_service

HOST = "127.0.0.1"

READY_S_MAX = 30.0
"""httpbin needs about 2 s to import; a busy machine with two cores may take ten times that. A hang limit, not a goal."""

STOP_S_MAX = 5.0
"""Both servers leave at once on SIGTERM; after this they are killed."""

START_TRIES = 3
"""A free port can be taken by somebody else before the server binds it."""

LOOK_S = 0.02
LOG_LINE_S_MAX = 5.0

STATIC_PAGE = "<!doctype html>\n<title>It works</title>\n<p>A small static page.</p>\n" + "<!-- padding -->\n" * 30

NGINX_CONFIGURATION = """
daemon off;
worker_processes 1;
{user}
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 768; }}
http {{
    default_type text/html;
    log_format lines escape=json '{{"remote_port":$remote_port,"method":"$request_method","path":"$request_uri",'
                                 '"status":$status,"user_agent":"$http_user_agent"}}';
    access_log {directory}/access.log lines;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ root {directory}/html; index index.html; }}
        {extra}
    }}
}}
"""


class ServerStartError(RuntimeError):
    """A server did not come up; the message holds the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLine:
    """One request as nginx saw it."""

    remote_port: int
    method: str
    path: str
    status: int
    user_agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServer:
    """A running server."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """Its root, without a slash at the end."""
        return f"http://{HOST}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxServer(HttpServer):
    """A running nginx. ``pid`` is its master."""

    access_log: Path

    def requests(self, *, at_least: int = 0) -> tuple[AccessLine, ...]:
        """Every request so far, in the order of their ends.

        nginx writes a line after the last byte was sent, so the newest line may come a moment after its answer:
        ``at_least`` waits for that many lines, up to LOG_LINE_S_MAX, and then returns what is there.
        """
        deadline_mono_s = time.monotonic() + LOG_LINE_S_MAX
        while True:
            lines = _read_access_lines(self.access_log)
            if len(lines) >= at_least or time.monotonic() >= deadline_mono_s:
                return lines
            time.sleep(LOOK_S)


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def nginx_server(directory: Path, *, extra: str = "") -> Iterator[NginxServer]:
    """Serve one small static page from ``directory``. ``extra`` goes into the server block.

    Limits of connections, keep-alive and requests per connection are nginx's own defaults.
    """
    (directory / "html").mkdir(parents=True, exist_ok=True)
    (directory / "html" / "index.html").write_text(STATIC_PAGE, encoding="ascii")
    configuration = directory / "nginx.conf"
    # A worker that gives up root could not read a test's private directory.
    user = "user root;" if os.geteuid() == 0 else ""
    nginx = _require_program("nginx")

    def command(port: int) -> list[str]:
        text = NGINX_CONFIGURATION.format(user=user, directory=directory, port=port, extra=extra)
        configuration.write_text(text, encoding="ascii")
        return [nginx, "-p", str(directory), "-c", str(configuration), "-e", str(directory / "error.log")]

    with _running(command, directory / "nginx.log") as (process, port):
        yield NginxServer(port=port, pid=process.pid, access_log=directory / "access.log")


@contextmanager
def httpbin_server(directory: Path) -> Iterator[HttpServer]:
    """Serve httpbin by gunicorn: one worker, 16 threads, connections kept for 65 s."""
    directory.mkdir(parents=True, exist_ok=True)

    def command(port: int) -> list[str]:
        options = ["--worker-class", "gthread", "--workers", "1", "--threads", "16", "--keep-alive", "65"]
        places = ["--bind", f"{HOST}:{port}", "--chdir", str(directory), "--no-control-socket"]
        return [sys.executable, "-m", "gunicorn", *options, *places, "httpbin:app"]

    with _running(command, directory / "httpbin.log") as (process, port):
        yield HttpServer(port=port, pid=process.pid)


@contextmanager
def demo_service(arguments: Sequence[str] = ()) -> Iterator[DemoProcess]:
    """Run the bundled demo service, with options such as ``("--slowness-ms", "20")``."""
    process = start_demo_service(parent_pid=os.getpid(), arguments=arguments)
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def _running(command: Callable[[int], list[str]], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    process, port = _start(command, log)
    try:
        yield process, port
    finally:
        _stop(process)


def _start(command: Callable[[int], list[str]], log: Path) -> tuple[subprocess.Popen[bytes], int]:
    for _ in range(START_TRIES):
        port = free_port()
        with log.open("ab") as output:
            process = subprocess.Popen(
                command(port), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        try:
            if _wait_until_it_listens(process, port):
                return process, port
        except BaseException:
            _stop(process)
            raise
        _stop(process)
    raise ServerStartError(f"{log.stem} did not start: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Connect without sending anything, so that no request is counted by the server."""
    deadline_mono_s = time.monotonic() + READY_S_MAX
    while process.poll() is None and time.monotonic() < deadline_mono_s:
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1.0):
            return process.poll() is None
        time.sleep(LOOK_S)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S_MAX)
    # The server leads its session: this reaches children that a killed master left behind.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_S_MAX)


def _read_access_lines(log: Path) -> tuple[AccessLine, ...]:
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    complete, _, _ = text.rpartition("\n")
    return tuple(AccessLine(**json.loads(line)) for line in complete.splitlines())


def _require_program(name: str) -> str:
    # Debian keeps servers in /usr/sbin, which is not on everybody's path.
    found = shutil.which(name, path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
    if found is None:
        raise ServerStartError(f"{name} is not installed; run tests/support/install_system_packages.sh")
    return found
