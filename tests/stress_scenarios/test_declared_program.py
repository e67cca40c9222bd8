"""Declared sessions: their operations in order, each with one start, whatever fails."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from stress_scenarios.declared_program import UNSENT_PAUSE_S
from stress_scenarios.engines.engine import Answer, Exchange
from stress_scenarios.load_plan import (
    ErrorClass,
    Extraction,
    FeederOrder,
    HeaderField,
    JsonPresent,
    LatencyCheck,
    LoadOrder,
    NoBody,
    RegexCheck,
    Source,
    Stage,
    TextBody,
    ThinkTime,
    Unpaced,
)
from stress_scenarios.scenario import Failed, Passed, ReadyRequest, ScenarioError, ready_requests
from stress_scenarios.session_program import LoadOver
from stress_scenarios.session_programs import programs_for
from tests.stress_scenarios.scripted_fakes import FakeScriptedEngine, FakeStarts, an_answer, no_answer
from tests.stress_scenarios.scripted_rig import a_feeder, a_scripted_order, code_operation, operation

HANG_S = 10.0


def play(order: LoadOrder, engine: FakeScriptedEngine, starts: FakeStarts, *, sessions: int = 1) -> bool:
    """Let the first connection play sessions; whether the load's end stopped it."""

    async def run() -> bool:
        program = programs_for(order, engine)(0)
        try:
            for _ in range(sessions):
                await program.run_session(starts)
        except LoadOver:
            return True
        return False

    over = asyncio.run(asyncio.wait_for(run(), HANG_S))
    assert engine.connections.open == 0, "the session left its connection open"
    assert starts.in_flight == 0
    return over


def names(order: LoadOrder, starts: FakeStarts) -> list[str]:
    """What began, in its order."""
    return [order.operations[index].name for index in starts.began]


def three_stages(*, per_session: int = 3) -> LoadOrder:
    """One operation before, two in the mix, one after."""
    return a_scripted_order(
        operation("in", stage=Stage.SETUP),
        operation("a", weight=2.0),
        operation("b", weight=1.0),
        operation("out", stage=Stage.TEARDOWN),
        per_session=per_session,
    )


def test_a_session_is_setup_then_mix_then_teardown() -> None:
    """The mix by weight; the next session goes on where this one left the mix, so that it is exact over sessions."""
    order, starts = three_stages(per_session=2), FakeStarts()
    engine = FakeScriptedEngine()
    assert not play(order, engine, starts, sessions=3)
    began = names(order, starts)
    assert [began[at : at + 4][0] for at in (0, 4, 8)] == ["in"] * 3
    assert [began[at : at + 4][3] for at in (0, 4, 8)] == ["out"] * 3
    assert Counter(began) == {"in": 3, "a": 4, "b": 2, "out": 3}
    assert engine.connections.opened == 3
    assert engine.performed_operations == starts.began, "what never changes is left to the engine"


def test_setup_comes_in_the_plans_order_and_a_failure_in_it_ends_the_session() -> None:
    """Neither the rest of the setup nor mix nor teardown; the next session begins from the start."""
    order = a_scripted_order(
        operation("first", stage=Stage.SETUP),
        operation("second", stage=Stage.SETUP, checks=(JsonPresent(path="$"),)),
        operation("third", stage=Stage.SETUP),
        operation("mix"),
        operation("out", stage=Stage.TEARDOWN),
    )
    starts = FakeStarts()
    play(order, FakeScriptedEngine(lambda _: an_answer("no json")), starts, sessions=2)
    assert names(order, starts) == ["first", "second"] * 2
    assert [failure[0] for failure in starts.failures] == [1, 1]


def test_a_failed_operation_of_the_mix_does_not_end_the_session() -> None:
    """As without a script: the session goes on, over a new connection if need be."""
    order = a_scripted_order(operation("a", "/${number}"), operation("out", stage=Stage.TEARDOWN), per_session=3)
    starts = FakeStarts()
    play(order, FakeScriptedEngine(lambda _: no_answer()), starts)
    assert names(order, starts) == ["a", "a", "a", "out"]
    assert starts.failures == [(0, ErrorClass.RESET, "reset by the fake")] * 3


