"""One WebSocket over one TCP or TLS connection, driven by callbacks. Only the websocket modules know the library websockets.

Its protocol part is used without its connection part: a message is looked at the moment its bytes arrive, so no queue of
ours can fill up and stall the server unnoticed, and no task runs beside the operation. What would bias a load is off:
compression, proxies from the environment, pings of our own, redirects. The peer's pings are answered. Runs in worker
processes.
"""

import asyncio
import re
import ssl
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol, cast

from websockets.client import ClientProtocol
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State

from stress_scenarios.engines.client_tls import GOODBYE_S_MAX, secured
from stress_scenarios.engines.engine import ConnectionCounts
from stress_scenarios.engines.system_failures import CLOSED_UNDER_US, system_failure
from stress_scenarios.engines.websocket_failures import (
    NO_SUBPROTOCOL,
    NOT_HTTP,
    PINGS_ONLY,
    TEXT_IS_NONE,
    closed_with,
    frames_failure,
    handshake_failure,
)
from stress_scenarios.engines.websocket_handshake import Handshake, WebSocketEndpoint, begin
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import Failed

CLOSE_S_MAX = GOODBYE_S_MAX
"""How long a peer may take to answer our goodbye; answering takes one round trip."""

PONGS_WAITING_MAX = 1000
"""Pings answered towards a peer that does not read the answers: 128 KB, and then it has broken the rules."""

