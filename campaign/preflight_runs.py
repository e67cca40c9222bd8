"""Preflight checks of what earlier and other campaigns left: runs directory, stop channels, latch, leftovers, last drill.

They read and ask for access rights only: nothing is created, changed or removed. The launcher's process uses it.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from baseline_metrics.host_files import MarkedProcess, every_marked_process
from baseline_metrics.ownership import not_ours
from baseline_metrics.units import format_duration
from campaign.check_rows import CheckRow, fail, ok, unknown, warn
from campaign.orphans import find_orphans
from campaign.state_lifetime import LOGIN_PLACES, REMEDY, LoginPlaces, ends_with_session
from monitoring_logs.journal import read_journal
from monitoring_logs.records import DrillFact
from safety_monitoring import registry
from safety_monitoring.emergency_search import run_key

STOP_COMMAND = "launch_autonomous_testing.py --emergency-stop"
RESET_COMMAND = "launch_autonomous_testing.py reset"

JOURNAL_BYTES_MAX = 16 << 20
"""A night's journal has about 200 KiB. A larger one would cost the preflight its three seconds."""

LOAD_ROLES = ("worker", "drill")

MarkedReader = Callable[[], tuple[MarkedProcess, ...]]
"""All running processes that carry a run's mark."""

NAMED_MAX = 5
"""Processes or campaigns that a message names; the rest is counted."""


def nearest_directory(path: Path) -> Path:
    """The path itself, or the nearest one above it that exists."""
    for candidate in (path, *path.parents):
        if os.path.lexists(candidate):
            return candidate
    return Path("/")


def check_runs_directory(runs_dir: Path) -> CheckRow:
    """Whether a run directory could be made there. A missing directory is made when a campaign starts."""
    nearest = nearest_directory(runs_dir)
    remedy = "name another one: --runs-dir DIR"
    strange = not_ours(str(runs_dir))
    if strange:
        return fail("runs directory", strange, "name a directory of your own: --runs-dir DIR")
    if not nearest.is_dir():
        return fail("runs directory", f"{nearest} is not a directory", remedy)
    place = os.statvfs(nearest)
    if place.f_blocks == 0:
        elsewhere = "name a directory on a disk: --runs-dir DIR"
        return fail("runs directory", f"{nearest} has no room for files: its file system has no size", elsewhere)
    if place.f_flag & os.ST_RDONLY:
        writable = "name one that can be written: --runs-dir DIR"
        return fail("runs directory", f"{nearest} lies on a file system that is mounted read-only", writable)
    if not os.access(nearest, os.W_OK | os.X_OK):
        return fail("runs directory", f"{nearest} is not writable", remedy)
    made = "" if nearest == runs_dir else " (it will be made)"
    return ok("runs directory", f"{runs_dir}{made}")


def check_stop_channels(runs_dir: Path, state_dir: Path, *, login_places: LoginPlaces = LOGIN_PLACES) -> CheckRow:
    """Whether STOP is absent and PERMIT could be created: both stop a campaign, so both have to work before it starts.

    A PERMIT that logging out would remove warns.
    """
    stop = runs_dir / registry.STOP_NAME
    if os.path.lexists(stop):
        return fail("stop channels", f"{stop} exists: it stops and refuses every campaign here", RESET_COMMAND)
    nearest = nearest_directory(state_dir)
    remedy = "set DAYBREAK_STATE_DIR to a directory of your own"
    if not nearest.is_dir():
        return fail("stop channels", f"{nearest} is not a directory, so PERMIT cannot be created", remedy)
    if not os.access(nearest, os.W_OK | os.X_OK):
        return fail("stop channels", f"{nearest} is not writable, so PERMIT cannot be created", remedy)
    if nearest == state_dir and state_dir.stat().st_uid != os.geteuid():
        return fail("stop channels", f"{state_dir} belongs to user {state_dir.stat().st_uid}", remedy)
    if ends_with_session(state_dir, login_places):
        detail = f"logging out removes {state_dir} with its PERMIT, and that stops the campaign"
        return warn("stop channels", detail, REMEDY)
    return ok("stop channels", f"no STOP file; PERMIT can be created in {state_dir}")


def check_latch(runs_dir: Path, state_dir: Path) -> CheckRow:
    """Whether an emergency stop still holds."""
    found = registry.latched(str(state_dir), str(runs_dir))
    if isinstance(found, registry.NotLatched):
        return ok("latch", "no stop is latched")
    return fail(
        "latch", f"stopped ({found.cause.value}: {found.detail}); {found.path}", f"look why, then: {RESET_COMMAND}"
    )


