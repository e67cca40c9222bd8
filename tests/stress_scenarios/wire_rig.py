"""What the tests of the wire engine share: both event loops, a prepared engine, and one session's exchanges."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest
import uvloop

from stress_scenarios.engines.engine import Exchange
from stress_scenarios.engines.wire_engine import WireEngine
from stress_scenarios.load_plan import ErrorClass, LoadOrder
from stress_scenarios.scenario import Failed, ready_requests
from tests.stress_scenarios.orders import Operation, an_order
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

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
ANSWER_S_MAX = 5.0
"""No answer of a test takes longer, whatever the server does; a hang limit."""


def in_loop(factory: Callable[[], asyncio.AbstractEventLoop]) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run coroutines on an event loop of this kind, each on a fresh one."""

    def work(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(asyncio.wait_for(coroutine, 10 * ANSWER_S_MAX))

    return work


LOOPS = pytest.mark.parametrize(
    "run", [in_loop(asyncio.new_event_loop), in_loop(uvloop.new_event_loop)], ids=["asyncio", "uvloop"]
)
"""Runs a test on both event loops; the engine is made for one of them, and must not depend on it."""


def prepared(order: LoadOrder) -> WireEngine:
    """Prepare an engine for this order."""
    engine = WireEngine()
    engine.prepare(target=order.target, requests=ready_requests(order), response_bytes_max=order.response_bytes_max)
    return engine


async def perform_all(engine: WireEngine, operations: Sequence[int]) -> list[Exchange]:
    """One session."""
    session = engine.session()
    try:
        return [await asyncio.wait_for(session.perform(operation), ANSWER_S_MAX) for operation in operations]
    finally:
        await session.close()


async def against(
    answer: Answer,
    operation: Operation,
    *,
    times: int = 1,
    response_bytes_max: int = 1 << 20,
    connect_s_max: float = 600.0,
    first_byte_s_max: float = 600.0,
) -> tuple[list[Exchange], WireEngine]:
    """Perform one operation some times in one session against a small server."""
    async with serving(answer) as port:
        order = an_order(operation, port=port, response_bytes_max=response_bytes_max)
        target = replace(order.target, connect_s_max=connect_s_max, first_byte_s_max=first_byte_s_max)
        engine = prepared(replace(order, target=target))
        return await perform_all(engine, [0] * times), engine


def failed_with(exchange: Exchange) -> ErrorClass:
    """The class of a failure that must be one."""
    assert isinstance(exchange.judgement, Failed)
    return exchange.judgement.error


async def speak_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greet, as mail servers do."""
    writer.write(b"220 mail ready\r\n")
    await hang(reader, writer)


async def silent_after_half_a_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin an answer and never go on."""
    await read_head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    await hang(reader, writer)


MISBEHAVIOUR: tuple[tuple[Answer, ErrorClass], ...] = (
    (saying_once(b""), ErrorClass.RESET),
    (saying_once(b"HTTP/1.1 200 OK\r\nContent-Le"), ErrorClass.RESET),
    (saying_once(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), ErrorClass.RESET),
    (saying_once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"), ErrorClass.RESET),
    (reset, ErrorClass.RESET),
    (saying_once(b"\x00\x01garbage\r\n\r\n\x02"), ErrorClass.PROTOCOL),
    (saying_once(b"SSH-2.0-OpenSSH_9.2\r\n"), ErrorClass.PROTOCOL),
    (speak_first, ErrorClass.PROTOCOL),
    (saying_once(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n"), ErrorClass.PROTOCOL),
    (saying_once(b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000), ErrorClass.PROTOCOL),
    (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhello"), ErrorClass.PROTOCOL),
    (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n"), ErrorClass.PROTOCOL),
    (saying(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), ErrorClass.PROTOCOL),
    (saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), ErrorClass.PROTOCOL),
    (hang, ErrorClass.TIMEOUT),
    (silent_after_half_a_head, ErrorClass.TIMEOUT),
    (drip, ErrorClass.TIMEOUT),
    (flood, ErrorClass.TOO_LARGE),
    (saying_once(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"), ErrorClass.TOO_LARGE),
)
"""Each way of a server to misbehave that no judgement of an answer is needed for, and what it is to be called."""
