"""The HTTP engine on httpx: the only module of this system's load that knows httpx.

httpx makes about 800 requests per second and core, enough for the paced loads of a night. One session has one client
with one HTTP/1.1 connection of its own. It connects to the pinned numeric address, while Host header and TLS name stay
those of the URL, so that no name is looked up during the night. Runs in worker processes.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Coroutine, Iterable
from dataclasses import replace

import httpcore
import httpx

from stress_scenarios.engines.answer_body import ACCEPTED_ENCODINGS, SURPLUS, too_large, unpacked
from stress_scenarios.engines.client_tls import NoTls, client_tls
from stress_scenarios.engines.engine import UNSENT_PAUSE_S, Answer, ConnectionCounts, EngineError, Exchange
from stress_scenarios.engines.httpx_failures import failure_of
from stress_scenarios.load_plan import ErrorClass, TargetSpec
from stress_scenarios.scenario import AnswerJudgement, Failed, ReadyRequest, judge_answer

USER_AGENT = "daybreak"

CLOSE_S_MAX = 1.0
"""Closing a socket takes microseconds; a close that hangs must not hold its virtual user."""

COOKIES_MAX = 180
"""Of one session, as in the wire engine: browsers keep about as many of one site."""

_SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class HttpxEngine:
    """Sessions over httpx clients that share one TLS context."""

    def __init__(self) -> None:
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)  # httpx logs every request at INFO
        self._connections = ConnectionCounts()
        self._prepared: _Prepared | None = None

    @property
    def connections(self) -> ConnectionCounts:
        """Real connections, over the engine's life."""
        return self._connections

    def prepare(self, *, target: TargetSpec, requests: tuple[ReadyRequest, ...], response_bytes_max: int) -> None:
        """Parse the URLs and load the trust store. Sends nothing. Raises EngineError."""
        try:
            urls = tuple(httpx.URL(request.url) for request in requests)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise EngineError(f"target {target.name}: {error}; write a URL such as http://host:port") from error
        for url in urls:
            if url.scheme not in ("http", "https") or not url.host:
                raise EngineError(f"target {target.name}: {url} is not an HTTP URL; write http://host:port")
        self._prepared = _Prepared(target, requests, urls, response_bytes_max, _tls_context(target))

    def session(self) -> "HttpxSession":
        """A fresh session, not yet connected, without cookies."""
        assert self._prepared is not None, "prepare comes first"
        return HttpxSession(self._prepared, self._connections)


class _Prepared:
    """What all sessions of a load share."""

    __slots__ = ("requests", "response_bytes_max", "target", "tls", "urls")

    def __init__(
        self,
        target: TargetSpec,
        requests: tuple[ReadyRequest, ...],
        urls: tuple[httpx.URL, ...],
        response_bytes_max: int,
        tls: ssl.SSLContext,
    ) -> None:
        self.target = target
        self.requests = requests
        self.urls = urls
        self.response_bytes_max = response_bytes_max
        self.tls = tls


