"""WebSockets against real servers on both event loops: every fault has its class, and every message is counted."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from stress_scenarios.engines.engine import EngineError
from stress_scenarios.engines.websocket_session import CHANNELS_MAX, WebSocketReply, WebSocketSession
from stress_scenarios.load_plan import ErrorClass, HeaderField
from stress_scenarios.scenario import Failed
from tests.stress_scenarios.orders import target_at
from tests.stress_scenarios.rude_servers import hang, serving
from tests.stress_scenarios.websocket_echo import BIG_BYTES, DROP_AFTER, LATE_S, Seen, echoing
from tests.stress_scenarios.websocket_rig import BY_ID, NEXT_ONE, User, errors, user_at
from tests.stress_scenarios.wire_rig import LOOPS, Run, in_loop

Outcomes = list[WebSocketReply | Failed]
SHORT_S = 0.1
OTHERS = ErrorClass.UNMATCHED


def facing(
    path: str, times: int, **options: Any
) -> Callable[[Run[tuple[Outcomes, User, Seen]]], tuple[Outcomes, User, Seen]]:
    """Some operations in one session towards a path of the echo server; what it saw is read after the goodbye."""
    bytes_max = options.pop("response_bytes_max", 1 << 20)

    async def work() -> tuple[Outcomes, User, Seen]:
        async with echoing() as (port, seen):
            async with user_at(port, response_bytes_max=bytes_max) as user:
                outcomes = await user.ask_often(times, path, **options)
            return outcomes, user, seen

    return lambda run: run(work())


def counted_alike(user: User, seen: Seen) -> bool:
    """Whether both sides counted the same messages."""
    return (user.counts.messages_sent, user.counts.messages_received) == (seen.received, seen.sent)


@LOOPS
@pytest.mark.parametrize("path", ["/echo", "/pushing", "/numbers", "/fragments", "/binary", "/pinging"])
def test_replies_are_matched_and_both_sides_count_alike(run: Run[Any], path: str) -> None:
    """Whatever else the server says, and however it cuts it: one connection, and equal counts."""
    outcomes, user, seen = facing(path, 20)(run)
    assert errors(outcomes) == ["ok"] * 20
    assert counted_alike(user, seen)
    assert (user.counts.messages_sent, user.counts.opened, user.counts.reconnects) == (20, 1, 0)
    assert (seen.connections, seen.agents) == (1, ["daybreak"])


@LOOPS
def test_a_session_ends_with_a_goodbye(run: Run[Any]) -> None:
    """The server sees a normal end, and that after all messages."""
    _, _, seen = facing("/pushing", 3)(run)
    assert (seen.closes, seen.open) == ([1000], 0)


@LOOPS
def test_without_ids_the_next_message_is_the_reply(run: Run[Any]) -> None:
    """For servers that echo, or answer in order."""
    outcomes, user, seen = facing("/echo", 5, kind=NEXT_ONE)(run)
    assert [outcome.body for outcome in outcomes if isinstance(outcome, WebSocketReply)] == [b"hello"] * 5
    assert counted_alike(user, seen)


@LOOPS
def test_what_utf_8_cannot_say_is_sent_as_a_question_mark(run: Run[Any]) -> None:
    """Half of a surrogate pair, as a value of an answer may hold it, ends nothing."""
    outcomes, _, _ = facing("/echo", 2, kind=replace(NEXT_ONE, message="a\ud800b"))(run)
    assert [outcome.body for outcome in outcomes if isinstance(outcome, WebSocketReply)] == [b"a?b"] * 2


@LOOPS
def test_a_mute_server_fails_every_operation(run: Run[Any]) -> None:
    """NO_REPLY each time; the connection is kept, because with ids a late reply would be known."""
    outcomes, user, seen = facing("/mute", 3, timeout_s=SHORT_S)(run)
    assert errors(outcomes) == [ErrorClass.NO_REPLY] * 3
    assert (user.counts.opened, seen.received, user.counts.messages_sent) == (1, 3, 3)


@LOOPS
def test_a_mute_server_without_ids_gets_a_new_connection_each_time(run: Run[Any]) -> None:
    """Nobody could tell a late reply from the next one."""
    outcomes, user, seen = facing("/mute", 3, timeout_s=SHORT_S, kind=NEXT_ONE)(run)
    assert errors(outcomes) == [ErrorClass.NO_REPLY] * 3
    assert (user.counts.opened, user.counts.reconnects, seen.connections) == (3, 2, 3)


@LOOPS
def test_replies_to_others_fail_each_operation_at_once(run: Run[Any]) -> None:
    """Long before the timeout."""
    outcomes, user, seen = facing("/wrong", 5, timeout_s=60.0)(run)
    assert errors(outcomes) == [OTHERS] * 5
    assert counted_alike(user, seen)


@LOOPS
def test_a_second_reply_to_each_request_fails_operations(run: Run[Any]) -> None:
    """Each too many costs one operation: the one that it arrives with or the next, so the last may go free."""
    outcomes, user, seen = facing("/twice", 6)(run)
    assert errors(outcomes).count(OTHERS) in (5, 6)
    assert counted_alike(user, seen)


@LOOPS
def test_a_late_reply_is_counted_and_harms_nobody(run: Run[Any]) -> None:
    """The request that it belongs to has failed already; the next one gets its own reply on the same connection."""

    async def work() -> tuple[Outcomes, User, Seen]:
        async with echoing() as (port, seen):
            async with user_at(port) as user:
                outcomes = [await user.ask("/late-once", timeout_s=LATE_S / 3)]
                await asyncio.sleep(LATE_S)
                outcomes += await user.ask_often(2, "/late-once")
            return outcomes, user, seen

    outcomes, user, seen = run(work())
    assert errors(outcomes) == [ErrorClass.NO_REPLY, "ok", "ok"]
    assert (user.counts.messages_received, seen.sent, user.counts.opened) == (3, 3, 1)


@LOOPS
def test_a_dropped_connection_fails_one_operation_and_is_opened_again(run: Run[Any]) -> None:
    """RESET, and a reconnect for the next operation."""
    outcomes, user, seen = facing("/drop", DROP_AFTER + 2)(run)
    assert errors(outcomes) == ["ok"] * DROP_AFTER + [ErrorClass.RESET, "ok"]
    assert (user.counts.reconnects, user.counts.opened, seen.connections) == (1, 2, 2)
    assert counted_alike(user, seen)


@LOOPS
def test_a_close_with_an_error_code_is_told(run: Run[Any]) -> None:
    """The code stays in the message, numbers of the reason do not: it has to group."""
    outcomes, user, _ = facing("/fail", DROP_AFTER + 2)(run)
    message = "the peer closed the WebSocket with code 1011: disk # is full"
    assert outcomes[DROP_AFTER] == Failed(error=ErrorClass.RESET, message=message)
    assert errors(outcomes[DROP_AFTER + 1 :]) == ["ok"]
    assert user.counts.reconnects == 1


@LOOPS
def test_a_close_between_operations_fails_none(run: Run[Any]) -> None:
    """As with HTTP: who closes what is idle is opened again, which is counted."""

    async def work() -> tuple[Outcomes, User]:
        async with echoing() as (port, _):
            outcomes = []
            async with user_at(port) as user:
                for _ in range(3):
                    outcomes.append(await user.ask("/idle"))
                    await asyncio.sleep(0.05)
            return outcomes, user

    outcomes, user = run(work())
    assert errors(outcomes) == ["ok"] * 3
    assert (user.counts.opened, user.counts.reconnects, user.counts.peak) == (3, 2, 1)


@LOOPS
@pytest.mark.parametrize(("spare", "error"), [(-1, ErrorClass.TOO_LARGE), (0, "ok"), (1, "ok")])
def test_a_message_may_have_so_many_bytes_and_no_more(run: Run[Any], spare: int, error: ErrorClass | str) -> None:
    """Below the limit, at it, and above."""
    length = BIG_BYTES + len('{"id": "1", "ok": true, "padding": ""}')
    outcomes, _, _ = facing("/big", 1, response_bytes_max=length + spare)(run)
    assert errors(outcomes) == [error]


@LOOPS
def test_binary_messages_that_are_no_text_are_a_protocol_error(run: Run[Any]) -> None:
    """They are counted, and the connection goes on."""
    outcomes, user, seen = facing("/not-text", 2)(run)
    assert errors(outcomes) == [ErrorClass.PROTOCOL] * 2
    assert counted_alike(user, seen)
    assert user.counts.opened == 1


def test_a_server_that_does_not_read_is_not_sent_ever_more() -> None:
    """Once its buffers are full, operations fail without adding to ours; close does not wait for it."""
    heavy = replace(BY_ID, message='{"id": "${request_id}", "padding": "%s"}' % ("x" * 6_000_000))

    async def work() -> tuple[Outcomes, User]:
        async with echoing() as (port, _), user_at(port) as user:
            return await user.ask_often(4, "/deaf", kind=heavy, timeout_s=SHORT_S), user

    outcomes, user = in_loop(uvloop.new_event_loop)(work())
    assert errors(outcomes) == [ErrorClass.NO_REPLY] * 4
    assert 1 <= user.counts.messages_sent < 4
    assert "does not read" in str(outcomes[-1])


@LOOPS
def test_refusals_and_redirects_of_the_handshake_are_told_and_not_followed(run: Run[Any]) -> None:
    """A redirect is counted; the path that it names is not asked."""

    async def work() -> tuple[Outcomes, User, Seen]:
        async with echoing() as (port, seen), user_at(port) as user:
            return [await user.ask("/nowhere"), await user.ask("/moved")], user, seen

    outcomes, user, seen = run(work())
    assert [str(outcome) for outcome in outcomes if "status 404" in str(outcome)] != []
    assert errors(outcomes) == [ErrorClass.STATUS] * 2
    assert (user.counts.redirects, user.counts.reconnects, seen.asked) == (1, 0, ["/nowhere", "/moved"])


@LOOPS
def test_nobody_there_is_refused(run: Run[Any]) -> None:
    """The same word as for HTTP."""

    async def work() -> Outcomes:
        async with user_at(1) as user:
            return await user.ask_often(2)

    assert errors(run(work())) == [ErrorClass.REFUSED] * 2


@LOOPS
def test_the_handshake_carries_path_host_headers_and_subprotocol(run: Run[Any]) -> None:
    """Of target and operation, the operation's last; a name stays in Host, although a number is called."""

    async def work() -> Seen:
        async with echoing(subprotocols=["chat"]) as (port, seen):
            target = replace(
                target_at(port, host="shop.test"),
                headers=(HeaderField(name="X-Team", value="target"), HeaderField(name="User-Agent", value="night")),
            )
            user = User(target)
            kind = replace(BY_ID, subprotocols=("other", "chat"))
            outcome = await user.ask("/echo?room=grün&x=1", kind=kind, headers=(("x-team", "operation"),))
            assert errors([outcome]) == ["ok"]
            await user.session.close()
            assert seen.headers["Host"] == f"shop.test:{port}"
            return seen

    seen = run(work())
    assert seen.asked == ["/echo?room=gr%C3%BCn&x=1"]
    assert (seen.headers["x-team"], seen.headers["User-Agent"]) == ("operation", "night")
    assert "Sec-WebSocket-Extensions" not in seen.headers


