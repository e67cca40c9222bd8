"""The journal: synced before it returns, readable whatever happened to it."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from baseline_metrics.clock import FakeClock
from baseline_metrics.codec import CodecError, from_json_value
from monitoring_logs.checked_lines import LINE_BYTES_MAX, AppendFile
from monitoring_logs.journal import Journal, JournalError, JournalKind, read_journal
from monitoring_logs.records import PhaseRecord
from tests.support.sample_records import night_order, phase_record


def journal(directory: Path, *, fallback: Path | None = None) -> Journal:
    """A journal in this directory."""
    path = directory / "journal.jsonl"
    return Journal(
        str(path),
        clock=FakeClock(),
        boot_id="b00t",
        fallback_path=str(fallback or directory / "journal_fallback.jsonl"),
    )


def test_entries_come_back_in_order_with_their_times(tmp_path: Path) -> None:
    """Kind, name, body, both clocks and the boot are kept; numbers rise by one."""
    written = journal(tmp_path)
    written.append_order(night_order())
    written.append(JournalKind.EVENT, "Tick", {"at_mono_s": 3.0})
    written.append(JournalKind.COMMAND, "StartLoad", {})
    written.append_fact(phase_record())
    written.close()
    content = read_journal(str(tmp_path / "journal.jsonl"))
    assert [(entry.sequence, entry.kind, entry.name) for entry in content.entries] == [
        (1, JournalKind.ORDER, "NightOrder"),
        (2, JournalKind.EVENT, "Tick"),
        (3, JournalKind.COMMAND, "StartLoad"),
        (4, JournalKind.FACT, "PhaseRecord"),
    ]
    assert {(entry.at_mono_s, entry.at_utc_s, entry.boot_id) for entry in content.entries} == {
        (1000.0, 1_700_000_000.0, "b00t")
    }
    assert from_json_value(PhaseRecord, content.entries[3].body) == phase_record()
    assert (content.bad_lines, content.torn_tail) == (0, False)


def test_a_second_writer_goes_on_behind_the_first(tmp_path: Path) -> None:
    """After a restart the numbers go on, also behind a torn line."""
    first = journal(tmp_path)
    first.append(JournalKind.EVENT, "Tick", {})
    first.append(JournalKind.EVENT, "Tick", {})
    first.close()
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    assert read_journal(str(path)).torn_tail
    second = journal(tmp_path)
    second.append(JournalKind.EVENT, "Resumed", {})
    second.close()
    content = read_journal(str(path))
    assert [(entry.sequence, entry.name) for entry in content.entries] == [(1, "Tick"), (2, "Resumed")]
    assert (content.bad_lines, content.torn_tail) == (1, False)


def test_lines_that_are_not_ours_are_counted_and_passed_over(tmp_path: Path) -> None:
    """Garbage, an object of other keys and an unknown kind leave the entries around them readable."""
    written = journal(tmp_path)
    written.append(JournalKind.EVENT, "Before", {})
    written.close()
    path = tmp_path / "journal.jsonl"
    file = AppendFile(str(path))
    file.append(b"\x00\xff garbage\n")
    file.append(b'{"crc32":"00000000","sequence":9}\n')
    file.close()
    again = journal(tmp_path)
    again.append(JournalKind.EVENT, "After", {})
    again.close()
    content = read_journal(str(path))
    assert [entry.name for entry in content.entries] == ["Before", "After"]
    assert content.bad_lines == 2


def test_an_oversized_body_is_cut_and_the_decision_is_written(tmp_path: Path) -> None:
    """Ten megabytes from a hostile target do not keep an event out of the journal."""
    written = journal(tmp_path)
    written.append(JournalKind.EVENT, "WorkerLost", {"detail": "x" * (10 * LINE_BYTES_MAX)})
    written.append(JournalKind.EVENT, "Odd", {"value": float("nan")})
    written.close()
    lost, odd = read_journal(str(tmp_path / "journal.jsonl")).entries
    assert lost.name == "WorkerLost"
    assert "cut_because" in lost.body
    assert len(str(lost.body["beginning"])) == 4096
    assert "cut_because" in odd.body


def test_a_fact_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    """A record with NaN is our own bug and is not written as something else."""
    written = journal(tmp_path)
    broken = phase_record()
    object.__setattr__(broken, "eased_s", float("nan"))
    with pytest.raises(CodecError):
        written.append_fact(broken)
    written.close()


def test_a_failing_disk_moves_the_journal_to_its_fallback_for_good(tmp_path: Path) -> None:
    """When the first file takes nothing, the entry goes to the second one, which readers find by a link, and which comes home in the end."""
    other_disk = tmp_path / "other"
    other_disk.mkdir()
    run = tmp_path / "run"
    run.mkdir()
    (run / "journal.jsonl").mkdir()  # a path that cannot be opened for writing
    written = journal(run, fallback=other_disk / "saved.jsonl")
    written.append(JournalKind.EVENT, "Tick", {})
    assert "journal.jsonl cannot be written" in written.fault
    assert (run / "journal_fallback.jsonl").is_symlink()
    assert [entry.name for entry in read_journal(str(run / "journal_fallback.jsonl")).entries] == ["Tick"]
    written.close()
    assert not (run / "journal_fallback.jsonl").is_symlink()
    again = journal(run, fallback=other_disk / "saved.jsonl")
    assert again.sequence == 1
    again.close()
    assert [entry.name for entry in read_journal(str(run / "journal_fallback.jsonl")).entries] == ["Tick"]


def test_without_any_disk_the_journal_says_so(tmp_path: Path) -> None:
    """No file takes the entry: a JournalError names both, because nothing may be started any more."""
    (tmp_path / "journal.jsonl").mkdir()
    (tmp_path / "journal_fallback.jsonl").mkdir()
    with pytest.raises(JournalError, match=r"journal\.jsonl cannot be written.*journal_fallback\.jsonl"):
        journal(tmp_path)


class FullDisk:
    """A disk that is full for every file until room is made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, call: str) -> None:
        self.full = True
        self.made_room = 0
        self.helps = True
        real = getattr(AppendFile, call)

        def refuse(file: AppendFile, *arguments: bytes) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "no space left on device", file.path)
            real(file, *arguments)

        monkeypatch.setattr(AppendFile, call, refuse)

    def make_room(self) -> None:
        """What the owner of a ballast does."""
        self.made_room += 1
        self.full = not self.helps


