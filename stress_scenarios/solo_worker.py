"""One worker under a lease of our own: the caller stands in for supervisor and guardian.

For loads outside a campaign (the load test from a terminal, tests). The worker is the campaign's own, with the same
protections; a thread here renews its lease, so if this process dies or hangs, so does the load.
"""

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from baseline_metrics.load_page import LEASE_RENEWAL_S, LEASE_S, LoadPage
from stress_scenarios.load_plan import EngineName
from stress_scenarios.messages import ORDERS, REPORTS, Leave, Order, Report, WorkerFault

REPORTS_WAITING_MAX = 4096
"""More than an hour of windows: beyond that the reader waits, and then the worker ends because nobody reads."""

LEAVE_S_MAX = 3.0
"""A worker leaves within milliseconds; after this it is killed."""

_ROOT = Path(__file__).resolve().parent.parent
_NS_PER_S = 1_000_000_000


class SoloWorkerError(RuntimeError):
    """The worker did not do what it was asked, or ended by itself. The message says how it ended."""


class SoloWorker:
    """A worker process, its page and its two pipes. A context manager: at its end the process is gone.

    Enter it in a thread that stays until the end: the worker dies with the thread that started it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        engine: EngineName = EngineName.HTTPX,
        share: float = 1.0,
        options: Sequence[str] = (),
    ) -> None:
        self.page = LoadPage(str(directory / "load.page"), create=True)
        self._share = share
        self._reports: queue.Queue[Report] = queue.Queue(maxsize=REPORTS_WAITING_MAX)
        self._renewing = threading.Event()
        self._renewing.set()
        self._ended = threading.Event()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "stress_scenarios.worker", "--worker", "0", "--engine", engine.value),
                *("--page", self.page.path, "--parent-pid", str(os.getpid()), *options),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(_ROOT), os.environ.get("PYTHONPATH", "")))},
            start_new_session=True,
        )
        self._threads = (
            threading.Thread(target=self._renew, name="lease", daemon=True),
            threading.Thread(target=self._read, name="reports", daemon=True),
        )

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the process, whatever it does."""
        try:
            with suppress(SoloWorkerError, ValueError):  # gone already, or its pipe was closed on purpose
                self.send(Leave())
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(LEAVE_S_MAX)
        finally:
            self._end()

    def set_share(self, share: float) -> None:
        """Permit this share of the load, 0..1, at once."""
        self._share = share
        self._grant()

    def stop_renewing(self) -> None:
        """Let the lease run out."""
        self._renewing.clear()

    def revoke(self) -> None:
        """Take the lease away at once: the worker ends itself within milliseconds."""
        self._renewing.clear()
        self.page.revoke()

    def send(self, order: Order) -> None:
        """Write an order. Raises SoloWorkerError when the worker is gone."""
        self.send_line(ORDERS.encode(order))

    def send_line(self, line: bytes) -> None:
        """Write a raw line. Raises SoloWorkerError when the worker is gone."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
        except OSError as error:
            raise SoloWorkerError(f"the worker takes no orders any more: {error}") from error

    def next_report(self, timeout_s: float) -> Report:
        """The worker's next report. Raises SoloWorkerError when it ends, gives up or says nothing for that long."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                report = self._reports.get(timeout=min(LEASE_RENEWAL_S, max(0.0, deadline_s - time.monotonic())))
            except queue.Empty:
                if self._ended.is_set() and self._reports.empty():
                    raise SoloWorkerError(f"the worker ended, exit code {self.process.wait(LEAVE_S_MAX)}") from None
                if time.monotonic() >= deadline_s:
                    raise SoloWorkerError(f"the worker said nothing for {timeout_s:g} s") from None
                continue
            if isinstance(report, WorkerFault):
                raise SoloWorkerError(f"the worker gave up: {report.detail}")
            return report

    def _renew(self) -> None:
        while not self._ended.wait(LEASE_RENEWAL_S):
            if self._renewing.is_set():
                self._grant()

    def _grant(self) -> None:
        until_ns = time.monotonic_ns() + int(LEASE_S * _NS_PER_S)
        if self._renewing.is_set():
            self.page.grant(lease_until_mono_ns=until_ns, share=self._share)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._reports.put(REPORTS.decode(line))
        self._ended.set()

    def _end(self) -> None:
        self.revoke()
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        self._ended.set()
        for thread in self._threads:
            thread.join(LEAVE_S_MAX)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self.page.close()
