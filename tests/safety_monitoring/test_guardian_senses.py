"""The guardian's eyes on a made-up host."""

import os
from pathlib import Path

import pytest

from baseline_metrics.host_files import DiskReadings, HostFiles
from baseline_metrics.samples import Gap, GapReason, Sample
from safety_monitoring.guardian_senses import GuardianSenses, fullest_disk
from safety_monitoring.judge import ReadingWindow
from safety_monitoring.limits import Limit, Limits, Resource
from safety_monitoring.look_period import FILL_BYTES_PER_S, PERIOD_S_MAX, PERIOD_S_MIN, memory_period_s

CORES = os.cpu_count() or 1
UNKNOWN = Gap(reason=GapReason.FAILED, detail="no answer")


class MadeUpHost:
    """A /proc of two processes, whose numbers the test sets."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.memory(available=900)
        self.cpu(busy=0, idle=0)
        self.process(10, parent=1, ticks=0, pages=0)

    def write(self, name: str, content: str) -> None:
        """Put a file under /proc, in place, as kept descriptors need it."""
        path = self.root / "proc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def memory(self, *, available: int) -> None:
        """Of 1000 KiB."""
        self.write("meminfo", f"MemTotal: 1000 kB\nMemAvailable: {available} kB\n")

    def cpu(self, *, busy: int, idle: int) -> None:
        """Ticks since boot."""
        self.write("stat", f"cpu {busy} 0 0 {idle} 0 0 0 0 0 0\n")

    def process(self, pid: int, *, parent: int, ticks: int, pages: int) -> None:
        """One process with its CPU time and memory."""
        self.write(f"{pid}/stat", f"{pid} (x) S {parent} 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 5 9 {pages} 0\n")


@pytest.fixture
def host(tmp_path: Path) -> MadeUpHost:
    """A made-up host."""
    return MadeUpHost(tmp_path)


def senses_of(host: MadeUpHost, window: ReadingWindow) -> GuardianSenses:
    """Eyes on a made-up host."""
    root = str(host.root)
    return GuardianSenses(window=window, disk_paths=(root,), roots=lambda: (10,), host=HostFiles(root=root), root=root)


def test_rates_need_two_readings(host: MadeUpHost) -> None:
    """The first CPU reading is a gap; the second is the busy share of the time between them."""
    senses = senses_of(host, ReadingWindow(began_mono_s=0.0))
    assert senses.read_due(1.0)
    first = senses.percent(Resource.CPU)
    assert isinstance(first, Gap)
    assert first.reason is GapReason.FIRST_READING
    host.cpu(busy=150, idle=50)
    host.process(10, parent=1, ticks=20, pages=0)
    host.process(11, parent=10, ticks=30, pages=0)
    assert senses.read_due(2.0)
    assert senses.percent(Resource.CPU) == Sample(value=75.0)
    assert senses.percent(Resource.OWN_CPU) == Sample(value=25.0)


def test_a_child_that_ended_takes_nothing_away(host: MadeUpHost) -> None:
    """Our own share never becomes negative when a process of ours ends."""
    host.process(11, parent=10, ticks=5000, pages=0)
    senses = senses_of(host, ReadingWindow(began_mono_s=0.0))
    senses.read_due(1.0)
    (host.root / "proc" / "11" / "stat").unlink()
    host.cpu(busy=10, idle=90)
    senses.read_due(2.0)
    assert senses.percent(Resource.OWN_CPU) == Sample(value=0.0)


def test_memory_is_what_is_not_available(host: MadeUpHost) -> None:
    """Used is total less available; our own part is the resident memory of our tree."""
    window = ReadingWindow(began_mono_s=0.0)
    senses = senses_of(host, window)
    host.process(10, parent=1, ticks=0, pages=25)
    senses.read_due(1.0)
    latest = window.latest(Resource.MEMORY)
    assert not isinstance(latest, Gap)
    assert (latest.percent, latest.free) == (Sample(value=10.0), Sample(value=921_600.0))
    own = senses.percent(Resource.OWN_MEMORY)
    assert isinstance(own, Sample)
    assert own.value == pytest.approx(10.0)


MEMORY_LIMIT = Limit(
    resource=Resource.MEMORY,
    percent_max=80.0,
    free_min=1 << 30,
    hold_s=2.0,
    clear_margin_percent=5.0,
    clear_hold_s=10.0,
)


@pytest.mark.parametrize(
    ("available_gib", "ramp", "period"),
    [
        (100, 0.0, PERIOD_S_MAX),  # 80 GiB until 80 % are used
        (24, 0.0, 0.5),  # 4 GiB
        (24, 4 * FILL_BYTES_PER_S, PERIOD_S_MIN),
        (20, 0.0, PERIOD_S_MIN),  # none
        (5, 0.0, PERIOD_S_MIN),
    ],
)
def test_short_memory_is_read_more_often(host: MadeUpHost, available_gib: int, ramp: float, period: float) -> None:
    """By what is left until the limit is reached, of 100 GiB, and by how fast our own load takes it."""
    window = ReadingWindow(began_mono_s=0.0)
    senses = senses_of(host, window)
    host.write("meminfo", f"MemTotal: {100 << 20} kB\nMemAvailable: {available_gib << 20} kB\n")
    senses.expect(Limits(limits=(MEMORY_LIMIT,), unknown_s_max=30.0), memory_ramp_bytes_per_s=ramp)
    senses.read_due(1.0)
    assert not senses.read_due(1.0 + period - 0.01)
    assert senses.read_due(1.0 + period + 1e-6)


def test_without_a_limit_what_is_available_counts(host: MadeUpHost) -> None:
    """And memory that cannot be read is looked at as often as memory that is gone."""
    assert memory_period_s(Sample(value=float(FILL_BYTES_PER_S)), ramp_bytes_per_s=0.0) == 0.5
    assert memory_period_s(UNKNOWN, ramp_bytes_per_s=0.0) == PERIOD_S_MIN
    senses = senses_of(host, ReadingWindow(began_mono_s=0.0))
    host.write("meminfo", f"MemTotal: {100 << 20} kB\nMemAvailable: {4 << 20} kB\n")
    senses.read_due(1.0)
    assert not senses.read_due(1.49)
    assert senses.read_due(1.5)


def test_a_quota_that_is_used_up_is_a_busy_cpu(host: MadeUpHost) -> None:
    """A container with half a core: the host is idle, and the kernel lets us wait all the same. Our own share is of that."""
    host.write("self/cgroup", "0::/job\n")
    host.write("self/mountinfo", "31 23 0:28 / /cgroup rw shared:9 - cgroup2 cgroup2 rw\n")
    group = host.root / "cgroup/job"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("50000 100000\n")
    (group / "cpu.stat").write_text("usage_usec 0\n")
    senses = senses_of(host, ReadingWindow(began_mono_s=0.0))
    senses.read_due(1.0)
    ticks = 100 * CORES
    host.cpu(busy=ticks // 10, idle=ticks - ticks // 10)
    host.process(10, parent=1, ticks=30, pages=0)
    (group / "cpu.stat").write_text("usage_usec 450000\n")
    senses.read_due(2.0)
    assert senses.percent(Resource.CPU) == Sample(value=90.0)
    own = senses.percent(Resource.OWN_CPU)
    assert isinstance(own, Sample)
    assert own.value == pytest.approx(60.0)


def test_reading_again_does_not_spoil_the_cpu(host: MadeUpHost) -> None:
    """Memory is read again at once; CPU only if enough time has passed for a difference to mean something."""
    window = ReadingWindow(began_mono_s=0.0)
    senses = senses_of(host, window)
    senses.read_due(1.0)
    senses.read_again(1.1)
    assert len(tuple(window.newest_first(Resource.MEMORY))) == 2
    assert len(tuple(window.newest_first(Resource.CPU))) == 1
    senses.read_again(1.25)
    assert len(tuple(window.newest_first(Resource.CPU))) == 2
    assert not senses.read_due(1.26)


def test_the_load_is_of_the_whole_host_whatever_a_container_may_use(host: MadeUpHost) -> None:
    """The kernel counts everybody's tasks: a tenth of a core of a busy host would else never be allowed to work."""
    host.write("self/cgroup", "0::/job\n")
    host.write("self/mountinfo", "31 23 0:28 / /cgroup rw shared:9 - cgroup2 cgroup2 rw\n")
    group = host.root / "cgroup/job"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("10000 100000\n")
    (group / "cpu.stat").write_text("usage_usec 0\n")
    host.write("loadavg", f"{8 * CORES}.00 1 1 1/1 1\n")
    window = ReadingWindow(began_mono_s=0.0)
    senses_of(host, window).read_due(1.0)
    latest = window.latest(Resource.LOAD)
    assert not isinstance(latest, Gap)
    assert latest.level == Sample(value=8.0)


