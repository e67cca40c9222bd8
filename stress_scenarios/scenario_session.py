"""The session that a scenario in Python gets: the public interface of ``async def browse(session)``.

    async def browse(session):
        user = session.feed("users")
        reply = await session.post("/login", name="login", json={"user": user["name"]}, expect=(200,))
        token = reply.json()["token"]
        await session.think(session.random.uniform(1.0, 3.0))
        reply = await session.get("/orders", name="orders", headers={"Authorization": f"Bearer {token}"})
        if not reply.json()["orders"]:
            session.fail("no orders")

Each request is one operation of the plan, takes its start from the load's pace, and is counted under its name. A request
that fails (no answer, another status than expected) raises OperationFailedError, which ends the session unless the scenario
catches it. Any other error of the scenario's own is counted as such (SCENARIO), and ends the session too; the next session
begins with the next start. Requests of one session go one after another over one connection. Runs in worker processes.
"""

import asyncio
import json
import math
import random
import re
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, NoReturn, Required, TypedDict, Unpack

from stress_scenarios.blocked_watch import NOBODYS_CODE, mark_running_code, running_code_of, unmark_running_code
from stress_scenarios.engines.engine import Answer, Exchange
from stress_scenarios.feeder_turns import Dry, FeederTurns
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.one_at_a_time import OneAtATime
from stress_scenarios.operation_account import OperationAccount, Settlements
from stress_scenarios.ready_operation import ReadyOperation
from stress_scenarios.scenario import Failed, ReadyRequest, failure, status_ranges
from stress_scenarios.session_program import LoadOver, Starts
from stress_scenarios.user_session import UserSession

OVER_PAUSE_S = 0.05
"""A scenario that goes on asking after the load's end waits this long each time, so that it does not stop the loop."""

KEPT_REQUESTS_MAX = 256
"""Of one operation: its different paths, if it has so few; a load of ever new paths starts over from time to time."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class ScenarioUsageError(ValueError):
    """The scenario asks its session for what it cannot do. The message says what to write."""


class FeederDryError(Exception):
    """A unique feeder has no row left."""


class ScenarioOver(BaseException):
    """The load is over, and the scenario ends here. Let it through; it is no Exception, so that few catch it by mistake."""


class Reply:
    """An answer that was as expected."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        """By name in lower case; several of one name are joined by commas."""
        headers: dict[str, str] = {}
        for name, value in self._answer.headers:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return MappingProxyType(headers)

    @property
    def body(self) -> bytes:
        """The body, unpacked."""
        return self._answer.body

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none is replaced."""
        return self._answer.body.decode("utf-8", "replace")

    @property
    def redirects(self) -> int:
        """Redirects that were followed on the way to it."""
        return self._answer.redirects

    def json(self) -> object:
        """The body as JSON. Raises ValueError when it is none, which counts as an error of the scenario if not caught."""
        return json.loads(self._answer.body)


class NoReply(Enum):
    """There was no whole answer."""

    NO_REPLY = auto()


class OperationFailedError(Exception):
    """A request of the scenario failed; it has been counted. error, message: why. reply: the answer, if there was one."""

    def __init__(self, failed: Failed, reply: Reply | NoReply) -> None:
        super().__init__(failed.message)
        self.error = failed.error
        self.message = failed.message
        self.reply = reply


class RequestOptions(TypedDict, total=False):
    """What may be said about a request; only its name must be.

    name: the operation of the plan that it is. headers: beside the target's and the operation's. json: sent as the body, as
    application/json; or body: sent as it is. timeout: seconds over everything. expect: statuses that pass. redirects: how
    many within the target are followed. What is not said is as the plan has it for the operation.
    """

    name: Required[str]
    headers: Mapping[str, str]
    json: object
    body: str | bytes
    timeout: float
    expect: Collection[int]
    redirects: int


