"""The guardian as a real process with real load: every way in which it has to take load away."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from baseline_metrics.codec import from_json_value
from safety_monitoring import registry
from safety_monitoring.limits import Limit, Limits, Resource, Rung
from safety_monitoring.messages import (
    AskReturn,
    BeginDrill,
    DrillEnded,
    DrillPath,
    EndLoad,
    EnterPhase,
    ForgetWorker,
    GuardianBeat,
    LadderMoved,
    LoadEnded,
    LoadEnding,
    ReadingsClear,
    StopCause,
    WorkerRefused,
    WorkerWatched,
)
from safety_monitoring.stopping import GRACE_S
from tests.support.guardian_rig import REPORT_S_MAX, ROOT, Places, Rig, StandInWorker, runs, wait_until_gone

pytestmark = pytest.mark.process

SOON_S = 2.0
"""The promise of the house is 0.1 s; a loaded test machine gets twenty times as much."""

LEASE_EXIT = 75


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Directories of one stand-in campaign."""
    monkeypatch.setenv("DAYBREAK_STATE_DIR", str(tmp_path / "state"))
    return Places(base=tmp_path, run_id=f"run-{tmp_path.name}"[:90]).make()


@pytest.fixture
def rig(places: Places) -> Iterator[Rig]:
    """A guardian without limits, led by the test."""
    with Rig(places, places.order()) as rig:
        yield rig


@contextmanager
def stand_in_campaign(base: Path, run_id: str, *options: str) -> Iterator[tuple[int, int, int]]:
    """Run a stand-in supervisor; pids of supervisor, guardian and worker."""
    places = Places(base=base, run_id=run_id)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.stand_in_supervisor", str(base), run_id, *options],
        cwd=ROOT,
        env=places.environ("supervisor"),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        pids = json.loads(process.stdout.readline())
        yield process.pid, pids["guardian"], pids["worker"]
    finally:
        process.kill()
        process.wait(timeout=REPORT_S_MAX)
        if process.stdout is not None:
            process.stdout.close()


def test_stop_of_the_runs_directory_ends_the_load(rig: Rig) -> None:
    """A STOP beside the runs stops every campaign of that directory."""
    worker = rig.worker()
    (rig.places.runs_dir / "STOP").touch()
    ended = rig.expect(LoadEnded)
    assert ended.cause is StopCause.STOP_FILE
    assert ended.detail == str(rig.places.runs_dir / "STOP")
    worker.wait()


def test_permit_removal_ends_the_load(rig: Rig) -> None:
    """Load needs its PERMIT; removing it ends the load, whatever else fails."""
    worker = rig.worker()
    rig.places.permit.unlink()
    assert rig.expect(LoadEnded).cause is StopCause.PERMIT_GONE
    worker.wait()


def test_losing_the_stop_channel_ends_the_load(rig: Rig) -> None:
    """A run directory that is gone for longer than a second cannot be watched, and that stops."""
    worker = rig.worker()
    rig.places.run_dir.rename(rig.places.base / "moved")
    ended = rig.expect(LoadEnded)
    assert ended.cause is StopCause.WATCH_LOST
    assert ended.survivors == ()
    worker.wait()


def test_a_replaced_directory_goes_on_being_watched(rig: Rig) -> None:
    """A run directory that is deleted and made again still carries a working STOP."""
    worker = rig.worker()
    shutil.rmtree(rig.places.run_dir)
    rig.places.run_dir.mkdir()
    time.sleep(0.1)
    (rig.places.run_dir / "STOP").touch()
    assert rig.expect(LoadEnded).cause is StopCause.STOP_FILE
    worker.wait()


def test_a_worker_that_ignores_everything_is_killed(rig: Rig) -> None:
    """Who does not leave by itself within 30 ms is killed, stopped processes included."""
    worker = rig.worker("--deaf")
    worker.process.send_signal(signal.SIGSTOP)
    (rig.places.run_dir / "STOP").touch()
    ended = rig.expect(LoadEnded)
    assert ended.survivors == ()
    assert ended.seconds < SOON_S
    assert worker.wait() == -signal.SIGKILL


