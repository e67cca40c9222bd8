"""Small nights in every written form: the word, one screen of text, no markup from outside."""

import dataclasses
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree.ElementTree import fromstring

import pytest

from baseline_metrics.health import KnownScore, UnknownScore
from monitoring_logs.records import EndCause, Meta, Outcome
from results_summary.assessment import assess
from results_summary.cleaning import columns_of
from results_summary.documents import campaign_document, to_text
from results_summary.facts import Absent, Facts
from results_summary.junit import junit_xml
from results_summary.render import (
    TEXT_COLUMNS_MAX,
    TEXT_LINES_MAX,
    markdown_escape,
    render_html,
    render_markdown,
    render_text,
)
from results_summary.view import ReportView
from results_summary.viewing import view
from safety_monitoring.limits import Rung
from tests.support.night import Night, Phase, eight_phases, make_facts

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e|`*[x](javascript:y) {{ 7*7 }}\x00\r\n"


def with_outcomes(phases: tuple[Phase, ...], outcomes: dict[int, Outcome], reason: str) -> tuple[Phase, ...]:
    """The phases with other outcomes."""
    return tuple(
        replace(phase, outcome=outcomes[index], reason=reason, ran_share=0.5) if index in outcomes else phase
        for index, phase in enumerate(phases)
    )


FIT = Night(phases=eight_phases())
STOPPED = Night(
    phases=with_outcomes(
        eight_phases(),
        {3: Outcome.OPERATOR_STOP} | dict.fromkeys(range(4, 8), Outcome.NOT_REACHED),
        "a person stopped the campaign",
    ),
    cause=EndCause.OPERATOR_STOP,
    detail="SIGTERM",
)
GUARDED = Night(
    phases=with_outcomes(
        eight_phases(),
        {6: Outcome.SAFETY_STOP, 7: Outcome.NOT_REACHED},
        "memory 91 % > 90 % for 10 s",
    ),
    cause=EndCause.GUARDIAN_STOP,
    detail="memory 91 % > 90 % for 10 s",
    moves=((200.0, Rung.EASE, "memory 86 %"), (300.0, Rung.STOP_CAMPAIGN, "memory 91 % > 90 % for 10 s")),
)
HOSTILE_NIGHT = Night(
    phases=(Phase(name=HOSTILE, success_share=0.5, outcome=Outcome.FAILED, reason=HOSTILE * 40),),
    error_message=HOSTILE + "A" * 10_000_000,
    operation=HOSTILE,
    target=HOSTILE,
    detail=HOSTILE,
    moves=((15.0, Rung.EASE, HOSTILE),),
    baseline_health=UnknownScore(reason=HOSTILE),
)
EMPTY = Facts(
    run_id="20251119T210000Z-empty",
    partial=False,
    meta=Absent(reason="meta.json cannot be read: No such file or directory"),
    baseline=Absent(reason="no baseline was recorded"),
    phases=(),
    anchors=(),
    segments=(),
    host=(),
    guardian=(),
    events=(),
    drills=(),
    end=Absent(reason="the campaign's end was not recorded"),
    last_alive=Absent(reason="nothing was recorded"),
    problems=("meta.json cannot be read",),
)

NIGHTS: dict[str, tuple[Facts, str, str]] = {
    "fit": (make_facts(FIT), "FIT", "0"),
    "fit with limits": (make_facts(Night(phases=eight_phases(failing=(6,)))), "FIT WITH LIMITS", "0 (1 with --strict)"),
    "not fit": (make_facts(Night(phases=eight_phases(failing=(0,)))), "NOT FIT", "1"),
    "inconclusive": (
        make_facts(Night(phases=with_outcomes(eight_phases(), {2: Outcome.INVALID_GENERATOR}, "loop lag 2 s"))),
        "INCONCLUSIVE",
        "3",
    ),
    "stopped by a person": (make_facts(STOPPED), "INCONCLUSIVE", "4"),
    "stopped by the guardian": (make_facts(GUARDED), "NOT FIT", "5"),
    "crashed": (make_facts(Night(phases=eight_phases(), end_recorded=False)), "INCONCLUSIVE", "70"),
    "rehearsal": (make_facts(replace(FIT, rehearsal=True)), "FIT", "0"),
    "refused by health": (
        make_facts(
            Night(
                phases=with_outcomes(
                    eight_phases(), dict.fromkeys(range(8), Outcome.NOT_REACHED), "baseline health 42 < 70"
                ),
                baseline_health=KnownScore(value=42.0),
                cause=EndCause.HEALTH_REFUSED,
            )
        ),
        "NOT FIT",
        "1",
    ),
    "no phases": (make_facts(Night(phases=())), "INCONCLUSIVE", "3"),
    "empty record": (EMPTY, "INCONCLUSIVE", "70"),
    "hostile": (make_facts(HOSTILE_NIGHT), "NOT FIT", "1"),
    "sixty-four phases": (
        make_facts(Night(phases=tuple(Phase(name=f"phase_{number}", hold_s=3.0) for number in range(64)))),
        "FIT",
        "0",
    ),
}


class Tags(HTMLParser):
    """Which elements and attributes a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember."""
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}


def shown(facts: Facts) -> ReportView:
    """The page of these facts."""
    return view(assess(facts))


@pytest.mark.parametrize("name", NIGHTS)
def test_each_night_says_its_word_on_one_screen(name: str) -> None:
    """Verdict and exit code stand in a text of at most 24 lines of 80 columns, in plain characters."""
    facts, word, code = NIGHTS[name]
    text = render_text(shown(facts))
    lines = text.splitlines()
    assert len(lines) <= TEXT_LINES_MAX
    assert all(columns_of(line) <= TEXT_COLUMNS_MAX for line in lines)
    assert lines[0].endswith(f"{word} REHEARSAL" if name == "rehearsal" else word)
    assert lines[-1].endswith(f"exit {code}")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e]", text)


@pytest.mark.parametrize("name", NIGHTS)
def test_no_page_holds_script_or_style_attributes(name: str) -> None:
    """The page needs no script, and nothing from the record can bring one in."""
    page = render_html(shown(NIGHTS[name][0]))
    tags = Tags()
    tags.feed(page)
    assert not tags.elements & {"script", "iframe", "object", "img", "link", "a", "form"}
    assert "style" not in tags.attributes
    assert not any(attribute.startswith("on") for attribute in tags.attributes)
    assert "{{" not in page.replace("{{ 7*7 }}", "")
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert len(page) < 600_000
    assert page.endswith("</html>\n")


@pytest.mark.parametrize("name", NIGHTS)
def test_all_forms_show_the_same_verdict(name: str) -> None:
    """Text, Markdown, page and JUnit are made from one view."""
    facts, word, _ = NIGHTS[name]
    page = shown(facts)
    assert word in render_markdown(page).splitlines()[0]
    assert f"<title>{word}" in render_html(page)
    fromstring(junit_xml(assess(facts), page))


def strings_of(value: object) -> Iterator[str]:
    """Every string of a record, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from strings_of(item)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from strings_of(getattr(value, field.name))


@pytest.mark.parametrize("name", NIGHTS)
def test_no_word_of_any_page_holds_control_or_format_characters(name: str) -> None:
    """What came from outside is cleaned before any format sees it."""
    page = shown(NIGHTS[name][0])
    for words in (*strings_of(page), junit_xml(assess(NIGHTS[name][0]), page)):
        assert not {unicodedata.category(character) for character in words.replace("\n", "")} & {"Cc", "Cf", "Cs"}


def test_everything_above_the_fold_is_there() -> None:
    """Verdict, reason, three tiles and the timeline come before the first table."""
    page = render_html(shown(NIGHTS["fit with limits"][0]))
    top = page[: page.index("<section>")]
    for words in ("FIT WITH LIMITS", "Everything up to 48 operations/s holds", "48 - 120/s", "7 of 8 phases", "<svg"):
        assert words in top


def test_a_crash_is_told_truthfully() -> None:
    """Without an end the report says that the supervisor was lost, and when the record falls silent."""
    page = shown(NIGHTS["crashed"][0])
    assert page.ended.startswith("the supervisor was lost at 22:")
    assert "Nobody recorded the end of this night" in page.unknowns[0]


def test_a_partial_report_has_no_verdict() -> None:
    """While the night goes on the word is PARTIAL and there is no exit code."""
    facts = replace(make_facts(FIT), partial=True, end=Absent(reason="the night goes on"))
    facts = replace(facts, phases=facts.phases[:3])
    page = shown(facts)
    assert page.verdict.word == "PARTIAL"
    assert "3 of 8 phases are recorded" in page.why
    assert page.exit_words == "none yet"
    assert "FIT" not in render_text(page).splitlines()[0]
    assert '"status": null' in to_text(campaign_document(assess(facts), page))


def test_a_rehearsal_carries_its_word() -> None:
    """Beside the verdict, in the title and in the list of what cannot be said."""
    page = shown(NIGHTS["rehearsal"][0])
    assert page.title.startswith("FIT REHEARSAL")
    assert any("rehearsal in compressed time" in words for words in page.unknowns)


def test_shortfalls_are_listed() -> None:
    """Less load than asked for, and phases that were cut, are said in words."""
    phases = (Phase(name="short", started_share=0.5), Phase(name="cut", cut="the window is too short"))
    page = shown(make_facts(Night(phases=phases)))
    assert any(words.startswith("short: ") and "operations were started" in words for words in page.shortfalls)
    assert "cut: cut before the night: the window is too short" in page.shortfalls
    for words in page.shortfalls:
        assert markdown_escape(words) in render_markdown(page)
    (line,) = (line for line in render_text(page).splitlines() if line.startswith("short "))
    assert line.endswith("operations were started; and 1 more")
    assert line.startswith("short     short: ")


def with_first_load(facts: Facts, **changes: int) -> Facts:
    """The same record with other counters of the first phase."""
    record = facts.phases[0]
    return replace(facts, phases=(replace(record, load=replace(record.load, **changes)), *facts.phases[1:]))


def test_connections_fall_short_by_how_many_were_open_at_once() -> None:
    """Connections that are opened again and again do not make up for those that were never open together."""
    facts = make_facts(Night(phases=(Phase(name="only", connections=4),)))
    assert shown(facts).shortfalls == ()
    few = shown(with_first_load(facts, connections_peak=3, connections_opened=40))
    assert few.shortfalls == ("only: 3 of 4 connections were open at once",)


def test_a_target_that_closes_connections_is_said_apart() -> None:
    """A connection that breaks for each session is the target's doing; sessions with several connections are not."""
    facts = make_facts(Night(phases=(Phase(name="only", connections=4),)))
    sessions = 4 + facts.phases[0].load.operations_started // 10
    assert shown(with_first_load(facts, reconnects=sessions, connections_opened=9 * sessions)).shortfalls == ()
    (words,) = shown(with_first_load(facts, reconnects=sessions + 1)).shortfalls
    assert words == f"only: the target closes connections: {sessions + 1} reconnections in {sessions} sessions"


def test_before_reconnections_were_counted_opened_connections_tell() -> None:
    """In a record of schema version 1, more than two connections for a session are the target's doing."""
    facts = make_facts(Night(phases=(Phase(name="only", connections=4),)))
    assert not isinstance(facts.meta, Absent)
    facts = replace(facts, meta=replace(facts.meta, schema_version=1))
    sessions = 4 + facts.phases[0].load.operations_started // 10
    assert shown(with_first_load(facts, connections_opened=2 * sessions)).shortfalls == ()
    (words,) = shown(with_first_load(facts, connections_opened=2 * sessions + 1)).shortfalls
    assert words == f"only: the target closes connections: {sessions + 1} reconnections in {sessions} sessions"


def test_a_shortened_phase_shows_planned_and_held_seconds() -> None:
    """In the table and in the list of shortfalls; its seconds are all there and none is called missing."""
    page = shown(make_facts(Night(phases=(Phase(name="late", asked_share=0.5),))))
    assert page.phases[0].held == "10 s of 20 s"
    assert page.phases[0].coverage == "100.0 %"
    assert "late: held for 10 s of 20 s" in page.shortfalls


@pytest.mark.parametrize(
    ("zone", "words"), [("Etc/UTC", " UTC, "), ("UTC", " UTC, "), ("Europe/Berlin", " Europe/Berlin (CET), ")]
)
def test_a_zone_is_named_once(zone: str, words: str) -> None:
    """Name and abbreviation stand beside each other only where they differ, in the text and in the drawing."""
    facts = make_facts(FIT)
    assert isinstance(facts.meta, Meta)
    page = shown(replace(facts, meta=replace(facts.meta, order=replace(facts.meta.order, zone=zone))))
    assert words in page.night
    assert f"local time{words}from" in page.timeline_svg
    assert "UTC (UTC)" not in page.timeline_svg


def test_the_answer_is_the_second_column() -> None:
    """On a phone the first two columns of gates and phases are what is seen."""
    page = render_html(shown(NIGHTS["fit with limits"][0]))
    assert "<th>where</th><th>answer</th>" in page
    assert "<th>phase</th><th>answer</th>" in page
    assert '<td class="short">7 stress_test</td><td><span class="badge bad">FAIL</span></td>' in page


def test_markdown_shows_markup_as_text() -> None:
    """Nothing from outside becomes a link, a cell, a heading or HTML."""
    assert markdown_escape("a|b <i> [x](y) `z` *s*\nnext") == "a\\|b &lt;i&gt; \\[x\\](y) \\`z\\` \\*s\\* next"
    text = render_markdown(shown(NIGHTS["hostile"][0]))
    assert "<script" not in text
    assert "\x1b" not in text


def test_a_long_sensor_name_breaks_and_leaves_room_for_its_value() -> None:
    """On a phone the name of a disk's sensor wraps within its own column, and large numbers are written out."""
    facts = make_facts(FIT)
    assert not isinstance(facts.baseline, Absent)
    sensor = "disk_free_bytes:/var/lib/daybreak"
    baseline = replace(facts.baseline, host_means={sensor: 123_456_789_012.0, "cpu_percent": 6.25})
    page = render_html(shown(replace(facts, baseline=baseline)))
    assert f'<td class="sensor">{sensor}</td><td class="value">123,456,789,012</td>' in page
    assert '<td class="sensor">cpu_percent</td><td class="value">6.25, varies by 21 %</td>' in page
    assert re.search(r"td\.sensor \{[^}]*overflow-wrap: anywhere", page)
    assert re.search(r"td\.value \{[^}]*min-width: \d+px", page)


def test_a_bracket_with_undecided_loads_within_does_not_claim_that_none_was_tested() -> None:
    """The sentence about capacity tells an empty bracket from one whose middle stayed undecided."""
    assert "nothing was tested in between" in shown(NIGHTS["fit with limits"][0]).unknowns[0]
    phases = with_outcomes(eight_phases(failing=(6,)), {2: Outcome.INVALID_GENERATOR}, "loop lag 2 s")
    assert "undecided" in shown(make_facts(Night(phases=phases))).unknowns[0]
