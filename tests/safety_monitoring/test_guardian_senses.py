"""The guardian's eyes on a made-up host."""

from pathlib import Path

import pytest

from baseline_metrics.host_files import DiskReadings, HostFiles
from baseline_metrics.samples import Gap, GapReason, Sample
from safety_monitoring.guardian_senses import MEMORY_PERIOD_S, MEMORY_PERIOD_S_SHORT, GuardianSenses, fullest_disk
from safety_monitoring.judge import ReadingWindow
from safety_monitoring.limits import Resource

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
    assert (latest.percent, latest.free_bytes) == (Sample(value=10.0), Sample(value=921_600.0))
    own = senses.percent(Resource.OWN_MEMORY)
    assert isinstance(own, Sample)
    assert own.value == pytest.approx(10.0)


@pytest.mark.parametrize(("available", "period"), [(200, MEMORY_PERIOD_S), (140, MEMORY_PERIOD_S_SHORT)])
def test_short_memory_is_read_more_often(host: MadeUpHost, available: int, period: float) -> None:
    """With less than 15 % left the period is shorter."""
    window = ReadingWindow(began_mono_s=0.0)
    senses = senses_of(host, window)
    host.memory(available=available)
    senses.read_due(1.0)
    assert not senses.read_due(1.0 + period - 0.01)
    assert senses.read_due(1.0 + period)


def test_reading_again_does_not_spoil_the_cpu(host: MadeUpHost) -> None:
    """Memory is read again at once; CPU only if enough time has passed for a difference to mean something."""
    window = ReadingWindow(began_mono_s=0.0)
    senses = senses_of(host, window)
    senses.read_due(1.0)
    senses.read_again(1.1)
    assert len(window.newest_first(Resource.MEMORY)) == 2
    assert len(window.newest_first(Resource.CPU)) == 1
    senses.read_again(1.25)
    assert len(window.newest_first(Resource.CPU)) == 2
    assert not senses.read_due(1.26)


def disk(percent: float, free: float, inodes: float | Gap = UNKNOWN) -> DiskReadings:
    """One file system."""
    used_inodes = inodes if isinstance(inodes, Gap) else Sample(value=inodes)
    return DiskReadings(
        used_percent=Sample(value=percent), free_bytes=Sample(value=free), inodes_used_percent=used_inodes
    )


def test_the_fullest_disk_counts() -> None:
    """The highest use and the least free space count, wherever they are; inodes are use as well."""
    worst = fullest_disk([disk(10.0, 5.0), disk(60.0, 900.0), disk(20.0, 80.0, inodes=97.0)])
    assert (worst.used_percent, worst.free_bytes) == (Sample(value=97.0), Sample(value=5.0))


def test_one_unknown_disk_makes_disks_unknown() -> None:
    """A file system that cannot be looked at may be the full one."""
    blind = DiskReadings(used_percent=UNKNOWN, free_bytes=UNKNOWN, inodes_used_percent=UNKNOWN)
    assert fullest_disk([disk(10.0, 5.0), blind]).used_percent == UNKNOWN
    assert isinstance(fullest_disk([]).used_percent, Gap)
