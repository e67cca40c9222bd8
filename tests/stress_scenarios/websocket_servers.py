"""WebSocket servers as processes of their own: our echo server with faults, and an unmodified Mosquitto."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.servers import HttpServer, _require_program, _running

COUNTS_S_MAX = 10.0

_ECHO = Path(__file__).with_name("websocket_echo.py")

MOSQUITTO_CONFIGURATION = """
allow_anonymous true
persistence false
{user}
# Debian's 2.0.11 does not start with nothing but a WebSocket listener, and binds to all addresses without the last line.
listener 0 {directory}/mqtt.sock
listener {port} 127.0.0.1
protocol websockets
socket_domain ipv4
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoServer(HttpServer):
    """A running echo server."""

    def seen(self) -> dict[str, Any]:
        """What it saw so far; see websocket_echo.Seen."""
        with urllib.request.urlopen(f"{self.url}/counts", timeout=COUNTS_S_MAX) as answer:
            seen = json.loads(answer.read())
            assert isinstance(seen, dict)
            return seen

    def be_mute(self) -> None:
        """From now on, answer nothing on the moody path."""
        with urllib.request.urlopen(f"{self.url}/mute-now", timeout=COUNTS_S_MAX) as answer:
            answer.read()


@contextmanager
def echo_server(directory: Path) -> Iterator[EchoServer]:
    """Run the echo server as a process."""
    directory.mkdir(parents=True, exist_ok=True)
    with _running(lambda port: [sys.executable, str(_ECHO), str(port)], directory / "echo.log") as (process, port):
        yield EchoServer(port=port, pid=process.pid)


@contextmanager
def mosquitto_server(directory: Path) -> Iterator[HttpServer]:
    """Run Mosquitto with a WebSocket listener, open to everybody on this machine."""
    directory.mkdir(parents=True, exist_ok=True)
    program = _require_program("mosquitto")
    configuration = directory / "mosquitto.conf"

    with tempfile.TemporaryDirectory(prefix="mqtt-") as short:  # a socket's path has at most 107 bytes

        def command(port: int) -> list[str]:
            user = "user root" if os.geteuid() == 0 else ""  # who gives up root cannot write into a private directory
            text = MOSQUITTO_CONFIGURATION.format(user=user, directory=short, port=port)
            configuration.write_text(text, encoding="ascii")
            return [program, "-c", str(configuration)]

        with _running(command, directory / "mosquitto.log") as (process, port):
            yield HttpServer(port=port, pid=process.pid)


def make_authority(directory: Path, *, names: str = "DNS:shop.test") -> None:
    """Make a certificate authority with a certificate for shop.test, or for these names: ca.pem, shop.pem, shop.key."""
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=directory)

    openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=our own CA")
    openssl(
        *("req", "-x509", *new_key, "-keyout", "shop.key", "-out", "shop.pem", "-subj", "/CN=shop.test"),
        *("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", f"subjectAltName={names}"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
    )
