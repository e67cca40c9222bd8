"""Scripts ask over httpx: whole answers, redirects within the target, and each failure as its class."""

import asyncio
import gzip
from dataclasses import replace

import pytest

from stress_scenarios.engines.engine import Answer as EngineAnswer
from stress_scenarios.engines.engine import Exchange
from stress_scenarios.engines.httpx_engine import HttpxEngine
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import Failed, ReadyRequest, ready_requests
from tests.stress_scenarios.orders import Operation, an_order
from tests.stress_scenarios.rude_servers import Answer, flood, hang, read_head, reset, saying, saying_once, serving

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def asked(url: str, **changes: object) -> ReadyRequest:
    """A request that a script would make."""
    (request,) = ready_requests(an_order(Operation(timeout_s=2.0)))
    return replace(request, url=url, **changes)  # type: ignore[arg-type]


def ask(
    answer: Answer, path: str = "/", *, redirects_max: int = 0, times: int = 1, **changes: object
) -> tuple[list[EngineAnswer | Exchange], HttpxEngine]:
    """Ask some times in one session against a small server."""

    async def work() -> tuple[list[EngineAnswer | Exchange], HttpxEngine]:
        async with serving(answer) as port:
            order = an_order(port=port, response_bytes_max=1000)
            engine = HttpxEngine()
            engine.prepare(target=order.target, requests=ready_requests(order), response_bytes_max=1000)
            session = engine.session()
            request = asked(f"http://127.0.0.1:{port}{path}", **changes)
            try:
                return [await session.ask(request, redirects_max=redirects_max) for _ in range(times)], engine
            finally:
                await session.close()

    return asyncio.run(work())


def answered(outcome: EngineAnswer | Exchange) -> EngineAnswer:
    """An answer that must be one."""
    assert isinstance(outcome, EngineAnswer), outcome
    return outcome


def test_a_script_gets_the_whole_answer_unjudged() -> None:
    """Whatever its status; header names in lower case, the body unpacked, all bytes counted in both directions."""
    packed = gzip.compress(b"hello")
    head = b"HTTP/1.1 418 Teapot\r\nX-A: 1\r\nx-a: 2\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    full = head % len(packed) + packed
    outcomes, made = ask(saying(full), times=2)
    first = answered(outcomes[0])
    assert (first.status, first.body, first.redirects) == (418, b"hello", 0)
    assert [value for name, value in first.headers if name == "x-a"] == ["1", "2"]
    assert first.bytes_received == len(full)
    assert (made.connections.opened, made.connections.open, made.connections.reconnects) == (1, 0, 0)
    assert made.connections.bytes_sent > 2 * len("GET / HTTP/1.1")


def test_a_script_sends_what_it_made() -> None:
    """Method, path, headers, body."""
    seen: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_head(reader) + await reader.readexactly(4))
        writer.write(OK)

    ask(note, "/a?b=%20c", method="PUT", headers=(("X-A", "v"),), body=b"body")
    head = seen[0].decode()
    assert head.startswith("PUT /a?b=%20c HTTP/1.1\r\n")
    assert "x-a: v\r\n" in head.lower()
    assert head.endswith("body")


def redirecting(location: str, *, status: int = 302, times: int) -> tuple[Answer, list[bytes]]:
    """A server that points elsewhere so many times, then answers; and the first lines of what it was asked."""
    lines: list[bytes] = []

    async def point(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await read_head(reader)
            lines.append(head.partition(b"\r\n")[0])
            port = writer.get_extra_info("sockname")[1]
            if len(lines) <= times:
                where = location.replace("PORT", str(port))
                writer.write(b"HTTP/1.1 %d Moved\r\nLocation: %b\r\n" % (status, where.encode()))
                writer.write(b"Content-Length: 2\r\n\r\nno")
            else:
                writer.write(OK)

    return point, lines


@pytest.mark.parametrize(("redirects_max", "status", "followed"), [(0, 302, 0), (1, 302, 1), (2, 200, 2), (3, 200, 2)])
def test_redirects_within_the_target_are_followed_as_often_as_is_asked(
    redirects_max: int, status: int, followed: int
) -> None:
    """Over the same connection; all answers' bytes are counted, and each that points elsewhere."""
    server, lines = redirecting("/next", times=2)
    (outcome,), made = ask(server, redirects_max=redirects_max)
    answer = answered(outcome)
    assert (answer.status, answer.redirects, len(lines)) == (status, followed, followed + 1)
    assert made.connections.opened == 1
    assert made.connections.redirects == min(2, redirects_max + 1)
    assert answer.bytes_received >= (followed + 1) * len(OK)


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:1/x", "https://127.0.0.1:PORT/x", "http://other.test:PORT/", "//other.test/"]
)
def test_redirects_to_somebody_else_are_not_followed(location: str) -> None:
    """They would be load on who was not asked; the script sees the answer."""
    server, lines = redirecting(location, times=1)
    (outcome,), _ = ask(server, redirects_max=5)
    assert (answered(outcome).status, len(lines)) == (302, 1)


@pytest.mark.parametrize(("status", "method"), [(302, b"GET"), (303, b"GET"), (307, b"POST"), (308, b"POST")])
def test_a_redirect_keeps_the_method_where_it_says_so(status: int, method: bytes) -> None:
    """As browsers do."""
    server, lines = redirecting("http://127.0.0.1:PORT/next", status=status, times=1)
    ask(server, method="POST", redirects_max=1)
    assert [line.partition(b" ")[0] for line in lines] == [b"POST", method]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reset, ErrorClass.RESET),
        (saying_once(b""), ErrorClass.RESET),
        (saying_once(b"\x00\x01garbage\r\n\r\n\x02"), ErrorClass.PROTOCOL),
        (hang, ErrorClass.TIMEOUT),
        (flood, ErrorClass.TOO_LARGE),
        (
            saying_once(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
            ErrorClass.PROTOCOL,
        ),
    ],
)
def test_a_script_hears_of_each_failure_as_its_class(answer: Answer, error: ErrorClass) -> None:
    """And goes on with a new connection, which is counted as one that took another's place."""
    outcomes, made = ask(answer, times=2, timeout_s=0.3)
    for outcome in outcomes:
        assert isinstance(outcome, Exchange)
        assert isinstance(outcome.judgement, Failed)
        assert outcome.judgement.error is error
    assert (made.connections.open, made.connections.reconnects) == (0, made.connections.opened - 1)


@pytest.mark.parametrize("url", ["http://a\0b:9", "ftp://127.0.0.1:9/"])
def test_a_url_that_is_none_is_told_and_nothing_is_sent(url: str) -> None:
    """The script's fault, not the target's."""

    async def work() -> tuple[EngineAnswer | Exchange, HttpxEngine]:
        order = an_order()
        engine = HttpxEngine()
        engine.prepare(target=order.target, requests=ready_requests(order), response_bytes_max=1000)
        session = engine.session()
        try:
            return await session.ask(asked(url)), engine
        finally:
            await session.close()

    outcome, engine = asyncio.run(work())
    assert isinstance(outcome, Exchange)
    assert isinstance(outcome.judgement, Failed)
    assert outcome.judgement.error is ErrorClass.CLIENT
    assert (engine.connections.opened, engine.connections.bytes_sent) == (0, 0)
