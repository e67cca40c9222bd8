"""Stand-ins for scripted sessions without a network and without a load run."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from stress_scenarios.engines.engine import Answer, ConnectionCounts, Exchange
from stress_scenarios.load_plan import ErrorClass, TargetSpec
from stress_scenarios.scenario import AnswerJudgement, Failed, Passed, ReadyRequest
from stress_scenarios.session_program import LoadOver

NEVER = 1 << 30


def an_answer(
    body: str | bytes = b"", *, status: int = 200, headers: tuple[tuple[str, str], ...] = (), redirects: int = 0
) -> Answer:
    """An answer of which only the interesting is said; bytes_received are those of its body."""
    content = body.encode() if isinstance(body, str) else body
    return Answer(status=status, headers=headers, body=content, bytes_received=len(content), redirects=redirects)


def no_answer(error: ErrorClass = ErrorClass.RESET) -> Exchange:
    """What an engine says when the target did not answer."""
    return Exchange(judgement=Failed(error=error, message=f"{error.value} by the fake"), bytes_received=0)


class FakeScriptedEngine:
    """Answers what is asked by a function; performs prepared requests with success."""

    def __init__(
        self,
        answer: Callable[[ReadyRequest], Answer | Exchange] = lambda _: an_answer(),
        *,
        performed: AnswerJudgement | None = None,
        takes_s: float = 0.0,
    ) -> None:
        self.answer = answer
        self.performed = performed or Passed()
        self.takes_s = takes_s
        self.asked: list[ReadyRequest] = []
        self.redirects_max: list[int] = []
        self.performed_operations: list[int] = []
        self._connections = ConnectionCounts()

    @property
    def connections(self) -> ConnectionCounts:
        """Sessions that did something and were not closed."""
        return self._connections

    def prepare(self, *, target: TargetSpec, requests: tuple[ReadyRequest, ...], response_bytes_max: int) -> None:
        """Nothing."""

    def session(self) -> "FakeScriptedSession":
        """A fresh session."""
        return FakeScriptedSession(self)


class FakeScriptedSession:
    """A connection that exists only as a count."""

    def __init__(self, engine: FakeScriptedEngine) -> None:
        self._engine = engine
        self._connected = False

    async def perform(self, operation: int) -> Exchange:
        """Note it."""
        self._connect()
        self._engine.performed_operations.append(operation)
        await asyncio.sleep(self._engine.takes_s)
        return Exchange(judgement=self._engine.performed, bytes_received=10)

    async def ask(self, request: ReadyRequest, *, redirects_max: int = 0) -> Answer | Exchange:
        """Answer by the function."""
        self._connect()
        self._engine.asked.append(request)
        self._engine.redirects_max.append(redirects_max)
        await asyncio.sleep(self._engine.takes_s)
        return self._engine.answer(request)

    async def close(self) -> None:
        """Disconnect."""
        if self._connected:
            self._connected = False
            self._engine.connections.count_closed()

    def _connect(self) -> None:
        if not self._connected:
            self._connected = True
            self._engine.connections.count_opened()


@dataclass(slots=True)
class FakeStarts:
    """Gives so many starts, and notes what becomes of them.

    service_s: what every operation takes. at_once: a start is due whenever somebody asks.
    """

    starts: int = NEVER
    service_s: float = 0.25
    at_once: bool = False
    began: list[int] = field(default_factory=list)
    ended_as: list[tuple[int, AnswerJudgement, int]] = field(default_factory=list)
    thought: list[float] = field(default_factory=list)
    asked: int = 0

    @property
    def in_flight(self) -> int:
        """Operations that began and did not end."""
        return len(self.began) - len(self.ended_as)

    @property
    def failures(self) -> list[tuple[int, ErrorClass, str]]:
        """Operations that failed: which, class, message."""
        return [
            (operation, judgement.error, judgement.message)
            for operation, judgement, _ in self.ended_as
            if isinstance(judgement, Failed)
        ]

    async def next(self) -> float:
        """A start, while there are some."""
        self.asked += 1
        await asyncio.sleep(0)
        if len(self.began) >= self.starts:
            raise LoadOver
        return 0.0

    def started(self, operation: int) -> None:
        """Note it."""
        assert self.in_flight == 0, "one operation at a time"
        self.began.append(operation)

    def start_now(self, operation: int) -> bool:
        """At once if the fake was told so; else a start takes a turn of the loop."""
        if not self.at_once or len(self.began) >= self.starts:
            return False
        self.asked += 1
        self.started(operation)
        return True

    def answered(self) -> float:
        """The same time for all."""
        assert self.in_flight == 1, "an answer to nothing"
        return self.service_s

    def ended(self, operation: int, judgement: AnswerJudgement, bytes_received: int) -> None:
        """Note it."""
        assert self.in_flight == 1, "an end without a beginning"
        assert self.began[-1] == operation, "another operation has begun"
        self.ended_as.append((operation, judgement, bytes_received))

    async def think(self, seconds: float) -> None:
        """Note it, and do not wait."""
        self.thought.append(seconds)
        await asyncio.sleep(0)
        if len(self.began) >= self.starts:
            raise LoadOver
