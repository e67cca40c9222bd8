"""Cuts the power under a recorder at random instants, and counts what was acknowledged and is not there afterwards.

A file system of its own lies in an image behind a loop device. While a process records into it as fast as it can and says
what was acknowledged, the image is copied: the copy holds what had reached the block device, and nothing of what the
kernel still kept in memory. Mounted, it replays its journal as after a power cut, and the record in it is read. The
writer is stopped first, so that the copy is of one instant. Every fifth copy is made under its hands instead, and judged by
no goal: later parts of the image are then newer than earlier ones, which is no state that a disk was ever in. Needs root and loop devices. Writes
docs/evidence/power-cuts.md. Its own process: ``python -m benchmarks.power_cuts``.
"""

import argparse
import os
import random
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.clock import SystemClock
from benchmarks.evidence import (
    DEFAULT_DIRECTORY,
    ROOT,
    Evidence,
    Goal,
    Section,
    Table,
    all_of,
    circumstances_now,
    conclude,
    write_evidence,
)
from monitoring_logs.journal import Journal, JournalKind
from monitoring_logs.reader import RunReader
from monitoring_logs.recorder import Recorder, RecorderSettings
from monitoring_logs.records import EventRecord
from monitoring_logs.run_files import files_of

NAME = "power-cuts"
CUTS = 125
CUTS_MAX = 10_000
MOVING_EVERY = 5
CUTS_PER_WRITER = 10
"""Then a new file system begins: a record of some seconds is cut at all of its ages."""

IMAGE_BYTES = 64 << 20
BETWEEN_CUTS_S_MAX = 0.4
COMMAND_S_MAX = 60.0
WRITER_S_MAX = 60.0
EVENTS_PER_FLUSH = 5
EVENT_KIND = "power"
UNSYNCED = "unsynced"
FIRST_ANSWER_S_MAX = 30.0


class PowerCutImpossibleError(Exception):
    """This machine cannot make file systems of its own: no root, or no loop devices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One power cut. *_acknowledged: how many rows and decisions were before it; *_lost: of these, missing after it.

    found: rows in the record after the cut. integrity: "ok", or what the database or a reader said. unsynced_lost: lines of
    a file that nobody syncs, which shows that the cut is one: what was not synced does not survive it.
    """

    stopped_first: bool
    rows_acknowledged: int
    rows_lost: int
    rows_repeated: int
    decisions_acknowledged: int
    decisions_lost: int
    found: int
    unsynced_lost: int
    copied_s: float
    integrity: str

    @property
    def sound(self) -> bool:
        """Whether nothing acknowledged was lost or doubled, and the database is whole."""
        return not (self.rows_lost or self.rows_repeated or self.decisions_lost) and self.integrity == "ok"


def main(argv: Sequence[str]) -> int:
    """Measure, write the page, and say whether the goals were reached."""
    options = _options(argv)
    if options.write_into is not None:
        write_until_killed(options.write_into)
    where = circumstances_now()
    print(f"seed {options.seed}", flush=True)
    try:
        cuts = tuple(power_cuts(cuts=options.cuts, seed=options.seed))
    except PowerCutImpossibleError as error:
        print(f"power_cuts: {error}", file=sys.stderr)
        return 2
    evidence = _evidence(cuts, seed=options.seed)
    rows = tuple(
        (
            "yes" if cut.stopped_first else "no",
            str(cut.rows_acknowledged),
            str(cut.rows_lost),
            str(cut.rows_repeated),
            str(cut.decisions_acknowledged),
            str(cut.decisions_lost),
            str(cut.found),
            str(cut.unsynced_lost),
            f"{cut.copied_s:.4f}",
            cut.integrity,
        )
        for cut in cuts
    )
    head = ("stopped_first", "rows_acknowledged", "rows_lost", "rows_repeated", "decisions_acknowledged")
    table = Table(head=(*head, "decisions_lost", "rows_found", "unsynced_lost", "copied_s", "integrity"), rows=rows)
    return conclude(evidence, write_evidence(options.output, evidence, where, samples={f"{NAME}.csv": table}))


# The writer -----------------------------------------------------------------------------------------------------------


