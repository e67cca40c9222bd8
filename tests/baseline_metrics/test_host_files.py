"""Readers of /proc on made-up trees, where every oddity can be had, and on the real one."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.host_files import (
    CpuTicks,
    HostFiles,
    MarkedProcess,
    ProcessGone,
    ProcessStat,
    RunMark,
    boot_id,
    disk_readings,
    kernel_threads,
    load_average_1min,
    marked_process,
    marked_processes,
    pressure_totals,
    process_ids,
    process_stat,
    process_tree,
    process_user,
    start_ticks,
)
from baseline_metrics.samples import Gap, GapReason, Sample

HANG_S = 20.0


def write(root: Path, name: str, content: str | bytes) -> None:
    """Put a file into the made-up tree."""
    path = root / "proc" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def stat_line(pid: int, *, name: str = "python3", state: str = "S", parent: int = 1, start: int = 77) -> str:
    """One line of proc(5) stat with 52 fields."""
    fields = [state, str(parent), str(pid), str(pid), "0", "-1", "0", "0", "0", "0", "0", "30", "12", "0", "0", "20"]
    return f"{pid} ({name}) {' '.join(fields)} 0 1 0 {start} 1000000 250 {' '.join(['0'] * 28)}\n"


@pytest.mark.parametrize("name", ["python3", "a b", "foo) Z ", "(", ")", ") S 1 2 3", "x" * 15])
def test_a_process_name_may_hold_anything(tmp_path: Path, name: str) -> None:
    """Spaces and parentheses in the name do not shift the fields behind it."""
    write(tmp_path, "42/stat", stat_line(42, name=name, parent=7, start=123))
    assert process_stat(42, root=str(tmp_path)) == ProcessStat(
        pid=42,
        name=name,
        state="S",
        parent_pid=7,
        group=42,
        cpu_ticks=42,
        start_ticks=123,
        rss_bytes=250 * os.sysconf("SC_PAGE_SIZE"),
    )
    assert start_ticks(42, root=str(tmp_path)) == 123


@given(content=st.binary(max_size=300))
def test_garbage_is_a_process_that_is_gone(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever stands in stat, reading it gives an answer and never an exception."""
    root = tmp_path_factory.mktemp("tree")
    write(root, "42/stat", content)
    assert isinstance(process_stat(42, root=str(root)), ProcessGone | ProcessStat)


def test_no_process_is_gone(tmp_path: Path) -> None:
    """A pid without a directory is ProcessGone, and an empty tree has no processes."""
    assert process_stat(42, root=str(tmp_path)) == ProcessGone(pid=42)
    assert start_ticks(42, root=str(tmp_path)) == ProcessGone(pid=42)
    assert process_ids(root=str(tmp_path)) == ()


def test_memory_is_in_bytes(tmp_path: Path) -> None:
    """MemTotal and MemAvailable are read in KiB and given in bytes."""
    write(tmp_path, "meminfo", "MemTotal:       1000 kB\nMemFree:  1 kB\nMemAvailable:    250 kB\n")
    with HostFiles(root=str(tmp_path)) as host:
        memory = host.memory()
        assert (memory.total_bytes, memory.available_bytes) == (Sample(value=1_024_000.0), Sample(value=256_000.0))
        write(tmp_path, "meminfo", "MemTotal:       1000 kB\nMemAvailable:    200 kB\n")
        assert host.memory().available_bytes == Sample(value=204_800.0)


def test_a_missing_line_is_malformed(tmp_path: Path) -> None:
    """A kernel without MemAvailable gives a gap, not a zero."""
    write(tmp_path, "meminfo", "MemTotal:       1000 kB\n")
    with HostFiles(root=str(tmp_path)) as host:
        available = host.memory().available_bytes
    assert isinstance(available, Gap)
    assert available.reason is GapReason.MALFORMED


