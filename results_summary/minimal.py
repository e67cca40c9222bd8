"""The report that is written when the report cannot be: what is surely known, and what went wrong.

It uses nothing of the rendering that has just failed, reads the least, and cannot fail for its content. The verdict does
not depend on rendering: where it could be computed, it stands here too, the same that the process exits with.
Process: reporter.
"""

from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.codec import Json
from monitoring_logs.reader import RunReader
from monitoring_logs.records import CampaignEnd
from results_summary.cleaning import clean, fit_columns
from results_summary.verdict import EXIT_OUR_FAULT, Verdict

SCHEMA_VERSION = "1.0"

_COLUMNS = 80

_PARTIAL_WORD = "PARTIAL"

_PHASES_MAX = 16
"""A line each, on one screen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the record says about the night, computed before and without any rendering."""

    verdict: Verdict
    why: str
    exit_code: int
    exit_code_strict: int


def not_judged(error: Exception) -> Judged:
    """The judgement when computing it failed: nothing is decided, and the fault is ours."""
    return Judged(
        verdict=Verdict.INCONCLUSIVE,
        why=f"the night could not be judged: {_fault(error)}",
        exit_code=EXIT_OUR_FAULT,
        exit_code_strict=EXIT_OUR_FAULT,
    )


def document(run_dir: Path, error: Exception, judged: Judged, *, partial: bool) -> dict[str, Json]:
    """The least autonomous_campaign_report.json: the verdict, the fault and the phases' outcomes as recorded."""
    problems: list[Json] = [f"the report could not be made: {_fault(error)}"]
    found: dict[str, Json] = {
        "schema_version": SCHEMA_VERSION,
        "minimal": True,
        "partial": partial,
        "verdict": {
            "status": None if partial else judged.verdict.name.lower(),
            "word": _PARTIAL_WORD if partial else judged.verdict.value,
            "why": "the night still goes on" if partial else judged.why,
        },
        "campaign_info": {"run_id": clean(run_dir.resolve().name), "end_cause": None},
        "phase_results": [],
        "problems": problems,
        "exit_code": None if partial else judged.exit_code,
        "exit_code_strict": None if partial else judged.exit_code_strict,
    }
    try:
        _add_record(found, run_dir)
    except Exception as second:  # noqa: BLE001 - the record may be what broke the report; the rest still stands
        problems.append(f"the record could not be read: {_fault(second)}")
    return found


def text(found: dict[str, Json]) -> str:
    """The same for people, in one screen."""
    verdict, info, phases = found["verdict"], found["campaign_info"], found["phase_results"]
    problems = found["problems"]
    assert isinstance(verdict, dict)
    assert isinstance(info, dict)
    assert isinstance(phases, list)
    assert isinstance(problems, list)
    lines = [
        f"DAYBREAK  minimal report{verdict['word']:>{_COLUMNS - 24}}",
        f"run       {info['run_id']}",
        f"ended     {info['end_cause'] or 'unknown'}",
        f"why       {verdict['why']}",
        *(f"fault     {problem}" for problem in problems),
    ]
    for phase in phases[:_PHASES_MAX]:
        assert isinstance(phase, dict)
        lines.append(f"phase     {phase['number']} {phase['name']}: {phase['outcome']}")
    lines.append("next      the record is untouched; `report` can be run again")
    return "\n".join(fit_columns(clean_line, _COLUMNS) for clean_line in lines) + "\n"


def _fault(error: Exception) -> str:
    return f"{type(error).__name__}: {clean(str(error))}"


def _add_record(found: dict[str, Json], run_dir: Path) -> None:
    reader = RunReader(run_dir)
    try:
        end = reader.end()
        cause = end.cause.value if isinstance(end, CampaignEnd) else "supervisor_lost"
        found["campaign_info"] = {"run_id": clean(run_dir.resolve().name), "end_cause": cause}
        found["phase_results"] = [
            {
                "number": record.index + 1,
                "name": clean(record.name),
                "outcome": record.outcome.value,
                "reason": clean(record.reason),
            }
            for record in reader.phase_records()
        ]
    finally:
        reader.close()
