"""The reporter on real run directories, as a function and as a process."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from results_summary import reporter
from results_summary.assessment import Assessment
from results_summary.files import ReportWriteError, write_whole
from results_summary.reporter import build_report, main, verdict_of
from results_summary.verdict import Verdict
from tests.support.night import Night, Phase, eight_phases
from tests.support.night_on_disk import write_night

ROOT = Path(__file__).resolve().parents[2]
PROCESS_S_MAX = 60.0


def digests(folder: Path) -> dict[str, str]:
    """Name and SHA-256 of each file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A night of eight short phases whose highest load fails."""
    return write_night(tmp_path, Night(phases=eight_phases(failing=(6,), hold_s=12.0)))


def test_a_report_has_all_its_files(run_dir: Path) -> None:
    """The names that people know, whole, and nothing temporary beside them."""
    paths = build_report(run_dir)
    names = {path.name for path in (run_dir / "results_summary").iterdir()}
    assert names == {
        "report.html",
        "campaign_summary.txt",
        "campaign_summary.md",
        "autonomous_campaign_report.json",
        "comprehensive_baseline_report.json",
        "junit.xml",
        "timeline.csv.gz",
        "phase_report_1_warmup.json",
        "phase_report_2_light_load.json",
        "phase_report_3_moderate_load_1.json",
        "phase_report_4_moderate_load_2.json",
        "phase_report_5_high_load_1.json",
        "phase_report_6_high_load_2.json",
        "phase_report_7_stress_test.json",
        "phase_report_8_endurance_test.json",
    }
    assert [path.name for path in paths.phases][6] == "phase_report_7_stress_test.json"
    assert json.loads(paths.phases[6].read_text())["phase"]["passed"] is False
    assert paths.text.read_text().splitlines()[0].endswith("FIT WITH LIMITS")


def test_a_report_built_again_is_the_same_to_the_byte(run_dir: Path, tmp_path: Path) -> None:
    """Built twice, over itself, and from a copy elsewhere: the same bytes."""
    build_report(run_dir)
    first = digests(run_dir / "results_summary")
    build_report(run_dir)
    assert digests(run_dir / "results_summary") == first
    elsewhere = tmp_path / "elsewhere" / run_dir.name
    shutil.copytree(run_dir, elsewhere)
    shutil.rmtree(elsewhere / "results_summary")
    build_report(elsewhere)
    assert digests(elsewhere / "results_summary") == first


def test_the_verdict_of_a_run(run_dir: Path) -> None:
    """Verdict and exit code from the record alone, strict or not."""
    assert verdict_of(run_dir).verdict is Verdict.FIT_WITH_LIMITS
    assert verdict_of(run_dir).exit_code == 0
    assert verdict_of(run_dir, strict=True).exit_code == 1
    assert not (run_dir / "results_summary").exists()


def test_a_lost_end_is_reported_as_a_lost_supervisor(tmp_path: Path) -> None:
    """A night that nobody ended has a report, is inconclusive and exits 70."""
    run_dir = write_night(tmp_path, Night(phases=(Phase(),), end_recorded=False))
    judged = verdict_of(run_dir)
    assert (judged.verdict, judged.exit_code) == (Verdict.INCONCLUSIVE, 70)
    text = build_report(run_dir).text.read_text()
    assert "the supervisor was lost" in text


@pytest.mark.parametrize("damage", ["database", "journal", "meta", "database gone", "everything"])
def test_damage_to_the_record_never_prevents_a_report(run_dir: Path, damage: str) -> None:
    """Whatever is broken, there is a report; only a record that still proves it keeps its word."""
    database, journal = run_dir / "monitoring_logs/campaign.db", run_dir / "monitoring_logs/journal.jsonl"
    meta = run_dir / "meta.json"
    if damage in {"database", "everything"}:
        database.write_bytes(b"not a database" * 1000)
    if damage in {"journal", "everything"}:
        journal.write_bytes(b"\x00\xff{torn")
    if damage in {"meta", "everything"}:
        meta.write_text("{")
    if damage == "database gone":
        database.unlink()
    assert verdict_of(run_dir).verdict in {Verdict.FIT_WITH_LIMITS, Verdict.INCONCLUSIVE}
    document = json.loads(build_report(run_dir).campaign.read_text())
    assert document["problems"]
    assert not any(str(run_dir) in problem for problem in document["problems"])


def test_a_ballast_that_a_dead_supervisor_left_makes_room_for_the_report(run_dir: Path) -> None:
    """The final report removes it; a partial one belongs to a night that still needs it."""
    ballast = run_dir / "monitoring_logs" / "campaign.db-ballast"
    ballast.write_bytes(b"\0" * 4096)
    build_report(run_dir, partial=True)
    assert ballast.exists()
    build_report(run_dir)
    assert not ballast.exists()


@pytest.mark.process
def test_a_ballast_is_left_to_a_supervisor_that_lives(run_dir: Path) -> None:
    """It is found by its mark; when it is gone, so is the ballast with the next report."""
    ballast = run_dir / "monitoring_logs" / "campaign.db-ballast"
    ballast.write_bytes(b"\0" * 4096)
    marks = {"DAYBREAK_RUN_ID": run_dir.name, "DAYBREAK_ROLE": "supervisor", "DAYBREAK_STATE_DIR": str(run_dir)}
    command = [sys.executable, "-S", "-c", "print(flush=True); input()"]
    with subprocess.Popen(
        command, env={**os.environ, **marks}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as supervisor:
        assert supervisor.stdout is not None
        supervisor.stdout.readline()
        build_report(run_dir)
        assert ballast.exists()
        supervisor.kill()
    build_report(run_dir)
    assert not ballast.exists()


def test_an_empty_directory_has_a_report(tmp_path: Path) -> None:
    """No record at all is inconclusive, with the reason."""
    (tmp_path / "run").mkdir()
    document = json.loads(build_report(tmp_path / "run").campaign.read_text())
    assert document["verdict"]["status"] == "inconclusive"
    assert "What was planned is not known" in document["verdict"]["why"]


def test_a_partial_report_is_marked_and_replaced(run_dir: Path) -> None:
    """The partial report has no verdict; the final one takes its place."""
    partial = json.loads(build_report(run_dir, partial=True).campaign.read_text())
    assert (partial["partial"], partial["verdict"]["status"], partial["exit_code"]) == (True, None, None)
    assert json.loads(build_report(run_dir).campaign.read_text())["verdict"]["status"] == "fit_with_limits"


def test_a_failing_renderer_leaves_the_minimal_report(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When rendering raises, what is known and the error stand in text and JSON, and the exit code is 70."""

    def broken(_: object) -> str:
        raise RuntimeError("the template is broken \x1b[31m")

    monkeypatch.setattr(reporter, "render_html", broken)
    monkeypatch.setattr(os, "nice", lambda _: 19)
    assert main([str(run_dir)]) == 70
    document = json.loads((run_dir / "results_summary/autonomous_campaign_report.json").read_text())
    assert document["minimal"] is True
    judged, strict = verdict_of(run_dir), verdict_of(run_dir, strict=True)
    assert document["verdict"] == {
        "status": "fit_with_limits",
        "word": "FIT WITH LIMITS",
        "why": judged.why,
    }
    assert (document["exit_code"], document["exit_code_strict"]) == (judged.exit_code, strict.exit_code) == (0, 1)
    assert "RuntimeError: the template is broken" in document["problems"][0]
    assert [phase["outcome"] for phase in document["phase_results"]].count("COMPLETED") == 7
    text = (run_dir / "results_summary/campaign_summary.txt").read_text()
    assert text.splitlines()[0].endswith("FIT WITH LIMITS")
    assert "fault     the report could not be made: RuntimeError" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert capsys.readouterr().out == ""


