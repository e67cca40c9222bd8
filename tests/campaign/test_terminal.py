"""The live view: 80 by 24, everything decisive on it, unknown stays unknown."""

import io

import pytest
from rich.console import Console

from baseline_metrics.health import UnknownScore
from baseline_metrics.samples import Gap, GapReason, Sample
from campaign.interfaces.terminal import (
    ASCII_GLYPHS,
    BOX_GLYPHS,
    Glyphs,
    LiveScreen,
    Watching,
    glyphs_for,
    status_view,
)
from campaign.status import Ended, NoStatus, Paused, Status
from tests.support.status_documents import NOW_MONO_S, NOW_UTC_S, events, phase_statuses, status_document

GAP = Gap(reason=GapReason.ABSENT)


def screen_of(
    status: Status,
    *,
    width: int = 80,
    later_s: float = 0.0,
    glyphs: Glyphs = ASCII_GLYPHS,
    watching: Watching = Watching.OWN,
    notice: str = "",
) -> list[str]:
    """The lines that a terminal would show."""
    view = status_view(
        status, now_mono_s=NOW_MONO_S + later_s, width=width, glyphs=glyphs, watching=watching, notice=notice
    )
    stream = io.StringIO()
    Console(file=stream, width=max(width, 40), color_system=None).print(view)
    return stream.getvalue().splitlines()


def line_with(lines: list[str], text: str) -> str:
    """The one line that holds this text."""
    found = [line for line in lines if text in line]
    assert len(found) == 1, f"{text!r} stands in {len(found)} lines of\n" + "\n".join(lines)
    return found[0]


@pytest.mark.parametrize("width", [40, 60, 79, 80, 81, 120, 300])
@pytest.mark.parametrize("phases", [1, 8, 9, 64])
def test_fits_the_screen(width: int, phases: int) -> None:
    """No line is wider than the terminal and there are never more than 23, whatever the plan's size."""
    rows = tuple((f"phase_{number}_with_a_long_name", "waiting", 15, 600.0) for number in range(phases))
    lines = screen_of(status_document(phases=phase_statuses(*rows), phase=phases // 2), width=width)
    assert len(lines) <= 23
    assert max(len(line) for line in lines) <= min(width, 120)


def test_shows_what_decides() -> None:
    """Health with its age, rate, p99, errors, connections, guardian and the window's end are on the screen."""
    lines = screen_of(status_document())
    assert "health 97 (2s ago)" in line_with(lines, "health")
    assert "rate 13.9/s   p99 123 ms   errors 0.25 %" in line_with(lines, "p99")
    assert "7 of 7 connections open   operations 123,456 ok, 309 failed" in line_with(lines, "connections")
    assert "guardian clear, 100% of load permitted   memory 43 %" in line_with(lines, "guardian")
    assert "3h00m left, window ends 07:00 CET" in line_with(lines, "night ")
    assert "phase 4 of 8" in line_with(lines, "Daybreak")


def test_phase_rows_tell_how_each_stands() -> None:
    """Each phase has a row with its word; the running one's bar is as long as its load is far."""
    lines = screen_of(status_document())
    assert " done  " in line_with(lines, " warmup")
    assert "done, eased" in line_with(lines, " moderate_load_1")
    assert "cut by planner" in line_with(lines, " endurance_test")
    running = line_with(lines, " moderate_load_2")
    assert running.count("#") == running.count("-") == 9


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        ("FAILED", "failed"),
        ("SAFETY_STOP", "guardian stop"),
        ("NOT_REACHED", "not reached"),
        ("OOM_KILLED", "oom killed"),
    ],
)
def test_outcomes_in_words(outcome: str, word: str) -> None:
    """A phase that did not end well says how it ended."""
    lines = screen_of(status_document(phases=phase_statuses(("only", outcome, 2, 60.0)), phase=0))
    assert word in line_with(lines, " only ")


@pytest.mark.parametrize("state", ["HELD", "COOLING"])
def test_a_pause_is_shown_with_the_way_out(state: str) -> None:
    """Since when, and what lets load come back; also while nothing but a rest is going on."""
    status = status_document(state=state, step_planned_s=0.0, pause=Paused(since_utc_s=NOW_UTC_S))
    assert "paused by a person since 03:00:00, go on with `resume-load`" in line_with(screen_of(status), "now ")
    assert max(len(line) for line in screen_of(status, width=40)) <= 40


