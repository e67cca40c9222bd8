"""Preflight checks of this machine: disk, memory, open files, clock, power, sensors.

``read_host`` is the only reader; the checks are pure functions of what it found, so that every boundary has its test.
The launcher's process uses it.
"""

import resource
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import psutil

from baseline_metrics.clock import Clock
from baseline_metrics.file_systems import FileSystem, Nature, file_system_of
from baseline_metrics.host_files import disk_readings
from baseline_metrics.samples import Gap, GapReason, HostSample, Reading, Sample
from baseline_metrics.sensors import HostSensors
from baseline_metrics.thermal_files import CELSIUS_MAX
from baseline_metrics.units import format_bytes, format_duration
from campaign.check_rows import CheckRow, fail, ok, unknown, warn
from campaign.plan_settings import TEMPERATURE_CELSIUS_MAX
from campaign.planned_memory import CONNECTION_BYTES, WORKER_BYTES
from campaign.planned_night import PlannedNight
from campaign.window import local_time
from monitoring_logs.load_orders import MemoryLoad, NoSearch
from monitoring_logs.records import PhaseOrder
from safety_monitoring.limits import CEILING_PERCENT, CLEAR_MARGIN_PERCENT, INODES_FREE_MIN
from stress_scenarios.load_plan import Thinking, Unpaced

DISK_FREE_BYTES_MIN = 10**9
FORECAST_FACTOR = 3
"""Free space for three nights: a forecast is a forecast, and a full disk ruins more than the night."""

RECORD_BYTES_PER_SAMPLE = 4096
"""Host sample, load second and their indexes of one second; measured at about 3.5 KiB."""

NIGHT_FILES = 200
"""Files and directories of a run: logs of 64 load processes twice, journals, reports of 64 phases; usually about 40."""

INODES_NOT_COUNTED = Gap(reason=GapReason.ABSENT, detail="this file system does not count them")

LOGS_BYTES = 64 << 20
"""Component logs are rotated and capped; journals and reports take the rest."""

MEMORY_COMFORTABLE_BYTES = 4 * 10**9
CONTROL_BYTES = 160 << 20
CONTROL_BYTES_PER_HOUR = 18 << 20
"""Supervisor, guardian and reporter together: measured at 145 MiB in a night of a minute. The reporter reads a whole record, so
300 MiB are kept ready for one of eight hours."""

FILES_PER_PROCESS = 64
"""Descriptors of a load process beside its connections: pipes, page, logs, libraries."""

PORT_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
PORTS_USUAL = 28_232
"""What Linux gives unless somebody changed it, 32768 to 60999; taken where the file cannot be read."""

TIME_WAIT_S = 60.0
"""How long a port stays taken after its connection was closed; a constant of the Linux kernel."""

CLOCK_SANE_UTC_S = 1_735_689_600.0
"""2025-01-01: this program is younger, so a clock before that has lost its time."""

SENSORS_NEEDED = ("memory_percent", "memory_available_bytes")
"""Sensors without which nobody can tell whether the host suffers; CPU and disk are named with their paths."""

SQLITE_SAFE = (3, 51, 3)
"""From here on two writers cannot damage a write-ahead log. We have one writer in any case."""