class ScenarioSession:
    """One virtual user's session, from its first request to its end."""

    def __init__(
        self,
        *,
        connection: int,
        operations: Mapping[str, ReadyOperation],
        feeders: Mapping[str, FeederTurns],
        session: UserSession,
        starts: Starts,
        settlements: Settlements,
    ) -> None:
        self._connection = connection
        self._operations = operations
        self._feeders = feeders
        self._rows: dict[str, Mapping[str, str]] = {}
        self._session = session
        self._starts = starts
        self._turn = OneAtATime()
        self._is_over = False
        self._account = OperationAccount(starts, settlements, next(iter(operations.values())).index)

    @property
    def connection(self) -> int:
        """This virtual user's index among those of all workers."""
        return self._connection

    @property
    def variables(self) -> dict[str, str]:
        """The plan's variables, and what the scenario puts there for itself; forgotten at the session's end."""
        return self._session.values.variables

    @property
    def random(self) -> random.Random:
        """The session's chance: with the plan's seed it draws the same numbers again."""
        return self._session.values.draws.random

    @property
    def account(self) -> OperationAccount:
        """What was counted; for the program that runs the session."""
        return self._account

    def feed(self, name: str) -> Mapping[str, str]:
        """The session's row of a feeder, by column. Raises FeederDryError, which ends the session if not caught."""
        if name not in self._feeders:
            known = ", ".join(self._feeders) or "none"
            raise ScenarioUsageError(f'the plan has no feeder "{name}" (it has: {known})')
        if name not in self._rows:
            row = self._feeders[name].next()
            if isinstance(row, Dry):
                raise FeederDryError(row.message)
            self._rows[name] = row
        return self._rows[name]

    async def think(self, seconds: float) -> None:
        """Pause, in the load's time: longer while the load is eased, and ended by the load's end."""
        with running_code_of(NOBODYS_CODE):
            self._account.settle()
            try:
                await self._starts.think(seconds)
            except LoadOver:
                await self._over()

    def fail(self, message: str) -> None:
        """Count the last request as failed (CHECK), and raise OperationFailedError.

        Say it right after the reply: once anything else was awaited, the request is counted as passed. Numbers in the
        message are shown as #, so that failures of one kind are one group.
        """
        failed = failure(ErrorClass.CHECK, message)
        if not self._account.fail_answered(failed):
            raise ScenarioUsageError(f'session.fail("{message}") comes too late: say it before anything is awaited')
        raise OperationFailedError(failed, NoReply.NO_REPLY)

    def get(self, path: str, **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Reply]:
        """Send a GET. Await it."""
        return self._perform("GET", path, options)

    def head(self, path: str, **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Reply]:
        """Send a HEAD. Await it."""
        return self._perform("HEAD", path, options)

    def post(self, path: str, **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Reply]:
        """Send a POST. Await it."""
        return self._perform("POST", path, options)

    def put(self, path: str, **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Reply]:
        """Send a PUT. Await it."""
        return self._perform("PUT", path, options)

    def patch(self, path: str, **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Reply]:
        """Send a PATCH. Await it."""
        return self._perform("PATCH", path, options)

    def delete(self, path: str, **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Reply]:
        """Send a DELETE. Await it."""
        return self._perform("DELETE", path, options)

    def request(self, method: str, path: str, **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Reply]:
        """Wait for the next start, send a request, and return its answer: await it. Raises OperationFailedError.

        path: with its query, from the first slash on. Raises ScenarioUsageError for what cannot be sent.
        """
        return self._perform(method, path, options)

    # ----------------------------------------------------------------------------------------------------------------

    async def _perform(self, method: str, path: str, options: RequestOptions) -> Reply:
        """One request, in one coroutine: each one more would cost as much as all that is decided here."""
        operation = self._operations.get(options["name"])
        if operation is None:
            known = ", ".join(self._operations)
            raise ScenarioUsageError(f'the plan has no operation "{options["name"]}" for code (it has: {known})')
        session = self._session
        session.values.next_operation()
        asked = self._kept_request(operation, method, path, options)
        redirects_max = options.get("redirects", operation.spec.redirects_max)
        mark = mark_running_code(NOBODYS_CODE)
        try:
            turn = self._turn
            if turn.is_taken:
                await turn.wait()
            else:
                turn.is_taken = True
            try:
                account = self._account
                if not account.begin_now(operation.index):
                    try:
                        await self._starts.next()
                    except LoadOver:
                        await self._over()
                    account.begin(operation.index)
                outcome = await session.http.ask(asked, redirects_max=redirects_max)
                service_s = account.answered()
                if isinstance(outcome, Exchange):
                    assert isinstance(outcome.judgement, Failed), "what passed comes as an Answer"
                    account.fail(outcome.judgement, outcome.bytes_received)
                    raise OperationFailedError(outcome.judgement, NoReply.NO_REPLY)
                judgement = operation.judge_answer(outcome, request=asked, service_s=service_s, values=session.values)
                if isinstance(judgement, Failed):
                    account.fail(judgement, outcome.bytes_received)
                    raise OperationFailedError(judgement, Reply(outcome))
                account.pass_unless_told(outcome.bytes_received)
                return Reply(outcome)
            finally:
                turn.leave()
        finally:
            unmark_running_code(mark)

    async def _over(self) -> NoReturn:
        await asyncio.sleep(OVER_PAUSE_S if self._is_over else 0.0)
        self._is_over = True
        raise ScenarioOver

    def _kept_request(self, operation: ReadyOperation, method: str, path: str, options: RequestOptions) -> ReadyRequest:
        """Requests of which only name and path are said come again and again, and are checked and made once."""
        if len(options) > 1 or not operation.has_fixed_headers:
            return self._request(operation, method, path, options)
        key = (method, path)
        kept = operation.kept_requests.get(key)
        if kept is None:
            kept = self._request(operation, method, path, options)
            if len(operation.kept_requests) >= KEPT_REQUESTS_MAX:
                operation.kept_requests.clear()
            operation.kept_requests[key] = kept
        return kept

    def _request(self, operation: ReadyOperation, method: str, path: str, options: RequestOptions) -> ReadyRequest:
        if not _TOKEN.fullmatch(method):
            raise ScenarioUsageError(f'"{method}" is no method; write GET, POST, ...')
        if not path.startswith("/") or _CONTROL.search(path):
            raise ScenarioUsageError("a path begins with a slash and has no control characters")
        timeout_s = options.get("timeout", operation.spec.timeout_s)
        if not 0 < timeout_s < math.inf:
            raise ScenarioUsageError(f"a timeout of {timeout_s} s; write a number above 0")
        headers = operation.filled_headers(self._session.values)
        if isinstance(headers, Failed):
            raise ScenarioUsageError(headers.message)
        body, content_type = _body(options)
        request = operation.request(
            method=method,
            path=path,
            headers=headers + _headers(options.get("headers", {})),
            body=body,
            content_type=content_type,
            timeout_s=timeout_s,
        )
        if "expect" not in options:
            return request
        expected = tuple(options["expect"])
        if not expected:
            raise ScenarioUsageError("no status is expected, so none could ever pass; write expect=(200,)")
        return replace(request, expected_status=frozenset(expected), expected_status_text=status_ranges(expected))


def _headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ScenarioUsageError(f'"{name}" is no name of a header')
        if _CONTROL.search(value):
            raise ScenarioUsageError(f'the header "{name}" has a line break or another control character')
    return tuple(headers.items())


def _body(options: RequestOptions) -> tuple[bytes, str]:
    """The body and its content type, "" when the request has none of its own."""
    if "json" in options:
        if "body" in options:
            raise ScenarioUsageError("a request has either json or body")
        return json.dumps(options["json"]).encode(), "application/json"
    body = options.get("body", b"")
    return body.encode() if isinstance(body, str) else body, ""