@LOOPS
def test_a_server_that_takes_none_of_the_subprotocols_fails(run: Run[Any]) -> None:
    """What was asked for is not what is spoken."""
    outcomes, _, _ = facing("/echo", 1, kind=replace(BY_ID, subprotocols=("chat",)))(run)
    assert errors(outcomes) == [ErrorClass.PROTOCOL]


@LOOPS
@pytest.mark.parametrize(
    ("headers", "subprotocols"),
    [
        ((("X-A", "line\r\nX-B: break"),), ()),
        ((("Sec-WebSocket-Key", "mine"),), ()),
        ((("X A", "space"),), ()),
        ((("X-A", "\N{SNOWMAN}"),), ()),
        ((), ("two words",)),
    ],
)
def test_what_no_handshake_may_hold_is_not_sent(
    run: Run[Any], headers: tuple[tuple[str, str], ...], subprotocols: tuple[str, ...]
) -> None:
    """Our own fault, named so, and no value is told."""

    async def work() -> tuple[WebSocketReply | Failed, Seen]:
        async with echoing() as (port, seen), user_at(port) as user:
            return await user.ask(kind=replace(BY_ID, subprotocols=subprotocols), headers=headers), seen

    outcome, seen = run(work())
    assert errors([outcome]) == [ErrorClass.CLIENT]
    assert seen.connections == 0
    assert not any(value in str(outcome) for _, value in headers)


