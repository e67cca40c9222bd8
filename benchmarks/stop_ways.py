"""Ways in which a load ends because something of ours is gone, stopped or over its limit: each done for real, and timed.

A rig (see stop_rig) holds the load of sixteen processes; this module kills, stops or removes what the way says, and waits
until the last process is seen gone through its pidfd. Used by benchmarks/stop_latency.py, in its process.
"""

import contextlib
import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.host_files import RunMark, marked_processes, process_stat
from baseline_metrics.load_page import LoadPage
from benchmarks.busy_cores import busy_cores
from benchmarks.evidence import ROOT
from benchmarks.held_campaign import prepare
from benchmarks.stop_page import BURN_S, BURNERS_PER_CORE, NAME, Gone, NotStopped, Repetition, StillThere, StopPath
from benchmarks.stop_rig import Word
from campaign.launch import PreparedRun
from campaign.processes import Marks
from safety_monitoring.registry import campaign_directory, permit_path
from safety_monitoring.stopping import ProcessHandle, end_marked, load_of, open_handle, wait_gone

EVERY_ROLE = frozenset({"worker", "drill", "guardian", "supervisor", "reporter"})

HELD_S_MAX = 90.0
"""Sixteen processes come up within four seconds on two idle cores. A hang limit."""

GONE_S_MAX = 20.0
"""Three times the slowest goal. What is there after this counts as never gone, and is killed."""

DISK_BYTES = 48 << 20
BURN_S_MAX = 120.0
LOOK_S = 0.001
SETTLED_S = 0.2
"""No page has counted a start for this long: five times what lies between two of one connection's at half its pace."""

COMMAND_S_MAX = 30.0


class WayError(Exception):
    """This repetition could not be made. The message says why."""


