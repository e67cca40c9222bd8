"""The night's one search: fed only while there is one, and recorded also when its load never started."""

from dataclasses import dataclass, field
from typing import cast

import pytest

from baseline_metrics.samples import Gap
from campaign.crew import Crew
from campaign.events import LoadKind, PrepareLoad, WriteSearch
from campaign.ledger import NO_LOAD, Ledger
from campaign.night_search import NightSearch
from monitoring_logs.journal import Fact
from monitoring_logs.search_records import SearchRecord, StepState
from safety_monitoring.limits import Rung
from tests.support.orders import night_order, phase_order, searching_phase


@dataclass
class Notes:
    """A ledger that keeps facts and lines in memory."""

    facts: list[Fact] = field(default_factory=list)
    lines: list[tuple[str, str, str]] = field(default_factory=list)

    def fact(self, fact: Fact) -> None:
        """Keep a fact."""
        self.facts.append(fact)

    def note(self, kind: str, name: str, text: str) -> None:
        """Keep a line."""
        self.lines.append((kind, name, text))


@dataclass
class Rates:
    """A crew that keeps the rates that it was asked for."""

    asked: list[float] = field(default_factory=list)

    def adjust(self, *, operations_per_s: float, connections: int) -> None:
        """Keep the rate."""
        assert connections == 64
        self.asked.append(operations_per_s)


@pytest.fixture
def notes() -> Notes:
    """An empty ledger."""
    return Notes()


def search_with(notes: Notes, rates: Rates) -> NightSearch:
    """The search of a night whose first phase has one."""
    order = night_order(searching_phase(0), phase_order(1))
    return NightSearch(order, crew=cast("Crew", rates), ledger=cast("Ledger", notes))


def test_a_search_whose_load_never_started_has_its_record(notes: Notes) -> None:
    """No rate was tried: both ends of the bracket are gaps, and the reason is the machine's."""
    search_with(notes, Rates()).write(
        WriteSearch(phase=0, complete=False, reason="no worker came up"), segment=5, facts=NO_LOAD
    )
    (record,) = notes.facts
    assert isinstance(record, SearchRecord)
    assert isinstance(record.passing_per_s, Gap)
    assert isinstance(record.failing_per_s, Gap)
    assert (record.phase, record.segment, record.limited_by) == (0, 5, StepState.UNFINISHED)
    assert (record.complete, record.reason) == (False, "no worker came up")
    assert notes.lines == [("search", "cut_off", "phase_0: no worker came up")]


def test_without_a_search_nothing_is_looked_at(notes: Notes) -> None:
    """Anchors and phases pass by: no answer, no rate, no record."""
    rates = Rates()
    search = search_with(notes, rates)
    search.hold(1000.0)
    search.resume(1001.0)
    assert search.look((), rung=Rung.EASE, now_mono_s=1001.0) == ""
    assert (rates.asked, notes.facts, notes.lines) == ([], [], [])


def test_a_search_is_over_with_its_record(notes: Notes) -> None:
    """What the desk has seen is written once; the next load is not taken for the search's."""
    rates = Rates()
    search = search_with(notes, rates)
    load = PrepareLoad(kind=LoadKind.SEARCH, phase=0, ramp_s=0.0, hold_s=40.0)
    search.begin(load, segment=3, start_mono_s=1000.0)
    assert search.look((), rung=Rung.EASE, now_mono_s=1003.0) == ""
    assert rates.asked, "the guardian's easing sends the search to its rest"
    search.write(WriteSearch(phase=0, complete=True, reason=""), segment=3, facts=NO_LOAD)
    assert isinstance(notes.facts[-1], SearchRecord)
    assert notes.facts[-1].complete
    before = len(rates.asked)
    search.look((), rung=Rung.EASE, now_mono_s=1004.0)
    assert len(rates.asked) == before
