"""The guardian's pipes and journal: nothing waits, nothing is lost without being counted."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from baseline_metrics.samples import Sample
from safety_monitoring.guardian_pipes import REPORTS_BYTES_MAX, GuardianJournal, OrderPipe, ReportPipe
from safety_monitoring.messages import (
    ORDERS,
    REPORTS,
    AskReturn,
    Conclude,
    GuardianBeat,
    Heartbeat,
    ReadingsClear,
    WorkerRefused,
)


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    """A pipe: reading end, writing end; whoever closes one removes it from the list."""
    ends = list(os.pipe())
    yield ends
    for end in ends:
        os.close(end)


def beat(sequence: int) -> GuardianBeat:
    """A beat."""
    value = Sample(value=1.0)
    return GuardianBeat(
        sequence=sequence,
        at_mono_s=1.0,
        loop_lag_s_max=0.0,
        memory_percent=value,
        cpu_percent=value,
        disk_percent=value,
    )


def test_orders_come_whole_and_in_order(pipe: list[int]) -> None:
    """A line in pieces is put together; nothing there is nothing, not the end."""
    orders = OrderPipe(pipe[0])
    assert orders.read() == ((), None)
    lines = ORDERS.encode(Heartbeat(sequence=1)) + ORDERS.encode(AskReturn())
    os.write(pipe[1], lines[:10])
    assert orders.read() == ((), None)
    os.write(pipe[1], lines[10:])
    assert orders.read() == ((Heartbeat(sequence=1), AskReturn()), None)


def test_the_last_words_are_heard_before_the_end(pipe: list[int]) -> None:
    """What was written before the pipe was closed is still obeyed."""
    os.write(pipe[1], ORDERS.encode(Conclude()))
    os.close(pipe.pop())
    said, end = OrderPipe(pipe[0]).read()
    assert said == (Conclude(),)
    assert end is not None
    assert end.understood


@pytest.mark.parametrize("line", [b"{}\n", b"\n", b'{"v":1,"m":{"type":"Unknown"}}\n', b"\xff\xfe\n"])
def test_what_the_table_does_not_know_ends_the_conversation(pipe: list[int], line: bytes) -> None:
    """An order that cannot be understood is told apart from a closed pipe; orders before it count."""
    os.write(pipe[1], ORDERS.encode(AskReturn()) + line)
    said, end = OrderPipe(pipe[0]).read()
    assert said == (AskReturn(),)
    assert end is not None
    assert not end.understood


def test_an_endless_line_is_bounded(pipe: list[int]) -> None:
    """A line without end is given up after the size limit of a message."""
    orders = OrderPipe(pipe[0])
    os.set_blocking(pipe[1], False)
    end = None
    for _ in range(200):
        os.write(pipe[1], b"x" * 16_384)
        _, end = orders.read()
        if end is not None:
            break
    assert end is not None
    assert not end.understood


def test_reports_wait_for_a_slow_reader(pipe: list[int]) -> None:
    """A full pipe delays reports, in order, and drops beats first; nothing blocks, and drops are counted."""
    reports = ReportPipe(pipe[1])
    sent = 0
    while not reports.has_waiting:
        reports.send(WorkerRefused(worker=sent, reason="x" * 500))
        sent += 1
    reports.send(beat(1))
    assert reports.dropped == 1
    reports.send(ReadingsClear(at_mono_s=5.0))
    os.set_blocking(pipe[0], False)
    content = b""
    while reports.has_waiting or not content.endswith(b"\n"):
        content += os.read(pipe[0], 1 << 16)
        reports.flush()
    while len(content.splitlines()) < sent + 1:
        content += os.read(pipe[0], 1 << 16)
    said = [REPORTS.decode(line + b"\n") for line in content.splitlines()]
    assert [report.worker for report in said[:-1]] == list(range(sent))
    assert said[-1] == ReadingsClear(at_mono_s=5.0)


def test_reports_are_bounded(pipe: list[int]) -> None:
    """A reader that never reads costs a bounded buffer."""
    reports = ReportPipe(pipe[1])
    for number in range(REPORTS_BYTES_MAX // 500 + 500):
        reports.send(WorkerRefused(worker=number, reason="x" * 500))
    assert reports.dropped > 0
    assert not reports.is_broken


def test_a_closed_reader_is_noticed(pipe: list[int]) -> None:
    """Without a reader the pipe is broken, and sending goes on to be harmless."""
    reports = ReportPipe(pipe[1])
    os.close(pipe.pop(0))
    reports.send(ReadingsClear(at_mono_s=1.0))
    assert reports.is_broken
    reports.send(ReadingsClear(at_mono_s=2.0))
    assert not reports.has_waiting


def test_the_journal_is_lines_of_json(tmp_path: Path) -> None:
    """Each line has both times, the message's name and its body as the codec writes it."""
    journal = GuardianJournal(str(tmp_path / "j"))
    journal.write(ReadingsClear(at_mono_s=1.0), at_mono_s=2.0, at_utc_s=3.0)
    journal.close()
    journal.close()
    (line,) = (tmp_path / "j").read_text().splitlines()
    assert json.loads(line) == {
        "at_mono_s": 2.0,
        "at_utc_s": 3.0,
        "name": "ReadingsClear",
        "body": {"type": "ReadingsClear", "at_mono_s": 1.0},
    }


def test_a_journal_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    """No directory, no room left by its cap, a closed file, a full disk: counted, never raised."""
    for journal in (
        GuardianJournal(str(tmp_path / "none" / "j")),
        GuardianJournal(str(tmp_path / "j"), bytes_max=10),
        GuardianJournal("/dev/full"),
    ):
        before = journal.write_errors
        journal.write(ReadingsClear(at_mono_s=1.0), at_mono_s=2.0, at_utc_s=3.0)
        assert journal.write_errors == before + 1
        journal.close()


def test_the_cap_counts_what_was_there_before(tmp_path: Path) -> None:
    """A journal that is opened again does not get its bytes anew."""
    (tmp_path / "j").write_bytes(b"x" * 1000)
    journal = GuardianJournal(str(tmp_path / "j"), bytes_max=1050)
    journal.write(ReadingsClear(at_mono_s=1.0), at_mono_s=2.0, at_utc_s=3.0)
    assert journal.write_errors == 1
    journal.close()
