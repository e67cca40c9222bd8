"""From a URL to a pinned target: which address is loaded, and whether it may be.

Names are resolved once and pinned, so that a load cannot move to another machine. Loopback and private addresses may be
loaded; whatever is public needs its host named on purpose. The load test from a terminal uses it.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from stress_scenarios.load_plan import TargetSpec

_DEFAULT_PORTS = {"http": 80, "https": 443}

_PRIVATE_NETWORKS = tuple(
    ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)

Resolve = Callable[[str, int], Sequence[str]]
"""Host name and port to numeric addresses, in the order of preference. Raises OSError when there is none."""


class TargetError(ValueError):
    """A URL that is none, a name without address, or a target that may not be loaded. The message says what to write."""


def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver. IPv4 first: a server that listens on one family only listens there, as a rule."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    in_order = sorted(answers, key=lambda answer: answer[0] != socket.AF_INET)
    return list(dict.fromkeys(str(address[0]) for _, _, _, _, address in in_order))


def pinned_target(url: str, *, allowed_hosts: Sequence[str], resolve: Resolve = resolve_by_system) -> TargetSpec:
    """The target at a URL's scheme, host and port; its path is not part of it. Raises TargetError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise TargetError(f'"{url}" is not a URL ({error}); write http://host:port/path') from error
    host = parts.hostname
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise TargetError(f'"{url}" is not an HTTP URL; write http://host:port/path')
    if parts.username is not None or parts.password is not None:
        raise TargetError("a URL with a password in it ends up in logs; write it without")
    if port is None:
        port = _DEFAULT_PORTS[parts.scheme]
    if port == 0:
        raise TargetError(f'"{url}" names port 0, where nothing can listen')
    try:
        addresses = resolve(host, port)
    except (OSError, UnicodeError) as error:
        raise TargetError(f'the host "{host}" has no address ({error}); look at its spelling') from error
    if not addresses:
        raise TargetError(f'the host "{host}" has no address')
    address = addresses[0]
    if host not in allowed_hosts and not all(may_be_loaded(each) for each in addresses):
        raise TargetError(f"{host} ({address}) is public; if it is yours to load, say --allow-target {host}")
    return TargetSpec(
        name=host,
        url=f"{parts.scheme}://{parts.netloc}",
        address=address,
        port=port,
        headers=(),
        ca_file="",
    )


def may_be_loaded(address: str) -> bool:
    """Whether an address is loopback or private (RFC 1918, RFC 4193), so that load stays in the house.

    Link-local addresses are not among them: cloud hosts serve their credentials there.
    """
    try:
        number = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = number.ipv4_mapped if isinstance(number, ipaddress.IPv6Address) else number
    number = mapped or number
    return number.is_loopback or any(number in network for network in _PRIVATE_NETWORKS)
