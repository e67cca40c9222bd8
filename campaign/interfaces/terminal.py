"""The live view: where the night stands, on one screen of 80 by 24 that is redrawn twice a second.

``status_view`` is pure: a status document and a moment in, lines out. ``LiveScreen`` puts them on a terminal with rich.
Only the viewer process uses it: the supervisor never draws, so a hung or closed terminal cannot hold the night up.
"""

import locale
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TextIO, assert_never

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from baseline_metrics.health import KnownScore, UnknownScore
from baseline_metrics.samples import Gap, Reading, Sample
from campaign.interfaces import wording
from campaign.night import State
from campaign.status import Ended, NoStatus, PhaseStatus, Running, Status
from monitoring_logs.records import Outcome
from safety_monitoring.limits import Rung

PHASE_ROWS = 8
"""The default campaign's phases, and what 24 lines have room for; of more, those around the current one are shown."""

EVENT_ROWS = 5

WIDTH_MIN = 40
"""Below this, a line cannot hold a name and a number; the terminal then cuts the lines."""

WIDTH_MAX = 120
"""Wider lines make the eye travel without telling more."""

_NAME_COLUMNS = 20
_WORD_COLUMNS = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """What bars and rules are made of. Written as escapes: the source stays readable on any terminal."""

    filled: str
    empty: str
    rule: str


BOX_GLYPHS = Glyphs(filled="\u2501", empty="\u2500", rule="\u2500")
ASCII_GLYPHS = Glyphs(filled="#", empty="-", rule="-")


class Watching(Enum):
    """Whose screen it is, which decides what Ctrl-C does."""

    OWN = "own"  # `run`: Ctrl-C stops the campaign
    GUEST = "guest"  # `status --watch`: Ctrl-C leaves the view


def status_view(
    status: Status, *, now_mono_s: float, width: int, glyphs: Glyphs, watching: Watching, notice: str
) -> Group:
    """All lines of the screen, at most 23, so that the cursor's line fits into 24. notice: "" or the viewer's own word."""
    columns = max(WIDTH_MIN, min(width, WIDTH_MAX))
    rule = Text(glyphs.rule * columns, style="dim")
    lines = [
        _title(status, columns=columns),
        _night(status, now_mono_s=now_mono_s, columns=columns, glyphs=glyphs),
        _step(status, now_mono_s=now_mono_s, columns=columns, glyphs=glyphs),
        rule,
        *_phases(status, columns=columns, glyphs=glyphs),
        rule,
        _signals(status, now_mono_s=now_mono_s),
        _load(status),
        _guardian(status),
        rule,
        *_events(status),
        _footer(status, watching=watching, notice=notice, columns=columns),
    ]
    for line in lines:
        line.no_wrap = True
        line.truncate(columns, overflow="ellipsis" if glyphs is BOX_GLYPHS else "crop")
    return Group(*lines)


def _title(status: Status, *, columns: int) -> Text:
    left = Text.assemble(("Daybreak", "bold"), "  ", (wording.printable(status.name), "bold cyan"))
    left.append(f"  {wording.printable(status.run_id)}", style="dim")
    match status.end:
        case Running():
            right = Text(f"phase {status.phase + 1} of {len(status.phases)}" if status.phase >= 0 else "", style="bold")
        case Ended(verdict=verdict, exit_code=exit_code):
            right = Text(verdict or f"ended, exit {exit_code}", style="bold")
        case _:
            assert_never(status.end)
    return _spread(left, right, columns=columns)


def _night(status: Status, *, now_mono_s: float, columns: int, glyphs: Glyphs) -> Text:
    left_s = wording.night_left_s(status, now_mono_s=now_mono_s)
    share = 1.0 - left_s / status.night_planned_s if status.night_planned_s > 0 else 0.0
    ends = wording.end_time(status.window_end_utc_s, status.zone)
    tail = f" {share:4.0%}  {wording.short_duration(left_s)} left, window ends {ends}"
    return _labelled_bar("night", share, tail, columns=columns, glyphs=glyphs, style="blue")


