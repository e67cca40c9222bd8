"""Requests compiled once to the bytes that go over the wire.

A load sends the same few requests millions of times; nothing about them is decided twice. A compiled request also
remembers the last answer that met its expectations, so that the same bytes need not be taken apart and judged again:
they mean the same. Runs in worker processes.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from stress_scenarios.engines.engine import EngineError, Exchange
from stress_scenarios.scenario import Passed, ReadyRequest

USER_AGENT = "daybreak"

PASSED = Passed()

_DEFAULT_PORTS = {"http": 80, "https": 443}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_A_VALUE = re.compile(r"[\0\r\n]")
_NOT_IN_A_HOST = re.compile(r"[\x00-\x20\x7f/?#@\\]")
_UNQUOTED = "%/:=&?~+!$,;'@()*[]|"
"""Characters of a path or query that go as they were written; a percent sign means that it is quoted already."""

_METHODS_WITH_LENGTH = frozenset({"POST", "PUT", "PATCH"})
"""Whose missing body is stated as Content-Length: 0 (RFC 9110, 8.6)."""

LEARNING_EVERY_US = 10_000
"""Most servers repeat their head for the second that its Date says; where every answer differs, learning each is wasted."""

_NEVER_US = 1 << 62
_US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Scheme, name and port of a URL. host: for TLS, without brackets; authority: for the Host header."""

    secure: bool
    host: str
    authority: str


class WireRequest:
    """One operation as bytes. Its fields are read once per request, so it is no dataclass and has no properties.

    known_answer, known_length: an answer of known_length bytes that begins with known_answer is complete, leaves the
    connection usable and meets the expectations. -1 where no such answer was seen: no length equals it.
    learns_from_us: from when on another answer may take its place, CLOCK_MONOTONIC.
    """

    __slots__ = (
        "after_cookies",
        "before_cookies",
        "expects_head_only",
        "keeps_body",
        "known_answer",
        "known_exchange",
        "known_length",
        "learns_from_us",
        "payload",
        "ready",
        "timeout_us",
    )

    def __init__(self, ready: ReadyRequest, *, head: bytes, timeout_us: int) -> None:
        self.ready = ready
        self.before_cookies = head
        self.after_cookies = b"\r\n" + ready.body
        self.payload = self.before_cookies + self.after_cookies
        self.timeout_us = timeout_us
        self.expects_head_only = ready.method == "HEAD"
        self.keeps_body = bool(ready.body_contains) and not self.expects_head_only
        self.learns_from_us = 0
        self.known_length = -1
        self.known_answer = b""
        self.known_exchange = Exchange(judgement=PASSED, bytes_received=0)

    def remember(self, answer: bytes, *, decided_by_head: bool, at_us: int) -> None:
        """Know this whole answer again: by its head if the head decides length and judgement, else by all of it."""
        self.learns_from_us = at_us + LEARNING_EVERY_US
        self.known_answer = answer[: answer.index(b"\r\n\r\n") + 4] if decided_by_head else answer
        self.known_length = len(answer)
        self.known_exchange = Exchange(judgement=PASSED, bytes_received=len(answer))

    def with_cookies(self, cookies: str) -> bytes:
        """The bytes to send with this Cookie header."""
        return b"%bCookie: %b\r\n%b" % (self.before_cookies, cookies.encode("latin-1", "replace"), self.after_cookies)


NO_REQUEST = WireRequest(
    ReadyRequest(
        method="GET",
        url="",
        headers=(),
        body=b"",
        timeout_s=_NEVER_US / _US_PER_S,
        expected_status=frozenset(),
        expected_status_text="",
        body_contains=(),
    ),
    head=b"",
    timeout_us=_NEVER_US,
)
"""Nothing is in flight. A request of its own instead of None, so that the way of every answer has no test for it."""


def origin_of(url: str, *, target: str) -> Origin:
    """Where a URL leads. Raises EngineError that names the target."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise EngineError(f"target {target}: {error}; write a URL such as http://host:port") from error
    host = parts.hostname or ""
    if parts.scheme not in _DEFAULT_PORTS or not host or _NOT_IN_A_HOST.search(host):
        raise EngineError(f'target {target}: "{url}" is not an HTTP URL; write http://host:port')
    if parts.username is not None or parts.password is not None:
        raise EngineError(f"target {target}: a URL carries a password; write an Authorization header instead")
    try:
        name = host if ":" in host or host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise EngineError(f'target {target}: "{host}" is not a host name ({error}); write http://host:port') from error
    authority = f"[{name}]" if ":" in name else name
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        authority = f"{authority}:{port}"
    return Origin(secure=parts.scheme == "https", host=name, authority=authority)


def compile_request(ready: ReadyRequest, origin: Origin) -> WireRequest:
    """Turn a request into bytes. Raises EngineError for what cannot be sent."""
    parts = urlsplit(ready.url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _TOKEN.fullmatch(ready.method):
        raise EngineError(f'{ready.url}: "{ready.method}" is not a method; write GET, POST, PUT, ...')
    fields = {
        "host": ("Host", origin.authority),
        "accept": ("Accept", "*/*"),
        "accept-encoding": ("Accept-Encoding", "gzip, deflate"),
        "user-agent": ("User-Agent", USER_AGENT),
    }
    if ready.body or ready.method in _METHODS_WITH_LENGTH:
        fields["content-length"] = ("Content-Length", str(len(ready.body)))
    for name, value in ready.headers:
        _check_field(ready, name, value)
        fields[name.lower()] = (name, value)
    head = f"{ready.method} {quote(path, safe=_UNQUOTED)} HTTP/1.1\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in fields.values()
    )
    return WireRequest(ready, head=head.encode(), timeout_us=round(ready.timeout_s * _US_PER_S))


def _check_field(ready: ReadyRequest, name: str, value: str) -> None:
    if not _TOKEN.fullmatch(name) or _NOT_IN_A_VALUE.search(value):
        raise EngineError(
            f'{ready.url}: the header "{name}" has a line break or another character that no header may have'
        )
    lowered = name.lower()
    if lowered == "transfer-encoding" or (lowered == "content-length" and value.strip() != str(len(ready.body))):
        raise EngineError(f'{ready.url}: the header "{name}: {value}" contradicts the body; leave it out')
