"""TLS that cannot be trusted or is none, for every engine and every way of asking: a failure, in time, and nothing is sent."""

import asyncio
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from baseline_metrics.load_page import LoadPage
from stress_scenarios.load_plan import ErrorClass
from tests.stress_scenarios.bad_server_rig import WAYS, Load, Way, an_order_for, run_against
from tests.stress_scenarios.orders import target_at
from tests.stress_scenarios.rude_servers import Answer, close_at_once, hang, read_head, reset_at_once
from tests.stress_scenarios.scripted_rig import operation
from tests.stress_scenarios.wire_load_rig import permitting_page
from tests.stress_scenarios.wire_rig import OK, speak_first

LONG_S = 10.0
"""A hang limit; what is to fail fails at once."""

SOON_S = 0.1


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LoadPage]:
    """A page with a lease that lasts, at full share."""
    with permitting_page(tmp_path) as page:
        yield page


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an authority with two certificates for shop.test: good.pem, and expired.pem, which has had its time."""
    directory = tmp_path_factory.mktemp("authority")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=directory)

    openssl("req", "-x509", *curve, "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=our own CA")
    openssl("req", *curve, "-keyout", "shop.key", "-out", "shop.csr", "-subj", "/CN=shop.test")
    (directory / "names").write_text("subjectAltName=DNS:shop.test\n")
    for name, days in (("good.pem", "2"), ("expired.pem", "-1")):
        openssl(
            *("x509", "-req", "-in", "shop.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "1"),
            *("-days", days, "-extfile", "names", "-out", name),
        )
    return directory


@dataclass(slots=True)
class Asked:
    """A server that notes whether anybody has sent a request."""

    heads: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer well."""
        while True:
            await read_head(reader)
            self.heads += 1
            writer.write(OK)


def served(authority: Path, certificate: str = "good.pem") -> ssl.SSLContext:
    """A server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / certificate, authority / "shop.key")
    return context


def load_over_tls(
    way: Way,
    page: LoadPage,
    answer: Answer,
    *,
    ca_file: Path | None,
    tls: ssl.SSLContext | None,
    host: str = "shop.test",
    timeout_s: float = LONG_S,
) -> Load:
    """A load over TLS, until one operation has ended."""
    order = an_order_for(way, operation("ask", timeout_s=timeout_s), connections=1, hold_s=LONG_S)
    target = target_at(9, scheme="https", host=host, ca_file=str(ca_file or ""))
    return run_against(way, page, replace(order, target=target), answer, tls=tls, release_after=1)


@pytest.mark.parametrize("way", WAYS)
def test_a_certificate_in_order_passes(way: Way, authority: Path, page: LoadPage) -> None:
    """By its name, at a pinned address, over one connection: what fails below fails for its reason."""
    asked = Asked()
    load = load_over_tls(way, page, asked, ca_file=authority / "ca.pem", tls=served(authority))
    assert load.drained.operations_failed == 0
    assert (load.connections.opened, asked.heads) == (1, load.drained.operations_succeeded)


@pytest.mark.parametrize("fault", ["expired", "another name", "unknown authority"])
@pytest.mark.parametrize("way", WAYS)
def test_who_cannot_be_trusted_is_sent_nothing(way: Way, fault: str, authority: Path, page: LoadPage) -> None:
    """Every operation fails as TLS, in the same words; the server sees no request."""
    asked = Asked()
    load = load_over_tls(
        way,
        page,
        asked,
        ca_file=None if fault == "unknown authority" else authority / "ca.pem",
        tls=served(authority, "expired.pem" if fault == "expired" else "good.pem"),
        host="other.test" if fault == "another name" else "shop.test",
    )
    ended = load.operations["ask"]
    assert (ended.classes, ended.succeeded, len(ended.errors)) == ({ErrorClass.TLS}, 0, 1)
    assert asked.heads == 0
    ((_, message),) = ended.errors
    words = {"expired": "expired", "another name": "other.test", "unknown authority": "issuer"}
    assert words[fault] in message


def replying(reply: bytes) -> Answer:
    """Reply to a handshake with these bytes, and keep the connection."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        writer.write(reply)
        await hang(reader, writer)

    return speak


TLS_1_0 = b"\x03\x01"
TOO_NEW_FOR_ME = b"\x15" + TLS_1_0 + b"\x00\x02\x02\x46"
"""A server that speaks TLS 1.0 alone and knows of younger ones: an alert."""

HELLO_OF_OLD = b"\x16" + TLS_1_0 + b"\x00\x2a\x02\x00\x00\x26" + TLS_1_0 + b"r" * 32 + b"\x00\x00\x2f\x00"
"""One that does not: it begins with its own version."""


async def complain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take what comes for a bad request, as plain HTTP servers do."""
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    await writer.drain()


PLAIN = (
    (complain, {ErrorClass.TLS}),
    (replying(TOO_NEW_FOR_ME), {ErrorClass.TLS}),
    (replying(HELLO_OF_OLD), {ErrorClass.TLS}),
    (speak_first, {ErrorClass.TLS}),
    (close_at_once, {ErrorClass.TLS, ErrorClass.RESET}),
    (reset_at_once, {ErrorClass.RESET}),
    (hang, {ErrorClass.TIMEOUT}),
)


@pytest.mark.parametrize(("answer", "errors"), PLAIN)
@pytest.mark.parametrize("way", WAYS)
def test_a_server_without_our_tls_is_a_failure_in_time(
    way: Way, answer: Answer, errors: set[ErrorClass], page: LoadPage
) -> None:
    """It says something else, knows TLS 1.0 alone, goes away within the handshake, or never answers it."""
    timeout_s = SOON_S if errors == {ErrorClass.TIMEOUT} else LONG_S
    load = load_over_tls(way, page, answer, ca_file=None, tls=None, timeout_s=timeout_s)
    assert load.operations["ask"].classes <= errors
    assert load.operations["ask"].succeeded == 0
