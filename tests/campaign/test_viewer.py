"""The viewer: passes the person's wishes on, survives nothing it should not, and holds nothing up."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest

from baseline_metrics.clock import SystemClock
from campaign.interfaces.plain import LineScreen
from campaign.interfaces.terminal import LiveScreen, Watching
from campaign.interfaces.viewer import (
    LEFT,
    STOPPED_AT_ONCE,
    STOPPING,
    ChildSupervisor,
    EndedWith,
    HungUp,
    KilledBy,
    Left,
    Progress,
    SilentScreen,
    StillRunning,
    SupervisorState,
    chosen_progress,
    make_screen,
    signals_noted,
    watch_guest,
    watch_own,
)
from campaign.status import NoStatus, Status, write_status
from tests.support.status_documents import status_document


class FakeSupervisor:
    """Runs for so many looks, then ends."""

    def __init__(self, *, looks: int, end: SupervisorState) -> None:
        self.looks = looks
        self.end = end
        self.asked = 0

    def state(self) -> SupervisorState:
        """Count down."""
        self.looks -= 1
        return StillRunning() if self.looks >= 0 else self.end

    def ask_stop(self) -> None:
        """Count."""
        self.asked += 1


class FakeScreen:
    """Remembers what it was given; breaks when told to."""

    def __init__(self, *, broken: bool = False) -> None:
        self.seen: list[Status | NoStatus] = []
        self.notices: list[str] = []
        self.broken = broken

    def show(self, seen: Status | NoStatus) -> None:
        """Remember, or fail as a terminal does that is gone."""
        if self.broken:
            raise OSError(5, "Input/output error")
        self.seen.append(seen)

    def notice(self, text: str) -> None:
        """Remember."""
        self.notices.append(text)

    def close(self) -> None:
        """Nothing."""


class FakeAsks:
    """A person who presses Ctrl-C after the given waits."""

    def __init__(self, *, interrupt_at: tuple[int, ...] = (), hang_up_at: int = -1) -> None:
        self.interrupts = 0
        self.hung_up = False
        self._waits = 0
        self._interrupt_at = interrupt_at
        self._hang_up_at = hang_up_at

    def wait(self, seconds: float) -> None:
        """Let time pass without any."""
        self._waits += 1
        self.interrupts += self._interrupt_at.count(self._waits)
        self.hung_up = self._waits == self._hang_up_at


class Bench:
    """One campaign to watch."""

    def __init__(self, directory: Path, *, looks: int = 5, end: SupervisorState | None = None) -> None:
        self.run_dir = directory / "run"
        (self.run_dir / "monitoring_logs").mkdir(parents=True)
        self.status_path = directory / "status.json"
        self.supervisor = FakeSupervisor(looks=looks, end=end or EndedWith(exit_code=3))
        self.screen = FakeScreen()

    def watch(self, asks: FakeAsks) -> object:
        """Watch to the end."""
        return watch_own(
            supervisor=self.supervisor,
            status_path=self.status_path,
            run_dir=self.run_dir,
            screen=self.screen,
            asks=asks,
        )


def test_returns_the_supervisors_exit_code(tmp_path: Path) -> None:
    """The viewer ends when the supervisor has ended, with its code, having touched nothing."""
    bench = Bench(tmp_path)
    assert bench.watch(FakeAsks()) == EndedWith(exit_code=3)
    assert bench.supervisor.asked == 0
    assert not (bench.run_dir / "STOP").exists()


def test_shows_the_last_document_after_the_end(tmp_path: Path) -> None:
    """What the supervisor left in the run directory is shown last, since the registry has forgotten it."""
    bench = Bench(tmp_path, looks=1)
    write_status(bench.status_path, status_document(state="HOLDING"))
    write_status(bench.run_dir / "monitoring_logs" / "status.json", status_document(state="DONE"))
    bench.watch(FakeAsks())
    assert [seen.state for seen in bench.screen.seen if isinstance(seen, Status)] == ["HOLDING", "DONE"]


def test_first_interrupt_asks_for_an_orderly_end(tmp_path: Path) -> None:
    """The first Ctrl-C asks the supervisor to end, and says what a second one does; no STOP file is made."""
    bench = Bench(tmp_path)
    assert bench.watch(FakeAsks(interrupt_at=(1,))) == EndedWith(exit_code=3)
    assert bench.supervisor.asked == 1
    assert bench.screen.notices == [STOPPING]
    assert not (bench.run_dir / "STOP").exists()


def test_second_interrupt_stops_at_once(tmp_path: Path) -> None:
    """The second Ctrl-C makes the run's STOP file; two in one moment do both."""
    bench = Bench(tmp_path)
    assert bench.watch(FakeAsks(interrupt_at=(1, 1))) == EndedWith(exit_code=3)
    assert bench.supervisor.asked == 1
    assert bench.screen.notices == [STOPPING, STOPPED_AT_ONCE]
    assert (bench.run_dir / "STOP").exists()


def test_third_interrupt_gives_the_terminal_back(tmp_path: Path) -> None:
    """Who presses a third time gets the terminal back; the campaign ends by itself."""
    bench = Bench(tmp_path, looks=100)
    assert bench.watch(FakeAsks(interrupt_at=(1, 2, 3))) == Left(asked_to_stop=True)
    assert bench.screen.notices[-1] == LEFT


def test_stop_file_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """When the STOP file cannot be made, the person is told the other way at once."""
    bench = Bench(tmp_path)
    bench.run_dir = tmp_path / "not_there"
    bench.watch(FakeAsks(interrupt_at=(1, 1)))
    assert "--emergency-stop" in bench.screen.notices[-1]


