"""A host and a night in good order, for the preflight's tests."""

from baseline_metrics.host_files import MarkedProcess
from baseline_metrics.samples import Gap, GapReason, HostSample, NamedReading, Reading, Sample
from campaign.check_rows import CheckRow
from campaign.planned_night import PlannedNight
from campaign.planner import fit_night
from campaign.preflight_host import (
    HostView,
    OnBattery,
    OnMains,
)
from tests.support.plans import plan

GB = 10**9
NOW_UTC_S = 1_793_142_000.0


def view(
    *,
    disk_free: Reading = Sample(value=100.0 * GB),  # noqa: B008 - frozen records
    disk_percent: Reading = Sample(value=50.0),  # noqa: B008
    memory_available: Reading = Sample(value=20.0 * GB),  # noqa: B008
    memory_percent: Reading = Sample(value=30.0),  # noqa: B008
    temperature: Reading = Gap(reason=GapReason.ABSENT),  # noqa: B008
    files_max: int = 1024,
    ports: int = 28_232,
    power: OnMains | OnBattery = OnMains(),  # noqa: B008
    utc_s: float = NOW_UTC_S,
) -> HostView:
    """A host in good order, but for what is given."""
    readings = {
        "disk_free_bytes:/runs": disk_free,
        "disk_percent:/runs": disk_percent,
        "memory_available_bytes": memory_available,
        "memory_percent": memory_percent,
        "cpu_percent": Gap(reason=GapReason.FIRST_READING),
        "temperature_celsius_max": temperature,
        "battery_percent": Gap(reason=GapReason.ABSENT),
    }
    named = tuple(NamedReading(sensor=sensor, reading=reading) for sensor, reading in readings.items())
    sample = HostSample(at_mono_s=1.0, at_utc_s=utc_s, readings=named)
    return HostView(sample=sample, disk_path="/runs", files_max=files_max, ports=ports, power=power, utc_s=utc_s)


def default_night() -> PlannedNight:
    """The default plan's night."""
    night = fit_night(plan(), now_utc_s=NOW_UTC_S, host_cpu_count=4, run_id="run")
    assert isinstance(night, PlannedNight)
    return night


def no_process() -> tuple[MarkedProcess, ...]:
    """Nobody on this host carries a mark."""
    return ()


def row(rows: tuple[CheckRow, ...], name: str) -> CheckRow:
    """The row of one check."""
    (found,) = [candidate for candidate in rows if candidate.name == name]
    return found
