"""Reaches running campaigns from any terminal: who runs, asking one to end, waiting until it has.

Campaigns are found through the registry and touched only through a verified identity (pid and start time, held by a
pidfd), never by name or bare number. The processes of ``status``, ``stop`` and the viewer use it.
"""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from baseline_metrics.clock import Clock
from baseline_metrics.host_files import RunMark, marked_processes
from campaign.night import LIVE, State
from campaign.pause_file import pause_path
from campaign.status import NoStatus, NotPaused, Paused, Status, read_status
from safety_monitoring import registry
from safety_monitoring.registry import BrokenEntry, CampaignEntry, ProcessIdentity

STATUS_FILE = "status.json"

STOP_WAIT_S_MAX = 200.0
"""An orderly end takes at most 10 s for the load and 180 s for the report (campaign/night.py); then it hangs."""

LOOK_S = 0.1
"""How often is looked whether a campaign has ended: ten environment scans a second cost about a hundredth of a core."""

PAUSE_WAIT_S_MAX = 10.0
"""The supervisor looks fifty times a second and tells twice a second; ten seconds bear a busy host, then it hangs."""

PAUSE_VERSION_MIN = 2
"""Of the status document: an earlier campaign knows no pause."""

ENDING_STATES = frozenset({state.value for state in frozenset(State) - LIVE})
"""The load is off for good, or is being taken away."""

LOAD_ROLES = frozenset({"worker", "drill"})
"""The marks of processes that make load."""


class PauseNotAskedError(RuntimeError):
    """The PAUSE file could not be made or taken away."""


