"""Reaching campaigns: the right ones, by identity, and waiting until they are gone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from baseline_metrics.clock import FakeClock, SystemClock
from campaign import control
from campaign.control import (
    AnyRun,
    Asked,
    Everywhere,
    GoneAlready,
    InRunsDirectory,
    OneRun,
    Quiet,
    StillThere,
    StopNotPressedError,
    ask_to_end,
    press_stop,
    registered,
    wait_until_quiet,
)
from campaign.status import NoStatus, Status, write_status
from safety_monitoring import registry
from safety_monitoring.registry import CampaignEntry, ProcessIdentity
from tests.support.status_documents import status_document


def entry_of(tmp_path: Path, *, run_id: str, supervisor: ProcessIdentity, runs: str = "runs") -> CampaignEntry:
    """An entry of a campaign below tmp_path."""
    return CampaignEntry(
        run_id=run_id,
        run_dir=str(tmp_path / runs / run_id),
        runs_dir=str(tmp_path / runs),
        started_utc_s=1_700_000_000.0,
        supervisor=supervisor,
    )


def own_identity() -> ProcessIdentity:
    """This test's process."""
    identity = registry.identity_of(os.getpid())
    assert isinstance(identity, ProcessIdentity)
    return identity


@contextmanager
def stand_in(*, run_id: str, role: str) -> Iterator[ProcessIdentity]:
    """A marked process that ends on SIGTERM."""
    environ = os.environ | {"DAYBREAK_RUN_ID": run_id, "DAYBREAK_ROLE": role}
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)"],
        env=environ,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()
        identity = registry.identity_of(child.pid)
        assert isinstance(identity, ProcessIdentity)
        yield identity
    finally:
        child.kill()
        child.wait(10)
        assert child.stdout is not None
        child.stdout.close()


def test_nobody_runs_where_there_is_no_state(tmp_path: Path) -> None:
    """A state directory that does not exist holds nobody, and is not made by looking."""
    state = tmp_path / "none"
    assert registered(str(state), place=Everywhere(), which=AnyRun()).campaigns == ()
    assert not state.exists()


def test_finds_and_narrows(state_dir: Path, tmp_path: Path) -> None:
    """All campaigns are found with their documents; a run id or a runs directory narrows them."""
    for run_id, runs in (("one", "runs"), ("two", "runs"), ("three", "other")):
        registry.register(str(state_dir), entry_of(tmp_path, run_id=run_id, supervisor=own_identity(), runs=runs))
    write_status(control.status_path(str(state_dir), "two"), status_document())
    everything = registered(str(state_dir), place=Everywhere(), which=AnyRun())
    assert {campaign.entry.run_id for campaign in everything.campaigns} == {"one", "two", "three"}
    assert all(campaign.alive for campaign in everything.campaigns)
    (two,) = registered(str(state_dir), place=Everywhere(), which=OneRun(run_id="two")).campaigns
    assert isinstance(two.status, Status)
    (tmp_path / "link").symlink_to(tmp_path / "other")
    (tmp_path / "other").mkdir()
    (three,) = registered(str(state_dir), place=InRunsDirectory(path=tmp_path / "link"), which=AnyRun()).campaigns
    assert three.entry.run_id == "three"
    assert isinstance(three.status, NoStatus)


def test_broken_entries_are_told(state_dir: Path) -> None:
    """An entry that cannot be read does not hide the others and is not silently left out."""
    directory = state_dir / "campaigns" / "bad"
    directory.mkdir(parents=True)
    (directory / "entry.json").write_text("{")
    assert [entry.run_id for entry in registered(str(state_dir), place=Everywhere(), which=AnyRun()).broken] == ["bad"]


def test_another_process_with_the_number_is_left_alone() -> None:
    """Somebody else who got the pid of a dead supervisor is not signalled."""
    mine = own_identity()
    reused = ProcessIdentity(pid=mine.pid, start_ticks=mine.start_ticks - 1, boot_id=mine.boot_id)
    assert ask_to_end(reused) == GoneAlready()
    earlier_boot = ProcessIdentity(pid=mine.pid, start_ticks=mine.start_ticks, boot_id="another boot")
    assert ask_to_end(earlier_boot) == GoneAlready()


@pytest.mark.process
def test_asks_a_real_process_and_waits_until_it_is_gone(tmp_path: Path) -> None:
    """The very process gets SIGTERM, and waiting ends when nothing marked runs."""
    with stand_in(run_id="control-test-1", role="supervisor") as identity:
        assert ask_to_end(identity) == Asked()
        entry = entry_of(tmp_path, run_id="control-test-1", supervisor=identity)
        quiet = wait_until_quiet(entry, state_dir=str(tmp_path), clock=SystemClock(), wait_s_max=30.0)
        assert isinstance(quiet, Quiet)
        assert ask_to_end(identity) == GoneAlready()
    assert ask_to_end(identity) == GoneAlready()


@pytest.mark.process
def test_waiting_is_bounded_and_names_what_runs(tmp_path: Path) -> None:
    """At the bound, what still runs is named by its pid; a marked load process counts even without a supervisor."""
    mine = own_identity()
    dead = ProcessIdentity(pid=mine.pid, start_ticks=mine.start_ticks - 1, boot_id=mine.boot_id)
    with stand_in(run_id="control-test-2", role="worker") as worker:
        entry = entry_of(tmp_path, run_id="control-test-2", supervisor=dead)
        result = wait_until_quiet(entry, state_dir=str(tmp_path), clock=FakeClock(), wait_s_max=1.0)
    assert isinstance(result, StillThere)
    assert result.pids == (worker.pid,)
    assert 1.0 <= result.waited_s <= 1.0 + 2 * control.LOOK_S


@pytest.mark.parametrize("kind", ["directory", "pipe", "dangling link", "circle"])
def test_press_stop_neither_waits_for_nor_follows_what_lies_there(tmp_path: Path, kind: str) -> None:
    """A pipe without a reader would block whoever opens it, and a link would be written through."""
    stop = tmp_path / "run" / "STOP"
    stop.parent.mkdir()
    match kind:
        case "directory":
            stop.mkdir()
        case "pipe":
            os.mkfifo(stop)
        case "dangling link":
            stop.symlink_to(tmp_path / "victim")
        case _:
            stop.symlink_to(stop.name)
    press_stop(stop.parent)
    assert not (tmp_path / "victim").exists()


def test_press_stop(tmp_path: Path) -> None:
    """The STOP file is made once; whatever is in its place counts as pressed; a missing run is an error with a way out."""
    press_stop(tmp_path)
    press_stop(tmp_path)
    assert (tmp_path / "STOP").is_file()
    for name, make in (("directory", Path.mkdir), ("dangling", lambda path: path.symlink_to("/nowhere/at/all"))):
        run_dir = tmp_path / name
        run_dir.mkdir()
        make(run_dir / "STOP")
        press_stop(run_dir)
    with pytest.raises(StopNotPressedError, match="--emergency-stop"):
        press_stop(tmp_path / "missing")
