"""The wire engine against servers that behave and servers that do not, over real sockets, on both event loops."""

import asyncio
import json
import socket
import time
from dataclasses import replace
from typing import Any

import pytest

from stress_scenarios.engines.engine import EngineError, Exchange
from stress_scenarios.engines.wire_connection import SWEEP_S_MAX
from stress_scenarios.engines.wire_engine import WireEngine
from stress_scenarios.load_plan import ErrorClass, HeaderField, TextBody
from stress_scenarios.scenario import Failed, Passed
from tests.stress_scenarios.orders import Operation, an_order, target_at
from tests.stress_scenarios.rude_servers import (
    Answer,
    drip,
    flood,
    hang,
    read_head,
    saying,
    saying_once,
    serving,
)
from tests.stress_scenarios.wire_rig import (
    CHUNKED,
    LOOPS,
    MISBEHAVIOUR,
    OK,
    Run,
    against,
    failed_with,
    perform_all,
    prepared,
)
from tests.support.servers import HttpServer, NginxServer


def in_pieces(*pieces: bytes, every_s: float = 0.01) -> Answer:
    """Answer each request with these pieces, a while apart."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_head(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(every_s)

    return speak


@LOOPS
@pytest.mark.parametrize("answer", [OK, CHUNKED], ids=["length", "chunks"])
def test_a_session_uses_one_connection_for_all_its_operations(run: Run[Any], answer: bytes) -> None:
    """Three operations, one connection, closed at the end; every byte read is counted."""
    exchanges, engine = run(against(saying(answer), Operation(), times=3))
    assert [exchange.judgement for exchange in exchanges] == [Passed()] * 3
    assert [exchange.bytes_received for exchange in exchanges] == [len(answer)] * 3
    assert (engine.connections.opened, engine.connections.peak, engine.connections.open) == (1, 1, 0)


@LOOPS
def test_sessions_do_not_share_connections(run: Run[WireEngine]) -> None:
    """Two sessions at once are two connections."""

    async def work() -> WireEngine:
        async with serving(saying(OK)) as port:
            engine = prepared(an_order(port=port))
            await asyncio.gather(perform_all(engine, [0, 0]), perform_all(engine, [0, 0]))
            return engine

    engine = run(work())
    assert (engine.connections.opened, engine.connections.peak, engine.connections.open) == (2, 2, 0)


@LOOPS
def test_an_answer_in_pieces_is_one_answer(run: Run[Any]) -> None:
    """Wherever the network cuts it, the head included."""
    exchanges, _ = run(against(in_pieces(OK[:7], OK[7:30], OK[30:-1], OK[-1:]), Operation(), times=2))
    assert [exchange.judgement for exchange in exchanges] == [Passed()] * 2
    assert [exchange.bytes_received for exchange in exchanges] == [len(OK)] * 2


@LOOPS
def test_the_request_is_what_the_operation_says(run: Run[list[Exchange]]) -> None:
    """Method, path with query, headers, body; the Host header keeps the name while the pinned address is called."""
    heads: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_head(reader) + await reader.readexactly(4))
        writer.write(OK)

    async def work() -> list[Exchange]:
        async with serving(note) as port:
            operation = Operation(
                path="/a b?c=d#e",
                method="PUT",
                body=TextBody(content="body", content_type="text/plain"),
                headers=(HeaderField(name="user-agent", value="mine"),),
            )
            order = an_order(operation)
            target = replace(target_at(port, host="no-such-host.invalid"), url=f"http://no-such-host.invalid:{port}")
            return await perform_all(prepared(replace(order, target=target)), [0])

    (exchange,) = run(work())
    assert exchange.judgement == Passed()
    lines = heads[0].decode().split("\r\n")
    assert lines[0] == "PUT /a%20b?c=d HTTP/1.1"
    fields = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines[1:-2]}
    assert fields["host"].startswith("no-such-host.invalid:")
    assert (fields["content-type"], fields["content-length"], fields["user-agent"]) == ("text/plain", "4", "mine")
    assert lines[-1] == "body"


@LOOPS
def test_a_session_keeps_its_cookies_and_the_next_one_has_none(run: Run[None]) -> None:
    """Cookies belong to a virtual user's session, also when its connection was lost between two operations."""
    cookies: list[bool] = []

    async def set_cookie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cookies.append(b"Cookie: user=1" in await read_head(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: user=1; Path=/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async def work() -> None:
        async with serving(set_cookie) as port:
            engine = prepared(an_order(port=port))
            await perform_all(engine, [0, 0])
            await perform_all(engine, [0])

    run(work())
    assert cookies == [False, True, False]


@LOOPS
def test_a_cookie_goes_where_it_belongs_and_as_long_as_it_lives(run: Run[Any]) -> None:
    """Path and expiry hold; a cookie that is taken back is gone."""
    seen: list[bytes] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for cookie in (b"a=1; Path=/in", b"b=2; Path=/", b"b=; Path=/; Max-Age=0", b"c=3; Max-Age=0", b"d=4"):
            seen.append(await read_head(reader))
            writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: %b\r\nContent-Length: 0\r\n\r\n" % cookie)

    async def work() -> None:
        async with serving(speak) as port:
            engine = prepared(an_order(Operation(path="/in/x"), Operation(path="/out"), port=port))
            await perform_all(engine, [0, 1, 0, 0, 0])

    run(work())
    sent = [head.partition(b"Cookie: ")[2].partition(b"\r\n")[0] for head in seen]
    assert sent[:2] == [b"", b""]
    assert sent[2:] == [b"a=1; b=2", b"a=1", b"a=1"]


@LOOPS
def test_a_redirect_is_an_answer_and_is_not_followed(run: Run[Any]) -> None:
    """One operation is one request; the redirects are counted."""
    moved = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    exchanges, engine = run(against(saying(moved), Operation(expected_status=(302,)), times=3))
    assert [exchange.judgement for exchange in exchanges] == [Passed()] * 3
    assert (engine.connections.opened, engine.connections.redirects) == (1, 3)


@LOOPS
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        *MISBEHAVIOUR,
        (saying_once(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), ErrorClass.STATUS),
    ],
)
def test_each_way_to_misbehave_has_its_class(run: Run[Any], answer: Answer, error: ErrorClass) -> None:
    """A failed operation is counted with the reason as the caller sees it, and the session goes on with a new connection."""
    exchanges, engine = run(against(answer, Operation(timeout_s=0.3), times=2))
    assert [failed_with(exchange) for exchange in exchanges] == [error] * 2
    assert (engine.connections.opened, engine.connections.open) == (2, 0)
    assert len({exchange.judgement for exchange in exchanges}) == 1  # no count, port or address in the words


