"""The HTTP engine at wire speed: HTTP/1.1 on plain callbacks, for coroutines that want one operation at a time.

It is made for uvloop and runs on any asyncio loop. A declared load need not go through coroutines at all: see
wire_load_run, which drives the same connections. Runs in worker processes.
"""

import asyncio
import ssl

from stress_scenarios.engines.engine import ConnectionCounts, EngineError, Exchange
from stress_scenarios.engines.wire_connection import Circuit, Endpoint, WireConnection, WireTimeouts, now_us
from stress_scenarios.engines.wire_cookies import CookieBox
from stress_scenarios.engines.wire_request import PASSED, WireRequest, compile_request, origin_of
from stress_scenarios.load_plan import TargetSpec
from stress_scenarios.scenario import AnswerJudgement, ReadyRequest


class WireEngine:
    """Sessions over wire connections."""

    def __init__(self, timeouts: WireTimeouts | None = None) -> None:
        self._timeouts = timeouts or WireTimeouts()
        self._connections = ConnectionCounts()
        self._prepared: Circuit | None = None
        self.requests: tuple[WireRequest, ...] = ()

    @property
    def connections(self) -> ConnectionCounts:
        """Real connections, over the engine's life."""
        return self._connections

    @property
    def circuit(self) -> Circuit:
        """What the connections of the prepared load share."""
        assert self._prepared is not None, "prepare comes first"
        return self._prepared

    @property
    def redirects(self) -> int:
        """Answers of the prepared load that pointed elsewhere; they are counted and not followed."""
        return self.circuit.redirects

    def prepare(self, *, target: TargetSpec, requests: tuple[ReadyRequest, ...], response_bytes_max: int) -> None:
        """Compile the requests and load the trust store. Sends nothing. Raises EngineError."""
        origin = origin_of(target.url, target=target.name)
        self.requests = tuple(compile_request(request, origin) for request in requests)
        self._prepared = Circuit(
            endpoint=Endpoint(
                address=target.address,
                port=target.port,
                tls=_tls_context(target) if origin.secure else None,
                host=origin.host,
            ),
            response_bytes_max=response_bytes_max,
            timeouts=self._timeouts,
            shortest_timeout_s=min(request.timeout_s for request in requests),
            counts=self._connections,
        )

    def session(self) -> "WireSession":
        """A fresh session, not yet connected, without cookies."""
        return WireSession(self.circuit, self.requests)


class WireSession:
    """One virtual user: one connection at a time, one operation at a time."""

    __slots__ = ("_circuit", "_connection", "_cookies", "_ended", "_request", "_requests", "started_us")

    def __init__(self, circuit: Circuit, requests: tuple[WireRequest, ...]) -> None:
        self.started_us = 0
        self._circuit = circuit
        self._requests = requests
        self._request = requests[0]
        self._connection = WireConnection(circuit, self)
        self._cookies: CookieBox | None = None
        self._ended: asyncio.Future[Exchange] | None = None

    async def perform(self, operation: int) -> Exchange:
        """Send one request and judge its answer, within its timeout over everything."""
        request = self._request = self._requests[operation]
        ended: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        self._ended = ended
        self.started_us = now_us()
        connection = self._connection
        if not connection.alive:
            connection = self._connection = WireConnection(self._circuit, self)
        connection.send(request, request.payload if self._cookies is None else self._cookies.payload(request))
        try:
            return await ended
        except asyncio.CancelledError:
            connection.abort()
            raise

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.closed()

    # Called by the connection ---------------------------------------------------------------------------------------

    def answered(self, bytes_received: int) -> None:
        """The expected answer arrived."""
        self._connection.rest()
        ended = self._ended
        if ended is not None and not ended.done():
            known = self._request.known_exchange
            if known.bytes_received == bytes_received:
                ended.set_result(known)
            else:
                ended.set_result(Exchange(judgement=PASSED, bytes_received=bytes_received))

    def ended(self, judgement: AnswerJudgement, bytes_received: int, cookies: list[bytes]) -> None:
        """The request in flight has ended."""
        if cookies:
            if self._cookies is None:
                self._cookies = CookieBox()
            self._cookies.take(self._request, cookies)
        ended = self._ended
        if ended is not None and not ended.done():
            ended.set_result(Exchange(judgement=judgement, bytes_received=bytes_received))

    def broken(self, error: Exception) -> None:
        """Our own code raised: perform raises it."""
        self._connection.abort()
        ended = self._ended
        if ended is not None and not ended.done():
            ended.set_exception(error)


def _tls_context(target: TargetSpec) -> ssl.SSLContext:
    """One context for all connections: loading a trust store takes about 15 ms."""
    try:
        context = ssl.create_default_context(cafile=target.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise EngineError(
            f'target {target.name}: the CA file "{target.ca_file}" does not load ({error}); '
            "write the path of a PEM file"
        ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context