class HttpxSession:
    """One virtual user: one client, one connection at a time."""

    def __init__(self, prepared: _Prepared, connections: ConnectionCounts) -> None:
        self._prepared = prepared
        self._connections = connections
        self._backend = _PinnedBackend(prepared.target.address, prepared.target.port, connections)
        self._client = self._new_client(httpx.Cookies())

    async def perform(self, operation: int) -> Exchange:
        """Send one request and judge its answer, within its timeout over everything."""
        request = self._prepared.requests[operation]
        url = self._prepared.urls[operation]
        outcome = await self._within_timeout(request, self._exchange(request, url, redirects_max=0, is_asked=False))
        assert isinstance(outcome, Exchange), "only what is asked has an answer"
        return outcome

    async def ask(self, request: ReadyRequest, *, redirects_max: int = 0) -> Answer | Exchange:
        """Send a request that was made just now and return its whole answer, unjudged; an Exchange only when it failed.

        Redirects within the target are followed up to redirects_max, all within the request's one timeout.
        """
        try:
            url = httpx.URL(request.url)
        except (httpx.InvalidURL, UnicodeError) as error:
            await asyncio.sleep(UNSENT_PAUSE_S)
            return Exchange(judgement=failure_of(error), bytes_received=0)
        return await self._within_timeout(
            request, self._exchange(request, url, redirects_max=redirects_max, is_asked=True)
        )

    async def close(self) -> None:
        """Disconnect."""
        with contextlib.suppress(Exception):  # a peer that already went away has nothing to say about our goodbye
            async with asyncio.timeout(CLOSE_S_MAX):
                await self._client.aclose()
        await self._backend.close_streams()

    async def _within_timeout(
        self, request: ReadyRequest, exchange: Coroutine[object, object, Answer | AnswerJudgement]
    ) -> Answer | Exchange:
        received_before = self._backend.bytes_received
        judgement: AnswerJudgement
        try:
            async with asyncio.timeout(request.timeout_s):
                outcome = await exchange
                if isinstance(outcome, Answer):
                    return replace(outcome, bytes_received=self._backend.bytes_received - received_before)
                judgement = outcome
        except TimeoutError:
            judgement = Failed(error=ErrorClass.TIMEOUT, message=f"no complete answer within {request.timeout_s:g} s")
            await self._start_over()
        except Exception as error:  # noqa: BLE001 - whatever the target provokes is one failed operation, never our end
            judgement = failure_of(error)
            await self._start_over()
        return Exchange(judgement=judgement, bytes_received=self._backend.bytes_received - received_before)

    async def _exchange(
        self, request: ReadyRequest, url: httpx.URL, *, redirects_max: int, is_asked: bool
    ) -> Answer | AnswerJudgement:
        message = self._client.build_request(request.method, url, headers=request.headers, content=request.body or None)
        followed = 0
        while True:
            try:
                response = await self._client.send(message, stream=True)
            except httpx.InvalidURL as error:  # not the request's, which was taken apart before
                raise httpx.RemoteProtocolError("the answer's Location is not a URL") from error
            if self._backend.answered_unasked:
                await response.aclose()
                await self._start_over()
                return SURPLUS
            if len(self._client.cookies.jar) > COOKIES_MAX:
                self._client.cookies.clear()
            self._connections.redirects += response.has_redirect_location
            following = response.next_request
            follows = (
                followed < redirects_max and following is not None and _origin(following.url) == _origin(message.url)
            )
            try:
                body = await self._read_body(response, keep=is_asked or bool(request.body_contains))
            finally:
                await response.aclose()
            if isinstance(body, Failed):
                return body
            if not follows:
                break
            assert following is not None
            message = following
            followed += 1
        if is_asked:
            headers = tuple((name.lower(), value) for name, value in response.headers.multi_items())
            return Answer(status=response.status_code, headers=headers, body=body, bytes_received=0, redirects=followed)
        return judge_answer(request, status=response.status_code, body=body)

    async def _read_body(self, response: httpx.Response, *, keep: bool) -> bytes | Failed:
        """Read to the end or to the limit; unpacked only when somebody will look into it.

        httpx itself would unpack each piece whole, however much there is in it.
        """
        limit = self._prepared.response_bytes_max
        total = 0
        kept = bytearray()
        async for piece in response.aiter_raw():
            total += len(piece)
            if total > limit:
                return too_large(limit)
            if keep:
                kept += piece
        return unpacked(bytes(kept), encodings=response.headers.get_list("content-encoding"), bytes_max=limit)

    async def _start_over(self) -> None:
        """Leave a connection that failed in an unknown state; the session goes on with a new one and its cookies."""
        cookies = self._client.cookies
        await self.close()
        self._client = self._new_client(cookies)

    def _new_client(self, cookies: httpx.Cookies) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=_PinnedTransport(self._prepared.tls, self._backend),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPTED_ENCODINGS},
            cookies=cookies,
            timeout=None,  # noqa: S113 - the whole operation has one timeout, in perform
            trust_env=False,
            follow_redirects=False,
        )


