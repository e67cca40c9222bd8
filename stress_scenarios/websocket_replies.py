"""Which message that comes over a WebSocket is the reply to which request.

A server may answer late, twice, or something that nobody asked for, and it may speak by itself. Told apart by the id
within a message, so that a reply is never taken for another's. Pure; worker processes use it.
"""

from collections.abc import Callable
from enum import Enum, auto

from baseline_metrics.codec import Json
from stress_scenarios.json_path import json_text

GIVEN_UP_MAX = 1024
"""Requests whose reply did not come in time, remembered to know a late one again; at ten a second, nearly two minutes."""


class Match(Enum):
    """What a message is to the conversation."""

    REPLY = auto()  # to the request that waits
    PUSH = auto()  # the server speaks by itself
    LATE = auto()  # a reply to a request that was given up
    UNMATCHED = auto()  # a reply to a request that nobody waits for


class NoId(Enum):
    """There is no id here."""

    NO_ID = auto()


NO_ID = NoId.NO_ID

FindId = Callable[[str], str | NoId]
"""Takes the id out of a message's text."""


class Conversation:
    """One WebSocket's requests, one at a time, and what comes back."""

    def __init__(self, find_id: FindId | NoId) -> None:
        self._find_id = find_id
        self._waiting: str | NoId = NO_ID
        self._given_up: dict[str, None] = {}

    @property
    def has_ids(self) -> bool:
        """Whether replies carry ids; without, whatever comes next is the reply."""
        return not isinstance(self._find_id, NoId)

    def ask(self, request_id: str) -> None:
        """A request is being sent."""
        assert self._waiting is NO_ID, "one request at a time"
        self._waiting = request_id
        self._given_up.pop(request_id, None)

    @property
    def is_waiting(self) -> bool:
        """Whether a request was sent whose reply did not come yet."""
        return not isinstance(self._waiting, NoId)

    def give_up(self) -> bool:
        """The request that waits has ended without its reply. False without one."""
        if isinstance(self._waiting, NoId):
            return False
        self._given_up[self._waiting] = None
        self._waiting = NO_ID
        if len(self._given_up) > GIVEN_UP_MAX:
            del self._given_up[next(iter(self._given_up))]
        return True

    def match(self, text: str) -> Match:
        """What this message is. After REPLY no request waits."""
        if isinstance(self._find_id, NoId):
            matched = Match.PUSH if self._waiting is NO_ID else Match.REPLY
        else:
            matched = self._by_id(self._find_id(text))
        if matched is Match.REPLY:
            self._waiting = NO_ID
        return matched

    def _by_id(self, found: str | NoId) -> Match:
        if isinstance(found, NoId):
            return Match.PUSH
        if found == self._waiting:
            return Match.REPLY
        if found in self._given_up:
            del self._given_up[found]  # a second late one is one too many
            return Match.LATE
        return Match.UNMATCHED


def id_text(value: Json) -> str | NoId:
    """An id as text: requests hold it as text, and replies may hold the number 5 as well as "5". null is no id."""
    return NO_ID if value is None else json_text(value)
