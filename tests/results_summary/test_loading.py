"""A run directory read again into facts."""

from dataclasses import replace
from pathlib import Path

import pytest

from monitoring_logs.records import Meta
from results_summary.facts import Absent
from results_summary.loading import load_facts
from tests.results_summary.search_nights import STRESS_TEST, night_with_search, search_facts
from tests.support.night_on_disk import write_facts


@pytest.mark.parametrize("complete", [True, False])
def test_a_search_is_read_as_it_was_written(tmp_path: Path, *, complete: bool) -> None:
    """Its steps in order and its end; a crash leaves the steps, and the segment's name tells the phase."""
    facts = night_with_search(search_facts())
    (search,) = facts.searches
    if not complete:
        search = replace(search, record=Absent(reason="the search's end is not in the record"))
        facts = replace(facts, searches=(search,))
    loaded = load_facts(write_facts(tmp_path / facts.run_id, facts), partial=False)
    assert loaded.searches == (search,)
    assert loaded.searches[0].phase == STRESS_TEST
    assert isinstance(loaded.meta, Meta)
    assert loaded.problems == ()


def test_a_night_without_a_search_has_none(tmp_path: Path) -> None:
    """No segment and no record of one."""
    facts = night_with_search()
    assert load_facts(write_facts(tmp_path / facts.run_id, facts), partial=False).searches == ()
