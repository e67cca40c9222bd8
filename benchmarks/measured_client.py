"""Runs one load client against the benchmark's server and measures it from outside, whoever made it.

Requests are counted by the server, CPU time by the kernel over the client's whole process tree, memory likewise; nothing
that a client says of itself is used. Between two looks the client has reached its steady state, so that its start-up
costs do not count. Used by the measuring programs of this folder, in their own process.
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.bench_nginx import BenchServer

CONNECTED_SHARE = 0.98
"""A client that loses a connection now and then is measured all the same."""

SETTLE_S = 0.3
"""After the last connection was made: handshakes and first answers are over."""

CONNECT_S_MAX = 40.0
"""Locust starts a thousand users in some 5 s; this is a hang."""

LEAVE_S_MAX = 5.0

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ClientError(RuntimeError):
    """A client did not make the load that it was asked for. The message holds its last words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A load client. command: makes its command line from URL, connections and seconds. connections_max: and why."""

    name: str
    command: tuple[str, ...]
    connections_min: int = 1
    connections_max: int = 1 << 30
    why_not_more: str = ""

    def argv(self, *, url: str, connections: int, seconds: int) -> list[str]:
        """The command line with its figures filled in."""
        figures = {"url": url, "connections": str(connections), "seconds": str(seconds)}
        return [word.format(**figures) for word in self.command]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One round of one client. cpu_us: of the client per request; memory_bytes: resident, of all its processes."""

    client: str
    connections: int
    requests_per_s: float
    cpu_us: float
    cores_used: float
    memory_bytes: int


def measure(client: Client, server: BenchServer, *, connections: int, seconds: float, core: int) -> Measured:
    """Run the client on this core for so many steady seconds. Raises ClientError."""
    argv = client.argv(url=server.url, connections=connections, seconds=int(seconds + CONNECT_S_MAX + 10))
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *argv],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _wait_until_connected(client, server, process, connections)
        time.sleep(SETTLE_S)
        first, first_cpu_s = server.seen(), _cpu_s(process.pid)
        time.sleep(seconds)
        cpu_s, last = _cpu_s(process.pid) - first_cpu_s, server.seen()
        memory_bytes = _memory_bytes(process.pid)
    finally:
        _end(process)
    # Each look asks the server once; the second one's own request is in its count.
    requests = last.requests - first.requests - 1
    lasted_s = last.at_mono_s - first.at_mono_s
    if requests <= 0 or last.connections < connections * CONNECTED_SHARE:
        raise ClientError(f"{client.name}: {requests} requests over {last.connections} of {connections} connections")
    return Measured(
        client=client.name,
        connections=connections,
        requests_per_s=requests / lasted_s,
        cpu_us=1e6 * cpu_s / requests,
        cores_used=cpu_s / lasted_s,
        memory_bytes=memory_bytes,
    )


def _wait_until_connected(
    client: Client, server: BenchServer, process: "subprocess.Popen[bytes]", connections: int
) -> None:
    deadline_s = time.monotonic() + CONNECT_S_MAX
    while (seen := server.seen()).connections < connections * CONNECTED_SHARE:
        if process.poll() is not None or time.monotonic() >= deadline_s:
            _end(process)
            assert process.stderr is not None
            words = process.stderr.read().decode(errors="replace")[-500:]
            raise ClientError(f"{client.name} made {seen.connections} of {connections} connections: {words}")
        time.sleep(0.05)


def _tree(pid: int) -> Sequence[psutil.Process]:
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu_s(pid: int) -> float:
    """User and system time of a process and all below it, seconds."""
    total = 0
    for process in _tree(pid):
        try:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS_PER_S


def _memory_bytes(pid: int) -> int:
    total = 0
    for process in _tree(pid):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ctrl-C for the whole session that we started, and an end after some seconds."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(LEAVE_S_MAX)
        except subprocess.TimeoutExpired:
            continue
