"""Whether the supervisor still leads: its process, its pipes and its heartbeat, judged by the guardian.

Three ways to lose it, and all end the load: the process ends, a pipe closes, or the loop does not turn any more (hung or
stopped, with pipes that look fine). A silent one is ended after a while, so that the night gets its report.
"""

from enum import Enum

KILL_SUPERVISOR_S = 10.0
"""After its silence has ended the load, a supervisor has this long to come back before it is ended as well."""

ORPHANED_S = 30.0
"""A supervisor that closed its pipes and lives on is finishing by itself; the guardian outlives it by this much at most."""

_NEVER = float("inf")


class Silence(Enum):
    """What the heartbeat says."""

    HEARD = "heard"
    SILENT = "silent"  # said once per silence
    STILL_SILENT = "still silent"
    TO_BE_ENDED = "to be ended"


class SupervisorWatch:
    """Heartbeats and pipes, in seconds of the monotonic clock."""

    def __init__(self, *, heartbeat_s_max: float, now_mono_s: float) -> None:
        self._heartbeat_s_max = heartbeat_s_max
        self._heard_mono_s = now_mono_s
        self._silent_since_mono_s = _NEVER
        self._orphaned_since_mono_s = _NEVER

    def hear(self, now_mono_s: float) -> None:
        """The supervisor's loop turned."""
        self._heard_mono_s = now_mono_s
        self._silent_since_mono_s = _NEVER

    def silence(self, now_mono_s: float) -> Silence:
        """Judge the heartbeat; a silence longer than the limit is said once, and again when its patience ends."""
        if self.silence_s(now_mono_s) <= self._heartbeat_s_max:
            return Silence.HEARD
        if self._silent_since_mono_s == _NEVER:
            self._silent_since_mono_s = now_mono_s
            return Silence.SILENT
        patience_ended = now_mono_s - self._silent_since_mono_s > KILL_SUPERVISOR_S
        return Silence.TO_BE_ENDED if patience_ended else Silence.STILL_SILENT

    def silence_s(self, now_mono_s: float) -> float:
        """Seconds since the last heartbeat."""
        return now_mono_s - self._heard_mono_s

    def is_overdue(self, now_mono_s: float) -> bool:
        """Whether the silence is longer than its limit."""
        return self.silence_s(now_mono_s) > self._heartbeat_s_max

    def orphan(self, now_mono_s: float) -> None:
        """A pipe is lost."""
        self._orphaned_since_mono_s = min(self._orphaned_since_mono_s, now_mono_s)

    @property
    def is_orphaned(self) -> bool:
        """Whether a pipe is lost: nothing is heard or told any more."""
        return self._orphaned_since_mono_s != _NEVER

    def is_given_up(self, now_mono_s: float) -> bool:
        """Whether a supervisor without pipes has lived on for too long to be waited for."""
        return now_mono_s - self._orphaned_since_mono_s >= ORPHANED_S
