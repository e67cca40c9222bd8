"""TLS from the client's side: one context for all connections of a load, and the handshake on a connection that stands.

A name in a certificate is checked against the URL's name, although the pinned numeric address is called. Loading a trust
store takes about 15 ms, so it is done once for each load and not at all without TLS. Runs in worker processes.
"""

import asyncio
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from stress_scenarios.engines.engine import EngineError
from stress_scenarios.load_plan import TargetSpec

GOODBYE_S_MAX = 1.0
"""How long a TLS peer may take to say goodbye before its socket is closed anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoTls:
    """The target is spoken to in the clear."""


NO_TLS = NoTls()


def client_tls(target: TargetSpec) -> ssl.SSLContext | NoTls:
    """The context for an https target: the system's trust store or the target's own. Raises EngineError."""
    if urlsplit(target.url).scheme != "https":
        return NO_TLS
    try:
        context = ssl.create_default_context(cafile=target.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise EngineError(
            f'target {target.name}: the CA file "{target.ca_file}" does not load ({error}); '
            "write the path of a PEM file"
        ) from error
    context.set_alpn_protocols(["http/1.1"])  # what is spoken is HTTP/1.1, and what grows out of it
    return context


async def secured(
    plain: asyncio.Transport, protocol: asyncio.Protocol, tls: ssl.SSLContext, *, host: str
) -> asyncio.Transport:
    """The same connection under TLS. Raises what the handshake raises; the caller drops the connection then."""
    transport = await asyncio.get_running_loop().start_tls(
        plain, protocol, tls, server_hostname=host, ssl_shutdown_timeout=GOODBYE_S_MAX
    )
    if transport is None:
        raise ConnectionResetError  # it was lost within the handshake
    return transport
