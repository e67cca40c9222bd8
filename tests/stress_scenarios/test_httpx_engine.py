"""The HTTP engine against servers that behave and servers that do not, over real sockets."""

import asyncio
import json
import socket
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from stress_scenarios.engines.engine import EngineError, Exchange
from stress_scenarios.engines.httpx_engine import HttpxEngine
from stress_scenarios.engines.httpx_failures import failure_of
from stress_scenarios.load_plan import ErrorClass, HeaderField, LoadOrder, TextBody
from stress_scenarios.scenario import Failed, Passed, ready_requests
from tests.stress_scenarios.orders import Operation, an_order, target_at
from tests.stress_scenarios.rude_servers import (
    Answer,
    drip,
    flood,
    hang,
    read_head,
    reset,
    saying,
    saying_once,
    serving,
)
from tests.support.servers import HttpServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def prepared(order: LoadOrder) -> HttpxEngine:
    """Prepare an engine for this order."""
    engine = HttpxEngine()
    engine.prepare(target=order.target, requests=ready_requests(order), response_bytes_max=order.response_bytes_max)
    return engine


async def perform_all(engine: HttpxEngine, operations: Sequence[int]) -> list[Exchange]:
    """One session."""
    session = engine.session()
    try:
        return [await session.perform(operation) for operation in operations]
    finally:
        await session.close()


def against(
    answer: Answer, operation: Operation, *, times: int = 1, response_bytes_max: int = 1 << 20
) -> tuple[list[Exchange], HttpxEngine]:
    """Perform one operation some times in one session against a small server."""

    async def work() -> tuple[list[Exchange], HttpxEngine]:
        async with serving(answer) as port:
            engine = prepared(an_order(operation, port=port, response_bytes_max=response_bytes_max))
            return await perform_all(engine, [0] * times), engine

    return asyncio.run(work())


def failed_with(exchange: Exchange) -> ErrorClass:
    """The class of a failure that must be one."""
    assert isinstance(exchange.judgement, Failed)
    return exchange.judgement.error


def test_a_session_uses_one_connection_for_all_its_operations() -> None:
    """Three operations, one connection, closed at the end; every byte read is counted."""
    exchanges, engine = against(saying(OK), Operation(), times=3)
    assert [exchange.judgement for exchange in exchanges] == [Passed()] * 3
    assert [exchange.bytes_received for exchange in exchanges] == [len(OK)] * 3
    assert (engine.connections.opened, engine.connections.peak, engine.connections.open) == (1, 1, 0)


def test_sessions_do_not_share_connections() -> None:
    """Two sessions at once are two connections."""

    async def work() -> HttpxEngine:
        async with serving(saying(OK)) as port:
            engine = prepared(an_order(port=port))
            await asyncio.gather(perform_all(engine, [0, 0]), perform_all(engine, [0, 0]))
            return engine

    engine = asyncio.run(work())
    assert (engine.connections.opened, engine.connections.peak, engine.connections.open) == (2, 2, 0)


def test_the_request_is_what_the_operation_says() -> None:
    """Method, path with query, headers, body; the Host header keeps the name while the pinned address is called."""
    heads: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_head(reader) + await reader.readexactly(4))
        writer.write(OK)

    async def work() -> list[Exchange]:
        async with serving(note) as port:
            operation = Operation(path="/a?b=c", method="PUT", body=TextBody(content="body", content_type="text/plain"))
            order = an_order(operation)
            target = replace(target_at(port, host="no-such-host.invalid"), url=f"http://no-such-host.invalid:{port}")
            return await perform_all(prepared(replace(order, target=target)), [0])

    (exchange,) = asyncio.run(work())
    assert exchange.judgement == Passed()
    lines = heads[0].decode().split("\r\n")
    assert lines[0] == "PUT /a?b=c HTTP/1.1"
    fields = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines[1:-2]}
    assert fields["host"].startswith("no-such-host.invalid:")
    assert (fields["content-type"], fields["content-length"], fields["user-agent"]) == ("text/plain", "4", "daybreak")
    assert lines[-1] == "body"


