"""Reads answers from the bytes of one connection, one after another, on httptools' parser.

The parser finds heads, lengths and chunks; here is what it leaves open: answers to HEAD, interim answers, answers that
end with the connection, limits, compressed bodies, and bytes after the end. Runs in worker processes.
"""

import re
from enum import Enum

import httptools

from stress_scenarios.engines.answer_body import SURPLUS, too_large, unpacked
from stress_scenarios.engines.system_failures import CLOSED_UNDER_US
from stress_scenarios.engines.wire_request import NO_REQUEST, WireRequest
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import Failed, failure

HEAD_BYTES_MAX = 100 * 1024
"""Status line and headers, interim answers included; the limit of the httpx engine."""

_SWITCHING_PROTOCOLS = 101
_FIRST_FINAL_STATUS = 200
_WITHOUT_BODY = frozenset({204, 304})
_HEAD_END = b"\r\n\r\n"
_BLANK = " \t\r\n\v\f"
_INTERIM = re.compile(rb"\S+ 1")


class Progress(Enum):
    """Where an answer stands after some bytes."""

    MORE = "more"
    COMPLETE = "complete"
    BROKEN = "broken"


class AnswerReader:
    """One answer at a time: begin, then feed until it is COMPLETE or BROKEN; after BROKEN the reader is used up.

    Once COMPLETE: status, keep_alive, plain (nothing in the head needs more than counting), body and decoded_body (only
    if the request keeps it), cookies (Set-Cookie values), redirects. Once BROKEN: failure.
    """

    __slots__ = (
        "_body_bytes",
        "_complete",
        "_fields",
        "_head",
        "_head_done",
        "_interim",
        "_kept",
        "_limit",
        "_parser",
        "_request",
        "_surplus",
        "failure",
        "keep_alive",
        "status",
    )

    def __init__(self, *, response_bytes_max: int) -> None:
        self._limit = response_bytes_max
        self._parser = httptools.HttpResponseParser(self)
        self._surplus = False
        self._kept = bytearray()  # a list of pieces would take twenty times a body that comes in chunks of two bytes
        self.failure = CLOSED_UNDER_US
        self.begin(NO_REQUEST)

    def begin(self, request: WireRequest) -> None:
        """Expect the answer to this request."""
        self._request = request
        self._complete = self._head_done = self._interim = self.keep_alive = False
        self._body_bytes = self.status = 0
        self._head = b""
        self._fields: tuple[tuple[str, str], ...] | None = None
        if self._kept:
            self._kept = bytearray()

    def feed(self, data: bytes) -> Progress:
        """Take bytes from the connection."""
        if not self._head_done:
            self._head = self._head + data if self._head else data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._complete = True
            self.keep_alive = False
            return Progress.COMPLETE
        except httptools.HttpParserError as error:
            if isinstance(error, httptools.HttpParserCallbackError) and error.__context__ is not None:
                raise error.__context__ from error  # our own bug, not the peer's
            return self._break(SURPLUS if self._complete else _not_http(error))
        if self._body_bytes > self._limit:
            return self._break(too_large(self._limit))
        if self._complete:
            return self._break(SURPLUS) if self._surplus else Progress.COMPLETE
        if not self._head_done:
            if len(self._head) > HEAD_BYTES_MAX:
                return self._break(Failed(error=ErrorClass.PROTOCOL, message="the head of the answer has no end"))
        elif self._length > self._limit:
            return self._break(too_large(self._limit))
        return Progress.MORE

    def finish(self) -> Progress:
        """The peer closed the connection: the proper end of an answer without a length, too early for any other."""
        if self._head_done and not self._chunked and self._length < 0 and self.status not in _WITHOUT_BODY:
            self.keep_alive = False
            return Progress.COMPLETE
        return self._break(CLOSED_UNDER_US)

    @property
    def plain(self) -> bool:
        """Whether the answer needs no more than counting: the connection stays, nothing is set, nothing points elsewhere."""
        if not self.keep_alive or self._interim:
            return False
        head = self._head
        head = head[: head.find(_HEAD_END)].lower()
        if not head.startswith(b"http/"):
            return False
        return not (b"\r\nset-cookie:" in head or b"\r\nlocation:" in head or b"\r\ncontent-encoding:" in head)

    @property
    def decided_by_head(self) -> bool:
        """Whether the head alone decides where the answer ends and whether it is the expected one."""
        return not self._chunked and not self._request.keeps_body

    @property
    def cookies(self) -> list[str]:
        """What the answer sets."""
        return self._values("set-cookie")

    @property
    def redirects(self) -> bool:
        """Whether the answer points elsewhere."""
        return 300 <= self.status < 400 and bool(self._values("location"))

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Of the answer itself, in their order, names in lower case."""
        fields = self._fields
        if fields is None:
            lines = self._last_head().decode("latin-1").split("\r\n")
            fields = self._fields = tuple(
                (name.lower(), value.strip(_BLANK)) for name, _, value in (line.partition(":") for line in lines[1:])
            )
        return fields

    @property
    def body(self) -> bytes:
        """What was kept of the body, still compressed if the peer compressed it."""
        return bytes(self._kept)

    def decoded_body(self) -> bytes | Failed:
        """The body as its author wrote it; unknown compressions stay as they are."""
        return unpacked(self.body, encodings=self._values("content-encoding"), bytes_max=self._limit)

    # Called by the parser. It would also call for every header; looking for the few that matter afterwards is faster. --

    def on_message_begin(self) -> None:
        """A status line begins."""
        if self._complete:
            self._surplus = True

    def on_headers_complete(self) -> None:
        """The head is over."""
        if self._complete:
            return
        self.status = status = self._parser.get_status_code()
        if status < _FIRST_FINAL_STATUS and status != _SWITCHING_PROTOCOLS:
            self._interim = True
            return
        self._head_done = True
        if self._request.expects_head_only:
            # The parser waits for a body that never comes, so it cannot be used for another answer.
            self._complete = True
            said_close = any("close" in value.lower() for value in self._values("connection"))
            self.keep_alive = not said_close and self._parser.get_http_version() == "1.1"
            self._parser = httptools.HttpResponseParser(self)

    def on_body(self, piece: bytes) -> None:
        """Some of the body, without chunk marks."""
        if self._complete:
            self._surplus = True
            return
        self._body_bytes += len(piece)
        if self._request.keeps_body and self._body_bytes <= self._limit:
            self._kept += piece

    def on_message_complete(self) -> None:
        """An answer is over, perhaps an interim one."""
        if self._head_done and not self._complete:
            self._complete = True
            self.keep_alive = self._parser.should_keep_alive()

    # ----------------------------------------------------------------------------------------------------------------

    @property
    def _length(self) -> int:
        """What the head says about the length of the body; -1 when it says nothing. The parser has checked it."""
        values = self._values("content-length")
        return int(values[0]) if values else -1

    @property
    def _chunked(self) -> bool:
        return any(value.lower().endswith("chunked") for value in self._values("transfer-encoding")[-1:])

    def _values(self, name: str) -> list[str]:
        """All values of a header, by its name in small letters."""
        return [value for field, value in self.headers if field == name]

    def _last_head(self) -> bytes:
        """The head of the answer itself, after any interim ones."""
        head = self._head.lstrip(b"\r\n")  # the parser overlooks empty lines before an answer
        end = head.find(_HEAD_END)
        start = 0
        while self._interim and end >= 0 and _INTERIM.match(head, start):
            start = end + len(_HEAD_END)
            end = head.find(_HEAD_END, start)
        return head[start:end]

    def _break(self, failed: Failed) -> Progress:
        self.failure = failed
        return Progress.BROKEN


def _not_http(error: Exception) -> Failed:
    return failure(ErrorClass.PROTOCOL, f"the answer is not HTTP: {error}")