def full_journal(directory: Path, disk: FullDisk) -> Journal:
    """A journal whose fallback lies on the same disk."""
    return Journal(
        str(directory / "journal.jsonl"),
        clock=FakeClock(),
        boot_id="b00t",
        fallback_path=str(directory / "fallback.jsonl"),
        make_room=disk.make_room,
    )


def test_a_full_disk_gets_room_and_the_entry_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal stays in its file, once; the fault stays visible, because the campaign has to end."""
    disk = FullDisk(monkeypatch, call="append")
    written = full_journal(tmp_path, disk)
    written.append(JournalKind.EVENT, "Tick", {})
    assert [entry.name for entry in read_journal(str(tmp_path / "journal.jsonl")).entries] == ["Tick"]
    assert disk.made_room == 1
    assert "no space left" in written.fault
    disk.full = True
    with pytest.raises(JournalError):
        written.append(JournalKind.EVENT, "Tock", {})
    assert disk.made_room == 1
    written.close()


def test_a_sync_that_finds_the_disk_full_moves_to_the_fallback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows what the first file holds then; the room is made for the second one."""
    disk = FullDisk(monkeypatch, call="sync")
    written = full_journal(tmp_path, disk)
    written.append(JournalKind.EVENT, "Tick", {})
    assert [entry.name for entry in read_journal(str(tmp_path / "fallback.jsonl")).entries] == ["Tick"]
    assert disk.made_room == 1
    written.close()


def test_room_that_does_not_help_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither file takes the entry: nothing may be started any more."""
    disk = FullDisk(monkeypatch, call="append")
    disk.helps = False
    written = full_journal(tmp_path, disk)
    with pytest.raises(JournalError):
        written.append(JournalKind.EVENT, "Tick", {})
    assert disk.made_room == 1
    written.close()


def test_a_journal_without_a_file_writes_into_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first file failed and the fallback cannot be opened: every further entry is refused, and no descriptor reused."""
    (tmp_path / "fallback.jsonl").mkdir()
    disk = FullDisk(monkeypatch, call="sync")
    written = full_journal(tmp_path, disk)
    with pytest.raises(JournalError, match=r"fallback\.jsonl"):
        written.append(JournalKind.EVENT, "Tick", {})
    taken = [os.open(tmp_path / f"stranger-{number}", os.O_RDWR | os.O_CREAT) for number in range(5)]
    try:
        with pytest.raises(JournalError, match="journal"):
            written.append(JournalKind.EVENT, "Tock", {})
        assert [os.fstat(descriptor).st_size for descriptor in taken] == [0] * 5
    finally:
        for descriptor in taken:
            os.close(descriptor)
    written.close()


FILL = """
import resource, signal, sys
from baseline_metrics.clock import SystemClock
from monitoring_logs.journal import Journal, JournalError, JournalKind
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
journal = Journal(sys.argv[1], clock=SystemClock(), boot_id="b", fallback_path=sys.argv[2])
try:
    for number in range(int(sys.argv[4])):
        journal.append(JournalKind.EVENT, "Filler", {"text": "x" * 1000, "number": number})
        print(number, flush=True)
except JournalError as error:
    print("error", error, flush=True)
"""


@pytest.mark.process
def test_every_entry_that_returned_is_there_when_files_are_full(tmp_path: Path) -> None:
    """With room for about 20 entries a file, entries go on in the fallback, then the journal says it is over."""
    path, fallback = tmp_path / "journal.jsonl", tmp_path / "fallback.jsonl"
    result = subprocess.run(
        [sys.executable, "-c", FILL, str(path), str(fallback), str(24_000), "100"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    *numbers, last = result.stdout.splitlines()
    assert last.startswith("error")
    assert len(numbers) > 30
    entries = [*read_journal(str(path)).entries, *read_journal(str(fallback)).entries]
    assert [entry.body["number"] for entry in entries] == [int(number) for number in numbers]
    assert [entry.sequence for entry in entries] == list(range(1, len(numbers) + 1))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.process
def test_a_killed_writer_leaves_every_entry_that_returned(tmp_path: Path) -> None:
    """With kill -9 in the middle of writing: all entries that were told of are readable, nothing is bad but a torn end."""
    path = tmp_path / "journal.jsonl"
    writer = subprocess.Popen(
        [sys.executable, "-c", FILL, str(path), str(tmp_path / "fallback.jsonl"), str(1 << 30), "1000000"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    told = [int(writer.stdout.readline()) for _ in range(50)]
    time.sleep(0.05)
    os.kill(writer.pid, signal.SIGKILL)
    told += [int(line) for line in writer.stdout if line.endswith("\n")]
    writer.wait(20)
    writer.stdout.close()
    content = read_journal(str(path))
    assert content.bad_lines == 0
    numbers = [entry.body["number"] for entry in content.entries]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= len(told)
