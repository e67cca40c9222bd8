"""A server that answers well until a test wants it rude, or dead: for targets that break in the middle of a night.

It runs its own event loop in a thread, so that a test can wait for a campaign meanwhile.
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from tests.stress_scenarios.rude_servers import Answer

GOOD_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"

START_S_MAX = 10.0
END_S_MAX = 10.0


class MoodyServer:
    """Answers every path with 200, and with its rude answer while it is in that mood."""

    def __init__(self, rude_answers: Mapping[str, Answer]) -> None:
        self._rude_answers = rude_answers
        self._rude = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._listening = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.port = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._listening.wait(START_S_MAX), "the server did not start"

    @property
    def url(self) -> str:
        """Its root, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def be_rude(self) -> None:
        """From the next request on, give the rude answers."""
        self._rude = True

    def be_good(self) -> None:
        """From the next request on, answer well."""
        self._rude = False

    def die(self) -> None:
        """Stop listening and break every connection, as a killed process does."""
        asyncio.run_coroutine_threadsafe(self._die(), self._loop).result(END_S_MAX)

    def close(self) -> None:
        """End the thread."""
        self.die()
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(END_S_MAX)
        assert not self._thread.is_alive(), "the server's thread hangs"

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._end.wait()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _die(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._answer(await reader.readuntil(b"\r\n\r\n"), writer):
                    pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection may go on."""
        path = head.split(b" ", 2)[1].decode("ascii", "replace")
        if self._rude and path in self._rude_answers:
            again = asyncio.StreamReader()
            again.feed_data(head)  # a rude server reads the request for itself
            again.feed_eof()
            await self._rude_answers[path](again, writer)
            return False
        writer.write(GOOD_ANSWER)
        await writer.drain()
        return True


@contextmanager
def moody_server(rude_answers: Mapping[str, Answer]) -> Iterator[MoodyServer]:
    """Run the server."""
    server = MoodyServer(rude_answers)
    try:
        yield server
    finally:
        server.close()
