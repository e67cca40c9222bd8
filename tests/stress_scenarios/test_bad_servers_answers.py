"""Answers that are none, for every engine and every way of asking: each has its class, in time, and the load goes on.

All answers of a table come from one server in one load, chosen by path, so that sessions go from one bad answer to the
next over connections that broke in every way.
"""

import asyncio
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from baseline_metrics.load_page import LoadPage
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.messages import ERROR_GROUPS_MAX
from stress_scenarios.window_counters import MORE_ERRORS_MESSAGE
from tests.stress_scenarios.bad_server_rig import WAYS, Load, Way, an_order_for, in_loop_of, make_load, run_against
from tests.stress_scenarios.rude_servers import (
    Answer,
    by_path,
    close_at_once,
    drip,
    hang,
    read_head,
    reset,
    reset_at_once,
    saying_once,
    serving,
    without_end,
)
from tests.stress_scenarios.scripted_rig import operation
from tests.stress_scenarios.wire_load_rig import permitting_page
from tests.stress_scenarios.wire_rig import speak_first

START = b"HTTP/1.1 200 OK\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"
BLOCK = b"x" * 65_536
GIGABYTE = (1 << 30) // len(BLOCK)

SOON_S = 0.15
"""The timeout of operations that are to run into it."""

LONG_S = 10.0
"""The timeout of all others: whoever runs into this one hangs."""

PROTOCOL, RESET, TIMEOUT, TOO_LARGE, STATUS = (
    ErrorClass.PROTOCOL,
    ErrorClass.RESET,
    ErrorClass.TIMEOUT,
    ErrorClass.TOO_LARGE,
    ErrorClass.STATUS,
)


def packed(body: bytes, encoding: str = "gzip") -> bytes:
    """An answer whose head names a compression."""
    head = f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
    return START + head.encode() + body