def test_a_grandchild_in_another_session_is_found(rig: Rig) -> None:
    """A process that left session, group and parent behind is found by its marker and killed."""
    rig.worker("--escape")
    (rig.places.run_dir / "STOP").touch()
    assert rig.expect(LoadEnded).survivors == ()
    marker = f"DAYBREAK_RUN_ID={rig.places.run_id}".encode()
    left = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) not in (os.getpid(), rig.guardian.pid):
            try:
                if marker in (entry / "environ").read_bytes():
                    left.append(entry.name)
            except OSError:
                continue
    assert left == []


def test_the_cause_is_told_before_anybody_is_ended(rig: Rig) -> None:
    """A worker that does not leave is not waited for before the supervisor hears why it will die."""
    worker = rig.worker("--deaf")
    worker.process.send_signal(signal.SIGSTOP)
    stop = rig.places.run_dir / "STOP"
    stop.touch()
    ending = rig.expect(LoadEnding)
    assert (ending.cause, ending.detail) == (StopCause.STOP_FILE, str(stop))
    ended = rig.expect(LoadEnded)
    assert ending.at_mono_s - ended.seen_mono_s < GRACE_S, "not behind the moment that a worker has to leave"
    assert ended.seconds >= GRACE_S


def test_a_latched_guardian_watches_nobody(rig: Rig) -> None:
    """After a STOP no worker is watched any more, even when the file is gone again."""
    stop = rig.places.run_dir / "STOP"
    stop.touch()
    assert rig.expect(LoadEnded).workers == ()
    stop.unlink()
    late = StandInWorker(rig.places, 7)
    rig.workers.append(late)
    rig.send(late.order())
    refused = rig.expect(WorkerRefused)
    assert refused.worker == 7
    assert "stop" in refused.reason
    assert late.page.lease_until_mono_ns == 0


def test_end_load_is_answered_and_does_not_latch(rig: Rig) -> None:
    """When the supervisor asks, the load ends the same way, and later workers are watched again."""
    rig.worker().wait_for_load()
    rig.send(EndLoad(reason="the phase is over"))
    ended = rig.expect(LoadEnded)
    assert (ended.cause, ended.detail, ended.workers) == (StopCause.SUPERVISOR_ASKED, "the phase is over", (0,))
    rig.send(ForgetWorker(worker=0))
    rig.worker()
    assert isinstance(registry.latched(str(rig.places.state_dir), str(rig.places.runs_dir)), registry.NotLatched)


def test_a_process_of_another_start_time_is_refused(rig: Rig) -> None:
    """A pid whose start time differs belongs to a stranger: it is not watched, and never killed."""
    stranger = StandInWorker(rig.places, 3)
    rig.workers.append(stranger)
    rig.send(stranger.order(start_ticks_off=1))
    assert "started at tick" in rig.expect(WorkerRefused).reason


def test_a_second_worker_of_the_same_number_is_refused(rig: Rig) -> None:
    """A worker number names one process at a time."""
    worker = rig.worker()
    rig.send(worker.order())
    assert "already" in rig.expect(WorkerRefused).reason


def test_a_page_that_is_none_is_refused(rig: Rig) -> None:
    """Without a page there is no lease, so the worker is refused."""
    worker = StandInWorker(rig.places, 0)
    rig.workers.append(worker)
    worker.page.close()
    Path(worker.page_path).write_bytes(b"short")
    rig.send(worker.order())
    assert "page" in rig.expect(WorkerRefused).reason


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_without_a_guardian_the_lease_runs_out(rig: Rig, number: signal.Signals) -> None:
    """A guardian that is dead or stopped renews nothing, and the load ends by itself."""
    worker = rig.worker()
    rig.guardian.send_signal(number)
    assert worker.wait() == LEASE_EXIT