def test_the_loads_end_ends_a_session_without_teardown() -> None:
    """Nothing may be started any more; the connection is closed."""
    order, starts = three_stages(), FakeStarts(starts=2)
    assert play(order, FakeScriptedEngine(), starts)
    assert names(order, starts) == ["in", "a"]


def test_variables_go_from_an_answer_into_the_next_request() -> None:
    """Path, header and body; and the session's own are there from its beginning."""
    order = a_scripted_order(
        operation("in", stage=Stage.SETUP, extract=(Extraction(variable="id", source=Source.JSON, expression="$.id"),)),
        operation(
            "use",
            "/items/${id}?shop=${shop}",
            method="post",
            headers={"X-Id": "no. ${id}"},
            json='{"id": "${id}", "n": ${number}, "c": ${connection}, "r": ${request_id}}',
        ),
        variables={"shop": "ü"},
        connection_offset=3,
        per_session=1,
    )
    starts = FakeStarts()
    engine = FakeScriptedEngine(lambda _: an_answer('{"id": "a/\\"b"}'))
    play(order, engine, starts)
    request = engine.asked[1]
    assert request.url.endswith("/items/a%2F%22b?shop=%C3%BC")
    assert request.method == "POST"
    assert dict(request.headers) == {"X-Id": 'no. a/"b', "Content-Type": "application/json"}
    assert request.body == b'{"id": "a/\\"b", "n": 2, "c": 3, "r": 3000000002}'
    assert [judgement for _, judgement, _ in starts.ended_as] == [Passed()] * 2


def test_variables_of_one_session_are_unknown_to_the_next() -> None:
    """A virtual user begins anew; request numbers go on, so that none comes twice."""
    order = a_scripted_order(
        operation("take", "/${request_id}", extract=(Extraction(variable="x", source=Source.REGEX, expression="x"),)),
        operation("use", "/${x}", weight=1.0),
        per_session=1,
    )
    starts = FakeStarts()
    engine = FakeScriptedEngine(lambda _: an_answer("x"))
    play(order, engine, starts, sessions=4)
    assert starts.failures == [(1, ErrorClass.SCENARIO, "the variable x has no value")] * 2
    assert [request.url.rpartition("/")[2] for request in engine.asked] == ["1", "3"]


def test_what_cannot_be_filled_is_counted_and_not_sent() -> None:
    """One start, one failure, nothing to the target."""
    order = a_scripted_order(
        operation("path", "/${a}", stage=Stage.MIX),
        operation("header", headers={"X": "${b}"}),
        operation("link", "${c}"),
        operation("body", method="POST", json="${a}"),
        variables={"b": "x\r\nY: z", "c": "http://elsewhere/"},
        per_session=4,
    )
    starts, engine = FakeStarts(), FakeScriptedEngine()
    play(order, engine, starts)
    assert not engine.asked
    assert not engine.performed_operations
    messages = {operation: message for operation, error, message in starts.failures if error is ErrorClass.SCENARIO}
    assert messages[0] == messages[3] == "the variable a has no value"
    assert "b does not fit: it has a line break" in messages[1]
    assert "${c} is no path of the target" in messages[2]
    assert len(messages) == 4
    assert all(received == 0 for _, _, received in starts.ended_as)
    assert starts.thought == [], "a pace says when the next one is due"


def test_an_unpaced_load_that_cannot_be_sent_does_not_spin() -> None:
    """A short pause after each, so that failures are thousands and not millions."""
    order = a_scripted_order(operation("path", "/${a}"), per_session=3, pace=Unpaced())
    starts = FakeStarts()
    play(order, FakeScriptedEngine(), starts)
    assert starts.thought == [UNSENT_PAUSE_S] * 3


def test_a_whole_link_of_the_target_is_followed() -> None:
    """With or without the target's name in front."""
    order = a_scripted_order(operation("a", "${link}"), variables={"link": "/a?b=c"}, per_session=1)
    whole = a_scripted_order(operation("a", "${link}"), variables={"link": "http://127.0.0.1:9/x"}, per_session=1)
    engine = FakeScriptedEngine()
    for each in (order, whole):
        play(each, engine, FakeStarts())
    assert [request.url for request in engine.asked] == ["http://127.0.0.1:9/a?b=c", "http://127.0.0.1:9/x"]


