"""Which targets may be loaded, and at which address."""

import pytest

from baseline_metrics.target_policy import PinnedTarget, RefusalKind, TargetRefused, resolve_target, system_resolver


def decide(url: str, *addresses: str, allow: tuple[str, ...] = ()) -> PinnedTarget | TargetRefused:
    """The decision about a URL whose name has these addresses."""
    return resolve_target(url, allow=allow, resolver=lambda _host, _port: addresses)


def kind(decision: PinnedTarget | TargetRefused) -> RefusalKind:
    """Why it was refused."""
    assert isinstance(decision, TargetRefused), decision
    assert decision.remedy
    return decision.kind


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.255.255.254", "::1", "10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fd00::1", "::ffff:10.0.0.1"],
)  # fmt: skip
def test_loopback_and_private_addresses_pass(address: str) -> None:
    """Up to the edges of their ranges, also in IPv6 clothes."""
    assert isinstance(decide("http://host:8080", address), PinnedTarget)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "100.64.0.1", "169.254.169.254", "2001:db8::1", "fe80::1", "::ffff:8.8.8.8"],
)  # fmt: skip
def test_anything_else_has_to_be_allowed_by_name_or_address(address: str) -> None:
    """Just outside the ranges, link-local and its cloud credentials included."""
    assert kind(decide("http://host", address)) is RefusalKind.PUBLIC
    assert isinstance(decide("http://host", address, allow=("other", "HOST.")), PinnedTarget)
    assert kind(decide("http://host", address, allow=("host.example", "*", "ost"))) is RefusalKind.PUBLIC


def test_a_literal_address_can_be_allowed() -> None:
    """As it is written, or as it resolves."""
    assert isinstance(decide("http://8.8.8.8", "8.8.8.8", allow=("8.8.8.8",)), PinnedTarget)


def test_one_public_address_among_private_ones_is_enough_to_refuse() -> None:
    """A name with two faces is not private."""
    assert kind(decide("http://host", "10.0.0.1", "8.8.8.8")) is RefusalKind.PUBLIC


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"])
def test_what_is_not_one_host_is_never_loaded(address: str) -> None:
    """Not even when allowed."""
    assert kind(decide("http://host", address, allow=("host", address))) is RefusalKind.NEVER


@pytest.mark.parametrize(
    "url",
    ["", "host", "ftp://host", "file:///etc/passwd", "http://", "http://:80", "http://host:0", "http://host:99999", "http://user:pw@host", "http://ho st", "http://h\u00f6st", "http://[::1", "HTTP//x"],
)  # fmt: skip
def test_what_is_no_http_address_is_refused(url: str) -> None:
    """Without asking the resolver."""

    def resolve(_host: str, _port: int) -> tuple[str, ...]:
        raise AssertionError("nobody may ask")

    assert kind(resolve_target(url, allow=(), resolver=resolve)) is RefusalKind.NOT_HTTP


@pytest.mark.parametrize(
    "url",
    ["http://user:sesame@host", "ftp://user:sesame@host", "user:sesame@host", "http://user:sesame@host:99999", "http://user:sesame@h\u00f6st", "http://[user:sesame@host", "http://user:se/sesame@host:0"],
)  # fmt: skip
def test_a_refusal_does_not_repeat_a_password(url: str) -> None:
    """Messages end up in terminals and logs; the host is enough to recognise the URL."""
    refused = decide(url, "10.0.0.1")
    if isinstance(refused, TargetRefused):
        assert "sesame" not in refused.reason + refused.remedy
    else:
        assert "sesame" not in refused.url


def test_a_port_that_nothing_can_listen_on_is_named() -> None:
    """The reason is about the port and not about the host."""
    refused = decide("http://host:0", "10.0.0.1")
    assert isinstance(refused, TargetRefused)
    assert "port 0" in refused.reason


def test_the_first_address_is_pinned_and_the_name_kept() -> None:
    """Workers connect to the number, and say the name."""
    assert decide("https://shop.internal/some/path", "10.0.0.7", "10.0.0.8") == PinnedTarget(
        url="https://shop.internal", scheme="https", host="shop.internal", address="10.0.0.7", port=443
    )
    pinned = decide("http://[::1]:8080", "::1")
    assert isinstance(pinned, PinnedTarget)
    assert (pinned.url, pinned.host, pinned.address, pinned.port) == ("http://[::1]:8080", "::1", "::1", 8080)


def test_a_name_that_does_not_resolve_is_its_own_refusal() -> None:
    """An error of the resolver, no address, or something that is no address."""

    def failing(_host: str, _port: int) -> tuple[str, ...]:
        raise OSError("Name or service not known")

    assert kind(resolve_target("http://host", allow=(), resolver=failing)) is RefusalKind.UNRESOLVED
    assert kind(decide("http://host")) is RefusalKind.UNRESOLVED
    assert kind(decide("http://host", "rubbish")) is RefusalKind.UNRESOLVED


def test_the_systems_resolver_prefers_ipv4() -> None:
    """Most servers that listen on one family of localhost only listen there."""
    assert system_resolver("localhost", 80)[0] == "127.0.0.1"
    assert system_resolver("127.0.0.1", 80) == ("127.0.0.1",)
