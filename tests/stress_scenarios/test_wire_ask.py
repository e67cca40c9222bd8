"""Requests that a script makes while the load runs: the wire engine hands over whole answers, over real sockets."""

import asyncio
import gzip
import json
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from stress_scenarios.engines.engine import Answer as HttpAnswer
from stress_scenarios.engines.engine import Exchange
from stress_scenarios.engines.wire_engine import WireEngine, WireSession
from stress_scenarios.engines.wire_request import ASKED_BYTES_MAX, ASKED_REQUESTS_MAX, AskedRequests, origin_of
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import Failed, ReadyRequest
from tests.stress_scenarios.orders import an_order
from tests.stress_scenarios.rude_servers import Answer, hang, read_head, saying, saying_once, serving
from tests.stress_scenarios.wire_rig import ANSWER_S_MAX, MISBEHAVIOUR, OK, failed_with, in_loop, prepared
from tests.support.servers import HttpServer

RUN = in_loop(uvloop.new_event_loop)


def a_request(port: int, path: str = "/", **changed: Any) -> ReadyRequest:
    """A GET of which only the interesting is said."""
    plain = ReadyRequest(
        method="GET",
        url=f"http://127.0.0.1:{port}{path}",
        headers=(),
        body=b"",
        timeout_s=1.0,
        expected_status=frozenset({200}),
        expected_status_text="200",
        body_contains=(),
    )
    return replace(plain, **changed)


async def ask(session: WireSession, request: ReadyRequest, redirects_max: int = 0) -> HttpAnswer | Exchange:
    """Ask, with a hang limit."""
    return await asyncio.wait_for(session.ask(request, redirects_max=redirects_max), ANSWER_S_MAX)


async def ask_all(
    answer: Answer, *paths: str, redirects_max: int = 0, **changed: Any
) -> tuple[list[HttpAnswer | Exchange], WireEngine]:
    """Ask for these paths in one session against a small server."""
    async with serving(answer) as port:
        engine = prepared(an_order(port=port))
        session = engine.session()
        try:
            return [await ask(session, a_request(port, path, **changed), redirects_max) for path in paths], engine
        finally:
            await session.close()


def whole(outcome: HttpAnswer | Exchange) -> HttpAnswer:
    """The answer, where there must be one."""
    assert isinstance(outcome, HttpAnswer), outcome
    return outcome


def by_path(answers: dict[str, bytes], heads: list[bytes]) -> Answer:
    """Answer by the request's path; notes every request's head."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await read_head(reader)
            heads.append(head)
            writer.write(answers[head.split(b" ")[1].decode()])

    return speak


def moved(location: str, status: int = 302) -> bytes:
    """An answer that points elsewhere."""
    return f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def test_an_answer_comes_whole_with_headers_body_and_bytes() -> None:
    """Whatever its status: judging it is the script's."""
    said = b"HTTP/1.1 404 Not Found\r\nX-Token:  abc \r\nx-twice: 1\r\nX-Twice: 2\r\nContent-Length: 2\r\n\r\nno"
    (outcome, *_), engine = RUN(ask_all(saying(said), "/a", "/a", "/a"))
    answer = whole(outcome)
    assert (answer.status, answer.body, answer.redirects, answer.bytes_received) == (404, b"no", 0, len(said))
    assert answer.headers == (("x-token", "abc"), ("x-twice", "1"), ("x-twice", "2"), ("content-length", "2"))
    assert (engine.connections.opened, engine.connections.open) == (1, 0)


def test_a_compressed_body_comes_as_its_author_wrote_it() -> None:
    """Gzip is unpacked; a head that names gzip over an empty body is an empty body."""
    packed = gzip.compress(b"hello")
    answers = {
        "/full": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(packed), packed),
        "/empty": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
    }
    outcomes, _ = RUN(ask_all(by_path(answers, []), "/full", "/empty"))
    assert [whole(outcome).body for outcome in outcomes] == [b"hello", b""]


def test_an_answer_that_changes_is_never_taken_for_the_one_before() -> None:
    """The same length, another body; repeated ones are the same."""
    bodies = [b"aaaaa", b"aaaaa", b"bbbbb", b"bbbbb", b"aaaaa"]

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for body in bodies:
            await read_head(reader)
            writer.write(OK[:-5] + body)

    outcomes, _ = RUN(ask_all(speak, *["/"] * 5))
    assert [whole(outcome).body for outcome in outcomes] == bodies


