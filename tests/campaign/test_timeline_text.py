"""What the ``plan`` command shows."""

from datetime import datetime
from zoneinfo import ZoneInfo

from campaign.planned_night import PlannedNight
from campaign.planner import fit_night
from campaign.starter_plan import DEMO_PLAN
from campaign.timeline_text import timeline_text
from tests.support.plans import loaded, plan


def shown(
    text: str = DEMO_PLAN, *, evening: str = "2026-11-20T22:00", compress_to_s: float = 120.0, width: int = 80
) -> str:
    """The timeline of a compressed night."""
    now_utc_s = datetime.fromisoformat(evening).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    planned = fit_night(plan(text), now_utc_s=now_utc_s, host_cpu_count=2, run_id="run", compress_to_s=compress_to_s)
    assert isinstance(planned, PlannedNight)
    return timeline_text(planned, width=width)


def test_every_stretch_has_its_local_time_and_its_load() -> None:
    """Phases and anchors with connections, pace and expected operations; seconds in a short night."""
    lines = shown().splitlines()

    assert lines[0].startswith("demo: a rehearsal of 1")
    (stress,) = [line for line in lines if "stress_test   " in line and "15 x 15/s" in line]
    assert stress.startswith("22:01:")
    assert sum(" anchor  " in line for line in lines) == 9
    assert any("22:00:00 CET" in line and "start, stop drill" in line for line in lines)
    assert any("end; the window closes at 22:02:00 CET" in line for line in lines)
    assert any(line.startswith("rehearsal: compressed from") for line in lines)
    assert any(line.startswith("  no  9 anchors, drift: NOT JUDGED") for line in lines)
    assert any(line.startswith("  yes warmup, success, response, achieved:") for line in lines)


def test_open_loads_searches_and_loads_without_a_pace_are_shown_as_they_are() -> None:
    """With their rates; what the target decides is at least so much."""
    phase = "duration: 10min, connections: 4, operations: 5, level"
    text = (
        "target: {url: http://127.0.0.1:8080}\n"
        "levels: {full: {pace: unpaced, success: 90, response: 1s}, slow: {think: 3s, success: 90, response: 1s}}\n"
        "phases:\n"
        f"  - {{name: steady, {phase}: low, arrivals: {{rate: 20}}, search: {{max: 800}}}}\n"
        f"  - {{name: steep, {phase}: low, arrivals: {{ramp: {{from: 1000, to: 20000}}}}}}\n"
        f"  - {{name: waves, {phase}: low, arrivals: {{sine: {{mean: 20, amplitude: 5, period: 1min}}}}}}\n"
        f"  - {{name: flat_out, {phase}: full}}\n"
        f"  - {{name: thoughtful, {phase}: slow}}\n"
    )
    lines = shown(text, compress_to_s=900.0).splitlines()

    def after(name: str) -> str:
        (line,) = [line for line in lines if f"  {name} " in line and line[:2].isdigit()]
        return " ".join(line.partition(name)[2].split())

    assert after("steady").startswith("arrivals 20/s ")
    assert after("search of the highest") == "5 to 800/s"
    assert after("steep").startswith("1000-20000/s ")
    assert after("waves").startswith("arrivals 15-25/s ")
    assert after("flat_out").startswith("4 x unpaced >= ")
    assert after("thoughtful").startswith("4 x think 3 s >= ")
    assert max(map(len, lines)) <= 80


def test_lines_fit_the_terminal() -> None:
    """Eighty columns, and sixty for sentences."""
    assert max(map(len, shown().splitlines())) <= 80
    assert all(line.isascii() for line in shown().splitlines())


def test_a_night_on_which_the_clock_changes_shows_both_zone_names() -> None:
    """The abbreviation stands where it changes."""
    found = loaded(flags={"until": "07:00"})
    now_utc_s = datetime(2026, 10, 24, 22, 0, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    planned = fit_night(found.plan, now_utc_s=now_utc_s, host_cpu_count=2, run_id="run")
    assert isinstance(planned, PlannedNight)
    lines = timeline_text(planned).splitlines()

    assert sum("CEST " in line for line in lines[:20]) == 1
    assert sum(line[:12].endswith(" CET") or " CET  " in line[:16] for line in lines) == 1
    assert any(line.startswith("clock:") and "set back by 1 h" in line for line in lines)


def test_cut_phases_are_named_with_the_reason() -> None:
    """They are not in the timeline, and never just missing."""
    planned = fit_night(loaded(flags={"hours": "3.5"}).plan, now_utc_s=1.8e9, host_cpu_count=2, run_id="run")
    assert isinstance(planned, PlannedNight)
    text = timeline_text(planned, width=200)

    assert "7 of 8 phases" in text
    assert "cut:       moderate_load_1 does not run: 8 phases at their minimum need" in text
