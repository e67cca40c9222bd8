"""A server whose answers are late by a known amount: it stands still for some seconds, again and again.

Usage: ``python -m benchmarks.stalling_server --delay 0.05 --every 10 --stall 2``; it prints its port as one line and runs
until its standard input is closed. An answer takes delay seconds; one that would be given within a stall, or whose
request arrived within it, comes delay seconds after the stall's end. So the truth of any load can be computed.
"""

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass

HOST = "127.0.0.1"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalls:
    """In each period of every_s, the last stall_s stand still. began_mono_s: when the first period began."""

    began_mono_s: float
    delay_s: float
    every_s: float
    stall_s: float

    def answer_at(self, arrived_mono_s: float) -> float:
        """When a request that arrived then is answered."""
        into_s = (arrived_mono_s - self.began_mono_s) % self.every_s
        starts_s = self.every_s - self.stall_s
        if into_s + self.delay_s < starts_s:
            return arrived_mono_s + self.delay_s
        return arrived_mono_s + (self.every_s - into_s) + self.delay_s


class _Connection(asyncio.Protocol):
    """One request at a time; what a load generator sends fits into one segment."""

    def __init__(self, stalls: Stalls) -> None:
        self._stalls = stalls
        self._transport: asyncio.Transport | None = None
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request when its time has come."""
        self._waiting += data
        while _END in self._waiting:
            self._waiting = self._waiting.partition(_END)[2]
            asyncio.get_running_loop().call_at(self._stalls.answer_at(time.monotonic()), self._answer)

    def _answer(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_ANSWER)


async def _serve(stalls: Stalls) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(stalls), HOST, 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(prog="benchmarks.stalling_server")
    for name in ("delay", "every", "stall"):
        parser.add_argument(f"--{name}", type=float, required=True)
    options = parser.parse_args()
    began_mono_s = time.monotonic()
    asyncio.run(
        _serve(Stalls(began_mono_s=began_mono_s, delay_s=options.delay, every_s=options.every, stall_s=options.stall))
    )


if __name__ == "__main__":
    main()
