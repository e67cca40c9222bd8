"""The demo service's HTTP: what it reads, what it refuses, and with which status."""

from contextlib import suppress
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stress_scenarios.demo_http import (
    BODY_BYTES_MAX,
    HEAD_BYTES_MAX,
    HEADERS_MAX,
    QUERY_FIELDS_MAX,
    Answer,
    BadRequestError,
    RequestHead,
    parse_head,
    render_answer,
)


def head(*lines: str, host: bool = True) -> bytes:
    """Write a request head."""
    every = [*lines, *(["Host: shop"] if host else [])]
    return ("\r\n".join(every) + "\r\n\r\n").encode("latin-1")


def refused(raw: bytes) -> HTTPStatus:
    """The status with which a head is refused."""
    with pytest.raises(BadRequestError) as caught:
        parse_head(raw)
    return caught.value.status


def test_a_usual_request_is_read() -> None:
    """Method, decoded path, query, headers and length come out of a usual head."""
    read = parse_head(head("POST /or%20ders?q=red+lamp&x= HTTP/1.1", "Content-Length: 12", "X-A:  b \t"))
    assert (read.method, read.path, read.body_bytes, read.keep_alive) == ("POST", "/or ders", 12, True)
    assert dict(read.query) == {"q": "red lamp", "x": ""}
    assert read.headers["x-a"] == "b"


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("HTTP/1.1", "", True),
        ("HTTP/1.1", "close", False),
        ("HTTP/1.1", "Upgrade, Close", False),
        ("HTTP/1.0", "", False),
        ("HTTP/1.0", "Keep-Alive", True),
    ],
)
def test_connections_are_kept_as_the_version_says(version: str, connection: str, *, kept: bool) -> None:
    """HTTP/1.1 keeps a connection unless asked to close it; HTTP/1.0 closes it unless asked to keep it."""
    assert parse_head(head(f"GET / {version}", f"Connection: {connection}")).keep_alive is kept


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\x16\x03\x01\x02\x00garbage\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (head("GET /"), HTTPStatus.BAD_REQUEST),
        (head("G@T / HTTP/1.1"), HTTPStatus.BAD_REQUEST),
        (head("GET http://shop/ HTTP/1.1"), HTTPStatus.BAD_REQUEST),
        (head("GET / FTP/1.1"), HTTPStatus.BAD_REQUEST),
        (head("GET / HTTP/2.0"), HTTPStatus.HTTP_VERSION_NOT_SUPPORTED),
        (head("GET / HTTP/1.1", host=False), HTTPStatus.BAD_REQUEST),
        (head("GET / HTTP/1.1", "Host: other"), HTTPStatus.BAD_REQUEST),
        (head("GET / HTTP/1.1", "no colon"), HTTPStatus.BAD_REQUEST),
        (head("GET / HTTP/1.1", "sp ace: 1"), HTTPStatus.BAD_REQUEST),
        (head("GET / HTTP/1.1", "Content-Length: -1"), HTTPStatus.BAD_REQUEST),
        (head("GET / HTTP/1.1", "Content-Length: 1e3"), HTTPStatus.BAD_REQUEST),
        (head("GET / HTTP/1.1", "Content-Length: " + "9" * 20), HTTPStatus.BAD_REQUEST),
        (head("GET / HTTP/1.1", "Content-Length: 1", "Content-Length: 1"), HTTPStatus.BAD_REQUEST),
        (head("GET / HTTP/1.1", "Transfer-Encoding: chunked"), HTTPStatus.NOT_IMPLEMENTED),
        (head("GET / HTTP/1.1", "Expect: 100-continue"), HTTPStatus.EXPECTATION_FAILED),
    ],
)
def test_what_it_does_not_speak_is_refused(raw: bytes, status: HTTPStatus) -> None:
    """Garbage and unsupported features get the status that says so."""
    assert refused(raw) is status


def test_the_length_limit_holds_at_its_edge() -> None:
    """A body just below and at the limit is accepted; one byte more is not."""
    for length in (BODY_BYTES_MAX - 1, BODY_BYTES_MAX):
        assert parse_head(head("POST / HTTP/1.1", f"Content-Length: {length}")).body_bytes == length
    over = head("POST / HTTP/1.1", f"Content-Length: {BODY_BYTES_MAX + 1}")
    assert refused(over) is HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def test_the_head_limit_holds_at_its_edge() -> None:
    """A head of exactly the limit is read; one byte more is refused."""
    empty = len(head("GET / HTTP/1.1", "X: "))
    for size in (HEAD_BYTES_MAX - 1, HEAD_BYTES_MAX):
        parse_head(head("GET / HTTP/1.1", "X: " + "a" * (size - empty)))
    over = head("GET / HTTP/1.1", "X: " + "a" * (HEAD_BYTES_MAX + 1 - empty))
    assert refused(over) is HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


def test_the_number_of_headers_is_limited() -> None:
    """As many headers as allowed are read; one more is refused."""
    lines = [f"X-{number}: 1" for number in range(HEADERS_MAX - 1)]
    assert len(parse_head(head("GET / HTTP/1.1", *lines)).headers) == HEADERS_MAX
    assert refused(head("GET / HTTP/1.1", *lines, "Y: 1")) is HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


def test_the_number_of_query_fields_is_limited() -> None:
    """As many query fields as allowed are read; one more is refused."""
    fields = [f"f{number}=1" for number in range(QUERY_FIELDS_MAX)]
    assert len(parse_head(head(f"GET /?{'&'.join(fields)} HTTP/1.1")).query) == QUERY_FIELDS_MAX
    assert refused(head(f"GET /?{'&'.join([*fields, 'g=1'])} HTTP/1.1")) is HTTPStatus.BAD_REQUEST


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """Whatever arrives, the parser returns a head or refuses it; it never fails in another way."""
    with suppress(BadRequestError):
        assert isinstance(parse_head(raw + b"\r\n\r\n"), RequestHead)


def test_an_answer_announces_its_length() -> None:
    """The length counts bytes, not characters; HEAD gets the same head without the body."""
    answer = Answer(status=HTTPStatus.CREATED, body='{"name":"käse"}'.encode())
    rendered = render_answer(answer, keep_alive=True, head_only=False)
    assert rendered.startswith(b"HTTP/1.1 201 Created\r\n")
    assert b"Content-Length: 16\r\n" in rendered
    assert rendered.endswith(answer.body)
    assert render_answer(answer, keep_alive=True, head_only=True) == rendered.removesuffix(answer.body)
