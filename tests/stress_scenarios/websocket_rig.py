"""What the tests of WebSockets share: a session against a server, and its exchanges one after another."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from stress_scenarios.engines.client_tls import NO_TLS, NoTls
from stress_scenarios.engines.engine import ConnectionCounts
from stress_scenarios.engines.websocket_session import WebSocketReply, WebSocketSession
from stress_scenarios.load_plan import ErrorClass, TargetSpec, WebSocketRequest
from stress_scenarios.scenario import Failed
from tests.stress_scenarios.orders import target_at

PATIENCE_S = 10.0
"""A hang limit for what has a timeout of its own."""

BY_ID = WebSocketRequest(message='{"id": "${request_id}"}', reply_id="$.id", subprotocols=())
NEXT_ONE = WebSocketRequest(message="hello", reply_id="", subprotocols=())


class User:
    """A session that numbers its requests."""

    def __init__(
        self,
        target: TargetSpec,
        *,
        response_bytes_max: int = 1 << 20,
        tls: ssl.SSLContext | NoTls = NO_TLS,
    ) -> None:
        self.counts = ConnectionCounts()
        self.session = WebSocketSession(
            target=target, counts=self.counts, response_bytes_max=response_bytes_max, tls=tls
        )
        self.number = 0

    async def ask(
        self,
        path: str = "/echo",
        *,
        kind: WebSocketRequest = BY_ID,
        timeout_s: float = 5.0,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> WebSocketReply | Failed:
        """One operation."""
        self.number += 1
        return await asyncio.wait_for(
            self.session.exchange(
                path=path,
                headers=headers,
                message=kind.message.replace("${request_id}", str(self.number)),
                request_id=str(self.number),
                kind=kind,
                timeout_s=timeout_s,
            ),
            PATIENCE_S,
        )

    async def ask_often(
        self, times: int, path: str = "/echo", *, kind: WebSocketRequest = BY_ID, timeout_s: float = 5.0
    ) -> list[WebSocketReply | Failed]:
        """Operations one after another."""
        return [await self.ask(path, kind=kind, timeout_s=timeout_s) for _ in range(times)]


@asynccontextmanager
async def user_at(
    port: int,
    *,
    scheme: str = "http",
    host: str = "127.0.0.1",
    response_bytes_max: int = 1 << 20,
    tls: ssl.SSLContext | NoTls = NO_TLS,
) -> AsyncIterator[User]:
    """A session, closed at the end; afterwards nothing of it is open and no task of it runs."""
    before = asyncio.all_tasks()
    user = User(target_at(port, scheme=scheme, host=host), response_bytes_max=response_bytes_max, tls=tls)
    try:
        yield user
    finally:
        await asyncio.wait_for(user.session.close(), PATIENCE_S)
        assert user.counts.open == 0
        mine = {task for task in asyncio.all_tasks() - before if "websocket_se" in repr(task.get_coro())}
        assert not mine


def errors(outcomes: Sequence[WebSocketReply | Failed]) -> list[ErrorClass | str]:
    """The class of each failure, "ok" for a reply."""
    return [outcome.error if isinstance(outcome, Failed) else "ok" for outcome in outcomes]
