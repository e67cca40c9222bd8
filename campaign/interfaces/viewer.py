"""Watches a campaign from a terminal: shows its status document, and passes Ctrl-C on to it.

The supervisor is a process of its own session, so losing the terminal ends this process only. The viewer holds nothing
that the night needs. It runs in the process of ``run`` (whose supervisor is its child) and of ``status --watch``.
"""

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import Protocol, TextIO, assert_never

from baseline_metrics.clock import Clock
from campaign.control import StopNotPressedError, press_stop
from campaign.interfaces.plain import LineFormat, LineScreen
from campaign.interfaces.terminal import LiveScreen, Watching
from campaign.status import NoStatus, Status, read_status

LAST_STATUS = Path("monitoring_logs") / "status.json"
"""Where the supervisor leaves its last document, inside the run directory."""

LOOK_S = 0.5
"""Twice a second: the document is not replaced more often, and a person does not read faster."""

INTERRUPTS_TO_LEAVE = 3
"""The first asks for an orderly end, the second stops at once; who presses a third time wants the terminal back."""

STOPPING = "stopping: load off, record, report; press Ctrl-C again to stop at once"
STOPPED_AT_ONCE = "stopped at once; the record is being closed and the report written (Ctrl-C again leaves this view)"
LEFT = "leaving; the campaign ends by itself: `status` shows it"


@dataclass(frozen=True, slots=True, kw_only=True)
class StillRunning:
    """The supervisor has not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedWith:
    """The supervisor has ended by itself, with this exit code."""

    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KilledBy:
    """The supervisor was ended by a signal: by its guardian because it hung, by the kernel, or by a person."""

    signal_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HungUp:
    """The terminal is gone; the campaign goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The person left the view before the campaign's end. asked_to_stop: whether they had asked for the end before."""

    asked_to_stop: bool


SupervisorState = StillRunning | EndedWith | KilledBy
Watched = EndedWith | KilledBy | HungUp | Left


class Supervisor(Protocol):
    """The campaign's process, as far as a viewer is concerned."""

    def state(self) -> SupervisorState:
        """Whether it still runs."""
        ...

    def ask_stop(self) -> None:
        """Ask for an orderly end."""
        ...


class Screen(Protocol):
    """Where progress is shown."""

    def show(self, seen: Status | NoStatus) -> None:
        """Show where the night stands. Raises OSError when the terminal is gone."""
        ...

    def notice(self, text: str) -> None:
        """Show the viewer's own word."""
        ...

    def close(self) -> None:
        """Give the terminal back."""
        ...


class SilentScreen:
    """Shows nothing."""

    def show(self, seen: Status | NoStatus) -> None:
        """Nothing."""

    def notice(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class ChildSupervisor:
    """The supervisor that this process started."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def state(self) -> SupervisorState:
        """Whether it still runs; reaps it when it has ended."""
        code = self._process.poll()
        if code is None:
            return StillRunning()
        return EndedWith(exit_code=code) if code >= 0 else KilledBy(signal_number=-code)

    def ask_stop(self) -> None:
        """SIGTERM. Its number cannot have been used again: it is our child, and not reaped."""
        self._process.send_signal(signal.SIGTERM)


class Progress(Enum):
    """How progress is shown."""

    AUTO = "auto"
    LIVE = "live"
    PLAIN = "plain"
    JSON = "json"
    NONE = "none"


def chosen_progress(asked: Progress, *, stream: TextIO, environ: Mapping[str, str], quiet: bool) -> Progress:
    """What AUTO means here: a live view on a terminal that can redraw, else lines. Never AUTO."""
    match asked:
        case Progress.AUTO if quiet:
            return Progress.NONE
        case Progress.AUTO:
            redraws = stream.isatty() and environ.get("TERM", "") not in ("", "dumb", "unknown")
            in_ci = environ.get("CI", "").lower() not in ("", "0", "false")
            return Progress.LIVE if redraws and not in_ci else Progress.PLAIN
        case Progress.LIVE | Progress.PLAIN | Progress.JSON | Progress.NONE:
            return asked
    assert_never(asked)


def make_screen(progress: Progress, *, stream: TextIO, colour: bool, watching: Watching, clock: Clock) -> Screen:
    """The screen of a chosen progress."""
    match progress:
        case Progress.LIVE:
            return LiveScreen(stream=stream, colour=colour, watching=watching, mono_s=clock.mono_s)
        case Progress.JSON:
            return LineScreen(stream=stream, line_format=LineFormat.JSON, mono_s=clock.mono_s)
        case Progress.PLAIN:
            return LineScreen(stream=stream, line_format=LineFormat.PLAIN, mono_s=clock.mono_s)
        case Progress.NONE:
            return SilentScreen()
        case Progress.AUTO:
            raise AssertionError("AUTO is resolved by chosen_progress")
    assert_never(progress)


class Asks(Protocol):
    """What the person at the terminal has asked for so far."""

    @property
    def interrupts(self) -> int:
        """How often Ctrl-C was pressed (or SIGTERM sent)."""
        ...

    @property
    def hung_up(self) -> bool:
        """Whether the terminal is gone."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait that long, or until something is asked."""
        ...


class SignalAsks:
    """Asks from signals. The handlers only count; a pipe wakes the waiting loop."""

    def __init__(self) -> None:
        self.interrupts = 0
        self.hung_up = False
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def wait(self, seconds: float) -> None:
        """Wait that long, or until a signal comes."""
        ready, _, _ = select.select([self._reader], [], [], seconds)
        if ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, 64)

    def note(self, number: int, _frame: FrameType | None) -> None:
        """A signal's handler."""
        if number == signal.SIGHUP:
            self.hung_up = True
        else:
            self.interrupts += 1
        with contextlib.suppress(BlockingIOError):  # the pipe is full of wake-ups: one more is not needed
            os.write(self._writer, b"!")

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self._reader)
        os.close(self._writer)


