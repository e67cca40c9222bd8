"""Small servers on the test's own asyncio loop that behave as servers should not."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Answer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Answer every connection by a function; gives the port. Connections that are left open are closed at the end."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """One request without a body."""
    return await reader.readuntil(b"\r\n\r\n")


def saying(answer: bytes) -> Answer:
    """Answer every request of a connection with these bytes, and keep it open."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_head(reader)
            writer.write(answer)
            await writer.drain()

    return speak


def saying_once(answer: bytes) -> Answer:
    """Answer the first request with these bytes, and close."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(answer)
        await writer.drain()

    return speak


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Take everything, answer nothing."""
    await reader.read(1 << 20)
    await asyncio.Event().wait()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer without end, a byte at a time: never silent for long, never done."""
    await read_head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break the connection in the middle of an answer, with a reset instead of an end."""
    await read_head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.transport.abort()


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 200 and then megabytes without a length."""
    await read_head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    for _ in range(256):
        writer.write(b"x" * 65_536)
        await writer.drain()


def by_path(answers: Mapping[str, bytes | Answer]) -> Answer:
    """Let each request's path choose what it is answered with: bytes, after which the connection goes on, or a function; 404."""

    async def choose(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await read_head(reader)
            path = head.split(b" ", 2)[1].partition(b"?")[0].decode("ascii")
            chosen = answers.get(path, NOT_FOUND)
            if not isinstance(chosen, bytes):
                await chosen(_only(head), writer)
                return
            writer.write(chosen)
            await writer.drain()

    return choose


def _only(head: bytes) -> asyncio.StreamReader:
    """A stream that gives this head and then nothing, for a server that reads the request for itself."""
    again = asyncio.StreamReader()
    again.feed_data(head)
    return again


def without_end(start: bytes, more: bytes, *, pieces: int, pause_s: float = 0.0) -> Answer:
    """Answer with a start and then so many pieces of more; a bound so that no test runs on for ever."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(start)
        for _ in range(pieces):
            writer.write(more)
            await writer.drain()
            if pause_s:
                await asyncio.sleep(pause_s)

    return speak


async def close_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept, and close without a word."""
    writer.close()


async def reset_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept, and break the connection."""
    linger = struct.pack("ii", 1, 0)  # close with a reset
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