@LOOPS
@pytest.mark.parametrize(
    ("answer", "received"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", True),
        (b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", True),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n\x81\x00", True),
    ],
)
def test_unusual_answers_that_are_in_order_pass(run: Run[Any], answer: bytes, *, received: bool) -> None:
    """Answers that end with the connection, after interim ones, without a body, or before another protocol."""
    operation = Operation(expected_status=(101, 200, 204), timeout_s=1.0)
    exchanges, engine = run(against(saying_once(answer), operation, times=2))
    assert [exchange.judgement for exchange in exchanges] == [Passed()] * 2
    assert [exchange.bytes_received == len(answer) for exchange in exchanges] == [received] * 2
    assert (engine.connections.opened, engine.connections.open) == (2, 0)


@LOOPS
def test_an_answer_to_head_has_no_body_whatever_its_length_says(run: Run[Any]) -> None:
    """The connection is used again at once."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"
    exchanges, engine = run(against(saying(head), Operation(method="HEAD", timeout_s=1.0), times=3))
    assert [exchange.judgement for exchange in exchanges] == [Passed()] * 3
    assert engine.connections.opened == 1


@LOOPS
def test_bytes_that_nobody_asked_for_end_the_connection_between_two_operations(run: Run[Any]) -> None:
    """What follows them could not be told apart from an answer; the next operation has a new connection."""

    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(OK)
        await asyncio.sleep(0.02)
        writer.write(OK)
        await hang(reader, writer)

    async def work() -> tuple[list[Exchange], WireEngine]:
        async with serving(chatter) as port:
            engine = prepared(an_order(port=port))
            session = engine.session()
            exchanges = []
            for _ in range(2):
                exchanges.append(await session.perform(0))
                await asyncio.sleep(0.1)
            assert engine.connections.open == 0
            await session.close()
            return exchanges, engine

    exchanges, engine = run(work())
    assert [exchange.judgement for exchange in exchanges] == [Passed()] * 2
    assert engine.connections.opened == 2


@LOOPS
def test_a_connection_that_the_peer_closed_while_idle_is_replaced_without_a_failure(run: Run[Any]) -> None:
    """As servers do after their keep-alive time."""

    async def work() -> tuple[list[Exchange], WireEngine]:
        async with serving(saying_once(OK)) as port:
            engine = prepared(an_order(port=port))
            session = engine.session()
            exchanges = []
            for _ in range(3):
                exchanges.append(await session.perform(0))
                await asyncio.sleep(0.05)
            return exchanges, engine

    exchanges, engine = run(work())
    assert [exchange.judgement for exchange in exchanges] == [Passed()] * 3
    assert (engine.connections.opened, engine.connections.open) == (3, 0)


@LOOPS
@pytest.mark.parametrize(("limit", "passes"), [(4, False), (5, True), (6, True)])
@pytest.mark.parametrize("answer", [OK, CHUNKED], ids=["length", "chunks"])
def test_the_limit_of_an_answer_is_exact(run: Run[Any], answer: bytes, limit: int, *, passes: bool) -> None:
    """A body of five bytes passes a limit of five."""
    (exchange,), _ = run(against(saying(answer), Operation(timeout_s=1.0), response_bytes_max=limit))
    assert isinstance(exchange.judgement, Passed) is passes


@LOOPS
def test_of_an_answer_that_is_too_large_not_much_more_than_the_limit_is_read(run: Run[Any]) -> None:
    """Megabytes are left where they are."""
    (exchange,), _ = run(against(flood, Operation(), response_bytes_max=100_000))
    assert exchange.bytes_received < 1_000_000


@LOOPS
def test_a_timeout_is_never_early_and_late_by_no_more_than_a_sweep(run: Run[Any]) -> None:
    """One coarse look over everything in flight takes the place of a timer per request."""
    began_s = time.monotonic()
    run(against(hang, Operation(timeout_s=0.5)))
    took_s = time.monotonic() - began_s
    assert 0.5 <= took_s < 0.5 + 2 * SWEEP_S_MAX + 0.5  # and a busy machine's half second


@LOOPS
@pytest.mark.parametrize(
    ("answer", "words"),
    [(hang, "no first byte within 0.1 s"), (drip, "no complete answer within 0.6 s")],
)
def test_the_first_byte_has_a_limit_of_its_own(run: Run[Any], answer: Answer, words: str) -> None:
    """An answer that has begun may take until the operation's own timeout."""
    (exchange,), _ = run(against(answer, Operation(timeout_s=0.6), first_byte_s_max=0.1))
    assert exchange.judgement == Failed(error=ErrorClass.TIMEOUT, message=words)


