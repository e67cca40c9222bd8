"""Sessions in Python: what the code may do, and that whatever it does is counted and ends with its session."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from stress_scenarios import scenario_session
from stress_scenarios.declared_program import UNSENT_PAUSE_S
from stress_scenarios.engines.engine import Answer, Exchange
from stress_scenarios.load_plan import ErrorClass, FeederOrder, Unpaced
from stress_scenarios.scenario import Passed, ScenarioError
from stress_scenarios.scenario_errors import TRACEBACKS_MAX
from stress_scenarios.scenario_session import NoReply, OperationFailedError, ScenarioSession, ScenarioUsageError
from tests.stress_scenarios.python_rig import Code, an_order, play
from tests.stress_scenarios.scripted_fakes import FakeScriptedEngine, an_answer, no_answer
from tests.stress_scenarios.scripted_rig import a_feeder, a_scripted_order, code_operation, operation

HERE = Path(__file__).name


# What code may do ---------------------------------------------------------------------------------------------------


def test_requests_are_operations_of_the_plan() -> None:
    """Each takes a start and is counted under its name; the reply has what the code needs."""
    seen: list[object] = []

    async def browse(session: ScenarioSession) -> None:
        reply = await session.get("/a?b=1", name="one")
        seen.extend([reply.status, reply.headers["x-y"], reply.text, reply.body, reply.json(), reply.redirects])
        await session.post("/p", name="two", json={"a": None}, headers={"X-A": "ü"}, timeout=1.5)
        await session.put("/p", name="two", body="text", headers={"Content-Type": "text/plain"})
        await session.patch("/p", name="two", body=b"\x00")
        await session.delete("/p", name="two")
        await session.head("/p", name="two", redirects=2)

    answer = an_answer("[1]", headers=(("x-y", "1"), ("x-y", "2")))
    starts, engine = play(browse, engine=FakeScriptedEngine(lambda _: answer))
    assert seen == [200, "1, 2", "[1]", b"[1]", [1], 0]
    assert starts.began == [0, 1, 1, 1, 1, 1]
    assert [judgement for _, judgement, _ in starts.ended_as] == [Passed()] * 6
    assert [received for _, _, received in starts.ended_as] == [3] * 6
    assert [request.method for request in engine.asked] == ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]
    assert engine.asked[0].url == "http://127.0.0.1:9/a?b=1"
    assert engine.asked[1].body == b'{"a": null}'
    assert dict(engine.asked[1].headers) == {"Content-Type": "application/json", "X-A": "ü"}
    assert engine.asked[1].timeout_s == 1.5
    assert (engine.asked[2].body, engine.asked[3].body) == (b"text", b"\x00")
    assert engine.redirects_max == [0, 0, 0, 0, 0, 2]
    assert engine.connections.opened == 1


def test_what_is_not_said_is_as_the_plan_has_it() -> None:
    """Statuses, timeout, headers with their placeholders, texts that the answer must contain."""

    async def browse(session: ScenarioSession) -> None:
        session.variables["who"] = "ann"
        await session.get("/a", name="one", headers={"x-b": "code"})
        await session.get("/b", name="one", expect=(418,))

    spec = operation(
        "one",
        stage=code_operation("one").stage,
        headers={"X-A": "${who}", "X-B": "plan"},
        expected=(201,),
        timeout_s=7.0,
    )
    order = a_scripted_order(spec, variables={"who": "nobody"})
    engine = FakeScriptedEngine(lambda request: an_answer(status=201 if request.url.endswith("/a") else 418))
    starts, engine = play(browse, engine=engine, order=order)
    assert starts.failures == []
    assert dict(engine.asked[0].headers) == {"X-A": "ann", "x-b": "code"}
    assert engine.asked[0].timeout_s == 7.0


def test_a_session_has_variables_chance_rows_and_a_connection(tmp_path: Path) -> None:
    """One row of each feeder for the session; numbers come again with the same seed."""
    seen: list[object] = []

    async def browse(session: ScenarioSession) -> None:
        seen.append(
            (session.variables["shop"], session.connection, dict(session.feed("users")), session.random.random())
        )
        assert session.feed("users") is session.feed("users")
        session.variables["shop"] = "changed"
        await session.get("/", name="one")

    order = an_order(
        variables={"shop": "x"}, connection_offset=4, feeders=(a_feeder(tmp_path / "u.csv", "name\nann\nbo\n"),)
    )
    play(browse, order=order, sessions=2)
    first = list(seen)
    play(browse, order=order, sessions=2)
    assert seen[2:] == first
    assert [entry[:3] for entry in first if isinstance(entry, tuple)] == [
        ("x", 4, {"name": "ann"}),
        ("x", 4, {"name": "bo"}),
    ]


def test_thinking_is_the_load_runs_business() -> None:
    """It runs in the load's time."""

    async def browse(session: ScenarioSession) -> None:
        await session.get("/", name="one")
        await session.think(1.5)

    assert play(browse)[0].thought == [1.5]


