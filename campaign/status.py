"""What a screen may know of a running campaign: one small document, replaced by rename about twice a second.

The supervisor writes it into the state directory, screens and the ``status`` command read it. A screen that hangs or
dies is not noticed by the night. An old document is shown with its age, never as if it were current.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.codec import CodecError, from_json_value, to_json_value
from baseline_metrics.health import Score
from baseline_metrics.samples import Reading
from campaign.memory_watch import NOTHING_HELD, MemoryNow, NothingHeld
from safety_monitoring.messages import SenseReading

EVENTS_MAX = 12
"""Events kept in the document: a terminal shows fewer; ``status`` prints them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusEvent:
    """Something worth a line. sequence rises by one per event of the campaign, so that a screen prints each once."""

    sequence: int
    at_utc_s: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseStatus:
    """One phase. state: "waiting", "running", "cut", or the outcome's word once it ended."""

    index: int
    name: str
    state: str
    connections: int
    planned_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The campaign goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The campaign is over. verdict: its word, or "" when none could be made; report: path of report.html, or ""."""

    exit_code: int
    cause: str
    verdict: str
    why: str
    report: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotPaused:
    """No person has paused."""


NOT_PAUSED = NotPaused()


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """A person has paused: no load until they say so.

    obeyed: every load process has answered that it starts nothing any more; operations_in_flight: what still is answered.
    """

    since_utc_s: float
    obeyed: bool = True
    operations_in_flight: int = 0

    @property
    def stands(self) -> bool:
        """Whether the load is proven to stand still."""
        return self.obeyed and self.operations_in_flight == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The document. phase: index of the current phase, or -1; state: the machine's state; step_*: of the current state.

    memory: the phase's memory load. senses: the guardian's slower ones. version: 1 until 0.1; such a campaign knows no pause.
    """

    version: int
    run_id: str
    run_dir: str
    name: str
    zone: str
    state: str
    end: Running | Ended
    at_mono_s: float
    at_utc_s: float
    started_utc_s: float
    window_end_utc_s: float
    phase: int
    phases: tuple[PhaseStatus, ...]
    step_elapsed_s: float
    step_planned_s: float
    night_elapsed_s: float
    night_planned_s: float
    health: Score
    health_age_s: float
    rate_per_s: Reading
    response_s_p99: Reading
    error_percent: Reading
    connections_open: int
    connections_asked: int
    operations_succeeded: int
    operations_failed: int
    guardian_rung: str
    permitted_share: float
    memory_percent: Reading
    cpu_percent: Reading
    disk_percent: Reading
    supervisor_pid: int
    guardian_pid: int
    worker_pids: tuple[int, ...]
    events: tuple[StatusEvent, ...]
    pause: NotPaused | Paused = NOT_PAUSED
    memory: NothingHeld | MemoryNow = NOTHING_HELD
    senses: tuple[SenseReading, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NoStatus:
    """There is no readable document, and why."""

    reason: str


def write_status(path: Path, status: Status) -> None:
    """Replace the document. Raises OSError; the caller counts it, a screen is never a reason to stop."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(json.dumps(to_json_value(status), separators=(",", ":")))
    os.replace(beside, path)  # noqa: PTH105 - the same call on both names, no Path needed


def read_status(path: Path) -> Status | NoStatus:
    """The document, or why there is none."""
    try:
        return from_json_value(Status, json.loads(path.read_text()))
    except FileNotFoundError:
        return NoStatus(reason=f"{path} does not exist: the campaign has not written a status yet, or it has ended")
    except (OSError, ValueError, CodecError) as error:
        return NoStatus(reason=f"{path}: {error}")
