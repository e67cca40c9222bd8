"""Zones come from the installed package, whatever the system has."""

import zoneinfo

import pytest

from baseline_metrics.zones import zone_named


def test_the_system_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no zone files where Python looks first, and no package where it looks next, zones are found all the same."""
    monkeypatch.setattr(zoneinfo, "TZPATH", ())
    zone_named.cache_clear()
    assert zone_named("Europe/Berlin").key == "Europe/Berlin"
    assert zone_named("America/Argentina/Buenos_Aires").key == "America/Argentina/Buenos_Aires"
    assert zone_named("Etc/GMT+5").key == "Etc/GMT+5"


@pytest.mark.parametrize(
    "name", ["", "Berlin", "Europe", "Europe/", "../Europe/Berlin", "Europe/../UTC", "/etc/passwd", "a\0b"]
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    """A directory, a path that leads elsewhere, a name that nobody has."""
    with pytest.raises(zoneinfo.ZoneInfoNotFoundError):
        zone_named(name)
