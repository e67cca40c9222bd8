"""The rehearsal that runs at the moment, seen from the guardian: its own STOP, its own PERMIT, its own clock.

A drill goes through the same eyes (StopWatch, SupervisorWatch, judge and ladder) and the same hands (end_workers) as a real
stop; only what it looks at differs, so that a drill can neither latch nor end the campaign. The guardian uses it.
"""

from dataclasses import dataclass

from baseline_metrics.samples import Sample
from safety_monitoring.judge import ReadingWindow, ResourceReading, judge
from safety_monitoring.ladder import LadderMove, LadderState, climb
from safety_monitoring.limits import Limit, Limits, Resource, Rung
from safety_monitoring.messages import BeginDrill, DrillPath, StopCause
from safety_monitoring.stop_watch import StopSeen, StopWatch
from safety_monitoring.supervisor_watch import Silence, SupervisorWatch

LEASE_EXPIRY_S_MAX = 3.0
"""A lease lasts 0.8 s. A worker that lives this long without one does not look at its lease, and is killed."""

SILENCE_S_MAX = 0.3
"""A real supervisor may be silent for 5 s; the drill's clock of silence is shorter, so that a night begins sooner."""

_LIMIT = Limit(
    resource=Resource.MEMORY,
    percent_max=100.0,
    free_min=1,
    hold_s=2.0,
    clear_margin_percent=0.0,
    clear_hold_s=10.0,
)
"""What the drill's readings violate: nothing is free, and one byte should be."""

_ASKED = frozenset({DrillPath.SUPERVISOR_ASKED, DrillPath.STUBBORN_WORKER, DrillPath.ESCAPED_CHILD})
_CAUSE = {DrillPath.STOP_FILE: StopCause.STOP_FILE, DrillPath.PERMIT_REMOVAL: StopCause.PERMIT_GONE}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoDrill:
    """Nothing is rehearsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """The drill's cause has not come yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseHeld:
    """The drill worker went on long after its lease had run out: the path does not work."""

    worker: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseExpiring:
    """Nobody renews the drill worker's lease; it should end by itself."""

    worker: int
    began_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Active:
    order: BeginDrill
    watch: StopWatch
    silence: SupervisorWatch
    window: ReadingWindow
    began_mono_s: float


class DrillWatch:
    """At most one drill."""

    def __init__(self) -> None:
        self._active: _Active | NoDrill = NoDrill()

    @property
    def is_on(self) -> bool:
        """Whether something is rehearsed."""
        return isinstance(self._active, _Active)

    def begin(self, order: BeginDrill, now_mono_s: float) -> None:
        """Rehearse this path from now on; a drill before it is given up."""
        watch = StopWatch(stop_paths=(order.stop_path,), permit_path=order.permit_path)
        self._active = _Active(
            order=order,
            watch=watch,
            silence=SupervisorWatch(heartbeat_s_max=SILENCE_S_MAX, now_mono_s=now_mono_s),
            window=ReadingWindow(began_mono_s=now_mono_s),
            began_mono_s=now_mono_s,
        )

    def end(self) -> None:
        """Nothing is rehearsed any more."""
        self._active = NoDrill()

    def look(self, now_mono_s: float) -> BeginDrill | LeaseHeld | Unseen:
        """The drill whose cause has come, or whose worker holds on without a lease."""
        match self._active:
            case _Active(order=order, watch=watch) if order.path in _CAUSE:
                seen = watch.look(now_mono_s)
                return order if isinstance(seen, StopSeen) and seen.cause is _CAUSE[order.path] else Unseen()
            case _Active(order=order, silence=silence) if order.path is DrillPath.SUPERVISOR_SILENT:
                return order if silence.silence(now_mono_s) is Silence.SILENT else Unseen()
            case _Active(order=order, window=window) if order.path is DrillPath.LIMIT:
                return order if _stops(window, now_mono_s) else Unseen()
            case _Active(order=order, began_mono_s=began) if now_mono_s - began > LEASE_EXPIRY_S_MAX:
                return LeaseHeld(worker=order.worker) if order.path is DrillPath.LEASE_EXPIRY else Unseen()
            case _:
                return Unseen()

    def asked(self) -> BeginDrill | NoDrill:
        """The drill that waits for the supervisor's EndLoad."""
        match self._active:
            case _Active(order=order) if order.path in _ASKED:
                return order
            case _:
                return NoDrill()

    def expiring(self) -> LeaseExpiring | NoDrill:
        """The drill that waits for a lease to run out."""
        match self._active:
            case _Active(order=order, began_mono_s=began) if order.path is DrillPath.LEASE_EXPIRY:
                return LeaseExpiring(worker=order.worker, began_mono_s=began)
            case _:
                return NoDrill()


def _stops(window: ReadingWindow, now_mono_s: float) -> bool:
    """One more reading without any free memory; whether judge and ladder stop the load for it."""
    reading = ResourceReading(at_mono_s=now_mono_s, percent=Sample(value=100.0), free=Sample(value=0.0))
    window.add(Resource.MEMORY, reading)
    violations = judge(Limits(limits=(_LIMIT,), unknown_s_max=30.0), window, now_mono_s)
    state = LadderState(rung=Rung.CLEAR, moved_mono_s=now_mono_s, return_offered=False)
    _, move = climb(state, violations, is_clear=False, has_load=True, now_mono_s=now_mono_s)
    return isinstance(move, LadderMove) and move.rung is Rung.STOP_PHASE