def test_requests_at_once_go_one_after_another() -> None:
    """A virtual user has one connection."""

    async def browse(session: ScenarioSession) -> None:
        await asyncio.gather(*(session.get(f"/{number}", name="one") for number in range(5)))

    starts, engine = play(browse, engine=FakeScriptedEngine(takes_s=0.001))
    assert starts.began == [0] * 5
    assert [request.url[-1] for request in engine.asked] == list("01234")


# Failures -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error"), [(no_answer(), ErrorClass.RESET), (an_answer(status=500), ErrorClass.STATUS)]
)
def test_a_failed_request_ends_the_session_and_is_counted_once(answer: Answer | Exchange, error: ErrorClass) -> None:
    """Whatever comes after it is not done."""

    async def browse(session: ScenarioSession) -> None:
        await session.get("/", name="one")
        raise AssertionError("not reached")

    starts, _ = play(browse, engine=FakeScriptedEngine(lambda _: answer), sessions=2)
    assert [failure[:2] for failure in starts.failures] == [(0, error)] * 2


def test_a_failed_request_can_be_caught_and_looked_at() -> None:
    """The reply is there if there was one."""
    seen: list[OperationFailedError] = []

    async def browse(session: ScenarioSession) -> None:
        for path in ("/no", "/500"):
            try:
                await session.get(path, name="one")
            except OperationFailedError as failed:
                seen.append(failed)
        await session.get("/ok", name="two")

    answers: dict[str, Answer | Exchange] = {
        "no": no_answer(),
        "500": an_answer("sorry", status=500),
        "ok": an_answer(),
    }
    starts, _ = play(browse, engine=FakeScriptedEngine(lambda request: answers[request.url.rpartition("/")[2]]))
    assert seen[0].reply is NoReply.NO_REPLY
    assert not isinstance(seen[1].reply, NoReply)
    assert (seen[1].error, seen[1].reply.text) == (ErrorClass.STATUS, "sorry")
    assert [isinstance(judgement, Passed) for _, judgement, _ in starts.ended_as] == [False, False, True]


def test_the_scenario_may_find_fault_with_an_answer() -> None:
    """The request is counted as failed, once, with the bytes of its answer; numbers do not split the group."""

    async def browse(session: ScenarioSession) -> None:
        reply = await session.get("/", name="one")
        session.fail(f"{reply.json()} orders\nare not enough")

    starts, _ = play(browse, engine=FakeScriptedEngine(lambda _: an_answer("5")))
    assert starts.failures == [(0, ErrorClass.CHECK, "# orders are not enough")]
    assert starts.ended_as[0][2] == 1


def test_finding_fault_too_late_is_an_error_of_the_scenario() -> None:
    """By then the request is counted as passed."""

    async def browse(session: ScenarioSession) -> None:
        await session.get("/", name="one")
        await asyncio.sleep(0.001)
        session.fail("late")

    starts, _ = play(browse)
    assert starts.ended_as[0][1] == Passed()
    assert len(starts.failures) == 1
    assert "too late" in starts.failures[0][2]


async def _raises(session: ScenarioSession) -> None:
    await session.get("/", name="two")
    raise KeyError("token")


async def _raises_later(session: ScenarioSession) -> None:
    await session.get("/", name="two")
    await asyncio.sleep(0.001)
    raise KeyError("token")


async def _raises_at_once(_: ScenarioSession) -> None:
    raise KeyError("token")


@pytest.mark.parametrize(
    ("code", "began", "failing"),
    [(_raises, [1], 1), (_raises_later, [1, 1], 1), (_raises_at_once, [0], 0)],
)
def test_an_error_is_counted_on_the_operation_at_hand(code: Code, began: list[int], failing: int) -> None:
    """The one just answered; else one more on the same, which is never sent; else on the order's first."""
    starts, engine = play(code, sessions=3)
    assert starts.began == began * 3
    assert len(starts.failures) == 3
    assert {(operation, error) for operation, error, _ in starts.failures} == {(failing, ErrorClass.SCENARIO)}
    assert all("KeyError: 'token'" in message and HERE in message for _, _, message in starts.failures)
    assert len(engine.asked) == (0 if code is _raises_at_once else 3)


def test_code_that_raises_at_once_does_not_spin() -> None:
    """Each session takes a start; without a pace there is a pause."""
    starts, _ = play(_raises_at_once, sessions=3, order=an_order(pace=Unpaced()))
    assert starts.asked >= 3
    assert starts.thought == [UNSENT_PAUSE_S] * 3