def test_a_session_keeps_its_cookies_and_the_next_one_has_none() -> None:
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

    asyncio.run(work())
    assert cookies == [False, True, False]


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    """One operation is one request."""
    moved = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    (exchange,), engine = against(saying_once(moved), Operation(expected_status=(302,)))
    assert exchange.judgement == Passed()
    assert engine.connections.opened == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (saying_once(b""), ErrorClass.RESET),
        (saying_once(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), ErrorClass.RESET),
        (reset, ErrorClass.RESET),
        (saying_once(b"\x00\x01garbage\r\n\r\n\x02"), ErrorClass.PROTOCOL),
        (saying_once(b"SSH-2.0-OpenSSH_9.2\r\n"), ErrorClass.RESET),  # closed before the head of an answer was there
        (saying_once(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n"), ErrorClass.PROTOCOL),
        (hang, ErrorClass.TIMEOUT),
        (drip, ErrorClass.TIMEOUT),
        (flood, ErrorClass.TOO_LARGE),
        (saying_once(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), ErrorClass.STATUS),
    ],
)
def test_each_way_to_misbehave_has_its_class(answer: Answer, error: ErrorClass) -> None:
    """A failed operation is counted with the reason as the caller sees it, and the session goes on with a new connection."""
    exchanges, engine = against(answer, Operation(timeout_s=0.5), times=2)
    assert [failed_with(exchange) for exchange in exchanges] == [error] * 2
    assert (engine.connections.opened, engine.connections.open) == (2, 0)


def test_failures_of_one_kind_have_one_message() -> None:
    """No port, address or count of bytes in the words, so that they group."""
    exchanges, _ = against(reset, Operation(), times=3)
    assert len({exchange.judgement for exchange in exchanges if isinstance(exchange.judgement, Failed)}) == 1


@pytest.mark.parametrize(("limit", "passes"), [(4, False), (5, True), (6, True)])
def test_the_limit_of_an_answer_is_exact(limit: int, *, passes: bool) -> None:
    """A body of five bytes passes a limit of five."""
    (exchange,), _ = against(saying(OK), Operation(), response_bytes_max=limit)
    assert isinstance(exchange.judgement, Passed) is passes


def test_of_an_answer_that_is_too_large_not_much_more_than_the_limit_is_read() -> None:
    """Megabytes are left where they are."""
    (exchange,), _ = against(flood, Operation(), response_bytes_max=100_000)
    assert exchange.bytes_received < 1_000_000


def test_a_port_where_nobody_listens_is_one_failed_operation_each() -> None:
    """Refused, and no connection was opened."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        engine = prepared(an_order(port=taken.getsockname()[1]))
        exchanges = asyncio.run(perform_all(engine, [0, 0]))
    assert [failed_with(exchange) for exchange in exchanges] == [ErrorClass.REFUSED] * 2
    assert (engine.connections.opened, engine.connections.open) == (0, 0)


def test_the_content_is_checked_after_decoding(httpbin: HttpServer) -> None:
    """A compressed answer is unpacked when somebody looks for a text in it."""
    operations = (
        Operation(path="/gzip", body_contains=('"gzipped": true',)),
        Operation(path="/gzip", body_contains=("no such text",)),
    )
    engine = prepared(an_order(*operations, port=httpbin.port))
    found, missing = asyncio.run(perform_all(engine, [0, 1]))
    assert found.judgement == Passed()
    assert failed_with(missing) is ErrorClass.CHECK


def test_a_body_arrives_as_it_was_ordered(httpbin: HttpServer) -> None:
    """The JSON that was posted comes back."""
    body = TextBody(content=json.dumps({"drink": "tea"}), content_type="application/json")
    operation = Operation(path="/post", method="POST", body=body, body_contains=('"drink": "tea"',))
    (exchange,) = asyncio.run(perform_all(prepared(an_order(operation, port=httpbin.port)), [0]))
    assert exchange.judgement == Passed()


def test_an_abandoned_operation_leaves_no_connection_behind() -> None:
    """Cancelling a virtual user in the middle of an operation closes its connection."""

    async def work() -> HttpxEngine:
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

    engine = asyncio.run(work())
    assert (engine.connections.opened, engine.connections.open) == (1, 0)


# TLS ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for shop.test, with its key in the same file."""
    directory = tmp_path_factory.mktemp("certificate")
    key, pem = directory / "key.pem", directory / "shop.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(pem), "-days", "2", "-subj", "/CN=shop.test"),
            *("-addext", "subjectAltName=DNS:shop.test"),
        ],
        check=True,
        capture_output=True,
    )
    with pem.open("a") as both:
        both.write(key.read_text())
    return pem


