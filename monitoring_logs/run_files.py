"""Where the record of a run lies inside its run directory.

One place for the names, because people's scripts, the guardian, the recorder and every reader rely on them. Supervisor
and reporter use it.
"""

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

META = "meta.json"
RECORD_DIRECTORY = "monitoring_logs"
DATABASE = "campaign.db"
JOURNAL = "journal.jsonl"
JOURNAL_FALLBACK = "journal_fallback.jsonl"
GUARDIAN_JOURNAL = "guardian.jsonl"
SPILL = "spill.jsonl"

SET_ASIDE_MAX = 100
"""Damaged databases kept in one run directory; more than one is already a story of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """Paths of one run's record; none of them has to exist."""

    meta: str
    record_directory: str
    database: str
    journal: str
    journal_fallback: str
    guardian_journal: str
    spill: str


def files_of(run_dir: str) -> RunFiles:
    """The paths of the run in ``run_dir``."""
    record = Path(run_dir) / RECORD_DIRECTORY
    return RunFiles(
        meta=str(Path(run_dir) / META),
        record_directory=str(record),
        database=str(record / DATABASE),
        journal=str(record / JOURNAL),
        journal_fallback=str(record / JOURNAL_FALLBACK),
        guardian_journal=str(record / GUARDIAN_JOURNAL),
        spill=str(record / SPILL),
    )


def link_beside(path: str, *, name: str, target: str) -> None:
    """Leave a symlink called ``name`` beside ``path`` to a file kept on another disk, so that readers find it.

    Done while there is still room: the target is written only when the run's own disk has failed. A link that cannot
    be made costs a reader the detour, so it is not an error; nor is one that is there already, or needless.
    """
    link = Path(path).absolute().with_name(name)
    if link != Path(target).absolute():
        with contextlib.suppress(OSError):
            link.symlink_to(Path(target).absolute())


def bring_home(path: str, *, name: str, target: str) -> None:
    """At the end, move what was kept on another disk beside ``path``, in place of the link: a run is one directory.

    Lines that came home in an earlier session stay; readers pass over repetitions. When there is no room, or nothing
    was kept, everything stays as it is.
    """
    home = Path(path).absolute().with_name(name)
    kept = Path(target).absolute()
    if home == kept or not kept.is_file():
        return
    arriving = home.with_name(home.name + ".new")
    try:
        with arriving.open("wb") as file:
            for part in (home, kept) if home.is_file() and not home.is_symlink() else (kept,):
                with part.open("rb") as content:
                    shutil.copyfileobj(content, file)
            file.flush()
            os.fsync(file.fileno())
        arriving.chmod(0o600)
        arriving.replace(home)
        kept.unlink()
    except OSError:  # still found through the link
        with contextlib.suppress(OSError):
            arriving.unlink(missing_ok=True)


def damaged_kept(path: str) -> int:
    """How many damaged databases were kept beside this one."""
    return sum(Path(f"{path}.damaged-{number}").exists() for number in range(1, SET_ASIDE_MAX + 1))


def set_aside(path: str) -> str:
    """Rename a damaged database with its log, all under one new name, and return that name. Raises OSError."""
    for number in range(1, SET_ASIDE_MAX + 1):
        aside = f"{path}.damaged-{number}"
        if Path(aside).exists():
            continue
        for suffix in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                Path(path + suffix).rename(aside + suffix)
        return aside
    raise OSError(f"{path} is damaged, and {SET_ASIDE_MAX} damaged ones were kept already; move them away")
