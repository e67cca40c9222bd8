"""The night in columns, and its picture."""

import re
from dataclasses import replace
from xml.etree.ElementTree import fromstring

import pytest

from results_summary.assessment import assess
from results_summary.charts import timeline_svg, zone_of
from results_summary.facts import Absent, Facts
from results_summary.timeline import COLUMNS_MAX, MARKS_MAX, Missing, NothingExpected, Spread, Timeline, timeline
from safety_monitoring.limits import Rung
from tests.support.night import Night, Phase, eight_phases, make_facts, without


def night_of(facts: Facts) -> Timeline:
    """The timeline of facts that have one."""
    night = timeline(assess(facts))
    assert isinstance(night, Timeline)
    return night


def test_a_whole_night_has_no_gap() -> None:
    """Every column of load and host is filled or was not expected."""
    night = night_of(make_facts(Night(phases=eight_phases())))
    for cells in (night.achieved_per_s, night.cpu_percent, night.memory_percent, night.error_percent):
        assert len(cells) <= COLUMNS_MAX
        assert not any(isinstance(cell, Missing) for cell in cells)
    assert any(isinstance(cell, NothingExpected) for cell in night.achieved_per_s)


def test_missing_seconds_are_gaps_and_not_zero() -> None:
    """A hole in the record is drawn as a hole."""
    facts = make_facts(Night(phases=(Phase(hold_s=60.0),), host_gap=(20.0, 40.0)))
    night = night_of(without(facts, segment=1, second=lambda row: 10 <= row.second < 30))
    missing = [cell for cell in night.achieved_per_s if isinstance(cell, Missing)]
    assert 15 <= len(missing) * night.column_s <= 20
    assert any(isinstance(cell, Missing) for cell in night.cpu_percent)


def test_a_spike_of_one_second_survives() -> None:
    """Columns keep the greatest value, whatever their length."""
    facts = make_facts(Night(phases=(Phase(hold_s=1500.0, connections=1, per_s=1.0),)))
    segment = facts.segments[1]
    spike = replace(segment.seconds[700], failed=segment.seconds[700].failed + 50)
    seconds = (*segment.seconds[:700], spike, *segment.seconds[701:])
    night = night_of(replace(facts, segments=(facts.segments[0], replace(segment, seconds=seconds), facts.segments[2])))
    assert len(night.achieved_per_s) == COLUMNS_MAX
    assert max(cell.greatest for cell in night.achieved_per_s if isinstance(cell, Spread)) >= 50


def test_an_empty_record_has_no_timeline() -> None:
    """Nothing measured, nothing drawn, and a reason."""
    facts = make_facts(Night(phases=()))
    empty = replace(facts, segments=(), events=(), host=(), anchors=(), phases=())
    assert isinstance(timeline(assess(empty)), Absent)


def test_marks_are_bounded() -> None:
    """A flapping guardian cannot blow up the picture; what is left out is counted."""
    moves = tuple((10.0 + index / 10, Rung.EASE, "cpu 88 %") for index in range(MARKS_MAX + 25))
    night = night_of(make_facts(Night(phases=(Phase(),), moves=moves)))
    assert (len(night.marks), night.marks_left_out) == (MARKS_MAX, 25)


def test_the_picture_is_wellformed_harmless_and_small() -> None:
    """Presentation attributes only, no script, names escaped, below 150 kB for the longest night."""
    phases = tuple(
        replace(phase, name=f'<script>alert("{index}")</script>\u202e') for index, phase in enumerate(eight_phases())
    )
    facts = make_facts(Night(phases=phases, moves=((100.0, Rung.PAUSE, '"><b onload=x>'),)))
    drawn = timeline_svg(night_of(facts), zone_of("Europe/Berlin"))
    fromstring(drawn)
    assert len(drawn) < 150_000
    assert "<script" not in drawn
    assert "<b " not in drawn
    assert "style=" not in drawn
    assert "\u202e" not in drawn
    assert re.search(r"<title[^>]*>The night from 2025-11-19 22:00", drawn)


@pytest.mark.parametrize(
    ("zone", "words"), [("Europe/Berlin", "22:01"), ("Asia/Kolkata", "02:31"), ("No/Such", "21:01")]
)
def test_the_axis_shows_local_time_with_its_zone(zone: str, words: str) -> None:
    """Time of day in the plan's zone, UTC when the record names a zone that does not exist."""
    drawn = timeline_svg(night_of(make_facts(Night(phases=eight_phases()))), zone_of(zone))
    assert f">{words}<" in drawn
    assert (zone if zone != "No/Such" else "UTC") in drawn
