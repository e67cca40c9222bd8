"""Two baselines of one night: both are kept, and the one that decided how far the night may go is the night's baseline."""

import dataclasses
from pathlib import Path

from baseline_metrics.clock import FakeClock
from monitoring_logs.journal import Journal
from monitoring_logs.reader import RunReader
from monitoring_logs.recorder import Recorder
from monitoring_logs.records import BaselineRecord
from monitoring_logs.run_files import files_of
from tests.support.sample_records import one_of_each


def _baselines() -> tuple[BaselineRecord, BaselineRecord]:
    first = next(record for record in one_of_each() if isinstance(record, BaselineRecord))
    return first, dataclasses.replace(first, anchor_segment=first.anchor_segment + 1, phases_allowed=3)


def _read(run_dir: Path) -> object:
    reader = RunReader(run_dir)
    try:
        return reader.baseline()
    finally:
        reader.close()


def test_the_last_baseline_of_the_database_counts(tmp_path: Path) -> None:
    """A first anchor that was no good is made once more: the database keeps both baselines, the second one counts."""
    files = files_of(str(tmp_path))
    Path(files.record_directory).mkdir()
    recorder = Recorder(files.database, spill_path=files.spill, clock=FakeClock())
    recorder.start()
    first, second = _baselines()
    recorder.put(first)
    recorder.put(second)
    recorder.close(30.0)
    assert _read(tmp_path) == second


def test_the_last_baseline_of_the_journal_counts(tmp_path: Path) -> None:
    """The same from the journal alone, in whatever order they were written."""
    files = files_of(str(tmp_path))
    Path(files.record_directory).mkdir()
    journal = Journal(files.journal, clock=FakeClock(), boot_id="boot", fallback_path=str(tmp_path / "fallback.jsonl"))
    first, second = _baselines()
    journal.append_fact(second)
    journal.append_fact(first)
    journal.close()
    assert _read(tmp_path) == second
