"""Whole short campaigns for tests: launched as a person launches them, watched only through what they publish.

A test sees the same things as a user: exit codes, status document, record, report, and the processes that carry the
run's mark. Nothing is looked up by name, and a campaign that a failed test leaves behind is ended by its mark.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from baseline_metrics.host_files import MarkedProcess, RunMark, marked_processes
from baseline_metrics.samples import Sample
from campaign import control
from campaign.status import Ended, NoStatus, Status, read_status
from monitoring_logs.reader import RunReader
from monitoring_logs.records import BaselineRecord, LoadFacts, PhaseRecord
from monitoring_logs.run_files import files_of
from tests.support.processes import SESSION_VARIABLE

LAUNCHER = Path(__file__).resolve().parent.parent.parent / "launch_autonomous_testing.py"

HANG_S = 60.0
"""A hang limit: the slowest wait here takes 10 s on an idle machine."""

LOOK_S = 0.02

LOAD_GONE_S_MAX = 3.0
"""The slowest promise of the product: whatever is killed, no load is left after this."""

COMPONENT_LOGS = ("autonomous_test_runner", "system_guardian", "resource_monitor", "concurrent_load_test")

REPORT_FILES = (
    "report.html",
    "campaign_summary.txt",
    "campaign_summary.md",
    "autonomous_campaign_report.json",
    "comprehensive_baseline_report.json",
    "junit.xml",
)


# Places and commands --------------------------------------------------------------------------------------------------


TRIES_MAX = 3
"""A burst of other work seldom lasts for three nights of 15 s."""

Seen = TypeVar("Seen")


class HeldBackError(Exception):
    """The host was too busy with other work for the baseline to allow all phases: nothing is wrong with the campaign."""


def with_patience(make: Callable[[Path], Seen], directory: Path) -> Seen:
    """Make a night, and again while a busy host holds its phases back. make gets a directory of its own each time."""
    for attempt in range(1, TRIES_MAX):
        with suppress(HeldBackError):
            return make(directory / f"try_{attempt}")
    return make(directory / f"try_{TRIES_MAX}")


def makes_load(status: Status) -> bool:
    """Whether operations have ended in the last seconds of the load that runs."""
    return isinstance(status.rate_per_s, Sample) and status.rate_per_s.value > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command said."""

    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its one JSON document."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A user's place: a working directory with a runs directory, and a state directory of its own."""

    path: Path

    @property
    def runs_dir(self) -> Path:
        """Where runs lie."""
        return self.path / "runs"

    @property
    def state_dir(self) -> Path:
        """Registry, PERMIT, latch and locks."""
        return self.path / "state"

    def environment(self) -> dict[str, str]:
        """The tests' environment without any of the user's settings."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("DAYBREAK_") or name == SESSION_VARIABLE
        }
        return {**kept, "DAYBREAK_STATE_DIR": str(self.state_dir), "XDG_CONFIG_HOME": str(self.path / "config")}

    def command(self, *words: str, cwd: Path | None = None) -> Answer:
        """Run one command of the launcher to its end, by default in this place."""
        done = subprocess.run(
            [sys.executable, str(LAUNCHER), *words],
            env=self.environment(),
            cwd=cwd or self.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=HANG_S,
            check=False,
        )
        return Answer(exit_code=done.returncode, out=done.stdout, err=done.stderr)

    def write_plan(self, plan: str) -> str:
        """Write a plan file; its path."""
        path = self.path / "plan.yaml"
        path.write_text(plan, encoding="utf-8")
        return str(path)

    def run_words(self, plan: str, *options: str) -> list[str]:
        """The command line that launches a plan here."""
        return [sys.executable, str(LAUNCHER), "run", self.write_plan(plan), "--yes", *options]

    def run_names(self) -> set[str]:
        """The runs that lie in the runs directory."""
        if not self.runs_dir.is_dir():
            return set()
        return {entry.name for entry in self.runs_dir.iterdir() if entry.is_dir() and not entry.is_symlink()}


def new_home(path: Path) -> Home:
    """A place where nothing ran yet."""
    path.mkdir(parents=True, exist_ok=True)
    return Home(path=path)


# Campaigns ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A campaign that runs or ran, seen from outside."""

    home: Home
    run_id: str

    @property
    def run_dir(self) -> Path:
        """Its files."""
        return self.home.runs_dir / self.run_id

    @property
    def results(self) -> Path:
        """Its report."""
        return self.run_dir / "results_summary"

    @property
    def permit(self) -> Path:
        """The file whose absence stops it."""
        return self.home.state_dir / "campaigns" / self.run_id / "PERMIT"

    def status(self) -> Status | NoStatus:
        """The status document: the live one, else the last one, which lies in the run directory."""
        live = read_status(control.status_path(str(self.home.state_dir), self.run_id))
        return live if isinstance(live, Status) else read_status(self.run_dir / "monitoring_logs" / "status.json")

    def wait_for(self, wanted: Callable[[Status], bool], what: str) -> Status:
        """Wait until the status document shows something."""
        deadline = time.monotonic() + HANG_S
        while True:
            seen = self.status()
            if isinstance(seen, Status) and wanted(seen):
                return seen
            over = isinstance(seen, Status) and isinstance(seen.end, Ended)
            if over or time.monotonic() > deadline:
                raise AssertionError(f"{self.run_id}: waited for {what} in vain, last seen: {seen}")
            time.sleep(LOOK_S)

    def wait_for_state(self, *states: str, phase_index: int | None = None) -> Status:
        """Wait until the machine stands in one of these states, of this phase if one is given."""

        def reached(seen: Status) -> bool:
            return seen.state in states and phase_index in (None, seen.phase)

        return self.wait_for(reached, " or ".join(states))

    def wait_for_load(self, *, seconds: float = 0.3) -> Status:
        """Wait until the first phase holds and its operations have succeeded for a while."""
        seen = self.wait_for(lambda status: status.state == "HOLDING" and makes_load(status), "load")
        time.sleep(seconds)  # so that there is something in the record to be lost
        return seen

    def marked(self, *roles: str) -> tuple[MarkedProcess, ...]:
        """Its running processes, of these roles or of all."""
        return tuple(
            found
            for found in marked_processes(RunMark(run_id=self.run_id, state_dir=str(self.home.state_dir)))
            if not roles or found.role in roles
        )

    def pid_of(self, role: str) -> int:
        """The one process of a role."""
        (found,) = self.marked(role)
        return found.pid

    def require_phases(self, count: int) -> None:
        """Wait for the baseline's score. Raises HeldBackError when it allows fewer phases than the test is about."""
        self.wait_for_state("RAMPING", "HOLDING", "CONCLUDING", "DONE")
        with self.record() as reader:
            baseline = reader.baseline()
        if isinstance(baseline, BaselineRecord) and baseline.phases_allowed < count:
            raise HeldBackError(f"{self.run_id}: baseline health {baseline.health.score}")

    def seconds_until_load_is_gone(self) -> float:
        """Wait until no process of its load runs; how long that took."""
        begun = time.monotonic()
        while self.marked("worker", "drill"):
            assert time.monotonic() - begun < HANG_S, f"load survives: {self.marked()}"
            time.sleep(LOOK_S / 4)
        return time.monotonic() - begun

    def wait_until_quiet(self) -> None:
        """Wait until nothing carries its mark any more."""
        deadline = time.monotonic() + HANG_S
        while left := self.marked():
            assert time.monotonic() < deadline, f"still running: {left}"
            time.sleep(LOOK_S)

    def assert_over(self) -> None:
        """Nothing of it runs, its database is sound, and every file of its report stands, whole."""
        assert self.marked() == ()
        assert self.integrity() == "ok"
        names = {path.name for path in self.results.iterdir()}
        assert set(REPORT_FILES) <= names
        assert not [name for name in names if name.endswith(".new")]
        assert self.report()["partial"] is False

    def integrity(self) -> str:
        """What SQLite says of its database."""
        connection = sqlite3.connect(files_of(str(self.run_dir)).database)
        try:
            return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
        finally:
            connection.close()

    def report(self) -> Any:
        """The JSON report."""
        return json.loads((self.results / "autonomous_campaign_report.json").read_text(encoding="utf-8"))

    @contextmanager
    def record(self) -> Iterator[RunReader]:
        """Its record."""
        reader = RunReader(self.run_dir)
        try:
            yield reader
        finally:
            reader.close()

    def phase_records(self) -> tuple[PhaseRecord, ...]:
        """The facts of its phases."""
        with self.record() as reader:
            return reader.phase_records()

    def loads(self) -> tuple[LoadFacts, ...]:
        """The facts of every load that it made, anchors and phases, in the order of the night."""
        with self.record() as reader:
            made = {anchor.segment: anchor.load for anchor in reader.anchor_records()}
            made |= {record.segment: record.load for record in reader.phase_records() if record.segment >= 0}
            return tuple(made[segment] for segment in sorted(made))

    def outcomes(self) -> tuple[str, ...]:
        """How its phases ended, by index."""
        return tuple(record.outcome.value for record in self.phase_records())

    def end_by_force(self) -> None:
        """Kill whatever of it still runs: for tests that failed."""
        for role in ("guardian", "supervisor", ""):  # the guardian first: it would start the reporter
            for found in self.marked(*([role] if role else [])):
                with suppress(ProcessLookupError):
                    os.kill(found.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """A campaign in the foreground: what runs, and the process at the terminal that watches it."""

    campaign: Campaign
    viewer: subprocess.Popen[bytes]
    out_path: Path
    err_path: Path

    @property
    def out(self) -> str:
        """Standard output so far."""
        return self.out_path.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """Standard error so far."""
        return self.err_path.read_text(encoding="utf-8")

    def wait(self) -> int:
        """Wait for the end; the exit code."""
        return self.viewer.wait(HANG_S)

    def wait_for_words(self, words: str) -> None:
        """Wait until the viewer has said something on standard error."""
        deadline = time.monotonic() + HANG_S
        while words not in self.err:
            assert time.monotonic() < deadline, self.err
            time.sleep(LOOK_S)


@contextmanager
def foreground(home: Home, plan: str, *options: str, enter: tuple[str, ...] = ()) -> Iterator[Night]:
    """Launch a plan in the foreground, as the only child of a script; ends what is left of it.

    enter: the words before the command that put it somewhere, say into a cgroup.
    """
    before = home.run_names()
    out_path, err_path = home.path / "out.txt", home.path / "err.txt"
    with out_path.open("wb") as out, err_path.open("wb") as err:
        viewer = subprocess.Popen(
            [*enter, *home.run_words(plan, "--progress", "plain", *options)],
            env=home.environment(),
            cwd=home.path,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    try:
        campaign = new_campaign(home, before, viewer, err_path)
        try:
            yield Night(campaign=campaign, viewer=viewer, out_path=out_path, err_path=err_path)
        finally:
            campaign.end_by_force()
    finally:
        viewer.kill()
        viewer.wait(HANG_S)


def new_campaign(home: Home, before: set[str], launcher: subprocess.Popen[bytes], words: Path) -> Campaign:
    """The campaign that a launcher has just started: the run that was not there before."""
    deadline = time.monotonic() + HANG_S
    while not (new := home.run_names() - before):
        ended = launcher.poll()
        assert ended is None, f"ended with {ended}: {words.read_text(encoding='utf-8', errors='replace')}"
        assert time.monotonic() < deadline, "no run directory appeared"
        time.sleep(LOOK_S)
    (run_id,) = new
    return Campaign(home=home, run_id=run_id)


def whole_night(home: Home, plan: str, *options: str) -> tuple[Night, int]:
    """Run a plan to its end. Returns the ended night and its exit code."""
    with foreground(home, plan, *options) as night:
        code = night.wait()
    return night, code
