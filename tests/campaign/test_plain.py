"""Progress lines: stable keys, one per half minute and one per event."""

import dataclasses
import io
import json
import re

from baseline_metrics.health import UnknownScore
from baseline_metrics.samples import Gap, GapReason, Sample
from campaign.interfaces import wording
from campaign.interfaces.plain import LINE_EVERY_S, LineFormat, LineScreen, event_line, plain_line, progress_document
from campaign.interfaces.wording import memory_text
from campaign.memory_watch import MemoryNow
from campaign.status import NoStatus, Paused, StatusEvent
from safety_monitoring.messages import SenseReading
from tests.support.status_documents import NOW_MONO_S, NOW_UTC_S, events, status_document

KEYS = [
    "state",
    "phase",
    "name",
    "t",
    "left",
    "health",
    "rate",
    "p99_ms",
    "errors",
    "ok",
    "failed",
    "connections",
    "guardian",
    "share",
    "memory",
    "cpu",
    "disk",
]


class Bench:
    """A line screen on a string, with its own time."""

    def __init__(self, line_format: LineFormat) -> None:
        self.now_mono_s = NOW_MONO_S
        self.stream = io.StringIO()
        self.screen = LineScreen(stream=self.stream, line_format=line_format, mono_s=lambda: self.now_mono_s)

    def lines(self) -> list[str]:
        """What was written since the last look."""
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        return text.splitlines()


def test_a_sense_that_the_host_lacks_is_named_and_is_no_number() -> None:
    """For people in words, for programs as null with its reason."""
    senses = (
        SenseReading(name="load", reading=Sample(value=1.5), unit="tasks a core"),
        SenseReading(name="swap", reading=Gap(reason=GapReason.ABSENT, detail="no swap is configured"), unit="MiB"),
        SenseReading(name="io pressure", reading=Gap(reason=GapReason.FIRST_READING), unit="%"),
    )
    seen = dataclasses.replace(status_document(), senses=senses)
    assert wording.senses_text(seen) == "load 1.5 tasks a core; not available: swap"
    assert wording.senses_text(status_document()) == ""
    told = progress_document(seen, now_mono_s=NOW_MONO_S)["senses"]
    assert isinstance(told, list)
    load, swap, _ = told
    assert load == {"name": "load", "value": 1.5, "unit": "tasks a core", "why_unknown": ""}
    assert swap == {"name": "swap", "value": None, "unit": "MiB", "why_unknown": "no swap is configured"}


def test_line_has_stable_keys() -> None:
    """A line begins with the local time and its offset, followed by always the same keys."""
    line = plain_line(status_document(), now_mono_s=NOW_MONO_S)
    assert line == (
        "2025-11-21T03:00:00+01:00 state=HOLDING phase=4/8 name=moderate_load_2 t=5h00m left=3h00m health=97 rate=13.9 "
        "p99_ms=123 errors=0.25% ok=123456 failed=309 connections=7/7 guardian=CLEAR share=100% "
        "memory=43% cpu=20% disk=61%"
    )
    assert re.findall(r"(\w+)=", line) == KEYS


def test_unknown_stands_in_the_line() -> None:
    """A missing value is the word unknown."""
    gap = Gap(reason=GapReason.FAILED)
    line = plain_line(status_document(health=UnknownScore(reason="x"), rate_per_s=gap, phase=-1), now_mono_s=NOW_MONO_S)
    assert "health=unknown rate=unknown" in line
    assert "phase=-/8 name=- " in line


def test_old_values_are_marked() -> None:
    """Up to five seconds a document is current; after that the line says how old it is."""
    status = status_document(at_mono_s=NOW_MONO_S - 5.0)
    assert "stale" not in plain_line(status, now_mono_s=NOW_MONO_S)
    assert plain_line(status, now_mono_s=NOW_MONO_S + 1.0).endswith(" stale=6s")


def test_a_pause_is_marked() -> None:
    """A key at the end of the line, and a time in the document; neither while nobody has paused."""
    paused = status_document(state="HELD", pause=Paused(since_utc_s=NOW_UTC_S))
    assert plain_line(paused, now_mono_s=NOW_MONO_S).endswith(" paused=03:00:00")
    assert progress_document(paused, now_mono_s=NOW_MONO_S)["paused_since"] == "2025-11-21T03:00:00+01:00"
    assert progress_document(status_document(), now_mono_s=NOW_MONO_S)["paused_since"] is None


def test_a_memory_load_is_shown_while_there_is_one() -> None:
    """Held of asked in a key of its own, in words, and in the document; nothing where no memory is held."""
    held = status_document(memory=MemoryNow(size_bytes=400 << 20, due_bytes=400 << 20, achieved_bytes=200 << 20))
    assert plain_line(held, now_mono_s=NOW_MONO_S).endswith(" held_mib=200/400")
    assert progress_document(held, now_mono_s=NOW_MONO_S)["memory_load"] == {
        "size_bytes": 400 << 20,
        "due_bytes": 400 << 20,
        "achieved_bytes": 200 << 20,
    }
    assert memory_text(held.memory) == "200 MiB of 400 MiB of memory held"
    assert progress_document(status_document(), now_mono_s=NOW_MONO_S)["memory_load"] is None
    assert memory_text(status_document().memory) == ""


def test_event_text_is_quoted() -> None:
    """An event's text is one logfmt value, whatever it holds."""
    event = StatusEvent(sequence=3, at_utc_s=1_763_690_400.0, text='he said "no"\n=\\')
    line = event_line(status_document(), event)
    assert line == r'2025-11-21T03:00:00+01:00 event=3 text="he said \"no\" =\\"'


def test_progress_twice_a_minute() -> None:
    """The first document gives a line at once, then one per half minute however often it is looked."""
    bench = Bench(LineFormat.PLAIN)
    status = status_document(events=())
    bench.screen.show(NoStatus(reason="not yet"))
    assert bench.lines() == []
    written = 0
    for _ in range(121):
        bench.screen.show(status)
        written += len(bench.lines())
        bench.now_mono_s += LINE_EVERY_S / 60
    assert written == 3


def test_each_event_once() -> None:
    """Events are written once each, in order; what passed unseen between two looks is counted."""
    bench = Bench(LineFormat.PLAIN)
    bench.screen.show(status_document(events=events(3)))
    assert [line.partition("event=")[2][:1] for line in bench.lines()] == ["1", "2", "3", ""]
    bench.screen.show(status_document(events=events(4)))
    assert [line.partition("event=")[2][:1] for line in bench.lines()] == ["4"]
    bench.screen.show(status_document(events=events(2, first=8)))
    assert [line for line in bench.lines() if "unseen" in line] == [
        "daybreak: 3 events went by unseen; the report has them all"
    ]


def test_json_lines() -> None:
    """In JSON each line is a document with a kind and a version; unknown is null."""
    bench = Bench(LineFormat.JSON)
    gap = Gap(reason=GapReason.ABSENT)
    bench.screen.show(status_document(events=events(1), rate_per_s=gap))
    bench.screen.notice("hello")
    event, progress, notice = [json.loads(line) for line in bench.lines()]
    assert (event["kind"], event["sequence"], event["schema_version"]) == ("event", 1, 1)
    assert (progress["kind"], progress["rate_per_s"], progress["health"]) == ("progress", None, 97.3)
    assert notice == {"schema_version": 1, "kind": "notice", "text": "hello"}


def test_document_tells_its_age() -> None:
    """A program sees how old the document is, and how long is left now."""
    document = progress_document(status_document(), now_mono_s=NOW_MONO_S + 9.5)
    assert document["age_s"] == 10.0
    assert document["night_left_s"] == 10_790.0
