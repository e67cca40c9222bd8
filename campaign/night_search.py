"""The search of the current phase, if one is under way: begun, fed with seconds and rungs, paused, recorded.

The desk decides on rates; this keeps the one desk of the night and its record. Runs in the supervisor's main thread.
"""

from collections.abc import Iterable

from baseline_metrics.samples import Gap, GapReason
from campaign.crew import Crew
from campaign.events import PrepareLoad, WriteSearch
from campaign.ledger import Ledger
from campaign.search_desk import SearchDesk
from campaign.telemetry import Stored
from monitoring_logs.load_orders import NoSearch
from monitoring_logs.records import LoadFacts, LoadSecond, NightOrder
from monitoring_logs.search_records import SearchRecord, StepState
from safety_monitoring.limits import Rung


class NightSearch:
    """At most one search at a time."""

    def __init__(self, order: NightOrder, *, crew: Crew, ledger: Ledger) -> None:
        self._order = order
        self._crew = crew
        self._ledger = ledger
        self._desk: SearchDesk | None = None

    def begin(self, load: PrepareLoad, *, segment: int, start_mono_s: float) -> None:
        """The load of a search has been told to start."""
        search = self._order.phases[load.phase].search
        assert not isinstance(search, NoSearch), f"phase {load.phase} searches nothing"
        self._desk = SearchDesk(
            search,
            phase=load.phase,
            segment=segment,
            start_mono_s=start_mono_s,
            lasts_s=load.hold_s,
            crew=self._crew,
            store=self._ledger.fact,
        )

    def look(self, stored: Iterable[Stored], *, rung: Rung, now_mono_s: float) -> str:
        """Hand on what was measured and where the guardian stands; why the search has its answer, "" while it has none."""
        if self._desk is None:
            return ""
        seconds = [record for record in stored if isinstance(record, LoadSecond)]
        self._desk.look(now_mono_s=now_mono_s, seconds=seconds, rung=rung)
        return self._desk.why if self._desk.over else ""

    def hold(self, now_mono_s: float) -> None:
        """A person has paused the load, whichever it is."""
        if self._desk is not None:
            self._desk.hold(now_mono_s)

    def resume(self, now_mono_s: float) -> None:
        """The load goes on."""
        if self._desk is not None:
            self._desk.resume(now_mono_s)

    def write(self, command: WriteSearch, *, segment: int, facts: LoadFacts) -> None:
        """Store the search's one record, also of one whose load never started."""
        desk, self._desk = self._desk, None
        if desk is not None:
            record = desk.record(facts, complete=command.complete, reason=command.reason)
        else:
            gap = Gap(reason=GapReason.ABSENT, detail="no rate was tried")
            record = SearchRecord(
                phase=command.phase,
                segment=segment,
                passing_per_s=gap,
                failing_per_s=gap,
                limited_by=StepState.UNFINISHED,
                overshoot_percent=gap,
                complete=command.complete,
                reason=command.reason,
                load=facts,
            )
        self._ledger.fact(record)
        name = self._order.phases[command.phase].name
        self._ledger.note("search", "ended" if command.complete else "cut_off", f"{name}: {record.reason}")
