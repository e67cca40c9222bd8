"""One session of a scripted virtual user: its variables, its connection, its WebSockets, opened when first used.

Worker processes use it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from stress_scenarios.engines.engine import Answer, Engine, Exchange
from stress_scenarios.load_plan import LoadOrder, WebSocketRequest
from stress_scenarios.ready_operation import Asked, Messaged, ReadyOperation, SentAsItIs
from stress_scenarios.scenario import AnswerJudgement, Failed, Passed
from stress_scenarios.session_program import Starts
from stress_scenarios.session_values import SessionValues

if TYPE_CHECKING:
    from stress_scenarios.engines.websocket_session import WebSocketSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """What became of an operation. was_sent: whether anything went to the target."""

    judgement: AnswerJudgement
    was_sent: bool


_PASSED = Performed(judgement=Passed(), was_sent=True)


class UserSessions:
    """Makes the sessions of one order."""

    def __init__(self, order: LoadOrder, engine: Engine) -> None:
        """Raises EngineError when TLS for WebSockets cannot be prepared."""
        self.engine = engine
        self.new_websockets = _websockets(order, engine)

    def begin(self, values: SessionValues) -> "UserSession":
        """A fresh session, not yet connected, without cookies."""
        return UserSession(self, values)


class UserSession:
    """One session. Its operations come one after another."""

    def __init__(self, sessions: UserSessions, values: SessionValues) -> None:
        self.values = values
        self.http = sessions.engine.session()
        self._sessions = sessions
        self._websockets: list[WebSocketSession] = []  # at most one, made when first used

    async def perform(self, operation: ReadyOperation, starts: Starts) -> Performed:
        """Wait for the next start, send one operation, and count it. Raises LoadOver."""
        if operation.is_sent_as_it_is:
            return await self._perform_as_it_is(operation, starts)
        await starts.next()
        self.values.next_operation()
        sending = operation.sending(self.values)
        starts.started(operation.index)
        judgement: AnswerJudgement
        match sending:
            case Failed():
                judgement, received = sending, 0
            case SentAsItIs():
                raise AssertionError("performed above")
            case Asked():
                judgement, received = await self._ask(operation, sending, starts)
            case Messaged():
                judgement, received = await self._exchange(operation, sending, starts)
            case _:
                assert_never(sending)
        starts.ended(operation.index, judgement, received)
        return Performed(judgement=judgement, was_sent=not isinstance(sending, Failed))

    async def close(self) -> None:
        """Disconnect."""
        try:
            await self.http.close()
        finally:
            for websockets in self._websockets:
                await websockets.close()

    async def _perform_as_it_is(self, operation: ReadyOperation, starts: Starts) -> Performed:
        if not starts.start_now(operation.index):
            await starts.next()
            starts.started(operation.index)
        self.values.next_operation()
        exchange = await self.http.perform(operation.index)
        judgement = operation.judge_performed(exchange.judgement, service_s=starts.answered(), values=self.values)
        starts.ended(operation.index, judgement, exchange.bytes_received)
        return Performed(judgement=judgement, was_sent=True) if isinstance(judgement, Failed) else _PASSED

    async def _ask(self, operation: ReadyOperation, asked: Asked, starts: Starts) -> tuple[AnswerJudgement, int]:
        outcome = await self.http.ask(asked.request, redirects_max=operation.spec.redirects_max)
        service_s = starts.answered()
        match outcome:
            case Exchange():
                return outcome.judgement, outcome.bytes_received
            case Answer():
                judgement = operation.judge_answer(
                    outcome, request=asked.request, service_s=service_s, values=self.values
                )
                return judgement, outcome.bytes_received

    async def _exchange(
        self, operation: ReadyOperation, messaged: Messaged, starts: Starts
    ) -> tuple[AnswerJudgement, int]:
        if not self._websockets:
            self._websockets.append(self._sessions.new_websockets())
        reply = await self._websockets[0].exchange(
            path=messaged.path,
            headers=messaged.headers,
            message=messaged.message,
            request_id=messaged.request_id,
            kind=messaged.kind,
            timeout_s=operation.spec.timeout_s,
        )
        service_s = starts.answered()
        if isinstance(reply, Failed):
            return reply, 0
        return operation.judge_reply(reply.body, service_s=service_s, values=self.values), reply.bytes_received


def _websockets(order: LoadOrder, engine: Engine) -> "Callable[[], WebSocketSession]":
    """What makes WebSockets for a session; the library is loaded only for an order that speaks over some."""
    if not any(isinstance(operation.kind, WebSocketRequest) for operation in order.operations):

        def refuse() -> "WebSocketSession":
            raise AssertionError("the order has no operation over a WebSocket")

        return refuse

    from stress_scenarios.engines.client_tls import client_tls  # noqa: PLC0415
    from stress_scenarios.engines.websocket_session import WebSocketSession  # noqa: PLC0415

    tls = client_tls(order.target)

    def connect() -> "WebSocketSession":
        return WebSocketSession(
            target=order.target, counts=engine.connections, response_bytes_max=order.response_bytes_max, tls=tls
        )

    return connect
