"""Progress as lines: one logfmt-like line, or one JSON line, per half minute and per event.

For logs, pipes, cron and CI, where a redrawn screen would be silence or rubbish. Keys are stable; times are ISO 8601 in
the plan's zone with their offset. Pure but for ``LineScreen``, which writes; the viewer process uses it.
"""

import json
from collections.abc import Callable
from enum import Enum
from typing import TextIO

from baseline_metrics.codec import Json, to_json_value
from baseline_metrics.health import KnownScore, Score
from baseline_metrics.samples import Gap, Reading, Sample
from campaign.interfaces import wording
from campaign.interfaces.output import SCHEMA_VERSION, write_lines
from campaign.memory_watch import MemoryNow
from campaign.status import NoStatus, Paused, Status, StatusEvent

LINE_EVERY_S = 30.0
"""A night of 8 h gives 960 lines: readable afterwards, and no half minute without a sign of life."""


def plain_line(status: Status, *, now_mono_s: float) -> str:
    """Where the night stands, as one line of key=value."""
    age_s = wording.age_s(status, now_mono_s=now_mono_s)
    position = f"{status.phase + 1}/{len(status.phases)}" if status.phase >= 0 else f"-/{len(status.phases)}"
    fields = [
        ("state", status.state),
        ("phase", position),
        ("name", wording.phase_name(status) or "-"),
        ("t", wording.short_duration(status.night_elapsed_s + age_s)),
        ("left", wording.short_duration(wording.night_left_s(status, now_mono_s=now_mono_s))),
        ("health", wording.score_text(status.health)),
        ("rate", wording.reading_text(status.rate_per_s, decimals=1)),
        ("p99_ms", wording.reading_text(status.response_s_p99, decimals=0, factor=1000.0)),
        ("errors", wording.reading_text(status.error_percent, decimals=2, unit="%")),
        ("ok", str(status.operations_succeeded)),
        ("failed", str(status.operations_failed)),
        ("connections", f"{status.connections_open}/{status.connections_asked}"),
        ("guardian", status.guardian_rung),
        ("share", f"{status.permitted_share:.0%}"),
        ("memory", wording.reading_text(status.memory_percent, decimals=0, unit="%")),
        ("cpu", wording.reading_text(status.cpu_percent, decimals=0, unit="%")),
        ("disk", wording.reading_text(status.disk_percent, decimals=0, unit="%")),
    ]
    if isinstance(status.memory, MemoryNow):
        achieved, size = status.memory.achieved_bytes >> 20, status.memory.size_bytes >> 20
        fields.append(("held_mib", f"{achieved}/{size}"))
    if isinstance(status.pause, Paused):
        fields.append(("paused", wording.clock_time(status.pause.since_utc_s, status.zone)))
    if age_s > wording.STALE_S:
        fields.append(("stale", wording.short_duration(age_s)))
    return _line(status.at_utc_s + age_s, status.zone, fields)


def event_line(status: Status, event: StatusEvent) -> str:
    """One event as one line."""
    return _line(event.at_utc_s, status.zone, [("event", str(event.sequence)), ("text", event.text)])


def progress_document(status: Status, *, now_mono_s: float) -> dict[str, Json]:
    """Where the night stands, for a program. Unknown is null."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "progress",
        "run": status.run_id,
        "at": wording.iso_time(status.at_utc_s, status.zone),
        "age_s": round(wording.age_s(status, now_mono_s=now_mono_s), 3),
        "state": status.state,
        "paused_since": _paused_since(status),
        "phase": status.phase,
        "phase_name": wording.phase_name(status),
        "phases": [{"name": phase.name, "state": phase.state} for phase in status.phases],
        "night_elapsed_s": round(status.night_elapsed_s, 3),
        "night_left_s": round(wording.night_left_s(status, now_mono_s=now_mono_s), 3),
        "window_end": wording.iso_time(status.window_end_utc_s, status.zone),
        "health": _score(status.health),
        "rate_per_s": _number(status.rate_per_s),
        "response_s_p99": _number(status.response_s_p99),
        "error_percent": _number(status.error_percent),
        "operations_succeeded": status.operations_succeeded,
        "operations_failed": status.operations_failed,
        "connections_open": status.connections_open,
        "connections_asked": status.connections_asked,
        "memory_load": _memory(status),
        "guardian_rung": status.guardian_rung,
        "permitted_share": status.permitted_share,
        "memory_percent": _number(status.memory_percent),
        "cpu_percent": _number(status.cpu_percent),
        "disk_percent": _number(status.disk_percent),
        "senses": [
            {"name": one.name, "value": _number(one.reading), "unit": one.unit, "why_unknown": _why(one.reading)}
            for one in status.senses
        ],
        "end": to_json_value(status.end),
    }


def _why(reading: Reading) -> str:
    return reading.detail or reading.reason.value if isinstance(reading, Gap) else ""


def event_document(status: Status, event: StatusEvent) -> dict[str, Json]:
    """One event, for a program."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "event",
        "run": status.run_id,
        "sequence": event.sequence,
        "at": wording.iso_time(event.at_utc_s, status.zone),
        "text": event.text,
    }


