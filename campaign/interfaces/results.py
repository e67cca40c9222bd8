"""Prints what a run has found: its one-screen summary, or its JSON report.

The text is what the reporter wrote, unchanged, so that terminal, mail and file say the same. The processes of ``run``
and ``report`` use it.
"""

from pathlib import Path

from campaign.interfaces.output import manner, say, warn
from campaign.past_runs import REPORT

SUMMARY = Path("results_summary") / "campaign_summary.txt"

RESULT_BYTES_MAX = 64 << 20
"""A JSON report has about 200 KiB; what is larger than this was not written by us."""


def print_results(run_dir: Path) -> None:
    """Print the summary, or with --json the report document, on standard output."""
    path = run_dir / (REPORT if manner().json else SUMMARY)
    try:
        with path.open(encoding="utf-8") as file:
            say(file.read(RESULT_BYTES_MAX))
    except (OSError, UnicodeDecodeError) as error:
        warn(f"{path} cannot be read ({error}); `report {run_dir.name} --runs-dir {run_dir.parent}` builds it again")
