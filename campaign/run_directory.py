"""Where a run keeps its files, and how the directory comes into being.

The layout is a contract with people's scripts (see the glossary). Everything of one run lies in one directory, made
before the first process starts; ``latest`` and ``current`` are replaced by rename, so that they never dangle half-way.
The launcher makes the directory, the supervisor works in it.
"""

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from baseline_metrics.codec import CodecError, from_json_value, to_json_value
from baseline_metrics.ownership import not_ours
from campaign.campaign_order import CampaignOrder
from monitoring_logs.records import SCHEMA_VERSION, Meta
from safety_monitoring.messages import Protection

ORDER_FILE = "order.json"
STOP_FILE = "STOP"


class RunDirectoryError(Exception):
    """The run directory cannot be made or read; says which path and what to do."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Paths of one run."""

    path: Path

    @property
    def logs(self) -> Path:
        """Database, journals, component logs."""
        return self.path / "monitoring_logs"

    @property
    def results(self) -> Path:
        """The reports."""
        return self.path / "results_summary"

    @property
    def stop_file(self) -> Path:
        """Its existence stops this campaign."""
        return self.path / STOP_FILE

    @property
    def order_file(self) -> Path:
        """The supervisor's order."""
        return self.path / ORDER_FILE

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor and its children print: tracebacks, if any."""
        return self.logs / "supervisor_output.log"

    @property
    def guardian_order(self) -> Path:
        """The guardian's order."""
        return self.logs / "guardian_order.json"


def run_id_of(*, name: str, utc_s: float) -> str:
    """``<UTC time>-<name>``: sorts by time, and tells people what it was."""
    return f"{datetime.fromtimestamp(utc_s, UTC):%Y%m%dT%H%M%SZ}-{name}"


def create_run_directory(order: CampaignOrder, *, plan_yaml: str) -> RunDirectory:
    """Make the directory with plan, order and meta. Raises RunDirectoryError, and leaves nothing half-made behind."""
    runs = Path(order.runs_dir)
    run = RunDirectory(runs / order.night.run_id)
    strange = not_ours(order.runs_dir)
    if strange:
        raise RunDirectoryError(f"{strange}; choose a directory of your own: --runs-dir")
    made = False
    try:
        runs.mkdir(parents=True, exist_ok=True)
        run.path.mkdir(mode=0o750)
        made = True
        (run.logs / "workers").mkdir(parents=True)
        run.results.mkdir()
        write_whole(run.path / "plan.yaml", plan_yaml)
        write_meta(run, order, protections=())
        write_whole(run.order_file, json.dumps(to_json_value(order), indent=1) + "\n")
    except FileExistsError as error:
        raise RunDirectoryError(
            f"{error.filename} exists already: wait a second, or give the run another --name"
        ) from error
    except OSError as error:
        if made:
            shutil.rmtree(run.path, ignore_errors=True)
        raise RunDirectoryError(f"{error.filename or run.path}: {error.strerror}; choose another --runs-dir") from error
    return run


def write_meta(run: RunDirectory, order: CampaignOrder, *, protections: tuple[Protection, ...]) -> None:
    """meta.json: the order of the night, the host, the guardian's protections."""
    meta = Meta(schema_version=SCHEMA_VERSION, order=order.night, host=order.host, protections=protections)
    write_whole(run.path / "meta.json", json.dumps(to_json_value(meta), indent=1, sort_keys=True) + "\n")


def read_order(run: RunDirectory) -> CampaignOrder:
    """The order of a run. Raises RunDirectoryError when there is none or it is of another version."""
    try:
        return from_json_value(CampaignOrder, json.loads(run.order_file.read_text()))
    except (OSError, ValueError, CodecError) as error:
        raise RunDirectoryError(f"{run.order_file}: {error}") from error


def write_whole(path: Path, text: str) -> None:
    """Replace a file by rename, synced, so that a reader or a crash sees the old one or the new one."""
    beside = path.with_name(path.name + ".new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)


def point(runs_dir: Path, link: str, run_id: str) -> None:
    """Let runs/<link> point to a run. A file system without symlinks loses the convenience, not the night."""
    beside = runs_dir / f".{link}.new"
    with contextlib.suppress(OSError):
        beside.unlink(missing_ok=True)
        beside.symlink_to(run_id)
        beside.rename(runs_dir / link)


def unpoint(runs_dir: Path, link: str) -> None:
    """Remove runs/<link>."""
    with contextlib.suppress(OSError):
        (runs_dir / link).unlink()


SPARE_FILES = ("journal_fallback.jsonl", "spill.jsonl")


def spare_directory(state_dir: str, run_id: str) -> Path:
    """Where journal and recorder go on when the run's own disk fails: usually another file system. Made when missing."""
    path = Path(state_dir) / "kept" / run_id
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def bring_home(run: RunDirectory, state_dir: str) -> bool:
    """Move what was written aside into the run directory. False when that fails: then the links go on pointing there."""
    spare = Path(state_dir) / "kept" / run.path.name
    home = True
    for name in SPARE_FILES:
        link, kept = run.logs / name, spare / name
        try:
            if kept.exists():
                write_whole(link, kept.read_text(encoding="utf-8", errors="replace"))
                kept.unlink()
            elif link.is_symlink():
                link.unlink()
        except OSError:
            home = False
    if home:
        with contextlib.suppress(OSError):
            spare.rmdir()
    return home
