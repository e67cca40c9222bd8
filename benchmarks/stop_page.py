"""The page about emergency stops: what each repetition showed, how the times spread, whether the goals were reached.

Apart from the measuring, so that what is said of a stop that failed can be tested without failing stops. Runs in the
measuring program's process.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from baseline_metrics.estimates import samples_needed
from benchmarks.evidence import (
    Circumstances,
    Evidence,
    Goal,
    Section,
    Spread,
    Table,
    all_of,
    at_most,
    conclude,
    milliseconds,
    spread_of,
    write_evidence,
)

NAME = "stop-latency"

BURNERS_PER_CORE = 2
BURN_S = 1.0
"""Long enough for the scheduler to see the busy loops as what they are."""

FAULTS_SHOWN_MAX = 20


class StopPath(Enum):
    """How a load is ended."""

    FILE = "file"
    COMMAND = "command"
    PERMIT = "permit-full-disk"
    GUARDIAN_KILLED = "guardian-killed"
    GUARDIAN_STOPPED = "guardian-stopped"
    SUPERVISOR_KILLED = "supervisor-killed"
    SUPERVISOR_STOPPED = "supervisor-stopped"
    BREAKER = "breaker"


CAMPAIGN_PATHS = frozenset({StopPath.FILE, StopPath.COMMAND})
"""Measured with whole campaigns; the others with a rig."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What a time may be, in seconds."""

    p99_s: float
    largest_s: float


GOALS_S = {
    StopPath.FILE: Limit(p99_s=0.05, largest_s=0.15),
    StopPath.COMMAND: Limit(p99_s=0.5, largest_s=1.0),
    StopPath.PERMIT: Limit(p99_s=0.05, largest_s=0.15),
    StopPath.GUARDIAN_KILLED: Limit(p99_s=1.0, largest_s=1.5),
    StopPath.GUARDIAN_STOPPED: Limit(p99_s=1.0, largest_s=1.5),
    StopPath.SUPERVISOR_KILLED: Limit(p99_s=1.0, largest_s=2.0),
    StopPath.SUPERVISOR_STOPPED: Limit(p99_s=6.0, largest_s=7.0),
    StopPath.BREAKER: Limit(p99_s=0.1, largest_s=0.1),
}
"""From the act until the last load process is gone; after a killed supervisor until every process of ours is; for a breaker
from the guardian's look that saw the violation until no load may be made and none is started."""