@contextlib.contextmanager
def signals_noted() -> Iterator[SignalAsks]:
    """Count Ctrl-C, SIGTERM and SIGHUP instead of dying by them. What was ignored (nohup, a background job) stays ignored."""
    asks = SignalAsks()
    before: dict[int, signal.Handlers | Callable[[int, FrameType | None], object] | int | None] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            handler = signal.getsignal(number)
            if handler is not signal.SIG_IGN:
                before[number] = handler
                signal.signal(number, asks.note)
        yield asks
    finally:
        for noted, handler in before.items():
            signal.signal(noted, handler)
        asks.close()


def watch_own(*, supervisor: Supervisor, status_path: Path, run_dir: Path, screen: Screen, asks: Asks) -> Watched:
    """Show the campaign until its supervisor ends, passing the person's wishes on.

    The registry forgets a campaign that has ended; its last document lies in the run directory.
    """
    answered = 0
    while not asks.hung_up:
        try:
            while answered < asks.interrupts:
                answered += 1
                if answered >= INTERRUPTS_TO_LEAVE:
                    screen.notice(LEFT)
                    return Left(asked_to_stop=True)
                _pass_on(answered, supervisor=supervisor, run_dir=run_dir, screen=screen)
            state = supervisor.state()
            running = isinstance(state, StillRunning)
            screen.show(read_status(status_path if running else run_dir / LAST_STATUS))
        except OSError:
            return HungUp()
        match state:
            case StillRunning():
                asks.wait(LOOK_S)
            case EndedWith() | KilledBy():
                return state
            case _:
                assert_never(state)
    return HungUp()


def watch_guest(*, alive: Callable[[], bool], status_path: Path, screen: Screen, asks: Asks) -> Left | HungUp:
    """Show somebody else's campaign until it ends or the person leaves. Never touches it."""
    while True:
        if asks.hung_up:
            return HungUp()
        if asks.interrupts:
            return Left(asked_to_stop=False)
        running = alive()
        try:
            seen = read_status(status_path)
            if running or isinstance(seen, Status):  # an ended campaign's directory is gone: its last picture stays
                screen.show(seen)
        except OSError:
            return HungUp()
        if not running:
            return Left(asked_to_stop=False)
        asks.wait(LOOK_S)


def _pass_on(nth: int, *, supervisor: Supervisor, run_dir: Path, screen: Screen) -> None:
    if nth == 1:
        supervisor.ask_stop()
        screen.notice(STOPPING)
        return
    try:
        press_stop(run_dir)
    except StopNotPressedError as error:
        screen.notice(str(error))
    else:
        screen.notice(STOPPED_AT_ONCE)


def close_quietly(screen: Screen) -> None:
    """Give the terminal back; one that is gone needs nothing."""
    with contextlib.suppress(OSError):
        screen.close()