class NoSmallDiskError(Exception):
    """No file system of a small size can be mounted here; root can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRig:
    """A rig that holds its load, with a handle for each process of it."""

    process: "subprocess.Popen[bytes]"
    prepared: PreparedRun
    mark: RunMark
    workers: tuple[ProcessHandle, ...]
    guardian: ProcessHandle
    supervisor: ProcessHandle


def repetition(number: int, path: StopPath, *, base: Path, target_url: str) -> Repetition:
    """End one load in this way. Raises NoSmallDiskError; leaves nothing running and nothing mounted."""
    directory = base / f"{path.value}-{number}"
    directory.mkdir()
    with contextlib.ExitStack() as held:
        place = held.enter_context(small_disk(directory / "disk")) if path is StopPath.PERMIT else directory
        try:
            rig = held.enter_context(held_rig(place / "campaign", name=f"{NAME}-{number}", target_url=target_url))
        except WayError as error:
            return Repetition(number=number, path=path, load=NotStopped(), exit_code=-1, faults=(str(error),))
        load: Gone | StillThere | NotStopped
        try:
            load = _measured(path, rig, place)
            faults = [] if isinstance(load, Gone) else ["load was still made after the stop"]
        except WayError as error:
            load, faults = NotStopped(), [str(error)]
        _end(rig)
        faults += [f"process {left.pid} ({left.role}) is left" for left in marked_processes(rig.mark)]
    return Repetition(number=number, path=path, load=load, exit_code=-1, faults=tuple(faults))


@contextlib.contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """A file system in memory that 48 MiB fill. Raises NoSmallDiskError."""
    directory.mkdir()
    _command("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "daybreak-stop", str(directory))
    try:
        yield directory
    finally:
        _command("umount", "--lazy", str(directory))


def fill(disk: Path) -> None:
    """Take every byte that is left."""
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    try:
        (disk / "one-more").write_bytes(b"x")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return
        raise
    raise WayError(f"{disk} is not full: one more byte could be written")


def _measured(path: StopPath, rig: HeldRig, place: Path) -> Gone | StillThere:
    if path is StopPath.BREAKER:
        ask(rig, Word.VIOLATE_ONCE)
    with busy_cores(per_core=BURNERS_PER_CORE, life_s=BURN_S_MAX):
        time.sleep(BURN_S)
        match path:
            case StopPath.PERMIT:
                fill(place)
                return _until_gone(rig.workers, rig, began_mono_s=_removed(rig))
            case StopPath.GUARDIAN_KILLED:
                return _until_gone(rig.workers, rig, began_mono_s=_sent(rig.guardian, signal.SIGKILL))
            case StopPath.GUARDIAN_STOPPED:
                return _until_gone(rig.workers, rig, began_mono_s=_sent(rig.guardian, signal.SIGSTOP))
            case StopPath.SUPERVISOR_KILLED:
                everybody = (*rig.workers, rig.guardian, rig.supervisor)
                return _until_gone(everybody, rig, began_mono_s=_sent(rig.supervisor, signal.SIGKILL))
            case StopPath.SUPERVISOR_STOPPED:
                return _until_gone(rig.workers, rig, began_mono_s=_sent(rig.supervisor, signal.SIGSTOP))
            case StopPath.BREAKER:
                return _until_held_back(rig)
            case _:
                raise WayError(f"{path.value} is measured with whole campaigns")


def _removed(rig: HeldRig) -> float:
    began_mono_s = time.monotonic()
    Path(permit_path(rig.prepared.order.state_dir, rig.prepared.run_id)).unlink()
    return began_mono_s


def _sent(handle: ProcessHandle, number: signal.Signals) -> float:
    began_mono_s = time.monotonic()
    if not handle.send(number):
        raise WayError(f"process {handle.pid} was gone before it was sent {number.name}")
    return began_mono_s


def _until_gone(handles: Sequence[ProcessHandle], rig: HeldRig, *, began_mono_s: float) -> Gone | StillThere:
    gone = wait_gone(handles, timeout_s=GONE_S_MAX)
    seconds = time.monotonic() - began_mono_s
    left = load_of(rig.mark) if len(handles) == len(rig.workers) else marked_processes(rig.mark)
    return Gone(seconds=seconds) if len(gone) == len(handles) and not left else StillThere()


def _until_held_back(rig: HeldRig) -> Gone | StillThere:
    """Until every page's share is 0 and no operation is started any more, counted from the guardian's own look."""
    with contextlib.ExitStack() as held:
        folder = Path(campaign_directory(rig.prepared.order.state_dir, rig.prepared.run_id)) / "pages"
        pages = [LoadPage(str(path)) for path in sorted(folder.glob("*.page"))]
        for page in pages:
            held.callback(page.close)
        if len(pages) != len(rig.workers) or any(page.share != 1.0 for page in pages):
            raise WayError("the load was not whole before the violation")
        _say(rig, Word.OPEN_BREAKER)
        deadline_mono_s = time.monotonic() + GONE_S_MAX
        quiet_mono_s, before = time.monotonic(), [-1]
        while True:
            starts = [page.operation(0).started for page in pages]
            shares = [page.share for page in pages]
            now_mono_s = time.monotonic()
            if any(shares) or starts != before:  # the first look that finds nothing changed is later than the change
                quiet_mono_s, before = float("inf"), starts
            else:
                quiet_mono_s = min(quiet_mono_s, now_mono_s)
            if now_mono_s - quiet_mono_s > SETTLED_S:
                break
            if now_mono_s > deadline_mono_s:
                return StillThere()
            time.sleep(LOOK_S)
    seen_mono_s = _number(_heard(rig), "seen_mono_s")
    return Gone(seconds=quiet_mono_s - seen_mono_s)


# The rig --------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def held_rig(directory: Path, *, name: str, target_url: str) -> Iterator[HeldRig]:
    """Start a rig and wait until it holds its load. Raises WayError; whatever happens, nothing of it stays."""
    prepared = prepare(directory, name=name, target_url=target_url)
    order = prepared.order
    marks = Marks(run_id=prepared.run_id, runs_dir=order.runs_dir, state_dir=order.state_dir)
    mark = RunMark(run_id=prepared.run_id, state_dir=order.state_dir)
    log = prepared.run_dir / "monitoring_logs" / "supervisor_output.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.stop_rig", str(prepared.run_dir)],
            cwd=ROOT,
            env=marks.environment("supervisor"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    try:
        with contextlib.ExitStack() as held:
            said = _line(process, log)
            guardian = held.enter_context(_handle(_number(said, "guardian")))
            supervisor = held.enter_context(_handle(process.pid))
            pids = said.get("workers")
            assert isinstance(pids, list)
            workers = tuple(held.enter_context(_handle(pid)) for pid in pids)
            if len(workers) != order.workers:
                raise WayError(f"{len(workers)} of {order.workers} load processes are there")
            yield HeldRig(
                process=process,
                prepared=prepared,
                mark=mark,
                workers=workers,
                guardian=guardian,
                supervisor=supervisor,
            )
    finally:
        process.kill()
        process.communicate(timeout=COMMAND_S_MAX)
        end_marked(mark, roles=EVERY_ROLE)


def _end(rig: HeldRig) -> None:
    """What was stopped or killed cannot end in order: everything is killed, and the rig reaped."""
    rig.process.kill()
    rig.process.wait(COMMAND_S_MAX)
    end_marked(rig.mark, roles=EVERY_ROLE)


def _handle(pid: float) -> ProcessHandle:
    stat = process_stat(int(pid))
    handle = open_handle(int(pid), getattr(stat, "start_ticks", -1))
    if isinstance(handle, ProcessHandle):
        return handle
    raise WayError(handle.reason)


def _say(rig: HeldRig, word: Word) -> None:
    assert rig.process.stdin is not None
    rig.process.stdin.write(f"{word.value}\n".encode())
    rig.process.stdin.flush()


def ask(rig: HeldRig, word: Word) -> dict[str, object]:
    """Let the rig do something; what it says about it. Raises WayError."""
    _say(rig, word)
    return _heard(rig)


def _heard(rig: HeldRig) -> dict[str, object]:
    return _line(rig.process, rig.prepared.run_dir / "monitoring_logs" / "supervisor_output.log")


def _line(process: "subprocess.Popen[bytes]", log: Path) -> dict[str, object]:
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], HELD_S_MAX)[0]:
        raise WayError(f"the rig has said nothing for {HELD_S_MAX:g} s")
    line = process.stdout.readline()
    if not line:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise WayError(f"the rig ended: {last[-1] if last else 'it said nothing'}")
    said = json.loads(line)
    assert isinstance(said, dict)
    return said


def _number(said: dict[str, object], name: str) -> float:
    value = said.get(name)
    assert isinstance(value, int | float), said
    return value


def _command(*words: str) -> None:
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
    try:
        subprocess.run(
            words, check=True, capture_output=True, text=True, timeout=COMMAND_S_MAX, env={**os.environ, "PATH": path}
        )
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error.strerror
        raise NoSmallDiskError(f"{' '.join(words[:3])} failed ({said}): measure a full disk as root") from error