def test_a_night_that_cannot_be_judged_is_inconclusive_in_the_minimal_report(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When judging itself raises, the minimal report says so and carries our own fault's exit code."""

    def broken(_: object) -> Assessment:
        raise RuntimeError("no judgement")

    monkeypatch.setattr(reporter, "assess", broken)
    monkeypatch.setattr(os, "nice", lambda _: 19)
    assert main([str(run_dir)]) == 70
    document = json.loads((run_dir / "results_summary/autonomous_campaign_report.json").read_text())
    assert (document["verdict"]["status"], document["exit_code"]) == ("inconclusive", 70)
    assert "could not be judged: RuntimeError: no judgement" in document["verdict"]["why"]


def test_the_timeline_has_a_row_per_second_and_only_for_a_night_that_is_over(run_dir: Path) -> None:
    """The table that spreadsheets open lies beside the page; a partial report leaves it out and does not name it."""
    partial = build_report(run_dir, partial=True)
    assert not partial.timeline.exists()
    assert partial.timeline.name not in partial.html.read_text()
    paths = build_report(run_dir)
    assert paths.timeline == run_dir / "results_summary" / "timeline.csv.gz"
    assert paths.timeline.name in paths.html.read_text()
    header, *rows = gzip.decompress(paths.timeline.read_bytes()).decode().splitlines()
    assert header.startswith("utc,mono_s,segment")
    assert sum(1 for row in rows if ",stress_test," in row) == 14


def test_a_timeline_that_cannot_be_written_is_said(run_dir: Path) -> None:
    """A write error names the file and what to do, and leaves nothing temporary."""
    (run_dir / "results_summary/timeline.csv.gz").mkdir(parents=True)
    with pytest.raises(ReportWriteError, match=r"timeline\.csv\.gz could not be written"):
        build_report(run_dir)
    assert [path.name for path in (run_dir / "results_summary").iterdir()] == ["timeline.csv.gz"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A write error names the file, the reason and what to do, and leaves nothing temporary."""
    target = tmp_path / "report.html"
    target.mkdir()
    with pytest.raises(ReportWriteError, match=r"report\.html could not be written"):
        write_whole(target, "words")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--unknown", "x"], ["/nonexistent-run"]])
def test_wrong_arguments_are_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, with words on standard error."""
    assert main(arguments) == 2
    assert capsys.readouterr().err


@pytest.mark.process
def test_the_process_prints_one_line_and_exits_zero(run_dir: Path) -> None:
    """One line on standard output names report.html; the process is the lowest in priority."""
    done = subprocess.run(
        [sys.executable, "-m", "results_summary.reporter", str(run_dir), "--strict"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PROCESS_S_MAX,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{run_dir / 'results_summary' / 'report.html'}\n"
