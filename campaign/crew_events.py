"""What the crew tells the supervisor: a closed set. Pure."""

from dataclasses import dataclass

from monitoring_logs.records import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class AllReady:
    """Every worker is prepared and watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The load cannot start."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Zero:
    """The load is zero, and proven so: every worker has drained, or every process is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A worker ended or hung without being asked to."""

    outcome: Outcome
    detail: str
    lease_ran_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LostIdle:
    """A worker ended between two loads. The next load brings up another one; the record says so."""

    detail: str


CrewEvent = AllReady | Refused | Zero | Lost | LostIdle
