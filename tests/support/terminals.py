"""A terminal for tests that can be closed under the program that runs in it, as a lost connection does it."""

import os
import pty
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

READ_BYTES = 4096

JOIN_S_MAX = 10.0


class Terminal:
    """A pseudo terminal with one program in it, which leads its session: closing it sends SIGHUP to the program."""

    def __init__(self, words: Sequence[str], *, environment: Mapping[str, str], cwd: Path) -> None:
        self._master, slave = pty.openpty()
        self._shown = bytearray()
        self._open = True
        # setsid makes the terminal the controlling one and becomes the program, with the same process id.
        setsid = shutil.which("setsid")
        assert setsid is not None, "setsid of util-linux is needed"
        try:
            self.program = subprocess.Popen(
                [setsid, "--ctty", *words],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env={**environment, "TERM": "xterm"},
                cwd=cwd,
            )
        finally:
            os.close(slave)
        # A terminal takes what is written to it; nobody reading would hold the program up.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def shown(self) -> str:
        """Everything that was written to it."""
        return self._shown.decode("utf-8", "replace")

    def close(self) -> None:
        """Close the terminal under its program."""
        if self._open:
            self._open = False
            os.close(self._master)
            self._reader.join(JOIN_S_MAX)

    def _read(self) -> None:
        while True:
            try:
                content = os.read(self._master, READ_BYTES)
            except OSError:  # the program has left it, or it was closed
                return
            if not content:
                return
            self._shown += content


@contextmanager
def in_terminal(words: Sequence[str], *, environment: Mapping[str, str], cwd: Path) -> Iterator[Terminal]:
    """Run a program in a terminal of its own; both are gone at the end."""
    terminal = Terminal(words, environment=environment, cwd=cwd)
    try:
        yield terminal
    finally:
        terminal.program.kill()
        terminal.program.wait(JOIN_S_MAX)
        terminal.close()
