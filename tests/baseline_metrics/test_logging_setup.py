"""Component logs: bounded, structured, without secrets, and never a reason to fail."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.logging_setup import (
    SAME_NAME_MAX,
    CappedFileHandler,
    ComponentLog,
    LogSetupError,
    configure_component_log,
    register_secret,
)
from baseline_metrics.redaction import forget_secrets

ROOT = Path(__file__).resolve().parents[2]
UTC_S = 1_767_225_600.0  # 2026-01-01 00:00:00 UTC

PARTIAL_WRITE = """
import resource, sys
from baseline_metrics.logging_setup import configure_component_log
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # a disk that fills up in the middle of a line
log = configure_component_log(directory=sys.argv[1], component="worker", utc_s=0.0)
for number in range(50):
    log.logger.info("event", number=number)
print(log.dropped)
"""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ComponentLog]:
    """An open log of the supervisor."""
    opened = configure_component_log(directory=str(tmp_path), component="autonomous_test_runner", utc_s=UTC_S)
    yield opened
    opened.close()
    forget_secrets()


def events(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a log; each has to be a JSON object."""
    return [json.loads(line, parse_constant=not_json) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def not_json(constant: str) -> float:
    """Python reads NaN and Infinity, other readers of our logs do not."""
    pytest.fail(f"{constant} in a log")


def break_with(start: str, end: str) -> None:
    """Raise an error below a local variable that must not be logged."""
    local_value = start + end
    raise ValueError(f"{len(local_value)} characters")


def test_a_log_is_named_by_component_and_start(log: ComponentLog, tmp_path: Path) -> None:
    """Name and UTC time stand in the file's name; only its owner may read it."""
    path = tmp_path / "autonomous_test_runner_20260101_000000.log"

    assert log.path == str(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_event_is_one_json_line(log: ComponentLog) -> None:
    """Time in UTC, level, event and fields; line breaks and escape codes stay inside the line."""
    log.logger.info("phase started", phase=3, name="a\nb\x1b[31m", share=0.5)
    log.logger.bind(run="r1").warning("eased %s times", 2)

    first, second = events(log.path)
    assert first["at_utc"].endswith("+00:00")
    assert (first["level"], first["event"], first["phase"], first["share"]) == ("info", "phase started", 3, 0.5)
    assert first["name"] == "a\nb\x1b[31m"
    assert b"\x1b" not in Path(log.path).read_bytes()
    assert (second["level"], second["event"], second["run"]) == ("warning", "eased 2 times", "r1")
    assert log.dropped == 0


def test_an_exception_is_logged_with_its_traceback_without_local_values(log: ComponentLog) -> None:
    """The traceback helps; the values of local variables, which may be secret, are not in it."""
    try:
        break_with("can", "ary")
    except ValueError:
        log.logger.exception("broken")

    (event,) = events(log.path)
    assert event["level"] == "error"
    assert "ValueError: 6 characters" in event["exception"]
    assert "canary" not in Path(log.path).read_text(encoding="utf-8")


def test_secrets_are_hidden_in_every_field(log: ComponentLog) -> None:
    """Known literals and credentials are gone from event, fields, nested fields and tracebacks."""
    canary = "c4n4ry-Pa55"
    register_secret(canary)
    log.logger.info(
        "got %s", canary, header={"Authorization": "Bearer abcdefgh"}, deep=[[canary]], url="http://u:pp@h/"
    )
    try:
        int(canary)
    except ValueError:
        log.logger.exception("broken")

    text = Path(log.path).read_text(encoding="utf-8")
    assert len(events(log.path)) == 2
    assert "ValueError" in text
    for secret in (canary, "abcdefgh", "u:pp"):
        assert secret not in text


def test_two_logs_do_not_take_each_others_events(log: ComponentLog, tmp_path: Path) -> None:
    """Each log gets what its own logger was told, also after another was opened or closed, and the root gets nothing."""
    other = configure_component_log(directory=str(tmp_path), component="resource_monitor", utc_s=UTC_S)
    log.logger.info("mine")
    other.logger.info("yours")
    other.close()
    log.logger.info("still mine")

    assert [event["event"] for event in events(log.path)] == ["mine", "still mine"]
    assert [event["event"] for event in events(other.path)] == ["yours"]


class Listener(logging.Handler):
    """Remembers what reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Remember a record."""
        self.heard.append(record)


def test_events_do_not_reach_the_root_logger(log: ComponentLog) -> None:
    """A component's events are in its file only, whoever else listens."""
    listener = Listener()
    logging.getLogger().addHandler(listener)
    log.logger.error("quiet please")
    logging.getLogger().removeHandler(listener)

    assert listener.heard == []
    assert len(events(log.path)) == 1


def test_the_same_name_twice_gives_two_files(log: ComponentLog, tmp_path: Path) -> None:
    """Two workers that start in one second do not write into one file."""
    second = configure_component_log(directory=str(tmp_path), component="autonomous_test_runner", utc_s=UTC_S + 0.5)
    second.logger.info("second")
    second.close()

    assert second.path == str(tmp_path / "autonomous_test_runner_20260101_000000_2.log")
    assert events(log.path) == []


def test_names_run_out_with_a_message(tmp_path: Path) -> None:
    """A directory full of logs of this name is refused instead of searched for ever."""
    for _ in range(SAME_NAME_MAX):
        configure_component_log(directory=str(tmp_path), component="worker", utc_s=0.0).close()
    with pytest.raises(LogSetupError, match="use a fresh run directory"):
        configure_component_log(directory=str(tmp_path), component="worker", utc_s=0.0)


@pytest.mark.parametrize("component", ["", "Upper", "with space", "../evil", "a/b", "9lives", "x" * 65])
def test_strange_component_names_are_refused(tmp_path: Path, component: str) -> None:
    """A component is a short lower-case word, so that it cannot lead out of the directory."""
    with pytest.raises(LogSetupError, match="is not a component"):
        configure_component_log(directory=str(tmp_path), component=component, utc_s=0.0)


def test_a_directory_that_is_not_there_is_an_error_with_its_path(tmp_path: Path) -> None:
    """Opening is the one thing that may fail, before anything runs."""
    with pytest.raises(LogSetupError, match="missing"):
        configure_component_log(directory=str(tmp_path / "missing"), component="worker", utc_s=0.0)


def test_a_log_never_grows_beyond_its_bytes(tmp_path: Path) -> None:
    """It rotates: the live file and the older ones stay below their limit, the newest events are kept, in order."""
    log = configure_component_log(directory=str(tmp_path), component="worker", utc_s=0.0, bytes_max=2000, files_max=3)
    for number in range(500):
        log.logger.info("event", number=number)
        sizes = [path.stat().st_size for path in tmp_path.iterdir()]
        assert len(sizes) <= 3
        assert max(sizes) <= 2000
    log.close()

    stem = f"{tmp_path}/worker_19700101_000000.log"
    assert {str(path) for path in tmp_path.iterdir()} == {stem, f"{stem}.1", f"{stem}.2"}
    numbers = [event["number"] for path in (f"{stem}.2", f"{stem}.1", stem) for event in events(path)]
    assert numbers == list(range(numbers[0], 500))
    assert log.dropped == 0


def test_a_log_of_one_file_begins_anew(tmp_path: Path) -> None:
    """With a single file allowed, rotation starts it over."""
    log = configure_component_log(directory=str(tmp_path), component="worker", utc_s=0.0, bytes_max=1024, files_max=1)
    for number in range(100):
        log.logger.info("event", number=number)
    log.close()

    assert len(list(tmp_path.iterdir())) == 1
    assert events(log.path)[-1]["number"] == 99


def test_long_fields_are_cut_and_longer_lines_dropped(tmp_path: Path) -> None:
    """A field of megabytes is stored as its beginning with its length; a line beyond the file's limit is counted."""
    log = configure_component_log(directory=str(tmp_path), component="worker", utc_s=0.0, bytes_max=20_000)
    log.logger.info("big", body="x" * 1_000_000)
    log.logger.info("many", **{f"field{number}": "y" * 5000 for number in range(5)})
    log.logger.info("small")
    log.close()

    big, small = events(log.path)
    assert big["body"].startswith("x" * 8192 + "... (")
    assert len(big["body"]) < 8300
    assert small["event"] == "small"
    assert log.dropped == 1


class Unprintable:
    """An object that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


def test_an_event_that_cannot_be_rendered_is_dropped(tmp_path: Path) -> None:
    """Neither a field whose repr raises nor arguments that do not fit the text raise in the caller."""
    log = configure_component_log(directory=str(tmp_path), component="worker", utc_s=0.0)
    log.logger.info("bad", thing=Unprintable())
    log.logger.info("only %d", "words")
    log.logger.info("good")
    log.close()

    assert [event["event"] for event in events(log.path)] == ["good"]
    assert log.dropped == 2


field_names = st.text(min_size=1, max_size=10).filter(
    lambda name: name not in {"event", "self", "exc_info", "stack_info"}
)
field_values = st.recursive(
    st.one_of(st.none(), st.text(), st.binary(), st.floats(), st.integers()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.integers(), inner)),
    max_leaves=5,
)


@given(fields=st.dictionaries(field_names, field_values))
def test_any_fields_give_one_valid_line(tmp_path_factory: pytest.TempPathFactory, fields: dict[str, Any]) -> None:
    """Whatever the fields are called and hold, an event is one line of valid JSON."""
    log = configure_component_log(directory=str(tmp_path_factory.mktemp("logs")), component="worker", utc_s=0.0)
    log.logger.info("event", **fields)
    log.close()

    (event,) = events(log.path)
    assert event["event"] == "event"
    assert log.dropped == 0


def test_a_full_disk_costs_events_and_nothing_else(tmp_path: Path) -> None:
    """When nothing can be written, each event is counted and none raises, not even at the end."""
    handler = CappedFileHandler(
        path=str(tmp_path / "x.log"),
        descriptor=os.open("/dev/full", os.O_WRONLY),
        bytes_max=10_000,
        files_max=2,
    )
    for _ in range(3):
        handler.handle(logging.makeLogRecord({"msg": "event"}))
    handler.close()
    handler.close()

    assert handler.dropped == 3


@pytest.mark.process
def test_a_line_that_fits_only_in_part_is_taken_back(tmp_path: Path) -> None:
    """A disk that fills up in the middle of a line leaves whole lines only, and the rest is counted."""
    ended = subprocess.run(
        [sys.executable, "-c", PARTIAL_WRITE, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (path,) = tmp_path.iterdir()

    assert ended.stderr == ""
    written = [event["number"] for event in events(path)]
    assert written == list(range(len(written)))
    assert 0 < len(written) < 50
    assert int(ended.stdout) == 50 - len(written)


def test_a_rotation_that_fails_keeps_the_older_files(tmp_path: Path) -> None:
    """When the next file cannot be made, events are dropped, the limit holds, and later rotation works again."""
    log = configure_component_log(directory=str(tmp_path), component="worker", utc_s=0.0, bytes_max=1024, files_max=2)
    blocker = Path(f"{log.path}.new")
    blocker.mkdir()
    for number in range(50):
        log.logger.info("event", number=number)
    kept = events(log.path)
    assert kept[0]["number"] == 0
    assert log.dropped == 50 - len(kept)
    assert Path(log.path).stat().st_size <= 1024

    blocker.rmdir()
    log.logger.info("event", number=50)
    assert [event["number"] for event in events(log.path)] == [50]
    assert events(f"{log.path}.1") == kept
    log.close()


def test_events_after_closing_are_dropped(log: ComponentLog) -> None:
    """A late event of another thread is no error."""
    log.close()
    log.logger.info("late")

    assert events(log.path) == []


def test_libraries_are_silenced_and_their_warnings_adopted(log: ComponentLog) -> None:
    """Libraries such as httpx and apscheduler do not log requests and job runs; what they warn of can be read in our log."""
    scheduler = logging.getLogger("apscheduler.executors.default")
    assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
    assert not scheduler.isEnabledFor(logging.INFO)

    log.adopt("apscheduler")
    scheduler.info("job ran")
    scheduler.warning("job missed by %s s, token=%s", 3, "hunter2")
    (event,) = events(log.path)
    assert event["level"] == "warning"
    assert event["event"] == "job missed by 3 s, token=[secret]"

    log.close()
    assert logging.getLogger("apscheduler").handlers == []


def test_threads_may_log_at_once(tmp_path: Path) -> None:
    """Lines of several threads do not mix, also while the file rotates."""
    log = configure_component_log(
        directory=str(tmp_path), component="worker", utc_s=0.0, bytes_max=50_000, files_max=20
    )

    def write(worker: int) -> None:
        for number in range(200):
            log.logger.info("event", worker=worker, number=number)

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    log.close()

    found = [(event["worker"], event["number"]) for path in tmp_path.iterdir() for event in events(path)]
    assert sorted(found) == [(worker, number) for worker in range(4) for number in range(200)]
    assert log.dropped == 0
