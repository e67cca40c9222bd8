"""Starts the bundled demo service as a process of its own, and stops it.

The service has its own session and none of the campaign's marks: it stands for a system under test, so stopping all
load must not stop it, and Ctrl-C in the terminal must not reach it. The launcher's process uses this (``--demo``).
"""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

READY_S_MAX = 15.0
"""Starting takes about 0.2 s; a loaded machine with a cold disk may need some seconds."""

STOP_S_MAX = 2.0
"""The service leaves within a second of SIGTERM; after two it is killed."""

READY_BYTES_MAX = 4096
"""The ready line has about 60 bytes."""

STDERR_BYTES_SHOWN_MAX = 2000
"""The end of a traceback; enough to see the cause."""

MARK_PREFIX = "DAYBREAK_RUN_"
"""Environment variables that mark a process as part of a campaign's load, such as DAYBREAK_RUN_ID."""


class DemoStartError(RuntimeError):
    """The demo service did not come up; the message holds its last words."""


class DemoProcess:
    """A running demo service."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, port: int) -> None:
        self._process = process
        self.url = url
        self.port = port

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it, within STOP_S_MAX and a kill; nothing happens when it has ended already."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_S_MAX)

    def release(self) -> None:
        """Let it live on after this process, once it watches another one (``POST /admin {"parent_pid": N}``).

        The last call on this object.
        """
        # A Popen that knows no return code warns when it is forgotten.
        self._process.returncode = 0


def start_demo_service(*, parent_pid: int, arguments: Sequence[str] = ()) -> DemoProcess:
    """Start the service and wait until it listens. Raises DemoStartError.

    It ends by itself when ``parent_pid`` is gone. ``arguments`` are further options, such as ``--slowness-ms 20``.
    """
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "stress_scenarios.demo_service", "--parent-pid", str(parent_pid), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={name: value for name, value in os.environ.items() if not name.startswith(MARK_PREFIX)},
            cwd=Path(__file__).resolve().parent.parent,  # where the rooms are importable, installed or not
            start_new_session=True,
        )
        line = _first_line(process)
        try:
            ready = json.loads(line)
            return DemoProcess(process, str(ready["url"]), int(ready["port"]))
        except (ValueError, KeyError, TypeError) as error:
            DemoProcess(process, "", 0).stop()
            raise DemoStartError(
                f"the demo service did not start within {READY_S_MAX:g} s: {_last_words(stderr) or 'it said nothing'}; "
                "try it by hand: python -m stress_scenarios.demo_service"
            ) from error


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    """Read up to the first newline, the end of the pipe or the deadline; closes the pipe."""
    assert process.stdout is not None, "standard output is a pipe"
    deadline_mono_s = time.monotonic() + READY_S_MAX
    line = b""
    with contextlib.closing(process.stdout) as pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not line.endswith(b"\n") and len(line) < READY_BYTES_MAX:
            left_s = deadline_mono_s - time.monotonic()
            if left_s <= 0 or not selector.select(left_s):
                break
            chunk = os.read(pipe.fileno(), READY_BYTES_MAX)
            if not chunk:
                break
            line += chunk
    return line


def _last_words(stderr: IO[bytes]) -> str:
    end = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, end - STDERR_BYTES_SHOWN_MAX))
    return stderr.read().decode("utf-8", "replace").strip()
