"""What a server says without end never stays in our memory, for every engine and every way of asking."""

import asyncio
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from baseline_metrics.load_page import LoadPage
from stress_scenarios.load_plan import ErrorClass
from tests.stress_scenarios.bad_server_rig import WAYS, Way, an_order_for, run_against
from tests.stress_scenarios.rude_servers import Answer, by_path, read_head, without_end
from tests.stress_scenarios.scripted_rig import operation
from tests.stress_scenarios.wire_load_rig import permitting_page

LONG_S = 10.0
GROWTH_BYTES_MAX = 48 << 20
"""For several answers at once whose limit is 1 MiB, and for what Python and the kernel need around them."""

START = b"HTTP/1.1 200 OK\r\n"
MEBIBYTE = 1 << 20


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LoadPage]:
    """A page with a lease that lasts, at full share."""
    with permitting_page(tmp_path) as page:
        yield page


def gigabyte_of_zeros() -> bytes:
    """A gzip that inflates to 1 GiB: one compressed mebibyte, repeated."""
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    mebibyte = squeeze.compress(bytes(MEBIBYTE)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + mebibyte * 1024 + squeeze.flush()


def packed(body: bytes, encoding: str) -> bytes:
    """An answer that names its compressions."""
    return START + f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def forget_peak() -> int:
    """Measure this process's peak anew; bytes that it uses now."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


def peak_bytes() -> int:
    """The most memory that this process has used since."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("way", WAYS)
def test_answers_without_end_stay_small(way: Way, page: LoadPage) -> None:
    """A gigabyte, a gigabyte within a megabyte, a gigabyte within two kilobytes, and chunks of two bytes each.

    The body is looked into, so it is kept up to its limit of 1 MiB. Two kilobytes of nested gzip once took 2 GB and five
    seconds.
    """
    bomb = gigabyte_of_zeros()
    nested = gzip.compress(bomb)
    assert len(nested) < 20_000
    chunked = START + b"Transfer-Encoding: chunked\r\n\r\n"
    answers: dict[str, bytes | Answer] = {
        "/gigabyte": without_end(chunked, b"10000\r\n" + b"x" * 65_536 + b"\r\n", pieces=16_384),
        "/bomb": packed(bomb, "gzip"),
        "/deflated": packed(bomb[10:], "deflate"),
        "/nested": packed(nested, "gzip, gzip"),
        "/tiny": without_end(chunked, b"2\r\nab\r\n" * 10_000, pieces=53),
    }
    operations = [
        operation(path[1:], path, contains=("never there",), timeout_s=0.15 if path == "/tiny" else LONG_S)
        for path in answers
    ]
    order = an_order_for(way, *operations, connections=len(operations), hold_s=LONG_S)
    before = forget_peak()
    load = run_against(way, page, order, by_path(answers), release_after=1)
    assert peak_bytes() - before < GROWTH_BYTES_MAX
    for name, ended in load.operations.items():
        assert ended.succeeded == 0
        if name != "tiny":  # that a fast parser finds too large, and a slow one runs out of time with
            assert ended.classes == {ErrorClass.TOO_LARGE}, name


@pytest.mark.parametrize("way", [Way.WIRE_PERFORMED, Way.HTTPX_PERFORMED])
def test_a_body_that_nobody_looks_into_is_not_kept(way: Way, page: LoadPage) -> None:
    """Below its limit it is read to the end, and forgotten."""
    size = 96 << 20
    head = START + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size
    server = without_end(head, b"x" * 65_536, pieces=size // 65_536)
    order = replace(
        an_order_for(way, operation("ask", timeout_s=30.0), connections=1, hold_s=LONG_S), response_bytes_max=1 << 30
    )
    before = forget_peak()
    load = run_against(way, page, order, server, release_after=1)
    assert load.drained.operations_failed == 0
    assert peak_bytes() - before < 24 << 20


@pytest.mark.parametrize("way", WAYS)
def test_cookies_do_not_pile_up(way: Way, page: LoadPage) -> None:
    """A server that sets new ones with each answer does not make the next requests longer and longer."""
    heads: list[int] = []

    async def set_more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(len(await read_head(reader)))
            names = range(100 * len(heads), 100 * len(heads) + 100)
            cookies = "".join(f"Set-Cookie: c{name}=1; Path=/\r\n" for name in names)
            writer.write(START + cookies.encode() + b"Content-Length: 0\r\n\r\n")

    order = an_order_for(way, operation("ask", timeout_s=LONG_S), connections=1, hold_s=LONG_S)
    load = run_against(way, page, order, set_more, release_after=12)
    assert load.drained.operations_failed == 0
    assert max(heads) > 500, "the cookies come back"
    assert max(heads) < 4000
