"""The worker's ends of its two pipes: orders in, reports out, each served by a thread of its own.

The load loop must never wait for a pipe: a supervisor that reads slowly would distort the measurement. Losing either
pipe means that nobody is there to hear or to stop us, and ends the process at once. Runs in worker processes.
"""

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from baseline_metrics.codec import MESSAGE_BYTES_MAX
from baseline_metrics.redaction import redact
from stress_scenarios.messages import REPORTS, Report, WorkerFault
from stress_scenarios.process_start import EXIT_OUR_FAULT, EXIT_PERMISSION_GONE

REPORTS_WAITING_MAX = 64
"""A minute of windows beyond what the pipe holds. A supervisor that is silent for 5 s is stopped, so more is never read."""

FLUSH_S_MAX = 1.0
"""How long a worker that leaves waits for its last words to be taken."""

FAULT_CHARACTERS_MAX = 2000
"""Of a fault's last words: enough for an error with its cause, far below the limit of a message."""

_FLUSH_LOOK_S = 0.002


class ReportsNotReadError(Exception):
    """Nobody has read the worker's reports for too long."""


def claim_report_pipe() -> int:
    """Take standard output for reports, and send prints of whatever library to standard error instead."""
    sys.stdout.flush()
    reports = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return reports


class ReportPipe:
    """Sends reports in their order from a thread; the sender never blocks."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: queue.Queue[bytes] = queue.Queue(maxsize=REPORTS_WAITING_MAX)
        self._unwritten = 0
        threading.Thread(target=self._write, name="reports", daemon=True).start()

    def send(self, report: Report) -> None:
        """Queue a report. Raises CodecError for one that cannot be sent, ReportsNotReadError when nobody reads them."""
        line = REPORTS.encode(report)
        try:
            self._waiting.put_nowait(line)
        except queue.Full as error:
            raise ReportsNotReadError(f"{REPORTS_WAITING_MAX} reports wait to be read; the supervisor hangs") from error

    def flush(self) -> None:
        """Wait until everything is written, at most FLUSH_S_MAX."""
        deadline_s = time.monotonic() + FLUSH_S_MAX
        while self._waiting.unfinished_tasks and time.monotonic() < deadline_s:
            time.sleep(_FLUSH_LOOK_S)

    def leave(self, exit_code: int) -> NoReturn:
        """Flush, then end the process without further ado: sockets and threads go with it."""
        self.flush()
        os._exit(exit_code)

    def fault(self, worker: int, detail: str) -> NoReturn:
        """Say why the worker cannot go on, and end it with exit code 70."""
        detail = redact(detail)
        print(f"worker {worker}: {detail}", file=sys.stderr, flush=True)  # noqa: T201 - its log is its standard error
        try:
            self.send(WorkerFault(worker=worker, detail=detail[:FAULT_CHARACTERS_MAX]))
        except ReportsNotReadError:
            os._exit(EXIT_OUR_FAULT)
        self.leave(EXIT_OUR_FAULT)

    def _write(self) -> None:
        while True:
            line = memoryview(self._waiting.get())
            try:
                while line:
                    line = line[os.write(self._descriptor, line) :]
            except OSError:
                os._exit(EXIT_PERMISSION_GONE)
            self._waiting.task_done()


def read_orders(on_line: Callable[[bytes], None]) -> None:
    """Hand each line of standard input to a function, from a thread. The end of input ends the process at once."""
    threading.Thread(target=_read, args=(on_line,), name="orders", daemon=True).start()


def _read(on_line: Callable[[bytes], None]) -> None:
    with os.fdopen(os.dup(0), "rb") as orders:
        while True:
            try:
                line = orders.readline(MESSAGE_BYTES_MAX + 1)
            except OSError:
                os._exit(EXIT_PERMISSION_GONE)
            if not line.endswith(b"\n"):
                if len(line) <= MESSAGE_BYTES_MAX:
                    os._exit(EXIT_PERMISSION_GONE)  # the end, or a line that its writer did not live to finish
                on_line(line)  # too long: the codec refuses it, and the worker ends
                return
            on_line(line)