SQLITE_BACKPORTS = ((3, 50, 7), (3, 44, 6))
"""Older lines that got the same correction, in this release and those that follow in the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnMains:
    """No battery drains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnBattery:
    """The machine runs on its battery."""

    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """What the checks look at. disk_path: the nearest existing directory on the way to the runs directory.

    files_max: descriptors that a load process can have, which raises its own limit. ports: that connecting takes from.
    """

    sample: HostSample
    disk_path: str
    files_max: int
    ports: int
    power: OnMains | OnBattery
    utc_s: float
    inodes_free: Reading = INODES_NOT_COUNTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the planned night asks of the host; zeros when there is no plan."""

    record_bytes: int
    memory_bytes: int
    memory_reserve_bytes: int
    disk_reserve_bytes: int
    memory_percent_max: float
    disk_percent_max: float
    connections_per_worker: int
    connections: int
    connections_per_s: float
    temperature_celsius_max: float = TEMPERATURE_CELSIUS_MAX


def read_host(*, disk_path: str, clock: Clock) -> HostView:
    """Look at this machine; changes nothing, waits for nothing."""
    sensors = HostSensors(disk_paths=(disk_path,), clock=clock)
    _, files_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    return HostView(
        sample=sensors.read(),
        disk_path=disk_path,
        files_max=files_max if files_max != resource.RLIM_INFINITY else 1 << 30,
        ports=_ports(),
        power=_power(),
        utc_s=clock.utc_s(),
        inodes_free=disk_readings(disk_path).inodes_free,
    )


def _ports() -> int:
    try:
        low, high = PORT_RANGE_FILE.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return PORTS_USUAL
    return int(high) - int(low) + 1


def _power() -> OnMains | OnBattery:
    try:
        battery = psutil.sensors_battery()
    except (OSError, AttributeError, RuntimeError):
        return OnMains()
    if battery is None or battery.power_plugged is not False:
        return OnMains()
    return OnBattery(percent=float(battery.percent))


def forecast_bytes(planned: PlannedNight) -> int:
    """How much the night will write."""
    samples = planned.length_s / min(1.0, planned.order.host_sample_period_s)
    return int(samples * RECORD_BYTES_PER_SAMPLE) + LOGS_BYTES


def memory_forecast_bytes(planned: PlannedNight, engine: str) -> int:
    """How much memory all our processes will take together at the highest load, memory that phases hold included."""
    control = CONTROL_BYTES + int(planned.length_s / 3600.0 * CONTROL_BYTES_PER_HOUR)
    ours = control + planned.workers * WORKER_BYTES[engine] + connections_max(planned) * CONNECTION_BYTES[engine]
    held = (phase.memory for phase in planned.order.phases if not phase.cut)
    return ours + max((load.size_bytes for load in held if isinstance(load, MemoryLoad)), default=0)


def connections_max(planned: PlannedNight) -> int:
    """Connections of the largest load of the night."""
    phases = (most_connections(phase) for phase in planned.order.phases if not phase.cut)
    return max((planned.order.anchor.connections, *phases))


def most_connections(phase: PhaseOrder) -> int:
    """Connections of a phase at most, its search included."""
    return phase.connections if isinstance(phase.search, NoSearch) else max(phase.connections, phase.search.connections)


def connections_per_s_max(planned: PlannedNight) -> float:
    """How many connections the busiest load opens and closes each second: one for each session."""
    phases = (_connections_per_s(phase) for phase in planned.order.phases if not phase.cut)
    return max(phases, default=0.0)


def _connections_per_s(phase: PhaseOrder) -> float:
    """Of a phase whose pace the target sets: while it keeps its criterion. A search's rate is not known beforehand."""
    if isinstance(phase.pace, Unpaced | Thinking):
        return phase.operations_expected / (phase.ramp_s + phase.hold_s) / phase.operations_per_session
    return phase.connections * phase.operations_per_s / phase.operations_per_session


def check_disk(view: HostView, needs: Needs) -> CheckRow:
    """Room for 1 GB and for three nights beside the guardian's reserve, below the guardian's limit, and files enough."""
    free = view.sample.reading(f"disk_free_bytes:{view.disk_path}")
    used = view.sample.reading(f"disk_percent:{view.disk_path}")
    needed = max(DISK_FREE_BYTES_MIN, FORECAST_FACTOR * needs.record_bytes + needs.disk_reserve_bytes)
    if isinstance(free, Gap) or isinstance(used, Gap):
        return unknown(
            "disk", f"free space of {view.disk_path}: {_why(free, used)}", "write to a local disk: --runs-dir"
        )
    detail = f"{format_bytes(free.value)} free on {view.disk_path} ({used.value:.0f} % used)"
    remedy = "make room, or write elsewhere: --runs-dir"
    if free.value < needed:
        parts = f"3 x {format_bytes(needs.record_bytes)} forecast + {format_bytes(needs.disk_reserve_bytes)} reserve"
        return fail("disk", f"{detail}, {format_bytes(needed)} are needed ({parts}, at least 1 GB)", remedy)
    if used.value >= needs.disk_percent_max:
        return fail("disk", f"{detail}: at the guardian's limit of {needs.disk_percent_max:g} % already", remedy)
    files = INODES_FREE_MIN + NIGHT_FILES
    if isinstance(view.inodes_free, Sample) and view.inodes_free.value < files:
        counted = f"{view.inodes_free.value:.0f} more files can be made on {view.disk_path}"
        parts = f"{NIGHT_FILES} of a night + {INODES_FREE_MIN} that the guardian keeps"
        return fail("disk", f"{counted}, {files} are needed ({parts})", f"remove files, or {remedy}")
    return ok("disk", f"{detail}, {format_bytes(needed)} needed")


