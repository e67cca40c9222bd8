"""What an emergency stop does, step by step, and what it can say of it afterwards.

First all campaigns are asked to stop, then each is followed to its end: load gone, everything gone, verified. One that
has no entry in a registry any more is an orphan, whose load is ended all the same. Run by the emergency stop (standard
library only).
"""

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.codec import to_json_value
from baseline_metrics.host_files import MarkedProcess, every_marked_process
from safety_monitoring import registry
from safety_monitoring.emergency_search import Campaign, Scope, find_campaigns, left_alone, run_key
from safety_monitoring.messages import StopCause
from safety_monitoring.stop_file import create_stop
from safety_monitoring.stopping import LOAD_ROLES, ProcessHandle, end_marked, load_of, open_handle, wait_gone

SCHEMA_VERSION = 1

PERMIT_AFTER_S = 0.3
"""A guardian answers a STOP file within 0.1 s; who has not by now gets the second channel as well."""

KILL_AFTER_S = 1.0
"""Leases last 0.8 s: what still makes load after this obeys nobody, and is killed here."""

FINISH_S = 185.0
"""How long supervisor, guardian and reporter may take for record and report, once the load is gone.

Concluding has a deadline of 180 s of its own (campaign/night.py); who is within it is not killed over the report.
"""

WAITING_TOLD_S = 2.0
"""A person who pressed this button and sees nothing for longer presses something else."""

KILL_DEADLINE_S = 5.0
SEARCH_S = 0.005
"""Between two searches for load; a search takes about 1 ms."""