def test_conclude_ends_in_peace(rig: Rig) -> None:
    """After Conclude the guardian ends what is left, exits 0 and starts no reporter."""
    worker = rig.worker()
    assert rig.conclude() == 0
    worker.wait()
    assert not rig.places.reported.exists()


def test_an_order_that_cannot_be_understood_ends_the_load(rig: Rig) -> None:
    """A supervisor of another version is no supervisor."""
    worker = rig.worker()
    assert rig.guardian.stdin is not None
    rig.guardian.stdin.write(b'{"v": 99, "m": {}}\n')
    rig.guardian.stdin.flush()
    ended = rig.expect(LoadEnded)
    assert ended.cause is StopCause.SUPERVISOR_GONE
    assert "cannot be understood" in ended.detail
    worker.wait()


def test_the_journal_tells_what_happened(rig: Rig) -> None:
    """Each report but the beats is in the guardian's own journal, as the codec reads it."""
    rig.worker()
    (rig.places.run_dir / "STOP").touch()
    told = rig.expect(LoadEnded)
    rig.conclude()
    lines = rig.journal()
    assert [line["name"] for line in lines if line["name"] != "GuardianBeat"][:3] == [
        "GuardianReady",
        "WatchWorker",
        "WorkerWatched",
    ]
    bodies = [line["body"] for line in lines if line["name"] == "LoadEnded"]
    assert [from_json_value(LoadEnded, body) for body in bodies] == [told]  # type: ignore[arg-type]  # JSON as read


def test_protections_are_read_back(rig: Rig) -> None:
    """The protection matrix has a row for each step, and the kill path was rehearsed."""
    rows = {row.name: row for row in rig.ready.protections}
    assert {"kill path", "scheduling", "memory lock", "oom score"} < set(rows)
    assert {"sense: load", "sense: open files", "sense: temperature", "sense: io pressure"} < set(rows)
    assert rows["sense: load"].works, "every Linux has a load average"
    assert rows["kill path"].works, rows["kill path"].detail
    assert rig.ready.pid == rig.guardian.pid


def test_the_rehearsal_spares_a_run_of_the_same_name(places: Places) -> None:
    """A guardian that starts ends the process that it rehearses with, and nobody of another registry's run."""
    twin = Places(base=places.base / "twin", run_id=places.run_id).make()
    with subprocess.Popen(["/bin/sleep", "60"], env=twin.environ("drill"), start_new_session=True) as theirs:
        try:
            with Rig(places, places.order()):
                assert theirs.poll() is None
        finally:
            theirs.kill()


def test_beats_carry_readings(rig: Rig) -> None:
    """Once a second the guardian says that its loop turns, and what it read."""
    first, second = rig.expect(GuardianBeat), rig.expect(GuardianBeat)
    assert second.sequence == first.sequence + 1
    assert type(second.memory_percent).__name__ == "Sample"
    assert type(second.disk_percent).__name__ == "Sample"
    senses = {one.name: one.reading for one in second.senses}
    assert {"temperature", "load", "swap", "battery drained", "open files", "inodes", "io pressure"} < set(senses)
    assert type(senses["load"]).__name__ == type(senses["open files"]).__name__ == "Sample"


@pytest.mark.parametrize("path", list(DrillPath))
def test_every_path_can_be_drilled(rig: Rig, path: DrillPath) -> None:
    """A drill ends the drill worker by the path it rehearses, is timed, and neither latches nor ends the campaign."""
    options = {DrillPath.STUBBORN_WORKER: ("--deaf",), DrillPath.ESCAPED_CHILD: ("--escape",)}.get(path, ())
    worker = rig.worker(*options, drill=True)
    drill = rig.places.base / "drill"
    drill.mkdir()
    permit = drill / "PERMIT"
    permit.touch()
    rig.send(BeginDrill(path=path, stop_path=str(drill / "STOP"), permit_path=str(permit), worker=worker.number))
    time.sleep(0.1)
    assert worker.process.poll() is None or path is DrillPath.LEASE_EXPIRY
    match path:
        case DrillPath.STOP_FILE:
            (drill / "STOP").touch()
        case DrillPath.PERMIT_REMOVAL:
            permit.unlink()
        case DrillPath.SUPERVISOR_ASKED | DrillPath.STUBBORN_WORKER | DrillPath.ESCAPED_CHILD:
            rig.send(EndLoad(reason="drill"))
        case DrillPath.LEASE_EXPIRY | DrillPath.SUPERVISOR_SILENT | DrillPath.LIMIT:
            pass
    ended = rig.expect(DrillEnded)
    assert ended.path is path
    assert 0.0 <= ended.gone_mono_s - ended.seen_mono_s < 1.5 + SOON_S
    worker.wait()
    rig.send(ForgetWorker(worker=worker.number))
    rig.worker()
    assert not isinstance(registry.latched(str(rig.places.state_dir), str(rig.places.runs_dir)), registry.Latch)


