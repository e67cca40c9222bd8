"""Known answers and parsed answers are one and the same, however the network cuts the bytes."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from stress_scenarios.engines.client_tls import NO_TLS
from stress_scenarios.engines.engine import Answer, ConnectionCounts
from stress_scenarios.engines.wire_answer import AnswerReader, Progress
from stress_scenarios.engines.wire_connection import Circuit, Endpoint, WireConnection, WireTimeouts
from stress_scenarios.engines.wire_request import PASSED, WireRequest, compile_request, origin_of
from stress_scenarios.scenario import AnswerJudgement, Failed, ReadyRequest

ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhullo",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: now\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello there",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhullo\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n1\r\no\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=1\r\n\r\nhello",
    b"HTTP/1.1 302 Found\r\nContent-Length: 5\r\nLocation: /a\r\n\r\nhello",
    b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"\r\n\r\nHTTP/1.1 404 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
)


@dataclass(slots=True)
class FakeTransport:
    """Takes what is written."""

    written: list[bytes] = field(default_factory=list)

    def write(self, payload: bytes) -> None:
        """Take it."""
        self.written.append(payload)

    def close(self) -> None:
        """Nothing to close."""

    abort = close


@dataclass(slots=True, kw_only=True)
class FakeOwner:
    """Notes how each request ended, and how many of the answers were known."""

    remembers: bool
    started_us: int = 0
    connection: WireConnection | None = None
    known: int = 0
    ends: list[tuple[AnswerJudgement, int]] = field(default_factory=list)

    def answered(self, bytes_received: int) -> None:
        """Note the expected answer."""
        assert self.connection is not None
        self.known += self.connection.expecting is self.connection.request
        self.connection.rest()
        self.ends.append((PASSED, bytes_received))

    def ended(self, outcome: AnswerJudgement | Answer, bytes_received: int, cookies: list[str]) -> None:
        """Note a parsed answer."""
        assert not isinstance(outcome, Answer)
        self.ends.append((outcome, bytes_received))

    def broken(self, error: Exception) -> None:
        """Fail the test."""
        raise error


def a_request(*, wanted: tuple[bytes, ...], method: str = "GET") -> WireRequest:
    """A request whose answer must contain something."""
    ready = ReadyRequest(
        method=method,
        url="http://127.0.0.1/",
        headers=(),
        body=b"",
        timeout_s=1.0,
        expected_status=frozenset({200, 204}),
        expected_status_text="200, 204",
        body_contains=wanted,
    )
    return compile_request(ready, origin_of("http://127.0.0.1", target="t"))


def ends_of(stream: list[tuple[bytes, tuple[int, ...]]], *, wanted: tuple[bytes, ...], remembers: bool) -> FakeOwner:
    """Send each answer in its pieces over one connection."""

    async def work() -> FakeOwner:
        owner = FakeOwner(remembers=remembers)
        circuit = Circuit(
            endpoint=Endpoint(address="127.0.0.1", port=9, tls=NO_TLS, host="127.0.0.1"),
            response_bytes_max=1000,
            timeouts=WireTimeouts(),
            shortest_timeout_s=1.0,
            counts=ConnectionCounts(),
        )
        owner.connection = connection = WireConnection(circuit, owner)
        transport = FakeTransport()
        connection.connection_made(cast("Any", transport))
        connection._connecting = asyncio.create_task(asyncio.sleep(0))
        connection.write = transport.write
        request = a_request(wanted=wanted)
        for answer, cuts in stream:
            connection.send(request, request.payload)
            for start, end in zip((0, *cuts), (*cuts, len(answer)), strict=True):
                connection.data_received(answer[start:end])
            if not remembers:
                request.known_length = -1
        await connection._connecting
        connection.close()
        return owner

    return asyncio.run(work())


def _cut(answer: bytes) -> st.SearchStrategy[tuple[bytes, tuple[int, ...]]]:
    places = st.sets(st.integers(1, len(answer) - 1), max_size=3).map(lambda cuts: tuple(sorted(cuts)))
    return st.tuples(st.just(answer), st.one_of(st.just(()), places))


STREAMS = st.lists(st.sampled_from(ANSWERS).flatmap(_cut), min_size=1, max_size=12)


@given(stream=STREAMS, wanted=st.sampled_from([(), (b"hello",), (b"ell", b"o")]))
def test_a_known_answer_ends_as_a_parsed_one(
    stream: list[tuple[bytes, tuple[int, ...]]], wanted: tuple[bytes, ...]
) -> None:
    """Remembering changes no judgement and no count of bytes, in whatever order and pieces the answers come."""
    remembering = ends_of(stream, wanted=wanted, remembers=True)
    parsing = ends_of(stream, wanted=wanted, remembers=False)
    assert remembering.ends == parsing.ends
    assert parsing.known == 0
    assert [received for _, received in remembering.ends] == [len(answer) for answer, _ in stream]


def test_the_same_answer_again_is_known() -> None:
    """The first is parsed, the others are not; an answer of the same head and another body is known too, if nobody looks."""
    stream: list[tuple[bytes, tuple[int, ...]]] = [(ANSWERS[0], ()), (ANSWERS[0], ()), (ANSWERS[1], ())]
    assert ends_of(stream, wanted=(), remembers=True).known == 2
    assert ends_of(stream, wanted=(b"hello",), remembers=True).known == 1


@given(
    pieces=st.lists(
        st.one_of(st.binary(max_size=40), st.sampled_from(ANSWERS), st.sampled_from(ANSWERS).map(lambda a: a[:-9])),
        max_size=6,
    ),
    method=st.sampled_from(["GET", "HEAD"]),
)
def test_no_bytes_whatever_are_more_than_a_broken_answer(pieces: list[bytes], method: str) -> None:
    """Garbage, halves and surplus end as COMPLETE, BROKEN or MORE, and every question about them has an answer."""
    reader = AnswerReader(response_bytes_max=1000)
    reader.begin(a_request(wanted=(b"hello",), method=method))
    for piece in pieces:
        progress = reader.feed(piece)
        if progress is Progress.BROKEN:
            assert isinstance(reader.failure, Failed)
            return
        if progress is Progress.COMPLETE:
            assert 100 < reader.status < 1000
            assert isinstance(reader.plain, bool)
            assert isinstance(reader.decoded_body(), bytes | Failed)
            assert len(reader.cookies) <= len(b"".join(pieces))
            assert reader.redirects in (False, True)
            return
    assert reader.finish() in Progress


def test_a_request_is_complete_and_says_no_header_twice() -> None:
    """What an operation says replaces what would be said without it."""
    assert a_request(wanted=()).payload == (
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n"
        b"Accept-Encoding: gzip, deflate\r\nUser-Agent: daybreak\r\n\r\n"
    )
