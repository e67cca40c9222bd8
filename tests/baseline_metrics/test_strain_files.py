"""Pressure, load, swap, battery and open files: a made-up host, and this one."""

import os
import resource
from pathlib import Path

import pytest

from baseline_metrics.kept_files import KeptFile
from baseline_metrics.samples import Gap, GapReason, Sample
from baseline_metrics.strain_files import BatteryFiles, LoadFile, PressureFile, ProcessFiles, SwapFile

MIB = 1 << 20


def put(root: Path, name: str, content: str) -> None:
    """A file of a made-up host."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def pressure(root: Path, *, some: int, full: int) -> None:
    """Totals in microseconds."""
    line = "{kind} avg10=0.00 avg60=0.00 avg300=0.00 total={total}\n"
    put(root, "proc/pressure/io", line.format(kind="some", total=some) + line.format(kind="full", total=full))


def test_pressure_is_the_share_of_the_last_ten_seconds(tmp_path: Path) -> None:
    """Of the kind that is asked for; what is longer ago does not count any more."""
    pressure(tmp_path, some=0, full=0)
    some, full = (PressureFile("io", kind, root=str(tmp_path)) for kind in ("some", "full"))
    for file in (some, full):
        first = file.read(100.0)
        assert isinstance(first, Gap)
        assert first.reason is GapReason.FIRST_READING
    pressure(tmp_path, some=2_000_000, full=500_000)
    assert (some.read(104.0), full.read(104.0)) == (Sample(value=50.0), Sample(value=12.5))
    for at_s in range(105, 115):
        reading = some.read(float(at_s))
    assert reading == Sample(value=0.0)


def test_a_pressure_that_runs_backwards_begins_anew(tmp_path: Path) -> None:
    """A restored machine; no negative share."""
    pressure(tmp_path, some=9_000_000, full=0)
    file = PressureFile("io", "some", root=str(tmp_path))
    file.read(100.0)
    pressure(tmp_path, some=0, full=0)
    assert isinstance(file.read(101.0), Gap)
    pressure(tmp_path, some=500_000, full=0)
    assert file.read(102.0) == Sample(value=50.0)


@pytest.mark.parametrize("content", ["", "some avg10=0.00\n", "full total=x\n"])
def test_a_pressure_file_without_its_line_is_a_gap(tmp_path: Path, content: str) -> None:
    """Older kernels have no ``full`` for the CPU."""
    put(tmp_path, "proc/pressure/cpu", content)
    reading = PressureFile("cpu", "full", root=str(tmp_path)).read(1.0)
    assert isinstance(reading, Gap)
    assert reading.reason is GapReason.MALFORMED


def test_a_kernel_without_pressure_says_so(tmp_path: Path) -> None:
    """Absent, not 0."""
    reading = PressureFile("io", "full", root=str(tmp_path)).read(1.0)
    assert isinstance(reading, Gap)
    assert reading.reason is GapReason.ABSENT


def swap(root: Path, *, total_mib: int, free_mib: int) -> None:
    """Of /proc/meminfo."""
    put(root, "proc/meminfo", f"MemTotal: 1 kB\nSwapTotal: {total_mib * 1024} kB\nSwapFree: {free_mib * 1024} kB\n")


def test_swap_grows_by_what_was_not_used_a_minute_ago(tmp_path: Path) -> None:
    """A swap that is full since yesterday grows by nothing; one that is paged back in does not grow below 0."""
    swap(tmp_path, total_mib=1000, free_mib=100)
    file = SwapFile(root=str(tmp_path))
    assert isinstance(file.read(0.0).growth_bytes, Gap)
    assert file.read(1.0).growth_bytes == Sample(value=0.0)
    swap(tmp_path, total_mib=1000, free_mib=60)
    grown = file.read(30.0)
    assert (grown.growth_bytes, grown.used_percent) == (Sample(value=40.0 * MIB), Sample(value=94.0))
    assert file.read(91.0).growth_bytes == Sample(value=0.0)
    swap(tmp_path, total_mib=1000, free_mib=900)
    assert file.read(92.0).growth_bytes == Sample(value=0.0)


def test_no_swap_is_no_swap(tmp_path: Path) -> None:
    """Absent; a share of nothing would be 0 or 100 as one likes."""
    swap(tmp_path, total_mib=0, free_mib=0)
    use = SwapFile(root=str(tmp_path)).read(0.0)
    for reading in (use.used_percent, use.growth_bytes):
        assert isinstance(reading, Gap)
        assert reading.reason is GapReason.ABSENT
    assert isinstance(SwapFile(root=str(tmp_path / "none")).read(0.0).used_percent, Gap)


def test_the_load_is_of_each_core(tmp_path: Path) -> None:
    """Less than one core is none: it counts as one."""
    put(tmp_path, "proc/loadavg", "6.00 2.32 2.21 2/108 17052\n")
    file = LoadFile(root=str(tmp_path))
    assert (file.per_core(4.0), file.per_core(0.5)) == (Sample(value=1.5), Sample(value=6.0))
    put(tmp_path, "proc/loadavg", "\n")
    assert isinstance(file.per_core(4.0), Gap)


def battery(root: Path, name: str, status: str, capacity: int, *, scope: str = "System", kind: str = "Battery") -> None:
    """One power supply."""
    for part, content in (("type", kind), ("scope", scope), ("status", status), ("capacity", str(capacity))):
        put(root, f"sys/class/power_supply/{name}/{part}", content + "\n")


@pytest.mark.parametrize(
    ("status", "drained"), [("Discharging", 70.0), ("Charging", 0.0), ("Full", 0.0), ("Not charging", 0.0)]
)
def test_a_battery_counts_while_it_discharges(tmp_path: Path, status: str, drained: float) -> None:
    """On mains a low battery is no trouble; a mouse's battery never is."""
    battery(tmp_path, "BAT0", status, 30)
    battery(tmp_path, "mouse", "Discharging", 1, scope="Device")
    battery(tmp_path, "AC", "Discharging", 1, kind="Mains")
    assert BatteryFiles(root=str(tmp_path)).drained_percent() == Sample(value=drained)


