"""The reporter's processes: partial reports in between, the final one with one more try.

The reporter reads the record only, at the lowest priority; nothing waits for a partial report. Runs in the
supervisor's main thread.
"""

import contextlib
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.clock import Clock
from campaign.processes import Marks, spawn_reporter

REPORT_S_MAX = 60.0
"""A report of a long night takes a few seconds; a minute on an overloaded host."""

TRIES_MAX = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StillWriting:
    """No final report was asked for, or it is being written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The report stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotWritten:
    """Both tries failed."""

    detail: str


Desk = StillWriting | Written | NotWritten


class ReportDesk:
    """All reports of one campaign."""

    def __init__(self, run_dir: Path, *, marks: Marks, output: Path, strict: bool, clock: Clock) -> None:
        self._run_dir = run_dir
        self._marks = marks
        self._output = output
        self._strict = strict
        self._clock = clock
        self._partial: subprocess.Popen[bytes] | None = None
        self._final: subprocess.Popen[bytes] | None = None
        self._since = 0.0
        self._tries = 0
        self._spawn_failed = ""

    def partial(self) -> None:
        """Begin a report of the night so far, unless one is being written or the final one was begun."""
        if self._partial is None and self._tries == 0:
            with contextlib.suppress(OSError):  # the next one will do
                self._partial = self._spawn(partial=True)

    def end_partial(self) -> None:
        """A partial report that is still being written is not wanted any more."""
        if self._partial is not None:
            self._partial.kill()
            self._partial.wait(REPORT_S_MAX)
            self._partial = None

    def final(self) -> None:
        """Begin the final report."""
        self._tries += 1
        self._since = self._clock.mono_s()
        self._spawn_failed = ""
        try:
            self._final = self._spawn(partial=False)
        except OSError as error:
            self._spawn_failed = str(error)

    def poll(self) -> Desk:
        """How the final report stands. Tells the end once."""
        if self._partial is not None and self._partial.poll() is not None:
            self._partial = None
        if self._spawn_failed:
            return self._again_or_never(f"it could not be started: {self._spawn_failed}")
        if self._final is None:
            return StillWriting()
        code = self._final.poll()
        if code is None and self._clock.mono_s() - self._since > REPORT_S_MAX:
            self._final.kill()
            self._final.wait(REPORT_S_MAX)
            code = -signal.SIGKILL
        if code is None:
            return StillWriting()
        self._final = None
        if code == 0:
            return Written()
        return self._again_or_never(f"it ended with {code}")

    def _again_or_never(self, why: str) -> Desk:
        self._spawn_failed = ""
        if self._tries < TRIES_MAX:
            self.final()
            return StillWriting()
        return NotWritten(
            detail=f"the reporter failed {TRIES_MAX} times, the last time because {why}; see {self._output}"
        )

    def _spawn(self, *, partial: bool) -> subprocess.Popen[bytes]:
        return spawn_reporter(
            self._run_dir, marks=self._marks, output=self._output, partial=partial, strict=self._strict
        )