def test_heat_is_read_again_in_the_moment_of_acting(host: MadeUpHost) -> None:
    """Although it is due only every other second."""
    sensor = host.root / "sys" / "class" / "hwmon" / "hwmon0" / "temp1_input"
    sensor.parent.mkdir(parents=True)
    sensor.write_text("99000\n")
    window = ReadingWindow(began_mono_s=0.0)
    senses = senses_of(host, window)
    senses.read_due(1.0)
    sensor.write_text("60000\n")
    senses.read_again(1.5)
    latest = window.latest(Resource.TEMPERATURE)
    assert not isinstance(latest, Gap)
    assert latest.level == Sample(value=60.0)


def disk(percent: float, free: float, inodes: float | Gap = UNKNOWN) -> DiskReadings:
    """One file system."""
    used_inodes = inodes if isinstance(inodes, Gap) else Sample(value=inodes)
    return DiskReadings(
        used_percent=Sample(value=percent),
        free_bytes=Sample(value=free),
        inodes_used_percent=used_inodes,
        inodes_free=used_inodes if isinstance(used_inodes, Gap) else Sample(value=1000.0 - 10.0 * used_inodes.value),
    )


def test_the_fullest_disk_counts() -> None:
    """The highest use counts wherever it is, of bytes and of inodes; the reserve is of where the record grows."""
    worst = fullest_disk([disk(10.0, 50.0), disk(60.0, 5.0), disk(20.0, 80.0, inodes=97.0)])
    assert (worst.used_percent, worst.free_bytes) == (Sample(value=60.0), Sample(value=50.0))
    assert (worst.inodes_used_percent, worst.inodes_free) == (Sample(value=97.0), Sample(value=30.0))


def test_one_unknown_disk_makes_disks_unknown() -> None:
    """A file system that cannot be looked at may be the full one."""
    blind = DiskReadings(used_percent=UNKNOWN, free_bytes=UNKNOWN, inodes_used_percent=UNKNOWN, inodes_free=UNKNOWN)
    assert fullest_disk([disk(10.0, 5.0), blind]).used_percent == UNKNOWN
    assert isinstance(fullest_disk([]).used_percent, Gap)
