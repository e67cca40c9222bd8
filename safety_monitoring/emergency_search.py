"""Which campaigns an emergency stop means, and where it finds them.

A campaign is found through its registry entry and through the marks of its processes. Whoever stops may sit in another
environment than whoever started (su, cron, another HOME), so unless a state directory was named, the marks lead to the
registries of the other ones as well. The emergency stop uses it (standard library only).
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from baseline_metrics.host_files import MarkedProcess, RunMark, process_user
from safety_monitoring import registry
from safety_monitoring.state_place import STATE_VARIABLE

ROOT_USER = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which campaigns are meant.

    state: this environment's registry. every_state: the other registries' campaigns as well, because nobody named one.
    runs_dir: only campaigns of this runs directory, unless empty.
    """

    state: str
    runs_dir: str
    every_state: bool

    @classmethod
    def of(cls, environ: Mapping[str, str], runs_dir: str) -> "Scope":
        """The scope of a command line; paths are compared by where they really lead."""
        return cls(
            state=registry.state_directory(environ),
            runs_dir=os.path.realpath(runs_dir) if runs_dir else "",
            every_state=not environ.get(STATE_VARIABLE),
        )

    def has_runs_dir(self, runs_dir: str) -> bool:
        """Whether campaigns of this runs directory are meant."""
        return not self.runs_dir or (bool(runs_dir) and os.path.realpath(runs_dir) == self.runs_dir)

    def has_process(self, process: MarkedProcess) -> bool:
        """Whether a marked process belongs to a campaign that is meant."""
        return self.has_runs_dir(process.runs_dir) and (self.every_state or self.is_own(process.state_dir))

    def is_own(self, state: str) -> bool:
        """Whether this is this environment's registry."""
        return bool(state) and os.path.realpath(state) == os.path.realpath(self.state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """One campaign that is to stop.

    state: its registry. run_dir and runs_dir are empty where nobody knows them (a broken entry). strange: it belongs to
    another user, and root stops it; none of its files are touched then, because their user may have made them lead
    anywhere. processes: pid and start tick, as the registry names them.
    """

    run_id: str
    state: str
    run_dir: str
    runs_dir: str
    registered: bool
    strange: bool
    processes: tuple[tuple[int, int], ...]

    @property
    def mark(self) -> RunMark:
        """What its processes carry."""
        return RunMark(run_id=self.run_id, state_dir=self.state)


def run_key(run_id: str, state: str) -> tuple[str, str]:
    """Tells runs apart: one run id may be taken in each registry."""
    return run_id, os.path.realpath(state)


def find_campaigns(scope: Scope, marked: Sequence[MarkedProcess]) -> tuple[Campaign, ...]:
    """Registered campaigns first, then broken entries, then orphans: runs of which only processes are left."""
    in_scope = [process for process in marked if scope.has_process(process)]
    strange = {process.pid for process in in_scope if _is_strange(process)}
    ours = [process for process in in_scope if process.pid not in strange]
    found: dict[tuple[str, str], Campaign] = {}
    registered: set[tuple[str, str]] = set()
    for state in _states(scope, ours):
        for entry in registry.entries(state):
            registered.add(run_key(entry.run_id, state))
            for campaign in _registered(scope, state, entry, ours):
                found.setdefault(run_key(campaign.run_id, state), campaign)
    for process in in_scope:
        state = process.state_dir or scope.state
        key = run_key(process.run_id, state)
        if key not in registered and key not in found:
            found[key] = _nameless(
                process.run_id,
                state,
                [process.runs_dir],
                registered=False,
                strange=process.pid in strange,
            )
    return tuple(found.values())


def left_alone(scope: Scope, marked: Sequence[MarkedProcess]) -> tuple[str, ...]:
    """What runs in the runs directories that are meant, but under a state directory that is not: one line for each."""
    others = sorted(
        {
            process.state_dir
            for process in marked
            if scope.has_runs_dir(process.runs_dir) and not scope.has_process(process)
        }
    )
    return tuple(
        f"not stopped: campaigns registered in {state or 'no state directory'}, because {STATE_VARIABLE} names another; "
        f"for them: the same command without {STATE_VARIABLE}"
        for state in others
    )


def _is_strange(process: MarkedProcess) -> bool:
    return os.geteuid() == ROOT_USER and process_user(process.pid) != ROOT_USER


def _states(scope: Scope, ours: Sequence[MarkedProcess]) -> tuple[str, ...]:
    """This environment's registry first, then those that the marks name."""
    places = {os.path.realpath(scope.state): scope.state}
    for process in ours:
        if process.state_dir:
            places.setdefault(os.path.realpath(process.state_dir), process.state_dir)
    return tuple(places.values())


def _registered(
    scope: Scope, state: str, entry: registry.CampaignEntry | registry.BrokenEntry, ours: Sequence[MarkedProcess]
) -> Iterator[Campaign]:
    """The campaign of an entry, if it is meant."""
    match entry:
        case registry.CampaignEntry() if scope.has_runs_dir(entry.runs_dir):
            alive = registry.is_alive(entry.supervisor)
            yield Campaign(
                run_id=entry.run_id,
                state=state,
                run_dir=entry.run_dir,
                runs_dir=entry.runs_dir,
                registered=True,
                strange=False,
                processes=((entry.supervisor.pid, entry.supervisor.start_ticks),) if alive else (),
            )
        case registry.BrokenEntry(run_id=run_id):
            key = run_key(run_id, state)
            runs_dirs = [
                process.runs_dir for process in ours if run_key(process.run_id, process.state_dir or scope.state) == key
            ]
            if runs_dirs or not scope.runs_dir:
                yield _nameless(run_id, state, runs_dirs, registered=True, strange=False)
        case _:
            pass


def _nameless(run_id: str, state: str, runs_dirs: Sequence[str], *, registered: bool, strange: bool) -> Campaign:
    runs_dir = next((runs_dir for runs_dir in runs_dirs if runs_dir), "")
    run_dir = f"{runs_dir}/{run_id}" if runs_dir and registry.RUN_ID.fullmatch(run_id) else ""
    return Campaign(
        run_id=run_id,
        state=state,
        run_dir=run_dir,
        runs_dir=runs_dir,
        registered=registered,
        strange=strange,
        processes=(),
    )