@LOOPS
def test_operations_of_different_paths_have_connections_of_their_own(run: Run[Any]) -> None:
    """Those of the same path share one."""

    async def work() -> tuple[User, Seen]:
        async with echoing() as (port, seen):
            async with user_at(port) as user:
                for path in ("/echo", "/numbers", "/echo", "/numbers"):
                    assert errors([await user.ask(path)]) == ["ok"]
                assert user.counts.open == 2
            return user, seen

    user, seen = run(work())
    assert (user.counts.opened, user.counts.reconnects, seen.connections) == (2, 0, 2)


def test_only_so_many_connections_are_kept_for_a_path_that_varies() -> None:
    """The one used longest ago is left, with a goodbye, and all its messages are counted."""

    async def work() -> tuple[User, Seen]:
        async with echoing() as (port, seen):
            async with user_at(port) as user:
                for number in range(CHANNELS_MAX + 2):
                    assert errors([await user.ask(f"/echo?{number}")]) == ["ok"]
                    assert user.counts.open <= CHANNELS_MAX
                assert errors([await user.ask(f"/echo?{CHANNELS_MAX}")]) == ["ok"]
            assert user.counts.opened == CHANNELS_MAX + 2
            return user, seen

    user, seen = asyncio.run(work())
    assert counted_alike(user, seen)


