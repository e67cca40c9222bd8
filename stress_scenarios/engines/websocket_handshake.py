"""The HTTP request that opens a WebSocket, and the protocol of the connection that it opens.

What would bias a load is not asked for: no compression, no other extension. Runs in worker processes.
"""

import logging
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from websockets.client import ClientProtocol
from websockets.http11 import Request
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from stress_scenarios.engines.client_tls import NoTls
from stress_scenarios.engines.wire_request import USER_AGENT, Origin
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import Failed, failure

_LOG = logging.getLogger("daybreak.websocket")
_LOG.setLevel(logging.WARNING)  # at DEBUG the library would write headers and messages, secrets among them

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_UNQUOTED = "%/:=&?~+!$,;'@()*[]|"
"""Characters of a path or query that go as they were written, as in the wire engine's requests."""

_OURS = frozenset(
    {"connection", "content-length", "sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-key"}
    | {"sec-websocket-protocol", "sec-websocket-version", "transfer-encoding", "upgrade"}
)
"""Headers that the handshake itself sets: another value would break it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketEndpoint:
    """Where WebSockets go: the pinned numeric address, and whom the URL names. message_bytes_max: of one message."""

    address: str
    port: int
    origin: Origin
    tls: ssl.SSLContext | NoTls
    message_bytes_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What is asked for. path: with its query. headers: the later of two of the same name holds."""

    path: str
    headers: tuple[tuple[str, str], ...]
    subprotocols: tuple[str, ...]


def begin(endpoint: WebSocketEndpoint, handshake: Handshake) -> tuple[ClientProtocol, Request] | Failed:
    """A fresh protocol and the request to send with it; Failed (CLIENT) for what no handshake may hold."""
    origin = endpoint.origin
    refused = _refused_by_us(handshake)
    if isinstance(refused, Failed):
        return refused
    protocol = ClientProtocol(
        WebSocketURI(
            secure=origin.secure,
            host=origin.host,
            port=endpoint.port,
            path=quote(handshake.path, safe=_UNQUOTED),
            query="",
        ),
        extensions=None,
        subprotocols=[Subprotocol(name) for name in handshake.subprotocols] or None,
        max_size=endpoint.message_bytes_max,
        logger=_LOG,
    )
    request = protocol.connect()
    fields = {"host": ("Host", origin.authority), "user-agent": ("User-Agent", USER_AGENT)}
    fields.update({name.lower(): (name, value) for name, value in handshake.headers})
    for name, value in fields.values():
        if name in request.headers:
            del request.headers[name]
        request.headers[name] = value
    return protocol, request


def _refused_by_us(handshake: Handshake) -> Failed | None:
    for name, value in handshake.headers:
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            return _not_sent(f'the header "{name}" has a character that no header may have')
        if name.lower() in _OURS:
            return _not_sent(f'the header "{name}" belongs to the WebSocket handshake; leave it out')
    return _bad_subprotocol(handshake.subprotocols)


def _bad_subprotocol(names: Sequence[str]) -> Failed | None:
    for name in names:
        if not _TOKEN.fullmatch(name):
            return _not_sent(f'"{name}" is not the name of a subprotocol')
    return None


def _not_sent(reason: str) -> Failed:
    return failure(ErrorClass.CLIENT, f"our client refused to open a WebSocket: {reason}")