def test_hangup_leaves_the_campaign_alone(tmp_path: Path) -> None:
    """A lost terminal ends the viewer only."""
    bench = Bench(tmp_path, looks=100)
    assert bench.watch(FakeAsks(hang_up_at=2)) == HungUp()
    assert bench.supervisor.asked == 0


def test_terminal_gone_without_a_signal(tmp_path: Path) -> None:
    """A write that fails means a lost terminal too."""
    bench = Bench(tmp_path, looks=100)
    bench.screen.broken = True
    assert bench.watch(FakeAsks()) == HungUp()


def test_guest_leaves_without_touching_anything(tmp_path: Path) -> None:
    """Ctrl-C in `status --watch` leaves the view; so does the campaign's end."""
    path = tmp_path / "status.json"
    write_status(path, status_document())
    screen = FakeScreen()
    left = watch_guest(alive=lambda: True, status_path=path, screen=screen, asks=FakeAsks(interrupt_at=(3,)))
    assert left == Left(asked_to_stop=False)
    assert len(screen.seen) == 3
    ended = watch_guest(alive=lambda: False, status_path=path, screen=FakeScreen(), asks=FakeAsks())
    assert ended == Left(asked_to_stop=False)


class Terminal(StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.mark.parametrize(
    ("asked", "stream", "environ", "quiet", "chosen"),
    [
        (Progress.AUTO, Terminal(), {"TERM": "xterm"}, False, Progress.LIVE),
        (Progress.AUTO, Terminal(), {"TERM": "xterm", "CI": "false"}, False, Progress.LIVE),
        (Progress.AUTO, Terminal(), {"TERM": "xterm", "CI": "true"}, False, Progress.PLAIN),
        (Progress.AUTO, Terminal(), {"TERM": "dumb"}, False, Progress.PLAIN),
        (Progress.AUTO, Terminal(), {"TERM": "unknown"}, False, Progress.PLAIN),
        (Progress.AUTO, Terminal(), {}, False, Progress.PLAIN),
        (Progress.AUTO, StringIO(), {"TERM": "xterm"}, False, Progress.PLAIN),
        (Progress.AUTO, Terminal(), {"TERM": "xterm"}, True, Progress.NONE),
        (Progress.LIVE, StringIO(), {}, False, Progress.LIVE),
        (Progress.PLAIN, Terminal(), {"TERM": "xterm"}, True, Progress.PLAIN),
    ],
)
def test_auto_is_live_only_where_it_can_redraw(
    *, asked: Progress, stream: StringIO, environ: dict[str, str], quiet: bool, chosen: Progress
) -> None:
    """AUTO is the live view on a real terminal outside CI, lines elsewhere, nothing when quiet; what is asked for holds."""
    assert chosen_progress(asked, stream=stream, environ=environ, quiet=quiet) is chosen


@pytest.mark.parametrize(
    ("progress", "kind"),
    [
        (Progress.LIVE, LiveScreen),
        (Progress.PLAIN, LineScreen),
        (Progress.JSON, LineScreen),
        (Progress.NONE, SilentScreen),
    ],
)
def test_screen_of_each_progress(progress: Progress, kind: type) -> None:
    """Each way of showing progress has its screen."""
    screen = make_screen(progress, stream=StringIO(), colour=False, watching=Watching.OWN, clock=SystemClock())
    screen.close()
    assert isinstance(screen, kind)


@pytest.fixture
def interrupts_heard() -> Iterator[None]:
    """Whoever started the tests may ignore Ctrl-C; then what is noted of it would be nothing."""
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, outside)


@pytest.mark.usefixtures("interrupts_heard")
def test_signals_are_counted_and_wake_the_loop() -> None:
    """SIGINT and SIGTERM count as interrupts, SIGHUP as a lost terminal, and none of them waits for the next look."""
    before = signal.getsignal(signal.SIGTERM)
    with signals_noted() as asks:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(number)
        asks.wait(60.0)
        assert asks.interrupts == 2
        assert asks.hung_up
    assert signal.getsignal(signal.SIGTERM) is before


def test_ignored_signals_stay_ignored() -> None:
    """Under nohup SIGHUP is ignored, and the viewer keeps it so."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_noted() as asks:
            signal.raise_signal(signal.SIGHUP)
            assert not asks.hung_up
    finally:
        signal.signal(signal.SIGHUP, before)


def _started(program: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)


@pytest.mark.process
@pytest.mark.parametrize(
    ("program", "act", "end"),
    [
        ("import sys; sys.exit(5)", lambda child: None, EndedWith(exit_code=5)),
        ("import time; print(1, flush=True); time.sleep(60)", lambda child: child.kill(), KilledBy(signal_number=9)),
    ],
)
def test_child_supervisor_tells_how_it_ended(
    program: str, act: Callable[[subprocess.Popen[bytes]], None], end: SupervisorState
) -> None:
    """An exit code is told from a killing signal."""
    child = _started(program)
    act(child)
    child.wait(30)
    assert child.stdout is not None
    child.stdout.close()
    assert ChildSupervisor(child).state() == end


@pytest.mark.process
def test_child_supervisor_gets_sigterm(tmp_path: Path) -> None:
    """Watching a real process: a Ctrl-C becomes its SIGTERM, and its own exit code comes back."""
    child = _started(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    with signals_noted() as asks:
        press = threading.Timer(0.2, lambda: signal.raise_signal(signal.SIGINT))
        press.start()
        end = watch_own(
            supervisor=ChildSupervisor(child),
            status_path=tmp_path / "status.json",
            run_dir=tmp_path,
            screen=SilentScreen(),
            asks=asks,
        )
    press.join()
    child.stdout.close()
    assert end == EndedWith(exit_code=4)