@LOOPS
def test_a_cancelled_operation_leaves_nothing_behind(run: Run[Any]) -> None:
    """In the middle of waiting, and in the middle of connecting."""

    async def work() -> User:
        async with serving(hang) as hanging, echoing() as (port, _):
            for at, path in ((port, "/mute"), (hanging, "/")):
                async with user_at(at) as user:
                    task = asyncio.ensure_future(user.ask(path, timeout_s=60.0))
                    await asyncio.sleep(0.1)
                    assert user.counts.open == 1
                    task.cancel()
                    assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
            return user

    assert run(work()).counts.open == 0


@LOOPS
def test_bytes_are_told_with_the_reply_that_they_came_with_or_before(run: Run[Any]) -> None:
    """Handshakes, pushes and failed operations included: the sum is all that was read."""

    async def work() -> tuple[list[int], int]:
        async with echoing() as (port, _), user_at(port) as user:
            replies = [await user.ask(path, timeout_s=SHORT_S) for path in ("/echo", "/mute", "/echo")]
            told = [reply.bytes_received for reply in replies if isinstance(reply, WebSocketReply)]
            return told, len('{"id": "3", "ok": true}') + 2

    told, reply_bytes = run(work())
    assert len(told) == 2
    assert told[1] > reply_bytes + len("HTTP/1.1 101")  # the mute one's handshake came in between


def test_messages_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Not even at the most talkative level: headers and messages may hold secrets."""
    caplog.set_level(0)

    async def work() -> None:
        async with echoing() as (port, _), user_at(port) as user:
            await user.ask(headers=(("Authorization", "Bearer hunter2hunter2"),))

    asyncio.run(work())
    assert not [record for record in caplog.records if record.name.startswith("daybreak")]


def test_a_url_that_is_none_is_refused_at_once() -> None:
    """As by the wire engine."""
    target = replace(target_at(9), url="ftp://127.0.0.1")
    with pytest.raises(EngineError, match="not an HTTP URL"):
        User(target)


def test_a_session_that_was_never_used_closes() -> None:
    """There is nothing to say goodbye to."""

    async def work() -> None:
        async with user_at(9) as user:
            assert isinstance(user.session, WebSocketSession)

    asyncio.run(work())
