"""The recorder in a process of its own: killed, without disk space, without a lock. What its disk refuses: test_disk_faults."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from baseline_metrics.clock import FakeClock
from monitoring_logs.reader import RunReader
from monitoring_logs.recorder import Recorder, RecorderError, RecorderSettings
from monitoring_logs.records import EventRecord
from monitoring_logs.run_files import RunFiles, files_of
from tests.support.mounts import mounted_memory
from tests.support.sample_records import START_MONO_S, event_at

KILLS = 8
"""A few here; the seed is printed, and a soak may use more."""

HANG_S = 90.0
REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.process


def start_writer(
    files: RunFiles, *, rounds: int, file_bytes_max: int = 0, ballast_bytes: int = 65_536
) -> subprocess.Popen[str]:
    """Start a recording process."""
    Path(files.record_directory).mkdir(parents=True, exist_ok=True)
    arguments = [files.database, files.spill, str(rounds), str(file_bytes_max), str(ballast_bytes)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.record_writer", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )


def read_rounds(run_dir: Path) -> tuple[list[int], list[int], list[int], RunReader]:
    """The numbers of all host samples, load seconds and events that a reader finds."""
    reader = RunReader(run_dir)
    samples = [round(sample.at_mono_s - START_MONO_S) for sample in reader.host_samples()]
    seconds = [second.second for second in reader.load_seconds(1)]
    events = [int(event.text.split()[1]) for event in reader.events() if event.kind == "machine"]
    return samples, seconds, events, reader


def check_integrity(database: str) -> None:
    """SQLite itself finds nothing wrong, strict types included."""
    connection = sqlite3.connect(database)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_a_kill_at_any_time_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """With kill -9 at random moments, every acknowledged round is there, once, and nothing is damaged."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for attempt in range(KILLS):
        run_dir = tmp_path / f"run{attempt}"
        files = files_of(str(run_dir))
        writer = start_writer(files, rounds=1_000_000)
        assert writer.stdout is not None
        acknowledged = int(writer.stdout.readline())
        timer = threading.Timer(chance.uniform(0.0, 0.3), os.kill, (writer.pid, signal.SIGKILL))
        timer.start()
        for line in writer.stdout:
            if line.endswith("\n"):
                acknowledged = int(line)
        assert writer.wait(HANG_S) == -signal.SIGKILL
        timer.join()
        writer.stdout.close()
        samples, seconds, events, reader = read_rounds(run_dir)
        assert reader.problems() == ()
        reader.close()
        for found in (samples, seconds, events):
            assert found == list(range(len(found)))
            assert len(found) > acknowledged
        check_integrity(files.database)


def test_a_killed_run_goes_on_in_the_same_database(tmp_path: Path) -> None:
    """The next recorder opens what the killed one left, and writing the same rounds again changes nothing."""
    files = files_of(str(tmp_path))
    writer = start_writer(files, rounds=1_000_000)
    assert writer.stdout is not None
    acknowledged = int(writer.stdout.readline())
    writer.kill()
    writer.wait(HANG_S)
    writer.stdout.close()
    output, _ = start_writer(files, rounds=acknowledged + 101).communicate(timeout=HANG_S)
    assert "integrity ok\n" in output
    samples, seconds, events, reader = read_rounds(tmp_path)
    reader.close()
    assert samples == seconds == events == list(range(len(samples)))
    assert len(samples) > acknowledged + 100


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    with mounted_memory(tmp_path / "disk", "size=2m") as directory:
        yield directory


@pytest.fixture
def disk_of_few_files(tmp_path: Path) -> Iterator[Path]:
    """A file system with room, but for twelve files and directories."""
    with mounted_memory(tmp_path / "disk", "size=16m,nr_inodes=12") as directory:
        yield directory


def check_full_disk(output: str, run_dir: Path, *, fault: str) -> None:
    """The fault is told, nothing is lost, and every round that was put is found once by a reader."""
    *numbers, integrity, lost, told = output.splitlines()
    assert integrity == "integrity ok"
    assert lost == "lost 0"
    assert told.startswith("fault ")
    assert fault in told
    samples, seconds, events, reader = read_rounds(run_dir)
    spilled = Path(files_of(str(run_dir)).spill)
    assert spilled.stat().st_size > 0
    assert not [problem for problem in reader.problems() if "journal" not in problem]
    reader.close()
    assert samples == seconds == events == list(range(int(numbers[-1]) + 1))