def endless(start: bytes, more: bytes, *, pause_s: float = 0.0) -> Answer:
    """Without an end, as far as a client can see."""
    return without_end(start, more, pieces=GIGABYTE, pause_s=pause_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A bad answer. wire, httpx: what it is called; the engines' parsers differ in what they look at first."""

    answer: bytes | Answer
    wire: ErrorClass
    httpx: ErrorClass
    is_read: bool = False

    def expected(self, way: Way) -> ErrorClass:
        """What it is called by this way of asking."""
        return self.wire if way in (Way.WIRE_PERFORMED, Way.WIRE_ASKED) else self.httpx


def bad(answer: bytes | Answer, error: ErrorClass, *, httpx: ErrorClass | None = None, is_read: bool = False) -> Bad:
    """The same for both engines unless said. is_read: somebody looks for a text in the body."""
    return Bad(answer=answer, wire=error, httpx=httpx or error, is_read=is_read)


TABLE = {
    # no HTTP
    "garbage": bad(saying_once(b"\x00\x01garbage\r\n\r\n\x02"), PROTOCOL),
    "another-protocol": bad(saying_once(b"SSH-2.0-OpenSSH_9.2\r\n"), PROTOCOL, httpx=RESET),
    "a-page-without-a-head": bad(saying_once(b"<html>hello</html>"), PROTOCOL, httpx=RESET),
    "http-2": bad(saying_once(b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x80\0\4\0\1\0\0\0\5\0\xff\xff\xff\r\n\r\n"), PROTOCOL),
    "no-status": bad(b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", PROTOCOL),
    "nul-in-a-header": bad(START + b"X: a\0b\r\nContent-Length: 0\r\n\r\n", PROTOCOL),
    # heads
    "nothing": bad(saying_once(b""), RESET),
    "half-a-head": bad(saying_once(START + b"Content-Le"), RESET),
    "half-a-head-and-silence": bad(endless(START + b"Content-Le", b"", pause_s=0.1), TIMEOUT),
    "endless-headers": bad(endless(START, b"X-A: bbbbbbbbbbbbbbbb\r\n" * 100), PROTOCOL),
    "an-endless-header": bad(endless(START + b"X: ", BLOCK), PROTOCOL),
    "endless-interim": bad(endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 99, pause_s=0.001), PROTOCOL, httpx=TIMEOUT),
    "a-byte-at-a-time": bad(endless(START, b"X", pause_s=0.01), TIMEOUT),
    # lengths
    "never": bad(hang, TIMEOUT),
    "a-slow-body": bad(drip, TIMEOUT),
    "reset-in-the-middle": bad(reset, RESET),
    "too-short-and-closed": bad(saying_once(START + b"Content-Length: 10\r\n\r\nhalf"), RESET),
    "too-short-and-silent": bad(endless(START + b"Content-Length: 10\r\n\r\nhalf", b"", pause_s=0.1), TIMEOUT),
    "two-lengths": bad(START + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nhello", PROTOCOL),
    "a-negative-length": bad(START + b"Content-Length: -3\r\n\r\nhello", PROTOCOL),
    "a-gigabyte": bad(endless(START + b"Content-Length: 1073741824\r\n\r\n", BLOCK), TOO_LARGE),
    "a-gigabyte-until-the-end": bad(endless(START + b"Connection: close\r\n\r\n", BLOCK), TOO_LARGE),
    "a-gigabyte-in-chunks": bad(endless(CHUNKED, b"10000\r\n" + BLOCK + b"\r\n"), TOO_LARGE),
    "a-gigabyte-in-one-chunk": bad(endless(CHUNKED + b"40000000\r\n", BLOCK), TOO_LARGE),
    # chunks
    "a-chunk-without-a-size": bad(CHUNKED + b"xyz\r\n", PROTOCOL),
    "a-chunk-of-negative-size": bad(CHUNKED + b"-5\r\nhello\r\n", PROTOCOL),
    "a-chunk-beyond-all-sizes": bad(CHUNKED + b"F" * 30 + b"\r\nhello\r\n", PROTOCOL),
    "a-chunk-that-is-too-long": bad(CHUNKED + b"5\r\nhelloXX0\r\n\r\n", PROTOCOL),
    "half-a-chunk": bad(saying_once(CHUNKED + b"5\r\nhel"), RESET),
    "an-endless-chunk-mark": bad(endless(CHUNKED + b"5;a=", BLOCK, pause_s=0.001), TIMEOUT, httpx=PROTOCOL),
    "endless-trailers": bad(endless(CHUNKED + b"0\r\n", b"X: aaaa\r\n" * 999, pause_s=0.001), TIMEOUT, httpx=PROTOCOL),
    # compression
    "no-gzip": bad(packed(b"hello world"), PROTOCOL, is_read=True),
    "half-a-gzip": bad(packed(gzip.compress(b"hello" * 100)[:-12]), PROTOCOL, is_read=True),
    "a-gzip-in-no-gzip": bad(packed(gzip.compress(b"hello"), "gzip, gzip"), PROTOCOL, is_read=True),
    # answers that are in order and not what was expected
    "redirects-in-a-circle": bad(
        b"HTTP/1.1 302 Found\r\nLocation: /redirects-in-a-circle\r\nContent-Length: 0\r\n\r\n", STATUS
    ),
    "a-redirect-to-nowhere": bad(b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n", STATUS),
    "a-redirect-to-no-url": bad(
        b"HTTP/1.1 302 Found\r\nLocation: mailto:ada\r\nContent-Length: 0\r\n\r\n", STATUS, httpx=PROTOCOL
    ),
    "a-redirect-without-a-place": bad(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", STATUS),
    "an-unknown-status": bad(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", STATUS),
    "continue-and-busy": bad(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", STATUS),
}

GOOD = {
    "continue": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "early-hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "gzip": packed(gzip.compress(b"hello")),
    "empty-gzip": packed(b"").replace(b"200 OK", b"204 None"),
    "no-compression-that-we-know": packed(b"hello", "br"),
}


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LoadPage]:
    """A page with a lease that lasts, at full share."""
    with permitting_page(tmp_path) as page:
        yield page


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: way.value)
def badly_served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Way, Load]:
    """One load by this way of asking, over all of the tables, until each operation has ended twice."""
    way = request.param
    assert isinstance(way, Way)
    operations = [
        operation(
            name,
            f"/{name}",
            timeout_s=SOON_S if each.expected(way) is TIMEOUT else LONG_S,
            contains=("never there",) if each.is_read else (),
        )
        for name, each in TABLE.items()
    ]
    operations += [operation(name, f"/{name}", expected=(200, 204), timeout_s=LONG_S) for name in GOOD]
    order = an_order_for(way, *operations, connections=len(operations), hold_s=LONG_S)
    server = by_path(
        {f"/{name}": each.answer for name, each in TABLE.items()} | {f"/{name}": GOOD[name] for name in GOOD}
    )
    with permitting_page(tmp_path_factory.mktemp("page")) as page:
        return way, run_against(way, page, order, server, release_after=2)


def test_each_bad_answer_has_its_class(badly_served: tuple[Way, Load]) -> None:
    """Each time, whatever the connection's session met before; nothing is abandoned, so nothing hangs."""
    way, load = badly_served
    found = {name: load.operations[name].classes for name in TABLE}
    assert found == {name: {each.expected(way)} for name, each in TABLE.items()}
    assert all(load.operations[name].succeeded == 0 for name in TABLE)
    assert load.drained.operations_abandoned == 0


def test_failures_of_one_kind_are_one_group(badly_served: tuple[Way, Load]) -> None:
    """No count, port or address is in their words.

    There are more kinds here than a window names, so on a busy machine some fall under (more); the others are one each.
    """
    _, load = badly_served
    named = {name: set(load.operations[name].errors) for name in TABLE}
    words = {name: {message for _, message in groups} - {MORE_ERRORS_MESSAGE} for name, groups in named.items()}
    assert {name: groups for name, groups in words.items() if len(groups) > 1} == {}
    assert sum(map(len, words.values())) >= ERROR_GROUPS_MAX


def test_good_answers_pass_among_bad_ones(badly_served: tuple[Way, Load]) -> None:
    """Unusual ones as well."""
    _, load = badly_served
    assert {name: load.operations[name].errors.total() for name in GOOD} == dict.fromkeys(GOOD, 0)
    assert all(load.operations[name].succeeded >= 2 for name in GOOD)


@pytest.mark.parametrize(
    "rude", [bad(close_at_once, RESET), bad(reset_at_once, RESET), bad(speak_first, PROTOCOL, httpx=TIMEOUT)]
)
@pytest.mark.parametrize("way", WAYS)
def test_a_server_may_be_rude_before_it_was_asked(way: Way, rude: Bad, page: LoadPage) -> None:
    """It closes, breaks the connection, or speaks first; httpx then waits for the rest of the answer's head."""
    error = rude.expected(way)
    timeout_s = SOON_S if error is TIMEOUT else LONG_S
    order = an_order_for(way, operation("ask", timeout_s=timeout_s), connections=2, hold_s=LONG_S)
    assert not isinstance(rude.answer, bytes)
    assert run_against(way, page, order, rude.answer, release_after=2).operations["ask"].classes == {error}


@pytest.mark.parametrize("way", WAYS)
def test_nobody_but_the_target_is_ever_asked(way: Way, page: LoadPage) -> None:
    """Redirects to another port, name or scheme of the same machine are answers; up to three would be followed."""
    strangers: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        strangers.append(await reader.read(1000))

    async def work() -> Load:
        async with serving(note) as other:
            places = {
                "port": f"http://127.0.0.1:{other}/",
                "no-scheme": f"//127.0.0.1:{other}/",
                "name": f"http://localhost:{other}/",
                "scheme": f"https://127.0.0.1:{other}/",
                "user": f"http://127.0.0.1@127.0.0.1:{other}/",
                "backslash": f"http:\\\\127.0.0.1:{other}/",
            }
            answers = {
                f"/{name}": f"HTTP/1.1 307 Moved\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()
                for name, place in places.items()
            }
            answers["/then"] = b"HTTP/1.1 302 Found\r\nLocation: /port\r\nContent-Length: 0\r\n\r\n"
            operations = [operation(path[1:], path, timeout_s=LONG_S) for path in answers]
            order = an_order_for(way, *operations, connections=len(operations), hold_s=LONG_S)
            async with serving(by_path(answers)) as port:
                target = replace(order.target, url=f"http://127.0.0.1:{port}", port=port)
                return await make_load(way, page, replace(order, target=target), release_after=2)

    load = in_loop_of(way, page, work())
    assert strangers == []
    assert {error for ended in load.operations.values() for error in ended.classes} <= {STATUS, PROTOCOL}
    assert all(ended.failed >= 2 and ended.succeeded == 0 for ended in load.operations.values())


SURPLUS = {
    "more-than-its-length": START + b"Content-Length: 3\r\n\r\nhello",
    "none-with-a-body": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    "unchanged-with-a-body": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
    "two-answers": START + b"Content-Length: 2\r\n\r\nokHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "an-answer-too-many": (START + b"Content-Length: 2\r\n\r\nok") * 2,
}


@pytest.mark.parametrize("name", SURPLUS)
@pytest.mark.parametrize("way", WAYS)
def test_what_comes_after_an_answer_is_never_the_next_one(way: Way, name: str, page: LoadPage) -> None:
    """The wire engine fails the operation at once; httpx does not tell what it has left, so the next one fails."""
    spec = operation("ask", expected=(200, 204, 304), timeout_s=LONG_S)
    load = run_against(
        way,
        page,
        an_order_for(way, spec, connections=1, hold_s=LONG_S),
        by_path({"/": SURPLUS[name]}),
        release_after=6,
    )
    ended = load.operations["ask"]
    assert ended.classes == {PROTOCOL}
    if way in (Way.WIRE_PERFORMED, Way.WIRE_ASKED):
        assert ended.succeeded == 0
    else:
        assert 0 <= ended.succeeded - ended.failed <= 1
    assert load.connections.opened >= ended.failed


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_answers_too_late_does_not_answer_the_next_request(way: Way, page: LoadPage) -> None:
    """After a timeout the connection is given up, and what comes over it then is nobody's answer."""

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await asyncio.sleep(0.08)
        writer.write(START + b"Content-Length: 2\r\n\r\nok")

    order = an_order_for(way, operation("ask", timeout_s=0.05), connections=1, hold_s=LONG_S)
    load = run_against(way, page, order, late, release_after=2)
    assert load.operations["ask"].classes == {TIMEOUT}
    assert load.operations["ask"].succeeded == 0