def test_a_session_has_one_row_of_each_feeder(tmp_path: Path) -> None:
    """The same for all its operations; the next session has the next one."""
    order = a_scripted_order(
        operation("a", "/${users.name}/${pets.name}"),
        feeders=(
            a_feeder(tmp_path / "users.csv", "name\nann\nbo\n"),
            a_feeder(tmp_path / "pets.csv", "name\nx\ny\nz\n", name="pets"),
        ),
        per_session=2,
    )
    engine = FakeScriptedEngine()
    play(order, engine, FakeStarts(), sessions=3)
    paths = [request.url.partition("9/")[2] for request in engine.asked]
    assert paths == ["ann/x", "ann/x", "bo/y", "bo/y", "ann/z", "ann/z"]


def test_a_dry_feeder_fails_the_first_operation_of_every_further_session(tmp_path: Path) -> None:
    """It is counted once a session, at the load's pace, and nothing is sent."""
    order = a_scripted_order(
        operation("in", "/${users.name}", stage=Stage.SETUP),
        operation("mix"),
        feeders=(a_feeder(tmp_path / "users.csv", "name\nann\n", order=FeederOrder.UNIQUE),),
        per_session=1,
    )
    starts, engine = FakeStarts(), FakeScriptedEngine()
    play(order, engine, starts, sessions=3)
    assert names(order, starts) == ["in", "mix", "in", "in"]
    assert starts.failures == [(0, ErrorClass.SCENARIO, "feeder users is dry after 1 rows")] * 2
    assert len(engine.asked) == 1


def test_a_session_that_never_starts_takes_no_row(tmp_path: Path) -> None:
    """Rows are for sessions that begin."""
    feeder = a_feeder(tmp_path / "users.csv", "name\nann\n", order=FeederOrder.UNIQUE)
    order = a_scripted_order(operation("a", "/${users.name}"), feeders=(feeder,), per_session=1)

    async def run() -> FakeStarts:
        programs = programs_for(order, FakeScriptedEngine())
        with pytest.raises(LoadOver):
            await programs(0).run_session(FakeStarts(starts=0))
        starts = FakeStarts()
        await programs(1).run_session(starts)
        return starts

    assert asyncio.run(run()).failures == []


def test_think_times_follow_their_operations() -> None:
    """Drawn between both ends from the session's seeded chance; operations without one are followed at once."""
    think = ThinkTime(seconds_min=1.0, seconds_max=2.0)
    order = a_scripted_order(operation("a", think=think), operation("b"), per_session=4, seed=3)
    starts, again = FakeStarts(), FakeStarts()
    play(order, FakeScriptedEngine(), starts)
    play(order, FakeScriptedEngine(), again)
    assert len(starts.thought) == 2
    assert all(1.0 <= seconds <= 2.0 for seconds in starts.thought)
    assert starts.thought == again.thought


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (an_answer("x", status=500), (0, ErrorClass.STATUS, "status 500, expected 200")),
        (an_answer("x"), (0, ErrorClass.CHECK, 'the answer does not contain "welcome"')),
        (an_answer("welcome"), (0, ErrorClass.CHECK, 'the answer does not match "[0-9]"')),
        (an_answer("welcome 1"), (0, ErrorClass.CHECK, "token: there is nothing to extract (header X-Token)")),
        (no_answer(ErrorClass.TIMEOUT), (0, ErrorClass.TIMEOUT, "timeout by the fake")),
    ],
)
def test_an_answer_is_judged_by_status_then_texts_then_checks_then_extractions(
    answer: Answer | Exchange, expected: tuple[int, ErrorClass, str]
) -> None:
    """The first thing that is wrong names the failure."""
    order = a_scripted_order(
        operation(
            "a",
            contains=("welcome",),
            checks=(RegexCheck(pattern="[0-9]"),),
            extract=(Extraction(variable="token", source=Source.HEADER, expression="X-Token"),),
        ),
        per_session=1,
    )
    starts = FakeStarts()
    play(order, FakeScriptedEngine(lambda _: answer), starts)
    assert starts.failures == [expected]


