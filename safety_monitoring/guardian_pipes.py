"""The guardian's two pipes and its journal, none of which may ever make it wait.

Orders are read as far as they have come. Reports go into a bounded buffer that is written as far as the pipe takes it:
a supervisor that does not read loses status beats first, and never delays a stop. The journal counts what a full disk
refuses. The guardian uses it.
"""

import contextlib
import json
import os
from dataclasses import dataclass

from baseline_metrics.codec import MESSAGE_BYTES_MAX, CodecError, to_json_value
from safety_monitoring.messages import ORDERS, REPORTS, GuardianBeat, Order, Report

READ_BYTES = 1 << 16
READS_MAX = 16
"""Per look; a pipe holds 64 KiB, so more than this is a flood, and the stop channels come first."""

REPORTS_BYTES_MAX = 1 << 18
"""Reports that wait for a slow supervisor: about a thousand, of which none but beats come more than once a second."""

JOURNAL_BYTES_MAX = 16 << 20
"""A night of one line every 30 s and of every decision takes below 1 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersEnded:
    """The supervisor's end of the pipe is closed, or what it says cannot be understood."""

    reason: str
    understood: bool


class OrderPipe:
    """The reading end: lines into orders."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._rest = bytearray()

    def read(self) -> tuple[tuple[Order, ...], OrdersEnded | None]:
        """All whole orders that have come, in order, and whether they were the last ones."""
        end = self._fill()
        orders: list[Order] = []
        while (length := self._rest.find(b"\n") + 1) > 0:
            line = bytes(self._rest[:length])
            del self._rest[:length]
            try:
                orders.append(ORDERS.decode(line))
            except CodecError as error:
                return tuple(orders), OrdersEnded(reason=f"an order cannot be understood: {error}", understood=False)
        if len(self._rest) > MESSAGE_BYTES_MAX:
            self._rest.clear()
            return tuple(orders), OrdersEnded(reason="an order has no end", understood=False)
        return tuple(orders), end

    def _fill(self) -> OrdersEnded | None:
        for _ in range(READS_MAX):
            try:
                part = os.read(self._descriptor, READ_BYTES)
            except BlockingIOError:
                return None
            except OSError as error:
                return OrdersEnded(reason=f"orders cannot be read: {error.strerror}", understood=True)
            if not part:
                return OrdersEnded(reason="the supervisor closed its pipe", understood=True)
            self._rest += part
        return None


class ReportPipe:
    """The writing end: reports into lines, without waiting."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._waiting = bytearray()
        self.is_broken = False
        self.dropped = 0

    @property
    def has_waiting(self) -> bool:
        """Whether reports wait for the pipe to take them."""
        return bool(self._waiting) and not self.is_broken

    def send(self, report: Report) -> None:
        """Queue a report and write what the pipe takes. Beats are left out while others wait; the rest drops when full."""
        self.flush()
        line = REPORTS.encode(report)
        beat_in_jam = isinstance(report, GuardianBeat) and self._waiting
        if self.is_broken or beat_in_jam or len(self._waiting) + len(line) > REPORTS_BYTES_MAX:
            self.dropped += 1
            return
        self._waiting += line
        self.flush()

    def flush(self) -> None:
        """Write what the pipe takes now."""
        while self._waiting and not self.is_broken:
            try:
                written = os.write(self._descriptor, self._waiting)
            except BlockingIOError:
                return
            except OSError:
                self.is_broken = True
                return
            del self._waiting[:written]


class GuardianJournal:
    """The guardian's own record, one JSON line each: at_mono_s, at_utc_s, name, body."""

    def __init__(self, path: str, *, bytes_max: int = JOURNAL_BYTES_MAX) -> None:
        self._bytes_left = bytes_max
        self.write_errors = 0
        self._descriptor = -1
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._descriptor = os.open(path, flags, 0o600)
            self._bytes_left -= os.fstat(self._descriptor).st_size
        except OSError:
            self.write_errors += 1

    def write(self, message: object, *, at_mono_s: float, at_utc_s: float) -> None:
        """Append a message under its type's name. What cannot be written is counted."""
        body = to_json_value(message)
        entry = {"at_mono_s": at_mono_s, "at_utc_s": at_utc_s, "name": type(message).__name__, "body": body}
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        if self._descriptor < 0 or len(line) > self._bytes_left:
            self.write_errors += 1
            return
        try:
            written = os.write(self._descriptor, line)
        except OSError:
            self.write_errors += 1
            return
        self._bytes_left -= written
        if written < len(line):
            self.write_errors += 1

    def close(self) -> None:
        """Close the file. Harmless when done twice."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1