def test_a_stubborn_drill_worker_is_ended_too(rig: Rig) -> None:
    """A worker that ignores its lease is killed and the path is not reported as working."""
    worker = rig.worker("--deaf", drill=True)
    drill = BeginDrill(
        path=DrillPath.LEASE_EXPIRY, stop_path="/nonexistent/S", permit_path="/nonexistent/P", worker=worker.number
    )
    rig.send(drill)
    assert worker.wait() == -signal.SIGKILL
    rig.conclude()
    assert "DrillEnded" not in [line["name"] for line in rig.journal()]


def test_a_drill_without_a_drill_worker_is_refused(rig: Rig) -> None:
    """A worker of the campaign cannot be drilled away."""
    worker = rig.worker()
    rig.send(BeginDrill(path=DrillPath.LEASE_EXPIRY, stop_path="/S", permit_path="/P", worker=worker.number))
    assert rig.expect(WorkerRefused).worker == worker.number
    assert worker.process.poll() is None


def _disk_limit(percent_max: float) -> Limits:
    limit = Limit(
        resource=Resource.DISK,
        percent_max=percent_max,
        free_min=0,
        hold_s=1.0,
        clear_margin_percent=0.0,
        clear_hold_s=1.0,
    )
    return Limits(limits=(limit,), unknown_s_max=30.0)


def test_the_ladder_is_climbed_on_real_readings(rig: Rig) -> None:
    """A limit that the host violates eases, pauses and stops; load returns only when readings are clear and it is asked."""
    worker = rig.worker()
    rig.send(EnterPhase(phase="full", limits=_disk_limit(0.0001)))
    moved = rig.expect(LadderMoved)
    assert (moved.rung, moved.share) == (Rung.EASE, 0.5)
    assert "disk at" in moved.why
    assert worker.page.share == 0.5
    assert rig.expect(LadderMoved).rung is Rung.PAUSE
    assert worker.page.share == 0.0
    assert worker.process.poll() is None
    rig.send(AskReturn())
    assert rig.expect(LadderMoved).rung is Rung.STOP_PHASE, "asking does not help while readings are over"
    ended = rig.expect(LoadEnded)
    assert ended.cause is StopCause.LIMIT
    worker.wait()
    rig.send(EnterPhase(phase="roomy", limits=_disk_limit(100.0)))
    rig.expect(ReadingsClear)
    rig.send(ForgetWorker(worker=worker.number))
    rig.send(AskReturn())
    back = rig.expect(LadderMoved)
    assert (back.rung, back.share) == (Rung.CLEAR, 1.0)
    rig.worker()


def test_the_last_rung_is_final(rig: Rig) -> None:
    """From STOP_CAMPAIGN there is no way back, and nobody is watched any more."""
    rig.worker()
    rig.send(EnterPhase(phase="full", limits=_disk_limit(0.0001)))
    while rig.expect(LadderMoved).rung is not Rung.STOP_CAMPAIGN:
        pass
    late = StandInWorker(rig.places, 5)
    rig.workers.append(late)
    rig.send(late.order())
    assert "disk" in rig.expect(WorkerRefused).reason


