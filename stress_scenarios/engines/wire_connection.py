"""One TCP or TLS connection that carries one request at a time, driven by callbacks.

Whoever owns it is told once for every request how it ended. Timeouts have no timers of their own: the circuit, which
all connections of a load share, looks at everything in flight every few milliseconds. Runs in worker processes.
"""

import asyncio
import math
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from stress_scenarios.engines.client_tls import GOODBYE_S_MAX, NoTls, secured
from stress_scenarios.engines.engine import Answer, ConnectionCounts
from stress_scenarios.engines.system_failures import CLOSED_UNDER_US, system_failure
from stress_scenarios.engines.wire_answer import AnswerReader, Progress
from stress_scenarios.engines.wire_request import NO_REQUEST, PASSED, WireRequest
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import AnswerJudgement, Failed, judge_answer

SWEEP_S_MAX = 0.05
"""A timeout may be noticed this late. Sweeping 10,000 connections takes 0.3 ms, so this costs 0.6 % of a core."""

SWEEP_S_MIN = 0.005
"""For timeouts below 50 ms, a tenth of which would be nothing but sweeping."""

NEVER_US = 1 << 62

_US_PER_S = 1_000_000

Write = Callable[[bytes], None]

_SPOKE_FIRST = Failed(error=ErrorClass.PROTOCOL, message="the peer spoke before it was asked")


def now_us() -> int:
    """CLOCK_MONOTONIC in whole microseconds."""
    return time.monotonic_ns() // 1000