def check_memory(view: HostView, needs: Needs) -> CheckRow:
    """Room for our processes beside the guardian's reserve, and below the guardian's limit."""
    available = view.sample.reading("memory_available_bytes")
    used = view.sample.reading("memory_percent")
    if isinstance(available, Gap) or isinstance(used, Gap):
        return unknown("memory", _why(available, used), "run on a Linux host with /proc")
    needed = needs.memory_bytes + needs.memory_reserve_bytes
    detail = f"{format_bytes(available.value)} available, {format_bytes(needed)} needed"
    remedy = "end other programs, or ask for fewer connections"
    if available.value < needed:
        return fail("memory", f"{detail} (reserve {format_bytes(needs.memory_reserve_bytes)} included)", remedy)
    if used.value >= needs.memory_percent_max:
        text = f"{used.value:.0f} % used: at the guardian's limit of {needs.memory_percent_max:g} % (its strictest phase) already"
        return fail("memory", text, f"{remedy}, or write a higher safety.memory or threshold_multiplier")
    if available.value < MEMORY_COMFORTABLE_BYTES:
        return warn("memory", f"{detail}; below 4 GB a night may be stopped by its neighbours", remedy)
    return ok("memory", detail)


def check_temperature(view: HostView, needs: Needs) -> CheckRow:
    """Cool enough to begin, by the same margin as the guardian wants before load may return. A host may have no sensor."""
    hottest = view.sample.reading("temperature_celsius_max")
    if isinstance(hottest, Gap):
        return ok("temperature", f"no sensor on this host: heat would not be noticed ({_why(hottest)})")
    if hottest.value > CELSIUS_MAX:
        return ok("temperature", f"a sensor says {hottest.value:.0f} degrees Celsius, which no machine can be")
    coolest = needs.temperature_celsius_max * (1.0 - CLEAR_MARGIN_PERCENT / 100.0)
    detail = f"{hottest.value:.0f} degrees Celsius at the hottest sensor, limit {needs.temperature_celsius_max:g}"
    if hottest.value > coolest:
        remedy = "let the machine cool, clean its fans, or write a higher safety.temperature"
        return fail("temperature", f"{detail}: {coolest:.0f} at most before a load begins", remedy)
    return ok("temperature", detail)


def check_files(view: HostView, needs: Needs) -> CheckRow:
    """Descriptors for every connection of a load process."""
    needed = needs.connections_per_worker + FILES_PER_PROCESS
    detail = f"{view.files_max} open files can be had, {needed} needed by one load process"
    if view.files_max < needed:
        return fail("open files", detail, f"raise the hard limit (ulimit -Hn) to {needed}, or write more workers")
    return ok("open files", detail)


def check_ports(view: HostView, needs: Needs) -> CheckRow:
    """Local ports for every connection at once, and for those that have just been closed."""
    remedy = "ask for fewer connections, or widen net.ipv4.ip_local_port_range"
    if needs.connections > view.ports:
        return fail("ports", f"{view.ports} local ports, {needs.connections} connections are asked for", remedy)
    waiting = needs.connections_per_s * TIME_WAIT_S
    if needs.connections + waiting > view.ports:
        detail = (
            f"{view.ports} local ports, {needs.connections} connections + {needs.connections_per_s:,.0f} sessions/s x "
            f"{TIME_WAIT_S:g} s of a closed one's rest = {needs.connections + waiting:,.0f} may be taken at once"
        )
        return warn("ports", detail, f"write more operations per session, or {remedy}")
    return ok("ports", f"{view.ports} local ports, at most {needs.connections + waiting:,.0f} taken at once")


def check_clock(view: HostView) -> CheckRow:
    """The wall clock cannot be before this program was written."""
    if view.utc_s < CLOCK_SANE_UTC_S:
        detail = f"the clock says {local_time(view.utc_s, 'UTC'):%Y-%m-%d}: it has lost its time"
        return fail("clock", detail, "set the clock; reports and --until would be wrong")
    return ok("clock", f"{local_time(view.utc_s, 'UTC'):%Y-%m-%d %H:%M:%S} UTC")


def check_power(view: HostView) -> CheckRow:
    """A night should not end with the battery."""
    match view.power:
        case OnMains():
            return ok("power", "no battery drains")
        case OnBattery(percent=percent):
            return warn("power", f"on battery, {percent:.0f} %", "plug the machine in")