def test_unknown_is_said() -> None:
    """Missing values are the word unknown, with the reason for the health score; never zero."""
    status = status_document(
        health=UnknownScore(reason="no operation ended"), rate_per_s=GAP, response_s_p99=GAP, error_percent=GAP
    )
    line = line_with(screen_of(status), "health")
    assert line == "health unknown   rate unknown   p99 unknown   errors unknown   (no operation end"


def test_long_response_times_in_seconds() -> None:
    """A p99 of a second and more is shown in seconds."""
    assert "p99 1.25 s" in line_with(screen_of(status_document(response_s_p99=Sample(value=1.25))), "p99")


def test_counts_down_between_documents() -> None:
    """Time left is that of the moment of drawing, not that of the document."""
    assert "2h59m left" in line_with(screen_of(status_document(), later_s=30.0), "night ")


def test_newest_events_in_the_plans_zone() -> None:
    """The last five events are shown, oldest first, in local time."""
    lines = screen_of(status_document(events=events(7)))
    shown = [line for line in lines if "happened" in line]
    assert [line.split()[2] for line in shown] == ["3", "4", "5", "6", "7"]
    assert shown[-1] == "02:59:00  event 7 happened"


def test_hostile_text_cannot_move_the_cursor() -> None:
    """Control and bidirectional characters in names and events are not put on the terminal."""
    event = events(1)[0]
    hostile = type(event)(sequence=1, at_utc_s=event.at_utc_s, text="bad\x1b[2J\r\n\u202eevent [bold]")
    status = status_document(events=(hostile,), phases=phase_statuses(("\x1b]0;x\x07", "FAILED", 1, 1.0)), phase=0)
    text = "\n".join(screen_of(status))
    assert not {"\x1b", "\r", "\x07", "\u202e"} & set(text)
    assert "[bold]" in text


def test_own_footer_tells_both_ways_to_stop() -> None:
    """The owner's screen says what Ctrl-C does and which file stops at once, never a path cut in half."""
    assert screen_of(status_document(run_dir="/r/runs/x"))[-1] == "Ctrl-C: orderly stop   at once: touch /r/runs/x/STOP"
    far = "/srv/daybreak/runs/20251120T210000Z-with-a-rather-long-name-for-a-run"
    assert screen_of(status_document(run_dir=far))[-1].endswith("touch /srv/daybreak/runs/STOP")


def test_guest_footer_does_not_offer_ctrl_c() -> None:
    """Somebody who only watches is told that Ctrl-C leaves the view and not the campaign."""
    assert "the campaign goes on" in screen_of(status_document(), watching=Watching.GUEST)[-1]


def test_end_shows_the_verdict() -> None:
    """After the end the title carries the verdict."""
    end = Ended(exit_code=0, cause="finished", verdict="FIT", why="", report="")
    assert screen_of(status_document(end=end, state="DONE", phase=-1))[0].endswith("FIT")


def test_glyphs_follow_the_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without UTF-8 in stream and locale, the view is plain ASCII."""
    monkeypatch.setattr("locale.getencoding", lambda: "UTF-8")
    assert glyphs_for(encoding="utf-8") is BOX_GLYPHS
    assert glyphs_for(encoding="ascii") is ASCII_GLYPHS
    monkeypatch.setattr("locale.getencoding", lambda: "ANSI_X3.4-1968")
    assert glyphs_for(encoding="utf-8") is ASCII_GLYPHS
    assert all(line.isascii() for line in screen_of(status_document()))


def test_live_screen_keeps_the_last_picture() -> None:
    """A document that is gone does not empty the screen; an old one is called old."""
    now = [NOW_MONO_S]
    stream = io.StringIO()
    screen = LiveScreen(stream=stream, colour=False, watching=Watching.OWN, mono_s=lambda: now[0])
    screen.show(NoStatus(reason="not there yet"))
    screen.show(status_document())
    now[0] += 30.0
    screen.show(NoStatus(reason="gone"))
    screen.close()
    last = stream.getvalue().rpartition("Daybreak")[2]
    assert "moderate_load_2" in last
    assert "these values are 30s old" in last
    assert "\x1b[3" not in stream.getvalue(), "no colours were asked for"
