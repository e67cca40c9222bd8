"""A real WebSocket server with faults to order: the path says how it behaves, and it counts what it saw itself.

It imports nothing of ours, so that it can judge us. On a test's own event loop, or as a process of its own:
``python websocket_echo.py PORT``. It answers plain HTTP as well, tells its counts at ``/counts``, and the moody path turns
mute at ``/mute-now``.
"""

import asyncio
import json
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

HOST = "127.0.0.1"
LOAD_AGENT = "daybreak"
SERVER_BYTES_MAX = 16 << 20
DROP_AFTER = 3
SLOW_S = 0.05
LATE_S = 0.3
BIG_BYTES = 200_000


@dataclass(slots=True, kw_only=True)
class Seen:
    """What the server saw. received, sent: data messages. pages: plain requests of a load. agents: of the User-Agent headers; asked: paths of handshakes.

    headers: of the last one. closes: codes with which connections ended.
    """

    connections: int = 0
    open: int = 0
    received: int = 0
    sent: int = 0
    pages: int = 0
    refused: int = 0
    agents: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    closes: list[int] = field(default_factory=list)
    is_muted: bool = False


class Talk:
    """One connection, its messages counted."""

    def __init__(self, connection: ServerConnection, seen: Seen) -> None:
        self.connection = connection
        self.seen = seen

    async def take(self) -> str:
        """The next message."""
        message = await self.connection.recv()
        self.seen.received += 1
        return message if isinstance(message, str) else message.decode()

    async def say(self, message: str | bytes | Sequence[str]) -> None:
        """Send a message; a sequence goes in fragments."""
        await self.connection.send(message)
        self.seen.sent += 1


def answer_to(message: str, **more: Any) -> str:
    """The reply with the request's id. Text that is not JSON is echoed."""
    try:
        return json.dumps({"id": json.loads(message)["id"], "ok": True, **more})
    except (ValueError, TypeError, KeyError):
        return message


async def _echo(talk: Talk) -> None:
    while True:
        await talk.say(answer_to(await talk.take()))


async def _mute(talk: Talk) -> None:
    while True:
        await talk.take()


async def _moody(talk: Talk) -> None:
    """Good, until the server is told to be mute."""
    while True:
        message = await talk.take()
        if not talk.seen.is_muted:
            await talk.say(answer_to(message))


async def _deaf(talk: Talk) -> None:
    talk.connection.transport.pause_reading()
    await talk.connection.wait_closed()


async def _wrong(talk: Talk) -> None:
    while True:
        await talk.take()
        await talk.say(json.dumps({"id": "somebody else's"}))


async def _twice(talk: Talk) -> None:
    while True:
        reply = answer_to(await talk.take())
        await talk.say(reply)
        await talk.say(reply)


async def _pushing(talk: Talk) -> None:
    await talk.say('{"hello": 1}')
    while True:
        message = await talk.take()
        await talk.say('{"event": "before"}')
        await talk.say("not JSON at all")
        await talk.say(answer_to(message))
        await talk.say('{"id": null, "event": "after"}')


async def _numbers(talk: Talk) -> None:
    while True:
        request = json.loads(await talk.take())
        await talk.say(json.dumps({"id": int(request["id"])}))


async def _drop(talk: Talk) -> None:
    for _ in range(DROP_AFTER):
        await talk.say(answer_to(await talk.take()))
    await talk.take()
    talk.connection.transport.abort()


async def _fail(talk: Talk) -> None:
    for _ in range(DROP_AFTER):
        await talk.say(answer_to(await talk.take()))
    await talk.take()
    await talk.connection.close(1011, "disk 7 is full")


async def _idle(talk: Talk) -> None:
    """Close politely after each reply."""
    await talk.say(answer_to(await talk.take()))
    await talk.connection.close(1000)


async def _fragments(talk: Talk) -> None:
    while True:
        reply = answer_to(await talk.take(), words="größer")
        await talk.say([reply[index : index + 5] for index in range(0, len(reply), 5)])