FINISH_SEARCH_S = 0.05
EVERY_ROLE = frozenset({"worker", "drill", "guardian", "supervisor", "reporter"})


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
    began_meanwhile: tuple[str, ...]
    elsewhere: tuple[str, ...]

    @property
    def is_quiet(self) -> bool:
        """Whether nothing in scope runs any more."""
        return not self.began_meanwhile and not any(campaign.survivors for campaign in self.campaigns)

    def json_text(self) -> str:
        """One document, with schema_version."""
        document = {
            "schema_version": SCHEMA_VERSION,
            "quiet": self.is_quiet,
            "forced": self.forced,
            "campaigns": [_without_type(to_json_value(campaign)) for campaign in self.campaigns],
            "began_meanwhile": list(self.began_meanwhile),
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
        lines += [f"{found}: began meanwhile; run the command again" for found in self.began_meanwhile]
        if self.campaigns or self.began_meanwhile:
            lines.append("all is quiet" if self.is_quiet else "NOT QUIET: look at what survives, and end it by hand")
        return "\n".join([*lines, *self.elsewhere])


def stop_all(
    scope: Scope,
    touched: Sequence[tuple[str, str, str]],
    *,
    force: bool,
    began_mono_s: float,
    tell: Callable[[str], None],
    search: Callable[[], tuple[MarkedProcess, ...]] = every_marked_process,
) -> Outcome:
    """Stop every campaign in scope; returns when all is quiet, or when that has been given up.

    touched: run id, run directory and runs directory of campaigns that got their STOP already and may have ended since.
    began_mono_s: when the command began; every time that is told counts from there.
    tell: takes a line for people while something is waited for. search: finds the processes that carry marks.
    """
    marked = search()
    campaigns = find_campaigns(scope, marked)
    found = {run_key(campaign.run_id, campaign.state) for campaign in campaigns}
    campaigns += tuple(
        Campaign(
            run_id=run_id,
            state=scope.state,
            run_dir=run_dir,
            runs_dir=runs_dir,
            registered=False,
            strange=False,
            processes=(),
        )
        for run_id, run_dir, runs_dir in touched
        if run_key(run_id, scope.state) not in found
    )
    notes = [[] if force else _ask(campaign) for campaign in campaigns]
    for campaign, said in zip(campaigns, notes, strict=True):
        said.extend(_latch(campaign))
    # Load first, of all campaigns; only then is anybody waited for.
    follow = _force if force else _take_load
    gone = [follow(campaign, began_mono_s, said) for campaign, said in zip(campaigns, notes, strict=True)]
    stopped = [
        _finish(campaign, began_mono_s, load, said, tell=tell)
        for campaign, load, said in zip(campaigns, gone, notes, strict=True)
    ]
    marked = search()
    return Outcome(
        forced=force,
        campaigns=tuple(stopped),
        began_meanwhile=_new_load(
            scope, marked, known=frozenset(run_key(campaign.run_id, campaign.state) for campaign in campaigns)
        ),
        elsewhere=left_alone(scope, marked),
    )


def _new_load(scope: Scope, marked: Sequence[MarkedProcess], *, known: frozenset[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(
        f"process {process.pid} ({process.role} of {process.run_id})"
        for process in marked
        if process.role in LOAD_ROLES
        and run_key(process.run_id, process.state_dir or scope.state) not in known
        and scope.has_process(process)
    )


def _ask(campaign: Campaign) -> list[str]:
    """Create STOP; where that does not work, remove PERMIT at once."""
    if campaign.strange:
        return _ask_supervisor(campaign)
    try:
        if not campaign.run_dir:
            raise FileNotFoundError("its run directory is not known")
        create_stop(campaign.run_dir)
    except OSError as error:
        if isinstance(error, FileExistsError):
            return []  # a directory, a pipe or a link of that name is a STOP as good as any
        _remove_permit(campaign)
        return [f"STOP could not be created ({error}); PERMIT was removed instead"]
    return []


def _ask_supervisor(campaign: Campaign) -> list[str]:
    """SIGTERM is an orderly stop, which needs no file of another user."""
    for process in load_of(campaign.mark, frozenset({"supervisor"})):
        handle = open_handle(process.pid, process.start_ticks)
        if isinstance(handle, ProcessHandle):
            with handle:
                handle.send(signal.SIGTERM)
    return ["it belongs to another user: its supervisor was asked with SIGTERM, and none of its files were touched"]


def _remove_permit(campaign: Campaign) -> None:
    if campaign.registered:
        with contextlib.suppress(OSError, registry.RegistryError):
            Path(registry.permit_path(campaign.state, campaign.run_id)).unlink()


def _latch(campaign: Campaign) -> list[str]:
    if campaign.strange:
        return ["not latched: its user can start it again"]
    if not campaign.runs_dir:
        return ["not latched: its runs directory is not known"]
    try:
        registry.latch(
            campaign.state,
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


def _take_load(campaign: Campaign, began_mono_s: float, notes: list[str]) -> _LoadGone:
    had_leader = _runs(campaign, EVERY_ROLE - LOAD_ROLES)
    seconds = _wait_for_load(campaign, began_mono_s, obeyed=had_leader)
    killed = 0
    if load_of(campaign.mark):
        killed = end_marked(campaign.mark, deadline_s=KILL_DEADLINE_S).killed
        seconds = time.monotonic() - began_mono_s
        notes.append("its load did not end by itself and was killed")
    if not had_leader and campaign.registered:
        notes.append(f"its supervisor was dead already; `report {campaign.run_id}` makes its report")
    return _LoadGone(seconds=seconds, killed=killed)


def _force(campaign: Campaign, began_mono_s: float, notes: list[str]) -> _LoadGone:
    killed = end_marked(campaign.mark, deadline_s=KILL_DEADLINE_S).killed
    seconds = time.monotonic() - began_mono_s
    killed += _kill(campaign)
    notes.append(f"`report {campaign.run_id}` makes its report")
    return _LoadGone(seconds=seconds, killed=killed)


def _finish(
    campaign: Campaign, began_mono_s: float, load: _LoadGone, notes: list[str], *, tell: Callable[[str], None]
) -> CampaignStopped:
    killed = load.killed
    try:
        runs = _wait_for_report(campaign, tell=tell)
    except KeyboardInterrupt:
        runs = False  # who would rather not wait has not asked to have the report killed
        notes.append("not waited for any longer: the load is gone, what survives may still write the report")
    if runs:
        killed += _kill(campaign)
        notes.append(f"not done within {FINISH_S:g} s, killed; `report {campaign.run_id}` makes its report")
    return _verified(campaign, began_mono_s, load_gone_s=load.seconds, killed=killed, notes=notes)


def _wait_for_report(campaign: Campaign, *, tell: Callable[[str], None]) -> bool:
    """Until everything of the campaign has ended; whether something still runs when that takes too long."""
    began_mono_s = time.monotonic()
    told = False
    while runs := _runs(campaign, EVERY_ROLE):
        passed_s = time.monotonic() - began_mono_s
        if passed_s >= FINISH_S:
            break
        if passed_s >= WAITING_TOLD_S and not told:
            told = True
            tell(
                f"{campaign.run_id}: its load is gone; waiting for its report, {FINISH_S:g} s at most "
                "(Ctrl-C leaves it to finish alone)"
            )
        time.sleep(FINISH_SEARCH_S)
    return runs


def _wait_for_load(campaign: Campaign, began_mono_s: float, *, obeyed: bool) -> float:
    permit_removed = False
    while True:
        passed_s = time.monotonic() - began_mono_s
        if not load_of(campaign.mark) and not load_of(campaign.mark):
            return passed_s
        if passed_s >= KILL_AFTER_S or not obeyed:
            return passed_s
        if passed_s >= PERMIT_AFTER_S and not permit_removed:
            _remove_permit(campaign)
            permit_removed = True
        time.sleep(SEARCH_S)


def _kill(campaign: Campaign) -> int:
    # The guardian goes first: seeing its supervisor end, it would start the reporter.
    killed = end_marked(campaign.mark, roles=frozenset({"guardian"}), deadline_s=KILL_DEADLINE_S).killed
    with contextlib.ExitStack() as held:
        handles = []
        for pid, start_tick in campaign.processes:
            handle = open_handle(pid, start_tick)
            if isinstance(handle, ProcessHandle):
                handles.append(held.enter_context(handle))
                handle.kill(with_group=False)
        killed += len(wait_gone(handles, timeout_s=KILL_DEADLINE_S))
    return killed + end_marked(campaign.mark, roles=EVERY_ROLE, deadline_s=KILL_DEADLINE_S).killed


def _runs(campaign: Campaign, roles: frozenset[str]) -> bool:
    if load_of(campaign.mark, roles):
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
    campaign: Campaign, began_mono_s: float, *, load_gone_s: float, killed: int, notes: Sequence[str]
) -> CampaignStopped:
    survivors = []
    for _ in range(2):  # twice: a child that was born during the first search is seen by the second
        survivors = [f"process {found.pid} ({found.role})" for found in load_of(campaign.mark, EVERY_ROLE)]
        survivors += [f"process {pid} (supervisor)" for pid in _alive(campaign.processes)]
    facts = [] if survivors else ["no process carries the marker of this run, searched twice"]
    if campaign.processes and not survivors:
        facts.append("the supervisor's process has ended (pid and start time)")
    more_notes = list(notes)
    if campaign.registered and not survivors:
        try:
            registry.unregister(campaign.state, campaign.run_id)
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


def _without_type(value: object) -> object:
    assert isinstance(value, dict), "records become objects"
    return {key: item for key, item in value.items() if key != "type"}