class LineFormat(Enum):
    """Lines for people, or for programs."""

    PLAIN = "plain"
    JSON = "json"


class LineScreen:
    """Writes progress lines: each event once, and where the night stands every LINE_EVERY_S."""

    def __init__(self, *, stream: TextIO, line_format: LineFormat, mono_s: Callable[[], float]) -> None:
        self._stream = stream
        self._format = line_format
        self._mono_s = mono_s
        self._next_line_mono_s = mono_s()
        self._last_sequence = 0
        self._begun = False

    def show(self, seen: Status | NoStatus) -> None:
        """Write what is new."""
        match seen:
            case Status():
                for event in seen.events:
                    if event.sequence > self._last_sequence or not self._begun:
                        self._event(seen, event)
                self._begun = True
                self._progress(seen)
            case NoStatus():
                pass  # the campaign has not begun to tell; there is nothing to write about

    def notice(self, text: str) -> None:
        """Write what the viewer itself has to say."""
        match self._format:
            case LineFormat.PLAIN:
                write_lines(f"daybreak: {text}", stream=self._stream)
            case LineFormat.JSON:
                self._document({"schema_version": SCHEMA_VERSION, "kind": "notice", "text": text})

    def close(self) -> None:
        """Nothing to put back."""

    def _event(self, status: Status, event: StatusEvent) -> None:
        missed = event.sequence - self._last_sequence - 1
        if self._begun and missed > 0:
            self.notice(f"{missed} events went by unseen; the report has them all")
        self._last_sequence = event.sequence
        match self._format:
            case LineFormat.PLAIN:
                write_lines(event_line(status, event), stream=self._stream)
            case LineFormat.JSON:
                self._document(event_document(status, event))

    def _progress(self, status: Status) -> None:
        now_mono_s = self._mono_s()
        if now_mono_s < self._next_line_mono_s:
            return
        self._next_line_mono_s = now_mono_s + LINE_EVERY_S
        match self._format:
            case LineFormat.PLAIN:
                write_lines(plain_line(status, now_mono_s=now_mono_s), stream=self._stream)
            case LineFormat.JSON:
                self._document(progress_document(status, now_mono_s=now_mono_s))

    def _document(self, document: dict[str, Json]) -> None:
        write_lines(json.dumps(document, separators=(",", ":")), stream=self._stream)


def _line(utc_s: float, zone: str, fields: list[tuple[str, str]]) -> str:
    return " ".join([wording.iso_time(utc_s, zone), *(f"{key}={_value(text)}" for key, text in fields)])


def _value(text: str) -> str:
    """A logfmt value: quoted when it holds a space, a quote or an equals sign."""
    clean = wording.printable(text)
    if clean and not any(character in clean for character in ' "=\\'):
        return clean
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _number(reading: Reading) -> Json:
    return reading.value if isinstance(reading, Sample) else None


def _memory(status: Status) -> Json:
    memory = status.memory
    if not isinstance(memory, MemoryNow):
        return None
    return {
        "size_bytes": memory.size_bytes,
        "due_bytes": memory.due_bytes,
        "achieved_bytes": memory.achieved_bytes,
    }


def _paused_since(status: Status) -> Json:
    return wording.iso_time(status.pause.since_utc_s, status.zone) if isinstance(status.pause, Paused) else None


def _score(score: Score) -> Json:
    return score.value if isinstance(score, KnownScore) else None
