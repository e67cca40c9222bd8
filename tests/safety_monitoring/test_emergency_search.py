"""What an emergency stop reaches from which environment: stand-ins of this test only, whatever else runs on the host."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from baseline_metrics.host_files import MarkedProcess, every_marked_process, marked_processes
from campaign.night import CONCLUDING_S_MAX
from safety_monitoring import emergency_sequence, registry
from safety_monitoring.emergency_search import Scope, find_campaigns, left_alone
from safety_monitoring.emergency_sequence import FINISH_S, Outcome, stop_all
from safety_monitoring.stopping import load_of
from tests.support.guardian_rig import REPORT_S_MAX, ROOT, Places, runs, wait_until_gone

NOBODY = 65_534

pytestmark = pytest.mark.process

Search = Callable[[], tuple[MarkedProcess, ...]]


def only(*run_ids: str) -> Search:
    """A search that sees these runs alone: other people's campaigns on this host are none of a test's business."""
    return lambda: tuple(found for found in every_marked_process() if found.run_id in run_ids)


def from_elsewhere(base: Path, *, every_state: bool = True, runs_dir: str = "") -> Scope:
    """The scope of somebody whose state directory is another one."""
    return Scope(state=str(base / "other-state"), runs_dir=runs_dir, every_state=every_state)


def stop(scope: Scope, search: Search, *, told: list[str] | None = None) -> Outcome:
    """Stop what is found."""
    tell = ([] if told is None else told).append
    return stop_all(scope, (), force=False, began_mono_s=time.monotonic(), tell=tell, search=search)


@contextmanager
def marked(places: Places, role: str, *, user: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing but carry the marks of a campaign."""
    environ = {**places.environ(role), "LC_ALL": "C"}
    with subprocess.Popen(["/bin/sleep", "60"], env=environ, user=user, start_new_session=True) as process:
        try:
            deadline_mono_s = time.monotonic() + REPORT_S_MAX
            while process.pid not in {found.pid for found in marked_processes(places.mark)}:
                assert time.monotonic() < deadline_mono_s, "the mark does not show"
                time.sleep(0.005)
            yield process
        finally:
            process.kill()


@contextmanager
def campaign(base: Path, run_id: str) -> Iterator[tuple[Places, subprocess.Popen[bytes]]]:
    """A stand-in campaign with supervisor, guardian and worker."""
    places = Places(base=base, run_id=run_id)
    command = [sys.executable, "-m", "tests.support.stand_in_supervisor", str(base), run_id]
    environ = places.environ("supervisor")
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield places, process
        finally:
            process.kill()
            for found in marked_processes(places.mark):
                wait_until_gone(found.pid)


def run_id_of(base: Path) -> str:
    """A run id of this test alone."""
    return f"run-{os.getpid()}-{base.name}"[:90]


def test_an_explicit_state_directory_narrows() -> None:
    """Without one every registry is meant."""
    assert Scope.of({"XDG_RUNTIME_DIR": "/run/user/7"}, "").every_state
    assert Scope.of({"HOME": "/h", "DAYBREAK_STATE_DIR": ""}, "/runs").every_state
    assert not Scope.of({"DAYBREAK_STATE_DIR": "/s"}, "").every_state


def test_a_campaign_of_another_environment_is_stopped(tmp_path: Path) -> None:
    """From cron or su, where HOME and runtime directory differ: asked through its STOP file, latched, and ended."""
    run_id = run_id_of(tmp_path)
    with campaign(tmp_path, run_id) as (places, supervisor):
        (found,) = find_campaigns(from_elsewhere(tmp_path), only(run_id)())
        assert (found.registered, found.state) == (True, str(places.state_dir)), "its registry entry is used"
        outcome = stop(from_elsewhere(tmp_path), only(run_id))
        assert outcome.is_quiet, outcome.text()
        assert [stopped.run_id for stopped in outcome.campaigns] == [run_id]
        assert outcome.elsewhere == ()
        assert not runs(supervisor.pid)
        assert (places.run_dir / "STOP").exists()
        assert isinstance(registry.latched(str(places.state_dir), str(places.runs_dir)), registry.Latch)
        assert registry.entries(str(places.state_dir)) == ()


def test_a_campaign_whose_state_directory_is_gone_is_stopped(tmp_path: Path) -> None:
    """The marks of its load are enough."""
    places = Places(base=tmp_path, run_id=run_id_of(tmp_path))
    with marked(places, "worker") as worker:
        outcome = stop(from_elsewhere(tmp_path), only(places.run_id))
        assert outcome.is_quiet, outcome.text()
        assert not runs(worker.pid)


def test_a_runs_directory_narrows_across_state_directories(tmp_path: Path) -> None:
    """Of two campaigns elsewhere the one in the named runs directory is stopped; the other is not even named."""
    with ExitStack() as both:
        one = Places(base=tmp_path / "one", run_id=run_id_of(tmp_path) + "-1")
        two = Places(base=tmp_path / "two", run_id=run_id_of(tmp_path) + "-2")
        first, second = both.enter_context(marked(one, "worker")), both.enter_context(marked(two, "worker"))
        scope = from_elsewhere(tmp_path, runs_dir=str(one.runs_dir))
        outcome = stop(scope, only(one.run_id, two.run_id))
        assert (outcome.is_quiet, outcome.elsewhere) == (True, ())
        assert (runs(first.pid), runs(second.pid)) == (False, True)


