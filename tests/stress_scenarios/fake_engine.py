"""An engine without a network: every operation takes a given time on the loop's clock and ends as it is told."""

import asyncio
from collections.abc import Callable

from stress_scenarios.engines.engine import Answer, ConnectionCounts, EngineError, Exchange
from stress_scenarios.load_plan import TargetSpec
from stress_scenarios.scenario import AnswerJudgement, Failed, Passed, ReadyRequest


class FakeEngine:
    """Connects at the first operation of a session. takes_s: how long an operation lasts, by its number."""

    def __init__(
        self,
        *,
        takes_s: Callable[[int], float] = lambda _: 0.01,
        judge: Callable[[int], AnswerJudgement] = lambda _: Passed(),
        refuse: str = "",
    ) -> None:
        self.takes_s = takes_s
        self.judge = judge
        self.starts: list[tuple[float, int]] = []
        self._refuse = refuse
        self._connections = ConnectionCounts()

    @property
    def connections(self) -> ConnectionCounts:
        """Sessions that performed something and were not closed."""
        return self._connections

    def prepare(self, *, target: TargetSpec, requests: tuple[ReadyRequest, ...], response_bytes_max: int) -> None:
        """Refuse if told to."""
        if self._refuse:
            raise EngineError(self._refuse)

    def session(self) -> "FakeSession":
        """A fresh session."""
        return FakeSession(self)


class FakeSession:
    """A connection that exists only as a count."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self._connected = False

    async def perform(self, operation: int) -> Exchange:
        """Take the time, then end as told."""
        return Exchange(judgement=await self._take(operation), bytes_received=100)

    async def ask(self, request: ReadyRequest, *, redirects_max: int = 0) -> Answer | Exchange:
        """Take the time, then answer 200 with the request's body; a failure if told to fail."""
        judgement = await self._take(0)
        if isinstance(judgement, Failed):
            return Exchange(judgement=judgement, bytes_received=100)
        return Answer(status=200, headers=(), body=request.body, bytes_received=100, redirects=0)

    async def _take(self, operation: int) -> AnswerJudgement:
        if not self._connected:
            self._connected = True
            self._engine.connections.count_opened()
        number = len(self._engine.starts)
        self._engine.starts.append((asyncio.get_running_loop().time(), operation))
        await asyncio.sleep(self._engine.takes_s(number))
        return self._engine.judge(number)

    async def close(self) -> None:
        """Disconnect."""
        if self._connected:
            self._connected = False
            self._engine.connections.count_closed()