@LOOPS
def test_connecting_has_a_limit_of_its_own(run: Run[Exchange]) -> None:
    """A listener whose backlog is full answers no handshake."""

    async def work() -> Exchange:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            port = listener.getsockname()[1]
            fillers = []
            for _ in range(8):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
                fillers.append(filler)
            try:
                order = an_order(Operation(timeout_s=2.0), port=port)
                engine = prepared(replace(order, target=replace(order.target, connect_s_max=0.1)))
                (exchange,) = await perform_all(engine, [0])
                assert (engine.connections.opened, engine.connections.open) == (0, 0)
                return exchange
            finally:
                for filler in fillers:
                    filler.close()

    assert run(work()).judgement == Failed(error=ErrorClass.TIMEOUT, message="not connected within 0.1 s")


@LOOPS
def test_a_port_where_nobody_listens_is_one_failed_operation_each(run: Run[list[Exchange]]) -> None:
    """Refused, and no connection was opened."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        engine = prepared(an_order(port=taken.getsockname()[1]))
        exchanges = run(perform_all(engine, [0, 0]))
    assert [failed_with(exchange) for exchange in exchanges] == [ErrorClass.REFUSED] * 2
    assert (engine.connections.opened, engine.connections.open) == (0, 0)


@LOOPS
def test_the_content_is_checked_after_decoding(run: Run[list[Exchange]], httpbin: HttpServer) -> None:
    """A compressed answer is unpacked when somebody looks for a text in it."""
    operations = (
        Operation(path="/gzip", body_contains=('"gzipped": true',)),
        Operation(path="/deflate", body_contains=('"deflated": true',)),
        Operation(path="/gzip", body_contains=("no such text",)),
    )
    engine = prepared(an_order(*operations, port=httpbin.port))
    *found, missing = run(perform_all(engine, [0, 1, 2]))
    assert [exchange.judgement for exchange in found] == [Passed()] * 2
    assert failed_with(missing) is ErrorClass.CHECK


@LOOPS
def test_a_body_arrives_as_it_was_ordered(run: Run[list[Exchange]], httpbin: HttpServer) -> None:
    """The JSON that was posted comes back."""
    body = TextBody(content=json.dumps({"drink": "tea"}), content_type="application/json")
    operation = Operation(path="/post", method="POST", body=body, body_contains=('"drink": "tea"',))
    (exchange,) = run(perform_all(prepared(an_order(operation, port=httpbin.port)), [0]))
    assert exchange.judgement == Passed()


@LOOPS
def test_an_abandoned_operation_leaves_no_connection_behind(run: Run[WireEngine]) -> None:
    """Cancelling a virtual user in the middle of an operation closes its connection."""

    async def work() -> WireEngine:
        arrived = asyncio.Event()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_head(reader)
            arrived.set()
            await hang(reader, writer)

        async with serving(take) as port:
            engine = prepared(an_order(port=port))
            user = asyncio.create_task(perform_all(engine, [0]))
            await arrived.wait()
            assert engine.connections.open == 1
            user.cancel()
            await asyncio.gather(user, return_exceptions=True)
            assert user.cancelled()
            return engine

    engine = run(work())
    assert (engine.connections.opened, engine.connections.open) == (1, 0)


@LOOPS
def test_a_bug_of_our_own_comes_out_of_perform(run: Run[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is neither swallowed by a callback nor taken for the target's failure."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("our bug")

    monkeypatch.setattr("stress_scenarios.engines.wire_connection.judge_answer", broken)
    with pytest.raises(ZeroDivisionError, match="our bug"):
        run(against(saying(OK), Operation(body_contains=("hello",))))


@LOOPS
@pytest.mark.process
def test_nginx_counts_what_we_count(run: Run[list[list[Exchange]]], nginx: NginxServer) -> None:
    """Ten sessions of a hundred operations beyond what nginx allows on one connection, from known and new answers."""
    engine = prepared(an_order(Operation(), Operation(path="/missing", expected_status=(404,)), port=nginx.port))

    async def work() -> list[list[Exchange]]:
        return list(await asyncio.gather(*(perform_all(engine, [0, 1] * 600) for _ in range(3))))

    exchanges = [exchange for session in run(work()) for exchange in session]
    assert {exchange.judgement for exchange in exchanges} == {Passed()}
    lines = nginx.requests(at_least=3600)
    assert len(lines) == len(exchanges) == 3600
    assert len({line.remote_port for line in lines}) == engine.connections.opened == 6
    assert engine.connections.open == 0


# Refused before the load --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["ftp://127.0.0.1:9", "127.0.0.1:9", "http://", "http://a\0b:9", "http://h:99999", "http://u:p@h", "http://[::1"],
)
def test_a_url_that_is_none_is_refused_before_the_load(url: str) -> None:
    """The message says what a URL looks like."""
    target = replace(target_at(9), url=url)
    with pytest.raises(EngineError, match="write"):
        prepared(replace(an_order(), target=target))


@pytest.mark.parametrize(
    "operation",
    [
        Operation(method="GE T"),
        Operation(headers=(HeaderField(name="X: y", value="z"),)),
        Operation(headers=(HeaderField(name="X", value="a\r\nInjected: b"),)),
        Operation(headers=(HeaderField(name="Content-Length", value="99"),)),
        Operation(headers=(HeaderField(name="Transfer-Encoding", value="chunked"),)),
    ],
)
def test_a_request_that_would_not_be_one_is_refused_before_the_load(operation: Operation) -> None:
    """A target must not be confused by our own bytes."""
    with pytest.raises(EngineError, match="127"):
        prepared(an_order(operation))