def test_absent_files_are_gaps(tmp_path: Path) -> None:
    """Without /proc every reading is a gap that says so."""
    with HostFiles(root=str(tmp_path)) as host:
        assert isinstance(host.cpu(), Gap)
        assert isinstance(host.memory().total_bytes, Gap)
    assert isinstance(load_average_1min(root=str(tmp_path)), Gap)
    assert all(isinstance(total.some_us, Gap) for total in pressure_totals(root=str(tmp_path)))
    assert boot_id(root=str(tmp_path)) == ""


def test_busy_excludes_idle_and_io_wait(tmp_path: Path) -> None:
    """Busy is user, nice, system, irq, softirq and steal; guest time is in user time already."""
    write(tmp_path, "stat", "cpu  1 2 3 1000 2000 4 5 6 1 0\ncpu0 1 2 3 1000 2000 4 5 6 1 0\n")
    with HostFiles(root=str(tmp_path)) as host:
        assert host.cpu() == CpuTicks(busy=21, total=3021)


@pytest.mark.parametrize("line", ["", "cpu\n", "cpu 1 2 3\n", "cpu a b c d e f g h\n", "intr 1 2 3 4 5 6 7 8\n"])
def test_a_strange_first_line_is_malformed(tmp_path: Path, line: str) -> None:
    """What is not the line of all CPUs is a gap."""
    write(tmp_path, "stat", line)
    with HostFiles(root=str(tmp_path)) as host:
        cpu = host.cpu()
    assert isinstance(cpu, Gap)
    assert cpu.reason is GapReason.MALFORMED