class StopNotPressedError(RuntimeError):
    """The STOP file could not be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCampaign:
    """A registered campaign. alive: whether its supervisor runs; a dead one's entry is a leftover."""

    entry: CampaignEntry
    alive: bool
    status: Status | NoStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """All that the registry of a state directory knows."""

    campaigns: tuple[RunningCampaign, ...]
    broken: tuple[BrokenEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Everywhere:
    """Not narrowed to one runs directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InRunsDirectory:
    """Narrowed to one runs directory."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyRun:
    """Not narrowed to one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRun:
    """Narrowed to one run."""

    run_id: str


Place = Everywhere | InRunsDirectory
Which = AnyRun | OneRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The supervisor got the signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneAlready:
    """The supervisor had ended before it could be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Obeyed:
    """The campaign's own status shows what was asked."""

    status: Status
    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The campaign is ending or has ended: there is no load left to pause or to let come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TooOld:
    """The campaign was started by a version that knows no pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """The campaign has not shown what was asked within the wait's bound."""

    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """Nothing of the campaign runs any more. Seconds since the waiting began."""

    load_gone_s: float
    all_gone_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StillThere:
    """What still runs when the wait's bound is reached."""

    pids: tuple[int, ...]
    waited_s: float


def status_path(state_dir: str, run_id: str) -> Path:
    """Where a campaign's status document lies."""
    return Path(registry.campaign_directory(state_dir, run_id)) / STATUS_FILE


def registered(state_dir: str, *, place: Place, which: Which) -> Registered:
    """Who runs, or ran and left its entry behind. A state directory that does not exist holds nobody."""
    campaigns: list[RunningCampaign] = []
    broken: list[BrokenEntry] = []
    for entry in registry.entries(state_dir):
        match entry:
            case BrokenEntry():
                broken.append(entry)
            case CampaignEntry():
                if _is_meant(entry, place=place, which=which):
                    campaigns.append(
                        RunningCampaign(
                            entry=entry,
                            alive=registry.is_alive(entry.supervisor),
                            status=read_status(status_path(state_dir, entry.run_id)),
                        )
                    )
    campaigns.sort(key=lambda campaign: campaign.entry.started_utc_s)
    return Registered(campaigns=tuple(campaigns), broken=tuple(broken))


def _is_meant(entry: CampaignEntry, *, place: Place, which: Which) -> bool:
    if isinstance(which, OneRun) and entry.run_id != which.run_id:
        return False
    return not isinstance(place, InRunsDirectory) or _same_directory(Path(entry.runs_dir), place.path)


def _same_directory(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def ask_to_end(identity: ProcessIdentity) -> Asked | GoneAlready:
    """Send SIGTERM to that very process. Raises PermissionError when it is somebody else's."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return GoneAlready()
    try:
        # Compared only now, while the descriptor holds whatever process has this number.
        if not registry.is_alive(identity):
            return GoneAlready()
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
    except ProcessLookupError:
        return GoneAlready()
    finally:
        os.close(descriptor)
    return Asked()


def wait_until_quiet(
    entry: CampaignEntry, *, state_dir: str, clock: Clock, wait_s_max: float = STOP_WAIT_S_MAX
) -> Quiet | StillThere:
    """Wait until no process carries the campaign's mark and its supervisor is gone."""
    begun_mono_s = clock.mono_s()
    load_gone_s = -1.0
    while True:
        marked = marked_processes(RunMark(run_id=entry.run_id, state_dir=state_dir))
        waited_s = clock.mono_s() - begun_mono_s
        if load_gone_s < 0.0 and not any(process.role in LOAD_ROLES for process in marked):
            load_gone_s = waited_s
        pids = {process.pid for process in marked}
        if registry.is_alive(entry.supervisor):
            pids.add(entry.supervisor.pid)
        if not pids:
            return Quiet(load_gone_s=load_gone_s, all_gone_s=waited_s)
        if waited_s >= wait_s_max:
            return StillThere(pids=tuple(sorted(pids)), waited_s=waited_s)
        clock.sleep(LOOK_S)


def ask_pause(state_dir: str, run_id: str, *, paused: bool) -> None:
    """Say whether load may run, by the campaign's PAUSE file. Saying it again is harmless. Raises PauseNotAskedError."""
    path = pause_path(state_dir, run_id)
    try:
        if paused:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise PauseNotAskedError(
            f"{path} could not be {'made' if paused else 'taken away'} ({error.strerror}); "
            "to take the load away use `stop`, or --emergency-stop"
        ) from error


def wait_for_pause(
    campaign: CampaignEntry, *, state_dir: str, paused: bool, clock: Clock, wait_s_max: float = PAUSE_WAIT_S_MAX
) -> Obeyed | Ending | TooOld | NoAnswer:
    """Wait until the campaign's own status shows that load may run, or that none is made any more.

    A pause whose last operations are still being answered when the bound is reached has been obeyed all the same: nothing
    new is started. The status says how many they are.
    """
    begun_mono_s = clock.mono_s()
    while True:
        seen = read_status(status_path(state_dir, campaign.run_id))
        waited_s = clock.mono_s() - begun_mono_s
        if not registry.is_alive(campaign.supervisor):
            return Ending()
        if isinstance(seen, Status):
            if seen.version < PAUSE_VERSION_MIN:
                return TooOld()
            if seen.state in ENDING_STATES:
                return Ending()
            if _shows(seen.pause, paused=paused, bound_reached=waited_s >= wait_s_max):
                return Obeyed(status=seen, waited_s=waited_s)
        if waited_s >= wait_s_max:
            return NoAnswer(waited_s=waited_s)
        clock.sleep(LOOK_S)


def _shows(pause: Paused | NotPaused, *, paused: bool, bound_reached: bool) -> bool:
    match pause:
        case NotPaused():
            return not paused
        case Paused():
            return paused and (pause.stands or (bound_reached and pause.obeyed))
    assert_never(pause)


def press_stop(run_dir: Path) -> None:
    """Make the run's STOP file: the guardian takes the load away at once, and latches. Raises StopNotPressedError."""
    stop = run_dir / "STOP"
    try:
        os.close(os.open(stop, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
    except OSError as error:
        if os.path.lexists(stop):
            return  # whatever lies there stops: a directory, a pipe, a link that leads nowhere
        raise StopNotPressedError(
            f"{stop} could not be made ({error.strerror}); stop it with: launch_autonomous_testing.py --emergency-stop"
        ) from error


def state_directory(environ: Mapping[str, str]) -> str:
    """The state directory that this user's campaigns are registered in; it may not exist yet."""
    return registry.state_directory(environ)
