"""Requests compiled once to the bytes that go over the wire.

A load sends the same few requests millions of times; nothing about them is decided twice. A compiled request also
remembers the last answer that met its expectations, so that the same bytes need not be taken apart and judged again:
they mean the same. Requests that a script makes are kept for a while, as most scripts make the same ones again and
again. Runs in worker processes.
"""

import re
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urlsplit

from stress_scenarios.engines.answer_body import ACCEPTED_ENCODINGS
from stress_scenarios.engines.engine import Answer, EngineError, Exchange
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import Failed, Passed, ReadyRequest, failure

USER_AGENT = "daybreak"

PASSED = Passed()

_DEFAULT_PORTS = {"http": 80, "https": 443}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_A_VALUE = re.compile(r"[\0\r\n]")
_NOT_IN_A_HOST = re.compile(r"[\x00-\x20\x7f/?#@\\]")
_UNQUOTED = "%/:=&?~+!$,;'@()*[]|"
"""Characters of a path or query that go as they were written; a percent sign means that it is quoted already."""

_PLAIN_URL = re.compile(rf"https?://[^/?#\s]+(/[A-Za-z0-9_.~{re.escape(_UNQUOTED)}-]*)")
"""A URL of which nothing needs quoting. Looking takes 0.5 us, taking apart and quoting 6."""

_METHODS_WITH_LENGTH = frozenset({"POST", "PUT", "PATCH"})
"""Whose missing body is stated as Content-Length: 0 (RFC 9110, 8.6)."""

LEARNING_EVERY_US = 10_000
"""Most servers repeat their head for the second that its Date says; where every answer differs, learning each is wasted."""

ASKED_REQUESTS_MAX = 256
"""Made by scripts and kept. A script with a new token or number in each request has no use of them, and none is worth more."""

ASKED_BYTES_MAX = 16 * 1024
"""Greater answers are taken apart each time, and requests with a greater body made each time: all that is kept takes at
most 12 MiB."""

K = TypeVar("K")
T = TypeVar("T")

_NEVER_US = 1 << 62
_US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Scheme, name and port of a URL. host: for TLS, without brackets; authority: for the Host header."""

    secure: bool
    host: str
    authority: str


class UnsendableError(Exception):
    """A request that cannot be put into bytes. The message does not name its address."""


class WireRequest:
    """One operation as bytes. Its fields are read once per request, so it is no dataclass and has no properties.

    known_answer, known_length: an answer of known_length bytes that begins with known_answer is complete, leaves the
    connection usable and meets the expectations. -1 where no such answer was seen: no length equals it.
    known_outcome: what a session returns for it. learns_from_us: from when on another answer may take its place,
    CLOCK_MONOTONIC. is_asked: a script wants the whole answer, and judges it itself.
    """

    __slots__ = (
        "after_cookies",
        "before_cookies",
        "expects_head_only",
        "is_asked",
        "keeps_body",
        "known_answer",
        "known_length",
        "known_outcome",
        "learns_from_us",
        "payload",
        "ready",
        "timeout_us",
    )

    def __init__(self, ready: ReadyRequest, *, head: bytes, timeout_us: int, is_asked: bool = False) -> None:
        self.ready = ready
        self.before_cookies = head
        self.after_cookies = b"\r\n" + ready.body
        self.payload = self.before_cookies + self.after_cookies
        self.timeout_us = timeout_us
        self.expects_head_only = ready.method == "HEAD"
        self.is_asked = is_asked
        self.keeps_body = (is_asked or bool(ready.body_contains)) and not self.expects_head_only
        self.learns_from_us = 0
        self.known_length = -1
        self.known_answer = b""
        self.known_outcome: Exchange | Answer = Exchange(judgement=PASSED, bytes_received=0)

    def remember(self, answer: bytes, *, decided_by_head: bool, at_us: int) -> None:
        """Know this whole answer again: by its head if the head decides length and judgement, else by all of it."""
        self.learns_from_us = at_us + LEARNING_EVERY_US
        self.known_answer = answer[: answer.index(b"\r\n\r\n") + 4] if decided_by_head else answer
        self.known_length = len(answer)
        self.known_outcome = Exchange(judgement=PASSED, bytes_received=len(answer))

    def remember_asked(self, answer: bytes, outcome: Answer, *, at_us: int) -> None:
        """Know this whole answer to a script's request again."""
        if len(answer) <= ASKED_BYTES_MAX:
            self.learns_from_us = at_us + LEARNING_EVERY_US
            self.known_answer = answer
            self.known_length = len(answer)
            self.known_outcome = outcome

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
    try:
        return _compiled(ready, _fields(ready, origin), is_asked=False)
    except (UnsendableError, UnicodeError) as error:
        raise EngineError(f"{ready.url!a}: {error}") from error