def test_of_two_batteries_the_fuller_one_counts(tmp_path: Path) -> None:
    """The machine runs on it when the other is empty."""
    battery(tmp_path, "BAT0", "Discharging", 5)
    battery(tmp_path, "BAT1", "Unknown", 60)
    assert BatteryFiles(root=str(tmp_path)).drained_percent() == Sample(value=40.0)


def test_a_machine_without_a_battery_says_so(tmp_path: Path) -> None:
    """And one whose battery does not answer is unknown."""
    reading = BatteryFiles(root=str(tmp_path)).drained_percent()
    assert isinstance(reading, Gap)
    assert reading.reason is GapReason.ABSENT
    battery(tmp_path, "BAT0", "Discharging", 5)
    (tmp_path / "sys/class/power_supply/BAT0/capacity").write_text("")
    assert isinstance(BatteryFiles(root=str(tmp_path)).drained_percent(), Gap)


def test_open_files_are_held_against_the_soft_limit(tmp_path: Path) -> None:
    """Share and what is left; an unlimited one is never short."""
    for number in range(8):
        put(tmp_path, f"proc/7/fd/{number}", "")
    limits = (
        "Limit                     Soft Limit           Hard Limit           Units\nMax open files            {soft}"
    )
    put(tmp_path, "proc/7/limits", limits.format(soft="10                   4096                 files\n"))
    found = ProcessFiles(7, root=str(tmp_path)).read()
    assert (found.used_percent, found.left) == (Sample(value=80.0), Sample(value=2.0))
    put(tmp_path, "proc/7/limits", limits.format(soft="unlimited            unlimited            files\n"))
    unlimited = ProcessFiles(7, root=str(tmp_path)).read().used_percent
    assert isinstance(unlimited, Sample)
    assert unlimited.value < 0.1
    gone = ProcessFiles(8, root=str(tmp_path)).read()
    assert isinstance(gone.used_percent, Gap)
    assert isinstance(gone.left, Gap)


def test_our_own_open_files_are_counted_on_this_host() -> None:
    """Opening more shows, against the limit that this process has."""
    files = ProcessFiles(os.getpid())
    before = files.read().left
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(5)]
    after = files.read()
    for descriptor in opened:
        os.close(descriptor)
    assert isinstance(before, Sample)
    assert isinstance(after.left, Sample)
    assert before.value - after.left.value == 5.0
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert isinstance(after.used_percent, Sample)
    assert after.left.value + after.used_percent.value / 100.0 * soft == pytest.approx(soft)


def test_this_host_answers_or_says_that_it_has_none() -> None:
    """Each with real files: a number in its range, or a gap with its reason."""
    readings = [
        LoadFile().per_core(1.0),
        SwapFile().read(0.0).used_percent,
        BatteryFiles().drained_percent(),
        *(PressureFile(kind, "some").read(1.0) for kind in ("cpu", "memory", "io")),
    ]
    for reading in readings:
        assert not isinstance(reading, Sample) or reading.value >= 0.0
        assert not isinstance(reading, Gap) or reading.detail
    assert isinstance(readings[0], Sample), "every Linux has a load average"
    if Path("/proc/pressure/cpu").exists():
        file = PressureFile("cpu", "some")
        file.read(1.0)
        assert isinstance(file.read(2.0), Sample)


def test_a_kept_file_tells_why_it_cannot_be_read(tmp_path: Path) -> None:
    """Not there, a directory, closed: each is a gap, none is a number."""
    absent = KeptFile(str(tmp_path / "none")).read()
    assert isinstance(absent, Gap)
    assert absent.reason is GapReason.ABSENT
    failed = KeptFile(str(tmp_path)).read()
    assert isinstance(failed, Gap)
    assert failed.reason is GapReason.FAILED
    put(tmp_path, "number", "12 34\n")
    kept = KeptFile(str(tmp_path / "number"))
    assert kept.number() == Sample(value=12.0)
    kept.close()
    kept.close()
    assert isinstance(kept.number(), Gap)
