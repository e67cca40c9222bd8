"""One virtual user's WebSockets: a message goes out, and the operation ends with its reply.

Operations that agree in path, subprotocols and reply id share one connection, opened by the first of them and opened
again after it broke. A reply counts only for the request whose id it carries: one that nobody waits for fails an
operation (UNMATCHED), none in time fails one too (NO_REPLY). A late reply is known by its id and harms nobody; where
replies have no ids nobody could tell it from the next one, so there the connection is given up. Runs in worker processes.
"""

import asyncio
import json
import ssl
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import assert_never

from stress_scenarios.engines.client_tls import NoTls
from stress_scenarios.engines.engine import ConnectionCounts
from stress_scenarios.engines.websocket_connection import Traffic, WebSocketConnection
from stress_scenarios.engines.websocket_handshake import Handshake, WebSocketEndpoint
from stress_scenarios.engines.wire_request import origin_of
from stress_scenarios.json_path import Found, compile_json_path
from stress_scenarios.load_plan import ErrorClass, TargetSpec, WebSocketRequest
from stress_scenarios.scenario import Failed
from stress_scenarios.websocket_replies import NO_ID, Conversation, FindId, Match, NoId, id_text

CHANNELS_MAX = 64
"""Different WebSockets of one session at once, beyond which the one used longest ago is left: a path may hold a variable."""

_COMPILED_MAX = 256
"""Reply ids of one worker, compiled; a plan has at most as many as operations."""

_UNMATCHED = Failed(
    error=ErrorClass.UNMATCHED, message="a reply whose id no request waits for: another's, or one reply too many"
)
_NOT_TEXT = Failed(error=ErrorClass.PROTOCOL, message="a binary message that is not UTF-8")
_DEAF = Failed(error=ErrorClass.NO_REPLY, message="no reply: the peer does not read what it was sent")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketReply:
    """A reply in time. bytes_received: all bytes read since the session's last reply, pushes and handshakes included."""

    body: bytes
    bytes_received: int


class WebSocketSession:
    """One virtual user: one operation at a time."""

    def __init__(
        self,
        *,
        target: TargetSpec,
        counts: ConnectionCounts,
        response_bytes_max: int,
        tls: ssl.SSLContext | NoTls,
    ) -> None:
        """Connects to nothing yet. tls: of client_tls.client_tls. Raises EngineError for a URL that is none."""
        self._endpoint = WebSocketEndpoint(
            address=target.address,
            port=target.port,
            origin=origin_of(target.url, target=target.name),
            tls=tls,
            message_bytes_max=response_bytes_max,
        )
        self._headers = tuple((field.name, field.value) for field in target.headers)
        self._connect_s_max = target.connect_s_max
        self._counts = counts
        self._traffic = Traffic()
        self._told = 0
        self._channels: dict[_Key, _Channel] = {}
        self._left: deque[_Channel] = deque()

    async def exchange(
        self,
        *,
        path: str,
        headers: tuple[tuple[str, str], ...],
        message: str,
        request_id: str,
        kind: WebSocketRequest,
        timeout_s: float,
    ) -> WebSocketReply | Failed:
        """Send a message and wait for its reply, within its timeout over everything, connecting included.

        headers: of the handshake, beside the target's; only the operation that opens a connection can use them. Never
        raises for what the target does; only cancellation passes through, and then the operation is abandoned.
        """
        channel = self._channel(_Key(path=path, subprotocols=kind.subprotocols, reply_id=kind.reply_id))
        outcome = await channel.exchange(message, request_id, timeout_s, headers=headers)
        if isinstance(outcome, Failed):
            return outcome
        received, self._told = self._traffic.bytes_received - self._told, self._traffic.bytes_received
        return WebSocketReply(body=outcome, bytes_received=received)

    async def close(self) -> None:
        """Say goodbye on all connections at once; within about a second all sockets are gone."""
        channels = (*self._channels.values(), *self._left)
        self._channels.clear()
        self._left.clear()
        try:
            async with asyncio.TaskGroup() as together:
                for channel in channels:
                    together.create_task(channel.close())
        finally:
            for channel in channels:
                channel.abort()

    def _channel(self, key: "_Key") -> "_Channel":
        channel = self._channels.pop(key, None)
        if channel is None:
            if len(self._channels) == CHANNELS_MAX:
                self._leave(self._channels.pop(next(iter(self._channels))))
            channel = _Channel(
                key, self._endpoint, self._counts, self._traffic, self._headers, connect_s_max=self._connect_s_max
            )
        self._channels[key] = channel  # the last one is the one used last
        return channel

    def _leave(self, channel: "_Channel") -> None:
        channel.leave()
        self._left.append(channel)
        if len(self._left) > CHANNELS_MAX:
            self._left.popleft().abort()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """What operations share when they share a connection."""

    path: str
    subprotocols: tuple[str, ...]
    reply_id: str


class _Step(Enum):
    """What an operation waits for."""

    CONNECTING = auto()
    WRITING = auto()
    WAITING = auto()


