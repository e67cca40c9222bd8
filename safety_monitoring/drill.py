"""The stop drill: every way to take load away, tried with real load, before any other load of the night.

A drill worker is started, watched, and seen to make load; then one stop is acted out and the time until its process is
gone is measured, once per path. The choreography is here and pure of processes; what it moves comes in as ports. The
supervisor runs it while it prepares a campaign.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from baseline_metrics.clock import Clock
from safety_monitoring.messages import DrillEnded, DrillPath

SECONDS_MAX = {
    DrillPath.STOP_FILE: 1.0,
    DrillPath.PERMIT_REMOVAL: 1.0,
    DrillPath.LEASE_EXPIRY: 1.5,  # the lease itself lasts 0.8 s
    DrillPath.SUPERVISOR_ASKED: 1.0,
    DrillPath.SUPERVISOR_SILENT: 1.5,  # the drill's own limit of silence is 0.3 s
    DrillPath.LIMIT: 1.5,  # two readings, 0.2 s apart, decide
    DrillPath.STUBBORN_WORKER: 1.0,
    DrillPath.ESCAPED_CHILD: 1.0,
}
"""On a host with all cores busy a stop takes below 0.1 s; what takes ten times as long is broken."""

START_S_MAX = 15.0
"""A Python process starts in 0.1 s; on a host that is full this much."""

LOAD_S_MAX = 5.0
LATE_S = 3.0
"""Waited beyond the limit, to tell a slow path from a dead one."""

PUMP_S = 0.01
"""Between two looks at the messages: the resolution of nothing that is measured, the guardian takes the times."""


class DrillError(Exception):
    """A port could not do its part. The message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotEnded:
    """The guardian has not answered yet."""


class DrillPorts(Protocol):
    """What the drill moves. Everything but pump() returns at once; faults are raised as DrillError."""

    def start_worker(self, path: DrillPath) -> int:
        """Start a drill worker and ask the guardian to watch it; its worker number."""
        ...

    def is_watched(self, worker: int) -> bool:
        """Whether the guardian has answered that it watches the worker."""
        ...

    def is_loading(self, worker: int) -> bool:
        """Whether the worker's heartbeat moves and its load runs."""
        ...

    def begin(self, path: DrillPath, worker: int) -> None:
        """Tell the guardian which path comes (BeginDrill); the drill's STOP is absent and its PERMIT present."""
        ...

    def act(self, path: DrillPath) -> None:
        """Touch the drill's STOP, remove its PERMIT, or send EndLoad; where the guardian acts by itself, nothing."""
        ...

    def ended(self, path: DrillPath) -> DrillEnded | NotEnded:
        """The guardian's answer for this path, if it has come."""
        ...

    def clean_up(self, path: DrillPath, worker: int) -> None:
        """Reap the worker (kill it if it lives), let the guardian forget it, put the drill's files back."""
        ...

    def pump(self) -> None:
        """Carry messages both ways, heartbeats included; called at least every 10 ms."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillOutcome:
    """One rehearsed path. seconds: from the act until the load process was gone, or until that was given up."""

    path: DrillPath
    seconds: float
    seconds_max: float
    passed: bool
    detail: str


def run_drill(ports: DrillPorts, clock: Clock) -> tuple[DrillOutcome, ...]:
    """Rehearse every path, one after another; one outcome each, whatever happens. Takes a few seconds, bounded by 200 s."""
    return tuple(_rehearse(path, ports, clock) for path in DrillPath)


def _rehearse(path: DrillPath, ports: DrillPorts, clock: Clock) -> DrillOutcome:
    began_mono_s = clock.mono_s()
    try:
        worker = ports.start_worker(path)
    except DrillError as fault:
        return _missed(path, began_mono_s, clock, f"no drill worker: {fault}")
    try:
        return _stop_worker(path, worker, ports, clock)
    except DrillError as fault:
        return _missed(path, began_mono_s, clock, str(fault))
    finally:
        ports.clean_up(path, worker)


def _stop_worker(path: DrillPath, worker: int, ports: DrillPorts, clock: Clock) -> DrillOutcome:
    began_mono_s = clock.mono_s()
    if not _wait(lambda: ports.is_watched(worker), START_S_MAX, ports, clock):
        return _missed(
            path, began_mono_s, clock, f"the guardian does not watch the drill worker after {START_S_MAX:g} s"
        )
    if not _wait(lambda: ports.is_loading(worker), LOAD_S_MAX, ports, clock):
        return _missed(path, began_mono_s, clock, f"the drill worker makes no load after {LOAD_S_MAX:g} s")
    ports.begin(path, worker)
    acted_mono_s = clock.mono_s()
    ports.act(path)
    if not _wait(lambda: isinstance(ports.ended(path), DrillEnded), SECONDS_MAX[path] + LATE_S, ports, clock):
        return _missed(path, acted_mono_s, clock, "the guardian did not end the drill worker")
    ended = ports.ended(path)
    assert isinstance(ended, DrillEnded), "it was just there"
    seconds = max(0.0, ended.gone_mono_s - acted_mono_s)
    passed = seconds <= SECONDS_MAX[path]
    return DrillOutcome(
        path=path,
        seconds=seconds,
        seconds_max=SECONDS_MAX[path],
        passed=passed,
        detail=f"gone after {seconds * 1000:.0f} ms" if passed else f"gone after {seconds:.2f} s, too late",
    )


def _missed(path: DrillPath, since_mono_s: float, clock: Clock, detail: str) -> DrillOutcome:
    seconds = clock.mono_s() - since_mono_s
    return DrillOutcome(path=path, seconds=seconds, seconds_max=SECONDS_MAX[path], passed=False, detail=detail)


def _wait(condition: Callable[[], bool], seconds: float, ports: DrillPorts, clock: Clock) -> bool:
    deadline_mono_s = clock.mono_s() + seconds
    while True:
        ports.pump()
        if condition():
            return True
        if clock.mono_s() >= deadline_mono_s:
            return False
        clock.sleep(PUMP_S)