def _step(status: Status, *, now_mono_s: float, columns: int, glyphs: Glyphs) -> Text:
    words = wording.STATE_WORDS.get(status.state, status.state)
    paused = wording.pause_text(status)
    if paused:
        return Text.assemble(("now    ", "dim"), (paused, "yellow"))
    name = wording.phase_name(status)
    if status.state == State.ANCHOR.value:
        words = f"{words} before {name}" if name else f"last {words}"
    if status.step_planned_s <= 0:
        return Text.assemble(("now    ", "dim"), words)
    elapsed_s = min(status.step_planned_s, status.step_elapsed_s + wording.age_s(status, now_mono_s=now_mono_s))
    left = wording.short_duration(status.step_planned_s - elapsed_s)
    tail = f" {left:>6} left  {words}"
    return _labelled_bar("now", elapsed_s / status.step_planned_s, tail, columns=columns, glyphs=glyphs, style="cyan")


def _labelled_bar(label: str, share: float, tail: str, *, columns: int, glyphs: Glyphs, style: str) -> Text:
    bar_columns = max(8, min(30, columns - 7 - len(tail)))
    return Text.assemble((f"{label:<7}", "dim"), _bar(share, columns=bar_columns, glyphs=glyphs, style=style), tail)


def _bar(share: float, *, columns: int, glyphs: Glyphs, style: str) -> Text:
    filled = round(max(0.0, min(1.0, share)) * columns)
    return Text.assemble((glyphs.filled * filled, style), (glyphs.empty * (columns - filled), "dim"))


def _phases(status: Status, *, columns: int, glyphs: Glyphs) -> list[Text]:
    shown = _phases_shown(status)
    rows = [_phase(status, phase, columns=columns, glyphs=glyphs) for phase in shown]
    hidden = len(status.phases) - len(shown)
    if hidden > 0:
        ended = sum(phase.state not in ("waiting", "running", "cut") for phase in status.phases)
        rows[-1] = Text(f"  ... {hidden + 1} more phases; {ended} of {len(status.phases)} have ended", style="dim")
    return rows


