"""Which campaigns run, where, and whether a stop is latched: small files in one private directory per user.

A stop has to find campaigns from any terminal and any directory, without asking a process that may hang, and never by
name: entries hold pid, start time and boot. Everything is written to a temporary name and renamed, so a reader sees a
whole file or none. Supervisor, guardian, command line and emergency stop use it (standard library only).
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from baseline_metrics.codec import CodecError, from_json_value, to_json_value
from baseline_metrics.host_files import ProcessGone, boot_id, process_stat
from baseline_metrics.ownership import not_ours
from safety_monitoring import state_place
from safety_monitoring.messages import StopCause

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
"""No separator and no leading dot: a run id is always one plain file name."""

FILE_BYTES_MAX = 1 << 16
"""An entry takes half a KiB; what is larger was not written by us."""

ENTRIES_MAX = 1000
"""Campaigns of one user that an emergency stop looks at; there is one at a time per runs directory."""

LATCH_NAME = "LATCHED.json"
STOP_NAME = "STOP"


class RegistryError(Exception):
    """The registry cannot be used. The message names the path and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """A process, for good: its pid alone comes round again."""

    pid: int
    start_ticks: int
    boot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignEntry:
    """A campaign that runs, or that died without leaving the registry."""

    run_id: str
    run_dir: str
    runs_dir: str
    started_utc_s: float
    supervisor: ProcessIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenEntry:
    """A campaign's directory whose entry cannot be read."""

    run_id: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsLockHeld:
    """Another campaign runs in this runs directory."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Latch:
    """A stop that holds until a person resets it. path: where it was found or written first."""

    cause: StopCause
    detail: str
    utc_s: float
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotLatched:
    """Nothing stands against a start."""


class RunsLock:
    """The lock of one runs directory, held until released or until the process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Give the lock back. Harmless when done twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def state_directory(environ: Mapping[str, str]) -> str:
    """Where the registry lives: $DAYBREAK_STATE_DIR, else the runtime directory of the user, else the state directory."""
    return state_place.state_directory(environ)


def ensure_state_directory(path: str) -> None:
    """Create the directory (0700), and make sure that it is ours alone. Raises RegistryError."""
    try:
        Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
        status = os.lstat(path)
    except OSError as error:
        raise RegistryError(
            f"the state directory {path} cannot be made: {error.strerror}; set DAYBREAK_STATE_DIR"
        ) from error
    if not stat.S_ISDIR(status.st_mode):
        raise RegistryError(f"the state directory {path} is not a directory; set DAYBREAK_STATE_DIR to another one")
    if status.st_uid != os.geteuid():
        raise RegistryError(f"the state directory {path} belongs to user {status.st_uid}; set DAYBREAK_STATE_DIR")
    if stat.S_IMODE(status.st_mode) & 0o077:
        Path(path).chmod(0o700)


def identity_of(pid: int) -> ProcessIdentity | ProcessGone:
    """The identity of a running process."""
    found = process_stat(pid)
    if isinstance(found, ProcessGone):
        return found
    return ProcessIdentity(pid=pid, start_ticks=found.start_ticks, boot_id=boot_id())


def is_alive(identity: ProcessIdentity) -> bool:
    """Whether exactly this process runs; a zombie does not."""
    found = process_stat(identity.pid)
    if isinstance(found, ProcessGone) or found.state in "ZX":
        return False
    return found.start_ticks == identity.start_ticks and boot_id() == identity.boot_id


def checked_run_id(run_id: str) -> str:
    """The run id itself. Raises RegistryError if it could name anything but a plain file."""
    if RUN_ID.fullmatch(run_id) is None or ".." in run_id:
        raise RegistryError(f"{run_id!r} is not a run id: letters, digits, '.', '_' and '-', at most 100 of them")
    return run_id


def campaign_directory(state: str, run_id: str) -> str:
    """The registry's directory of one campaign: entry.json, PERMIT, status.json, pages/."""
    return f"{state}/campaigns/{checked_run_id(run_id)}"


def permit_path(state: str, run_id: str) -> str:
    """The file whose absence stops the campaign."""
    return f"{campaign_directory(state, run_id)}/PERMIT"


def register(state: str, entry: CampaignEntry) -> None:
    """Make the campaign's directory with PERMIT and pages/, and enter it. Raises RegistryError if it is there already."""
    directory = Path(campaign_directory(state, entry.run_id))
    try:
        directory.parent.mkdir(mode=0o700, exist_ok=True)
        directory.mkdir(mode=0o700)
        (directory / "pages").mkdir(mode=0o700)
        (directory / "PERMIT").touch(mode=0o600)
        _write_whole(directory / "entry.json", _text(entry))
    except FileExistsError as error:
        raise RegistryError(f"campaign {entry.run_id} is in the registry already: {directory}") from error
    except OSError as error:
        raise RegistryError(f"campaign {entry.run_id} cannot be registered in {directory}: {error.strerror}") from error


