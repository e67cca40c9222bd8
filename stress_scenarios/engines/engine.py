"""What a worker's load run needs of an engine: sessions that perform ready requests, and counts of real connections.

Pacing, permission, counting and windows belong to the load run and are the same for every engine; an engine only knows
how to speak to a target. A faster engine can stand in without anybody noticing. The worker process uses it.
"""

from dataclasses import dataclass
from typing import Protocol

from stress_scenarios.load_plan import TargetSpec
from stress_scenarios.scenario import AnswerJudgement, ReadyRequest

UNSENT_PAUSE_S = 0.01
"""A request that cannot be sent is answered after this long. At once, a script that asks for nothing else, without a pace,
would keep the loop from turning: nothing would end it, and its memory would grow by gigabytes."""


class EngineError(Exception):
    """The engine cannot prepare this load (a certificate file that does not load, say). The message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One operation's end. bytes_received: all bytes read from the connection for it, headers included."""

    judgement: AnswerJudgement
    bytes_received: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole HTTP answer, for scripted sessions. body: decoded (gzip, deflate). headers: names in lower case.

    bytes_received: all bytes read from the connection for it. redirects: followed on the way to it.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    bytes_received: int
    redirects: int


class ConnectionCounts:
    """Real connections of one worker, counted where they are made. Written by the engine, read by the load run.

    reconnects: opened in the place of one that broke. bytes_sent: requests as they were written. messages_*: of data, over
    WebSocket. redirects: answers that pointed elsewhere. All over the engine's life.
    """

    __slots__ = (
        "bytes_sent",
        "messages_received",
        "messages_sent",
        "open",
        "opened",
        "peak",
        "reconnects",
        "redirects",
    )

    def __init__(self) -> None:
        self.open = 0
        self.opened = 0
        self.peak = 0
        self.reconnects = 0
        self.redirects = 0
        self.bytes_sent = 0
        self.messages_sent = 0
        self.messages_received = 0

    def count_opened(self) -> None:
        """A connection was established."""
        self.opened += 1
        self.open += 1
        self.peak = max(self.peak, self.open)

    def count_closed(self) -> None:
        """One of the open connections was closed by us."""
        assert self.open > 0, "a connection was closed twice"
        self.open -= 1

    def begin_peak(self) -> None:
        """Measure the peak anew, from what is open now."""
        self.peak = self.open


class Session(Protocol):
    """One virtual user's connection: opened by its first operation, reopened if it breaks, closed at the end."""

    async def perform(self, operation: int) -> Exchange:
        """Send one prepared request and judge its answer, within its timeout over everything.

        Never raises for what the target does; only cancellation passes through, and then the operation is abandoned.
        """
        ...

    async def ask(self, request: ReadyRequest, *, redirects_max: int = 0) -> Answer | Exchange:
        """Send a request that was made just now and return its whole answer, unjudged; an Exchange only when it failed.

        Same connection, same cookies, same timeouts as perform. Raises what perform raises. Lets the loop turn, also when
        nothing can be sent.
        """
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class Engine(Protocol):
    """How to speak to a target."""

    @property
    def connections(self) -> ConnectionCounts:
        """Real connections, over the engine's life."""
        ...

    def prepare(self, *, target: TargetSpec, requests: tuple[ReadyRequest, ...], response_bytes_max: int) -> None:
        """Get ready to perform these requests against this target. Sends nothing. Raises EngineError."""
        ...

    def session(self) -> Session:
        """A fresh session, not yet connected, without cookies."""
        ...