class _PinnedTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport over a connection pool of one, which connects through our backend."""

    def __init__(self, tls: ssl.SSLContext, backend: httpcore.AsyncNetworkBackend) -> None:
        super().__init__(verify=tls, trust_env=False, retries=0)
        # httpx 0.28 has no public way to hand in a network backend, so the pool that it made is replaced.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=1,
            max_keepalive_connections=1,
            keepalive_expiry=None,
            http1=True,
            http2=False,
            retries=0,
            network_backend=backend,
        )


class _PinnedBackend(httpcore.AsyncNetworkBackend):
    """Connects to one address whatever name is asked for, and counts connections and bytes of one session.

    answered_unasked: nothing has been received since the last request was sent. Whoever has its answer all the same has bytes
    that came after the answer before, which httpx would take for this one's.
    """

    def __init__(self, address: str, port: int, connections: ConnectionCounts) -> None:
        self._address = address
        self._port = port
        self._connections = connections
        self._inner = httpcore.AnyIOBackend()
        self._open_streams: set[_CountedStream] = set()
        self._has_connected = False
        self.answered_unasked = False
        self.bytes_received = 0

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - pinned: the name was resolved before the night
        port: int,  # noqa: ARG002 - pinned
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the pinned address."""
        stream = await self._inner.connect_tcp(self._address, self._port, timeout, local_address, socket_options)
        self._connections.count_opened()
        self._connections.reconnects += self._has_connected
        self._has_connected = True
        counted = _CountedStream(stream, self)
        self._open_streams.add(counted)
        return counted

    def note_sent(self, sent: int) -> None:
        """Some bytes were written."""
        self.answered_unasked = True
        self._connections.bytes_sent += sent

    def note_received(self, received: int) -> None:
        """Some bytes were read."""
        self.answered_unasked = False
        self.bytes_received += received

    def note_replaced(self, stream: "_CountedStream", successor: "_CountedStream") -> None:
        """The same connection goes on under TLS."""
        self._open_streams.discard(stream)
        self._open_streams.add(successor)

    def note_closed(self, stream: "_CountedStream") -> None:
        """A connection was closed; closing twice counts once."""
        if stream in self._open_streams:
            self._open_streams.discard(stream)
            self._connections.count_closed()

    async def close_streams(self) -> None:
        """Close what the client left open: httpcore forgets a connection whose TLS handshake is cancelled."""
        for stream in tuple(self._open_streams):
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_S_MAX):
                    await stream.aclose()
            self.note_closed(stream)


class _CountedStream(httpcore.AsyncNetworkStream):
    """One connection, its bytes counted."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, backend: _PinnedBackend) -> None:
        self._stream = stream
        self._backend = backend

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's interface
        """Read some bytes; b"" at the end."""
        received = await self._stream.read(max_bytes, timeout)
        self._backend.note_received(len(received))
        return received

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's interface
        """Write all bytes."""
        await self._stream.write(buffer, timeout)
        self._backend.note_sent(len(buffer))

    async def aclose(self) -> None:
        """Close the socket."""
        try:
            await self._stream.aclose()
        finally:
            self._backend.note_closed(self)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
    ) -> httpcore.AsyncNetworkStream:
        """Go on under TLS; the connection counts as the same one."""
        secured = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        successor = _CountedStream(secured, self._backend)
        self._backend.note_replaced(self, successor)
        return successor

    def get_extra_info(self, info: str) -> object:
        """Details of the socket, as httpcore asks for them."""
        return self._stream.get_extra_info(info)


def _tls_context(target: TargetSpec) -> ssl.SSLContext:
    """One context for all sessions; httpx wants one for plain HTTP too, where an empty one costs nothing."""
    match client_tls(target):
        case NoTls():
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        case context:
            return context


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port  # httpx leaves out the scheme's own port