def check_other_campaigns(runs_dir: Path, state_dir: Path, marked: MarkedReader = every_marked_process) -> CheckRow:
    """Whether another campaign runs: here, which refuses; elsewhere, which disturbs."""
    running = [entry for directory in _state_directories(state_dir, marked()) for entry in _running_entries(directory)]
    here = [entry for entry in running if os.path.realpath(entry.runs_dir) == os.path.realpath(runs_dir)]
    if here:
        names = _named([entry.run_id for entry in here])
        remedy = "wait for its end (`status`), stop it (`stop`), or use another --runs-dir"
        return fail("other campaigns", f"{names} runs in this runs directory", remedy)
    if running:
        names = _named([f"{entry.run_id} ({entry.runs_dir})" for entry in running])
        remedy = "its load will be in your measurements: wait for its end"
        return warn("other campaigns", f"{names} runs on this host", remedy)
    return ok("other campaigns", "none runs")


def check_leftovers(state_dir: Path, marked: MarkedReader = every_marked_process) -> CheckRow:
    """Whether earlier campaigns left processes or entries behind. Processes of a campaign that runs are none.

    Load processes that `run` ends before it starts warn: it goes on without them. Others refuse.
    """
    processes = marked()
    alive = {
        run_key(entry.run_id, directory)
        for directory in _state_directories(state_dir, processes)
        for entry in _running_entries(directory)
    }
    strays = [
        process
        for process in processes
        if run_key(process.run_id, process.state_dir or str(state_dir)) not in alive and process.pid != os.getpid()
    ]
    orphans = find_orphans(str(state_dir), lambda: tuple(strays))
    loads = [process for process in strays if process.role in LOAD_ROLES and process not in orphans]
    if orphans and not loads:
        detail = f"load processes of dead campaigns run: {_processes(list(orphans))}"
        return warn("leftovers", detail, f"`run` ends them before it starts; now: {STOP_COMMAND}")
    if loads:
        return fail("leftovers", f"load processes of earlier campaigns run: {_processes(loads)}", STOP_COMMAND)
    if strays:
        remedy = f"they may be writing a report; else {STOP_COMMAND}"
        return warn("leftovers", f"processes of earlier campaigns run: {_processes(strays)}", remedy)
    dead = [
        found.run_id
        for found in registry.entries(str(state_dir))
        if isinstance(found, registry.BrokenEntry) or not registry.is_alive(found.supervisor)
    ]
    if dead:
        return warn("leftovers", f"campaigns ended without leaving the registry: {_named(dead)}", STOP_COMMAND)
    return ok("leftovers", "nothing of earlier campaigns is left")


def check_last_drill(runs_dir: Path, *, utc_s: float) -> CheckRow:
    """How the last rehearsed stops went, and how long ago. Each campaign rehearses them anew before its first load."""
    journal = runs_dir / "latest" / "monitoring_logs" / "journal.jsonl"
    try:
        size = journal.stat().st_size
    except OSError:
        return ok("last drill", "none in this runs directory; every campaign rehearses its stops before any load")
    if size > JOURNAL_BYTES_MAX:
        remedy = "nothing to do: the next campaign rehearses its stops again"
        return unknown("last drill", f"{journal} is too large to look through", remedy, critical=False)
    entries = [entry for entry in read_journal(str(journal)).entries if entry.name == DrillFact.__name__]
    facts = [(entry.at_utc_s, _drill_fact(entry.body)) for entry in entries]
    if not facts:
        return warn(
            "last drill", "the latest run ended before its stops were rehearsed", "the next campaign rehearses them"
        )
    age = format_duration(max(0.0, utc_s - max(at_utc_s for at_utc_s, _ in facts)))
    missed = [name for _, (name, _, passed) in facts if not passed]
    if missed:
        remedy = "look at the latest run's report; a campaign makes no load until all of them work"
        return warn("last drill", f"{age} ago: {', '.join(missed)} did not stop the load in time", remedy)
    slowest = max(seconds for _, (_, seconds, _) in facts)
    return ok(
        "last drill",
        f"{age} ago: {len(facts)} of {len(facts)} ways to stop worked, the slowest in {format_duration(slowest)}",
    )


def _drill_fact(body: Mapping[str, object]) -> tuple[str, float, bool]:
    """Path, seconds and whether it was in time; a body that says none of it counts as missed."""
    seconds = body.get("seconds")
    return (
        str(body.get("path")),
        float(seconds) if isinstance(seconds, int | float) else 0.0,
        body.get("passed") is True,
    )


def _state_directories(own: Path, processes: tuple[MarkedProcess, ...]) -> tuple[str, ...]:
    """Our registry, and those that running processes belong to: a campaign of another registry is no leftover."""
    return tuple(dict.fromkeys([str(own), *(process.state_dir for process in processes if process.state_dir)]))


def _running_entries(state_dir: str) -> list[registry.CampaignEntry]:
    entries = registry.entries(state_dir)
    return [
        entry for entry in entries if isinstance(entry, registry.CampaignEntry) and registry.is_alive(entry.supervisor)
    ]


def _processes(processes: list[MarkedProcess]) -> str:
    return _named([f"{process.pid} ({process.role or 'unknown'} of {process.run_id})" for process in processes])


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return ", ".join(names[:NAMED_MAX]) + more
