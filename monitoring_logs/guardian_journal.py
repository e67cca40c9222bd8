"""Reads the guardian's own journal: what it did, also when there was no supervisor left to tell.

The guardian runs on the standard library and writes plain JSON lines {at_mono_s, at_utc_s, name, body}, where the body
is one of its report messages. A line that does not fit is counted and passed over. The reporter uses this module.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.codec import CodecError, from_json_value
from monitoring_logs.checked_lines import LINE_BYTES_MAX
from monitoring_logs.records import GuardianEvent
from safety_monitoring.messages import LadderMoved, LoadEnded

LINES_MAX = 1_000_000
"""One line a second is 86,400 a day: a longer file was not written by a guardian."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardianContent:
    """What could be read: moves of the ladder, ends of all load, and how many lines could not be understood."""

    moves: tuple[GuardianEvent, ...]
    load_ends: tuple[LoadEnded, ...]
    bad_lines: int


def read_guardian_journal(path: str) -> GuardianContent:
    """Read one journal. Raises OSError when the file cannot be read; bad lines are counted, not raised."""
    moves: list[GuardianEvent] = []
    load_ends: list[LoadEnded] = []
    bad_lines = 0
    with Path(path).open("rb") as file:
        for _ in range(LINES_MAX):
            line = file.readline(LINE_BYTES_MAX)
            if not line:
                break
            try:
                entry = json.loads(line)
                body = entry["body"]
                kind = body.get("type") if isinstance(body, dict) else None
                if kind == LadderMoved.__name__:
                    moves.append(_move(from_json_value(LadderMoved, body), at_utc_s=float(entry["at_utc_s"])))
                elif kind == LoadEnded.__name__:
                    load_ends.append(from_json_value(LoadEnded, body))
            except (CodecError, ValueError, KeyError, TypeError, RecursionError):
                bad_lines += 1
    return GuardianContent(moves=tuple(moves), load_ends=tuple(load_ends), bad_lines=bad_lines)


def _move(moved: LadderMoved, *, at_utc_s: float) -> GuardianEvent:
    return GuardianEvent(
        at_mono_s=moved.at_mono_s, at_utc_s=at_utc_s, rung=moved.rung, share=moved.share, why=moved.why
    )