def test_pressure_and_load_are_read(tmp_path: Path) -> None:
    """PSI totals are cumulative microseconds; the load average is the one of a minute."""
    for kind in ("cpu", "memory", "io"):
        write(tmp_path, f"pressure/{kind}", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1234\nfull total=9\n")
    write(tmp_path, "loadavg", "1.50 1.00 0.50 1/234 999\n")
    assert [(total.kind, total.some_us) for total in pressure_totals(root=str(tmp_path))] == [
        ("cpu", Sample(value=1234.0)),
        ("memory", Sample(value=1234.0)),
        ("io", Sample(value=1234.0)),
    ]
    assert load_average_1min(root=str(tmp_path)) == Sample(value=1.5)


def test_a_tree_holds_all_descendants_once(tmp_path: Path) -> None:
    """Roots and their descendants are found, strangers are not, and overlapping roots count once."""
    for pid, parent in ((10, 1), (11, 10), (12, 11), (13, 1), (14, 13)):
        write(tmp_path, f"{pid}/stat", stat_line(pid, parent=parent))
    found = process_tree((10, 11, 99), root=str(tmp_path))
    assert sorted(stat.pid for stat in found) == [10, 11, 12]


def test_markers_are_read_from_the_environment(tmp_path: Path) -> None:
    """A marked process says run, role and directories; one of another run, or without a marker, is not found."""
    environ = b"A=1\0DAYBREAK_RUN_ID=night-1\0DAYBREAK_ROLE=worker\0DAYBREAK_RUNS_DIR=/r\0DAYBREAK_STATE_DIR=/s\0"
    write(tmp_path, "42/environ", environ)
    write(tmp_path, "42/stat", stat_line(42, start=5))
    write(tmp_path, "43/environ", b"DAYBREAK_RUN_ID=night-10\0")
    write(tmp_path, "43/stat", stat_line(43))
    write(tmp_path, "44/environ", b"XDAYBREAK_RUN_ID=night-1\0")
    write(tmp_path, "44/stat", stat_line(44))
    write(tmp_path, "45/environ", b"")
    write(tmp_path, "45/stat", stat_line(45, state="Z"))
    found = marked_processes(RunMark(run_id="night-1", state_dir=""), root=str(tmp_path))
    assert found == (
        MarkedProcess(pid=42, start_ticks=5, run_id="night-1", role="worker", runs_dir="/r", state_dir="/s"),
    )
    assert isinstance(marked_process(44, root=str(tmp_path)), ProcessGone)


def test_the_user_of_a_process_is_its_real_one(tmp_path: Path) -> None:
    """Read from the status file; a process that is gone, or a file without the line, has none."""
    write(tmp_path, "42/status", b"Name:\tx\nUid:\t1000\t0\t0\t0\nGid:\t7\t7\t7\t7\n")
    write(tmp_path, "43/status", b"Name:\tx\n")
    assert process_user(42, root=str(tmp_path)) == 1000
    assert process_user(43, root=str(tmp_path)) == ProcessGone(pid=43)
    assert process_user(44, root=str(tmp_path)) == ProcessGone(pid=44)
    assert process_user(os.getpid()) == os.getuid()


@pytest.mark.process
def test_a_real_process_is_found_until_it_is_a_zombie(tmp_path: Path) -> None:
    """A running process carries its marker; once it has ended, reaped or not, it does not count any more."""
    run_id = f"host-files-{os.getpid()}"
    environ = {**os.environ, "DAYBREAK_RUN_ID": run_id, "DAYBREAK_ROLE": "drill"}
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], env=environ, stdin=subprocess.PIPE) as process:
        deadline_mono_s = time.monotonic() + HANG_S
        while (
            not (found := marked_processes(RunMark(run_id=run_id, state_dir=""))) and time.monotonic() < deadline_mono_s
        ):
            time.sleep(0.005)
        assert [(one.pid, one.role) for one in found] == [(process.pid, "drill")]
        assert found[0].start_ticks == start_ticks(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert marked_processes(RunMark(run_id=run_id, state_dir="")) == ()
        stat = process_stat(process.pid)
        assert isinstance(stat, ProcessStat)
        assert stat.state == "Z"


def test_this_host_can_be_read(tmp_path: Path) -> None:
    """On the real tree every reading that Linux always has is there and plausible."""
    with HostFiles() as host:
        memory, cpu = host.memory(), host.cpu()
    assert isinstance(memory.total_bytes, Sample)
    assert isinstance(memory.available_bytes, Sample)
    assert 0 < memory.available_bytes.value < memory.total_bytes.value
    assert isinstance(cpu, CpuTicks)
    assert 0 < cpu.busy < cpu.total
    assert len(boot_id()) == 36
    disk = disk_readings(str(tmp_path))
    assert isinstance(disk.used_percent, Sample)
    assert 0.0 <= disk.used_percent.value <= 100.0
    assert os.getpid() in [stat.pid for stat in process_tree((os.getppid(),))]


def test_a_missing_path_is_a_gap(tmp_path: Path) -> None:
    """The file system of a path that is not there is unknown."""
    disk = disk_readings(str(tmp_path / "none"))
    assert isinstance(disk.free_bytes, Gap)
    assert disk.free_bytes.reason is GapReason.ABSENT


def test_threads_of_the_kernel_are_told_by_their_flag_and_left_out(tmp_path: Path) -> None:
    """By the flag and not by a parent of 2, which in a container may be anybody's pid."""
    for pid, parent, flags in ((2, 0, 0x00200040), (3, 2, 0x00200040), (10, 1, 0x00400000), (11, 10, 0), (12, 2, 0)):
        (tmp_path / "proc" / str(pid)).mkdir(parents=True)
        numbers = f"{parent} {pid} {pid} 0 -1 {flags} 0 0 0 0 5 5 0 0 20 0 1 0 100 4096 7"
        (tmp_path / "proc" / str(pid) / "stat").write_text(f"{pid} (a) b) S {numbers} 0 0\n")
    kernel = kernel_threads(root=str(tmp_path))
    assert kernel == {2, 3}
    assert [stat.pid for stat in process_tree((10,), root=str(tmp_path), without=kernel)] == [10, 11]
    assert [stat.pid for stat in process_tree((2, 12), root=str(tmp_path), without=kernel)] == [12]
