"""Which message is the reply to which request, without any socket."""

import pytest

from baseline_metrics.codec import Json
from stress_scenarios.websocket_replies import GIVEN_UP_MAX, NO_ID, Conversation, Match, NoId, id_text


def first_word(text: str) -> str | NoId:
    """The id of these tests' messages: their first word, "-" for none."""
    word = text.partition(" ")[0]
    return NO_ID if word == "-" else word


def with_ids() -> Conversation:
    """A conversation whose messages begin with their id."""
    return Conversation(first_word)


def test_only_the_message_with_the_requests_id_is_its_reply() -> None:
    """Pushes pass by, and the reply ends the waiting."""
    conversation = with_ids()
    conversation.ask("7")
    assert conversation.match("- news") is Match.PUSH
    assert conversation.is_waiting
    assert conversation.match("7 yes") is Match.REPLY
    assert not conversation.is_waiting


@pytest.mark.parametrize("asked", [True, False])
def test_an_id_that_nobody_waits_for_is_unmatched(*, asked: bool) -> None:
    """With a request out or without one; the request goes on waiting."""
    conversation = with_ids()
    if asked:
        conversation.ask("7")
    assert conversation.match("8 yes") is Match.UNMATCHED
    assert conversation.is_waiting is asked


def test_a_second_reply_is_unmatched() -> None:
    """A reply answers its request once."""
    conversation = with_ids()
    conversation.ask("7")
    assert [conversation.match("7 yes"), conversation.match("7 yes")] == [Match.REPLY, Match.UNMATCHED]


def test_a_late_reply_is_known_once() -> None:
    """It harms no later request; a second one is one too many."""
    conversation = with_ids()
    conversation.ask("7")
    assert conversation.give_up()
    conversation.ask("8")
    assert [conversation.match("7 late"), conversation.match("7 again")] == [Match.LATE, Match.UNMATCHED]
    assert conversation.match("8 yes") is Match.REPLY


def test_giving_up_without_a_request_changes_nothing() -> None:
    """There is nothing that a late reply could belong to."""
    conversation = with_ids()
    assert not conversation.give_up()
    assert conversation.match("7 yes") is Match.UNMATCHED


def test_an_id_used_again_is_waited_for_again() -> None:
    """The reply counts for the request that is out now, not as a late one for the earlier."""
    conversation = with_ids()
    conversation.ask("7")
    conversation.give_up()
    conversation.ask("7")
    assert conversation.match("7 yes") is Match.REPLY


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_given_up_requests_are_remembered_up_to_a_limit(extra: int) -> None:
    """Below and at the limit all late replies are known; beyond it the oldest is not."""
    conversation = with_ids()
    for number in range(GIVEN_UP_MAX + extra):
        conversation.ask(str(number))
        conversation.give_up()
    assert conversation.match("0 late") is (Match.UNMATCHED if extra > 0 else Match.LATE)
    assert conversation.match("1 late") is Match.LATE


def test_without_ids_the_next_message_is_the_reply() -> None:
    """And what comes while nobody waits is a push."""
    conversation = Conversation(NO_ID)
    assert not conversation.has_ids
    assert conversation.match("hello") is Match.PUSH
    conversation.ask("7")
    assert [conversation.match("8 yes"), conversation.match("more")] == [Match.REPLY, Match.PUSH]


@pytest.mark.parametrize(
    ("value", "text"),
    [("5", "5"), (5, "5"), (5.5, "5.5"), (True, "true"), ("", ""), ([1], "[1]"), ({"a": 1}, '{"a":1}'), (None, NO_ID)],
)
def test_ids_are_compared_as_text(value: Json, text: str | NoId) -> None:
    """Requests hold their id as text; a server may answer with the number. null is no id."""
    assert id_text(value) == text