def test_a_host_that_is_full_without_load_is_not_a_reason_to_stop(rig: Rig) -> None:
    """During an idle baseline or a rest the guardian pauses at most; workers that idle, or of a drill, are no load."""
    rig.worker("--idle")
    worker = rig.worker(drill=True)
    rig.send(EnterPhase(phase="full", limits=_disk_limit(0.0001)))
    assert rig.expect(LadderMoved).rung is Rung.EASE
    assert rig.expect(LadderMoved).rung is Rung.PAUSE
    for _ in range(4):  # of a second each, which is also the hold time of a rung
        rig.expect(GuardianBeat)
    assert rig.conclude() == 0
    moves = [line["body"] for line in rig.journal() if line["name"] == "LadderMoved"]
    assert len(moves) == 2
    worker.wait()


def test_a_reader_that_does_not_read_delays_nothing(rig: Rig) -> None:
    """With a full report pipe the guardian still ends the load at once."""
    worker = rig.worker()
    for number in range(3000):  # refusals fill the pipe (64 KiB) and the buffer behind it
        rig.send(BeginDrill(path=DrillPath.STOP_FILE, stop_path="/S", permit_path="/P", worker=1000 + number))
    (rig.places.run_dir / "STOP").touch()
    assert worker.wait() == LEASE_EXIT


def test_death_of_the_supervisor_ends_the_load_and_starts_the_reporter(tmp_path: Path) -> None:
    """When the supervisor is killed, the load ends, the report is made, and nothing is left in the registry."""
    places = Places(base=tmp_path, run_id="killed")
    with stand_in_campaign(tmp_path, "killed") as (supervisor, guardian, worker):
        os.kill(supervisor, signal.SIGKILL)
        wait_until_gone(worker)
        wait_until_gone(guardian)
    assert places.reported.read_text() == "done"
    names = [json.loads(line) for line in places.journal.read_text().splitlines()]
    assert [line["body"]["cause"] for line in names if line["name"] == "LoadEnded"] == ["supervisor_gone"]
    assert names[-1]["name"] == "ReporterEnded"
    assert registry.entries(str(places.state_dir)) == ()


def test_a_stopped_supervisor_is_silent_and_is_ended(tmp_path: Path) -> None:
    """A supervisor that does not turn loses its load after the limit, and its life ten seconds later; then the report."""
    places = Places(base=tmp_path, run_id="silent")
    with stand_in_campaign(tmp_path, "silent", "--mute", "--stubborn") as (supervisor, guardian, worker):
        os.kill(supervisor, signal.SIGSTOP)
        wait_until_gone(worker)
        assert runs(guardian)
        wait_until_gone(guardian)
        wait_until_gone(supervisor)
    assert places.reported.exists()
    causes = [json.loads(line) for line in places.journal.read_text().splitlines()]
    assert [line["body"]["cause"] for line in causes if line["name"] == "LoadEnded"] == [
        "supervisor_silent",
        "supervisor_gone",
    ]


def test_a_supervisor_that_is_another_process_is_refused(places: Places) -> None:
    """A guardian whose supervisor is not the one of the order does not begin."""
    guardian = places.start_guardian(places.order(supervisor_start_ticks=1))
    output, _ = guardian.communicate(timeout=REPORT_S_MAX)
    assert (guardian.returncode, output) == (70, b"")


def test_an_unreadable_order_is_a_usage_error(tmp_path: Path) -> None:
    """A missing or mistyped order file ends with exit code 2 and says why."""
    command = [sys.executable, "safety_monitoring/system_guardian.py", str(tmp_path / "none.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=REPORT_S_MAX, check=False)
    assert done.returncode == 2
    assert b"is not an order" in done.stderr


def test_watched_means_leased(rig: Rig) -> None:
    """By the time that WorkerWatched is said, the page carries a lease and the full share."""
    worker = StandInWorker(rig.places, 0)
    rig.workers.append(worker)
    rig.send(worker.order())
    rig.expect(WorkerWatched)
    assert worker.page.lease_until_mono_ns > time.monotonic_ns()
    assert worker.page.share == 1.0