class _Channel:
    """One WebSocket as the session sees it: the connection that there is now, and the one operation in flight."""

    def __init__(
        self,
        key: _Key,
        endpoint: WebSocketEndpoint,
        counts: ConnectionCounts,
        traffic: Traffic,
        headers: tuple[tuple[str, str], ...],
        *,
        connect_s_max: float,
    ) -> None:
        self._key = key
        self._endpoint = endpoint
        self._counts = counts
        self._traffic = traffic
        self._headers = headers
        self._connect_s_max = connect_s_max
        self._conversation = Conversation(find_id(key.reply_id))
        self._connection: WebSocketConnection | None = None
        self._was_open = False
        self._ended: asyncio.Future[bytes | Failed] | None = None
        self._owed: Failed | None = None
        self._bug: Exception | None = None

    async def exchange(
        self, message: str, request_id: str, limit_s: float, *, headers: tuple[tuple[str, str], ...]
    ) -> bytes | Failed:
        """One operation; gives the reply's body."""
        assert self._ended is None, "one operation at a time"
        if self._bug is not None:
            raise self._bug
        ended = self._ended = asyncio.get_running_loop().create_future()
        step = _Step.CONNECTING
        try:
            async with asyncio.timeout(limit_s):
                connection = await self._connected(headers)
                if isinstance(connection, Failed):
                    return connection
                step = _Step.WRITING
                await connection.writable()
                if not ended.done():
                    step = _Step.WAITING
                    self._conversation.ask(request_id)
                    connection.send(message)
                return self._settled(await ended)
        except TimeoutError:
            return _late(step, limit_s)
        finally:
            self._ended = None
            if self._conversation.give_up() and not self._conversation.has_ids:
                self.leave()

    def leave(self) -> None:
        """Say goodbye without waiting for an answer."""
        if self._connection is not None:
            self._connection.leave()

    def abort(self) -> None:
        """Drop what is left."""
        if self._connection is not None:
            self._connection.abort()

    async def close(self) -> None:
        """Say goodbye and wait for its answer."""
        if self._connection is not None:
            await self._connection.close()

    # Called by the connection ---------------------------------------------------------------------------------------

    def message(self, body: bytes) -> None:
        """Find out what a message is."""
        try:
            text = body.decode()
        except UnicodeDecodeError:
            self._fault(_NOT_TEXT)
            return
        match self._conversation.match(text):
            case Match.REPLY:
                self._end(body)
            case Match.UNMATCHED:
                self._fault(_UNMATCHED)
            case Match.PUSH | Match.LATE:
                pass  # counted already, where it came in

    def gone(self, reason: Failed) -> None:
        """A peer may close what is not in use; one that breaks the rules does so at the cost of an operation."""
        if self._in_flight:
            self._end(reason)
        elif reason.error is not ErrorClass.RESET:
            self._owed = reason

    def broken(self, error: Exception) -> None:
        """Our own code raised: exchange raises it."""
        self._bug = error
        if self._in_flight and self._ended is not None:
            self._ended.set_exception(error)

    # ----------------------------------------------------------------------------------------------------------------

    @property
    def _in_flight(self) -> bool:
        return self._ended is not None and not self._ended.done()

    async def _connected(self, headers: tuple[tuple[str, str], ...]) -> WebSocketConnection | Failed:
        connection = self._connection
        if connection is not None:
            if connection.usable:
                return connection
            connection.abort()  # its goodbye was not answered yet, and a channel keeps one socket
        connection = self._connection = WebSocketConnection(self._endpoint, self._counts, self._traffic, self)
        handshake = Handshake(path=self._key.path, headers=self._headers + headers, subprotocols=self._key.subprotocols)
        try:
            async with asyncio.timeout(self._connect_s_max):
                opened = await connection.open(handshake)
        except TimeoutError:
            return _late(_Step.CONNECTING, self._connect_s_max)
        if isinstance(opened, Failed):
            return opened
        self._counts.reconnects += self._was_open
        self._was_open = True
        return connection

    def _fault(self, failed: Failed) -> None:
        """A message that should not be: it fails the operation whose request is out, else the next one that is answered.

        At once, because nobody knows whether a right reply will follow; and the next one only after it was sent and
        answered, because the load is to be what was asked for.
        """
        if self._in_flight and self._conversation.is_waiting:
            self._end(failed)
        else:
            self._owed = failed

    def _end(self, outcome: bytes | Failed) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(outcome)

    def _settled(self, outcome: bytes | Failed) -> bytes | Failed:
        if isinstance(outcome, bytes) and self._owed is not None:
            outcome, self._owed = self._owed, None
        return outcome


def _late(step: _Step, limit_s: float) -> Failed:
    match step:
        case _Step.CONNECTING:
            return Failed(error=ErrorClass.TIMEOUT, message=f"no WebSocket within {limit_s:g} s")
        case _Step.WRITING:
            return _DEAF
        case _Step.WAITING:
            return Failed(error=ErrorClass.NO_REPLY, message=f"no reply within {limit_s:g} s")
        case _:
            assert_never(step)


@lru_cache(maxsize=_COMPILED_MAX)
def find_id(reply_id: str) -> FindId | NoId:
    """What takes a reply's id out of its text. reply_id: a JSON path, or "" for none. Raises JsonPathError."""
    if not reply_id:
        return NO_ID
    path = compile_json_path(reply_id)

    def find(text: str) -> str | NoId:
        try:
            found = path.find(json.loads(text))
        except (ValueError, RecursionError):  # not JSON, or nested beyond measure: no id that we know of
            return NO_ID
        return id_text(found.value) if isinstance(found, Found) else NO_ID

    return find