@pytest.mark.parametrize(("limit_s", "fails"), [(0.3, False), (0.25, False), (0.2, True)])
def test_a_latency_check_looks_at_the_time_that_is_recorded(limit_s: float, *, fails: bool) -> None:
    """Also of an operation that the engine performs by itself; a failure of the engine's stays what it is."""
    order = a_scripted_order(
        operation("a", checks=(LatencyCheck(service_s_max=limit_s),)),
        operation("b", "/${number}", checks=(LatencyCheck(service_s_max=limit_s),)),
    )
    starts, engine = FakeStarts(service_s=0.25), FakeScriptedEngine()
    play(order, engine, starts)
    assert engine.performed_operations == [0]
    assert len(starts.failures) == (2 if fails else 0)
    broken = FakeStarts(service_s=0.25)
    play(order, FakeScriptedEngine(performed=Failed(error=ErrorClass.RESET, message="gone")), broken)
    assert (0, ErrorClass.RESET, "gone") in broken.failures


def test_redirects_are_followed_as_often_as_the_operation_says() -> None:
    """The engine is told."""
    order = a_scripted_order(operation("a", redirects_max=3), operation("b", "/${number}"))
    engine = FakeScriptedEngine()
    play(order, engine, FakeStarts())
    assert sorted(engine.redirects_max) == [0, 3]


def test_headers_of_the_target_come_first_and_the_operations_win() -> None:
    """Whatever their case; a literal placeholder is unescaped."""
    order = a_scripted_order(operation("a", headers={"x-a": "$${mine}"}), per_session=1)
    headers = (HeaderField(name="X-A", value="target"), HeaderField(name="X-B", value="${kept}"))
    target = replace(order.target, url="http://h:1/base/", headers=headers)
    engine = FakeScriptedEngine()
    play(replace(order, target=target), engine, FakeStarts())
    (request,) = engine.asked
    assert dict(request.headers) == {"x-a": "${mine}", "X-B": "${kept}"}
    assert request.url == "http://h:1/base/"


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [("application/x-www-form-urlencoded", b"a=x%26y%20z"), ("text/plain", b"a=x&y z")],
)
def test_a_body_is_written_as_its_type_asks(content_type: str, expected: bytes) -> None:
    """Forms are encoded, plain text is not."""
    body = TextBody(content="a=${v}", content_type=content_type)
    order = a_scripted_order(operation("a", method="POST", body=body), variables={"v": "x&y z"}, per_session=1)
    engine = FakeScriptedEngine()
    play(order, engine, FakeStarts())
    assert engine.asked[0].body == expected
    assert dict(engine.asked[0].headers) == {"Content-Type": content_type}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"path": "/${"}, "operation a: .*closing brace"),
        ({"checks": (RegexCheck(pattern="("),)}, "operation a: .*does not compile"),
        ({"checks": (JsonPresent(path="x"),)}, "operation a: .*begins with"),
        ({"expected": (), "path": "/${number}"}, "operation a: no status"),
        ({"headers": {"X": "${no such}"}}, "operation a: .*is no variable"),
        ({"stage": Stage.CODE}, "performed by code"),
    ],
)
def test_a_script_that_makes_no_sense_is_refused_before_the_load(fields: Mapping[str, object], complaint: str) -> None:
    """The message names the operation."""
    spec = operation("a", **fields)  # type: ignore[arg-type]
    with pytest.raises(ScenarioError, match=complaint):
        play(a_scripted_order(spec), FakeScriptedEngine(), FakeStarts())


def test_engines_prepare_only_what_they_will_perform() -> None:
    """Placeholders never reach an engine; numbers of operations stay as they are."""
    order = a_scripted_order(
        operation("fixed", "/fixed"),
        operation("filled", "/${x}", headers={"X": "${y}"}, timeout_s=7.0),
        code_operation("code"),
    )
    requests: tuple[ReadyRequest, ...] = ready_requests(order)
    assert [request.url.partition(":9")[2] for request in requests] == ["/fixed", "/", "/"]
    assert requests[1].headers == ()
    assert requests[1].timeout_s == 7.0


def test_placeholders_alone_make_an_order_scripted() -> None:
    """In a path, a header or a body; else a plain order stays plain and goes at full speed."""
    assert not a_scripted_order(operation("a", "/$x{}")).scripted
    assert a_scripted_order(operation("a", "/${number}")).scripted
    assert a_scripted_order(operation("a", headers={"X": "$${x}"})).scripted
    assert a_scripted_order(operation("a", json="${uuid}")).scripted
    assert not a_scripted_order(operation("a", body=NoBody())).scripted
