"""What can happen in a night, and what the machine can ask for. Closed sets: a name that is not here does not exist.

Events come from the supervisor (it translates messages, signals and time), commands are what it carries out. Both are
journalled before they are acted on. Pure; supervisor and simulator use it.
"""

from dataclasses import dataclass
from enum import Enum

from baseline_metrics.health import Score
from monitoring_logs.records import EndCause, Outcome
from safety_monitoring.limits import Rung


class LoadKind(Enum):
    """Which load is meant."""

    ANCHOR = "anchor"
    PHASE = "phase"
    SEARCH = "search"  # what follows a phase's own load: the highest rate that the target just carries


class Criteria(Enum):
    """Whether a phase's measurements met the criteria of its level, for steering only; the verdict is made later."""

    MET = "met"
    NOT_MET = "not_met"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorValid:
    """Our own side kept up: what was measured is the target's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorInvalid:
    """Our own side was at its limit: what was measured says nothing about the target."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorUnknown:
    """Whether our own side kept up is not known; the verdict will say so, the night goes on."""

    reason: str


GeneratorState = GeneratorValid | GeneratorInvalid | GeneratorUnknown


# Events ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The supervisor runs. end_by_mono_s: when the window closes."""

    at_mono_s: float
    end_by_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time has passed. Sent before any other event of the same instant."""

    at_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationDone:
    """Record, journal, registry and guardian are in place."""

    at_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationFailed:
    """Something that the night needs could not be set up."""

    at_mono_s: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillPassed:
    """Every rehearsed stop worked in time."""

    at_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillMissed:
    """A rehearsed stop did not work in time."""

    at_mono_s: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReady:
    """All workers are prepared, and the guardian has answered that it watches each of them."""

    at_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRefused:
    """The load cannot start: a worker did not get ready, or the guardian will not watch it."""

    at_mono_s: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadZero:
    """No load is being made any more: every worker has drained, or is gone."""

    at_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadScored:
    """The ended load was looked at. score: its health; criteria: of a phase's level. Unknown never escalates.

    generator: whether our own side kept up with what was asked of it.
    """

    at_mono_s: float
    score: Score
    criteria: Criteria
    generator: GeneratorState
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineScored:
    """The baseline's health chose how many phases may run at most."""

    at_mono_s: float
    score: Score
    phases_allowed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOver:
    """The search has its answer before its time is over: the bracket is narrow enough, or nothing is left to try."""

    at_mono_s: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardianMoved:
    """The guardian changed the permitted share by itself. From STOP_PHASE on, it has ended the workers."""

    at_mono_s: float
    rung: Rung
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardianClear:
    """The guardian's readings have been back inside the limits for their hold time."""

    at_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardianLost:
    """The guardian process is gone or silent."""

    at_mono_s: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLost:
    """A worker ended or hung without being asked to. outcome: WORKER_CRASHED, WORKER_HUNG or OOM_KILLED."""

    at_mono_s: float
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRequested:
    """A person wants no load until they say otherwise: `pause`. The load's clock stands still."""

    at_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRequested:
    """The person who paused lets load come back: `resume-load`."""

    at_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSlept:
    """The host was suspended. end_by_mono_s: when the window closes now, as the monotonic clock stood still meanwhile."""

    at_mono_s: float
    end_by_mono_s: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSet:
    """Somebody set the wall clock. end_by_mono_s: when the window closes by it."""

    at_mono_s: float
    end_by_mono_s: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested:
    """A person asks for an orderly end: stop, Ctrl-C, SIGTERM."""

    at_mono_s: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyStopped:
    """A person's emergency stop was seen: STOP file, PERMIT gone, second Ctrl-C. Latches."""

    at_mono_s: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerFault:
    """Our own fault: the recorder failed, a message could not be understood, the loop raised."""

    at_mono_s: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportWritten:
    """The report stands on disk."""

    at_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFailed:
    """Neither the report nor the minimal report could be written."""

    at_mono_s: float
    detail: str


Event = (
    Started
    | Tick
    | PreparationDone
    | PreparationFailed
    | DrillPassed
    | DrillMissed
    | LoadReady
    | LoadRefused
    | LoadZero
    | LoadScored
    | BaselineScored
    | SearchOver
    | GuardianMoved
    | GuardianClear
    | GuardianLost
    | WorkerLost
    | PauseRequested
    | ResumeRequested
    | HostSlept
    | ClockSet
    | StopRequested
    | EmergencyStopped
    | RunnerFault
    | ReportWritten
    | ReportFailed
)

# Commands -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Set up record, registry and guardian; answer PreparationDone or PreparationFailed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """Rehearse every way to stop; answer DrillPassed or DrillMissed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureIdle:
    """Mark the beginning of the idle baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareLoad:
    """Bring workers up for this load and have them watched; answer LoadReady or LoadRefused. Nothing is sent yet.

    phase: the phase itself, the one that searches, or the one that an anchor precedes (-1: the last anchor).
    """

    kind: LoadKind
    phase: int
    ramp_s: float
    hold_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StartLoad:
    """Go, all workers at this common instant."""

    start_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldLoad:
    """Freeze the load's clock: nothing new is started, and its end moves away. Leases run on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinueLoad:
    """Let the load's clock run again where it stood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseLoad:
    """Nothing new is started; what is in flight drains; answer LoadZero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndLoad:
    """Take the load away at once, through the guardian and by our own hand; answer LoadZero when it is proven."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreLoad:
    """Look at the ended load's measurements; answer LoadScored (before the first phase: BaselineScored as well)."""

    kind: LoadKind
    phase: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskReturn:
    """Our key of the two: ask the guardian to let load return."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteAnchor:
    """Store the anchor's record."""

    phase: int
    complete: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRecord:
    """Store the one record of a phase. held_s: for how long a person had paused its load."""

    phase: int
    outcome: Outcome
    reason: str
    held_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSearch:
    """Store the one record of a search that was begun, with the bracket that it has found so far."""

    phase: int
    complete: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipSearch:
    """Note why a phase's search was not begun."""

    phase: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WritePartialReport:
    """A report of the night so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latch:
    """Nothing starts again in this runs directory until a person resets it."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclude:
    """Verify that nothing of ours is left, store the end, write the report; answer ReportWritten or ReportFailed."""

    cause: EndCause
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Nothing is left to do: the process may end."""


Command = (
    Prepare
    | Drill
    | MeasureIdle
    | PrepareLoad
    | StartLoad
    | HoldLoad
    | ContinueLoad
    | ReleaseLoad
    | EndLoad
    | ScoreLoad
    | AskReturn
    | WriteAnchor
    | WriteRecord
    | WriteSearch
    | SkipSearch
    | WritePartialReport
    | Latch
    | Conclude
    | Leave
)