def write_until_killed(run_dir: Path) -> None:
    """Record and journal as fast as acknowledgements come; print how many rows and decisions were acknowledged."""
    files = files_of(str(run_dir))
    Path(files.record_directory).mkdir(parents=True)
    clock = SystemClock()
    settings = RecorderSettings(batch_period_s=0.0, checkpoint_log_bytes=256 << 10, checkpoint_retry_s=0.0)
    recorder = Recorder(files.database, spill_path=files.spill, clock=clock, ballast_bytes=1 << 20, settings=settings)
    journal = Journal(files.journal, clock=clock, boot_id="power", fallback_path=files.journal_fallback)
    recorder.start()
    unsynced = os.open(run_dir.parent / UNSYNCED, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    rows = decisions = 0
    end = time.monotonic() + WRITER_S_MAX
    while time.monotonic() < end:
        for _ in range(EVENTS_PER_FLUSH):
            now, utc = clock.mono_s(), clock.utc_s()
            recorder.put(EventRecord(at_mono_s=now, at_utc_s=utc, kind=EVENT_KIND, name="row", text=str(rows)))
            rows += 1
        if recorder.flush(COMMAND_S_MAX):
            os.write(1, f"rows {rows}\n".encode())
        os.write(unsynced, b"line\n")
        journal.append(JournalKind.EVENT, "Tick", {"number": decisions})
        decisions += 1
        os.write(1, f"decisions {decisions}\n".encode())
    sys.exit(0)


class _Acknowledged:
    """What the writer has said so far."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._rest = b""
        self.rows = 0
        self.decisions = 0

    def read(self, timeout_s: float) -> None:
        """Take in what there is; waits for the first of it at most that long."""
        while select.select([self._pipe], [], [], timeout_s)[0]:
            timeout_s = 0.0
            chunk = os.read(self._pipe, 1 << 16)
            if not chunk:
                return
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                word, number = line.split()
                if word == b"rows":
                    self.rows = int(number)
                else:
                    self.decisions = int(number)


# Cutting --------------------------------------------------------------------------------------------------------------


def power_cuts(*, cuts: int, seed: int) -> Iterator[Cut]:
    """So many power cuts. Raises PowerCutImpossibleError."""
    chance = random.Random(seed)
    done = 0
    while done < cuts:
        with tempfile.TemporaryDirectory(prefix="daybreak-power-") as directory:
            for cut in _cuts_of_one_writer(Path(directory), min(CUTS_PER_WRITER, cuts - done), chance):
                done += 1
                yield cut


def _cuts_of_one_writer(directory: Path, cuts: int, chance: random.Random) -> Iterator[Cut]:
    image = directory / "disk.img"
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    _command("mkfs.ext4", "-q", "-F", str(image))
    with _mounted(image, directory / "disk") as disk:
        command = [sys.executable, "-m", "benchmarks.power_cuts", "--write-into", str(disk / "run")]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
        try:
            assert writer.stdout is not None
            acknowledged = _Acknowledged(writer.stdout.fileno())
            acknowledged.read(FIRST_ANSWER_S_MAX)
            for number in range(cuts):
                time.sleep(chance.uniform(0.0, BETWEEN_CUTS_S_MAX))
                yield _cut(
                    directory, image, writer, acknowledged, stopped_first=number % MOVING_EVERY != MOVING_EVERY - 1
                )
        finally:
            writer.kill()
            writer.communicate()


def _cut(
    directory: Path, image: Path, writer: subprocess.Popen[bytes], acknowledged: _Acknowledged, *, stopped_first: bool
) -> Cut:
    """Copy the image now, and look at what a machine would find that lost its power at this moment."""
    if stopped_first:
        writer.send_signal(signal.SIGSTOP)
    acknowledged.read(0.0)
    rows, decisions = acknowledged.rows, acknowledged.decisions
    copy = directory / "after.img"
    began = time.monotonic()
    shutil.copyfile(image, copy)
    copied_s = time.monotonic() - began
    writer.send_signal(signal.SIGCONT)
    try:
        with _mounted(copy, directory / "after") as disk:
            return _look(disk, rows, decisions, stopped_first=stopped_first, copied_s=copied_s)
    finally:
        copy.unlink()


def _look(disk: Path, rows: int, decisions: int, *, stopped_first: bool, copied_s: float) -> Cut:
    run_dir, unsynced = disk / "run", disk / UNSYNCED
    kept = unsynced.read_bytes().count(b"line\n") if unsynced.is_file() else 0
    reader = RunReader(run_dir)
    found = [int(event.text) for event in reader.events() if event.kind == EVENT_KIND]
    numbers = [entry.body["number"] for entry in reader.journal()]
    holes = reader.record_holes()
    problems = [problem for problem in reader.problems() if "not written completely" not in problem]
    reader.close()
    try:
        with sqlite3.connect(files_of(str(run_dir)).database) as connection:
            said = str(connection.execute("PRAGMA integrity_check").fetchone()[0])
        connection.close()
    except sqlite3.Error as error:
        said = str(error)
    return Cut(
        stopped_first=stopped_first,
        rows_acknowledged=rows,
        rows_lost=len(set(range(rows)) - set(found)),
        rows_repeated=len(found) - len(set(found)),
        decisions_acknowledged=decisions,
        decisions_lost=len(set(range(decisions)) - {number for number in numbers if isinstance(number, int)}),
        found=len(found),
        unsynced_lost=max(0, decisions - kept),
        copied_s=copied_s,
        integrity="; ".join((*([said] if said != "ok" else []), *problems, *(str(hole) for hole in holes))) or "ok",
    )


@contextmanager
def _mounted(image: Path, directory: Path) -> Iterator[Path]:
    directory.mkdir()
    _command("mount", "-o", "loop", str(image), str(directory))
    try:
        yield directory
    finally:
        _command("umount", "--lazy", str(directory))
        with suppress(OSError):
            directory.rmdir()


def _command(*words: str) -> None:
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
    try:
        subprocess.run(
            words, check=True, capture_output=True, text=True, timeout=COMMAND_S_MAX, env={**os.environ, "PATH": path}
        )
    except FileNotFoundError as error:
        raise PowerCutImpossibleError(f"{words[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise PowerCutImpossibleError(f"{' '.join(words[:3])} failed: {error.stderr.strip()}") from error


# The page -------------------------------------------------------------------------------------------------------------


def _evidence(cuts: Sequence[Cut], *, seed: int) -> Evidence:
    every, cuts = cuts, [cut for cut in cuts if cut.stopped_first]
    rows = sum(cut.rows_acknowledged for cut in cuts)
    decisions = sum(cut.decisions_acknowledged for cut in cuts)
    goals = (
        _none("acknowledged rows lost", sum(cut.rows_lost for cut in cuts), of=rows),
        _none("rows there twice", sum(cut.rows_repeated for cut in cuts), of=rows),
        _none("acknowledged decisions lost", sum(cut.decisions_lost for cut in cuts), of=decisions),
        Goal(
            text="of what nobody synced, something lost: the cuts are cuts",
            observed=f"{sum(cut.unsynced_lost for cut in cuts):,} of {decisions:,}",
            reached=any(cut.unsynced_lost for cut in cuts),
        ),
        all_of("databases whole after a cut", good=sum(cut.integrity == "ok" for cut in cuts), total=len(cuts)),
    )
    kinds = []
    for stopped in (True, False):
        chosen = [cut for cut in every if cut.stopped_first is stopped]
        kinds.append(
            (
                "stopped first: one instant" if stopped else "writing on: no instant, not judged",
                str(len(chosen)),
                str(sum(cut.sound for cut in chosen)),
                f"{sum(cut.rows_acknowledged for cut in chosen):,}",
                f"{1000 * max((cut.copied_s for cut in chosen), default=0.0):.0f} ms",
            )
        )
    head = ("writer", "cuts", "sound", "rows acknowledged before them, summed", "longest copy")
    what = (
        "A recorder and a journal write as fast as acknowledgements come, into an ext4 file system behind a loop device. "
        "Its image is copied at random instants, and the copy is mounted, which replays its journal as after a power cut. "
        "What the kernel still held in memory is not in the copy. Torn sectors and disks that lie about a sync are not "
        f"in it either. Seed {seed}."
    )
    return Evidence(
        name=NAME,
        title="Power cuts under the record",
        what=what,
        command="make evidence-power",
        goals=goals,
        sections=(Section(title="Cuts", content=(Table(head=head, rows=tuple(kinds)),)),),
    )


def _none(text: str, lost: int, *, of: int) -> Goal:
    return Goal(text=f"{text}: none", observed=f"{lost} of {of:,}", reached=lost == 0 and of > 0)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.power_cuts", description=__doc__)
    parser.add_argument("--cuts", type=_count, default=CUTS)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--output", type=Path, default=DEFAULT_DIRECTORY, help="where the page is written")
    parser.add_argument("--write-into", type=Path, default=None, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= CUTS_MAX:
        raise argparse.ArgumentTypeError(f"{count} is not between 1 and {CUTS_MAX}")
    return count


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
