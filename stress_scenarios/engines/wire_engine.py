"""The HTTP engine at wire speed: HTTP/1.1 on plain callbacks, for coroutines that want one operation at a time.

It is made for uvloop and runs on any asyncio loop. A declared load need not go through coroutines at all: see
wire_load_run, which drives the same connections. Runs in worker processes.
"""

import asyncio
from dataclasses import replace

from stress_scenarios.engines.client_tls import client_tls
from stress_scenarios.engines.engine import UNSENT_PAUSE_S, Answer, ConnectionCounts, Exchange
from stress_scenarios.engines.wire_connection import (
    SWEEP_S_MAX,
    Circuit,
    Endpoint,
    WireConnection,
    WireTimeouts,
    now_us,
)
from stress_scenarios.engines.wire_cookies import CookieBox
from stress_scenarios.engines.wire_redirects import NoRedirect, redirected
from stress_scenarios.engines.wire_request import (
    NO_REQUEST,
    PASSED,
    AskedRequests,
    WireRequest,
    compile_request,
    origin_of,
)
from stress_scenarios.load_plan import TargetSpec
from stress_scenarios.scenario import AnswerJudgement, Failed, ReadyRequest

Outcome = Exchange | Answer

_FIRST_REDIRECT = 300
_US_PER_S = 1_000_000


class WireEngine:
    """Sessions over wire connections."""

    def __init__(self) -> None:
        self._connections = ConnectionCounts()
        self._prepared: Circuit | None = None
        self._asked: AskedRequests | None = None
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

    def prepare(self, *, target: TargetSpec, requests: tuple[ReadyRequest, ...], response_bytes_max: int) -> None:
        """Compile the requests and load the trust store. Sends nothing. Raises EngineError."""
        origin = origin_of(target.url, target=target.name)
        self.requests = tuple(compile_request(request, origin) for request in requests)
        self._asked = AskedRequests(origin)
        self._prepared = Circuit(
            endpoint=Endpoint(address=target.address, port=target.port, tls=client_tls(target), host=origin.host),
            response_bytes_max=response_bytes_max,
            timeouts=WireTimeouts(connect_s=target.connect_s_max, first_byte_s=target.first_byte_s_max),
            shortest_timeout_s=min((request.timeout_s for request in requests), default=target.connect_s_max),
            counts=self._connections,
        )

    def session(self) -> "WireSession":
        """A fresh session, not yet connected, without cookies."""
        assert self._asked is not None, "prepare comes first"
        return WireSession(self.circuit, self.requests, self._asked)


class WireSession:
    """One virtual user: one connection at a time, one operation at a time."""

    __slots__ = (
        "_asked",
        "_circuit",
        "_connection",
        "_cookies",
        "_ended",
        "_loop",
        "_request",
        "_requests",
        "started_us",
    )

    def __init__(self, circuit: Circuit, requests: tuple[WireRequest, ...], asked: AskedRequests) -> None:
        self.started_us = 0
        self._circuit = circuit
        self._requests = requests
        self._asked = asked
        self._request = NO_REQUEST
        self._connection = WireConnection(circuit, self)
        self._loop = asyncio.get_running_loop()  # asking for it costs a call of the kernel
        self._cookies: CookieBox | None = None
        self._ended: asyncio.Future[Outcome] | None = None

    async def perform(self, operation: int) -> Exchange:
        """Send one request and judge its answer, within its timeout over everything."""
        ended = self._send(self._requests[operation])
        try:
            outcome = await ended
        except asyncio.CancelledError:
            self._connection.abort()
            raise
        assert isinstance(outcome, Exchange), "only an asked request has an answer"
        return outcome

    async def ask(self, request: ReadyRequest, *, redirects_max: int = 0) -> Answer | Exchange:
        """Send a request that was made just now and return its whole answer, unjudged; an Exchange only when it failed.

        Redirects within the target are followed up to redirects_max, all within the request's one timeout.
        """
        asked = self._asked.compiled(request)
        if isinstance(asked, Failed):
            await asyncio.sleep(UNSENT_PAUSE_S)
            return Exchange(judgement=asked, bytes_received=0)
        self._circuit.note_timeout_us(asked.timeout_us)
        ended = self._send(asked)
        began_us = self.started_us
        try:
            outcome = await ended
        except asyncio.CancelledError:
            self._connection.abort()
            raise
        if redirects_max and isinstance(outcome, Answer) and outcome.status >= _FIRST_REDIRECT:
            return await self._follow(request, outcome, redirects_max=redirects_max, began_us=began_us)
        return outcome

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.closed()

    # Called by the connection ---------------------------------------------------------------------------------------

    def answered(self, bytes_received: int) -> None:
        """The expected answer arrived."""
        connection = self._connection
        connection.request = connection.expecting = NO_REQUEST  # rest, written out
        ended = self._ended
        if ended is not None and not ended.done():
            known = self._request.known_outcome
            if known.bytes_received == bytes_received:
                ended.set_result(known)
            else:
                ended.set_result(Exchange(judgement=PASSED, bytes_received=bytes_received))

    def ended(self, outcome: AnswerJudgement | Answer, bytes_received: int, cookies: list[str]) -> None:
        """The request in flight has ended."""
        if cookies:
            if self._cookies is None:
                self._cookies = CookieBox()
            self._cookies.take(self._request, cookies)
        ended = self._ended
        if ended is not None and not ended.done():
            ended.set_result(
                outcome if isinstance(outcome, Answer) else Exchange(judgement=outcome, bytes_received=bytes_received)
            )

    def broken(self, error: Exception) -> None:
        """Our own code raised: perform raises it."""
        self._connection.abort()
        ended = self._ended
        if ended is not None and not ended.done():
            ended.set_exception(error)

    # ----------------------------------------------------------------------------------------------------------------

    def _send(self, request: WireRequest) -> "asyncio.Future[Outcome]":
        self._request = request
        self._ended = ended = self._loop.create_future()
        self.started_us = now_us()
        connection = self._connection
        if not connection.alive:
            connection = self._connection = connection.replacement()
        connection.send(request, request.payload if self._cookies is None else self._cookies.payload(request))
        return ended

    async def _follow(self, request: ReadyRequest, answer: Answer, *, redirects_max: int, began_us: int) -> Outcome:
        """Go where an answer points, from one to the next."""
        self._circuit.note_timeout_us(round(SWEEP_S_MAX * _US_PER_S))  # what is left of a timeout may be that short
        followed = received = 0
        outcome: Outcome = answer
        while isinstance(outcome, Answer) and followed < redirects_max:
            following = redirected(request, outcome)
            if isinstance(following, NoRedirect):
                break
            request = following
            followed += 1
            received += outcome.bytes_received
            asked = self._asked.following(request, passed_us=now_us() - began_us)
            if isinstance(asked, Failed):
                outcome = Exchange(judgement=asked, bytes_received=0)
                break
            ended = self._send(asked)
            try:
                outcome = await ended
            except asyncio.CancelledError:
                self._connection.abort()
                raise
        received += outcome.bytes_received
        if isinstance(outcome, Answer):
            return replace(outcome, redirects=followed, bytes_received=received)
        return replace(outcome, bytes_received=received)
