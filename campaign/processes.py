"""Children of the supervisor: how they are started, marked, spoken with and seen to end.

Children are executed, never forked, each in a session of its own, marked in their environment. They are spawned from
the supervisor's main thread only, because a worker asks the kernel to die with the thread that made it.
"""

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baseline_metrics.codec import MESSAGE_BYTES_MAX, Codec

PACKAGE_ROOT = str(Path(__file__).resolve().parent.parent)

OUTGOING_BYTES_MAX = 4 * MESSAGE_BYTES_MAX
"""Orders that a child has not read yet. Orders are few and small; a child that leaves this much unread hangs."""

READ_BYTES = 1 << 16


_started: list["subprocess.Popen[bytes]"] = []
"""By this process, and not known to have ended."""


def started_children() -> frozenset[int]:
    """The pids of the children that this process has started and not reaped yet; a child with another pid was adopted."""
    _started[:] = [process for process in _started if process.returncode is None]
    return frozenset(process.pid for process in _started)


class ChannelError(Exception):
    """The child does not read, or speaks something that is not our protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What a child of this campaign carries in its environment, so that it can be found whatever becomes of us.

    withheld: variables that no child inherits, because they hold secrets that a worker gets by its pipe and nobody else
    needs.
    """

    run_id: str
    runs_dir: str
    state_dir: str
    withheld: frozenset[str] = frozenset()

    def environment(self, role: str) -> dict[str, str]:
        """The child's environment: ours without what is withheld, with the marks and the place of our packages."""
        path = os.environ.get("PYTHONPATH", "")
        return {
            **{name: value for name, value in os.environ.items() if name not in self.withheld},
            "DAYBREAK_RUN_ID": self.run_id,
            "DAYBREAK_RUNS_DIR": self.runs_dir,
            "DAYBREAK_STATE_DIR": self.state_dir,
            "DAYBREAK_ROLE": role,
            "PYTHONPATH": f"{PACKAGE_ROOT}{os.pathsep}{path}" if path else PACKAGE_ROOT,
            "PYTHONUNBUFFERED": "1",
        }


class Child:
    """A child process with a pipe in each direction, one JSON line per message."""

    def __init__(self, module: str, arguments: tuple[str, ...], *, marks: Marks, role: str, output: Path) -> None:
        with output.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=marks.environment(role),
                cwd="/",
                start_new_session=True,
                bufsize=0,
            )
        _started.append(self.process)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in = self.process.stdin.fileno()
        self._out = self.process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self.closed = False

    @property
    def pid(self) -> int:
        """Its process id; valid as long as the child was not reaped."""
        return self.process.pid

    def fileno(self) -> int:
        """Where its messages arrive, for a selector."""
        return self._out

    def send(self, codec: Codec, message: object) -> None:
        """Queue an order and write as much as the pipe takes. A closed pipe is seen by ``receive``."""
        self._outgoing += codec.encode(message)
        if len(self._outgoing) > OUTGOING_BYTES_MAX:
            raise ChannelError(f"process {self.pid} has not read {len(self._outgoing)} bytes of orders")
        self.flush()

    def flush(self) -> None:
        """Write queued orders as far as the pipe takes them."""
        while self._outgoing:
            try:
                written = os.write(self._in, self._outgoing)
            except BlockingIOError:
                return
            except OSError:
                self._outgoing.clear()
                return
            del self._outgoing[:written]

    def receive(self, codec: Codec) -> list[Any]:
        """All messages that have arrived. Sets ``closed`` at the end of the stream. Raises ChannelError, CodecError."""
        while not self.closed:
            try:
                chunk = os.read(self._out, READ_BYTES)
            except BlockingIOError:
                break
            except OSError:
                chunk = b""
            if not chunk:
                self.closed = True
            self._incoming += chunk
        messages = []
        while (end := self._incoming.find(b"\n")) >= 0:
            line = bytes(self._incoming[: end + 1])
            del self._incoming[: end + 1]
            messages.append(codec.decode(line))
        if len(self._incoming) > MESSAGE_BYTES_MAX:
            raise ChannelError(f"process {self.pid} sent a line of more than {MESSAGE_BYTES_MAX} bytes")
        return messages

    def ended(self) -> bool:
        """Whether the process has ended; reaps it."""
        return self.process.poll() is not None

    def kill(self) -> None:
        """SIGKILL, unless it was reaped. Safe: the kernel keeps the pid of an unreaped child of ours."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()

    def close(self) -> None:
        """Close both pipes. A child that still runs takes that as stop."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        with contextlib.suppress(OSError):
            self.process.stdout.close()
        self.closed = True


def spawn_reporter(
    run_dir: Path, *, marks: Marks, output: Path, partial: bool, strict: bool
) -> subprocess.Popen[bytes]:
    """Start the reporter; it reads the record only, and leaves by itself."""
    flags = [*(["--partial"] if partial else []), *(["--strict"] if strict else [])]
    with output.open("ab") as log:
        process = subprocess.Popen(
            [*reporter_command(run_dir), *flags],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=marks.environment("reporter"),
            cwd="/",
            start_new_session=True,
        )
    _started.append(process)
    return process


def reporter_command(run_dir: Path) -> tuple[str, ...]:
    """How the reporter of a run is started."""
    return (sys.executable, "-m", "results_summary.reporter", str(run_dir))