def test_code_that_asks_for_nothing_is_counted_as_failed() -> None:
    """A scenario without a request would be a load of nothing, as fast as it can."""

    async def browse(_: ScenarioSession) -> None:
        pass

    starts, _ = play(browse, sessions=2)
    assert starts.failures == [(0, ErrorClass.SCENARIO, "the scenario's function ended without a request")] * 2


def test_a_traceback_is_written_once_for_each_place(caplog: pytest.LogCaptureFixture) -> None:
    """Two places, a hundred sessions: two tracebacks; secrets are hidden in them."""

    async def browse(session: ScenarioSession) -> None:
        if session.random.random() < 0.5:
            raise ValueError("password=hunter2")
        raise TypeError("other")

    with caplog.at_level(logging.ERROR):
        play(browse, sessions=100)
    assert len(caplog.records) == 2
    assert all("Traceback" in record.getMessage() and HERE in record.getMessage() for record in caplog.records)
    assert "hunter2" not in caplog.text


def test_tracebacks_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """Code that fails in ever new places does not fill the disk."""

    async def browse(_: ScenarioSession) -> None:
        kind = type(f"Odd{len(caplog.records)}Error", (Exception,), {})
        raise kind("x" * 100_000)

    play(browse, sessions=TRACEBACKS_MAX + 10)
    assert len(caplog.records) == TRACEBACKS_MAX
    assert max(len(record.getMessage()) for record in caplog.records) < 5000


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda session: session.get("/", name="none"), 'no operation "none" for code (it has: one, two)'),
        (lambda session: session.get("a", name="one"), "begins with a slash"),
        (lambda session: session.get("/a\r\nX: y", name="one"), "control characters"),
        (lambda session: session.request("G T", "/", name="one"), "no method"),
        (lambda session: session.get("/", name="one", headers={"X": "a\nb"}), "line break"),
        (lambda session: session.get("/", name="one", headers={"X Y": "a"}), "no name of a header"),
        (lambda session: session.get("/", name="one", timeout=0), "timeout"),
        (lambda session: session.get("/", name="one", timeout=float("nan")), "timeout"),
        (lambda session: session.get("/", name="one", expect=()), "no status is expected"),
        (lambda session: session.post("/", name="one", json=1, body="x"), "either json or body"),
    ],
)
def test_a_call_that_makes_no_sense_says_what_to_write(
    call: Callable[[ScenarioSession], Awaitable[object]], complaint: str
) -> None:
    """It is the scenario's error, and nothing is sent."""

    async def browse(session: ScenarioSession) -> None:
        with pytest.raises(ScenarioUsageError) as refused:
            await call(session)
        assert complaint in str(refused.value)
        with pytest.raises(ScenarioUsageError, match='no feeder "x"'):
            session.feed("x")

    starts, engine = play(browse)
    assert engine.asked == []
    assert [message for _, _, message in starts.failures] == ["the scenario's function ended without a request"]


def test_a_dry_feeder_ends_the_session(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Counted at the load's pace, without a traceback."""

    async def browse(session: ScenarioSession) -> None:
        await session.get(f"/{session.feed('users')['name']}", name="two")

    feeder = a_feeder(tmp_path / "u.csv", "name\nann\n", order=FeederOrder.UNIQUE)
    starts, _ = play(browse, order=an_order(feeders=(feeder,)), sessions=3)
    assert starts.began == [1, 0, 0]
    assert starts.failures == [(0, ErrorClass.SCENARIO, "feeder users is dry after 1 rows")] * 2
    assert caplog.records == []


def test_an_order_without_operations_for_code_is_refused() -> None:
    """Nothing could be counted."""

    async def browse(_: ScenarioSession) -> None:
        pass

    with pytest.raises(ScenarioError, match="no operation that code could perform"):
        play(browse, order=a_scripted_order(operation("a")))


def test_requests_that_come_again_are_made_once_and_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same path gives the same request; ever new paths do not fill the memory."""
    monkeypatch.setattr(scenario_session, "KEPT_REQUESTS_MAX", 3)
    kept: list[int] = []

    async def browse(session: ScenarioSession) -> None:
        for number in range(8):
            await session.get(f"/{number}", name="one")
            await session.get(f"/{number}", name="one")
            await session.head(f"/{number}", name="one")
            kept.append(len(session._operations["one"].kept_requests))

    _, engine = play(browse)
    assert [f"{request.method} {request.url[-1]}" for request in engine.asked] == [
        text for number in range(8) for text in (f"GET {number}", f"GET {number}", f"HEAD {number}")
    ]
    assert engine.asked[0] is engine.asked[1]
    assert max(kept) <= 3