def test_two_campaigns_of_one_name_are_two(tmp_path: Path) -> None:
    """The same run id in two registries: a named registry stops its own, no named one stops both, each with its STOP."""
    run_id = run_id_of(tmp_path)
    with campaign(tmp_path / "one", run_id) as (one, first), campaign(tmp_path / "two", run_id) as (two, second):
        own = Scope(state=str(one.state_dir), runs_dir="", every_state=False)
        outcome = stop(own, only(run_id))
        assert outcome.is_quiet, outcome.text()
        assert (len(outcome.campaigns), len(outcome.elsewhere)) == (1, 1)
        assert (runs(first.pid), runs(second.pid)) == (False, True)
        assert load_of(two.mark), "its load goes on"
        outcome = stop(from_elsewhere(tmp_path), only(run_id))
        assert outcome.is_quiet, outcome.text()
        assert not runs(second.pid)
        assert (two.run_dir / "STOP").exists()


def test_both_campaigns_of_one_name_are_stopped_at_once(tmp_path: Path) -> None:
    """One emergency stop means both."""
    run_id = run_id_of(tmp_path)
    with campaign(tmp_path / "one", run_id) as (one, first), campaign(tmp_path / "two", run_id) as (two, second):
        outcome = stop(from_elsewhere(tmp_path), only(run_id))
        assert outcome.is_quiet, outcome.text()
        assert len(outcome.campaigns) == 2
        assert not runs(first.pid)
        assert not runs(second.pid)
        assert (one.run_dir / "STOP").exists()
        assert (two.run_dir / "STOP").exists()


def test_what_is_left_alone_is_named(tmp_path: Path) -> None:
    """An explicit state directory leaves the others' campaigns, and says which, also of the same runs directory."""
    places = Places(base=tmp_path, run_id=run_id_of(tmp_path))
    with marked(places, "worker") as worker:
        for runs_dir in ("", str(places.runs_dir)):
            outcome = stop(from_elsewhere(tmp_path, every_state=False, runs_dir=runs_dir), only(places.run_id))
            assert outcome.is_quiet
            assert str(places.state_dir) in outcome.elsewhere[0]
        assert runs(worker.pid)


def test_load_that_began_meanwhile_is_not_quiet(tmp_path: Path) -> None:
    """A campaign that the first search could not see keeps the exit code from being 0."""
    places = Places(base=tmp_path, run_id=run_id_of(tmp_path))
    seen: list[Sequence[MarkedProcess]] = []

    def late() -> tuple[MarkedProcess, ...]:
        seen.append(())
        return () if len(seen) == 1 else only(places.run_id)()

    with marked(places, "worker") as worker:
        outcome = stop(from_elsewhere(tmp_path), late)
        assert not outcome.is_quiet
        assert f"process {worker.pid} (worker of {places.run_id})" in outcome.text()
        assert "run the command again" in outcome.text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees the marks of another user's processes")
def test_root_stops_another_users_campaign_without_touching_files(tmp_path: Path) -> None:
    """Its registry may lead anywhere, so its supervisor gets SIGTERM and its load SIGKILL; no file is made or removed."""
    places = Places(base=tmp_path, run_id=run_id_of(tmp_path)).make()
    before = sorted(tmp_path.rglob("*"))
    with marked(places, "supervisor", user=NOBODY) as supervisor, marked(places, "worker", user=NOBODY) as worker:
        found = find_campaigns(from_elsewhere(tmp_path), only(places.run_id)())
        assert [(one.strange, one.registered) for one in found] == [(True, False)]
        outcome = stop(from_elsewhere(tmp_path), only(places.run_id))
        assert outcome.is_quiet, outcome.text()
        assert not runs(supervisor.pid)
        assert not runs(worker.pid)
    assert sorted(tmp_path.rglob("*")) == before
    assert "belongs to another user" in outcome.text()


def test_the_report_is_waited_for_longer_than_it_may_take() -> None:
    """A supervisor within its own deadline is not killed over its report."""
    assert FINISH_S > CONCLUDING_S_MAX


def test_a_wait_for_the_report_is_told_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line after the first moment; when the time is over, what still runs is killed."""
    monkeypatch.setattr(emergency_sequence, "FINISH_S", 1.0)
    monkeypatch.setattr(emergency_sequence, "WAITING_TOLD_S", 0.1)
    places = Places(base=tmp_path, run_id=run_id_of(tmp_path))
    told: list[str] = []
    with marked(places, "supervisor") as supervisor:
        outcome = stop(from_elsewhere(tmp_path), only(places.run_id), told=told)
        assert not runs(supervisor.pid)
    assert len(told) == 1
    assert "waiting for its report" in told[0]
    assert outcome.is_quiet


def test_ctrl_c_ends_the_waiting_and_not_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not want to wait gets an answer at once, which is not that all is quiet; nothing is killed."""
    monkeypatch.setattr(emergency_sequence, "WAITING_TOLD_S", 0.1)
    places = Places(base=tmp_path, run_id=run_id_of(tmp_path))

    def interrupt(_line: str) -> None:
        raise KeyboardInterrupt

    with marked(places, "supervisor") as supervisor:
        scope = from_elsewhere(tmp_path)
        outcome = stop_all(
            scope, (), force=False, began_mono_s=time.monotonic(), tell=interrupt, search=only(places.run_id)
        )
        assert runs(supervisor.pid)
        assert not outcome.is_quiet
        assert f"process {supervisor.pid} (supervisor)" in outcome.text()
        assert "may still write the report" in outcome.text()


def test_a_process_without_a_state_directory_is_named_as_such() -> None:
    """Its mark is not whole, so an explicit state directory cannot mean it."""
    process = MarkedProcess(pid=4242, start_ticks=1, run_id="x", role="worker", runs_dir="/r", state_dir="")
    scope = Scope(state="/s", runs_dir="", every_state=False)
    assert "no state directory" in left_alone(scope, (process,))[0]