def check_sensors(view: HostView) -> CheckRow:
    """Which sensors are absent; the ones that the guardian's limits rest on must not be."""
    absent: list[str] = []
    missing: list[str] = []
    needed = (*SENSORS_NEEDED, f"disk_percent:{view.disk_path}")
    for named in view.sample.readings:
        if isinstance(named.reading, Gap) and named.reading.reason is not GapReason.FIRST_READING:
            (missing if named.sensor in needed else absent).append(named.sensor)
    if missing:
        remedy = "run where /proc is readable; without them nobody could tell when to stop"
        return unknown("sensors", f"needed and not readable: {', '.join(missing)}", remedy)
    readable = len(view.sample.readings) - len(absent)
    return ok("sensors", f"{readable} readable" + (f"; not on this host: {', '.join(absent)}" if absent else ""))


def check_sqlite(version: str = sqlite3.sqlite_version) -> CheckRow:
    """For the record: which SQLite keeps the measurements."""
    numbers = tuple(int(part) for part in version.split(".")[:3])
    safe = numbers >= SQLITE_SAFE or any(numbers[:2] == fix[:2] and numbers >= fix for fix in SQLITE_BACKPORTS)
    note = "" if safe else " (older than 3.51.3; its write-ahead log is safe with one writer, which is what there is)"
    return ok("sqlite", version + note)


def check_file_system(place: Path, kind_of: Callable[[str], FileSystem] = file_system_of) -> CheckRow:
    """Where the record will lie: a database on a network file system loses locks and syncs, and with them the record."""
    remedy = "write to a disk of this host: --runs-dir DIR"
    try:
        kind = kind_of(str(place))
    except OSError as error:
        return warn("file system", f"{place}: the kernel does not say what it lies on: {error.strerror}", remedy)
    match kind.nature:
        case Nature.LOCAL:
            return ok("file system", f"{place} lies on {kind.name}")
        case Nature.NETWORK:
            why = "its locks and syncs do not keep a database safe"
            return fail("file system", f"{place} lies on {kind.name}: {why}", remedy)
        case Nature.UNKNOWN:
            return warn("file system", f"{place} lies on {kind.name}, which nobody here has tried", remedy)
    assert_never(kind.nature)


def check_clock_changes(planned: PlannedNight) -> CheckRow:
    """Whether the local clock is changed during the night."""
    if not planned.window.changes:
        return ok("clock changes", f"none until the window closes ({planned.order.zone})")
    zone = planned.order.zone
    texts = [
        f"{'forward' if change.forward_s > 0 else 'back'} by {format_duration(abs(change.forward_s))} "
        f"at {local_time(change.at_utc_s - 1, zone):%H:%M:%S %Z}"
        for change in planned.window.changes
    ]
    remedy = "nothing to do: durations are real ones; local times in the report carry their offset"
    return warn("clock changes", f"the clock is set {', '.join(texts)}", remedy)


def needs_of(
    planned: PlannedNight,
    *,
    engine: str,
    memory_percent: float,
    disk_percent: float,
    reserves: tuple[int, int],
    temperature_celsius: float,
) -> Needs:
    """What a night asks of the host; reserves: of memory and of disk, bytes."""
    per_worker = -(-connections_max(planned) // planned.workers)
    return Needs(
        record_bytes=forecast_bytes(planned),
        memory_bytes=memory_forecast_bytes(planned, engine),
        memory_reserve_bytes=reserves[0],
        disk_reserve_bytes=reserves[1],
        memory_percent_max=memory_percent,
        disk_percent_max=disk_percent,
        connections_per_worker=per_worker,
        connections=connections_max(planned),
        connections_per_s=connections_per_s_max(planned),
        temperature_celsius_max=temperature_celsius,
    )


NEEDS_OF_NO_PLAN = Needs(
    record_bytes=0,
    memory_bytes=CONTROL_BYTES + WORKER_BYTES["httpx"],
    memory_reserve_bytes=512 << 20,
    disk_reserve_bytes=0,
    memory_percent_max=CEILING_PERCENT,
    disk_percent_max=CEILING_PERCENT,
    connections_per_worker=1,
    connections=1,
    connections_per_s=0.0,
)
"""Without a plan: what the smallest campaign takes."""


def _why(*readings: Reading) -> str:
    return "; ".join(
        f"{reading.reason.value} {reading.detail}".strip() for reading in readings if not isinstance(reading, Sample)
    )