def unregister(state: str, run_id: str) -> None:
    """Take the campaign out of the registry, all its files included. One that is not there is no error."""
    directory = Path(campaign_directory(state, run_id))
    leaving = directory.with_name(f".leaving-{run_id}-{os.getpid()}")
    try:
        directory.rename(leaving)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RegistryError(f"campaign {run_id} cannot be taken out of {directory}: {error.strerror}") from error
    _remove_tree(leaving)


def entries(state: str) -> tuple[CampaignEntry | BrokenEntry, ...]:
    """All campaigns of the registry, by run id; at most ENTRIES_MAX."""
    try:
        names = sorted(path.name for path in Path(state, "campaigns").iterdir() if not path.name.startswith("."))
    except OSError:
        return ()
    return tuple(_entry(state, name) for name in names[:ENTRIES_MAX])


def acquire_runs_lock(state: str, runs_dir: str, *, run_id: str) -> RunsLock | RunsLockHeld:
    """Lock a runs directory for one campaign; the kernel gives the lock back when the process ends. Raises RegistryError."""
    path = Path(state, "locks", f"{_digest(runs_dir)}.lock")
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise RegistryError(f"the lock {path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        by = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        os.close(descriptor)
        return RunsLockHeld(by=by or "a campaign that is just starting")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{run_id} (process {os.getpid()})\n".encode(), 0)
    return RunsLock(descriptor)


def latch(state: str, runs_dir: str, *, cause: StopCause, detail: str, utc_s: float) -> Latch:
    """Refuse every start in this runs directory until ``reset``. The first cause stays.

    Written in the runs directory and in the registry; one of them may fail. Raises RegistryError if both fail.
    """
    standing = latched(state, runs_dir)
    if isinstance(standing, Latch):
        return standing
    failures = []
    written = []
    for path in _latch_paths(state, runs_dir):
        if strange := not_ours(str(path.parent)):
            failures.append(strange)
            continue
        record = Latch(cause=cause, detail=detail, utc_s=utc_s, path=str(path))
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _write_whole(path, _text(record))
            written.append(record)
        except OSError as error:
            failures.append(f"{path}: {error.strerror}")
    if not written:
        raise RegistryError(f"the stop could not be latched ({'; '.join(failures)}): start nothing before you looked")
    return written[0]


def latched(state: str, runs_dir: str) -> Latch | NotLatched:
    """Whether a stop is latched for this runs directory. A latch that cannot be read holds all the same."""
    for path in _latch_paths(state, runs_dir):
        try:
            content = _read_whole(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            if isinstance(error, NotADirectoryError):
                continue
            return Latch(cause=StopCause.WATCH_LOST, detail=f"unreadable: {error.strerror}", utc_s=0.0, path=str(path))
        try:
            return from_json_value(Latch, json.loads(content))
        except (CodecError, ValueError):
            return Latch(cause=StopCause.WATCH_LOST, detail="unreadable: not a latch", utc_s=0.0, path=str(path))
    return NotLatched()


def reset(state: str, runs_dir: str) -> tuple[str, ...]:
    """Remove the latch and the STOP file of this runs directory; the paths removed. Starts nothing. Raises RegistryError."""
    removed = []
    for path in (*_latch_paths(state, runs_dir), Path(runs_dir, STOP_NAME)):
        try:
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
            removed.append(str(path))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise RegistryError(f"{path} cannot be removed: {error.strerror}; remove it by hand") from error
    return tuple(removed)


def _latch_paths(state: str, runs_dir: str) -> tuple[Path, Path]:
    return Path(runs_dir, LATCH_NAME), Path(state, "latches", f"{_digest(runs_dir)}.json")


def _entry(state: str, name: str) -> CampaignEntry | BrokenEntry:
    path = Path(state, "campaigns", name, "entry.json")
    try:
        entry = from_json_value(CampaignEntry, json.loads(_read_whole(path)))
    except (OSError, ValueError) as error:
        return BrokenEntry(run_id=name, path=str(path), reason=str(error))
    if entry.run_id != name or RUN_ID.fullmatch(name) is None:
        return BrokenEntry(run_id=name, path=str(path), reason=f"it says that it is {entry.run_id!r}")
    return entry


def _digest(runs_dir: str) -> str:
    return hashlib.sha256(os.fsencode(os.path.realpath(runs_dir))).hexdigest()


def _text(record: CampaignEntry | Latch) -> bytes:
    return json.dumps(to_json_value(record), indent=1).encode() + b"\n"


def _read_whole(path: Path) -> bytes:
    """The content of a plain file of ours; nothing else is opened for long, waited for or followed. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a plain file")
        return os.read(descriptor, FILE_BYTES_MAX)
    finally:
        os.close(descriptor)


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            os.write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _remove_tree(directory: Path) -> None:
    # Two levels are all that we make: the campaign's directory and pages/. What else lies there is left with its name.
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            if path.is_dir() and not path.is_symlink():
                for inner in path.iterdir():
                    inner.unlink(missing_ok=True)
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        directory.rmdir()
