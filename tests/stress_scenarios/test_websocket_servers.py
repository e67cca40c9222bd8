"""WebSockets against servers in processes of their own: equal counts, own certificates, and one that speaks MQTT."""

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stress_scenarios.engines.client_tls import NO_TLS, client_tls
from stress_scenarios.engines.engine import EngineError
from stress_scenarios.engines.websocket_session import WebSocketReply
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import Failed
from tests.stress_scenarios.orders import target_at
from tests.stress_scenarios.websocket_echo import echoing
from tests.stress_scenarios.websocket_rig import BY_ID, NEXT_ONE, User, errors, user_at
from tests.stress_scenarios.websocket_servers import EchoServer, echo_server, make_authority, mosquitto_server
from tests.stress_scenarios.wire_rig import LOOPS, Run
from tests.support.servers import HttpServer, NginxServer


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EchoServer]:
    """Run one echo server for all tests; its counts go on."""
    with echo_server(tmp_path_factory.mktemp("echo")) as server:
        yield server


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    """Run one Mosquitto for all tests."""
    with mosquitto_server(tmp_path_factory.mktemp("mosquitto")) as server:
        yield server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate authority of our own, with a certificate for shop.test."""
    directory = tmp_path_factory.mktemp("authority")
    make_authority(directory)
    return directory


@LOOPS
@pytest.mark.process
def test_many_users_count_what_the_server_counts(run: Run[Any], echo: EchoServer) -> None:
    """Messages in both directions, connections and handshakes."""
    users, times = 20, 25

    async def one(path: str) -> User:
        async with user_at(echo.port) as user:
            assert errors(await user.ask_often(times, path)) == ["ok"] * times
            return user

    async def work() -> list[User]:
        return list(await asyncio.gather(*(one(("/echo", "/pushing")[index % 2]) for index in range(users))))

    before = echo.seen()
    all_users = run(work())
    after = echo.seen()
    grown = {name: after[name] - before[name] for name in ("received", "sent", "connections")}
    assert grown == {
        "received": sum(user.counts.messages_sent for user in all_users),
        "sent": sum(user.counts.messages_received for user in all_users),
        "connections": sum(user.counts.opened for user in all_users),
    }
    assert grown["received"] == users * times


@pytest.mark.process
@pytest.mark.parametrize(
    ("kind", "subprotocol", "error"),
    [
        (BY_ID, (), ErrorClass.NO_REPLY),
        (BY_ID, ("mqtt",), ErrorClass.RESET),
        (NEXT_ONE, ("chat",), ErrorClass.RESET),
    ],
)
def test_a_broker_that_speaks_websocket_but_not_ours_fails_truthfully(
    mosquitto: HttpServer, kind: Any, subprotocol: tuple[str, ...], error: ErrorClass
) -> None:
    """Without its subprotocol it stays mute; with it, what is no MQTT is hung up on; another is refused."""

    async def work() -> tuple[list[WebSocketReply | Failed], User]:
        async with user_at(mosquitto.port) as user:
            full = replace(kind, subprotocols=subprotocol)
            # Mosquitto looks at its WebSockets ten times a second.
            return await user.ask_often(times, "/mqtt", kind=full, timeout_s=limit_s), user

    times, limit_s = (1, 0.6) if error is ErrorClass.NO_REPLY else (2, 10.0)
    outcomes, user = asyncio.run(work())
    assert errors(outcomes) == [error] * times
    assert (user.counts.messages_received, user.counts.opened > 0) == (0, True)


@pytest.mark.process
def test_nginx_speaks_no_websocket(nginx: NginxServer) -> None:
    """It answers the handshake with its page: a status, and no operation passes."""

    async def work() -> list[WebSocketReply | Failed]:
        async with user_at(nginx.port) as user:
            return await user.ask_often(3, "/")

    outcomes = asyncio.run(work())
    assert errors(outcomes) == [ErrorClass.STATUS] * 3
    assert [line.status for line in nginx.requests(at_least=3)] == [200] * 3


async def _over_tls(authority: Path, *, host: str, ca_file: Path | None) -> tuple[list[WebSocketReply | Failed], int]:
    """Two operations against a server that has shop.test's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "shop.pem", authority / "shop.key")
    async with echoing(tls=context) as (port, _):
        target = target_at(port, scheme="https", host=host, ca_file=str(ca_file or ""))
        user = User(target, tls=client_tls(target))
        try:
            return await user.ask_often(2), user.counts.opened
        finally:
            await user.session.close()
            assert user.counts.open == 0


@LOOPS
def test_over_tls_the_certificate_is_checked_against_the_name(run: Run[Any], authority: Path) -> None:
    """The pinned address is called; name and certificate are those of the URL."""
    outcomes, opened = run(_over_tls(authority, host="shop.test", ca_file=authority / "ca.pem"))
    assert (errors(outcomes), opened) == (["ok", "ok"], 1)


@LOOPS
@pytest.mark.parametrize(("host", "trusted"), [("other.test", True), ("shop.test", False)])
def test_over_tls_a_wrong_name_or_an_unknown_issuer_fails(
    run: Run[Any], authority: Path, host: str, *, trusted: bool
) -> None:
    """Nothing is sent to whom one cannot trust."""
    outcomes, _ = run(_over_tls(authority, host=host, ca_file=authority / "ca.pem" if trusted else None))
    assert errors(outcomes) == [ErrorClass.TLS] * 2


@LOOPS
def test_over_tls_a_peer_that_speaks_none_fails_in_time(run: Run[Any]) -> None:
    """A plain server behind an https URL."""

    async def work() -> list[WebSocketReply | Failed]:
        async with echoing() as (port, _):
            target = target_at(port, scheme="https")
            user = User(target, tls=client_tls(target))
            try:
                return await user.ask_often(1, timeout_s=1.0)
            finally:
                await user.session.close()

    assert errors(run(work()))[0] in (ErrorClass.TLS, ErrorClass.TIMEOUT, ErrorClass.RESET)


def test_only_https_needs_a_context(tmp_path: Path) -> None:
    """Loading a trust store costs; a CA file that is none is refused before the load, by its name."""
    assert client_tls(target_at(9)) == NO_TLS
    (tmp_path / "empty.pem").write_text("")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(EngineError, match=name):
            client_tls(target_at(9, scheme="https", ca_file=str(tmp_path / name)))
