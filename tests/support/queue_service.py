"""An HTTP service whose capacity is known: so many servers, exponential service times, one queue, real sleeps.

    python -m tests.support.queue_service SERVERS SERVICE_S SEED

It answers every request with 200 and an empty body, /count with the number of requests that it has answered. It prints
its port, and ends when its standard input does. Its capacity is SERVERS / SERVICE_S requests a second.
"""

import asyncio
import heapq
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

HOST = "127.0.0.1"
END_S_MAX = 5.0
REQUEST_BYTES_MAX = 65_536


class _Queue:
    """The servers: when each of them is free again."""

    def __init__(self, servers: int, service_s: float, chance: random.Random) -> None:
        self._free = [0.0] * servers
        self._service_per_s = 1.0 / service_s
        self._chance = chance
        self.answered = 0

    def join(self, now_s: float) -> float:
        """A request that arrives now ends at this instant."""
        end_s = max(now_s, self._free[0]) + self._chance.expovariate(self._service_per_s)
        heapq.heapreplace(self._free, end_s)
        return end_s


class _Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, queue: _Queue) -> None:
        self._queue = queue
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > REQUEST_BYTES_MAX:
            self._transport.abort()
        elif b"\r\n\r\n" in self._received:
            request, _, self._received = self._received.partition(b"\r\n\r\n")
            if b" /count " in request:
                self._answer(str(self._queue.answered).encode())
            else:
                loop = asyncio.get_running_loop()
                loop.call_at(self._queue.join(loop.time()), self._serve)

    def _serve(self) -> None:
        if not self._transport.is_closing():
            self._queue.answered += 1
            self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def _serve(servers: int, service_s: float, seed: int) -> None:
    loop = asyncio.get_running_loop()
    queue = _Queue(servers, service_s, random.Random(seed))
    server = await loop.create_server(lambda: _Connection(queue), HOST, 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueService:
    """A running one."""

    port: int
    capacity_per_s: float


@contextmanager
def queue_service(*, servers: int, service_s: float, seed: int) -> Iterator[QueueService]:
    """Run one in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.queue_service", str(servers), str(service_s), str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield QueueService(port=int(process.stdout.readline()), capacity_per_s=servers / service_s)
    finally:
        process.kill()
        process.communicate(timeout=END_S_MAX)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