@pytest.mark.parametrize(("answer", "error"), MISBEHAVIOUR)
def test_each_way_to_misbehave_has_its_class_for_a_script_too(answer: Answer, error: ErrorClass) -> None:
    """The failure is an exchange, and the session goes on with a new connection."""
    outcomes, engine = RUN(ask_all(answer, "/", "/", timeout_s=0.2))
    exchanges = [outcome for outcome in outcomes if isinstance(outcome, Exchange)]
    assert [failed_with(exchange) for exchange in exchanges] == [error] * 2
    assert (engine.connections.opened, engine.connections.open) == (2, 0)


@pytest.mark.parametrize(
    "changed",
    [
        {"headers": (("X", "a\r\nY: b"),)},
        {"headers": (("Content-Length", "7"),)},
        {"method": "GE T"},
    ],
)
def test_a_request_that_cannot_be_sent_is_the_scripts_fault(changed: dict[str, Any]) -> None:
    """Nothing is sent, and nothing raised."""
    heads: list[bytes] = []
    (outcome,), engine = RUN(ask_all(by_path({"/": OK}, heads), "/", **changed))
    assert isinstance(outcome, Exchange)
    assert failed_with(outcome) is ErrorClass.SCENARIO
    assert (heads, engine.connections.opened, engine.connections.bytes_sent) == ([], 0, 0)


def test_redirects_are_followed_within_the_target_as_far_as_asked() -> None:
    """Their count and their bytes are in the answer; beyond the limit the redirect itself is the answer."""
    chain = {"/a": moved("/b"), "/b": moved("c", 307), "/c": moved("/d"), "/d": OK}
    for limit, body, followed in ((0, b"", 0), (2, b"", 2), (3, b"hello", 3), (9, b"hello", 3)):
        heads: list[bytes] = []
        (outcome,), engine = RUN(ask_all(by_path(chain, heads), "/a", redirects_max=limit))
        answer = whole(outcome)
        assert (answer.body, answer.redirects, len(heads)) == (body, followed, followed + 1)
        assert answer.bytes_received == sum(len(said) for said in list(chain.values())[: followed + 1])
        assert engine.connections.redirects == min(followed + 1, 3)


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:1/", "https://127.0.0.1/", "http://other.test/", "ftp://x/", "http://[", ""]
)
def test_a_redirect_to_somebody_else_is_returned_as_it_is(location: str) -> None:
    """Load goes to the target alone; what points nowhere is an answer as well."""
    (outcome,), engine = RUN(ask_all(saying(moved(location)), "/", redirects_max=5))
    assert (whole(outcome).status, whole(outcome).redirects) == (302, 0)
    assert engine.connections.opened == 1


@pytest.mark.parametrize(
    ("status", "line", "body"), [(301, b"GET", b""), (302, b"GET", b""), (303, b"GET", b""), (308, b"POST", b"x=1")]
)
def test_a_redirected_post_becomes_a_get_where_browsers_make_it_one(status: int, line: bytes, body: bytes) -> None:
    """301 to 303 ask for a GET, 307 and 308 for the same again; a cookie set on the way goes along."""
    seen: list[bytes] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(await read_head(reader)) and 3)
        writer.write(moved("/b", status)[:-2] + b"Set-Cookie: a=1\r\n\r\n")
        head = await read_head(reader)
        seen.extend((head, await reader.readexactly(3) if b"Content-Length: 3" in head else b""))
        writer.write(OK)

    headers = (("Content-Type", "text/plain"),)
    (outcome,), _ = RUN(ask_all(speak, "/a", redirects_max=1, method="POST", body=b"x=1", headers=headers))
    assert whole(outcome).status == 200
    assert (seen[0].split(b" ")[0], seen[1]) == (line, body)
    assert b"Cookie: a=1" in seen[0]
    assert (b"Content-Type" in seen[0]) is (line == b"POST")