PATH_TEXTS = {
    StopPath.FILE: "`touch STOP`",
    StopPath.COMMAND: "`--emergency-stop`",
    StopPath.PERMIT: "`rm PERMIT`, disk full",
    StopPath.GUARDIAN_KILLED: "guardian killed",
    StopPath.GUARDIAN_STOPPED: "guardian stopped (SIGSTOP)",
    StopPath.SUPERVISOR_KILLED: "supervisor killed, until nothing of ours is left",
    StopPath.SUPERVISOR_STOPPED: "supervisor stopped (SIGSTOP)",
    StopPath.BREAKER: "breaker, from the violation seen",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """The last load process was gone after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StillThere:
    """Load was still being made after STOP_S_MAX."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotStopped:
    """The campaign never held its load, so nothing was stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """One end of a load. faults: what was not as it should be; exit_code: the campaign's, -1 when it had none."""

    number: int
    path: StopPath
    load: Gone | StillThere | NotStopped
    exit_code: int
    faults: tuple[str, ...]


def report(
    repetitions: Sequence[Repetition], where: Circumstances, *, directory: Path, command: str, took_s: float
) -> int:
    """Write the page and the samples, and print the goals. Returns the exit code."""
    paths = [path for path in StopPath if any(repetition.path is path for repetition in repetitions)]
    spreads = {path: _spread(repetitions, path) for path in paths}
    evidence = Evidence(
        name=NAME,
        title="How long an emergency stop takes",
        what=(
            "From the stop until the last of sixteen load processes has ended, seen through its pidfd. They make 160 "
            "operations/s against the bundled demo service; "
            f"{BURNERS_PER_CORE} busy loops per core start {BURN_S:g} s before the stop. The clock starts just before "
            "the act (before the command's process is started, so that its start-up is inside). The measuring process "
            "alone is kept out of the busy loops' way, where the kernel lets it: a clock that is read late measures itself.\n\n"
            f"{_campaigns_text(paths)}{_rigs_text(paths)}"
        ),
        command=command,
        goals=(*(goal for path in paths for goal in _time_goals(path, spreads[path])), *_end_goals(repetitions)),
        sections=(_times(spreads), _failures(repetitions, took_s)),
    )
    path = write_evidence(directory, evidence, where, samples={f"{NAME}.csv": _samples(repetitions)})
    return conclude(evidence, path)


def _spread(repetitions: Sequence[Repetition], path: StopPath) -> Spread:
    mine = [repetition.load for repetition in repetitions if repetition.path is path]
    seconds = [load.seconds for load in mine if isinstance(load, Gone)]
    # A campaign that never held its load has no stop to time: it is a fault of its repetition, not a slow stop.
    return spread_of(seconds, missing=sum(isinstance(load, StillThere) for load in mine))


def _campaigns_text(paths: Sequence[StopPath]) -> str:
    mine = [PATH_TEXTS[path] for path in paths if path in CAMPAIGN_PATHS]
    if not mine:
        return ""
    return (
        f"{_joined(mine)}: each repetition is a whole campaign (supervisor, guardian, stop drill, baseline, anchor, one phase, "
        "report), stopped in HOLDING. "
    )


def _rigs_text(paths: Sequence[StopPath]) -> str:
    mine = [PATH_TEXTS[path] for path in paths if path not in CAMPAIGN_PATHS]
    if not mine:
        return ""
    return (
        f"{_joined(mine)}: each repetition is a guardian, a registry entry and a crew under load, as in any night, led by a "
        "process that holds no drill, no baseline and no record, and starts no reporter; a whole campaign each time would take "
        "too long. The report that follows a killed supervisor is therefore not inside: it makes no load."
    )


def _joined(names: Sequence[str]) -> str:
    return "; ".join(names)


def _time_goals(path: StopPath, spread: Spread) -> tuple[Goal, ...]:
    limit = GOALS_S[path]
    return (
        at_most(f"{PATH_TEXTS[path]}: p99", observed_s=spread.p99, limit_s=limit.p99_s),
        at_most(f"{PATH_TEXTS[path]}: slowest", observed_s=spread.largest, limit_s=limit.largest_s),
    )


def _end_goals(repetitions: Sequence[Repetition]) -> tuple[Goal, ...]:
    texts = {
        True: "whole campaigns: exit code 4, the final report, the latch, and nothing left running, each time",
        False: "the others: the load ends, and nothing is left running afterwards, each time",
    }
    goals = []
    for whole, text in texts.items():
        mine = [repetition for repetition in repetitions if (repetition.path in CAMPAIGN_PATHS) is whole]
        if mine:
            goals.append(all_of(text, good=sum(not one.faults for one in mine), total=len(mine)))
    return tuple(goals)


def _times(spreads: dict[StopPath, Spread]) -> Section:
    rows = tuple(
        (
            PATH_TEXTS[path],
            str(spread.count),
            milliseconds(spread.p50),
            milliseconds(spread.p90),
            milliseconds(spread.p99),
            milliseconds(spread.largest),
        )
        for path, spread in spreads.items()
    )
    needed = samples_needed(quantile=0.99)
    note = (
        "Percentiles by nearest rank; a stop that never ended counts as infinitely slow. "
        f"The p99 is that of these repetitions: to bound the p99 of all stops with 95 % confidence, {needed} are needed."
    )
    return Section(title="Times", content=(Table(head=("stop", "count", "p50", "p90", "p99", "max"), rows=rows), note))


def _failures(repetitions: Sequence[Repetition], took_s: float) -> Section:
    faulty = [repetition for repetition in repetitions if repetition.faults]
    text = f"{len(faulty)} of {len(repetitions)} repetitions had a fault. All together took {took_s / 60.0:.1f} min."
    if not faulty:
        return Section(title="Failures", content=(text,))
    rows = tuple(
        (f"{repetition.path.value} {repetition.number}", "; ".join(repetition.faults))
        for repetition in faulty[:FAULTS_SHOWN_MAX]
    )
    return Section(title="Failures", content=(text, Table(head=("repetition", "faults"), rows=rows)))


def _samples(repetitions: Sequence[Repetition]) -> Table:
    rows = tuple(
        (
            repetition.path.value,
            str(repetition.number),
            f"{repetition.load.seconds * 1000.0:.3f}" if isinstance(repetition.load, Gone) else "",
            _load_word(repetition.load),
            str(repetition.exit_code) if repetition.path in CAMPAIGN_PATHS else "",
            "; ".join(repetition.faults),
        )
        for repetition in repetitions
    )
    return Table(head=("path", "repetition", "load_gone_ms", "load", "exit_code", "faults"), rows=rows)


def _load_word(load: Gone | StillThere | NotStopped) -> str:
    match load:
        case Gone():
            return "gone"
        case StillThere():
            return "still there"
        case NotStopped():
            return "not stopped"


def load_text(repetition: Repetition) -> str:
    """How long the load stayed, for people."""
    match repetition.load:
        case Gone(seconds=seconds):
            return milliseconds(seconds)
        case StillThere():
            return milliseconds(math.inf)
        case NotStopped():
            return "not stopped"
