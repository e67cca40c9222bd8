"""Decides whether a target may be loaded, and pins its address.

A load generator aimed at a stranger by a typing slip is an attack, so only loopback and private addresses pass by
themselves; any other host has to be allowed by name. Names are resolved once and pinned: what was checked is what gets
loaded, all night. The resolver is an argument. The launcher uses it, and the measurements that are started alone
(standard library only).
"""

import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from baseline_metrics.redaction import HIDDEN
from baseline_metrics.refused_value import shown

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PRIVATE_NETWORKS = tuple(
    ipaddress.ip_network(text)
    for text in ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
"""Loopback, RFC 1918 and RFC 4193. Link-local is not among them: cloud hosts serve their credentials there."""

ADDRESSES_MAX = 64
"""Addresses of one name that are looked at."""

_DEFAULT_PORTS = {"http": 80, "https": 443}

_BEFORE_AT_SIGN = re.compile(r"[^/]*@")
"""Wherever a URL is malformed, what stands before an at sign may be meant as a password."""

Resolver = Callable[[str, int], tuple[str, ...]]
"""Numeric addresses of a host name, most preferred first. Raises OSError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedTarget:
    """A target that may be loaded. url: scheme, host and port as written; address: numeric."""

    url: str
    scheme: str
    host: str
    address: str
    port: int


class RefusalKind(Enum):
    """Why a target may not be loaded."""

    NOT_HTTP = "not_http"  # not an address of an HTTP server at all: a usage error
    UNRESOLVED = "unresolved"
    PUBLIC = "public"  # outside loopback and private ranges, and not allowed by name
    NEVER = "never"  # no single host: multicast, broadcast, unspecified


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRefused:
    """A target that may not be loaded: why, and what to do."""

    kind: RefusalKind
    reason: str
    remedy: str


def resolve_target(url: str, *, allow: tuple[str, ...], resolver: Resolver) -> PinnedTarget | TargetRefused:
    """Check a URL and pin its address. allow: host names or addresses that may lie outside the private ranges."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return _not_http(url, "it holds characters that have to be percent-encoded")
    try:
        parts = urlsplit(url)
        port = parts.port if parts.port is not None else _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError as error:
        return _not_http(url, str(error))
    host = parts.hostname or ""
    if parts.scheme not in _DEFAULT_PORTS:
        return _not_http(url, f"the scheme is {shown(parts.scheme)}")
    if not host:
        return _not_http(url, "it names no host")
    if not port:
        return _not_http(url, "nothing can listen on port 0")
    if "@" in parts.netloc:
        return _not_http(url, "it holds a user name, which would end up in logs")
    resolved = _addresses(host, port, resolver)
    if isinstance(resolved, TargetRefused):
        return resolved
    refused = _forbidden(host, resolved, allow)
    if refused is not None:
        return refused
    origin = f"{parts.scheme}://{parts.netloc}"
    return PinnedTarget(url=origin, scheme=parts.scheme, host=host, address=str(resolved[0]), port=port)


def system_resolver(host: str, port: int) -> tuple[str, ...]:
    """The system's resolver. IPv4 first: most servers that listen on one family only listen there. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    in_order = sorted(found, key=lambda entry: entry[0] != socket.AF_INET)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in in_order))


def _not_http(url: str, why: str) -> TargetRefused:
    return TargetRefused(
        kind=RefusalKind.NOT_HTTP,
        reason=f"{shown(_BEFORE_AT_SIGN.sub(f'{HIDDEN}@', url))} is not the address of an HTTP server: {why}",
        remedy='write "http://HOST:PORT" or "https://HOST"',
    )


def _addresses(host: str, port: int, resolver: Resolver) -> tuple[Address, ...] | TargetRefused:
    try:
        texts = resolver(host, port)[:ADDRESSES_MAX]
        addresses = tuple(_unwrapped(ipaddress.ip_address(text.partition("%")[0])) for text in texts)
    except (OSError, ValueError) as error:
        return _unresolved(host, str(error))
    return addresses or _unresolved(host, "it has no address")


def _unresolved(host: str, why: str) -> TargetRefused:
    return TargetRefused(
        kind=RefusalKind.UNRESOLVED,
        reason=f"the name {shown(host)} does not resolve: {why}",
        remedy="check the spelling and the network, or write the address itself",
    )


def _unwrapped(address: Address) -> Address:
    """An IPv4 address in IPv6 clothes is judged, and used, as what it is."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _forbidden(host: str, addresses: tuple[Address, ...], allow: tuple[str, ...]) -> TargetRefused | None:
    for address in addresses:
        if address.is_multicast or address.is_unspecified or address == ipaddress.IPv4Address("255.255.255.255"):
            return TargetRefused(
                kind=RefusalKind.NEVER,
                reason=f"{shown(host)} is {address}, which is not one host",
                remedy="write the address of one host",
            )
    outside = [address for address in addresses if not _private(address)]
    if not outside or _allowed(host, outside, allow):
        return None
    return TargetRefused(
        kind=RefusalKind.PUBLIC,
        reason=f"{shown(host)} is {outside[0]}, outside loopback and private ranges",
        remedy=f"load only what is yours; if this host is, say so: --allow-target {host}",
    )


def _private(address: Address) -> bool:
    return any(address in network for network in PRIVATE_NETWORKS if network.version == address.version)


def _allowed(host: str, outside: list[Address], allow: tuple[str, ...]) -> bool:
    names = {name.lower().rstrip(".") for name in allow}
    return host.lower().rstrip(".") in names or all(str(address) in names for address in outside)