def test_redirects_and_their_answers_share_one_timeout() -> None:
    """A chain of answers that each come in time is still given up after the operation's timeout."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_head(reader)
            await asyncio.sleep(0.1)
            writer.write(moved("/"))

    (outcome,), _ = RUN(ask_all(slow, "/", redirects_max=100, timeout_s=0.35))
    assert isinstance(outcome, Exchange)
    assert outcome.judgement == Failed(error=ErrorClass.TIMEOUT, message="no complete answer within 0.35 s")
    assert outcome.bytes_received == 3 * len(moved("/"))


def test_a_shorter_timeout_than_any_declared_one_holds() -> None:
    """The declared operation may take 5 s, this request 0.1 s."""

    async def work() -> tuple[HttpAnswer | Exchange, float]:
        async with serving(hang) as port:
            session = prepared(an_order(port=port)).session()
            began_s = asyncio.get_running_loop().time()
            outcome = await ask(session, a_request(port, timeout_s=0.1))
            took_s = asyncio.get_running_loop().time() - began_s
            await session.close()
            return outcome, took_s

    outcome, took_s = RUN(work())
    assert isinstance(outcome, Exchange)
    assert 0.09 < took_s < 1.0


def test_asking_and_performing_share_connection_and_cookies() -> None:
    """A session is one virtual user, however it sends; all bytes that were sent are counted."""
    heads: list[bytes] = []
    answers = {"/login": OK.replace(b"\r\nContent", b"\r\nSet-Cookie: user=7\r\nContent"), "/": OK}

    async def work() -> WireEngine:
        async with serving(by_path(answers, heads)) as port:
            engine = prepared(an_order(port=port))
            session = engine.session()
            whole(await ask(session, a_request(port, "/login")))
            await session.perform(0)
            whole(await ask(session, a_request(port)))
            await session.close()
            return engine

    engine = RUN(work())
    assert [b"Cookie: user=7" in head for head in heads] == [False, True, True]
    assert (engine.connections.opened, engine.connections.reconnects) == (1, 0)
    assert engine.connections.bytes_sent == sum(len(head) for head in heads)


def test_a_connection_in_the_place_of_a_lost_one_is_a_reconnect() -> None:
    """The first of a session is none; the peer's closing after each answer makes one for each further operation."""
    outcomes, engine = RUN(ask_all(saying_once(OK), "/", "/", "/"))
    assert [whole(outcome).body for outcome in outcomes] == [b"hello"] * 3
    assert (engine.connections.opened, engine.connections.reconnects) == (3, 2)


def test_requests_that_differ_each_time_do_not_pile_up() -> None:
    """Of a script's requests a bounded number is kept, the same ones are the same, and great ones are not kept."""
    asked = AskedRequests(origin_of("http://127.0.0.1:80", target="t"))
    first = asked.compiled(a_request(80, "/0"))
    assert asked.compiled(a_request(80, "/0")) is first
    for number in range(ASKED_REQUESTS_MAX + 10):
        asked.compiled(a_request(80, f"/{number}"))
        assert asked.kept <= ASKED_REQUESTS_MAX
    kept = asked.kept
    asked.compiled(a_request(80, method="POST", body=b"x" * (ASKED_BYTES_MAX + 1)))
    assert asked.kept == kept == 10
    asked.compiled(a_request(80, method="POST", body=b"x" * ASKED_BYTES_MAX))
    assert asked.kept == kept + 1


@pytest.mark.process
def test_httpbin_answers_what_a_script_asked(httpbin: HttpServer) -> None:
    """A server that was written by others: JSON in and out, and a redirect with cookies."""

    async def work() -> tuple[HttpAnswer | Exchange, HttpAnswer | Exchange]:
        engine = prepared(an_order(port=httpbin.port))
        session = engine.session()
        posted = await ask(
            session, a_request(httpbin.port, "/post?a=b", method="POST", body=b'{"c": 1}', timeout_s=5.0)
        )
        cookies = await ask(session, a_request(httpbin.port, "/cookies/set?user=7", timeout_s=5.0), redirects_max=1)
        await session.close()
        return posted, cookies

    posted, cookies = (whole(outcome) for outcome in RUN(work()))
    assert (json.loads(posted.body)["args"], json.loads(posted.body)["json"]) == ({"a": "b"}, {"c": 1})
    assert (json.loads(cookies.body)["cookies"], cookies.redirects) == ({"user": "7"}, 1)
