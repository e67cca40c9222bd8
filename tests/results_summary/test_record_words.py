"""What the report says of its own record: what is missing, and how long the disk took."""

from dataclasses import replace

import pytest

from monitoring_logs.numbering import LifeMissing, Producer, RecordHole
from monitoring_logs.records import TIME_KIND, EventRecord
from results_summary.facts import Facts
from results_summary.record_words import record_sentences, recorder_rows
from results_summary.render import render_html, render_text
from stress_scenarios.histogram import Histogram
from tests.results_summary.test_render import EMPTY, NIGHTS, shown
from tests.support.sample_records import recorder_facts


def hole(first: int, last: int) -> RecordHole:
    """Numbers of the first start that are missing."""
    return RecordHole(life=1, producer=Producer.SUPERVISOR, first=first, last=last)


def with_holes(*holes: RecordHole | LifeMissing) -> Facts:
    """A night that misses these."""
    return replace(EMPTY, holes=holes)


def rows(facts: Facts) -> dict[str, str]:
    """The rows by name."""
    return {row.name: row.value for row in recorder_rows(facts)}


def test_a_whole_record_needs_no_words() -> None:
    """Nothing missing, nothing said."""
    assert record_sentences(EMPTY) == []


@pytest.mark.parametrize(
    ("holes", "words"),
    [
        ([hole(4, 4)], "1 record were"),
        ([hole(4, 5), hole(9, 9)], "3 records were"),
    ],
)
def test_missing_records_are_unknown_and_counted(holes: list[RecordHole], words: str) -> None:
    """With their numbers."""
    (sentence,) = record_sentences(with_holes(*holes))
    assert sentence.startswith(words.replace("1 record were", "1 record was"))
    assert "unknown" in sentence
    assert "the supervisor's number 4" in sentence


def test_three_holes_are_named_and_the_others_counted() -> None:
    """At the bound and above it."""
    three = [hole(number, number) for number in (2, 4, 6)]
    assert "more hole" not in record_sentences(with_holes(*three))[0]
    assert "number 6 of start 1 and 1 more hole)" in record_sentences(with_holes(*three, hole(8, 8)))[0]


def test_a_missing_start_is_said_apart() -> None:
    """Its measurements are unknown as a whole."""
    (sentence,) = record_sentences(with_holes(LifeMissing(life=1)))
    assert "1 start of this campaign" in sentence
    assert "unknown" in sentence


def test_the_latencies_of_all_starts_are_put_together() -> None:
    """Two starts, three commits: one of them took two seconds."""
    slow, fast = Histogram(), Histogram()
    slow.record_s(2.0)
    fast.record_s(0.010)
    fast.record_s(0.010)
    lives = (
        replace(recorder_facts(life=1), commit_s=slow.encode(), sync_s=fast.encode()),
        replace(recorder_facts(life=2), commit_s=fast.encode(), spilled=3, lost=1),
    )
    found = rows(replace(EMPTY, recorder=lives))
    assert found["record"] == "240 records committed, 3 in the spill file, 1 lost"
    assert found["commits"] == "3: p50 10 ms, p99 2 s, longest 2 s"
    assert found["disk syncs"] == "2: p50 10 ms, p99 10 ms, longest 10 ms"


def test_a_record_that_never_closed_says_so() -> None:
    """A partial report is of a record that is still open; a dead night's was never closed."""
    assert "never closed" in rows(replace(EMPTY, partial=False))["record"]
    assert rows(replace(EMPTY, partial=True))["record"] == "not closed yet"


def test_a_histogram_that_cannot_be_read_is_unknown() -> None:
    """And the rest is told."""
    found = rows(replace(EMPTY, recorder=(replace(recorder_facts(), commit_s="!"),)))
    assert found["commits"].startswith("unknown: ")
    assert found["disk syncs"] == "none"


def test_what_the_host_slept_through_is_unknown_and_marked() -> None:
    """In words among what the night cannot say, and as a broken line in the picture."""
    order = next(iter(NIGHTS.values()))[0]
    at = order.segments[0].record
    slept = EventRecord(
        at_mono_s=at.start_mono_s + 1.0,
        at_utc_s=at.start_utc_s + 1.0,
        kind=TIME_KIND,
        name="SUSPENDED",
        text="the host was suspended for 3 h: nothing is known of that time",
    )
    before, after = shown(order), shown(replace(order, events=(*order.events, slept)))
    assert "The host was suspended for 3 h: nothing is known of that time." in render_text(after) + render_html(after)
    assert "the host slept or its clock was set" not in render_html(before)
    assert "1 broken line: the host slept or its clock was set" in render_html(after)