class AskedRequests:
    """Requests that scripts make while the load runs, as bytes."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._kept: dict[tuple[object, ...], WireRequest] = {}
        self._same: dict[int, WireRequest] = {}  # those that scripts keep, by identity: the keys above take 0.2 us more
        self._kept_fields: dict[tuple[object, ...], str] = {}

    @property
    def kept(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def compiled(self, ready: ReadyRequest) -> WireRequest | Failed:
        """The request, or why it cannot be sent, which is the script's fault."""
        same = self._same.get(id(ready))
        if same is not None and same.ready is ready:
            return same
        key = (ready.url, ready.method, ready.headers, ready.body, ready.timeout_s)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        made = self._made(ready)
        if isinstance(made, WireRequest) and len(ready.body) <= ASKED_BYTES_MAX:
            _keep(self._kept, key, made)
            _keep(self._same, id(ready), made)
        return made

    def following(self, ready: ReadyRequest, *, passed_us: int) -> WireRequest | Failed:
        """The next request on a way of redirects, of whose timeout so much has passed."""
        made = self._made(ready)
        if isinstance(made, WireRequest):
            made.timeout_us = max(0, made.timeout_us - passed_us)
        return made

    def _made(self, ready: ReadyRequest) -> WireRequest | Failed:
        key = (ready.method, ready.headers, len(ready.body))
        try:
            fields = self._kept_fields.get(key)
            if fields is None:
                fields = _keep(self._kept_fields, key, _fields(ready, self._origin))
            return _compiled(ready, fields, is_asked=True)
        except (UnsendableError, ValueError) as error:  # of urlsplit: a port that is none, say
            return failure(ErrorClass.SCENARIO, f"cannot be sent: {error}")


def _keep(kept: dict[K, T], key: K, made: T) -> T:
    if len(kept) >= ASKED_REQUESTS_MAX:
        kept.clear()
    kept[key] = made
    return made


def _compiled(ready: ReadyRequest, fields: str, *, is_asked: bool) -> WireRequest:
    plain = _PLAIN_URL.fullmatch(ready.url)
    if plain is not None:
        path = plain[1]
    else:
        parts = urlsplit(ready.url)
        path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_UNQUOTED)
    head = f"{ready.method} {path} HTTP/1.1\r\n{fields}"
    return WireRequest(ready, head=head.encode(), timeout_us=round(ready.timeout_s * _US_PER_S), is_asked=is_asked)


def _fields(ready: ReadyRequest, origin: Origin) -> str:
    """All header lines. Raises UnsendableError for what no request may have, its method included."""
    if not _TOKEN.fullmatch(ready.method):
        raise UnsendableError(f'"{ready.method}" is not a method; write GET, POST, PUT, ...')
    fields = {
        "host": ("Host", origin.authority),
        "accept": ("Accept", "*/*"),
        "accept-encoding": ("Accept-Encoding", ACCEPTED_ENCODINGS),
        "user-agent": ("User-Agent", USER_AGENT),
    }
    if ready.body or ready.method in _METHODS_WITH_LENGTH:
        fields["content-length"] = ("Content-Length", str(len(ready.body)))
    for name, value in ready.headers:
        _check_field(ready, name, value)
        fields[name.lower()] = (name, value)
    return "".join(f"{name}: {value}\r\n" for name, value in fields.values())


def _check_field(ready: ReadyRequest, name: str, value: str) -> None:
    if not _TOKEN.fullmatch(name) or _NOT_IN_A_VALUE.search(value):
        raise UnsendableError(f'the header "{name}" has a line break or another character that no header may have')
    lowered = name.lower()
    if lowered == "transfer-encoding" or (lowered == "content-length" and value.strip() != str(len(ready.body))):
        raise UnsendableError(f'the header "{name}: {value}" contradicts the body; leave it out')
