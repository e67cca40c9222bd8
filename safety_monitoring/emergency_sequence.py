"""What an emergency stop does, step by step, and what it can say of it afterwards.

First all campaigns are asked to stop, then each is followed to its end: load gone, everything gone, verified. A campaign
is found through its registry entry and through the marker in the environment of its processes; one that has no entry any
more is an orphan, whose load is ended all the same. Run by the emergency stop (standard library only).
"""

import contextlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.codec import to_json_value
from baseline_metrics.host_files import MarkedProcess, every_marked_process
from safety_monitoring import registry
from safety_monitoring.messages import StopCause
from safety_monitoring.stopping import LOAD_ROLES, ProcessHandle, end_marked, load_of, open_handle, wait_gone

SCHEMA_VERSION = 1

PERMIT_AFTER_S = 0.3
"""A guardian answers a STOP file within 0.1 s; who has not by now gets the second channel as well."""

KILL_AFTER_S = 1.0
"""Leases last 0.8 s: what still makes load after this obeys nobody, and is killed here."""

FINISH_S = 60.0
"""How long supervisor, guardian and reporter may take for record and report, once the load is gone."""

KILL_DEADLINE_S = 5.0
SEARCH_S = 0.005
"""Between two searches for load; a search takes about 1 ms."""

FINISH_SEARCH_S = 0.05
EVERY_ROLE = frozenset({"worker", "drill", "guardian", "supervisor", "reporter"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which campaigns are meant: those of this registry, narrowed to one runs directory unless that is empty."""

    state: str
    runs_dir: str

    @classmethod
    def of(cls, environ: Mapping[str, str], runs_dir: str) -> "Scope":
        """The scope of a command line; paths are compared by where they really lead."""
        return cls(state=registry.state_directory(environ), runs_dir=os.path.realpath(runs_dir) if runs_dir else "")

    def has_runs_dir(self, runs_dir: str) -> bool:
        """Whether campaigns of this runs directory are meant."""
        return not self.runs_dir or (bool(runs_dir) and os.path.realpath(runs_dir) == self.runs_dir)

    def has_process(self, process: MarkedProcess) -> bool:
        """Whether a marked process belongs to this registry and to the runs directory."""
        is_ours = os.path.realpath(process.state_dir) == os.path.realpath(self.state) if process.state_dir else False
        return is_ours and self.has_runs_dir(process.runs_dir)


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """One campaign that is to stop. run_dir and runs_dir are empty where nobody knows them (a broken entry)."""

    run_id: str
    run_dir: str
    runs_dir: str
    registered: bool
    processes: tuple[tuple[int, int], ...]  # pid and start tick, as the registry names them


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignStopped:
    """How one campaign ended. seconds count from the start of the emergency stop. notes: what else is worth knowing."""

    run_id: str
    run_dir: str
    load_gone_s: float
    all_gone_s: float
    killed: int
    survivors: tuple[str, ...]
    verified: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything that the emergency stop did."""

    forced: bool
    campaigns: tuple[CampaignStopped, ...]
    elsewhere: tuple[str, ...]

    @property
    def is_quiet(self) -> bool:
        """Whether nothing in scope runs any more."""
        return not any(campaign.survivors for campaign in self.campaigns)

    def json_text(self) -> str:
        """One document, with schema_version."""
        document = {
            "schema_version": SCHEMA_VERSION,
            "quiet": self.is_quiet,
            "forced": self.forced,
            "campaigns": [_without_type(to_json_value(campaign)) for campaign in self.campaigns],
            "elsewhere": list(self.elsewhere),
        }
        return json.dumps(document, indent=2)

    def text(self) -> str:
        """For people."""
        lines = [] if self.campaigns else ["no campaign is running"]
        for campaign in self.campaigns:
            lines.append(f"{campaign.run_id}: load gone after {campaign.load_gone_s * 1000:.0f} ms")
            if campaign.survivors:
                lines += [f"  SURVIVES: {survivor}" for survivor in campaign.survivors]
            else:
                lines.append(f"  everything gone after {campaign.all_gone_s:.1f} s, {campaign.killed} killed")
            lines += [f"  verified: {fact}" for fact in campaign.verified]
            lines += [f"  {note}" for note in campaign.notes]
        if self.campaigns:
            lines.append("all is quiet" if self.is_quiet else "NOT QUIET: look at what survives, and end it by hand")
        return "\n".join([*lines, *self.elsewhere])


def stop_all(scope: Scope, touched: Sequence[tuple[str, str, str]], *, force: bool, began_mono_s: float) -> Outcome:
    """Stop every campaign in scope; returns when all is quiet, or when that has been given up.

    touched: run id, run directory and runs directory of campaigns that got their STOP already and may have ended since.
    began_mono_s: when the command began; every time that is told counts from there.
    """
    marked = every_marked_process()
    campaigns = find_campaigns(scope, marked)
    found = {campaign.run_id for campaign in campaigns}
    campaigns += tuple(
        Campaign(run_id=run_id, run_dir=run_dir, runs_dir=runs_dir, registered=False, processes=())
        for run_id, run_dir, runs_dir in touched
        if run_id not in found
    )
    notes: dict[str, list[str]] = {}
    for campaign in campaigns:
        notes[campaign.run_id] = [] if force else _ask(scope, campaign)
    for campaign in campaigns:
        notes[campaign.run_id] += _latch(scope, campaign)
    # Load first, of all campaigns; only then is anybody waited for.
    follow = _force if force else _take_load
    gone = [follow(scope, campaign, began_mono_s, notes[campaign.run_id]) for campaign in campaigns]
    stopped = [
        _finish(scope, campaign, began_mono_s, load, notes[campaign.run_id])
        for campaign, load in zip(campaigns, gone, strict=True)
    ]
    return Outcome(forced=force, campaigns=tuple(stopped), elsewhere=_elsewhere(scope, marked))


def find_campaigns(scope: Scope, marked: Sequence[MarkedProcess]) -> tuple[Campaign, ...]:
    """Registered campaigns first, then broken entries, then orphans: runs of which only processes are left."""
    found: dict[str, Campaign] = {}
    in_scope = [process for process in marked if scope.has_process(process)]
    for entry in registry.entries(scope.state):
        match entry:
            case registry.CampaignEntry() if scope.has_runs_dir(entry.runs_dir):
                found[entry.run_id] = Campaign(
                    run_id=entry.run_id,
                    run_dir=entry.run_dir,
                    runs_dir=entry.runs_dir,
                    registered=True,
                    processes=((entry.supervisor.pid, entry.supervisor.start_ticks),)
                    if registry.is_alive(entry.supervisor)
                    else (),
                )
            case registry.BrokenEntry(run_id=run_id):
                runs_dirs = [process.runs_dir for process in in_scope if process.run_id == run_id]
                if runs_dirs or not scope.runs_dir:
                    found[run_id] = _nameless(run_id, runs_dirs, registered=True)
            case _:
                pass
    for process in in_scope:
        if process.run_id not in found and not _is_registered(scope, process.run_id):
            found[process.run_id] = _nameless(process.run_id, [process.runs_dir], registered=False)
    return tuple(found.values())


def _nameless(run_id: str, runs_dirs: Sequence[str], *, registered: bool) -> Campaign:
    runs_dir = next((runs_dir for runs_dir in runs_dirs if runs_dir), "")
    run_dir = f"{runs_dir}/{run_id}" if runs_dir and registry.RUN_ID.fullmatch(run_id) else ""
    return Campaign(run_id=run_id, run_dir=run_dir, runs_dir=runs_dir, registered=registered, processes=())


def _is_registered(scope: Scope, run_id: str) -> bool:
    return any(entry.run_id == run_id for entry in registry.entries(scope.state))


def _ask(scope: Scope, campaign: Campaign) -> list[str]:
    """Create STOP; where that does not work, remove PERMIT at once."""
    try:
        if not campaign.run_dir:
            raise FileNotFoundError("its run directory is not known")
        stop = f"{campaign.run_dir}/{registry.STOP_NAME}"
        os.close(os.open(stop, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600))
    except OSError as error:
        if error.errno is not None and os.path.lexists(f"{campaign.run_dir}/{registry.STOP_NAME}"):
            return []  # a directory or a link of that name is a STOP as good as any
        _remove_permit(scope, campaign)
        return [f"STOP could not be created ({error}); PERMIT was removed instead"]
    return []


def _remove_permit(scope: Scope, campaign: Campaign) -> None:
    if campaign.registered:
        with contextlib.suppress(OSError, registry.RegistryError):
            Path(registry.permit_path(scope.state, campaign.run_id)).unlink()


def _latch(scope: Scope, campaign: Campaign) -> list[str]:
    if not campaign.runs_dir:
        return ["not latched: its runs directory is not known"]
    try:
        registry.latch(
            scope.state,
            campaign.runs_dir,
            cause=StopCause.STOP_FILE,
            detail=f"--emergency-stop of {campaign.run_id}",
            utc_s=time.time(),
        )
    except (registry.RegistryError, OSError) as error:
        return [f"not latched: {error}"]
    return [f"latched: nothing starts in {campaign.runs_dir} until `reset`"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _LoadGone:
    seconds: float
    killed: int


def _take_load(scope: Scope, campaign: Campaign, began_mono_s: float, notes: list[str]) -> _LoadGone:
    had_leader = _runs(campaign, EVERY_ROLE - LOAD_ROLES)
    seconds = _wait_for_load(scope, campaign, began_mono_s, obeyed=had_leader)
    killed = 0
    if load_of(campaign.run_id):
        killed = end_marked(campaign.run_id, deadline_s=KILL_DEADLINE_S).killed
        seconds = time.monotonic() - began_mono_s
        notes.append("its load did not end by itself and was killed")
    if not had_leader and campaign.registered:
        notes.append(f"its supervisor was dead already; `report {campaign.run_id}` makes its report")
    return _LoadGone(seconds=seconds, killed=killed)


def _force(_scope: Scope, campaign: Campaign, began_mono_s: float, notes: list[str]) -> _LoadGone:
    killed = end_marked(campaign.run_id, deadline_s=KILL_DEADLINE_S).killed
    seconds = time.monotonic() - began_mono_s
    killed += _kill(campaign)
    notes.append(f"`report {campaign.run_id}` makes its report")
    return _LoadGone(seconds=seconds, killed=killed)


def _finish(
    scope: Scope, campaign: Campaign, began_mono_s: float, load: _LoadGone, notes: list[str]
) -> CampaignStopped:
    killed = load.killed
    deadline_mono_s = time.monotonic() + FINISH_S
    while (runs := _runs(campaign, EVERY_ROLE)) and time.monotonic() < deadline_mono_s:
        time.sleep(FINISH_SEARCH_S)
    if runs:
        killed += _kill(campaign)
        notes.append(f"not done within {FINISH_S:g} s, killed; `report {campaign.run_id}` makes its report")
    return _verified(scope, campaign, began_mono_s, load_gone_s=load.seconds, killed=killed, notes=notes)


def _wait_for_load(scope: Scope, campaign: Campaign, began_mono_s: float, *, obeyed: bool) -> float:
    permit_removed = False
    while True:
        passed_s = time.monotonic() - began_mono_s
        if not load_of(campaign.run_id) and not load_of(campaign.run_id):
            return passed_s
        if passed_s >= KILL_AFTER_S or not obeyed:
            return passed_s
        if passed_s >= PERMIT_AFTER_S and not permit_removed:
            _remove_permit(scope, campaign)
            permit_removed = True
        time.sleep(SEARCH_S)


def _kill(campaign: Campaign) -> int:
    # The guardian goes first: seeing its supervisor end, it would start the reporter.
    killed = end_marked(campaign.run_id, roles=frozenset({"guardian"}), deadline_s=KILL_DEADLINE_S).killed
    with contextlib.ExitStack() as held:
        handles = []
        for pid, start_tick in campaign.processes:
            handle = open_handle(pid, start_tick)
            if isinstance(handle, ProcessHandle):
                handles.append(held.enter_context(handle))
                handle.kill(with_group=False)
        killed += len(wait_gone(handles, timeout_s=KILL_DEADLINE_S))
    return killed + end_marked(campaign.run_id, roles=EVERY_ROLE, deadline_s=KILL_DEADLINE_S).killed


def _runs(campaign: Campaign, roles: frozenset[str]) -> bool:
    if load_of(campaign.run_id, roles):
        return True
    return bool(roles - LOAD_ROLES) and bool(_alive(campaign.processes))


def _alive(processes: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    alive = []
    for pid, start_tick in processes:
        handle = open_handle(pid, start_tick)
        if isinstance(handle, ProcessHandle):
            with handle:
                if not handle.is_gone():
                    alive.append(pid)
    return tuple(alive)


def _verified(
    scope: Scope, campaign: Campaign, began_mono_s: float, *, load_gone_s: float, killed: int, notes: Sequence[str]
) -> CampaignStopped:
    survivors = []
    for _ in range(2):  # twice: a child that was born during the first search is seen by the second
        survivors = [f"process {found.pid} ({found.role})" for found in load_of(campaign.run_id, EVERY_ROLE)]
        survivors += [f"process {pid} (supervisor)" for pid in _alive(campaign.processes)]
    facts = [] if survivors else ["no process carries the marker of this run, searched twice"]
    if campaign.processes and not survivors:
        facts.append("the supervisor's process has ended (pid and start time)")
    more_notes = list(notes)
    if campaign.registered and not survivors:
        try:
            registry.unregister(scope.state, campaign.run_id)
            facts.append("its registry entry is gone")
        except registry.RegistryError as error:
            more_notes.append(str(error))
    return CampaignStopped(
        run_id=campaign.run_id,
        run_dir=campaign.run_dir,
        load_gone_s=load_gone_s,
        all_gone_s=time.monotonic() - began_mono_s,
        killed=killed,
        survivors=tuple(dict.fromkeys(survivors)),
        verified=tuple(facts),
        notes=tuple(more_notes),
    )


def _elsewhere(scope: Scope, marked: Sequence[MarkedProcess]) -> tuple[str, ...]:
    if scope.runs_dir:
        return ()
    others = sorted({process.state_dir for process in marked if not scope.has_process(process)})
    return tuple(
        f"not stopped: campaigns registered in {state or 'no state directory'}; "
        f"for them: DAYBREAK_STATE_DIR={state or 'DIR'} with the same command"
        for state in others
    )


def _without_type(value: object) -> object:
    assert isinstance(value, dict), "records become objects"
    return {key: item for key, item in value.items() if key != "type"}
