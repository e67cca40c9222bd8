"""WebSockets against small servers made by hand that break the rules: a class for each fault, never a hang."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from websockets.utils import accept_key

from stress_scenarios.engines.websocket_session import WebSocketReply
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import Failed
from tests.stress_scenarios.orders import target_at
from tests.stress_scenarios.rude_servers import Answer, hang, read_head, reset, saying_once, serving
from tests.stress_scenarios.websocket_rig import NEXT_ONE, User, errors, user_at
from tests.stress_scenarios.wire_rig import LOOPS, Run

Outcomes = list[WebSocketReply | Failed]
SHORT_S = 0.1


async def _shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """Accept a WebSocket by hand; gives the bytes read."""
    head = (await read_head(reader)).decode()
    key = next(line.split(": ")[1] for line in head.splitlines() if line.lower().startswith("sec-websocket-key"))
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n\r\n"
    )
    return len(head)


@LOOPS
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (saying_once(b"HTTP/1.1 404 Not Found\r\n\r\n"), ErrorClass.STATUS),
        (saying_once(b"HTTP/1.0 503 Busy\r\n\r\n"), ErrorClass.STATUS),
        (saying_once(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"), ErrorClass.STATUS),
        (saying_once(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), ErrorClass.PROTOCOL),
        (
            saying_once(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Accept: bm90IHlvdXJzIGF0IGFsbCE=\r\n\r\n"
            ),
            ErrorClass.PROTOCOL,
        ),
        (saying_once(b"HTTP/1.1 101 Switching Protocols\r\nhalf a head"), ErrorClass.RESET),
        (saying_once(b"HTTP/1.1"), ErrorClass.RESET),
        (saying_once(b"SSH-2.0-something\r\n"), ErrorClass.PROTOCOL),
        (saying_once(b"\x00" * 100_000), ErrorClass.PROTOCOL),
        (saying_once(b""), ErrorClass.RESET),
        (reset, ErrorClass.STATUS),
        (hang, ErrorClass.TIMEOUT),
    ],
)
def test_a_server_that_speaks_no_websocket_has_its_class(run: Run[Any], answer: Answer, error: ErrorClass) -> None:
    """Nothing is counted as a message, and nothing hangs: the status alone decides, whatever body is announced."""

    async def work() -> tuple[Outcomes, User]:
        async with serving(answer) as port, user_at(port) as user:
            outcomes = [await user.ask(timeout_s=SHORT_S if answer is hang else 5.0)]
            assert user.counts.open == 0  # at once, not at the session's end
            return outcomes, user

    outcomes, user = run(work())
    assert errors(outcomes) == [error]
    assert (user.counts.messages_sent, user.counts.messages_received, user.counts.opened) == (0, 0, 1)


@LOOPS
@pytest.mark.parametrize(
    "frame",
    [
        b"\x83\x00",  # an opcode that there is not
        b"\x81\x85hell",  # masked, which servers must not
        b"\xc1\x05hello",  # compressed, which was not agreed on
        b"\x80\x05hello",  # goes on with what did not begin
        b"\x81\x02\xff\xfe",  # text that is not UTF-8
        b"\x88\x01\x03",  # half a close code
    ],
)
def test_frames_that_break_the_rules_are_a_protocol_error(run: Run[Any], frame: bytes) -> None:
    """The connection is given up, the next operation opens another."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _shake_hands(reader, writer)
        await reader.read(1)
        writer.write(frame)
        await writer.drain()
        await reader.read()

    async def work() -> tuple[Outcomes, User]:
        async with serving(speak) as port, user_at(port) as user:
            return await user.ask_often(2), user

    outcomes, user = run(work())
    assert errors(outcomes) == [ErrorClass.PROTOCOL] * 2
    assert (user.counts.opened, user.counts.reconnects) == (2, 1)


@LOOPS
def test_rules_broken_between_operations_fail_the_next_one(run: Run[Any]) -> None:
    """It is sent over a new connection, and fails for what went before; a reset alone would fail none."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _shake_hands(reader, writer)
        await reader.read(100)
        writer.write(b"\x81\x02ok")
        await asyncio.sleep(SHORT_S / 2)
        writer.write(b"\x83\x00")
        await reader.read()

    async def work() -> tuple[Outcomes, User]:
        async with serving(speak) as port, user_at(port) as user:
            outcomes = []
            for _ in range(2):
                outcomes.append(await user.ask(kind=NEXT_ONE))
                await asyncio.sleep(SHORT_S)
            return outcomes, user

    outcomes, user = run(work())
    assert errors(outcomes) == ["ok", ErrorClass.PROTOCOL]
    assert (user.counts.messages_sent, user.counts.reconnects) == (2, 1)


@LOOPS
def test_a_peer_that_says_goodbye_and_keeps_the_socket_costs_one_at_a_time(run: Run[Any]) -> None:
    """What it does not close is closed by us, at the next operation or at the session's end."""
    ended: list[int] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _shake_hands(reader, writer)
        await reader.read(100)
        writer.write(b"\x81\x02ok\x88\x02\x03\xe8")
        while await reader.read(100):
            pass
        ended.append(len(ended))
        await asyncio.Event().wait()

    async def work() -> int:
        async with serving(speak) as port:
            async with user_at(port) as user:
                for _ in range(4):
                    assert errors([await user.ask(kind=NEXT_ONE)]) == ["ok"]
                await asyncio.sleep(SHORT_S / 2)
                before_close = len(ended)
            await asyncio.sleep(SHORT_S / 2)
            return before_close

    assert run(work()) >= 3
    assert len(ended) == 4


@LOOPS
def test_bytes_sent_are_those_that_the_server_reads(run: Run[Any]) -> None:
    """Handshake, message and goodbye."""
    read = 0

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal read
        read = await _shake_hands(reader, writer)
        read += len(await reader.read(1000))
        writer.write(b"\x81\x02ok")
        read += len(await reader.read(1000))
        writer.write(b"\x88\x02\x03\xe8")

    async def work() -> User:
        async with serving(speak) as port:
            async with user_at(port) as user:
                assert errors([await user.ask(kind=NEXT_ONE)]) == ["ok"]
            return user

    assert run(work()).counts.bytes_sent == read > 0


@LOOPS
def test_a_flood_of_pings_to_which_no_answer_is_read_ends_the_connection(run: Run[Any]) -> None:
    """The answers would pile up with us without end."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _shake_hands(reader, writer)
        cast_transport: Any = writer.transport
        cast_transport.pause_reading()
        for _ in range(400):
            writer.write((b"\x89\x7d" + b"p" * 125) * 1000)
            await writer.drain()
        await asyncio.Event().wait()

    async def work() -> tuple[Outcomes, User]:
        async with serving(speak) as port, user_at(port) as user:
            return [await user.ask(timeout_s=60.0)], user

    outcomes, _ = run(work())
    assert errors(outcomes) == [ErrorClass.PROTOCOL]
    assert "pings" in str(outcomes[0])


@LOOPS
def test_connecting_has_a_limit_of_its_own(run: Run[Any]) -> None:
    """Below the operation's timeout."""

    async def work() -> WebSocketReply | Failed:
        async with serving(hang) as port:
            user = User(replace(target_at(port), connect_s_max=SHORT_S))
            try:
                return await user.ask(timeout_s=60.0)
            finally:
                await user.session.close()
                assert user.counts.open == 0

    assert run(work()) == Failed(error=ErrorClass.TIMEOUT, message=f"no WebSocket within {SHORT_S:g} s")
