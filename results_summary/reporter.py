"""Renders the report of a run from its record: ``python -m results_summary.reporter RUN_DIR [--partial] [--strict]``.

Short-lived and at the lowest priority, so that neither a slow disk nor a broken record can disturb a night; it can be run
again at any time and gives the same bytes. When rendering itself fails, a minimal report tells what is known and why.
This is the reporter process; the command line calls build_report and verdict_of.
"""

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.host_files import MarkedProcess, RunMark, marked_processes
from baseline_metrics.ownership import not_ours
from monitoring_logs.ballast import ballast_path
from monitoring_logs.export import write_timeline
from monitoring_logs.reader import RunReader
from monitoring_logs.run_files import files_of
from results_summary import minimal
from results_summary.assessment import Assessment, assess
from results_summary.cleaning import clean, file_name_part
from results_summary.documents import baseline_document, campaign_document, phase_file_document, to_text
from results_summary.facts import Absent
from results_summary.files import ReportWriteError, sync_folder, write_whole
from results_summary.junit import junit_xml
from results_summary.loading import load_facts
from results_summary.render import render_html, render_markdown, render_text
from results_summary.verdict import EXIT_OUR_FAULT, Verdict, exit_code
from results_summary.viewing import view

FOLDER = "results_summary"
HTML = "report.html"
TEXT = "campaign_summary.txt"
MARKDOWN = "campaign_summary.md"
CAMPAIGN = "autonomous_campaign_report.json"
BASELINE = "comprehensive_baseline_report.json"
JUNIT = "junit.xml"
TIMELINE = "timeline.csv.gz"
PHASE = "phase_report_{number}_{name}.json"

NICENESS = 19
"""The report may take as long as it likes; the night and its target may not notice."""

EXIT_WRITTEN = 0
EXIT_USAGE = 2
USAGE = "usage: python -m results_summary.reporter RUN_DIR [--partial] [--strict]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPaths:
    """What was written. phases: one file per phase, in order. timeline: only written for a night that is over."""

    folder: Path
    html: Path
    text: Path
    markdown: Path
    campaign: Path
    baseline: Path
    junit: Path
    timeline: Path
    phases: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictOf:
    """A run's verdict, why, and the exit code that follows from it and from how the campaign ended."""

    verdict: Verdict
    why: str
    exit_code: int


def build_report(run_dir: Path | str, *, partial: bool = False) -> ReportPaths:
    """Write all files of the report into RUN_DIR/results_summary. Raises ReportWriteError.

    partial: the night still goes on; the report is marked PARTIAL and carries no verdict.
    """
    run_dir = Path(run_dir)
    folder = run_dir / FOLDER
    strange = _not_ours(run_dir)
    if strange:
        raise ReportWriteError(strange)
    if not partial:
        _free_leftover_room(run_dir)
    assessment = assess(load_facts(run_dir, partial=partial))
    contents, phase_names = _contents(assessment)
    _make(folder)
    if not partial:
        _write_timeline(run_dir, folder / TIMELINE)
    for name, content in contents.items():
        write_whole(folder / name, content)
    sync_folder(folder)
    return ReportPaths(
        folder=folder,
        html=folder / HTML,
        text=folder / TEXT,
        markdown=folder / MARKDOWN,
        campaign=folder / CAMPAIGN,
        baseline=folder / BASELINE,
        junit=folder / JUNIT,
        timeline=folder / TIMELINE,
        phases=tuple(folder / name for name in phase_names),
    )


