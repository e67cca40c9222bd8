"""The part of HTTP/1.1 that the bundled demo service speaks: a request head to a record, an answer to bytes.

Pure, so that garbage is tested without sockets. What it does not speak (chunked bodies, expectations, upgrades) is
refused with the status that says so, never guessed. The demo service's process uses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import parse_qsl, unquote

from baseline_metrics.codec import Json

HEAD_BYTES_MAX = 16 << 10
"""Request line and headers. Common servers allow 8 to 32 KiB; browsers stay far below."""

BODY_BYTES_MAX = 1 << 20
"""An order is a few hundred bytes; 1 MiB lets a plan try larger ones, and bounds what a client can make us hold."""

HEADERS_MAX = 100
"""The number that common servers allow."""

QUERY_FIELDS_MAX = 50
"""The service reads one; a bound keeps a hostile query from costing more than its bytes."""

_TOKEN_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class BadRequestError(Exception):
    """What a client sent cannot be served. ``status`` is what to answer; the connection is closed afterwards."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """Request line and headers. ``path`` is decoded; header names are in lower case; lengths in bytes."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body_bytes: int
    keep_alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back: a status and a JSON document, already encoded."""

    status: HTTPStatus
    body: bytes


def parse_head(head: bytes) -> RequestHead:
    """Read a request head, its closing empty line included. Raises BadRequestError (400, 413, 417, 431, 501, 505)."""
    if len(head) > HEAD_BYTES_MAX:
        raise BadRequestError(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the head is larger than {HEAD_BYTES_MAX} bytes"
        )
    lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, version = _parse_request_line(lines[0])
    headers = _parse_headers(lines[1:])
    if version == "HTTP/1.1" and "host" not in headers:
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "an HTTP/1.1 request names its host")
    raw_path, _, raw_query = target.partition("?")
    try:
        fields = parse_qsl(raw_query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError as error:
        raise BadRequestError(HTTPStatus.BAD_REQUEST, f"the query has more than {QUERY_FIELDS_MAX} fields") from error
    return RequestHead(
        method=method,
        path=unquote(raw_path),
        query=MappingProxyType(dict(fields)),
        headers=MappingProxyType(headers),
        body_bytes=_body_bytes(headers),
        keep_alive=_keep_alive(version, headers.get("connection", "")),
    )


def render_answer(answer: Answer, *, keep_alive: bool, head_only: bool) -> bytes:
    """Encode an answer; ``head_only`` (for HEAD) announces the length and leaves the body out."""
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(answer.body)}\r\n"
        f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n"
    ).encode("ascii")
    return head if head_only else head + answer.body


def text_field(document: Mapping[str, Json], name: str) -> str:
    """Read a field that must be a text. Raises BadRequestError (400)."""
    value = document.get(name)
    if not isinstance(value, str):
        raise BadRequestError(HTTPStatus.BAD_REQUEST, f"{name} has to be a text")
    return value


def _parse_request_line(line: str) -> tuple[str, str, str]:
    parts = line.split(" ")
    if len(parts) != 3:
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "the request line has to be: METHOD TARGET VERSION")
    method, target, version = parts
    if not method or not _TOKEN_CHARACTERS.issuperset(method):
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "the method is not a token")
    if not target.startswith("/"):
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "the target has to be a path that starts with /")
    if version not in {"HTTP/1.0", "HTTP/1.1"}:
        if version.startswith("HTTP/"):
            raise BadRequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "this service speaks HTTP/1.0 and HTTP/1.1")
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "the request line ends with an HTTP version")
    return method, target, version


def _parse_headers(lines: list[str]) -> dict[str, str]:
    if len(lines) > HEADERS_MAX:
        raise BadRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {HEADERS_MAX} headers")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or not _TOKEN_CHARACTERS.issuperset(name):
            raise BadRequestError(HTTPStatus.BAD_REQUEST, "a header has to be: NAME: VALUE")
        key = name.lower()
        # Two lengths or hosts are how requests are smuggled; other repeated headers join as the standard says.
        if key in {"content-length", "host"} and key in headers:
            raise BadRequestError(HTTPStatus.BAD_REQUEST, f"{key} is given twice")
        stripped = value.strip(" \t")
        headers[key] = f"{headers[key]}, {stripped}" if key in headers else stripped
    return headers


def _body_bytes(headers: Mapping[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise BadRequestError(HTTPStatus.NOT_IMPLEMENTED, "send the body with a Content-Length")
    if "expect" in headers:
        raise BadRequestError(HTTPStatus.EXPECTATION_FAILED, "send the body without waiting for a 100")
    text = headers.get("content-length", "0")
    # isdecimal alone would let other scripts' digits through; the length bound keeps int() cheap.
    if not (text.isascii() and text.isdecimal() and len(text) <= 19):
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "Content-Length has to be a number of bytes")
    length = int(text)
    if length > BODY_BYTES_MAX:
        raise BadRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {BODY_BYTES_MAX} bytes")
    return length


def _keep_alive(version: str, connection: str) -> bool:
    options = {option.strip().lower() for option in connection.split(",")}
    if "close" in options:
        return False
    return version == "HTTP/1.1" or "keep-alive" in options
