"""Readings and host samples."""

import dataclasses

import pytest

from baseline_metrics.samples import Gap, GapReason, HostSample, NamedReading, Sample

HOST = HostSample(
    at_mono_s=1.0,
    at_utc_s=2.0,
    readings=(
        NamedReading(sensor="memory_percent", reading=Sample(value=40.0)),
        NamedReading(sensor="battery_percent", reading=Gap(reason=GapReason.ABSENT, detail="no battery")),
    ),
)


def test_a_reading_is_found_by_its_sensor() -> None:
    """A sensor's name gives its number, or its gap with the reason."""
    assert HOST.reading("memory_percent") == Sample(value=40.0)
    assert HOST.reading("battery_percent") == Gap(reason=GapReason.ABSENT, detail="no battery")


def test_a_sensor_that_is_not_there_is_a_gap() -> None:
    """Asking for an unknown sensor gives ABSENT with its name, never 0."""
    assert HOST.reading("moon_phase") == Gap(
        reason=GapReason.ABSENT, detail="no sensor named moon_phase in this sample"
    )


def test_readings_cannot_be_changed() -> None:
    """A fact stays as it was read."""
    sample = Sample(value=1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample.value = 2.0  # type: ignore[misc]
