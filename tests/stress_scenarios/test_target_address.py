"""Which targets a load test may have."""

from collections.abc import Sequence

import pytest

from stress_scenarios.target_address import TargetError, may_be_loaded, pinned_target, resolve_by_system


def names(**addresses: Sequence[str]) -> "Resolver":
    """A resolver that knows these names."""
    return Resolver({name.replace("_", "."): tuple(found) for name, found in addresses.items()})


class Resolver:
    """Looks a name up in a table."""

    def __init__(self, table: dict[str, Sequence[str]]) -> None:
        self._table = table

    def __call__(self, host: str, port: int) -> Sequence[str]:
        """Raises OSError for a name that is not in the table."""
        assert port > 0
        if host not in self._table:
            raise OSError("Name or service not known")
        return self._table[host]


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("127.0.0.1", True),
        ("127.255.255.255", True),
        ("128.0.0.0", False),
        ("::1", True),
        ("9.255.255.255", False),
        ("10.0.0.0", True),
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("172.15.255.255", False),
        ("172.16.0.0", True),
        ("172.31.255.255", True),
        ("172.32.0.0", False),
        ("192.168.0.0", True),
        ("192.169.0.0", False),
        ("fc00::1", True),
        ("fdff::1", True),
        ("fe00::1", False),
        ("169.254.169.254", False),
        ("fe80::1%eth0", False),
        ("::ffff:192.168.1.1", True),
        ("::ffff:8.8.8.8", False),
        ("0.0.0.0", False),
        ("nonsense", False),
    ],
)
def test_only_loopback_and_private_addresses_may_be_loaded(address: str, *, allowed: bool) -> None:
    """The edges of each range, and the addresses that only look private."""
    assert may_be_loaded(address) is allowed


def test_a_name_is_resolved_once_and_pinned() -> None:
    """The URL keeps the name, the address is the resolver's first."""
    target = pinned_target(
        "https://shop.test/cart?x=1", allowed_hosts=(), resolve=names(shop_test=("192.168.7.7", "192.168.7.8"))
    )
    assert (target.url, target.address, target.port) == ("https://shop.test", "192.168.7.7", 443)


def test_a_public_host_needs_to_be_named() -> None:
    """It is refused with what to write, and accepted when that was written."""
    resolve = names(example_test=("203.0.113.9",))
    with pytest.raises(TargetError, match=r"--allow-target example\.test"):
        pinned_target("http://example.test", allowed_hosts=("other.test",), resolve=resolve)
    target = pinned_target("http://example.test:8080", allowed_hosts=("example.test",), resolve=resolve)
    assert (target.address, target.port) == ("203.0.113.9", 8080)


def test_a_name_with_one_public_address_is_public() -> None:
    """All addresses of a name must be private."""
    with pytest.raises(TargetError, match="public"):
        pinned_target("http://both.test", allowed_hosts=(), resolve=names(both_test=("10.0.0.1", "203.0.113.9")))


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:80",
        "ftp://127.0.0.1",
        "http://",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:x",
        "http://127.0.0.1:0",
        "http://[::1",
        "http://user:secret@127.0.0.1",
        "http://unknown.test",
        "http://nowhere.test",
        "",
    ],
)
def test_what_is_no_target_is_refused(url: str) -> None:
    """Each with a message, none with the password in it."""
    with pytest.raises(TargetError) as refused:
        pinned_target(url, allowed_hosts=(), resolve=names(nowhere_test=()))
    assert "secret" not in str(refused.value)


def test_numeric_addresses_need_no_name_service() -> None:
    """The system's resolver gives numbers back."""
    assert resolve_by_system("127.0.0.1", 80) == ["127.0.0.1"]
    assert resolve_by_system("::1", 80) == ["::1"]