def over_tls(certificate: Path, *, host: str, ca_file: str) -> tuple[list[Exchange], HttpxEngine]:
    """Two operations over TLS against a server that has the certificate."""

    async def work() -> tuple[list[Exchange], HttpxEngine]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        async with serving(saying(OK), tls=context) as port:
            engine = prepared(replace(an_order(), target=target_at(port, scheme="https", host=host, ca_file=ca_file)))
            return await perform_all(engine, [0, 0]), engine

    return asyncio.run(work())


def test_the_certificate_is_checked_against_the_name_and_not_the_address(certificate: Path) -> None:
    """The pinned address is called; name and certificate are those of the URL."""
    exchanges, engine = over_tls(certificate, host="shop.test", ca_file=str(certificate))
    assert [exchange.judgement for exchange in exchanges] == [Passed()] * 2
    assert (engine.connections.opened, engine.connections.open) == (1, 0)


@pytest.mark.parametrize(("host", "trusted"), [("other.test", True), ("shop.test", False)])
def test_a_wrong_name_or_an_unknown_issuer_is_a_tls_failure(certificate: Path, host: str, *, trusted: bool) -> None:
    """Nothing is sent to whom one cannot trust."""
    exchanges, engine = over_tls(certificate, host=host, ca_file=str(certificate) if trusted else "")
    assert [failed_with(exchange) for exchange in exchanges] == [ErrorClass.TLS] * 2
    assert engine.connections.open == 0


def test_https_to_a_plain_server_is_a_tls_failure() -> None:
    """The answer is not TLS."""

    async def work() -> list[Exchange]:
        async with serving(saying_once(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
            target = target_at(port, scheme="https")
            return await perform_all(prepared(replace(an_order(Operation(timeout_s=1.0)), target=target)), [0])

    assert failed_with(asyncio.run(work())[0]) in (ErrorClass.TLS, ErrorClass.TIMEOUT)


def test_a_ca_file_that_is_none_is_refused_before_the_load(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "empty.pem").write_text("")
    for ca_file in (tmp_path / "empty.pem", tmp_path / "missing.pem"):
        target = target_at(9, scheme="https", ca_file=str(ca_file))
        with pytest.raises(EngineError, match=ca_file.name):
            prepared(replace(an_order(), target=target))


@pytest.mark.parametrize("value", ["SecretTokenAbcdef ", "SecretTokenAbcdef\r\nX: y", "SecretTokenÄbcdef", "Secret\0"])
def test_what_our_own_client_refuses_is_no_failure_of_the_target_and_is_never_quoted(value: str) -> None:
    """A header that cannot be sent may hold a secret: a fixed sentence stands for it, and a class of its own."""
    exchanges, engine = against(saying(OK), Operation(headers=(HeaderField(name="X-Query", value=value),)))
    assert [failed_with(exchange) for exchange in exchanges] == [ErrorClass.CLIENT]
    assert isinstance(exchanges[0].judgement, Failed)
    assert "our client refused to send the request" in exchanges[0].judgement.message
    assert "Secret" not in exchanges[0].judgement.message
    assert engine.connections.open == 0


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.InvalidURL("Secret"), ErrorClass.CLIENT),
        (httpx.UnsupportedProtocol("Secret"), ErrorClass.CLIENT),
        (RuntimeError("Secret"), ErrorClass.OTHER),
        (httpx.StreamError("Secret"), ErrorClass.OTHER),
    ],
)
def test_words_that_may_quote_the_request_are_not_passed_on(error: Exception, kind: ErrorClass) -> None:
    """The kind of exception is enough to look for."""
    failed = failure_of(error)
    assert failed.error is kind
    assert "Secret" not in failed.message


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:9", "127.0.0.1:9", "http://", "http://a\0b:9"])
def test_a_url_that_is_none_is_refused_before_the_load(url: str) -> None:
    """The message says what a URL looks like."""
    target = replace(target_at(9), url=url)
    with pytest.raises(EngineError, match="write"):
        prepared(replace(an_order(), target=target))