def test_a_full_disk_keeps_every_acknowledged_record(tmp_path: Path, small_disk: Path) -> None:
    """2 MiB are full soon: the ballast is released, then the spill file on the other disk takes over."""
    run_dir = small_disk / "run"
    files = files_of(str(run_dir))
    Path(files.record_directory).mkdir(parents=True)
    elsewhere = tmp_path / "spill.jsonl"
    Path(files.spill).symlink_to(elsewhere)
    arguments = [files.database, str(elsewhere), "3000", "0", str(256 << 10)]
    output = subprocess.run(
        [sys.executable, "-m", "tests.support.record_writer", *arguments],
        check=True,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=HANG_S,
    ).stdout
    check_full_disk(output, run_dir, fault="the ballast was released")


def use_up_files(directory: Path) -> None:
    """Make files until the file system has no room for another one."""
    files = os.statvfs(directory).f_ffree
    for number in range(files):
        (directory / f"filler{number}").touch()
    with pytest.raises(OSError, match="No space left"):
        (directory / "one_more").touch()


def test_a_disk_without_room_for_another_file_refuses_the_start(disk_of_few_files: Path) -> None:
    """Bytes are free, but the database cannot be made: the message says what and where."""
    files = files_of(str(disk_of_few_files / "run"))
    Path(files.record_directory).mkdir(parents=True)
    use_up_files(disk_of_few_files)
    recorder = Recorder(files.database, spill_path=files.spill, clock=FakeClock(), ballast_bytes=65_536)
    with pytest.raises(RecorderError, match=r"campaign\.db"):
        recorder.start()
    assert recorder.close(HANG_S).ended


def test_running_out_of_files_in_the_night_costs_no_record(tmp_path: Path, disk_of_few_files: Path) -> None:
    """The record's files are there already; what needs a new one, the spill file of a full queue, finds it elsewhere."""
    run_dir = disk_of_few_files / "run"
    files = files_of(str(run_dir))
    Path(files.record_directory).mkdir(parents=True)
    elsewhere = tmp_path / "spill.jsonl"
    recorder = Recorder(
        files.database,
        spill_path=str(elsewhere),
        clock=FakeClock(),
        ballast_bytes=65_536,
        settings=RecorderSettings(queue_records_max=4, batch_period_s=0.2),
    )
    recorder.start()
    use_up_files(disk_of_few_files)
    for number in range(40):
        recorder.put(event_at(number, f"round {number}"))
    assert recorder.flush(HANG_S)
    report = recorder.close(HANG_S)
    assert (report.integrity, report.stats.lost) == ("ok", 0)
    assert report.stats.spilled > 0
    *_, events, reader = read_rounds(run_dir)
    assert events == list(range(40))
    assert reader.record_holes() == ()
    reader.close()


def test_a_file_size_limit_is_survived_like_a_full_disk(tmp_path: Path) -> None:
    """Where nothing may be mounted: a write that fails in the middle of the database's files goes the same way."""
    files = files_of(str(tmp_path))
    writer = start_writer(files, rounds=200, file_bytes_max=600_000)
    output, _ = writer.communicate(timeout=HANG_S)
    check_full_disk(output, tmp_path, fault="the ballast was released")


HOLD_THE_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_foreign_lock_costs_no_record(tmp_path: Path) -> None:
    """Another process holds the database longer than we wait: the batch is spilled, later ones are committed, readers see all."""
    files = files_of(str(tmp_path))
    Path(files.record_directory).mkdir()
    recorder = Recorder(
        files.database,
        spill_path=files.spill,
        clock=FakeClock(),
        ballast_bytes=0,
        settings=RecorderSettings(busy_timeout_s=0.02),
    )
    recorder.start()
    foreign = subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, files.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert foreign.stdout is not None
    assert foreign.stdout.readline() == "locked\n"
    recorder.put(event_at(0, "round 0"))
    assert recorder.flush(HANG_S)
    foreign.communicate("release", timeout=HANG_S)
    recorder.put(event_at(1, "round 1"))
    report = recorder.close(HANG_S)
    assert "somebody else holds the database" in report.stats.fault
    assert (report.stats.spilled, report.stats.lost, report.integrity) == (1, 0, "ok")
    reader = RunReader(tmp_path)
    found = [event for event in reader.events() if event.kind == "machine"]
    assert found == [event_at(0, "round 0"), event_at(1, "round 1")]
    assert all(isinstance(event, EventRecord) for event in found)
    reader.close()
