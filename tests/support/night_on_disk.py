"""Synthetic nights as real run directories, written by the real recorder and journal."""

import json
from pathlib import Path

from baseline_metrics.clock import FakeClock
from baseline_metrics.codec import to_json_value
from baseline_metrics.samples import HostSample, NamedReading
from monitoring_logs.journal import Journal
from monitoring_logs.recorder import Recorder
from monitoring_logs.records import CampaignEnd, Meta
from monitoring_logs.rows import Record
from monitoring_logs.run_files import files_of
from results_summary.facts import Absent, Facts
from tests.support.night import RUN_ID, START_MONO_S, START_UTC_S, Night, make_facts

FLUSH_EVERY = 1000
BALLAST_BYTES = 4096


def write_night(runs_dir: Path, night: Night) -> Path:
    """A run directory with meta.json, journal and database of this night; returns it."""
    return write_facts(runs_dir / RUN_ID, make_facts(night))


def write_facts(run_dir: Path, facts: Facts) -> Path:
    """The same for given facts."""
    files = files_of(str(run_dir))
    Path(files.record_directory).mkdir(parents=True)
    assert isinstance(facts.meta, Meta)
    (run_dir / "meta.json").write_text(json.dumps(to_json_value(facts.meta)))
    _write_journal(files.journal, files.journal_fallback, facts, facts.meta)
    clock = FakeClock(mono_s=START_MONO_S, utc_s=START_UTC_S)
    recorder = Recorder(files.database, spill_path=files.spill, clock=clock, ballast_bytes=BALLAST_BYTES)
    recorder.start()
    records: list[Record] = []
    for segment in facts.segments:
        records += [segment.record, *segment.seconds, *segment.minutes, *segment.errors]
    records += [step for search in facts.searches for step in search.steps]
    records += [*facts.events, *facts.guardian]
    records += [
        HostSample(
            at_mono_s=point.at_mono_s,
            at_utc_s=START_UTC_S + point.at_mono_s - START_MONO_S,
            readings=(
                NamedReading(sensor="cpu_percent", reading=point.cpu_percent),
                NamedReading(sensor="memory_percent", reading=point.memory_percent),
            ),
        )
        for point in facts.host
    ]
    for number, record in enumerate(records):
        recorder.put(record)
        if number % FLUSH_EVERY == 0:
            assert recorder.flush(30.0)
    assert recorder.flush(30.0)
    assert recorder.close(30.0).integrity == "ok"
    return run_dir


def _write_journal(path: str, fallback_path: str, facts: Facts, meta: Meta) -> None:
    clock = FakeClock(mono_s=START_MONO_S, utc_s=START_UTC_S)
    journal = Journal(path, clock=clock, boot_id=meta.host.boot_id, fallback_path=fallback_path)
    journal.append_order(meta.order)
    for drill in facts.drills:
        journal.append_fact(drill)
    for anchor in facts.anchors:
        journal.append_fact(anchor)
    if not isinstance(facts.baseline, Absent):
        journal.append_fact(facts.baseline)
    for phase in facts.phases:
        journal.append_fact(phase)
    for search in facts.searches:
        if not isinstance(search.record, Absent):
            journal.append_fact(search.record)
    if isinstance(facts.end, CampaignEnd):
        journal.append_fact(facts.end)
    journal.close()