_HEAD = re.compile(rb"HTTP/1\.[01] (\d{3})(?=[ \r\n])")
_HEAD_BYTES = len(b"HTTP/1.1 101 ")
_HTTP = b"HTTP/1."
_SWITCHING = 101
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The peer speaks WebSocket."""


class Traffic:
    """Bytes read from all WebSockets of one session."""

    __slots__ = ("bytes_received",)

    def __init__(self) -> None:
        self.bytes_received = 0


class Owner(Protocol):
    """Who talks over a connection."""

    def message(self, body: bytes) -> None:
        """A whole message came, text or binary; text is valid UTF-8."""
        ...

    def gone(self, reason: Failed) -> None:
        """The connection that was open cannot be used any more: closed by the peer, or broken."""
        ...

    def broken(self, error: Exception) -> None:
        """Our own code raised."""
        ...


class _Stage(Enum):
    CONNECTING = auto()
    OPEN = auto()
    GOODBYE = auto()  # said by us: nothing is sent any more; what still comes is counted
    FAREWELL = auto()  # said by the peer and answered: it is to close the socket
    OVER = auto()


class WebSocketConnection(asyncio.Protocol):
    """A WebSocket from its handshake to its end; never reconnected."""

    def __init__(self, endpoint: WebSocketEndpoint, counts: ConnectionCounts, traffic: Traffic, owner: Owner) -> None:
        self._endpoint = endpoint
        self._counts = counts
        self._traffic = traffic
        self._owner = owner
        self._stage = _Stage.CONNECTING
        self._counted = self._lost = False
        self._transport: asyncio.Transport | None = None
        self._protocol: ClientProtocol | None = None
        self._opened: asyncio.Future[Opened | Failed] | None = None
        self._gone: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._pongs_waiting = 0
        self._head = b""
        self._head_read = False
        self._parts = bytearray()
        self._parts_are_text = False

    # Owner ----------------------------------------------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """Whether a message may be sent."""
        return self._stage is _Stage.OPEN

    async def open(self, handshake: Handshake) -> Opened | Failed:
        """Connect and shake hands, for as long as the caller lets it. Once only; cancelled, it leaves nothing behind."""
        begun = begin(self._endpoint, handshake)
        if isinstance(begun, Failed):
            self._stage = _Stage.OVER
            return begun
        self._protocol, request = begun
        opened = self._opened = asyncio.get_running_loop().create_future()
        try:
            refused = await self._connect(request)
            return refused if isinstance(refused, Failed) else await opened
        except BaseException:
            self.abort()
            raise

    async def writable(self) -> None:
        """Wait until the peer takes what was sent, or the connection is over."""
        await self._writable.wait()

    def send(self, message: str) -> None:
        """Send a text message. Only while usable."""
        assert self._protocol is not None
        self._protocol.send_text(message.encode("utf-8", "replace"))  # lone surrogates, as bodies do
        self._counts.messages_sent += 1
        self._flush()

    def leave(self) -> None:
        """Say goodbye, without waiting for an answer; abort or close ends what is left of it."""
        if self._stage is _Stage.OPEN:
            self._say_goodbye()
            if self._transport is not None:
                self._transport.close()

    def abort(self) -> None:
        """Drop the connection as it is."""
        self._end()
        if self._transport is not None and not self._lost:
            self._transport.abort()

    async def close(self) -> None:
        """Say goodbye, and wait until the socket is gone; a peer that does not answer is not waited for longer."""
        if self._stage is _Stage.OPEN:
            self._say_goodbye()
        elif self._stage is _Stage.CONNECTING:
            self.abort()
        if self._transport is None or self._lost:
            return
        if self._stage is _Stage.FAREWELL:
            self._transport.close()  # it had its time
        self._gone = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(CLOSE_S_MAX):
                await self._gone
        except TimeoutError:
            pass
        finally:
            self.abort()

    # Transport ------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP is there; TLS and the handshake follow."""
        self._transport = cast("asyncio.Transport", transport)
        if self._stage is _Stage.CONNECTING:
            self._counted = True
            self._counts.count_opened()
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        self._traffic.bytes_received += len(data)
        if self._stage is _Stage.OVER:
            return
        try:
            self._read(data)
        except Exception as error:  # noqa: BLE001 - an exception in a callback would only be logged
            self.abort()
            if self._opened is not None and not self._opened.done():
                self._opened.set_exception(error)
            else:
                self._owner.broken(error)

    def eof_received(self) -> None:
        """The peer will send nothing more; the transport closes itself."""
        self._lose(CLOSED_UNDER_US)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._lost = True
        self._lose(CLOSED_UNDER_US if exc is None else system_failure(exc))
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def pause_writing(self) -> None:
        """The peer does not take what was sent."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._pongs_waiting = 0
        self._writable.set()

    # ----------------------------------------------------------------------------------------------------------------

    async def _connect(self, request: Request) -> Opened | Failed:
        """TCP, TLS if need be, and the handshake's request on its way. Opened: so far."""
        endpoint = self._endpoint
        try:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_connection(lambda: self, endpoint.address, endpoint.port)
            if isinstance(endpoint.tls, ssl.SSLContext):
                transport = await secured(transport, self, endpoint.tls, host=endpoint.origin.host)
        except Exception as error:  # noqa: BLE001 - whatever the target provokes is one failed operation, never our end
            self.abort()
            return system_failure(error)
        self._transport = transport
        if self._stage is _Stage.CONNECTING:
            assert self._protocol is not None
            self._protocol.send_request(request)
            self._flush()
        elif not self._lost:
            transport.abort()
        return Opened()

    def _read(self, data: bytes) -> None:
        protocol = self._protocol
        assert protocol is not None
        if not self._head_read and not self._reads_like_a_switch(data):
            return
        protocol.receive_data(data)
        closed: Failed | None = None
        for event in protocol.events_received():
            if self._stage is _Stage.OVER:
                return
            if isinstance(event, Response):
                self._upgraded(protocol)
            elif isinstance(event, Frame):
                if event.opcode is Opcode.CLOSE:
                    closed = closed_with(Close.parse(bytes(event.data)))
                else:
                    self._take(event)
        self._flush()
        if self._stage is _Stage.CONNECTING and protocol.handshake_exc is not None:
            self._fail(handshake_failure(protocol.handshake_exc))
        elif self._stage is _Stage.OPEN and protocol.parser_exc is not None:
            self._fail(frames_failure(protocol.parser_exc, self._endpoint.message_bytes_max))
        elif self._stage is _Stage.OPEN and closed is not None:
            self._forget()
            self._stage = _Stage.FAREWELL
            self._give(closed)
        elif self._pongs_waiting > PONGS_WAITING_MAX:
            self._fail(PINGS_ONLY)
            self.abort()  # what it does not read cannot be flushed

    def _reads_like_a_switch(self, data: bytes) -> bool:
        """Whether the library should read on: as soon as the status is known to be another, nothing else matters."""
        self._head += data[: _HEAD_BYTES - len(self._head)]
        found = _HEAD.match(self._head)
        if found is None:
            if len(self._head) == _HEAD_BYTES or not _HTTP.startswith(self._head[: len(_HTTP)]):
                self._fail(NOT_HTTP)
            elif self._protocol is not None:
                self._protocol.receive_data(data)
            return False
        status = int(found[1])
        self._head_read = status == _SWITCHING
        if not self._head_read:
            self._counts.redirects += status in _REDIRECTS
            self._fail(Failed(error=ErrorClass.STATUS, message=f"status {status} instead of a WebSocket (101)"))
        return self._head_read

    def _upgraded(self, protocol: ClientProtocol) -> None:
        if protocol.state is not State.OPEN and protocol.handshake_exc is not None:
            return
        if protocol.available_subprotocols and protocol.subprotocol is None:
            self._fail(NO_SUBPROTOCOL)
            return
        self._stage = _Stage.OPEN
        self._give(Opened())

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self._pongs_waiting += not self._writable.is_set()
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._parts_are_text = frame.opcode is Opcode.TEXT
            self._parts += frame.data
            if frame.fin:
                body = bytes(self._parts)
                self._parts.clear()
                self._message(body)

    def _message(self, body: bytes) -> None:
        self._counts.messages_received += 1
        if self._parts_are_text and not is_text(body):
            if self._protocol is not None and self._stage is _Stage.OPEN:
                self._protocol.fail(CloseCode.INVALID_DATA)
                self._flush()
            self._fail(TEXT_IS_NONE)
        elif self._stage is _Stage.OPEN:
            self._owner.message(body)

    def _flush(self) -> None:
        """Write what the library wants written. Its wish to half-close is left to the transport's own end."""
        if self._protocol is None or self._transport is None:
            return
        for chunk in self._protocol.data_to_send():
            if chunk and not self._transport.is_closing():
                self._counts.bytes_sent += len(chunk)
                self._transport.write(chunk)

    def _say_goodbye(self) -> None:
        assert self._protocol is not None
        self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
        self._flush()
        self._forget()
        self._stage = _Stage.GOODBYE

    def _lose(self, reason: Failed) -> None:
        if self._stage in (_Stage.CONNECTING, _Stage.OPEN):
            self._fail(reason)
        else:
            self._end()

    def _fail(self, reason: Failed) -> None:
        """The peer broke the rules, or is gone."""
        if self._stage is _Stage.OVER:
            return
        told = self._stage in (_Stage.CONNECTING, _Stage.OPEN)
        self._end()
        if self._transport is not None and not self._lost:
            self._transport.close()
        if told:
            self._give(reason)

    def _give(self, outcome: Opened | Failed) -> None:
        """Tell whoever waits for the handshake, else the owner."""
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(outcome)
        elif isinstance(outcome, Failed):
            self._owner.gone(outcome)

    def _end(self) -> None:
        self._forget()
        self._stage = _Stage.OVER

    def _forget(self) -> None:
        """Not ours any more: counted as closed, and nobody waits to write."""
        self._writable.set()
        if self._counted:
            self._counted = False
            self._counts.count_closed()


def is_text(body: bytes) -> bool:
    """Whether a message is valid UTF-8."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
