"""The wire engine over TLS: certificates are checked against the name, on connections to the pinned address."""

import socket
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stress_scenarios.engines.engine import Answer, EngineError, Exchange
from stress_scenarios.engines.wire_engine import WireEngine
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import Passed, ready_requests
from tests.stress_scenarios.orders import Operation, an_order, target_at
from tests.stress_scenarios.rude_servers import Answer as Speaks
from tests.stress_scenarios.rude_servers import hang, saying, saying_once, serving
from tests.stress_scenarios.wire_rig import LOOPS, OK, Run, failed_with, perform_all, prepared, speak_first
from tests.support.servers import nginx_server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate authority with a certificate for shop.test: ca.pem, shop.pem, shop.key."""
    directory = tmp_path_factory.mktemp("authority")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=directory)

    openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=our own CA")
    openssl(
        *("req", "-x509", *new_key, "-keyout", "shop.key", "-out", "shop.pem", "-subj", "/CN=shop.test"),
        *("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=DNS:shop.test"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
    )
    return directory


async def over_tls(authority: Path, *, host: str, ca_file: str) -> tuple[list[Exchange], WireEngine]:
    """Two operations over TLS against a server that has the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "shop.pem", authority / "shop.key")
    async with serving(saying(OK), tls=context) as port:
        engine = prepared(replace(an_order(), target=target_at(port, scheme="https", host=host, ca_file=ca_file)))
        return await perform_all(engine, [0, 0]), engine


@LOOPS
def test_the_certificate_is_checked_against_the_name_and_not_the_address(run: Run[Any], authority: Path) -> None:
    """The pinned address is called; name and certificate are those of the URL."""
    exchanges, engine = run(over_tls(authority, host="shop.test", ca_file=str(authority / "ca.pem")))
    assert [exchange.judgement for exchange in exchanges] == [Passed()] * 2
    assert (engine.connections.opened, engine.connections.open) == (1, 0)


@LOOPS
@pytest.mark.parametrize(("host", "trusted"), [("other.test", True), ("shop.test", False)])
def test_a_wrong_name_or_an_unknown_issuer_is_a_tls_failure(
    run: Run[Any], authority: Path, host: str, *, trusted: bool
) -> None:
    """Nothing is sent to whom one cannot trust."""
    exchanges, engine = run(over_tls(authority, host=host, ca_file=str(authority / "ca.pem") if trusted else ""))
    assert [failed_with(exchange) for exchange in exchanges] == [ErrorClass.TLS] * 2
    assert engine.connections.open == 0


@LOOPS
def test_a_script_asks_over_the_same_tls(run: Run[Any], authority: Path) -> None:
    """It has its answer where the certificate is good, and a TLS failure where it is not."""

    async def work(host: str) -> Answer | Exchange:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority / "shop.pem", authority / "shop.key")
        async with serving(saying(OK), tls=context) as port:
            target = target_at(port, scheme="https", host=host, ca_file=str(authority / "ca.pem"))
            order = replace(an_order(), target=target)
            session = prepared(order).session()
            outcome = await session.ask(ready_requests(order)[0])
            await session.close()
            return outcome

    answer = run(work("shop.test"))
    assert (answer.status, answer.body) == (200, b"hello")
    assert failed_with(run(work("other.test"))) is ErrorClass.TLS


@LOOPS
@pytest.mark.parametrize("answer", [saying_once(b"HTTP/1.1 400 Bad Request\r\n\r\n"), hang, speak_first])
def test_https_to_a_plain_server_is_a_failure_in_time(run: Run[list[Exchange]], answer: Speaks) -> None:
    """The answer is not TLS, or there is none."""

    async def work() -> list[Exchange]:
        async with serving(answer) as port:
            engine = prepared(replace(an_order(Operation(timeout_s=0.3)), target=target_at(port, scheme="https")))
            exchanges = await perform_all(engine, [0])
            assert engine.connections.open == 0
            return exchanges

    assert failed_with(run(work())[0]) in (ErrorClass.TLS, ErrorClass.TIMEOUT)


@LOOPS
@pytest.mark.process
def test_nginx_with_our_own_authority_counts_what_we_count(run: Run[Any], authority: Path, tmp_path: Path) -> None:
    """Over TLS 1.2 and up, keep-alive, to a server that was written by others."""
    server_lines = (
        f"listen 127.0.0.1:{{tls_port}} ssl; ssl_certificate {authority}/shop.pem; "
        f"ssl_certificate_key {authority}/shop.key;"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        tls_port = int(probe.getsockname()[1])
    with nginx_server(tmp_path / "nginx", extra=server_lines.replace("{tls_port}", str(tls_port))) as nginx:
        ca_file = str(authority / "ca.pem")
        order = replace(an_order(), target=target_at(tls_port, scheme="https", host="shop.test", ca_file=ca_file))
        engine = prepared(order)
        exchanges = run(perform_all(engine, [0] * 50))
        assert [exchange.judgement for exchange in exchanges] == [Passed()] * 50
        assert engine.connections.opened == 1
        lines = nginx.requests(at_least=50)
        assert (len(lines), len({line.remote_port for line in lines})) == (50, 1)


def test_a_ca_file_that_is_none_is_refused_before_the_load(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "empty.pem").write_text("")
    for ca_file in (tmp_path / "empty.pem", tmp_path / "missing.pem"):
        target = target_at(9, scheme="https", ca_file=str(ca_file))
        with pytest.raises(EngineError, match=ca_file.name):
            prepared(replace(an_order(), target=target))