async def _binary(talk: Talk) -> None:
    while True:
        await talk.say(answer_to(await talk.take()).encode())


async def _not_text(talk: Talk) -> None:
    while True:
        await talk.take()
        await talk.say(b"\xff\xfe\x00")


async def _big(talk: Talk) -> None:
    while True:
        await talk.say(answer_to(await talk.take(), padding="x" * BIG_BYTES))


async def _slow(talk: Talk) -> None:
    while True:
        message = await talk.take()
        await asyncio.sleep(SLOW_S)
        await talk.say(answer_to(message))


async def _late_once(talk: Talk) -> None:
    """The first reply comes late, all others at once."""
    first = await talk.take()

    async def late() -> None:
        await asyncio.sleep(LATE_S)
        with suppress(ConnectionClosed):
            await talk.say(answer_to(first))

    async with asyncio.TaskGroup() as together:
        together.create_task(late())
        together.create_task(_echo(talk))


async def _pinging(talk: Talk) -> None:
    while True:
        message = await talk.take()
        await (await talk.connection.ping())
        await talk.say(answer_to(message))


BEHAVIOURS: dict[str, Callable[[Talk], Awaitable[None]]] = {
    "/echo": _echo,
    "/mute": _mute,
    "/moody": _moody,
    "/deaf": _deaf,
    "/wrong": _wrong,
    "/twice": _twice,
    "/pushing": _pushing,
    "/numbers": _numbers,
    "/drop": _drop,
    "/fail": _fail,
    "/idle": _idle,
    "/fragments": _fragments,
    "/binary": _binary,
    "/not-text": _not_text,
    "/big": _big,
    "/slow": _slow,
    "/late-once": _late_once,
    "/pinging": _pinging,
}


@asynccontextmanager
async def echoing(
    *, port: int = 0, tls: ssl.SSLContext | None = None, subprotocols: Sequence[str] = ()
) -> AsyncIterator[tuple[int, Seen]]:
    """Serve on a free port, or on this one; gives the port and what is seen."""
    seen = Seen()

    async def handle(connection: ServerConnection) -> None:
        seen.connections += 1
        seen.open += 1
        assert connection.request is not None
        try:
            with suppress(ConnectionClosed, ExceptionGroup):
                await BEHAVIOURS[connection.request.path.partition("?")[0]](Talk(connection, seen))
        finally:
            await connection.wait_closed()
            seen.open -= 1
            seen.closes.append(connection.close_code or 0)

    def look(connection: ServerConnection, request: Request) -> Response | None:
        if "Upgrade" not in request.headers:
            if request.path == "/counts":
                return connection.respond(HTTPStatus.OK, json.dumps(asdict(seen)))
            if request.path == "/mute-now":
                seen.is_muted = True
            elif request.headers.get("User-Agent") == LOAD_AGENT:
                seen.pages += 1
            return connection.respond(HTTPStatus.OK, "hello")
        seen.asked.append(request.path)
        seen.agents.append(request.headers.get("User-Agent", ""))
        seen.headers = dict(request.headers.raw_items())
        if request.path == "/moved":
            seen.refused += 1
            moved = connection.respond(HTTPStatus.FOUND, "elsewhere")
            moved.headers["Location"] = "/echo"
            return moved
        if request.path.partition("?")[0] not in BEHAVIOURS:
            seen.refused += 1
            return connection.respond(HTTPStatus.NOT_FOUND, "no such path")
        return None

    async with serve(
        handle,
        HOST,
        port,
        ssl=tls,
        process_request=look,
        subprotocols=[Subprotocol(name) for name in subprotocols] or None,
        max_size=SERVER_BYTES_MAX,
        close_timeout=0.1,
    ) as server:
        yield next(iter(server.sockets)).getsockname()[1], seen


async def _main(port: int) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with echoing(port=port):
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