class Owner(Protocol):
    """Who sends requests over a connection. started_us: when the request in flight was started, CLOCK_MONOTONIC."""

    started_us: int

    def answered(self, bytes_received: int) -> None:
        """The expected answer arrived, and nothing else is to be done about it.

        The connection must be given the next request, or rest, before anything else.
        """
        ...

    def ended(self, outcome: AnswerJudgement | Answer, bytes_received: int, cookies: list[str]) -> None:
        """The request in flight has ended otherwise; the connection rests, or is not alive any more.

        An Answer comes only to a request that is asked.
        """
        ...

    def broken(self, error: Exception) -> None:
        """Our own code raised."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WireTimeouts:
    """Limits within an operation's own timeout, seconds from its start; infinity for no limit of its own."""

    connect_s: float = math.inf
    first_byte_s: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where connections go: the pinned numeric address, and the name that a TLS certificate must have."""

    address: str
    port: int
    tls: ssl.SSLContext | NoTls
    host: str


class Circuit:
    """What all connections of one prepared load share: endpoint, limits, counts, and the sweep for timeouts."""

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        response_bytes_max: int,
        timeouts: WireTimeouts,
        shortest_timeout_s: float,
        counts: ConnectionCounts,
    ) -> None:
        self.endpoint = endpoint
        self.response_bytes_max = response_bytes_max
        self.timeouts = timeouts
        self.counts = counts
        self.live: set[WireConnection] = set()
        self._patience_us = NEVER_US
        self._sweep_s = SWEEP_S_MAX
        self._sweeping = False
        shortest_s = min(shortest_timeout_s, timeouts.connect_s, timeouts.first_byte_s)
        self.note_timeout_us(round(min(shortest_s, NEVER_US / _US_PER_S) * _US_PER_S))

    def note_timeout_us(self, timeout_us: int) -> None:
        """A request may have so short a timeout."""
        if timeout_us < self._patience_us:
            self._patience_us = timeout_us
            self._sweep_s = min(SWEEP_S_MAX, max(SWEEP_S_MIN, timeout_us / _US_PER_S / 10))

    def watch(self, connection: "WireConnection") -> None:
        """Sweep over this connection too."""
        self.live.add(connection)
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(self._sweep_s, self._sweep)

    def _sweep(self) -> None:
        at_us = now_us()
        patience_us = self._patience_us
        for connection in [each for each in self.live if at_us - each.owner.started_us >= patience_us]:
            connection.look_at_time(at_us)
        self._sweeping = bool(self.live)
        if self._sweeping:
            asyncio.get_running_loop().call_later(self._sweep_s, self._sweep)


class WireConnection(asyncio.Protocol):
    """A connection, from its first request until it is closed; never reconnected.

    request: what is in flight. expecting: the same as long as not a byte of its answer has come; else NO_REQUEST.
    """

    __slots__ = (
        "_circuit",
        "_connecting",
        "_counted",
        "_gone",
        "_lost",
        "_reader",
        "_received",
        "_replaces",
        "_transport",
        "alive",
        "expecting",
        "owner",
        "request",
        "was_open",
        "write",
    )

    def __init__(self, circuit: Circuit, owner: Owner, *, replaces: bool = False) -> None:
        self.owner = owner
        self.was_open = False
        self.request = self.expecting = NO_REQUEST
        self.alive = True
        self.write: Write = _nowhere
        self._circuit = circuit
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._replaces = replaces
        self._counted = self._lost = False
        self._gone: asyncio.Future[None] | None = None
        self._reader: AnswerReader | None = None
        self._received = 0

    # Owner ----------------------------------------------------------------------------------------------------------

    def replacement(self) -> "WireConnection":
        """A new connection for the same owner, in the place of this one, which is not alive any more."""
        return WireConnection(self._circuit, self.owner, replaces=self.was_open or self._replaces)

    def send(self, request: WireRequest, payload: bytes) -> None:
        """Send a request; connects first if need be. Nothing else may be in flight."""
        self.request = request
        if self._connecting is not None:
            self.expecting = request
            self._circuit.counts.bytes_sent += len(payload)
            self.write(payload)
        else:
            self._circuit.watch(self)
            self._connecting = asyncio.get_running_loop().create_task(self._connect(payload))

    def rest(self) -> None:
        """Nothing is in flight."""
        self.request = self.expecting = NO_REQUEST

    def close(self) -> None:
        """Say goodbye; whatever is in flight is given up without a word to the owner."""
        if self.alive:
            self._forget()
            if self._transport is not None:
                self._transport.close()

    def abort(self) -> None:
        """Drop the connection as it is."""
        if self.alive:
            self._forget()
            self._lost = True
            if self._transport is not None:
                self._transport.abort()

    async def closed(self) -> None:
        """Close, and wait until the socket is gone: TLS says goodbye first, which a peer may leave unanswered."""
        self.close()
        transport = self._transport
        if transport is None or self._lost:
            return
        self._gone = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(GOODBYE_S_MAX):
                await self._gone
        except TimeoutError:
            transport.abort()

    def look_at_time(self, at_us: int) -> None:
        """Give up a request that takes too long."""
        request = self.request
        elapsed_us = at_us - self.owner.started_us
        timeouts = self._circuit.timeouts
        if elapsed_us >= request.timeout_us:
            self._fail(_late(f"no complete answer within {request.ready.timeout_s:g} s"))
        elif request is NO_REQUEST:
            return
        elif self.write is _nowhere and elapsed_us >= timeouts.connect_s * _US_PER_S:
            self._fail(_late(f"not connected within {timeouts.connect_s:g} s"))
        elif self.expecting is request and elapsed_us >= timeouts.first_byte_s * _US_PER_S:
            self._fail(_late(f"no first byte within {timeouts.first_byte_s:g} s"))

    # Transport ------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP is there; TLS may follow."""
        self._transport = cast("asyncio.Transport", transport)
        if self.alive:
            counts = self._circuit.counts
            self._counted = self.was_open = True
            counts.count_opened()
            counts.reconnects += self._replaces
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer: in nearly all cases one whole answer that is known already."""
        try:
            request = self.expecting
            length = len(data)
            if length == request.known_length and data.startswith(request.known_answer):
                self.owner.answered(length)
            else:
                self._read(data)
        except Exception as error:  # noqa: BLE001 - an exception in a callback would only be logged
            self.owner.broken(error)

    def eof_received(self) -> None:
        """The peer will send nothing more."""
        self._closed_by_peer(CLOSED_UNDER_US)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._lost = True
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        self._closed_by_peer(CLOSED_UNDER_US if exc is None else system_failure(exc))

    # ----------------------------------------------------------------------------------------------------------------

    async def _connect(self, payload: bytes) -> None:
        endpoint = self._circuit.endpoint
        loop = asyncio.get_running_loop()
        try:
            made, _ = await loop.create_connection(lambda: self, endpoint.address, endpoint.port)
            if not isinstance(endpoint.tls, NoTls):
                made = await secured(made, self, endpoint.tls, host=endpoint.host)
        except Exception as error:  # noqa: BLE001 - whatever the target provokes is one failed operation, never our end
            if self.alive:
                self._fail(system_failure(error))
            return
        if not self.alive:
            made.abort()
            return
        self._transport = made
        self.write = made.write
        self.expecting = self.request
        self._circuit.counts.bytes_sent += len(payload)
        self.write(payload)

    def _read(self, data: bytes) -> None:
        request = self.request
        if not self.alive or request is NO_REQUEST:
            self.abort()  # bytes that nobody asked for: whatever follows could not be told apart from an answer
            return
        self._received += len(data)
        if self.write is _nowhere:
            self._fail(_SPOKE_FIRST)
            return
        reader = self._reader
        if reader is None:
            reader = self._reader = AnswerReader(response_bytes_max=self._circuit.response_bytes_max)
        whole = self.expecting is request
        if whole:
            self.expecting = NO_REQUEST
            reader.begin(request)
        progress = reader.feed(data)
        if progress is Progress.COMPLETE:
            self._complete(reader, data if whole else b"")
        elif progress is Progress.BROKEN:
            self._fail(reader.failure)

    def _complete(self, reader: AnswerReader, whole: bytes) -> None:
        """An answer is there. whole: all of it, if it came in one piece."""
        request = self.request
        received, self._received = self._received, 0
        outcome: AnswerJudgement | Answer
        if request.is_asked:
            outcome = _answer(reader, received)
            started_us = self.owner.started_us
            if whole and started_us >= request.learns_from_us and isinstance(outcome, Answer) and reader.plain:
                request.remember_asked(whole, outcome, at_us=started_us)
        else:
            outcome = _judged(request, reader)
        if outcome is PASSED and reader.plain:
            if whole and self.owner.started_us >= request.learns_from_us:
                request.remember(whole, decided_by_head=reader.decided_by_head, at_us=self.owner.started_us)
            self.owner.answered(received)
            return
        self._circuit.counts.redirects += reader.redirects
        self.rest()
        if not reader.keep_alive:
            self.close()
        self.owner.ended(outcome, received, reader.cookies)

    def _closed_by_peer(self, reason: Failed) -> None:
        if not self.alive:
            return
        try:
            reader = self._reader
            if self.request is NO_REQUEST:
                self.close()
            elif reader is None or self.expecting is self.request or reason is not CLOSED_UNDER_US:
                self._fail(reason)
            elif reader.finish() is Progress.COMPLETE:
                self._complete(reader, b"")
            else:
                self._fail(reader.failure)
        except Exception as error:  # noqa: BLE001 - as in data_received
            self.owner.broken(error)

    def _fail(self, failed: Failed) -> None:
        received = self._received
        self.abort()
        self.owner.ended(failed, received, [])

    def _forget(self) -> None:
        """Not ours any more: counted as closed, swept over no more."""
        self.alive = False
        self.rest()
        self.write = _nowhere
        self._received = 0
        self._circuit.live.discard(self)
        if self._counted:
            self._counted = False
            self._circuit.counts.count_closed()
        if self._connecting is not None and self._connecting is not asyncio.current_task():
            self._connecting.cancel()


def _nowhere(_: bytes) -> None:
    raise AssertionError("written to a connection that is not there")


def _late(message: str) -> Failed:
    return Failed(error=ErrorClass.TIMEOUT, message=message)


def _judged(request: WireRequest, reader: AnswerReader) -> AnswerJudgement:
    """PASSED itself when the answer is the expected one."""
    if not request.ready.body_contains and reader.status in request.ready.expected_status:
        return PASSED
    body = reader.decoded_body() if request.keeps_body else b""
    if isinstance(body, Failed):
        return body
    judgement = judge_answer(request.ready, status=reader.status, body=body)
    return judgement if isinstance(judgement, Failed) else PASSED


def _answer(reader: AnswerReader, bytes_received: int) -> Answer | Failed:
    """The whole answer, for a script."""
    body = reader.decoded_body()
    if isinstance(body, Failed):
        return body
    return Answer(status=reader.status, headers=reader.headers, body=body, bytes_received=bytes_received, redirects=0)
