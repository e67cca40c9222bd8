"""What the periodic words of housekeeping lead to: log lines, and a partial report now and then.

Nothing here is needed for the night to go on. Runs in the supervisor's main thread.
"""

from typing import assert_never

from baseline_metrics.codec import to_json_value
from campaign.crew import Crew
from campaign.host_watch import HostWatch
from campaign.housekeeping import Chore
from campaign.ledger import Ledger
from campaign.night import Night
from campaign.report_desk import ReportDesk
from safety_monitoring.messages import GuardianBeat


class Chores:
    """Who does the chores."""

    def __init__(self, *, ledger: Ledger, host: HostWatch, crew: Crew, desk: ReportDesk) -> None:
        self._ledger = ledger
        self._host = host
        self._crew = crew
        self._desk = desk

    def do(self, chore: Chore, *, night: Night, beat: GuardianBeat | None) -> None:
        """Do one chore."""
        match chore:
            case Chore.RESOURCE_SUMMARY:
                self._ledger.resources.logger.info("resources", **self._host.summary())
            case Chore.PROGRESS:
                counted = self._crew.running_counts()
                succeeded, failed = counted.succeeded, counted.failed
                self._ledger.load.logger.info("progress", state=night.state.value, succeeded=succeeded, failed=failed)
            case Chore.SAFETY_REVIEW:
                words = to_json_value(beat) if beat else "the guardian has not spoken yet"
                self._ledger.guardian.logger.info("safety review", rung=night.rung.name, beat=words)
            case Chore.CHECKPOINT:
                self._ledger.checkpoint()
            case Chore.PARTIAL_REPORT:
                self._desk.partial()
            case _:
                assert_never(chore)