def verdict_of(run_dir: Path | str, *, strict: bool = False) -> VerdictOf:
    """Judge a run from its record, writing nothing. strict: fit with limits counts as not fit."""
    judged = _judged(Path(run_dir))
    return VerdictOf(
        verdict=judged.verdict,
        why=judged.why,
        exit_code=judged.exit_code_strict if strict else judged.exit_code,
    )


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when the report was written, 70 when only the minimal one or none could be, 2 for wrong arguments.

    ``--strict`` changes no byte: the report carries both exit codes. It is accepted so that every caller may pass it on.
    """
    flags = {argument for argument in arguments if argument.startswith("-")}
    places = [argument for argument in arguments if not argument.startswith("-")]
    if len(places) != 1 or not flags <= {"--partial", "--strict"}:
        sys.stderr.write(USAGE + "\n")
        return EXIT_USAGE
    run_dir = Path(places[0])
    if not run_dir.is_dir():
        sys.stderr.write(f"{run_dir} is not a run directory; name one under runs/\n")
        return EXIT_USAGE
    strange = _not_ours(run_dir)
    if strange:
        sys.stderr.write(f"{strange}\n")
        return EXIT_USAGE
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    try:
        paths = build_report(run_dir, partial="--partial" in flags)
    except Exception as error:  # noqa: BLE001 - whatever it is, a night must not end without a report
        traceback.print_exc()
        return _write_minimal(run_dir, error, partial="--partial" in flags)
    sys.stdout.write(f"{paths.html}\n")
    return EXIT_WRITTEN


def _not_ours(run_dir: Path) -> str:
    """Why no report may be written into this run, which a link or another user would lead elsewhere; or empty."""
    strange = not_ours(str(run_dir)) or not_ours(str(run_dir / FOLDER))
    return f"{strange}: no report is written there" if strange else ""


def _contents(assessment: Assessment) -> tuple[dict[str, str], tuple[str, ...]]:
    """Every file's name and content; report.html last, so that it never points at files that are not there yet."""
    page = view(assessment)
    meta = assessment.facts.meta
    phases: dict[str, str] = {}
    for order in () if isinstance(meta, Absent) else meta.order.phases:
        name = PHASE.format(number=order.index + 1, name=file_name_part(order.name))
        phases[name] = to_text(phase_file_document(order, assessment))
    contents = {
        **phases,
        TEXT: render_text(page),
        MARKDOWN: render_markdown(page),
        CAMPAIGN: to_text(campaign_document(assessment, page)),
        BASELINE: to_text(baseline_document(assessment)),
        JUNIT: junit_xml(assessment, page),
        HTML: render_html(page),
    }
    return contents, tuple(phases)


def _judged(run_dir: Path) -> minimal.Judged:
    """The one place where a verdict is made from a run directory, for the report that fails and for the exit code."""
    assessment = assess(load_facts(run_dir, partial=False))
    verdict, cause = assessment.judgement.verdict, assessment.end.cause
    return minimal.Judged(
        verdict=verdict,
        why=clean(assessment.judgement.why),
        exit_code=exit_code(verdict, cause, strict=False),
        exit_code_strict=exit_code(verdict, cause, strict=True),
    )


def _write_timeline(run_dir: Path, path: Path) -> None:
    """The night as a table, before the page that names it. Raises ReportWriteError."""
    reader = RunReader(run_dir)
    try:
        write_timeline(reader, str(path))
    except OSError as error:
        raise ReportWriteError(
            f"{path} could not be written: {error.strerror}; make room, then run `report` for this run again"
        ) from error
    finally:
        reader.close()
        Path(f"{path}.new").unlink(missing_ok=True)  # what a full disk left behind


def _write_minimal(run_dir: Path, error: Exception, *, partial: bool) -> int:
    try:
        judged = _judged(run_dir)
    except Exception as second:  # noqa: BLE001 - what broke the report may break the judgement too; it must be said
        judged = minimal.not_judged(second)
    document = minimal.document(run_dir, error, judged, partial=partial)
    try:
        folder = run_dir / FOLDER
        _make(folder)
        write_whole(folder / CAMPAIGN, to_text(document))
        write_whole(folder / TEXT, minimal.text(document))
        sync_folder(folder)
    except ReportWriteError as failure:
        sys.stderr.write(f"no report could be written: {failure}\n")
    return EXIT_OUR_FAULT


def _free_leftover_room(run_dir: Path) -> None:
    """Remove the ballast that a dead supervisor left: it was held back for the end of the campaign, and that is now."""
    ballast = Path(ballast_path(files_of(str(run_dir)).database))
    if not ballast.is_file():
        return
    real = run_dir.resolve()
    marked = marked_processes(RunMark(run_id=real.name, state_dir=""))
    if any(process.role == "supervisor" and _runs_in(process, real.parent) for process in marked):
        return  # it releases it by itself
    with contextlib.suppress(OSError):
        ballast.unlink()


def _runs_in(process: MarkedProcess, runs_dir: Path) -> bool:
    return not process.runs_dir or Path(process.runs_dir).resolve() == runs_dir


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportWriteError(f"{folder} could not be made: {error.strerror}; look at its permissions") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