def _phases_shown(status: Status) -> tuple[PhaseStatus, ...]:
    """PHASE_ROWS of them, the current one in the middle where possible."""
    if len(status.phases) <= PHASE_ROWS:
        return status.phases
    first = max(0, min(status.phase - PHASE_ROWS // 2, len(status.phases) - PHASE_ROWS))
    return status.phases[first : first + PHASE_ROWS]


def _phase(status: Status, phase: PhaseStatus, *, columns: int, glyphs: Glyphs) -> Text:
    mark, word, style = _phase_words(phase.state)
    share = 0.0
    if phase.state == "running":
        share = _phase_share(status, phase)
    elif phase.state in (Outcome.COMPLETED.value, Outcome.EASED.value):
        share = 1.0
    tail = f"  {phase.connections:>3} conn  {wording.short_duration(phase.planned_s):>6}"
    bar_columns = max(8, columns - 4 - _NAME_COLUMNS - 1 - _WORD_COLUMNS - len(tail) - 2)
    name = wording.printable(phase.name)
    if len(name) > _NAME_COLUMNS:
        name = name[: _NAME_COLUMNS - 2] + ".."
    return Text.assemble(
        (f"{mark:>2}  ", style),
        (f"{name:<{_NAME_COLUMNS}} ", "bold" if phase.state == "running" else ""),
        _bar(share, columns=bar_columns, glyphs=glyphs, style=style),
        (f"  {word:<{_WORD_COLUMNS}}", style),
        (tail, "dim"),
    )


def _phase_share(status: Status, phase: PhaseStatus) -> float:
    """How much of the phase's planned load is over; its ramp counts, its anchor does not."""
    if phase.planned_s <= 0:
        return 0.0
    if status.state == State.RAMPING.value:
        return status.step_elapsed_s / phase.planned_s
    if status.state in (State.HOLDING.value, State.EASED.value, State.PAUSED.value) and status.step_planned_s > 0:
        return (
            1.0 - (status.step_planned_s - status.step_elapsed_s) / phase.planned_s
        )  # each of them ends with the load
    return 1.0 if status.state == State.RELEASING.value else 0.0


def _phase_words(state: str) -> tuple[str, str, str]:
    """Mark, word and style of a phase's state."""
    fixed = {
        "waiting": (".", "waiting", "dim"),
        "running": (">", "running", "cyan"),
        "cut": ("-", "cut by planner", "dim"),
        Outcome.COMPLETED.value: ("+", "done", "green"),
        Outcome.EASED.value: ("~", "done, eased", "yellow"),
        Outcome.SKIPPED.value: ("-", "skipped", "yellow"),
        Outcome.NOT_REACHED.value: ("-", "not reached", "yellow"),
        Outcome.OPERATOR_STOP.value: ("!", "stopped by hand", "yellow"),
        Outcome.SAFETY_STOP.value: ("!", "guardian stop", "red"),
    }
    if state in fixed:
        return fixed[state]
    return ("x", wording.printable(state).replace("_", " ").lower(), "red")


def _signals(status: Status, *, now_mono_s: float) -> Text:
    measured = Text.assemble(
        ("   rate ", "dim"),
        _value(status.rate_per_s, decimals=1, unit="/s"),
        ("   p99 ", "dim"),
        _response(status.response_s_p99),
        ("   errors ", "dim"),
        _value(status.error_percent, decimals=2, unit=" %"),
    )
    label = ("health ", "dim")
    match status.health:
        case KnownScore(value=value):
            style = "bold green" if value >= 80 else "bold yellow" if value >= 60 else "bold red"
            age = wording.short_duration(status.health_age_s + wording.age_s(status, now_mono_s=now_mono_s))
            return Text.assemble(label, (f"{value:.0f}", style), (f" ({age} ago)", "dim"), measured)
        case UnknownScore(reason=reason):
            why = (f"   ({wording.printable(reason)})", "dim")
            return Text.assemble(label, (wording.UNKNOWN, "bold magenta"), measured, why)
    assert_never(status.health)


def _load(status: Status) -> Text:
    return Text.assemble(
        ("load   ", "dim"),
        f"{status.connections_open} of {status.connections_asked} connections open",
        f", {memory}" if (memory := wording.memory_text(status.memory)) else "",
        ("   operations ", "dim"),
        f"{status.operations_succeeded:,} ok",
        (f", {status.operations_failed:,} failed", "red" if status.operations_failed else "dim"),
    )


def _guardian(status: Status) -> Text:
    clear = status.guardian_rung == Rung.CLEAR.name
    return Text.assemble(
        ("guardian ", "dim"),
        (wording.printable(status.guardian_rung).lower().replace("_", " "), "green" if clear else "bold yellow"),
        f", {status.permitted_share:.0%} of load permitted",
        ("   memory ", "dim"),
        _value(status.memory_percent, decimals=0, unit=" %"),
        ("   cpu ", "dim"),
        _value(status.cpu_percent, decimals=0, unit=" %"),
        ("   disk ", "dim"),
        _value(status.disk_percent, decimals=0, unit=" %"),
    )


def _events(status: Status) -> list[Text]:
    """The newest events, oldest first; always EVENT_ROWS lines, so that the screen does not jump."""
    newest = status.events[-EVENT_ROWS:]
    lines = [
        Text.assemble((f"{wording.clock_time(event.at_utc_s, status.zone)}  ", "dim"), wording.printable(event.text))
        for event in newest
    ]
    return lines + [Text("")] * (EVENT_ROWS - len(lines))


def _footer(status: Status, *, watching: Watching, notice: str, columns: int) -> Text:
    if notice:
        return Text(wording.printable(notice), style="bold yellow")
    match watching:
        case Watching.OWN:
            keys = "Ctrl-C: orderly stop   at once: touch "
            # The run's own STOP where it fits, else that of the whole runs directory: a path cut in half helps nobody.
            places = (_from_here(f"{status.run_dir}/STOP"), _from_here(f"{status.run_dir}/../STOP"))
            place = next((place for place in places if len(keys) + len(place) <= columns), places[-1])
            return Text(keys + wording.printable(place), style="dim")
        case Watching.GUEST:
            return Text("Ctrl-C leaves this view, the campaign goes on; `stop` ends the campaign", style="dim")
    assert_never(watching)


def _from_here(path: str) -> str:
    """The shorter of the path and its way from the working directory."""
    return min(os.path.normpath(path), os.path.relpath(path), key=len)


def _spread(left: Text, right: Text, *, columns: int) -> Text:
    room = columns - right.cell_len - 2
    left.truncate(max(0, room), overflow="crop")
    return Text.assemble(left, " " * (columns - left.cell_len - right.cell_len), right)


def _value(reading: Reading, *, decimals: int, unit: str) -> Text:
    match reading:
        case Sample():
            return Text(wording.reading_text(reading, decimals=decimals, unit=unit))
        case Gap():
            return Text(wording.UNKNOWN, style="magenta")
    assert_never(reading)


def _response(reading: Reading) -> Text:
    """Milliseconds below one second, seconds from there on."""
    match reading:
        case Sample(value=value) if value < 1.0:
            return Text(f"{value * 1000.0:.0f} ms")
        case Sample(value=value):
            return Text(f"{value:.2f} s")
        case Gap():
            return Text(wording.UNKNOWN, style="magenta")
    assert_never(reading)


def glyphs_for(*, encoding: str) -> Glyphs:
    """Box characters when stream and locale are UTF-8, else ASCII."""
    utf8 = all(name.lower().replace("-", "").replace("_", "") == "utf8" for name in (encoding, locale.getencoding()))
    return BOX_GLYPHS if utf8 else ASCII_GLYPHS


class LiveScreen:
    """Redraws the view in place, in the scrollback, without taking the whole terminal."""

    def __init__(self, *, stream: TextIO, colour: bool, watching: Watching, mono_s: Callable[[], float]) -> None:
        self._console = Console(file=stream, no_color=not colour, highlight=False, markup=False, emoji=False)
        self._glyphs = glyphs_for(encoding=self._console.encoding)
        self._watching = watching
        self._mono_s = mono_s
        self._notice = ""
        self._last: Status | NoStatus = NoStatus(reason="not looked at yet")
        self._live = Live(console=self._console, auto_refresh=False, transient=False, vertical_overflow="crop")
        self._live.start()

    def show(self, seen: Status | NoStatus) -> None:
        """Draw. Without a document, the last one stays; before the first, say what is being waited for."""
        if isinstance(seen, Status):
            self._last = seen
        match self._last:
            case Status():
                view: Group | Text = status_view(
                    self._last,
                    now_mono_s=self._mono_s(),
                    width=self._console.width,
                    glyphs=self._glyphs,
                    watching=self._watching,
                    notice=self._notice or self._staleness(self._last),
                )
            case NoStatus():
                view = Text(self._notice or "waiting for the campaign's first sign of life", style="dim")
            case _:
                assert_never(self._last)
        self._live.update(view, refresh=True)

    def notice(self, text: str) -> None:
        """Put the viewer's own word in the last line, and draw at once."""
        self._notice = text
        self.show(self._last)

    def close(self) -> None:
        """Leave the last picture in the scrollback and give the cursor back."""
        self._live.stop()

    def _staleness(self, status: Status) -> str:
        age_s = wording.age_s(status, now_mono_s=self._mono_s())
        if age_s <= wording.STALE_S or isinstance(status.end, Ended):
            return ""
        return f"these values are {wording.short_duration(age_s)} old: the campaign does not answer"
