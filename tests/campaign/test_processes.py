"""The supervisor's children, with real processes: marked, spoken with, and never trusted."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from baseline_metrics.codec import CodecError
from campaign import processes
from campaign.processes import OUTGOING_BYTES_MAX, ChannelError, Child, Marks, reporter_command, spawn_reporter
from tests.support.echo_child import WORDS, Word

pytestmark = pytest.mark.process

HANG_S = 20.0

MARKS = Marks(run_id="20251119T210000Z-test", runs_dir="/srv/runs", state_dir="/srv/state")

Start = Callable[[str], Child]


def test_variables_with_secrets_are_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    """What headers refer to stays with the supervisor, whatever the child is; the marks and the rest are handed on."""
    monkeypatch.setenv("TOKEN", "SecretTokenAbcdef")
    monkeypatch.setenv("HARMLESS", "1")
    withholding = replace(MARKS, withheld=frozenset({"TOKEN", "NOT_EVEN_SET"}))
    for role in ("guardian", "worker", "drill", "reporter"):
        environment = withholding.environment(role)
        assert "SecretTokenAbcdef" not in environment.values()
        assert (environment["HARMLESS"], environment["DAYBREAK_ROLE"]) == ("1", role)
    assert MARKS.environment("supervisor")["TOKEN"] == "SecretTokenAbcdef"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start children in a mode; whatever is left of them is killed afterwards."""
    children: list[Child] = []

    def started(mode: str) -> Child:
        output = tmp_path / "output.log"
        children.append(Child("tests.support.echo_child", (mode,), marks=MARKS, role="echo", output=output))
        return children[-1]

    yield started
    for child in children:
        child.kill()
        child.process.wait(HANG_S)
        child.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a real process, with a hang limit."""
    deadline = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < deadline, "a child did not do what was expected"
        time.sleep(0.005)


def hear(child: Child, count: int) -> list[str]:
    """The next words of a child."""
    heard: list[str] = []

    def enough() -> bool:
        heard.extend(word.text for word in child.receive(WORDS))
        return len(heard) >= count

    until(enough)
    return heard


def test_words_travel_in_both_directions_in_their_order(start: Start) -> None:
    """Each line is one message; many at once arrive as many."""
    child = start("echo")
    for number in range(100):
        child.send(WORDS, Word(text=str(number)))
    assert hear(child, 100) == [str(number) for number in range(100)]
    assert not child.closed


def test_a_message_larger_than_the_pipe_arrives_whole(start: Start) -> None:
    """What the pipe does not take at once is sent by later flushes."""
    child = start("echo")
    text = "x" * 600_000
    child.send(WORDS, Word(text=text))
    heard: list[str] = []

    def arrived() -> bool:
        child.flush()
        heard.extend(word.text for word in child.receive(WORDS))
        return bool(heard)

    until(arrived)
    assert heard == [text]


def test_a_child_carries_the_runs_marks_in_a_session_of_its_own(start: Start) -> None:
    """Whatever becomes of us, it can be found; its working directory holds nobody's mount."""
    heard = hear(start("marks"), 6)
    assert heard == [MARKS.run_id, MARKS.runs_dir, MARKS.state_dir, "echo", "/", "leader"]


def test_the_packages_are_found_whatever_the_python_path_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our place comes first, the user's path stays behind it."""
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert MARKS.environment("worker")["PYTHONPATH"] == f"{processes.PACKAGE_ROOT}:/somewhere"
    monkeypatch.delenv("PYTHONPATH")
    assert MARKS.environment("worker")["PYTHONPATH"] == processes.PACKAGE_ROOT


def test_garbage_is_refused(start: Start) -> None:
    """A line that is no message of ours raises, and is not read again."""
    child = start("garbage")
    with pytest.raises(CodecError):
        until(lambda: bool(child.receive(WORDS)) and False)
    assert child.receive(WORDS) == []


def test_a_line_without_an_end_is_refused_at_its_limit(start: Start) -> None:
    """A child cannot fill our memory with one endless line."""
    child = start("oversized")
    with pytest.raises(ChannelError, match="a line of more than"):
        until(lambda: bool(child.receive(WORDS)))


def test_a_child_that_does_not_read_is_noticed_at_a_limit(start: Start) -> None:
    """Orders wait up to OUTGOING_BYTES_MAX, and sending never blocks."""
    child = start("deaf")
    hear(child, 1)
    text = "x" * 500_000
    fitting = OUTGOING_BYTES_MAX // len(WORDS.encode(Word(text=text)))
    for _ in range(fitting):
        child.send(WORDS, Word(text=text))
    child.send(WORDS, Word(text="x" * 10_000))  # the pipe itself has taken some 64 KiB
    with pytest.raises(ChannelError, match="has not read"):
        child.send(WORDS, Word(text=text))


def test_the_end_of_a_child_is_seen_once_its_words_are_read(start: Start) -> None:
    """What it said before its end still arrives; then the channel is closed, and sending does no harm."""
    child = start("marks")
    assert len(hear(child, 6)) == 6
    until(child.ended)
    assert child.receive(WORDS) == []
    assert child.closed
    child.send(WORDS, Word(text="too late"))
    child.flush()
    child.kill()
    assert child.process.returncode == 0


def test_a_child_that_closes_its_pipe_and_lives_is_closed_and_not_ended(start: Start) -> None:
    """Two different facts."""
    child = start("mute")

    def closed() -> bool:
        child.receive(WORDS)
        return child.closed

    until(closed)
    assert not child.ended()


def test_closing_the_pipes_ends_a_child_that_listens(start: Start) -> None:
    """A lost pipe means stop."""
    child = start("echo")
    child.close()
    until(child.ended)
    assert child.process.returncode == 0
    assert child.receive(WORDS) == []


def test_a_killed_child_has_ended_by_signal(start: Start) -> None:
    """SIGKILL, reaped by ended."""
    child = start("deaf")
    child.kill()
    until(child.ended)
    assert child.process.returncode == -9


def test_what_a_child_prints_as_error_is_kept(start: Start, tmp_path: Path) -> None:
    """Tracebacks land in the file that was named."""
    child = start("grumble")
    until(child.ended)
    assert (tmp_path / "output.log").read_text() == "a traceback\n"


@pytest.mark.parametrize(
    ("partial", "strict", "flags"),
    [
        (False, False, []),
        (True, False, ["--partial"]),
        (False, True, ["--strict"]),
        (True, True, ["--partial", "--strict"]),
    ],
)
def test_the_reporter_is_started_with_what_was_asked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    partial: bool,  # noqa: FBT001 - a row
    strict: bool,  # noqa: FBT001 - a row
    flags: list[str],
) -> None:
    """Its arguments, its mark, and its output file; here a stand-in prints them."""
    code = "import os, sys; print(sys.argv[1:], os.environ['DAYBREAK_ROLE'])"
    monkeypatch.setattr(processes, "reporter_command", lambda run: (sys.executable, "-c", code, str(run)))
    output = tmp_path / "output.log"
    reporter = spawn_reporter(tmp_path, marks=MARKS, output=output, partial=partial, strict=strict)
    assert isinstance(reporter, subprocess.Popen)
    assert reporter.wait(HANG_S) == 0
    assert output.read_text() == f"{[str(tmp_path), *flags]} reporter\n"


def test_the_reporters_command_names_the_run(tmp_path: Path) -> None:
    """The guardian gets the same command for its last act."""
    command = reporter_command(tmp_path)
    assert command[1:] == ("-m", "results_summary.reporter", str(tmp_path))
